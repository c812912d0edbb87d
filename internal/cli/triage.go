package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/sign"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

func newTriage(p Process) *cobra.Command {
	return newGroup("triage", "List exposures and judge them",
		newTriageList(p), newTriageView(p),
		newTriageMove(p, "acknowledge", "Acknowledge an exposure", triage.Acknowledge, "acknowledgeExposure"),
		newTriageMove(p, "unacknowledge", "Take an acknowledgement back", triage.Unacknowledge, "unacknowledgeExposure"),
		newTriageMove(p, "false-positive", "Mark an exposure as a false positive", triage.MarkFalsePositive, "markFalsePositive"),
		newTriageMove(p, "unmark", "Take the mark of a false positive back", triage.UnmarkFalsePositive, "unmarkFalsePositive"),
		newTriageMove(p, "resolve", "Resolve an exposure by hand; it opens again at the next evaluation if it still holds", triage.Resolve, "resolveExposure"),
		newTriageBulk(p), newTriageUndo(p), newTriageKey(p))
}

// ask sends a document and reads what the server answers into data.
func (c *client) ask(ctx context.Context, document string, variables map[string]any, data any) error {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return err
	}
	response, err := c.post(ctx, "/graphql", nil, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if !isJSON(response) {
		return refusal(response)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReport))
	if err != nil {
		return problem.New(problem.Unavailable, "ANSWER_CUT_OFF", "the answer of the server broke off; try again").Because(err)
	}
	var answer struct {
		Data   json.RawMessage
		Errors []graphError
		Error  json.RawMessage
	}
	if err := json.Unmarshal(content, &answer); err != nil || answer.Error != nil || answer.Data == nil && len(answer.Errors) == 0 {
		response.Body = io.NopCloser(bytes.NewReader(content))
		return refusal(response)
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0].problem()
	}
	return json.Unmarshal(answer.Data, data)
}

// problem is the error with its kind.
func (e graphError) problem() error {
	kind := problem.Kind(strings.ToLower(string(e.Extensions.Kind)))
	if kind == "" {
		kind = map[int]problem.Kind{exitDenied: problem.Denied, exitNotFound: problem.NotFound, exitUnavailable: problem.Unavailable}[e.exitCode()]
	}
	return problem.New(kind, e.Extensions.Code, "%s", e.Message)
}

// wrong is what a mutation says was wrong with its input.
type wrong struct {
	Code    string
	Field   *string
	Message string
}

// conflicts are the codes that say that the state has moved on.
var conflicts = map[string]bool{
	"VERSION_CONFLICT": true, "EXPOSURE_RESOLVED": true, "ILLEGAL_MOVE": true, "IDEMPOTENCY_KEY_REUSED": true,
	"ALREADY_UNDONE": true, "BATCH_IS_UNDO": true, "NOTHING_TO_UNDO": true, "KEY_REVOKED": true, "KEY_OF_ANOTHER": true,
}

// firstOf is the error that the first of them stands for.
func firstOf(list []wrong) error {
	if len(list) == 0 {
		return nil
	}
	w := list[0]
	kind := problem.Invalid
	switch {
	case conflicts[w.Code]:
		kind = problem.Conflict
	case strings.HasSuffix(w.Code, "NOT_FOUND"):
		kind = problem.NotFound
	}
	e := problem.New(kind, w.Code, "%s", w.Message)
	if w.Field != nil {
		e.Field = *w.Field
	}
	return e
}

// shownExposure is an exposure as the command line shows it.
type shownExposure struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	Severity    string `json:"severity"`
	Status      string `json:"status"`
	Disposition string `json:"disposition"`
	Explanation string `json:"explanation"`
	DetectedAt  string `json:"detectedAt"`
	Version     int    `json:"version"`
}

const exposureFields = `id type severity status disposition explanation detectedAt version`

const asNDJSON = "ndjson"

// exposureFilter are the flags that say which exposures.
type exposureFilter struct {
	types, severities, statuses, clusters, workloads []string
}

func (f *exposureFilter) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.types, "type", nil, "`type` of exposure, such as orphaned_path; may be repeated")
	flags.StringSliceVar(&f.severities, "severity", nil, "`severity`: low, medium, high or critical; may be repeated")
	flags.StringSliceVar(&f.statuses, "status", nil, "`status`: active, acknowledged, false_positive or resolved; may be repeated (default active and acknowledged)")
	flags.StringSliceVar(&f.clusters, "cluster", nil, "`key` of a risk cluster that the path is a member of; may be repeated")
	flags.StringSliceVar(&f.workloads, "workload", nil, "`id` of a workload; may be repeated")
}

// input is the filter as the server takes it; empty for none.
func (f *exposureFilter) input() map[string]any {
	input := map[string]any{}
	for name, values := range map[string][]string{"type": words(f.types), "severity": words(f.severities), "status": words(f.statuses), "cluster": f.clusters, "workload": f.workloads} {
		if len(values) > 0 {
			input[name] = values
		}
	}
	return input
}

// words are names as enums have them.
func words(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = word(name)
	}
	return list
}

func word(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

func newTriageList(p Process) *cobra.Command {
	var slug string
	var most int
	var filter exposureFilter
	cmd := &cobra.Command{
		Use: "list --org SLUG", Short: "List exposures, the gravest first",
		Args: usageArgs(cobra.NoArgs),
	}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON, asNDJSON)
	cmd.Flags().StringVar(&slug, "org", "", "`slug` of the organization")
	cmd.Flags().IntVar(&most, "limit", 50, "`number` of exposures at most; 0 for all")
	filter.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		switch {
		case err != nil:
			return err
		case slug == "":
			return usagef("say whose exposures: --org SLUG")
		case most < 0:
			return usagef("--limit %d is no number of exposures", most)
		}
		list, err := server.exposures(cmd.Context(), slug, filter.input(), most)
		if err != nil {
			return err
		}
		return p.printExposures(form, list)
	}
	return cmd
}

// exposures reads page after page, up to so many.
func (c *client) exposures(ctx context.Context, slug string, filter map[string]any, most int) ([]shownExposure, error) {
	const document = `query ($slug: String!, $filter: ExposureFilter, $first: Int, $after: String) {
		organization(slug: $slug) { exposures(filter: $filter, first: $first, after: $after) { nodes { ` + exposureFields + ` } pageInfo { hasNextPage endCursor } } } }`
	list := []shownExposure{}
	var after *string
	for {
		first := 100
		if most > 0 {
			first = min(first, most-len(list))
		}
		var answer struct {
			Organization *struct {
				Exposures struct {
					Nodes    []shownExposure
					PageInfo struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
			}
		}
		if err := c.ask(ctx, document, map[string]any{"slug": slug, "filter": filter, "first": first, "after": after}, &answer); err != nil {
			return nil, err
		}
		if answer.Organization == nil {
			return nil, noOrganization(slug)
		}
		page := answer.Organization.Exposures
		list = append(list, page.Nodes...)
		if after = page.PageInfo.EndCursor; !page.PageInfo.HasNextPage || len(list) == most {
			return list, nil
		}
	}
}

func (p Process) printExposures(form string, list []shownExposure) error {
	switch form {
	case asJSON:
		return printJSON(p.Stdout, list)
	case asNDJSON:
		for _, x := range list {
			if err := printJSON(p.Stdout, x); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(p.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tSEVERITY\tTYPE\tSTATUS\tVERSION\tEXPLANATION")
	for _, x := range list {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", x.ID, lower(x.Severity), lower(x.Type), lower(x.Status), x.Version, oneLine(x.Explanation))
	}
	return table.Flush()
}

func lower(name string) string { return strings.ToLower(name) }

// oneLine keeps what somebody else wrote from writing on the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

func newTriageView(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "view EXPOSURE", Short: "Show an exposure with its history", Args: usageArgs(cobra.ExactArgs(1))}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		x, raw, err := server.exposure(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if form == asJSON {
			return printJSON(p.Stdout, raw)
		}
		table := tabwriter.NewWriter(p.Stdout, 0, 4, 2, ' ', 0)
		for _, line := range [][2]string{{"id", x.ID}, {"type", lower(x.Type)}, {"severity", lower(x.Severity)}, {"status", lower(x.Status)},
			{"disposition", lower(x.Disposition)}, {"version", fmt.Sprint(x.Version)}, {"detected at", x.DetectedAt}, {"explanation", oneLine(x.Explanation)}} {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
		}
		if d := x.Decision; d != nil {
			_, _ = fmt.Fprintf(table, "decided\t%s by %s at %s: %s\n", lower(d.Action), oneLine(d.Actor), d.At, oneLine(d.Justification))
		}
		for _, v := range x.Versions.Nodes {
			_, _ = fmt.Fprintf(table, "version %d\tsince %s: %s, %s\n", v.Version, v.EffectiveFrom, lower(v.Status), lower(v.Severity))
		}
		return table.Flush()
	}
	return cmd
}

// viewedExposure is an exposure with its history.
type viewedExposure struct {
	shownExposure
	Decision *struct{ Action, Actor, At, Justification string }
	Versions struct {
		Nodes []struct {
			Version                         int
			EffectiveFrom, Status, Severity string
		}
	}
}

func (c *client) exposure(ctx context.Context, exposure string) (*viewedExposure, json.RawMessage, error) {
	const document = `query ($id: ID!) { node(id: $id) { ... on Exposure { ` + exposureFields + ` resolvedAt resolutionReason
		decision { action from to actor at justification reason seq }
		versions(first: 100) { nodes { version effectiveFrom effectiveTo status disposition severity explanation } } } } }`
	var answer struct{ Node json.RawMessage }
	if err := c.ask(ctx, document, map[string]any{"id": exposure}, &answer); err != nil {
		return nil, nil, err
	}
	var x viewedExposure
	if err := json.Unmarshal(answer.Node, &x); err != nil || x.ID == "" {
		return nil, nil, problem.New(problem.NotFound, "EXPOSURE_NOT_FOUND", "there is no exposure %s for this caller", exposure).Because(err)
	}
	return &x, answer.Node, nil
}

// judging are the flags of whoever judges.
type judging struct {
	justification, idempotencyKey, reason string
}

func (j *judging) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&j.justification, "justification", "m", "", "`text` that says why")
	cmd.Flags().StringVar(&j.idempotencyKey, "idempotency-key", "", "`key` under which the request can be sent again without being done twice (default: a random one)")
}

func (j *judging) addReason(cmd *cobra.Command) {
	reasons := make([]string, len(triage.FalsePositiveReasons))
	for i, reason := range triage.FalsePositiveReasons {
		reasons[i] = string(reason)
	}
	cmd.Flags().StringVar(&j.reason, "reason", "", "`reason` of a false positive: "+strings.Join(reasons, ", "))
}

func (j *judging) check() error {
	if j.justification == "" {
		return usagef("say why: --justification TEXT")
	}
	if j.idempotencyKey == "" {
		j.idempotencyKey = uuid.NewString()
	}
	return nil
}

// again tells how to send a request again of which nobody knows whether it was done.
func (j *judging) again(err error) error {
	if problem.KindOf(err) != problem.Unavailable {
		return err
	}
	return problem.New(problem.Unavailable, "ANSWER_UNKNOWN", "%s; it may have been done: send it again with --idempotency-key %s", err, j.idempotencyKey).Because(err)
}

func newTriageMove(p Process, name, short string, action triage.Action, mutation string) *cobra.Command {
	var j judging
	var expected int
	var signKey string
	cmd := &cobra.Command{Use: name + " EXPOSURE", Short: short, Args: usageArgs(cobra.ExactArgs(1))}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	j.add(cmd)
	if action == triage.MarkFalsePositive {
		j.addReason(cmd)
	}
	cmd.Flags().IntVar(&expected, "expected-version", 0, "`version` that you have looked at; another one is a conflict (default: the current one)")
	cmd.Flags().StringVar(&signKey, "sign-key", "", "`file` with your private Ed25519 key (PEM), to sign the decision with")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := j.check(); err != nil {
			return err
		}
		if action == triage.MarkFalsePositive && j.reason == "" {
			return usagef("say what makes it a false positive: --reason REASON")
		}
		if expected == 0 {
			x, _, err := server.exposure(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			expected = x.Version
		}
		input := map[string]any{"exposure": args[0], "expectedVersion": expected, "idempotencyKey": j.idempotencyKey, "justification": j.justification}
		if j.reason != "" {
			input["reason"] = word(j.reason)
		}
		if signKey != "" {
			if input["envelope"], err = j.signed(signKey, args[0], action, expected); err != nil {
				return err
			}
		}
		judged, err := server.move(cmd.Context(), mutation, input)
		if err != nil {
			return j.again(err)
		}
		return p.printJudged(form, judged)
	}
	return cmd
}

// signed is the decision in an envelope.
func (j *judging) signed(file, exposure string, action triage.Action, expected int) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("read --sign-key: %w", err)
	}
	private, err := sign.ReadPrivateKey(text)
	if err != nil {
		return "", err
	}
	opened, _ := model.ParseID(exposure)
	key, ok := opened.ExposureKey()
	if !ok {
		return "", problem.New(problem.NotFound, "EXPOSURE_NOT_FOUND", "%s is no id of an exposure", exposure)
	}
	c := triage.Command{
		Action: action, ExpectedVersion: expected, Reason: triage.FalsePositiveReason(lower(word(j.reason))),
		Justification: j.justification, IdempotencyKey: j.idempotencyKey,
	}
	statement, err := c.Statement(opened.Organization, key)
	if err != nil {
		return "", err
	}
	envelope, err := sign.Sign(sign.DecisionType, statement, private)
	if err != nil {
		return "", err
	}
	form, err := envelope.JSON()
	return string(form), err
}

// judged is what a decision came to.
type judged struct {
	Exposure shownExposure `json:"exposure"`
	Decision struct {
		Seq json.Number `json:"seq"`
	} `json:"decision"`
	Replayed bool `json:"replayed"`
}

// inputs are the types of the input of the mutations.
var inputs = map[string]string{
	"acknowledgeExposure": "JudgeExposureInput", "unacknowledgeExposure": "JudgeExposureInput", "markFalsePositive": "MarkFalsePositiveInput",
	"unmarkFalsePositive": "JudgeExposureInput", "resolveExposure": "JudgeExposureInput", "judgeExposures": "JudgeExposuresInput", "undoBatch": "UndoBatchInput",
	"registerSigningKey": "RegisterSigningKeyInput", "revokeSigningKey": "RevokeSigningKeyInput",
}

func (c *client) move(ctx context.Context, mutation string, input map[string]any) (*judged, error) {
	document := fmt.Sprintf(`mutation ($input: %s!) { judged: %s(input: $input) { exposure { %s } decision { seq } replayed userErrors { code field message } } }`,
		inputs[mutation], mutation, exposureFields)
	var answer struct {
		Judged struct {
			judged
			UserErrors []wrong
		}
	}
	if err := c.ask(ctx, document, map[string]any{"input": input}, &answer); err != nil {
		return nil, err
	}
	return &answer.Judged.judged, firstOf(answer.Judged.UserErrors)
}

func (p Process) printJudged(form string, j *judged) error {
	if form == asJSON {
		return printJSON(p.Stdout, j)
	}
	before := ""
	if j.Replayed {
		before = ", as it was done before"
	}
	_, err := fmt.Fprintf(p.Stdout, "%s is %s, at version %d (entry %s of the ledger%s)\n", j.Exposure.ID, lower(j.Exposure.Status), j.Exposure.Version, j.Decision.Seq, before)
	return err
}

func newTriageBulk(p Process) *cobra.Command {
	var j judging
	var slug string
	var filter exposureFilter
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "bulk ACTION [EXPOSURE|-]... --org SLUG",
		Short: "Judge many exposures at once: those named, or those that a filter matches",
		Long: "Judge many exposures at once. ACTION is acknowledge, unacknowledge, false-positive, unmark or resolve.\n" +
			"Name up to 1000 exposures by their ids (- reads them from standard input, one a line), or give a filter.\n" +
			"Exit code 3 says that some were left alone; each is listed.",
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	cmd.Flags().StringVar(&slug, "org", "", "`slug` of the organization")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "count what would be done, and do nothing")
	filter.add(cmd)
	j.add(cmd)
	j.addReason(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		action, found := actions[args[0]]
		switch {
		case !found:
			return usagef("there is no action %q; there are acknowledge, unacknowledge, false-positive, unmark and resolve", args[0])
		case slug == "":
			return usagef("say whose exposures: --org SLUG")
		}
		input := map[string]any{"organization": slug, "action": word(string(action)), "dryRun": dryRun}
		if !dryRun {
			if err := j.check(); err != nil {
				return err
			}
			input["idempotencyKey"], input["justification"] = j.idempotencyKey, j.justification
		}
		if j.reason != "" {
			input["reason"] = word(j.reason)
		}
		exposures, err := p.named(args[1:])
		if err != nil {
			return err
		}
		matched := filter.input()
		switch {
		case len(exposures) > 0 && len(matched) > 0:
			return usagef("name exposures or give a filter, not both")
		case len(exposures) > 0:
			input["exposures"] = exposures
		case len(matched) > 0:
			input["filter"] = matched
		default:
			return usagef("say which exposures: name them, or give a filter such as --type orphaned_path")
		}
		b, err := server.batch(cmd.Context(), "judgeExposures", input)
		if err != nil {
			return j.again(err)
		}
		return p.printBatch(form, b)
	}
	return cmd
}

// actions are the words of the command line.
var actions = map[string]triage.Action{
	"acknowledge": triage.Acknowledge, "unacknowledge": triage.Unacknowledge, "false-positive": triage.MarkFalsePositive,
	"unmark": triage.UnmarkFalsePositive, "resolve": triage.Resolve,
}

// named are the exposures that arguments name, as the server takes them.
func (p Process) named(args []string) ([]map[string]any, error) {
	var exposures []map[string]any
	add := func(name string) {
		if name = strings.TrimSpace(name); name != "" {
			exposures = append(exposures, map[string]any{"exposure": name})
		}
	}
	for _, arg := range args {
		if arg != "-" {
			add(arg)
			continue
		}
		content, err := readDocument(p, arg)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			add(line)
		}
	}
	return exposures, nil
}

func newTriageUndo(p Process) *cobra.Command {
	var j judging
	cmd := &cobra.Command{Use: "undo BATCH", Short: "Take a batch back, where nothing came after it", Args: usageArgs(cobra.ExactArgs(1))}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	j.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := j.check(); err != nil {
			return err
		}
		b, err := server.batch(cmd.Context(), "undoBatch", map[string]any{"batch": args[0], "idempotencyKey": j.idempotencyKey, "justification": j.justification})
		if err != nil {
			return j.again(err)
		}
		return p.printBatch(form, b)
	}
	return cmd
}

// shownBatch is what came of many exposures.
type shownBatch struct {
	ID       *string        `json:"id"`
	Asked    int            `json:"asked"`
	Done     int            `json:"done"`
	Refused  int            `json:"refused"`
	DryRun   bool           `json:"dryRun"`
	Replayed bool           `json:"replayed"`
	Counts   []shownCount   `json:"counts"`
	Outcomes []shownOutcome `json:"outcomes"` // of those that were left alone
}

type shownCount struct {
	State *string `json:"state"`
	Code  *string `json:"code"`
	Count int     `json:"count"`
}

type shownOutcome struct {
	Exposure string  `json:"exposure"`
	State    *string `json:"state"`
	Code     string  `json:"code"`
	Message  string  `json:"message"`
}

func (c *client) batch(ctx context.Context, mutation string, input map[string]any) (*shownBatch, error) {
	document := fmt.Sprintf(`mutation ($input: %s!, $most: Int!) { judged: %s(input: $input) { batch { id asked done refused dryRun replayed counts { state code count }
		outcomes(first: $most, done: false) { exposure state code message } } userErrors { code field message } } }`, inputs[mutation], mutation)
	var answer struct {
		Judged struct {
			Batch      *shownBatch
			UserErrors []wrong
		}
	}
	if err := c.ask(ctx, document, map[string]any{"input": input, "most": triage.MaxMatching}, &answer); err != nil {
		return nil, err
	}
	return answer.Judged.Batch, firstOf(answer.Judged.UserErrors)
}

// printBatch prints what was done, and on stderr what was left alone.
func (p Process) printBatch(form string, b *shownBatch) error {
	if form == asJSON {
		if err := printJSON(p.Stdout, b); err != nil {
			return err
		}
	} else {
		for _, o := range b.Outcomes {
			_, _ = fmt.Fprintf(p.Stderr, "%s: %s [%s]\n", o.Exposure, oneLine(o.Message), o.Code)
		}
		table := tabwriter.NewWriter(p.Stdout, 0, 4, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "OUTCOME\tSTATE\tEXPOSURES")
		for _, c := range b.Counts {
			outcome, state := "done", ""
			switch {
			case c.Code != nil:
				outcome = *c.Code
			case b.DryRun:
				outcome = "would be done"
			}
			if c.State != nil {
				state = lower(*c.State)
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\n", outcome, state, c.Count)
		}
		if b.ID != nil {
			_, _ = fmt.Fprintf(table, "batch\t%s\t\n", *b.ID)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if b.Refused > 0 && !b.DryRun {
		return exitError(exitPartly)
	}
	return nil
}

func newTriageKey(p Process) *cobra.Command {
	return newGroup("key", "Register, revoke and list the keys that decisions are signed with", newTriageKeyRegister(p), newTriageKeyRevoke(p), newTriageKeyList(p))
}

func newTriageKeyRegister(p Process) *cobra.Command {
	var slug, subject string
	cmd := &cobra.Command{
		Use: "register FILE --org SLUG", Short: "Register a public Ed25519 key (PEM), as `openssl pkey -pubout` writes it",
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	cmd.Flags().StringVar(&slug, "org", "", "`slug` of the organization")
	cmd.Flags().StringVar(&subject, "subject", "", "`subject` of the person whose key it is (default: the token's; others take an admin)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if slug == "" {
			return usagef("say where: --org SLUG")
		}
		text, err := readDocument(p, args[0])
		if err != nil {
			return err
		}
		input := map[string]any{"organization": slug, "publicKey": string(text)}
		if subject != "" {
			input["subject"] = subject
		}
		return server.key(cmd.Context(), p, form, "registerSigningKey", input)
	}
	return cmd
}

func newTriageKeyRevoke(p Process) *cobra.Command {
	var slug string
	cmd := &cobra.Command{Use: "revoke KEY --org SLUG", Short: "Revoke a key: nothing that it signs from now on is taken", Args: usageArgs(cobra.ExactArgs(1))}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	cmd.Flags().StringVar(&slug, "org", "", "`slug` of the organization")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if slug == "" {
			return usagef("say where: --org SLUG")
		}
		return server.key(cmd.Context(), p, form, "revokeSigningKey", map[string]any{"organization": slug, "key": args[0]})
	}
	return cmd
}

// key sends a mutation of a key and prints what became of it.
func (c *client) key(ctx context.Context, p Process, form, mutation string, input map[string]any) error {
	document := fmt.Sprintf(`mutation ($input: %s!) { changed: %s(input: $input) { key { %s } userErrors { code field message } } }`, inputs[mutation], mutation, keyFields)
	var answer struct {
		Changed struct {
			Key        shownKey
			UserErrors []wrong
		}
	}
	if err := c.ask(ctx, document, map[string]any{"input": input}, &answer); err != nil {
		return err
	}
	if err := firstOf(answer.Changed.UserErrors); err != nil {
		return err
	}
	if form == asJSON {
		return printJSON(p.Stdout, answer.Changed.Key)
	}
	return p.printKey(answer.Changed.Key)
}

// shownKey is a key as the command line shows it.
type shownKey struct {
	KeyID     string  `json:"keyId"`
	Subject   string  `json:"subject"`
	PublicKey string  `json:"publicKey"`
	ValidFrom string  `json:"validFrom"`
	ValidTo   *string `json:"validTo"`
}

const keyFields = `keyId subject publicKey validFrom validTo`

func (p Process) printKey(k shownKey) error {
	what := "valid from " + k.ValidFrom
	if k.ValidTo != nil {
		what = "revoked at " + *k.ValidTo
	}
	_, err := fmt.Fprintf(p.Stdout, "%s of %s, %s\n", k.KeyID, oneLine(k.Subject), what)
	return err
}

func newTriageKeyList(p Process) *cobra.Command {
	var slug, subject string
	cmd := &cobra.Command{Use: "list --org SLUG", Short: "List the keys, those that were revoked, too", Args: usageArgs(cobra.NoArgs)}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	cmd.Flags().StringVar(&slug, "org", "", "`slug` of the organization")
	cmd.Flags().StringVar(&subject, "subject", "", "`subject` of the person whose keys (default: everybody)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if slug == "" {
			return usagef("say where: --org SLUG")
		}
		variables := map[string]any{"slug": slug}
		if subject != "" {
			variables["subject"] = subject
		}
		var answer struct {
			Organization *struct{ SigningKeys []shownKey }
		}
		if err := server.ask(cmd.Context(), `query ($slug: String!, $subject: String) { organization(slug: $slug) { signingKeys(subject: $subject) { `+keyFields+` } } }`, variables, &answer); err != nil {
			return err
		}
		if answer.Organization == nil {
			return noOrganization(slug)
		}
		if form == asJSON {
			return printJSON(p.Stdout, answer.Organization.SigningKeys)
		}
		for _, k := range answer.Organization.SigningKeys {
			if err := p.printKey(k); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

func noOrganization(slug string) error {
	return problem.New(problem.NotFound, "ORGANIZATION_NOT_FOUND", "there is no organization %s for this caller", slug)
}

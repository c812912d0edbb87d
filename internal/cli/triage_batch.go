package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/triage"
)

func newTriageBulk(p Process) *cobra.Command {
	var j judging
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
	organization := addOrganization(cmd, "say whose exposures")
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
		if !found {
			return usagef("there is no action %q; there are acknowledge, unacknowledge, false-positive, unmark and resolve", args[0])
		}
		slug, err := organization()
		if err != nil {
			return err
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

func batchDocument(mutation string) string {
	return fmt.Sprintf(`mutation ($input: %s!, $most: Int!) { judged: %s(input: $input) { batch { id asked done refused dryRun replayed counts { state code count }
		outcomes(first: $most, done: false) { exposure state code message } } userErrors { code field message } } }`, inputs[mutation], mutation)
}

func (c *client) batch(ctx context.Context, mutation string, input map[string]any) (*shownBatch, error) {
	var answer struct {
		Judged struct {
			Batch      *shownBatch
			UserErrors []wrong
		}
	}
	if err := c.ask(ctx, batchDocument(mutation), map[string]any{"input": input, "most": triage.MaxMatching}, &answer); err != nil {
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
		table := p.table()
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

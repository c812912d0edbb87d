package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/problem"
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
	var most int
	var filter exposureFilter
	cmd := &cobra.Command{
		Use: "list --org SLUG", Short: "List exposures, the gravest first",
		Args: usageArgs(cobra.NoArgs),
	}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON, asNDJSON)
	organization := addOrganization(cmd, "say whose exposures")
	cmd.Flags().IntVar(&most, "limit", 50, "`number` of exposures at most; 0 for all")
	filter.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		slug, err := organization()
		if err != nil {
			return err
		}
		if most < 0 {
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

const exposuresDocument = `query ($slug: String!, $filter: ExposureFilter, $first: Int, $after: String) {
	organization(slug: $slug) { list: exposures(filter: $filter, first: $first, after: $after) { nodes { ` + exposureFields + ` } pageInfo { hasNextPage endCursor } } } }`

// exposures reads page after page, up to so many.
func (c *client) exposures(ctx context.Context, slug string, filter map[string]any, most int) ([]shownExposure, error) {
	return pages[shownExposure](ctx, c, slug, exposuresDocument, filter, most)
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
	table := p.table()
	_, _ = fmt.Fprintln(table, "ID\tSEVERITY\tTYPE\tSTATUS\tVERSION\tEXPLANATION")
	for _, x := range list {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", x.ID, lower(x.Severity), lower(x.Type), lower(x.Status), x.Version, oneLine(x.Explanation))
	}
	return table.Flush()
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
		return p.printExposure(x)
	}
	return cmd
}

func (p Process) printExposure(x *viewedExposure) error {
	table := p.table()
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

const exposureDocument = `query ($id: ID!) { node(id: $id) { ... on Exposure { ` + exposureFields + ` resolvedAt resolutionReason
	decision { action from to actor at justification reason seq }
	versions(first: 100) { nodes { version effectiveFrom effectiveTo status disposition severity explanation } } } } }`

func (c *client) exposure(ctx context.Context, exposure string) (*viewedExposure, json.RawMessage, error) {
	var answer struct{ Node json.RawMessage }
	if err := c.ask(ctx, exposureDocument, map[string]any{"id": exposure}, &answer); err != nil {
		return nil, nil, err
	}
	var x viewedExposure
	if err := json.Unmarshal(answer.Node, &x); err != nil || x.ID == "" {
		return nil, nil, problem.New(problem.NotFound, "EXPOSURE_NOT_FOUND", "there is no exposure %s for this caller", exposure).Because(err)
	}
	return &x, answer.Node, nil
}

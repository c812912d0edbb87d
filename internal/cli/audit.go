package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/org"
)

func newAudit(p Process) *cobra.Command {
	return newGroup("audit", "Read who did or tried what", newAuditList(p), newAuditExport(p))
}

// interval are the flags of a time.
type interval struct{ since, until string }

func (i *interval) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.since, "since", "", "`time` (RFC 3339) from which on")
	cmd.Flags().StringVar(&i.until, "until", "", "`time` (RFC 3339) before which")
}

// given are those that were given, by their names.
func (i *interval) given() (map[string]string, error) {
	given := map[string]string{}
	for name, value := range map[string]string{"since": i.since, "until": i.until} {
		if value == "" {
			continue
		}
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			return nil, usagef("--%s %q is no time as in 2006-01-02T15:04:05Z (RFC 3339)", name, value)
		}
		given[name] = value
	}
	return given, nil
}

func newAuditExport(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export --org SLUG",
		Short: "Write the audit log of an organization to stdout",
		Long:  "Write the audit log of an organization to stdout: a JSON object in each line, the oldest first. It leaves an entry itself.",
		Args:  usageArgs(cobra.NoArgs),
	}
	var times interval
	server := addClient(cmd)
	organization := addOrganization(cmd, "say whose audit log")
	times.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		slug, err := organization()
		if err != nil {
			return err
		}
		if err := org.CheckSlug(slug); err != nil {
			return usageError{err}
		}
		given, err := times.given()
		if err != nil {
			return err
		}
		query := url.Values{}
		for name, value := range given {
			query.Set(name, value)
		}
		return p.download(cmd.Context(), server, "/organizations/"+slug+"/audit.jsonl", query)
	}
	return cmd
}

// auditEntry is an entry as the command line shows it.
type auditEntry struct {
	ID         string          `json:"id"`
	At         string          `json:"at"`
	Subject    string          `json:"subject"`
	Action     string          `json:"action"`
	Outcome    string          `json:"outcome"`
	Door       string          `json:"door"`
	RequestID  *string         `json:"requestId"`
	Properties []auditProperty `json:"properties"`
	Touched    []string        `json:"touched"`
}

type auditProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func newAuditList(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --org SLUG",
		Short: "List who did or tried what, the latest first",
		Args:  usageArgs(cobra.NoArgs),
	}
	var most int
	var times interval
	var actions, subjects, outcomes []string
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON, asNDJSON, asCSV)
	organization := addOrganization(cmd, "say whose audit log")
	flags := cmd.Flags()
	flags.IntVar(&most, "limit", 50, "`number` of entries at most; 0 for all")
	flags.StringSliceVar(&actions, "action", nil, "`action`, or its beginning, such as mutation. or import.nmap; may be repeated")
	flags.StringSliceVar(&subjects, "subject", nil, "`subject` of a token; may be repeated")
	flags.StringSliceVar(&outcomes, "outcome", nil, "`outcome`: done, or the code of an error; may be repeated")
	times.add(cmd)
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
			return usagef("--limit %d is no number of entries", most)
		}
		given, err := times.given()
		if err != nil {
			return err
		}
		filter := map[string]any{}
		for name, value := range given {
			filter[name] = value
		}
		for name, values := range map[string][]string{"action": actions, "subject": subjects, "outcome": outcomes} {
			if len(values) > 0 {
				filter[name] = values
			}
		}
		list, err := server.auditEntries(cmd.Context(), slug, filter, most)
		if err != nil {
			return err
		}
		return p.printAudit(form, list)
	}
	return cmd
}

const auditDocument = `query ($slug: String!, $filter: AuditFilter, $first: Int, $after: String) { organization(slug: $slug) {
	list: auditLog(filter: $filter, first: $first, after: $after) { nodes { id at subject action outcome door requestId properties { name value } touched } pageInfo { hasNextPage endCursor } } } }`

// auditEntries reads page after page, up to so many.
func (c *client) auditEntries(ctx context.Context, slug string, filter map[string]any, most int) ([]auditEntry, error) {
	return pages[auditEntry](ctx, c, slug, auditDocument, filter, most)
}

func (p Process) printAudit(form string, list []auditEntry) error {
	switch form {
	case asJSON:
		return printJSON(p.Stdout, list)
	case asNDJSON:
		for _, e := range list {
			if err := printJSON(p.Stdout, e); err != nil {
				return err
			}
		}
		return nil
	case asCSV:
		rows := make([][]string, len(list))
		for i, e := range list {
			rows[i] = []string{e.ID, e.At, e.Subject, e.Action, e.Outcome, lower(e.Door), e.request(), e.said(), strings.Join(e.Touched, " ")}
		}
		return printCSV(p.Stdout, []string{"id", "at", "subject", "action", "outcome", "door", "requestId", "properties", "touched"}, rows)
	}
	table := p.table()
	_, _ = fmt.Fprintln(table, "AT\tSUBJECT\tACTION\tOUTCOME\tDOOR\tPROPERTIES")
	for _, e := range list {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", e.At, oneLine(e.Subject), oneLine(e.Action), oneLine(e.Outcome), lower(e.Door), oneLine(e.said()))
	}
	return table.Flush()
}

func (e auditEntry) request() string {
	if e.RequestID == nil {
		return ""
	}
	return *e.RequestID
}

// said are the properties as name=value.
func (e auditEntry) said() string {
	parts := make([]string, len(e.Properties))
	for i, p := range e.Properties {
		parts[i] = p.Name + "=" + p.Value
	}
	return strings.Join(parts, " ")
}

// printCSV writes rows below their names (RFC 4180). A value that a spreadsheet would
// take for a formula is put behind an apostrophe.
func printCSV(w io.Writer, names []string, rows [][]string) error {
	out := csv.NewWriter(w)
	if err := out.Write(names); err != nil {
		return err
	}
	for _, row := range rows {
		for i, value := range row {
			if value != "" && strings.ContainsRune("=+-@\t\r", rune(value[0])) {
				row[i] = "'" + value
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

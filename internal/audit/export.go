package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// pageRows is how many entries of an export are held at a time.
var pageRows = 500

// Library hands out logs by the names of their organizations.
type Library struct{ DB *db.DB }

// Export writes the log of the organization with this slug as JSON lines, the oldest
// first: one snapshot of it, a few entries at a time. Nothing is written before the
// caller's rights are known. It says how many it has written.
func (l *Library) Export(ctx context.Context, slug string, since, until *time.Time, w io.Writer) (written int, err error) {
	organization := id.Organization(slug)
	if err := access.Require(ctx, organization, access.Audit); err != nil {
		return 0, err
	}
	filter := Filter{Since: since, Until: until}
	if err := filter.check(); err != nil {
		return 0, err
	}
	snapshot := l.DB.Snapshot()
	defer snapshot.Close(ctx)
	q := snapshot.Of(organization)
	found, err := db.First[org.Organization](ctx, q, queries.Get("organization"), nil)
	if err != nil {
		return 0, err
	}
	if found == nil {
		return 0, access.OrganizationNotFound()
	}
	out, where := bufio.NewWriterSize(w, 1<<16), filter.where()
	query := queries.Get("entries_after").Where(where)
	for last := (&Entry{}); ; {
		page := where.Clone()
		page.Arg("at", last.At)
		page.Arg("id", last.ID)
		page.Arg("rows", pageRows)
		rows, err := db.Select[owned](ctx, q, query, page.Args())
		if err != nil {
			return written, err
		}
		for _, r := range rows {
			last = r.entry()
			if _, err := out.Write(append(last.line(slug), '\n')); err != nil {
				return written, err
			}
			written++
		}
		if len(rows) < pageRows {
			return written, out.Flush()
		}
	}
}

// line is an entry as a line of an export has it. The slug is left out if it is empty.
func (e *Entry) line(slug string) []byte {
	return encode(struct {
		ID           string     `json:"id"`
		Organization string     `json:"organization,omitempty"`
		At           time.Time  `json:"at"`
		Subject      string     `json:"subject"`
		Action       string     `json:"action"`
		Outcome      string     `json:"outcome"`
		Door         Door       `json:"door"`
		RequestID    string     `json:"requestId"`
		Properties   properties `json:"properties"`
		Touched      []string   `json:"touched"`
	}{e.GlobalID(), slug, e.At, e.Subject, e.Action, e.Outcome, e.Door, e.RequestID, e.Properties, e.Touched})
}

// properties are an object that keeps its order.
type properties []Property

// MarshalJSON writes the object.
func (list properties) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, p := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, encode(p.Name)...), ':'), encode(p.Value)...)
	}
	return append(out, '}'), nil
}

// encode writes values of which none can fail.
func encode(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

package server

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
)

// Recorder keeps what somebody did or tried.
type Recorder interface {
	Record(ctx context.Context, event audit.Event)
}

// AuditLog hands out audit logs.
type AuditLog interface {
	// Export writes the log of an organization and says how many entries it wrote. It
	// writes nothing before it knows that the actor may have it.
	Export(ctx context.Context, slug string, since, until *time.Time, w io.Writer) (written int, err error)
}

// audited runs what a request is for and has it recorded once it is known what came of
// it, also of what panics. Run may say more of it.
func (s *Server) audited(r *http.Request, slug, action string, run func(event *audit.Event) error) error {
	if s.Audit == nil {
		return run(&audit.Event{})
	}
	event := &audit.Event{Action: action, Outcome: audit.Internal, Door: audit.HTTP, RequestID: RequestID(r.Context())}
	if slug != "" {
		event.Organization = id.Organization(slug)
	}
	defer func() { s.Audit.Record(r.Context(), *event) }()
	err := run(event)
	if event.Outcome == audit.Internal {
		event.Outcome = audit.OutcomeOf(err)
	}
	return err
}

func say(event *audit.Event, name, value string) {
	event.Properties = append(event.Properties, audit.Property{Name: name, Value: value})
}

// importAction is the action of an import: formats that nobody knows have one name.
func importAction(format string) string {
	if format != importer.Auto && !slices.Contains(importer.Formats(), format) {
		format = "unknown"
	}
	return audit.Import(format)
}

func sayImported(event *audit.Event, report *authority.SyncReport) {
	event.Touched = []string{id.Global("Sync", event.Organization, report.SyncID)}
	say(event, "format", report.Format)
	say(event, "result", string(report.Outcome))
	say(event, "recordsRead", strconv.Itoa(report.Records.Read))
	say(event, "recordsRejected", strconv.Itoa(report.Records.Rejected))
}

// export hands out a file of an organization that is written as it is read, for which
// there are few turns.
func (s *Server) export(w http.ResponseWriter, r *http.Request, action string, write func(event *audit.Event, out io.Writer) error) {
	slug, out := r.PathValue("slug"), &download{w: w, media: "application/x-ndjson"}
	err := s.audited(r, slug, action, func(event *audit.Event) error {
		// Whoever writes checks this too; here it comes before a turn is taken.
		if err := access.Require(r.Context(), id.Organization(slug), access.Audit); err != nil {
			return err
		}
		if err := s.takeExport(); err != nil {
			return err
		}
		defer func() { <-s.exports }()
		err := write(event, out)
		if err != nil && out.begun {
			event.Outcome = audit.BrokenOff
		}
		return err
	})
	switch {
	case err == nil:
		_, _ = out.Write(nil) // an empty file begins, too
	case !out.begun:
		refuse(w, r, s.Logger, err)
	default:
		s.Logger.WarnContext(r.Context(), "an export broke off", "request_id", RequestID(r.Context()), "error", err)
		panic(http.ErrAbortHandler) // half a file must not look like a whole one
	}
}

// auditLog answers GET /organizations/{slug}/audit.jsonl with the audit log of an
// organization.
func (s *Server) auditLog(w http.ResponseWriter, r *http.Request) {
	s.export(w, r, audit.ExportAudit, func(event *audit.Event, out io.Writer) error {
		var since, until time.Time
		if err := parameters(r, map[string]func(string) error{"since": instant(&since), "until": instant(&until)}); err != nil {
			return err
		}
		written, err := s.AuditLog.Export(r.Context(), r.PathValue("slug"), given(since), given(until), out)
		say(event, "entries", strconv.Itoa(written))
		return err
	})
}

// given is null for what is not given.
func given(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

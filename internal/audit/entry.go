package audit

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// EntryType is the type of the global ids of entries.
const EntryType = "AuditEntry"

// Door is where somebody knocked.
type Door string

// The doors.
const (
	GraphQL Door = "graphql"
	HTTP    Door = "http"   // uploads and downloads
	CLI     Door = "cli"    // on the database itself
	Issuer  Door = "issuer" // of tokens
)

// The actions that are not made up of a name: see Mutation and Import.
const (
	ExportLedger       = "export.ledger"
	ExportCheckpoint   = "export.checkpoint"
	ExportEvidencePack = "export.evidence_pack"
	ExportAudit        = "export.audit"
	FileUpload         = "file.upload"
	FileDownload       = "file.download"
	LedgerRebuild      = "ledger.rebuild"
	FeedRepair         = "feed.repair"
	TokenIssued        = "token.issued"
	TokenRevoked       = "token.revoked"
	TokenRefused       = "token.refused" // or to revoke one, for want of credentials
	AccountsRead       = "service_accounts.read"
)

// Mutation is the action of a field of the API.
func Mutation(field string) string { return "mutation." + field }

// Import is the action of an import of a format.
func Import(format string) string { return "import." + format }

// The outcomes that are no code of an error that a caller is told.
const (
	Done      = "done"
	Internal  = "INTERNAL"
	Cancelled = "CANCELLED"  // the caller went away
	BrokenOff = "BROKEN_OFF" // a part was handed out
	Refused   = "REFUSED"    // many were, each for its reason
)

// OutcomeOf is the outcome of what ended with this error.
func OutcomeOf(err error) string {
	var typed *problem.Error
	switch {
	case err == nil:
		return Done
	case errors.As(err, &typed) && typed.Kind != problem.Internal:
		return typed.Code
	case errors.Is(err, context.Canceled):
		return Cancelled
	}
	return Internal
}

// Property says one more thing of an entry.
type Property struct{ Name, Value string }

// Bounds of an entry. What is larger is cut, for an entry is never refused.
const (
	MaxProperties = 24
	MaxName       = 64  // bytes
	MaxValue      = 256 // bytes
	MaxTouched    = 20
	MaxSubject    = 512 // bytes
)

// Event is what a door knows. Who it was stands in the context.
type Event struct {
	Organization id.ID // Nil: it is not known whose it was
	Action       string
	Outcome      string
	Door         Door
	RequestID    string
	Properties   []Property
	Touched      []string // global ids
}

// Entry is an event in the log.
type Entry struct {
	OrganizationID id.ID // Nil: of none
	ID             id.ID
	At             time.Time
	Subject        string
	Action         string
	Outcome        string
	Door           Door
	RequestID      string
	Properties     []Property
	Touched        []string
}

// GlobalID is the id of the entry as the API gives it out.
func (e *Entry) GlobalID() string { return id.Global(EntryType, e.OrganizationID, e.ID) }

func (e *Event) entry(subject string, at time.Time) *Entry {
	entry := &Entry{
		OrganizationID: e.Organization, ID: newID(), At: at.UTC().Truncate(time.Microsecond), Subject: clean(subject, MaxSubject),
		Action: clean(e.Action, MaxValue), Outcome: clean(e.Outcome, MaxValue), Door: e.Door, RequestID: clean(e.RequestID, MaxValue),
		Touched: append([]string{}, e.Touched[:min(len(e.Touched), MaxTouched)]...),
	}
	for _, p := range e.Properties[:min(len(e.Properties), MaxProperties)] {
		entry.Properties = append(entry.Properties, Property{clean(p.Name, MaxName), clean(p.Value, MaxValue)})
	}
	return entry
}

// clean is a text that a table keeps and a terminal shows, of so many bytes at most.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
	if len(text) <= most {
		return text
	}
	const cut = "…"
	return strings.ToValidUTF8(text[:most-len(cut)], "") + cut
}

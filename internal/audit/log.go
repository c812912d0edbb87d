package audit

import (
	"context"
	_ "embed"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed queries.sql
var queriesSQL string

var queries = db.Parse("audit", queriesSQL)

// patience is how long writing an entry may keep an answer waiting.
const patience = 5 * time.Second

// Log writes the audit logs of all organizations.
type Log struct {
	db       *db.DB
	now      func() time.Time
	logger   *slog.Logger
	written  atomic.Int64
	failures atomic.Int64
}

// New makes a log that writes to the database, and to the logger what it cannot
// write there.
func New(database *db.DB, now func() time.Time, logger *slog.Logger) *Log {
	return &Log{db: database, now: now, logger: logger}
}

// Written counts the entries that this process wrote.
func (l *Log) Written() int64 { return l.written.Load() }

// Failures counts the entries that this process could not write.
func (l *Log) Failures() int64 { return l.failures.Load() }

// Record writes what the actor of the context did, also when the request has ended
// by then. It is called when no transaction is open: it takes a connection.
func (l *Log) Record(ctx context.Context, event Event) {
	actor, err := access.Current(ctx)
	if err != nil || event.Organization == id.Nil || !actor.Sees(event.Organization) {
		l.turnAway(ctx, actor.Subject, event)
		return
	}
	entry := event.entry(actor.Subject, l.now())
	switch {
	case l.keep(ctx, entry, l.store):
	case actor.Role == access.Admin: // who may tell whether there is one
		l.keep(ctx, entry.shared(), l.store)
	default:
		l.turnAway(ctx, actor.Subject, event)
	}
}

// TokenEvent is something that happened to a token.
type TokenEvent struct {
	Subject       string // who had it done: of client credentials, the client
	Action        string // TokenIssued, TokenRevoked, TokenRefused or AccountsRead
	Outcome       string
	Door          Door
	RequestID     string
	Organizations []string // slugs that the token is for; none: all
	Properties    []Property
}

// Token writes an event of the issuer of tokens, which knows whose it is: into the
// log of each organization that there is, or into that of none.
func (l *Log) Token(ctx context.Context, event TokenEvent) { l.token(ctx, event, l.store) }

// store puts an entry into a log. It is false where there is no such organization.
type store func(ctx context.Context, entry *Entry) (found bool, err error)

func (l *Log) token(ctx context.Context, event TokenEvent, put store) {
	made := Event{Action: event.Action, Outcome: event.Outcome, Door: event.Door, RequestID: event.RequestID, Properties: event.Properties}
	at, known := l.now(), false
	for _, slug := range event.Organizations {
		made.Organization = id.Organization(slug)
		known = l.keep(ctx, made.entry(event.Subject, at), put) || known
	}
	if !known {
		l.keep(ctx, made.entry(event.Subject, at).shared(), put)
	}
}

// keep has an entry in a log or, where that fails, in the server's. It is false where
// there is no such organization.
func (l *Log) keep(ctx context.Context, entry *Entry, put store) bool {
	found, err := put(ctx, entry)
	if err != nil {
		l.fail(ctx, entry, err)
		return true
	}
	if found {
		l.written.Add(1)
	}
	return found
}

// store writes to the database.
func (l *Log) store(ctx context.Context, entry *Entry) (found bool, err error) {
	if entry.OrganizationID == id.Nil {
		err = l.write(ctx, id.Nil, func(p *db.Pipeline) { p.Local().Exec(queries.Get("append_shared"), entry.args()) })
		return err == nil, err
	}
	var touched *int64
	err = l.write(ctx, entry.OrganizationID, func(p *db.Pipeline) { touched = p.Exec(queries.Get("append"), entry.args()) })
	return err == nil && *touched > 0, err
}

// shared makes it one of no organization. Of one that there is not it says which.
func (e *Entry) shared() *Entry {
	if e.OrganizationID != id.Nil && len(e.Touched) < MaxTouched {
		e.Touched = append(e.Touched, id.Global("Organization", e.OrganizationID))
	}
	e.OrganizationID = id.Nil
	return e
}

// write runs one statement and its commit on one way to the database.
func (l *Log) write(ctx context.Context, organization id.ID, collect func(p *db.Pipeline)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return l.db.Tenant(ctx, organization, func(tx *db.Tx) error {
		p := tx.Pipeline()
		collect(p)
		return p.Commit(ctx)
	})
}

// fail leaves the whole entry in the server's log, from which it can be told again.
func (l *Log) fail(ctx context.Context, entry *Entry, err error) {
	l.failures.Add(1)
	l.logger.ErrorContext(ctx, "the audit log could not be written", "error", err, "entry", string(entry.line("")))
}

// turnAway is what is left of whoever knocked where they do not belong.
func (l *Log) turnAway(ctx context.Context, subject string, event Event) {
	e := event.entry(subject, l.now())
	l.logger.WarnContext(ctx, "turned away", "subject", e.Subject, "action", e.Action, "outcome", e.Outcome, "door", string(e.Door),
		"request_id", e.RequestID, "organization_id", event.Organization)
}

func (e *Entry) args() pgx.StrictNamedArgs {
	names, values := make([]string, len(e.Properties)), make([]string, len(e.Properties))
	for i, p := range e.Properties {
		names[i], values[i] = p.Name, p.Value
	}
	return pgx.StrictNamedArgs{
		"id": e.ID, "at": e.At, "subject": e.Subject, "action": e.Action, "outcome": e.Outcome, "door": string(e.Door), "request_id": e.RequestID,
		"property_names": names, "property_values": values, "touched": e.Touched,
	}
}

// newID sorts by when it was made, so that a log grows at its end.
func newID() id.ID { return uuid.Must(uuid.NewV7()) }

package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	acme  = id.Organization("acme")
	rival = id.Organization("rival")

	root     = access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}
	auditor  = access.Actor{Subject: "aud", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.Audit}}
	operator = access.Actor{Subject: "ada", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.Operate}}
	stranger = access.Actor{Subject: "eve", Role: access.Client, Organizations: []string{"rival"}, Scopes: access.Scopes}
)

// desk is a log over a database with two organizations.
type desk struct {
	*dbtest.Database
	log   *audit.Log
	lines *bytes.Buffer
	clock atomic.Int64 // seconds after epoch
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{Database: dbtest.New(t), lines: &bytes.Buffer{}}
	d.log = audit.New(d.DB, func() time.Time { return epoch.Add(time.Duration(d.clock.Load()) * time.Second) }, slog.New(slog.NewTextHandler(d.lines, nil)))
	for _, slug := range []string{"acme", "rival"} {
		d.exec(t, `INSERT INTO organization VALUES ($1, $2, $2, now())`, id.Organization(slug), slug)
	}
	return d
}

func (d *desk) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := d.Super(t).Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

func as(actor access.Actor) context.Context { return access.With(context.Background(), actor) }

// event is one of the organization under an action.
func event(organization id.ID, action string) audit.Event {
	return audit.Event{Organization: organization, Action: action, Outcome: audit.Done, Door: audit.HTTP, RequestID: "r1"}
}

// look reads in a snapshot of its own.
func look[T any](t testing.TB, d *desk, read func(*db.Snapshot) (T, error)) T {
	t.Helper()
	snapshot := d.Snapshot()
	defer snapshot.Close(context.Background())
	value, err := read(snapshot)
	require.NoError(t, err)
	return value
}

func (d *desk) entries(t testing.TB, organization id.ID, filter audit.Filter) []*audit.Entry {
	t.Helper()
	return look(t, d, func(s *db.Snapshot) ([]*audit.Entry, error) {
		p, err := new(audit.Reader).Entries(as(root), s, organization, filter, page.Request{First: pointer(100)})
		return p.Rows, err
	})
}

func (d *desk) shared(t testing.TB) []*audit.Entry {
	t.Helper()
	return look(t, d, func(s *db.Snapshot) ([]*audit.Entry, error) {
		p, err := new(audit.Reader).Shared(as(root), s, audit.Filter{}, page.Request{First: pointer(100)})
		return p.Rows, err
	})
}

func pointer[T any](v T) *T { return &v }

func code(err error) string {
	var typed *problem.Error
	if errors.As(err, &typed) {
		return typed.Code
	}
	return fmt.Sprint(err)
}

func TestRecord(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	made := event(acme, audit.Import("nmap"))
	made.Properties = []audit.Property{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}}
	made.Touched = []string{id.Global("Sync", acme, rival)}
	ended, cancel := context.WithCancel(as(operator))
	cancel()
	d.log.Record(ended, made) // a request that has ended is told all the same
	list := d.entries(t, acme, audit.Filter{})
	require.Len(t, list, 1)
	require.Equal(t, &audit.Entry{
		OrganizationID: acme, ID: list[0].ID, At: epoch, Subject: "ada", Action: "import.nmap", Outcome: "done", Door: audit.HTTP, RequestID: "r1",
		Properties: made.Properties, Touched: made.Touched}, list[0], "properties keep their order")
	require.Equal(t, []int64{1, 0}, []int64{d.log.Written(), d.log.Failures()})
	require.Empty(t, d.lines.String())
	one := look(t, d, func(s *db.Snapshot) (*audit.Entry, error) {
		return new(audit.Reader).ByID(as(auditor), s, acme, list[0].ID)
	})
	require.Equal(t, list[0], one)
}

// TestWhoeverIsNoMemberWritesNothing: neither a stranger, nor nobody, nor a member of an
// organization that there is not yet. Only an administrator may know that there is none.
func TestWhoeverIsNoMemberWritesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	unborn := access.Actor{Subject: "unborn", Organizations: []string{"unborn"}}
	for name, test := range map[string]struct {
		ctx context.Context
		of  id.ID
	}{
		"a stranger": {as(stranger), acme}, "nobody": {context.Background(), acme}, "of whom it is not known": {as(root), id.Nil},
		"a member of none that there is": {as(unborn), id.Organization("unborn")},
	} {
		d.lines.Reset()
		d.log.Record(test.ctx, event(test.of, "mutation.x"))
		require.Empty(t, d.entries(t, acme, audit.Filter{}), name)
		require.Empty(t, d.shared(t), name)
		require.Contains(t, d.lines.String(), "turned away", name)
		require.Contains(t, d.lines.String(), "mutation.x", name)
	}
	require.Equal(t, []int64{0, 0}, []int64{d.log.Written(), d.log.Failures()})

	d.log.Record(as(root), event(id.Organization("unborn"), "import.nmap"))
	shared := d.shared(t)
	require.Len(t, shared, 1)
	require.Equal(t, []any{"root", "import.nmap", id.Nil, []string{id.Global("Organization", id.Organization("unborn"))}},
		[]any{shared[0].Subject, shared[0].Action, shared[0].OrganizationID, shared[0].Touched})
}

func TestTokenEvents(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	issued := audit.TokenEvent{Subject: "svc", Action: audit.TokenIssued, Outcome: audit.Done, Door: audit.Issuer, RequestID: "r2",
		Properties: []audit.Property{{Name: "delegation.service_account", Value: "svc"}, {Name: "delegation.actor[0]", Value: "ada"}, {Name: "authority.vuln_attr.env", Value: "prod"}}}
	issued.Organizations = []string{"acme", "rival", "unborn"}
	d.log.Token(context.Background(), issued)
	for _, organization := range []id.ID{acme, rival} {
		list := d.entries(t, organization, audit.Filter{})
		require.Len(t, list, 1)
		require.Equal(t, []any{"svc", audit.TokenIssued, audit.Issuer, issued.Properties}, []any{list[0].Subject, list[0].Action, list[0].Door, list[0].Properties})
	}
	require.Empty(t, d.shared(t), "what is known to an organization needs no second entry")
	issued.Organizations = nil
	d.log.Token(context.Background(), issued)
	issued.Organizations, issued.Action = []string{"unborn"}, audit.TokenRevoked
	d.log.Token(context.Background(), issued)
	require.Len(t, d.entries(t, acme, audit.Filter{}), 1)
	shared := d.shared(t)
	require.Len(t, shared, 2)
	require.ElementsMatch(t, []string{audit.TokenIssued, audit.TokenRevoked}, []string{shared[0].Action, shared[1].Action})
}

// TestBounds: whatever a caller calls itself, an entry is kept and is small.
func TestBounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	huge := access.Actor{Subject: strings.Repeat("ä", 10_000), AllOrganizations: true}
	made := event(acme, "mutation."+strings.Repeat("x", 1000))
	made.RequestID = "a\x00b\xff\nc"
	for i := range 100 {
		made.Properties = append(made.Properties, audit.Property{Name: strings.Repeat("n", 100), Value: strings.Repeat("€", 1000)})
		made.Touched = append(made.Touched, fmt.Sprint(i))
	}
	d.log.Record(as(huge), made)
	e := d.entries(t, acme, audit.Filter{})[0]
	require.Equal(t, "ab\uFFFDc", e.RequestID)
	require.Len(t, e.Properties, audit.MaxProperties)
	require.Len(t, e.Touched, audit.MaxTouched)
	for text, most := range map[string]int{e.Subject: audit.MaxSubject, e.Action: audit.MaxValue, e.Properties[0].Name: audit.MaxName, e.Properties[0].Value: audit.MaxValue} {
		require.LessOrEqual(t, len(text), most)
		require.Greater(t, len(text), most-4, "no more is cut than must be")
		require.True(t, utf8.ValidString(text) && strings.HasSuffix(text, "…"), text)
	}
}

// TestFailureIsCountedAndTold: an entry that cannot be written stands in the server's log whole.
func TestFailureIsCountedAndTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(t, `REVOKE INSERT ON audit_entry, audit_shared_entry FROM PUBLIC, `+runtimeRole(t, d))
	made := event(acme, "export.ledger")
	made.Properties = []audit.Property{{Name: "entries", Value: "7"}}
	d.log.Record(as(operator), made)
	d.log.Token(context.Background(), audit.TokenEvent{Subject: "svc", Action: audit.TokenIssued, Outcome: audit.Done, Door: audit.Issuer, Organizations: []string{"acme"}})
	d.log.Token(context.Background(), audit.TokenEvent{Subject: "svc", Action: audit.TokenIssued, Outcome: audit.Done, Door: audit.Issuer})
	require.Equal(t, []int64{0, 3}, []int64{d.log.Written(), d.log.Failures()})
	text := strings.ReplaceAll(d.lines.String(), `\"`, `"`)
	for _, part := range []string{"level=ERROR", "the audit log could not be written", `"subject":"ada","action":"export.ledger","outcome":"done","door":"http","requestId":"r1","properties":{"entries":"7"}`, "token.issued"} {
		require.Contains(t, text, part)
	}
}

func runtimeRole(t testing.TB, d *desk) string {
	t.Helper()
	config, err := pgx.ParseConfig(d.RuntimeURL)
	require.NoError(t, err)
	return pgx.Identifier{config.User}.Sanitize()
}

// TestAppendOnly: neither the role that serves nor the owner changes what was written.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.log.Record(as(root), event(acme, "mutation.x"))
	d.log.Token(context.Background(), audit.TokenEvent{Subject: "svc", Action: audit.TokenIssued, Outcome: audit.Done, Door: audit.Issuer})
	owner, err := pgx.Connect(t.Context(), d.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = owner.Close(context.Background()) })
	for _, role := range []struct {
		name, code string
		conn       *pgx.Conn
	}{{"runtime", "42501", d.Runtime(t)}, {"owner", "23001", owner}} {
		_, err := role.conn.Exec(t.Context(), `SELECT set_config('app.organization', $1, false)`, acme.String())
		require.NoError(t, err)
		for _, table := range []string{"audit_entry", "audit_shared_entry"} {
			for _, statement := range []string{`UPDATE ` + table + ` SET outcome = 'done'`, `DELETE FROM ` + table, `TRUNCATE ` + table} {
				_, err := role.conn.Exec(t.Context(), statement)
				var refused *pgconn.PgError
				require.ErrorAs(t, err, &refused, "%s: %s", role.name, statement)
				require.Equal(t, role.code, refused.Code, "%s: %s", role.name, statement)
			}
		}
	}
	require.Len(t, d.entries(t, acme, audit.Filter{}), 1)
	require.Len(t, d.shared(t), 1)
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"done": nil, "SCOPE_MISSING": fmt.Errorf("x: %w", problem.New(problem.Denied, "SCOPE_MISSING", "no")), "INTERNAL": errors.New("secret"), "CANCELLED": fmt.Errorf("x: %w", context.Canceled),
	} {
		require.Equal(t, want, audit.OutcomeOf(err))
	}
	require.Equal(t, "INTERNAL", audit.OutcomeOf(problem.New(problem.Internal, "SECRET", "no")))
}

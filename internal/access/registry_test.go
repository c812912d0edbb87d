package access_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// office is a registry with a clock and what its hook was told.
type office struct {
	*dbtest.Database
	*access.Registry

	mu    sync.Mutex
	at    time.Time
	told  []access.Issued
	fault error
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{Database: dbtest.New(t), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	o.Registry, err = access.OpenRegistry(t.Context(), access.RegistryConfig{OwnerURL: o.OwnerURL, Now: o.now, Hook: func(_ context.Context, event access.Issued) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told = append(o.told, event)
		return o.fault
	}})
	require.NoError(t, err)
	t.Cleanup(o.Close)
	return o
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = o.at.Add(d)
}

func (o *office) replica() *access.Verifier {
	return access.NewVerifier(access.Stored(o.DB), o.now).Revoking(access.StoredRevocations(o.DB, o.now))
}

func scanner() access.Actor {
	return access.Actor{Subject: "scanner", Role: access.Client, Scopes: []access.Scope{access.View, access.Operate}, Organizations: []string{"acme", "demo"}}
}

func TestRegistryRecords(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	actor := scanner()
	actor.Delegates = []string{"ada", "bot"}
	actor.Attributes = access.Attributes{Environment: []string{"prod", "staging"}, Owner: []string{"team-a"}}
	token, err := o.Issue(t.Context(), access.Order{Actor: actor, TTL: time.Hour, ServiceAccount: "ci"})
	require.NoError(t, err)

	record, err := o.Find(t.Context(), token.Text)
	require.NoError(t, err)
	byID, err := o.Find(t.Context(), token.ID)
	require.NoError(t, err)
	require.Equal(t, record, byID)
	require.Equal(t, &access.Record{
		ID: token.ID, Subject: "scanner", ServiceAccount: "ci", Delegates: []string{"ada", "bot"}, Role: access.Client,
		Scopes: []access.Scope{access.View, access.Operate}, Organizations: []string{"acme", "demo"},
		Environment: []string{"prod", "staging"}, Owner: []string{"team-a"}, BusinessTier: []string{},
		IssuedAt: o.now(), ExpiresAt: o.now().Add(time.Hour),
	}, local(record))

	// The token itself is nowhere.
	var hash []byte
	var row string
	require.NoError(t, o.Super(t).QueryRow(t.Context(), `SELECT hash, access_token::text FROM access_token`).Scan(&hash, &row))
	want := sha256.Sum256([]byte(token.Text))
	require.Equal(t, want[:], hash)
	require.NotContains(t, row, token.Text[strings.LastIndexByte(token.Text, '.')+1:])

	require.Len(t, o.told, 1)
	require.Equal(t, []access.Property{
		{Name: "authority.token.id", Value: token.ID}, {Name: "authority.token.subject", Value: "scanner"}, {Name: "authority.token.role", Value: "client"},
		{Name: "authority.token.scope", Value: "vuln:view vuln:operate"}, {Name: "authority.token.organizations", Value: "acme demo"},
		{Name: "authority.token.expires", Value: "2026-03-01T13:00:00Z"},
		{Name: "authority.vuln_attr.environment", Value: "prod staging"}, {Name: "authority.vuln_attr.owner", Value: "team-a"},
		{Name: "delegation.service_account", Value: "ci"}, {Name: "delegation.actor[0]", Value: "ada"}, {Name: "delegation.actor[1]", Value: "bot"},
	}, o.told[0].Properties())
	require.Equal(t, access.TokenIssued, o.told[0].Event)

	bearer, err := o.replica().Verify(t.Context(), token.Text)
	require.NoError(t, err)
	require.Equal(t, access.Attributes{Environment: []string{"prod", "staging"}, Owner: []string{"team-a"}}, bearer.Attributes)
}

// local has the times of a record in UTC, as the driver need not.
func local(record *access.Record) *access.Record {
	copied := *record
	copied.IssuedAt, copied.ExpiresAt = record.IssuedAt.UTC(), record.ExpiresAt.UTC()
	return &copied
}

// TestUntoldIsUndone: what the hook refuses does not happen.
func TestUntoldIsUndone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	token, err := o.Issue(t.Context(), access.Order{Actor: scanner(), TTL: time.Hour})
	require.NoError(t, err)
	o.fault = errors.New("the audit log is full")
	none, err := o.Issue(t.Context(), access.Order{Actor: scanner(), TTL: time.Hour})
	require.ErrorIs(t, err, o.fault)
	require.Empty(t, none)
	_, err = o.Revoke(t.Context(), token.ID, "root")
	require.ErrorIs(t, err, o.fault)
	list, err := o.List(t.Context(), access.TokenFilter{All: true, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Nil(t, list[0].RevokedAt)
}

// TestRevocation: two replicas refuse a token within two seconds, and remember it no
// longer than it would have worked.
func TestRevocation(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	replicas := []*access.Verifier{o.replica(), o.replica()}
	token, err := o.Issue(t.Context(), access.Order{Actor: scanner(), TTL: time.Hour})
	require.NoError(t, err)
	other, err := o.Issue(t.Context(), access.Order{Actor: scanner(), TTL: time.Hour})
	require.NoError(t, err)
	var actor access.Actor
	for _, replica := range replicas {
		actor, err = replica.Verify(t.Context(), token.Text)
		require.NoError(t, err)
	}
	record, err := o.Revoke(t.Context(), token.Text, "root")
	require.NoError(t, err)
	require.Equal(t, "root", record.RevokedBy)
	o.pass(2 * time.Second)
	for _, replica := range replicas {
		_, err = replica.Verify(t.Context(), token.Text)
		requireCode(t, err, "TOKEN_REVOKED")
		requireCode(t, replica.Holds(t.Context(), actor), "TOKEN_REVOKED")
		_, err = replica.Verify(t.Context(), other.Text)
		require.NoError(t, err)
	}

	// Once more changes nothing and tells nobody.
	o.pass(time.Second)
	again, err := o.Revoke(t.Context(), token.ID, "eve")
	require.NoError(t, err)
	require.Equal(t, "root", again.RevokedBy)
	require.True(t, record.RevokedAt.Equal(*again.RevokedAt))
	require.Len(t, o.told, 3)
	require.Equal(t, access.TokenRevoked, o.told[2].Event)
	require.Equal(t, "root", o.told[2].By)

	for _, unknown := range []string{"", "x", uuid.NewString(), token.Text + "A", strings.Repeat("a", 10_000), "\x00", "\xff"} {
		_, err = o.Revoke(t.Context(), unknown, "root")
		requireCode(t, err, "TOKEN_NOT_FOUND")
	}

	list := func(filter access.TokenFilter) (ids []string) {
		filter.Limit = 10
		rows, err := o.List(t.Context(), filter)
		require.NoError(t, err)
		for _, row := range rows {
			ids = append(ids, row.ID)
		}
		return ids
	}
	require.Equal(t, []string{other.ID}, list(access.TokenFilter{}))
	require.ElementsMatch(t, []string{token.ID, other.ID}, list(access.TokenFilter{All: true}))
	require.Empty(t, list(access.TokenFilter{All: true, Subject: "nobody"}))
	remembered := func() int {
		ids, err := access.StoredRevocations(o.DB, o.now)(t.Context())
		require.NoError(t, err)
		return len(ids)
	}
	require.Equal(t, 1, remembered())
	o.pass(2 * time.Hour)
	require.Empty(t, list(access.TokenFilter{}))
	require.Zero(t, remembered())
	_, err = o.List(t.Context(), access.TokenFilter{})
	requireCode(t, err, "LIMIT_INVALID")
}

// TestRevocationsUnreadable: for a minute what was read last counts, and then nobody
// is let in.
func TestRevocationsUnreadable(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	down := false
	read := access.StoredRevocations(o.DB, o.now)
	verifier := access.NewVerifier(access.Stored(o.DB), o.now).Revoking(func(ctx context.Context) (map[string]struct{}, error) {
		if down {
			return nil, problem.New(problem.Unavailable, "DATABASE_UNREACHABLE", "down")
		}
		return read(ctx)
	})
	token, err := o.Issue(t.Context(), access.Order{Actor: scanner(), TTL: time.Hour})
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), token.Text)
	require.NoError(t, err)
	down = true
	o.pass(50 * time.Second)
	_, err = verifier.Verify(t.Context(), token.Text)
	require.NoError(t, err)
	o.pass(11 * time.Second)
	_, err = verifier.Verify(t.Context(), token.Text)
	requireCode(t, err, "DATABASE_UNREACHABLE")
}

// TestRuntimeRoleKeepsNoRegistry: the role that serves reads which tokens are revoked
// and nothing else.
func TestRuntimeRoleKeepsNoRegistry(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.Issue(t.Context(), access.Order{Actor: scanner(), TTL: time.Hour})
	require.NoError(t, err)
	_, err = access.OpenRegistry(t.Context(), access.RegistryConfig{OwnerURL: o.RuntimeURL, Now: o.now})
	requireCode(t, err, "OWNER_ROLE_NEEDED")
	_, err = access.OpenRegistry(t.Context(), access.RegistryConfig{OwnerURL: "postgres:///?host=/nowhere", Now: o.now})
	requireCode(t, err, "DATABASE_UNREACHABLE")
	empty := dbtest.Empty(t)
	_, err = access.OpenRegistry(t.Context(), access.RegistryConfig{OwnerURL: empty.OwnerURL, Now: o.now})
	requireCode(t, err, "SCHEMA_OUTDATED")

	runtime := o.Runtime(t)
	_, err = runtime.Exec(t.Context(), `SELECT id, expires_at, revoked_at FROM access_token`)
	require.NoError(t, err)
	for _, statement := range []string{
		`SELECT * FROM access_token`, `SELECT hash FROM access_token`, `SELECT organizations FROM access_token`, `DELETE FROM access_token`,
		`UPDATE access_token SET revoked_at = NULL`, `INSERT INTO access_token SELECT * FROM access_token`,
	} {
		_, err = runtime.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "permission denied", statement)
	}
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var typed *problem.Error
	require.True(t, errors.As(err, &typed), "%v", err)
	require.Equal(t, code, typed.Code)
}

// TestRevokeAccounts: all tokens of some service accounts, each on record, and no others.
func TestRevokeAccounts(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	issue := func(account string, ttl time.Duration) access.Token {
		token, err := o.Issue(t.Context(), access.Order{Actor: scanner(), TTL: ttl, ServiceAccount: account})
		require.NoError(t, err)
		return token
	}
	expired := issue("ci", time.Minute)
	o.pass(time.Hour)
	gone := []access.Token{issue("ci", time.Hour), issue("ci", time.Hour), issue("other", time.Hour)}
	kept := []access.Token{issue("stays", time.Hour), issue("", time.Hour)}
	_, err := o.Revoke(t.Context(), gone[0].ID, "root")
	require.NoError(t, err)
	o.told = nil

	o.fault = errors.New("the audit log is full")
	_, err = o.RevokeAccounts(t.Context(), []string{"ci", "other"}, "file")
	require.ErrorIs(t, err, o.fault)
	o.fault, o.told = nil, nil
	verifier := o.replica()
	for _, token := range append(kept, gone[1:]...) {
		_, err = verifier.Verify(t.Context(), token.Text)
		require.NoError(t, err)
	}

	revoked, err := o.RevokeAccounts(t.Context(), []string{"ci", "other", "nobody"}, "file")
	require.NoError(t, err)
	require.Equal(t, 2, revoked)
	require.Len(t, o.told, 2)
	for _, event := range o.told {
		require.Equal(t, []any{access.TokenRevoked, "file"}, []any{event.Event, event.By})
	}
	o.pass(2 * time.Second)
	for _, token := range gone {
		_, err = verifier.Verify(t.Context(), token.Text)
		requireCode(t, err, "TOKEN_REVOKED")
	}
	for _, token := range kept {
		_, err = verifier.Verify(t.Context(), token.Text)
		require.NoError(t, err)
	}
	record, err := o.Find(t.Context(), expired.ID)
	require.NoError(t, err)
	require.Nil(t, record.RevokedAt)
	revoked, err = o.RevokeAccounts(t.Context(), []string{"ci"}, "file")
	require.NoError(t, err)
	require.Zero(t, revoked, "once more changes nothing")
}

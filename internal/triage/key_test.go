package triage_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/sign"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// pair is a key pair; the private one never reaches the service.
type pair struct {
	private ed25519.PrivateKey
	public  []byte // PEM
}

func newPair(t testing.TB) pair {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return pair{private, encoded(t, public)}
}

// encoded is a public key as PEM.
func encoded(t testing.TB, public ed25519.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (p pair) id() string { return sign.KeyID(p.private.Public().(ed25519.PublicKey)) }

// signed is the command with an envelope.
func (p pair) signed(t testing.TB, key exposure.Key, c triage.Command) triage.Command {
	t.Helper()
	statement, err := c.Statement(organization, key)
	require.NoError(t, err)
	return p.with(t, c, sign.DecisionType, statement)
}

func (p pair) with(t testing.TB, c triage.Command, payloadType string, payload []byte) triage.Command {
	t.Helper()
	envelope, err := sign.Sign(payloadType, payload, p.private)
	require.NoError(t, err)
	c.Envelope, err = envelope.JSON()
	require.NoError(t, err)
	return c
}

func TestSigned(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key, mine := d.key(rule.SensitiveReach, 1), newPair(t)
	c := mine.signed(t, key, d.command(triage.MarkFalsePositive, 1))
	code, message := d.refused(key, c)
	require.Equal(t, "ENVELOPE_INVALID", code)
	require.Contains(t, message, "register one first")

	registered, err := d.triage.RegisterKey(d.ctx, organization, "", mine.public)
	require.NoError(t, err)
	require.Equal(t, &triage.Key{ID: mine.id(), Subject: "ann", PublicKey: mine.private.Public().(ed25519.PublicKey), From: registered.From, AddedBy: "ann"}, registered)
	outcome, err := d.triage.Judge(d.ctx, organization, key, c)
	require.NoError(t, err)
	require.JSONEq(t, string(c.Envelope), string(outcome.Entry.Envelope))
	again, err := d.triage.Judge(d.ctx, organization, key, c)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, outcome.Decision, again.Decision)
	unsigned := c
	unsigned.Envelope = nil
	code, _ = d.refused(key, unsigned)
	require.Equal(t, "IDEMPOTENCY_KEY_REUSED", code, "what is signed is another request")

	// The statement is what docs/formats/ledger.md says.
	statement, err := c.Statement(organization, key)
	require.NoError(t, err)
	require.Equal(t, `{"action":"mark_false_positive","expectedVersion":1,"exposure":{"ordinal":1,"path":"`+key.PathID.String()+`","type":"sensitive_reach"},`+
		`"idempotencyKey":"`+c.IdempotencyKey+`","justification":"Looked at it.","organization":"`+organization.String()+`","reason":"wrong_data"}`, string(statement))

	// What anybody else has signed, or the caller otherwise, is not this request.
	next := d.command(triage.UnmarkFalsePositive, 2)
	for part, change := range map[string]func(c *triage.Command, key *exposure.Key, o *id.ID){
		"action":          func(c *triage.Command, _ *exposure.Key, _ *id.ID) { c.Action = triage.Acknowledge },
		"expectedVersion": func(c *triage.Command, _ *exposure.Key, _ *id.ID) { c.ExpectedVersion = 3 },
		"exposure":        func(_ *triage.Command, key *exposure.Key, _ *id.ID) { key.Ordinal = 2 },
		"idempotencyKey":  func(c *triage.Command, _ *exposure.Key, _ *id.ID) { c.IdempotencyKey = "another" },
		"justification":   func(c *triage.Command, _ *exposure.Key, _ *id.ID) { c.Justification += "." },
		"organization":    func(_ *triage.Command, _ *exposure.Key, o *id.ID) { *o = id.Organization("rival") },
		"reason":          func(c *triage.Command, _ *exposure.Key, _ *id.ID) { c.Reason = triage.Other },
	} {
		said, about, where := next, key, organization
		change(&said, &about, &where)
		statement, err := said.Statement(where, about)
		require.NoError(t, err)
		code, message := d.refused(key, mine.with(t, next, sign.DecisionType, statement))
		require.Equal(t, "ENVELOPE_INVALID", code, part)
		require.Contains(t, message, "what the request has as "+part, part)
	}
	statement, err = next.Statement(organization, key)
	require.NoError(t, err)
	var indented []byte
	indented, err = json.MarshalIndent(json.RawMessage(statement), "", " ")
	require.NoError(t, err)
	other := newPair(t)
	for part, c := range map[string]triage.Command{
		"canonical form":               mine.with(t, next, sign.DecisionType, indented),
		"no decision":                  mine.with(t, next, sign.DecisionType, []byte("[]")),
		"it signs a text/plain":        mine.with(t, next, "text/plain", statement),
		"none of the keys":             other.with(t, next, sign.DecisionType, statement),
		"what the request has as more": mine.with(t, next, sign.DecisionType, []byte(strings.Replace(string(statement), `{"action"`, `{"more":1,"action"`, 1))),
	} {
		code, message := d.refused(key, c)
		require.Equal(t, "ENVELOPE_INVALID", code, part)
		require.Contains(t, message, part)
	}
	for _, raw := range []string{"{", "[]", `{"payload":"","payloadType":"x","signatures":[]}`, "\xff", strings.Repeat(" ", sign.MaxEnvelope+1)} {
		c := next
		c.Envelope = []byte(raw)
		code, _ := d.refused(key, c)
		require.Equal(t, "ENVELOPE_INVALID", code, "%.20q", raw)
	}

	// A key signs for nobody else, and for nobody once it is revoked.
	bob := d.as("bob", access.Investigate)
	_, err = d.triage.RegisterKey(bob, organization, "", other.public)
	require.NoError(t, err)
	code, _ = d.refused(key, other.signed(t, key, next))
	require.Equal(t, "ENVELOPE_INVALID", code)
	_, err = d.triage.RevokeKey(d.ctx, organization, mine.id())
	require.NoError(t, err)
	code, _ = d.refused(key, mine.signed(t, key, next))
	require.Equal(t, "ENVELOPE_INVALID", code)
	again, err = d.triage.Judge(d.ctx, organization, key, c)
	require.NoError(t, err, "what it signed before stays")
	require.True(t, again.Replayed)
	require.Equal(t, 1, d.number(`SELECT count(*) FROM ledger_entry WHERE type IS NOT NULL`))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	mine, second := newPair(t), newPair(t)
	bob := d.as("bob", access.Investigate)
	admin := access.With(context.Background(), access.Actor{Subject: "root", Role: access.Admin, Organizations: []string{slug}, Scopes: access.Scopes})
	registered, err := d.triage.RegisterKey(d.ctx, organization, "ann", mine.public)
	require.NoError(t, err)
	before := d.rows()
	again, err := d.triage.RegisterKey(d.ctx, organization, "", mine.public)
	require.NoError(t, err)
	require.Equal(t, registered, again)
	refuse := func(code string, err error) {
		t.Helper()
		require.Equal(t, code, codeOf(t, err))
		require.Equal(t, before, d.rows())
	}
	_, err = d.triage.RegisterKey(bob, organization, "", mine.public)
	refuse("KEY_OF_ANOTHER", err)
	_, err = d.triage.RegisterKey(bob, organization, "ann", second.public)
	refuse("ADMIN_REQUIRED", err)
	_, err = d.triage.RegisterKey(admin, organization, strings.Repeat("x", 201), second.public)
	refuse("INVALID_TEXT", err)
	_, err = d.triage.RegisterKey(admin, organization, "nul\x00", second.public)
	refuse("INVALID_TEXT", err)
	_, err = d.triage.RegisterKey(d.ctx, organization, "", []byte("no PEM"))
	refuse("KEY_INVALID", err)
	for _, small := range [][]byte{append([]byte{1}, make([]byte, 31)...), make([]byte, 32)} { // of order 1 and 4
		_, err = d.triage.RegisterKey(admin, organization, "bob", encoded(t, small))
		refuse("KEY_WEAK", err)
		var typed *problem.Error
		require.ErrorAs(t, err, &typed)
		require.Equal(t, "publicKey", typed.Field)
	}
	_, err = d.triage.RevokeKey(bob, organization, mine.id())
	refuse("KEY_NOT_FOUND", err)
	_, err = d.triage.RevokeKey(d.ctx, organization, "nul\x00")
	refuse("KEY_NOT_FOUND", err)
	_, err = d.triage.RevokeKey(admin, organization, second.id())
	refuse("KEY_NOT_FOUND", err)

	forBob, err := d.triage.RegisterKey(admin, organization, "bob", second.public)
	require.NoError(t, err)
	require.Equal(t, "root", forBob.AddedBy)
	revoked, err := d.triage.RevokeKey(admin, organization, mine.id())
	require.NoError(t, err)
	require.Equal(t, "root", *revoked.EndedBy)
	before = d.rows()
	_, err = d.triage.RevokeKey(d.ctx, organization, mine.id())
	refuse("KEY_REVOKED", err)
	_, err = d.triage.RegisterKey(d.ctx, organization, "", mine.public)
	refuse("KEY_REVOKED", err)

	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	keys, err := d.reader.Keys(d.ctx, snapshot, organization, "")
	require.NoError(t, err)
	require.Equal(t, []*triage.Key{revoked, forBob}, keys)
	keys, err = d.reader.Keys(d.ctx, snapshot, organization, "bob")
	require.NoError(t, err)
	require.Equal(t, []*triage.Key{forBob}, keys)
	for kind, n := range map[ledger.Kind]int{ledger.SigningKeyRegistered: 2, ledger.SigningKeyRevoked: 1} {
		require.Equal(t, n, d.number(`SELECT count(*) FROM ledger_entry WHERE kind = $1`, string(kind)))
	}
}

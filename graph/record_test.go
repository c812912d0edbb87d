package graph_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

var investigator = access.Actor{Subject: "ida", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View, access.Investigate}}

const (
	attest   = `mutation($input: AttestBaselineInput!) { attestBaseline(input: $input) { baseline { basis actor note } evaluation { exposuresOpened exposuresResolved } userErrors { code field } } }`
	justify  = `mutation($input: RecordJustificationInput!) { recordJustification(input: $input) { justification { actor justification actions effectiveTo } replaced { justification withdrawnBy } evaluation { exposuresOpened } userErrors { code field } } }`
	withdraw = `mutation($input: WithdrawJustificationInput!) { withdrawJustification(input: $input) { justification { justification withdrawnBy } evaluation { exposuresOpened } userErrors { code field } } }`
)

// A person vouches for what an identity has come to hold, and the drift resolves.
func TestAttestBaseline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", smallEstate().facts()...)
	b.clock.Add(int64(24 * time.Hour))
	grown := smallEstate()
	grown["to ledger"] = grant("view", "ledger", "get", "delete")
	b.sync(t, "acme", grown.facts()...)
	b.clock.Add(int64(24 * time.Hour))
	read := func() map[string]any {
		a := b.query(t, viewer, `{ organization(slug: "acme") { exposures(filter: {type: [SCOPE_EXPANSION], status: [ACTIVE, RESOLVED]}) { nodes { status resolutionReason } }
			identities { nodes { id sourceId baselines { basis actor note } } } posture { at } } }`, nil)
		require.Empty(t, a.Errors)
		return at[map[string]any](t, a.Data, "organization")
	}
	before := read()
	require.Len(t, at[[]any](t, before, "exposures", "nodes"), 2, "of either identity")
	identity := at[string](t, before, "identities", "nodes", 0, "id")
	require.Equal(t, []any{map[string]any{"basis": "OBSERVED", "actor": nil, "note": nil}}, at[[]any](t, before, "identities", "nodes", 0, "baselines"))

	a := b.query(t, investigator, attest, map[string]any{"input": map[string]any{"identity": identity, "note": "agreed with the owner"}})
	require.Empty(t, a.Errors)
	require.Equal(t, map[string]any{"baseline": map[string]any{"basis": "ATTESTED", "actor": "ida", "note": "agreed with the owner"},
		"evaluation": map[string]any{"exposuresOpened": 0.0, "exposuresResolved": 1.0}, "userErrors": []any{}}, at[map[string]any](t, a.Data, "attestBaseline"))
	after := read()
	var resolved []any
	for _, x := range at[[]any](t, after, "exposures", "nodes") {
		if reason := at[map[string]any](t, x)["resolutionReason"]; reason != nil {
			resolved = append(resolved, reason)
		}
	}
	require.Equal(t, []any{"BASELINE_ATTESTED"}, resolved)
	require.Equal(t, "ATTESTED", at[string](t, after, "identities", "nodes", 0, "baselines", 0, "basis"), "the newest first")
	require.Equal(t, "2026-03-03T12:00:00Z", at[string](t, after, "posture", "at"), "in its place on the clock")
}

func TestJustifications(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(1)...)
	read := func() (id string, list []any) {
		a := b.query(t, viewer, `{ organization(slug: "acme") { authorityPaths { nodes { id destination { sourceId } justifications { justification actions actor withdrawnBy } } } } }`, nil)
		require.Empty(t, a.Errors)
		for _, path := range at[[]any](t, a.Data, "organization", "authorityPaths", "nodes") {
			if at[string](t, path, "destination", "sourceId") == "own000" {
				return at[string](t, path, "id"), at[[]any](t, path, "justifications")
			}
		}
		return "", nil
	}
	path, none := read()
	require.Empty(t, none)
	ask := func(mutation, name string, input map[string]any) map[string]any {
		input["path"] = path
		a := b.query(t, investigator, mutation, map[string]any{"input": input})
		require.Empty(t, a.Errors)
		return at[map[string]any](t, a.Data, name)
	}
	require.Equal(t, []any{map[string]any{"code": "JUSTIFICATION_NOT_FOUND", "field": "path"}}, ask(withdraw, "withdrawJustification", map[string]any{})["userErrors"])
	b.clock.Add(int64(time.Hour))
	first := ask(justify, "recordJustification", map[string]any{"justification": "for the yearly purge"})
	require.Equal(t, map[string]any{"actor": "ida", "justification": "for the yearly purge", "actions": []any{"delete"}, "effectiveTo": nil}, first["justification"])
	require.Nil(t, first["replaced"])
	b.clock.Add(int64(time.Hour))
	second := ask(justify, "recordJustification", map[string]any{"justification": "as agreed", "actions": []string{"delete", "get"}})
	require.Equal(t, map[string]any{"justification": "for the yearly purge", "withdrawnBy": "ida"}, second["replaced"])
	b.clock.Add(int64(time.Hour))
	require.Equal(t, map[string]any{"justification": "as agreed", "withdrawnBy": "ida"}, ask(withdraw, "withdrawJustification", map[string]any{})["justification"])
	_, list := read()
	require.Equal(t, []any{
		map[string]any{"justification": "as agreed", "actions": []any{"delete", "get"}, "actor": "ida", "withdrawnBy": "ida"},
		map[string]any{"justification": "for the yearly purge", "actions": []any{"delete"}, "actor": "ida", "withdrawnBy": "ida"}}, list, "the newest first")

	require.Equal(t, []any{map[string]any{"code": "INVALID_TEXT", "field": "justification"}}, ask(justify, "recordJustification", map[string]any{"justification": " "})["userErrors"])
	require.Equal(t, []any{map[string]any{"code": "ACTIONS_NOT_GRANTED", "field": "actions"}},
		ask(justify, "recordJustification", map[string]any{"justification": "x", "actions": []string{"destroy"}})["userErrors"])
}

// What is of another organization answers as what does not exist, and who may only
// look may not put anything on record.
func TestWhoMayRecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(1)...)
	b.sync(t, "rival", world(1)...)
	ids := func(slug string) (identity, path string) {
		a := b.query(t, root, `query($slug: String!) { organization(slug: $slug) { authorityPaths(first: 1) { nodes { id identity { id } } } } }`, map[string]any{"slug": slug})
		node := at[map[string]any](t, a.Data, "organization", "authorityPaths", "nodes", 0)
		return at[string](t, node, "identity", "id"), at[string](t, node, "id")
	}
	identity, path := ids("acme")
	rivalIdentity, rivalPath := ids("rival")
	for _, test := range []struct {
		mutation, code       string
		own, foreign, absent map[string]any
	}{
		{attest, "IDENTITY_NOT_FOUND", map[string]any{"identity": identity}, map[string]any{"identity": rivalIdentity}, map[string]any{"identity": path}},
		{justify, "PATH_NOT_FOUND", map[string]any{"path": path, "justification": "x"}, map[string]any{"path": rivalPath, "justification": "x"}, map[string]any{"path": identity, "justification": "x"}},
		{withdraw, "PATH_NOT_FOUND", map[string]any{"path": path}, map[string]any{"path": rivalPath}, map[string]any{"path": "nothing"}},
	} {
		require.Equal(t, "SCOPE_MISSING", b.query(t, viewer, test.mutation, map[string]any{"input": test.own}).code())
		foreign := b.query(t, investigator, test.mutation, map[string]any{"input": test.foreign})
		absent := b.query(t, investigator, test.mutation, map[string]any{"input": test.absent})
		require.Equal(t, test.code, foreign.code())
		require.Equal(t, absent, foreign)
	}
}

// The pack of each subject, by each of its ids; its digest is of its bytes.
func TestEvidencePack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", smallEstate().facts()...)
	b.sync(t, "rival", smallEstate().facts()...)
	ids := func(slug string) map[string]string {
		a := b.query(t, root, `query($slug: String!) { organization(slug: $slug) { exposures(first: 1) { nodes { id path { id workload { id workloadExposure { id } } } } } } }`, map[string]any{"slug": slug})
		require.Empty(t, a.Errors)
		x := at[map[string]any](t, a.Data, "organization", "exposures", "nodes", 0)
		return map[string]string{"exposure": at[string](t, x, "id"), "path": at[string](t, x, "path", "id"), "workload": at[string](t, x, "path", "workload", "id"),
			"code": at[string](t, x, "path", "workload", "workloadExposure", "id")}
	}
	pack := func(variables map[string]any) answer {
		return b.query(t, viewer, `query($exposure: ID, $path: ID, $workload: ID) { organization(slug: "acme") { evidencePack(exposure: $exposure, path: $path, workload: $workload) {
			digest stateDigest mediaType document } } }`, variables)
	}
	own, foreign := ids("acme"), ids("rival")
	seen := map[string]bool{}
	for _, subject := range []string{"exposure", "path", "workload"} {
		a := pack(map[string]any{subject: own[subject]})
		require.Empty(t, a.Errors, subject)
		found := at[map[string]any](t, a.Data, "organization", "evidencePack")
		document := at[string](t, found, "document")
		sum := sha256.Sum256([]byte(document))
		require.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), found["digest"])
		require.Equal(t, "application/json", found["mediaType"])
		require.True(t, json.Valid([]byte(document)))
		require.False(t, seen[document], "each subject has its own")
		seen[document] = true
		require.Equal(t, a, pack(map[string]any{subject: own[subject]}), "the same bytes again")
		require.Nil(t, at[map[string]any](t, pack(map[string]any{subject: foreign[subject]}).Data, "organization")["evidencePack"], subject)
	}
	require.Equal(t, pack(map[string]any{"workload": own["workload"]}), pack(map[string]any{"workload": own["code"]}))
	require.Nil(t, at[map[string]any](t, pack(map[string]any{"workload": foreign["code"]}).Data, "organization")["evidencePack"])
	require.Nil(t, at[map[string]any](t, pack(map[string]any{"exposure": own["path"]}).Data, "organization")["evidencePack"])
	require.Equal(t, "ONE_SUBJECT", pack(nil).code())
	require.Equal(t, "ONE_SUBJECT", pack(map[string]any{"path": own["path"], "workload": own["workload"]}).code())
	many := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { `+func() (s string) {
		for _, alias := range []string{"a", "b", "c", "d", "e", "f"} {
			s += alias + `: evidencePack(workload: $id) { digest } `
		}
		return s
	}()+`} }`, map[string]any{"id": own["workload"]})
	require.Equal(t, "LIMIT_COST", many.code())
}

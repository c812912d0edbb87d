package graph_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

const entryFields = `seq hash previousHash kind actor occurredAt recordedAt batch subject imported signed body`

// ledger reads fields of the ledger of acme.
func (b *bench) ledger(t testing.TB, actor access.Actor, fields string, variables map[string]any) answer {
	t.Helper()
	declared := ""
	for name := range variables {
		declared += fmt.Sprintf(" $%s: %s", name, map[string]string{"filter": "LedgerFilter", "seq": "Int64!", "size": "Int64", "first": "Int"}[name])
	}
	if declared != "" {
		declared = "(" + declared + ")"
	}
	return b.query(t, actor, "query"+declared+` { organization(slug: "acme") { ledger { `+fields+` } } }`, variables)
}

func (b *bench) entries(t testing.TB, filter map[string]any) []any {
	t.Helper()
	a := b.ledger(t, auditor, `entries(filter: $filter) { totalCount nodes { `+entryFields+` } }`, map[string]any{"filter": filter})
	require.Empty(t, a.Errors)
	nodes := at[[]any](t, a.Data, "organization", "ledger", "entries", "nodes")
	require.Equal(t, float64(len(nodes)), at[float64](t, a.Data, "organization", "ledger", "entries", "totalCount"))
	return nodes
}

// leaves are the hashes of a small ledger.
type leaves []ledger.Hash

func (l leaves) Leaves(_ context.Context, from, to int64) ([]ledger.Hash, error) {
	return l[from:to], nil
}

func (leaves) Tiles(context.Context, int64, int64) ([]ledger.Hash, error) {
	return nil, errors.New("it is too small for tiles")
}

// What is judged, vouched for, justified and sealed is in the ledger, and it can be
// recomputed from what it answers.
func TestLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(2)...)
	b.sync(t, "rival", world(2)...)
	a := b.query(t, root, `{ organization(slug: "acme") { exposures { nodes { id path { id workload { id } identity { id } } } } } }`, nil)
	x := at[map[string]any](t, a.Data, "organization", "exposures", "nodes", 0)
	exposure, path := at[string](t, x, "id"), at[string](t, x, "path", "id")
	workload, identity := at[string](t, x, "path", "workload", "id"), at[string](t, x, "path", "identity", "id")
	b.clock.Add(int64(time.Hour))
	b.judged(t, investigator, "acknowledgeExposure", onExposure(exposure, 1, "k1"))
	require.Empty(t, b.query(t, investigator, attest, map[string]any{"input": map[string]any{"identity": identity}}).Errors)
	foreign := b.exposureIDs(t, "rival", 1)[0]
	b.judged(t, root, "acknowledgeExposure", onExposure(foreign, 1, "k1"))

	sealed := map[string]map[string]any{}
	const seal = `mutation($input: SealEvidencePackInput!) { sealEvidencePack(input: $input) { evidencePack { digest stateDigest mediaType document } entry { ` + entryFields + ` } userErrors { code } } }`
	subjects := map[string]string{"exposure": exposure, "path": path, "workload": workload}
	for _, kind := range []string{"exposure", "path", "workload"} {
		a := b.query(t, investigator, seal, map[string]any{"input": map[string]any{"subject": subjects[kind]}})
		require.Empty(t, a.Errors, kind)
		payload := at[map[string]any](t, a.Data, "sealEvidencePack")
		sealed[kind] = at[map[string]any](t, payload, "entry")
		document := at[string](t, payload, "evidencePack", "document")
		sum := sha256.Sum256([]byte(document))
		require.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), at[string](t, payload, "evidencePack", "digest"))
		var body struct{ Payload ledger.Pack }
		require.NoError(t, json.Unmarshal([]byte(at[string](t, payload, "entry", "body")), &body))
		require.Equal(t, ledger.Pack{Digest: at[string](t, payload, "evidencePack", "digest"), StateDigest: at[string](t, payload, "evidencePack", "stateDigest")}, body.Payload)
		require.Equal(t, subjects[kind], sealed[kind]["subject"])
		require.Equal(t, []any{"evidence_pack.sealed", "ida", false, false, nil},
			[]any{sealed[kind]["kind"], sealed[kind]["actor"], sealed[kind]["imported"], sealed[kind]["signed"], sealed[kind]["batch"]})
	}
	// A pack is about the exposure, and no decision on it.
	judged := b.query(t, root, `query($id: ID!) { organization(slug: "acme") { exposure(id: $id) { decision { action } decisions(first: 5) { action } } } }`, map[string]any{"id": exposure})
	require.Empty(t, judged.Errors)
	require.Equal(t, []any{map[string]any{"action": "ACKNOWLEDGE"}}, at[[]any](t, judged.Data, "organization", "exposure", "decisions"))
	none := b.query(t, investigator, seal, map[string]any{"input": map[string]any{"subject": "nothing"}})
	require.Equal(t, "SUBJECT_NOT_FOUND", none.code())
	for _, strange := range []string{foreign, identity, ""} {
		require.Equal(t, none, b.query(t, investigator, seal, map[string]any{"input": map[string]any{"subject": strange}}))
	}
	require.Equal(t, "SCOPE_MISSING", b.query(t, auditor, seal, map[string]any{"input": map[string]any{"subject": exposure}}).code())

	// The chain, from what is answered.
	all := b.entries(t, nil)
	slices.Reverse(all)
	var previous ledger.Hash
	var hashes []ledger.Hash
	for i, e := range all {
		require.Equal(t, float64(i+1), at[float64](t, e, "seq"))
		require.Equal(t, previous.String(), at[string](t, e, "previousHash"))
		previous = ledger.Link(previous, []byte(at[string](t, e, "body")))
		require.Equal(t, previous.String(), at[string](t, e, "hash"))
		hashes = append(hashes, previous)
	}
	size := int64(len(all))
	require.GreaterOrEqual(t, size, int64(5))
	a = b.ledger(t, auditor, `size head root at publicKey checkpoint { note } checkpoints { size }
		first: entry(seq: 1) { `+entryFields+` } none: entry(seq: 9007199254740991) { seq }`, nil)
	require.Empty(t, a.Errors)
	l := at[map[string]any](t, a.Data, "organization", "ledger")
	root, err := ledger.Root(t.Context(), leaves(hashes), size)
	require.NoError(t, err)
	require.Equal(t, []any{float64(size), previous.String(), root.String(), ledgerKey, nil, []any{}, nil},
		[]any{l["size"], l["head"], l["root"], l["publicKey"], l["checkpoint"], l["checkpoints"], l["none"]})
	require.Equal(t, all[0], l["first"])

	// Proofs.
	read := func(value any) (list []ledger.Hash) {
		for _, text := range value.([]any) {
			hash, err := ledger.ParseHash(text.(string))
			require.NoError(t, err)
			list = append(list, hash)
		}
		return list
	}
	a = b.ledger(t, auditor, `inclusionProof(seq: 2, size: 4) { seq size entryHash root hashes } consistencyProof(from: 2) { from to fromRoot toRoot hashes }`, nil)
	require.Empty(t, a.Errors)
	inclusion := at[map[string]any](t, a.Data, "organization", "ledger", "inclusionProof")
	of4, err := ledger.Root(t.Context(), leaves(hashes), 4)
	require.NoError(t, err)
	require.Equal(t, []any{hashes[1].String(), of4.String()}, []any{inclusion["entryHash"], inclusion["root"]})
	require.NoError(t, ledger.VerifyInclusion(hashes[1], 2, 4, read(inclusion["hashes"]), of4))
	consistency := at[map[string]any](t, a.Data, "organization", "ledger", "consistencyProof")
	of2, err := ledger.Root(t.Context(), leaves(hashes), 2)
	require.NoError(t, err)
	require.Equal(t, []any{2.0, float64(size), of2.String(), root.String()}, []any{consistency["from"], consistency["to"], consistency["fromRoot"], consistency["toRoot"]})
	require.NoError(t, ledger.VerifyConsistency(2, size, read(consistency["hashes"]), of2, root))

	// Filters. Under a path stands what was decided on its exposures.
	kinds := func(filter map[string]any) (list []string) {
		for _, e := range b.entries(t, filter) {
			list = append(list, at[string](t, e, "kind"))
		}
		return list
	}
	require.Equal(t, []string{"evidence_pack.sealed", "exposure.acknowledged"}, kinds(map[string]any{"subject": exposure}))
	require.Equal(t, []string{"evidence_pack.sealed", "evidence_pack.sealed", "exposure.acknowledged"}, kinds(map[string]any{"subject": path}))
	require.Equal(t, []string{"baseline.attested"}, kinds(map[string]any{"subject": identity}))
	require.Equal(t, []string{"evidence_pack.sealed"}, kinds(map[string]any{"subject": workload, "actor": []string{"ida"}}))
	require.Equal(t, []string{"baseline.attested"}, kinds(map[string]any{"kind": []string{"baseline.attested", "nothing"}}))
	for _, filter := range []map[string]any{
		{"subject": foreign}, {"subject": "nothing"}, {"batch": "nothing"}, {"batch": exposure}, {"actor": []string{"nobody"}}, {"kind": []string{"nothing"}},
		{"occurredBefore": epoch.Add(-time.Hour)},
	} {
		require.Empty(t, kinds(filter), filter)
	}
	require.Len(t, b.entries(t, map[string]any{"occurredAfter": epoch.Add(time.Hour)}), len(all)-1, "the snapshot of the first sync is older")

	for fields, code := range map[string]string{
		`inclusionProof(seq: 0) { seq }`:                                  "LEDGER_SEQ_OUT_OF_RANGE",
		`inclusionProof(seq: 1, size: 1000) { seq }`:                      "LEDGER_SIZE_OUT_OF_RANGE",
		`inclusionProof(seq: 1, size: -1) { seq }`:                        "LEDGER_SIZE_OUT_OF_RANGE",
		`consistencyProof(from: 3, to: 2) { to }`:                         "LEDGER_SIZES_REVERSED",
		`entry(seq: 9007199254740992) { seq }`:                            "BAD_USER_INPUT",
		`entry(seq: 99999999999999999999) { seq }`:                        "GRAPHQL_VALIDATION_FAILED",
		`entry(seq: 1e400) { seq }`:                                       "GRAPHQL_VALIDATION_FAILED",
		`entry(seq: 1.5) { seq }`:                                         "BAD_USER_INPUT",
		`checkpoints(first: 101) { size }`:                                "PAGE_SIZE",
		`entries(first: 0) { nodes { seq } }`:                             "PAGE_SIZE",
		`entries(after: "x") { nodes { seq } }`:                           "CURSOR_INVALID",
		`entries(filter: {occurredAfter: "yesterday"}) { nodes { seq } }`: "BAD_USER_INPUT",
	} {
		require.Equal(t, code, b.ledger(t, auditor, fields, nil).code(), fields)
	}
	for seq, code := range map[string]string{"9007199254740993": "BAD_USER_INPUT", "-9007199254740993": "BAD_USER_INPUT", "99999999999999999999": "BAD_USER_INPUT", "1.5": "BAD_USER_INPUT", `"1"`: "BAD_USER_INPUT"} {
		_, a := b.post(t, auditor, `{"query":"query($seq: Int64!) { organization(slug: \"acme\") { ledger { entry(seq: $seq) { seq } } } }","variables":{"seq":`+seq+`}}`)
		require.Equal(t, code, a.code(), seq)
	}
}

// What is refused is called by the name that the caller wrote.
func TestLedgerFilterNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(1)...)
	for _, bad := range []struct {
		filter            map[string]any
		code, field, says string
	}{
		{map[string]any{"kind": make([]string, 101)}, "FILTER_TOO_LARGE", "kind", "101 values for kind;"},
		{map[string]any{"actor": make([]string, 101)}, "FILTER_TOO_LARGE", "actor", "101 values for actor;"},
		{map[string]any{"occurredAfter": epoch, "occurredBefore": epoch.Add(-time.Hour)}, "INTERVAL_EMPTY", "filter", "swap occurredAfter and occurredBefore"},
	} {
		a := b.ledger(t, auditor, `entries(filter: $filter) { totalCount nodes { seq } }`, map[string]any{"filter": bad.filter})
		require.Equal(t, bad.code, a.code(), bad.says)
		require.Equal(t, bad.field, a.Errors[0].Extensions["field"], bad.says)
		require.Contains(t, a.Errors[0].Message, bad.says)
	}
}

// Who may see every organization hears of one that there is not the same, whatever
// they ask of its judgements and its ledger.
func TestNoOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(1)...)
	a := b.query(t, root, `{ organization(slug: "nobody") { ledger { size root } batch(id: "x") { id } signingKeys { keyId } } }`, nil)
	require.Empty(t, a.Errors)
	require.Nil(t, a.Data["organization"])
	for _, dryRun := range []bool{false, true} {
		for name, selection := range map[string]any{"filter": map[string]any{}, "exposures": []any{map[string]any{"exposure": b.exposureIDs(t, "acme", 1)[0]}}} {
			a := b.many(t, root, "judgeExposures", map[string]any{
				"organization": "nobody", "action": "ACKNOWLEDGE", name: selection, "justification": "all", "idempotencyKey": "all", "dryRun": dryRun})
			require.Equal(t, "ORGANIZATION_NOT_FOUND", a.code(), "%s, %v", name, dryRun)
		}
	}
	for mutation, input := range map[string]string{
		"registerSigningKey": fmt.Sprintf(`{organization: "nobody", publicKey: %q}`, "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"),
		"revokeSigningKey":   `{organization: "nobody", key: "key"}`,
	} {
		a := b.query(t, root, `mutation { `+mutation+`(input: `+input+`) { userErrors { code } } }`, nil)
		require.Equal(t, "ORGANIZATION_NOT_FOUND", a.code(), mutation)
	}
}

// Nobody reads a ledger without its scope, and nobody that of another organization.
func TestWhoReadsLedgers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(1)...)
	b.sync(t, "rival", world(1)...)
	for _, actor := range []access.Actor{viewer, investigator, operator} {
		a := b.query(t, actor, `{ organization(slug: "acme") { slug ledger { size } } }`, nil)
		require.Equal(t, "SCOPE_MISSING", a.code())
		require.Equal(t, map[string]any{"slug": "acme", "ledger": nil}, at[map[string]any](t, a.Data, "organization"))
	}
	require.Nil(t, b.query(t, auditor, `{ organization(slug: "rival") { ledger { size } } }`, nil).Data["organization"])
	entry := at[map[string]any](t, b.ledger(t, auditor, `entry(seq: 1) { kind previousHash subject }`, nil).Data, "organization", "ledger", "entry")
	require.Equal(t, map[string]any{"kind": "posture.snapshotted", "previousHash": strings.Repeat("0", 64), "subject": nil}, entry)

	b = setup(t)
	require.NoError(t, b.Tenant(access.With(t.Context(), root), id.Organization("acme"), func(tx *db.Tx) error {
		_, err := (&org.Store{}).Create(access.With(t.Context(), root), tx, "acme", "Acme", epoch)
		return err
	}))
	empty := b.ledger(t, auditor, `size head root at entries { totalCount nodes { seq } } entry(seq: 1) { seq } checkpoint { size }`, nil)
	require.Empty(t, empty.Errors)
	require.Equal(t, map[string]any{"size": 0.0, "head": nil, "root": nil, "at": nil, "entry": nil, "checkpoint": nil,
		"entries": map[string]any{"totalCount": 0.0, "nodes": []any{}}}, at[map[string]any](t, empty.Data, "organization", "ledger"))
	require.Equal(t, "LEDGER_EMPTY", b.ledger(t, auditor, `inclusionProof(seq: 1) { root }`, nil).code())
}

// A page of the ledger costs the same number of statements at any size, pages are
// whole and disjoint, and a cursor is good for its own list alone.
func TestLedgerPages(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", town(120)...)
	a := b.many(t, investigator, "judgeExposures", map[string]any{
		"organization": "acme", "action": "ACKNOWLEDGE", "filter": map[string]any{}, "justification": "all", "idempotencyKey": "all"})
	require.Empty(t, a.Errors)
	batch := at[string](t, a.Data, "judged", "batch", "id")
	done := int(at[float64](t, a.Data, "judged", "batch", "done"))
	sent := map[int][]string{}
	for _, first := range []int{10, 100} {
		b.Statements.Reset()
		a := b.ledger(t, auditor, `size entries(first: $first) { nodes { `+entryFields+` } pageInfo { hasNextPage } }`, map[string]any{"first": first})
		sent[first] = b.Statements.Sent()
		require.Empty(t, a.Errors)
		require.Len(t, at[[]any](t, a.Data, "organization", "ledger", "entries", "nodes"), first)
	}
	require.ElementsMatch(t, sent[10], sent[100])
	require.LessOrEqual(t, len(sent[100]), 4, sent[100])

	seqs := map[float64]bool{}
	cursor := ""
	for {
		a := b.query(t, auditor, fmt.Sprintf(`{ organization(slug: "acme") { ledger { entries(first: 70, filter: {batch: %q}%s) { nodes { seq batch } pageInfo { hasNextPage endCursor } } } } }`, batch, cursor), nil)
		require.Empty(t, a.Errors)
		list := at[map[string]any](t, a.Data, "organization", "ledger", "entries")
		for _, e := range at[[]any](t, list, "nodes") {
			require.Equal(t, batch, at[string](t, e, "batch"))
			require.False(t, seqs[at[float64](t, e, "seq")])
			seqs[at[float64](t, e, "seq")] = true
		}
		cursor = fmt.Sprintf(", after: %q", at[string](t, list, "pageInfo", "endCursor"))
		if !at[bool](t, list, "pageInfo", "hasNextPage") {
			break
		}
	}
	require.Len(t, seqs, done)
	require.Equal(t, "CURSOR_OF_ANOTHER_LIST", b.ledger(t, auditor, `entries(first: 1`+cursor+`) { nodes { seq } }`, nil).code())
}

// Every entry of a kind that is about something has its id.
func TestSubjectsOfKinds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(1)...)
	ids := b.exposureIDs(t, "acme", 1)
	b.judged(t, investigator, "acknowledgeExposure", onExposure(ids[0], 1, "k"))
	for _, e := range b.entries(t, nil) {
		kind := at[string](t, e, "kind")
		require.Contains(t, ledger.Kinds(), ledger.Kind(kind))
		subject := at[map[string]any](t, e)["subject"]
		if strings.HasPrefix(kind, "exposure.") {
			require.Equal(t, ids[0], subject)
		}
		if kind == string(ledger.PostureSnapshotted) {
			require.Nil(t, subject)
		}
		require.Contains(t, at[string](t, e, "body"), id.Organization("acme").String())
	}
}

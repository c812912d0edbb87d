package graph_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEverybodyWhoTookPart: the chain of a token stands at the entry of the ledger, at
// the decision and at the events that follow from it, in its order.
func TestEverybodyWhoTookPart(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", world(12)...)
	b.drain(t, "acme") // what people do goes before what waits
	ids := b.exposureIDs(t, "acme", 30)
	require.Len(t, ids, 30)
	delegated := investigator
	delegated.Delegates = []string{"bot", "pipeline"}
	chain, alone := []any{investigator.Subject, "bot", "pipeline"}, []any{investigator.Subject}
	for i, exposure := range ids {
		actor := delegated
		if i == 0 {
			actor = investigator
		}
		b.judged(t, actor, "acknowledgeExposure", map[string]any{"exposure": exposure, "expectedVersion": 1, "justification": "because", "idempotencyKey": fmt.Sprint("k", i)})
	}
	b.drain(t, "acme")

	const document = `query($first: Int!) { organization(slug: "acme") { exposureChanges(first: $first, orderBy: {field: SEQ, direction: DESC}) {
		nodes { seq type ledgerSeq actors causedBy { actors } exposure { decision { actor actors } } } } } }`
	sent := map[int][]string{}
	for _, first := range []int{5, 25} {
		b.Statements.Reset()
		a := b.query(t, viewer, document, map[string]any{"first": first})
		require.Empty(t, a.Errors)
		sent[first] = b.Statements.Sent()
		nodes := at[[]any](t, a.Data, "organization", "exposureChanges", "nodes")
		require.Len(t, nodes, first)
		for _, node := range nodes {
			require.NotNil(t, at[map[string]any](t, node)["ledgerSeq"], node)
			require.Equal(t, chain, at[[]any](t, node, "actors"))
			require.Equal(t, chain, at[[]any](t, node, "exposure", "decision", "actors"))
			require.Equal(t, chain[0], at[string](t, node, "exposure", "decision", "actor"))
		}
	}
	require.ElementsMatch(t, sent[5], sent[25], "no statement for each of them")

	all := b.query(t, viewer, document, map[string]any{"first": 100})
	byNobody, byOne := 0, 0
	for _, node := range at[[]any](t, all.Data, "organization", "exposureChanges", "nodes") {
		switch actors := at[[]any](t, node, "actors"); {
		case at[map[string]any](t, node)["ledgerSeq"] == nil:
			require.Empty(t, actors)
			byNobody++
		case len(actors) == 1:
			require.Equal(t, alone, actors)
			byOne++
		}
	}
	require.Positive(t, byNobody, "the sync")
	require.Equal(t, 1, byOne)

	entries := b.ledger(t, auditor, `entries(first: 100, filter: {kind: ["exposure.acknowledged"]}) { nodes { actor actors } }`, nil)
	require.Empty(t, entries.Errors)
	nodes := at[[]any](t, entries.Data, "organization", "ledger", "entries", "nodes")
	require.Len(t, nodes, 30)
	for _, node := range nodes {
		require.Equal(t, at[string](t, node, "actor"), at[[]any](t, node, "actors")[0])
	}
	require.ElementsMatch(t, []any{alone, chain}, []any{at[[]any](t, nodes[0], "actors"), at[[]any](t, nodes[29], "actors")})
}

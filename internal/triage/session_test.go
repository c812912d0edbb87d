package triage_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// A session keeps its work tables, and a decision takes what a cluster is made of from
// the change before it. When what was deleted in them has become too much, they are cut
// off: by a sync, too, that then has nothing to say and fills none of them.
func TestDecisionAfterTablesWereCutOff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	pool, err := db.Open(t.Context(), d.RuntimeURL, db.Options{MaxConns: 1})
	require.NoError(t, err)
	defer pool.Close()
	d.paths = authority.New(pool, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), d.now, slog.New(slog.DiscardHandler))
	d.triage = triage.New(pool, d.paths, d.now)
	facts := setup{owner: [2]int{2, 0}, sensitivity: [2]int{2, 0}, egress: [2]int{2, 0}}.facts()
	d.say(facts...)

	clusters := func() map[string]int64 {
		snapshot := d.Snapshot()
		defer snapshot.Close(d.ctx)
		list, err := new(posture.Reader).Overview(machine, snapshot, id.Organization(slug), posture.Open)
		require.NoError(t, err)
		paths := map[string]int64{}
		for _, c := range list {
			if c.Paths > 0 {
				paths[c.Key] = c.Paths
			}
		}
		return paths
	}
	before := clusters()
	require.Contains(t, before, "llm-egress")
	require.Contains(t, before, "orphaned-sensitive")

	grow := db.Parse("test", `
-- name: grow
INSERT INTO cluster_term (cluster, version, of_workload, all_mask, any_mask) SELECT n, 1, false, 0, 0 FROM generate_series(1000, 6000) n;
DELETE FROM cluster_term WHERE cluster >= 1000;`).Get("grow")
	require.NoError(t, pool.Tenant(d.ctx, id.Organization(slug), func(tx *db.Tx) error { return tx.Script(d.ctx, grow) }))
	require.Equal(t, authority.Unchanged, d.say(facts...).Outcome)

	x := d.openOf(t, rule.Type(rule.SensitiveDomain))
	_, err = d.triage.Judge(d.ctx, id.Organization(slug), x, triage.Command{
		Action: triage.MarkFalsePositive, ExpectedVersion: 1, Reason: triage.Other, Justification: "It is none.", IdempotencyKey: "k"})
	require.NoError(t, err)
	after := clusters()
	require.NotContains(t, after, "orphaned-sensitive")
	require.Equal(t, before["llm-egress"], after["llm-egress"], "what the decision is not about stays")
}

// openOf is the one open exposure of a type.
func (d *desk) openOf(t *testing.T, of rule.Type) (key exposure.Key) {
	t.Helper()
	require.NoError(t, d.super.QueryRow(d.ctx, `SELECT path_id, type, ordinal FROM exposure WHERE organization_id = $1 AND type = $2 AND to_at IS NULL`,
		id.Organization(slug), of).Scan(&key.PathID, &key.Type, &key.Ordinal))
	return key
}

package triage_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// What the tables say of exposures is read off the ledger, and can be read off it
// again, whatever became of the tables; everything that counts it follows.
func TestRebuild(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	d.judge(keys[0], triage.Acknowledge, 1)
	d.judge(keys[1], triage.MarkFalsePositive, 1)
	d.judge(keys[2], triage.Acknowledge, 1)
	d.judge(keys[2], triage.Resolve, 2)
	picture := func() (rows []string) {
		for _, sql := range []string{
			`SELECT concat_ws(' ', path_id, type, ordinal, disposition, decided_seq, coalesce(decided_before, 0), to_at, resolution_reason) FROM exposure ORDER BY path_id, type, ordinal`,
			`SELECT concat_ws(' ', id, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity) FROM authority_path ORDER BY id`,
			`SELECT concat_ws(' ', cluster, level, class, paths, identities, workloads) FROM cluster_counter WHERE paths > 0 ORDER BY cluster, level, class`,
		} {
			found, err := d.super.Query(context.Background(), sql)
			require.NoError(t, err)
			for found.Next() {
				var row string
				require.NoError(t, found.Scan(&row))
				rows = append(rows, row)
			}
			require.NoError(t, found.Err())
		}
		return rows
	}
	whole := picture()
	before, after, err := d.triage.Rebuild(d.ctx, organization)
	require.NoError(t, err)
	require.Empty(t, before.Differences)
	require.Equal(t, before, after)
	require.Equal(t, before.Ledger, before.Tables)
	require.EqualValues(t, 3, before.Rows)

	_, err = d.super.Exec(context.Background(), `UPDATE exposure SET disposition = 1, decided_seq = NULL, decided_before = NULL, to_at = NULL, resolution_reason = NULL WHERE decided_seq IS NOT NULL`)
	require.NoError(t, err)
	_, err = d.super.Exec(context.Background(), `UPDATE exposure SET disposition = 3 WHERE path_id = $1 AND type = $2`, keys[3].PathID, keys[3].Type)
	require.NoError(t, err)
	before, after, err = d.triage.Rebuild(d.ctx, organization)
	require.NoError(t, err)
	require.Len(t, before.Differences, 4)
	require.NotEqual(t, before.Ledger, before.Tables)
	require.Empty(t, after.Differences)
	require.Equal(t, before.Ledger, after.Tables)
	require.Equal(t, whole, picture())
	d.holds(slug)
}

func TestRebuildNeedsAccess(t *testing.T) {
	t.Parallel()
	d, _ := pile(t)
	_, _, err := d.triage.Rebuild(d.as("viewer", access.View, access.Investigate, access.Audit), organization)
	require.ErrorContains(t, err, "vuln:operate")
	_, _, err = d.triage.Rebuild(access.With(context.Background(), access.Actor{Subject: "eve", Organizations: []string{"rival"}, Scopes: access.Scopes}), organization)
	require.Equal(t, access.OrganizationNotFound(), err)
	_, _, err = d.triage.Rebuild(d.ctx, id.Organization("nowhere"))
	require.Error(t, err)
}

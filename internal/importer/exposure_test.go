package importer_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// TestManifestsProveNoAbsence: a manifest says neither who owns a workload nor
// whether it ever ran, and where nobody looked nothing is absent, however long
// one waits.
func TestManifestsProveNoAbsence(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "expected", "kubernetes"), "[a-z]*.json"))
	require.NoError(t, err)
	require.Len(t, files, 23)
	c := newCluster(t)
	super := c.Super(t)
	effective := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		report, expected := c.group(t, authority.SyncRequest{Organization: "everything", System: name, ObservedAt: now.Add(-200 * 24 * time.Hour)}, name)
		before := effective
		for _, p := range expected.Paths {
			if p.Effective {
				effective++
			}
		}
		require.GreaterOrEqual(t, report.Exposures.Opened, effective-before, name)
	}
	check := func() {
		rows, err := super.Query(t.Context(), `SELECT type, count(*)::int AS count FROM exposure GROUP BY type`)
		require.NoError(t, err)
		type counted struct {
			Type  rule.Type
			Count int
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[counted])
		require.NoError(t, err)
		byType := map[rule.Type]int{}
		for _, one := range list {
			byType[one.Type] = one.Count
		}
		require.Zero(t, byType[rule.OrphanedPath])
		require.Zero(t, byType[rule.DormantPath])
		require.Zero(t, byType[rule.UnprovenPath])
		require.Zero(t, byType[rule.ExcessPrivilege])
		require.Equal(t, effective, byType[rule.UnknownOwnership])
		require.NotZero(t, byType[rule.SensitiveReach])
	}
	check()
	var bare int
	require.NoError(t, super.QueryRow(t.Context(), `SELECT count(*) FROM authority_path p WHERE p.status = 'active' AND p.effective AND NOT EXISTS
		(SELECT FROM exposure x WHERE x.path_id = p.id AND x.type = $1 AND x.to_at IS NULL)`, rule.UnknownOwnership).Scan(&bare))
	require.Zero(t, bare, "every effective path has it")
	var ignored int
	require.NoError(t, super.QueryRow(t.Context(), `SELECT count(*) FROM exposure x JOIN authority_path p ON p.id = x.path_id WHERE NOT p.effective`).Scan(&ignored))
	require.Zero(t, ignored)

	_, err = c.paths.Reevaluate(c.ctx, id.Organization("everything"), authority.ByTime, nil) // two hundred days later
	require.NoError(t, err)
	check()
}

package posture_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// TestDiffPredicatesAlone asks every statement before and after another organization
// moved in with the same rows, with row level security off.
func TestDiffPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	rival := id.Organization("rival")
	tables := []string{"evaluation", "sync", "exposure", "posture_counter", "posture_counter_version", "identity_posture", "cluster_counter", "cluster_counter_version", "ledger_head", "ledger_entry"}
	for _, table := range tables {
		s.exec(t, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
	s.exec(t, `UPDATE exposure SET to_at = greatest(version_from, effective_from) + interval '1 day', resolution_reason = 'manual'
		WHERE ctid = (SELECT min(ctid) FROM exposure WHERE to_at IS NULL)`)
	early, late := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	between := pgx.StrictNamedArgs{"from_at": early, "to_at": late}
	samples := map[string]pgx.StrictNamedArgs{
		"sums_at": {"ats": []time.Time{early, late}, "all_classes": posture.AllClasses}, "beginning": {},
		"sums_now":       {"all_classes": posture.AllClasses},
		"causes":         {"from_at": early, "to_at": late, "resolved": "exposure.resolved"},
		"opened_between": between, "resolved_between": between,
		"history": {"clusters": []int16{1, 5}, "levels": []int16{2, 2}, "ats": []time.Time{early, late}, "all_classes": posture.AllClasses},
	}
	ask := func() map[string][]string {
		answers := map[string][]string{}
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		for _, query := range posture.DiffQueries.All() {
			args, ok := samples[strings.TrimPrefix(query.Name, "posture.diff.")]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			found, err := db.Column[string](s.ctx, snapshot.Of(s.organization), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, found, "%s: no answer proves nothing", query.Name)
			slices.Sort(found)
			answers[query.Name] = found
		}
		return answers
	}
	before := ask()
	for _, table := range tables {
		s.exec(t, `INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, s.organization)
	}
	for _, statement := range []string{
		`UPDATE evaluation SET at = at - interval '1 year'`, `UPDATE sync SET at = at + interval '1 year'`, `UPDATE posture_counter SET paths = paths + 7`,
		`UPDATE identity_posture SET autonomous = NOT autonomous`,
		`UPDATE cluster_counter SET paths = paths + 7`,
	} {
		s.exec(t, statement+` WHERE organization_id = $1`, rival)
	}
	require.Equal(t, before, ask())
}

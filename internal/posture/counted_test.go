package posture_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// Every mention of a table of organizations has its predicate.
func TestCountedTablesHaveTheirPredicate(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\b(?:FROM|JOIN)\s+(authority_path|authority_path_version|workload_exposure|identity_posture|entity|entity_version)\s+([a-z]+)\b`)
	mentions := 0
	for _, query := range posture.CountedQueries.All() {
		byAlias := map[string]int{}
		for _, m := range mention.FindAllStringSubmatch(query.SQL, -1) {
			byAlias[m[2]]++
			mentions++
		}
		for alias, want := range byAlias {
			predicate := regexp.MustCompile(`\b` + alias + `\.organization_id = @organization\b`)
			require.Len(t, predicate.FindAllString(query.SQL, -1), want, "%s: predicates of %q", query.Name, alias)
		}
	}
	require.Greater(t, mentions, 10)
}

// TestCountedPredicatesAlone is TestReadPredicatesAlone for what a posture counts:
// every statement, with whatever condition it can have.
func TestCountedPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	rival := id.Organization("rival")
	tables := []string{"authority_path", "authority_path_version", "workload_exposure", "identity_posture", "entity", "entity_version"}
	for _, table := range tables {
		s.exec(t, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
	s.exec(t, `UPDATE workload_exposure SET own_executions = 3 WHERE live`)
	s.exec(t, `UPDATE entity SET execution_mode = 'autonomous' WHERE kind = 'workload'`)
	s.exec(t, `UPDATE authority_path SET execution_30d = 2, version = 2, from_at = from_at + interval '1 hour'`)
	s.exec(t, `INSERT INTO identity_posture (organization_id, identity_id, class, paths, effective_paths, dormant_paths, executed_paths, autonomous, executions)
		SELECT organization_id, identity_id, -1, count(*), count(*), 0, count(*), true, 5 FROM authority_path WHERE identity_id IS NOT NULL GROUP BY 1, 2`)
	s.exec(t, `INSERT INTO authority_path_version (organization_id, id, version, from_at, to_at, sync_version, status, effective, role_ids, actions, auth_chain_depth,
			composition_hash, class, sensitivity, ownership_status, egress_category)
		SELECT organization_id, id, 1, from_at - interval '1 hour', from_at, 1, 'removed', effective, role_ids, actions, auth_chain_depth, composition_hash, class, sensitivity,
			ownership_status, egress_category FROM authority_path`)
	ask := func() map[string][]string {
		answers := map[string][]string{}
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		for _, query := range posture.CountedQueries.All() {
			if query.Name == "posture.counted.page" || query.Name == "posture.counted.total" {
				continue // around the others
			}
			args := pgx.StrictNamedArgs{}
			if regexp.MustCompile(`@since`).MatchString(query.SQL) {
				args["since"] = epoch.Add(-10 * 365 * 24 * time.Hour)
			}
			whole := db.Query{Name: query.Name, SQL: "SELECT to_jsonb(q)::text FROM (" + query.With("condition", "true").SQL + ") q"}
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
		`UPDATE entity SET execution_mode = NULL`, `UPDATE authority_path SET from_at = from_at + interval '1 day', execution_30d = NULL`,
		`UPDATE authority_path_version SET status = 'active', execution_30d = 9, version = 0`, `UPDATE workload_exposure SET own_executions = 9`, `UPDATE identity_posture SET executions = 9`,
	} {
		s.exec(t, statement+` WHERE organization_id = $1`, rival)
	}
	require.Equal(t, before, ask())
}

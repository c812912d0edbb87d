package exposure_test

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// column reads a list by hand.
func column[T any](t *testing.T, s *scene, sql string) []T {
	t.Helper()
	rows, err := s.super.Query(context.Background(), sql)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return list
}

// run changes something by hand.
func run(t *testing.T, s *scene, sql string, args ...any) {
	t.Helper()
	_, err := s.super.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// eventful has w1 with an unused power, a host outside and a role that it gained,
// and w2 without a known identity.
func eventful(t *testing.T) *scene {
	t.Helper()
	s := newScene(t)
	before := with(path("restricted", "delete", "get"), covered(record.Ownership, record.Binding, record.EgressObs, record.Roles),
		record.Coverage{Kind: record.Execution, From: s.now().AddDate(0, 0, -200)}, owner("ada", record.Disabled), ownedBy("w1", "ada"),
		egress("w1", "a.example", record.EgressExternal), ran(s.now().AddDate(0, 0, -1), "wir", "get"), workload("w2"),
		edge(record.Declares, ref(record.Workload, "w2"), ref(record.Resource, "ledger"), "", "get"))
	s.say(before...)
	s.say(with(before, record.Entity{Ref: ref(record.Role, "admin")}, edge(record.HasRole, ref(record.Identity, "i1"), ref(record.Role, "admin"), "*"),
		edge(record.Grants, ref(record.Role, "admin"), ref(record.Resource, "ledger"), "*", "admin"))...)
	return s
}

// explained is everything that explanations say of an organization.
func (s *scene) explained(t *testing.T, reader *exposure.Reader) map[string]any {
	t.Helper()
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	paths := column[id.ID](t, s, `SELECT id FROM authority_path WHERE organization_id = '`+organization.String()+`' ORDER BY id`)
	latest, err := reader.LatestByPaths(s.ctx, snapshot, organization, paths)
	require.NoError(t, err)
	var keys []exposure.Key
	var carried []exposure.CarrierKey
	for _, x := range latest {
		keys, carried = append(keys, x.Key), append(carried, exposure.CarrierKey{Workload: x.WorkloadID, Type: x.Type})
	}
	standings, err := reader.StandingsByExposures(s.ctx, snapshot, organization, keys)
	require.NoError(t, err)
	explanations, err := reader.Explanations(s.ctx, snapshot, organization, standings)
	require.NoError(t, err)
	verdicts, err := reader.Verdicts(s.ctx, snapshot, organization, paths)
	require.NoError(t, err)
	carriers, err := reader.CarriersOf(s.ctx, snapshot, organization, carried)
	require.NoError(t, err)
	answers := map[string]any{}
	put := func(name string, value any) {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		answers[name] = string(text)
	}
	put("latest", latest)
	for k, asked := range explanations {
		put("explanation of "+k.PathID.String()+rule.Define(rule.Rule(k.Type)).Key, asked)
	}
	for p, v := range verdicts {
		put("verdicts on "+p.String(), v)
	}
	for k, c := range carriers {
		put("carriers in "+k.Workload.String()+rule.Define(rule.Rule(k.Type)).Key, c)
	}
	return answers
}

// What an explanation refers to is on record: each kind of record is referred to.
func TestExplanationsReferToRecords(t *testing.T) {
	t.Parallel()
	s := eventful(t)
	reader, snapshot := &exposure.Reader{}, s.Snapshot()
	defer snapshot.Close(s.ctx)
	paths := column[id.ID](t, s, `SELECT id FROM authority_path`)
	latest, err := reader.LatestByPaths(s.ctx, snapshot, organization, paths)
	require.NoError(t, err)
	var keys []exposure.Key
	types := map[rule.Type]bool{}
	for _, x := range latest {
		keys = append(keys, x.Key)
		types[x.Type] = true
	}
	for _, want := range []rule.Type{rule.OrphanedPath, rule.SensitiveReach, rule.UnboundPath, rule.ScopeExpansion, rule.ExcessPrivilege, rule.ExternalEgressing} {
		require.True(t, types[want], rule.Define(rule.Rule(want)).Key)
	}
	standings, err := reader.StandingsByExposures(s.ctx, snapshot, organization, keys)
	require.NoError(t, err)
	explanations, err := reader.Explanations(s.ctx, snapshot, organization, standings)
	require.NoError(t, err)
	kinds := map[exposure.RecordKind]bool{}
	for k, asked := range explanations {
		predicates := make([]rule.Predicate, len(asked))
		for i, a := range asked {
			predicates[i] = a.Predicate
			for _, r := range a.Records {
				require.NotEqual(t, id.Nil, r.ID)
				kinds[r.Kind] = true
			}
			if a.Name == "unused_unjustified_actions" {
				require.Equal(t, []string{"admin", "delete"}, a.Found.List)
				require.Equal(t, rule.Complete, a.Coverage.State)
				require.Equal(t, s.now().AddDate(0, 0, -200).Truncate(24*time.Hour), a.Coverage.Since.UTC().Truncate(24*time.Hour))
			}
		}
		require.Equal(t, rule.True, rule.Holding(predicates), rule.Define(rule.Rule(k.Type)).Key)
	}
	for _, kind := range []exposure.RecordKind{exposure.RecordWorkload, exposure.RecordIdentity, exposure.RecordResource, exposure.RecordOwner, exposure.RecordPath,
		exposure.RecordTie, exposure.RecordEgress, exposure.RecordExecution, exposure.RecordCoverage, exposure.RecordBaseline} {
		require.True(t, kinds[kind], kind)
	}

	// Whoever may not view the organization is told nothing.
	for name, read := range map[string]func(context.Context) error{
		"explanations": func(ctx context.Context) error {
			_, err := reader.Explanations(ctx, snapshot, organization, standings)
			return err
		},
		"verdicts": func(ctx context.Context) error {
			_, err := reader.Verdicts(ctx, snapshot, organization, paths)
			return err
		},
		"latest": func(ctx context.Context) error {
			_, err := reader.LatestByPaths(ctx, snapshot, organization, paths)
			return err
		},
		"carriers": func(ctx context.Context) error {
			_, err := reader.CarriersOf(ctx, snapshot, organization, nil)
			return err
		},
	} {
		err := read(access.With(context.Background(), access.Actor{Subject: "eve", Scopes: access.Scopes, Organizations: []string{"rival"}}))
		require.Equal(t, access.OrganizationNotFound(), err, name)
		err = read(access.With(context.Background(), access.Actor{Subject: "bob", Organizations: []string{slug}}))
		require.Equal(t, problem.Denied, problem.KindOf(err), name)
	}
}

// TestExplainPredicatesAlone is TestReadPredicatesAlone for explanations.
func TestExplainPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := eventful(t)
	rival := id.Organization("rival")
	tables := column[string](t, s, `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`)
	for _, table := range tables {
		run(t, s, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
	run(t, s, `SET session_replication_role = replica`) // an organization that nobody founded
	before := s.explained(t, &exposure.Reader{})
	require.Greater(t, len(before), 10)
	for _, table := range tables {
		run(t, s, `INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, organization)
	}
	for _, statement := range []string{
		`UPDATE exposure SET explanation = 'foreign', disposition = 4`, `UPDATE condition SET evidence = '{}'`, `UPDATE coverage SET complete = false`,
		`UPDATE authority_path SET sensitivity = 0, identity_id = NULL`, `UPDATE entity SET status = 'disabled', first_seen_at = first_seen_at - interval '1 year'`,
		`UPDATE egress SET host = 'foreign'`, `UPDATE evidence SET action = 'foreign', day = day + 1`, `UPDATE edge SET scope = 'foreign'`,
		`UPDATE scope_baseline SET at = at - interval '1 year'`, `UPDATE organization_window SET window_at = window_at + interval '1 year'`,
		`UPDATE source SET last_complete_at = last_complete_at - interval '1 year'`,
	} {
		run(t, s, statement+` WHERE organization_id = $1`, rival)
	}
	require.Equal(t, before, s.explained(t, &exposure.Reader{}))
}

// TestExplainTablesHaveTheirPredicate is TestReadTablesHaveTheirPredicate for
// explanations, whatever they take in.
func TestExplainTablesHaveTheirPredicate(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\b(?:FROM|JOIN)\s+(exposure|condition|authority_path|authority_path_version|setting|organization_window|scope_baseline|privilege_justification|entity|edge|egress|coverage|source|evidence)\s+([a-z]+)\b`)
	mentions := 0
	for _, query := range exposure.ExplainQueries() {
		byAlias := map[string]int{}
		for _, m := range mention.FindAllStringSubmatch(query.SQL, -1) {
			byAlias[m[2]]++
			mentions++
		}
		for alias, want := range byAlias {
			predicate := regexp.MustCompile(`\b` + alias + `\.organization_id = @organization\b`)
			require.GreaterOrEqual(t, len(predicate.FindAllString(query.SQL, -1)), want, "%s: predicates of %q", query.Name, alias)
		}
		require.NotContains(t, query.SQL, "INSERT", query.Name)
	}
	require.Greater(t, mentions, 40)
	names := []string{}
	for _, query := range exposure.ExplainQueries() {
		names = append(names, query.Name)
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), len(names))
}

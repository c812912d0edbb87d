package exposure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// What people do about a workload, and what becomes of its exposures.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const graphRouter = "AzureGraphRouterNoOwner"
	base := func(sensitivity string, more ...any) []record.Fact {
		return with([]record.Fact{
			workload(graphRouter), record.Entity{Ref: ref(record.Identity, "SP-61c1fe")}, record.Entity{Ref: ref(record.Role, "Directory.ReadWrite.All")},
			record.Entity{Ref: ref(record.Resource, "Microsoft Graph"), Sensitivity: sensitivity, DataDomain: "identity_platform"},
			runsAs(graphRouter, "SP-61c1fe"), egress(graphRouter, "graph.microsoft.com", record.EgressExternal),
			edge(record.Grants, ref(record.Role, "Directory.ReadWrite.All"), ref(record.Resource, "Microsoft Graph"), "*", "Directory.Read.All"),
			record.Coverage{Kind: record.Ownership}, record.Coverage{Kind: record.EgressObs}, record.Coverage{Kind: record.Execution, From: epoch.Add(-day)},
		}, more...)
	}
	granted := edge(record.HasRole, ref(record.Identity, "SP-61c1fe"), ref(record.Role, "Directory.ReadWrite.All"), "*")
	owned := []record.Fact{owner("maint", record.Active), ownedBy(graphRouter, "maint")}
	executed := record.Evidence{Workload: &record.Ref{Kind: record.Workload, SourceID: graphRouter}, Day: epoch.Truncate(day).Add(9 * day), Count: 3}

	s.say(base("high", granted)...)
	s.wait(8 * day)
	require.Equal(t, []string{"1 critical"}, s.exposures(rule.OrphanedPath))
	require.Equal(t, []string{"1 high"}, s.exposures(rule.UnprovenPath))
	require.Equal(t, []string{"1 high"}, s.exposures(rule.ExternalEgressing))
	require.Equal(t, []string{"1 medium"}, s.exposures(rule.SensitiveReach))

	s.advance(2 * day)
	s.say(base("high", granted, owned)...) // an owner is assigned: the others are conditions of their own
	require.Equal(t, []string{"1 critical owner_assigned"}, s.exposures(rule.OrphanedPath))
	require.Equal(t, []string{"1 high"}, s.exposures(rule.UnprovenPath))
	s.say(base("high", granted, owned, executed)...)
	require.Equal(t, []string{"1 high evidence_appeared"}, s.exposures(rule.UnprovenPath))
	s.say(base("internal", granted, owned)...)
	require.Equal(t, []string{"1 medium sensitivity_reclassified"}, s.exposures(rule.SensitiveReach))
	require.Equal(t, []string{"1 medium"}, s.exposures(rule.ExternalEgressing), "less grave where nothing sensitive is reached")
	s.say(base("internal", owned)...) // the identity loses its role
	require.Equal(t, []string{"1 medium path_removed"}, s.exposures(rule.ExternalEgressing))
	s.say(base("internal", granted, owned)...)
	require.Equal(t, []string{"1 medium path_removed", "2 medium"}, s.exposures(rule.ExternalEgressing))

	// What the external egress was before is kept, interval by interval.
	var severities []int16
	rows, err := s.super.Query(s.ctx, `SELECT severity FROM exposure_version WHERE type = $1 AND ordinal = 1 ORDER BY version`, rule.ExternalEgressing)
	require.NoError(t, err)
	severities, err = pgx.CollectRows(rows, pgx.RowTo[int16])
	require.NoError(t, err)
	require.Equal(t, []int16{int16(rule.High)}, severities)
}

// A rotation of the identity links what was exposed before to what is after.
func TestRotationCarriesTheExposureOn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := func(identity string) []record.Fact {
		return []record.Fact{
			workload("w1"), record.Entity{Ref: ref(record.Identity, identity)}, record.Entity{Ref: ref(record.Role, "reader")},
			record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: "restricted"}, runsAs("w1", identity),
			edge(record.HasRole, ref(record.Identity, identity), ref(record.Role, "reader"), "*"),
			edge(record.Grants, ref(record.Role, "reader"), ref(record.Resource, "ledger"), "*", "get"),
		}
	}
	s.say(base("old")...)
	began := s.now()
	s.advance(47 * day)
	s.say(base("new")...)
	require.Equal(t, []string{"1 high rotated_to_successor", "1 high"}, s.exposures(rule.SensitiveReach))
	var lineageFrom, effectiveFrom time.Time
	require.NoError(t, s.super.QueryRow(s.ctx, `SELECT lineage_from, effective_from FROM exposure WHERE type = $1 AND to_at IS NULL`, rule.SensitiveReach).
		Scan(&lineageFrom, &effectiveFrom))
	require.WithinDuration(t, began, lineageFrom, 0)
	require.WithinDuration(t, s.now(), effectiveFrom, 0)
}

func TestWorkloadRemoved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.say(path("restricted", "get")...)
	s.say(record.Entity{Ref: ref(record.Identity, "i1")})
	require.Equal(t, []string{"1 high workload_removed"}, s.exposures(rule.SensitiveReach))
	require.Equal(t, []string{"1 medium workload_removed"}, s.exposures(rule.UnknownOwnership))
	var open int
	require.NoError(t, s.super.QueryRow(s.ctx, `SELECT count(*) FROM condition WHERE to_at IS NULL`).Scan(&open))
	require.Zero(t, open)
}

// Authority that the target system ignores is shown, and is no exposure.
func TestIneffectivePathIsNotExposed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	facts := path("restricted", "get")
	s.say(facts...)
	ignored := facts[len(facts)-1].(record.Edge)
	ignored.Ineffective = true
	s.say(append(slices.Clone(facts[:len(facts)-1]), ignored)...)
	require.Equal(t, []string{"1 high path_ineffective"}, s.exposures(rule.SensitiveReach))
}

func TestRuleChangedAndRetired(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("restricted", "get"), covered(record.Ownership))
	s.say(base...)
	require.Equal(t, []string{"1 critical"}, s.exposures(rule.OrphanedPath))

	next := slices.Clone(rule.Definitions)
	next[0].Version++
	s.paths = s.service(next)
	s.tuner = nil
	s.say(with(path("restricted", "get", "list"), covered(record.Ownership))...) // judged by the next version: the same finding
	require.Equal(t, []string{"1 critical"}, s.exposures(rule.OrphanedPath))
	var version int
	require.NoError(t, s.super.QueryRow(s.ctx, `SELECT rule_version FROM condition WHERE rule = 1 AND to_at IS NULL`).Scan(&version))
	require.Equal(t, next[0].Version, version)

	next = slices.Clone(next)
	next[0].Version++
	s.paths = s.service(next)
	s.say(with(path("restricted", "get"), covered(record.Ownership), owner("Ann", record.Active), ownedBy("w1", "Ann"))...)
	require.Equal(t, []string{"1 critical rule_changed"}, s.exposures(rule.OrphanedPath), "nobody can tell which of the two it was")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("confidential", "get"), record.Coverage{Kind: record.Execution, From: epoch.Add(-100 * day)}, covered(record.Binding))
	s.say(base...)
	s.wait(30 * day)
	require.Empty(t, s.exposures(rule.DormantPath))

	settings := rule.Defaults()
	settings.DormantAfter = 20 * day
	changed, evaluation, err := s.tuner.Change(s.ctx, organization, 0, settings)
	require.NoError(t, err)
	require.Equal(t, 1, changed.Version)
	require.Equal(t, authority.ExposureCounts{Opened: 1}, evaluation.Exposures)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.DormantPath))

	settings.DormantAfter = 60 * day
	settings.DisabledRules = []rule.Rule{rule.SensitiveDomain, rule.SensitiveDomain}
	changed, _, err = s.tuner.Change(s.ctx, organization, 1, settings)
	require.NoError(t, err)
	require.Equal(t, []rule.Rule{rule.SensitiveDomain}, changed.DisabledRules)
	require.Equal(t, []string{"1 high settings_changed"}, s.exposures(rule.DormantPath))
	require.Equal(t, []string{"1 medium rule_retired"}, s.exposures(rule.SensitiveReach))

	settings.DisabledRules = nil
	_, _, err = s.tuner.Change(s.ctx, organization, 2, settings)
	require.NoError(t, err)
	require.Equal(t, []string{"1 medium rule_retired", "2 medium"}, s.exposures(rule.SensitiveReach))

	_, _, err = s.tuner.Change(s.ctx, organization, 2, settings)
	require.Equal(t, problem.Conflict, problem.KindOf(err))
	settings.SharedWorkloads = 1
	_, _, err = s.tuner.Change(s.ctx, organization, 3, settings)
	require.ErrorContains(t, err, "sharedWorkloads is 1; it takes 2 to 1000000")
}

// Nothing is judged before anything is there.
func TestReevaluationOfNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, err := s.super.Exec(s.ctx, `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, now())`, organization, slug)
	require.NoError(t, err)
	evaluation := s.wait(day)
	require.Zero(t, *evaluation)
}

// A false positive is inherited where the evidence is the same, and nowhere else.
func TestFalsePositiveIsInherited(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	dispositions := func() (list []int16) {
		rows, err := s.super.Query(s.ctx, `SELECT disposition FROM exposure WHERE type = $1 ORDER BY ordinal`, rule.SensitiveReach)
		require.NoError(t, err)
		list, err = pgx.CollectRows(rows, pgx.RowTo[int16])
		require.NoError(t, err)
		return list
	}
	s.say(path("restricted", "get")...)
	_, err := s.super.Exec(s.ctx, `UPDATE exposure SET disposition = 4 WHERE type = $1`, rule.SensitiveReach)
	require.NoError(t, err)
	s.say(path("internal", "get")...)
	s.say(path("restricted", "get")...)
	require.Equal(t, []int16{4, 4}, dispositions())
	s.say(path("internal", "get")...)
	s.say(path("restricted", "delete", "get")...)
	require.Equal(t, []int16{4, 4, 1}, dispositions())
}

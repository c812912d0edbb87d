package demo_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/demo"
	"github.com/exposuregraph/exposuregraph/internal/demo/teller"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/witness"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// world is an organization to which the history was told.
type world struct {
	*dbtest.Database
	ctx   context.Context
	super *pgx.Conn
	past  *witness.Memory
}

func tell(t *testing.T) world {
	t.Helper()
	database := dbtest.New(t)
	ctx := access.With(t.Context(), access.Actor{Subject: "demo", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	assessor := exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions))
	people := teller.New(database.DB, assessor, "demo")
	w := world{Database: database, ctx: ctx, super: database.Super(t), past: &witness.Memory{Database: database.DB, Organization: id.Organization("demo"), EachStep: true}}
	for _, step := range demo.History(base) {
		w.tell(t, people, assessor, step)
		require.NoError(t, w.past.Remember(ctx, step.At))
	}
	return w
}

func (w world) tell(t *testing.T, people *teller.Teller, assessor authority.Assessor, step demo.Step) {
	t.Helper()
	if step.Decision != nil {
		for range 2 { // what was told is not told again
			require.NoError(t, people.Decide(w.ctx, step.At, step.Decision))
		}
		return
	}
	now := func() time.Time { return step.At }
	service := authority.New(w.DB, assessor, now, slog.New(slog.DiscardHandler)).WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	if step.Delivery == nil {
		evaluation, err := service.Reevaluate(w.ctx, id.Organization("demo"), authority.ByTime, nil)
		require.NoError(t, err)
		require.Equal(t, step.At, evaluation.At.UTC())
		return
	}
	report, err := teller.Deliver(w.ctx, importer.New(service, now), step.Delivery, authority.SyncRequest{Organization: "demo", CreateOrganization: true})
	require.NoError(t, err)
	require.Empty(t, report.Rejections, step.Delivery.Name())
	require.Empty(t, report.Warnings, step.Delivery.Name())
	require.Equal(t, step.At, report.At.UTC(), step.Delivery.Name())
}

func column[T any](t *testing.T, w world, sql string, args ...any) []T {
	t.Helper()
	rows, err := w.super.Query(w.ctx, sql, args...)
	require.NoError(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return values
}

func one[T any](t *testing.T, w world, sql string, args ...any) T {
	t.Helper()
	values := column[T](t, w, sql, args...)
	require.Len(t, values, 1, sql)
	return values[0]
}

// TestDemo tells the history once and looks at what the server made of it. The
// cases are named after the features that they show.
func TestDemo(t *testing.T) {
	t.Parallel()
	w := tell(t)
	snapshot := w.Snapshot()
	t.Cleanup(func() { snapshot.Close(context.Background()) })
	now, err := (&posture.Reader{}).Posture(w.ctx, snapshot, id.Organization("demo"), nil)
	require.NoError(t, err)
	clusters, err := (&posture.Reader{}).Overview(w.ctx, snapshot, id.Organization("demo"), posture.Acknowledged)
	require.NoError(t, err)
	members := map[string]int64{}
	for _, c := range clusters {
		if c.Paths > 0 {
			members[c.Key] = c.Paths
		}
	}

	t.Run("the past", func(t *testing.T) {
		at, contradictions, err := w.past.Contradictions(w.ctx)
		require.NoError(t, err)
		require.Empty(t, contradictions, "as of %s", at)
	})

	t.Run("C89/what there is", func(t *testing.T) {
		living := func(kind string) int {
			return one[int](t, w, `SELECT count(*)::int FROM entity WHERE kind = $1 AND status <> 'removed'`, kind)
		}
		require.Equal(t, 9, living("workload"))
		require.Equal(t, 5, living("identity"))
		require.Equal(t, 17, living("resource"))
		require.GreaterOrEqual(t, one[int](t, w, `SELECT count(*)::int FROM evidence`), 26)
		require.GreaterOrEqual(t, len(members), 6, "%v", members)
	})

	t.Run("C90/execution modes", func(t *testing.T) {
		mode := `SELECT external_id FROM entity WHERE kind = 'workload' AND execution_mode = $1`
		require.Equal(t, []string{"wl-sec-logger"}, column[string](t, w, mode, "operator_assisted"))
		require.Equal(t, []string{"wl-hr-export"}, column[string](t, w, mode, "human_triggered"))
		require.ElementsMatch(t, []string{"wl-invoice-rule", "wl-azure-graph-router-no-owner"}, column[string](t, w, mode, "triggered"))
	})

	t.Run("C91/two identities", func(t *testing.T) {
		require.Equal(t, []string{"svc-etl", "svc-etl-staging"}, column[string](t, w, `
			SELECT i.name FROM workload_exposure x
			JOIN entity w ON w.id = x.workload_id AND w.external_id = 'wl-data-pipeline'
			CROSS JOIN unnest(x.identity_ids) WITH ORDINALITY AS t(id, n) JOIN entity i ON i.id = t.id
			ORDER BY t.n`))
		require.ElementsMatch(t, []string{"svc-etl", "svc-etl-staging"}, column[string](t, w, `
			SELECT DISTINCT i.name FROM authority_path p JOIN entity w ON w.id = p.workload_id JOIN entity i ON i.id = p.identity_id
			WHERE w.external_id = 'wl-data-pipeline' AND p.status = 'active'`))
	})

	t.Run("C92/names for people", func(t *testing.T) {
		require.Empty(t, column[string](t, w, `SELECT kind || ' ' || external_id FROM entity WHERE name = external_id OR name = ''`))
	})

	t.Run("C93/the overview", func(t *testing.T) {
		between := func(least, most, n int64, what string) {
			t.Helper()
			require.GreaterOrEqual(t, n, least, what)
			require.LessOrEqual(t, n, most, what)
		}
		between(3, 5, now.ActiveAutonomous, "autonomous identities")
		between(1, 2, now.DormantIdentities, "dormant authority")
		between(3, 4, now.Autonomous, "autonomous")
		between(1, 2, now.OperatorAssisted, "operator assisted")
		between(1, 1, now.HumanTriggered, "human triggered")
		require.EqualValues(t, 9, now.Workloads)
		require.Equal(t, now.Workloads, now.Autonomous+now.OperatorAssisted+now.HumanTriggered+now.Unclassified)
		require.Equal(t, base, now.At.UTC())
	})

	t.Run("C94/deltas", func(t *testing.T) {
		delta := now.Delta()
		require.NotNil(t, delta)
		require.False(t, delta.Since.At.After(base.AddDate(0, 0, -7)))
		for what, n := range map[string]*int64{
			"new paths": delta.NewPaths, "removed paths": delta.RemovedPaths, "newly orphaned": delta.NewOrphaned,
			"ownership invalidations": delta.OwnershipInvalidations, "new autonomous identities": delta.NewAutonomousIdentities,
		} {
			require.NotNil(t, n, what)
			require.Positive(t, *n, what)
		}
		since := one[int](t, w, `SELECT count(*)::int FROM sync WHERE at > $1`, base.AddDate(0, 0, -7))
		require.GreaterOrEqual(t, since, 2)
		require.Greater(t, one[int](t, w, `SELECT count(*)::int FROM sync`), since+1)
	})

	t.Run("what an analyst finds", func(t *testing.T) {
		require.Equal(t, []string{
			"dormant-external", "drifted-sensitive", "internet-facing-sensitive", "llm-egress", "orphaned-external", "orphaned-sensitive", "overprivileged-egress",
			"shared-sensitive", "standing-sensitive", "unaccountable-sensitive", "unbound-sensitive", "weak-ownership-drift",
		}, column[string](t, w, `SELECT unnest($1::text[]) ORDER BY 1`, keys(members)))
		require.Equal(t, []string{"ambiguous", "degraded", "orphaned", "valid"},
			column[string](t, w, `SELECT DISTINCT ownership_status FROM workload_exposure WHERE live ORDER BY 1`))
		require.Equal(t, []string{"id-sp-hr-export", "id-svc-etl-staging"}, column[string](t, w, `
			SELECT i.external_id FROM identity_posture p JOIN entity i ON i.id = p.identity_id
			WHERE p.class = -1 AND p.effective_paths > 0 AND p.dormant_paths = p.effective_paths ORDER BY 1`))
		require.Equal(t, []string{"client_credentials", "oauth2"}, column[string](t, w, `
			SELECT protocol FROM edge WHERE kind = 'authenticates' AND target_system = 'entra_id' ORDER BY 1`))
		require.Equal(t, []string{"wl-sec-logger"}, column[string](t, w, `
			SELECT w.external_id FROM workload_exposure x JOIN entity w ON w.id = x.workload_id
			WHERE x.listed AND x.paths = 0 AND cardinality(x.identity_ids) = 0`), "findings without a path")
	})

	t.Run("what happened", func(t *testing.T) {
		require.Equal(t, 3, one[int](t, w, `SELECT count(*)::int FROM identity_rotation WHERE at = $1`, base.AddDate(0, 0, -49).Add(10*time.Hour)))
		again := column[string](t, w, `
			SELECT r.external_id FROM exposure x
			JOIN authority_path p ON p.id = x.path_id AND p.status = 'active'
			JOIN entity w ON w.id = p.workload_id AND w.external_id = 'wl-azure-graph-router-no-owner'
			JOIN entity r ON r.id = p.resource_id
			JOIN exposure b ON b.path_id = x.path_id AND b.type = x.type AND b.ordinal = 1 AND b.resolution_reason = 'owner_assigned'
			WHERE x.type = $1 AND x.ordinal = 2 AND x.to_at IS NULL ORDER BY 1`, rule.OrphanedPath)
		require.Equal(t, []string{"res-cmdb", "res-incident-table", "res-microsoft-graph", "res-signin-logs"}, again)
		require.Equal(t, 3, one[int](t, w, `
			SELECT count(*)::int FROM authority_path p JOIN entity r ON r.id = p.resource_id
			WHERE r.external_id = 'res-entra-directory' AND p.status = 'removed' AND p.removed_at = $1`, base.AddDate(0, 0, -3).Add(13*time.Hour)))
		require.Equal(t, []string{"res-lake-curated"}, column[string](t, w, `
			SELECT r.external_id FROM exposure x JOIN authority_path p ON p.id = x.path_id JOIN entity r ON r.id = p.resource_id
			WHERE x.resolution_reason = 'sensitivity_reclassified'`))
	})

	t.Run("what the outside sees", func(t *testing.T) { outside(t, w, members) })

	t.Run("what people decided", func(t *testing.T) { decided(t, w, clusters) })

	t.Run("the counters hold", func(t *testing.T) {
		report, err := invariant.Check(w.ctx, snapshot, &org.Organization{ID: id.Organization("demo"), Slug: "demo"}, posture.Definitions)
		require.NoError(t, err)
		for _, result := range report.Checks {
			require.Empty(t, result.First, result.Check)
		}
		require.True(t, report.Holds())
	})
}

// intervals are what became of an exposure, from its first interval on.
func intervals(t *testing.T, w world, workload, identity, resource string, kind rule.Type) []string {
	t.Helper()
	return column[string](t, w, `
		SELECT format('%s %s %s', x.ordinal, CASE x.disposition WHEN 1 THEN 'open' WHEN 2 THEN 'acknowledged' WHEN 4 THEN 'false positive' END,
		         coalesce(x.resolution_reason, 'holds'))
		FROM exposure x
		JOIN authority_path p ON p.id = x.path_id AND p.status = 'active'
		JOIN entity w ON w.id = p.workload_id JOIN entity r ON r.id = p.resource_id LEFT JOIN entity i ON i.id = p.identity_id
		WHERE w.external_id = $1 AND coalesce(i.external_id, '') = $2 AND r.external_id = $3 AND x.type = $4
		ORDER BY x.ordinal`, workload, identity, resource, kind)
}

// outside looks at what two looks from outside found.
func outside(t *testing.T, w world, members map[string]int64) {
	first, second := base.AddDate(0, 0, -9).Add(3*time.Hour), base.AddDate(0, 0, -1).Add(3*time.Hour)
	services := func(status string) []string {
		return column[string](t, w, `SELECT value FROM asset WHERE kind = 'service' AND status = $1 ORDER BY 1`, status)
	}
	require.Equal(t, []string{
		"192.0.2.10 tcp/443", "192.0.2.10 tcp/80", "192.0.2.10 tcp/8443", "192.0.2.13 tcp/443", "198.51.100.40 tcp/443", "198.51.100.41 tcp/80",
	}, services("active"), "what is on a host that is down is not gone")
	require.Equal(t, []string{"192.0.2.12 tcp/22"}, services("closed"))
	require.Equal(t, []string{"certificate 3", "domain 5", "host 5", "service 7", "technology 7", "url 3", "url_path 3"},
		column[string](t, w, `SELECT kind || ' ' || count(*) FROM asset GROUP BY kind ORDER BY 1`))
	require.Equal(t, 2, one[int](t, w, `SELECT count(*)::int FROM asset WHERE status <> 'active'`), "a port, and what ran there")

	require.Equal(t, []string{"192.0.2.10 tcp/443 1.24.0", "192.0.2.10 tcp/80 1.24.0"}, column[string](t, w, `
		SELECT format('%s %s', a.value, v.technology -> 0 ->> 'version') FROM asset_version v JOIN asset a ON a.id = v.id
		WHERE a.kind = 'service' AND a.status = 'active' AND v.status = 'active' AND v.technology IS DISTINCT FROM a.technology
		  AND v.from_at = $1 AND v.to_at = $2 ORDER BY 1`, first, second), "products of another version")
	require.Equal(t, []string{"perimeter-scan", "page-scan"}, column[string](t, w, `
		SELECT s.name FROM asset_sighting g JOIN asset a ON a.id = g.asset_id JOIN source s ON s.id = g.source_id
		WHERE a.kind = 'service' AND a.value = '198.51.100.40 tcp/443' ORDER BY g.from_at`))

	require.Equal(t, []string{
		"wl-payment-reconciler service 198.51.100.40 tcp/443 hostname",
		"wl-payment-reconciler url https://hooks.contoso.example:443/bank/events hostname",
		"wl-vendor-sync service 192.0.2.12 tcp/22 mapping",
	}, column[string](t, w, `
		SELECT format('%s %s %s %s', w.external_id, a.kind, a.value, l.basis) FROM asset_link l
		JOIN asset a ON a.id = l.asset_id JOIN entity w ON w.id = l.workload_id
		WHERE l.to_at IS NULL AND a.kind IN ('service', 'url') ORDER BY 1`))

	require.EqualValues(t, 4, members["internet-facing-sensitive"])
	for _, resource := range []string{"res-erp-ledger", "res-payment-gateway", "res-vendor-master", "res-invoice-table"} {
		require.Equal(t, []string{"1 open holds"}, intervals(t, w, "wl-payment-reconciler", "id-svc-finance-api", resource, rule.OutwardFacing))
	}
	require.Equal(t, []string{"1 open asset_gone"}, intervals(t, w, "wl-vendor-sync", "", "res-vendor-master", rule.OutwardFacing))
	require.Equal(t, 5, one[int](t, w, `SELECT count(*)::int FROM exposure WHERE type = $1`, rule.OutwardFacing))
	require.Equal(t, []time.Time{first, second}, column[time.Time](t, w, `SELECT DISTINCT from_at AT TIME ZONE 'UTC' FROM exposure WHERE type = $1 ORDER BY 1`, rule.OutwardFacing))
}

// decided looks at what people said of what the server found.
func decided(t *testing.T, w world, clusters []*posture.Cluster) {
	became := func(workload, identity, resource string, kind rule.Type) []string {
		t.Helper()
		return intervals(t, w, workload, identity, resource, kind)
	}
	// A line for each request, with how many entries it left.
	require.Equal(t, []string{
		"nadia.haddad justification.recorded 2025-12-08 1",
		"nadia.haddad exposure.marked_false_positive 2025-12-09 1",
		"samuel.osei exposure.marked_false_positive 2025-12-31 1",
		"nadia.haddad exposure.unmarked_false_positive 2026-01-03 1",
		"nadia.haddad exposure.acknowledged 2026-01-12 1",
		"samuel.osei baseline.attested 2026-01-30 1",
		"samuel.osei exposure.resolved 2026-02-09 1",
		"nadia.haddad exposure.acknowledged 2026-02-16 5",
		"samuel.osei exposure.unacknowledged 2026-02-17 5",
		"nadia.haddad exposure.acknowledged 2026-02-17 3",
		"nadia.haddad exposure.acknowledged 2026-02-27 1",
	}, column[string](t, w, `
		SELECT format('%s %s %s %s', split_part(e.actor, '@', 1), e.kind, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), count(*))
		FROM ledger_entry e WHERE e.kind <> 'posture.snapshotted' AND e.recorded_at = e.at
		GROUP BY e.actor, e.kind, e.at ORDER BY min(e.seq)`))
	require.Zero(t, one[int](t, w, `SELECT count(*)::int FROM ledger_entry WHERE kind <> 'posture.snapshotted' AND recorded_at <> at`), "decisions are told by the clock of the story")

	t.Run("acknowledged", func(t *testing.T) {
		require.Equal(t, []string{"1 acknowledged holds"}, became("wl-hr-export", "id-sp-hr-export", "res-employee-records", rule.OrphanedPath))
		require.Equal(t, []string{"1 open holds"}, became("wl-hr-export", "id-sp-hr-export", "res-hr-cases", rule.OrphanedPath))
		acknowledged := map[string]int64{}
		for _, c := range clusters {
			if c.AcknowledgedPaths > 0 {
				acknowledged[c.Key] = c.AcknowledgedPaths
			}
			require.Less(t, c.AcknowledgedPaths, max(c.Paths, 1), "%s stands without what was acknowledged", c.Key)
		}
		require.Equal(t, map[string]int64{"orphaned-sensitive": 2, "orphaned-external": 1, "standing-sensitive": 2}, acknowledged)
	})
	t.Run("a false positive that comes back", func(t *testing.T) {
		require.Equal(t, []string{"1 false positive egress_removed", "2 false positive holds"}, became("wl-vendor-sync", "", "res-vendor-master", rule.ExternalEgressing))
		require.Equal(t, 1, one[int](t, w, `SELECT count(DISTINCT decided_seq)::int FROM exposure WHERE disposition = 4`), "it is inherited with its entry")
	})
	t.Run("a mark that was taken back", func(t *testing.T) {
		require.Equal(t, []string{"1 open holds"}, became("wl-data-pipeline", "id-svc-etl", "res-customer-warehouse", rule.SensitiveReach))
	})
	t.Run("a resolution by hand that did not last", func(t *testing.T) {
		require.Equal(t, []string{"1 open manual", "2 open holds"}, became("wl-azure-graph-router-no-owner", "id-sp-9d04ab", "res-microsoft-graph", rule.UnprovenPath))
	})
	t.Run("a batch and its undoing", func(t *testing.T) {
		for _, resource := range []string{"res-employee-records", "res-hr-cases"} {
			require.Equal(t, []string{"1 open holds"}, became("wl-hr-export", "id-sp-hr-export", resource, rule.DormantPath))
		}
		for _, resource := range []string{"res-lake-raw", "res-customer-warehouse", "res-lake-staging"} {
			require.Equal(t, []string{"1 acknowledged holds"}, became("wl-data-pipeline", "id-svc-etl-staging", resource, rule.DormantPath))
		}
		require.Equal(t, 3, one[int](t, w, `SELECT count(DISTINCT batch_id)::int FROM ledger_entry`))
	})
	t.Run("a justification", func(t *testing.T) {
		require.Equal(t, []string{"1 open justification_recorded"}, became("wl-data-pipeline", "id-svc-etl", "res-lake-raw", rule.ExcessPrivilege))
	})
	t.Run("an attestation", func(t *testing.T) {
		require.Equal(t, []string{"1 open holds"}, became("wl-data-pipeline", "id-svc-etl", "res-key-vault", rule.ScopeExpansion), "what came after it is drift")
		require.Equal(t, base.AddDate(0, 0, -30).Add(14*time.Hour), one[time.Time](t, w, `SELECT at FROM scope_baseline WHERE basis = 'attested'`).UTC())
	})
}

func keys(members map[string]int64) (keys []string) {
	for key := range members {
		keys = append(keys, key)
	}
	return keys
}

package authority_test

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// comparePosture holds workloads, identities, counters and snapshots against the model.
func (h *theatre) comparePosture(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	h.compareWorkers(t, refs, classes)
	h.compareUsages(t, refs, classes)
	h.compareTotals(t, classes)
	h.comparePictures(t)
}

func (h *theatre) compareWorkers(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		Workload                                     id.ID
		Code                                         string
		Class                                        int
		Live, Listed                                 bool
		Mode, Ownership, Egress                      string
		Categories                                   int
		Identities                                   []id.ID
		Paths, Sensitive, Dormant, Executed, Unknown int64
		Findings                                     int64
		Rules, Severity                              int
		Domains, SensitiveDomains                    []string
		Clusters                                     int
		Executions, Own                              int64
		LastExecution                                *time.Time
	}
	found := map[record.Ref]worker{}
	for _, r := range rowsOf[row](t, h, `
		SELECT workload_id, code, class, live, listed, coalesce(execution_mode, ''), ownership_status, egress_category, egress_categories, identity_ids,
		  paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, findings, finding_rules, max_severity, data_domains, sensitive_domains,
		  clusters, coalesce(executions, -1), own_executions, last_execution_at
		FROM workload_exposure WHERE organization_id = $1`) {
		var names []string
		for _, i := range r.Identities {
			names = append(names, short(refs[i]))
		}
		found[refs[r.Workload]] = worker{
			Code: r.Code, Class: classes[r.Class], Live: r.Live, Listed: r.Listed, Mode: r.Mode, Ownership: r.Ownership, Egress: r.Egress,
			Categories: r.Categories, Identities: strings.Join(names, " "), Paths: r.Paths, Sensitive: r.Sensitive, Dormant: r.Dormant,
			Executed: r.Executed, Unknown: r.Unknown, Findings: r.Findings, Rules: r.Rules, Severity: r.Severity,
			Domains: strings.Join(r.Domains, " "), SensitiveDomains: strings.Join(r.SensitiveDomains, " "), Clusters: r.Clusters,
			Executions: r.Executions, Own: r.Own, LastExecution: utc(r.LastExecution)}
	}
	equalRows(t, "the row", h.world.workers, found)
}

// circleOf is the circle of a class as it is stored.
func circleOf(stored int, classes map[int]class) circle {
	if stored == posture.AllClasses {
		return circle{All: true}
	}
	return circle{Class: classes[stored]}
}

func (h *theatre) compareUsages(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		Identity id.ID
		Class    int
		usage
	}
	found := map[account]usage{}
	for _, r := range rowsOf[row](t, h, `SELECT identity_id, class, paths, effective_paths, dormant_paths, executed_paths, autonomous, executions
		FROM identity_posture WHERE organization_id = $1`) {
		found[account{refs[r.Identity], circleOf(r.Class, classes)}] = r.usage
	}
	equalRows(t, "the row", h.world.usages, found)
}

func (h *theatre) compareTotals(t checker, classes map[int]class) {
	t.Helper()
	type row struct {
		Class int
		From  time.Time
		To    *time.Time
		totals
	}
	const columns = `paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, invalid_paths, executed_invalid_paths, executions,
		workloads, autonomous, operator_assisted, human_triggered, unclassified, listed, critical, high, medium, low,
		identities, active_identities, active_autonomous, dormant_identities, paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained`
	found := map[circle][]version[totals]{}
	ends := map[circle]*time.Time{}
	for _, r := range rowsOf[row](t, h, `
		SELECT class, from_at, NULL::timestamptz AS to_at, `+columns+` FROM posture_counter WHERE organization_id = $1
		UNION ALL
		SELECT class, from_at, to_at, `+columns+` FROM posture_counter_version WHERE organization_id = $1
		ORDER BY 1, 2`) {
		c := circleOf(r.Class, classes)
		checkInterval(t, c, len(found[c])+1, len(found[c])+1, r.From, ends[c])
		ends[c] = r.To
		found[c] = append(found[c], version[totals]{From: r.From.UTC(), State: r.totals})
	}
	checkEnds(t, ends)
	if len(h.world.workers) > 0 {
		require.Contains(t, found, circle{All: true}, "workloads and no counter")
	}
	for c, versions := range found { // that nothing was counted yet says as much as no row
		for i := 1; i < len(versions); i++ {
			require.NotEqual(t, versions[i-1].State, versions[i].State, "a value of %+v that is none", c)
		}
		if versions[0].State == (totals{}) {
			versions = versions[1:]
		}
		if found[c] = versions; len(versions) == 0 {
			delete(found, c)
		}
	}
	equalChronicles(t, "the posture", h.world.totals, found)
}

func (h *theatre) comparePictures(t checker) {
	t.Helper()
	type row struct {
		At       time.Time
		Sync     int64
		SyncAt   *time.Time
		Clusters []byte
		totals
	}
	found := []photograph(nil)
	for _, r := range rowsOf[row](t, h, `
		SELECT p.at, coalesce(s.version, 0), s.at, p.clusters, p.paths, p.sensitive_paths, p.dormant_paths, 0, 0, p.invalid_paths, p.executed_invalid_paths, p.executions,
		  p.workloads, p.autonomous, p.operator_assisted, p.human_triggered, p.unclassified, 0, 0, 0, 0, 0,
		  p.identities, p.active_identities, p.active_autonomous, p.dormant_identities, p.paths_added, p.paths_removed, p.paths_orphaned, p.paths_invalidated, p.autonomous_gained
		FROM posture_snapshot p LEFT JOIN sync s ON s.organization_id = $1 AND s.id = p.sync_id
		WHERE p.organization_id = $1 ORDER BY p.at`) {
		clusters := map[string]pictured{}
		require.NoError(t, json.Unmarshal(r.Clusters, &clusters))
		require.Equal(t, r.Sync > 0, r.SyncAt != nil)
		if r.SyncAt != nil {
			require.Equal(t, r.At.UTC(), r.SyncAt.UTC(), "a snapshot is taken when its sync ends")
		}
		found = append(found, photograph{r.At.UTC(), r.Sync, r.totals, telling(clusters)})
	}
	require.Equal(t, h.world.pictures, found, "snapshots")
}

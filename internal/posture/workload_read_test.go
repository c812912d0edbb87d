package posture_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// rows puts workloads, their evidence and a posture on the shelf.
func (s *shelf) rows(t testing.TB) {
	t.Helper()
	s.exec(t, `INSERT INTO source (organization_id, id, name, system, format, created_at, last_applied_at, last_complete_at)
		SELECT $1, md5(n)::uuid, n, 'shop', 'snapshot', $2, $2::timestamptz - interval '2 hours', $2::timestamptz - d FROM (VALUES ('catalogue', interval '3 hours'), ('scanner', interval '5 days')) AS v(n, d)`, s.organization, noon)
	s.exec(t, `INSERT INTO sync SELECT $1, md5('sync')::uuid, md5('catalogue')::uuid, 1, $2, $2, $2, 'test', 'applied', true, md5('x')::uuid, 0, 0, 0, 0, 0, 0, '[]', '[]'`, s.organization, noon.Add(-time.Hour))
	s.exec(t, `INSERT INTO entity (organization_id, id, kind, system, external_id, name, status, class, sensitivity, ownership_status, egress_category, version, from_at, first_seen_at)
		SELECT $1, md5(n)::uuid, k, 'shop', n, n, 'active', 0, 0, 'unknown', 'unknown', 1, $2, $2::timestamptz - interval '60 days'
		FROM (VALUES ('w1', 'workload'), ('w2', 'workload'), ('w3', 'workload'), ('w4', 'workload'), ('w5', 'workload'), ('w6', 'workload'), ('i1', 'identity'), ('i2', 'identity')) AS v(n, k)`, s.organization, noon)
	s.exec(t, `INSERT INTO entity_assertion (organization_id, entity_id, source_id, basis, digest, kind, system, external_id)
		SELECT $1, md5('w1')::uuid, md5(n)::uuid, 2, md5('x')::uuid, 'workload', 'shop', 'w1' FROM unnest(ARRAY['catalogue', 'scanner']) n`, s.organization)
	// The digits of a code stand for its workload; w5 has nothing, w6 is gone.
	s.exec(t, `INSERT INTO workload_exposure
		SELECT $1, md5(w)::uuid, 'EXP-0000000' || right(w, 1), 0, live, listed, mode, ownership, egress, categories, identities, paths, sensitive, 1, 2, 1, findings, rules, severity, domains, domains[1:1], clusters, executions, 5, last::timestamptz
		FROM (VALUES
			('w1', true, true, 'autonomous', 'orphaned', 'llm', 5, ARRAY[md5('i1')::uuid, md5('i2')::uuid], 7, 4, 3, 33, 4, ARRAY['finance', 'hr'], 3, 120, '2026-02-28'),
			('w2', true, true, 'triggered', 'valid', 'external', 2, ARRAY[md5('i1')::uuid], 7, 0, 3, 32, 4, ARRAY['hr'], 1, 0, NULL),
			('w3', true, true, NULL, 'degraded', 'none', 0, '{}', 0, 0, 1, 64, 2, '{}', 0, NULL, NULL),
			('w4', true, true, 'human_triggered', 'orphaned', 'internal', 1, ARRAY[md5('i2')::uuid], 1, 0, 0, 0, 0, ARRAY['mail'], 2048, 7, '2026-02-27'),
			('w5', true, false, 'autonomous', 'valid', 'unknown', 0, '{}', 0, 0, 0, 0, 0, '{}', 0, NULL, NULL),
			('w6', false, false, 'autonomous', 'orphaned', 'llm', 4, '{}', 0, 0, 0, 0, 0, '{}', 0, NULL, NULL)
		) AS v(w, live, listed, mode, ownership, egress, categories, identities, paths, sensitive, findings, rules, severity, domains, clusters, executions, last)`, s.organization)
	s.exec(t, `INSERT INTO evidence (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id, basis, count, recorded_at)
		SELECT $1, coalesce(md5(w)::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(md5(i)::uuid, '00000000-0000-0000-0000-000000000000'),
			'00000000-0000-0000-0000-000000000000', a, '2026-01-01', r, md5('scanner')::uuid, 'workload', 1, $2
		FROM (VALUES ('w1', NULL, 'a', false), ('w1', NULL, 'b', false), ('w1', 'i1', 'a', false), ('w1', NULL, 'a', true), (NULL, 'i1', 'a', false), (NULL, 'i2', 'a', false),
			(NULL, 'i2', 'a', true), ('w2', 'i1', 'a', false), (NULL, 'i3', 'a', false)) AS v(w, i, a, r)`, s.organization, noon)
	// The catalogue knows all owners; the scanner's own word on w1 goes before what
	// it says of the system. Of the roles of i2 nobody says more than partly.
	s.exec(t, `INSERT INTO coverage (organization_id, source_id, kind, entity_id, system, complete, from_at, to_at, max_age, recorded_at)
		SELECT $1, md5(n)::uuid, k, coalesce(md5(e)::uuid, '00000000-0000-0000-0000-000000000000'), 'shop', c, $2::timestamptz - f, $2::timestamptz - u, m, $2::timestamptz - interval '9 days'
		FROM (VALUES ('catalogue', 'ownership', NULL, true, NULL, NULL, NULL), ('scanner', 'ownership', NULL, false, NULL, NULL, NULL),
			('scanner', 'egress', NULL, true, NULL, NULL, interval '1 day'), ('scanner', 'binding', NULL, true, NULL, NULL, NULL), ('scanner', 'binding', 'w1', false, NULL, NULL, NULL),
			('scanner', 'execution', NULL, true, interval '30 days', interval '1 hour', NULL), ('scanner', 'execution', 'w2', true, interval '90 days', interval '2 days', NULL),
			('scanner', 'execution', 'w3', true, interval '60 days', interval '1 day', NULL), ('catalogue', 'roles', NULL, true, NULL, NULL, NULL), ('catalogue', 'roles', 'i2', false, NULL, NULL, NULL)
		) AS v(n, k, e, c, f, u, m)`, s.organization, noon)
	s.exec(t, `INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
			composition_hash, class, sensitivity, ownership_status, egress_category, version, from_at, sync_version, first_seen_at, open_mask, acknowledged_mask, accepted_mask, active_exposure_count)
		SELECT $1, md5(w || n)::uuid, md5('l' || w || n)::uuid, md5(w)::uuid, md5('i1')::uuid, md5('r' || n)::uuid, 'active', true, '{}', '{get}', 0, '\x00', 0, 4, 'orphaned', 'llm', 1, $2, 1, $2, 0, 0, 0, 0
		FROM unnest(ARRAY['w1', 'w2']) w, generate_series(1, 3) n`, s.organization, noon)
	s.exec(t, `INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition, effective_from, effective_basis,
			lineage_from, version, version_from, from_at, to_at, resolution_reason)
		SELECT p.organization_id, p.id, x, 1, p.workload_id, 0, 1 + x % 4, 4, 'exposure ' || x, md5(x::text)::uuid, x, $2, 'detected', $2, 1, $2, $2,
			CASE WHEN x = 5 THEN $2::timestamptz + interval '1 day' END, CASE WHEN x = 5 THEN 'manual' END
		FROM authority_path p, generate_series(1, 4) x WHERE p.organization_id = $1`, s.organization, noon)
	s.exec(t, `INSERT INTO posture_counter SELECT $1, c, 15, 4, 3, 6, 2, 8, 5, 127, 5, 2, 0, 1, 2, 4, 2, 0, 1, 0, 2, 1, 1, 1, 40, 25, 12, 13, 6, $2 FROM unnest(ARRAY[-1, 4]) c`, s.organization, noon)
	s.exec(t, `UPDATE posture_counter SET paths = 1000 WHERE class = 4`)
	s.exec(t, `INSERT INTO posture_snapshot SELECT $1, $2::timestamptz - a, CASE WHEN a > interval '10 days' THEN md5('sync')::uuid END, 10, 2, 90, 6, 4, 3, 5, 2, 0, 1, 2, 2, 1, 1, 1, 30, 20, o, 9, 5, '{"llm-egress": {"paths": 2, "executions": 9}}'
		FROM (VALUES (interval '8 days', 10), (interval '9 days', NULL), (interval '20 days', 1), (interval '1 hour', 12)) AS v(a, o)`, s.organization, noon)
}

func (s *shelf) listed(t testing.TB, filter posture.WorkloadFilter, order posture.WorkloadOrder, request page.Request) (posture.WorkloadPage, []string) {
	t.Helper()
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	found, err := s.reader.WorkloadExposures(s.ctx, snapshot, s.organization, filter, order, request)
	require.NoError(t, err)
	names := []string{}
	for _, w := range found.Rows {
		names = append(names, "w"+w.Code[len(w.Code)-1:])
	}
	return found, names
}

var gravest = posture.WorkloadOrder{Field: posture.BySeverity, Descending: true}

func TestReadWorkloadExposures(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	s.Statements.Reset()
	found, _ := s.listed(t, posture.WorkloadFilter{}, gravest, page.Request{})
	require.Len(t, s.Statements.Sent(), 1)
	w1 := found.Rows[slices.IndexFunc(found.Rows, func(w *posture.WorkloadExposure) bool { return w.Code == "EXP-00000001" })]
	mode, executions, last := record.Autonomous, int64(120), time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)
	at := w1.LastExecutionAt.UTC()
	w1.LastExecutionAt = &at
	require.Equal(t, &posture.WorkloadExposure{
		OrganizationID: s.organization, WorkloadID: s.thing(t, "w1"), Code: "EXP-00000001", Live: true, Listed: true, ExecutionMode: &mode,
		OwnershipStatus: authority.OwnershipOrphaned, EgressCategory: authority.EgressLLM, EgressCategories: 5, IdentityIDs: []id.ID{s.thing(t, "i1"), s.thing(t, "i2")},
		Paths: 7, SensitivePaths: 4, DormantPaths: 1, ExecutedPaths: 2, UnwatchedPaths: 1, Findings: 3, FindingRules: 33, MaxSeverity: rule.Critical,
		DataDomains: []string{"finance", "hr"}, SensitiveDomains: []string{"finance"}, Clusters: 3, Executions: &executions, OwnExecutions: 5, LastExecutionAt: &last,
	}, w1)
	require.Equal(t, []rule.Rule{rule.OrphanedOwnership, rule.SensitiveDomain}, w1.Rules())
	require.Equal(t, []authority.EgressCategory{authority.EgressLLM, authority.EgressInternal}, w1.Egress())
	require.Equal(t, posture.Bound, w1.Binding())
	require.True(t, w1.In(2))
	require.False(t, w1.In(3))
	w3 := found.Rows[2]
	require.Equal(t, posture.Unbound, w3.Binding())
	require.Nil(t, w3.Executions)
	require.Nil(t, w3.ExecutionMode)
}

func TestReadWorkloadFilters(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	yes, no := true, false
	orphaned := posture.WorkloadFilter{Ownership: []authority.OwnershipStatus{authority.OwnershipOrphaned}}
	critical := posture.WorkloadFilter{Severities: []rule.Severity{rule.Critical}}
	autonomous := posture.WorkloadFilter{Modes: []record.ExecutionMode{record.Autonomous}}
	for name, test := range map[string]struct {
		filter posture.WorkloadFilter
		want   string
	}{
		"nothing":                 {posture.WorkloadFilter{}, "w1 w2 w3 w4"},
		"severity":                {critical, "w1 w2"},
		"severities":              {posture.WorkloadFilter{Severities: []rule.Severity{rule.Critical, rule.Medium}}, "w1 w2 w3"},
		"cluster":                 {posture.WorkloadFilter{Clusters: []int16{2}}, "w1"},
		"the twelfth cluster":     {posture.WorkloadFilter{Clusters: []int16{12}}, "w4"},
		"clusters":                {posture.WorkloadFilter{Clusters: []int16{1, 12}}, "w1 w2 w4"},
		"egress, primary":         {posture.WorkloadFilter{Egress: []authority.EgressCategory{authority.EgressInternal}}, "w4"},
		"egress, any":             {posture.WorkloadFilter{EgressCategories: []authority.EgressCategory{authority.EgressInternal}}, "w1 w4"},
		"egress, none is not any": {posture.WorkloadFilter{EgressCategories: []authority.EgressCategory{authority.EgressNone}}, ""},
		"ownership":               {orphaned, "w1 w4"},
		"mode":                    {autonomous, "w1"},
		"mode known":              {posture.WorkloadFilter{ModeKnown: &yes}, "w1 w2 w4"},
		"mode unknown":            {posture.WorkloadFilter{ModeKnown: &no}, "w3"},
		"domain":                  {posture.WorkloadFilter{DataDomains: []string{"mail", "finance"}}, "w1 w4"},
		"bound":                   {posture.WorkloadFilter{Bindings: []posture.Binding{posture.Bound}}, "w1 w2 w4"},
		"unbound":                 {posture.WorkloadFilter{Bindings: []posture.Binding{posture.Unbound}}, "w3"},
		"either binding":          {posture.WorkloadFilter{Bindings: []posture.Binding{posture.Unbound, posture.Bound}}, "w1 w2 w3 w4"},
		"rule":                    {posture.WorkloadFilter{Rules: []rule.Rule{rule.OrphanedOwnership, rule.UnknownBinding}}, "w1 w3"},
		"fields join with and":    {posture.WorkloadFilter{Severities: critical.Severities, Modes: autonomous.Modes}, "w1"},
		"and":                     {posture.WorkloadFilter{And: []posture.WorkloadFilter{critical, orphaned}}, "w1"},
		"or":                      {posture.WorkloadFilter{Or: []posture.WorkloadFilter{critical, orphaned}}, "w1 w2 w4"},
		"or beside a field":       {posture.WorkloadFilter{Ownership: orphaned.Ownership, Or: []posture.WorkloadFilter{critical, {Egress: []authority.EgressCategory{authority.EgressNone}}}}, "w1"},
		"not":                     {posture.WorkloadFilter{Not: &orphaned}, "w2 w3"},
		"not, where null":         {posture.WorkloadFilter{Not: &autonomous}, "w2 w3 w4"},
		"not not":                 {posture.WorkloadFilter{Not: &posture.WorkloadFilter{Not: &autonomous}}, "w1"},
		"not of an empty filter":  {posture.WorkloadFilter{Not: &posture.WorkloadFilter{}}, ""},
		"an empty alternative":    {posture.WorkloadFilter{Or: []posture.WorkloadFilter{critical, {}}}, "w1 w2 w3 w4"},
		"unclassified":            {posture.WorkloadFilter{Or: []posture.WorkloadFilter{{Modes: []record.ExecutionMode{record.Triggered}}, {ModeKnown: &no}}}, "w2 w3"},
		"four levels": {posture.WorkloadFilter{Or: []posture.WorkloadFilter{{And: []posture.WorkloadFilter{critical, {Not: &orphaned}}}, {And: []posture.WorkloadFilter{orphaned, {Not: &critical}}}}},
			"w2 w4"},
	} {
		snapshot := s.Snapshot()
		s.Statements.Reset()
		_, names := s.listed(t, test.filter, gravest, page.Request{})
		slices.Sort(names)
		require.Equal(t, test.want, strings.Join(names, " "), name)
		count, err := s.reader.CountWorkloadExposures(s.ctx, snapshot, s.organization, test.filter)
		require.NoError(t, err)
		require.Len(t, names, count, name)
		require.Len(t, s.Statements.Sent(), 2, name)
		snapshot.Close(s.ctx)
	}
}

func TestReadWorkloadFilterBounds(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	nest := func(depth int) posture.WorkloadFilter {
		f := posture.WorkloadFilter{Severities: []rule.Severity{rule.Low}}
		for range depth - 1 {
			inner := f
			f = posture.WorkloadFilter{Not: &inner}
		}
		return f
	}
	wide := func(n int) posture.WorkloadFilter {
		return posture.WorkloadFilter{Or: make([]posture.WorkloadFilter, n-1)}
	}
	for name, test := range map[string]struct {
		filter posture.WorkloadFilter
		code   string
	}{
		"four levels": {nest(4), ""}, "five levels": {nest(5), "FILTER_TOO_DEEP"},
		"forty filters": {wide(40), ""}, "forty-one": {wide(41), "FILTER_TOO_LARGE"},
		"many domains":      {posture.WorkloadFilter{And: []posture.WorkloadFilter{{DataDomains: make([]string, 101)}}}, "FILTER_TOO_LARGE"},
		"unreadable domain": {posture.WorkloadFilter{Not: &posture.WorkloadFilter{DataDomains: []string{"a\x00"}}}, "BAD_USER_INPUT"},
	} {
		_, err := s.reader.WorkloadExposures(s.ctx, snapshot, s.organization, test.filter, gravest, page.Request{})
		if test.code == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, test.code, readCode(t, err), name)
	}
}

func TestReadWorkloadOrders(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	// Of w1 and w2 what sorts first is equal: the id decides.
	tie := []string{"w1", "w2"}
	if a, b := s.thing(t, "w1"), s.thing(t, "w2"); slices.Compare(a[:], b[:]) < 0 {
		tie = []string{"w2", "w1"}
	}
	nothing := []string{"w2", "w3"} // neither has an execution that was dated
	if a, b := s.thing(t, "w2"), s.thing(t, "w3"); slices.Compare(a[:], b[:]) < 0 {
		nothing = []string{"w3", "w2"}
	}
	for field, want := range map[posture.WorkloadOrderField][]string{
		posture.BySeverity:      {tie[0], tie[1], "w3", "w4"},
		posture.ByFindings:      {tie[0], tie[1], "w3", "w4"},
		posture.ByPaths:         {tie[0], tie[1], "w4", "w3"},
		posture.ByExecutions:    {"w1", "w4", "w2", "w3"},
		posture.ByLastExecution: {"w1", "w4", nothing[0], nothing[1]},
	} {
		_, all := s.listed(t, posture.WorkloadFilter{}, posture.WorkloadOrder{Field: field, Descending: true}, page.Request{})
		require.Equal(t, want, all, field)
		slices.Reverse(want)
		for _, size := range []int{1, 2, 3} { // ascending, by pages from either end
			var forward, backward []string
			for request := (page.Request{First: &size}); ; {
				found, names := s.listed(t, posture.WorkloadFilter{}, posture.WorkloadOrder{Field: field}, request)
				forward = append(forward, names...)
				if !found.HasNext {
					break
				}
				after := found.Cursor(found.Rows[len(found.Rows)-1])
				request.After = &after
			}
			for request := (page.Request{Last: &size}); ; {
				found, names := s.listed(t, posture.WorkloadFilter{}, posture.WorkloadOrder{Field: field}, request)
				backward = append(names, backward...)
				if !found.HasPrevious {
					break
				}
				before := found.Cursor(found.Rows[0])
				request.Before = &before
			}
			require.Equal(t, want, forward, "%s by %d", field, size)
			require.Equal(t, want, backward, "%s by %d", field, size)
		}
	}

	one := 1
	found, _ := s.listed(t, posture.WorkloadFilter{}, gravest, page.Request{First: &one})
	after := found.Cursor(found.Rows[0])
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	for name, try := range map[string]struct {
		organization id.ID
		filter       posture.WorkloadFilter
		order        posture.WorkloadOrder
	}{
		"another filter":       {s.organization, posture.WorkloadFilter{Not: &posture.WorkloadFilter{}}, gravest},
		"another order":        {s.organization, posture.WorkloadFilter{}, posture.WorkloadOrder{Field: posture.ByPaths, Descending: true}},
		"another direction":    {s.organization, posture.WorkloadFilter{}, posture.WorkloadOrder{Field: posture.BySeverity}},
		"another organization": {id.Organization("rival"), posture.WorkloadFilter{}, gravest},
	} {
		_, err := s.reader.WorkloadExposures(s.ctx, snapshot, try.organization, try.filter, try.order, page.Request{After: &after})
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", readCode(t, err), name)
	}
}

func TestReadWorkloadExposure(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	byCode, err := s.reader.WorkloadExposure(s.ctx, snapshot, s.organization, "EXP-00000001", id.Nil)
	require.NoError(t, err)
	byID, err := s.reader.WorkloadExposure(s.ctx, snapshot, s.organization, "", s.thing(t, "w1"))
	require.NoError(t, err)
	require.Equal(t, byCode, byID)
	require.Equal(t, noon.Add(-3*time.Hour), byCode.LastSeenAt.UTC(), "the later of its two sources")
	require.Equal(t, noon, byCode.ClockAt.UTC())
	require.Equal(t, noon, byCode.EvaluatedAt.UTC())
	for _, code := range []string{"EXP-00000005", "EXP-00000006"} {
		unlisted, err := s.reader.WorkloadExposure(s.ctx, snapshot, s.organization, code, id.Nil)
		require.NoError(t, err)
		require.False(t, unlisted.Listed)
		require.Nil(t, unlisted.LastSeenAt)
	}
	none, err := s.reader.WorkloadExposure(s.ctx, snapshot, s.organization, "EXP-0000000a", s.thing(t, "i1"))
	require.NoError(t, err)
	require.Nil(t, none)

	rows, err := s.reader.WorkloadExposuresByWorkloads(s.ctx, snapshot, s.organization, []id.ID{s.thing(t, "w6"), s.thing(t, "w2"), s.thing(t, "i1")})
	require.NoError(t, err)
	require.Len(t, rows, 2)
}

func TestCode(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 4)
	for text, want := range map[string]string{
		"EXP-a1b2c3d4": "EXP-a1b2c3d4", "exp-A1B2C3D4": "EXP-a1b2c3d4", "Exp-a1b2c3d4e": "EXP-a1b2c3d4e", "EXP-" + long: "EXP-" + long,
		"EXP-a1b2c3d": "", "EXP-" + long + "0": "", "EXP-a1b2c3g4": "", "EXPa1b2c3d4": "", "EXQ-a1b2c3d4": "", "EXP-a1b2-c3d4": "", "": "", "-": "", " EXP-a1b2c3d4": "",
	} {
		code, ok := posture.Code(text)
		require.Equal(t, want, code, text)
		require.Equal(t, want != "", ok, text)
	}
}

func TestReadDossiers(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	s.Statements.Reset()
	list, err := s.reader.Dossiers(s.ctx, snapshot, s.organization, []id.ID{s.thing(t, "w1"), s.thing(t, "w2"), s.thing(t, "w3"), s.thing(t, "i1")})
	require.NoError(t, err)
	require.Len(t, s.Statements.Sent(), 1)
	dossiers := map[id.ID]*posture.Dossier{}
	for _, d := range list {
		dossiers[d.WorkloadID] = d
	}
	require.Equal(t, map[id.ID]*posture.Dossier{
		s.thing(t, "w1"): {WorkloadID: s.thing(t, "w1"), DirectRecords: 3, RelatedRecords: 4, Coverage: map[record.EvidenceKind]rule.Coverage{
			record.Ownership: rule.Complete,     // by the catalogue, whatever the scanner lacks
			record.Binding:   rule.Incomplete,   // the scanner's own word on it
			record.Execution: rule.Incomplete,   // from later on than it was first seen
			record.EgressObs: rule.Expired,      // five days ago, and good for one
			record.Roles:     rule.Incomplete}}, // of its second identity
		s.thing(t, "w2"): {WorkloadID: s.thing(t, "w2"), DirectRecords: 1, RelatedRecords: 1, Coverage: map[record.EvidenceKind]rule.Coverage{
			record.Ownership: rule.Complete, record.Binding: rule.Complete, record.Execution: rule.Incomplete, // up to two days ago
			record.EgressObs: rule.Expired, record.Roles: rule.Complete}},
		s.thing(t, "w3"): {WorkloadID: s.thing(t, "w3"), Coverage: map[record.EvidenceKind]rule.Coverage{
			record.Ownership: rule.Complete, record.Binding: rule.Complete, record.Execution: rule.Complete, record.EgressObs: rule.Expired}}, // and no identity to have roles
	}, dossiers)
	s.exec(t, `DELETE FROM coverage`)
	later := s.Snapshot()
	defer later.Close(s.ctx)
	bare, err := s.reader.Dossiers(s.ctx, later, s.organization, []id.ID{s.thing(t, "w1")})
	require.NoError(t, err)
	require.Equal(t, map[record.EvidenceKind]rule.Coverage{record.Ownership: 0, record.Binding: 0, record.Execution: 0, record.EgressObs: 0, record.Roles: 0}, bare[0].Coverage)
}

func TestReadExposuresOfWorkloads(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	s.exec(t, `UPDATE exposure SET to_at = from_at + interval '1 day', resolution_reason = 'manual' WHERE type = 2 AND workload_id = md5('w2')::uuid`)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	w1, w2, w3 := s.thing(t, "w1"), s.thing(t, "w2"), s.thing(t, "w3")
	five := 5
	list := &posture.ExposureList{Request: page.Request{First: &five}}
	pages, err := s.reader.ExposuresOf(s.ctx, snapshot, s.organization, list, []id.ID{w1, w2, w3})
	require.NoError(t, err)
	require.Len(t, pages[w1].Rows, 5)
	require.True(t, pages[w1].HasNext)
	require.Empty(t, pages[w3].Rows)
	var severities []rule.Severity
	for _, x := range pages[w1].Rows {
		require.Equal(t, w1, x.WorkloadID)
		severities = append(severities, x.Severity)
	}
	require.Equal(t, []rule.Severity{4, 4, 4, 3, 3}, severities)
	after := pages[w1].Cursor(pages[w1].Rows[4])
	list.Request.After = &after
	rest, err := s.reader.ExposuresOf(s.ctx, snapshot, s.organization, list, []id.ID{w1})
	require.NoError(t, err)
	require.False(t, rest[w1].HasNext)
	seen := map[string]bool{}
	for _, x := range append(pages[w1].Rows, rest[w1].Rows...) {
		seen[fmt.Sprint(x.PathID, x.Type)] = true
	}
	require.Len(t, seen, 9, "each once")
	_, err = s.reader.ExposuresOf(s.ctx, snapshot, s.organization, list, []id.ID{w2})
	require.Equal(t, "CURSOR_OF_ANOTHER_LIST", readCode(t, err))

	counts, err := s.reader.CountExposuresOf(s.ctx, snapshot, s.organization, []id.ID{w1, w2, w3})
	require.NoError(t, err)
	require.Equal(t, map[id.ID]int{w1: 9, w2: 6}, counts, "three paths with three that hold and that nobody called false")
}

func TestReadPosture(t *testing.T) {
	t.Parallel()
	s := stock(t)
	ask := func(organization id.ID, since *time.Time) *posture.Posture {
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		s.Statements.Reset()
		found, err := s.reader.Posture(s.ctx, snapshot, organization, since)
		require.NoError(t, err)
		require.Len(t, s.Statements.Sent(), 1)
		return found
	}
	require.Nil(t, ask(s.organization, nil), "it has a clock, and was never summed")
	require.Nil(t, ask(id.Organization("unborn"), nil))
	s.rows(t)
	now := ask(s.organization, nil)
	require.Equal(t, noon, now.At.UTC())
	require.Equal(t, posture.Sums{
		Paths: 15, SensitivePaths: 4, DormantPaths: 3, ExecutedPaths: 6, UnwatchedPaths: 2, InvalidPaths: 8, ExecutedInvalidPaths: 5, Executions: 127,
		Workloads: 5, Autonomous: 2, OperatorAssisted: 0, HumanTriggered: 1, Unclassified: 2, Listed: 4, Critical: 2, High: 0, Medium: 1, Low: 0,
		Identities: 2, ActiveIdentities: 1, ActiveAutonomous: 1, DormantIdentities: 1,
	}, now.Sums, "over all classes")
	require.Equal(t, noon.Add(-8*24*time.Hour), now.From.At.UTC(), "the last one that is seven days old")
	number := func(n int64) *int64 { return &n }
	require.Equal(t, &posture.Delta{Since: now.From, NewPaths: number(10), RemovedPaths: number(5), NewOrphaned: number(2), OwnershipInvalidations: number(4),
		NewAutonomousIdentities: number(1)}, now.Delta())
	require.Equal(t, map[string]posture.ClusterSummary{"llm-egress": {Paths: 2, Executions: 9}}, now.From.Clusters)
	require.Nil(t, now.From.SyncID)
	require.Equal(t, noon.Add(-3*time.Hour), now.LastRefresh().UTC())
	require.Equal(t, []string{"catalogue", "scanner"}, []string{now.Sources[0].Name, now.Sources[1].Name})
	require.Equal(t, noon.Add(-5*24*time.Hour), now.Sources[1].LastCompleteAt.UTC())
	require.Equal(t, s.thing(t, "scanner"), now.Sources[1].ID)

	nine := noon.Add(-9 * 24 * time.Hour)
	older := ask(s.organization, &nine)
	require.Equal(t, nine, older.From.At.UTC(), "at that instant or before")
	require.Nil(t, older.Delta().NewOrphaned, "that snapshot did not count it")
	require.Equal(t, number(10), older.Delta().NewPaths)
	just := nine.Add(-time.Microsecond)
	oldest := ask(s.organization, &just)
	require.Equal(t, noon.Add(-20*24*time.Hour), oldest.From.At.UTC())
	require.Equal(t, s.thing(t, "sync"), *oldest.From.SyncID)
	before := noon.Add(-21 * 24 * time.Hour)
	require.Nil(t, ask(s.organization, &before).Delta())
	future := noon.Add(24 * time.Hour)
	require.Equal(t, noon.Add(-time.Hour), ask(s.organization, &future).From.At.UTC())
	s.exec(t, `DELETE FROM posture_counter`)
	require.Zero(t, ask(s.organization, nil).Paths, "judged, and found to have nothing")
}

func TestReadSnapshots(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	day := func(n int) *time.Time { at := noon.Add(-time.Duration(n) * 24 * time.Hour); return &at }
	read := func(filter posture.SnapshotFilter, descending bool, request page.Request) (posture.SnapshotPage, []int) {
		found, err := s.reader.Snapshots(s.ctx, snapshot, s.organization, filter, descending, request)
		require.NoError(t, err)
		var ages []int
		for _, row := range found.Rows {
			ages = append(ages, int(noon.Sub(row.At)/(24*time.Hour)))
		}
		return found, ages
	}
	for name, test := range map[string]struct {
		filter     posture.SnapshotFilter
		descending bool
		want       []int
	}{
		"newest first": {posture.SnapshotFilter{}, true, []int{0, 8, 9, 20}},
		"oldest first": {posture.SnapshotFilter{}, false, []int{20, 9, 8, 0}},
		"from":         {posture.SnapshotFilter{From: day(9)}, false, []int{9, 8, 0}},
		"to":           {posture.SnapshotFilter{To: day(9)}, false, []int{20}},
		"both":         {posture.SnapshotFilter{From: day(9), To: day(8)}, false, []int{9}},
	} {
		_, ages := read(test.filter, test.descending, page.Request{})
		require.Equal(t, test.want, ages, name)
		count, err := s.reader.CountSnapshots(s.ctx, snapshot, s.organization, test.filter)
		require.NoError(t, err)
		require.Len(t, ages, count, name)
	}
	two := 2
	found, first := read(posture.SnapshotFilter{}, true, page.Request{First: &two})
	after := found.Cursor(found.Rows[1])
	_, second := read(posture.SnapshotFilter{}, true, page.Request{First: &two, After: &after})
	require.Equal(t, []int{0, 8, 9, 20}, append(first, second...))
	for name, try := range map[string]struct {
		filter     posture.SnapshotFilter
		descending bool
		code       string
	}{
		"another filter":    {posture.SnapshotFilter{From: day(30)}, true, "CURSOR_OF_ANOTHER_LIST"},
		"another direction": {posture.SnapshotFilter{}, false, "CURSOR_OF_ANOTHER_LIST"},
		"backwards":         {posture.SnapshotFilter{From: day(1), To: day(2)}, true, "INTERVAL_EMPTY"},
	} {
		_, err := s.reader.Snapshots(s.ctx, snapshot, s.organization, try.filter, try.descending, page.Request{After: &after})
		require.Equal(t, try.code, readCode(t, err), name)
	}
}

func TestReadRowsNeedsAccess(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	for code, actor := range map[string]access.Actor{
		"ORGANIZATION_NOT_FOUND": {Subject: "stranger", Organizations: []string{"rival"}, Scopes: access.Scopes},
		"SCOPE_MISSING":          {Subject: "blind", Organizations: []string{"acme"}},
	} {
		ctx := access.With(context.Background(), actor)
		list := &posture.ExposureList{}
		for name, read := range map[string]func() error{
			"list": func() error {
				_, err := s.reader.WorkloadExposures(ctx, snapshot, s.organization, posture.WorkloadFilter{}, gravest, page.Request{})
				return err
			},
			"count": func() error {
				_, err := s.reader.CountWorkloadExposures(ctx, snapshot, s.organization, posture.WorkloadFilter{})
				return err
			},
			"rows": func() error {
				_, err := s.reader.WorkloadExposuresByWorkloads(ctx, snapshot, s.organization, []id.ID{id.Nil})
				return err
			},
			"row": func() error {
				_, err := s.reader.WorkloadExposure(ctx, snapshot, s.organization, "EXP-00000001", id.Nil)
				return err
			},
			"dossiers": func() error { _, err := s.reader.Dossiers(ctx, snapshot, s.organization, []id.ID{id.Nil}); return err },
			"exposures": func() error {
				_, err := s.reader.ExposuresOf(ctx, snapshot, s.organization, list, []id.ID{id.Nil})
				return err
			},
			"how many": func() error {
				_, err := s.reader.CountExposuresOf(ctx, snapshot, s.organization, []id.ID{id.Nil})
				return err
			},
			"posture": func() error { _, err := s.reader.Posture(ctx, snapshot, s.organization, nil); return err },
			"snapshots": func() error {
				_, err := s.reader.Snapshots(ctx, snapshot, s.organization, posture.SnapshotFilter{}, true, page.Request{})
				return err
			},
			"how many s": func() error {
				_, err := s.reader.CountSnapshots(ctx, snapshot, s.organization, posture.SnapshotFilter{})
				return err
			},
		} {
			require.Equal(t, code, readCode(t, read()), name)
		}
	}
	require.Empty(t, s.Statements.Sent())
}

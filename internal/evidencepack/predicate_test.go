package evidencepack

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// TestPredicates has each rule judge facts that make it true, keeps the evidence
// as the database does, and reads the predicates off it.
func TestPredicates(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	window := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	long := window.Add(-200 * day)
	settings := rule.Settings{DormantAfter: 30 * day, ProofGrace: 5 * day, PrivilegeWindow: 45 * day, SharedWorkloads: 4}
	ada := rule.Owner{ID: id.ID{1}, Name: "Ada", Active: true}
	bob := rule.Owner{ID: id.ID{2}, Name: "Bob"}
	team := rule.Owner{ID: id.ID{3}, Name: "Team", Group: true, Active: true}
	workload := func(w rule.Workload) []rule.Verdict {
		w.ID, w.Name, w.FirstSeen = id.ID{9}, "w", long
		return rule.JudgeWorkload(w, settings, window, nil)
	}
	identity := func(i rule.Identity) []rule.Verdict {
		i.ID, i.Name, i.FirstSeen = id.ID{8}, "i", long
		return rule.JudgeIdentity(i, settings, window, nil)
	}
	some := id.ID{7}
	cases := map[rule.Rule]struct {
		verdicts []rule.Verdict
		facts    rule.Facts
		want     []string
	}{
		rule.OrphanedOwnership: {workload(rule.Workload{Ownership: rule.Complete, Owners: []rule.Owner{bob}}), rule.Facts{},
			[]string{"active_owners: none: 0", "ownership_coverage: complete: complete"}},
		rule.OwnershipDegraded: {workload(rule.Workload{Owners: []rule.Owner{ada, bob, team}}), rule.Facts{},
			[]string{"active_individual_owners: one or more: 1", "inactive_owners: one or more: 1"}},
		rule.OwnershipAmbiguous: {workload(rule.Workload{Ownership: rule.Complete, Owners: []rule.Owner{team}}), rule.Facts{},
			[]string{"active_group_owners: one or more: 1", "active_individual_owners: none: 0", "ownership_coverage: complete: complete"}},
		rule.OwnershipUnknown: {workload(rule.Workload{Ownership: rule.Expired, Owners: []rule.Owner{bob}}), rule.Facts{},
			[]string{"active_owners: none: 0", "ownership_coverage: anything but complete: expired"}},
		rule.DormantAuthority: {identity(rule.Identity{Execution: rule.Complete, LastActive: window.Add(-40 * day)}), rule.Facts{FirstSeen: window.Add(-31 * day)},
			[]string{"identity_last_active_at: none, or 30 days or more before the end of the window: 2026-01-20T00:00:00Z",
				"identity_first_seen_at: 30 days or more before the end of the window: 2025-08-13T00:00:00Z",
				"path_first_seen_at: 30 days or more before the end of the window: 2026-01-29T00:00:00Z", "execution_coverage: complete: complete"}},
		rule.SensitiveDomain: {[]rule.Verdict{rule.JudgeReach(rule.Trait{Sensitivity: authority.Confidential})}, rule.Facts{Sensitivity: authority.Confidential},
			[]string{"sensitivity: confidential or restricted: confidential"}},
		rule.UnknownBinding: {workload(rule.Workload{Unresolved: 2, Unbound: 1}), rule.Facts{},
			[]string{"identity_of_path: none: <nil>", "unresolved_bindings: one or more, unless bindings were collected completely: 2",
				"binding_coverage: complete, unless a binding is unresolved: not_collected"}},
		rule.UnprovenExecution: {workload(rule.Workload{Execution: rule.Complete}), rule.Facts{},
			[]string{"executions_of_workload: none, ever: 0", "workload_first_seen_at: 5 days or more before the end of the window: 2025-08-13T00:00:00Z",
				"execution_coverage: complete: complete"}},
		rule.ScopeDrift: {identity(rule.Identity{Scope: &rule.Scope{BaselineAt: long, RolesAdded: []string{"admin"}, Newly: 3}}), rule.Facts{},
			[]string{"baseline_at: before the scope that is compared: 2025-08-13T00:00:00Z", "roles_added: anything, in one of the three: [admin]",
				"actions_added: anything, in one of the three: []", "destinations_added: anything, in one of the three: 3"}},
		rule.PrivilegeGap: {
			[]rule.Verdict{rule.JudgePrivilege(rule.Privilege{Granted: []string{"delete", "get", "update", "write"}, Used: []string{"get", "write"}, Justified: []string{"delete"}, Proven: true, Execution: rule.Complete}, settings)},
			rule.Facts{Actions: []string{"delete", "get", "update", "write"}, Use: &rule.Use{Used: []string{"get", "write"}, Justified: []string{"delete"}}},
			[]string{"granted_actions_that_change_something: one or more: [delete update write]", "used_actions: one or more in 45 days: [get write]",
				"justified_actions: not all of those that are unused: [delete]", "unused_unjustified_actions: one or more: [update]"}},
		rule.ExternalEgress: {workload(rule.Workload{Hosts: []rule.Host{{Name: "a.example", Category: authority.EgressExternal}, {Name: "b.example", Category: authority.EgressLLM}}}), rule.Facts{},
			[]string{"external_hosts: one or more: [a.example]"}},
		rule.LLMEgress: {workload(rule.Workload{Hosts: []rule.Host{{Name: "a.example", Category: authority.EgressExternal}, {Name: "b.example", Category: authority.EgressLLM}}}), rule.Facts{},
			[]string{"language_model_hosts: one or more: [b.example]"}},
		rule.IdentityReuse: {identity(rule.Identity{Workloads: 2, OwnerSets: 2, Owners: 3, Ownership: rule.Complete}), rule.Facts{},
			[]string{"workloads: 4 or more, or two whose owners are known to differ: 2", "owner_sets: two or more, unless the workloads are enough: 2",
				"ownership_coverage: complete, unless the workloads are enough: complete"}},
		rule.InternetFacing: {workload(rule.Workload{Assets: []string{"203.0.113.7 tcp/443"}, AssetsGone: []string{"203.0.113.7 tcp/8443"}}), rule.Facts{},
			[]string{"reachable_assets: one or more: [203.0.113.7 tcp/443]"}},
	}
	require.Len(t, cases, len(rule.Definitions), "each rule has its predicates")
	for r, c := range cases {
		key := rule.Define(r).Key
		found := false
		for _, v := range c.verdicts {
			if v.Rule != r {
				continue
			}
			found = true
			require.Equal(t, rule.True, v.Outcome, key)
			f := c.facts
			f.Evidence, f.Settings = decode(v.Evidence.JSON()), settings
			var got []string
			for _, p := range predicates(r, f) {
				value := p.Found
				if m, ok := value.(moment); ok {
					value = m.UTC().Format(time.RFC3339)
				}
				got = append(got, fmt.Sprintf("%s: %s: %v", p.Name, p.Requires, value))
			}
			require.Equal(t, c.want, got, key)
		}
		require.True(t, found, key)
		_, known := ledger.TypeNumber(ledger.TypeWord(rule.Type(r)))
		require.True(t, known, key)
	}

	got := predicates(rule.UnknownBinding, rule.Facts{Identity: &some})
	require.Equal(t, some.String(), got[0].Found)
	got = predicates(rule.PrivilegeGap, rule.Facts{Actions: []string{"delete"}})
	require.Len(t, got, 1, "what was used when it resolved is not known any more")
}

// TestThresholds are those that a rule looks at, and no others.
func TestThresholds(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	s := rule.Settings{DormantAfter: 1 * day, ProofGrace: 2 * day, PrivilegeWindow: 3 * day, SharedWorkloads: 4}
	all := map[rule.Rule]map[string]int{}
	for _, d := range rule.Definitions {
		if found := thresholds(d.Rule, s); len(found) > 0 {
			all[d.Rule] = found
		}
	}
	require.Equal(t, map[rule.Rule]map[string]int{
		rule.DormantAuthority: {"dormantAfterDays": 1}, rule.UnprovenExecution: {"proofGraceDays": 2},
		rule.PrivilegeGap: {"privilegeWindowDays": 3}, rule.IdentityReuse: {"sharedWorkloads": 4},
	}, all)
}

// TestMoments are written in UTC, whatever zone they were read in.
func TestMoments(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 13, 0, 0, 250_000_000, time.FixedZone("", 3600))
	got, err := json.Marshal([]any{moment{at}, instant(&at), instant(nil)})
	require.NoError(t, err)
	require.Equal(t, `["2026-03-01T12:00:00.25Z","2026-03-01T12:00:00.25Z",null]`, string(got))
}

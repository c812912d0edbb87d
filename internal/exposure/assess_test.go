package exposure_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

const day = 24 * time.Hour

// Each rule on a path of its own: it does not fire, fires, is unknown, resolves
// for its reason and opens again as a second interval.

func TestOrphanedOwnership(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("internal", "get"), owner("Ann", record.Active), owner("Bob", record.Disabled))
	known := covered(record.Ownership)

	s.say(with(base, known, ownedBy("w1", "Ann"))...)
	require.Empty(t, s.exposures(rule.OrphanedPath))
	s.say(with(base, known, ownedBy("w1", "Bob"))...)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.OrphanedPath))
	require.Equal(t, []string{"w1 has no active owner; 1 former owner."}, s.explanations(rule.OrphanedPath))
	s.say(with(base, ownedBy("w1", "Bob"))...) // nobody looks any longer
	require.Equal(t, []string{"1 high doubted"}, s.exposures(rule.OrphanedPath))
	require.Empty(t, s.exposures(rule.UnknownOwnership), "what is open says more than that nobody knows")
	s.say(with(base, known, ownedBy("w1", "Bob"), ownedBy("w1", "Ann"))...)
	require.Equal(t, []string{"1 high owner_assigned"}, s.exposures(rule.OrphanedPath))
	s.say(with(path("restricted", "get"), owner("Bob", record.Disabled), known, ownedBy("w1", "Bob"))...)
	require.Equal(t, []string{"1 high owner_assigned", "2 critical"}, s.exposures(rule.OrphanedPath))
	s.say(with(path("restricted", "get"), owner("Bob", record.Active), known, ownedBy("w1", "Bob"))...)
	require.Equal(t, []string{"1 high owner_assigned", "2 critical owner_reactivated"}, s.exposures(rule.OrphanedPath))
}

func TestOwnershipDegraded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("internal", "get"), owner("Ann", record.Active), owner("Bob", record.Disabled), ownedBy("w1", "Ann"))
	s.say(with(base, covered(record.Ownership))...)
	require.Empty(t, s.exposures(rule.DegradedOwnership))
	s.say(with(base, ownedBy("w1", "Bob"))...) // what is present decides alone
	require.Equal(t, []string{"1 medium"}, s.exposures(rule.DegradedOwnership))
	s.say(base...)
	require.Equal(t, []string{"1 medium doubted"}, s.exposures(rule.DegradedOwnership))
	s.say(with(base, covered(record.Ownership))...)
	require.Equal(t, []string{"1 medium owner_record_cleaned"}, s.exposures(rule.DegradedOwnership))
	s.say(with(base, ownedBy("w1", "Bob"))...)
	require.Equal(t, []string{"1 medium owner_record_cleaned", "2 medium"}, s.exposures(rule.DegradedOwnership))
}

func TestOwnershipAmbiguous(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("restricted", "get"), owner("Ann", record.Active), group("platform"), ownedBy("w1", "platform"))
	s.say(base...)
	require.Empty(t, s.exposures(rule.AmbiguousOwnership), "a person may answer, too: nobody looked")
	s.say(with(base, covered(record.Ownership))...)
	require.Equal(t, []string{"1 medium"}, s.exposures(rule.AmbiguousOwnership))
	s.say(base...)
	require.Equal(t, []string{"1 medium doubted"}, s.exposures(rule.AmbiguousOwnership))
	s.say(with(base, ownedBy("w1", "Ann"))...)
	require.Equal(t, []string{"1 medium individual_owner_assigned"}, s.exposures(rule.AmbiguousOwnership))
	s.say(with(base, covered(record.Ownership))...)
	require.Equal(t, []string{"1 medium individual_owner_assigned", "2 medium"}, s.exposures(rule.AmbiguousOwnership))
}

func TestOwnershipUnknown(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("internal", "get"), owner("Ann", record.Active))
	s.say(base...)
	require.Equal(t, []string{"1 medium"}, s.exposures(rule.UnknownOwnership))
	s.say(with(base, record.Coverage{Kind: record.Ownership, Partial: true})...)
	require.Equal(t, []string{"1 medium"}, s.exposures(rule.UnknownOwnership), "half a look is none")
	s.say(with(base, ownedBy("w1", "Ann"))...)
	require.Equal(t, []string{"1 medium ownership_metadata_received"}, s.exposures(rule.UnknownOwnership))
	s.say(base...)
	require.Equal(t, []string{"1 medium ownership_metadata_received", "2 medium"}, s.exposures(rule.UnknownOwnership))
}

func TestDormantAuthority(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := path("confidential", "get")
	watched := record.Coverage{Kind: record.Execution, From: epoch.Add(-100 * day)}
	s.say(with(base, watched)...)
	require.Empty(t, s.exposures(rule.DormantPath), "nothing is as old as that yet")
	s.wait(91 * day)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.DormantPath))
	require.Equal(t, []string{"i1 has not acted for 90 days or more, still reaches ledger (confidential)."}, s.explanations(rule.DormantPath))
	s.say(base...)
	require.Equal(t, []string{"1 high doubted"}, s.exposures(rule.DormantPath))
	s.say(with(base, ran(s.now(), "i", ""))...)
	require.Equal(t, []string{"1 high activity_resumed"}, s.exposures(rule.DormantPath), "presence decides, whoever looks")
	s.say(with(base, watched)...)
	s.wait(92 * day)
	require.Equal(t, []string{"1 high activity_resumed", "2 high"}, s.exposures(rule.DormantPath))
	disabled := with(base, watched)
	disabled[1] = record.Entity{Ref: ref(record.Identity, "i1"), Status: record.Disabled}
	s.say(disabled...)
	require.Equal(t, []string{"1 high activity_resumed", "2 high identity_disabled"}, s.exposures(rule.DormantPath))
}

func TestDormantAuthoritySparesTheRouteThatIsUsed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("internal", "get"), record.Coverage{Kind: record.Execution, From: epoch.Add(-100 * day)},
		workload("w2"), runsAs("w2", "i1"))
	s.say(base...)
	s.advance(91 * day)
	s.say(with(base, ran(s.now(), "w", ""))...)
	s.wait(0)
	require.Equal(t, []string{"1 medium"}, s.exposures(rule.DormantPath), "only the path of w2")
}

func TestSensitiveReach(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, step := range []struct {
		sensitivity, action string
		want                []string
	}{
		{"internal", "get", []string{}},
		{"restricted", "get", []string{"1 high"}},
		{"restricted", "delete", []string{"1 critical"}},
		{"confidential", "delete", []string{"1 high"}},
		{"confidential", "get", []string{"1 medium"}},
		{"", "get", []string{"1 medium doubted"}},
		{"internal", "get", []string{"1 medium sensitivity_reclassified"}},
		{"", "get", []string{"1 medium sensitivity_reclassified"}},
		{"restricted", "get", []string{"1 medium sensitivity_reclassified", "2 high"}},
	} {
		s.say(path(step.sensitivity, step.action)...)
		require.ElementsMatch(t, step.want, s.exposures(rule.SensitiveReach), step)
	}
	require.Equal(t, []string{"w1 can get ledger in finance (restricted) via reader."}, s.explanations(rule.SensitiveReach))
}

func TestUnknownBinding(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	unbound := []record.Fact{
		workload("w1"), record.Entity{Ref: ref(record.Identity, "i1")}, record.Entity{Ref: ref(record.Resource, "ledger")},
		edge(record.Declares, ref(record.Workload, "w1"), ref(record.Resource, "ledger"), "", "get"),
	}
	s.say(unbound...)
	require.Empty(t, s.exposures(rule.UnboundPath), "an identity may be there: nobody looked")
	s.say(with(unbound, covered(record.Binding))...)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.UnboundPath))
	require.Equal(t, []string{"No deterministic identity recorded for w1; 1 destination affected."}, s.explanations(rule.UnboundPath))
	s.say(unbound...)
	require.Equal(t, []string{"1 high doubted"}, s.exposures(rule.UnboundPath))
	s.say(with(unbound, runsAs("w1", "i1"))...)
	require.Equal(t, []string{"1 high identity_bound"}, s.exposures(rule.UnboundPath))
	s.say(with(unbound, covered(record.Binding))...)
	require.Equal(t, []string{"1 high identity_bound", "2 high"}, s.exposures(rule.UnboundPath))
}

func TestUnprovenExecution(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := path("confidential", "get")
	watched := record.Coverage{Kind: record.Execution, From: epoch.Add(-day)}
	s.say(with(base, watched)...)
	require.Empty(t, s.exposures(rule.UnprovenPath), "it is young")
	s.wait(8 * day)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.UnprovenPath))
	s.say(base...)
	require.Equal(t, []string{"1 high doubted"}, s.exposures(rule.UnprovenPath))
	s.say(with(base, ran(s.now(), "w", ""))...)
	require.Equal(t, []string{"1 high evidence_appeared"}, s.exposures(rule.UnprovenPath))
}

func TestScopeDrift(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("internal", "get"), covered(record.Roles), record.Entity{Ref: ref(record.Role, "writer")},
		record.Entity{Ref: ref(record.Resource, "vault"), Sensitivity: "restricted"},
		edge(record.Grants, ref(record.Role, "writer"), ref(record.Resource, "vault"), "*", "get"))
	drifted := with(base, edge(record.HasRole, ref(record.Identity, "i1"), ref(record.Role, "writer"), "*"))
	s.say(base...)
	require.Empty(t, s.exposures(rule.ScopeExpansion), "this is the baseline")
	s.say(drifted...)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.ScopeExpansion), "only the path that the added role leads to")
	s.say(base...)
	require.Equal(t, []string{"1 high path_removed"}, s.exposures(rule.ScopeExpansion))

	more := with(base, edge(record.Grants, ref(record.Role, "reader"), ref(record.Resource, "vault"), "*", "list"))
	s.say(more...)
	require.Equal(t, []string{"1 high path_removed", "2 high"}, s.exposures(rule.ScopeExpansion))

	widened := with(path("internal", "delete", "get"), covered(record.Roles))
	s.say(widened...)
	require.Equal(t, []string{"1 high path_removed", "2 high path_removed", "1 high"}, s.exposures(rule.ScopeExpansion), "power grew on the ledger")
	s.say(path("internal", "get")...)
	require.Equal(t, []string{"1 high path_removed", "2 high path_removed", "1 high doubted"}, s.exposures(rule.ScopeExpansion), "nobody looks any longer")
	s.say(with(path("internal", "get"), covered(record.Roles))...)
	require.Equal(t, []string{"1 high path_removed", "2 high path_removed", "1 high scope_reduced"}, s.exposures(rule.ScopeExpansion))
}

func TestPrivilegeGap(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := path("restricted", "delete", "get")
	watched := record.Coverage{Kind: record.Execution, From: epoch.Add(-100 * day)}
	s.say(with(base, watched)...)
	require.Empty(t, s.exposures(rule.ExcessPrivilege), "nothing is proven")
	s.say(with(base, watched, ran(s.now(), "wir", "get"))...)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.ExcessPrivilege))
	require.Equal(t, []string{"i1 may delete on ledger; only get observed in 90 days."}, s.explanations(rule.ExcessPrivilege))
	s.say(base...)
	require.Equal(t, []string{"1 high doubted"}, s.exposures(rule.ExcessPrivilege))
	s.say(with(base, ran(s.now(), "wir", "delete"))...)
	require.Equal(t, []string{"1 high privilege_exercised"}, s.exposures(rule.ExcessPrivilege))
	s.say(with(path("restricted", "delete", "get", "patch"), watched)...)
	require.Equal(t, []string{"1 high privilege_exercised", "2 high"}, s.exposures(rule.ExcessPrivilege))
	s.say(with(base, watched)...)
	require.Equal(t, []string{"1 high privilege_exercised", "2 high privilege_reduced"}, s.exposures(rule.ExcessPrivilege))
}

func TestEgress(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := path("restricted", "get")
	s.say(with(base, egress("w1", "intranet.example", record.EgressInternal))...)
	require.Empty(t, s.exposures(rule.ExternalEgressing))
	s.say(with(base, egress("w1", "partner.example", record.EgressExternal), egress("w1", "api.model.example", record.EgressLLM))...)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.ExternalEgressing))
	require.Equal(t, []string{"1 critical"}, s.exposures(rule.LLMEgressing))
	s.say(base...)
	require.Equal(t, []string{"1 high doubted"}, s.exposures(rule.ExternalEgressing))
	require.Equal(t, []string{"1 critical doubted"}, s.exposures(rule.LLMEgressing))
	s.say(with(base, covered(record.EgressObs), egress("w1", "partner.example", record.EgressInternal))...)
	require.Equal(t, []string{"1 high host_reclassified"}, s.exposures(rule.ExternalEgressing))
	require.Equal(t, []string{"1 critical egress_removed"}, s.exposures(rule.LLMEgressing))
	s.say(with(base, egress("w1", "partner.example", record.EgressExternal))...)
	require.Equal(t, []string{"1 high host_reclassified", "2 high"}, s.exposures(rule.ExternalEgressing))
}

func TestIdentityReuse(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("internal", "get"), owner("Ann", record.Active), owner("Bob", record.Active), ownedBy("w1", "Ann"))
	two := with(base, workload("w2"), runsAs("w2", "i1"), ownedBy("w2", "Bob"))
	s.say(base...)
	require.Empty(t, s.exposures(rule.SharedIdentity))
	s.say(two...)
	require.Empty(t, s.exposures(rule.SharedIdentity), "the owners may be the same after all: nobody looked")
	s.say(with(two, covered(record.Ownership))...)
	require.Equal(t, []string{"1 medium", "1 medium"}, s.exposures(rule.SharedIdentity), "also on the path of the workload that was there before")
	s.say(base...)
	require.ElementsMatch(t, []string{"1 medium doubted", "1 medium path_removed"}, withoutWorkloadRemoved(s.exposures(rule.SharedIdentity)))
	s.say(with(base, covered(record.Binding, record.Ownership))...)
	require.ElementsMatch(t, []string{"1 medium identity_dedicated", "1 medium path_removed"}, withoutWorkloadRemoved(s.exposures(rule.SharedIdentity)))
	s.say(with(base, workload("w2"), workload("w3"), runsAs("w2", "i1"), runsAs("w3", "i1"))...)
	require.Contains(t, s.exposures(rule.SharedIdentity), "2 medium", "three workloads share it, whoever owns them")
}

// withoutWorkloadRemoved reads the removal of a workload as that of its path.
func withoutWorkloadRemoved(list []string) []string {
	for i, text := range list {
		if text == "1 medium workload_removed" {
			list[i] = "1 medium path_removed"
		}
	}
	return list
}

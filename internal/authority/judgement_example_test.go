package authority_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// Examples of what histories seldom come to.

// reason is why the last exposure of a type on w1, i1, d1 resolved; "" while it is
// open, "none" if there never was one.
func (h *theatre) reason(t rule.Type) string {
	key := pathKey{record.Ref{Kind: record.Workload, System: "s1", SourceID: "w1"}, record.Ref{Kind: record.Identity, System: "s1", SourceID: "i1"},
		record.Ref{Kind: record.Resource, System: "s1", SourceID: "d1"}}
	if list := h.world.exposures[place{key, t}]; len(list) > 0 {
		return string(latest(list).Reason)
	}
	return "none"
}

func estate(sensitivity string, actions ...string) []record.Fact {
	return []record.Fact{workload("w1"), identity("i1"), role("r1"), resource("d1", sensitivity), runsAs("w1", "i1"), hasRole("i1", "r1", "*"),
		grants("r1", "*", "d1", actions...), record.Coverage{Kind: record.Execution}, record.Coverage{Kind: record.Roles}, record.Coverage{Kind: record.Ownership}}
}

func use(action string, on time.Time) record.Evidence {
	w, i, d := ref(record.Workload, "w1"), ref(record.Identity, "i1"), ref(record.Resource, "d1")
	return record.Evidence{Workload: &w, Identity: &i, Resource: &d, Action: action, Day: on, Count: 1}
}

func TestHistoryPrivilege(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, append(estate("restricted", "get", "delete", "update"), use("get", day(-80)))...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.say(t, scan, time.Hour, append(estate("restricted", "get", "list"), use("get", day(-80)))...)
	require.Equal(t, "privilege_reduced", h.reason(rule.ExcessPrivilege))
	h.say(t, scan, 2*time.Hour, estate("restricted", "get", "delete")...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	// A further action is granted while the power is used: nothing was taken away.
	h.say(t, scan, 3*time.Hour, append(estate("restricted", "get", "list", "delete"), use("delete", day(0)))...)
	require.Equal(t, "privilege_exercised", h.reason(rule.ExcessPrivilege))
	h.say(t, scan, 4*time.Hour, estate("restricted", "get", "delete", "*", "update")...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.now = epoch.AddDate(0, 0, 91)
	h.reevaluate(t, authority.ByTime, nil)
	require.Equal(t, "execution_ceased", h.reason(rule.ExcessPrivilege))
}

// What somebody justified is in no question, until it is withdrawn or grows.
func TestHistoryPrivilegeJustified(t *testing.T) {
	h := example(t)
	const withdraw, byName, unused = 0, 1, 2
	used := use("get", day(-1))
	h.say(t, scan, 0, append(estate("restricted", "get", "delete", "update"), used)...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.justify(t, 0, byName)
	require.Empty(t, h.reason(rule.ExcessPrivilege), "one of two")
	h.justify(t, 0, unused)
	require.Equal(t, "justification_recorded", h.reason(rule.ExcessPrivilege))
	h.justify(t, 0, withdraw)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.justify(t, 0, unused)
	h.now = epoch.Add(time.Hour)
	h.say(t, scan, time.Hour, append(estate("restricted", "get", "delete", "update", "*"), used)...)
	require.Empty(t, h.reason(rule.ExcessPrivilege), "what came later needs its own")
	h.say(t, scan, 2*time.Hour, append(estate("restricted", "get", "delete", "update"), used)...)
	require.Equal(t, "privilege_reduced", h.reason(rule.ExcessPrivilege), "nobody recorded anything now")
	require.Equal(t, []int{3, 1}, []int{len(latestOf(h.world.justifications)), len(h.world.justifications)})
}

// latestOf is the only list of a map.
func latestOf[K comparable, V any](lists map[K][]V) (only []V) {
	for _, list := range lists {
		only = list
	}
	return only
}

// Evidence of an identity alone proves the one workload that acts as it.
func TestHistoryIdentityProvesItsOnlyWorkload(t *testing.T) {
	h := example(t)
	i1 := ref(record.Identity, "i1")
	h.say(t, scan, 0, estate("restricted", "get")...)
	h.now = epoch.AddDate(0, 0, 30)
	h.reevaluate(t, authority.ByTime, nil)
	require.Empty(t, h.reason(rule.UnprovenPath))
	proof := record.Evidence{Identity: &i1, Day: day(29), Count: 1}
	h.say(t, scan, 31*day24, append(estate("restricted", "get"), proof)...)
	require.Equal(t, "evidence_appeared", h.reason(rule.UnprovenPath))
	h.say(t, scan, 32*day24, append(estate("restricted", "get"), workload("w2"), runsAs("w2", "i1"))...)
	require.Empty(t, h.reason(rule.UnprovenPath), "it may have been the other one")
	// Before it was there, somebody else was the one.
	h.say(t, inventory, 33*day24, workload("w3"), identity("i3"), runsAs("w3", "i3"), record.Evidence{Identity: pointer(ref(record.Identity, "i3")), Day: day(32), Count: 1})
	require.True(t, h.world.lastProof(in1(record.Workload, "w3")).IsZero())
	h.say(t, inventory, 34*day24, workload("w3"), identity("i3"), runsAs("w3", "i3"), record.Evidence{Identity: pointer(ref(record.Identity, "i3")), Day: day(33), Count: 1})
	require.False(t, h.world.lastProof(in1(record.Workload, "w3")).IsZero())
}

// The same evidence found again is known to be a false alarm; other evidence is
// not.
func TestHistoryFalsePositiveInherited(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, estate("restricted", "get")...)
	for which := range 20 {
		h.dispose(t, which, 4)
	}
	h.reevaluate(t, authority.ByRequest, nil)
	h.say(t, scan, time.Hour, estate("public", "get")...)
	require.Equal(t, "sensitivity_reclassified", h.reason(rule.SensitiveReach))
	h.say(t, scan, 2*time.Hour, estate("", "get")...)
	require.Equal(t, "sensitivity_reclassified", h.reason(rule.SensitiveReach), "nobody knows, so nothing opens")
	h.say(t, scan, 3*time.Hour, estate("restricted", "get")...)
	require.Empty(t, h.openAt(1), "of the same evidence")
	h.say(t, scan, 4*time.Hour, estate("public", "get")...)
	h.say(t, scan, 5*time.Hour, estate("restricted", "get", "delete")...)
	require.ElementsMatch(t, []rule.Type{rule.SensitiveReach, rule.ScopeExpansion}, h.openAt(1))
}

// openAt are the types of the open exposures with a disposition.
func (h *theatre) openAt(disposition int) (types []rule.Type) {
	for p := range h.world.exposures {
		if x := h.world.exposure(p); x != nil && x.now().Disposition == disposition {
			types = append(types, p.Type)
		}
	}
	return types
}

func TestHistoryOwnersComeAndGo(t *testing.T) {
	h := example(t)
	former := owner("o2")
	former.Status = record.Disabled
	h.say(t, scan, 0, append(estate("", "get"), owner("o1"), former, ownedBy("w1", "o1"), ownedBy("w1", "o2"))...)
	require.Empty(t, h.reason(rule.DegradedOwnership))
	h.say(t, scan, time.Hour, append(estate("", "get"), owner("o1"), ownedBy("w1", "o1"))...)
	require.Equal(t, "owner_record_cleaned", h.reason(rule.DegradedOwnership))
	h.say(t, scan, 2*time.Hour, append(estate("", "get"), owner("o1"), former, ownedBy("w1", "o1"), ownedBy("w1", "o2"))...)
	h.say(t, scan, 3*time.Hour, append(estate("", "get"), owner("o1"), owner("o2"), ownedBy("w1", "o1"), ownedBy("w1", "o2"))...)
	require.Equal(t, "owner_reactivated", h.reason(rule.DegradedOwnership))
}

// What an identity reaches also depends on who leads to it over other systems:
// who begins or ceases to do so lets it be judged, too.
func TestHistoryScopeBehindAnotherIdentity(t *testing.T) {
	h := example(t)
	behind := append(estate("restricted", "get"), identity("i2"), role("r2"), resource("d2", "public"), hasRole("i2", "r2", "*"), grants("r2", "*", "d2", "get"),
		record.Edge{Kind: record.Authenticates, From: ref(record.Identity, "i1"), To: ref(record.Identity, "i2"), Protocol: "oauth2"}, workload("w2"))
	without := func(list []record.Fact) []record.Fact {
		return slices.DeleteFunc(slices.Clone(list), func(f record.Fact) bool { return f == nil || fmt.Sprint(f) == fmt.Sprint(runsAs("w1", "i1")) })
	}
	h.say(t, scan, 0, without(behind)...)
	h.say(t, scan, time.Hour, behind...)
	require.Len(t, h.world.baselines, 2)
	h.say(t, scan, 2*time.Hour, append(behind, resource("d3", "restricted"), grants("r2", "*", "d3", "delete"))...)
	h.say(t, scan, 3*time.Hour, append(without(behind), resource("d3", "restricted"), grants("r2", "*", "d3", "delete"))...)
	h.say(t, scan, 4*time.Hour, append(behind, resource("d3", "restricted"), grants("r2", "*", "d3", "delete"))...)
}

// A workload answers from outside while somebody sees one of its places. Why it no
// longer does, the last of them says: what was closed before has nothing to do with it.
func TestHistoryFacing(t *testing.T) {
	h := example(t)
	answering := func(values ...string) []record.Fact {
		facts := estate("restricted", "get")
		for _, value := range values {
			facts = append(facts, record.Endpoint{Workload: ref(record.Workload, "w1"), Kind: record.MappedEndpoint, Value: value})
		}
		return facts
	}
	see := func(after time.Duration, shown ...*surfacetest.Shown) {
		h.deliver(t, told{voice: firstScanner, observedAt: epoch.Add(after), lines: sights(shown...)})
	}
	one, other := surfacetest.Up(addresses[0], 443), surfacetest.Up(addresses[1], 443)
	h.say(t, scan, 0, answering(addresses...)...)
	require.Equal(t, "none", h.reason(rule.OutwardFacing))
	see(time.Hour, one, other)
	require.Empty(t, h.reason(rule.OutwardFacing))
	see(2*time.Hour, surfacetest.Up(addresses[0]).Probed(addresses[0], addresses[0], 1, 1024), other)
	require.Empty(t, h.reason(rule.OutwardFacing), "one of two")
	h.say(t, scan, 3*time.Hour, answering(addresses[0])...)
	require.Equal(t, "link_removed", h.reason(rule.OutwardFacing), "what is linked yet was closed before")
	see(4*time.Hour, one, other)
	require.Empty(t, h.reason(rule.OutwardFacing))
	see(5*time.Hour, surfacetest.Up(addresses[0]).Probed(addresses[0], addresses[1], 1, 1024))
	require.Equal(t, "asset_gone", h.reason(rule.OutwardFacing))
}

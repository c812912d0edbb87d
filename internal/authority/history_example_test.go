package authority_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Examples of what is easily got wrong. Each delivery is also compared with the model.

const (
	scan = iota
	inventory
	cloud
)

func (h *theatre) say(t checker, voice int, after time.Duration, facts ...record.Fact) outcome {
	t.Helper()
	d := told{voice: voice, observedAt: epoch.Add(after)}
	for i, fact := range facts {
		d.lines = append(d.lines, line{number: i + 1, fact: fact})
	}
	return h.deliver(t, d)
}

func example(t *testing.T) *theatre {
	t.Helper()
	t.Parallel()
	b := setup(t)
	return newTheatre(b, b.Super(t))
}

// path is the current state of a path within s1.
func (h *theatre) path(workload, identity, resource string) pathState {
	key := pathKey{Workload: record.Ref{Kind: record.Workload, System: "s1", SourceID: workload},
		Resource: record.Ref{Kind: record.Resource, System: "s1", SourceID: resource}}
	if identity != "" {
		key.Identity = record.Ref{Kind: record.Identity, System: "s1", SourceID: identity}
	}
	return h.world.paths[key].now()
}

// A window begins at an instant, not with that day: coverage that begins at the
// very instant has watched it, a second later it has not.
func TestHistoryWindowBeginsAtAnInstant(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, workload("w1"), resource("d1", ""), declares("w1", "d1"),
		record.Coverage{Kind: record.Execution, From: epoch.Add(-authority.Window), To: epoch})
	require.EqualValues(t, 0, h.path("w1", "", "d1").Execution)
	h.say(t, scan, time.Hour, workload("w1"), resource("d1", ""), declares("w1", "d1"),
		record.Coverage{Kind: record.Execution, From: epoch.Add(time.Second - authority.Window), To: epoch})
	require.EqualValues(t, unknownExecutions, h.path("w1", "", "d1").Execution)
}

// A source that says the same again renews its coverage. What is derived from
// that alone counts in the same window as everything else.
func TestHistoryRenewedCoverageKeepsTheWindow(t *testing.T) {
	h := example(t)
	w1 := ref(record.Workload, "w1")
	facts := []record.Fact{workload("w1"), resource("d1", ""), declares("w1", "d1"),
		record.Coverage{Kind: record.Ownership, MaxAge: time.Hour},
		record.Coverage{Kind: record.Execution, From: epoch.Add(-authority.Window)},
		record.Evidence{Workload: &w1, Day: day(-60), Count: 5}}
	h.say(t, scan, 0, facts...)
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership)
	h.say(t, inventory, 2*time.Hour, record.Entity{Ref: w1, Environment: "prod"})
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership, "in the window somebody had looked just now")
	h.now = epoch.Add(150 * time.Minute)
	h.reevaluate(t, authority.ByTime, nil)
	require.Equal(t, "unknown", h.path("w1", "", "d1").Ownership, "nobody has looked for two hours and a half")
	require.Equal(t, authority.Applied, h.say(t, scan, 3*time.Hour, facts...).Outcome)
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership)
	require.EqualValues(t, 0, h.path("w1", "", "d1").Execution, "five runs two months ago are outside the window")
	require.Equal(t, authority.Unchanged, h.say(t, scan, 3*time.Hour+time.Minute, facts...).Outcome, "nothing to renew yet")
}

// A declared destination is a path of its own until an identity reaches it, and
// again when none does any more.
func TestHistoryDeclaredPathYieldsToBound(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, workload("w1"), resource("d1", ""), declares("w1", "d1", "get"), identity("i1"), runsAs("w1", "i1"))
	r1 := []record.Fact{role("r1"), hasRole("i1", "r1", "*"), grants("r1", "*", "d1", "list")}
	h.say(t, inventory, time.Hour, r1...)
	require.True(t, h.path("w1", "", "d1").Removed)
	require.False(t, h.path("w1", "i1", "d1").Removed)
	h.say(t, inventory, 2*time.Hour)
	require.False(t, h.path("w1", "", "d1").Removed)
	require.True(t, h.path("w1", "i1", "d1").Removed)
	require.Equal(t, 1, h.say(t, inventory, 3*time.Hour, r1...).Revived)
}

// A chain of authentications breaks where an identity does not live, and only
// there: what is reached on another way stays, over more systems.
func TestHistoryDeadIdentityBreaksChain(t *testing.T) {
	h := example(t)
	authenticates := func(from, to record.Ref) record.Edge {
		return record.Edge{Kind: record.Authenticates, From: from, To: to, Protocol: "oauth2"}
	}
	i1, i2, i3 := ref(record.Identity, "i1"), ref(record.Identity, "i2"), ref(record.Identity, "i3")
	h.say(t, scan, 0, workload("w1"), identity("i1"), identity("i2"), identity("i3"), role("r1"), resource("d1", ""),
		runsAs("w1", "i1"), authenticates(i1, i2), authenticates(i2, i3), authenticates(ref(record.Workload, "w1"), i2), authenticates(i3, i1),
		hasRole("i3", "r1", "*"), grants("r1", "*", "d1", "get"))
	require.Equal(t, 2, h.path("w1", "i3", "d1").Depth)
	dead := record.Entity{Ref: i1, Basis: record.Mapping, Status: record.Removed}
	h.say(t, inventory, time.Hour, dead)
	require.False(t, h.path("w1", "i3", "d1").Removed)
	dead.Ref = i2
	h.say(t, inventory, 2*time.Hour, dead)
	require.True(t, h.path("w1", "i3", "d1").Removed)
	require.Equal(t, 1, h.say(t, inventory, 3*time.Hour).Revived)
}

// An identity is exchanged only when no source says any more that the workload
// runs as it.
func TestHistoryRotationNeedsAllSources(t *testing.T) {
	h := example(t)
	common := []record.Fact{identity("i1"), identity("i2"), role("r1"), resource("d1", ""),
		hasRole("i1", "r1", "*"), hasRole("i2", "r1", "*"), grants("r1", "*", "d1", "get")}
	h.say(t, inventory, 0, append(common, workload("w1"), runsAs("w1", "i1"))...)
	h.say(t, scan, time.Hour, workload("w1"), runsAs("w1", "i1"))
	require.Zero(t, h.say(t, scan, 2*time.Hour, workload("w1"), runsAs("w1", "i2")).Rotations)
	require.Zero(t, h.say(t, inventory, 3*time.Hour, common...).Rotations, "lost one, gained none")
	require.Equal(t, 1, h.say(t, scan, 4*time.Hour, workload("w1"), runsAs("w1", "i1")).Rotations)
	require.Len(t, h.world.successions, 1, "the path of i1 was there before, and took over")
}

// What a source says stands, though another one has taken back the entity that
// it names: an unchanged delivery is not compared again.
func TestHistoryUnchangedWithLostReference(t *testing.T) {
	h := example(t)
	h.say(t, inventory, 0, identity("i1"))
	facts := []record.Fact{workload("w1"), runsAs("w1", "i1"), record.Coverage{Kind: record.Ownership}}
	h.say(t, scan, time.Hour, facts...)
	h.say(t, inventory, 2*time.Hour)
	require.Equal(t, authority.Unchanged, h.say(t, scan, 3*time.Hour, facts...).Outcome)
	// With one more word it is compared, and then the reference leads nowhere.
	again := h.say(t, scan, 4*time.Hour, append(facts, workload("w2"))...)
	require.Equal(t, 1, again.Rejected)
	require.False(t, again.Complete)
}

// A system that is named and the same one that is meant make one record: the
// second is a duplicate, the delivery incomplete, and what it leaves out stays.
func TestHistoryDuplicateKeepsWhatIsLeftOut(t *testing.T) {
	h := example(t)
	facts := []record.Fact{workload("w1"), resource("d1", ""), resource("d2", ""), declares("w1", "d1", "get"), declares("w1", "d2"),
		record.Coverage{Kind: record.Ownership}}
	h.say(t, scan, 0, facts...)
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership)
	twice := declares("w1", "d1", "delete")
	twice.From.System = "s1"
	result := h.say(t, scan, time.Hour, append(slices.Delete(slices.Clone(facts), 4, 5), twice)...)
	require.Equal(t, 1, result.Rejected)
	require.Equal(t, "get", h.path("w1", "", "d1").Actions, "the first stands")
	require.False(t, h.path("w1", "", "d2").Removed)
	require.Equal(t, "unknown", h.path("w1", "", "d1").Ownership, "a refused record puts the coverage of its workload in doubt")
}

// A source may name its own system or leave it out: it says the same.
func TestHistoryOwnSystemNamedOrMeant(t *testing.T) {
	h := example(t)
	meant, named := workload("w1"), workload("w1")
	named.System = "s1"
	h.say(t, scan, 0, meant)
	require.Equal(t, authority.Unchanged, h.say(t, scan, time.Hour, named).Outcome)
}

package authority_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// in1 is an entity of s1.
func in1(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, System: "s1", SourceID: name}
}

// worker is the row of a workload of s1. The server's was compared with it.
func (h *theatre) worker(name string) worker { return h.world.workers[in1(record.Workload, name)] }

// total is what a circle comes to.
func (h *theatre) total(c circle) totals {
	if history := h.world.totals[c]; history != nil {
		return history.now()
	}
	return totals{}
}

// twins are two names of workloads whose codes begin with the same eight digits,
// the one with the smaller id first. A few ten thousand names have such a pair.
func (h *theatre) twins(t checker) (small, great string) {
	t.Helper()
	names := map[string]string{}
	for i := 0; ; i++ {
		require.Less(t, i, 2_000_000, "no two names of so many meet")
		name := fmt.Sprintf("w-%d", i)
		digits := h.world.digits(in1(record.Workload, name))[:8]
		other, met := names[digits]
		if !met {
			names[digits] = name
			continue
		}
		a, b := h.world.id(in1(record.Workload, name)), h.world.id(in1(record.Workload, other))
		if slices.Compare(a[:], b[:]) < 0 {
			return name, other
		}
		return other, name
	}
}

// A code is as short as it can be when it is given, and stays what it is.
func TestHistoryCodesGrowWhereTheyMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	digits := func(h *theatre, name string) int { return len(strings.TrimPrefix(h.worker(name).Code, "EXP-")) }

	t.Run("one after the other", func(t *testing.T) {
		h := staged(b, b.Super(t), "codes-in-turn")
		small, great := h.twins(t)
		h.say(t, scan, 0, workload(great))
		require.Equal(t, 8, digits(h, great), "who comes first")
		h.say(t, scan, time.Hour, workload(great), workload(small))
		require.Equal(t, []int{8, 9}, []int{digits(h, great), digits(h, small)}, "whose id is smaller")
		require.Equal(t, h.worker(great).Code, h.worker(small).Code[:len("EXP-")+8])
		codes := []string{h.worker(small).Code, h.worker(great).Code}
		h.say(t, scan, 2*time.Hour, workload(small))
		require.False(t, h.worker(great).Live)
		h.say(t, scan, 3*time.Hour)
		h.say(t, scan, 4*time.Hour, workload(small))
		h.say(t, scan, 5*time.Hour, workload(small), workload(great))
		require.Equal(t, codes, []string{h.worker(small).Code, h.worker(great).Code})
		require.True(t, h.worker(great).Live)
	})
	t.Run("at once", func(t *testing.T) {
		h := staged(b, b.Super(t), "codes-at-once")
		small, great := h.twins(t)
		h.say(t, scan, 0, workload(great), workload(small))
		require.Equal(t, []int{8, 9}, []int{digits(h, small), digits(h, great)})
		h.say(t, scan, time.Hour)
		h.say(t, scan, 2*time.Hour, workload(great))
		require.Equal(t, 9, digits(h, great), "though the other one is gone")
	})
}

// A workload that was never seen alive has no row, and so takes nobody's code.
func TestHistoryNeverAlive(t *testing.T) {
	h := example(t)
	gone := workload("w1")
	gone.Status = record.Removed
	h.say(t, scan, 0, gone)
	require.Empty(t, h.world.workers)
	h.say(t, scan, time.Hour, workload("w1"))
	require.True(t, h.worker("w1").Live)
}

// An exposure keeps its code whatever becomes of the identities of its workload.
func TestDataPipelineKeepsItsCodeWhenAnIdentityIsRemovedAndReadded(t *testing.T) {
	h := example(t)
	const pipeline = "wl-data-pipeline"
	both := []record.Fact{workload(pipeline), identity("id-svc-etl"), identity("id-svc-etl-staging"), role("r1"), resource("d1", "restricted"),
		runsAs(pipeline, "id-svc-etl"), hasRole("id-svc-etl", "r1", "*"), hasRole("id-svc-etl-staging", "r1", "*"), grants("r1", "*", "d1", "get")}
	staging := runsAs(pipeline, "id-svc-etl-staging")
	h.say(t, scan, 0, append(both, staging)...)
	first := h.worker(pipeline)
	require.Equal(t, "s1/id-svc-etl s1/id-svc-etl-staging", first.Identities)
	require.EqualValues(t, 2, first.Paths)

	h.say(t, scan, time.Hour, both...)
	require.Equal(t, "s1/id-svc-etl", h.worker(pipeline).Identities)
	require.Equal(t, first.Code, h.worker(pipeline).Code)
	h.say(t, scan, 2*time.Hour, append(both, staging)...)
	require.Equal(t, first.Identities, h.worker(pipeline).Identities)
	require.Equal(t, first.Code, h.worker(pipeline).Code)

	// Nor when nobody knows any identity of it, or it itself, for a while.
	h.say(t, scan, 3*time.Hour, workload(pipeline))
	require.Equal(t, first.Code, h.worker(pipeline).Code)
	h.say(t, scan, 4*time.Hour)
	require.False(t, h.worker(pipeline).Live)
	h.say(t, scan, 5*time.Hour, append(both, staging)...)
	require.Equal(t, first, h.worker(pipeline))
}

// A workload that moves to another class takes along all that it counts for. What
// has happened stays where it happened.
func TestHistoryCountsMoveWithTheClass(t *testing.T) {
	h := example(t)
	in := func(environment string) []record.Fact {
		facts := slices.Clone(estate("restricted", "get"))
		facts[0] = record.Entity{Ref: ref(record.Workload, "w1"), Environment: environment, ExecutionMode: record.Autonomous}
		i1 := ref(record.Identity, "i1")
		return append(facts, use("get", day(-1)), record.Evidence{Identity: &i1, Day: day(-1), Count: 5},
			record.Entity{Ref: ref(record.Workload, "w2"), Environment: "prod"}, runsAs("w2", "i1"))
	}
	prod, dev := circle{Class: class{Environment: "prod"}}, circle{Class: class{Environment: "dev"}}
	h.say(t, scan, 0, in("prod")...)
	before := h.total(prod)
	require.EqualValues(t, 2, before.Paths)
	require.EqualValues(t, 2, before.Executed)
	require.EqualValues(t, 6, before.Executions, "one of the path's own, five that the other path counts")
	require.EqualValues(t, 2, before.PathsOrphaned)
	require.EqualValues(t, 1, before.ModesGained)
	require.Equal(t, before, h.total(circle{All: true}))

	h.say(t, scan, time.Hour, in("dev")...)
	left, moved := h.total(prod), h.total(dev)
	require.EqualValues(t, []int64{1, 1, 5, 1, 0}, []int64{left.Paths, left.Executed, left.Executions, left.Workloads, left.ActiveAutonomous})
	require.EqualValues(t, []int64{1, 1, 1, 1, 1}, []int64{moved.Paths, moved.Executed, moved.Executions, moved.Workloads, moved.ActiveAutonomous})
	require.Equal(t, before.past(), left.past())
	require.Equal(t, totals{ModesGained: 1}, moved.past(), "its path came to nobody, and was orphaned before")
	require.Equal(t, before, h.total(circle{All: true}), "over all classes nothing has changed")
	h.say(t, scan, 2*time.Hour, in("prod")...)
	require.Equal(t, totals{ModesGained: 1}, h.total(dev))
	require.EqualValues(t, 2, h.total(prod).ModesGained, "it was counted there anew")
}

// An identity is dormant when all that it can do is, and until somebody acts as it.
func TestHistoryDormantIdentity(t *testing.T) {
	h := example(t)
	everywhere, prod := circle{All: true}, circle{Class: class{Environment: "prod"}}
	facts := append(estate("restricted", "get"), resource("d2", "public"), grants("r1", "*", "d2", "get"))
	facts[0] = record.Entity{Ref: ref(record.Workload, "w1"), Environment: "prod"}
	h.say(t, scan, 0, facts...)
	h.now = epoch.AddDate(0, 0, 100)
	h.reevaluate(t, authority.ByTime, nil)
	require.Equal(t, usage{Paths: 2, Effective: 2, Dormant: 2}, h.world.usages[account{in1(record.Identity, "i1"), prod}])
	require.EqualValues(t, []int64{1, 1, 2}, []int64{h.total(everywhere).DormantIdentities, h.total(prod).DormantIdentities, h.total(prod).Dormant})
	w1, d2 := ref(record.Workload, "w1"), ref(record.Resource, "d2")
	h.say(t, scan, 101*day24, append(facts, record.Evidence{Workload: &w1, Resource: &d2, Day: day(100), Count: 1})...)
	require.EqualValues(t, []int64{0, 1}, []int64{h.total(prod).DormantIdentities, h.total(prod).Dormant}, "one of its paths is travelled")
}

// Executions are null, none or some, and whose they are is told apart.
func TestHistoryExecutionsOfWorkloads(t *testing.T) {
	h := example(t)
	w1, i1 := ref(record.Workload, "w1"), ref(record.Identity, "i1")
	common := []record.Fact{workload("w1"), workload("w2"), identity("i1"), role("r1"), resource("d1", ""), runsAs("w1", "i1"), runsAs("w2", "i1"),
		hasRole("i1", "r1", "*"), grants("r1", "*", "d1", "get")}
	h.say(t, scan, 0, common...)
	require.EqualValues(t, unknownExecutions, h.worker("w1").Executions)
	h.say(t, scan, time.Hour, append(common, record.Coverage{Kind: record.Execution})...)
	require.EqualValues(t, 0, h.worker("w1").Executions)
	evidence := []record.Fact{
		record.Evidence{Workload: &w1, Day: day(-1), Count: 3}, record.Evidence{Workload: &w1, Identity: &i1, Day: day(-2), Count: 4},
		record.Evidence{Identity: &i1, Day: day(-1), Count: 50, LastAt: day(-1).Add(time.Hour)}}
	h.say(t, scan, 2*time.Hour, append(common, evidence...)...)
	one, two := h.worker("w1"), h.worker("w2")
	require.Equal(t, []int64{7, 7, 50, 0}, []int64{one.Executions, one.Own, two.Executions, two.Own})
	require.Equal(t, []time.Time{day(-1), day(-1).Add(time.Hour)}, []time.Time{one.LastExecution, two.LastExecution})
	require.EqualValues(t, 57, h.total(circle{All: true}).Executions, "fifty of an identity are counted once")
	// A workload that has no paths left was active all the same.
	h.say(t, scan, 3*time.Hour, append(evidence, workload("w1"), workload("w2"), identity("i1"), runsAs("w2", "i1"))...)
	one, two = h.worker("w1"), h.worker("w2")
	require.Equal(t, []int64{7, 7, unknownExecutions, 0}, []int64{one.Executions, one.Own, two.Executions, two.Own})
	require.False(t, two.LastExecution.IsZero())
}

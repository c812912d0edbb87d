package authority_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// concurrent are steps that begin together. In which order they came to be is
// what the server says; in that order the model takes them.
type concurrent struct {
	*theatre
	t     *testing.T
	ctx   context.Context
	start chan struct{}
	done  sync.WaitGroup
	mu    sync.Mutex
	taken []taken
}

// taken is a step that the server has made.
type taken struct {
	at     time.Time
	replay func()
	err    error
}

// together makes steps at the same time, compares, and gives up on a deadlock.
func (h *theatre) together(t *testing.T, begin func(c *concurrent)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, time.Minute)
	defer cancel()
	c := &concurrent{theatre: h, t: t, ctx: ctx, start: make(chan struct{})}
	begin(c)
	close(c.start)
	c.done.Wait()
	slices.SortFunc(c.taken, func(a, b taken) int { return a.at.Compare(b.at) })
	for _, step := range c.taken {
		require.NoError(t, step.err)
		step.replay()
	}
	h.compare(t)
}

func (c *concurrent) run(step func() taken) {
	c.done.Add(1)
	go func() {
		defer c.done.Done()
		<-c.start
		made := step()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.taken = append(c.taken, made)
	}()
}

// say delivers; arrived is called when the delivery stands before the lock.
func (c *concurrent) say(arrived func(), voice int, at time.Time, facts ...record.Fact) {
	d := told{voice: voice, observedAt: at}
	for i, fact := range facts {
		d.lines = append(d.lines, line{number: i + 1, fact: fact})
	}
	c.run(func() taken {
		report, err := c.send(c.ctx, d, arrived)
		if err != nil {
			return taken{err: err}
		}
		return taken{at: report.At, replay: func() {
			expected := c.world.deliver(d)
			expected.check(c.t, report)
			expected.checkCounts(c.t, report)
		}}
	})
}

func (c *concurrent) judge() {
	c.run(func() taken {
		evaluation, err := c.services[c.which].Reevaluate(c.ctx, c.organization, authority.ByTime, nil)
		if err != nil {
			return taken{err: err}
		}
		return taken{at: evaluation.At, replay: func() {
			expected := c.world.reevaluate(c.clock, authority.ByTime)
			require.Equal(c.t, expected.At, evaluation.At.UTC())
			require.Equal(c.t, expected.Exposures, evaluation.Exposures)
		}}
	})
}

// meet lets as many callers go on together.
func meet(callers int) (arrived func()) {
	var met sync.WaitGroup
	met.Add(callers)
	return func() {
		met.Done()
		met.Wait()
	}
}

// attempts is how often the same is tried; less where everything takes longer.
func attempts() int {
	if testing.Short() {
		return 12
	}
	return 30
}

// openTypes are what is open on a path of s1.
func (h *theatre) openTypes(workload, identity, resource string) []rule.Type {
	var types []rule.Type
	for p, list := range h.world.exposures {
		if latest(list).To.IsZero() && p.Path.Workload.SourceID == workload && p.Path.Identity.SourceID == identity && p.Path.Resource.SourceID == resource {
			types = append(types, p.Type)
		}
	}
	slices.SortFunc(types, func(a, b rule.Type) int { return cmp.Compare(a, b) })
	return types
}

// One source brings a workload and its path while another one brings its owners,
// and later each takes its own away. Whoever is second has to see what the first
// one did: a path of an owned workload is not orphaned, and an orphaned one is.
func TestConcurrentSyncsMissNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.Super(t)
	authorityOf := func(resourceName string) []record.Fact {
		return []record.Fact{workload("w1"), identity("i1"), role("r1"), resource(resourceName, "restricted"),
			runsAs("w1", "i1"), hasRole("i1", "r1", "*"), grants("r1", "*", resourceName, "get")}
	}
	owners := []record.Fact{workload("w1"), owner("o1"), ownedBy("w1", "o1"), record.Coverage{Kind: record.Ownership}}
	nobody := []record.Fact{workload("w1"), record.Coverage{Kind: record.Ownership}}

	for round := range attempts() {
		h := newTheatre(b, conn)
		h.clock = epoch.AddDate(0, 1, 0)
		arrived := func() {}
		if round%3 > 0 { // else both find no organization, and one waits for the other to create it
			h.say(t, cloud, -time.Hour)
			arrived = meet(2)
		}
		sides := []func(c *concurrent){
			func(c *concurrent) { c.say(arrived, scan, epoch, authorityOf("d1")...) },
			func(c *concurrent) { c.say(arrived, inventory, epoch, owners...) },
		}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		h.together(t, func(c *concurrent) {
			for _, side := range sides {
				side(c)
			}
		})
		require.Equal(t, "valid", h.path("w1", "i1", "d1").Ownership)
		require.Equal(t, []rule.Type{rule.SensitiveReach}, h.openTypes("w1", "i1", "d1"))

		arrived = meet(2)
		h.together(t, func(c *concurrent) {
			c.say(arrived, scan, epoch.Add(time.Hour), authorityOf("d2")...)
			c.say(arrived, inventory, epoch.Add(time.Hour), nobody...)
		})
		require.True(t, h.path("w1", "i1", "d1").Removed)
		require.Equal(t, "orphaned", h.path("w1", "i1", "d2").Ownership)
		require.Empty(t, h.openTypes("w1", "i1", "d1"))
		require.Equal(t, []rule.Type{rule.OrphanedPath, rule.SensitiveReach}, h.openTypes("w1", "i1", "d2"))
	}
}

// Everything that writes waits for its place on the organization's clock: what
// comes out is what one order of the steps gives, and the clock says which.
func TestConcurrentStepsHaveAnOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := newTheatre(b, b.Super(t))
	h.say(t, scan, -time.Hour) // who creates an organization would keep the others from meeting
	at := epoch
	for round := range attempts() / 2 {
		at = at.AddDate(0, 0, 3)
		h.clock = at.Add(time.Hour)
		name := []string{"i1", "i2"}[round%2]
		arrived := meet(3)
		h.together(t, func(c *concurrent) {
			if round > 0 {
				c.judge()
			}
			c.say(arrived, scan, at, workload("w1"), workload("w2"), identity(name), role("r1"), resource("d1", []string{"restricted", "public"}[round/2%2]),
				runsAs("w1", name), runsAs("w2", name), hasRole(name, "r1", "*"), grants("r1", "*", "d1", "get", "delete"),
				record.Coverage{Kind: record.Roles}, record.Coverage{Kind: record.Execution})
			known := []record.Fact{workload("w1"), owner("o1"), ownedBy("w1", "o1"), record.Coverage{Kind: record.Ownership}}
			c.say(arrived, inventory, at, known[:4-round/3%2*2]...)
			w1 := record.Ref{Kind: record.Workload, System: "s1", SourceID: "w1"}
			c.say(arrived, cloud, at, record.Entity{Ref: w1, OwnerTeam: []string{"", "t1"}[round%2]},
				record.Egress{Workload: w1, Host: "a", Category: record.EgressExternal})
		})
	}
}

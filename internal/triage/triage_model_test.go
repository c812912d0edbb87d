package triage_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
	"github.com/exposuregraph/exposuregraph/internal/witness"
)

// shards run side by side, each rapid.checks histories (see TestMain).
const shards = 3

func soaks() bool { return os.Getenv("EXPOSUREGRAPH_SOAK") != "" }

// rounds is how often a shard repeats its checks. EXPOSUREGRAPH_SOAK is the least
// number of histories over all shards.
func rounds(t *testing.T) int {
	t.Helper()
	if !soaks() {
		return 1
	}
	n, err := strconv.Atoi(os.Getenv("EXPOSUREGRAPH_SOAK"))
	require.NoError(t, err, "EXPOSUREGRAPH_SOAK is a number of histories")
	return max(1, (n+histories*shards-1)/(histories*shards))
}

// TestHistoryOfTriage lives through random histories of three people who judge the
// exposures of an organization, by themselves, in batches and at the same time,
// between deliveries and evaluations. A plain model says what must come of it:
// of every exposure, of its history, of the clusters at every level, and of the
// ledger. What the rules find is not its matter: a twin organization is told the
// same and judged by nobody, and shows what holds. Nothing is in doubt, because
// the source says that it looks completely.
func TestHistoryOfTriage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	seen := &tally{counts: map[string]int{}, say: t.Logf}
	t.Cleanup(func() {
		t.Log(seen)
		if t.Failed() || seen.counts["histories"] < histories*shards {
			return
		}
		expected := []string{"acknowledge", "unacknowledge", "mark_false_positive", "unmark_false_positive", "resolve",
			"EXPOSURE_NOT_FOUND", "EXPOSURE_RESOLVED", "VERSION_CONFLICT", "SCOPE_MISSING", "batch", "batch by filter", "dry run", "undone", "at once", "changed", "inherited", "reopened"}
		if seen.counts["histories"] >= 1000 { // what is rarer needs more of them, and has tests of its own
			expected = append(expected, "ILLEGAL_MOVE", "IDEMPOTENCY_KEY_REUSED", "ALREADY_UNDONE", "BATCH_IS_UNDO", "replayed", "undo refused", "not inherited")
		}
		for _, what := range expected {
			if seen.counts[what] == 0 { // not require: what ends a cleanup early is not reported
				t.Errorf("no history shows: %s", what)
			}
		}
	})
	for shard := range shards {
		if testing.Short() && shard > 0 {
			break // the race detector takes long, and finds what it finds in fewer
		}
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			conn := d.Super(t)
			for range rounds(t) {
				rapid.Check(t, func(rt *rapid.T) {
					seen.add("histories")
					h := newHistory(d, conn, seen)
					h.live(rt)
					steps := rapid.IntRange(5, 12).Draw(rt, "steps")
					witnessed := rapid.IntRange(0, 19).Draw(rt, "witnessed") == 10 // few: it takes as long as ten histories
					for i := range steps {
						h.step(rt)
						h.compare(rt)
						if witnessed {
							h.remember(rt)
						}
						if !soaks() || i == steps-1 { // half of a step's time, which in a soak another history is worth
							h.recount(rt)
						}
					}
					if witnessed {
						h.comparePast(rt)
						seen.add("asked again")
					}
				})
			}
		})
	}
}

// tally counts what the histories show.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	say    func(format string, args ...any)
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for what, n := range c.counts {
		parts = append(parts, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// spot is where an exposure can be.
type spot struct {
	workload, resource string
	typ                rule.Type
}

// content is what the rules say of it; digest stands for the evidence.
type content struct {
	severity    int16
	factors     int32
	explanation string
	digest      id.ID
}

// past is a former version.
type past struct {
	state    triage.State
	seq      int64
	from, to time.Time
}

// interval is an exposure in the model.
type interval struct {
	spot
	ordinal  int
	state    triage.State // what people say of it; of one that resolved, what they said
	version  int
	seq      int64
	before   int64 // what seq was until somebody resolved it by hand
	content  content
	judged   id.ID     // the evidence of which somebody said that it is false
	from, to time.Time // to is zero while it lasts
	reason   string
	since    time.Time // the version
	history  []past
}

func (x *interval) shown() triage.State {
	if !x.to.IsZero() {
		return triage.Resolved
	}
	return x.state
}

// turn begins a version.
func (x *interval) turn(at time.Time) {
	x.history = append(x.history, past{x.state, x.seq, x.since, at})
	x.version++
	x.since = at
}

// asked is a request that was done, with what came of it.
type asked struct {
	actor   int
	key     exposure.Key
	command triage.Command
	outcome triage.Decision
}

// bundle is a batch that was done.
type bundle struct {
	*triage.Batch
	undone, undo bool
}

type history struct {
	*desk
	conn *pgx.Conn
	seen *tally
	slug string
	org  id.ID
	twin string
	now  time.Time

	intervals map[spot][]*interval // by ordinal
	held      map[spot]content     // what held when the rules last judged
	decisions []triage.Decision
	requests  []asked
	batches   []*bundle
	paths     map[id.ID][2]string // workload and resource
	ids       map[[2]string]id.ID
	keysSoFar int
	setup     setup
	past      *witness.Memory
}

var organizations atomic.Int64

func newHistory(d *desk, conn *pgx.Conn, seen *tally) *history {
	name := fmt.Sprintf("triage-%d", organizations.Add(1))
	return &history{
		desk: d, conn: conn, seen: seen, slug: name, org: id.Organization(name), twin: name + "-twin", now: epoch,
		intervals: map[spot][]*interval{}, held: map[spot]content{}, paths: map[id.ID][2]string{}, ids: map[[2]string]id.ID{},
		past: &witness.Memory{Database: d.DB, Organization: id.Organization(name)},
	}
}

// people are who judges: one who investigates, one who operates as well, and one
// who only looks.
var people = []struct {
	name   string
	scopes []access.Scope
}{
	{"ann", []access.Scope{access.Investigate}},
	{"bob", []access.Scope{access.Investigate, access.Operate}},
	{"cid", []access.Scope{access.View, access.Audit}},
}

func (h *history) person(i int) context.Context {
	return access.With(context.Background(), access.Actor{Subject: people[i].name, Role: access.Client, Organizations: []string{h.slug}, Scopes: people[i].scopes})
}

var machine = access.With(context.Background(), access.Actor{Subject: "feed", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})

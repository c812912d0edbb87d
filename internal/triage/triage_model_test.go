package triage_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// shards run side by side, each rapid.checks histories (see TestMain).
const shards = 3

// rounds is how often a shard repeats its checks. EXPOSUREGRAPH_SOAK is the least
// number of histories over all shards.
func rounds(t *testing.T) int {
	t.Helper()
	wanted := os.Getenv("EXPOSUREGRAPH_SOAK")
	if wanted == "" {
		return 1
	}
	n, err := strconv.Atoi(wanted)
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
	seen := &tally{counts: map[string]int{}}
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
					for range rapid.IntRange(5, 12).Draw(rt, "steps") {
						h.step(rt)
						h.compare(rt)
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

// The model ---------------------------------------------------------------------

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
}

var organizations atomic.Int64

func newHistory(d *desk, conn *pgx.Conn, seen *tally) *history {
	name := fmt.Sprintf("triage-%d", organizations.Add(1))
	return &history{
		desk: d, conn: conn, seen: seen, slug: name, org: id.Organization(name), twin: name + "-twin", now: epoch,
		intervals: map[spot][]*interval{}, held: map[spot]content{}, paths: map[id.ID][2]string{}, ids: map[[2]string]id.ID{},
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

// What is delivered ----------------------------------------------------------------

// setup is all that the source says.
type setup struct {
	owner       [2]int // of w1 and w2: nobody, an active person, one who left, a group
	sensitivity [2]int // of the ledger and the archive
	egress      [2]int // none, to the outside, to a model
	archive     bool   // whether the role grants the archive, too
	second      bool   // whether there is a second workload
}

func drawSetup(rt *rapid.T) (s setup) {
	for i := range 2 {
		s.owner[i] = rapid.IntRange(0, 3).Draw(rt, "owner")
		s.sensitivity[i] = rapid.IntRange(0, 2).Draw(rt, "sensitivity")
		s.egress[i] = rapid.IntRange(0, 2).Draw(rt, "egress")
	}
	s.archive, s.second = rapid.Bool().Draw(rt, "archive"), rapid.Bool().Draw(rt, "second")
	return s
}

// drawNext changes a little of what was said, so that what was judged often lasts.
func drawNext(rt *rapid.T, s setup) setup {
	n := drawSetup(rt)
	switch rapid.IntRange(0, 5).Draw(rt, "part") {
	case 0:
		s.owner = n.owner
	case 1:
		s.sensitivity = n.sensitivity
	case 2:
		s.egress = n.egress
	case 3:
		s.archive = n.archive
	case 4:
		s.second = n.second
	}
	return s
}

func (s setup) facts() []record.Fact {
	reader := ref(record.Role, "reader")
	facts := []record.Fact{
		record.Entity{Ref: ref(record.Identity, "i1")}, record.Entity{Ref: reader}, record.Coverage{Kind: record.Ownership}, record.Coverage{Kind: record.EgressObs}, record.Coverage{Kind: record.Binding},
		record.Entity{Ref: ref(record.Owner, "olga"), OwnerType: record.Individual, Status: record.Active},
		record.Entity{Ref: ref(record.Owner, "ned"), OwnerType: record.Individual, Status: record.Disabled},
		record.Entity{Ref: ref(record.Owner, "team"), OwnerType: record.Group, Status: record.Active},
		edge(record.HasRole, ref(record.Identity, "i1"), reader, "*"),
	}
	for i, name := range []string{"ledger", "archive"} {
		resource := ref(record.Resource, name)
		facts = append(facts, record.Entity{Ref: resource, Sensitivity: []string{"internal", "confidential", "restricted"}[s.sensitivity[i]], DataDomain: "finance"})
		if i == 0 || s.archive {
			facts = append(facts, edge(record.Grants, reader, resource, "*", "get"))
		}
	}
	for i, name := range []string{"w1", "w2"} {
		if i == 1 && !s.second {
			break
		}
		workload := ref(record.Workload, name)
		facts = append(facts, record.Entity{Ref: workload}, edge(record.RunsAs, workload, ref(record.Identity, "i1"), ""))
		if owner := []string{"", "olga", "ned", "team"}[s.owner[i]]; owner != "" {
			facts = append(facts, edge(record.OwnedBy, workload, ref(record.Owner, owner), ""))
		}
		switch s.egress[i] {
		case 1:
			facts = append(facts, record.Egress{Workload: workload, Host: "files.example.com", Category: record.EgressExternal})
		case 2:
			facts = append(facts, record.Egress{Workload: workload, Host: "api.model.example", Category: record.EgressLLM})
		}
	}
	return facts
}

// live has both organizations told for the first time.
func (h *history) live(rt *rapid.T) {
	h.setup = drawSetup(rt)
	h.deliver(rt)
	h.compare(rt)
}

func (h *history) deliver(rt *rapid.T) {
	h.now = h.now.Add(time.Hour)
	h.raise()
	var at time.Time
	for _, slug := range []string{h.slug, h.twin} {
		report, err := h.desk.paths.Sync(machine, authority.SyncRequest{Organization: slug, Format: "snapshot", CreateOrganization: true, Strict: true, ObservedAt: h.now},
			func(out record.Emitter) error {
				for i, fact := range h.setup.facts() {
					if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
						return err
					}
				}
				return nil
			})
		require.NoError(rt, err)
		if slug == h.slug {
			at = report.At.UTC()
		}
	}
	h.judged(rt, at, false)
}

func (h *history) evaluate(rt *rapid.T) {
	h.now = h.now.Add(time.Hour)
	h.raise()
	var at time.Time
	for _, slug := range []string{h.slug, h.twin} {
		evaluation, err := h.desk.paths.Reevaluate(machine, id.Organization(slug), authority.ByRequest, nil)
		require.NoError(rt, err)
		if slug == h.slug {
			at = evaluation.At.UTC()
		}
	}
	h.judged(rt, at, true)
}

// raise keeps the server's clock, which all histories share, from lagging behind.
func (h *history) raise() {
	for {
		now := h.clock.Load()
		if h.now.UnixMicro() <= now || h.clock.CompareAndSwap(now, h.now.UnixMicro()) {
			return
		}
	}
}

// judged brings the model up to what holds since a judgement at this instant.
func (h *history) judged(rt *rapid.T, at time.Time, everything bool) {
	type row struct {
		Workload, Resource string
		PathID             id.ID
		Type               rule.Type
		Severity           int16
		Factors            int32
		Explanation        string
		EvidenceDigest     id.ID
		ResolutionReason   *string
	}
	read := func(slug, condition string) []row {
		rows, err := h.conn.Query(context.Background(), `SELECT DISTINCT ON (w.external_id, r.external_id, x.type) w.external_id AS workload, r.external_id AS resource, x.path_id, x.type, x.severity, x.factors, x.explanation, x.evidence_digest, x.resolution_reason
			FROM exposure x JOIN authority_path p ON p.organization_id = x.organization_id AND p.id = x.path_id
			JOIN entity w ON w.organization_id = x.organization_id AND w.id = p.workload_id JOIN entity r ON r.organization_id = x.organization_id AND r.id = p.resource_id
			WHERE x.organization_id = $1 AND `+condition+` ORDER BY w.external_id, r.external_id, x.type, x.ordinal DESC`, id.Organization(slug))
		require.NoError(rt, err)
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
		require.NoError(rt, err)
		return list
	}
	holds, reasons := map[spot]content{}, map[spot]string{}
	for _, r := range read(h.twin, "x.to_at IS NULL") {
		holds[spot{r.Workload, r.Resource, r.Type}] = content{r.Severity, r.Factors, r.Explanation, r.EvidenceDigest}
	}
	for _, r := range read(h.twin, "x.to_at IS NOT NULL") {
		reasons[spot{r.Workload, r.Resource, r.Type}] = *r.ResolutionReason
	}
	open := map[spot]bool{}
	for _, r := range read(h.slug, "x.to_at IS NULL") {
		open[spot{r.Workload, r.Resource, r.Type}] = true
	}
	for _, r := range read(h.slug, "true") {
		h.paths[r.PathID], h.ids[[2]string{r.Workload, r.Resource}] = [2]string{r.Workload, r.Resource}, r.PathID
	}

	for s := range h.intervals {
		x := h.last(s)
		if _, lasts := holds[s]; !lasts && x.to.IsZero() {
			x.to, x.reason = at, reasons[s]
		}
	}
	for s, c := range holds {
		x := h.last(s)
		switch {
		case x != nil && x.to.IsZero():
			if x.content != c {
				h.seen.add("changed")
				x.turn(at)
				x.content = c
			}
			continue
		case x != nil && x.reason == "manual":
			// A delivery judges what it touches; what it leaves alone stays resolved.
			before, held := h.held[s]
			if !everything && held && before == c && !open[s] {
				continue
			}
			if held {
				h.seen.add("reopened")
			}
		}
		next := &interval{spot: s, ordinal: len(h.intervals[s]) + 1, state: triage.Open, version: 1, content: c, from: at, since: at}
		if x != nil && x.state == triage.FalsePositive {
			if x.judged == c.digest {
				h.seen.add("inherited")
				next.state, next.seq, next.judged = triage.FalsePositive, x.seq, x.judged
			} else {
				h.seen.add("not inherited")
			}
		}
		h.intervals[s] = append(h.intervals[s], next)
	}
	h.held = holds
}

func (h *history) last(s spot) *interval {
	list := h.intervals[s]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

func (h *history) find(key exposure.Key) *interval {
	names, known := h.paths[key.PathID]
	list := h.intervals[spot{names[0], names[1], key.Type}]
	if !known || key.Ordinal < 1 || key.Ordinal > len(list) {
		return nil
	}
	return list[key.Ordinal-1]
}

// all are the exposures, in an order that another organization would have as
// well, so that a history can be played again.
func (h *history) all() (keys []exposure.Key) {
	spots := slices.SortedFunc(maps.Keys(h.intervals), func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.workload, b.workload), cmp.Compare(a.resource, b.resource), cmp.Compare(a.typ, b.typ))
	})
	for _, s := range spots {
		for _, x := range h.intervals[s] {
			keys = append(keys, exposure.Key{PathID: h.ids[[2]string{s.workload, s.resource}], Type: s.typ, Ordinal: x.ordinal})
		}
	}
	return keys
}

// What people do -------------------------------------------------------------------

func (h *history) step(rt *rapid.T) {
	switch rapid.IntRange(0, 14).Draw(rt, "step") {
	case 0, 1:
		h.setup = drawNext(rt, h.setup)
		h.deliver(rt)
	case 2:
		h.evaluate(rt)
	case 3, 4, 5, 6:
		h.judge(rt)
	case 7:
		h.replay(rt)
	case 8, 9:
		h.many(rt)
	case 10:
		h.manyByFilter(rt)
	case 11, 12:
		h.undo(rt)
	case 13:
		h.atOnce(rt)
	case 14:
		h.comeBack(rt)
	}
}

// comeBack calls an exposure false, has what it rests on go away, and come back
// as it was or otherwise.
func (h *history) comeBack(rt *rapid.T) {
	key := h.drawKey(rt)
	x := h.find(key)
	if x == nil || x.shown() != triage.Open {
		return
	}
	h.keysSoFar++
	outcome, err := h.triage.Judge(h.person(0), h.org, key, triage.Command{Action: triage.MarkFalsePositive, ExpectedVersion: x.version,
		Reason: triage.Other, Justification: "Never was.", IdempotencyKey: strconv.Itoa(h.keysSoFar)})
	require.NoError(rt, err)
	h.apply(rt, &outcome.Decision, triage.FalsePositive)
	before := h.setup
	h.setup = setup{owner: [2]int{1, 1}}
	h.deliver(rt)
	h.setup = before
	if rapid.IntRange(0, 2).Draw(rt, "otherwise") == 0 {
		h.setup.sensitivity = [2]int{3 - max(1, before.sensitivity[0]), 3 - max(1, before.sensitivity[1])}
	}
	h.deliver(rt)
}

func (h *history) drawKey(rt *rapid.T) exposure.Key {
	keys := h.all()
	if len(keys) == 0 || rapid.IntRange(0, 11).Draw(rt, "nowhere") == 0 {
		return exposure.Key{PathID: id.New("nowhere").Short(), Type: rule.OrphanedPath, Ordinal: 1}
	}
	return rapid.SampledFrom(keys).Draw(rt, "exposure")
}

func (h *history) drawCommand(rt *rapid.T, x *interval) triage.Command {
	h.keysSoFar++
	c := triage.Command{Justification: "Why.", IdempotencyKey: strconv.Itoa(h.keysSoFar), ExpectedVersion: 1}
	if x != nil {
		c.ExpectedVersion = x.version
		if rapid.IntRange(0, 4).Draw(rt, "legal") > 0 && len(x.shown().Legal()) > 0 {
			c.Action = rapid.SampledFrom(x.shown().Legal()).Draw(rt, "action")
		}
		if rapid.IntRange(0, 9).Draw(rt, "stale") == 0 {
			c.ExpectedVersion++
			if c.ExpectedVersion > 2 && rapid.Bool().Draw(rt, "behind") {
				c.ExpectedVersion -= 2
			}
		}
	}
	if c.Action == "" {
		c.Action = rapid.SampledFrom(triage.Actions).Draw(rt, "action")
	}
	if c.Action == triage.MarkFalsePositive {
		c.Reason = rapid.SampledFrom(triage.FalsePositiveReasons).Draw(rt, "reason")
	}
	return c
}

// refusal is why something cannot be done, by the model alone; empty where it can.
func (h *history) refusal(x *interval, expected *int, action triage.Action) string {
	switch {
	case x == nil:
		return "EXPOSURE_NOT_FOUND"
	case x.shown() == triage.Resolved:
		return "EXPOSURE_RESOLVED"
	case expected != nil && *expected != x.version:
		return "VERSION_CONFLICT"
	}
	for _, m := range triage.Moves {
		if m.From == x.state && m.Action == action {
			return ""
		}
	}
	return "ILLEGAL_MOVE"
}

// permitted says whether a person may do this.
func permitted(person int, action triage.Action) bool {
	need := access.Investigate
	if action == triage.Resolve {
		need = access.Operate
	}
	return slices.Contains(people[person].scopes, need)
}

// apply does in the model what the server says that it did, if it may have.
func (h *history) apply(rt *rapid.T, d *triage.Decision, to triage.State) {
	x := h.find(d.Key)
	require.NotNil(rt, x)
	require.Equal(rt, x.shown(), d.From)
	require.Equal(rt, to, d.To)
	require.Equal(rt, x.version, d.ExpectedVersion)
	if to == triage.Resolved {
		x.to, x.reason, x.seq = d.At, "manual", d.Seq
	} else {
		x.turn(d.At)
		x.state, x.seq, x.judged = to, d.Seq, x.content.digest
	}
	require.Equal(rt, x.version, d.Version)
	if n := len(h.decisions); n > 0 {
		require.Greater(rt, d.Seq, h.decisions[n-1].Seq)
	}
	h.decisions = append(h.decisions, *d)
	h.seen.add(string(d.Action))
}

func (h *history) judge(rt *rapid.T) {
	key := h.drawKey(rt)
	x := h.find(key)
	c, person := h.drawCommand(rt, x), rapid.IntRange(0, len(people)-1).Draw(rt, "person")
	outcome, err := h.triage.Judge(h.person(person), h.org, key, c)
	want := h.refusal(x, &c.ExpectedVersion, c.Action)
	if !permitted(person, c.Action) {
		want = "SCOPE_MISSING"
	}
	if want != "" {
		h.seen.add(want)
		require.Error(rt, err)
		require.Equal(rt, want, code(err))
		return
	}
	require.NoError(rt, err)
	require.False(rt, outcome.Replayed)
	require.Equal(rt, people[person].name, outcome.Actor)
	require.Equal(rt, c.Reason, outcome.Reason)
	to, _ := x.state.Next(c.Action)
	h.apply(rt, &outcome.Decision, to)
	h.requests = append(h.requests, asked{person, key, c, outcome.Decision})
}

// replay sends a request again, as it was or under its old key.
func (h *history) replay(rt *rapid.T) {
	if len(h.requests) == 0 {
		return
	}
	r := rapid.SampledFrom(h.requests).Draw(rt, "request")
	c := r.command
	same := rapid.Bool().Draw(rt, "same")
	if !same {
		c.Justification += " And more."
	}
	outcome, err := h.triage.Judge(h.person(r.actor), h.org, r.key, c)
	if !same {
		h.seen.add("IDEMPOTENCY_KEY_REUSED")
		require.Equal(rt, "IDEMPOTENCY_KEY_REUSED", code(err))
		return
	}
	require.NoError(rt, err)
	require.True(rt, outcome.Replayed)
	require.Equal(rt, r.outcome, outcome.Decision)
	h.seen.add("replayed")
}

func (h *history) many(rt *rapid.T) {
	keys := h.all()
	var s triage.Selection
	var first *interval
	for _, key := range keys {
		if rapid.Bool().Draw(rt, "chosen") {
			item := triage.Item{Key: key}
			if rapid.IntRange(0, 3).Draw(rt, "versioned") == 0 {
				version := h.find(key).version + rapid.IntRange(0, 3).Draw(rt, "ahead")/3
				item.ExpectedVersion = &version
			}
			if s.Items = append(s.Items, item); first == nil || first.shown() == triage.Resolved {
				first = h.find(key)
			}
		}
	}
	if len(s.Items) == 0 {
		return
	}
	h.batch(rt, s, s.Items, h.drawCommand(rt, first))
}

func (h *history) manyByFilter(rt *rapid.T) {
	filter := exposure.Filter{Types: []rule.Type{rapid.SampledFrom([]rule.Type{rule.OrphanedPath, rule.SensitiveReach, rule.LLMEgressing, rule.AmbiguousOwnership}).Draw(rt, "type")}}
	statuses := map[exposure.Status][]triage.State{exposure.StatusActive: {triage.Open}, exposure.StatusAcknowledged: {triage.Acknowledged},
		exposure.StatusFalsePositive: {triage.FalsePositive}, exposure.StatusResolved: {triage.Resolved}}
	states := []triage.State{triage.Open, triage.Acknowledged}
	if rapid.Bool().Draw(rt, "by status") {
		status := rapid.SampledFrom([]exposure.Status{exposure.StatusActive, exposure.StatusAcknowledged, exposure.StatusFalsePositive, exposure.StatusResolved}).Draw(rt, "status")
		filter.Statuses, states = []exposure.Status{status}, statuses[status]
	}
	var items []triage.Item
	var first *interval
	for _, key := range h.all() {
		if x := h.find(key); key.Type == filter.Types[0] && slices.Contains(states, x.shown()) {
			items = append(items, triage.Item{Key: key})
			first = x
		}
	}
	h.seen.add("batch by filter")
	h.batch(rt, triage.Selection{Filter: &filter}, items, h.drawCommand(rt, first))
}

// batch judges what the model expects a selection to name.
func (h *history) batch(rt *rapid.T, s triage.Selection, items []triage.Item, c triage.Command) {
	slices.SortFunc(items, func(a, b triage.Item) int {
		return cmp.Or(slices.Compare(a.Key.PathID[:], b.Key.PathID[:]), cmp.Compare(a.Key.Type, b.Key.Type), cmp.Compare(a.Key.Ordinal, b.Key.Ordinal))
	})
	person := rapid.IntRange(0, 1).Draw(rt, "person")
	dry := rapid.IntRange(0, 3).Draw(rt, "dry") == 0
	result, err := h.triage.JudgeMany(h.person(person), h.org, s, c, dry)
	if !permitted(person, c.Action) {
		require.Equal(rt, "SCOPE_MISSING", code(err))
		return
	}
	require.NoError(rt, err)
	require.Len(rt, result.Items, len(items))
	for i, item := range items {
		got, x := result.Items[i], h.find(item.Key)
		require.Equal(rt, item.Key, got.Key)
		require.Equal(rt, h.refusal(x, item.ExpectedVersion, c.Action), got.Code)
		require.Equal(rt, x.shown(), got.State)
		require.Equal(rt, got.Code == "" && !dry, got.Decision != nil)
	}
	if dry {
		h.seen.add("dry run")
		return
	}
	h.seen.add("batch")
	for _, item := range result.Items {
		if item.Code == "" {
			to, _ := h.find(item.Key).state.Next(c.Action)
			require.Equal(rt, result.ID, *item.Decision.Batch)
			h.apply(rt, item.Decision, to)
		}
	}
	again, err := h.triage.JudgeMany(h.person(person), h.org, s, c, false)
	require.NoError(rt, err)
	require.True(rt, again.Replayed)
	again.Replayed = false
	require.Equal(rt, result, again)
	if result.Done() > 0 {
		h.batches = append(h.batches, &bundle{Batch: result})
	}
}

func (h *history) undo(rt *rapid.T) {
	if len(h.batches) == 0 {
		return
	}
	b := rapid.SampledFrom(h.batches).Draw(rt, "batch")
	h.keysSoFar++
	result, err := h.triage.Undo(h.person(0), h.org, b.ID, "Back.", strconv.Itoa(h.keysSoFar))
	switch {
	case b.undo:
		h.seen.add("BATCH_IS_UNDO")
		require.Equal(rt, "BATCH_IS_UNDO", code(err))
		return
	case b.undone:
		h.seen.add("ALREADY_UNDONE")
		require.Equal(rt, "ALREADY_UNDONE", code(err))
		return
	}
	require.NoError(rt, err)
	require.Equal(rt, b.ID, *result.Undoes)
	at := 0
	for _, item := range b.Items {
		if item.Code != "" {
			continue
		}
		got, x, before := result.Items[at], h.find(item.Key), item.Decision
		at++
		require.Equal(rt, item.Key, got.Key)
		want := ""
		switch {
		case before.Action == triage.Resolve || x.shown() == triage.Resolved:
			want = "EXPOSURE_RESOLVED"
		case x.version != before.Version:
			want = "VERSION_CONFLICT"
		}
		require.Equal(rt, want, got.Code)
		if want != "" {
			h.seen.add("undo refused")
			continue
		}
		require.Equal(rt, before.Seq, *got.Decision.Compensates)
		reason := triage.FalsePositiveReason("")
		if before.Action == triage.UnmarkFalsePositive {
			reason = h.reason(x.history[len(x.history)-1].seq)
		}
		require.Equal(rt, reason, got.Decision.Reason)
		h.apply(rt, got.Decision, before.From)
		h.seen.add("undone")
	}
	require.Len(rt, result.Items, at)
	if b.undone = result.Done() > 0; b.undone {
		h.batches = append(h.batches, &bundle{Batch: result, undo: true})
	}
}

// reason is the one that a decision gave.
func (h *history) reason(seq int64) triage.FalsePositiveReason {
	for _, d := range h.decisions {
		if d.Seq == seq {
			return d.Reason
		}
	}
	return ""
}

// atOnce has two people judge one exposure at the same time.
func (h *history) atOnce(rt *rapid.T) {
	key := h.drawKey(rt)
	x := h.find(key)
	commands := []triage.Command{h.drawCommand(rt, x), h.drawCommand(rt, x)}
	var outcomes [2]*triage.Outcome
	var errs [2]error
	var done sync.WaitGroup
	for i := range 2 {
		done.Add(1)
		go func() {
			defer done.Done()
			outcomes[i], errs[i] = h.triage.Judge(h.person(i), h.org, key, commands[i])
		}()
	}
	done.Wait()
	// One came first, and the other found what it left.
	var have [2]string
	for i, err := range errs {
		if err != nil {
			have[i] = code(err)
		}
	}
	var possible [][2]string
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		var want [2]string
		var after *interval
		if x != nil {
			copied := *x
			after = &copied
		}
		for _, i := range order {
			c := commands[i]
			if want[i] = h.refusal(after, &c.ExpectedVersion, c.Action); !permitted(i, c.Action) {
				want[i] = "SCOPE_MISSING"
			}
			if want[i] != "" {
				continue
			}
			if after.state, _ = after.state.Next(c.Action); after.state == triage.Resolved {
				after.to = h.now
			} else {
				after.version++
			}
		}
		if possible = append(possible, want); want != have || have == [2]string{} && outcomes[order[0]].Seq > outcomes[order[1]].Seq {
			continue
		}
		for _, i := range order {
			if have[i] == "" {
				to, _ := h.find(key).state.Next(commands[i].Action)
				h.apply(rt, &outcomes[i].Decision, to)
				h.seen.add("at once")
			}
		}
		return
	}
	require.Contains(rt, possible, have)
}

func code(err error) string {
	var typed *problem.Error
	if !errors.As(err, &typed) {
		return fmt.Sprint(err)
	}
	return typed.Code
}

// What is compared -----------------------------------------------------------------

// line is an exposure, or a former version of one, as it is compared.
type line struct {
	Spot     string
	Ordinal  int
	Version  int
	State    triage.State
	Seq      int64
	From, To time.Time
	Reason   string
}

func (h *history) compare(rt *rapid.T) {
	h.compareRows(rt)
	h.compareClusters(rt)
	h.compareLedger(rt)
	found, err := h.broken(h.slug)
	require.NoError(rt, err)
	require.Empty(rt, found)
}

func (h *history) compareRows(rt *rapid.T) {
	var want []line
	for s, list := range h.intervals {
		name := fmt.Sprint(s)
		for _, x := range list {
			want = append(want, line{name, x.ordinal, x.version, x.state, x.seq, x.since, x.to, x.reason})
			for i, p := range x.history {
				want = append(want, line{name, x.ordinal, i + 1, p.state, p.seq, p.from, p.to, ""})
			}
		}
	}
	type row struct {
		PathID      id.ID
		Type        rule.Type
		Ordinal     int
		Version     int
		Disposition exposure.Disposition
		DecidedSeq  *int64
		FromAt      time.Time
		ToAt        *time.Time
		Reason      string
	}
	rows, err := h.conn.Query(context.Background(), `SELECT path_id, type, ordinal, version, disposition, decided_seq, version_from AS from_at, to_at, coalesce(resolution_reason, '') AS reason FROM exposure WHERE organization_id = $1
		UNION ALL SELECT path_id, type, ordinal, version, disposition, decided_seq, from_at, to_at, '' FROM exposure_version WHERE organization_id = $1`, h.org)
	require.NoError(rt, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	require.NoError(rt, err)
	var have []line
	for _, r := range list {
		names := h.paths[r.PathID]
		l := line{Spot: fmt.Sprint(spot{names[0], names[1], r.Type}), Ordinal: r.Ordinal, Version: r.Version, State: triage.StateOf(r.Disposition, false), From: r.FromAt.UTC(), Reason: r.Reason}
		if r.DecidedSeq != nil {
			l.Seq = *r.DecidedSeq
		}
		if r.ToAt != nil {
			l.To = r.ToAt.UTC()
		}
		have = append(have, l)
	}
	order := func(a, b line) int {
		return cmp.Or(cmp.Compare(a.Spot, b.Spot), cmp.Compare(a.Ordinal, b.Ordinal), cmp.Compare(a.Version, b.Version))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(have, order)
	require.Equal(rt, want, have)
}

// compareClusters counts the paths of each cluster at each level by the states of
// the model's exposures.
func (h *history) compareClusters(rt *rapid.T) {
	masks, unions := map[posture.Level]map[[2]string]int32{}, map[posture.Level]map[string]int32{}
	for _, level := range []posture.Level{posture.Open, posture.Acknowledged, posture.Accepted} {
		masks[level], unions[level] = map[[2]string]int32{}, map[string]int32{}
		counts := map[triage.State]bool{triage.Open: true, triage.Acknowledged: level >= posture.Acknowledged, triage.RiskAccepted: level >= posture.Accepted}
		for s := range h.intervals {
			if x := h.last(s); counts[x.shown()] {
				masks[level][[2]string{s.workload, s.resource}] |= s.typ.Bit()
				unions[level][s.workload] |= s.typ.Bit()
			}
		}
	}
	want, have := map[string]int64{}, map[string]int64{}
	for _, d := range posture.Definitions {
		holds := func(mask int32) bool {
			return mask&d.AllMask() == d.AllMask() && (d.AnyMask() == 0 || mask&d.AnyMask() != 0)
		}
		for level, paths := range masks {
			for path, mask := range paths {
				member := holds(mask)
				if d.Grain == posture.OfWorkload {
					member = holds(unions[level][path[0]]) && mask&(d.AllMask()|d.AnyMask()) != 0
				}
				if member {
					want[fmt.Sprintf("%s at %d", d.Key, level)]++
				}
			}
		}
	}
	snapshot := h.Snapshot()
	defer snapshot.Close(machine)
	var reader posture.Reader
	overview, err := reader.Overview(machine, snapshot, h.org, posture.Open)
	require.NoError(rt, err)
	for _, c := range overview {
		for level, totals := range c.Levels {
			if totals.Paths > 0 {
				have[fmt.Sprintf("%s at %d", c.Key, level)] = totals.Paths
			}
		}
	}
	require.Equal(rt, want, have)
}

// compareLedger holds the ledger against the decisions of the model, against
// itself, and against the rows.
func (h *history) compareLedger(rt *rapid.T) {
	rows, err := h.conn.Query(context.Background(), `SELECT body FROM ledger_entry WHERE organization_id = $1 AND type IS NOT NULL ORDER BY seq`, h.org)
	require.NoError(rt, err)
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	require.NoError(rt, err)
	require.Len(rt, bodies, len(h.decisions))
	for i, body := range bodies {
		entry, err := ledger.Parse(body)
		require.NoError(rt, err)
		d := h.decisions[i]
		require.Equal(rt, d.Seq, entry.Seq)
		require.Equal(rt, d.Actor, entry.Actors[0].Subject)
		require.Equal(rt, d.Batch, entry.Batch)
		require.Contains(rt, string(entry.Payload), fmt.Sprintf(`"from":"%s"`, d.From))
		require.Contains(rt, string(entry.Payload), fmt.Sprintf(`"to":"%s"`, d.To))
	}
	snapshot := h.Snapshot()
	defer snapshot.Close(machine)
	report, err := book.New(h.desk.now).Verify(machine, snapshot, &org.Organization{ID: h.org, Slug: h.slug}, book.Trust{})
	require.NoError(rt, err)
	require.True(rt, report.Holds(), "%+v", report.Faults)
	require.Equal(rt, report.Projection, report.Tables)
}

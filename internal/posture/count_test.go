package posture_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// drawDefinition makes a cluster of few types, so that paths often are members.
func drawDefinition(rt *rapid.T, cluster int16, version int) posture.Definition {
	types := rapid.Permutation([]rule.Type{1, 2, 3, 4}).Draw(rt, "types")
	all, alternatives := rapid.IntRange(0, 2).Draw(rt, "all"), rapid.IntRange(0, 2).Draw(rt, "any")
	if all+alternatives == 0 {
		all = 1
	}
	return posture.Definition{
		Cluster: cluster, Version: version, Key: fmt.Sprint("cluster-", cluster), Severity: rule.High,
		Grain: rapid.SampledFrom([]posture.Grain{posture.OfPath, posture.OfPath, posture.OfWorkload}).Draw(rt, "grain"),
		All:   types[:all], Any: types[all : all+alternatives],
	}
}

// history draws the changes of a world.
type history struct {
	*stand
	rt        *rapid.T
	firstSeen map[string]time.Time
	change    step
	seen      map[string]int
}

func (h *history) note(what string) { h.seen[what]++ }

func (h *history) touch(key string) {
	if !slices.Contains(h.change.touched, key) {
		h.change.touched = append(h.change.touched, key)
	}
}

// active draws a path that is there; nil where none is.
func (h *history) active() *path {
	if len(h.world.paths) == 0 {
		return nil
	}
	return h.world.paths[rapid.SampledFrom(slices.Sorted(maps.Keys(h.world.paths))).Draw(h.rt, "path")]
}

func (h *history) draw(p *path) {
	p.class = rapid.IntRange(0, 2).Draw(h.rt, "class")
	p.domain = rapid.SampledFrom([]string{"", "finance", "hr"}).Draw(h.rt, "domain")
	p.sensitivity = rapid.IntRange(0, 4).Draw(h.rt, "sensitivity")
	p.ownership = rapid.SampledFrom([]string{"valid", "degraded", "ambiguous", "orphaned", "unknown"}).Draw(h.rt, "ownership")
	h.drawExecution(p)
	h.expose(p)
}

func (h *history) drawExecution(p *path) {
	p.basis = rapid.SampledFrom([]string{"path", "path", "workload", "identity", ""}).Draw(h.rt, "basis")
	if p.identity == "" && p.basis == "identity" {
		p.basis = "workload"
	}
	p.execution = rapid.Ptr(rapid.Int64Range(0, 2), true).Draw(h.rt, "execution")
}

func (h *history) expose(p *path) {
	p.exposures = map[rule.Type]openExposure{}
	p.severity = 0
	for t := range rule.Type(4) {
		disposition := rapid.SampledFrom([]int{1, 1, 0, 2, 3, 4, 0}).Draw(h.rt, "disposition")
		if disposition == 0 {
			continue
		}
		if disposition <= 2 {
			p.severity = max(p.severity, rapid.IntRange(1, 4).Draw(h.rt, "severity"))
		}
		p.exposures[t+1] = openExposure{disposition: disposition,
			effective: h.at.Add(-time.Duration(rapid.IntRange(0, 5).Draw(h.rt, "age")) * 13 * time.Hour)}
	}
}

func (h *history) add() {
	p := &path{
		workload: rapid.SampledFrom([]string{"w1", "w2", "w3"}).Draw(h.rt, "workload"),
		identity: rapid.SampledFrom([]string{"i1", "i2", ""}).Draw(h.rt, "identity"),
		resource: rapid.SampledFrom([]string{"r1", "r2"}).Draw(h.rt, "resource"),
	}
	if keys := slices.DeleteFunc(slices.Sorted(maps.Keys(h.firstSeen)), func(key string) bool { return h.world.paths[key] != nil }); len(keys) > 0 {
		parts := strings.Split(rapid.SampledFrom(keys).Draw(h.rt, "again"), "/")
		p.workload, p.identity, p.resource = parts[0], parts[1], parts[2]
	}
	if h.world.paths[p.key()] != nil || slices.Contains(h.change.removed, p.key()) {
		return
	}
	if first, revived := h.firstSeen[p.key()]; revived {
		p.firstSeen = first
		h.note("revived")
	} else {
		p.firstSeen = h.at
		h.firstSeen[p.key()] = h.at
	}
	h.draw(p)
	h.world.paths[p.key()] = p
	h.touch(p.key())
}

func (h *history) remove(p *path) {
	if h.wrote[p.key()] == nil {
		return
	}
	delete(h.world.paths, p.key())
	h.change.removed = append(h.change.removed, p.key())
	h.change.touched = slices.DeleteFunc(h.change.touched, func(key string) bool { return key == p.key() })
	h.note("removed")
}

// observe adds evidence; every path that it may name is then judged again.
func (h *history) observe() {
	o := observation{
		triple: rapid.SampledFrom([]triple{{"w1", "", ""}, {"w1", "i1", ""}, {"", "i1", ""}, {"w1", "", "r1"}, {"w1", "i1", "r1"}, {"", "i2", "r2"}}).Draw(h.rt, "names"),
		action: rapid.SampledFrom([]string{"", "get"}).Draw(h.rt, "action"),
		day:    h.world.window.Truncate(24*time.Hour).AddDate(0, 0, -rapid.SampledFrom([]int{0, 3, 28, 29, 30, 31}).Draw(h.rt, "day")),
		count:  rapid.Int64Range(1, 5).Draw(h.rt, "count"),
	}
	if p := h.active(); p != nil && len(p.subjects()) > 0 && rapid.IntRange(0, 3).Draw(h.rt, "counted") > 0 {
		o.triple = rapid.SampledFrom(p.subjects()).Draw(h.rt, "subject")
	}
	same := slices.IndexFunc(h.world.evidence, func(e observation) bool {
		return e.triple == o.triple && e.action == o.action && e.day.Equal(o.day)
	})
	if same >= 0 {
		h.world.evidence[same].count = o.count
	} else {
		h.world.evidence = append(h.world.evidence, o)
	}
	for _, key := range slices.Sorted(maps.Keys(h.world.paths)) {
		p := h.world.paths[key]
		if (o.workload == "" || o.workload == p.workload) && (o.identity == "" || o.identity == p.identity) && (o.resource == "" || o.resource == p.resource) {
			h.touch(key)
			if rapid.IntRange(0, 3).Draw(h.rt, "counts") == 0 {
				h.drawExecution(p)
			}
		}
	}
	h.note("observed")
}

func (h *history) moveWindow() {
	h.world.window = h.world.window.AddDate(0, 0, rapid.IntRange(1, 20).Draw(h.rt, "days"))
	h.change.everything = true
	h.note("moved")
}

func (h *history) redefine() {
	list := h.world.definitions
	i := rapid.IntRange(0, len(list)).Draw(h.rt, "definition")
	switch {
	case i == len(list): // a new one, or one that comes back
		cluster := int16(rapid.IntRange(1, 6).Draw(h.rt, "cluster"))
		if slices.ContainsFunc(list, func(d posture.Definition) bool { return d.Cluster == cluster }) {
			return
		}
		list = append(slices.Clone(list), drawDefinition(h.rt, cluster, 1))
	case len(list) > 1 && rapid.IntRange(0, 3).Draw(h.rt, "drop") == 0:
		list = slices.Delete(slices.Clone(list), i, i+1)
	default:
		version := list[i].Version + 1
		list = slices.Clone(list)
		list[i] = drawDefinition(h.rt, list[i].Cluster, version)
	}
	h.world.definitions = list
	h.change.everything = true
	h.note("redefined")
}

func (h *history) move() {
	switch p := h.active(); rapid.SampledFrom([]string{"observe", "attributes", "add", "dispose", "change", "remove", "expose", "observe", "add",
		"window", "redefine"}).Draw(h.rt, "move") {
	case "add":
		h.add()
	case "observe":
		h.observe()
	case "window":
		if rapid.Bool().Draw(h.rt, "really") {
			h.moveWindow()
		}
	case "redefine":
		if rapid.Bool().Draw(h.rt, "really") {
			h.redefine()
		}
	case "remove":
		if p != nil {
			h.remove(p)
		}
	case "change":
		if p != nil {
			h.draw(p)
			h.touch(p.key())
		}
	case "attributes":
		if p != nil {
			exposures, severity := p.exposures, p.severity
			h.draw(p)
			p.exposures, p.severity = exposures, severity
			h.touch(p.key())
			h.note("measured anew")
		}
	case "expose":
		if p != nil {
			h.expose(p)
			h.touch(p.key())
		}
	case "dispose":
		if p != nil && len(p.exposures) > 0 {
			t := rapid.SampledFrom(slices.Sorted(maps.Keys(p.exposures))).Draw(h.rt, "type")
			e := p.exposures[t]
			e.disposition = rapid.IntRange(1, 4).Draw(h.rt, "disposition")
			p.exposures[t] = e
			h.touch(p.key())
			h.note("disposed")
		}
	}
}

// TestCountAgainstRecount plays random changes and compares all that is kept
// with a count from scratch, after each.
func TestCountAgainstRecount(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	conn := database.Super(t)
	seen := map[string]int{}
	property := func(rt *rapid.T) {
		var definitions []posture.Definition
		for cluster := range int16(rapid.IntRange(1, 4).Draw(rt, "clusters")) {
			definitions = append(definitions, drawDefinition(rt, cluster+1, 1))
		}
		h := &history{stand: newStand(rt, database, conn, definitions), rt: rt, firstSeen: map[string]time.Time{}, seen: seen}
		for i := range rapid.IntRange(2, 7).Draw(rt, "steps") {
			h.step(rt, i == 0)
		}
	}
	rounds := 1
	if testing.Short() { // rapid plays a fifth then, which need not show everything
		rounds = 3
	}
	for range rounds {
		rapid.Check(t, property)
	}
	if t.Failed() {
		return
	}
	for _, what := range []string{"revived", "removed", "observed", "moved", "redefined", "measured anew", "disposed", "idle", "member"} {
		require.NotZero(t, seen[what], "no history shows: %s", what)
	}
	sent := database.Statements.Sent()
	for _, query := range posture.CountQueries.All() {
		require.True(t, slices.Contains(sent, query.Name), "nothing sends %s", query.Name)
	}
}

func (h *history) step(rt *rapid.T, first bool) {
	h.at = h.at.Add(time.Duration(rapid.IntRange(1, 40).Draw(rt, "hours")) * time.Hour)
	h.change = step{large: rapid.IntRange(0, 4).Draw(rt, "large") == 0}
	defined := expressions(h.world.definitions)
	moves := rapid.SampledFrom([]int{3, 6, 0, 2, 1}).Draw(rt, "moves")
	if first {
		for range rapid.IntRange(0, 9).Draw(rt, "paths") {
			h.add()
		}
		for range rapid.IntRange(0, 5).Draw(rt, "evidence") {
			h.observe()
		}
	} else {
		for range moves {
			h.move()
		}
	}
	if moves == 0 {
		h.note("idle")
	}
	for _, key := range slices.Sorted(maps.Keys(h.world.paths)) { // more than need be is judged again
		if rapid.IntRange(0, 3).Draw(rt, "also") == 0 {
			h.touch(key)
		}
	}
	hadPaths := h.anyWritten()
	recount := h.apply(rt, posture.New(h.world.definitions), h.change)
	require.Equal(rt, hadPaths && !maps.Equal(defined, expressions(h.world.definitions)), recount)
	h.verify(rt)
	h.seen["member"] += len(h.intervals)
}

// expressions are what makes a definition another one.
func expressions(definitions []posture.Definition) map[int16]string {
	out := map[int16]string{}
	for _, d := range definitions {
		out[d.Cluster] = fmt.Sprint(d.Version, d.Grain, d.AllMask(), d.AnyMask())
	}
	return out
}

func (h *history) anyWritten() bool {
	n := selectRows[struct{ N int }](h.rt, h.conn, `SELECT count(*) FROM authority_path WHERE organization_id = $1`, h.organization)
	return n[0].N > 0
}

func exposed(since time.Time, types ...rule.Type) map[rule.Type]openExposure {
	exposures := map[rule.Type]openExposure{}
	for _, t := range types {
		exposures[t] = openExposure{disposition: 1, effective: since}
	}
	return exposures
}

func number(n int64) *int64 { return &n }

func (s *stand) add(p *path) *path {
	p.ownership, p.firstSeen = "orphaned", s.at
	s.world.paths[p.key()] = p
	return p
}

// advance counts what the listed paths have become.
func (s *stand) advance(t checker, keeper *posture.Keeper, touched ...*path) {
	t.Helper()
	s.at = s.at.Add(time.Hour)
	change := step{}
	for _, p := range touched {
		change.touched = append(change.touched, p.key())
	}
	s.apply(t, keeper, change)
	s.verify(t)
}

// TestMemberWhoseMeasuredValueChanges stays in its interval, and counters follow.
func TestMemberWhoseMeasuredValueChanges(t *testing.T) {
	t.Parallel()
	s := setup(t, posture.Definitions)
	keeper := posture.New(posture.Definitions)
	p := s.add(&path{workload: "w1", identity: "i1", resource: "r1", class: 1, sensitivity: 3, domain: "finance", execution: number(0), basis: "path",
		severity: 4, exposures: exposed(epoch, rule.OrphanedPath, rule.SensitiveReach)})
	s.advance(t, keeper, p)
	require.EqualValues(t, 0, s.counter(t, 1, 1, 1)["executed_sensitive"])

	s.world.evidence = []observation{{triple: triple{"w1", "i1", "r1"}, day: epoch.Truncate(24 * time.Hour), count: 7}}
	p.execution, p.ownership, p.domain = number(7), "degraded", "hr"
	s.advance(t, keeper, p)
	for _, class := range []int{1, posture.AllClasses} {
		got := s.counter(t, 1, 1, class)
		require.EqualValues(t, []int64{1, 1, 7, 0, 1}, []int64{got["executed"], got["executed_sensitive"], got["executions"], got["ownership_orphaned"], got["ownership_degraded"]})
	}
	require.Len(t, s.intervals, 1)
	for _, list := range s.intervals {
		require.Len(t, list, 1, "nothing that follows in place begins another interval")
	}

	s.world.evidence[0].count = 9 // the member stays as it is, its evidence does not
	s.advance(t, keeper, p)
	require.EqualValues(t, 9, s.counter(t, 1, 3, 1)["executions"])
}

// TestWorkloadWhosePathsSatisfyTogether is a member by two paths, of which only
// one is judged again.
func TestWorkloadWhosePathsSatisfyTogether(t *testing.T) {
	t.Parallel()
	s := setup(t, posture.Definitions)
	keeper := posture.New(posture.Definitions)
	unbound := s.add(&path{workload: "w1", resource: "r1", severity: 3, exposures: exposed(epoch, rule.UnboundPath)})
	plain := s.add(&path{workload: "w1", identity: "i1", resource: "r3", exposures: exposed(epoch)})
	s.advance(t, keeper, unbound, plain)
	require.Nil(t, s.counter(t, 3, 1, 0))

	bound := s.add(&path{workload: "w1", identity: "i1", resource: "r2", sensitivity: 4, severity: 4, exposures: exposed(epoch, rule.SensitiveReach)})
	s.advance(t, keeper, bound)
	got := s.counter(t, 3, 1, 0)
	require.EqualValues(t, []int64{2, 1, 1}, []int64{got["paths"], got["workloads"], got["identities"]}, "the path without a term is no member")

	bound.exposures[rule.SensitiveReach] = openExposure{disposition: 2, effective: epoch}
	s.advance(t, keeper, bound)
	require.EqualValues(t, 0, s.counter(t, 3, 1, 0)["paths"], "the other path left its level though nobody judged it")
	require.EqualValues(t, 2, s.counter(t, 3, 2, 0)["paths"])

	delete(s.world.paths, bound.key())
	s.at = s.at.Add(time.Hour)
	s.apply(t, keeper, step{removed: []string{bound.key()}})
	s.verify(t)
	require.EqualValues(t, 0, s.counter(t, 3, 3, posture.AllClasses)["paths"])
}

// TestWholeIsNoSum has one identity behind workloads of two classes, and a run
// that both of them count.
func TestWholeIsNoSum(t *testing.T) {
	t.Parallel()
	s := setup(t, posture.Definitions)
	keeper := posture.New(posture.Definitions)
	s.world.evidence = []observation{{triple: triple{"", "i1", ""}, day: epoch.Truncate(24 * time.Hour), count: 5}}
	one := s.add(&path{workload: "w1", identity: "i1", resource: "r1", class: 1, sensitivity: 4, severity: 4, execution: number(5), basis: "identity",
		exposures: exposed(epoch, rule.SharedIdentity, rule.SensitiveReach)})
	two := s.add(&path{workload: "w2", identity: "i1", resource: "r1", class: 2, sensitivity: 4, severity: 4, execution: number(5), basis: "identity",
		exposures: exposed(epoch, rule.SharedIdentity, rule.SensitiveReach)})
	s.advance(t, keeper, one, two)
	for class, want := range map[int][]int64{1: {1, 1, 1, 5}, 2: {1, 1, 1, 5}, posture.AllClasses: {2, 2, 1, 5}} {
		got := s.counter(t, 9, 1, class)
		require.Equal(t, want, []int64{got["paths"], got["workloads"], got["identities"], got["executions"]}, "class %d", class)
	}
}

// TestPrepare writes a definition when it differs, and only then.
func TestPrepare(t *testing.T) {
	t.Parallel()
	s := setup(t, posture.Definitions)
	define := func(definitions []posture.Definition) (recount bool) {
		s.at = s.at.Add(time.Hour)
		require.NoError(t, s.Tenant(context.Background(), s.organization, func(tx *db.Tx) (err error) {
			recount, err = prepare(context.Background(), tx, posture.New(definitions), s.at)
			return err
		}))
		return recount
	}
	type kept struct {
		Version int
		AllMask int32
		Open    bool
	}
	stored := func(cluster int) []kept {
		return selectRows[kept](t, s.conn, `SELECT version, all_mask, to_at IS NULL FROM cluster_definition WHERE organization_id = $1 AND cluster = $2 ORDER BY from_at`, s.organization, cluster)
	}
	require.False(t, define(posture.Definitions), "there are no paths yet")
	require.Equal(t, []kept{{1, posture.Definitions[0].AllMask(), true}}, stored(1))
	s.advance(t, posture.New(posture.Definitions), s.add(&path{workload: "w1", identity: "i1", resource: "r1", exposures: exposed(epoch)}))

	s.Statements.Reset()
	require.False(t, define(posture.Definitions))
	require.Equal(t, []string{"posture.current_definitions", "posture.known"}, s.Statements.Sent())

	changed := slices.Clone(posture.Definitions)
	changed[0].Version, changed[0].All = 2, []rule.Type{rule.OrphanedPath}
	require.True(t, define(changed))
	require.Equal(t, []kept{{1, posture.Definitions[0].AllMask(), false}, {2, changed[0].AllMask(), true}}, stored(1))
	require.True(t, define(posture.Definitions), "an older program is put back")
	require.Len(t, stored(1), 3)
	require.True(t, define(posture.Definitions[1:]))
	require.False(t, stored(1)[2].Open)
	require.True(t, define(posture.Definitions))
}

// TestStatementsDoNotGrow sends as many statements for many paths as for few,
// and writes nothing where nothing differs.
func TestStatementsDoNotGrow(t *testing.T) {
	t.Parallel()
	sent := func(paths int) (first, change, idle []string, untouched bool) {
		s := setup(t, posture.Definitions)
		keeper := posture.New(posture.Definitions)
		var all []*path
		for i := range paths {
			all = append(all, s.add(&path{workload: fmt.Sprint("w", i%5), identity: "i1", resource: fmt.Sprint("r", i), class: i % 3, sensitivity: 4, severity: 4,
				execution: number(1), basis: "identity", exposures: exposed(epoch, rule.OrphanedPath, rule.SensitiveReach, rule.UnboundPath)}))
		}
		s.world.evidence = []observation{{triple: triple{"", "i1", ""}, day: epoch.Truncate(24 * time.Hour), count: 5}}
		count := func() []string {
			s.Statements.Reset()
			s.advance(t, keeper, all...)
			return slices.DeleteFunc(s.Statements.Sent(), func(name string) bool { return !strings.HasPrefix(name, "posture.") })
		}
		first = count()
		for _, p := range all {
			p.ownership = "valid"
		}
		change = count()
		before := s.rows(t)
		require.NotEmpty(t, before)
		idle = count()
		return first, change, idle, before == s.rows(t)
	}
	first, change, idle, untouched := sent(5)
	manyFirst, manyChange, manyIdle, manyUntouched := sent(200)
	require.Equal(t, len(first), len(manyFirst))
	require.Equal(t, len(change), len(manyChange))
	require.Equal(t, len(idle), len(manyIdle))
	require.True(t, untouched, "rows were written that do not differ")
	require.True(t, manyUntouched, "rows were written that do not differ")
}

// rows are the places of everything that Count writes, and which transactions
// wrote it.
func (s *stand) rows(t *testing.T) (places string) {
	t.Helper()
	var parts []string
	for _, table := range []string{"cluster_member", "cluster_identity", "cluster_workload", "cluster_evidence", "cluster_tally", "cluster_counter", "cluster_counter_version"} {
		parts = append(parts, fmt.Sprintf(`SELECT '%s' AS name, ctid::text AS place, xmin::text AS writer FROM %s WHERE organization_id = $1`, table, table))
	}
	require.NoError(t, s.conn.QueryRow(context.Background(),
		`SELECT coalesce(string_agg(concat_ws(' ', name, place, writer), ',' ORDER BY name, place), '') FROM (`+strings.Join(parts, " UNION ALL ")+`) r`,
		s.organization).Scan(&places))
	return places
}

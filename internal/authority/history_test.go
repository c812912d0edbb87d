package authority_test

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// shards run side by side, each rapid.checks histories (see TestMain).
const shards = 3

// rounds is how often a shard repeats its checks. EXPOSUREGRAPH_SOAK is the
// least number of histories over all shards.
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

// TestHistoryAgainstModel lives through random histories of three sources about two
// systems: deliveries, time, settings, other rules and clusters, and what people say
// of exposures. After every step it compares all that the server and the model know.
func TestHistoryAgainstModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	seen := newTally()
	t.Cleanup(func() {
		t.Log(seen)
		if t.Failed() || seen.counts["histories"] < histories*shards {
			return
		}
		// Histories in which little happens prove little.
		for _, what := range expected(seen.counts["histories"]) {
			if seen.counts[what] == 0 { // not require: what ends a cleanup early is not reported
				t.Errorf("no history shows: %s", what)
			}
		}
	})
	for shard := range shards {
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			conn := b.Super(t)
			for range rounds(t) {
				rapid.Check(t, func(rt *rapid.T) {
					play(rt, newTheatre(b, conn), seen, rapid.SliceOfN(rapid.Custom(drawMove), 4, 10).Draw(rt, "moves"))
				})
			}
		})
	}
}

// move is a step as it is drawn; of a delivery, what changes against the source's
// one before. It knows nothing of the state, so that it shrinks well.
type move struct {
	act     act
	voice   int
	mode    mode
	pause   time.Duration // after the latest observation so far
	partial bool
	drops   []int // which lines of the one before are left out
	rotate  turn
	adds    [][]line
	watches []record.EvidenceKind // what the source claims to know all of
	unclean int                   // 0: no duplicates, no refused records, no dangling references
	which   int                   // for again and restore: which of the deliveries so far
	cast    int                   // who judges from now on; -1: who did

	wait     time.Duration
	settings rule.Settings
	picks    []pick
	sights   []line
}

// act is what is done.
type act int

const (
	delivers  act = iota
	passes        // time does
	tunes         // somebody changes the settings
	disposes      // somebody says what they think of exposures
	vouches       // somebody attests a scope
	justifies     // somebody justifies privileges
	blinks        // a source says nothing, and then what it said
	scans         // a scanner looks from outside
	fades         // a scanner sees much and then, or in the end, nothing
)

// pick is an exposure and what is said of it.
type pick struct{ which, disposition int }

// mode is what a delivery builds on.
type mode int

const (
	evolve  mode = iota // the source's one before, with changes
	fresh               // nothing
	restore             // one of the source's former ones, observed now
	again               // a former delivery as it was
	later               // the source's one before as it was, observed later
)

// What an unclean delivery may have.
const (
	dangles = 1
	doubles = 2
)

func drawMove(t *rapid.T) move {
	return move{
		act:     one(t, "act", delivers, delivers, delivers, delivers, passes, delivers, delivers, tunes, disposes, delivers, passes, vouches, justifies, blinks, scans, fades, scans),
		voice:   rapid.IntRange(0, 2).Draw(t, "voice"),
		mode:    rapid.SampledFrom([]mode{evolve, evolve, restore, evolve, evolve, restore, evolve, fresh, again, later, restore, evolve}).Draw(t, "mode"),
		pause:   rapid.SampledFrom(pauses).Draw(t, "pause"),
		partial: rapid.IntRange(0, 9).Draw(t, "partial") > 7,
		drops:   rapid.SliceOfN(rapid.IntRange(0, 24), 0, 6).Draw(t, "drops"),
		rotate:  one(t, "rotate", keep, keep, keep, turnWorkload, turnIdentity, turnIdentity),
		adds:    rapid.SliceOfN(rapid.Custom(drawLines), 0, 12).Draw(t, "adds"),
		unclean: rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 0, dangles, doubles, dangles | doubles}).Draw(t, "unclean"),
		watches: rapid.SliceOfNDistinct(one0(record.Ownership, record.Execution, record.Roles, record.Binding, record.EgressObs), 0, 5, rapid.ID[record.EvidenceKind]).Draw(t, "watches"),
		which:   rapid.IntRange(0, 7).Draw(t, "which"),
		cast:    one(t, "cast", -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 2),
		wait:    one(t, "wait", 100*day24, 3*time.Hour, 26*time.Hour, 8*day24, 35*day24, 100*day24),
		settings: rule.Settings{
			DormantAfter: day24 * time.Duration(one(t, "dormant", 90, 1, 30, 365)), ProofGrace: day24 * time.Duration(one(t, "grace", 7, 0, 60, 400)),
			PrivilegeWindow: day24 * time.Duration(one(t, "privilege", 90, 2, 365)), SharedWorkloads: one(t, "shared", 3, 2, 4),
			DisabledRules: slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.Map(rapid.SampledFrom(rule.Definitions), func(d rule.Definition) rule.Rule { return d.Rule }), 0,
				one(t, "disabled", 0, 0, 2, 6), rapid.ID[rule.Rule]).Draw(t, "rules"))),
		},
		picks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pick {
			return pick{rapid.IntRange(0, 99).Draw(t, "exposure"), one(t, "disposition", 4, 2, 3, 4, 1)}
		}), 1, 8).Draw(t, "picks"),
		sights: drawSights(t),
	}
}

const day24 = 24 * time.Hour

func one0[T any](from ...T) *rapid.Generator[T] { return rapid.SampledFrom(from) }

var pauses = []time.Duration{
	time.Hour, time.Second, 0, 400 * time.Millisecond, time.Minute, 26 * time.Hour, 5 * 24 * time.Hour, -time.Second, -2 * time.Hour, -30 * time.Hour,
}

// play turns moves into steps and makes them.
func play(t *rapid.T, h *theatre, seen *tally, moves []move) {
	shown := newTally()
	defer seen.addHistory(shown)
	shown.add("histories", 1)
	var made []told
	// To ask the readers takes as long as some histories. Some are lived through with
	// them, and without what is said of exposures, which the theatre does in place.
	witnessed := rapid.IntRange(0, 9).Draw(t, "witnessed") == 4
	// What so few records come to is few. In some histories it is many, from the first
	// row on or somewhere on the way.
	if many := one(t, "many", -1, -1, 0, 1, 3, 8); many >= 0 {
		for _, service := range h.services {
			service.Enlarge(int64(many))
		}
	}
	for _, s := range moves {
		if witnessed {
			h.ask(t)
			if s.act == disposes {
				continue
			}
		}
		if s.cast >= 0 {
			h.cast(s.cast)
			t.Logf("casting %d judges", s.cast)
		}
		if s.act == delivers {
			if d, is := h.compose(s, made, h.now); is {
				made = append(made, d)
				shown.note(h.world, h.deliver(t, d))
			}
			continue
		}
		if s.act == scans {
			d := h.behold(s, made)
			made = append(made, d)
			shown.note(h.world, h.deliver(t, d))
			continue
		}
		if s.act == fades {
			made = append(made, h.fade(t, s.which, shown)...)
			continue
		}
		if h.world.windowAt.IsZero() {
			continue
		}
		if s.act == blinks {
			made = append(made, h.blink(t, s.voice, made, shown)...)
			continue
		}
		switch s.act {
		case passes:
			h.now = h.now.Add(s.wait)
			t.Logf("%s pass", s.wait)
			shown.judged(h.world, h.reevaluate(t, authority.ByTime, nil).At)
			continue
		case tunes:
			t.Logf("settings %+v", s.settings)
			shown.judged(h.world, h.reevaluate(t, authority.BySettings, &s.settings).At)
			continue
		case disposes:
			for _, p := range s.picks {
				h.dispose(t, p.which, p.disposition)
			}
		case vouches:
			h.vouch(t, s.which)
			shown.judged(h.world, h.world.clock)
			continue
		case justifies:
			for _, p := range s.picks {
				h.justify(t, p.which, p.disposition%3)
			}
			shown.judged(h.world, h.world.clock)
			continue
		case delivers, blinks, scans, fades:
		}
		shown.judged(h.world, h.reevaluate(t, authority.ByRequest, nil).At)
	}
	if len(made) == 0 {
		return
	}
	last := made[len(made)-1] // whatever it did, it is known now, in any order
	last.lines = slices.Clone(last.lines)
	slices.Reverse(last.lines)
	shown.note(h.world, h.deliver(t, last))
	h.comparePast(t, shown)
	if witnessed {
		h.ask(t)
		h.askAgain(t)
		shown.add("asked again", 1)
	}
}

// blink lets a source forget everything and remember.
func (h *theatre) blink(t checker, voice int, before []told, seen *tally) []told {
	for _, d := range slices.Backward(before) {
		if d.voice != voice {
			continue
		}
		d.partial = false
		silent, again := told{voice: voice, observedAt: h.now.Add(time.Hour)}, d
		again.observedAt = silent.observedAt.Add(time.Hour)
		seen.note(h.world, h.deliver(t, silent))
		seen.note(h.world, h.deliver(t, again))
		return []told{silent, again}
	}
	return nil
}

// compose makes a delivery of a move. It fails where there is nothing to repeat.
func (h *theatre) compose(s move, before []told, latest time.Time) (told, bool) {
	d := told{voice: s.voice, partial: s.partial, observedAt: latest.Add(s.pause)}
	var own [][]line
	for _, earlier := range before {
		if earlier.voice == s.voice {
			own = append(own, earlier.lines)
		}
	}
	if len(own) == 0 {
		own = [][]line{nil}
	}
	switch s.mode {
	case again:
		if len(before) == 0 {
			return d, false
		}
		return before[s.which%len(before)], true
	case later:
		d.lines = slices.Clone(own[len(own)-1])
		slices.Reverse(d.lines)
		return d, true
	case restore:
		d.lines = slices.Clone(own[s.which%len(own)])
	case fresh:
	case evolve:
		for i, l := range own[len(own)-1] {
			if !slices.Contains(s.drops, i) {
				d.lines = append(d.lines, l)
			}
		}
		s.rotate.apply(d.lines)
	}
	for _, kind := range s.watches {
		d.lines = append(d.lines, line{fact: record.Coverage{Kind: kind}})
	}
	past := h.now.Truncate(day24).Sub(epoch.Truncate(day24))
	for _, l := range slices.Concat(s.adds...) {
		d.lines = append(d.lines, l.shifted(past))
	}
	v := h.world.voices[s.voice]
	if s.unclean&doubles == 0 {
		d.lines = v.once(d.lines)
	}
	if s.unclean&dangles == 0 {
		d.lines = v.closed(d.lines)
	}
	for i := range d.lines {
		d.lines[i].number = i + 1
	}
	return d, true
}

// shifted puts what a line says of former days that much later.
func (l line) shifted(by time.Duration) line {
	shift := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(by)
	}
	switch f := l.fact.(type) {
	case record.Evidence:
		f.Day, f.LastAt = shift(f.Day), shift(f.LastAt)
		l.fact = f
	case record.Coverage:
		f.From, f.To = shift(f.From), shift(f.To)
		l.fact = f
	case record.Entity:
		f.LastActiveAt = shift(f.LastActiveAt)
		l.fact = f
	}
	return l
}

// turn is how a delivery exchanges an identity for the next one.
type turn int

const (
	keep         turn = iota
	turnWorkload      // the first workload that runs as something runs as another
	turnIdentity      // whatever speaks of that identity speaks of another
)

func (how turn) apply(lines []line) {
	first := slices.IndexFunc(lines, func(l line) bool { e, is := l.fact.(record.Edge); return is && e.Kind == record.RunsAs })
	if how == keep || first < 0 {
		return
	}
	from := lines[first].fact.(record.Edge).To
	to := from
	to.SourceID = map[string]string{"i1": "i2", "i2": "i3", "i3": "i1"}[from.SourceID]
	for i, l := range lines {
		e, is := l.fact.(record.Edge)
		if !is || how == turnWorkload && i != first {
			continue
		}
		if e.From == from {
			e.From = to
		}
		if e.To == from {
			e.To = to
		}
		lines[i].fact = e
	}
}

// once leaves out refused records, and of those that speak of the same thing
// all but the last.
func (v *voice) once(lines []line) []line {
	at := map[any]int{}
	var kept []line
	for _, l := range lines {
		key, _, bad := v.read(l)
		if bad != nil {
			continue
		}
		if i, twice := at[key]; twice {
			kept[i] = l
			continue
		}
		at[key] = len(kept)
		kept = append(kept, l)
	}
	return kept
}

// closed puts an entity before the records that need one.
func (v *voice) closed(lines []line) []line {
	asserted := map[record.Ref]bool{}
	for _, l := range lines {
		if e, is := l.fact.(record.Entity); is {
			asserted[record.Ref{Kind: e.Kind, System: cmp.Or(e.System, v.system), SourceID: e.SourceID}] = true
		}
	}
	var missing []line
	for _, l := range lines {
		key, _, _ := v.read(l)
		needs, _ := names(key)
		for _, r := range needs {
			if !asserted[r] {
				asserted[r] = true
				missing = append(missing, line{fact: record.Entity{Ref: r}})
			}
		}
	}
	return append(missing, lines...)
}

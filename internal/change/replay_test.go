package change_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// replay reads events as the runtime role does.
func (r *newsroom) replay(after, upTo int64, filter change.Filter, limit int) ([]*change.Event, int64) {
	r.t.Helper()
	snapshot := r.Snapshot()
	defer snapshot.Close(r.ctx)
	events, reached, err := (&change.Reader{}).Replay(r.ctx, snapshot.Of(organization), organization, after, upTo, filter, limit)
	require.NoError(r.t, err)
	return events, reached
}

// What the sequencer gives to those who listen is, to the byte, what is read later.
func TestPublishedIsReplayed(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"), grants("vault <é>\u2028", "internal", "get"))...)
	r.judge(r.path("w1", "i1", "ledger"), rule.OrphanedPath, triage.Acknowledge, 1)
	r.say(world(runs("w1", "i2"), grants("ledger", "internal", "delete", "get"))...)
	var published []*change.Event
	for {
		step, err := r.sequencer.Step(r.ctx, organization, 3)
		require.NoError(t, err)
		published = append(published, step.Published...)
		if !step.More {
			break
		}
	}
	replayed, reached := r.replay(0, 0, change.Filter{}, 1000)
	require.Greater(t, len(published), 8)
	require.EqualValues(t, len(published), reached)
	texts := func(list []*change.Event) (texts []string) {
		for _, e := range list {
			text, err := json.Marshal(e)
			require.NoError(t, err)
			// json.Marshal compacts raw objects: their bytes besides.
			texts = append(texts, string(text)+string(e.OldValue)+string(e.NewValue)+string(e.Metadata))
		}
		return texts
	}
	require.Equal(t, texts(published), texts(replayed))
}

func TestReplayGoesOn(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(wide(9)...)
	head := int64(len(r.drain()))
	var seqs []int64
	at := int64(0)
	for at < head {
		events, reached := r.replay(at, head, change.Filter{}, 4)
		for _, e := range events {
			seqs = append(seqs, e.Seq)
		}
		require.Greater(t, reached, at)
		at = reached
	}
	require.Len(t, seqs, int(head))
	require.True(t, slices.IsSorted(seqs))

	none, reached := r.replay(0, head, change.Filter{Types: []change.Kind{change.PathRemoved}}, 4)
	require.Empty(t, none)
	require.Equal(t, head, reached, "what did not pass need not be gone through again")
	none, reached = r.replay(head, head, change.Filter{}, 4)
	require.Empty(t, none)
	require.Equal(t, head, reached)
	some, reached := r.replay(1, 3, change.Filter{}, 4)
	require.Len(t, some, 2)
	require.EqualValues(t, 3, reached)

	heads, err := change.Heads(r.ctx, r.shared(), []id.ID{organization, id.Organization("rival")})
	require.NoError(t, err)
	require.Equal(t, map[id.ID]int64{organization: head}, heads)
	_, _, err = (&change.Reader{}).Replay(context.Background(), r.shared(), organization, 0, 0, change.Filter{}, 4)
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))
}

func (r *newsroom) shared() db.Querier {
	snapshot := r.Snapshot()
	r.t.Cleanup(func() { snapshot.Close(context.Background()) })
	return snapshot.Shared()
}

// TestFilterSaysTheSameTwice holds what a filter does in SQL against what it does
// with the events at hand.
func TestFilterSaysTheSameTwice(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), runs("w2", "i2"), grants("ledger", "restricted", "get"), grants("vault", "internal", "get"))...)
	d := r.scatter(400)
	all, _ := r.replay(0, 0, change.Filter{}, 1000)
	require.Len(t, all, 400)
	passed := 0
	rapid.Check(t, func(rt *rapid.T) {
		f := d.filter(rt)
		found, _ := r.replay(0, 0, f, 1000)
		var want []*change.Event
		for _, e := range all {
			if f.Matches(e) {
				want = append(want, e)
			}
		}
		require.Equal(rt, seqsOf(want), seqsOf(found), "%+v", f)
		passed += min(len(want), 1)
	})
	require.Positive(t, passed, "no filter let anything pass")
}

func seqsOf(events []*change.Event) []int64 {
	seqs := make([]int64, len(events))
	for i, e := range events {
		seqs[i] = e.Seq
	}
	return seqs
}

// deck are the values that random events and filters are drawn from.
type deck struct {
	paths, lineages, others []id.ID
	ats                     []time.Time
}

// scatter fills the feed with random events about the paths that are there.
func (r *newsroom) scatter(count int) *deck {
	r.t.Helper()
	d := &deck{}
	rows, err := r.super.Query(r.ctx, `SELECT id, lineage_id FROM authority_path WHERE organization_id = $1 ORDER BY id`, organization)
	require.NoError(r.t, err)
	var path, lineage id.ID
	_, err = pgx.ForEachRow(rows, []any{&path, &lineage}, func() error {
		d.paths, d.lineages = append(d.paths, path), append(d.lineages, lineage)
		return nil
	})
	require.NoError(r.t, err)
	require.Len(r.t, d.paths, 4)
	for _, name := range []string{"one", "two", "three"} {
		d.others = append(d.others, id.Organization(name))
	}
	for i := range 12 {
		d.ats = append(d.ats, start.Add(time.Duration(i)*time.Second))
	}
	dice := rand.New(rand.NewPCG(6, 2026))
	pick := func(list []id.ID) *id.ID {
		if dice.IntN(3) == 0 {
			return nil
		}
		return &list[dice.IntN(len(list))]
	}
	var lines [][]any
	for seq := range count {
		kind := change.Emitted[dice.IntN(len(change.Emitted))]
		entity, subject := d.others[dice.IntN(3)], d.others[dice.IntN(3)]
		var exposureType, ordinal, severity *int
		of := kind.EntityTypes()[dice.IntN(len(kind.EntityTypes()))]
		if of == change.OfAuthorityPath || of == change.OfExposure {
			n := dice.IntN(len(d.paths))
			entity, subject = d.paths[n], d.lineages[n]
			if of == change.OfExposure {
				exposureType, ordinal, severity = new(1+dice.IntN(3)), new(1+dice.IntN(2)), new(1+dice.IntN(4))
			}
		}
		lines = append(lines, []any{organization, seq + 1, id.New("test").Text(time.Duration(seq).String()).Short(), string(kind), string(of), entity, subject,
			pick(d.others), exposureType, ordinal, severity, pick(d.others), pick(d.others), dice.IntN(4) - 1, "title", "{}", d.ats[dice.IntN(len(d.ats))], start})
	}
	_, err = r.super.CopyFrom(r.ctx, pgx.Identifier{"exposure_changes"}, []string{"organization_id", "seq", "id", "change_type", "entity_type", "entity_id", "subject_id",
		"workload_id", "exposure_type", "exposure_ordinal", "severity", "scan_id", "asset_id", "class", "title", "metadata", "at", "created_at"}, pgx.CopyFromRows(lines))
	require.NoError(r.t, err)
	r.exec(`INSERT INTO change_head (id, seq) VALUES ($1, $2)`, organization, count)
	return d
}

// filter draws a filter of up to three conditions: of more, little passes.
func (d *deck) filter(t *rapid.T) (f change.Filter) {
	at := func(label string) *time.Time {
		at := rapid.SampledFrom(d.ats).Draw(t, label).Add(time.Duration(rapid.IntRange(-1, 999).Draw(t, "nanoseconds")))
		return &at
	}
	ids := func(label string, from ...id.ID) []id.ID {
		return rapid.SliceOfN(rapid.SampledFrom(from), 1, 2).Draw(t, label)
	}
	for range rapid.IntRange(0, 3).Draw(t, "conditions") {
		switch rapid.IntRange(0, 12).Draw(t, "condition") {
		case 0:
			f.Types = rapid.SliceOfN(rapid.SampledFrom(slices.Concat(change.Emitted, change.Reserved)), 1, 4).Draw(t, "types")
		case 1:
			f.EntityTypes = rapid.SliceOfN(rapid.SampledFrom(change.EntityTypes), 1, 2).Draw(t, "entity types")
		case 2:
			f.Severities = rapid.SliceOfN(rapid.SampledFrom([]rule.Severity{1, 2, 3, 4}), 1, 2).Draw(t, "severities")
		case 3:
			f.Scans = ids("scans", d.others...)
		case 4:
			f.Assets = ids("assets", d.others...)
		case 5:
			f.Paths = ids("paths", append(slices.Clone(d.paths), d.others[0])...)
		case 6:
			f.Lineages = ids("lineages", d.lineages...)
		case 7:
			f.Workloads = ids("workloads", d.others...)
		case 8:
			for _, path := range ids("exposures", d.paths...) {
				f.Exposures = append(f.Exposures, exposure.Key{PathID: path, Type: rule.Type(rapid.IntRange(1, 3).Draw(t, "type")), Ordinal: rapid.IntRange(1, 2).Draw(t, "ordinal")})
			}
		case 9:
			f.After = at("after")
		case 10:
			f.Before = at("before")
		case 11:
			f.AsOf = at("as of")
		case 12:
			f.Classes = rapid.SliceOfN(rapid.IntRange(-1, 3), 0, 3).Draw(t, "classes")
		}
	}
	return f
}

func TestFilterIsBounded(t *testing.T) {
	t.Parallel()
	_, err := change.Filter{Lineages: make([]id.ID, page.MaxValues+1)}.Where()
	requireCode(t, "FILTER_TOO_LARGE", err)
}

func requireCode(t testing.TB, code string, err error) {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, code, typed.Code)
}

func TestCursors(t *testing.T) {
	t.Parallel()
	rival := id.Organization("rival")
	for _, seq := range []int64{0, 1, 1 << 62} {
		text := change.EncodeCursor(organization, seq)
		decoded, err := change.DecodeCursor("after", organization, text)
		require.NoError(t, err)
		require.Equal(t, seq, decoded)
		p, err := change.ResolvePage(page.Request{Before: &text}, organization)
		require.NoError(t, err)
		require.Len(t, p.Before, 1)
	}
	list := page.Cursor(page.BindingOf("paths", organization, nil).Short(), "1")
	for name, test := range map[string]struct{ text, code string }{
		"nothing":      {"", "CURSOR_INVALID"},
		"no cursor":    {"what?", "CURSOR_INVALID"},
		"a long one":   {strings.Repeat("A", 1<<20), "CURSOR_INVALID"},
		"another feed": {change.EncodeCursor(rival, 1), "CURSOR_OF_ANOTHER_FEED"},
		"a list":       {list, "CURSOR_OF_ANOTHER_FEED"},
		"negative":     {change.EncodeCursor(organization, -1), "CURSOR_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := change.DecodeCursor("after", organization, test.text)
			requireCode(t, test.code, err)
			_, err = change.ResolvePage(page.Request{After: &test.text}, organization)
			requireCode(t, test.code, err)
		})
	}
	require.NoError(t, change.Within("after", 7, 7))
	err := change.Within("after", 8, 7)
	requireCode(t, "CURSOR_BEYOND_HEAD", err)
	require.Equal(t, problem.Conflict, problem.KindOf(err))
}

package triage_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// pile is a workload with four paths, and of each the exposure by its number.
func pile(t testing.TB) (*desk, []exposure.Key) {
	d := newDesk(t)
	d.say(wide(4)...)
	keys := []exposure.Key{d.key(rule.SensitiveReach, 1)}
	for i := range 3 {
		keys = append(keys, exposure.Key{PathID: d.path("w1", fmt.Sprintf("vault-%d", i)), Type: rule.SensitiveReach, Ordinal: 1})
	}
	return d, keys
}

func selection(keys ...exposure.Key) (s triage.Selection) {
	for _, key := range keys {
		s.Items = append(s.Items, triage.Item{Key: key})
	}
	return s
}

// codes are how the exposures of a batch fared.
func codes(b *triage.Batch) map[exposure.Key]string {
	codes := map[exposure.Key]string{}
	for _, item := range b.Items {
		codes[item.Key] = item.Code
	}
	return codes
}

func (d *desk) many(s triage.Selection, c triage.Command) *triage.Batch {
	d.t.Helper()
	d.advance(time.Minute)
	b, err := d.triage.JudgeMany(d.ctx, organization, s, c, false)
	require.NoError(d.t, err)
	return b
}

// stored reads a batch again.
func (d *desk) stored(batch id.ID) *triage.Batch {
	d.t.Helper()
	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	b, err := d.reader.BatchByID(d.ctx, snapshot, organization, batch)
	require.NoError(d.t, err)
	return b
}

func TestJudgeMany(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	d.judge(keys[1], triage.Acknowledge, 1)
	d.judge(keys[2], triage.Resolve, 1)
	nowhere := exposure.Key{PathID: id.New("nowhere").Short(), Type: rule.SensitiveReach, Ordinal: 1}
	one, two := 1, 2
	s := selection(keys[1], keys[2], nowhere)
	s.Items = append(s.Items, triage.Item{Key: keys[0], ExpectedVersion: &one}, triage.Item{Key: keys[3], ExpectedVersion: &two})
	c := d.command(triage.Acknowledge, 0)
	want := map[exposure.Key]string{
		keys[0]: "", keys[1]: "ILLEGAL_MOVE", keys[2]: "EXPOSURE_RESOLVED", keys[3]: "VERSION_CONFLICT", nowhere: "EXPOSURE_NOT_FOUND",
	}

	before := d.rows()
	rehearsed, err := d.triage.JudgeMany(d.ctx, organization, s, c, true)
	require.NoError(t, err)
	require.Equal(t, want, codes(rehearsed))
	require.True(t, rehearsed.DryRun)
	require.Equal(t, id.Nil, rehearsed.ID)
	require.Equal(t, []triage.Count{
		{State: triage.Open, Count: 1}, {Code: "EXPOSURE_NOT_FOUND", Count: 1}, {State: triage.Resolved, Code: "EXPOSURE_RESOLVED", Count: 1},
		{State: triage.Acknowledged, Code: "ILLEGAL_MOVE", Count: 1}, {State: triage.Open, Code: "VERSION_CONFLICT", Count: 1},
	}, rehearsed.Counts())
	require.Equal(t, before, d.rows(), "a dry run writes nothing")

	b := d.many(s, c)
	require.Equal(t, want, codes(b))
	require.Equal(t, rehearsed.Counts(), b.Counts())
	require.Equal(t, 1, b.Done())
	require.Equal(t, 4, b.Refused())
	require.Equal(t, d.now(), b.At)
	require.Equal(t, "ann", b.Actor)
	require.Equal(t, 1, d.number(`SELECT count(*) FROM ledger_entry WHERE batch_id = $1`, b.ID))
	for _, item := range b.Items {
		if item.Key == keys[0] {
			require.Equal(t, b.ID, *item.Decision.Batch)
			require.Equal(t, triage.Acknowledged, item.Decision.To)
			require.Equal(t, 2, item.Decision.Version)
		} else {
			require.Nil(t, item.Decision)
			require.NotEmpty(t, item.Message)
		}
	}
	d.holds(slug)

	d.judge(keys[0], triage.Unacknowledge, 2)
	before = d.rows()
	again := d.many(s, c)
	require.True(t, again.Replayed)
	again.Replayed = false
	require.Equal(t, b, again, "asked again, the answer is the same")
	s.Items[0], s.Items[4] = s.Items[4], s.Items[0]
	require.True(t, d.many(s, c).Replayed, "in whatever order")
	require.Equal(t, b, d.stored(b.ID))
	require.Equal(t, before, d.rows())
	s.Items[0].ExpectedVersion = nil
	_, err = d.triage.JudgeMany(d.ctx, organization, s, c, false)
	require.Equal(t, "IDEMPOTENCY_KEY_REUSED", codeOf(t, err))
	require.Equal(t, before, d.rows())
	require.Nil(t, d.stored(id.New("batch").Short()))

	// Where nothing can be done, that is the answer, and stays it.
	c = d.command(triage.Unacknowledge, 0)
	nothing := d.many(selection(keys[2], nowhere), c)
	require.Zero(t, nothing.Done())
	require.Zero(t, nothing.At)
	again = d.many(selection(keys[2], nowhere), c)
	require.True(t, again.Replayed)
	again.Replayed = false
	require.Equal(t, nothing, again)
	require.Equal(t, nothing, d.stored(nothing.ID))
	_, err = d.triage.Undo(d.ctx, organization, nothing.ID, "Back.", "undo-nothing")
	require.Equal(t, "NOTHING_TO_UNDO", codeOf(t, err))
}

func TestJudgeManyByFilter(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	reach := exposure.Filter{Types: []rule.Type{rule.SensitiveReach}}
	d.judge(keys[0], triage.Resolve, 1)
	c := d.command(triage.MarkFalsePositive, 0)
	b := d.many(triage.Selection{Filter: &reach}, c)
	require.Equal(t, map[exposure.Key]string{keys[1]: "", keys[2]: "", keys[3]: ""}, codes(b), "what has resolved is not meant")
	for _, item := range b.Items {
		require.Equal(t, triage.WrongData, item.Decision.Reason)
	}
	d.holds(slug)
	again := d.many(triage.Selection{Filter: &reach}, c)
	require.True(t, again.Replayed)
	again.Replayed = false
	require.Equal(t, b, again)

	reach.Statuses = []exposure.Status{exposure.StatusResolved}
	require.Equal(t, map[exposure.Key]string{keys[0]: "EXPOSURE_RESOLVED"}, codes(d.many(triage.Selection{Filter: &reach}, d.command(triage.Acknowledge, 0))))
	reach.Statuses = []exposure.Status{exposure.StatusActive}
	require.Empty(t, d.many(triage.Selection{Filter: &reach}, d.command(triage.Acknowledge, 0)).Items, "an empty batch is one, too")

	resolved := d.many(triage.Selection{Filter: &exposure.Filter{Types: []rule.Type{rule.OrphanedPath}}}, d.command(triage.Resolve, 0))
	require.Equal(t, 4, resolved.Done())
	d.holds(slug)
}

func TestJudgeManyBounds(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	before := d.rows()
	refused := func(s triage.Selection, c triage.Command, dryRun bool) (code, message string) {
		_, err := d.triage.JudgeMany(d.ctx, organization, s, c, dryRun)
		require.Equal(t, before, d.rows())
		return codeOf(t, err), err.Error()
	}
	for _, dryRun := range []bool{false, true} {
		c := d.command(triage.Acknowledge, 0)
		code, _ := refused(triage.Selection{}, c, dryRun)
		require.Equal(t, "SELECTION_NEEDED", code)
		both := selection(keys...)
		both.Filter = &exposure.Filter{}
		code, _ = refused(both, c, dryRun)
		require.Equal(t, "SELECTION_NEEDED", code)
		code, _ = refused(selection(keys[0], keys[1], keys[0]), c, dryRun)
		require.Equal(t, "EXPOSURE_TWICE", code)
		code, message := refused(triage.Selection{Items: make([]triage.Item, 1001)}, c, dryRun)
		require.Equal(t, "TOO_MANY_EXPOSURES", code)
		require.Contains(t, message, "1000")
		code, _ = refused(triage.Selection{Filter: &exposure.Filter{DataDomains: []string{"nul\x00"}}}, c, dryRun)
		require.NotEmpty(t, code)
		c.Envelope = []byte("{}")
		code, _ = refused(selection(keys[0]), c, dryRun)
		require.Equal(t, "ENVELOPE_INVALID", code)
		code, _ = refused(selection(keys[0]), triage.Command{Action: "accept"}, dryRun)
		require.Equal(t, "ACTION_UNKNOWN", code)
	}
	_, err := d.triage.JudgeMany(d.ctx, organization, selection(keys...), triage.Command{Action: triage.Acknowledge}, true)
	require.NoError(t, err, "a dry run needs no reason")
	code, _ := refused(selection(keys...), triage.Command{Action: triage.Acknowledge, IdempotencyKey: "k"}, false)
	require.Equal(t, "INVALID_TEXT", code)
	code, _ = refused(selection(keys...), triage.Command{Action: triage.Acknowledge, Justification: "Why."}, false)
	require.Equal(t, "INVALID_IDEMPOTENCY_KEY", code)

	// A filter that matches too many is found out by the one above the bound.
	d.triage.SetMaxMatching(3)
	all := triage.Selection{Filter: &exposure.Filter{Types: []rule.Type{rule.SensitiveReach}}}
	for _, dryRun := range []bool{false, true} {
		code, message := refused(all, d.command(triage.Acknowledge, 0), dryRun)
		require.Equal(t, "TOO_MANY_EXPOSURES", code)
		require.Contains(t, message, "more than 3 exposures; narrow it")
	}
	d.triage.SetMaxMatching(4)
	require.Equal(t, 4, d.many(all, d.command(triage.Acknowledge, 0)).Done())
}

func TestUndo(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	d.judge(keys[3], triage.Acknowledge, 1)
	marked := d.many(selection(keys...), d.command(triage.MarkFalsePositive, 0))
	require.Equal(t, 4, marked.Done())
	bob := d.as("bob", access.Investigate)
	_, err := d.triage.Judge(bob, organization, keys[1], d.command(triage.UnmarkFalsePositive, 2))
	require.NoError(t, err)
	d.say(with(wide(3))...) // vault-2 is out of reach

	d.advance(time.Minute)
	undone, err := d.triage.Undo(d.ctx, organization, marked.ID, "It was the wrong list.", "undo-1")
	require.NoError(t, err)
	require.Equal(t, map[exposure.Key]string{keys[0]: "", keys[1]: "VERSION_CONFLICT", keys[2]: "", keys[3]: "EXPOSURE_RESOLVED"}, codes(undone))
	require.Equal(t, marked.ID, *undone.Undoes)
	require.NotEqual(t, marked.ID, undone.ID)
	seqs := map[exposure.Key]int64{}
	for _, item := range marked.Items {
		seqs[item.Key] = item.Decision.Seq
	}
	for _, item := range undone.Items {
		switch item.Key {
		case keys[1]:
			require.Contains(t, item.Message, "bob decided last")
		case keys[3]:
			require.Contains(t, item.Message, "path_removed")
		default:
			require.Equal(t, seqs[item.Key], *item.Decision.Compensates)
			require.Equal(t, triage.UnmarkFalsePositive, item.Decision.Action)
			require.Equal(t, triage.Open, item.Decision.To)
			state, version, seq := d.row(item.Key)
			require.Equal(t, triage.Open, state)
			require.Equal(t, 3, version)
			require.Equal(t, item.Decision.Seq, seq)
		}
	}
	d.holds(slug)
	require.Equal(t, undone, d.stored(undone.ID))
	again, err := d.triage.Undo(d.ctx, organization, marked.ID, "It was the wrong list.", "undo-1")
	require.NoError(t, err)
	require.True(t, again.Replayed)
	again.Replayed = false
	require.Equal(t, undone, again)

	before := d.rows()
	for code, batch := range map[string]id.ID{"ALREADY_UNDONE": marked.ID, "BATCH_IS_UNDO": undone.ID, "BATCH_NOT_FOUND": id.New("batch").Short()} {
		_, err := d.triage.Undo(d.ctx, organization, batch, "Again.", "undo-"+code)
		require.Equal(t, code, codeOf(t, err))
	}
	require.Equal(t, before, d.rows())
}

// The ids of batches follow from who asked for what, as docs/ids.md says with this
// example, and as a program in another language computes them from that page.
func TestBatchIDs(t *testing.T) {
	t.Parallel()
	const batch, undo = "a8ccca81-f08c-31a3-d991-d4a692e7c656", "e856f750-5809-06fb-922c-df89e01c117d"
	d, keys := pile(t)
	ada := d.as("ada@example.com", access.Investigate)
	command := triage.Command{Action: triage.Acknowledge, Justification: "All of them.", IdempotencyKey: "k-1"}
	b, err := d.triage.JudgeMany(ada, organization, selection(keys...), command, false)
	require.NoError(t, err)
	require.Equal(t, batch, b.ID.String())
	undone, err := d.triage.Undo(d.ctx, organization, b.ID, "Back.", "another-key-of-another-person")
	require.NoError(t, err)
	require.Equal(t, undo, undone.ID.String())

	other, err := d.triage.JudgeMany(d.ctx, organization, selection(keys...), command, false)
	require.NoError(t, err)
	require.NotEqual(t, b.ID, other.ID, "somebody else's")
	page, err := os.ReadFile("../../docs/ids.md")
	require.NoError(t, err)
	for _, text := range []string{batch, undo, "`triage-batch/1`", "`triage-undo/1`", `short("triage-batch/1", acme, "ada@example.com", "k-1")`} {
		require.Contains(t, string(page), text)
	}
}

// Every move that a batch makes is taken back to where it came from.
func TestUndoEachMove(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	undo := func(b *triage.Batch) *triage.Batch {
		d.advance(time.Minute)
		undone, err := d.triage.Undo(d.ctx, organization, b.ID, "Back.", "undo-"+b.ID.String())
		require.NoError(t, err)
		return undone
	}
	for n, way := range [][]triage.Action{
		{triage.Acknowledge},
		{triage.Acknowledge, triage.Unacknowledge},
		{triage.MarkFalsePositive},
		{triage.Acknowledge, triage.MarkFalsePositive},
		{triage.MarkFalsePositive, triage.UnmarkFalsePositive},
	} {
		_, version, _ := d.row(keys[0])
		for i, action := range way[:len(way)-1] {
			d.judge(keys[0], action, version+i)
		}
		from, _, _ := d.row(keys[0])
		action := way[len(way)-1]
		b := d.many(selection(keys[0]), d.command(action, 0))
		require.Equal(t, 1, b.Done(), n)
		undone := undo(b)
		require.Equal(t, 1, undone.Done(), "%d: %s", n, action)
		require.Equal(t, action, undone.Action)
		state, _, _ := d.row(keys[0])
		require.Equal(t, from, state, "%d: %s", n, action)
		if action == triage.UnmarkFalsePositive {
			require.Equal(t, triage.WrongData, undone.Items[0].Decision.Reason, "for the reason that it had")
		} else {
			require.Empty(t, undone.Items[0].Decision.Reason)
		}
		d.holds(slug)
		if from == triage.FalsePositive {
			continue
		}
		if from == triage.Acknowledged { // begin anew
			_, version, _ = d.row(keys[0])
			d.judge(keys[0], triage.Unacknowledge, version)
		}
	}
	b := d.many(selection(keys[1]), d.command(triage.Resolve, 0))
	undone := undo(b)
	require.Zero(t, undone.Done())
	require.Equal(t, "EXPOSURE_RESOLVED", undone.Items[0].Code)
	require.Contains(t, undone.Items[0].Message, "next evaluation")
}

// What has changed by itself is not what was judged.
func TestUndoOfWhatChanged(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	b := d.many(selection(keys[0]), d.command(triage.Acknowledge, 0))
	d.say(with(path("confidential"), wide(4)[len(path("restricted")):])...)
	undone, err := d.triage.Undo(d.ctx, organization, b.ID, "Back.", "undo")
	require.NoError(t, err)
	require.Equal(t, map[exposure.Key]string{keys[0]: "VERSION_CONFLICT"}, codes(undone))
	require.Contains(t, undone.Items[0].Message, "what the exposure is has changed since")
}

// A thousand at once are a few statements and one commit.
func TestJudgeThousand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(wide(triage.MaxItems)...)
	began := time.Now()
	b := d.many(triage.Selection{Filter: &exposure.Filter{Types: []rule.Type{rule.SensitiveReach}}}, d.command(triage.Acknowledge, 0))
	t.Logf("%d in %s", b.Done(), time.Since(began))
	require.Equal(t, triage.MaxItems, b.Done())
	require.Equal(t, triage.MaxItems, d.number(`SELECT count(*) FROM ledger_entry WHERE batch_id = $1`, b.ID))
	d.holds(slug)
	undone, err := d.triage.Undo(d.ctx, organization, b.ID, "Back.", "undo")
	require.NoError(t, err)
	require.Equal(t, triage.MaxItems, undone.Done())
	d.holds(slug)
}

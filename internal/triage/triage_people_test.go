package triage_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

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
		x.to, x.reason, x.seq, x.before = d.At, "manual", d.Seq, x.seq
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

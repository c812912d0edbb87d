package triage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key := d.key(rule.SensitiveReach, 1)

	acknowledged := d.judge(key, triage.Acknowledge, 1)
	require.Equal(t, triage.Decision{
		Key: key, Action: triage.Acknowledge, From: triage.Open, To: triage.Acknowledged, ExpectedVersion: 1, Version: 2,
		Justification: "Looked at it.", IdempotencyKey: "key-1", Seq: acknowledged.Seq, Actor: "ann", At: d.now(), Entry: acknowledged.Entry,
	}, acknowledged.Decision)
	require.False(t, acknowledged.Replayed)
	require.Equal(t, ledger.Acknowledged, acknowledged.Entry.Kind)
	state, version, seq := d.row(key)
	require.Equal(t, triage.Acknowledged, state)
	require.Equal(t, 2, version)
	require.Equal(t, acknowledged.Seq, seq)
	require.Equal(t, 1, d.number(`SELECT count(*) FROM exposure_version WHERE disposition = 1 AND version = 1 AND decided_seq IS NULL AND to_at = $1`, acknowledged.At))
	require.Equal(t, 1, d.number(`SELECT count(*) FROM authority_path WHERE open_mask & 32 = 0 AND acknowledged_mask & 32 = 32 AND active_exposure_count = 2`))
	d.holds(slug)

	back := d.judge(key, triage.Unacknowledge, 2)
	require.Equal(t, triage.Open, back.To)
	marked := d.judge(key, triage.MarkFalsePositive, 3)
	require.Equal(t, triage.WrongData, marked.Reason)
	require.Equal(t, 1, d.number(`SELECT count(*) FROM authority_path WHERE accepted_mask & 32 = 0 AND active_exposure_count = 1`))
	require.Equal(t, 1, d.number(`SELECT count(*) FROM exposure_version WHERE version = 3 AND decided_seq = $1`, back.Seq))
	d.holds(slug)
	d.judge(key, triage.UnmarkFalsePositive, 4)
	resolved := d.judge(key, triage.Resolve, 5)
	require.Equal(t, 5, resolved.Version, "an interval that has ended keeps its last version")
	state, version, seq = d.row(key)
	require.Equal(t, triage.Resolved, state)
	require.Equal(t, 5, version)
	require.Equal(t, resolved.Seq, seq)
	require.Equal(t, 1, d.number(`SELECT count(*) FROM exposure WHERE resolution_reason = 'manual' AND to_at = $1`, resolved.At))
	d.holds(slug)

	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	decisions, err := d.reader.Decisions(d.ctx, snapshot, organization, []exposure.Key{key, d.key(rule.OrphanedPath, 1)}, 4)
	require.NoError(t, err)
	require.Len(t, decisions, 1)
	var actions []triage.Action
	for _, decision := range decisions[key] {
		actions = append(actions, decision.Action)
	}
	require.Equal(t, []triage.Action{triage.Resolve, triage.UnmarkFalsePositive, triage.MarkFalsePositive, triage.Unacknowledge}, actions)
	current, err := d.reader.CurrentDecisions(d.ctx, snapshot, organization, []exposure.Key{key, d.key(rule.OrphanedPath, 1)})
	require.NoError(t, err)
	require.Equal(t, map[exposure.Key]*triage.Decision{key: decisions[key][0]}, current)
}

// What the pure table says is what the service does, from every state that a
// person can bring about.
func TestJudgeMoves(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(wide(15)...)
	ways := map[triage.State][]triage.Action{
		triage.Open: {}, triage.Acknowledged: {triage.Acknowledge}, triage.FalsePositive: {triage.MarkFalsePositive}, triage.Resolved: {triage.Resolve},
	}
	fresh := 0
	for from, way := range ways {
		for _, action := range triage.Actions {
			to, legal := from.Next(action)
			resource := "ledger"
			if fresh > 0 {
				resource = fmt.Sprintf("vault-%d", (fresh-1)%14)
			}
			key := exposure.Key{PathID: d.path("w1", resource), Type: []rule.Type{rule.SensitiveReach, rule.OrphanedPath}[fresh/15], Ordinal: 1}
			fresh++
			for i, action := range way {
				d.judge(key, action, 1+i)
			}
			state, version, _ := d.row(key)
			require.Equal(t, from, state)
			if legal {
				require.Equal(t, to, d.judge(key, action, version).To)
				continue
			}
			code, message := d.refused(key, d.command(action, version))
			if from == triage.Resolved {
				require.Equal(t, "EXPOSURE_RESOLVED", code)
				continue
			}
			require.Equal(t, "ILLEGAL_MOVE", code)
			require.Contains(t, message, string(from))
			for _, legal := range from.Legal() {
				require.Contains(t, message, string(legal), "what would be legal is named")
			}
		}
	}
	d.holds(slug)
}

func TestJudgeRefusesText(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key := d.key(rule.SensitiveReach, 1)
	for text, part := range map[string]string{
		"":                             "missing",
		" \n\t ":                       "missing",
		strings.Repeat("é", 2001):      "2001 characters; it can have 2000",
		"before\x00after":              "NUL",
		"half of a pair: \xed\xa0\x80": "UTF-8",
		"cut off: \xc3":                "UTF-8",
	} {
		c := d.command(triage.Acknowledge, 1)
		c.Justification = text
		code, message := d.refused(key, c)
		require.Equal(t, "INVALID_TEXT", code, "%q", text)
		require.Contains(t, message, part, "%q", text)
	}
	for _, idempotencyKey := range []string{"", strings.Repeat("k", 201), "with space", "new\nline", "nul\x00", "ünicode", "\xff"} {
		c := d.command(triage.Acknowledge, 1)
		c.IdempotencyKey = idempotencyKey
		code, _ := d.refused(key, c)
		require.Equal(t, "INVALID_IDEMPOTENCY_KEY", code, "%q", idempotencyKey)
	}
	for code, change := range map[string]func(c *triage.Command){
		"ACTION_UNKNOWN":    func(c *triage.Command) { c.Action = "accept" },
		"REASON_UNEXPECTED": func(c *triage.Command) { c.Reason = triage.Other },
		"REASON_UNKNOWN":    func(c *triage.Command) { c.Action, c.Reason = triage.MarkFalsePositive, "because" },
	} {
		c := d.command(triage.Acknowledge, 1)
		change(&c)
		got, _ := d.refused(key, c)
		require.Equal(t, code, got)
	}
	for _, version := range []int{0, -1, 1 << 31, 1<<53 + 1} {
		code, _ := d.refused(key, d.command(triage.Acknowledge, version))
		require.Equal(t, "INVALID_VERSION", code)
		_, err := d.triage.JudgeMany(d.ctx, organization, triage.Selection{Items: []triage.Item{{Key: key, ExpectedVersion: &version}}}, d.command(triage.Acknowledge, 0), false)
		require.Equal(t, "INVALID_VERSION", codeOf(t, err))
	}
	c := d.command(triage.MarkFalsePositive, 1)
	c.Reason = ""
	code, message := d.refused(key, c)
	require.Equal(t, "REASON_UNKNOWN", code)
	for _, reason := range triage.FalsePositiveReasons {
		require.Contains(t, message, string(reason))
	}

	// What is kept is what was written, to the byte.
	c = d.command(triage.Acknowledge, 1)
	c.Justification = " " + strings.Repeat("é", 1000) + "\u202e\u0001\U0001F600\u2028\"\\" + strings.Repeat("x", 900) + "\n"
	c.IdempotencyKey = strings.Repeat("~", 200)
	outcome, err := d.triage.Judge(d.ctx, organization, key, c)
	require.NoError(t, err)
	require.Equal(t, c.Justification, outcome.Justification)
	again, err := d.triage.Judge(d.ctx, organization, key, c)
	require.NoError(t, err)
	require.Equal(t, c.Justification, again.Justification)
}

func TestJudgeFinds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	here := d.key(rule.SensitiveReach, 1)
	for _, key := range []exposure.Key{
		{}, {PathID: id.New("nowhere").Short(), Type: rule.SensitiveReach, Ordinal: 1},
		d.key(rule.LLMEgressing, 1), d.key(rule.SensitiveReach, 2), d.key(rule.SensitiveReach, 0), d.key(rule.SensitiveReach, -1), d.key(99, 1), d.key(rule.SensitiveReach, 1<<40),
	} {
		code, message := d.refused(key, d.command(triage.Acknowledge, 1))
		require.Equal(t, "EXPOSURE_NOT_FOUND", code, key)
		require.NotContains(t, message, here.PathID.String()+"x")
	}
}

// Who comes second learns what happened, and that it was not done.
func TestJudgeVersion(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key := d.key(rule.SensitiveReach, 1)
	code, message := d.refused(key, d.command(triage.Acknowledge, 7))
	require.Equal(t, "VERSION_CONFLICT", code)
	require.Contains(t, message, "version 1 and open, not at version 7: nobody has decided")
	bob := d.as("bob", access.Investigate)
	first, err := d.triage.Judge(bob, organization, key, d.command(triage.Acknowledge, 1))
	require.NoError(t, err)
	code, message = d.refused(key, d.command(triage.MarkFalsePositive, 1))
	require.Equal(t, "VERSION_CONFLICT", code)
	require.Contains(t, message, "version 2 and acknowledged, not at version 1: bob decided last, at "+first.At.Format(time.RFC3339Nano))
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key := d.key(rule.SensitiveReach, 1)
	const people = 6
	outcomes, errs := together(people, func(i int) (*triage.Outcome, error) {
		c := d.command([]triage.Action{triage.Acknowledge, triage.MarkFalsePositive}[i%2], 1)
		return d.triage.Judge(d.as(fmt.Sprintf("person-%d", i), access.Investigate), organization, key, c)
	})
	winner := -1
	for i, err := range errs {
		if err == nil {
			require.Negative(t, winner, "one of them was first")
			winner = i
		}
	}
	require.GreaterOrEqual(t, winner, 0)
	for i, err := range errs {
		if i != winner {
			require.Equal(t, "VERSION_CONFLICT", codeOf(t, err))
			require.ErrorContains(t, err, fmt.Sprintf("person-%d decided last", winner))
		}
	}
	_, version, seq := d.row(key)
	require.Equal(t, 2, version)
	require.Equal(t, outcomes[winner].Seq, seq)
	require.Equal(t, 1, d.number(`SELECT count(*) FROM ledger_entry WHERE type IS NOT NULL`))
	d.holds(slug)
}

// One request that comes several times at once is done once, and answered as often.
func TestReplayedAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key, c := d.key(rule.SensitiveReach, 1), d.command(triage.Acknowledge, 1)
	outcomes, errs := together(6, func(int) (*triage.Outcome, error) { return d.triage.Judge(d.ctx, organization, key, c) })
	fresh := 0
	for i, outcome := range outcomes {
		require.NoError(t, errs[i])
		require.Equal(t, outcomes[0].Decision, outcome.Decision)
		if !outcome.Replayed {
			fresh++
		}
	}
	require.Equal(t, 1, fresh)
	require.Equal(t, 1, d.number(`SELECT count(*) FROM ledger_entry WHERE type IS NOT NULL`))
	require.Equal(t, 1, d.number(`SELECT count(*) FROM ledger_request`))
}

func together(n int, do func(i int) (*triage.Outcome, error)) ([]*triage.Outcome, []error) {
	outcomes, errs := make([]*triage.Outcome, n), make([]error, n)
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Add(1)
		go func() {
			defer done.Done()
			<-start
			outcomes[i], errs[i] = do(i)
		}()
	}
	close(start)
	done.Wait()
	return outcomes, errs
}

func TestReplay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key, c := d.key(rule.SensitiveReach, 1), d.command(triage.Acknowledge, 1)
	first, err := d.triage.Judge(d.ctx, organization, key, c)
	require.NoError(t, err)
	d.judge(key, triage.Unacknowledge, 2) // what happened since is another matter
	before := d.rows()
	again, err := d.triage.Judge(d.ctx, organization, key, c)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, first.Decision, again.Decision)
	require.Equal(t, before, d.rows())

	other := d.key(rule.OrphanedPath, 1)
	for name, change := range map[string]func(*triage.Command, *exposure.Key){
		"justification": func(c *triage.Command, _ *exposure.Key) { c.Justification += "." },
		"version":       func(c *triage.Command, _ *exposure.Key) { c.ExpectedVersion = 3 },
		"action":        func(c *triage.Command, _ *exposure.Key) { c.Action = triage.Resolve },
		"exposure":      func(_ *triage.Command, key *exposure.Key) { *key = other },
	} {
		c, key := c, key
		change(&c, &key)
		code, message := d.refused(key, c)
		require.Equal(t, "IDEMPOTENCY_KEY_REUSED", code, name)
		require.Contains(t, message, c.IdempotencyKey)
	}
	_, err = d.triage.JudgeMany(d.ctx, organization, triage.Selection{Items: []triage.Item{{Key: key}}}, c, false)
	require.Equal(t, "IDEMPOTENCY_KEY_REUSED", codeOf(t, err), "a batch is another request")
	_, err = d.triage.Undo(d.ctx, organization, id.New("batch").Short(), c.Justification, c.IdempotencyKey)
	require.Equal(t, "IDEMPOTENCY_KEY_REUSED", codeOf(t, err))
	require.Equal(t, before, d.rows())

	// A key is its owner's: that of somebody else is another one.
	bob, err := d.triage.Judge(d.as("bob", access.Investigate), organization, other, c)
	require.NoError(t, err)
	require.False(t, bob.Replayed)

	// What was refused was not done, and can be asked again.
	late := d.command(triage.Acknowledge, 1)
	code, _ := d.refused(key, late)
	require.Equal(t, "VERSION_CONFLICT", code)
	late.ExpectedVersion = 3
	_, err = d.triage.Judge(d.ctx, organization, key, late)
	require.NoError(t, err)
}

// An exposure that is acknowledged and clears meanwhile.
func TestClearsMeanwhile(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key := d.key(rule.OrphanedPath, 1)
	acknowledged := d.judge(key, triage.Acknowledge, 1)
	cleared := d.say(with(path("restricted"), owned())...)
	code, message := d.refused(key, d.command(triage.Unacknowledge, 2))
	require.Equal(t, "EXPOSURE_RESOLVED", code)
	require.Contains(t, message, cleared.At.UTC().Format(time.RFC3339Nano))
	require.Contains(t, message, "owner_assigned")
	state, version, seq := d.row(key)
	require.Equal(t, triage.Resolved, state)
	require.Equal(t, 2, version)
	require.Equal(t, acknowledged.Seq, seq, "the disposition is frozen")
	d.say(path("restricted")...)
	state, version, seq = d.row(d.key(rule.OrphanedPath, 2))
	require.Equal(t, triage.Open, state, "an acknowledgement is not inherited")
	require.Equal(t, 1, version)
	require.Zero(t, seq)
	d.holds(slug)
}

// A false positive is inherited where the evidence is the same.
func TestFalsePositiveInherited(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key := d.key(rule.SensitiveReach, 1)
	marked := d.judge(key, triage.MarkFalsePositive, 1)
	d.say(path("internal")...)
	state, _, _ := d.row(key)
	require.Equal(t, triage.Resolved, state)
	d.say(path("restricted")...)
	next := d.key(rule.SensitiveReach, 2)
	state, version, seq := d.row(next)
	require.Equal(t, triage.FalsePositive, state)
	require.Equal(t, 1, version)
	require.Equal(t, marked.Seq, seq, "it follows from the decision about the one before")
	require.Equal(t, 1, d.number(`SELECT count(*) FROM authority_path WHERE accepted_mask & 32 = 0`))
	d.holds(slug)
	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	current, err := d.reader.CurrentDecisions(d.ctx, snapshot, organization, []exposure.Key{next})
	require.NoError(t, err)
	require.Equal(t, marked.Decision, *current[next])

	d.say(path("internal")...)
	d.say(path("confidential")...)
	state, version, seq = d.row(d.key(rule.SensitiveReach, 3))
	require.Equal(t, triage.Open, state, "this is not what somebody looked at")
	require.Equal(t, 1, version)
	require.Zero(t, seq)

	// One that was unmarked before it cleared is none.
	d.say(path("internal")...)
	d.say(path("restricted")...)
	fourth := d.key(rule.SensitiveReach, 4)
	state, _, _ = d.row(fourth)
	require.Equal(t, triage.Open, state, "the one right before counts")
	d.judge(fourth, triage.MarkFalsePositive, 1)
	d.judge(fourth, triage.UnmarkFalsePositive, 2)
	d.say(path("internal")...)
	d.say(path("restricted")...)
	state, _, seq = d.row(d.key(rule.SensitiveReach, 5))
	require.Equal(t, triage.Open, state)
	require.Zero(t, seq)
	d.holds(slug)
}

// What is resolved by hand and still holds opens again.
func TestResolvedByHandOpensAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	for _, typ := range []rule.Type{rule.SensitiveReach, rule.OrphanedPath} {
		d.judge(d.key(typ, 1), triage.Acknowledge, 1)
		d.judge(d.key(typ, 1), triage.Resolve, 2)
	}
	require.Equal(t, 1, d.number(`SELECT count(*) FROM authority_path WHERE accepted_mask = 0 AND active_exposure_count = 0 AND max_exposure_severity IS NULL`))
	d.holds(slug)
	code, message := d.refused(d.key(rule.SensitiveReach, 1), d.command(triage.Acknowledge, 2))
	require.Equal(t, "EXPOSURE_RESOLVED", code)
	require.Contains(t, message, "by hand, by ann")

	d.wait(time.Hour)
	for _, typ := range []rule.Type{rule.SensitiveReach, rule.OrphanedPath} {
		state, version, seq := d.row(d.key(typ, 2))
		require.Equal(t, triage.Open, state)
		require.Equal(t, 1, version)
		require.Zero(t, seq)
	}
	d.holds(slug)
	d.judge(d.key(rule.SensitiveReach, 2), triage.Resolve, 1)
	d.say(path("internal")...) // now it is gone
	d.wait(time.Hour)
	require.Zero(t, d.number(`SELECT count(*) FROM exposure WHERE type = 6 AND to_at IS NULL`))
	d.holds(slug)
}

// What a decision sends does not depend on how much there is.
func TestStatementsDoNotGrow(t *testing.T) {
	t.Parallel()
	statements := func(resources, batch int) (one, many []string) {
		d := newDesk(t)
		d.say(wide(resources)...)
		d.judge(d.key(rule.OrphanedPath, 1), triage.Acknowledge, 1) // the first brings in what there was before
		d.Statements.Reset()
		d.judge(d.key(rule.SensitiveReach, 1), triage.Acknowledge, 1)
		one = d.Statements.Sent()
		items := make([]triage.Item, batch)
		for i := range items {
			items[i].Key = exposure.Key{PathID: d.path("w1", fmt.Sprintf("vault-%d", i)), Type: rule.OrphanedPath, Ordinal: 1}
		}
		d.Statements.Reset()
		result, err := d.triage.JudgeMany(d.ctx, organization, triage.Selection{Items: items}, d.command(triage.Acknowledge, 0), false)
		require.NoError(t, err)
		require.Equal(t, batch, result.Done())
		return one, d.Statements.Sent()
	}
	one, few := statements(3, 1)
	same, many := statements(60, 50)
	require.Equal(t, one, same)
	require.Equal(t, few, many)
	t.Logf("%d statements for one, %d for many", len(one), len(many))
	for _, list := range [][]string{one, many} {
		require.Equal(t, 1, len(slices.DeleteFunc(slices.Clone(list), func(name string) bool { return name != "book.append" })))
	}
}

// A decision does not wait for a sync that merges; it comes before it.
func TestDecisionBeforeOrBehindSync(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.say(path("restricted")...)
	key := d.key(rule.SensitiveReach, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	errs := make(chan error, 40)
	group.Add(2)
	go func() {
		defer group.Done()
		for i := range 6 {
			d.advance(time.Hour)
			_, err := d.trySay(slug, path([]string{"internal", "restricted"}[i%2])...)
			errs <- err
		}
	}()
	go func() {
		defer group.Done()
		actor, _ := access.From(d.ctx)
		for i := range 12 {
			c := d.command([]triage.Action{triage.Acknowledge, triage.Unacknowledge}[i%2], 0)
			_, err := d.triage.JudgeMany(access.With(ctx, actor), organization, triage.Selection{Filter: &exposure.Filter{PathIDs: []id.ID{key.PathID}}}, c, false)
			errs <- err
		}
	}()
	group.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	d.holds(slug)
	require.Zero(t, d.number(`SELECT count(*) FROM (SELECT seq, at, lag(at) OVER (ORDER BY seq) AS before FROM ledger_entry) l WHERE before > at`), "the ledger is in the order of the clock")
}

package change_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// since are the events behind a place in the feed.
func since(list []*told, seq int) []*told { return list[seq:] }

func ofKind(list []*told, kind change.Kind) []*told {
	return slices.DeleteFunc(slices.Clone(list), func(e *told) bool { return e.ChangeType != kind })
}

// The first delivery: what it is, the paths, and their exposures, each following
// from the one before.
func TestFirstSync(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	report := r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
	list := r.drain()
	require.Equal(t, []string{
		"sync_applied: cmdb delivered prod: 1 path added, 0 changed, 0 removed; 2 exposures opened, 0 resolved",
		"authority_path_discovered: w1 can reach ledger as i1",
		"exposure_opened: Orphaned path, critical: w1 to ledger",
		"exposure_opened: Sensitive reach, high: w1 to ledger",
	}, lines(list))
	root, path, orphaned := list[0], list[1], list[2]
	require.Equal(t, report.SyncID, root.EntityID)
	require.Nil(t, root.CausedBy)
	require.Equal(t, -1, root.Class)
	require.Equal(t, root.ID, *path.CausedBy)
	require.Equal(t, path.ID, *orphaned.CausedBy)
	require.Equal(t, r.path("w1", "i1", "ledger"), path.EntityID)
	require.Equal(t, path.SubjectID, orphaned.SubjectID, "both stand in the history of the lineage")
	require.Equal(t, id.Lineage(organization, *path.WorkloadID, id.Entity(organization, "resource", "prod", "ledger")), path.SubjectID)
	require.Nil(t, path.OldValue)
	require.Equal(t, map[string]any{"workload": "w1", "identity": "i1", "destination": "ledger", "actions": []any{"get"}, "roles": []any{"reader"},
		"sensitivity": "restricted", "dataDomain": "finance", "effective": true}, path.NewValue)
	require.Equal(t, map[string]any{"schema": 1.0, "cause": "sync", "source": "cmdb", "system": "prod"}, path.Metadata)
	require.Equal(t, rule.OrphanedPath, *orphaned.ExposureType)
	require.Equal(t, 1, *orphaned.ExposureOrdinal)
	require.Equal(t, "orphaned_path", orphaned.NewValue["type"])
	require.NotNil(t, orphaned.Description)
	for _, e := range list {
		require.Equal(t, report.SyncID, *e.ScanID)
		require.Equal(t, id.Source(organization, "cmdb", "prod"), *e.ScanJobID)
		require.True(t, report.At.Equal(e.At))
	}
}

// What a path and its workload can go through, and what they are told as.
func TestPathsChange(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	sensitive := grants("ledger", "restricted", "get")
	r.say(world(runs("w1", "i1"), sensitive)...)
	seq := len(r.drain())
	next := func(report *authority.SyncReport) []*told {
		t.Helper()
		list := since(r.drain(), seq)
		seq += len(list)
		require.Equal(t, report.SyncID, list[0].EntityID)
		return list
	}

	list := next(r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "delete", "get"))...))
	scope := ofKind(list, change.PathScopeChanged)
	require.Equal(t, []string{"authority_path_scope_changed: w1 may also delete on ledger"}, lines(scope))
	require.Equal(t, []any{"get"}, scope[0].OldValue["actions"])
	require.Equal(t, []any{"delete"}, scope[0].Metadata["actionsGained"])
	require.Equal(t, []any{}, scope[0].Metadata["rolesGained"])
	require.Empty(t, ofKind(list, change.PathSensitivityChanged))

	list = next(r.say(world(runs("w1", "i1"), grants("ledger", "internal", "get"))...))
	require.Equal(t, []string{"authority_path_scope_changed: w1 may no longer delete on ledger"}, lines(ofKind(list, change.PathScopeChanged)))
	changed := ofKind(list, change.PathSensitivityChanged)
	require.Equal(t, []string{"authority_path_sensitivity_changed: ledger, which w1 can reach, is internal instead of restricted"}, lines(changed))
	resolved := ofKind(list, change.ExposureResolved)
	require.NotEmpty(t, resolved)
	for _, e := range resolved {
		if *e.ExposureType == rule.SensitiveReach {
			require.Equal(t, changed[0].ID, *e.CausedBy, "what minds the destination follows from its change")
		}
	}

	list = next(r.say(world(runs("w1", "i1"))...))
	gone := ofKind(list, change.PathRemoved)
	require.Equal(t, []string{"authority_path_removed: w1 can no longer reach ledger as i1"}, lines(gone))
	require.Equal(t, map[string]any{"status": "removed"}, gone[0].NewValue)
	require.Equal(t, "internal", gone[0].OldValue["sensitivity"])
	for _, e := range ofKind(list, change.ExposureResolved) {
		require.Equal(t, gone[0].ID, *e.CausedBy)
		require.Equal(t, "path_removed", e.NewValue["reason"])
	}

	r.advance(48 * time.Hour)
	list = next(r.say(world(runs("w1", "i1"), sensitive)...))
	back := ofKind(list, change.PathReappeared)
	require.Equal(t, []string{"authority_path_reappeared: w1 can reach ledger again as i1, after 2 days"}, lines(back))
	require.Equal(t, 49.0*3600, back[0].NewValue["goneSeconds"])
	require.Equal(t, gone[0].EntityID, back[0].EntityID)
	require.Empty(t, ofKind(list, change.PathDiscovered), "it was seen before")
	opened := ofKind(list, change.ExposureOpened)
	require.NotEmpty(t, opened)
	require.Equal(t, back[0].ID, *opened[0].CausedBy)
	require.Equal(t, 2, *opened[0].ExposureOrdinal)

	// The same again, and something older.
	unchanged := next(r.say(world(runs("w1", "i1"), sensitive)...))
	require.Equal(t, []string{"sync_applied: cmdb delivered prod: nothing has changed"}, lines(unchanged))
	late := next(r.sayAt(start, world()...))
	require.Equal(t, []string{"sync_late: cmdb delivered prod late: what was observed at 2026-03-01T12:00:00Z was not applied"}, lines(late))
	repeated := r.sayAt(start, world()...)
	require.Equal(t, authority.Late, repeated.Outcome)
	require.Len(t, r.drain(), seq, "a delivery that comes twice is told once")
	require.Empty(t, r.recount())
}

// A workload that runs as another identity keeps its lineages: the paths follow from
// the rotation and name each other.
func TestRotationLinksEvents(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"), grants("vault", "restricted", "get"))...)
	seq := len(r.drain())
	r.say(world(runs("w1", "i2"), grants("ledger", "restricted", "get"), grants("vault", "restricted", "get"))...)
	list := since(r.drain(), seq)
	rotated := ofKind(list, change.IdentityRotated)
	require.Equal(t, []string{"identity_rotated: w1 runs as i2 instead of i1"}, lines(rotated))
	require.Equal(t, map[string]any{"identity": "i1", "sourceId": "i1"}, rotated[0].OldValue)
	require.Equal(t, 2.0, rotated[0].Metadata["lineagesKept"])
	require.Equal(t, list[0].ID, *rotated[0].CausedBy)
	removed, discovered := ofKind(list, change.PathRemoved), ofKind(list, change.PathDiscovered)
	require.Len(t, removed, 2)
	require.Len(t, discovered, 2)
	for _, d := range discovered {
		require.Equal(t, rotated[0].ID, *d.CausedBy)
		before := slices.IndexFunc(removed, func(e *told) bool { return e.SubjectID == d.SubjectID })
		require.Equal(t, removed[before].EntityID.String(), d.NewValue["predecessor"])
		require.Equal(t, d.EntityID.String(), removed[before].NewValue["successor"])
		require.Equal(t, rotated[0].ID, *removed[before].CausedBy)
	}
	require.Empty(t, r.recount())
}

// What people decide is told with who did it, and the entry that says why.
func TestDecisions(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
	path := r.path("w1", "i1", "ledger")
	seq := len(r.drain())
	marked := r.judge(path, rule.OrphanedPath, triage.MarkFalsePositive, 1)
	back := r.judge(path, rule.OrphanedPath, triage.UnmarkFalsePositive, 2)
	done := r.judge(path, rule.SensitiveReach, triage.Resolve, 1)
	list := since(r.drain(), seq)
	require.Equal(t, []string{
		"exposure_disposition_changed: Orphaned path is false positive instead of open: w1 to ledger",
		"exposure_disposition_changed: Orphaned path is open instead of false positive: w1 to ledger",
		"exposure_resolved: Sensitive reach resolved (manual): w1 to ledger",
	}, lines(list))
	require.Equal(t, map[string]any{"disposition": "open", "version": 1.0}, list[0].OldValue)
	require.Equal(t, map[string]any{"disposition": "false_positive", "version": 2.0, "actor": "ann", "reason": "wrong_data"}, list[0].NewValue)
	require.Equal(t, map[string]any{"schema": 1.0, "cause": "decision"}, list[0].Metadata)
	for i, outcome := range []*triage.Outcome{marked, back, done} {
		require.Equal(t, outcome.Seq, *list[i].LedgerSeq)
		require.True(t, outcome.At.Equal(list[i].At))
		require.Nil(t, list[i].ScanID)
		require.Nil(t, list[i].CausedBy)
		require.Equal(t, path, list[i].EntityID)
	}

	// A judgement that no sync brought.
	r.advance(200 * 24 * time.Hour)
	evaluation, err := r.paths.Reevaluate(r.ctx, organization, authority.ByTime, nil)
	require.NoError(t, err)
	require.Positive(t, evaluation.Exposures.Opened+evaluation.Exposures.Resolved)
	list = since(r.drain(), seq+3)
	require.Len(t, list, evaluation.Exposures.Opened+evaluation.Exposures.Resolved)
	require.Equal(t, map[string]any{"schema": 1.0, "cause": "evaluation", "evaluation": "time"}, list[0].Metadata)
}

// What a transaction says is told as of its instant, however late it is told.
func TestToldAsOfThen(t *testing.T) {
	t.Parallel()
	story := func(r *newsroom, after func()) {
		r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
		after()
		r.judge(r.path("w1", "i1", "ledger"), rule.OrphanedPath, triage.Acknowledge, 1)
		after()
		r.judge(r.path("w1", "i1", "ledger"), rule.SensitiveReach, triage.Acknowledge, 1)
		after()
		r.judge(r.path("w1", "i1", "ledger"), rule.SensitiveReach, triage.Resolve, 2) // in place of what was decided before
		after()
		r.say(world(runs("w1", "i2"), grants("ledger", "internal", "get", "write"))...)
		after()
		r.say(world(runs("w1", "i2"))...)
		after()
		r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
		after()
		_, err := r.triage.Judge(r.ctx, organization, exposure.Key{PathID: r.path("w1", "i1", "ledger"), Type: rule.SensitiveReach, Ordinal: 2},
			triage.Command{Action: triage.Resolve, ExpectedVersion: 1, Justification: "It is gone.", IdempotencyKey: "resolve"})
		require.NoError(r.t, err)
		after()
		r.advance(200 * 24 * time.Hour)
		evaluation, err := r.paths.Reevaluate(r.ctx, organization, authority.ByTime, nil)
		require.NoError(r.t, err)
		require.Positive(r.t, evaluation.Exposures.Opened)
		after()
	}
	atOnce, atTheEnd := newRoom(t), newRoom(t)
	story(atOnce, func() { atOnce.drain() })
	story(atTheEnd, func() {})
	want, got := plain(t, atOnce.drain()), plain(t, atTheEnd.drain())
	slices.Sort(want) // what people did overtakes
	slices.Sort(got)
	require.Equal(t, want, got)
	require.Empty(t, atOnce.recount())
	require.Empty(t, atTheEnd.recount())

	// And once more: what is in the feed is not told again.
	atTheEnd.exec(`INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
		SELECT organization_id, at, 'sync', false, 1000000, now() FROM sync UNION ALL SELECT organization_id, at, 'evaluation', false, 1, now() FROM evaluation
		UNION ALL SELECT DISTINCT organization_id, at, 'decision', true, 1, now() FROM ledger_entry WHERE type IS NOT NULL`)
	require.Len(t, atTheEnd.drain(), len(want))
}

// A large occurrence is told in parts, whose size makes no difference.
func TestParts(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(wide(40)...)
	r.say(world(runs("w1", "i2"))...)
	want := plain(t, r.drain())
	require.Greater(t, len(want), 200)
	for range 4 {
		r.exec(`ALTER TABLE exposure_changes DISABLE TRIGGER append_only`)
		r.exec(`DELETE FROM exposure_changes`)
		r.exec(`DELETE FROM exposure_change_day`)
		r.exec(`UPDATE change_head SET seq = 0`)
		r.exec(`INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at) SELECT organization_id, at, 'sync', false, 100000, now() FROM sync`)
		steps := 0
		fresh := change.NewSequencer(r.DB, r.now, discard)
		for {
			step, err := fresh.Step(r.ctx, organization, 1+rand.IntN(60)) //nolint:gosec // a test
			require.NoError(t, err)
			if !step.More {
				break
			}
			steps++
		}
		require.Greater(t, steps, 4)
		require.Equal(t, want, plain(t, r.drain()))
	}
}

// What people do is published before what is still to be told of a sync.
func TestUrgentBeforeBulk(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(wide(100)...)
	step, err := r.sequencer.Step(r.ctx, organization, 20)
	require.NoError(t, err)
	for step.Head == 0 { // the first one makes the head
		step, err = r.sequencer.Step(r.ctx, organization, 20)
		require.NoError(t, err)
	}
	require.False(t, step.Urgent)
	require.True(t, step.More)
	head := step.Head
	require.Less(t, head, int64(100))
	r.judge(r.path("w1", "i1", "vault-042"), rule.OrphanedPath, triage.Acknowledge, 1)
	step, err = r.sequencer.Step(r.ctx, organization, 20)
	require.NoError(t, err)
	require.True(t, step.Urgent)
	require.Len(t, step.Published, 1)
	require.Equal(t, change.DispositionChanged, step.Published[0].ChangeType)
	require.Equal(t, head+1, step.Published[0].Seq)
	require.Equal(t, head+1, step.Head)
	step, err = r.sequencer.Step(r.ctx, organization, 20)
	require.NoError(t, err)
	require.False(t, step.Urgent)
	require.Equal(t, head+2, step.Published[0].Seq, "the sync goes on where it was")
	require.Len(t, ofKind(r.drain(), change.PathDiscovered), 100)
}

// Several sequencers at one feed take turns, and publish everything once.
func TestSequencersTakeTurns(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(wide(60)...)
	path := r.path("w1", "i1", "vault-007")
	var group sync.WaitGroup
	published := make([][]*change.Event, 3)
	held := make([]int, len(published))
	ctx, stop := context.WithTimeout(r.ctx, time.Minute)
	defer stop()
	var judged atomic.Bool
	for i := range published {
		sequencer := change.NewSequencer(r.DB, time.Now, discard)
		group.Go(func() {
			for idle := 0; idle < 20 && ctx.Err() == nil; {
				step, err := sequencer.Step(ctx, organization, 15)
				switch {
				case err != nil:
					t.Error(err)
					return
				case step.Held:
					held[i]++
				case !step.More:
					if judged.Load() { // until then there is more to come, however slow the machine is
						idle++
					}
					time.Sleep(10 * time.Millisecond)
				}
				published[i] = append(published[i], step.Published...)
			}
		})
	}
	for version := 1; version <= 10; version++ {
		action := triage.Acknowledge
		if version%2 == 0 {
			action = triage.Unacknowledge
		}
		r.judge(path, rule.OrphanedPath, action, version)
	}
	judged.Store(true)
	group.Wait()
	list := r.drain()
	require.Len(t, ofKind(list, change.DispositionChanged), 10)
	require.Len(t, ofKind(list, change.PathDiscovered), 60)
	seen := map[int64]id.ID{}
	for _, events := range published {
		for i, e := range events {
			require.True(t, i == 0 || e.Seq > events[i-1].Seq)
			require.NotContains(t, seen, e.Seq)
			seen[e.Seq] = e.ID
		}
	}
	require.Len(t, seen, len(list))
	for _, e := range list {
		require.Equal(t, e.ID, seen[e.Seq])
	}
}

// An outbox that takes nothing fails nobody: syncs and decisions are done, the
// failures are counted, and the repair brings what was missed.
func TestFailedOutboxIsRepaired(t *testing.T) {
	t.Parallel()
	story := func(r *newsroom) {
		r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
		r.judge(r.path("w1", "i1", "ledger"), rule.OrphanedPath, triage.Acknowledge, 1)
		r.say(world(runs("w1", "i2"), grants("ledger", "restricted", "get"))...)
		r.judge(r.path("w1", "i2", "ledger"), rule.SensitiveReach, triage.Resolve, 1) // and is not so
		r.advance(200 * 24 * time.Hour)
		evaluation, err := r.paths.Reevaluate(r.ctx, organization, authority.ByTime, nil)
		require.NoError(r.t, err)
		require.Positive(r.t, evaluation.Exposures.Opened)
	}
	well, ill, blind := newRoom(t), newRoom(t), newRoom(t)
	const refuse = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON change_outbox FOR EACH ROW EXECUTE FUNCTION refuse()`
	ill.exec(refuse)
	blind.exec(refuse)
	blind.exec(`CREATE TRIGGER refuse BEFORE INSERT ON change_gap FOR EACH ROW EXECUTE FUNCTION refuse()`)
	for _, r := range []*newsroom{well, ill, blind} {
		story(r)
	}
	want := plain(t, well.drain())
	slices.Sort(want)
	require.Zero(t, well.paths.Feed().Failures())
	require.Greater(t, len(want), 8)

	for _, r := range []*newsroom{ill, blind} {
		require.Equal(t, int64(5), r.paths.Feed().Failures())
		require.Empty(t, r.drain())
		r.exec(`DROP TRIGGER refuse ON change_outbox`)
	}
	blind.exec(`DROP TRIGGER refuse ON change_gap`)
	require.Equal(t, 5, ill.number(`SELECT count(*) FROM change_gap WHERE filled_at IS NULL AND reason LIKE '%no%'`))
	require.Zero(t, blind.number(`SELECT count(*) FROM change_gap`))
	require.Empty(t, ill.recount(), "a gap that is known is not missed")
	require.NotEmpty(t, blind.recount())

	all := change.Filled{"sync": 2, "evaluation": 1, "decision": 2}
	filled, err := ill.repairer.Fill(ill.ctx, organization)
	require.NoError(t, err)
	require.Equal(t, all, filled)
	filled, err = blind.repairer.Fill(blind.ctx, organization)
	require.NoError(t, err)
	require.Empty(t, filled, "nobody could note the gap")
	filled, err = blind.repairer.Audit(blind.ctx, organization)
	require.NoError(t, err)
	require.Equal(t, all, filled)
	for _, r := range []*newsroom{ill, blind} {
		got := plain(t, r.drain())
		slices.Sort(got)
		require.Equal(t, want, got)
		require.Empty(t, r.recount())
	}

	// There is nothing more to repair, in any of them.
	for _, r := range []*newsroom{well, ill, blind} {
		for _, repair := range []func(context.Context, id.ID) (change.Filled, error){r.repairer.Fill, r.repairer.Audit} {
			filled, err = repair(r.ctx, organization)
			require.NoError(t, err)
			require.Empty(t, filled)
		}
	}
}

// TestAuditFindsPart: an event that is missing among others of its instant is found,
// whichever of them it is, and told as it would have been.
func TestAuditFindsPart(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"), grants("vault", "internal", "get"))...)
	path := r.path("w1", "i1", "ledger")
	r.judge(path, rule.OrphanedPath, triage.Acknowledge, 1)
	r.judge(path, rule.SensitiveReach, triage.Acknowledge, 1)
	r.judge(path, rule.SensitiveReach, triage.Resolve, 2)
	r.say(world(runs("w1", "i1"), grants("ledger", "internal", "delete", "get"))...)
	r.say(world(runs("w1", "i2"), grants("ledger", "internal", "delete", "get"))...)
	r.say(world(runs("w1", "i1"), grants("ledger", "internal", "delete", "get"))...)
	r.sayAt(start, world()...)
	r.advance(200 * 24 * time.Hour)
	_, err := r.paths.Reevaluate(r.ctx, organization, authority.ByTime, nil)
	require.NoError(t, err)
	newOutside(r).live(func() {})
	list := r.drain()
	told := plain(t, list)
	slices.Sort(told)
	kinds := map[change.Kind]bool{}
	r.exec(`ALTER TABLE exposure_changes DISABLE TRIGGER append_only`)
	for _, lost := range list {
		if kinds[lost.ChangeType] {
			continue
		}
		kinds[lost.ChangeType] = true
		filled, err := r.repairer.Audit(r.ctx, organization)
		require.NoError(t, err)
		require.Empty(t, filled)
		// As if it had never been told: the numbers behind it move up.
		r.exec(`DELETE FROM exposure_changes WHERE id = $1`, lost.ID)
		r.exec(`UPDATE exposure_changes SET seq = seq + 1000`)
		r.exec(`UPDATE exposure_changes e SET seq = n.seq FROM (SELECT id, row_number() OVER (ORDER BY seq) AS seq FROM exposure_changes) n WHERE n.id = e.id`)
		r.exec(`UPDATE change_head SET seq = seq - 1`)
		r.exec(`DELETE FROM exposure_change_day`)
		r.exec(`INSERT INTO exposure_change_day SELECT organization_id, (at AT TIME ZONE 'UTC')::date, change_type, coalesce(severity, 0), class, count(*) FROM exposure_changes GROUP BY 1, 2, 3, 4, 5`)
		require.NotEmpty(t, r.recount())
		filled, err = r.repairer.Audit(r.ctx, organization)
		require.NoError(t, err)
		cause := outbox.Sync
		if word, said := lost.Metadata["cause"].(string); said {
			cause = outbox.Cause(word)
		}
		require.Equal(t, change.Filled{cause: 1}, filled, lost.Title)
		again := plain(t, r.drain())
		slices.Sort(again)
		require.Equal(t, told, again)
		require.Empty(t, r.recount())
	}
	require.Len(t, kinds, len(change.Emitted))
}

// What cannot be published is put aside after a while, and does not stand in the way
// of the rest.
func TestPoison(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
	path := r.path("w1", "i1", "ledger")
	r.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.title LIKE 'Orphaned path is acknowledged%' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON exposure_changes FOR EACH ROW EXECUTE FUNCTION refuse()`)
	r.judge(path, rule.SensitiveReach, triage.Acknowledge, 1)
	r.judge(path, rule.OrphanedPath, triage.Acknowledge, 1)
	r.judge(path, rule.OrphanedPath, triage.Unacknowledge, 2)
	list := r.drain()
	require.Len(t, ofKind(list, change.DispositionChanged), 2, "those before and behind")
	require.NotEmpty(t, ofKind(list, change.PathDiscovered))
	require.Equal(t, 1, r.number(`SELECT count(*) FROM change_gap WHERE cause = 'decision' AND filled_at IS NULL`))
	r.exec(`DROP TRIGGER refuse ON exposure_changes`)
	require.Empty(t, r.recount())
	_, err := r.repairer.Fill(r.ctx, organization)
	require.NoError(t, err)
	require.Len(t, ofKind(r.drain(), change.DispositionChanged), 3)
	require.Empty(t, r.recount())
}

// Whoever listens hears of every commit that may have changed something.
func TestCommitsAreHeard(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	heard := map[id.ID]int{}
	r.paths.Feed().OnCommit(func(organization id.ID) { heard[organization]++ })
	facts := world(runs("w1", "i1"), grants("ledger", "restricted", "get"))
	observed := r.say(facts...).ObservedAt
	require.Equal(t, map[id.ID]int{organization: 1}, heard)
	r.sayAt(observed, facts...)
	require.Equal(t, 1, heard[organization], "what was known was rolled back")
	r.judge(r.path("w1", "i1", "ledger"), rule.OrphanedPath, triage.Acknowledge, 1)
	require.Equal(t, 2, heard[organization])
}

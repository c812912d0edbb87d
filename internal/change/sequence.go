package change

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed sequence.sql
var sequenceSQL string

var sequenceQueries = db.Parse("change.sequence", sequenceSQL)

const (
	// most is how many notes a step looks at.
	most = 500

	// attempts is how often a note may fail before it is put aside as a gap.
	attempts = 5

	// fresh is how long a replica trusts that nothing is noted before what it has
	// finished. Only repairs are; and what a transaction noted that commits late. One
	// that is late by less than the slack is found at once.
	fresh = 5 * time.Second
	slack = 100 * time.Millisecond
)

// The size of a step, in events, follows from how long the last one took: somebody's
// decision waits for one step at most. A step that had little to do says nothing of how
// long a full one takes: people who decide while much is published would have it grow.
// About half of a step is its way to the server and its commit, however little it
// publishes. So quick is not far below slow: between them a size stays, and one that came
// down for a step that the machine held up would else not come up again.
const (
	firstBudget = 100
	leastBudget = 25
	mostBudget  = 1000
	quick       = 4 * time.Millisecond
	slow        = 5 * time.Millisecond
)

// budgetAfter is how many events the next step may have, after one of so many that
// took so long.
func budgetAfter(budget, published int, took time.Duration) int {
	switch {
	case took > slow:
		return max(leastBudget, budget*7/10)
	case took < quick && published*2 >= budget:
		return min(mostBudget, budget*5/4)
	}
	return budget
}

// Sequencer numbers what happened and publishes it. Any number of replicas may run
// one on the same database: for each step, one of them holds the head of the feed.
type Sequencer struct {
	db  *db.DB
	now func() time.Time
	log *slog.Logger

	mu    sync.Mutex
	feeds map[id.ID]*feedMemory
}

// feedMemory is what a replica remembers of a feed between steps. All of it may be
// forgotten.
type feedMemory struct {
	budget int
	single bool // a group failed: one after the other, to see which
	behind [2]time.Time
	since  time.Time // when it was last read from the front
}

// NewSequencer makes a sequencer. The clock is the caller's.
func NewSequencer(pool *db.DB, now func() time.Time, log *slog.Logger) *Sequencer {
	return &Sequencer{db: pool, now: now, log: log, feeds: map[id.ID]*feedMemory{}}
}

// Step is what a step of the sequencer did.
type Step struct {
	Held      bool     // another replica is numbering this feed: nothing was done
	Published []*Event // in their order, committed
	Head      int64    // the last number of the feed
	Urgent    bool     // it was what people did
	More      bool     // there may be more to do
}

// The lanes: what people did goes first.
const (
	urgentLane = iota
	bulkLane
)

var lanes = [...]string{urgentLane: "waiting_urgent", bulkLane: "waiting_bulk"}

// epoch is before everything.
var epoch = time.Unix(0, 0).UTC()

// Step publishes what waits in a feed: what people did first, else the next of
// everything else, no more than about a budget of events. With a budget of 0 the
// sequencer chooses, by how long steps take. It is one transaction.
func (s *Sequencer) Step(ctx context.Context, organization id.ID, budget int) (Step, error) {
	memory := s.remember(organization)
	chosen := budget <= 0
	if chosen {
		budget = memory.budget
	}
	begun := s.now()
	var step Step
	var taken []*occurrence
	var behind [2]time.Time
	err := s.db.Tenant(ctx, organization, func(tx *db.Tx) (err error) {
		step, taken, behind, err = s.step(ctx, tx, organization, memory, budget)
		return err
	})
	if err != nil {
		return Step{More: true}, s.failed(ctx, organization, taken, err)
	}
	if len(taken) > 0 {
		if chosen {
			memory.budget = budgetAfter(budget, len(step.Published), s.now().Sub(begun))
		}
		memory.single = false
		memory.behind = behind
	}
	s.keep(organization, memory)
	return step, nil
}

// Drain publishes everything that waits, and gives the head.
func (s *Sequencer) Drain(ctx context.Context, organization id.ID) (int64, error) {
	s.mu.Lock()
	delete(s.feeds, organization)
	s.mu.Unlock()
	for {
		step, err := s.Step(ctx, organization, 0)
		switch {
		case err != nil:
			return 0, err
		case step.Held:
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		case !step.More:
			return step.Head, nil
		}
	}
}

// remember gives a copy of what is remembered: two workers may be at one feed.
func (s *Sequencer) remember(organization id.ID) *feedMemory {
	s.mu.Lock()
	defer s.mu.Unlock()
	memory := feedMemory{budget: firstBudget}
	if known := s.feeds[organization]; known != nil {
		memory = *known
	}
	if now := s.now(); now.Sub(memory.since) >= fresh {
		memory.since, memory.behind = now, [2]time.Time{epoch, epoch}
	}
	return &memory
}

func (s *Sequencer) keep(organization id.ID, memory *feedMemory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds[organization] = memory
}

func (s *Sequencer) step(ctx context.Context, tx *db.Tx, organization id.ID, memory *feedMemory, budget int) (step Step, taken []*occurrence, behind [2]time.Time, err error) {
	p := tx.Pipeline()
	p.Local().Exec(sequenceQueries.Get("by_key"), nil)
	head := db.Queue[headRow](p, sequenceQueries.Get("lock_head"), nil)
	var waiting [len(lanes)]*[]*occurrence
	for lane, name := range lanes {
		waiting[lane] = db.Queue[occurrence](p, sequenceQueries.Get(name), pgx.StrictNamedArgs{"behind": memory.behind[lane], "limit": most})
	}
	if err := p.Send(ctx); err != nil {
		return step, nil, behind, err
	}
	if len(*head) == 0 {
		// Another replica holds it, or nothing has happened here before.
		p.Exec(sequenceQueries.Get("begin_head"), nil)
		head = db.Queue[headRow](p, sequenceQueries.Get("lock_head"), nil)
		if err := p.Send(ctx); err != nil || len(*head) == 0 {
			return Step{Held: true}, nil, behind, err
		}
		// What was read before the head was held may be published meanwhile.
		return Step{Head: (*head)[0].Seq, More: true}, nil, behind, nil
	}
	step.Head = (*head)[0].Seq

	lane := urgentLane
	if len(*waiting[lane]) == 0 {
		lane = bulkLane
	}
	taken = take(*waiting[lane], budget, memory.single)
	if len(taken) == 0 {
		return step, nil, behind, nil
	}
	step.Urgent, step.More = lane == urgentLane, true
	behind = memory.behind
	behind[lane] = taken[len(taken)-1].At.Add(-slack)

	x, next, err := expand(ctx, tx, organization, taken, budget)
	if err != nil {
		return step, taken, behind, err
	}
	events, err := x.events(ctx, tx)
	if err != nil {
		return step, taken, behind, err
	}
	if step.Published, err = s.publish(ctx, tx, events, &step.Head, taken, next); err != nil {
		return step, taken, behind, err
	}
	return step, taken, behind, nil
}

type headRow struct{ Seq int64 }

// take is what a step does: as many notes as fit, or a large one alone.
func take(waiting []*occurrence, budget int, single bool) []*occurrence {
	size := 0
	for i, o := range waiting {
		size += o.Size
		large := o.Size > budget || o.Stage > 0
		switch {
		case i == 0 && (single || large):
			return waiting[:1]
		case large || size > budget:
			return waiting[:i]
		}
	}
	return waiting
}

// expand reads what happened, and says where a large occurrence goes on.
func expand(ctx context.Context, tx *db.Tx, organization id.ID, taken []*occurrence, budget int) (*expansion, position, error) {
	if first := taken[0]; len(taken) == 1 && (first.Size > budget || first.Stage > 0) {
		return part(ctx, tx, organization, first, budget)
	}
	x, err := whole(ctx, tx, organization, taken)
	return x, begin(stages + 1), err
}

// publish numbers the events that are not in the feed yet, appends them, and takes
// the notes off.
func (s *Sequencer) publish(ctx context.Context, tx *db.Tx, events []*Event, head *int64, taken []*occurrence, next position) ([]*Event, error) {
	events, err := unpublished(ctx, tx, events)
	if err != nil {
		return nil, err
	}
	p := tx.Pipeline()
	var stored *[]*storedRow
	first := *head + 1
	if len(events) > 0 {
		now := s.now().UTC().Truncate(time.Microsecond)
		stored = db.Queue[storedRow](p, sequenceQueries.Get("append"), appended(events, *head, now))
		for i, e := range events {
			e.Seq, e.CreatedAt = *head+int64(i)+1, now
		}
		*head += int64(len(events))
		p.Exec(sequenceQueries.Get("tally"), tallied(events))
		p.Exec(sequenceQueries.Get("advance"), pgx.StrictNamedArgs{"seq": *head})
	}
	if next.ended() {
		// One by one: by what a kept plan knows, to find several is to go through all that waits.
		for _, o := range taken {
			p.Exec(sequenceQueries.Get("finish"), pgx.StrictNamedArgs{"at": o.At, "cause": string(o.Cause)})
		}
	} else {
		p.Exec(sequenceQueries.Get("keep"), pgx.StrictNamedArgs{
			"at": taken[0].At, "cause": string(taken[0].Cause), "stage": next.Stage,
			"after_id": next.AfterID, "after_type": next.AfterType, "after_ordinal": next.AfterOrdinal})
	}
	if err := p.Send(ctx); err != nil || stored == nil {
		return events, err
	}
	for _, row := range *stored {
		e := events[row.Seq-first]
		e.OldValue, e.NewValue, e.Metadata = row.OldValue, row.NewValue, row.Metadata
	}
	return events, nil
}

// storedRow is what the database made of an event's objects: whoever is given the
// event without reading it gets the same bytes.
type storedRow struct {
	Seq                          int64
	OldValue, NewValue, Metadata json.RawMessage
}

// unpublished leaves out what is in the feed already: a note may come again.
func unpublished(ctx context.Context, tx *db.Tx, events []*Event) ([]*Event, error) {
	if len(events) == 0 {
		return nil, nil
	}
	subjects, ids := make([]id.ID, len(events)), make([]id.ID, len(events))
	for i, e := range events {
		subjects[i], ids[i] = e.SubjectID, e.ID
	}
	known, err := db.Column[id.ID](ctx, tx, sequenceQueries.Get("known"), pgx.StrictNamedArgs{"subjects": subjects, "ids": ids})
	if err != nil {
		return nil, err
	}
	seen := make(map[id.ID]bool, len(known)+len(events))
	for _, published := range known {
		seen[published] = true
	}
	rest := events[:0]
	for _, e := range events {
		if !seen[e.ID] {
			seen[e.ID] = true
			rest = append(rest, e)
		}
	}
	return rest, nil
}

// appended are events as the statement takes them, column by column.
func appended(events []*Event, head int64, now time.Time) pgx.StrictNamedArgs {
	args := pgx.StrictNamedArgs{"head": head, "created_at": now}
	column(args, "ids", events, func(e *Event) id.ID { return e.ID })
	column(args, "change_types", events, func(e *Event) string { return string(e.ChangeType) })
	column(args, "entity_types", events, func(e *Event) string { return string(e.EntityType) })
	column(args, "entity_ids", events, func(e *Event) id.ID { return e.EntityID })
	column(args, "subject_ids", events, func(e *Event) id.ID { return e.SubjectID })
	column(args, "workload_ids", events, func(e *Event) *id.ID { return e.WorkloadID })
	column(args, "asset_ids", events, func(e *Event) *id.ID { return e.AssetID })
	column(args, "exposure_types", events, func(e *Event) *int16 { return (*int16)(e.ExposureType) })
	column(args, "exposure_ordinals", events, func(e *Event) *int { return e.ExposureOrdinal })
	column(args, "scan_ids", events, func(e *Event) *id.ID { return e.ScanID })
	column(args, "scan_job_ids", events, func(e *Event) *id.ID { return e.ScanJobID })
	column(args, "ledger_seqs", events, func(e *Event) *int64 { return e.LedgerSeq })
	column(args, "causes", events, func(e *Event) *id.ID { return e.CausedBy })
	column(args, "classes", events, func(e *Event) int { return e.Class })
	column(args, "titles", events, func(e *Event) string { return e.Title })
	column(args, "descriptions", events, func(e *Event) *string { return e.Description })
	column(args, "severities", events, func(e *Event) *int16 { return (*int16)(e.Severity) })
	column(args, "old_values", events, func(e *Event) *string { return text(e.OldValue) })
	column(args, "new_values", events, func(e *Event) *string { return text(e.NewValue) })
	column(args, "metadata", events, func(e *Event) *string { return text(e.Metadata) })
	column(args, "ats", events, func(e *Event) time.Time { return e.At })
	return args
}

func column[T any](args pgx.StrictNamedArgs, name string, events []*Event, of func(*Event) T) {
	list := make([]T, len(events))
	for i, e := range events {
		list[i] = of(e)
	}
	args[name] = list
}

func text(object []byte) *string {
	if object == nil {
		return nil
	}
	s := string(object)
	return &s
}

// tallied counts events by day, kind, severity and class.
func tallied(events []*Event) pgx.StrictNamedArgs {
	type cell struct {
		day      time.Time
		kind     string
		severity int16
		class    int
	}
	counts := map[cell]int64{}
	for _, e := range events {
		counts[cell{e.At.UTC().Truncate(24 * time.Hour), string(e.ChangeType), int16(value(e.Severity)), e.Class}]++
	}
	var days []time.Time
	var kinds []string
	var severities []int16
	var classes []int
	var numbers []int64
	for c, n := range counts {
		days, kinds, severities, classes, numbers = append(days, c.day), append(kinds, c.kind), append(severities, c.severity), append(classes, c.class), append(numbers, n)
	}
	return pgx.StrictNamedArgs{"days": days, "change_types": kinds, "severities": severities, "classes": classes, "events": numbers}
}

// failed has the next step take one note alone, and puts one aside that has failed
// on its own too often. What is wrong with the connection is nobody's failure.
func (s *Sequencer) failed(ctx context.Context, organization id.ID, taken []*occurrence, cause error) error {
	if ctx.Err() != nil || problem.KindOf(cause) == problem.Unavailable || len(taken) == 0 {
		return cause
	}
	memory := s.remember(organization)
	memory.single = true
	s.keep(organization, memory)
	o := taken[0]
	s.log.ErrorContext(ctx, "feed", "organization", organization, "notes", len(taken), "at", o.At, "cause", o.Cause, "stage", o.Stage, "error", cause)
	if len(taken) > 1 {
		return nil
	}
	which := pgx.StrictNamedArgs{"at": o.At, "cause": string(o.Cause)}
	err := s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
		failed, err := db.Column[int16](ctx, tx, sequenceQueries.Get("fail"), which)
		if err != nil || len(failed) == 0 || failed[0] < attempts {
			return err
		}
		_, err = db.Exec(ctx, tx, sequenceQueries.Get("give_up"), pgx.StrictNamedArgs{
			"at": o.At, "cause": string(o.Cause), "reason": cause.Error(), "recorded_at": s.now().UTC().Truncate(time.Microsecond)})
		return err
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	return nil
}

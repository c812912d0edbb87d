package triage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// JudgeMany does the same about many exposures. Each fares by itself: one that
// cannot be judged is left alone and says why. A dry run writes nothing and needs
// neither a justification nor an idempotency key.
func (s *Service) JudgeMany(ctx context.Context, organization id.ID, selection Selection, c Command, dryRun bool) (*Batch, error) {
	actor, err := admit(ctx, organization, c.Action)
	if err != nil {
		return nil, err
	}
	if dryRun {
		err = c.checkAction()
	} else {
		err = c.check()
	}
	if err != nil {
		return nil, err
	}
	if len(c.Envelope) > 0 {
		return nil, problem.New(problem.Invalid, "ENVELOPE_INVALID", "an envelope signs the decision about one exposure; a batch takes none").On("envelope")
	}
	if selection, err = selection.check(); err != nil {
		return nil, err
	}
	if dryRun {
		return s.rehearse(ctx, organization, actor, selection, &c)
	}
	request := &request{actor: actor, key: c.IdempotencyKey}
	if request.digest, err = digest("judge many", selection.statement(&c)); err != nil {
		return nil, err
	}
	b := &batch{
		id:   batchID(organization, actor, c.IdempotencyKey),
		memo: memo{Action: c.Action, Reason: c.Reason, Justification: c.Justification},
	}
	return s.batch(ctx, organization, request, b, func(t *turn) (choice, error) {
		return s.choose(ctx, t.tx, selection, &c, locked, t.visible)
	})
}

// batchID is the id of the batch that an actor asks for under a key: whoever asks
// again names the same. docs/ids.md describes it.
func batchID(organization id.ID, actor, idempotencyKey string) id.ID {
	return id.New("triage-batch/1").ID(organization).Text(actor).Text(idempotencyKey).Short()
}

// undoID is the id of the batch that takes another one back: there is one for each.
func undoID(organization, undone id.ID) id.ID {
	return id.New("triage-undo/1").ID(organization).ID(undone).Short()
}

// rehearse says how each exposure would fare.
func (s *Service) rehearse(ctx context.Context, organization id.ID, actor string, selection Selection, c *Command) (*Batch, error) {
	snapshot := s.db.Snapshot()
	defer snapshot.Close(ctx)
	q := snapshot.Of(organization)
	// Who may see every organization may name one that there is not.
	known, err := db.Column[bool](ctx, q, readQueries.Get("organization_known"), nil)
	if err != nil {
		return nil, err
	}
	if !known[0] {
		return nil, access.OrganizationNotFound()
	}
	visible, err := access.VisibleClasses(ctx, q)
	if err != nil {
		return nil, err
	}
	chosen, err := s.choose(ctx, q, selection, c, asTheyStand, visible)
	if err != nil {
		return nil, err
	}
	return &Batch{
		Action: c.Action, Actor: actor, Reason: c.Reason, Justification: c.Justification, Items: chosen.outcomes(nil), DryRun: true,
		RecordedAt: s.now().UTC().Truncate(time.Microsecond),
	}, nil
}

// batch is a batch whose turn comes.
type batch struct {
	id   id.ID
	memo memo
}

// memo is what is recorded of a batch apart from its entries.
type memo struct {
	Action        Action              `json:"action"`
	Undoes        *id.ID              `json:"undoes,omitempty"`
	Reason        FalsePositiveReason `json:"reason,omitempty"`
	Justification string              `json:"justification"`
	Items         []refusedItem       `json:"items"`
}

type refusedItem struct {
	subject
	State   State  `json:"state,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// batch does what is chosen when it is the request's turn, or finds what was done.
func (s *Service) batch(ctx context.Context, organization id.ID, r *request, b *batch, choose func(t *turn) (choice, error)) (*Batch, error) {
	var result *Batch
	err := s.turn(ctx, organization, r, nil, func(t *turn) error {
		if t.answer != nil {
			done, err := t.written(ctx)
			if err != nil {
				return err
			}
			if result, err = assemble(b.id, r.actor, t.answer.RecordedAt, t.answer.Refused, done); err != nil {
				return err
			}
			result.Replayed = true
			return nil
		}
		chosen, err := choose(t)
		if err != nil {
			return err
		}
		done, err := t.decide(ctx, chosen.changes(), &b.id, nil)
		if err != nil {
			return err
		}
		items := chosen.outcomes(done)
		b.memo.Items = refusedOf(items)
		result = &Batch{
			ID: b.id, Action: b.memo.Action, Undoes: b.memo.Undoes, Actor: r.actor, RecordedAt: t.now,
			Reason: b.memo.Reason, Justification: b.memo.Justification, Items: items,
		}
		if len(done) > 0 {
			result.At = done[0].At
		}
		return t.remember(done, &b.id, b.memo)
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// assemble puts a batch together from what was recorded of it.
func assemble(batch id.ID, actor string, recordedAt time.Time, note []byte, done []*Decision) (*Batch, error) {
	var m memo
	if err := json.Unmarshal(note, &m); err != nil {
		return nil, fmt.Errorf("batch %s: %w", batch, err)
	}
	b := &Batch{
		ID: batch, Action: m.Action, Undoes: m.Undoes, Actor: actor, RecordedAt: recordedAt.UTC(),
		Reason: m.Reason, Justification: m.Justification, Items: make([]ItemOutcome, 0, len(done)+len(m.Items)),
	}
	for _, d := range done {
		b.At = d.At
		b.Items = append(b.Items, ItemOutcome{Key: d.Key, State: d.From, Decision: d})
	}
	for _, item := range m.Items {
		key, _ := item.key()
		b.Items = append(b.Items, ItemOutcome{Key: key, State: item.State, Code: item.Code, Message: item.Message})
	}
	slices.SortFunc(b.Items, func(a, b ItemOutcome) int { return compare(a.Key, b.Key) })
	return b, nil
}

func refusedOf(items []ItemOutcome) []refusedItem {
	refused := []refusedItem{}
	for _, item := range items {
		if item.Code != "" {
			refused = append(refused, refusedItem{subject: subjectOf(item.Key), State: item.State, Code: item.Code, Message: item.Message})
		}
	}
	return refused
}

// Counts are the exposures by how they stood and how they fared: what was done
// first, and then by code and state.
func (b *Batch) Counts() []Count {
	counts := map[Count]int{}
	for _, item := range b.Items {
		counts[Count{State: item.State, Code: item.Code}]++
	}
	list := make([]Count, 0, len(counts))
	for c, n := range counts {
		c.Count = n
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Count) int { return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.State, b.State)) })
	return list
}

// check holds a selection against its bounds, and brings it into its order.
func (s Selection) check() (Selection, error) {
	switch {
	case (s.Filter == nil) == (len(s.Items) == 0):
		return s, problem.New(problem.Invalid, "SELECTION_NEEDED", "name exposures or give a filter: one of both").On("exposures")
	case len(s.Items) > MaxItems:
		return s, problem.New(problem.Limit, "TOO_MANY_EXPOSURES",
			"%d exposures are named; one request takes %d: send the rest in another, or give a filter", len(s.Items), MaxItems).On("exposures")
	}
	s.Items = slices.SortedFunc(slices.Values(s.Items), func(a, b Item) int { return compare(a.Key, b.Key) })
	for i, item := range s.Items {
		if item.ExpectedVersion != nil {
			if err := checkVersion(*item.ExpectedVersion); err != nil {
				return s, err
			}
		}
		if key := item.Key; i > 0 && key == s.Items[i-1].Key {
			return s, problem.New(problem.Invalid, "EXPOSURE_TWICE",
				"the exposure %s is named twice", name(key)).On("exposures")
		}
	}
	return s, nil
}

// statement is a selection with what is to be done, as it is hashed.
func (s Selection) statement(c *Command) any {
	type item struct {
		subject
		Version *int `json:"version"`
	}
	items := make([]item, len(s.Items))
	for i, x := range s.Items {
		items[i] = item{subjectOf(x.Key), x.ExpectedVersion}
	}
	return map[string]any{"action": c.Action, "reason": c.Reason, "justification": c.Justification, "items": items, "filter": s.Filter}
}

func compare(a, b exposure.Key) int {
	return cmp.Or(bytes.Compare(a.PathID[:], b.PathID[:]), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Ordinal, b.Ordinal))
}

// choice is how each exposure of a batch will fare, in their order.
type choice []candidate

type candidate struct {
	key     exposure.Key
	state   State
	refused *problem.Error
	change  change // where nothing is refused
}

// choose finds the exposures of a selection.
func (s *Service) choose(ctx context.Context, q db.Querier, selection Selection, c *Command, how string, visible access.Classes) (choice, error) {
	items := selection.Items
	if selection.Filter != nil {
		var err error
		if items, err = s.match(ctx, q, *selection.Filter, visible); err != nil {
			return nil, err
		}
	}
	keys := make([]exposure.Key, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	standing, err := find(ctx, q, keys, how, visible)
	if err != nil {
		return nil, err
	}
	chosen := make(choice, len(items))
	for i, item := range items {
		x := standing[item.Key]
		chosen[i] = candidate{key: item.Key, refused: refusal(item.Key, x, item.ExpectedVersion, c.Action)}
		if x != nil {
			chosen[i].state = x.state()
		}
		if chosen[i].refused == nil {
			chosen[i].change = c.change(x)
		}
	}
	return chosen, nil
}

// match finds what a filter matches, up to the bound.
func (s *Service) match(ctx context.Context, q db.Querier, filter exposure.Filter, visible access.Classes) ([]Item, error) {
	if len(filter.Statuses) == 0 {
		filter.Statuses = exposure.Unresolved()
	}
	where, err := filter.Where()
	if err != nil {
		return nil, err
	}
	type row struct {
		PathID  id.ID
		Type    rule.Type
		Ordinal int
	}
	if visible != nil {
		where.And("x.class = ANY (@visible::integer[])", "visible", visible)
	}
	where.Arg("limit", s.maxMatching+1)
	rows, err := db.Select[row](ctx, q, decideQueries.Get("matching").Where(where), where.Args())
	if err != nil {
		return nil, err
	}
	if len(rows) > s.maxMatching {
		return nil, problem.New(problem.Limit, "TOO_MANY_EXPOSURES",
			"the filter matches more than %d exposures; narrow it, by a type, a severity or a workload, and judge the rest in batches of their own", s.maxMatching).On("filter")
	}
	items := make([]Item, len(rows))
	for i, r := range rows {
		items[i].Key = exposure.Key{PathID: r.PathID, Type: r.Type, Ordinal: r.Ordinal}
	}
	slices.SortFunc(items, func(a, b Item) int { return compare(a.Key, b.Key) })
	return items, nil
}

func (chosen choice) changes() []change {
	var changes []change
	for _, c := range chosen {
		if c.refused == nil {
			changes = append(changes, c.change)
		}
	}
	return changes
}

// outcomes are how the exposures fared, given what was decided of those that were
// not refused.
func (chosen choice) outcomes(done []*Decision) []ItemOutcome {
	items := make([]ItemOutcome, len(chosen))
	for i, c := range chosen {
		items[i] = ItemOutcome{Key: c.key, State: c.state}
		switch {
		case c.refused != nil:
			items[i].Code, items[i].Message = c.refused.Code, c.refused.Message
		case len(done) > 0:
			items[i].Decision, done = done[0], done[1:]
		}
	}
	return items
}

// Undo takes a batch back: each of its decisions gets an entry that compensates
// it. What has been judged or has changed since is left alone.
func (s *Service) Undo(ctx context.Context, organization, undone id.ID, justification, idempotencyKey string) (*Batch, error) {
	actor, err := admit(ctx, organization, Acknowledge)
	if err != nil {
		return nil, err
	}
	if err := checkJustification(justification); err != nil {
		return nil, err
	}
	if err := checkIdempotencyKey(idempotencyKey); err != nil {
		return nil, err
	}
	request := &request{actor: actor, key: idempotencyKey}
	if request.digest, err = digest("undo", map[string]any{"batch": undone, "justification": justification}); err != nil {
		return nil, err
	}
	b := &batch{
		id:   undoID(organization, undone),
		memo: memo{Undoes: &undone, Justification: justification},
	}
	return s.batch(ctx, organization, request, b, func(t *turn) (choice, error) {
		done, err := t.undoable(ctx, undone, b.id)
		if err != nil {
			return nil, err
		}
		b.memo.Action = done[0].Action
		return t.compensate(ctx, done, justification)
	})
}

// undoable are the decisions of a batch that can be undone.
func (t *turn) undoable(ctx context.Context, undone, undo id.ID) ([]*Decision, error) {
	done, err := decisions(ctx, t.tx, decideQueries.Get("entries_of_batch"), pgx.StrictNamedArgs{"batch": undone})
	if err != nil {
		return nil, err
	}
	if len(done) == 0 {
		known, err := db.Column[bool](ctx, t.tx, decideQueries.Get("batch_known"), pgx.StrictNamedArgs{"batch": undone})
		switch {
		case err != nil:
			return nil, err
		case known[0]:
			return nil, problem.New(problem.Conflict, "NOTHING_TO_UNDO", "the batch %s left every exposure alone: there is nothing to undo", undone).On("batch")
		}
		return nil, batchNotFound(undone)
	}
	if done[0].Compensates != nil {
		return nil, problem.New(problem.Conflict, "BATCH_IS_UNDO",
			"the batch %s is the undoing of another one; to have it as it was, judge the exposures again", undone).On("batch")
	}
	again, err := decisions(ctx, t.tx, decideQueries.Get("entries_of_batch"), pgx.StrictNamedArgs{"batch": undo})
	if err != nil {
		return nil, err
	}
	if len(again) > 0 {
		return nil, problem.New(problem.Conflict, "ALREADY_UNDONE",
			"%s undid the batch %s at %s, in the batch %s", short(again[0].Actor), undone, instant(again[0].At), undo).On("batch")
	}
	return done, nil
}

func batchNotFound(batch id.ID) *problem.Error {
	return problem.New(problem.NotFound, "BATCH_NOT_FOUND", "there is no batch %s in this organization", batch).On("batch")
}

// compensate takes decisions back where nothing came after them.
func (t *turn) compensate(ctx context.Context, done []*Decision, justification string) (choice, error) {
	keys := make([]exposure.Key, len(done))
	for i, d := range done {
		keys[i] = d.Key
	}
	standing, err := find(ctx, t.tx, keys, locked, t.visible)
	if err != nil {
		return nil, err
	}
	if len(standing) == 0 {
		return nil, batchNotFound(*done[0].Batch)
	}
	if len(standing) < len(keys) { // entries are about exposures that there are
		return nil, access.Partial("this batch")
	}
	reasons, err := t.reasonsBefore(ctx, done)
	if err != nil {
		return nil, err
	}
	chosen := make(choice, len(done))
	for i, d := range done {
		x := standing[d.Key]
		chosen[i] = candidate{key: d.Key, refused: changedSince(d, x)}
		if x != nil {
			chosen[i].state = x.state()
		}
		if chosen[i].refused == nil {
			seq := canonical.Integer(d.Seq)
			chosen[i].change = newChange(x, d.Action.back(), d.From, reasons[d.Key], justification, t.request.key)
			chosen[i].change.Compensates = &seq
		}
	}
	return chosen, nil
}

// changedSince says why a decision is not taken back; null where it is.
func changedSince(d *Decision, x *standing) *problem.Error {
	switch {
	case x == nil:
		return notFound(d.Key)
	case d.Action == Resolve:
		return problem.New(problem.Conflict, "EXPOSURE_RESOLVED",
			"a resolution by hand is not undone: the next evaluation opens the exposure again, if it still holds").On("exposure")
	case x.ToAt != nil:
		return x.resolved()
	case x.Version == d.Version:
		return nil
	case x.DecidedSeq != nil && *x.DecidedSeq == d.Seq:
		return problem.New(problem.Conflict, "VERSION_CONFLICT",
			"what the exposure is has changed since: it is at version %d, the batch left it at %d; judge it by itself", x.Version, d.Version).On("exposure")
	}
	return problem.New(problem.Conflict, "VERSION_CONFLICT",
		"the exposure is at version %d and %s, the batch left it at %d: %s", x.Version, x.state(), d.Version, x.last()).On("exposure")
}

// reasonsBefore says, of exposures that were unmarked, why they were false
// positives before.
func (t *turn) reasonsBefore(ctx context.Context, done []*Decision) (map[exposure.Key]FalsePositiveReason, error) {
	var keys []exposure.Key
	var versions []int
	for _, d := range done {
		if d.Action == UnmarkFalsePositive {
			keys, versions = append(keys, d.Key), append(versions, d.ExpectedVersion)
		}
	}
	reasons := make(map[exposure.Key]FalsePositiveReason, len(keys))
	if len(keys) == 0 {
		return reasons, nil
	}
	args := columns(keys)
	args["versions"] = versions
	found, err := bodies(ctx, t.tx, decideQueries.Get("marked_before"), args)
	for _, f := range found {
		reasons[f.key] = f.Reason
	}
	return reasons, err
}

// found is a decision and the exposure for which it was looked for.
type found struct {
	key exposure.Key
	*Decision
}

// bodies reads the decisions that a statement finds for exposures.
func bodies(ctx context.Context, q db.Querier, query db.Query, args pgx.StrictNamedArgs) ([]found, error) {
	type row struct {
		PathID  id.ID
		Type    rule.Type
		Ordinal int
		Body    []byte
	}
	rows, err := db.Select[row](ctx, q, query, args)
	if err != nil {
		return nil, err
	}
	list := make([]found, len(rows))
	for i, r := range rows {
		d, err := read(r.Body)
		if err != nil {
			return nil, err
		}
		list[i] = found{exposure.Key{PathID: r.PathID, Type: r.Type, Ordinal: r.Ordinal}, d}
	}
	return list, nil
}

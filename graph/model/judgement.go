package model

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// State is the disposition of an exposure, or that it has resolved.
func (x *Exposure) State() triage.State { return triage.StateOf(x.Disposition, x.ToAt != nil) }

// LegalActions are what can be done with it now.
func (x *Exposure) LegalActions() []triage.Action { return x.State().Legal() }

// Decision is a decision on an exposure, as the ledger has it.
type Decision struct {
	OrganizationID id.ID
	Action         triage.Action
	From           triage.State
	To             triage.State
	Version        int
	Actor          string
	Actors         []string
	At             time.Time
	RecordedAt     time.Time
	Justification  string
	Reason         *triage.FalsePositiveReason
	Batch          *string
	Compensates    *int64
	Inherited      bool
	Signed         bool
	Seq            int64
}

// NewDecision shows a decision of what an exposure is now: it may be about a former
// interval of the exposure.
func NewDecision(of exposure.Key, entry *ledger.Entry) (*Decision, error) {
	made, err := triage.DecisionOf(entry)
	if err != nil {
		return nil, err
	}
	d := &Decision{
		OrganizationID: entry.Organization, Action: made.Action, From: made.From, To: made.To, Version: made.Version,
		Actor: made.Actor, Actors: Subjects(entry.Actors), At: made.At, RecordedAt: entry.RecordedAt, Justification: made.Justification,
		Batch: batchID(entry.Organization, made.Batch), Compensates: made.Compensates,
		Inherited: made.Key.Ordinal != of.Ordinal || made.Key.PathID != of.PathID, Signed: len(entry.Envelope) > 0, Seq: made.Seq,
	}
	if made.Reason != "" {
		d.Reason = &made.Reason
	}
	return d, nil
}

// Batch is a decision on many exposures.
type Batch struct {
	batch        *triage.Batch
	organization id.ID
	asked        map[exposure.Key]string
}

// NewBatch shows a batch; asked are the exposures that the request named, by the
// ids that it named them by.
func NewBatch(organization id.ID, b *triage.Batch, asked map[exposure.Key]string) *Batch {
	return &Batch{b, organization, asked}
}

// ID is the batch's global id; null of a dry run.
func (b *Batch) ID() *string {
	if b.batch.DryRun {
		return nil
	}
	return batchID(b.organization, &b.batch.ID)
}

func batchID(organization id.ID, batch *id.ID) *string {
	if batch == nil {
		return nil
	}
	text := globalID(TypeBatch, organization, *batch)
	return &text
}

// Action is what was done.
func (b *Batch) Action() triage.Action { return b.batch.Action }

// Undoes is the batch that this one took back.
func (b *Batch) Undoes() *string { return batchID(b.organization, b.batch.Undoes) }

// Actor is who asked for it.
func (b *Batch) Actor() string { return b.batch.Actor }

// At is when it was done, on the organization's clock; null where nothing was.
func (b *Batch) At() *time.Time {
	if b.batch.At.IsZero() {
		return nil
	}
	return &b.batch.At
}

// RecordedAt is when it was asked for, by the server's clock.
func (b *Batch) RecordedAt() time.Time { return b.batch.RecordedAt }

// Reason is why they are no exposures.
func (b *Batch) Reason() *triage.FalsePositiveReason {
	if b.batch.Reason == "" {
		return nil
	}
	return &b.batch.Reason
}

// Justification is what the actor said.
func (b *Batch) Justification() string { return b.batch.Justification }

// DryRun says that nothing was done.
func (b *Batch) DryRun() bool { return b.batch.DryRun }

// Replayed says that it was done before.
func (b *Batch) Replayed() bool { return b.batch.Replayed }

// Asked is how many exposures it is about.
func (b *Batch) Asked() int { return len(b.batch.Items) }

// Done is how many were judged.
func (b *Batch) Done() int { return b.batch.Done() }

// Refused is how many were left alone.
func (b *Batch) Refused() int { return b.batch.Refused() }

// BatchCount is how many exposures of a batch stood and fared alike.
type BatchCount struct {
	State *triage.State
	Code  *string
	Count int
}

// Counts are the exposures by how they stood and how they fared.
func (b *Batch) Counts() []BatchCount {
	counts := b.batch.Counts()
	list := make([]BatchCount, len(counts))
	for i, c := range counts {
		list[i] = BatchCount{State: unlessZero(c.State), Code: unlessZero(c.Code), Count: c.Count}
	}
	return list
}

// BatchOutcome is what became of one exposure of a batch.
type BatchOutcome struct {
	Exposure string
	State    *triage.State
	Done     bool
	Code     *string
	Message  *string
	Seq      *int64
}

// Outcomes are what became of the exposures, as many as are asked for: all of them,
// or those that were judged, or those that were not.
func (b *Batch) Outcomes(first *int32, done *bool) ([]BatchOutcome, error) {
	size := page.MaxSize
	if first != nil {
		size = int(*first)
	}
	if size < 1 || size > triage.MaxMatching {
		return nil, problem.New(problem.Invalid, "PAGE_SIZE", "first is %d; it can be 1 to %d", size, triage.MaxMatching).On("first")
	}
	list := []BatchOutcome{}
	for _, item := range b.batch.Items {
		if len(list) == size {
			break
		}
		if done == nil || *done == (item.Code == "") {
			list = append(list, b.outcome(&item))
		}
	}
	return list, nil
}

func (b *Batch) outcome(item *triage.ItemOutcome) BatchOutcome {
	o := BatchOutcome{
		Exposure: ExposureID(b.organization, item.Key), State: unlessZero(item.State), Done: item.Code == "",
		Code: unlessZero(item.Code), Message: unlessZero(item.Message),
	}
	if item.State == "" { // there is none, whatever the reason
		message := "there is no exposure of this id; read one from a list"
		o.Message = &message
	}
	if asked, known := b.asked[item.Key]; known {
		o.Exposure = asked
	}
	if item.Decision != nil {
		o.Seq = &item.Decision.Seq
	}
	return o
}

func unlessZero[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

// StrangeKey is the key of an exposure that there is not, for an id that names none
// of the organization's. Each such id has its own.
func StrangeKey(text string) exposure.Key {
	return exposure.Key{PathID: id.New("no-exposure/1").Text(text).Short(), Type: rule.OrphanedPath, Ordinal: 1}
}

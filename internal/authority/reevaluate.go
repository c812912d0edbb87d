package authority

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

// Cause of an evaluation that no sync caused.
type Cause string

// The causes.
const (
	ByTime     Cause = "time"     // the daily one: the window moves
	BySettings Cause = "settings" // a threshold was moved; the window stays
	ByRequest  Cause = "request"  // somebody asked: the window moves

	ByVersion Cause = "version" // another version of the program judges; the window stays

	// An analyst put something on record. What that touches is judged; the window stays.
	ByAttestation   Cause = "attestation"   // vouched for what an identity holds
	ByJustification Cause = "justification" // justified a privilege, or withdrew that
)

// Evaluation is what judging anew did. One of an organization that no sync has
// reached yet does nothing and has no time.
type Evaluation struct {
	At        time.Time
	Paths     PathCounts
	Exposures ExposureCounts
	Stale     int // assets that were not seen for too long
}

// Reevaluate judges all of an organization anew, at its own place on the clock.
// Before it does, prepare may write what the new judgement follows from.
func (s *Service) Reevaluate(ctx context.Context, organization id.ID, cause Cause, prepare func(tx *db.Tx, at time.Time) error) (*Evaluation, error) {
	if err := access.Require(ctx, organization, access.Operate); err != nil {
		return nil, err
	}
	judged := judging{cause: cause, everything: true}
	if prepare != nil {
		judged.prepare = func(tx *db.Tx, at time.Time) ([]Touch, error) { return nil, prepare(tx, at) }
	}
	return s.judge(ctx, organization, judged)
}

// judging says what is judged without a sync, and why.
type judging struct {
	cause      Cause
	everything bool // all of the organization, not only what prepare names
	prepare    func(tx *db.Tx, at time.Time) ([]Touch, error)
}

func (s *Service) judge(ctx context.Context, organization id.ID, judged judging) (*Evaluation, error) {
	actor, _ := access.From(ctx)
	evaluation := &Evaluation{}
	err := s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
		return s.reevaluate(ctx, tx, evaluation, judged, actor.Subject)
	})
	if err != nil {
		return nil, err
	}
	s.feed.Committed(organization)
	s.log.InfoContext(ctx, "evaluation", "organization", organization, "cause", judged.cause,
		"paths_changed", evaluation.Paths.Changed, "exposures_opened", evaluation.Exposures.Opened, "exposures_resolved", evaluation.Exposures.Resolved, "assets_stale", evaluation.Stale)
	return evaluation, nil
}

func (s *Service) reevaluate(ctx context.Context, tx *db.Tx, evaluation *Evaluation, judged judging, actor string) error {
	exists, err := db.Column[bool](ctx, tx, syncQueries.Get("organization_exists"), nil)
	if err != nil {
		return err
	}
	if !exists[0] {
		return access.OrganizationNotFound()
	}
	for _, lock := range []string{"lock_organization", "lock_judgement"} {
		if _, err := db.Exec(ctx, tx, syncQueries.Get(lock), nil); err != nil {
			return err
		}
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	at, version, err := place(ctx, tx, now)
	if err != nil {
		return err
	}
	var touches []Touch
	if judged.prepare != nil {
		if touches, err = judged.prepare(tx, at); err != nil {
			return err
		}
	}
	window, err := db.Column[time.Time](ctx, tx, syncQueries.Get("window_at"), nil)
	if err != nil || len(window) == 0 && judged.prepare == nil {
		return err
	}
	record := func() error {
		_, err := db.Exec(ctx, tx, syncQueries.Get("add_evaluation"), pgx.StrictNamedArgs{
			"at": at, "recorded_at": now, "cause": string(judged.cause), "actor": actor, "paths_changed": evaluation.Paths.Changed,
			"exposures_opened": evaluation.Exposures.Opened, "exposures_resolved": evaluation.Exposures.Resolved,
			"assets_stale": evaluation.Stale})
		if err != nil {
			return err
		}
		return s.snapshot(ctx, tx, at, nil)
	}
	if len(window) == 0 { // there is nothing to judge, but what was prepared has its place on the clock
		return record()
	}
	d := &derivation{tx: tx, assessor: s.assessor, surface: s.surface, progress: unwatched{}, version: version,
		Assessment: Assessment{At: at, WindowAt: window[0], Everything: judged.everything, Resettled: judged.cause == BySettings, Few: true, small: s.small}}
	if judged.cause == ByTime || judged.cause == ByRequest {
		d.WindowAt = at
		if _, err := d.exec(ctx, "move_window", pgx.StrictNamedArgs{"at": at}); err != nil {
			return err
		}
	}
	ready, err := openStage(ctx, tx)
	if err == nil && !ready {
		err = openWork(ctx, tx, s.assessor, true)
	}
	if err != nil {
		return err
	}
	for _, clear := range []string{"clear_stage", "clear_work"} { // touches that follow from no delivery
		if _, err := db.Exec(ctx, tx.Local(), syncQueries.Get(clear), nil); err != nil {
			return err
		}
	}
	everything, err := prepare(ctx, tx, s.assessor, at)
	if err != nil {
		return err
	}
	d.Everything = d.Everything || everything
	touched, err := touch(ctx, tx, touches)
	if err != nil {
		return err
	}
	if judged.cause == ByTime || judged.cause == ByRequest {
		linked, err := d.age(ctx, evaluation)
		if err != nil {
			return err
		}
		touched += linked
	}
	if err := d.deriveTouched(ctx, touched); err != nil {
		return err
	}
	evaluation.At, evaluation.Paths, evaluation.Exposures = at, d.paths, d.exposures
	if err := record(); err != nil {
		return err
	}
	if err := d.release(ctx); err != nil {
		return err
	}
	if size := 2*d.paths.Changed + d.paths.Added + d.paths.Removed + d.exposures.Opened + d.exposures.Resolved + evaluation.Stale; size > 0 {
		person := judged.cause == ByAttestation || judged.cause == ByJustification
		p := tx.Pipeline()
		s.feed.Note(ctx, p, outbox.Occurrence{At: at, Cause: outbox.Evaluation, Urgent: person, Size: size})
		return p.Send(ctx)
	}
	return nil
}

// age finds assets stale, and touches the workloads behind them.
func (d *derivation) age(ctx context.Context, evaluation *Evaluation) (touched int64, err error) {
	if d.surface == nil {
		return 0, nil
	}
	if evaluation.Stale, err = d.surface.Age(ctx, d.tx, &d.Assessment); err != nil || evaluation.Stale == 0 {
		return 0, err
	}
	return d.linkSurface(ctx, true)
}

// snapshot keeps what the organization comes to now, and says so in the ledger.
func (s *Service) snapshot(ctx context.Context, tx *db.Tx, at time.Time, sync *id.ID) error {
	posture, err := s.assessor.Snapshot(ctx, tx, at, sync)
	if err != nil {
		return err
	}
	_, err = s.ledger.Append(ctx, tx, book.Draft{
		Kind: ledger.PostureSnapshotted, Subject: ledger.Subject{Kind: ledger.SubjectOrganization}, OccurredAt: at, Payload: posture,
	})
	return err
}

// prepare has the assessor read and do what comes before anything is derived.
func prepare(ctx context.Context, tx *db.Tx, assessor Assessor, at time.Time) (everything bool, err error) {
	p := tx.Pipeline()
	prepared := assessor.Prepare(p)
	if err := p.Send(ctx); err != nil {
		return false, err
	}
	return prepared(ctx, at)
}

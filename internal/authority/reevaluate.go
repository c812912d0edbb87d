package authority

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Cause of an evaluation that no sync caused.
type Cause string

// The causes.
const (
	ByTime     Cause = "time"     // the daily one: the window moves
	BySettings Cause = "settings" // a threshold was moved; the window stays
	ByRequest  Cause = "request"  // somebody asked: the window moves
)

// Evaluation is what judging everything anew did. One of an organization that
// no sync has reached yet does nothing and has no time.
type Evaluation struct {
	At        time.Time
	Paths     PathCounts
	Exposures ExposureCounts
}

// Reevaluate judges all of an organization anew, at its own place on the clock.
// Before it does, prepare may write what the new judgement follows from.
func (s *Service) Reevaluate(ctx context.Context, organization id.ID, cause Cause, prepare func(tx *db.Tx, at time.Time) error) (*Evaluation, error) {
	if err := access.Require(ctx, organization, access.Operate); err != nil {
		return nil, err
	}
	actor, _ := access.From(ctx)
	evaluation := &Evaluation{}
	err := s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
		return s.reevaluate(ctx, tx, evaluation, cause, actor.Subject, prepare)
	})
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "evaluation", "organization", organization, "cause", cause,
		"paths_changed", evaluation.Paths.Changed, "exposures_opened", evaluation.Exposures.Opened, "exposures_resolved", evaluation.Exposures.Resolved)
	return evaluation, nil
}

func (s *Service) reevaluate(ctx context.Context, tx *db.Tx, evaluation *Evaluation, cause Cause, actor string, prepare func(*db.Tx, time.Time) error) error {
	exists, err := db.Column[bool](ctx, tx, syncQueries.Get("organization_exists"), nil)
	if err != nil {
		return err
	}
	if !exists[0] {
		return access.OrganizationNotFound()
	}
	if _, err := db.Exec(ctx, tx, syncQueries.Get("lock_organization"), nil); err != nil {
		return err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	at, version, err := place(ctx, tx, now)
	if err != nil {
		return err
	}
	if prepare != nil {
		if err := prepare(tx, at); err != nil {
			return err
		}
	}
	window, err := db.Column[time.Time](ctx, tx, syncQueries.Get("window_at"), nil)
	if err != nil || len(window) == 0 && prepare == nil {
		return err
	}
	record := func() error {
		_, err := db.Exec(ctx, tx, syncQueries.Get("add_evaluation"), pgx.StrictNamedArgs{
			"at": at, "recorded_at": now, "cause": string(cause), "actor": actor, "paths_changed": evaluation.Paths.Changed,
			"exposures_opened": evaluation.Exposures.Opened, "exposures_resolved": evaluation.Exposures.Resolved})
		return err
	}
	if len(window) == 0 { // there is nothing to judge, but what was prepared has its place on the clock
		return record()
	}
	d := &derivation{tx: tx, assessor: s.assessor, at: at, windowAt: window[0], version: version, everything: true, resettled: cause == BySettings}
	if cause != BySettings {
		d.windowAt = at
		if _, err := d.exec(ctx, "move_window", pgx.StrictNamedArgs{"at": at}); err != nil {
			return err
		}
	}
	for _, script := range []string{"work_memory", "create_stage", "create_work"} {
		if err := tx.Script(ctx, syncQueries.Get(script)); err != nil {
			return err
		}
	}
	if _, err := s.assessor.Prepare(ctx, tx, at); err != nil {
		return err
	}
	if err := d.deriveTouched(ctx, 0); err != nil {
		return err
	}
	evaluation.At, evaluation.Paths, evaluation.Exposures = at, d.paths, d.exposures
	return record()
}

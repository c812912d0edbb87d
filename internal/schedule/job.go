package schedule

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var queriesSQL string

var due = db.Parse("schedule", queriesSQL).Get("due")

// subject is who acts when nobody asked.
const subject = "system:schedule"

// round is the job that hands out the evaluations of a day.
type round struct {
	Day string `json:"day"` // in UTC
}

// Kind names the job in the queue.
func (round) Kind() string { return "daily_round" }

// InsertOpts make the job unique by its day.
func (round) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// evaluation is the job that judges one organization anew. It names the
// organization and nothing of it: the queue stands outside its walls.
type evaluation struct {
	Organization id.ID  `json:"organization"`
	Day          string `json:"day"` // in UTC
}

// Kind names the job in the queue.
func (evaluation) Kind() string { return "daily_evaluation" }

// InsertOpts make the job unique by its organization and its day. River waits
// the fourth power of the attempt in seconds, so that eleven waits are eleven
// hours: today's job has given up when tomorrow's comes.
func (evaluation) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 12, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

type roundWorker struct {
	river.WorkerDefaults[round]

	db            *db.DB
	organizations *org.Store
	audits        bool // of the feeds
	log           *slog.Logger
}

// Work hands out one evaluation, and one audit of its feed, for each organization.
// What a former attempt has handed out is not handed out again.
func (w *roundWorker) Work(ctx context.Context, job *river.Job[round]) error {
	list, err := every(access.With(ctx, access.Actor{Subject: subject, Role: access.Client, Scopes: []access.Scope{access.View}, AllOrganizations: true}), w.db, w.organizations)
	if err != nil {
		return failed(ctx, w.log, err, "day", job.Args.Day)
	}
	// River turns an empty list down.
	if len(list) == 0 {
		return nil
	}
	var jobs []river.InsertManyParams
	for _, organization := range list {
		jobs = append(jobs, river.InsertManyParams{Args: evaluation{Organization: organization.ID, Day: job.Args.Day}})
		if w.audits {
			jobs = append(jobs, river.InsertManyParams{Args: audit{Organization: organization.ID, Day: job.Args.Day}})
		}
	}
	if _, err := river.ClientFromContext[pgx.Tx](ctx).InsertManyFast(ctx, jobs); err != nil {
		return failed(ctx, w.log, err, "day", job.Args.Day)
	}
	w.log.InfoContext(ctx, "daily evaluations handed out", "day", job.Args.Day, "organizations", len(list))
	return nil
}

// every lists all organizations that the actor sees.
func every(ctx context.Context, pool *db.DB, organizations *org.Store) ([]*org.Organization, error) {
	snapshot := pool.Snapshot()
	defer snapshot.Close(ctx)
	return organizations.List(ctx, snapshot)
}

type evaluationWorker struct {
	river.WorkerDefaults[evaluation]

	db            *db.DB
	organizations *org.Store
	evaluator     Evaluator
	at            time.Duration
	log           *slog.Logger
}

// Work judges the organization anew, unless that was done since the instant the
// job is for: by a former attempt, by request, or by a first sync.
func (w *evaluationWorker) Work(ctx context.Context, job *river.Job[evaluation]) error {
	organization := job.Args.Organization
	if err := w.evaluate(ctx, organization, job.Args.Day); err != nil {
		return failed(ctx, w.log, err, "organization", organization, "day", job.Args.Day, "attempt", job.Attempt)
	}
	return nil
}

func (w *evaluationWorker) evaluate(ctx context.Context, organization id.ID, day string) error {
	midnight, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return fmt.Errorf("day of the job: %w", err)
	}
	slug, err := w.slugOfDue(ctx, organization, midnight.Add(w.at))
	if err != nil || slug == "" {
		return err
	}
	ctx = access.With(ctx, access.Actor{Subject: subject, Role: access.Client, Scopes: []access.Scope{access.Operate}, Organizations: []string{slug}})
	_, err = w.evaluator.Reevaluate(ctx, organization, authority.ByTime, nil)
	return err
}

// slugOfDue names the organization, for an actor is a member by the name. It is
// empty if the organization is not due.
func (w *evaluationWorker) slugOfDue(ctx context.Context, organization id.ID, instant time.Time) (string, error) {
	ctx = access.With(ctx, access.Actor{Subject: subject, Role: access.Client, Scopes: []access.Scope{access.View}, AllOrganizations: true})
	snapshot := w.db.Snapshot()
	defer snapshot.Close(ctx)
	is, err := db.Column[bool](ctx, snapshot.Of(organization), due, pgx.StrictNamedArgs{"instant": instant})
	if err != nil || !is[0] {
		return "", err
	}
	list, err := w.organizations.ByIDs(ctx, snapshot, []id.ID{organization})
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0].Slug, nil
}

// failed logs what went wrong and gives what the queue may keep of it: a code.
// The words of an error may name what belongs to the organization.
func failed(ctx context.Context, log *slog.Logger, err error, about ...any) error {
	if ctx.Err() != nil {
		log.WarnContext(ctx, "a job was interrupted", append(about, "error", err)...)
		return errors.New("interrupted")
	}
	log.ErrorContext(ctx, "a job failed", append(about, "error", err)...)
	var typed *problem.Error
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &typed):
		return errors.New(typed.Code)
	case errors.As(err, &pgErr):
		return errors.New("SQLSTATE " + pgErr.Code)
	}
	return errors.New("failed; the log says why")
}

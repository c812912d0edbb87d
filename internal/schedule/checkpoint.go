package schedule

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// checkpointQueue has a worker of its own: evaluations, which may take half an
// hour, must not keep ledgers from being signed.
const checkpointQueue = "checkpoints"

// checkpointTime bounds one look at all ledgers.
const checkpointTime = 5 * time.Minute

// checkpoints is the job that looks at every ledger and signs those that are due.
type checkpoints struct {
	At string `json:"at"` // the interval that it is for, in UTC
}

// Kind names the job in the queue.
func (checkpoints) Kind() string { return "ledger_checkpoints" }

// InsertOpts make the job unique by its interval. What fails is not repeated: the
// next one comes soon by itself.
func (checkpoints) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: checkpointQueue, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

func (s *Schedule) addCheckpoints(config *river.Config) {
	river.AddWorker(config.Workers, &checkpointWorker{db: s.config.DB, organizations: s.config.Organizations,
		checkpointer: s.config.Checkpointer, log: s.config.Logger})
	config.Queues[checkpointQueue] = river.QueueConfig{MaxWorkers: 1}
	config.PeriodicJobs = append(config.PeriodicJobs, river.NewPeriodicJob(river.PeriodicInterval(s.config.Sign),
		func() (river.JobArgs, *river.InsertOpts) {
			return checkpoints{At: s.config.Now().UTC().Truncate(s.config.Sign).Format(time.RFC3339Nano)}, nil
		},
		&river.PeriodicJobOpts{ID: checkpoints{}.Kind(), RunOnStart: true}))
}

type checkpointWorker struct {
	river.WorkerDefaults[checkpoints]

	db            *db.DB
	organizations *org.Store
	checkpointer  Checkpointer
	log           *slog.Logger
}

// Timeout bounds one look.
func (*checkpointWorker) Timeout(*river.Job[checkpoints]) time.Duration { return checkpointTime }

// Work looks at the ledger of each organization. One that cannot be signed keeps
// no other from it.
func (w *checkpointWorker) Work(ctx context.Context, _ *river.Job[checkpoints]) error {
	ctx = access.With(ctx, access.Actor{Subject: subject, Role: access.Client, Scopes: []access.Scope{access.View, access.Audit}, AllOrganizations: true})
	list, err := every(ctx, w.db, w.organizations)
	if err != nil {
		return failed(ctx, w.log, err)
	}
	var errs []error
	for _, organization := range list {
		if _, err := w.checkpointer.Look(ctx, organization); err != nil {
			errs = append(errs, failed(ctx, w.log, err, "organization", organization.ID))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

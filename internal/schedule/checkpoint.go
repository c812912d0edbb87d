package schedule

import (
	"context"
	"time"

	"github.com/riverqueue/river"

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
	river.AddWorker(config.Workers, &checkpointWorker{rounds: s.rounds(), checkpointer: s.config.Checkpointer})
	config.Queues[checkpointQueue] = river.QueueConfig{MaxWorkers: 1}
	config.PeriodicJobs = append(config.PeriodicJobs, river.NewPeriodicJob(river.PeriodicInterval(s.config.Sign),
		func() (river.JobArgs, *river.InsertOpts) {
			return checkpoints{At: s.config.Now().UTC().Truncate(s.config.Sign).Format(time.RFC3339Nano)}, nil
		},
		&river.PeriodicJobOpts{ID: checkpoints{}.Kind(), RunOnStart: true}))
}

type checkpointWorker struct {
	river.WorkerDefaults[checkpoints]

	rounds

	checkpointer Checkpointer
}

// Timeout bounds one look.
func (*checkpointWorker) Timeout(*river.Job[checkpoints]) time.Duration { return checkpointTime }

// Work looks at the ledger of each organization. One that cannot be signed keeps
// no other from it.
func (w *checkpointWorker) Work(ctx context.Context, _ *river.Job[checkpoints]) error {
	return w.round(ctx, []access.Scope{access.View, access.Audit}, func(ctx context.Context, organization *org.Organization) error {
		_, err := w.checkpointer.Look(ctx, organization)
		return err
	})
}

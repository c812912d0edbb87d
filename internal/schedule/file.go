package schedule

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// fileQueue has a worker of its own: a store that answers slowly keeps nobody else
// waiting.
const fileQueue = "files"

// settleTime bounds one look at the uploads of all organizations.
const settleTime = 10 * time.Minute

// Settler ends what uploads of files left behind.
type Settler interface {
	// Settle completes or drops the uploads of an organization that nobody ended.
	Settle(ctx context.Context, organization id.ID) (file.Settled, error)

	// Sweep removes what was received and not kept.
	Sweep(ctx context.Context) (int, error)
}

// settling is the job that looks at the uploads of every organization.
type settling struct {
	At string `json:"at"` // the interval that it is for, in UTC
}

// Kind names the job in the queue.
func (settling) Kind() string { return "file_settle" }

// InsertOpts make the job unique by its interval. What fails is not repeated: the
// next one comes soon by itself.
func (settling) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: fileQueue, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

func (s *Schedule) addSettling(config *river.Config) {
	river.AddWorker(config.Workers, &settlingWorker{rounds: s.rounds(), settler: s.config.Settler})
	config.Queues[fileQueue] = river.QueueConfig{MaxWorkers: 1}
	config.PeriodicJobs = append(config.PeriodicJobs, river.NewPeriodicJob(river.PeriodicInterval(s.config.Settle),
		func() (river.JobArgs, *river.InsertOpts) {
			return settling{At: s.config.Now().UTC().Truncate(s.config.Settle).Format(time.RFC3339Nano)}, nil
		},
		&river.PeriodicJobOpts{ID: settling{}.Kind(), RunOnStart: true}))
}

type settlingWorker struct {
	river.WorkerDefaults[settling]

	rounds

	settler Settler
}

// Timeout bounds one look.
func (*settlingWorker) Timeout(*river.Job[settling]) time.Duration { return settleTime }

// Work settles the uploads of each organization, and sweeps the spool of whichever
// replica works on the job. One that cannot be settled keeps no other from it.
func (w *settlingWorker) Work(ctx context.Context, _ *river.Job[settling]) error {
	if swept, err := w.settler.Sweep(ctx); err != nil {
		_ = failed(ctx, w.log, err) // it is logged, and what is there does no harm
	} else if swept > 0 {
		w.log.InfoContext(ctx, "drafts of files swept", "drafts", swept)
	}
	return w.round(ctx, []access.Scope{access.View, access.Investigate}, func(ctx context.Context, organization *org.Organization) error {
		settled, err := w.settler.Settle(ctx, organization.ID)
		if settled != (file.Settled{}) {
			w.log.InfoContext(ctx, "uploads of files settled", "organization", organization.ID, "completed", settled.Completed, "dropped", settled.Dropped)
		}
		return err
	})
}

package schedule

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// repairQueue has a worker of its own: a feed with a gap does not wait for
// evaluations, and an audit that goes through a long history not for both.
const (
	repairQueue = "feed_repair"
	auditQueue  = "feed_audit"
)

// repairTime bounds one look at the gaps of all feeds.
const repairTime = 5 * time.Minute

// Repairer notes again what a feed lacks.
type Repairer interface {
	// Fill does so by the gaps that are known.
	Fill(ctx context.Context, organization id.ID) (change.Filled, error)

	// Audit finds them by the history.
	Audit(ctx context.Context, organization id.ID) (change.Filled, error)
}

// repair is the job that fills the gaps of every feed.
type repair struct {
	At string `json:"at"` // the interval that it is for, in UTC
}

// Kind names the job in the queue.
func (repair) Kind() string { return "feed_repair" }

// InsertOpts make the job unique by its interval. What fails is not repeated: the
// next one comes soon by itself.
func (repair) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: repairQueue, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// audit is the job that holds one feed against its history.
type audit struct {
	Organization id.ID  `json:"organization"`
	Day          string `json:"day"` // in UTC
}

// Kind names the job in the queue.
func (audit) Kind() string { return "feed_audit" }

// InsertOpts make the job unique by its organization and its day. It gives up long
// before that of the next day.
func (audit) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: auditQueue, MaxAttempts: 5, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

func (s *Schedule) addRepairs(config *river.Config) {
	river.AddWorker(config.Workers, &repairWorker{rounds: s.rounds(), repairer: s.config.Repairer})
	river.AddWorker(config.Workers, &auditWorker{repairer: s.config.Repairer, log: s.config.Logger})
	config.Queues[repairQueue] = river.QueueConfig{MaxWorkers: 1}
	config.Queues[auditQueue] = river.QueueConfig{MaxWorkers: 1}
	config.PeriodicJobs = append(config.PeriodicJobs, river.NewPeriodicJob(river.PeriodicInterval(s.config.Repair),
		func() (river.JobArgs, *river.InsertOpts) {
			return repair{At: s.config.Now().UTC().Truncate(s.config.Repair).Format(time.RFC3339Nano)}, nil
		},
		&river.PeriodicJobOpts{ID: repair{}.Kind(), RunOnStart: true}))
}

type repairWorker struct {
	river.WorkerDefaults[repair]

	rounds

	repairer Repairer
}

// Timeout bounds one look.
func (*repairWorker) Timeout(*river.Job[repair]) time.Duration { return repairTime }

// Work fills the gaps of each feed. One that cannot be repaired keeps no other from
// it.
func (w *repairWorker) Work(ctx context.Context, _ *river.Job[repair]) error {
	return w.round(ctx, []access.Scope{access.View}, func(ctx context.Context, organization *org.Organization) error {
		_, err := w.repairer.Fill(ctx, organization.ID)
		return err
	})
}

type auditWorker struct {
	river.WorkerDefaults[audit]

	repairer Repairer
	log      *slog.Logger
}

// Work goes through the history of one organization.
func (w *auditWorker) Work(ctx context.Context, job *river.Job[audit]) error {
	if _, err := w.repairer.Audit(ctx, job.Args.Organization); err != nil {
		return failed(ctx, w.log, err, "organization", job.Args.Organization, "day", job.Args.Day, "attempt", job.Attempt)
	}
	return nil
}

package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

const (
	workers    = 2                // evaluations at a time: each holds a connection of the DB
	maxConns   = 3                // of the queue
	timeout    = 30 * time.Minute // for one evaluation
	rescue     = timeout + 10*time.Minute
	retention  = 7 * 24 * time.Hour // of jobs that are done
	look       = 5 * time.Minute    // between looks at the clock
	stopWithin = 3 * time.Second
)

// Evaluator judges all of an organization anew.
type Evaluator interface {
	Reevaluate(ctx context.Context, organization id.ID, cause authority.Cause, prepare func(tx *db.Tx, at time.Time) error) (*authority.Evaluation, error)
}

// Checkpointer signs the ledger of an organization when it is time to, and says
// how many entries it signed.
type Checkpointer interface {
	Look(ctx context.Context, organization *org.Organization) (int64, error)
}

// Config is what a schedule stands on. The durations have defaults.
type Config struct {
	URL           string // of the runtime role
	DB            *db.DB
	Organizations *org.Store
	Evaluator     Evaluator
	Checkpointer  Checkpointer // nil: ledgers are not signed
	Repairer      Repairer     // nil: feeds are not repaired
	Settler       Settler      // nil: there are no files
	Logger        *slog.Logger
	Now           func() time.Time

	At     time.Duration // after midnight UTC; 2 h
	Poll   time.Duration // between looks for jobs; 5 s
	Sign   time.Duration // between looks at the ledgers; 1 min
	Repair time.Duration // between looks for gaps of the feeds; 1 min
	Settle time.Duration // between looks for uploads that nobody ended; 5 min
}

// Schedule hands out the jobs of the days and works on them.
type Schedule struct{ config Config }

// New makes a schedule. It does nothing until Run is called.
func New(config Config) *Schedule {
	if config.At == 0 {
		config.At = 2 * time.Hour
	}
	if config.Poll == 0 {
		config.Poll = 5 * time.Second
	}
	if config.Sign == 0 {
		config.Sign = time.Minute
	}
	if config.Repair == 0 {
		config.Repair = time.Minute
	}
	if config.Settle == 0 {
		config.Settle = 5 * time.Minute
	}
	return &Schedule{config}
}

// Run works until the context ends, which is no error. A job that runs then is
// cancelled: its one transaction rolls back, and it is tried again by another
// replica or at the next start.
func (s *Schedule) Run(ctx context.Context) error {
	pool, err := s.pool(ctx)
	if err != nil {
		return err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), s.river())
	if err != nil {
		pool.Close()
		return fmt.Errorf("job queue: %w", err)
	}
	// The client is stopped below and not by the context, which would leave
	// nobody waiting for it.
	for err := client.Start(context.WithoutCancel(ctx)); err != nil; err = client.Start(context.WithoutCancel(ctx)) {
		s.config.Logger.WarnContext(ctx, "the schedule does not start; it tries again", "in", s.config.Poll, "error", err)
		select {
		case <-time.After(s.config.Poll):
		case <-ctx.Done():
			pool.Close()
			return nil
		}
	}
	s.config.Logger.InfoContext(ctx, "schedule started", "daily_at", time.Time{}.Add(s.config.At).Format("15:04 UTC"), "client", client.ID())
	<-ctx.Done()
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := client.StopAndCancel(bound); err != nil {
		// It waits for a database that is gone, and the pool would wait for it.
		s.config.Logger.WarnContext(ctx, "the schedule did not stop in time", "within", stopWithin, "error", err)
		return nil
	}
	pool.Close()
	s.config.Logger.InfoContext(ctx, "schedule stopped")
	return nil
}

// pool of the queue's own: river takes one of pgx, and the pool of db.DB stays
// behind the Querier, through which an organization cannot be forgotten.
func (s *Schedule) pool(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(s.config.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL of the job queue: %w", err)
	}
	config.MaxConns = maxConns
	config.ConnConfig.RuntimeParams["application_name"] = "exposuregraph-schedule"
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the pool of the job queue: %w", err)
	}
	return pool, nil
}

func (s *Schedule) river() *river.Config {
	jobs := river.NewWorkers()
	river.AddWorker(jobs, &roundWorker{db: s.config.DB, organizations: s.config.Organizations, audits: s.config.Repairer != nil, log: s.config.Logger})
	river.AddWorker(jobs, &evaluationWorker{db: s.config.DB, organizations: s.config.Organizations, evaluator: s.config.Evaluator,
		at: s.config.At, log: s.config.Logger})
	config := &river.Config{
		Schema:  db.RiverSchema,
		Workers: jobs,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Logger:  slog.New(quiet{s.config.Logger.Handler()}),

		PollOnly:          true, // LISTEN does not pass a pooler of transactions
		FetchPollInterval: s.config.Poll,
		ReindexerSchedule: river.NeverSchedule(), // takes the owner of the tables

		JobTimeout:                  timeout,
		RescueStuckJobsAfter:        rescue, // what a process that was killed held
		CompletedJobRetentionPeriod: retention,

		// Looking often and asking for what is unique rather than sleeping a day:
		// a machine that was suspended, a clock that was set, or a leader that
		// went at the wrong moment then costs minutes and not a day.
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(look),
			func() (river.JobArgs, *river.InsertOpts) { return round{Day: s.day()}, nil },
			&river.PeriodicJobOpts{ID: round{}.Kind(), RunOnStart: true})},
	}
	if s.config.Checkpointer != nil {
		s.addCheckpoints(config)
	}
	if s.config.Repairer != nil {
		s.addRepairs(config)
	}
	if s.config.Settler != nil {
		s.addSettling(config)
	}
	return config
}

// day is the one whose evaluation was due last. At the start that may be one
// that was missed.
func (s *Schedule) day() string {
	return s.config.Now().UTC().Add(-s.config.At).Format(time.DateOnly)
}

// quiet lets warnings pass. What river does otherwise is told by the schedule
// in the words of this program.
type quiet struct{ slog.Handler }

// Enabled says whether a line of the level is written.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// WithAttrs keeps quiet what the handler becomes.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup keeps quiet what the handler becomes.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

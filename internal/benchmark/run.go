package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
)

// Options of a run. The zero value of a field takes its default.
type Options struct {
	Paths       int // 100,000
	Seed        uint64
	Requests    int           // of each operation on one connection; 300
	Load        int           // of each operation on all connections; 1,000
	Connections int           // 16
	SyncsOnly   bool          // leaves the operations out
	Beside      int           // paths of the small world that operations are compared with; 10,000
	GrowthOnly  bool          // leaves out everything but that comparison
	Plans       time.Duration // statements that take longer leave their plan in the log of PostgreSQL; 0: none
	Keep        bool          // leaves the folder of the run
	Progress    io.Writer

	Organizations int  // over which decisions are spread; 16
	DecisionsOnly bool // leaves out everything but decisions

	SightOnly bool // leaves out everything but what attribute filters cost

	Subscribers []int // of the feed, in the runs of it; 1, 100, 1,000
	FeedOnly    bool  // leaves out everything but the feed and the past
}

func (o Options) orDefault() Options {
	fill(&o.Paths, 100_000)
	fill(&o.Requests, 300)
	fill(&o.Load, 1000)
	fill(&o.Connections, 16)
	fill(&o.Beside, 10_000)
	fill(&o.Organizations, 16)
	if o.Subscribers == nil {
		o.Subscribers = []int{1, 100, 1000}
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o
}

func fill(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

// Result is what a run measured.
type Result struct {
	Machine     Machine
	Day         time.Time
	Paths       int // that stand after the first sync
	Connections int
	Delivery    Delivery
	Parse       time.Duration // of the delivery, by the parser alone
	Changes     authority.PathCounts

	First, Repeated, Unchanged, Changed Sync
	FirstLimit, UnchangedLimit          Floor
	Writing                             Floor // the rows of the first sync
	Operations                          []Operation

	Beside int // paths of the small world of Growth
	Growth []Growth

	Sight []Sight

	Decisions *Decisions
	Feed      *Feed
}

// Run measures all of it.
func Run(ctx context.Context, options Options) (result *Result, err error) {
	options = options.orDefault()
	s, err := newStand(ctx, options.Plans)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx), options.Keep)) }()
	if options.Keep {
		say(options, "the folder of this run is %s, PostgreSQL's log %s", s.folder, filepath.Join(s.folder, "data", "postgres.log"))
	}
	var version string
	if err := s.super.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&version); err != nil {
		return nil, fmt.Errorf("version of PostgreSQL: %w", err)
	}
	result = &Result{Machine: describeMachine(version), Day: now(), Connections: options.Connections}
	if parts := s.parts(options); len(parts) > 0 {
		if result.Paths, err = s.populate(ctx, World{Paths: options.Paths, Seed: options.Seed, Now: epoch}); err != nil {
			return nil, err
		}
		for _, part := range parts {
			if err := part(ctx, options, result); err != nil {
				return result, err
			}
		}
		return result, nil
	}
	if err := s.measureSyncs(ctx, options, result); err != nil || options.SyncsOnly {
		return result, err
	}
	if err := s.measureOperations(ctx, options, result); err != nil {
		return result, err
	}
	if options.Paths > options.Beside {
		if err := s.measureGrowth(ctx, options, result); err != nil {
			return result, err
		}
	}
	if err := s.measureSight(ctx, options, result); err != nil {
		return result, err
	}
	if err := s.measureDecisions(ctx, options, result); err != nil {
		return result, err
	}
	return result, s.measureFeed(ctx, options, result)
}

// parts are those that are measured of a world that stands; none: all there are.
func (s *stand) parts(options Options) (parts []func(context.Context, Options, *Result) error) {
	if options.GrowthOnly {
		parts = append(parts, s.measureGrowth)
	}
	if options.SightOnly {
		parts = append(parts, s.measureSight)
	}
	if options.DecisionsOnly {
		parts = append(parts, s.measureDecisions)
	}
	if options.FeedOnly {
		parts = append(parts, s.measureFeed)
	}
	return parts
}

func (s *stand) measureSyncs(ctx context.Context, options Options, r *Result) (err error) {
	world := World{Paths: options.Paths, Seed: options.Seed, Now: epoch}
	if r.Delivery, err = s.write("world", world); err != nil {
		return err
	}
	world.Changed = true
	changed, err := s.write("changed", world)
	if err != nil {
		return err
	}
	say(options, "%d records, %d MB", r.Delivery.Records, r.Delivery.Bytes>>20)
	steps := []func() error{
		func() (err error) { r.Parse, err = s.parse(r.Delivery); return err },
		func() (err error) {
			r.First, err = s.measureSync(ctx, "first", r.Delivery, epoch, authority.Applied)
			return err
		},
		func() (err error) { say(options, "first sync: %s", r.First.Took); return s.dump(ctx) },
		func() (err error) { r.FirstLimit, err = s.firstLimit(ctx); return err },
		func() (err error) { r.Writing, err = s.writing(ctx); return err },
		func() (err error) {
			say(options, "its limit: %s, its rows alone: %s", r.FirstLimit.Took, r.Writing.Took)
			return s.settle(ctx)
		},
		func() (err error) {
			r.Repeated, err = s.measureSync(ctx, "repeated", r.Delivery, epoch, authority.Repeated)
			return err
		},
		func() (err error) { r.Unchanged, err = s.measureUnchanged(ctx, r.Delivery); return err },
		func() (err error) { r.UnchangedLimit, err = s.unchangedLimit(ctx); return err },
		func() (err error) {
			say(options, "unchanged sync: %s, its limit: %s", r.Unchanged.Took, r.UnchangedLimit.Took)
			s.advance(time.Hour)
			r.Changed, err = s.measureSync(ctx, "1 % changed", changed, s.now(), authority.Applied)
			return err
		},
		func() (err error) { say(options, "changed sync: %s", r.Changed.Took); return s.settle(ctx) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	r.Paths, r.Changes = r.First.Report.Paths.Added, r.Changed.Report.Paths
	return nil
}

func (s *stand) measureOperations(ctx context.Context, options Options, r *Result) (err error) {
	c, err := s.serve(ctx, options.Connections)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	queries, err := c.queries(ctx, s)
	if err != nil {
		return err
	}
	for _, q := range queries {
		one, err := c.measure(ctx, s, q, options)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		say(options, "%s: %s", one.Name, one.P50)
		r.Operations = append(r.Operations, one)
	}
	return nil
}

func say(options Options, format string, args ...any) {
	_, _ = fmt.Fprintf(options.Progress, format+"\n", args...) // progress is told, not kept
}

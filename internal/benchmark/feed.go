package benchmark

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/stream"
)

//go:embed feed.sql
var feedSQL string

var feedQueries = db.Parse("feed", feedSQL)

const (
	feedRate     = 200 // events per second that subscribers are sent
	feedSlug     = organizationSlug + "-feed"
	feedWriters  = 4  // of them, when they are paced
	writerRounds = 3  // of writers with the sequencer and without, in alternation
	writerLoads  = 10 // Options.Load of transactions a round: seconds, so that steps have their pace
)

// Feed is what the feed of changes costs.
type Feed struct {
	Events int64         // of the first sync
	Append time.Duration // until all of them were published, while somebody decided
	Replay time.Duration // from the first to the last, inside the server

	Quiet, Loud Visible // from the return of a decision to its event

	Writers     int
	Told, Plain float64 // transactions per second with the sequencer, and with an insert and a sequence instead
	Committed   int     // in a round
	Left        int64   // of them not told yet when the last was committed, median

	Idle int64 // bytes per subscriber to whom nothing is sent
	Live []Live

	Past []Past
}

// Visible is how long something took to be seen.
type Visible struct {
	P50, P99 time.Duration
	Of       int
}

// Live is how long subscribers of a number waited for events, from before their
// commit on.
type Live struct {
	Subscribers int
	Sent        int     // events, to each of them
	Rate        float64 // of these, per second
	P50, P99    time.Duration
	Missing     int64 // that did not come in time
}

// measureFeed measures it after a first sync of which nothing is published yet.
func (s *stand) measureFeed(ctx context.Context, options Options, r *Result) error {
	f := &Feed{Writers: options.Connections}
	r.Feed = f
	for _, step := range []func(context.Context, Options, *Feed) error{s.measurePublishing, s.measureReplay, s.measureWriters, s.measureLive, s.measurePast} {
		if err := step(ctx, options, f); err != nil {
			return err
		}
	}
	return nil
}

// follow has a stream run on the stand, as `exposuregraph serve` does.
func (s *stand) follow(ctx context.Context) (end func() error, err error) {
	pool, err := db.Open(ctx, s.postgres.RuntimeURL(""), db.Options{MaxConns: stream.Connections})
	if err != nil {
		return nil, err
	}
	s.stream = stream.New(stream.Config{DB: pool, Readers: s.db, Sequencer: change.NewSequencer(pool, now, s.log()), Log: s.log(), Now: now})
	s.paths.Feed().OnCommit(s.stream.Wake)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.stream.Run(ctx) }()
	return func() error {
		cancel()
		err := <-ended
		s.paths.Feed().OnCommit(func(id.ID) {})
		s.stream = nil
		pool.Close()
		return err
	}, nil
}

// measurePublishing publishes the first sync while somebody decides, and then has
// them decide while nothing is published.
func (s *stand) measurePublishing(ctx context.Context, options Options, f *Feed) (err error) {
	desks, err := s.desks(ctx, s.db, "feed", s.organization)
	if err != nil {
		return err
	}
	for range warmUpTurns {
		if err := desks[0].turn(ctx); err != nil {
			return err
		}
	}
	since := now()
	end, err := s.follow(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	seen, err := s.stream.Subscribe(access.With(ctx, operator), s.organization, nil, change.Filter{Types: []change.Kind{change.DispositionChanged}})
	if err != nil {
		return err
	}
	defer seen.Close()
	var loud []time.Duration
	for {
		waits, err := s.untold(ctx, s.organization)
		if err != nil {
			return err
		}
		if waits == 0 {
			break
		}
		if err := s.visible(access.With(ctx, operator), desks[0], seen, &loud); err != nil {
			return err
		}
	}
	f.Append = now().Sub(since)
	if err := s.super.QueryRow(ctx, "SELECT seq FROM change_head WHERE id = $1", s.organization).Scan(&f.Events); err != nil {
		return err
	}
	f.Loud = visibleOf(loud)
	var quiet []time.Duration
	for range options.Requests {
		if err := s.visible(access.With(ctx, operator), desks[0], seen, &quiet); err != nil {
			return err
		}
	}
	f.Quiet = visibleOf(quiet)
	say(options, "%d events published in %s; decisions visible after %s (p99 %s), quiet %s (p99 %s)", f.Events, f.Append, f.Loud.P50, f.Loud.P99, f.Quiet.P50, f.Quiet.P99)
	return nil
}

// visible decides, and waits until a subscriber has been told.
func (s *stand) visible(ctx context.Context, desk *desk, seen *stream.Subscription, took *[]time.Duration) error {
	if err := desk.turn(ctx); err != nil {
		return err
	}
	since := now()
	s.stream.Wake(desk.organization) // as the service that serves does; a desk has one of its own
	for told := false; !told; {
		batch, err := seen.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range batch.Events {
			told = told || e.LedgerSeq != nil && *e.LedgerSeq == desk.seq
		}
	}
	*took = append(*took, now().Sub(since))
	return nil
}

func visibleOf(took []time.Duration) Visible {
	return Visible{P50: percentile(took, 50), P99: percentile(took, 99), Of: len(took)}
}

// measureReplay reads the whole feed as a subscriber that comes from its beginning.
func (s *stand) measureReplay(ctx context.Context, options Options, f *Feed) (err error) {
	end, err := s.follow(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	ctx = access.With(ctx, operator)
	since := now()
	all, err := s.stream.Subscribe(ctx, s.organization, nil, change.Filter{})
	if err != nil {
		return err
	}
	defer all.Close()
	for seq := int64(0); ; {
		batch, err := all.Next(ctx)
		switch {
		case err != nil:
			return err
		case batch.Heartbeat:
			f.Replay = now().Sub(since)
			say(options, "%d events replayed in %s", seq, f.Replay)
			return nil
		}
		for _, e := range batch.Events {
			if seq++; e.Seq != seq {
				return fmt.Errorf("event %d comes in the place of %d", e.Seq, seq)
			}
		}
	}
}

// press commits deliveries that say nothing new.
type press struct {
	stand        *stand
	organization id.ID
	source       id.ID
	version      atomic.Int64
	last         atomic.Int64
}

// pressOf makes an organization of its own for them, once.
func (s *stand) pressOf(ctx context.Context) (*press, error) {
	if s.press != nil {
		return s.press, nil
	}
	delivery, err := s.write("feed", World{Paths: 10, Seed: 1, Now: epoch})
	if err != nil {
		return nil, err
	}
	if _, err := s.deliverTo(ctx, feedSlug, delivery, s.now()); err != nil {
		return nil, err
	}
	p := &press{stand: s, organization: id.Organization(feedSlug)}
	p.version.Store(1000)
	snapshot := s.db.Snapshot()
	defer snapshot.Close(ctx)
	sources, err := db.Column[id.ID](ctx, snapshot.Of(p.organization), feedQueries.Get("source"), nil)
	if err != nil {
		return nil, err
	}
	p.source = sources[0]
	_, err = s.super.Exec(ctx, `CREATE TABLE IF NOT EXISTS bench_change (organization_id uuid NOT NULL, seq bigserial PRIMARY KEY, id uuid NOT NULL, title text NOT NULL, at timestamptz NOT NULL);
		CREATE INDEX IF NOT EXISTS bench_change_id ON bench_change (organization_id, id);
		GRANT INSERT ON bench_change TO `+pgx.Identifier{devpg.RuntimeRole}.Sanitize()+`; GRANT USAGE ON SEQUENCE bench_change_seq_seq TO `+pgx.Identifier{devpg.RuntimeRole}.Sanitize())
	s.press = p
	return p, err
}

// instant is now, and later than all before.
func (p *press) instant() time.Time {
	for {
		last, at := p.last.Load(), now().UnixMicro()
		if at = max(at, last+1); p.last.CompareAndSwap(last, at) {
			return time.UnixMicro(at).UTC()
		}
	}
}

// commit commits one by a statement of feed.sql.
func (p *press) commit(ctx context.Context, name string) error {
	version, at := p.version.Add(1), p.instant()
	err := p.stand.db.Tenant(ctx, p.organization, func(tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, feedQueries.Get(name), pgx.StrictNamedArgs{
			"id": id.New("bench").ID(p.organization).Text(fmt.Sprint(version)).Short(), "source": p.source, "version": version, "at": at})
		return err
	})
	if p.stand.stream != nil {
		p.stand.stream.Wake(p.organization)
	}
	return err
}

// measureWriters has writers commit as fast as they can, with the sequencer at work
// and with an insert that numbers itself, in turns.
func (s *stand) measureWriters(ctx context.Context, options Options, f *Feed) error {
	p, err := s.pressOf(ctx)
	if err != nil {
		return err
	}
	f.Committed = options.Load * writerLoads
	var told, plain []float64
	var left []int64
	for range writerRounds {
		end, err := s.follow(ctx)
		if err != nil {
			return err
		}
		rate, err := p.all(ctx, "note", f.Writers, f.Committed)
		waits := int64(0)
		if err == nil {
			waits, err = s.untold(ctx, p.organization)
		}
		for more := waits; err == nil && more > 0; { // the next round begins as this one did
			more, err = s.untold(ctx, p.organization)
		}
		if err := errors.Join(err, end()); err != nil {
			return err
		}
		told, left = append(told, rate), append(left, waits)
		if rate, err = p.all(ctx, "plain", f.Writers, f.Committed); err != nil {
			return err
		}
		plain = append(plain, rate)
	}
	slices.Sort(told)
	slices.Sort(plain)
	slices.Sort(left)
	f.Told, f.Plain, f.Left = told[writerRounds/2], plain[writerRounds/2], left[writerRounds/2]
	say(options, "%d writers: %.0f transactions per second with the sequencer, %.0f with a sequence; %d of %d told later", f.Writers, f.Told, f.Plain, f.Left, f.Committed)
	return nil
}

// untold counts what is noted of an organization and waits to be published.
func (s *stand) untold(ctx context.Context, organization id.ID) (waits int64, err error) {
	err = s.super.QueryRow(ctx, "SELECT count(*) FROM change_outbox WHERE organization_id = $1", organization).Scan(&waits)
	return waits, err
}

// all has so many writers commit so many transactions between them.
func (p *press) all(ctx context.Context, name string, writers, transactions int) (float64, error) {
	errs := make([]error, writers)
	var made atomic.Int64
	var running sync.WaitGroup
	since := now()
	for i := range errs {
		running.Go(func() {
			for errs[i] == nil && made.Add(1) <= int64(transactions) {
				errs[i] = p.commit(ctx, name)
			}
		})
	}
	running.Wait()
	return float64(transactions) / now().Sub(since).Seconds(), errors.Join(errs...)
}

// paced commits so many at the rate of the feed.
func (p *press) paced(ctx context.Context, events int) error {
	due := make(chan struct{}, events)
	errs := make([]error, feedWriters)
	var writers sync.WaitGroup
	for i := range errs {
		writers.Go(func() {
			for range due {
				if errs[i] == nil {
					errs[i] = p.commit(ctx, "note")
				}
			}
		})
	}
	ticker := time.NewTicker(time.Second / feedRate)
	defer ticker.Stop()
	for range events {
		<-ticker.C
		due <- struct{}{}
	}
	close(due)
	writers.Wait()
	return errors.Join(errs...)
}

// held is what the process holds, after what it no longer needs is gone.
func held() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse + stats.StackInuse)
}

func (r *Result) feedTable(b *strings.Builder) {
	f := r.Feed
	rate := func(events int64, took time.Duration) string {
		return thousands(int64(float64(events) / took.Seconds()))
	}
	b.WriteString("| feed of changes | measured | beside it | ratio | target |\n|---|---:|---:|---:|---:|\n")
	fmt.Fprintf(b, "| events of a first sync, published while somebody decides | %s in %s: %s/s | | | |\n", thousands(f.Events), seconds(f.Append), rate(f.Events, f.Append))
	fmt.Fprintf(b, "| replay from the first event on, inside the server | %s/s | | | ≥ 50,000/s |\n", rate(f.Events, f.Replay))
	fmt.Fprintf(b, "| decision until it is told, p50 | %s ms (%d) | quiet: %s ms | %.2f | |\n", milliseconds(f.Loud.P50), f.Loud.Of, milliseconds(f.Quiet.P50), f.Loud.P50.Seconds()/f.Quiet.P50.Seconds())
	fmt.Fprintf(b, "| decision until it is told, p99 | %s ms (%d) | quiet: %s ms | %.2f | ≤ 2 |\n", milliseconds(f.Loud.P99), f.Loud.Of, milliseconds(f.Quiet.P99), f.Loud.P99.Seconds()/f.Quiet.P99.Seconds())
	fmt.Fprintf(b, "| transactions of %d writers, %s | %s/s, %s of them told after the last | with a sequence instead: %s/s | %.2f | ≥ 0.7 |\n", f.Writers, thousands(int64(f.Committed)),
		thousands(rounded(f.Told)), thousands(f.Left), thousands(rounded(f.Plain)), f.Told/f.Plain)
	fmt.Fprintf(b, "| memory of a subscriber that waits | %.1f kB | | | ≤ 60 kB |\n", float64(f.Idle)/1e3)
	for _, l := range f.Live {
		fmt.Fprintf(b, "| before the commit to the client, %s subscribers, %s events each at %.0f/s | p50 %s ms, p99 %s ms, %d late | | | p99 ≤ 150 ms at 1,000 |\n",
			thousands(int64(l.Subscribers)), thousands(int64(l.Sent)), l.Rate, milliseconds(l.P50), milliseconds(l.P99), l.Missing)
	}
	for _, p := range f.Past {
		fmt.Fprintf(b, "| %s as of before the last sync, p50 | %s ms | live: %s ms | %.1f | ≤ %d |\n", p.Name, milliseconds(p.Then), milliseconds(p.Now), p.Then.Seconds()/p.Now.Seconds(), p.Target)
	}
}

package authority

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

const (
	// tick is the least by which two events of an organization are apart.
	tick = time.Microsecond

	// few are so many paths that what follows from a decision is looked up one by
	// one, by plans that were made without knowing it.
	few = 100
)

// errOutdated ends a decision on what another version of the program judged.
var errOutdated = errors.New("judged by another version of the program")

// Decision is a person's word on what was judged, at its place on the
// organization's clock.
type Decision struct {
	At       time.Time
	WindowAt time.Time // where windows and thresholds end; zero before the first sync

	service *Service
	tx      *db.Tx
	judged  judged       // when the organization was, by rules and clusters that are this program's
	end     *db.Pipeline // what goes with the commit
	again   bool         // the work tables are here, and hold what a small decision left
	events  int          // of the feed, that it gives at most
}

// Happened says that the decision changed n exposures, for the feed.
func (d *Decision) Happened(n int) { d.events += n }

// Decide runs what a person decides. From its beginning to the commit nothing is
// judged and nobody else decides, so that what decide reads is what it changes. Look
// adds what is read as soon as it is this decision's turn; null for nothing.
// Whether the caller may is the caller's to check.
func (s *Service) Decide(ctx context.Context, organization id.ID, look func(p *db.Pipeline), decide func(tx *db.Tx, d *Decision) error) error {
	attempt := func() error {
		var d *Decision
		err := s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
			d = &Decision{service: s, tx: tx, end: tx.Pipeline()}
			if err := d.begin(ctx, organization, look); err != nil {
				return err
			}
			if err := decide(tx, d); err != nil {
				return err
			}
			if d.events > 0 {
				s.feed.Note(ctx, d.end, outbox.Occurrence{At: d.At, Cause: outbox.Decision, Urgent: true, Size: d.events})
			}
			return d.end.Commit(ctx)
		})
		if err == nil {
			s.feed.Committed(organization)
			s.current.keep(organization, d.judged)
		}
		return err
	}
	err := attempt()
	if !errors.Is(err, errOutdated) {
		return err
	}
	if _, err := s.judge(ctx, organization, judging{cause: ByVersion, everything: true}); err != nil {
		return err
	}
	return attempt()
}

// begin waits for whoever judges and takes the decision's place on the clock.
//
// While a sync is under way its own place is taken and not to be seen. It lies a
// second above everything that could be seen then, so that decisions fit below it
// one tick apart.
func (d *Decision) begin(ctx context.Context, organization id.ID, look func(p *db.Pipeline)) error {
	type beginning struct {
		Ready, Known, Idle bool
		Locked             string
	}
	type clock struct{ At, WindowAt, SyncAt, EvaluationAt *time.Time }
	p := d.tx.Pipeline()
	begun := db.Queue[beginning](p, syncQueries.Get("begin_decision"), nil)
	clocks := db.Queue[clock](p, syncQueries.Get("decision_clock"), nil)
	var prepared Prepared
	found, known := d.service.current.of(organization)
	if !known {
		prepared = d.service.assessor.Prepare(p)
	}
	if look != nil {
		look(p)
	}
	if err := p.Send(ctx); err != nil {
		return err
	}
	held, last := (*begun)[0], (*clocks)[0]
	if !held.Known {
		return access.OrganizationNotFound()
	}
	d.again, d.judged = held.Ready, judgedAt(last.SyncAt, last.EvaluationAt)
	now := d.service.now().UTC().Truncate(tick)
	switch {
	case last.At == nil:
		d.At = now
	case held.Idle && now.After(last.At.Add(tick)):
		d.At = now
	default:
		d.At = last.At.UTC().Add(tick)
	}
	if last.WindowAt == nil {
		return nil
	}
	d.WindowAt = last.WindowAt.UTC()
	if known && found == d.judged {
		return nil
	}
	return d.check(ctx, prepared)
}

// check refuses where others than this program's rules and clusters have judged.
// Prepared is null where they were not read yet.
func (d *Decision) check(ctx context.Context, prepared Prepared) error {
	if prepared == nil {
		p := d.tx.Pipeline()
		prepared = d.service.assessor.Prepare(p)
		if err := p.Send(ctx); err != nil {
			return err
		}
	}
	outdated, err := prepared(ctx, d.At)
	if err == nil && outdated {
		err = errOutdated
	}
	return err
}

// Follow runs what decides, which the pipeline holds, and brings everything that
// counts the exposures of these paths to what is decided of them then.
func (d *Decision) Follow(ctx context.Context, p *db.Pipeline, paths []id.ID) error {
	if err := d.follow(ctx, p, paths); err != nil {
		return err
	}
	return p.Send(ctx)
}

// FollowLast is Follow where nothing comes behind it: what decides has run then, and
// what counts it goes with the commit.
func (d *Decision) FollowLast(ctx context.Context, p *db.Pipeline, paths []id.ID) error {
	d.end = p
	return d.follow(ctx, p, paths)
}

// follow leaves in the pipeline what Follow ends with. What decides has run.
func (d *Decision) follow(ctx context.Context, p *db.Pipeline, paths []id.ID) error {
	if len(paths) == 0 {
		return p.Send(ctx)
	}
	assessment := Assessment{At: d.At, WindowAt: d.WindowAt, Few: len(paths) <= few}
	again := d.again && assessment.Few
	if err := d.makeRoom(ctx, again, assessment.Few); err != nil {
		return err
	}
	p.Exec(syncQueries.Get("recall_paths"), pgx.StrictNamedArgs{"paths": paths})
	if !assessment.Few {
		p.Local().Exec(syncQueries.Get("analyze_desired"), nil)
	}
	return d.service.assessor.Follow(ctx, p, assessment, again, func() { p.Exec(syncQueries.Get("update_masks"), nil) })
}

// makeRoom makes the tables to work in, where a decision before this one did not
// leave them as this one takes them.
func (d *Decision) makeRoom(ctx context.Context, again, small bool) error {
	if again {
		return nil
	}
	settings := "work_memory"
	if small {
		settings = "forget_work"
	}
	if err := d.tx.Script(ctx, syncQueries.Get(settings)); err != nil {
		return err
	}
	return openWork(ctx, d.tx, d.service.assessor, small)
}

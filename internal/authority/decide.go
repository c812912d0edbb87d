package authority

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// tick is the least by which two events of an organization are apart.
const tick = time.Microsecond

// errOutdated ends a decision on what another version of the program judged.
var errOutdated = errors.New("judged by another version of the program")

// Decision is a person's word on what was judged, at its place on the
// organization's clock.
type Decision struct {
	At       time.Time
	WindowAt time.Time // where windows and thresholds end; zero before the first sync

	service *Service
	tx      *db.Tx
}

// Decide runs what a person decides. From its beginning to the commit nothing is
// judged and nobody else decides, so that what decide reads is what it changes.
// Whether the caller may is the caller's to check.
func (s *Service) Decide(ctx context.Context, organization id.ID, decide func(tx *db.Tx, d *Decision) error) error {
	attempt := func() error {
		return s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
			d := &Decision{service: s, tx: tx}
			if err := d.begin(ctx); err != nil {
				return err
			}
			return decide(tx, d)
		})
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
func (d *Decision) begin(ctx context.Context) error {
	exists, err := db.Column[bool](ctx, d.tx, syncQueries.Get("organization_exists"), nil)
	if err != nil {
		return err
	}
	if !exists[0] {
		return access.OrganizationNotFound()
	}
	type lock struct {
		Idle   bool
		Locked string
	}
	held, err := db.First[lock](ctx, d.tx, syncQueries.Get("lock_decision"), nil)
	if err != nil {
		return err
	}
	type clock struct{ At, WindowAt *time.Time }
	last, err := db.First[clock](ctx, d.tx, syncQueries.Get("decision_clock"), nil)
	if err != nil {
		return err
	}
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
	outdated, err := d.service.assessor.Prepare(ctx, d.tx, d.At)
	if err == nil && outdated {
		err = errOutdated
	}
	return err
}

// Follow brings everything that counts the exposures of these paths to what is
// decided of them now.
func (d *Decision) Follow(ctx context.Context, paths []id.ID) error {
	if len(paths) == 0 {
		return nil
	}
	for _, script := range []string{"nested_loops", "create_work"} {
		if err := d.tx.Script(ctx, syncQueries.Get(script)); err != nil {
			return err
		}
	}
	if _, err := d.exec(ctx, "recall_paths", pgx.StrictNamedArgs{"paths": paths}); err != nil {
		return err
	}
	assessment := Assessment{At: d.At, WindowAt: d.WindowAt}
	if err := d.service.assessor.Follow(ctx, d.tx, assessment); err != nil {
		return err
	}
	if _, err := d.exec(ctx, "update_masks", nil); err != nil {
		return err
	}
	return d.service.assessor.Summarize(ctx, d.tx, assessment)
}

func (d *Decision) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, d.tx, syncQueries.Get(name), args)
}

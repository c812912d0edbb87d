package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Window is the span that execution counts look back over.
const Window = 30 * 24 * time.Hour

const (
	// reserve is the room that a sync leaves on the clock below itself, for
	// what people do while it merges.
	reserve = time.Second

	// MaxAuthDepth bounds how many systems a workload may authenticate through.
	MaxAuthDepth = 8

	// bulk is the size of a difference from which statistics are worth their
	// time and nested loops are not.
	bulk = 10_000
)

// Sync takes what a source delivers through feed and makes it the source's
// statement. It commits all of it or nothing.
func (s *Service) Sync(ctx context.Context, request SyncRequest, feed func(record.Emitter) error) (*SyncReport, error) {
	organization := id.Organization(request.Organization)
	if err := access.Require(ctx, organization, access.Operate); err != nil {
		return nil, err
	}
	delivery, err := s.accept(ctx, request, organization)
	if err != nil {
		return nil, err
	}
	err = s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
		delivery.tx = tx
		return delivery.run(ctx, feed)
	})
	if err != nil && !errors.Is(err, errNothingToWrite) {
		return nil, err
	}
	if err == nil {
		s.feed.Committed(organization)
	}
	s.log.InfoContext(ctx, "sync", "organization", request.Organization, "source", delivery.report.Source, "system", delivery.report.System,
		"outcome", delivery.report.Outcome, "version", delivery.report.Version, "records", delivery.report.Records.Read,
		"rejected", delivery.report.Records.Rejected, "paths_added", delivery.report.Paths.Added,
		"paths_changed", delivery.report.Paths.Changed, "paths_removed", delivery.report.Paths.Removed,
		"exposures_opened", delivery.report.Exposures.Opened, "exposures_resolved", delivery.report.Exposures.Resolved)
	return delivery.report, nil
}

// errNothingToWrite rolls a delivery back that turned out to be known.
var errNothingToWrite = errors.New("nothing to write")

// delivery is one sync on its way through the statements of sync.sql.
type delivery struct {
	service      *Service
	request      SyncRequest
	organization id.ID
	source       id.ID
	actor        string
	now          time.Time
	tx           *db.Tx
	stage        *stage
	ready        bool // the work tables are here, as openStage found them
	derived      *derivation
	report       *SyncReport

	complete bool
	at       time.Time
	syncID   id.ID
	content  id.ID
	previous sourceState
}

type sourceState struct {
	LastObservedAt  *time.Time
	LastCompleteAt  *time.Time
	LastAppliedAt   *time.Time
	ContentDigest   *id.ID
	Scans           bool
	CoverageExpired bool
}

func (s *Service) accept(ctx context.Context, request SyncRequest, organization id.ID) (*delivery, error) {
	actor, _ := access.From(ctx)
	if request.Source == "" {
		request.Source = request.Format
	}
	if request.System == "" {
		request.System = request.Format
	}
	if request.Progress == nil {
		request.Progress = unwatched{}
	}
	if bad := badKey(request.Source, request.System); bad != "" {
		return nil, problem.New(problem.Invalid, "INVALID_TEXT", "the name of the source or system %s", bad).On("source")
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	if request.ObservedAt.IsZero() {
		request.ObservedAt = now
	}
	request.ObservedAt = request.ObservedAt.UTC().Truncate(time.Microsecond)
	if request.ObservedAt.After(now.Add(clockSkew)) {
		return nil, problem.New(problem.Invalid, "TIME_IN_FUTURE",
			"the delivery was observed at %s, which is in the future; the server's clock says %s",
			request.ObservedAt.Format(time.RFC3339), now.Format(time.RFC3339)).On("observedAt")
	}
	return &delivery{
		service: s, request: request, organization: organization, now: now, actor: actor.Subject,
		source: id.Source(organization, request.Source, request.System),
		report: &SyncReport{
			Organization: request.Organization, Source: request.Source, System: request.System, Format: request.Format,
			ObservedAt: request.ObservedAt, Rejections: []record.Rejection{}, Warnings: []record.Warning{},
		},
	}, nil
}

func (d *delivery) run(ctx context.Context, feed func(record.Emitter) error) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	if err := d.receive(ctx, feed); err != nil {
		return err
	}
	if err := d.apply(ctx); err != nil {
		return err
	}
	p := d.tx.Pipeline()
	d.service.feed.Note(ctx, p, outbox.Occurrence{At: d.at, Cause: outbox.Sync, Size: d.report.events()})
	return p.Send(ctx)
}

// apply makes what was received the source's statement.
func (d *delivery) apply(ctx context.Context) error {
	d.request.Progress.Phase(PhaseMerging)
	// From here to the commit this organization has one sync at a time.
	if _, err := d.exec(ctx, "lock_organization", nil); err != nil {
		return err
	}
	if err := d.reserve(ctx); err != nil {
		return err
	}
	known, err := d.recognise(ctx)
	if err != nil || known {
		return err
	}
	derived := d.derived
	derived.At, derived.version, derived.lastSeen = d.at, d.report.Version, d.previous.LastCompleteAt
	changes, err := d.mergeLane(ctx)
	if err != nil {
		return err
	}
	// Before anything is derived: what the source claims is as fresh as this
	// delivery.
	if err := d.updateSource(ctx); err != nil {
		return err
	}
	if d.previous.CoverageExpired {
		derived.renewed = &d.source
	}
	if changes > 0 || d.previous.CoverageExpired {
		if err := derived.derive(ctx, changes); err != nil {
			return err
		}
	}
	d.report.Entities, d.report.Paths, d.report.Exposures = derived.entities, derived.paths, derived.exposures
	d.report.Rotations = derived.rotations
	if err := d.conclude(ctx, changes > 0); err != nil {
		return err
	}
	return derived.release(ctx)
}

// enter makes sure that the organization exists. An organization that the
// delivery creates is created in its transaction, so a refused delivery leaves
// none behind.
func (d *delivery) enter(ctx context.Context) error {
	exists, err := db.Column[bool](ctx, d.tx, syncQueries.Get("organization_exists"), nil)
	if err != nil || exists[0] {
		return err
	}
	if !d.request.CreateOrganization {
		return access.OrganizationNotFound()
	}
	_, err = new(org.Store).Create(ctx, d.tx, d.request.Organization, d.request.Organization, d.now)
	return err
}

// receive stages the delivery.
func (d *delivery) receive(ctx context.Context, feed func(record.Emitter) error) error {
	d.request.Progress.Phase(PhaseReceiving)
	ready, err := openStage(ctx, d.tx)
	if err != nil {
		return err
	}
	if _, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("clear_stage"), nil); err != nil {
		return err
	}
	d.ready = ready
	d.derived = &derivation{tx: d.tx, assessor: d.service.assessor, surface: d.service.surface, scan: d.request.Scan, progress: d.request.Progress, Assessment: Assessment{Few: true, small: d.service.small}}
	d.stage = newStage(ctx, d.tx, d.organization, d.request, d.now)
	if err = d.openSurface(ctx); err == nil {
		err = feed(d.stage)
	}
	if err := d.stage.finish(err); err != nil {
		return err
	}
	d.content = d.stage.digest.sum()
	if err := d.refuseIfStrict(); err != nil {
		return err
	}
	rows := int64(d.stage.read)
	if d.stage.surface != nil {
		rows = d.stage.surface.Rows()
	}
	return d.derived.Filled(ctx, d.tx, &rows)
}

func (d *delivery) refuseIfStrict() error {
	if d.request.Strict && d.stage.rejects.count > 0 {
		return refusal(d.stage.rejects.sorted()[0], d.stage.rejects.count)
	}
	return nil
}

// refusal is the answer to a strict delivery with rejected records.
func refusal(first record.Rejection, count int) error {
	return problem.New(problem.Invalid, first.Code, "%s (strict: nothing was applied; %d records are at fault)", first.Reason, count).
		At(first.File, first.Line)
}

// reserve takes the delivery's place on the organization's clock.
func (d *delivery) reserve(ctx context.Context) error {
	at, version, err := place(ctx, d.tx, d.request.ObservedAt)
	if err != nil {
		return err
	}
	d.at, d.report.At = at, at
	d.report.Version = version + 1
	d.complete = !d.request.Partial && d.stage.rejects.count == 0

	digest := id.New("sync/1").ID(d.source).Text(stamp(d.request.ObservedAt)).ID(d.content)
	if d.request.Partial {
		digest.Text("partial")
	}
	d.syncID = digest.Short()
	d.report.SyncID = d.syncID
	return nil
}

// place finds a place on the organization's clock: not before the wish and above
// everything that has happened, with room below it. The version is that of the
// last sync.
func place(ctx context.Context, tx *db.Tx, wish time.Time) (at time.Time, version int64, err error) {
	type clock struct {
		At      *time.Time
		Version int64
	}
	last, err := db.First[clock](ctx, tx, syncQueries.Get("clock"), nil)
	if err != nil {
		return at, 0, err
	}
	if last.At != nil && wish.Before(last.At.Add(reserve)) {
		wish = last.At.Add(reserve).UTC()
	}
	return wish, last.Version, nil
}

// recognise ends a delivery that was applied before, comes late or says
// nothing new.
func (d *delivery) recognise(ctx context.Context) (known bool, err error) {
	if repeated, err := d.repeated(ctx); err != nil || repeated {
		return repeated, err
	}
	state, err := db.First[sourceState](ctx, d.tx, syncQueries.Get("source_state"), pgx.StrictNamedArgs{"source": d.source})
	if err != nil {
		return false, err
	}
	if state == nil {
		_, err := d.exec(ctx, "add_source", pgx.StrictNamedArgs{
			"source": d.source, "name": d.request.Source, "system": d.request.System, "format": d.request.Format, "scans": d.request.Scan, "at": d.at})
		return false, err
	}
	d.previous = *state
	if state.Scans != d.request.Scan {
		return false, d.otherKind()
	}
	if state.LastObservedAt != nil && d.request.ObservedAt.Before(*state.LastObservedAt) {
		d.warn("OBSERVED_EARLIER", "this delivery was observed at %s, before the source's last applied one (%s): it is recorded and not applied",
			d.request.ObservedAt.Format(time.RFC3339), state.LastObservedAt.Format(time.RFC3339))
		d.report.Outcome = Late
		d.request.Progress.Phase(PhaseCommitting)
		return true, d.record(ctx)
	}
	if d.complete && state.ContentDigest != nil && *state.ContentDigest == d.content && !state.CoverageExpired {
		if still, err := d.undisturbed(ctx); err != nil || !still {
			return false, err
		}
		if err := d.updateSource(ctx); err != nil {
			return true, err
		}
		return true, d.conclude(ctx, false)
	}
	return false, nil
}

// repeated answers a delivery that was applied before with its report, and
// writes nothing.
func (d *delivery) repeated(ctx context.Context) (bool, error) {
	earlier, err := db.First[SyncRow](ctx, d.tx, readQueries.Get("syncs_by_ids"), pgx.StrictNamedArgs{"ids": []id.ID{d.syncID}})
	if err != nil || earlier == nil {
		return false, err
	}
	if d.request.Strict && earlier.RecordsRejected > 0 { // it was taken when nobody was strict
		return false, refusal(earlier.Rejections[0], earlier.RecordsRejected)
	}
	d.report.Outcome, d.report.Version, d.report.At, d.report.Complete = Repeated, earlier.Version, earlier.At.UTC(), earlier.Complete
	if earlier.Outcome == Late {
		d.report.Outcome = Late
	}
	d.report.Records = RecordCounts{Read: earlier.RecordsRead, Accepted: earlier.RecordsRead - earlier.RecordsRejected, Rejected: earlier.RecordsRejected}
	d.report.Rejections, d.report.Warnings = earlier.Rejections, earlier.Warnings
	active, err := d.activePaths(ctx)
	d.report.Paths = PathCounts{Kept: active}
	return true, errors.Join(err, errNothingToWrite)
}

// conclude records the sync and what it leaves behind.
func (d *delivery) conclude(ctx context.Context, changed bool) error {
	d.request.Progress.Phase(PhaseCommitting)
	d.report.Outcome = Unchanged
	if changed || d.report.Paths != (PathCounts{}) || d.report.Exposures != (ExposureCounts{}) {
		d.report.Outcome = Applied
	}
	active, err := d.activePaths(ctx)
	if err != nil {
		return err
	}
	d.report.Paths.Kept = active - d.report.Paths.Added - d.report.Paths.Changed
	if err := d.record(ctx); err != nil {
		return err
	}
	if err := d.service.snapshot(ctx, d.tx, d.at, &d.syncID); err != nil {
		return err
	}
	if d.report.Rotations == 0 {
		return nil
	}
	if _, err := d.exec(ctx, "add_rotations", pgx.StrictNamedArgs{"at": d.at, "sync": d.syncID}); err != nil {
		return err
	}
	_, err = d.exec(ctx, "add_successions", pgx.StrictNamedArgs{"at": d.at})
	return err
}

func (d *delivery) updateSource(ctx context.Context) error {
	var digest *id.ID
	if d.complete {
		digest = &d.content
	}
	_, err := d.exec(ctx, "update_source", pgx.StrictNamedArgs{
		"source": d.source, "sync": d.syncID, "observed_at": d.request.ObservedAt, "at": d.at,
		"format": d.request.Format, "complete": d.complete, "content_digest": digest})
	return err
}

// record writes the sync's own row. Who decides something meanwhile waits: the
// clock moves with the row.
func (d *delivery) record(ctx context.Context) error {
	if _, err := d.exec(ctx, "lock_judgement", nil); err != nil {
		return err
	}
	r := d.report
	r.Complete = d.complete
	r.Records = RecordCounts{Read: d.stage.read, Accepted: d.stage.read - d.stage.rejects.count, Rejected: d.stage.rejects.count}
	r.Rejections = append(r.Rejections, d.stage.rejects.sorted()...)
	r.Warnings = append(r.Warnings, d.stage.warns...)
	rejections, err := json.Marshal(r.Rejections)
	if err != nil {
		return fmt.Errorf("rejections: %w", err)
	}
	warnings, err := json.Marshal(r.Warnings)
	if err != nil {
		return fmt.Errorf("warnings: %w", err)
	}
	_, err = d.exec(ctx, "add_sync", pgx.StrictNamedArgs{
		"sync": d.syncID, "source": d.source, "version": r.Version, "at": d.at, "observed_at": d.request.ObservedAt, "recorded_at": d.now,
		"actor": d.actor, "outcome": string(r.Outcome), "complete": d.complete, "content_digest": d.content,
		"records_read": r.Records.Read, "records_rejected": r.Records.Rejected,
		"paths_added": r.Paths.Added, "paths_kept": r.Paths.Kept, "paths_changed": r.Paths.Changed, "paths_removed": r.Paths.Removed,
		"exposures_opened": r.Exposures.Opened, "exposures_resolved": r.Exposures.Resolved,
		"assets_added": r.Assets.Added, "assets_changed": r.Assets.Changed, "assets_gone": r.Assets.Gone, "rejections": rejections, "warnings": warnings})
	return err
}

// events is how many events of the feed a sync gives at most: itself, and up to two
// for a path that changed and for an asset that is new or changed.
func (r *SyncReport) events() int {
	return 1 + r.Rotations + r.Paths.Added + 2*r.Paths.Changed + r.Paths.Removed + r.Exposures.Opened + r.Exposures.Resolved +
		2*r.Assets.Added + 2*r.Assets.Changed + r.Assets.Gone
}

func (d *delivery) activePaths(ctx context.Context) (int, error) {
	type count struct{ Active int }
	p := d.tx.Pipeline()
	p.Local().Exec(syncQueries.Get("plan_anew"), nil)
	counts := db.Queue[count](p, syncQueries.Get("count_active_paths"), nil)
	if d.derived.Few {
		p.Local().Exec(syncQueries.Get("plan_once"), nil)
	}
	if err := p.Send(ctx); err != nil {
		return 0, err
	}
	return (*counts)[0].Active, nil
}

func (d *delivery) warn(code, format string, args ...any) {
	d.report.Warnings = append(d.report.Warnings, record.Warning{Code: code, Message: fmt.Sprintf(format, args...)})
}

func (d *delivery) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, d.tx, syncQueries.Get(name), args)
}

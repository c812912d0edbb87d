package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
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

	// maxAuthDepth bounds how many systems a workload may authenticate through.
	maxAuthDepth = 8

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
	s.log.InfoContext(ctx, "sync", "organization", request.Organization, "source", delivery.report.Source, "system", delivery.report.System,
		"outcome", delivery.report.Outcome, "version", delivery.report.Version, "records", delivery.report.Records.Read,
		"rejected", delivery.report.Records.Rejected, "paths_added", delivery.report.Paths.Added,
		"paths_changed", delivery.report.Paths.Changed, "paths_removed", delivery.report.Paths.Removed)
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
	report       *SyncReport

	complete bool
	at       time.Time
	syncID   id.ID
	content  id.ID
	previous sourceState
	windowAt time.Time
}

type sourceState struct {
	LastObservedAt  *time.Time
	LastCompleteAt  *time.Time
	ContentDigest   *id.ID
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
	// From here to the commit this organization has one sync at a time.
	if _, err := d.exec(ctx, "lock_organization", nil); err != nil {
		return err
	}
	version, err := d.reserve(ctx)
	if err != nil {
		return err
	}
	known, err := d.recognise(ctx, version)
	if err != nil || known {
		return err
	}
	if err := d.check(ctx); err != nil {
		return err
	}
	changes, err := d.merge(ctx)
	if err != nil {
		return err
	}
	if changes > 0 || d.previous.CoverageExpired {
		if err := d.derive(ctx, changes); err != nil {
			return err
		}
	}
	return d.conclude(ctx, version, changes > 0)
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
	for _, script := range []string{"work_memory", "create_stage"} {
		if err := d.tx.Script(ctx, syncQueries.Get(script)); err != nil {
			return err
		}
	}
	d.stage = newStage(ctx, d.tx, d.organization, d.request.System, d.now)
	if err := feed(d.stage); err != nil {
		return err
	}
	if err := d.stage.finish(); err != nil {
		return err
	}
	d.content = d.stage.digest.sum()
	return d.refuseIfStrict()
}

func (d *delivery) refuseIfStrict() error {
	if d.request.Strict && d.stage.rejects.count > 0 {
		first := d.stage.rejects.sorted()[0]
		return problem.New(problem.Invalid, first.Code, "%s (strict: nothing was applied; %d records are at fault)", first.Reason, d.stage.rejects.count).
			At(first.File, first.Line)
	}
	return nil
}

// reserve takes the delivery's place on the organization's clock.
func (d *delivery) reserve(ctx context.Context) (version int64, err error) {
	type clock struct {
		At      *time.Time
		Version int64
	}
	last, err := db.First[clock](ctx, d.tx, syncQueries.Get("clock"), nil)
	if err != nil {
		return 0, err
	}
	d.at = d.request.ObservedAt
	if last.At != nil && d.at.Before(last.At.Add(reserve)) {
		d.at = last.At.Add(reserve).UTC()
	}
	d.report.At = d.at
	d.report.Version = last.Version + 1
	d.complete = !d.request.Partial && d.stage.rejects.count == 0

	digest := id.New("sync/1").ID(d.source).Text(stamp(d.request.ObservedAt)).ID(d.content)
	if d.request.Partial {
		digest.Text("partial")
	}
	d.syncID = digest.Short()
	d.report.SyncID = d.syncID
	return d.report.Version, nil
}

// recognise ends a delivery that was applied before, comes late or says
// nothing new.
func (d *delivery) recognise(ctx context.Context, version int64) (known bool, err error) {
	if repeated, err := d.repeated(ctx); err != nil || repeated {
		return repeated, err
	}
	state, err := db.First[sourceState](ctx, d.tx, syncQueries.Get("source_state"), pgx.StrictNamedArgs{"source": d.source, "at": d.at})
	if err != nil {
		return false, err
	}
	if state == nil {
		_, err := d.exec(ctx, "add_source", pgx.StrictNamedArgs{
			"source": d.source, "name": d.request.Source, "system": d.request.System, "format": d.request.Format, "at": d.at})
		return false, err
	}
	d.previous = *state
	if state.LastObservedAt != nil && d.request.ObservedAt.Before(*state.LastObservedAt) {
		d.warn("OBSERVED_EARLIER", "this delivery was observed at %s, before the source's last applied one (%s): it is recorded and not applied",
			d.request.ObservedAt.Format(time.RFC3339), state.LastObservedAt.Format(time.RFC3339))
		d.report.Outcome = Late
		return true, d.record(ctx, version)
	}
	if d.complete && state.ContentDigest != nil && *state.ContentDigest == d.content && !state.CoverageExpired {
		return true, d.conclude(ctx, version, false)
	}
	return false, nil
}

// repeated answers a delivery that was applied before with its report, and
// writes nothing.
func (d *delivery) repeated(ctx context.Context) (bool, error) {
	type row struct {
		Version         int64
		At              time.Time
		Outcome         Outcome
		Complete        bool
		RecordsRead     int
		RecordsRejected int
		PathsAdded      int
		PathsKept       int
		PathsChanged    int
		PathsRemoved    int
		Rejections      []record.Rejection
		Warnings        []record.Warning
	}
	earlier, err := db.First[row](ctx, d.tx, syncQueries.Get("sync_by_id"), pgx.StrictNamedArgs{"sync": d.syncID})
	if err != nil || earlier == nil {
		return false, err
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

// check rejects what only the whole delivery and the database can tell:
// records said twice, and references to nothing.
func (d *delivery) check(ctx context.Context) error {
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_stage")); err != nil {
		return err
	}
	type row struct {
		What      string
		File      int32
		Line      int32
		EntityID  id.ID
		FromKnown bool
	}
	type twice struct {
		What     string
		File     int32
		Line     int32
		EntityID id.ID
	}
	duplicates, err := db.Select[twice](ctx, d.tx.Local(), syncQueries.Get("reject_duplicates"), nil)
	if err != nil {
		return err
	}
	for _, r := range duplicates {
		d.rejectRow(r.File, r.Line, r.EntityID, "DUPLICATE_RECORD", fmt.Sprintf("this %s record is said twice in the delivery; the first one stands", r.What))
	}
	d.complete = d.complete && len(duplicates) == 0

	dangling, err := db.Select[row](ctx, d.tx, syncQueries.Get("reject_dangling"),
		pgx.StrictNamedArgs{"source": d.source, "complete": d.complete, "nil": id.Nil})
	if err != nil {
		return err
	}
	for _, r := range dangling {
		missing := "an entity"
		if _, isEdge := edgeEnds[record.EdgeKind(r.What)]; isEdge {
			missing = "an entity to start from"
			if r.FromKnown {
				missing = "an entity to end at"
			}
		}
		d.rejectRow(r.File, r.Line, r.EntityID, "DANGLING_REFERENCE",
			fmt.Sprintf("this %s record names %s that neither this delivery nor another source asserts", r.What, missing))
	}
	d.complete = d.complete && len(dangling) == 0
	if err := d.refuseIfStrict(); err != nil {
		return err
	}
	return d.lowerCoverage(ctx)
}

func (d *delivery) rejectRow(file, line int32, entity id.ID, code, reason string) {
	d.stage.rejects.add(record.Rejection{Position: d.stage.position(file, line), Code: code, Reason: reason})
	if entity == id.Nil {
		d.stage.blind = true
		return
	}
	d.stage.touched = append(d.stage.touched, entity)
}

// lowerCoverage makes the coverage of what rejected records touched partial.
func (d *delivery) lowerCoverage(ctx context.Context) error {
	if d.stage.rejects.count == 0 {
		return nil
	}
	// What the source claimed before is in doubt as well.
	if _, err := d.exec(ctx, "carry_coverage", pgx.StrictNamedArgs{"source": d.source}); err != nil {
		return err
	}
	slices.SortFunc(d.stage.touched, func(a, b id.ID) int { return slices.Compare(a[:], b[:]) })
	entities := slices.Compact(d.stage.touched)
	if entities == nil {
		entities = []id.ID{}
	}
	if _, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("lower_coverage"),
		pgx.StrictNamedArgs{"everything": d.stage.blind, "entities": entities}); err != nil {
		return err
	}
	if d.stage.blind {
		return nil
	}
	_, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("lower_entity_coverage"), pgx.StrictNamedArgs{"entities": entities, "nil": id.Nil})
	return err
}

// merge makes the delivery's statements the source's statements and counts
// what differed.
func (d *delivery) merge(ctx context.Context) (changes int64, err error) {
	if err := d.tx.Script(ctx, syncQueries.Get("create_work")); err != nil {
		return 0, err
	}
	said := pgx.StrictNamedArgs{"source": d.source, "complete": d.complete}
	voice := pgx.StrictNamedArgs{"source": d.source}
	dated := pgx.StrictNamedArgs{"source": d.source, "at": d.at}

	entities, err := d.exec(ctx, "diff_entities", said)
	if err != nil {
		return 0, err
	}
	edges, err := d.exec(ctx, "diff_edges", said)
	if err != nil {
		return 0, err
	}
	egresses, err := d.exec(ctx, "diff_egress", said)
	if err != nil {
		return 0, err
	}
	coverages, err := d.exec(ctx, "diff_coverage", said)
	if err != nil {
		return 0, err
	}
	evidence, err := d.exec(ctx, "diff_evidence", voice)
	if err != nil {
		return 0, err
	}
	changes = entities + edges + egresses + coverages + evidence
	if changes == 0 {
		return 0, nil
	}
	if err := d.warnOfLoss(ctx, entities); err != nil {
		return 0, err
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_diff")); err != nil {
		return 0, err
	}
	if changes > bulk {
		if err := d.tx.Script(ctx, syncQueries.Get("prefer_hash_joins")); err != nil {
			return 0, err
		}
	}
	steps := []struct {
		skip bool
		name string
		args pgx.StrictNamedArgs
	}{
		{entities == 0, "retract_entities", voice},
		{entities == 0, "assert_entities", voice},
		{edges == 0, "remember_identities", nil},
		{edges == 0, "retract_edges", voice},
		{edges == 0, "assert_edges", voice},
		{egresses == 0, "retract_egress", voice},
		{egresses == 0, "assert_egress", voice},
		{coverages == 0, "retract_coverage", voice},
		{coverages == 0, "assert_coverage", dated},
		{evidence == 0, "assert_evidence", dated},
	}
	for _, step := range steps {
		if step.skip {
			continue
		}
		if _, err := d.exec(ctx, step.name, step.args); err != nil {
			return 0, err
		}
	}
	return changes, nil
}

// touchWindow opens the organization's window with its first sync.
func (d *delivery) touchWindow(ctx context.Context) error {
	window, err := db.Column[time.Time](ctx, d.tx, syncQueries.Get("window_at"), nil)
	if err != nil {
		return err
	}
	if len(window) > 0 {
		d.windowAt = window[0]
		return nil
	}
	d.windowAt = d.at
	_, err = d.exec(ctx, "add_window", pgx.StrictNamedArgs{"at": d.at})
	return err
}

// warnOfLoss says so when a complete delivery takes back most of what the
// source said: more often a broken connector than a demolition.
func (d *delivery) warnOfLoss(ctx context.Context, entities int64) error {
	if !d.complete || entities == 0 || d.previous.LastCompleteAt == nil {
		return nil
	}
	type loss struct{ Gone, Before int64 }
	count, err := db.First[loss](ctx, d.tx, syncQueries.Get("count_loss"), pgx.StrictNamedArgs{"source": d.source})
	if err != nil {
		return err
	}
	if count.Gone*2 > count.Before {
		d.warn("REMOVES_MOST", "this complete delivery takes back %d of the %d entities that the source asserted; if the source saw only a part, import it with --partial",
			count.Gone, count.Before)
	}
	return nil
}

// derive works out again what the changes touch.
func (d *delivery) derive(ctx context.Context, changes int64) error {
	if err := d.touchWindow(ctx); err != nil { // also where nothing changed but coverage is renewed
		return err
	}
	if err := d.deriveEntities(ctx, changes); err != nil {
		return err
	}
	touched, err := d.deriveContext(ctx)
	if err != nil || touched == 0 {
		return err
	}
	return d.derivePaths(ctx)
}

func (d *delivery) deriveEntities(ctx context.Context, changes int64) error {
	at := pgx.StrictNamedArgs{"at": d.at}
	if changes > bulk { // the assertions are new to the planner
		if _, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("analyze_authority"), nil); err != nil {
			return err
		}
	}
	for _, name := range []string{"derive_entities", "add_access_classes", "classify_entities", "diff_entity_rows"} {
		if _, err := d.exec(ctx, name, nil); err != nil {
			return err
		}
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_entities")); err != nil {
		return err
	}
	if _, err := d.exec(ctx, "keep_entity_versions", at); err != nil {
		return err
	}
	var err error
	count := func(name string) int {
		if err != nil {
			return 0
		}
		var rows int64
		rows, err = d.exec(ctx, name, at)
		return int(rows)
	}
	d.report.Entities = ChangeCounts{Changed: count("update_entities"), Removed: count("remove_entities"), Added: count("add_entities")}
	if err != nil || changes <= bulk {
		return err
	}
	_, err = db.Exec(ctx, d.tx.Local(), syncQueries.Get("analyze_authority"), nil)
	return err
}

// deriveContext finds what is touched and renews the ownership and egress of
// the touched workloads.
func (d *delivery) deriveContext(ctx context.Context) (touched int64, err error) {
	bindings, err := db.Column[bool](ctx, d.tx.Local(), syncQueries.Get("bindings_changed"), nil)
	if err != nil {
		return 0, err
	}
	touched, err = d.exec(ctx, "touch", pgx.StrictNamedArgs{"nil": id.Nil, "bindings_changed": bindings[0]})
	if err != nil {
		return 0, err
	}
	if d.previous.CoverageExpired {
		more, err := d.exec(ctx, "touch_expired_context", pgx.StrictNamedArgs{"source": d.source, "nil": id.Nil})
		if err != nil {
			return 0, err
		}
		touched += more
	}
	if touched == 0 {
		return 0, nil
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_touched")); err != nil {
		return 0, err
	}
	// The source's own coverage is as fresh as this delivery.
	if err := d.updateSource(ctx); err != nil {
		return 0, err
	}
	contexts, err := d.exec(ctx, "derive_context", pgx.StrictNamedArgs{"at": d.at, "nil": id.Nil})
	if err != nil || contexts == 0 {
		return touched, err
	}
	for _, name := range []string{"keep_context_versions", "update_context"} {
		if _, err := d.exec(ctx, name, pgx.StrictNamedArgs{"at": d.at}); err != nil {
			return 0, err
		}
	}
	return touched, nil
}

func (d *delivery) derivePaths(ctx context.Context) error {
	if _, err := d.exec(ctx, "derive_bindings", pgx.StrictNamedArgs{"max_depth": maxAuthDepth}); err != nil {
		return err
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_binding")); err != nil {
		return err
	}
	if _, err := d.exec(ctx, "derive_reach", nil); err != nil {
		return err
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_reach")); err != nil {
		return err
	}
	for _, name := range []string{"derive_paths", "derive_unbound_paths", "derive_context_paths"} {
		if _, err := d.exec(ctx, name, nil); err != nil {
			return err
		}
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_desired")); err != nil {
		return err
	}
	known, err := db.Column[bool](ctx, d.tx, syncQueries.Get("execution_known"), nil)
	if err != nil {
		return err
	}
	if known[0] {
		_, err := d.exec(ctx, "derive_execution", pgx.StrictNamedArgs{
			"at": d.at, "nil": id.Nil, "window_at": d.windowAt, "window_start": d.windowAt.Add(-Window)})
		if err != nil {
			return err
		}
	}
	return d.writePaths(ctx)
}

// writePaths writes what differs, keeping what was.
func (d *delivery) writePaths(ctx context.Context) error {
	differing, err := d.exec(ctx, "diff_paths", nil)
	if err != nil || differing == 0 {
		return err
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_path_diff")); err != nil {
		return err
	}
	type counts struct{ Added, Revived, Changed, Removed int }
	count, err := db.First[counts](ctx, d.tx.Local(), syncQueries.Get("count_path_diff"), nil)
	if err != nil {
		return err
	}
	d.report.Paths = PathCounts{Added: count.Added + count.Revived, Changed: count.Changed, Removed: count.Removed}

	dated := pgx.StrictNamedArgs{"at": d.at, "sync_version": d.report.Version}
	if count.Revived+count.Changed+count.Removed > 0 {
		if _, err := d.exec(ctx, "keep_path_versions", pgx.StrictNamedArgs{"at": d.at}); err != nil {
			return err
		}
	}
	if count.Revived+count.Changed > 0 {
		if _, err := d.exec(ctx, "update_paths", dated); err != nil {
			return err
		}
	}
	if count.Removed > 0 {
		args := pgx.StrictNamedArgs{"at": d.at, "sync_version": d.report.Version, "last_complete_at": d.previous.LastCompleteAt}
		if _, err := d.exec(ctx, "remove_paths", args); err != nil {
			return err
		}
	}
	if count.Added > 0 {
		_, err = d.exec(ctx, "add_paths", dated)
	}
	return err
}

// conclude records the sync and what it leaves behind.
func (d *delivery) conclude(ctx context.Context, version int64, changed bool) error {
	d.report.Outcome = Unchanged
	if changed || d.report.Paths != (PathCounts{}) {
		d.report.Outcome = Applied
	}
	if d.windowAt.IsZero() && changed {
		return fmt.Errorf("sync %s changed something without a window", d.syncID)
	}
	active, err := d.activePaths(ctx)
	if err != nil {
		return err
	}
	d.report.Paths.Kept = active - d.report.Paths.Added - d.report.Paths.Changed
	if err := d.updateSource(ctx); err != nil {
		return err
	}
	if err := d.record(ctx, version); err != nil {
		return err
	}
	if !changed {
		return nil
	}
	rotations, err := d.exec(ctx, "add_rotations", pgx.StrictNamedArgs{"at": d.at, "sync": d.syncID})
	if err != nil || rotations == 0 {
		return err
	}
	d.report.Rotations = int(rotations)
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

// record writes the sync's own row.
func (d *delivery) record(ctx context.Context, version int64) error {
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
		"sync": d.syncID, "source": d.source, "version": version, "at": d.at, "observed_at": d.request.ObservedAt, "recorded_at": d.now,
		"actor": d.actor, "outcome": string(r.Outcome), "complete": d.complete, "content_digest": d.content,
		"records_read": r.Records.Read, "records_rejected": r.Records.Rejected,
		"paths_added": r.Paths.Added, "paths_kept": r.Paths.Kept, "paths_changed": r.Paths.Changed, "paths_removed": r.Paths.Removed,
		"rejections": rejections, "warnings": warnings})
	return err
}

func (d *delivery) activePaths(ctx context.Context) (int, error) {
	active, err := db.Column[int64](ctx, d.tx, syncQueries.Get("count_active_paths"), nil)
	if err != nil {
		return 0, err
	}
	return int(active[0]), nil
}

func (d *delivery) warn(code, format string, args ...any) {
	d.report.Warnings = append(d.report.Warnings, record.Warning{Code: code, Message: fmt.Sprintf(format, args...)})
}

func (d *delivery) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, d.tx, syncQueries.Get(name), args)
}

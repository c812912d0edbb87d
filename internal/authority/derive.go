package authority

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// derivation works out again what follows from the changes of a transaction,
// and counts what that did.
type derivation struct {
	Assessment

	tx       *db.Tx
	assessor Assessor
	surface  Surface // null: there are no assets
	scan     bool    // the changes are those of assets
	progress Progress
	version  int64      // of the sync that what changes was changed by
	renewed  *id.ID     // the source whose expired coverage this renews
	lastSeen *time.Time // by the source, before this: when what it takes back was last confirmed

	entities  ChangeCounts
	paths     PathCounts
	exposures ExposureCounts
	rotations int
	added     int64 // of paths, those that never stood before
}

// derive works out again what the changes touch.
func (d *derivation) derive(ctx context.Context, changes int64) error {
	d.progress.Phase(PhaseDeriving)
	d.Large = changes > bulk && !d.scan // what is then told to the planner is about paths
	p := d.tx.Pipeline()
	window := db.Queue[window](p, syncQueries.Get("window_at"), nil)
	p.Exec(syncQueries.Get("lock_judgement"), nil)
	prepared := d.assessor.Prepare(p)
	if err := p.Send(ctx); err != nil {
		return err
	}
	if err := d.openWindow(ctx, *window); err != nil { // also where nothing changed but coverage is renewed
		return err
	}
	if d.First && !d.Few && !d.scan { // what comes next is planned by what the planner learns now
		d.Large = true
	}
	everything, err := prepared(ctx, d.At)
	if err != nil {
		return err
	}
	d.Everything = everything
	touched, err := d.touch(ctx)
	if err != nil {
		return err
	}
	return d.deriveTouched(ctx, touched)
}

// touch finds what follows from the changes, when the entities are derived.
func (d *derivation) touch(ctx context.Context) (touched int64, err error) {
	if d.scan {
		return d.linkSurface(ctx, true)
	}
	rebound, err := d.deriveEntities(ctx)
	if err != nil {
		return 0, err
	}
	linked, err := d.linkSurface(ctx, false)
	if err != nil {
		return 0, err
	}
	if d.First {
		touched, err = db.Exec(ctx, d.tx.Local(), syncQueries.Get("touch_first"), nil)
	} else {
		touched, err = d.exec(ctx, "touch", pgx.StrictNamedArgs{"nil": id.Nil, "bindings_changed": rebound})
	}
	if err != nil {
		return 0, err
	}
	touched += linked
	if d.renewed != nil {
		more, err := d.exec(ctx, "touch_expired_context", pgx.StrictNamedArgs{"source": *d.renewed, "nil": id.Nil})
		if err != nil {
			return 0, err
		}
		touched += more
	}
	return touched, nil
}

// deriveTouched works out again what so many rows of touched name, or all of the
// organization.
func (d *derivation) deriveTouched(ctx context.Context, touched int64) error {
	if d.Everything {
		all, err := d.exec(ctx, "touch_everything", nil)
		if err != nil {
			return err
		}
		touched += all
	}
	// One row of a delivery may touch any number of things.
	if err := d.Filled(ctx, d.tx, &touched); err != nil {
		return err
	}
	if d.Everything && touched > bulk && !d.Large {
		d.Large = true
		if err := d.tx.Script(ctx, syncQueries.Get("prefer_hash_joins")); err != nil {
			return err
		}
	}
	if touched == 0 {
		return nil
	}
	if err := d.analyze(ctx, "analyze_touched"); err != nil {
		return err
	}
	if err := d.deriveContext(ctx); err != nil {
		return err
	}
	return d.derivePaths(ctx)
}

// deriveEntities works out what all sources together say of the entities of the
// changes, and whether that changes who ends up with which identity.
func (d *derivation) deriveEntities(ctx context.Context) (rebound bool, err error) {
	if err := d.renew(ctx); err != nil { // the assertions are new to the planner
		return false, err
	}
	p := d.tx.Pipeline()
	for _, name := range []string{"derive_entities", "add_access_classes", "classify_entities", "diff_entity_rows"} {
		p.Exec(syncQueries.Get(name), nil)
	}
	if !d.Few {
		p.Local().Exec(syncQueries.Get("analyze_entities"), nil)
	}
	at := pgx.StrictNamedArgs{"at": d.At}
	p.Exec(syncQueries.Get("keep_entity_versions"), at)
	changed, removed, added := p.Exec(syncQueries.Get("update_entities"), at), p.Exec(syncQueries.Get("remove_entities"), at), p.Exec(syncQueries.Get("add_entities"), at)
	type bindings struct{ Changed bool }
	bound := db.Queue[bindings](p.Local(), syncQueries.Get("bindings_changed"), nil)
	if err := p.Send(ctx); err != nil {
		return false, err
	}
	d.entities = ChangeCounts{Changed: int(*changed), Removed: int(*removed), Added: int(*added)}
	return (*bound)[0].Changed, d.renew(ctx)
}

// analyze gives the planner the statistics of work tables that were just filled,
// unless they have so few rows that it goes without.
func (d *derivation) analyze(ctx context.Context, name string) error {
	if d.Few {
		return nil
	}
	return d.tx.Script(ctx, syncQueries.Get(name))
}

// renew renews the planner's knowledge of what a large change has filled.
func (d *derivation) renew(ctx context.Context) error {
	if !d.Large {
		return nil
	}
	_, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("analyze_authority"), nil)
	return err
}

// deriveContext renews the ownership and egress of the touched workloads.
func (d *derivation) deriveContext(ctx context.Context) error {
	p, at := d.tx.Pipeline(), pgx.StrictNamedArgs{"at": d.At}
	d.assessor.ClearWork(p)
	p.Exec(syncQueries.Get("derive_context"), pgx.StrictNamedArgs{"window_at": d.WindowAt, "nil": id.Nil})
	p.Exec(syncQueries.Get("keep_context_versions"), at)
	p.Exec(syncQueries.Get("update_context"), at)
	return p.Send(ctx)
}

// derivePaths derives the paths of what is touched. How many bindings and paths that
// makes does not follow from how much is touched: one identity may lead to all.
func (d *derivation) derivePaths(ctx context.Context) error {
	bindings, err := d.exec(ctx, "derive_bindings", pgx.StrictNamedArgs{"max_depth": MaxAuthDepth})
	if err != nil {
		return err
	}
	if err := d.filled(ctx, "analyze_binding", bindings); err != nil {
		return err
	}
	reached, err := d.exec(ctx, "derive_reach", nil)
	if err != nil {
		return err
	}
	if err := d.filled(ctx, "analyze_reach", reached); err != nil {
		return err
	}
	desired, err := d.exec(ctx, "derive_paths", nil)
	if err != nil {
		return err
	}
	if err := d.Filled(ctx, d.tx, &desired); err != nil {
		return err
	}
	p := d.tx.Pipeline()
	unbound, around := p.Exec(syncQueries.Get("derive_unbound_paths"), nil), p.Exec(syncQueries.Get("derive_context_paths"), nil)
	type execution struct{ Known bool }
	executions := db.Queue[execution](p, syncQueries.Get("execution_known"), nil)
	if err := p.Send(ctx); err != nil {
		return err
	}
	desired += *unbound + *around
	if err := d.filled(ctx, "analyze_desired", desired); err != nil {
		return err
	}
	if (*executions)[0].Known {
		_, err := d.exec(ctx, "derive_execution", pgx.StrictNamedArgs{
			"nil": id.Nil, "window_at": d.WindowAt, "window_start": d.WindowAt.Add(-Window)})
		if err != nil {
			return err
		}
	}
	return d.compare(ctx, desired)
}

// filled is Filled for rows of a table that is analyzed if they are not few.
func (d *derivation) filled(ctx context.Context, analyze string, rows int64) error {
	if err := d.Filled(ctx, d.tx, &rows); err != nil {
		return err
	}
	return d.analyze(ctx, analyze)
}

// compare finds what differs from what stands, has it judged, writes it, and has
// it summed up.
func (d *derivation) compare(ctx context.Context, desired int64) error {
	differing, err := d.exec(ctx, "diff_paths", nil)
	if err != nil {
		return err
	}
	if err := d.filled(ctx, "analyze_path_diff", differing); err != nil { // paths may go that nobody desires
		return err
	}
	rotations, err := d.exec(ctx, "find_rotations", nil)
	if err != nil {
		return err
	}
	d.rotations = int(rotations)
	if rotations > 0 {
		if _, err := d.exec(ctx, "find_successions", nil); err != nil {
			return err
		}
	}
	d.progress.Phase(PhaseJudging)
	if d.exposures, err = d.assessor.Assess(ctx, d.tx, &d.Assessment); err != nil {
		return err
	}
	if differing > 0 {
		d.progress.Phase(PhaseWriting)
		if err := d.writePaths(ctx); err != nil {
			return err
		}
	}
	if d.added < desired { // else every path of desired was written just now
		if _, err := d.exec(ctx, "update_masks", nil); err != nil {
			return err
		}
	}
	d.progress.Phase(PhaseCounting)
	return d.assessor.Summarize(ctx, d.tx, &d.Assessment)
}

// writePaths writes what differs, keeping what was.
func (d *derivation) writePaths(ctx context.Context) error {
	type counts struct{ Added, Revived, Changed, Removed int }
	count, err := db.First[counts](ctx, d.tx.Local(), syncQueries.Get("count_path_diff"), nil)
	if err != nil {
		return err
	}
	d.added = int64(count.Added)
	d.paths = PathCounts{Added: count.Added + count.Revived, Changed: count.Changed, Removed: count.Removed}

	dated := pgx.StrictNamedArgs{"at": d.At, "sync_version": d.version}
	p := d.tx.Pipeline()
	if count.Revived+count.Changed+count.Removed > 0 {
		p.Exec(syncQueries.Get("keep_path_versions"), pgx.StrictNamedArgs{"at": d.At})
	}
	if count.Revived+count.Changed > 0 {
		p.Exec(syncQueries.Get("update_paths"), dated)
	}
	if count.Removed > 0 {
		p.Exec(syncQueries.Get("remove_paths"), pgx.StrictNamedArgs{"at": d.At, "sync_version": d.version, "last_complete_at": d.lastSeen})
	}
	if count.Added > 0 {
		p.Exec(syncQueries.Get("add_paths"), dated)
	}
	return p.Send(ctx)
}

// release empties what a large change worked in.
func (d *derivation) release(ctx context.Context) error {
	if !d.Large && (!d.scan || d.Few) {
		return nil
	}
	_, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("release_work"), nil)
	return err
}

// window is where an organization's windows and thresholds end.
type window struct{ WindowAt time.Time }

// openWindow opens the organization's window with its first sync.
func (d *derivation) openWindow(ctx context.Context, known []*window) error {
	if len(known) > 0 {
		d.WindowAt = known[0].WindowAt
		return nil
	}
	d.WindowAt, d.First = d.At, true
	_, err := d.exec(ctx, "add_window", pgx.StrictNamedArgs{"at": d.At})
	return err
}

func (d *derivation) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, d.tx, syncQueries.Get(name), args)
}

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
	tx         *db.Tx
	assessor   Assessor
	at         time.Time  // its place on the organization's clock
	windowAt   time.Time  // where windows and thresholds end
	version    int64      // of the sync that what changes was changed by
	renewed    *id.ID     // the source whose expired coverage this renews
	lastSeen   *time.Time // by the source, before this: when what it takes back was last confirmed
	everything bool       // all of the organization, not only what is touched
	resettled  bool       // because its settings changed
	first      bool       // no sync has come before
	large      bool       // so much that statistics are worth their time, and nested loops are not

	entities  ChangeCounts
	paths     PathCounts
	exposures ExposureCounts
	rotations int
	added     int64 // of paths, those that never stood before
}

// derive works out again what the changes touch.
func (d *derivation) derive(ctx context.Context, changes int64) error {
	d.large = changes > bulk
	if err := d.openWindow(ctx); err != nil { // also where nothing changed but coverage is renewed
		return err
	}
	if _, err := d.exec(ctx, "lock_judgement", nil); err != nil {
		return err
	}
	everything, err := prepare(ctx, d.tx, d.assessor, d.at)
	if err != nil {
		return err
	}
	d.everything = everything
	if err := d.deriveEntities(ctx); err != nil {
		return err
	}
	bindings, err := db.Column[bool](ctx, d.tx.Local(), syncQueries.Get("bindings_changed"), nil)
	if err != nil {
		return err
	}
	touched, err := d.exec(ctx, "touch", pgx.StrictNamedArgs{"nil": id.Nil, "bindings_changed": bindings[0]})
	if err != nil {
		return err
	}
	if d.renewed != nil {
		more, err := d.exec(ctx, "touch_expired_context", pgx.StrictNamedArgs{"source": *d.renewed, "nil": id.Nil})
		if err != nil {
			return err
		}
		touched += more
	}
	return d.deriveTouched(ctx, touched)
}

// deriveTouched works out again what so many rows of touched name, or all of the
// organization.
func (d *derivation) deriveTouched(ctx context.Context, touched int64) error {
	if d.everything {
		all, err := d.exec(ctx, "touch_everything", nil)
		if err != nil {
			return err
		}
		touched += all
		if touched > bulk && !d.large {
			d.large = true
			if err := d.tx.Script(ctx, syncQueries.Get("prefer_hash_joins")); err != nil {
				return err
			}
		}
	}
	if touched == 0 {
		return nil
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_touched")); err != nil {
		return err
	}
	if err := d.assessor.CreateWork(ctx, d.tx); err != nil {
		return err
	}
	if err := d.deriveContext(ctx); err != nil {
		return err
	}
	return d.derivePaths(ctx)
}

// prepare has the assessor read and do what comes before anything is derived.
func prepare(ctx context.Context, tx *db.Tx, assessor Assessor, at time.Time) (everything bool, err error) {
	p := tx.Pipeline()
	prepared := assessor.Prepare(p)
	if err := p.Send(ctx); err != nil {
		return false, err
	}
	return prepared(ctx, at)
}

func (d *derivation) deriveEntities(ctx context.Context) error {
	at := pgx.StrictNamedArgs{"at": d.at}
	if err := d.analyze(ctx); err != nil { // the assertions are new to the planner
		return err
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
	d.entities = ChangeCounts{Changed: count("update_entities"), Removed: count("remove_entities"), Added: count("add_entities")}
	if err != nil {
		return err
	}
	return d.analyze(ctx)
}

// analyze renews the planner's knowledge of what a large change has filled.
func (d *derivation) analyze(ctx context.Context) error {
	if !d.large {
		return nil
	}
	_, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("analyze_authority"), nil)
	return err
}

// deriveContext renews the ownership and egress of the touched workloads.
func (d *derivation) deriveContext(ctx context.Context) error {
	contexts, err := d.exec(ctx, "derive_context", pgx.StrictNamedArgs{"window_at": d.windowAt, "nil": id.Nil})
	if err != nil || contexts == 0 {
		return err
	}
	for _, name := range []string{"keep_context_versions", "update_context"} {
		if _, err := d.exec(ctx, name, pgx.StrictNamedArgs{"at": d.at}); err != nil {
			return err
		}
	}
	return nil
}

func (d *derivation) derivePaths(ctx context.Context) error {
	if _, err := d.exec(ctx, "derive_bindings", pgx.StrictNamedArgs{"max_depth": MaxAuthDepth}); err != nil {
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
	var desired int64
	for _, name := range []string{"derive_paths", "derive_unbound_paths", "derive_context_paths"} {
		rows, err := d.exec(ctx, name, nil)
		if err != nil {
			return err
		}
		desired += rows
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
			"nil": id.Nil, "window_at": d.windowAt, "window_start": d.windowAt.Add(-Window)})
		if err != nil {
			return err
		}
	}
	return d.compare(ctx, desired)
}

// compare finds what differs from what stands, has it judged, writes it, and has
// it summed up.
func (d *derivation) compare(ctx context.Context, desired int64) error {
	differing, err := d.exec(ctx, "diff_paths", nil)
	if err != nil {
		return err
	}
	if differing > 0 {
		if err := d.tx.Script(ctx, syncQueries.Get("analyze_path_diff")); err != nil {
			return err
		}
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
	assessment := Assessment{At: d.at, WindowAt: d.windowAt, Everything: d.everything, Resettled: d.resettled, First: d.first, Large: d.large}
	if d.exposures, err = d.assessor.Assess(ctx, d.tx, assessment); err != nil {
		return err
	}
	if differing > 0 {
		if err := d.writePaths(ctx); err != nil {
			return err
		}
	}
	if d.added < desired { // else every path of desired was written just now
		if _, err := d.exec(ctx, "update_masks", nil); err != nil {
			return err
		}
	}
	return d.assessor.Summarize(ctx, d.tx, assessment)
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

	dated := pgx.StrictNamedArgs{"at": d.at, "sync_version": d.version}
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
		args := pgx.StrictNamedArgs{"at": d.at, "sync_version": d.version, "last_complete_at": d.lastSeen}
		if _, err := d.exec(ctx, "remove_paths", args); err != nil {
			return err
		}
	}
	if count.Added > 0 {
		_, err = d.exec(ctx, "add_paths", dated)
	}
	return err
}

// release empties what a large change worked in.
func (d *derivation) release(ctx context.Context) error {
	if !d.large {
		return nil
	}
	_, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("release_work"), nil)
	return err
}

// openWindow opens the organization's window with its first sync.
func (d *derivation) openWindow(ctx context.Context) error {
	window, err := db.Column[time.Time](ctx, d.tx, syncQueries.Get("window_at"), nil)
	if err != nil {
		return err
	}
	if len(window) > 0 {
		d.windowAt = window[0]
		return nil
	}
	d.windowAt, d.first = d.at, true
	_, err = d.exec(ctx, "add_window", pgx.StrictNamedArgs{"at": d.at})
	return err
}

func (d *derivation) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, d.tx, syncQueries.Get(name), args)
}

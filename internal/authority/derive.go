package authority

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

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

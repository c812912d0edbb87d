package asset

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
)

//go:embed link.sql
var linkSQL string

var linkQueries = db.Parse("asset.link", linkSQL)

// Link ties assets to the workloads behind them. An organization whose workloads
// answer nowhere, or where nobody scans, costs it one look.
func (s *Surface) Link(ctx context.Context, tx *db.Tx, change authority.SurfaceChange) (touched int64, err error) {
	type state struct{ Linkable, Here bool }
	known, err := db.First[state](ctx, tx, linkQueries.Get("linkable"), nil)
	if err != nil || !known.Linkable {
		return 0, err
	}
	if known.Here {
		_, err = db.Exec(ctx, tx.Local(), linkQueries.Get("clear_links"), nil)
	} else {
		err = tx.Script(ctx, linkQueries.Get("create_links"))
	}
	if err != nil {
		return 0, err
	}
	l := linker{tx: tx, SurfaceChange: change, dated: pgx.StrictNamedArgs{"at": change.At}}
	differing, err := l.compare(ctx)
	if err != nil {
		return 0, err
	}
	return l.write(ctx, differing)
}

// linker is one change on its way through the statements of link.sql.
type linker struct {
	authority.SurfaceChange
	tx    *db.Tx
	dated pgx.StrictNamedArgs
}

// compare finds which links the change makes, and which it ends.
func (l *linker) compare(ctx context.Context) (differing int64, err error) {
	p := l.tx.Pipeline()
	workloads, assets := new(int64), new(int64)
	if l.Entities {
		workloads = p.Local().Exec(linkQueries.Get("find_linked_workloads"), nil)
	}
	if l.Assets {
		assets = p.Exec(linkQueries.Get("find_linked_assets"), l.dated)
	}
	if err := p.Send(ctx); err != nil || *workloads+*assets == 0 {
		return 0, err
	}
	if err := l.settle(ctx, "analyze_linked", *workloads+*assets); err != nil {
		return 0, err
	}
	if differing, err = db.Exec(ctx, l.tx, linkQueries.Get("diff_links"), nil); err != nil {
		return 0, err
	}
	return differing, l.settle(ctx, "analyze_link_diff", differing)
}

// write writes the links that differ, and what follows from them and from assets that
// are there again or no longer.
func (l *linker) write(ctx context.Context, differing int64) (touched int64, err error) {
	p := l.tx.Pipeline()
	linked, reached, classes := new(int64), new(int64), new(int64)
	if differing > 0 {
		p.Exec(linkQueries.Get("end_links"), l.dated)
		p.Exec(linkQueries.Get("add_links"), l.dated)
		linked = p.Exec(linkQueries.Get("touch_linked"), nil)
	}
	if l.Assets {
		reached = p.Exec(linkQueries.Get("touch_reached"), l.dated)
	}
	if differing > 0 || l.Entities {
		p.Exec(linkQueries.Get("find_members"), nil)
		p.Exec(linkQueries.Get("add_class_sets"), nil)
		classes = p.Exec(linkQueries.Get("find_classes"), nil)
	}
	if err := p.Send(ctx); err != nil {
		return 0, err
	}
	if *classes > 0 {
		p.Exec(linkQueries.Get("keep_class_versions"), l.dated)
		p.Exec(linkQueries.Get("update_classes"), l.dated)
		err = p.Send(ctx)
	}
	return *linked + *reached, err
}

// settle has what follows planned by how many rows there are now.
func (l *linker) settle(ctx context.Context, analyze string, rows int64) error {
	if err := l.Filled(ctx, l.tx, &rows); err != nil || l.Few {
		return err
	}
	return l.tx.Script(ctx, linkQueries.Get(analyze))
}

package invariant

import (
	"context"
	_ "embed"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
)

//go:embed queries.sql
var queriesSQL string

var queries = db.Parse("invariant", queriesSQL)

// pageRows is how many rows are fetched at a time.
var pageRows = 20_000

// reader reads tables of one organization in the order of their keys.
type reader struct {
	querier db.Querier
	shared  db.Querier // of settings, which belong to nobody
	rows    int
}

func (r *reader) begin(ctx context.Context) error {
	_, err := db.Column[string](ctx, r.shared, queries.Get("plan_by_key"), pgx.StrictNamedArgs{})
	return err
}

// walk visits every row of a statement, a page at a time. The key of a zero row
// lies before all others.
func walk[T any](ctx context.Context, r *reader, name string, args pgx.StrictNamedArgs, key func(*T) pgx.StrictNamedArgs, visit func(*T)) error {
	query, last := queries.Get(name), new(T)
	for {
		page := key(last)
		maps.Copy(page, args)
		page["rows"] = r.rows
		rows, err := db.Select[T](ctx, r.querier, query, page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			visit(row)
		}
		if len(rows) < r.rows {
			return nil
		}
		last = rows[len(rows)-1]
	}
}

package benchmark

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// writing is what it takes to write the rows that stand, and nothing else: those of
// each table into an empty one with the same indexes and checks, in the order of the
// key, in one transaction that commits. Nothing is parsed, derived or compared, and
// there is no row level security.
func (s *stand) writing(ctx context.Context) (f Floor, err error) {
	f.Name = "INSERT"
	if _, err := s.super.Exec(ctx, limits.Get("writing_schema").SQL); err != nil {
		return f, fmt.Errorf("limit %s: %w", f.Name, err)
	}
	defer func() {
		_, dropped := s.super.Exec(ctx, "DROP SCHEMA writing CASCADE")
		err = errors.Join(err, dropped)
	}()
	type table struct{ Name, Key string }
	rows, err := s.super.Query(ctx, limits.Get("writing_tables").SQL)
	if err != nil {
		return f, fmt.Errorf("limit %s: %w", f.Name, err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		return f, fmt.Errorf("limit %s: %w", f.Name, err)
	}
	start := now()
	tx, err := s.super.Begin(ctx)
	if err != nil {
		return f, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, "SET LOCAL work_mem = '256MB'"); err != nil {
		return f, err
	}
	for _, t := range tables {
		since := now()
		name := pgx.Identifier{t.Name}.Sanitize()
		tag, err := tx.Exec(ctx, "INSERT INTO writing."+name+" SELECT * FROM public."+name+" ORDER BY "+t.Key)
		if err != nil {
			return f, fmt.Errorf("limit %s: %s: %w", f.Name, t.Name, err)
		}
		f.Rows += tag.RowsAffected()
		f.Parts = append(f.Parts, statement{Name: t.Name, Took: now().Sub(since), Rows: tag.RowsAffected()})
	}
	err = tx.Commit(ctx)
	f.Took = now().Sub(start)
	return f, err
}

package benchmark

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed limits.sql
var limitsSQL string

var limits = db.Parse("limit", limitsSQL)

// stagedTables are what a sync stages.
var stagedTables = []string{"entity", "edge", "egress", "evidence", "coverage"}

// dump writes what the syncs staged to files in PostgreSQL's own binary form, so
// that a limit pays for COPY and not for making rows.
func (s *stand) dump(ctx context.Context) error {
	for _, table := range stagedTables {
		file, err := os.Create(s.dumpOf(table))
		if err != nil {
			return err
		}
		_, err = s.super.PgConn().CopyTo(ctx, file, "COPY ("+limits.Get(table+"_rows").SQL+") TO STDOUT (FORMAT binary)")
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("dump %s: %w", table, err)
		}
	}
	return nil
}

func (s *stand) dumpOf(table string) string { return filepath.Join(s.folder, table+".copy") }

// stranger is an organization that has nothing, to which every path is new.
var stranger = id.Organization("stranger")

// firstLimit is what a first sync cannot leave out: the rows must come in, the
// paths must be made from them, and be compared with what is there.
func (s *stand) firstLimit(ctx context.Context) (Floor, error) {
	return s.fastest(ctx, "COPY + materialise + diff", stranger,
		"materialise_bindings", "materialise_reach", "materialise_paths", "diff_paths")
}

// unchangedLimit is what comparing a delivery row by row cannot leave out.
func (s *stand) unchangedLimit(ctx context.Context) (Floor, error) {
	return s.fastest(ctx, "COPY + joins", s.organization, "diff_entities", "diff_edges", "diff_egress", "diff_evidence")
}

func (s *stand) fastest(ctx context.Context, name string, organization id.ID, steps ...string) (best Floor, err error) {
	for i := range repetitions {
		one, err := s.floor(ctx, organization, steps)
		if err != nil {
			return best, fmt.Errorf("limit %s: %w", name, err)
		}
		if i == 0 || one.Took < best.Took {
			best = one
		}
	}
	best.Name = name
	return best, nil
}

// floor runs a limit once, in a transaction that ends in nothing.
func (s *stand) floor(ctx context.Context, organization id.ID, steps []string) (f Floor, err error) {
	conn, err := s.runtime(ctx, organization)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()

	start := now()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return f, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, limits.Get("prepare").SQL); err != nil {
		return f, err
	}
	part := func(name string, do func() error) {
		if err == nil {
			since := now()
			err = do()
			f.Parts = append(f.Parts, statement{Name: name, Took: now().Sub(since)})
		}
	}
	part("copy", func() error { return s.copyIn(ctx, tx) })
	part("analyze", func() error {
		_, err := tx.Exec(ctx, limits.Get("analyze_rows").SQL)
		return err
	})
	for _, step := range steps {
		part(step, func() error { return runStep(ctx, tx, step, organization) })
	}
	f.Took = now().Sub(start)
	return f, err
}

// runStep runs a statement of limits.sql. One that makes a table takes its
// organization as text, because there PostgreSQL takes no parameters.
func runStep(ctx context.Context, tx pgx.Tx, name string, organization id.ID) error {
	sql := limits.Get(name).SQL
	if name == "materialise_bindings" || name == "materialise_reach" {
		_, err := tx.Exec(ctx, sql)
		return err
	}
	mode := []any{organization}
	if name == "materialise_paths" {
		mode = []any{pgx.QueryExecModeSimpleProtocol, organization.String()}
	}
	_, err := tx.Exec(ctx, sql, mode...)
	if err != nil || name != "materialise_paths" {
		return err
	}
	_, err = tx.Exec(ctx, "ANALYZE limit_path (path_id)")
	return err
}

func (s *stand) copyIn(ctx context.Context, tx pgx.Tx) error {
	for _, table := range stagedTables {
		name := "limit_" + table
		if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE "+name+" ON COMMIT DROP AS "+limits.Get(table+"_rows").SQL+" WITH NO DATA"); err != nil {
			return err
		}
		file, err := os.Open(s.dumpOf(table))
		if err != nil {
			return err
		}
		_, err = tx.Conn().PgConn().CopyFrom(ctx, file, "COPY "+name+" FROM STDIN (FORMAT binary)")
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("copy %s: %w", table, err)
		}
	}
	return nil
}

// limitOf times one hand-written statement through pgx as often as an operation,
// on one connection, and gives its median.
func (s *stand) limitOf(ctx context.Context, sql string, times int, args ...any) (time.Duration, error) {
	return s.medianOf(ctx, sql, times, append([]any{s.organization}, args...))
}

// again times a statement of the server as limitOf does.
func (s *stand) again(ctx context.Context, sent statement, times int) (time.Duration, error) {
	return s.medianOf(ctx, sent.SQL, times, sent.Args)
}

func (s *stand) medianOf(ctx context.Context, sql string, times int, args []any) (time.Duration, error) {
	conn, err := s.runtime(ctx, s.organization)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	took := make([]time.Duration, 0, times)
	for i := range warmUp + times {
		since := now()
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return 0, fmt.Errorf("limit: %w", err)
		}
		for rows.Next() {
			_ = rows.RawValues()
		}
		if err := rows.Err(); err != nil {
			return 0, fmt.Errorf("limit: %w", err)
		}
		if i >= warmUp {
			took = append(took, now().Sub(since))
		}
	}
	return percentile(took, 50), nil
}

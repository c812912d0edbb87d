package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// RiverSchema is the PostgreSQL schema of the job queue, apart from public, in
// which every table is ours and has an organization.
const RiverSchema = "river"

// The migrations that bring river's own ones. River's schema changes with its
// module only, so a newer module that brings a version needs a step here; a
// test tells.
const (
	riverMigration = 4 // among ours
	riverVersion   = 8 // of river's, the newest of the module
	riverName      = "00004_river"
)

// riverMigrations are steps of goose like the SQL files, so that they run under
// its lock, are counted when the schema is checked, and are taken back in turn.
// Each version of river's is a transaction of its own; one that was cut short
// is resumed where it stopped.
func riverMigrations(ownerURL string) goose.ProviderOption {
	return goose.WithGoMigrations(goose.NewGoMigration(riverMigration,
		&goose.GoFunc{RunDB: func(ctx context.Context, conn *sql.DB) error {
			// Asked first, because an owner of the schemas alone may not create
			// one, not even one that is there.
			var exists bool
			if err := conn.QueryRowContext(ctx, "SELECT to_regnamespace('"+RiverSchema+"') IS NOT NULL").Scan(&exists); err != nil {
				return fmt.Errorf("look for the schema %s: %w", RiverSchema, err)
			}
			if !exists {
				if _, err := conn.ExecContext(ctx, "CREATE SCHEMA "+RiverSchema); err != nil {
					return problem.New(problem.Invalid, "SCHEMA_NEEDED",
						"the owner role cannot create the schema %[1]s; have a superuser run CREATE SCHEMA %[1]s AUTHORIZATION and the name of that role", RiverSchema).Because(err)
				}
			}
			return migrateRiver(ctx, ownerURL, rivermigrate.DirectionUp, riverVersion)
		}},
		&goose.GoFunc{RunDB: func(ctx context.Context, conn *sql.DB) error {
			if err := migrateRiver(ctx, ownerURL, rivermigrate.DirectionDown, -1); err != nil {
				return err
			}
			_, err := conn.ExecContext(ctx, "DROP SCHEMA "+RiverSchema)
			return err
		}}))
}

// migrateRiver opens a pool of its own: river's driver takes pgx's, goose the
// one of database/sql.
func migrateRiver(ctx context.Context, ownerURL string, direction rivermigrate.Direction, version int) error {
	config, err := pgxpool.ParseConfig(ownerURL)
	if err != nil {
		return errors.New("the URL of the owner cannot be read") // it may hold a password
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open pool: %w", err)
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: RiverSchema})
	if err != nil {
		return fmt.Errorf("river's migrator: %w", err)
	}
	if _, err := migrator.Migrate(ctx, direction, &rivermigrate.MigrateOpts{TargetVersion: version}); err != nil {
		return fmt.Errorf("river's migrations: %w", err)
	}
	return nil
}

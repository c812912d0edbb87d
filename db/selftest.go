package db

import (
	"context"
	_ "embed"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var queriesSQL string

var queries = Parse("db", queriesSQL)

var (
	roleOfConnection = queries.Get("role_of_connection")
	unprotected      = queries.Get("unprotected_tables")
)

// Untenanted are the tables without an organization, each with its reason.
// They hold no payload of a tenant. A test compares the list with the catalog.
// A name without a schema is one of public.
var Untenanted = map[string]string{
	"organization":     "the names of the boundaries themselves",
	"token_key":        "public keys that verify tokens",
	"token_key_secret": "private keys, for the owner role only",
	"access_token":     "which tokens were made, for the owner role, and which of them are revoked",
	"goose_db_version": "the migrations that were applied",
	"change_head":      "how far the feed of each organization has come, so that one query reads many",

	"audit_shared_entry": "what was done that belongs to no organization",

	RiverSchema + ".river_migration":    "river's own migrations that were applied",
	RiverSchema + ".river_job":          "what is to be done and was done, by the ids of organizations",
	RiverSchema + ".river_queue":        "the names of queues",
	RiverSchema + ".river_leader":       "which replica hands out the jobs",
	RiverSchema + ".river_notification": "not used on PostgreSQL",
}

// SelfTest refuses to serve on a database whose second wall does not stand: a
// runtime role above the policies, or a tenant table without them.
func (d *DB) SelfTest(ctx context.Context) error {
	snapshot := d.Snapshot()
	defer snapshot.Close(ctx)
	type role struct {
		Name      string
		Superuser bool
		BypassRLS bool `db:"bypass_rls"`
		Owner     bool
	}
	me, err := First[role](ctx, snapshot.Shared(), roleOfConnection, pgx.StrictNamedArgs{})
	if err != nil {
		return err
	}
	if me.Superuser || me.BypassRLS || me.Owner {
		return problem.New(problem.Invalid, "RUNTIME_ROLE_TOO_STRONG",
			"the role %q of --database-url is a superuser, bypasses row level security or owns the tables; give the server a role of its own and the owner to --owner-database-url", me.Name)
	}
	exceptions := make([]string, 0, len(Untenanted))
	for table := range Untenanted {
		exceptions = append(exceptions, table)
	}
	open, err := Column[string](ctx, snapshot.Shared(), unprotected, pgx.StrictNamedArgs{"exceptions": exceptions})
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return problem.New(problem.Invalid, "TABLES_UNPROTECTED",
			"row level security is not forced on %s; run `exposuregraph migrate up`", strings.Join(open, ", "))
	}
	return nil
}

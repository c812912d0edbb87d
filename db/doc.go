// Package db is the way to PostgreSQL: the pool, the transaction of one
// organization, the read snapshot of one response, named SQL, migrations and
// the self-test of the tenancy walls.
//
// A query reaches the database only through a [Querier], and a Querier of an
// organization adds that organization to the query's arguments itself. The
// arguments are strict: a query that does not mention @organization fails, so
// that a forgotten tenant cannot ship. Row level security is the second wall,
// for which the transaction carries the setting app.organization.
package db

package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

var piped = db.Parse("piped", `
-- name: create
CREATE TEMPORARY TABLE noted (organization uuid, n integer) ON COMMIT DROP;

-- name: note
INSERT INTO noted SELECT @organization, n FROM generate_series(@from::integer, @to::integer) n;

-- name: noted
SELECT n FROM noted WHERE organization = @organization AND n < @below ORDER BY n;

-- name: everybody
SELECT count(*) AS n FROM noted;

-- name: divide
INSERT INTO noted SELECT @organization, 1 / @by::integer;
`)

type numbered struct{ N int }

// What is sent together runs in its order, each statement on what those before it
// left, and on behalf of the organization.
func TestPipeline(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	require.NoError(t, database.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
		require.NoError(t, tx.Script(ctx, piped.Get("create")))
		p := tx.Pipeline()
		before := db.Queue[numbered](p.Local(), piped.Get("everybody"), nil)
		touched := p.Exec(piped.Get("note"), pgx.StrictNamedArgs{"from": 1, "to": 3})
		found := db.Queue[numbered](p, piped.Get("noted"), pgx.StrictNamedArgs{"below": 3})
		after := db.Queue[numbered](p.Local(), piped.Get("everybody"), nil)
		require.Nil(t, *found, "nothing is sent yet")
		require.NoError(t, p.Send(ctx))
		require.Equal(t, &numbered{0}, (*before)[0])
		require.Equal(t, int64(3), *touched)
		require.Equal(t, []*numbered{{1}, {2}}, *found)
		require.Equal(t, &numbered{3}, (*after)[0])

		require.NoError(t, p.Send(ctx), "it is empty again")
		more := p.Exec(piped.Get("note"), pgx.StrictNamedArgs{"from": 4, "to": 4})
		require.NoError(t, p.Send(ctx))
		require.Equal(t, int64(1), *more)
		return nil
	}))
}

// The first statement that fails is the one that is named, and nothing stays.
func TestPipelineThatFails(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	fails := func(what string, queue func(p *db.Pipeline)) {
		err := database.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
			require.NoError(t, tx.Script(ctx, piped.Get("create")))
			p := tx.Pipeline()
			p.Exec(piped.Get("note"), pgx.StrictNamedArgs{"from": 1, "to": 3})
			queue(p)
			p.Exec(piped.Get("divide"), pgx.StrictNamedArgs{"by": 0})
			err := p.Send(ctx)
			require.Error(t, err)
			return errors.Join(err, p.Send(ctx))
		})
		require.ErrorContains(t, err, what)
	}
	fails("query piped.divide: ERROR: division by zero", func(p *db.Pipeline) { p.Exec(piped.Get("divide"), pgx.StrictNamedArgs{"by": 1}) })
	fails("query piped.everybody: there is no argument organization", func(p *db.Pipeline) { db.Queue[numbered](p, piped.Get("everybody"), nil) })
	fails("query piped.noted: the argument below is not given", func(p *db.Pipeline) { db.Queue[numbered](p, piped.Get("noted"), nil) })
	fails("query piped.noted: the argument organization is not given", func(p *db.Pipeline) {
		db.Queue[numbered](p.Local(), piped.Get("noted"), pgx.StrictNamedArgs{"below": 1})
	})
}

// A text that is made of another one takes the arguments that it names itself.
func TestQueryOfAnotherText(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	require.NoError(t, database.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
		query := db.Parse("made", "-- name: one\nSELECT @organization::uuid <> gen_random_uuid() AND true /* where */").Get("one")
		var w db.Where
		w.And("@x::integer = 3", "x", 3)
		list, err := db.Column[bool](ctx, tx, query.Where(w), w.Args())
		require.NoError(t, err)
		require.Equal(t, []bool{true}, list)
		query.SQL = "SELECT @organization::uuid IS NULL"
		list, err = db.Column[bool](ctx, tx, query, nil)
		require.NoError(t, err)
		require.Equal(t, []bool{false}, list)
		_, err = db.Column[bool](ctx, tx.Local(), query, nil)
		require.ErrorContains(t, err, "organization")
		return nil
	}))
}

// What an attempt does has not happened where a part of it fails, and the
// transaction goes on either way.
func TestAttempt(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	var found []*numbered
	require.NoError(t, database.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
		require.NoError(t, tx.Script(ctx, piped.Get("create")))
		note := func(from, to, by int) error {
			return tx.Attempt(ctx, func(p *db.Pipeline) {
				p.Exec(piped.Get("note"), pgx.StrictNamedArgs{"from": from, "to": to})
				p.Exec(piped.Get("divide"), pgx.StrictNamedArgs{"by": by})
			})
		}
		require.NoError(t, note(2, 2, 1))
		require.Equal(t, "22012", sqlState(t, note(4, 5, 0)))
		require.Equal(t, "22012", sqlState(t, note(6, 7, 0)), "one after the other")
		require.NoError(t, note(8, 8, 1))
		var err error
		found, err = db.Select[numbered](ctx, tx, piped.Get("noted"), pgx.StrictNamedArgs{"below": 100})
		return err
	}))
	require.Equal(t, []*numbered{{1}, {1}, {2}, {8}}, found)

	ended, end := context.WithCancel(ctx)
	err := database.Tenant(ended, id.Organization("acme"), func(tx *db.Tx) error {
		require.NoError(t, tx.Script(ctx, piped.Get("create")))
		end()
		require.ErrorIs(t, tx.Attempt(ended, func(p *db.Pipeline) {
			p.Exec(piped.Get("note"), pgx.StrictNamedArgs{"from": 1, "to": 1})
		}), context.Canceled)
		return nil
	})
	require.Error(t, err, "a transaction whose context has ended is not committed")
}

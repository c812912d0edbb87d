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

var kept = db.Parse("kept", `
-- name: create
CREATE TEMPORARY TABLE IF NOT EXISTS kept (organization uuid, n integer);

-- name: unfinished
CREATE TEMPORARY TABLE IF NOT EXISTS unfinished (n integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);

-- name: add
INSERT INTO kept SELECT @organization, @n::integer;

-- name: add_late
-- Two of the same are refused by the commit, and by nothing before it.
INSERT INTO unfinished VALUES (@n::integer);

-- name: divide
INSERT INTO kept SELECT @organization, 1 / @by::integer;

-- name: all
SELECT n FROM kept WHERE organization = @organization ORDER BY n;

-- name: text
SELECT 'a' AS n, @organization::uuid AS organization;
`)

// keeper runs transactions on one connection, with a table that outlives them.
type keeper struct {
	*testing.T
	ctx      context.Context
	database *db.DB
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	ctx := context.Background()
	database, err := db.Open(ctx, dbtest.New(t).RuntimeURL, db.Options{MaxConns: 1})
	require.NoError(t, err)
	t.Cleanup(database.Close)
	k := &keeper{t, ctx, database}
	require.NoError(t, k.run(func(tx *db.Tx) error {
		return errors.Join(tx.Script(ctx, kept.Get("create")), tx.Script(ctx, kept.Get("unfinished")))
	}))
	return k
}

func (k *keeper) run(fn func(tx *db.Tx) error) error {
	return k.database.Tenant(k.ctx, id.Organization("acme"), fn)
}

func (k *keeper) add(p *db.Pipeline, n int) { p.Exec(kept.Get("add"), pgx.StrictNamedArgs{"n": n}) }

func (k *keeper) divide(p *db.Pipeline) {
	p.Exec(kept.Get("divide"), pgx.StrictNamedArgs{"by": 0})
}

func (k *keeper) all() (all []int) {
	k.Helper()
	require.NoError(k, k.run(func(tx *db.Tx) (err error) {
		all, err = db.Column[int](k.ctx, tx, kept.Get("all"), nil)
		return err
	}))
	return all
}

// What an attempt on its way did has not happened where a part of it fails; what
// takes its place is done, and what the pipeline holds behind it as well.
func TestPipelineWithAttempts(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	var failures []string
	attempt := func(p *db.Pipeline, n int, fails bool, instead func()) {
		p.Attempt(func(p *db.Pipeline) {
			k.add(p, n)
			if fails {
				k.divide(p)
			}
			k.add(p, n+1)
		}, func(err error) {
			failures = append(failures, sqlState(t, err))
			if instead != nil {
				instead()
			}
		})
	}
	require.NoError(t, k.run(func(tx *db.Tx) error {
		p := tx.Pipeline()
		k.add(p, 1)
		attempt(p, 10, true, nil)
		k.add(p, 2)
		attempt(p, 20, false, nil)
		attempt(p, 30, true, func() {
			k.add(p, 3)
			attempt(p, 40, true, func() { attempt(p, 50, false, nil) })
		})
		k.add(p, 4)
		require.NoError(t, p.Send(k.ctx))
		require.NoError(t, p.Send(k.ctx), "it is empty again")
		return nil
	}))
	require.Equal(t, []string{"22012", "22012", "22012"}, failures)
	require.Equal(t, []int{1, 2, 3, 4, 20, 21, 50, 51}, k.all())

	require.Equal(t, "22012", sqlState(t, k.run(func(tx *db.Tx) error {
		p := tx.Pipeline()
		k.add(p, 60)
		attempt(p, 70, true, nil)
		k.divide(p)
		attempt(p, 80, true, nil) // is not come to
		return p.Send(k.ctx)
	})), "what fails behind an attempt fails")
	require.Len(t, failures, 4)
	require.Len(t, k.all(), 8)
}

// What is sent with the commit is there when it returns, and nothing of it where
// anything fails, be it the commit.
func TestPipelineCommits(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	require.NoError(t, k.run(func(tx *db.Tx) error {
		p := tx.Pipeline()
		k.add(p, 1)
		p.Attempt(func(p *db.Pipeline) { k.divide(p) }, func(error) { k.add(p, 2) })
		require.NoError(t, p.Commit(k.ctx))
		require.Error(t, tx.Pipeline().Commit(k.ctx), "it has ended")
		return nil
	}))
	require.Equal(t, []int{1, 2}, k.all())
	require.NoError(t, k.run(func(tx *db.Tx) error {
		_, err := db.Exec(k.ctx, tx, kept.Get("add"), pgx.StrictNamedArgs{"n": 3})
		return errors.Join(err, tx.Pipeline().Commit(k.ctx))
	}))
	require.Equal(t, []int{1, 2, 3}, k.all())

	fails := func(state, why string, fill func(p *db.Pipeline)) {
		err := k.run(func(tx *db.Tx) error {
			p := tx.Pipeline()
			k.add(p, 10)
			fill(p)
			return p.Commit(k.ctx)
		})
		require.Error(t, err, why)
		if state != "" {
			require.Equal(t, state, sqlState(t, err), why)
		}
		require.Equal(t, []int{1, 2, 3}, k.all(), why)
	}
	fails("22012", "a statement", func(p *db.Pipeline) { k.divide(p); k.add(p, 11) })
	fails("22012", "behind an attempt", func(p *db.Pipeline) { p.Attempt(k.divide, func(error) {}); k.divide(p) })
	fails("23505", "the commit", func(p *db.Pipeline) {
		for range 2 {
			p.Local().Exec(kept.Get("add_late"), pgx.StrictNamedArgs{"n": 1})
		}
	})
	fails("", "what is found here cannot be read", func(p *db.Pipeline) { db.Queue[numbered](p, kept.Get("text"), nil) })
	fails("", "an argument that is missing", func(p *db.Pipeline) { p.Exec(kept.Get("add"), nil) })

	// A transaction that is broken is not taken for one that was committed.
	err := k.run(func(tx *db.Tx) error {
		p := tx.Pipeline()
		k.divide(p)
		require.Error(t, p.Send(k.ctx))
		return p.Commit(k.ctx)
	})
	require.ErrorIs(t, err, pgx.ErrTxCommitRollback)
	require.Equal(t, []int{1, 2, 3}, k.all())

	// Neither is one whose caller has gone.
	ended, end := context.WithCancel(k.ctx)
	require.Error(t, k.database.Tenant(ended, id.Organization("acme"), func(tx *db.Tx) error {
		p := tx.Pipeline()
		k.add(p, 20)
		end()
		return p.Commit(ended)
	}))
}

// A transaction begins with what is sent first, whatever that is.
func TestTransactionBeginsWithItsFirstStatement(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	for _, first := range []func(tx *db.Tx) error{
		func(tx *db.Tx) error { p := tx.Pipeline(); k.add(p, 1); return p.Send(k.ctx) },
		func(tx *db.Tx) error { return tx.Script(k.ctx, kept.Get("create")) },
		func(tx *db.Tx) error { return tx.Attempt(k.ctx, func(p *db.Pipeline) { k.add(p, 1) }) },
		func(tx *db.Tx) error {
			var rows db.Rows
			rows.Add(int32(7))
			_, err := tx.CopyRows(k.ctx, "unfinished", []string{"n"}, &rows)
			return err
		},
		func(tx *db.Tx) error {
			_, err := db.Exec(k.ctx, tx, kept.Get("add"), pgx.StrictNamedArgs{"n": 1})
			return err
		},
		func(*db.Tx) error { return nil },
	} {
		stop := errors.New("stop")
		require.ErrorIs(t, k.run(func(tx *db.Tx) error {
			if err := first(tx); err != nil {
				return err
			}
			p := tx.Pipeline()
			k.add(p, 2)
			return errors.Join(p.Send(k.ctx), stop)
		}), stop)
		require.Empty(t, k.all(), "it is rolled back from its first statement on")
	}
}

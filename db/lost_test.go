package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var lostQueries = db.Parse("lost", `
-- name: die
SELECT pg_terminate_backend(pg_backend_pid());

-- name: go_on
SELECT @organization::uuid;
`)

// Whoever asks a database that goes away learns that it has, at whichever statement:
// the one that was under way, the next, and the commit.
func TestLostConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.New(t)
	require.Error(t, database.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
		_, err := db.Exec(ctx, tx.Local(), lostQueries.Get("die"), nil)
		require.Equal(t, problem.Unavailable, problem.KindOf(err), "%v", err)
		_, err = db.Exec(ctx, tx, lostQueries.Get("go_on"), nil)
		require.Equal(t, problem.Unavailable, problem.KindOf(err), "%v", err)
		p := tx.Pipeline()
		p.Exec(lostQueries.Get("go_on"), nil)
		err = p.Send(ctx)
		require.Equal(t, problem.Unavailable, problem.KindOf(err), "%v", err)
		return nil
	}))

	err := database.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
		_, _ = db.Exec(ctx, tx.Local(), lostQueries.Get("die"), nil)
		return nil
	})
	require.Equal(t, problem.Unavailable, problem.KindOf(err), "%v", err)

	// Who gave up did so himself.
	ended, end := context.WithTimeout(ctx, time.Millisecond)
	defer end()
	err = database.Tenant(ended, id.Organization("acme"), func(tx *db.Tx) error {
		<-ended.Done()
		_, err := db.Exec(ended, tx, lostQueries.Get("go_on"), nil)
		return err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

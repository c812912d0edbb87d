package devpg

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestCheckpointWhenCalm(t *testing.T) {
	t.Parallel()
	dir, err := TempDir()
	require.NoError(t, err)
	ctx := context.Background()
	server, err := Start(ctx, Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	conn, err := pgx.Connect(ctx, server.SuperuserURL("postgres"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(ctx) })
	checkpoint := func() string { return ask[string](t, conn, "SELECT checkpoint_lsn::text FROM pg_control_checkpoint()") }
	look := func(last, enough int64) int64 {
		position, err := checkpointWhenCalm(ctx, conn, last, enough, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		return position
	}

	_, err = conn.Exec(ctx, "CREATE TABLE much AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 20000)")
	require.NoError(t, err)
	before := checkpoint()
	position := look(0, 10<<20) // much to replay, but it has only just come
	require.Equal(t, before, checkpoint())
	look(position, 1<<40) // calm, but little to replay
	require.Equal(t, before, checkpoint())

	writer, err := pgx.Connect(ctx, server.SuperuserURL("postgres"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = writer.Close(ctx) })
	tx, err := writer.Begin(ctx)
	require.NoError(t, err)
	_, err = tx.Exec(ctx, "DELETE FROM much WHERE x = 'nobody'; SELECT pg_current_xact_id(), pg_sleep(2.1)")
	require.NoError(t, err)
	look(position, 10<<20) // calm, but somebody has not finished
	require.Equal(t, before, checkpoint())
	require.NoError(t, tx.Rollback(ctx))
	look(position, 10<<20)
	require.NotEqual(t, before, checkpoint())
}

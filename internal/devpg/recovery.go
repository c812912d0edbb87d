package devpg

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// What PostgreSQL has logged since its last checkpoint is what it replays after
// a crash, and a large import leaves gigabytes. So once writing has calmed down
// the rest is checkpointed, long before PostgreSQL would by its own clock. Not while
// a transaction is still at it that pauses to think: after a checkpoint the first
// change of each page is logged with the whole page.
const (
	recoveryPause = 2 * time.Second
	worthwhile    = 256 << 20 // bytes of log from which a checkpoint is worth its writes
	calm          = 4 << 20   // bytes of log within a pause that still count as calm
)

// boundRecovery watches the log until the server ends.
func (s *Server) boundRecovery() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.done
		cancel()
	}()
	conn, err := pgx.Connect(ctx, s.SuperuserURL("postgres"))
	if err != nil {
		s.logger.Debug("recovery is bounded by max_wal_size alone", "error", err)
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()

	ticks := time.NewTicker(recoveryPause)
	defer ticks.Stop()
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		last, err = checkpointWhenCalm(ctx, conn, last, worthwhile, s.logger)
		if err != nil {
			return // the server ends, or has ended
		}
	}
}

// checkpointWhenCalm makes a checkpoint when there is much to replay, little was added
// since the position of the last look, and nobody is writing for longer than a pause;
// it gives the position now.
func checkpointWhenCalm(ctx context.Context, conn *pgx.Conn, last, enough int64, logger *slog.Logger) (position int64, err error) {
	var replay int64
	var writing bool
	err = conn.QueryRow(ctx, `
		SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, (pg_current_wal_insert_lsn() - redo_lsn)::bigint,
		       EXISTS (SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND xact_start < clock_timestamp() - $1::interval)
		FROM pg_control_checkpoint()`, recoveryPause).Scan(&position, &replay, &writing)
	if err != nil || replay < enough || position-last > calm || writing {
		return position, err
	}
	logger.Debug("checkpoint", "bytes", replay)
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return position, err
}

package triage_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// A batch is asked for by its id, and without an instant.
func TestEveryReadStatementKnowsItsPast(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementKnowsItsPast(t, triage.ReadQueries, "triage.read.request_of_batch", "triage.read.entries_of_batch")
}

func TestEveryReadStatementCanBeSeen(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementCanBeSeen(t, triage.ReadQueries.All())
}

// remember keeps what the readers say after a step.
func (h *history) remember(rt *rapid.T) {
	var clock time.Time
	require.NoError(rt, h.conn.QueryRow(context.Background(), `SELECT greatest((SELECT max(at) FROM sync WHERE organization_id = $1),
		(SELECT max(at) FROM evaluation WHERE organization_id = $1), (SELECT at FROM ledger_head WHERE organization_id = $1))`, h.org).Scan(&clock))
	require.NoError(rt, h.past.Remember(machine, clock))
}

// comparePast has the readers say it again, as of then.
func (h *history) comparePast(rt *rapid.T) {
	at, contradictions, err := h.past.Contradictions(machine)
	require.NoError(rt, err)
	require.Empty(rt, contradictions, "as of %s", at)
}

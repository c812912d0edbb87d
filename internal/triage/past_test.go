package triage_test

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// A batch is asked for by its id, and without an instant.
func TestEveryReadStatementKnowsItsPast(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementKnowsItsPast(t, triage.ReadQueries, "triage.read.request_of_batch", "triage.read.entries_of_batch")
}

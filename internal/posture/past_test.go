package posture_test

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func TestEveryReadStatementKnowsItsPast(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementKnowsItsPast(t, posture.ReadQueries)
}

func TestEveryReadStatementCanBeSeen(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementCanBeSeen(t, posture.ReadQueries.All())
	dbtest.EveryReadStatementCanBeSeen(t, posture.DiffQueries.All())
	dbtest.EveryReadStatementCanBeSeen(t, posture.CountedRowQueries())
}

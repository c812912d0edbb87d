package authority

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
)

func TestEveryReadStatementKnowsItsPast(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementKnowsItsPast(t, readQueries, "authority.read.bounds") // what asOf is held against
}

func TestEveryReadStatementCanBeSeen(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementCanBeSeen(t, readQueries.All())
}

package exposure_test

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
)

func TestEveryReadStatementKnowsItsPast(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementKnowsItsPast(t, exposure.ReadQueries)
}

func TestEveryReadStatementCanBeSeen(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementCanBeSeen(t, exposure.ReadQueries.All())
	dbtest.EveryReadStatementCanBeSeen(t, exposure.ExplainQueries())
}

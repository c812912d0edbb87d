package invariant_test

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
)

// The world of the tests has few rows, and every boundary of a page must be
// crossed all the same.
func TestMain(m *testing.M) {
	invariant.SetPageRows(2)
	dbtest.Main(m)
}

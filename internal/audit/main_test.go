package audit_test

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/audit"
)

func TestMain(m *testing.M) {
	audit.SetPageRows(3)
	dbtest.Main(m)
}

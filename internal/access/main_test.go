package access_test

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

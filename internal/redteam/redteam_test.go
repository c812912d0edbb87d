package redteam_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/redteam"
)

func TestMain(m *testing.M) {
	if redteam.IsVictim(os.Args) {
		os.Exit(redteam.Serve(os.Args))
	}
	dbtest.Main(m)
}

// TestHostileClients: what hostile and careless clients do is answered as it must be,
// and the process lives; `make redteam` runs the same rows with more of everything.
func TestHostileClients(t *testing.T) {
	database := dbtest.New(t)
	var out bytes.Buffer
	report, err := redteam.Run(t.Context(), redteam.Database{
		RuntimeURL: database.RuntimeURL, OwnerURL: database.OwnerURL, SuperURL: database.SuperURL, Folder: database.Folder,
	}, redteam.Rows(), redteam.Quick(), &out)
	t.Log("\n" + out.String())
	require.NoError(t, err)
	for _, result := range report.Results {
		require.True(t, result.Passed(), "row %s, %s", result.Row.Number, result.Row.Name)
	}
	require.True(t, report.Passed())
	require.Len(t, report.Results, len(redteam.Rows()), "a row was left out")
}

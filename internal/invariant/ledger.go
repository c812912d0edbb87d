package invariant

import (
	"context"
	"fmt"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// checkLedger has the ledger held against itself, and the tables that follow from it
// against its entries. It trusts nobody: that the newest entries are gone, or that all
// of it was written anew with its checkpoints, shows against checkpoints from outside,
// which `exposuregraph ledger verify` takes.
func checkLedger(ctx context.Context, snapshot *db.Snapshot, organization *org.Organization, result *Result) error {
	report, err := new(book.Book).Verify(ctx, snapshot, organization, book.Trust{Limit: shown})
	if err != nil {
		return err
	}
	result.Compared = report.Size + int64(report.Tiles) + int64(report.Checkpoints) + report.Rows + report.Exposures
	for _, fault := range report.Faults {
		result.found(fault.Position(), fmt.Sprintf("%s: %s", fault.Code, fault.Message), "", "")
	}
	result.Findings += int64(report.More)
	return nil
}

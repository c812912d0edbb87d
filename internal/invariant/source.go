package invariant

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// checkSources proves what no foreign key guards where rows are many: that whoever
// said something exists.
func (w *world) checkSources(ctx context.Context) error {
	type row struct {
		Said     string
		SourceID id.ID
		Rows     int64
		Known    bool
	}
	rows, err := db.Select[row](ctx, w.reader.querier, queries.Get("said"), pgx.StrictNamedArgs{})
	if err != nil {
		return err
	}
	result := w.report.of(Sources)
	for _, r := range rows {
		result.Compared += r.Rows
		if !r.Known {
			result.found(fmt.Sprintf("source %s", r.SourceID), fmt.Sprintf("it does not exist, and %d rows of %s are its", r.Rows, r.Said), "", "")
		}
	}
	return nil
}

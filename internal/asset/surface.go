package asset

import (
	"context"
	_ "embed"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed merge.sql
var mergeSQL string

var mergeQueries = db.Parse("asset.merge", mergeSQL)

// Surface keeps assets in the transactions of deliveries and evaluations. See
// [authority.Surface].
type Surface struct{ thresholds Thresholds }

// NewSurface keeps assets, which are stale after these times.
func NewSurface(thresholds Thresholds) *Surface { return &Surface{thresholds: thresholds} }

var _ authority.Surface = (*Surface)(nil)

// Stage makes room for what a scan shows.
func (s *Surface) Stage(ctx context.Context, tx *db.Tx, organization id.ID, copies *authority.Copier) (authority.SurfaceStage, error) {
	if err := openWork(ctx, tx); err != nil {
		return nil, err
	}
	return newStage(tx, organization, copies), nil
}

// openWork makes the tables to work in, or empties those that an earlier
// transaction of the session left.
func openWork(ctx context.Context, tx *db.Tx) error {
	here, err := db.Column[bool](ctx, tx.Local(), mergeQueries.Get("work_is_here"), nil)
	if err != nil {
		return err
	}
	if here[0] {
		_, err = db.Exec(ctx, tx.Local(), mergeQueries.Get("clear_work"), nil)
		return err
	}
	return tx.Script(ctx, mergeQueries.Get("create_work"))
}

package graph

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
)

// reaches refuses a field that is asked as of an instant of which nothing is known.
// The instant itself the loaders find in the arguments of the field: whatever hangs
// below it reads by the same one.
func reaches(ctx context.Context, o *model.Organization, asOf *time.Time) error {
	if asOf == nil {
		return nil
	}
	return loader.Reaches(ctx, o.Organization.ID, *asOf)
}

func (r organizationResolver) Clock(ctx context.Context, o *model.Organization) (*time.Time, error) {
	bounds, err := r.paths.Bounds(ctx, loader.From(ctx).Snapshot, o.Organization.ID)
	if err != nil {
		return nil, err
	}
	return bounds.Clock, nil
}

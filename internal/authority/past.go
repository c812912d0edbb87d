package authority

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Bounds are between what instants an organization has a history. Both are null
// where nothing has happened yet.
type Bounds struct {
	First *time.Time // of what is kept
	Clock *time.Time // when the last thing happened
}

// Bounds gives the bounds of an organization's history.
func (s *Service) Bounds(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (*Bounds, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.First[Bounds](ctx, q, readQueries.Get("bounds"), nil)
}

// Reaches refuses an instant that the history of an organization does not have:
// one before its beginning, or one that is still to come. Between the
// organization's clock and now nothing has happened yet, so that is as of the clock.
// The snapshot is of what is.
func (s *Service) Reaches(ctx context.Context, snapshot *db.Snapshot, organization id.ID, instant time.Time) error {
	bounds, err := s.Bounds(ctx, snapshot, organization)
	if err != nil {
		return err
	}
	say := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	switch now := s.now(); {
	case bounds.First == nil:
		return problem.New(problem.Invalid, "ASOF_BEFORE_BEGINNING",
			"nothing has happened in this organization yet, so it has no past; import something first").On("asOf")
	case instant.Before(*bounds.First):
		return problem.New(problem.Invalid, "ASOF_BEFORE_BEGINNING",
			"asOf is %s, and the history of this organization begins at %s; ask for that instant or a later one", say(instant), say(*bounds.First)).On("asOf")
	case instant.After(now) && instant.After(*bounds.Clock):
		return problem.New(problem.Invalid, "ASOF_IN_FUTURE",
			"asOf is %s, which is in the future: the server's clock says %s, that of the organization %s; ask for one of these or an earlier instant", say(instant), say(now), say(*bounds.Clock)).On("asOf")
	}
	return nil
}

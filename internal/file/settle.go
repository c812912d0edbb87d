package file

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/object"
)

// Settled is what came of the uploads that nobody ended.
type Settled struct {
	Completed int // their objects are stored
	Dropped   int // theirs are not: nobody was told that they were kept
}

// Settle ends the uploads of an organization that were left between two steps: each
// is completed, under whoever began it, or dropped. One that cannot be ended now, as
// when the store does not answer, keeps no other from it.
func (s *Service) Settle(ctx context.Context, organization id.ID) (Settled, error) {
	var settled Settled
	if err := access.Require(ctx, organization, access.Investigate); err != nil {
		return settled, err
	}
	uploads, err := s.uploads(ctx, organization)
	if err != nil {
		return settled, err
	}
	var errs []error
	for _, upload := range uploads {
		if ctx.Err() != nil {
			return settled, context.Cause(ctx)
		}
		if !s.old(upload.RecordedAt) {
			continue
		}
		stored, err := s.stored(ctx, organization, object.Digest(upload.SHA256))
		switch {
		case err != nil:
		case stored:
			if _, _, err = s.complete(ctx, organization, upload); err == nil {
				settled.Completed++
			}
		default:
			if err = s.drop(ctx, organization, upload); err == nil {
				settled.Dropped++
			}
		}
		errs = append(errs, err)
	}
	return settled, errors.Join(errs...)
}

// Sweep removes the drafts of processes that are gone, and says how many.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	return s.store.Spool().Sweep(ctx, s.now().Add(-draftAge))
}

func (s *Service) uploads(ctx context.Context, organization id.ID) ([]*row, error) {
	snapshot := s.db.Snapshot()
	defer snapshot.Close(ctx)
	return db.Select[row](ctx, snapshot.Of(organization), queries.Get("uploads"), nil)
}

// stored says whether an object is there. A store that cannot tell is an error: for
// the answer that it is not, an upload is dropped.
func (s *Service) stored(ctx context.Context, organization id.ID, digest object.Digest) (bool, error) {
	_, err := s.store.Head(ctx, object.Address{Organization: organization, Digest: digest})
	if object.IsMissing(err) {
		return false, nil
	}
	return err == nil, err
}

func (s *Service) drop(ctx context.Context, organization id.ID, upload *row) error {
	return s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
		p := tx.Pipeline()
		p.Exec(queries.Get("drop_upload"), pgx.StrictNamedArgs{"id": upload.ID})
		return p.Commit(ctx)
	})
}

package file

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/object"
)

// Examined is how the files of one organization and their objects stand to each other.
type Examined struct {
	Files   int
	Pending int       // uploads between two steps
	Stored  int       // of those, with an object: they will be completed
	Overdue int       // of those, so old that they should have been settled
	Since   time.Time // when the oldest began; zero without one

	Missing []object.Digest // of files whose object is not there
	Resized []object.Digest // of files whose object has another size
	Unknown []object.Digest // of old objects that nobody knows, as after an older database was restored
}

// Examine compares the files of an organization with the store. It reads no content,
// so an object that was changed and kept its size is not found: downloads find it.
func (s *Service) Examine(ctx context.Context, organization id.ID) (*Examined, error) {
	if err := access.Require(ctx, organization, access.View); err != nil {
		return nil, err
	}
	// The rows first: an object is stored before there is a row of it.
	snapshot := s.db.Snapshot()
	defer snapshot.Close(ctx)
	type size struct {
		SHA256 []byte `db:"sha256"`
		Size   int64
	}
	files, err := db.Select[size](ctx, snapshot.Of(organization), queries.Get("files"), nil)
	if err != nil {
		return nil, err
	}
	uploads, err := db.Select[row](ctx, snapshot.Of(organization), queries.Get("uploads"), nil)
	if err != nil {
		return nil, err
	}
	snapshot.Close(ctx)

	objects, err := s.objects(ctx, organization)
	if err != nil {
		return nil, err
	}
	found, known := &Examined{Files: len(files), Pending: len(uploads)}, map[object.Digest]bool{}
	for _, f := range files {
		digest := object.Digest(f.SHA256)
		known[digest] = true
		switch info, there := objects[digest]; {
		case !there:
			found.Missing = append(found.Missing, digest)
		case info.Size != f.Size:
			found.Resized = append(found.Resized, digest)
		}
	}
	for i, upload := range uploads {
		if i == 0 {
			found.Since = upload.RecordedAt.UTC()
		}
		digest := object.Digest(upload.SHA256)
		known[digest] = true
		if _, there := objects[digest]; there {
			found.Stored++
		}
		if s.old(upload.RecordedAt) {
			found.Overdue++
		}
	}
	for digest, info := range objects {
		if !known[digest] && s.old(info.Modified) { // a younger one may belong to what began since
			found.Unknown = append(found.Unknown, digest)
		}
	}
	return found, nil
}

// objects are those of an organization; none where there is no store.
func (s *Service) objects(ctx context.Context, organization id.ID) (map[object.Digest]object.Info, error) {
	objects := map[object.Digest]object.Info{}
	if s.store == nil {
		return objects, nil
	}
	for info, err := range s.store.List(ctx, organization) {
		if err != nil {
			return nil, err
		}
		objects[info.Address.Digest] = info
	}
	return objects, nil
}

// Add adds what was found in another organization.
func (x *Examined) Add(other *Examined) {
	if !other.Since.IsZero() && (x.Since.IsZero() || other.Since.Before(x.Since)) {
		x.Since = other.Since
	}
	x.Files, x.Pending, x.Stored, x.Overdue = x.Files+other.Files, x.Pending+other.Pending, x.Stored+other.Stored, x.Overdue+other.Overdue
	x.Missing, x.Resized, x.Unknown = append(x.Missing, other.Missing...), append(x.Resized, other.Resized...), append(x.Unknown, other.Unknown...)
}

// old says whether what began then should have come to its end.
func (s *Service) old(began time.Time) bool { return s.now().Sub(began) >= pendingAge }

// Drafts counts what is in the spool that this process does not receive, and what of it
// is left by processes that are gone.
func (s *Service) Drafts(ctx context.Context) (all, left int, err error) {
	if s.store == nil {
		return 0, 0, nil
	}
	drafts, err := s.store.Spool().Left(ctx)
	for _, draft := range drafts {
		if s.now().Sub(draft.Modified) >= draftAge {
			left++
		}
	}
	return len(drafts), left, err
}

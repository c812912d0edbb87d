package file

import (
	"context"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Find says what a file is, without reading it. What there is not, and what is another
// organization's, is FILE_NOT_FOUND alike.
func (s *Service) Find(ctx context.Context, organization id.ID, sha256 string) (*File, error) {
	if _, err := access.Admit(ctx, organization, access.View); err != nil {
		return nil, err
	}
	digest, err := object.ParseDigest(sha256)
	if err != nil {
		return nil, problem.New(problem.Invalid, "FILE_DIGEST_INVALID", "a file is named by its SHA-256: 64 digits of 0-9 and a-f").Because(err)
	}
	f, err := s.find(ctx, organization, digest, access.View)
	if err == nil && f == nil {
		err = problem.New(problem.NotFound, "FILE_NOT_FOUND", "there is no file %s in this organization", digest)
	}
	return f, err
}

// Open gives the content of a file that Find has found for the caller. It has been
// verified.
func (s *Service) Open(ctx context.Context, organization id.ID, f *File) (*object.Content, error) {
	if _, err := access.Admit(ctx, organization, access.View); err != nil {
		return nil, err
	}
	content, err := s.store.Open(ctx, object.Address{Organization: organization, Digest: f.SHA256})
	if object.IsMissing(err) {
		return nil, lost(f).Because(err)
	}
	return content, err
}

// Check says whether Open would find the content, without reading it.
func (s *Service) Check(ctx context.Context, organization id.ID, f *File) error {
	if _, err := access.Admit(ctx, organization, access.View); err != nil {
		return err
	}
	stored, err := s.stored(ctx, organization, f.SHA256)
	if err == nil && !stored {
		err = lost(f)
	}
	return err
}

func lost(f *File) *problem.Error {
	return problem.New(problem.Unavailable, "FILE_OBJECT_MISSING",
		"the file %s is known, and the store has lost its content; restore it from a copy, or collect the same file again", f.SHA256)
}

package file

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var queriesSQL string

var queries = db.Parse("file", queriesSQL)

// MaxBytes is the most that a file has by default.
const MaxBytes = 256 << 20

const (
	// pendingAge is how old an intent is before somebody else than its upload
	// completes or drops it.
	pendingAge = 15 * time.Minute

	// storeTime bounds storing an object. It ends long before pendingAge, so that an
	// intent is not dropped while its object is on the way.
	storeTime = 10 * time.Minute

	// draftAge is how long after its last byte a draft that no process here holds
	// is taken for one of a process that is gone.
	draftAge = time.Hour
)

// Step is how far a file has come.
type Step int

// The steps.
const (
	Spooled Step = iota
	Intended
	Stored
	Kept
)

// Config is what a service stands on.
type Config struct {
	DB        *db.DB
	Authority *authority.Service // gives files their place on the clock
	Store     object.Store
	Now       func() time.Time
	MaxBytes  int64 // of one file; zero: MaxBytes

	// Passed is called after each step of an upload. It is for tests, which end the
	// process there; nil otherwise.
	Passed func(Step)
}

// Service collects files and hands them out.
type Service struct {
	db        *db.DB
	authority *authority.Service
	store     object.Store
	now       func() time.Time
	maxBytes  int64
	passed    func(Step)
}

// New makes the service.
func New(c Config) *Service {
	s := &Service{db: c.DB, authority: c.Authority, store: c.Store, now: c.Now, maxBytes: c.MaxBytes, passed: c.Passed}
	if s.maxBytes == 0 {
		s.maxBytes = MaxBytes
	}
	if s.passed == nil {
		s.passed = func(Step) {}
	}
	return s
}

// MaxBytes is the most that a file may have.
func (s *Service) MaxBytes() int64 { return s.maxBytes }

// Upload is a file that is to be kept.
type Upload struct {
	Organization string // its slug
	Name         string // as its sender calls it; a label
	Sync         *id.ID // the scan that it belongs to; null for none
	Artifact     string // the image that it was collected of; empty for none
	Content      io.Reader
}

// File is a file that is kept.
type File struct {
	ID         id.ID // of its asset
	SHA256     object.Digest
	Size       int64
	MediaType  string // by its content
	Name       string // as its first sender called it
	Artifact   string
	Sync       *id.ID
	Actor      string    // who collected it
	At         time.Time // on the organization's clock
	RecordedAt time.Time // by the server's clock
}

// row is a file, or an upload, as the tables have it.
type row struct {
	ID         id.ID
	SHA256     []byte `db:"sha256"`
	Size       int64
	MediaType  string
	Name       string
	Artifact   *string
	SyncID     *id.ID
	Actor      string
	At         time.Time
	RecordedAt time.Time
}

func (r *row) file() *File {
	f := &File{ID: r.ID, Size: r.Size, MediaType: r.MediaType, Name: r.Name, Sync: r.SyncID, Actor: r.Actor, At: r.At.UTC(), RecordedAt: r.RecordedAt.UTC()}
	copy(f.SHA256[:], r.SHA256)
	if r.Artifact != nil {
		f.Artifact = *r.Artifact
	}
	return f
}

// Collect keeps a file, and says whether it was not there before. The same content
// again changes nothing but that its object is stored anew, which mends a damaged one.
func (s *Service) Collect(ctx context.Context, u Upload) (f *File, created bool, err error) {
	organization := id.Organization(u.Organization)
	if err := access.Require(ctx, organization, access.Investigate); err != nil {
		return nil, false, err
	}
	actor, _ := access.From(ctx)
	if err := s.admit(ctx, organization, u.Sync); err != nil {
		return nil, false, err
	}
	draft, err := s.receive(ctx, u.Content)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = draft.Discard() }() // what stays of it is swept
	s.passed(Spooled)
	media, err := mediaType(draft)
	if err != nil {
		return nil, false, err
	}
	return s.keep(ctx, organization, draft, &row{
		ID: uuid.New(), SHA256: bytesOf(draft.Digest()), Size: draft.Size(), MediaType: media, Name: cleanName(u.Name),
		Artifact: optional(u.Artifact), SyncID: u.Sync, Actor: actor.Subject,
	})
}

// admit refuses what need not be read.
func (s *Service) admit(ctx context.Context, organization id.ID, sync *id.ID) error {
	type standing struct{ Known, Scanned bool }
	snapshot := s.db.Snapshot()
	defer snapshot.Close(ctx)
	found, err := db.First[standing](ctx, snapshot.Of(organization), queries.Get("admit"), pgx.StrictNamedArgs{"sync": sync})
	switch {
	case err != nil:
		return err
	case !found.Known:
		return access.OrganizationNotFound()
	case !found.Scanned:
		return problem.New(problem.NotFound, "SYNC_NOT_FOUND", "there is no sync %s in this organization", sync).On("sync")
	}
	return nil
}

// receive spools the content. A file of nothing is a mistake somewhere.
func (s *Service) receive(ctx context.Context, content io.Reader) (*object.Draft, error) {
	draft, err := s.store.Spool().Receive(ctx, content, s.maxBytes)
	var typed *problem.Error
	if errors.As(err, &typed) && typed.Code == "OBJECT_TOO_LARGE" {
		return nil, TooLarge(s.maxBytes).Because(err)
	}
	if err != nil {
		return nil, err
	}
	if draft.Size() == 0 {
		return nil, errors.Join(problem.New(problem.Invalid, "FILE_EMPTY", "the file is empty; was it read to its end before it was sent?"), draft.Discard())
	}
	return draft, nil
}

// TooLarge refuses a file that has more bytes than one may have.
func TooLarge(limit int64) *problem.Error {
	return problem.New(problem.Limit, "FILE_TOO_LARGE", "a file has at most %d bytes here; --file-max-bytes of the server says so", limit)
}

// keep takes a draft through the steps.
func (s *Service) keep(ctx context.Context, organization id.ID, draft *object.Draft, upload *row) (f *File, created bool, err error) {
	known, err := s.find(ctx, organization, draft.Digest(), access.Investigate)
	if err != nil {
		return nil, false, err
	}
	if known == nil {
		if err := s.intend(ctx, organization, upload); err != nil {
			return nil, false, err
		}
		s.passed(Intended)
	}
	patience, cancel := context.WithTimeoutCause(ctx, storeTime, problem.New(problem.Unavailable, "OBJECT_STORE_SLOW",
		"the object store did not take the file within %s; send it again later", storeTime))
	defer cancel()
	if _, err := s.store.Put(patience, organization, draft); err != nil {
		return nil, false, err // the intent stays: nobody knows whether the object is there
	}
	if known != nil {
		return known, false, nil
	}
	s.passed(Stored)
	if f, created, err = s.complete(ctx, organization, upload); err != nil {
		return nil, false, err
	}
	s.passed(Kept)
	return f, created, nil
}

// find gives the file with this content; null if there is none that the caller sees.
func (s *Service) find(ctx context.Context, organization id.ID, digest object.Digest, scope access.Scope) (*File, error) {
	snapshot := s.db.Snapshot()
	defer snapshot.Close(ctx)
	q, err := access.Reader(ctx, snapshot, organization, scope)
	if err != nil {
		return nil, err
	}
	found, err := db.First[row](ctx, q, queries.Get("file"), pgx.StrictNamedArgs{"id": asset.FileID(organization, digest.String())})
	if err != nil || found == nil {
		return nil, err
	}
	return found.file(), nil
}

// intend commits to what will be said of the file, before its object is stored.
func (s *Service) intend(ctx context.Context, organization id.ID, upload *row) error {
	upload.RecordedAt = s.now().UTC().Truncate(time.Microsecond)
	return s.db.Tenant(ctx, organization, func(tx *db.Tx) error {
		p := tx.Pipeline()
		args := upload.args()
		args["id"] = upload.ID
		p.Exec(queries.Get("add_upload"), args)
		return p.Commit(ctx)
	})
}

func (r *row) args() pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{"sha256": r.SHA256, "size": r.Size, "media_type": r.MediaType, "name": r.Name,
		"artifact": r.Artifact, "sync": r.SyncID, "actor": r.Actor, "recorded_at": r.RecordedAt}
}

// complete makes a file of an upload whose object is stored, at its place on the
// clock. Of two uploads of the same content the second finds that of the first.
func (s *Service) complete(ctx context.Context, organization id.ID, upload *row) (f *File, created bool, err error) {
	kept := *upload
	digest := object.Digest(upload.SHA256)
	kept.ID = asset.FileID(organization, digest.String())
	var found *[]*row
	err = s.authority.Decide(ctx, organization, func(p *db.Pipeline) {
		found = db.Queue[row](p, queries.Get("file"), pgx.StrictNamedArgs{"id": kept.ID})
	}, func(tx *db.Tx, d *authority.Decision) error {
		p := tx.Pipeline()
		if created = len(*found) == 0; created {
			kept.At, kept.RecordedAt = d.At, s.now().UTC().Truncate(time.Microsecond)
			if err := kept.add(p, organization); err != nil {
				return err
			}
			d.Happened(1)
		} else {
			kept = *(*found)[0]
		}
		p.Exec(queries.Get("drop_upload"), pgx.StrictNamedArgs{"id": upload.ID})
		return p.Send(ctx)
	})
	if err != nil {
		return nil, false, err
	}
	return kept.file(), created, nil
}

func (r *row) add(p *db.Pipeline, organization id.ID) error {
	f := r.file()
	if err := asset.AddFile(p, organization, r.At, asset.File{
		SHA256: f.SHA256.String(), Name: f.Name, Size: f.Size, MediaType: f.MediaType, Artifact: f.Artifact}); err != nil {
		return err
	}
	args := r.args()
	args["id"], args["at"] = r.ID, r.At
	p.Exec(queries.Get("add_file"), args)
	return nil
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func bytesOf(d object.Digest) []byte { return d[:] }

package evidencepack

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

//go:embed seal.sql
var sealSQL string

var sealQueries = db.Parse("evidencepack.seal", sealSQL)

// Sealer makes packs and puts their digests on record, so that whoever kept the
// document can prove it later.
type Sealer struct {
	paths  *authority.Service
	reader *Reader
}

// NewSealer makes a sealer. Sealing takes its turn through paths, whose ledger
// keeps the digests.
func NewSealer(paths *authority.Service, reader *Reader) *Sealer { return &Sealer{paths, reader} }

// Sealed is a pack and the place of the entry that holds its digests.
type Sealed struct {
	*Pack

	Seq int64
}

// Exposure seals the pack of an exposure; null for one that does not exist.
func (s *Sealer) Exposure(ctx context.Context, organization, path id.ID, typ rule.Type, ordinal int) (*Sealed, error) {
	of, types := ofExposure(path, typ, ordinal)
	return s.seal(ctx, organization, of, types, ledger.Subject{Kind: ledger.SubjectExposure, Path: &path, Type: ledger.TypeWord(typ), Ordinal: ordinal})
}

// Path seals the pack of a path; null for one that does not exist.
func (s *Sealer) Path(ctx context.Context, organization, path id.ID) (*Sealed, error) {
	return s.seal(ctx, organization, ofPath(path), everyType(), ledger.Subject{Kind: ledger.SubjectPath, ID: &path})
}

// Workload seals the pack of a workload; null for one that does not exist.
func (s *Sealer) Workload(ctx context.Context, organization, workload id.ID) (*Sealed, error) {
	return s.seal(ctx, organization, ofWorkload(workload), everyType(), ledger.Subject{Kind: ledger.SubjectWorkload, ID: &workload})
}

// seal makes the pack in its turn: what it says is what holds when it is put on
// record.
func (s *Sealer) seal(ctx context.Context, organization id.ID, of subject, types []rule.Type, subject ledger.Subject) (sealed *Sealed, err error) {
	for _, scope := range []access.Scope{access.Investigate, access.View} {
		if err := access.Require(ctx, organization, scope); err != nil {
			return nil, err
		}
	}
	err = s.paths.Decide(ctx, organization, nil, func(tx *db.Tx, d *authority.Decision) error {
		sealed = nil
		pack, err := s.reader.pack(ctx, tx, organization, of, types)
		if err != nil || pack == nil {
			return err
		}
		class, err := classOf(ctx, tx, of)
		if err != nil {
			return err
		}
		posted, err := s.paths.Ledger().Append(ctx, tx, book.Draft{
			Kind: ledger.EvidencePackSealed, Subject: subject, Class: class, OccurredAt: d.At,
			Payload: ledger.Pack{Digest: pack.Digest, StateDigest: pack.StateDigest},
		})
		if err == nil {
			sealed = &Sealed{Pack: pack, Seq: posted[0].Seq}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

// classOf is the access class of what a pack is of; an exposure has that of its
// path.
func classOf(ctx context.Context, q db.Querier, of subject) (int, error) {
	args := pgx.StrictNamedArgs{"path": or(of.Path), "workload": or(of.Workload)}
	classes, err := db.Column[int](ctx, q, sealQueries.Get("class"), args)
	if err != nil || len(classes) == 0 {
		return 0, err
	}
	return classes[0], nil
}

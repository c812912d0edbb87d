package evidencepack

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

//go:embed queries.sql
var readSQL string

var readQueries = db.Parse("evidencepack", readSQL)

// How much a pack holds. What is more is refused, never cut: a pack that leaves
// something out without saying so proves nothing.
const (
	MaxPaths     = 1_000
	MaxExposures = 10_000
	MaxEvidence  = 10_000
	MaxRecords   = 10_000 // of everything else: versions, ties, conditions, coverage
)

// Pack is an evidence pack.
type Pack struct {
	Digest      string // "sha256:" and the SHA-256 of Document, in hexadecimal
	StateDigest string // the same of the document without its member asOf
	Document    []byte // JSON as RFC 8785 writes it
}

// Reader makes evidence packs of what is stored.
type Reader struct{ limits *limits } // null: those above

type limits struct{ paths, exposures, evidence, records int }

// Exposure is what one exposure rests on, with every other interval of its type
// on its path; null for one that does not exist.
func (r *Reader) Exposure(ctx context.Context, snapshot *db.Snapshot, organization id.ID, path id.ID, typ rule.Type, ordinal int) (*Pack, error) {
	s, types := ofExposure(path, typ, ordinal)
	return r.read(ctx, snapshot, organization, s, types)
}

// Path is what all exposures of a path rest on; null for one that does not exist.
func (r *Reader) Path(ctx context.Context, snapshot *db.Snapshot, organization, path id.ID) (*Pack, error) {
	return r.read(ctx, snapshot, organization, ofPath(path), everyType())
}

// Workload is what all exposures of a workload rest on, and the conditions of the
// workload and its identities that no path carries; null for one that does not
// exist.
func (r *Reader) Workload(ctx context.Context, snapshot *db.Snapshot, organization, workload id.ID) (*Pack, error) {
	return r.read(ctx, snapshot, organization, ofWorkload(workload), everyType())
}

func (r *Reader) read(ctx context.Context, snapshot *db.Snapshot, organization id.ID, s subject, types []rule.Type) (*Pack, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return r.pack(ctx, q, organization, s, types)
}

// ofExposure has no types for a type of exposure that there is not.
func ofExposure(path id.ID, typ rule.Type, ordinal int) (subject, []rule.Type) {
	if !slices.Contains(everyType(), typ) {
		return subject{}, nil
	}
	return subject{Kind: "exposure", Path: &path, Type: ledger.TypeWord(typ), Ordinal: ordinal}, []rule.Type{typ}
}

func ofPath(path id.ID) subject { return subject{Kind: "path", Path: &path} }

func ofWorkload(workload id.ID) subject { return subject{Kind: "workload", Workload: &workload} }

func everyType() []rule.Type {
	types := make([]rule.Type, len(rule.Definitions))
	for i, d := range rule.Definitions {
		types[i] = d.Type
	}
	return types
}

func (r *Reader) pack(ctx context.Context, q db.Querier, organization id.ID, s subject, types []rule.Type) (*Pack, error) {
	if len(types) == 0 {
		return nil, nil
	}
	c := &collection{organization: organization, subject: s, types: types,
		limits: limits{MaxPaths, MaxExposures, MaxEvidence, MaxRecords}}
	if r.limits != nil {
		c.limits = *r.limits
	}
	found, err := c.collect(ctx, q)
	if err != nil || !found {
		return nil, err
	}
	return seal(c.compose())
}

// seal writes the document and digests it.
func seal(d document) (*Pack, error) {
	whole, err := canonical.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write an evidence pack: %w", err)
	}
	state, err := canonical.Marshal(struct {
		Format       string       `json:"format"`
		Organization organization `json:"organization"`
		Subject      subject      `json:"subject"`
		State        state        `json:"state"`
	}{d.Format, d.Organization, d.Subject, d.State})
	if err != nil {
		return nil, fmt.Errorf("write the state of an evidence pack: %w", err)
	}
	return &Pack{Digest: digest(whole), StateDigest: digest(state), Document: whole}, nil
}

func digest(document []byte) string {
	sum := sha256.Sum256(document)
	return "sha256:" + hex.EncodeToString(sum[:])
}

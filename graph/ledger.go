package graph

import (
	"context"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/evidencepack"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

func (r organizationResolver) Ledger(ctx context.Context, o *model.Organization) (*model.Ledger, error) {
	end, err := r.book.Head(ctx, loader.From(ctx).Snapshot, o.Organization.ID)
	if err != nil {
		return nil, err
	}
	return model.NewLedger(o.Organization.ID, end), nil
}

func (r ledgerResolver) Root(ctx context.Context, l *model.Ledger) (*string, error) {
	if l.Size == 0 {
		return nil, nil
	}
	root, err := r.book.Root(ctx, loader.From(ctx).Snapshot, l.OrganizationID, l.Size)
	if err != nil {
		return nil, err
	}
	return unlessEmpty(root.String()), nil
}

func (r ledgerResolver) Entries(ctx context.Context, l *model.Ledger, first *int32, after *string, last *int32, before *string, input *generated.LedgerFilter) (*model.LedgerEntryConnection, error) {
	snapshot, filter := loader.From(ctx).Snapshot, ledgerFilter(l.OrganizationID, input)
	list, err := r.book.Entries(ctx, snapshot, l.OrganizationID, filter, true, pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, l.OrganizationID, func(p *prefetcher) error {
		return p.ledgerEntries(list.Rows, p.nodes("LedgerEntry"))
	}); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, model.NewLedgerEntry, list.Cursor, func(ctx context.Context) (int, error) {
		return r.book.CountEntries(ctx, snapshot, l.OrganizationID, filter)
	}), nil
}

// ledgerFilter has a subject or batch that is none of the organization's as the id
// of nothing, so that it matches no entry and tells nothing.
func ledgerFilter(organization id.ID, input *generated.LedgerFilter) book.Filter {
	if input == nil {
		return book.Filter{}
	}
	filter := book.Filter{Actors: input.Actor, From: input.OccurredAfter, To: input.OccurredBefore}
	for _, kind := range input.Kind {
		filter.Kinds = append(filter.Kinds, ledger.Kind(kind))
	}
	if input.Subject != nil {
		opened, _ := model.ParseID(*input.Subject)
		filter.About = opened.About(organization)
	}
	if input.Batch != nil {
		opened, _ := model.ParseID(*input.Batch)
		filter.BatchID = &id.ID{}
		if opened.Type == model.TypeBatch && opened.Organization == organization {
			filter.BatchID = &opened.Parts[0]
		}
	}
	return filter
}

// ledgerEntries keeps the entries of a page for whoever asks for one of them, and
// reads those before them.
func (p *prefetcher) ledgerEntries(entries []*book.Entry, fields []selected) error {
	each(entries, func(e *book.Entry) { p.scope.LedgerEntries.Prime(p.ctx, p.organization, e.Seq, e) })
	for _, field := range fields {
		if field.Name != "previousHash" {
			continue
		}
		var before []int64
		for _, e := range entries {
			if e.Seq > 1 {
				before = append(before, e.Seq-1)
			}
		}
		_, err := p.scope.LedgerEntries.Prefetch(p.ctx, p.organization, before)
		return err
	}
	return nil
}

func (r ledgerResolver) Entry(ctx context.Context, l *model.Ledger, seq int64) (*model.LedgerEntry, error) {
	return entryAt(ctx, l.OrganizationID, seq)
}

func entryAt(ctx context.Context, organization id.ID, seq int64) (*model.LedgerEntry, error) {
	entry, err := loader.From(ctx).LedgerEntries.Load(ctx, organization, seq)
	if err != nil || entry == nil {
		return nil, err
	}
	return model.NewLedgerEntry(entry), nil
}

func (r ledgerEntryResolver) PreviousHash(ctx context.Context, e *model.LedgerEntry) (string, error) {
	if e.Seq == 1 {
		return ledger.Hash{}.String(), nil
	}
	return hashAt(ctx, e.OrganizationID, e.Seq-1)
}

// hashAt is the hash of the entry at a place of the ledger.
func hashAt(ctx context.Context, organization id.ID, seq int64) (string, error) {
	entry, err := loader.From(ctx).LedgerEntries.Load(ctx, organization, seq)
	if err != nil || entry == nil {
		return "", err
	}
	return entry.Hash.String(), nil
}

func (r ledgerResolver) Checkpoint(ctx context.Context, l *model.Ledger) (*generated.LedgerCheckpoint, error) {
	last, err := r.book.LastCheckpoint(ctx, loader.From(ctx).Snapshot, l.OrganizationID)
	if err != nil || last == nil {
		return nil, err
	}
	return showCheckpoint(last), nil
}

func (r ledgerResolver) Checkpoints(ctx context.Context, l *model.Ledger, first *int32) ([]*generated.LedgerCheckpoint, error) {
	list, err := r.book.Checkpoints(ctx, loader.From(ctx).Snapshot, l.OrganizationID, pageRequest(first, nil, nil, nil))
	return collect(list.Rows, showCheckpoint), err
}

func showCheckpoint(c *book.Checkpoint) *generated.LedgerCheckpoint {
	return &generated.LedgerCheckpoint{Size: c.Size, Root: c.Root.String(), Note: c.Note, Signer: c.Signer, RecordedAt: c.RecordedAt}
}

func (r ledgerResolver) InclusionProof(ctx context.Context, l *model.Ledger, seq int64, size *int64) (*generated.InclusionProof, error) {
	p, err := r.book.InclusionProof(ctx, loader.From(ctx).Snapshot, l.OrganizationID, seq, deref(size))
	if err != nil {
		return nil, err
	}
	return &generated.InclusionProof{
		Seq: p.Seq, Size: p.Size, EntryHash: p.Entry.String(), Root: p.Root.String(), Hashes: collect(p.Hashes, ledger.Hash.String)}, nil
}

func (r ledgerResolver) ConsistencyProof(ctx context.Context, l *model.Ledger, from int64, to *int64) (*generated.ConsistencyProof, error) {
	p, err := r.book.ConsistencyProof(ctx, loader.From(ctx).Snapshot, l.OrganizationID, from, deref(to))
	if err != nil {
		return nil, err
	}
	return &generated.ConsistencyProof{
		From: p.From, To: p.To, FromRoot: p.FromRoot.String(), ToRoot: p.ToRoot.String(), Hashes: collect(p.Hashes, ledger.Hash.String)}, nil
}

func (r ledgerResolver) PublicKey(context.Context, *model.Ledger) (*string, error) {
	return unlessEmpty(r.ledgerKey), nil
}

func (r mutationResolver) SealEvidencePack(ctx context.Context, input generated.SealEvidencePackInput) (*generated.SealEvidencePackPayload, error) {
	named, ok := model.ParseID(input.Subject)
	if !ok {
		return nil, noSuch(typeSubject, "subject")
	}
	sealed, err := r.seal(ctx, named)
	if err == nil && sealed == nil {
		err = noSuch(typeSubject, "subject")
	}
	wrong, err := recordErrors(typeSubject, "subject", err)
	if err != nil || len(wrong) > 0 {
		return &generated.SealEvidencePackPayload{UserErrors: wrong}, err
	}
	entry, err := entryAt(ctx, named.Organization, sealed.Seq)
	return &generated.SealEvidencePackPayload{EvidencePack: showPack(sealed.Pack), Entry: entry, UserErrors: wrong}, err
}

// typeSubject is whatever has an evidence pack.
const typeSubject model.Type = "exposure, authority path or workload"

// seal seals the pack of what an id names; nil for an id of something else.
func (r mutationResolver) seal(ctx context.Context, named model.ID) (*evidencepack.Sealed, error) {
	switch named.Type {
	case model.TypeAuthorityPath:
		return r.sealer.Path(ctx, named.Organization, named.Parts[0])
	case model.TypeWorkload:
		return r.sealer.Workload(ctx, named.Organization, named.Parts[0])
	}
	key, ok := named.ExposureKey()
	if !ok {
		return nil, nil
	}
	return r.sealer.Exposure(ctx, named.Organization, key.PathID, key.Type, key.Ordinal)
}

package book

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// InclusionProof proves that an entry is in the ledger of a size.
type InclusionProof struct {
	Seq    int64
	Size   int64
	Entry  ledger.Hash // of the entry
	Root   ledger.Hash // of the tree of this size
	Hashes []ledger.Hash
}

// ConsistencyProof proves that the ledger of a size begins with that of another.
type ConsistencyProof struct {
	From, To         int64
	FromRoot, ToRoot ledger.Hash
	Hashes           []ledger.Hash
}

// Root is the root of the tree over the first size entries; size 0 is that of now.
func (*Book) Root(ctx context.Context, snapshot *db.Snapshot, organization id.ID, size int64) (ledger.Hash, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return ledger.Hash{}, err
	}
	tree, size, err := treeOf(ctx, q, "size", size)
	if err != nil {
		return ledger.Hash{}, err
	}
	root, err := ledger.Root(ctx, tree, size)
	if err != nil {
		return ledger.Hash{}, broken(err)
	}
	return root, nil
}

// InclusionProof proves that the entry seq is in the ledger of the first size
// entries; size 0 is that of now.
func (*Book) InclusionProof(ctx context.Context, snapshot *db.Snapshot, organization id.ID, seq, size int64) (*InclusionProof, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return nil, err
	}
	tree, size, err := treeOf(ctx, q, "size", size)
	if err != nil {
		return nil, err
	}
	if seq < 1 || seq > size {
		return nil, problem.New(problem.Invalid, "LEDGER_SEQ_OUT_OF_RANGE", "a ledger of %d entries has no entry %d; its entries are 1 to %d", size, seq, size).On("seq")
	}
	p := &InclusionProof{Seq: seq, Size: size}
	if p.Hashes, err = ledger.Inclusion(ctx, tree, seq, size); err != nil {
		return nil, broken(err)
	}
	if p.Root, err = ledger.Root(ctx, tree, size); err != nil {
		return nil, broken(err)
	}
	own, err := tree.Leaves(ctx, seq-1, seq)
	if err != nil || len(own) == 0 {
		return nil, broken(err)
	}
	p.Entry = own[0]
	return p, nil
}

// ConsistencyProof proves that the ledger of the first to entries begins with
// that of the first from entries; to 0 is that of now.
func (*Book) ConsistencyProof(ctx context.Context, snapshot *db.Snapshot, organization id.ID, from, to int64) (*ConsistencyProof, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return nil, err
	}
	tree, to, err := treeOf(ctx, q, "to", to)
	if err != nil {
		return nil, err
	}
	switch {
	case from < 1:
		return nil, problem.New(problem.Invalid, "LEDGER_SIZE_OUT_OF_RANGE", "a ledger has at least one entry, not %d", from).On("from")
	case from > to:
		return nil, problem.New(problem.Invalid, "LEDGER_SIZES_REVERSED", "a ledger of %d entries does not begin with one of %d; ask for sizes that grow", to, from).On("from")
	}
	p := &ConsistencyProof{From: from, To: to}
	if p.Hashes, err = ledger.Consistency(ctx, tree, from, to); err != nil {
		return nil, broken(err)
	}
	if p.FromRoot, err = ledger.Root(ctx, tree, from); err != nil {
		return nil, broken(err)
	}
	if p.ToRoot, err = ledger.Root(ctx, tree, to); err != nil {
		return nil, broken(err)
	}
	return p, nil
}

// broken is an error about a tree that has not the entries that its head says.
func broken(cause error) error {
	if problem.KindOf(cause) == problem.Unavailable {
		return cause
	}
	return problem.New(problem.Conflict, "LEDGER_DAMAGED", "the ledger is not what was written; run `exposuregraph ledger verify`").Because(cause)
}

// treeOf is the tree over a ledger, and the size that is asked for: 0 is that of
// the whole.
func treeOf(ctx context.Context, q db.Querier, field string, size int64) (*tree, int64, error) {
	end, err := readHead(ctx, q)
	switch {
	case err != nil:
		return nil, 0, err
	case end.Size == 0:
		return nil, 0, problem.New(problem.NotFound, "LEDGER_EMPTY", "the ledger of this organization has no entry yet").On(field)
	case size < 0 || size > end.Size:
		return nil, 0, problem.New(problem.Invalid, "LEDGER_SIZE_OUT_OF_RANGE", "the ledger has %d entries, and never had %d", end.Size, size).On(field)
	case size == 0:
		size = end.Size
	}
	return &tree{q: q}, size, nil
}

// tree reads what Merkle trees are computed from. It remembers what it read: the
// nodes of one proof lie in the same few tiles.
type tree struct {
	q      db.Querier
	roots  []ledger.Hash // of the tiles from the first on
	leaves map[int64][]ledger.Hash
}

var _ ledger.Source = (*tree)(nil)

// Leaves are the hashes of the entries with from < seq ≤ to.
func (t *tree) Leaves(ctx context.Context, from, to int64) ([]ledger.Hash, error) {
	index := from / ledger.TileSize
	begin := index * ledger.TileSize
	if to > begin+ledger.TileSize {
		return hashes(ctx, t.q, "leaves", pgx.StrictNamedArgs{"from": from, "to": to})
	}
	known := t.leaves[index]
	if int64(len(known)) < to-begin {
		// All of the tile that there is.
		var err error
		if known, err = hashes(ctx, t.q, "leaves", pgx.StrictNamedArgs{"from": begin, "to": begin + ledger.TileSize}); err != nil {
			return nil, err
		}
		if t.leaves == nil {
			t.leaves = map[int64][]ledger.Hash{}
		}
		t.leaves[index] = known
	}
	if int64(len(known)) < to-begin {
		return nil, fmt.Errorf("of the entries %d to %d %d are there", begin+1, to, len(known))
	}
	return known[from-begin : to-begin], nil
}

// Tiles are the roots of the tiles with from ≤ index < to.
func (t *tree) Tiles(ctx context.Context, from, to int64) ([]ledger.Hash, error) {
	if int64(len(t.roots)) < to {
		roots, err := hashes(ctx, t.q, "tiles", pgx.StrictNamedArgs{"from": int64(len(t.roots)), "to": to})
		if err != nil {
			return nil, err
		}
		t.roots = append(t.roots, roots...)
	}
	if int64(len(t.roots)) < to {
		return nil, fmt.Errorf("of %d tiles %d are there", to, len(t.roots))
	}
	return t.roots[from:to], nil
}

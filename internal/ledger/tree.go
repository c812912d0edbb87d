package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// The entries of an organization are the leaves of a Merkle tree as RFC 6962
// hashes it; the leaf of an entry holds its hash. A tile is the root of
// TileSize entries, kept so that nobody has to read them all for a proof.
const (
	TileSize  = 1 << tileLevel
	tileLevel = 8
)

// MaxSize bounds the size of a tree, far beyond every ledger.
const MaxSize = 1 << 48

// Source is what a tree is computed from. A proof asks for at most two ranges of
// leaves, of TileSize at most each, and for one range of tiles.
type Source interface {
	// Leaves are the hashes of the entries with from < seq ≤ to, in their order.
	Leaves(ctx context.Context, from, to int64) ([]Hash, error)
	// Tiles are the roots of the tiles with from ≤ index < to, in their order. The
	// tile i is over the entries with i × TileSize < seq ≤ (i + 1) × TileSize.
	Tiles(ctx context.Context, from, to int64) ([]Hash, error)
}

// TileRoot is the root over the hashes of the entries of one full tile.
func TileRoot(hashes []Hash) (Hash, error) {
	if len(hashes) != TileSize {
		return Hash{}, fmt.Errorf("a tile is over %d entries, not %d", TileSize, len(hashes))
	}
	return fold(leaves(hashes)), nil
}

// Root is the root of the tree over the first size entries.
func Root(ctx context.Context, source Source, size int64) (Hash, error) {
	if err := checkSize(size); err != nil {
		return Hash{}, err
	}
	if size == 0 {
		return Hash(rfc6962.DefaultHasher.EmptyRoot()), nil
	}
	reader := reader{source: source, size: size, leaves: map[int64][]Hash{}}
	var root *Hash
	nodes := compact.RangeNodes(0, uint64(size), nil)
	for i := range nodes { // from the right to the left: the smallest first
		hash, err := reader.node(ctx, nodes[len(nodes)-1-i])
		if err != nil {
			return Hash{}, err
		}
		if root != nil {
			hash = parent(hash, *root)
		}
		root = &hash
	}
	return *root, nil
}

// Inclusion proves that the entry with this seq is in the tree of this size.
func Inclusion(ctx context.Context, source Source, seq, size int64) ([]Hash, error) {
	if err := checkSize(size); err != nil {
		return nil, err
	}
	if seq < 1 || seq > size {
		return nil, fmt.Errorf("a tree of %d entries has no entry %d", size, seq)
	}
	nodes, err := proof.Inclusion(uint64(seq-1), uint64(size))
	if err != nil {
		return nil, err
	}
	return prove(ctx, source, nodes, size)
}

// Consistency proves that the tree of the size second begins with the tree of
// the size first.
func Consistency(ctx context.Context, source Source, first, second int64) ([]Hash, error) {
	if err := checkSize(second); err != nil {
		return nil, err
	}
	if first < 1 || first > second {
		return nil, fmt.Errorf("a tree of %d entries does not begin with one of %d", second, first)
	}
	nodes, err := proof.Consistency(uint64(first), uint64(second))
	if err != nil {
		return nil, err
	}
	return prove(ctx, source, nodes, second)
}

// VerifyInclusion checks a proof that the entry with this seq and hash is in the
// tree of this size and root.
func VerifyInclusion(entry Hash, seq, size int64, hashes []Hash, root Hash) error {
	if seq < 1 || seq > size || size > MaxSize {
		return fmt.Errorf("a tree of %d entries has no entry %d", size, seq)
	}
	return proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(seq-1), uint64(size),
		rfc6962.DefaultHasher.HashLeaf(entry[:]), slicesOf(hashes), root[:])
}

// VerifyConsistency checks a proof that the tree of the second size and root
// begins with that of the first.
func VerifyConsistency(first, second int64, hashes []Hash, firstRoot, secondRoot Hash) error {
	if first < 1 || first > second || second > MaxSize {
		return fmt.Errorf("a tree of %d entries does not begin with one of %d", second, first)
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(first), uint64(second), slicesOf(hashes), firstRoot[:], secondRoot[:])
}

func checkSize(size int64) error {
	if size < 0 || size > MaxSize {
		return fmt.Errorf("%d is no size of a tree", size)
	}
	return nil
}

func prove(ctx context.Context, source Source, nodes proof.Nodes, size int64) ([]Hash, error) {
	reader := reader{source: source, size: size, leaves: map[int64][]Hash{}}
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		hash, err := reader.node(ctx, id)
		if err != nil {
			return nil, err
		}
		hashes[i] = hash[:]
	}
	hashes, err := nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, err
	}
	out := make([]Hash, len(hashes))
	for i, hash := range hashes {
		out[i] = Hash(hash)
	}
	return out, nil
}

// reader computes the nodes of a tree. It asks its source once for the tiles and
// once for the leaves of each tile that it looks into.
type reader struct {
	source Source
	size   int64
	tiles  []Hash
	leaves map[int64][]Hash // by the index of their tile
}

func (r *reader) node(ctx context.Context, id compact.NodeID) (Hash, error) {
	from, to := int64(id.Index<<id.Level), int64((id.Index+1)<<id.Level)
	if to > r.size {
		return Hash{}, fmt.Errorf("the node %d of level %d is beyond %d entries", id.Index, id.Level, r.size)
	}
	if id.Level >= tileLevel {
		if r.tiles == nil {
			tiles, err := r.source.Tiles(ctx, 0, r.size/TileSize)
			if err != nil {
				return Hash{}, err
			}
			if int64(len(tiles)) != r.size/TileSize {
				return Hash{}, fmt.Errorf("of %d tiles %d are there", r.size/TileSize, len(tiles))
			}
			r.tiles = tiles
		}
		return fold(r.tiles[from/TileSize : to/TileSize]), nil
	}
	tile := from / TileSize
	begin, end := tile*TileSize, min((tile+1)*TileSize, r.size)
	row, ok := r.leaves[tile]
	if !ok {
		hashes, err := r.source.Leaves(ctx, begin, end)
		if err != nil {
			return Hash{}, err
		}
		if int64(len(hashes)) != end-begin {
			return Hash{}, fmt.Errorf("of the entries %d to %d %d are there", begin+1, end, len(hashes))
		}
		row = leaves(hashes)
		r.leaves[tile] = row
	}
	return fold(row[from-begin : to-begin]), nil
}

// leaves are the nodes of level 0 over the hashes of entries.
func leaves(hashes []Hash) []Hash {
	nodes := make([]Hash, len(hashes))
	for i, hash := range hashes {
		nodes[i] = Hash(rfc6962.DefaultHasher.HashLeaf(hash[:]))
	}
	return nodes
}

// fold is the node over a row of nodes, whose number is a power of two.
func fold(row []Hash) Hash {
	row = slices.Clone(row)
	for len(row) > 1 {
		for i := range len(row) / 2 {
			row[i] = parent(row[2*i], row[2*i+1])
		}
		row = row[:len(row)/2]
	}
	return row[0]
}

func parent(left, right Hash) Hash {
	return Hash(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}

func slicesOf(hashes []Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

package ledger_test

import (
	"context"
	"crypto/sha256"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// forest is a source that counts what it is asked for.
type forest struct {
	hashes        []ledger.Hash
	ranges, tiles int
}

func (f *forest) Leaves(_ context.Context, from, to int64) ([]ledger.Hash, error) {
	f.ranges++
	return f.hashes[from:to], nil
}

func (f *forest) Tiles(_ context.Context, from, to int64) ([]ledger.Hash, error) {
	f.tiles++
	roots := make([]ledger.Hash, 0, to-from)
	for i := from; i < to; i++ {
		root, err := ledger.TileRoot(f.hashes[i*ledger.TileSize : (i+1)*ledger.TileSize])
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}

// grow is a forest of made-up entries: the hash of entry n is that of its
// decimal digits.
func grow(size int) *forest {
	f := &forest{hashes: make([]ledger.Hash, size)}
	for i := range f.hashes {
		f.hashes[i] = sha256.Sum256([]byte(strconv.Itoa(i + 1)))
	}
	return f
}

// merkle is the definition of RFC 6962, word by word.
func merkle(hashes []ledger.Hash) ledger.Hash {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, hashes[0][:]...))
	}
	k := 1
	for k*2 < len(hashes) {
		k *= 2
	}
	left, right := merkle(hashes[:k]), merkle(hashes[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func TestRoot(t *testing.T) {
	t.Parallel()
	f := grow(1100)
	for _, size := range []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255, 256, 257, 300, 511, 512, 513, 767, 768, 1024, 1025, 1100} {
		f.ranges, f.tiles = 0, 0
		root, err := ledger.Root(t.Context(), f, size)
		require.NoError(t, err)
		require.Equal(t, merkle(f.hashes[:size]), root, size)
		require.LessOrEqual(t, f.ranges, 1)
		require.LessOrEqual(t, f.tiles, 1)
	}
	_, err := ledger.Root(t.Context(), f, -1)
	require.Error(t, err)
	_, err = ledger.TileRoot(f.hashes[:255])
	require.Error(t, err)
}

// TestProofs: proofs of random trees hold before the verifier of the library;
// with anything in them changed, they do not.
func TestProofs(t *testing.T) {
	t.Parallel()
	f := grow(2100)
	other := func(h ledger.Hash) ledger.Hash { h[7] ^= 1; return h }
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, int64(len(f.hashes))).Draw(t, "size")
		seq := rapid.Int64Range(1, size).Draw(t, "seq")
		root := merkle(f.hashes[:size])
		f := &forest{hashes: f.hashes[:size]} // nothing behind it is read
		inclusion, err := ledger.Inclusion(t.Context(), f, seq, size)
		require.NoError(t, err)
		require.LessOrEqual(t, f.ranges, 2)
		require.LessOrEqual(t, f.tiles, 1)
		entry := f.hashes[seq-1]
		raw := [][]byte{}
		for _, hash := range inclusion {
			raw = append(raw, hash[:])
		}
		require.NoError(t, proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(seq-1), uint64(size), rfc6962.DefaultHasher.HashLeaf(entry[:]), raw, root[:]))
		require.NoError(t, ledger.VerifyInclusion(entry, seq, size, inclusion, root))
		require.Error(t, ledger.VerifyInclusion(other(entry), seq, size, inclusion, root))
		require.Error(t, ledger.VerifyInclusion(entry, seq, size, inclusion, other(root)))
		if size > 1 {
			require.Error(t, ledger.VerifyInclusion(entry, seq%size+1, size, inclusion, root))
		}
		require.Error(t, ledger.VerifyInclusion(entry, seq, size, append(inclusion, root), root))
		require.Error(t, ledger.VerifyInclusion(entry, seq, seq-1, inclusion, root))
		require.Error(t, ledger.VerifyInclusion(entry, 0, size, inclusion, root))
		for i := range inclusion {
			wrong := append([]ledger.Hash{}, inclusion...)
			wrong[i] = other(wrong[i])
			require.Error(t, ledger.VerifyInclusion(entry, seq, size, wrong, root))
		}

		first := seq
		firstRoot := merkle(f.hashes[:first])
		f.ranges, f.tiles = 0, 0
		consistency, err := ledger.Consistency(t.Context(), f, first, size)
		require.NoError(t, err)
		require.LessOrEqual(t, f.ranges, 2)
		require.LessOrEqual(t, f.tiles, 1)
		raw = [][]byte{}
		for _, hash := range consistency {
			raw = append(raw, hash[:])
		}
		require.NoError(t, proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(first), uint64(size), raw, firstRoot[:], root[:]))
		require.NoError(t, ledger.VerifyConsistency(first, size, consistency, firstRoot, root))
		require.Error(t, ledger.VerifyConsistency(first, size, consistency, other(firstRoot), root))
		require.Error(t, ledger.VerifyConsistency(first, size, consistency, firstRoot, other(root)))
		require.Error(t, ledger.VerifyConsistency(first, size, append(consistency, root), firstRoot, root))
		for i := range consistency {
			wrong := append([]ledger.Hash{}, consistency...)
			wrong[i] = other(wrong[i])
			require.Error(t, ledger.VerifyConsistency(first, size, wrong, firstRoot, root))
		}
	})
}

// TestNoProof: what cannot be proven is refused, and a source that does not have
// everything is found out.
func TestNoProof(t *testing.T) {
	t.Parallel()
	f := grow(600)
	for _, c := range []struct{ seq, size int64 }{{0, 5}, {6, 5}, {-1, 5}, {1, 0}, {1, -1}, {1, ledger.MaxSize + 1}} {
		_, err := ledger.Inclusion(t.Context(), f, c.seq, c.size)
		require.Error(t, err, c)
		_, err = ledger.Consistency(t.Context(), f, c.seq, c.size)
		require.Error(t, err, c)
		require.Error(t, ledger.VerifyInclusion(ledger.Hash{}, c.seq, c.size, nil, ledger.Hash{}), c)
		require.Error(t, ledger.VerifyConsistency(c.seq, c.size, nil, ledger.Hash{}, ledger.Hash{}), c)
	}
	short := &shortForest{forest: f}
	for _, size := range []int64{5, 600} {
		_, err := ledger.Root(t.Context(), short, size)
		require.ErrorContains(t, err, "are there")
	}
}

// shortForest has lost something.
type shortForest struct{ *forest }

func (f *shortForest) Leaves(ctx context.Context, from, to int64) ([]ledger.Hash, error) {
	hashes, err := f.forest.Leaves(ctx, from, to)
	return hashes[1:], err
}

package object

import (
	"context"
	"io"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// generated gives as many bytes as it has left, and no two pieces alike.
type generated struct{ left, counter int64 }

func (g *generated) Read(into []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(into)), g.left)
	for i := int64(0); i < n; i += 4096 {
		g.counter++
		into[i] = byte(g.counter)
	}
	g.left -= n
	return int(n), nil
}

// All that is allocated while 300 MB come in, are put and are read again is a small
// part of them. The test does not run beside others, whose memory would count too.
func TestMemoryIsFlat(t *testing.T) {
	const large, most = 300_000_000, 16 << 20
	fake := newFakeS3(t, PathStyle)
	folder, err := OpenFolder(filepath.Join(t.TempDir(), "files"))
	require.NoError(t, err)
	for name, store := range map[string]Store{"folder": folder, "bucket": fake.open("", t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ctx := context.Background()
			draft, err := store.Spool().Receive(ctx, &generated{left: large}, large)
			require.NoError(t, err)
			address, err := store.Put(ctx, acme, draft)
			require.NoError(t, err)
			require.NoError(t, draft.Discard())
			content, err := store.Open(ctx, address)
			require.NoError(t, err)
			read, err := io.Copy(io.Discard, content)
			require.NoError(t, err)
			require.NoError(t, content.Close())
			require.NoError(t, store.Delete(ctx, address))
			runtime.ReadMemStats(&after)
			require.Equal(t, int64(large), read)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(most))
		})
	}
}

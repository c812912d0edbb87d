package devpg

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	require.Positive(t, memory())

	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	require.EqualValues(t, 24<<30, installed(file("MemFree:  1 kB\nMemTotal:       25165824 kB\nSwapTotal: 0 kB\n")))
	require.Zero(t, installed(file("nothing of the kind\n")))
	require.Zero(t, installed(file("MemTotal: many\n")))
	require.Zero(t, installed(filepath.Join(t.TempDir(), "missing")))
	require.EqualValues(t, 1<<30, limit(file("1073741824\n")))
	require.Zero(t, limit(file("max\n")))
	require.Zero(t, limit(filepath.Join(t.TempDir(), "missing")))
}

func TestSharedBuffers(t *testing.T) {
	t.Parallel()
	for memory, buffers := range map[int64]int64{0: 256 << 20, 1 << 30: 256 << 20, 24 << 30: 3 << 30, 256 << 30: 4 << 30} {
		require.Equal(t, buffers, sharedBuffers(memory), "%d", memory)
	}
}

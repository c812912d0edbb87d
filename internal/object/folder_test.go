package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var later = time.Unix(1<<40, 0)

func openFolder(t *testing.T, top string) *Folder {
	f, err := OpenFolder(top)
	require.NoError(t, err)
	return f
}

// frailFolder gives a store whose disk fails at a step, counted after it was opened.
func frailFolder(t *testing.T, top string, failAt int, cause error) (*Folder, *frail) {
	below, err := openDisk(top)
	require.NoError(t, err)
	f := &frail{disk: below}
	store, err := newFolder(f)
	require.NoError(t, err)
	f.steps, f.failAt, f.err = nil, failAt, cause
	return store, f
}

// collect receives and puts, as a caller does.
func collect(s Store, content []byte) error {
	draft, err := s.Spool().Receive(context.Background(), bytes.NewReader(content), limit)
	if err != nil {
		return err
	}
	_, err = s.Put(context.Background(), acme, draft)
	return errors.Join(err, draft.Discard())
}

// The order is what a loss of power cannot break: the content is durable before it has
// its name, and every folder on the way is durable before Put says that it is done.
func TestPutIsDurable(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("x"), piece+1)
	address := Address{Organization: acme, Digest: sha256.Sum256(content)}
	key := address.String()
	folder := filepath.Dir(key)
	store, disk := frailFolder(t, t.TempDir(), 0, nil)
	require.NoError(t, collect(store, content))
	require.Equal(t, []string{
		"create draft", "write", "write",
		"sync the draft", "folder " + folder, "rename draft " + key,
		"sync " + folder, "sync " + acme.String(), "sync .",
		"close",
	}, disk.steps)

	disk.steps = nil
	require.NoError(t, store.Delete(context.Background(), address))
	require.Equal(t, []string{"stat " + key, "remove " + key, "sync " + folder}, disk.steps)
}

// A process is killed at each step of collecting, with half of what it writes written
// and with none. What another finds then is an object that is whole or none, and at
// most one draft, which it sweeps; and what it collects is kept.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("content"), piece/3)
	address := Address{Organization: acme, Digest: sha256.Sum256(content)}
	steps, whole := 0, 0
	for _, half := range []bool{false, true} {
		for failAt := 1; ; failAt++ {
			top := t.TempDir()
			store, disk := frailFolder(t, top, failAt, errKilled)
			disk.half = half
			err := collect(store, content)
			if len(disk.steps) < failAt {
				require.NoError(t, err)
				break
			}
			steps++
			at := fmt.Sprintf("killed at %d, %s: %v", failAt, disk.steps[failAt-1], err)
			require.ErrorIs(t, err, errKilled, at)

			next := openFolder(t, top)
			left, err := next.Spool().Left(context.Background())
			require.NoError(t, err, at)
			require.LessOrEqual(t, len(left), 1, at)
			if content, err := next.Open(context.Background(), address); err == nil {
				whole++
				require.Empty(t, left, at)
				require.NoError(t, content.Close())
				require.Equal(t, []Address{address}, listed(t, next), at)
			} else {
				require.True(t, IsMissing(err), "%s: %v", at, err)
				require.Empty(t, listed(t, next), at)
			}
			swept, err := next.Spool().Sweep(context.Background(), later)
			require.NoError(t, err, at)
			require.Len(t, left, swept, at)
			require.NoError(t, collect(next, content), at)
			require.Equal(t, content, read(t, next, address), at)
		}
	}
	require.Equal(t, 2*(10+1), steps, "create, three writes, sync, folder, rename, three syncs, close")
	require.Equal(t, 2*4, whole, "after rename")
}

// A disk that refuses at a step is a problem that says what to do, at every step, and
// leaves nothing behind; the same collected again is kept.
func TestRefusedAtEachStep(t *testing.T) {
	t.Parallel()
	content := []byte("content")
	address := Address{Organization: acme, Digest: sha256.Sum256(content)}
	for cause, code := range map[error]string{
		syscall.ENOSPC: "OBJECT_STORE_FULL",
		syscall.EDQUOT: "OBJECT_STORE_FULL",
		syscall.EROFS:  "OBJECT_STORE_READ_ONLY",
		syscall.EACCES: "OBJECT_STORE_READ_ONLY",
		syscall.EPERM:  "OBJECT_STORE_READ_ONLY",
		syscall.EIO:    "OBJECT_STORE_FAILED",
	} {
		for failAt := 1; ; failAt++ {
			store, disk := frailFolder(t, t.TempDir(), failAt, &fs.PathError{Op: "do", Path: "/secret/place", Err: cause})
			disk.half = true
			err := collect(store, content)
			if len(disk.steps) < failAt {
				require.NoError(t, err)
				break
			}
			requireCode(t, code, err)
			require.Equal(t, problem.Unavailable, problem.KindOf(err))
			require.NotContains(t, err.Error(), "/secret/place")
			require.ErrorIs(t, err, cause, "for the log")

			disk.failAt = 0
			left, err := os.ReadDir(filepath.Join(disk.disk.(rooted).root.Name(), incoming))
			require.NoError(t, err)
			require.Empty(t, left, disk.steps)
			require.NoError(t, collect(store, content))
			require.Equal(t, content, read(t, store, address))
		}
	}
}

// The other verbs refuse with a problem as well.
func TestRefusedReading(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	a := put(t, openFolder(t, top), acme, []byte("content"))
	ctx := context.Background()
	for name, verb := range map[string]func(s *Folder) error{
		"open":     func(s *Folder) error { _, err := s.Open(ctx, a); return err },
		"head":     func(s *Folder) error { _, err := s.Head(ctx, a); return err },
		"delete":   func(s *Folder) error { return s.Delete(ctx, a) },
		"left":     func(s *Folder) error { _, err := s.Spool().Left(ctx); return err },
		"sweep":    func(s *Folder) error { _, err := s.Spool().Sweep(ctx, later); return err },
		"list":     func(s *Folder) error { return lastError(s.List(ctx, acme)) },
		"list all": func(s *Folder) error { return lastError(s.ListAll(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			for failAt := 1; ; failAt++ {
				store, disk := frailFolder(t, top, failAt, syscall.EIO)
				err := verb(store)
				if len(disk.steps) < failAt {
					require.NoError(t, err)
					require.Greater(t, failAt, 1)
					break
				}
				requireCode(t, "OBJECT_STORE_FAILED", err)
				put(t, openFolder(t, top), acme, []byte("content"))
			}
		})
	}
}

func lastError(objects func(func(Info, error) bool)) (last error) {
	for _, err := range objects {
		last = err
	}
	return last
}

// A Put that failed after the object had its name is done again with the same draft.
func TestPutAgainAfterSyncFailed(t *testing.T) {
	t.Parallel()
	store, disk := frailFolder(t, t.TempDir(), 7, syscall.EIO)
	draft, err := store.Spool().Receive(context.Background(), strings.NewReader("content"), limit)
	require.NoError(t, err)
	_, err = store.Put(context.Background(), acme, draft)
	requireCode(t, "OBJECT_STORE_FAILED", err)
	require.Contains(t, disk.steps[6], "sync "+acme.String())
	a, err := store.Put(context.Background(), acme, draft)
	require.NoError(t, err)
	require.NoError(t, draft.Discard())
	require.Equal(t, "content", string(read(t, store, a)))
}

// Whatever the mask of the process lets through, nobody else reads or writes.
func TestOnlyTheOwnerReads(t *testing.T) {
	t.Parallel()
	top := filepath.Join(t.TempDir(), "above", "files")
	store := openFolder(t, top)
	put(t, store, acme, []byte("content"))
	draft, err := store.Spool().Receive(context.Background(), strings.NewReader("draft"), limit)
	require.NoError(t, err)
	files, folders := 0, 0
	require.NoError(t, filepath.WalkDir(filepath.Dir(top), func(name string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		if entry.IsDir() {
			folders++
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), name)
		} else {
			files++
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), name)
		}
		return nil
	}))
	require.NoError(t, draft.Discard())
	require.Equal(t, 2, files)
	require.Equal(t, 5, folders)
}

// What somebody else puts into the folder is no object, and nothing leads out of it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	top, outside := t.TempDir(), t.TempDir()
	store := openFolder(t, top)
	kept := put(t, store, acme, []byte("kept"))
	secret := []byte("secret")
	lost := Address{Organization: acme, Digest: sha256.Sum256(secret)}
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), secret, 0o600))
	folder := func(parts ...string) string {
		name := filepath.Join(append([]string{top}, parts...)...)
		require.NoError(t, os.MkdirAll(name, 0o700))
		return name
	}
	upper := strings.ToUpper(kept.Digest.String())
	for _, name := range []string{
		filepath.Join(top, "README"),
		filepath.Join(folder(acme.String()), kept.Digest.String()),
		filepath.Join(folder(acme.String(), upper[:2]), upper),
		filepath.Join(folder(acme.String(), "00"), kept.Digest.String()),
		filepath.Join(folder(acme.String(), kept.Digest.String()[:2]), kept.Digest.String()+".part"),
		filepath.Join(folder(strings.ToUpper(acme.String()), kept.Digest.String()[:2]), kept.Digest.String()),
		filepath.Join(folder("no-organization", kept.Digest.String()[:2]), kept.Digest.String()),
		filepath.Join(folder(acme.String(), "aa", "deep"), strings.Repeat("a", 64)),
	} {
		require.NoError(t, os.WriteFile(name, []byte("kept"), 0o600))
	}
	folder(other.String(), "bb", strings.Repeat("b", 64))

	// A link out of the folder in the place of an object, and in that of a folder.
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(folder(acme.String(), lost.Digest.String()[:2]), lost.Digest.String())))
	require.NoError(t, os.Symlink(outside, filepath.Join(top, "12345678-0000-4000-8000-000000000000")))

	require.Equal(t, []Address{kept}, listed(t, store))
	_, err := store.Open(context.Background(), lost)
	require.True(t, IsDamaged(err), "%v", err)
	_, err = store.Head(context.Background(), Address{Organization: other, Digest: [32]byte(bytes.Repeat([]byte{0xbb}, 32))})
	require.True(t, IsDamaged(err), "%v", err)

	// To put takes the place of the link and does not write through it.
	put(t, store, acme, secret)
	require.Equal(t, secret, read(t, store, lost))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("other"), 0o600))
	require.Equal(t, secret, read(t, store, lost))

	linked := [16]byte{0x12, 0x34, 0x56, 0x78, 0, 0, 0x40, 0, 0x80}
	draft, err := store.Spool().Receive(context.Background(), strings.NewReader("out"), limit)
	require.NoError(t, err)
	_, err = store.Put(context.Background(), linked, draft)
	requireCode(t, "OBJECT_STORE_FAILED", err)
	require.NoError(t, draft.Discard())
	found, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, found, 1)
}

func TestFolderThatCannotBe(t *testing.T) {
	t.Parallel()
	occupied := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(occupied, nil, 0o600))
	for _, name := range []string{occupied, filepath.Join(occupied, "below"), "/dev/null/files"} {
		_, err := OpenFolder(name)
		requireCode(t, "OBJECT_STORE_FAILED", err)
		_, err = OpenSpool(name)
		requireCode(t, "OBJECT_STORE_FAILED", err)
	}
}

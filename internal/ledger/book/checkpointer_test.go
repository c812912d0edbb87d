package book_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// newKey makes a key in a file of its own.
func newKey(t testing.TB) *book.Key {
	t.Helper()
	key, made, err := book.MakeKey(filepath.Join(t.TempDir(), "ledger.key"))
	require.NoError(t, err)
	require.True(t, made)
	return key
}

func keysOf(t testing.TB, keys ...*book.Key) note.Verifiers {
	t.Helper()
	return note.VerifierList(verifiersOf(t, keys...)...)
}

func verifiersOf(t testing.TB, keys ...*book.Key) (list []note.Verifier) {
	t.Helper()
	for _, key := range keys {
		verifier, err := key.Verifier()
		require.NoError(t, err)
		list = append(list, verifier)
	}
	return list
}

func (d *desk) checkpointer(t testing.TB, folder string) (*book.Checkpointer, *book.Key) {
	t.Helper()
	key := newKey(t)
	return book.NewCheckpointer(book.CheckpointerConfig{DB: d.DB, Key: key, Folder: folder, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return written }}), key
}

func TestKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "folder", "ledger.key")
	key, made, err := book.MakeKey(file)
	require.NoError(t, err)
	require.True(t, made)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, made, err := book.MakeKey(file)
	require.NoError(t, err)
	require.False(t, made)
	require.Equal(t, key.PublicKey(), again.PublicKey())
	read, err := book.ReadKey(file)
	require.NoError(t, err)
	require.Equal(t, key.PublicKey(), read.PublicKey())
	verifier, err := key.Verifier()
	require.NoError(t, err)
	require.Equal(t, book.KeyName, verifier.Name())

	content, err := os.ReadFile(file)
	require.NoError(t, err)
	for name, text := range map[string]string{"empty": "", "public": key.PublicKey(), "cut": string(content[:len(content)-10]), "another": "PRIVATE+KEY+name+00000000+AAAA"} {
		bad := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(bad, []byte(text), 0o600))
		_, err := book.ReadKey(bad)
		require.Equal(t, "LEDGER_KEY_UNREADABLE", codeOf(t, err), name)
		require.NotContains(t, err.Error(), "PRIVATE+KEY+name+", "an error never holds the key")
		_, _, err = book.MakeKey(bad)
		require.Equal(t, "LEDGER_KEY_UNREADABLE", codeOf(t, err), "what is there is not replaced")
	}
	_, err = book.ReadKey(filepath.Join(t.TempDir(), "none"))
	require.Equal(t, "LEDGER_KEY_UNREADABLE", codeOf(t, err))

	var group sync.WaitGroup
	var count atomic.Int32
	at := filepath.Join(t.TempDir(), "ledger.key")
	for range 8 {
		group.Go(func() {
			if _, made, err := book.MakeKey(at); err == nil && made {
				count.Add(1)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, count.Load(), "processes that start together have one key")
}

func TestCheckpointer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	folder := t.TempDir()
	key := newKey(t)
	now := written
	c := book.NewCheckpointer(book.CheckpointerConfig{DB: d.DB, Key: key, Folder: folder, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Entries: 10})
	signed := func() int64 {
		t.Helper()
		size, err := c.Look(d.ctx, organization("acme"))
		require.NoError(t, err)
		return size
	}
	require.Zero(t, signed(), "there is nothing to sign")
	d.post(t, noted(1, "one"))
	require.EqualValues(t, 1, signed(), "the first entry is signed at once")
	require.Zero(t, signed())
	now = now.Add(2 * time.Hour)
	require.Zero(t, signed(), "it did not grow")
	d.post(t, noted(2, "two"))
	require.EqualValues(t, 2, signed(), "it grew, and the last checkpoint is old")
	for range 9 {
		d.post(t, noted(3, "more"))
		require.Zero(t, signed())
	}
	d.post(t, noted(4, "the tenth"))
	require.EqualValues(t, 12, signed(), "it grew by as many")

	report := d.verify(t, "acme", book.Trust{Keys: verifiersOf(t, key)})
	require.Equal(t, 3, report.Checkpoints)
	require.True(t, report.Signatures)
	content, err := os.ReadFile(filepath.Join(folder, "acme", "12.checkpoint"))
	require.NoError(t, err)
	checkpoint, err := ledger.OpenCheckpoint(string(content), keysOf(t, key))
	require.NoError(t, err)
	require.Equal(t, ledger.Checkpoint{Origin: "exposuregraph/" + acme.String(), Size: 12, Root: report.Root, Head: report.Head, At: at(4)}, *checkpoint)
	files, err := os.ReadDir(filepath.Join(folder, "acme"))
	require.NoError(t, err)
	require.Len(t, files, 3, "and nothing half written")

	p := look(t, d, func(s *db.Snapshot) (book.CheckpointPage, error) {
		return d.book.Checkpoints(d.ctx, s, acme, page.Request{First: ptr(2)})
	})
	require.True(t, p.HasNext)
	require.Equal(t, []int64{12, 2}, []int64{p.Rows[0].Size, p.Rows[1].Size})
	require.Equal(t, string(content), p.Rows[0].Note)
	require.Equal(t, key.PublicKey(), p.Rows[0].Signer)
	rest := look(t, d, func(s *db.Snapshot) (book.CheckpointPage, error) {
		return d.book.Checkpoints(d.ctx, s, acme, page.Request{After: ptr(p.Cursor(p.Rows[1]))})
	})
	require.Len(t, rest.Rows, 1)
	require.Equal(t, 3, look(t, d, func(s *db.Snapshot) (int, error) { return d.book.CountCheckpoints(d.ctx, s, acme) }))

	// What was stored and not exported, because the process ended in between, is
	// exported by the next look. What is there is left alone.
	require.NoError(t, os.Remove(filepath.Join(folder, "acme", "12.checkpoint")))
	require.Zero(t, signed())
	again, err := os.ReadFile(filepath.Join(folder, "acme", "12.checkpoint"))
	require.NoError(t, err)
	require.Equal(t, content, again)
}

// TestCheckpointersAtOnce has replicas that look at the same moment.
func TestCheckpointersAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	folder := t.TempDir()
	key := newKey(t)
	d.post(t, noted(1, "one"))
	var group sync.WaitGroup
	var signed atomic.Int64
	for range 6 {
		group.Go(func() {
			c := book.NewCheckpointer(book.CheckpointerConfig{DB: d.DB, Key: key, Folder: folder, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return written }})
			size, err := c.Look(d.ctx, organization("acme"))
			if err != nil {
				size = 1000
			}
			signed.Add(size)
		})
	}
	group.Wait()
	require.EqualValues(t, 1, signed.Load())
	require.Equal(t, []int64{1}, column[int64](t, d, `SELECT size FROM ledger_checkpoint`))
}

// TestRewrittenIsNotSigned: the program lends its signature to no ledger that
// denies what it signed before, whoever else was made to agree.
func TestRewrittenIsNotSigned(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(*testing.T, *desk){
		"shorter": func(t *testing.T, d *desk) {
			d.exec(t, `DELETE FROM ledger_entry WHERE seq > 2`)
			d.exec(t, `UPDATE ledger_head SET seq = 2, hash = (SELECT hash FROM ledger_entry WHERE seq = 2)`)
		},
		"shorter with its checkpoints": func(t *testing.T, d *desk) {
			d.exec(t, `DELETE FROM ledger_entry WHERE seq > 2`)
			d.exec(t, `DELETE FROM ledger_checkpoint`)
			d.exec(t, `UPDATE ledger_head SET seq = 2, hash = (SELECT hash FROM ledger_entry WHERE seq = 2)`)
		},
		"written anew": func(t *testing.T, d *desk) {
			d.exec(t, `DELETE FROM ledger_entry; DELETE FROM ledger_head; DELETE FROM ledger_checkpoint`)
			for range 4 {
				d.post(t, noted(1, "other"))
			}
		},
		"written anew beside its checkpoints": func(t *testing.T, d *desk) {
			d.exec(t, `DELETE FROM ledger_entry; DELETE FROM ledger_head`)
			for range 4 {
				d.post(t, noted(1, "other"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			c, _ := d.checkpointer(t, t.TempDir())
			d.post(t, noted(1, "one"), noted(2, "two"), noted(3, "three"))
			_, err := c.Look(d.ctx, organization("acme"))
			require.NoError(t, err)
			tamper(t, d)
			_, err = c.Look(d.ctx, organization("acme"))
			if name == "written anew beside its checkpoints" {
				require.NoError(t, err, "an hour has not passed, and nothing is due")
				d.exec(t, `UPDATE ledger_checkpoint SET recorded_at = recorded_at - interval '2 hours'`)
				_, err = c.Look(d.ctx, organization("acme"))
			}
			require.Equal(t, "LEDGER_REWRITTEN", codeOf(t, err))
		})
	}
}

package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/object"
)

// What dies between two steps is completed where the object is there, dropped where it
// is not, and left alone while it may still come to its end.
func TestSettle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.die(upload("spooled"), file.Spooled)
	b.die(upload("intended"), file.Intended)
	b.die(upload("stored"), file.Stored)
	b.die(upload("kept"), file.Kept)
	require.Equal(t, []int{1, 2, 1}, []int{b.count("file"), b.count("file_upload"), b.notes()})

	b.advance(file.PendingAge - time.Second)
	settled, err := b.Settle(b.ctx, acme)
	require.NoError(t, err)
	require.Zero(t, settled, "their uploads may still be under way")
	found, err := b.Examine(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, &file.Examined{Files: 1, Pending: 2, Stored: 1, Since: epoch}, found)

	b.advance(time.Second)
	found, err = b.Examine(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, &file.Examined{Files: 1, Pending: 2, Stored: 1, Overdue: 2, Since: epoch}, found)
	settled, err = b.Settle(b.ctx, rival)
	require.NoError(t, err)
	require.Zero(t, settled)
	settled, err = b.Settle(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, file.Settled{Completed: 1, Dropped: 1}, settled)
	require.Equal(t, []int{2, 0, 2}, []int{b.count("file"), b.count("file_upload"), b.notes()})
	content, err := b.read(b.ctx, acme, "stored")
	require.NoError(t, err)
	require.Equal(t, "stored", content)
	f, err := b.Find(b.ctx, acme, digest("stored"))
	require.NoError(t, err)
	require.Equal(t, b.now(), f.At, "it comes late, and is told of")
	require.Equal(t, "ann", f.Actor, "of who collected it")
	settled, err = b.Settle(b.ctx, acme)
	require.NoError(t, err)
	require.Zero(t, settled)

	// The same content, of which one upload was left and another came to its end.
	b.die(upload("twice"), file.Stored)
	_, created := b.collect(upload("twice"))
	require.True(t, created)
	b.advance(file.PendingAge)
	settled, err = b.Settle(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, file.Settled{Completed: 1}, settled)
	require.Equal(t, []int{3, 0, 3}, []int{b.count("file"), b.count("file_upload"), b.notes()}, "it was told of once")
}

// faulty is a store that does not answer some questions.
type faulty struct {
	object.Store

	put, head error
}

func (s *faulty) Put(ctx context.Context, organization uuid.UUID, draft *object.Draft) (object.Address, error) {
	if s.put != nil {
		return object.Address{}, s.put
	}
	return s.Store.Put(ctx, organization, draft)
}

func (s *faulty) Head(ctx context.Context, address object.Address) (object.Info, error) {
	if s.head != nil {
		return object.Info{}, s.head
	}
	return s.Store.Head(ctx, address)
}

// A store that does not answer is no store without the object.
func TestSettleWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := &faulty{Store: b.store(), put: errors.New("it broke off"), head: errors.New("it does not answer")}
	b.Service = file.New(file.Config{DB: b.DB, Authority: b.paths, Store: store, Now: b.now})
	_, _, err := b.Collect(b.ctx, upload("perhaps"))
	require.ErrorIs(t, err, store.put)
	b.advance(file.PendingAge)
	settled, err := b.Settle(b.ctx, acme)
	require.ErrorIs(t, err, store.head)
	require.Zero(t, settled)
	require.Equal(t, 1, b.count("file_upload"), "nobody knows")
	store.head = nil
	settled, err = b.Settle(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, file.Settled{Dropped: 1}, settled)
	require.Zero(t, b.count("file"))
}

// What somebody did to the store is found, and what can be mended is.
func TestExamine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, content := range []string{"whole", "lost", "cut off"} {
		b.collect(upload(content))
	}
	place := func(content string) string {
		return filepath.Join(b.folder, acme.String(), digest(content)[:2], digest(content))
	}
	require.NoError(t, os.Remove(place("lost")))
	require.NoError(t, os.WriteFile(place("cut off"), []byte("cut"), 0o600))
	stranger := put(t, b, "nobody's")
	b.clock.Store(time.Now().Add(time.Minute).UnixMicro()) // the store dates objects by its own clock
	found, err := b.Examine(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, &file.Examined{Files: 3, Missing: digests("lost"), Resized: digests("cut off")}, found, "a young object may be on its way to a row")
	b.advance(file.PendingAge)
	found, err = b.Examine(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, &file.Examined{Files: 3, Missing: digests("lost"), Resized: digests("cut off"), Unknown: []object.Digest{stranger}}, found)

	_, err = b.read(b.ctx, acme, "lost")
	require.Equal(t, "FILE_OBJECT_MISSING", codeOf(t, err))
	_, err = b.read(b.ctx, acme, "cut off")
	require.Equal(t, "OBJECT_DAMAGED", codeOf(t, err))
	for _, content := range []string{"lost", "cut off"} {
		_, created := b.collect(upload(content))
		require.False(t, created)
		_, err := b.read(b.ctx, acme, content)
		require.NoError(t, err, "the same again mends it")
	}
	found, err = b.Examine(b.ctx, acme)
	require.NoError(t, err)
	require.Equal(t, &file.Examined{Files: 3, Unknown: []object.Digest{stranger}}, found)
	require.FileExists(t, place("nobody's"), "nothing is deleted by itself")
}

func digests(contents ...string) (list []object.Digest) {
	for _, content := range contents {
		list = append(list, must(object.ParseDigest(digest(content))))
	}
	return list
}

// put stores an object that no row is about.
func put(t *testing.T, b *bench, content string) object.Digest {
	t.Helper()
	store := b.store()
	draft, err := store.Spool().Receive(b.ctx, upload(content).Content, 100)
	require.NoError(t, err)
	defer func() { _ = draft.Discard() }()
	_, err = store.Put(b.ctx, acme, draft)
	require.NoError(t, err)
	return draft.Digest()
}

// A draft is swept when its process is gone for sure.
func TestSweep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.clock.Store(time.Now().UnixMicro())
	gone := b.store() // of another process
	draft, err := gone.Spool().Receive(b.ctx, upload("left behind").Content, 100)
	require.NoError(t, err)
	defer func() { _ = draft.Discard() }()
	b.advance(file.DraftAge - time.Minute)
	swept, err := b.Sweep(b.ctx)
	require.NoError(t, err)
	require.Zero(t, swept)
	all, left, err := b.Drafts(b.ctx)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{all, left})
	b.advance(2 * time.Minute)
	_, left, err = b.Drafts(b.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	swept, err = b.Sweep(b.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, swept)
	_, drafts := b.objects()
	require.Zero(t, drafts)
}

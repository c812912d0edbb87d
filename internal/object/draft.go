package object

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// A draft is written in pieces of this size, so it takes no more memory than that.
const piece = 128 << 10

// Draft is content that has been received whole and is not kept yet. One goroutine
// uses it. It must be discarded, after Put too.
type Draft struct {
	spool  *Spool
	name   string
	file   file
	size   int64
	digest Digest
	goal   Address // where it is put, once it is
	moved  bool    // it has its name in a Folder, and none in the spool
}

// Receive reads content to its end. More than limit bytes are OBJECT_TOO_LARGE. An
// error of the content itself is given as it is, for who sends it to recognise. In
// both cases, and if the context ends between two reads, nothing stays.
func (s *Spool) Receive(ctx context.Context, content io.Reader, limit int64) (*Draft, error) {
	draft, err := s.begin()
	if err != nil {
		return nil, err
	}
	whole := false
	defer func() { // when the content panics, too
		if !whole {
			_ = draft.Discard()
		}
	}()
	if err := draft.take(ctx, content, limit); err != nil {
		return nil, err
	}
	whole = true
	return draft, nil
}

func (d *Draft) take(ctx context.Context, content io.Reader, limit int64) error {
	sum, buffer := sha256.New(), make([]byte, piece)
	for empty := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, end := content.Read(buffer)
		if empty++; n > 0 {
			empty = 0
			if err := d.add(sum, buffer[:n], limit); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(end, io.EOF):
			sum.Sum(d.digest[:0])
			return nil
		case end != nil:
			return end
		case empty == 100:
			return io.ErrNoProgress
		}
	}
}

func (d *Draft) add(sum hash.Hash, part []byte, limit int64) error {
	if d.size += int64(len(part)); d.size > limit {
		return tooLarge(limit)
	}
	sum.Write(part)
	_, err := d.file.Write(part)
	return fault(err)
}

// Digest is the SHA-256 of the content.
func (d *Draft) Digest() Digest { return d.digest }

// Size is how many bytes it has.
func (d *Draft) Size() int64 { return d.size }

// ReadAt reads some of the content, as to see of which type it is.
func (d *Draft) ReadAt(into []byte, offset int64) (int, error) { return d.file.ReadAt(into, offset) }

// goTo says whether a draft may be put. A second time it may for the same organization
// only, as after a Put that failed: in a Folder it has its place already.
func (d *Draft) goTo(spool *Spool, goal Address) error {
	if d.file == nil || d.spool != spool || (d.goal != Address{} && d.goal != goal) {
		return problem.New(problem.Internal, "OBJECT_DRAFT_UNFIT", "the draft was discarded, or put elsewhere, or is of another spool")
	}
	d.goal = goal
	return nil
}

// Discard lets go of the draft, and removes what is left of it. To do it twice does no
// harm.
func (d *Draft) Discard() error {
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	if !d.moved {
		err = errors.Join(err, d.spool.disk.remove(d.name))
	}
	d.spool.held.Delete(d.name)
	return fault(err)
}

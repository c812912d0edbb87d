package object

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"
)

// Store keeps objects. It is safe for concurrent use, by several processes too.
// Whatever fails in it is a problem with a code; when the context has ended, the
// error is what ended it.
type Store interface {
	// Spool is where drafts are received that this store can put.
	Spool() *Spool
	// Put keeps a draft for an organization, under its digest. After it, the object is
	// there and durable. The same content again is no error: it takes the place of
	// what is there, which mends a damaged object and makes an old one young.
	Put(ctx context.Context, organization uuid.UUID, draft *Draft) (Address, error)
	// Open gives an object to read. All of it has been read and verified before.
	Open(ctx context.Context, address Address) (*Content, error)
	// Head says whether an object is there, without reading it.
	Head(ctx context.Context, address Address) (Info, error)
	// Delete takes an object away. One that is not there is no error.
	Delete(ctx context.Context, address Address) error
	// List gives the objects of an organization in the order of their digests. What
	// is put or deleted meanwhile may be in it or not. It ends with the first error.
	List(ctx context.Context, organization uuid.UUID) iter.Seq2[Info, error]
	// ListAll gives the objects of all organizations, of one after the other.
	ListAll(ctx context.Context) iter.Seq2[Info, error]
}

// Info is what a store says of an object. Modified is when it was last put, by the
// clock of the store, so its age says how long nobody has sent this content.
type Info struct {
	Address  Address
	Size     int64
	Modified time.Time
}

// Content is an object that is being read. It must be closed.
type Content struct {
	*io.SectionReader
	Info  Info
	close func() error
}

// Close lets go of the object.
func (c *Content) Close() error { return c.close() }

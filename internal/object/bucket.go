package object

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/exposuregraph/exposuregraph/internal/object/sigv4"
)

// maxObject is what S3 takes in one request.
const maxObject = 5 << 30

// Bucket keeps objects in a bucket of S3, or of a store that speaks its language. It
// uses four of its verbs; each object is one request, so it is there whole or not at
// all.
type Bucket struct {
	spool  *Spool
	base   url.URL                                             // with the bucket, in either style
	prefix string                                              // "" or with a slash at its end
	sign   func(r *http.Request, payload string, at time.Time) // and no credentials: fmt would show those of a field
	now    func() time.Time
	client *http.Client

	patience time.Duration                                 // without a byte in either direction
	pause    func(ctx context.Context, failures int) error // before another try
}

func openBucket(c Config, location string) (*Bucket, error) {
	name, prefix, endpoint, err := c.check(location)
	if err != nil {
		return nil, err
	}
	spool, err := OpenSpool(c.Spool)
	if err != nil {
		return nil, err
	}
	b := &Bucket{
		spool: spool, base: *endpoint,
		sign: sigv4.Signer{Credentials: c.Credentials, Region: c.Region, Service: "s3"}.Sign,
		now:  c.Now, client: newClient(), patience: patience, pause: backOff,
	}
	if c.Style == VirtualHost {
		b.base.Host = name + "." + b.base.Host
	} else {
		b.base.Path = "/" + name
	}
	if prefix != "" {
		b.prefix = prefix + "/"
	}
	return b, nil
}

// Spool is a local folder: a request is signed with the digest of its body, which
// must be known before the body is sent, and be sent again if need be.
func (b *Bucket) Spool() *Spool { return b.spool }

// Put sends the draft in one request. It is signed with the digest, so the store
// refuses it if another content arrives.
func (b *Bucket) Put(ctx context.Context, organization uuid.UUID, draft *Draft) (Address, error) {
	address := Address{Organization: organization, Digest: draft.digest}
	if err := draft.goTo(b.spool, address); err != nil {
		return Address{}, err
	}
	if draft.size > maxObject {
		return Address{}, tooLarge(maxObject)
	}
	err := b.call(ctx, request{method: http.MethodPut, key: address.String(), body: draft}, func(*http.Response) error { return nil })
	return address, b.problem(address, err)
}

// Open reads the object into the spool, so that it is verified before any of it is
// given, and a connection that breaks is nothing that the caller sees.
func (b *Bucket) Open(ctx context.Context, address Address) (*Content, error) {
	var info Info
	var draft *Draft
	err := b.call(ctx, request{method: http.MethodGet, key: address.String()}, func(response *http.Response) (err error) {
		if info, err = describe(address, response); err != nil {
			return err
		}
		draft, err = b.spool.Receive(ctx, response.Body, maxObject)
		return err
	})
	if err != nil {
		return nil, b.problem(address, err)
	}
	if draft.digest != address.Digest {
		return nil, errors.Join(damaged(address, "its content has another SHA-256"), draft.Discard())
	}
	info.Size = draft.size
	return &Content{SectionReader: io.NewSectionReader(draft.file, 0, draft.size), Info: info, close: draft.Discard}, nil
}

// Head asks for the object without its content. The answer that there is none has no
// words, and a bucket that is not there gives the same one: so it is asked again in
// the way that has words. Somebody may drop an upload for this answer.
func (b *Bucket) Head(ctx context.Context, address Address) (Info, error) {
	var info Info
	take := func(response *http.Response) (err error) {
		info, err = describe(address, response)
		return err
	}
	err := b.call(ctx, request{method: http.MethodHead, key: address.String()}, take)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		err = b.call(ctx, request{method: http.MethodGet, key: address.String()}, take)
	}
	return info, b.problem(address, err)
}

func describe(address Address, response *http.Response) (Info, error) {
	modified, err := http.ParseTime(response.Header.Get("Last-Modified"))
	if err != nil || response.ContentLength < 0 {
		return Info{}, malformed("an object has no length or no time")
	}
	return Info{Address: address, Size: response.ContentLength, Modified: modified}, nil
}

// Delete takes the object away. In a bucket with versions it stays as an old one, for
// the rules of the bucket to remove.
func (b *Bucket) Delete(ctx context.Context, address Address) error {
	err := b.call(ctx, request{method: http.MethodDelete, key: address.String()}, func(*http.Response) error { return nil })
	if err = b.problem(address, err); IsMissing(err) {
		return nil
	}
	return err
}

package object

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

const (
	tries    = 3
	patience = 30 * time.Second
)

var errStandstill = errors.New("nothing has come or gone for too long")

// noContent is the digest of a request without a body.
const noContent = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // an object is given as it was put
	transport.MaxIdleConnsPerHost = 16
	return &http.Client{
		Transport: transport,
		// A signature is of one address. What answers from another is another region.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request is what is asked of the bucket, as often as it takes.
type request struct {
	method string
	key    string // below the prefix; "" for the bucket
	query  url.Values
	body   *Draft
}

// passing is a fault that may be gone at the next try.
type passing struct{ cause error }

func (p passing) Error() string { return p.cause.Error() }
func (p passing) Unwrap() error { return p.cause }

// call asks until there is an answer or a refusal, three times at most. The answer is
// given to use, each time from its beginning.
func (b *Bucket) call(ctx context.Context, r request, use func(*http.Response) error) error {
	for failures := 1; ; failures++ {
		err := b.once(ctx, r, use)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case failures == tries || !errors.As(err, new(passing)):
			return err
		}
		if err := b.pause(ctx, failures); err != nil {
			return err
		}
	}
}

// backOff waits about 0.2 and then 0.8 seconds, each time otherwise, so that many that
// failed together do not come back together.
func backOff(ctx context.Context, failures int) error {
	most := 50 * time.Millisecond << (2 * failures)
	timer := time.NewTimer(most/2 + rand.N(most/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Bucket) once(ctx context.Context, r request, use func(*http.Response) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &watch{patience: b.patience, timer: time.AfterFunc(b.patience, func() { cancel(errStandstill) })}
	defer w.timer.Stop()

	built, err := b.build(ctx, r, w)
	if err != nil {
		return err
	}
	response, err := b.client.Do(built)
	if err != nil {
		return passing{errors.Join(err, context.Cause(ctx))}
	}
	defer func() { _ = response.Body.Close() }()
	response.Body = struct {
		io.Reader
		io.Closer
	}{watched{w, response.Body}, response.Body}
	if response.StatusCode/100 != 2 {
		return refusalOf(response)
	}
	return use(response)
}

// build makes a request and signs it. What is added after that may be changed on the
// way.
func (b *Bucket) build(ctx context.Context, r request, w *watch) (*http.Request, error) {
	target := b.base
	if r.key != "" {
		target.Path += "/" + b.prefix + r.key
	}
	target.RawQuery = r.query.Encode()
	built, err := http.NewRequestWithContext(ctx, r.method, target.String(), nil)
	if err != nil {
		return nil, malformed("the address cannot be asked").Because(err)
	}
	digest := noContent
	if r.body != nil {
		digest = hex.EncodeToString(r.body.digest[:])
		built.ContentLength = r.body.size
		if r.body.size > 0 {
			built.Body = io.NopCloser(watched{w, io.NewSectionReader(r.body.file, 0, r.body.size)})
		} else {
			built.Body = http.NoBody
		}
	}
	built.Header.Set("X-Amz-Content-Sha256", digest)
	b.sign(built, digest, b.now())
	built.Header.Set("User-Agent", "exposuregraph")
	if built.ContentLength > 0 {
		built.Header.Set("Expect", "100-continue") // a refusal comes before the body goes
	}
	return built, nil
}

// watch ends a request in which nothing moves. A large object may take as long as it
// takes while it moves.
type watch struct {
	patience time.Duration
	timer    *time.Timer
}

// watched tells a watch that something moved, and that a fault of reading may pass.
type watched struct {
	watch *watch
	from  io.Reader
}

func (w watched) Read(into []byte) (int, error) {
	n, err := w.from.Read(into)
	if n > 0 {
		w.watch.timer.Reset(w.watch.patience)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = passing{err}
	}
	return n, err
}

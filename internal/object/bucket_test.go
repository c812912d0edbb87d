package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/object/sigv4"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The ways in which the other side fails.

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, code, text, "because") }
}

func answer(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// readAll takes the whole body before it fails.
func readAll(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		then(w, r)
	}
}

// cut promises ten bytes and gives five.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "10")
	w.Header().Set("Last-Modified", fakeNow.Format(http.TimeFormat))
	_, _ = io.WriteString(w, "01234")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// stand says nothing until the other side has gone. It takes the body: a server learns
// of no end of a connection before that.
func stand(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// standInTheMiddle gives five bytes and then nothing more. To a HEAD that is the whole
// answer, so the connection must be its last: with the first byte of another request
// behind this one, a server looks for no end of the connection any more, and the wait
// would be for ever.
func standInTheMiddle(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Length", "10")
	w.Header().Set("Last-Modified", fakeNow.Format(http.TimeFormat))
	_, _ = io.WriteString(w, "01234")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func newBucket(t *testing.T, style Style) (*Bucket, *fakeS3) {
	fake := newFakeS3(t, style)
	spool := t.TempDir()
	t.Cleanup(func() {
		left, err := os.ReadDir(filepath.Join(spool, incoming))
		require.NoError(t, err)
		require.Empty(t, left)
	})
	return fake.open("/p", spool), fake
}

// countTries says how often the bucket was asked since. On a machine with other work a
// request may run out of patience before it has left, and the fake never hears of it.
func countTries(b *Bucket) func() int {
	tried := 1
	b.pause = func(context.Context, int) error { tried++; return nil }
	return func() int { return tried }
}

// verbs are what is asked of a bucket in which an object is. A test of impatience gives
// each a bucket of its own: a request that was given up may reach the fake when the
// next one is on its way, and take the fault that was meant for it.
func verbs(b *Bucket, a Address, content []byte) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"put": func(ctx context.Context) error {
			draft, err := b.spool.Receive(ctx, bytes.NewReader(content), limit)
			if err != nil {
				return err
			}
			_, err = b.Put(ctx, acme, draft)
			return errors.Join(err, draft.Discard())
		},
		"open": func(ctx context.Context) error {
			opened, err := b.Open(ctx, a)
			if err != nil {
				return err
			}
			return opened.Close()
		},
		"head":   func(ctx context.Context) error { _, err := b.Head(ctx, a); return err },
		"delete": func(ctx context.Context) error { return b.Delete(ctx, a) },
		"list":   func(ctx context.Context) error { return lastError(b.List(ctx, acme)) },
	}
}

// A fault that passes costs no more than another try, three in all; the body is sent
// whole each time. One that stays is a problem.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]http.HandlerFunc{
		"500":                status(500, "InternalError"),
		"500 after the body": readAll(status(500, "InternalError")),
		"502 of a proxy":     answer(502, "<html>bad gateway</html>"),
		"503":                status(503, "SlowDown"),
		"503 after the body": readAll(answer(503, "")),
		"429":                answer(429, ""),
		"400 for slowness":   readAll(status(400, "RequestTimeout")),
		"hang up":            hangUp,
		"hang up after it":   readAll(hangUp),
		"stand still":        stand,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := bytes.Repeat([]byte("0123456789"), 30_000)
			for verb := range verbs(nil, Address{}, nil) {
				b, fake := newBucket(t, PathStyle)
				// On a connection that was used before, net/http has tries of its own.
				b.client.Transport.(*http.Transport).DisableKeepAlives = true
				a := put(t, b, acme, content)
				do := verbs(b, a, content)[verb]
				// The answer to a HEAD has no words that tell slowness from a fault.
				if name == "400 for slowness" && verb == "head" {
					continue
				}
				if strings.HasPrefix(name, "stand") {
					b.patience = 50 * time.Millisecond
				}
				fake.fail(fault, fault, fault)
				tried := countTries(b)
				err := do(context.Background())
				requireCode(t, "OBJECT_STORE_UNAVAILABLE", err)
				require.Equal(t, problem.Unavailable, problem.KindOf(err))
				require.Equal(t, 3, tried(), verb)

				b.patience = patience
				if strings.HasPrefix(name, "stand") {
					continue
				}
				fake.fail(fault, fault)
				require.NoError(t, do(context.Background()), verb)
				require.Len(t, fake.requests(), 3, verb)
				fake.fail()
				put(t, b, acme, content)
				require.Equal(t, content, read(t, b, a))
			}
		})
	}
}

// A body that breaks off or stands still on its way here is read again from its
// beginning.
func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	a := put(t, b, acme, []byte("0123456789"))
	fake.fail(cut, cut)
	require.Equal(t, "0123456789", string(read(t, b, a)))

	fake.fail(cut, cut, cut)
	_, err := b.Open(context.Background(), a)
	requireCode(t, "OBJECT_STORE_UNAVAILABLE", err)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	fake.fail(cut, cut, cut)
	requireCode(t, "OBJECT_STORE_UNAVAILABLE", lastError(b.List(context.Background(), acme)))

	b.patience = 50 * time.Millisecond
	fake.fail(standInTheMiddle, standInTheMiddle, standInTheMiddle)
	tried := countTries(b)
	_, err = b.Open(context.Background(), a)
	requireCode(t, "OBJECT_STORE_UNAVAILABLE", err)
	require.Equal(t, 3, tried())
}

// A refusal that stays is asked for once. What it says about who asked is not told.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		code  string
	}{
		"no access":      {status(403, "AccessDenied"), "OBJECT_STORE_REFUSES"},
		"no bucket":      {status(404, "NoSuchBucket"), "OBJECT_STORE_REFUSES"},
		"another region": {status(301, "PermanentRedirect"), "OBJECT_STORE_REFUSES"},
		"another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.test/", http.StatusTemporaryRedirect)
		}, "OBJECT_STORE_REFUSES"},
		"not understood":     {status(501, "NotImplemented"), "OBJECT_STORE_REFUSES"},
		"without words":      {answer(403, ""), "OBJECT_STORE_REFUSES"},
		"a missing page":     {answer(404, "<html>not found</html>"), "OBJECT_STORE_REFUSES"},
		"no room":            {answer(507, ""), "OBJECT_STORE_FULL"},
		"no room, with code": {status(507, "XMinioStorageFull"), "OBJECT_STORE_FULL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, fake := newBucket(t, PathStyle)
			a := put(t, b, acme, []byte("content"))
			for verb, do := range verbs(b, a, []byte("content")) {
				fake.fail(c.fault, c.fault)
				err := do(context.Background())
				requireCode(t, c.code, err)
				require.NotContains(t, err.Error(), "because")
				asked := 1
				if verb == "head" && (name == "no bucket" || name == "a missing page") {
					asked = 2
				}
				require.Len(t, fake.requests(), asked, verb)
			}
			require.Len(t, fake.keys(), 1)
		})
	}
}

// Head of a bucket that is not there must not say that the object is not there: an
// upload would be dropped for it.
func TestHeadOfNoBucket(t *testing.T) {
	t.Parallel()
	for _, style := range []Style{PathStyle, VirtualHost} {
		b, fake := newBucket(t, style)
		a := put(t, b, acme, []byte("content"))
		fake.bucket = "another"
		_, err := b.Head(context.Background(), a)
		requireCode(t, "OBJECT_STORE_REFUSES", err)
		require.Contains(t, err.Error(), "NoSuchBucket")
		requireCode(t, "OBJECT_STORE_REFUSES", b.Delete(context.Background(), a))
	}
}

// With other credentials, or a clock that is wrong, everything is refused and nothing
// secret is told.
func TestCredentialsAndClock(t *testing.T) {
	t.Parallel()
	good := sigv4.Signer{Credentials: fakeCredentials, Region: "eu-test-1", Service: "s3"}
	wrongKey, noToken, wrongRegion := good, good, good
	wrongKey.Credentials.SecretKey += "x"
	noToken.Credentials.SessionToken = ""
	wrongRegion.Region = "us-east-1"
	for name, spoil := range map[string]func(b *Bucket){
		"SignatureDoesNotMatch":         func(b *Bucket) { b.sign = wrongKey.Sign },
		"InvalidAccessKeyId":            func(b *Bucket) { b.sign = noToken.Sign },
		"AuthorizationHeaderMalformed":  func(b *Bucket) { b.sign = wrongRegion.Sign },
		"RequestTimeTooSkewed":          func(b *Bucket) { b.now = func() time.Time { return fakeNow.Add(time.Hour) } },
		"RequestTimeTooSkewed (behind)": func(b *Bucket) { b.now = func() time.Time { return fakeNow.Add(-time.Hour) } },
	} {
		b, _ := newBucket(t, PathStyle)
		a := put(t, b, acme, []byte("content"))
		spoil(b)
		code, _, _ := strings.Cut(name, " ")
		for verb, do := range verbs(b, a, []byte("content")) {
			err := do(context.Background())
			requireCode(t, "OBJECT_STORE_REFUSES", err)
			if verb != "head" { // which has no words
				require.Contains(t, err.Error(), code)
				require.Contains(t, err.Error(), "request R-1")
			}
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				require.NotContains(t, cause.Error(), string(fakeCredentials.SecretKey))
				require.NotContains(t, cause.Error(), string(fakeCredentials.SessionToken))
			}
		}
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", b, b, b), string(fakeCredentials.SecretKey))
	}
}

// What travels is verified on both sides.
func TestBytesThatChangeOnTheWay(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	draft, err := b.spool.Receive(context.Background(), strings.NewReader("content"), limit)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(b.spool.disk.(rooted).root.Name(), draft.name), []byte("CONTENT"), 0o600))
	_, err = b.Put(context.Background(), acme, draft)
	requireCode(t, "OBJECT_STORE_REFUSES", err)
	require.Contains(t, err.Error(), "XAmzContentSHA256Mismatch")
	require.NoError(t, draft.Discard())
	require.Empty(t, fake.keys())

	// Compressed on the way: given as it is, which is not what was put.
	a := put(t, b, acme, []byte("content"))
	fake.fail(func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.Header.Get("Accept-Encoding"))
		w.Header().Set("Last-Modified", fakeNow.Format(http.TimeFormat))
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "\x1f\x8bzip")
	})
	_, err = b.Open(context.Background(), a)
	require.True(t, IsDamaged(err), "%v", err)
}

// The draft cannot be sent whole any more: that is a fault of ours and is not kept.
func TestDraftThatShrinks(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	draft, err := b.spool.Receive(context.Background(), strings.NewReader("content"), limit)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(filepath.Join(b.spool.disk.(rooted).root.Name(), draft.name), 3))
	_, err = b.Put(context.Background(), acme, draft)
	requireCode(t, "OBJECT_STORE_UNAVAILABLE", err)
	require.NoError(t, draft.Discard())
	require.Empty(t, fake.keys())
}

func TestTooLargeForOneRequest(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	draft, err := b.spool.Receive(context.Background(), strings.NewReader("content"), limit)
	require.NoError(t, err)
	draft.size = maxObject + 1
	_, err = b.Put(context.Background(), acme, draft)
	requireCode(t, "OBJECT_TOO_LARGE", err)
	require.NoError(t, draft.Discard())
	require.Empty(t, fake.requests())
}

// The spool is full while an object is read into it: that is told, and not tried again.
func TestSpoolIsFullWhenReading(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	a := put(t, b, acme, []byte("content"))
	below := b.spool.disk
	b.spool.disk = &frail{disk: below, failAt: 2, err: syscall.ENOSPC}
	fake.fail()
	_, err := b.Open(context.Background(), a)
	requireCode(t, "OBJECT_STORE_FULL", err)
	require.Len(t, fake.requests(), 1)
}

// A context that ends in the middle ends the request and the tries, with its cause.
func TestContextEndsARequest(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	a := put(t, b, acme, []byte("0123456789"))
	why := errors.New("the server stops")
	for _, fault := range []http.HandlerFunc{stand, standInTheMiddle} {
		for verb, do := range verbs(b, a, []byte("0123456789")) {
			ctx, cancel := context.WithCancelCause(context.Background())
			fake.fail(func(w http.ResponseWriter, r *http.Request) {
				cancel(why)
				fault(w, r)
			})
			err := do(ctx)
			if err != nil { // a HEAD or a PUT may have its answer by then
				require.ErrorIs(t, err, why, verb)
			} else {
				require.Contains(t, []string{"head", "put", "delete"}, verb)
			}
			require.Len(t, fake.requests(), 1, verb)
		}
	}

	// And the wait between two tries.
	ctx, cancel := context.WithCancelCause(context.Background())
	b.pause = backOff
	fake.fail(func(w http.ResponseWriter, r *http.Request) {
		cancel(why)
		status(503, "SlowDown")(w, r)
	})
	require.ErrorIs(t, b.Delete(ctx, a), why)
	require.NoError(t, backOff(context.Background(), 1))
}

// Lists that would have us go round for ever, take a part for the whole, or believe
// what nobody asked for.
func TestListsThatAreWrong(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	key := "p/" + Address{Organization: acme, Digest: Digest{1}}.String()
	const when = "<LastModified>2026-01-02T03:04:05.000Z</LastModified>"
	page := func(inner string) string { return "<ListBucketResult>" + inner + "</ListBucketResult>" }
	object := func(key, inner string) string {
		return page("<Contents><Key>" + key + "</Key>" + inner + "</Contents>")
	}
	for name, body := range map[string]string{
		"nothing":              "",
		"no XML":               "{}",
		"a page of a proxy":    "<html><body>hello</body></html>",
		"cut off":              "<ListBucketResult><IsTruncated>false</IsTruncated>",
		"two documents":        page("") + page(""),
		"text after it":        page("") + "more",
		"a type":               `<!DOCTYPE x [<!ENTITY a "aaaa">]>` + page(""),
		"an entity":            page("<Contents><Key>&a;</Key></Contents>"),
		"another encoding":     `<?xml version="1.0" encoding="UTF-16"?>` + page(""),
		"no number":            object(key, "<Size>many</Size>"+when),
		"a negative size":      object(key, "<Size>-1</Size>"+when),
		"no time":              object(key, "<Size>1</Size>"),
		"a time of its own":    object(key, "<Size>1</Size><LastModified>yesterday</LastModified>"),
		"what was not asked":   object("elsewhere/"+key, "<Size>1</Size>"+when),
		"no boolean":           page("<IsTruncated>perhaps</IsTruncated>"),
		"no way to go on":      page("<IsTruncated>true</IsTruncated>"),
		"too long":             "<!--" + strings.Repeat("x", maxListing) + "-->" + page(""),
		"not closed as opened": "<ListBucketResult></ListbucketResult>",
	} {
		fake.fail(answer(200, body))
		err := lastError(b.List(context.Background(), acme))
		requireCode(t, "OBJECT_STORE_MALFORMED", err)
		require.Len(t, fake.requests(), 1, name)
	}

	// The same way to go on again and again.
	loop := answer(200, page("<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"))
	fake.fail(loop, loop, loop, loop)
	requireCode(t, "OBJECT_STORE_MALFORMED", lastError(b.ListAll(context.Background())))
	require.Len(t, fake.requests(), 2)

	// What is right, and what is somebody else's in our prefix.
	fake.fail(answer(200, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a comment -->\n"+
		`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents><Key>`+key+"</Key><Size>7</Size>"+when+"</Contents>"+
		"<Contents><Key>p/README</Key><Size>1</Size>"+when+"</Contents></ListBucketResult>\n"))
	require.Equal(t, []Address{{Organization: acme, Digest: Digest{1}}}, listed(t, b))
}

// Pages are asked for one by one, each with the token of the one before, and a page
// that fails is asked for again.
func TestPages(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, VirtualHost)
	fake.pageMax = 2
	for i := range 5 {
		put(t, b, acme, fmt.Appendf(nil, "%d", i))
	}
	fake.fail(nil, status(503, "SlowDown"))
	require.Len(t, listed(t, b, acme), 5)
	asked := fake.requests()
	require.Len(t, asked, 4)
	require.NotContains(t, asked[0], "continuation-token")
	require.Contains(t, asked[1], "continuation-token=a%2Bb%2F")
	require.Equal(t, asked[1], asked[2])
	require.Contains(t, asked[0], "prefix=p%2F"+acme.String()+"%2F")
}

// Heads that do not say what they must.
func TestHeadsThatAreWrong(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	a := put(t, b, acme, []byte("content"))
	for _, headers := range []map[string]string{
		{"Content-Length": "7"},
		{"Content-Length": "7", "Last-Modified": "yesterday"},
		{"Last-Modified": fakeNow.Format(http.TimeFormat)},
	} {
		fake.fail(func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range headers {
				w.Header().Set(name, value)
			}
		})
		_, err := b.Head(context.Background(), a)
		requireCode(t, "OBJECT_STORE_MALFORMED", err)
	}
}

// Nobody answers at the address.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	b, fake := newBucket(t, PathStyle)
	fake.server.Close()
	_, err := b.Open(context.Background(), Address{Organization: uuid.New(), Digest: Digest{}})
	requireCode(t, "OBJECT_STORE_UNAVAILABLE", err)
	require.NotContains(t, err.Error(), "127.0.0.1")
}

// Where an object stands, in both styles.
func TestKeysOfABucket(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("content"))
	digest := hex.EncodeToString(sum[:])
	key := "/p/" + acme.String() + "/" + digest[:2] + "/" + digest
	for style, target := range map[Style]string{PathStyle: "/evidence" + key, VirtualHost: key} {
		b, fake := newBucket(t, style)
		put(t, b, acme, []byte("content"))
		require.Equal(t, []string{"PUT " + target}, fake.requests())
	}
}

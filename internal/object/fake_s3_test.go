package object

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/object/sigv4"
)

// The clock of the fake and, unless a test says otherwise, of who asks it.
var fakeNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var fakeCredentials = sigv4.Credentials{AccessKey: "AKIDTEST", SecretKey: "a/secret+key", SessionToken: "a token/with=signs"}

const fakeHost = "s3.test:9000"

// fakeS3 is a store that speaks S3. It computes each signature itself, from the bytes
// of the request line and of the headers.
type fakeS3 struct {
	t           *testing.T
	style       Style
	bucket      string
	credentials sigv4.Credentials
	folder      string
	server      *httptest.Server

	lock    sync.Mutex
	objects map[string]time.Time // when each was put
	faults  []http.HandlerFunc   // one for each of the next requests; nil for none
	asked   []string             // method and target of each request
	pageMax int
	nextPut int
}

func newFakeS3(t *testing.T, style Style) *fakeS3 {
	f := &fakeS3{t: t, style: style, bucket: "evidence", credentials: fakeCredentials,
		folder: t.TempDir(), objects: map[string]time.Time{}, pageMax: 1000}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// open gives a store of the fake. Nothing that waits for time waits long.
func (f *fakeS3) open(prefix, spool string) *Bucket {
	opened, err := Open(Config{Location: "s3://" + f.bucket + prefix, Spool: spool, Region: "eu-test-1",
		Endpoint: "http://" + fakeHost, Style: f.style, Credentials: fakeCredentials, Now: func() time.Time { return fakeNow }})
	require.NoError(f.t, err)
	b := opened.(*Bucket)
	address := f.server.Listener.Addr().String()
	transport := b.client.Transport.(*http.Transport)
	transport.DialContext = (&reaching{address}).dial
	f.t.Cleanup(transport.CloseIdleConnections)
	b.pause = noPause
	return b
}

func (f *fakeS3) fail(faults ...http.HandlerFunc) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.faults, f.asked = faults, nil
}

func (f *fakeS3) requests() []string {
	f.lock.Lock()
	defer f.lock.Unlock()
	return slices.Clone(f.asked)
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.lock.Lock()
	f.asked = append(f.asked, r.Method+" "+r.RequestURI)
	var fault http.HandlerFunc
	if len(f.faults) > 0 {
		fault, f.faults = f.faults[0], f.faults[1:]
	}
	f.lock.Unlock()

	if code, why := f.check(r); code != "" {
		refuse(w, http.StatusForbidden, code, why)
		return
	}
	if fault != nil {
		fault(w, r)
		return
	}
	key := strings.TrimPrefix(r.URL.Path, "/")
	if f.style == PathStyle {
		var bucket string
		bucket, key, _ = strings.Cut(key, "/")
		if bucket != f.bucket || r.Host != fakeHost {
			refuse(w, http.StatusNotFound, "NoSuchBucket", bucket)
			return
		}
	} else if r.Host != f.bucket+"."+fakeHost {
		refuse(w, http.StatusNotFound, "NoSuchBucket", r.Host)
		return
	}
	switch {
	case key == "":
		f.list(w, r)
	case r.Method == http.MethodPut:
		f.put(w, r, key)
	case r.Method == http.MethodDelete:
		f.lock.Lock()
		delete(f.objects, key)
		f.lock.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		f.get(w, r, key)
	}
}

func refuse(w http.ResponseWriter, status int, code, why string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message><RequestId>R-1</RequestId></Error>\n", code, html.EscapeString(why))
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// check computes the signature by other code than signs: it takes the request line
// apart as text and knows nothing of how it was put together.
func (f *fakeS3) check(r *http.Request) (code, why string) {
	parts := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case parts == nil || err != nil:
		return "AuthorizationHeaderMalformed", "unreadable"
	case at.Sub(fakeNow).Abs() > 15*time.Minute:
		return "RequestTimeTooSkewed", at.String()
	case parts[1] != f.credentials.AccessKey || r.Header.Get("X-Amz-Security-Token") != string(f.credentials.SessionToken):
		return "InvalidAccessKeyId", parts[1]
	case parts[3] != "eu-test-1":
		return "AuthorizationHeaderMalformed", "region"
	}
	target, query, _ := strings.Cut(r.RequestURI, "?")
	pairs := []string{}
	if query != "" {
		pairs = strings.Split(query, "&")
		slices.Sort(pairs)
	}
	text := r.Method + "\n" + target + "\n" + strings.Join(pairs, "&") + "\n"
	for _, must := range []string{"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"} {
		if !slices.Contains(strings.Split(parts[4], ";"), must) {
			return "AccessDenied", must + " is not signed"
		}
	}
	for name := range strings.SplitSeq(parts[4], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		text += name + ":" + value + "\n"
	}
	text += "\n" + parts[4] + "\n" + r.Header.Get("X-Amz-Content-Sha256")
	canonical := sha256.Sum256([]byte(text))
	key := []byte("AWS4" + string(f.credentials.SecretKey))
	for _, step := range []string{parts[2], parts[3], "s3", "aws4_request",
		"AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + parts[2] + "/" + parts[3] + "/s3/aws4_request\n" + hex.EncodeToString(canonical[:])} {
		hash := hmac.New(sha256.New, key)
		_, _ = io.WriteString(hash, step)
		key = hash.Sum(nil)
	}
	if hex.EncodeToString(key) != parts[5] || !strings.HasPrefix(at.Format("20060102"), parts[2]) {
		return "SignatureDoesNotMatch", text
	}
	return "", ""
}

func (f *fakeS3) put(w http.ResponseWriter, r *http.Request, key string) {
	if r.ContentLength < 0 || len(r.TransferEncoding) > 0 {
		refuse(w, http.StatusLengthRequired, "MissingContentLength", "")
		return
	}
	f.lock.Lock()
	f.nextPut++
	part := filepath.Join(f.folder, fmt.Sprintf("put-%d", f.nextPut))
	f.lock.Unlock()
	file, err := os.Create(part)
	if err != nil {
		panic(err)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(sum, file), r.Body)
	_ = file.Close()
	switch {
	case err != nil:
		return // cut off: nothing is kept
	case hex.EncodeToString(sum.Sum(nil)) != r.Header.Get("X-Amz-Content-Sha256"):
		refuse(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch", "")
		return
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	if err := os.Rename(part, f.file(key)); err != nil {
		panic(err)
	}
	f.objects[key] = fakeNow
	w.WriteHeader(http.StatusOK)
}

func (f *fakeS3) file(key string) string { return filepath.Join(f.folder, url.QueryEscape(key)) }

func (f *fakeS3) get(w http.ResponseWriter, r *http.Request, key string) {
	f.lock.Lock()
	modified, there := f.objects[key]
	f.lock.Unlock()
	if !there {
		refuse(w, http.StatusNotFound, "NoSuchKey", key)
		return
	}
	file, err := os.Open(f.file(key))
	if err != nil {
		panic(err)
	}
	defer func() { _ = file.Close() }()
	info, _ := file.Stat()
	w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
	w.Header().Set("Last-Modified", modified.Format(http.TimeFormat))
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, file)
	}
}

func (f *fakeS3) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	after, err := hex.DecodeString(strings.TrimPrefix(query.Get("continuation-token"), "a+b/"))
	if err != nil || query.Get("list-type") != "2" {
		refuse(w, http.StatusBadRequest, "InvalidArgument", "")
		return
	}
	type content struct {
		Key          string
		LastModified string
		ETag         string
		Size         int64
	}
	var page struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name        string
		IsTruncated bool
		Contents    []content
		Next        string `xml:"NextContinuationToken,omitempty"`
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	var keys []string
	for key := range f.objects {
		if strings.HasPrefix(key, query.Get("prefix")) && key > string(after) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if len(keys) > f.pageMax {
		keys = keys[:f.pageMax]
		page.IsTruncated, page.Next = true, "a+b/"+hex.EncodeToString([]byte(keys[f.pageMax-1]))
	}
	for _, key := range keys {
		info, err := os.Stat(f.file(key))
		if err != nil {
			panic(err)
		}
		page.Contents = append(page.Contents, content{Key: key, LastModified: f.objects[key].Format("2006-01-02T15:04:05.000Z"), ETag: `"x"`, Size: info.Size()})
	}
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(page)
}

// write puts content behind the back of the store.
func (f *fakeS3) write(key string, content []byte) {
	f.lock.Lock()
	defer f.lock.Unlock()
	require.NoError(f.t, os.WriteFile(f.file(key), content, 0o600))
	f.objects[key] = fakeNow
}

func (f *fakeS3) keys() []string {
	f.lock.Lock()
	defer f.lock.Unlock()
	var keys []string
	for key := range f.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// reaching leads every address to one.
type reaching struct{ address string }

func (r *reaching) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, r.address)
}

func noPause(ctx context.Context, _ int) error { return ctx.Err() }

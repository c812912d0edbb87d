package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// cabinet is a server with files, which have a mebibyte at most.
type cabinet struct {
	fixture

	folder string
	sync   string // one of acme
}

const mebibyte = 1 << 20

func collecting(t *testing.T, change func(*server.Config)) cabinet {
	t.Helper()
	database := dbtest.New(t)
	paths := authority.New(database.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), time.Now, slog.New(slog.DiscardHandler))
	ctx := access.With(context.Background(), access.Actor{Subject: "feed", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	c := cabinet{folder: filepath.Join(database.Folder, "files")}
	for _, slug := range []string{"other", "acme"} {
		report, err := paths.Sync(ctx, authority.SyncRequest{Organization: slug, Format: "snapshot", CreateOrganization: true, ObservedAt: time.Now()},
			func(out record.Emitter) error {
				return out.Record(record.Record{Fact: record.Entity{Ref: record.Ref{Kind: record.Workload, SourceID: "w"}}})
			})
		require.NoError(t, err)
		c.sync = report.SyncID.String()
	}
	store, err := object.Open(object.Config{Location: c.folder})
	require.NoError(t, err)
	known := maps.Clone(people)
	known["collector"] = access.Actor{Subject: "ann", Role: access.Client, Scopes: []access.Scope{access.View, access.Investigate}, Organizations: []string{"acme"}}
	c.fixture = setup(t, func(config *server.Config) {
		config.Files = file.New(file.Config{DB: database.DB, Authority: paths, Store: store, Now: time.Now, MaxBytes: mebibyte})
		config.Verifier = known
		if change != nil {
			change(config)
		}
	})
	return c
}

// stored counts what is in the folder: objects, and drafts when nobody sends any more.
func (c cabinet) stored(t *testing.T) (objects int) {
	t.Helper()
	require.Eventually(t, func() bool {
		drafts, err := os.ReadDir(filepath.Join(c.folder, "incoming"))
		return err == nil && len(drafts) == 0
	}, 5*time.Second, 5*time.Millisecond, "drafts stay")
	require.NoError(t, filepath.WalkDir(c.folder, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			objects++
		}
		return err
	}))
	return objects
}

// collected is an answer.
type collected struct {
	ID, SHA256, MediaType, Name, URL string
	Size                             int64
	Created                          bool
}

func decode(t *testing.T, body string) (f collected) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(body), &f), body)
	return f
}

func sum(content string) string {
	digest := sha256.Sum256([]byte(content))
	return hex.EncodeToString(digest[:])
}

func TestFiles(t *testing.T) {
	t.Parallel()
	c := collecting(t, nil)
	const content = "port 443 answers\n"
	response, body := c.do(t, "POST", "/files?org=acme&name=../scan%E2%80%AE.txt&artifact=shop@sha256:1&sync="+c.sync, "collector", strings.NewReader(content),
		"Content-Type", "text/html") // which says nothing
	require.Equal(t, http.StatusCreated, response.StatusCode, body)
	f := decode(t, body)
	address := "/files/" + sum(content) + "?org=acme"
	require.Equal(t, collected{ID: f.ID, SHA256: sum(content), Size: int64(len(content)), MediaType: "text/plain; charset=utf-8", Name: "scan.txt", URL: address, Created: true}, f)
	require.Equal(t, address, response.Header.Get("Location"))

	for range 2 {
		response, body = c.do(t, "POST", "/files?org=acme&name=other", "collector", strings.NewReader(content))
		require.Equal(t, http.StatusOK, response.StatusCode, body)
		f.Created = false
		require.Equal(t, f, decode(t, body), "it was there")
		require.Empty(t, response.Header.Get("Location"))
	}
	wrapped, contentType := form(t, part{"file", "../part 1.bin", "\x00\x01"})
	response, body = c.do(t, "POST", "/files?org=acme", "collector", wrapped, "Content-Type", contentType)
	require.Equal(t, http.StatusCreated, response.StatusCode, body)
	binary := decode(t, body)
	require.Equal(t, "part 1.bin", binary.Name)
	require.Equal(t, "application/octet-stream", binary.MediaType)
	require.Equal(t, 2, c.stored(t))

	response, body = c.do(t, "GET", address, "viewer", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, content, body)
	headers := map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "Content-Disposition": "attachment; filename=scan.txt", "Content-Length": "17", "ETag": `"` + sum(content) + `"`,
		"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache",
	}
	for name, want := range headers {
		require.Equal(t, want, response.Header.Get(name), name)
	}
	response, body = c.do(t, "HEAD", address, "viewer", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Empty(t, body)
	for name, want := range headers {
		require.Equal(t, want, response.Header.Get(name), name)
	}
	response, body = c.do(t, "GET", address, "viewer", nil, "If-None-Match", `W/"x", "`+sum(content)+`"`)
	require.Equal(t, http.StatusNotModified, response.StatusCode)
	require.Empty(t, body)
	response, body = c.do(t, "GET", address, "viewer", nil, "Range", "bytes=5-7")
	require.Equal(t, http.StatusPartialContent, response.StatusCode)
	require.Equal(t, "443", body)
	response, _ = c.do(t, "GET", binary.URL, "viewer", nil)
	require.Equal(t, `attachment; filename="part 1.bin"`, response.Header.Get("Content-Disposition"))

	// What the store has lost is nobody's fault who asks.
	require.NoError(t, os.Remove(filepath.Join(c.folder, organizationFolder(t, c.folder), sum(content)[:2], sum(content))))
	for _, method := range []string{"GET", "HEAD"} {
		response, body = c.do(t, method, address, "viewer", nil)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.Empty(t, response.Header.Get("Content-Disposition"))
		if method == "GET" {
			requireRefused(t, response, body, 503, "FILE_OBJECT_MISSING")
		}
	}
	response, body = c.do(t, "POST", "/files?org=acme", "collector", strings.NewReader(content))
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	_, body = c.do(t, "GET", address, "viewer", nil)
	require.Equal(t, content, body, "the same again mends it")
}

// organizationFolder is the one in which objects are.
func organizationFolder(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.Name() != "incoming" {
			return entry.Name()
		}
	}
	t.Fatal("there is no object")
	return ""
}

func TestFilesRefuse(t *testing.T) {
	t.Parallel()
	c := collecting(t, nil)
	_, body := c.do(t, "POST", "/files?org=other", "stranger", strings.NewReader("theirs"))
	require.True(t, decode(t, body).Created, body)
	foreign := "/files/" + sum("theirs")
	one := part{"file", "a", "text"}
	for name, test := range map[string]struct {
		method, path, token string
		body                io.Reader
		parts               []part
		header              []string
		status              int
		code                string
	}{
		"no token":               {path: "/files?org=acme", status: 401, code: "TOKEN_MISSING"},
		"a wrong token":          {path: "/files?org=acme", token: "nonsense", status: 401, code: "TOKEN_EXPIRED"},
		"no scope":               {path: "/files?org=acme", token: "operator", status: 403, code: "SCOPE_MISSING"},
		"a stranger":             {path: "/files?org=acme", token: "stranger", status: 404, code: "ORGANIZATION_NOT_FOUND"},
		"nobody's organization":  {path: "/files?org=nobody", token: "admin", status: 404, code: "ORGANIZATION_NOT_FOUND"},
		"no organization":        {path: "/files", token: "collector", status: 400, code: "ORGANIZATION_MISSING"},
		"an unknown parameter":   {path: "/files?org=acme&nam=x", token: "collector", status: 400, code: "PARAMETER_UNKNOWN"},
		"a repeated parameter":   {path: "/files?org=acme&name=x&name=y", token: "collector", status: 400, code: "PARAMETER_REPEATED"},
		"a name without an end":  {path: "/files?org=acme&name=" + strings.Repeat("a", 5000), token: "collector", status: 400, code: "PARAMETER_INVALID"},
		"no sync":                {path: "/files?org=acme&sync=first", token: "collector", status: 400, code: "PARAMETER_INVALID"},
		"an unknown sync":        {path: "/files?org=acme&sync=7d444840-9dc0-4c1b-9f5d-3c1c5f6a1b2e", token: "collector", status: 404, code: "SYNC_NOT_FOUND"},
		"a control character":    {path: "/files?org=acme&artifact=a%00b", token: "collector", status: 400, code: "PARAMETER_INVALID"},
		"compressed":             {path: "/files?org=acme", token: "collector", header: []string{"Content-Encoding", "gzip"}, status: 400, code: "ENCODING_UNSUPPORTED"},
		"empty":                  {path: "/files?org=acme", token: "collector", body: strings.NewReader(""), status: 400, code: "FILE_EMPTY"},
		"a page":                 {path: "/files?org=acme&name=a.txt", token: "collector", body: strings.NewReader("<html><script>"), status: 415, code: "FILE_TYPE_REFUSED"},
		"a program":              {path: "/files?org=acme&name=a.txt", token: "collector", body: strings.NewReader("\x7fELF\x02\x01"), status: 415, code: "FILE_TYPE_REFUSED"},
		"too large":              {path: "/files?org=acme", token: "collector", body: strings.NewReader(strings.Repeat("x", mebibyte+1)), status: 413, code: "FILE_TOO_LARGE"},
		"no boundary":            {path: "/files?org=acme", token: "collector", header: []string{"Content-Type", "multipart/form-data"}, status: 400, code: "MULTIPART_MALFORMED"},
		"not multipart":          {path: "/files?org=acme", token: "collector", header: []string{"Content-Type", "multipart/form-data; boundary=x"}, status: 400, code: "UPLOAD_CUT_OFF"},
		"cut off in a part":      {path: "/files?org=acme", token: "collector", body: strings.NewReader("--x\r\n\r\nhalf"), header: []string{"Content-Type", "multipart/mixed; boundary=x"}, status: 400, code: "UPLOAD_CUT_OFF"},
		"no part":                {path: "/files?org=acme", token: "collector", body: strings.NewReader("--x--\r\n"), header: []string{"Content-Type", "multipart/mixed; boundary=x"}, status: 400, code: "FILE_MISSING"},
		"another part":           {path: "/files?org=acme", token: "collector", parts: []part{{"policy", "a", "text"}}, status: 400, code: "PART_UNKNOWN"},
		"two files":              {path: "/files?org=acme", token: "collector", parts: []part{one, one}, status: 400, code: "PART_REPEATED"},
		"a part that is larger":  {path: "/files?org=acme", token: "collector", parts: []part{{"file", "a", strings.Repeat("x", mebibyte+1)}}, status: 413, code: "FILE_TOO_LARGE"},
		"a body that is larger":  {path: "/files?org=acme", token: "collector", parts: []part{{"file", "a", strings.Repeat("x", 3*mebibyte)}}, status: 413, code: "FILE_TOO_LARGE"},
		"a preamble that is one": {path: "/files?org=acme", token: "collector", body: io.LimitReader(newlines{}, 64*mebibyte), header: []string{"Content-Type", "multipart/mixed; boundary=x"}, status: 413, code: "FILE_TOO_LARGE"},

		"another's file":         {method: "GET", path: foreign + "?org=acme", token: "viewer", status: 404, code: "FILE_NOT_FOUND"},
		"nobody's file":          {method: "GET", path: "/files/" + sum("nothing") + "?org=acme", token: "viewer", status: 404, code: "FILE_NOT_FOUND"},
		"another's organization": {method: "GET", path: foreign + "?org=other", token: "viewer", status: 404, code: "ORGANIZATION_NOT_FOUND"},
		"a file without a token": {method: "GET", path: foreign + "?org=other", status: 401, code: "TOKEN_MISSING"},
		"a path":                 {method: "GET", path: "/files/..%2f..%2fetc%2fpasswd?org=acme", token: "viewer", status: 400, code: "FILE_DIGEST_INVALID"},
		"half a digest":          {method: "GET", path: "/files/abcd?org=acme", token: "viewer", status: 400, code: "FILE_DIGEST_INVALID"},
		"capitals":               {method: "GET", path: "/files/" + strings.ToUpper(sum("theirs")) + "?org=other", token: "stranger", status: 400, code: "FILE_DIGEST_INVALID"},
		"nobody said whose":      {method: "GET", path: foreign, token: "viewer", status: 400, code: "ORGANIZATION_MISSING"},
		"another method":         {method: "DELETE", path: foreign + "?org=other", token: "stranger", status: 405, code: "METHOD_NOT_ALLOWED"},
		"a list":                 {method: "GET", path: "/files?org=acme", token: "viewer", status: 405, code: "METHOD_NOT_ALLOWED"},
	} {
		content, header := test.body, test.header
		if test.parts != nil {
			var contentType string
			content, contentType = form(t, test.parts...)
			header = []string{"Content-Type", contentType}
		}
		method := test.method
		if method == "" {
			method = "POST"
			if content == nil {
				content = strings.NewReader("some text")
			}
		}
		response, answer := c.do(t, method, test.path, test.token, content, header...)
		t.Log(name)
		requireRefused(t, response, answer, test.status, test.code)
	}
	require.Equal(t, 1, c.stored(t), "nothing stays but the one that was kept")
}

type newlines struct{}

func (newlines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}

// TestFileOfAGigabyte sends a gigabyte of which nobody says beforehand how much it is.
func TestFileOfAGigabyte(t *testing.T) {
	c := collecting(t, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	response, body := c.do(t, "POST", "/files?org=acme", "collector", io.LimitReader(zeros{}, 1<<30))
	requireRefused(t, response, body, http.StatusRequestEntityTooLarge, "FILE_TOO_LARGE")
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "of client and server, all that was ever allocated")
	require.Zero(t, c.stored(t))

	// One that says so is refused before it is read.
	conn, err := net.Dial("tcp", c.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /files?org=acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer collector\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", 1<<30)
	require.NoError(t, err)
	requireRaw(t, conn, http.StatusRequestEntityTooLarge, "FILE_TOO_LARGE")
}

// open begins an upload by hand.
func (c cabinet) open(t *testing.T, length int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /files?org=acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer collector\r\nContent-Length: %d\r\n\r\n", length)
	require.NoError(t, err)
	return conn
}

func requireRaw(t *testing.T, conn net.Conn, status int, code string) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	requireRefused(t, response, string(body), status, code)
}

// A file that is cut in the middle, or comes to a standstill, leaves nothing.
func TestFileThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	c := collecting(t, func(config *server.Config) { config.Limits.UploadPace = 300 * time.Millisecond })
	conn := c.open(t, 1000)
	_, err := conn.Write([]byte("the first half"))
	require.NoError(t, err)
	tcp, ok := conn.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.CloseWrite())
	requireRaw(t, conn, http.StatusBadRequest, "UPLOAD_CUT_OFF")

	conn = c.open(t, 1000)
	_, err = conn.Write([]byte("the first half"))
	require.NoError(t, err)
	requireRaw(t, conn, http.StatusRequestTimeout, "UPLOAD_TOO_SLOW")

	conn = c.open(t, 1000) // one whose sender is gone for good
	_, err = conn.Write([]byte("the first half"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Zero(t, c.stored(t))
}

// So many files come in at a time and no more.
func TestFilesTakeTurns(t *testing.T) {
	t.Parallel()
	c := collecting(t, func(config *server.Config) {
		config.Limits.Uploads, config.Limits.ImportWait = 2, 50*time.Millisecond
	})
	slow := []net.Conn{c.open(t, 4), c.open(t, 4)}
	require.Eventually(t, func() bool {
		drafts, err := os.ReadDir(filepath.Join(c.folder, "incoming"))
		return err == nil && len(drafts) == len(slow)
	}, 5*time.Second, 5*time.Millisecond)
	response, body := c.do(t, "POST", "/files?org=acme", "collector", strings.NewReader("more"))
	requireRefused(t, response, body, http.StatusServiceUnavailable, "UPLOADS_BUSY")
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	for n, conn := range slow {
		_, err := fmt.Fprintf(conn, "no %d", n)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	response, body = c.do(t, "POST", "/files?org=acme", "collector", strings.NewReader("more"))
	require.Equal(t, http.StatusCreated, response.StatusCode, body)
}

// A server without a store says so, to those who may know.
func TestFilesWithoutAStore(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	response, body := f.do(t, "POST", "/files?org=acme", "admin", bytes.NewReader([]byte("x")))
	requireRefused(t, response, body, http.StatusServiceUnavailable, "FILE_STORE_MISSING")
	response, body = f.do(t, "GET", "/files/"+sum("x")+"?org=acme", "viewer", nil)
	requireRefused(t, response, body, http.StatusServiceUnavailable, "FILE_STORE_MISSING")
	response, body = f.do(t, "GET", "/files/"+sum("x")+"?org=acme", "stranger", nil)
	requireRefused(t, response, body, http.StatusNotFound, "ORGANIZATION_NOT_FOUND")
}

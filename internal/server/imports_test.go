package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

// sink is an importer that reads everything.
type sink struct {
	request importer.Request
	files   []string // name=content
	policy  string
	owners  string
	answer  error
}

func (s *sink) Run(ctx context.Context, request importer.Request) (*authority.SyncReport, error) {
	s.request = request
	for side, target := range map[*importer.File]*string{request.Policy: &s.policy, request.Owners: &s.owners} {
		if side != nil {
			content, err := io.ReadAll(side.Content)
			if err != nil {
				return nil, err
			}
			*target = side.Name + "=" + string(content)
		}
	}
	if request.Files != nil {
		for file, err := range request.Files {
			if err != nil {
				return nil, err
			}
			content, err := io.ReadAll(file.Content)
			if err != nil {
				return nil, err
			}
			s.files = append(s.files, file.Name+"="+string(content))
		}
	}
	if s.answer != nil {
		return nil, s.answer
	}
	actor, _ := access.From(ctx)
	return &authority.SyncReport{Organization: request.Organization, Source: actor.Subject,
		Rejections: []record.Rejection{{Code: "NOT_JSON"}}, Records: authority.RecordCounts{Rejected: 1}}, nil
}

func importing(t *testing.T, change func(*server.Config)) (fixture, *sink) {
	t.Helper()
	s := &sink{}
	return setup(t, func(c *server.Config) {
		c.Importer = s
		if change != nil {
			change(c)
		}
	}), s
}

type part struct{ name, filename, content string }

func form(t *testing.T, parts ...part) (body io.Reader, contentType string) {
	t.Helper()
	var buffer bytes.Buffer
	w := multipart.NewWriter(&buffer)
	for _, p := range parts {
		header := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"; filename="%s"`, p.name, p.filename)}}
		content, err := w.CreatePart(header)
		require.NoError(t, err)
		_, err = io.WriteString(content, p.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return &buffer, w.FormDataContentType()
}

func TestImportRawBody(t *testing.T) {
	t.Parallel()
	f, got := importing(t, nil)
	response, body := f.do(t, "POST", "/imports/kubernetes?org=acme&source=ci&system=prod&namespace=shop&observedAt=2026-01-02T03:04:05Z&partial=true&strict=1&create=true",
		"operator", strings.NewReader("kind: Pod"), "Content-Type", "application/yaml")
	require.Equal(t, 200, response.StatusCode, body)
	require.Contains(t, body, `"source":"ada"`)
	require.Contains(t, body, `"rejected":1`, "a rejection is part of a report")
	require.Equal(t, []string{"body=kind: Pod"}, got.files)
	require.Equal(t, authority.SyncRequest{
		Organization: "acme", Source: "ci", System: "prod", Format: "kubernetes",
		ObservedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Partial: true, Strict: true,
	}, got.request.SyncRequest, "a client asks in vain to create")
	require.Equal(t, "shop", got.request.Namespace)

	_, _ = f.do(t, "POST", "/imports/snapshot?org=new&create=true", "admin", strings.NewReader("{}"))
	require.True(t, got.request.CreateOrganization)
	require.Equal(t, "snapshot", got.request.Format)
}

func TestImportMultipart(t *testing.T) {
	t.Parallel()
	for _, media := range []string{"multipart/form-data", "multipart/mixed"} {
		f, got := importing(t, nil)
		body, contentType := form(t,
			part{"owners", "owners.yaml", "o"}, part{"policy", "policy.yaml", "p"},
			part{"file", "deploy/a.yaml", "A"}, part{"file", "deploy/b.yaml", strings.Repeat("B", 40_000)}, part{"file", "c\u202e.yaml", ""})
		response, answer := f.do(t, "POST", "/imports/kubernetes?org=acme", "operator", body,
			"Content-Type", strings.Replace(contentType, "multipart/form-data", media, 1))
		require.Equal(t, 200, response.StatusCode, answer)
		require.Equal(t, []string{"deploy/a.yaml=A", "deploy/b.yaml=" + strings.Repeat("B", 40_000), "c.yaml="}, got.files)
		require.Equal(t, "owners.yaml=o", got.owners)
		require.Equal(t, "policy.yaml=p", got.policy)
	}
}

func TestImportMultipartWithoutNames(t *testing.T) {
	t.Parallel()
	f, got := importing(t, nil)
	response, answer := f.do(t, "POST", "/imports/kubernetes?org=acme", "operator",
		strings.NewReader("--x\r\n\r\nA\r\n--x\r\nContent-Type: application/yaml\r\n\r\nB\r\n--x--\r\n"), "Content-Type", "multipart/mixed; boundary=x")
	require.Equal(t, 200, response.StatusCode, answer)
	require.Equal(t, []string{"file-1=A", "file-2=B"}, got.files)
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	file := part{"file", "a", "A"}
	for name, test := range map[string]struct {
		path, token string
		parts       []part
		header      []string
		status      int
		code        string
	}{
		"no token":            {path: "?org=acme", status: 401, code: "TOKEN_MISSING"},
		"no scope":            {path: "?org=acme", token: "viewer", status: 403, code: "SCOPE_MISSING"},
		"a stranger":          {path: "?org=acme", token: "stranger", status: 404, code: "ORGANIZATION_NOT_FOUND"},
		"no organization":     {path: "", token: "operator", status: 400, code: "ORGANIZATION_MISSING"},
		"unknown parameter":   {path: "?org=acme&observed_at=x", token: "operator", status: 400, code: "PARAMETER_UNKNOWN"},
		"repeated parameter":  {path: "?org=acme&org=other", token: "operator", status: 400, code: "PARAMETER_REPEATED"},
		"no time":             {path: "?org=acme&observedAt=yesterday", token: "operator", status: 400, code: "PARAMETER_INVALID"},
		"no truth":            {path: "?org=acme&partial=maybe", token: "operator", status: 400, code: "PARAMETER_INVALID"},
		"a control character": {path: "?org=acme&source=a%00b", token: "operator", status: 400, code: "PARAMETER_INVALID"},
		"broken text":         {path: "?org=acme&source=a%ffb", token: "operator", status: 400, code: "PARAMETER_INVALID"},
		"bad escapes":         {path: "?org=%zz", token: "operator", status: 400, code: "PARAMETERS_MALFORMED"},
		"compressed":          {path: "?org=acme", token: "operator", header: []string{"Content-Encoding", "gzip"}, status: 400, code: "ENCODING_UNSUPPORTED"},
		"no boundary":         {path: "?org=acme", token: "operator", header: []string{"Content-Type", "multipart/form-data"}, status: 400, code: "MULTIPART_MALFORMED"},
		"multipart/related":   {path: "?org=acme", token: "operator", header: []string{"Content-Type", "multipart/related; boundary=x"}, status: 400, code: "MULTIPART_MALFORMED"},
		"not multipart":       {path: "?org=acme", token: "operator", header: []string{"Content-Type", "multipart/mixed; boundary=x"}, status: 400, code: "UPLOAD_CUT_OFF"},
		"unknown part":        {path: "?org=acme", token: "operator", parts: []part{{"files", "a", "A"}}, status: 400, code: "PART_UNKNOWN"},
		"policy twice":        {path: "?org=acme", token: "operator", parts: []part{{"policy", "a", ""}, {"policy", "b", ""}, file}, status: 400, code: "PART_REPEATED"},
		"policy late":         {path: "?org=acme", token: "operator", parts: []part{file, {"policy", "a", ""}}, status: 400, code: "PART_LATE"},
		"policy too large":    {path: "?org=acme", token: "operator", parts: []part{{"policy", "a", strings.Repeat("x", 2000)}, file}, status: 413, code: "PART_TOO_LARGE"},
		"too many files":      {path: "?org=acme", token: "operator", parts: []part{file, file, file, file}, status: 413, code: "FILES_TOO_MANY"},
		"too large":           {path: "?org=acme", token: "operator", parts: []part{{"file", "a", strings.Repeat("x", 200_000)}}, status: 413, code: "UPLOAD_TOO_LARGE"},
	} {
		f, got := importing(t, func(c *server.Config) {
			c.Limits = server.Limits{SideBytes: 1000, UploadFiles: 3, UploadBytes: 100_000}
		})
		body, header := io.Reader(strings.NewReader("kind: Pod")), test.header
		if test.parts != nil {
			var contentType string
			body, contentType = form(t, test.parts...)
			header = []string{"Content-Type", contentType}
		}
		response, answer := f.do(t, "POST", "/imports/kubernetes"+test.path, test.token, body, header...)
		t.Log(name)
		requireRefused(t, response, answer, test.status, test.code)
		_ = got
	}
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	for kind, status := range map[problem.Kind]int{
		problem.Invalid: 400, problem.NotFound: 404, problem.Denied: 403, problem.Conflict: 409, problem.Limit: 413, problem.Unavailable: 503,
	} {
		f, got := importing(t, nil)
		got.answer = problem.New(kind, "SOME_CODE", "some words").On("field").At("a.yaml", 7)
		response, body := f.do(t, "POST", "/imports/kubernetes?org=acme", "operator", strings.NewReader("x"))
		requireRefused(t, response, body, status, "SOME_CODE")
		require.Contains(t, body, `"field":"field","file":"a.yaml","line":7`)
	}
	f, got := importing(t, nil)
	got.answer = errors.New("relation \"secret\" does not exist")
	response, body := f.do(t, "POST", "/imports/kubernetes?org=acme", "operator", strings.NewReader("x"))
	requireRefused(t, response, body, 500, "INTERNAL")
	require.NotContains(t, body, "secret")
	require.Contains(t, f.log.String(), "relation")
}

// TestRefusalIsSeenDuringTheUpload sends more than any buffer holds to an
// import that is refused at once: the client must see why.
func TestRefusalIsSeenDuringTheUpload(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *server.Config) {
		c.Importer = importerFunc(func(_ context.Context, request importer.Request) (*authority.SyncReport, error) {
			for file := range request.Files {
				_, _ = io.CopyN(io.Discard, file.Content, 1<<20)
				break
			}
			return nil, problem.New(problem.Invalid, "SOME_CODE", "some words")
		})
	})
	for range 5 {
		response, body := f.do(t, "POST", "/imports/kubernetes?org=acme", "operator", io.LimitReader(zeros{}, 64<<20))
		requireRefused(t, response, body, 400, "SOME_CODE")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestRefusedBeforeTheUpload asks first, as the command line does: nothing of
// the body may be sent.
func TestRefusedBeforeTheUpload(t *testing.T) {
	t.Parallel()
	f, _ := importing(t, nil)
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /imports/kubernetes?org=acme HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 401, response.StatusCode)
}

// raw opens an upload by hand and gives the connection.
func raw(t *testing.T, f fixture, length int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /imports/kubernetes?org=acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator\r\nContent-Length: %d\r\n\r\n", length)
	require.NoError(t, err)
	return conn
}

func TestDrippingUploadIsCut(t *testing.T) {
	t.Parallel()
	f, _ := importing(t, func(c *server.Config) { c.Limits = server.Limits{UploadPace: 300 * time.Millisecond} })
	conn := raw(t, f, 1000)
	start := time.Now()
	go func() {
		for range 100 { // a byte now and then, for five seconds
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	requireRefused(t, response, string(body), http.StatusRequestTimeout, "UPLOAD_TOO_SLOW")
	require.Less(t, time.Since(start), 3*time.Second)
}

func TestLongUploadPasses(t *testing.T) {
	t.Parallel()
	f, got := importing(t, func(c *server.Config) {
		c.Limits = server.Limits{UploadPace: 300 * time.Millisecond, BodyTime: 100 * time.Millisecond}
	})
	const portion = 33 << 10
	conn := raw(t, f, 8*portion)
	go func() {
		for range 8 {
			time.Sleep(100 * time.Millisecond)
			_, _ = conn.Write(bytes.Repeat([]byte("x"), portion))
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 200, response.StatusCode)
	require.Len(t, got.files[0], len("body=")+8*portion)
}

// TestWorkAfterTheBodyHasNoDeadline holds that the time of a body ends with it.
func TestWorkAfterTheBodyHasNoDeadline(t *testing.T) {
	t.Parallel()
	work := func(ctx context.Context) error {
		select {
		case <-time.After(500 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f := setup(t, func(c *server.Config) {
		c.Limits = server.Limits{UploadPace: 100 * time.Millisecond, BodyTime: 100 * time.Millisecond}
		c.Importer = importerFunc(func(ctx context.Context, request importer.Request) (*authority.SyncReport, error) {
			for file := range request.Files {
				_, _ = io.Copy(io.Discard, file.Content)
			}
			return &authority.SyncReport{}, work(ctx)
		})
		c.GraphQL = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if work(r.Context()) == nil {
				_, _ = io.WriteString(w, "{}")
			}
		})
	})
	body, contentType := form(t, part{"file", "a", "A"})
	response, answer := f.do(t, "POST", "/imports/kubernetes?org=acme", "operator", body, "Content-Type", contentType)
	require.Equal(t, 200, response.StatusCode, answer)
	response, answer = f.do(t, "POST", "/graphql", "", strings.NewReader(query), "Content-Type", "application/json")
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "{}", answer)
}

func TestSlowBodyElsewhereIsCut(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *server.Config) { c.Limits = server.Limits{BodyTime: 200 * time.Millisecond} })
	// The last two are refused without reading, and the server itself reads on.
	for _, path := range []string{"/graphql", "/nowhere", "/healthz"} {
		conn, err := net.Dial("tcp", f.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", path)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err, "the server closes the connection")
		_ = conn.Close()
	}
}

func TestImportsTakeTurns(t *testing.T) {
	t.Parallel()
	running, release := make(chan struct{}), make(chan struct{})
	f := setup(t, func(c *server.Config) {
		c.Limits = server.Limits{Imports: 1, ImportWait: 50 * time.Millisecond}
		c.Importer = importerFunc(func(context.Context, importer.Request) (*authority.SyncReport, error) {
			close(running)
			<-release
			return &authority.SyncReport{}, nil
		})
	})
	first := make(chan int, 1)
	go func() {
		request, _ := http.NewRequest("POST", f.URL+"/imports/kubernetes?org=acme", strings.NewReader("x"))
		request.Header.Set("Authorization", "Bearer operator")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			first <- 0
			return
		}
		_ = response.Body.Close()
		first <- response.StatusCode
	}()
	<-running
	response, body := f.do(t, "POST", "/imports/kubernetes?org=acme", "operator", strings.NewReader("x"))
	requireRefused(t, response, body, 503, "IMPORTS_BUSY")
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	close(release)
	require.Equal(t, 200, <-first)
}

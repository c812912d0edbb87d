package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

type importerFunc func(context.Context, importer.Request) (*authority.SyncReport, error)

func (f importerFunc) Run(ctx context.Context, request importer.Request) (*authority.SyncReport, error) {
	return f(ctx, request)
}

// tokens knows actors by their token.
type tokens map[string]access.Actor

func (known tokens) Verify(_ context.Context, token string) (access.Actor, error) {
	if actor, ok := known[token]; ok {
		return actor, nil
	}
	if token == "down" {
		return access.Actor{}, problem.New(problem.Unavailable, "DATABASE_UNREACHABLE", "the database does not answer").Because(errors.New("secret host"))
	}
	return access.Actor{}, problem.New(problem.Unauthentic, "TOKEN_EXPIRED", "the access token expired")
}

var people = tokens{
	"operator": {Subject: "ada", Role: access.Client, Scopes: []access.Scope{access.View, access.Operate}, Organizations: []string{"acme"}},
	"viewer":   {Subject: "bob", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: []string{"acme"}},
	"stranger": {Subject: "eve", Role: access.Client, Scopes: access.Scopes, Organizations: []string{"other"}},
	"admin":    {Subject: "root", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true},
}

// logBuffer is read while requests still write to it.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type fixture struct {
	*httptest.Server

	log *logBuffer
}

func setup(t *testing.T, change func(*server.Config)) fixture {
	t.Helper()
	log := &logBuffer{}
	config := server.Config{
		GraphQL: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			actor, _ := access.From(r.Context())
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"data":{"viewer":"`+actor.Subject+`"}}`)
		}),
		GraphiQL: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) }),
		Importer: importerFunc(func(context.Context, importer.Request) (*authority.SyncReport, error) {
			t.Error("the import was run")
			return nil, errors.New("unexpected")
		}),
		Verifier: people,
		Logger:   slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:      time.Now,
	}
	if change != nil {
		change(&config)
	}
	f := fixture{httptest.NewServer(server.New(config)), log}
	t.Cleanup(f.Close)
	return f
}

func (f fixture) do(t *testing.T, method, path, token string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, body)
	require.NoError(t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(answer)
}

// requireRefused wants an error in JSON.
func requireRefused(t *testing.T, response *http.Response, body string, status int, code string) {
	t.Helper()
	require.Equal(t, status, response.StatusCode, body)
	require.Equal(t, "application/json", response.Header.Get("Content-Type"), body)
	var answer struct {
		Error struct{ Kind, Code, Message, RequestID string }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	require.Equal(t, code, answer.Error.Code, body)
	require.NotEmpty(t, answer.Error.Kind)
	require.NotEmpty(t, answer.Error.Message)
	require.Equal(t, response.Header.Get("X-Request-Id"), answer.Error.RequestID)
}

const query = `{"query":"{viewer}"}`

func TestRoutes(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)

	response, body := f.do(t, "POST", "/graphql", "operator", strings.NewReader(query), "Content-Type", "application/json")
	require.Equal(t, 200, response.StatusCode)
	require.JSONEq(t, `{"data":{"viewer":"ada"}}`, body)
	_, body = f.do(t, "POST", "/graphql", "", strings.NewReader(query), "Content-Type", "application/json")
	require.JSONEq(t, `{"data":{"viewer":""}}`, body, "without a token there is no actor, and the services decide")
	response, _ = f.do(t, "POST", "/graphql", "operator", strings.NewReader(query), "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, response.StatusCode, "the guard stands before GraphQL")

	for _, path := range []string{"/graphiql", "/graphiql/", "/graphiql/assets/x.js"} {
		response, body = f.do(t, "GET", path, "", nil)
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, "page "+path, body)
	}
	response, _ = f.do(t, "GET", "/", "", nil)
	require.Equal(t, http.StatusFound, response.StatusCode)
	require.Equal(t, "/graphiql", response.Header.Get("Location"))
	response, body = f.do(t, "GET", "/healthz", "", nil)
	require.Equal(t, 200, response.StatusCode)
	require.JSONEq(t, `{"status":"ok"}`, body)

	for _, path := range []string{"/metricsx", "/files/", "/files/a/b", "/imports", "/imports/", "/imports/kubernetes/x", "/graphqlx", "/.env"} {
		response, body = f.do(t, "GET", path, "", nil)
		requireRefused(t, response, body, http.StatusNotFound, "PATH_UNKNOWN")
	}
	for path, method := range map[string]string{"/imports/kubernetes": "GET", "/files": "GET", "/files/x": "POST", "/healthz": "POST", "/metrics": "POST", "/readyz": "DELETE", "/": "PUT"} {
		response, body = f.do(t, method, path, "", nil)
		requireRefused(t, response, body, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
		require.NotEmpty(t, response.Header.Get("Allow"))
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for _, path := range []string{"/graphql", "/imports/kubernetes?org=acme"} {
		for name, test := range map[string]struct {
			header []string
			status int
			code   string
		}{
			"a bad token":      {[]string{"Authorization", "Bearer nonsense"}, 401, "TOKEN_EXPIRED"},
			"an empty token":   {[]string{"Authorization", "Bearer "}, 401, "TOKEN_EXPIRED"},
			"another scheme":   {[]string{"Authorization", "Basic YTpi"}, 401, "TOKEN_MALFORMED"},
			"two tokens":       {[]string{"Authorization", "Bearer operator", "Authorization", "Bearer admin"}, 401, "TOKEN_MALFORMED"},
			"keys unavailable": {[]string{"Authorization", "Bearer down"}, 503, "DATABASE_UNREACHABLE"},
		} {
			response, body := f.do(t, "POST", path, "", strings.NewReader(query), append(test.header, "Content-Type", "application/json")...)
			requireRefused(t, response, body, test.status, test.code)
			require.NotContains(t, body, "secret host", name)
			if test.status == 401 {
				require.Equal(t, "Bearer", response.Header.Get("WWW-Authenticate"), name)
			}
		}
	}
	_, body := f.do(t, "POST", "/graphql", "", strings.NewReader(query), "Content-Type", "application/json", "Authorization", "bearer  operator ")
	require.JSONEq(t, `{"data":{"viewer":"ada"}}`, body, "the scheme has no case")
}

func TestRequestIDAndLog(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	response, _ := f.do(t, "GET", "/healthz?token=hush", "", nil, "X-Request-Id", "proxy-7")
	require.Equal(t, "proxy-7", response.Header.Get("X-Request-Id"))
	for _, strange := range []string{"", "a b", strings.Repeat("a", 65), "<script>", "-x"} {
		response, _ = f.do(t, "GET", "/healthz", "", nil, "X-Request-Id", strange)
		require.Regexp(t, `^[0-9a-f-]{36}$`, response.Header.Get("X-Request-Id"), "%q is not taken over", strange)
	}
	f.do(t, "POST", "/graphql", "operator", strings.NewReader(query), "Content-Type", "application/json")
	f.do(t, "POST", "/graphql", "nonsense", strings.NewReader(query), "Content-Type", "application/json")

	require.Eventually(t, func() bool { return strings.Count(f.log.String(), "msg=request") == 8 }, 5*time.Second, 5*time.Millisecond)
	log := f.log.String()
	require.Contains(t, log, "method=GET path=/healthz status=200 duration=")
	require.Contains(t, log, "request_id=proxy-7")
	require.Contains(t, log, "subject=ada")
	require.Contains(t, log, "status=401")
	for _, secret := range []string{"hush", "operator", "nonsense"} {
		require.NotContains(t, log, secret)
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *server.Config) {
		c.GraphQL = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Late") != "" {
				_, _ = io.WriteString(w, `{"data":`)
				_ = http.NewResponseController(w).Flush()
			}
			panic("the database password is tulip")
		})
	})
	response, body := f.do(t, "POST", "/graphql", "", strings.NewReader(query), "Content-Type", "application/json")
	requireRefused(t, response, body, 500, "INTERNAL")
	require.NotContains(t, body, "tulip")
	require.Contains(t, f.log.String(), "tulip")
	require.Contains(t, f.log.String(), response.Header.Get("X-Request-Id"))

	request, err := http.NewRequestWithContext(t.Context(), "POST", f.URL+"/graphql", strings.NewReader(query))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Late", "1")
	late, err := http.DefaultClient.Do(request)
	if err == nil {
		_, err = io.ReadAll(late.Body)
		_ = late.Body.Close()
	}
	require.Error(t, err, "half an answer is cut off")
}

func TestReadyz(t *testing.T) {
	t.Parallel()
	var failure error
	f := setup(t, func(c *server.Config) {
		c.Checks = []server.Check{
			{Name: "database", Run: func(context.Context) error { return failure }},
			{Name: "schema", Run: func(context.Context) error { return nil }},
		}
	})
	response, body := f.do(t, "GET", "/readyz", "", nil)
	require.Equal(t, 200, response.StatusCode)
	require.JSONEq(t, `{"ready":true,"checks":{"database":{"ok":true},"schema":{"ok":true}}}`, body)

	failure = errors.New("dial tcp 10.0.0.7: refused")
	response, body = f.do(t, "GET", "/readyz", "", nil)
	require.Equal(t, 503, response.StatusCode)
	require.NotContains(t, body, "10.0.0.7")
	failure = problem.New(problem.Unavailable, "DATABASE_UNREACHABLE", "the database does not answer")
	_, body = f.do(t, "GET", "/readyz", "", nil)
	require.JSONEq(t, `{"ready":false,"checks":{"database":{"ok":false,"code":"DATABASE_UNREACHABLE","message":"the database does not answer"},"schema":{"ok":true}}}`, body)
}

func TestServeStops(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	s := server.New(server.Config{
		GraphQL: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(began)
			select {
			case <-release:
				_, _ = io.WriteString(w, `{}`)
			case <-r.Context().Done():
			}
		}),
		GraphiQL: http.NotFoundHandler(), Verifier: people, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Limits: server.Limits{Grace: 300 * time.Millisecond},
	})
	for _, finishes := range []bool{true, false} {
		began, release = make(chan struct{}), make(chan struct{})
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended, answered := make(chan error, 1), make(chan error, 1)
		go func() { ended <- s.Serve(ctx, listener) }()
		go func() {
			response, err := http.Post("http://"+listener.Addr().String()+"/graphql", "application/json", strings.NewReader(query))
			if err == nil {
				_ = response.Body.Close()
			}
			answered <- err
		}()
		<-began
		stop()
		if finishes {
			time.Sleep(20 * time.Millisecond)
			close(release)
			require.NoError(t, <-answered, "a running request ends in its time")
		} else {
			require.Error(t, <-answered, "one that does not is cut off")
		}
		require.NoError(t, <-ended)
	}
}

func TestClientThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	f := setup(t, func(c *server.Config) {
		c.Limits = server.Limits{AnswerTime: 200 * time.Millisecond}
		c.GraphiQL = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for err == nil {
				_, err = w.Write(make([]byte, 1<<20))
			}
			ended <- err
		})
	})
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /graphiql HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(10 * time.Second):
		t.Fatal("the server still waits for the client")
	}
}

// TestStreamOutlivesTheDeadlines holds that time between parts does not count.
func TestStreamOutlivesTheDeadlines(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *server.Config) {
		c.Limits = server.Limits{AnswerTime: 100 * time.Millisecond, BodyTime: 100 * time.Millisecond}
		c.GraphQL = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 3 {
				_, _ = io.WriteString(w, "event\n")
				w.(http.Flusher).Flush()
				select {
				case <-time.After(200 * time.Millisecond):
				case <-r.Context().Done():
					return
				}
			}
		})
	})
	_, body := f.do(t, "POST", "/graphql", "", strings.NewReader(query), "Content-Type", "application/json")
	require.Equal(t, strings.Repeat("event\n", 3), body)
}

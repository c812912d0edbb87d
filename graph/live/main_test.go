package live_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var schema = gqlparser.MustLoadSchema(&ast.Source{Input: `
	type Query { name: String! }
	type Subscription {
		ticks(count: Int!): Int!  # this many, at once
		burst(count: Int!): Int!  # this many at once, which say so, and then nothing
		promise: Int!             # a tick that says that another follows, which does not
		torrent: Int!             # each says that another follows, for ever
		beat: Int!                # one after the other, for ever
		never: Int!               # nothing, for ever
		flood: String!            # for ever, and as fast as it is taken
		refused: Int!             # an error in place of a stream
		late: Int!                # a tick, and then an error
		fault: Int!               # a tick with an error of its own, and another tick
		panics: Int!
		wades: Int!               # nothing, and begins once the test lets it
		falls: Int!               # panics before it has begun
	}`})

const protocol = "graphql-transport-ws"

// host is a server with streams over a schema of these tests.
type host struct {
	*httptest.Server
	streams *live.Streams
	writes  atomic.Int64 // to connections
	started atomic.Int64 // subscriptions
	running atomic.Int64
	wading  atomic.Int64
	shore   chan struct{} // each takes one to begin

	mu     sync.Mutex
	tokens map[string]verdict
}

type verdict struct {
	actor access.Actor
	err   error
}

func (h *host) verify(_ context.Context, token string) (access.Actor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.tokens[token]
	if !ok {
		return access.Actor{}, problem.New(problem.Unauthentic, "TOKEN_SIGNATURE", "unknown")
	}
	return found.actor, found.err
}

// holds is by the id of the token, which is a name beside those of tokens.
func (h *host) holds(_ context.Context, actor access.Actor) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tokens[actor.TokenID].err
}

func (h *host) say(token string, v verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens[token] = v
}

func setup(t *testing.T, limits live.Limits) *host {
	t.Helper()
	h := &host{shore: make(chan struct{}), tokens: map[string]verdict{"ann": {actor: access.Actor{Subject: "ann"}}, "bob": {actor: access.Actor{Subject: "bob"}}}}
	h.streams = live.New(live.Config{Verify: h.verify, Holds: h.holds, Now: time.Now, Limits: limits, Check: func(message []byte) error {
		if bytes.Contains(message, []byte(`\u0000`)) {
			return errors.New("unfit")
		}
		return nil
	}})
	server := handler.New(&graphql.ExecutableSchemaMock{
		SchemaFunc: func() *ast.Schema { return schema },
		ExecFunc:   h.exec,
		ComplexityFunc: func(context.Context, string, string, int, map[string]any) (int, bool) {
			return 0, false
		},
	})
	for _, transport := range h.streams.Transports() {
		server.AddTransport(transport)
	}
	server.SetErrorPresenter(func(_ context.Context, err error) *gqlerror.Error {
		var typed *problem.Error
		if errors.As(err, &typed) {
			return &gqlerror.Error{Message: typed.Message, Extensions: map[string]any{"code": typed.Code}}
		}
		var parsed *gqlerror.Error
		if errors.As(err, &parsed) && parsed.Err == nil {
			return &gqlerror.Error{Message: parsed.Message, Extensions: map[string]any{"code": "DOCUMENT"}}
		}
		return &gqlerror.Error{Message: "internal error", Extensions: map[string]any{"code": "INTERNAL"}}
	})
	server.SetRecoverFunc(func(_ context.Context, fault any) error { return fmt.Errorf("panic: %v", fault) })
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, token, ok := strings.Cut(r.Header.Get("Authorization"), "Bearer "); ok {
			actor, err := h.verify(r.Context(), token)
			if err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			r = r.WithContext(access.With(r.Context(), actor))
		}
		server.ServeHTTP(w, r)
	}))
	h.Listener = &counted{h.Listener, &h.writes}
	h.Start()
	t.Cleanup(h.Close)
	return h
}

// counted counts what is written to the connections of a listener.
type counted struct {
	net.Listener
	writes *atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &countedConn{conn, l.writes}, err
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// exec runs the operations of the schema.
func (h *host) exec(ctx context.Context) graphql.ResponseHandler {
	operation := graphql.GetOperationContext(ctx)
	if operation.Operation.Operation == ast.Query {
		return graphql.OneShot(&graphql.Response{Data: []byte(`{"name":"healthy"}`)})
	}
	field := operation.Operation.SelectionSet[0].(*ast.Field)
	if field.Name == "refused" {
		graphql.AddError(ctx, problem.New(problem.Invalid, "CURSOR_INVALID", "no cursor"))
		return func(context.Context) *graphql.Response { return nil }
	}
	switch field.Name {
	case "wades":
		h.wading.Add(1)
		select {
		case <-h.shore:
		case <-ctx.Done():
		}
		h.wading.Add(-1)
	case "falls":
		panic("of what begins")
	}
	h.started.Add(1)
	h.running.Add(1)
	context.AfterFunc(ctx, func() { h.running.Add(-1) })
	sent := 0
	tick := func() *graphql.Response {
		sent++
		return &graphql.Response{Data: fmt.Appendf(nil, `{"%s":%d}`, field.Alias, sent)}
	}
	return func(ctx context.Context) *graphql.Response {
		switch {
		case ctx.Err() != nil:
			return nil
		case field.Name == "ticks":
			if count, _ := field.ArgumentMap(operation.Variables)["count"].(int64); int64(sent) < count {
				return tick()
			}
			return nil
		case field.Name == "burst":
			if count, _ := field.ArgumentMap(operation.Variables)["count"].(int64); int64(sent) < count {
				live.More(ctx, int64(sent) < count-1)
				return tick()
			}
		case field.Name == "promise":
			if sent > 0 {
				return nil
			}
			live.More(ctx, true)
			return tick()
		case field.Name == "torrent":
			live.More(ctx, true)
			return tick()
		case field.Name == "beat":
			time.Sleep(5 * time.Millisecond)
			return tick()
		case field.Name == "flood":
			return &graphql.Response{Data: []byte(`{"flood":"` + strings.Repeat("x", 64<<10) + `"}`)}
		case field.Name == "late" && sent == 0, field.Name == "fault" && sent == 1:
			return tick()
		case field.Name == "late":
			live.Fail(ctx, problem.New(problem.Unavailable, "DATABASE_UNAVAILABLE", "down"))
			return nil
		case field.Name == "fault" && sent == 0:
			sent++
			return &graphql.Response{Data: []byte("null"), Errors: gqlerror.List{{Message: "of this tick"}}}
		case field.Name == "panics":
			panic("of a resolver")
		case field.Name == "fault":
			return nil
		}
		<-ctx.Done()
		return nil
	}
}

// socket is a client of a WebSocket.
type socket struct {
	*websocket.Conn
	t *testing.T
}

func (h *host) dial(t *testing.T, options *websocket.DialOptions) *socket {
	t.Helper()
	ws, response, err := websocket.Dial(t.Context(), h.URL, options)
	require.NoError(t, err)
	if response.Body != nil {
		_ = response.Body.Close()
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &socket{ws, t}
}

func (h *host) open(t *testing.T, token string) *socket {
	t.Helper()
	s := h.dial(t, spoken())
	s.say(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + token + `"}}`)
	require.JSONEq(t, `{"type":"connection_ack"}`, s.hear())
	return s
}

func spoken() *websocket.DialOptions {
	return &websocket.DialOptions{Subprotocols: []string{protocol}}
}

func (s *socket) say(text string) {
	s.t.Helper()
	require.NoError(s.t, s.Write(s.t.Context(), websocket.MessageText, []byte(text)))
}

func (s *socket) subscribe(id, query string) {
	s.t.Helper()
	s.say(fmt.Sprintf(`{"type":"subscribe","id":%q,"payload":{"query":%q}}`, id, query))
}

// hear is the next message that is no ping.
func (s *socket) hear() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, text, err := s.Read(ctx)
		require.NoError(s.t, err)
		if string(text) != `{"type":"ping"}` {
			return string(text)
		}
	}
}

// farewell is the code and the reason with which the server closes; -1 without.
func (s *socket) farewell() (websocket.StatusCode, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for {
		if _, _, err := s.Read(ctx); err != nil {
			require.NoError(s.t, ctx.Err(), "the connection stays open")
			var closed websocket.CloseError
			if errors.As(err, &closed) {
				return closed.Code, closed.Reason
			}
			return -1, ""
		}
	}
}

func (h *host) post(t *testing.T, token, accept, query string) *http.Response {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", accept)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := h.Client().Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (h *host) events(t *testing.T, token, query string) *bufio.Reader {
	t.Helper()
	response := h.post(t, token, "text/event-stream", query)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	return bufio.NewReader(response.Body)
}

// healthy asks what everybody may ask at any time.
func (h *host) healthy(t *testing.T) {
	t.Helper()
	response := h.post(t, "bob", "application/json", "{ name }")
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.JSONEq(t, `{"data":{"name":"healthy"}}`, string(body))
}

// quiet waits until nothing runs for a client any more.
func (h *host) quiet(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return h.streams.Stats().Open == 0 && h.running.Load() == 0 }, 20*time.Second, 5*time.Millisecond,
		"streams: %+v, subscriptions: %d", h.streams.Stats(), h.running.Load())
}

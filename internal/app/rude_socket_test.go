package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
)

// bystander asks a small query again and again, and wants the same answer each time.
type bystander struct {
	app   *app.App
	token string
	want  string

	mu      sync.Mutex
	took    []time.Duration
	strange []string
}

const modestQuestion = `{ organization(slug: "acme") { authorityPaths(first: 1) { totalCount nodes { workload { sourceId } destination { name } } } } }`

// ask gives the whole answer, whatever it is.
func (b *bystander) ask(ctx context.Context) string {
	body := `{"query":` + quoted(modestQuestion) + `}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.app.URL()+"/graphql", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+b.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	var answer struct {
		Data   json.RawMessage
		Errors json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return response.Status + ": " + err.Error()
	}
	return response.Status + " " + string(answer.Data) + string(answer.Errors)
}

func quoted(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // text always marshals
	}
	return string(raw)
}

// run asks until the context ends.
func (b *bystander) run(ctx context.Context) {
	for ctx.Err() == nil {
		begun := time.Now()
		answer := b.ask(ctx)
		took := time.Since(begun)
		if ctx.Err() != nil {
			return
		}
		b.mu.Lock()
		b.took = append(b.took, took)
		if answer != b.want {
			b.strange = append(b.strange, answer)
		}
		b.mu.Unlock()
	}
}

// answered is how often there was an answer so far.
func (b *bystander) answered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.took)
}

// requireServed holds that every answer since was the right one, and logs how long they
// took.
func (b *bystander) requireServed(t *testing.T, what string, since int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.strange, what)
	took := slices.Sorted(slices.Values(b.took[since:]))
	t.Logf("%-45s %4d answers, p50 %s, p99 %s", what, len(took), took[len(took)/2].Round(10*time.Microsecond), took[len(took)*99/100].Round(10*time.Microsecond))
}

// rude is a client that does not keep to the protocol.
type rude struct {
	t     *testing.T
	app   *app.App
	token string

	fleeting func() string // makes a token that is soon over
}

// dial opens a WebSocket, which is the subprotocol's unless there is another.
func (r rude) dial(subprotocol string, header http.Header) (*websocket.Conn, *http.Response, error) {
	options := &websocket.DialOptions{HTTPHeader: header}
	if subprotocol != "" {
		options.Subprotocols = []string{subprotocol}
	}
	ws, response, err := websocket.Dial(r.t.Context(), r.app.URL()+"/graphql", options)
	if err == nil {
		r.t.Cleanup(func() { _ = ws.CloseNow() })
	}
	return ws, response, err
}

// init is the message by which a client says who it is.
func (r rude) init() string {
	return `{"type":"connection_init","payload":{"Authorization":` + quoted("Bearer "+r.token) + `}}`
}

// subscription is a message that follows the feed of acme.
func subscription(id, after string) string {
	return `{"type":"subscribe","id":` + quoted(id) + `,"payload":{"query":` + quoted(framesOf) + `,"variables":{"after":` + after + `}}}`
}

// requireClosed says all of it, and wants the server to close with the code.
func (r rude) requireClosed(code websocket.StatusCode, subprotocol string, say ...string) {
	r.t.Helper()
	ws, _, err := r.dial(subprotocol, nil)
	require.NoError(r.t, err)
	require.Equal(r.t, code, r.farewell(ws, say...))
}

// farewell says all of it, and gives the code with which the server closes; -1 without.
func (r rude) farewell(ws *websocket.Conn, say ...string) websocket.StatusCode {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	var saying sync.WaitGroup
	defer saying.Wait()
	saying.Go(func() { // while it reads: a server that cannot send cannot say why it closes
		for _, message := range say {
			if ws.Write(ctx, websocket.MessageText, []byte(message)) != nil {
				return // the server has closed already
			}
		}
	})
	for {
		if _, _, err := ws.Read(ctx); err != nil {
			require.NoError(r.t, ctx.Err(), "the connection stays open")
			return websocket.CloseStatus(err)
		}
	}
}

const feedProtocol = "graphql-transport-ws"

// rudenesses are what clients of a WebSocket do to others, or try to, and what becomes
// of them.
var rudenesses = []struct {
	name string
	do   func(r rude)
}{
	{"subscribes before it says who it is", func(r rude) { r.requireClosed(4401, feedProtocol, subscription("1", "null")) }},
	{"says twice who it is", func(r rude) { r.requireClosed(4429, feedProtocol, r.init(), r.init()) }},
	{"sends no JSON", func(r rude) { r.requireClosed(4400, feedProtocol, r.init(), `{"type":`) }},
	{"sends a type that there is not", func(r rude) { r.requireClosed(4400, feedProtocol, r.init(), `{"type":"start","id":"1"}`) }},
	{"never says who it is", func(r rude) { r.requireClosed(4408, feedProtocol) }},
	{"has two streams under one id", func(r rude) {
		r.requireClosed(4409, feedProtocol, r.init(), subscription("1", "null"), subscription("1", "null"))
	}},
	{"goes on after an error", func(r rude) {
		ws, _, err := r.dial(feedProtocol, nil)
		require.NoError(r.t, err)
		f := &follower{r.t, ws}
		f.say(json.RawMessage(r.init()))
		f.say(json.RawMessage(subscription("1", `"nonsense"`)))
		f.say(json.RawMessage(`{"type":"ping"}`))
		var heard []string
		for len(heard) == 0 || heard[len(heard)-1] != "pong" {
			m, err := f.hear()
			require.NoError(r.t, err)
			heard = append(heard, m.Type)
		}
		if slices.Index(heard, "error") < 0 { // the pong may come before it
			m, err := f.hear()
			require.NoError(r.t, err)
			heard = append(heard, m.Type)
		}
		f.say(json.RawMessage(`{"type":"ping"}`))
		m, err := f.hear()
		require.NoError(r.t, err)
		heard = append(heard, m.Type)
		require.ElementsMatch(r.t, []string{"connection_ack", "error", "pong", "pong"}, heard, "an error ends the operation, and nothing follows it")
		require.NoError(r.t, ws.CloseNow())
	}},
	{"speaks no protocol", func(r rude) { r.requireClosed(4406, "") }},
	{"speaks the protocol of old", func(r rude) { r.requireClosed(4406, "graphql-ws", r.init()) }},
	{"has no token", func(r rude) { r.requireClosed(4403, feedProtocol, `{"type":"connection_init"}`) }},
	{"has a token that is none", func(r rude) { r.token = "nonsense"; r.requireClosed(4403, feedProtocol, r.init()) }},
	{"stays when its token is over", func(r rude) {
		r.token = r.fleeting()
		r.requireClosed(4403, feedProtocol, r.init(), subscription("1", "null"))
	}},
	{"comes from a page of somebody else", func(r rude) {
		_, response, err := r.dial(feedProtocol, http.Header{"Origin": {"https://evil.example"}})
		require.Error(r.t, err)
		require.Equal(r.t, http.StatusForbidden, response.StatusCode)
	}},
	{"sends more than anybody reads", func(r rude) {
		r.requireClosed(websocket.StatusMessageTooBig, feedProtocol, r.init(), strings.Repeat(" ", 1<<20)+`{"type":"ping"}`)
	}},
	{"has 300 streams on one connection", func(r rude) {
		say := []string{r.init()}
		for i := range 300 {
			say = append(say, subscription(string(rune('A'+i)), "null"))
		}
		r.requireClosed(4429, feedProtocol, say...)
	}},
	{"sends messages without end", func(r rude) {
		r.requireClosed(4429, feedProtocol, append([]string{r.init()}, slices.Repeat([]string{`{"type":"ping"}`}, 300)...)...)
	}},
	{"goes away without a word", func(r rude) {
		for range 20 {
			ws, _, err := r.dial(feedProtocol, nil)
			require.NoError(r.t, err)
			f := &follower{r.t, ws}
			f.say(json.RawMessage(r.init()))
			f.say(json.RawMessage(subscription("1", "null")))
			_, err = f.hear()
			require.NoError(r.t, err)
			require.NoError(r.t, ws.CloseNow())
		}
	}},
}

// TestRudeSockets: whatever a client does to its WebSocket, it is turned away as the
// protocol has it, and everybody else is answered all the while, each time and rightly.
func TestRudeSockets(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	admin := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	deliver(t, a, admin, time.Now().Add(-time.Hour), "first", "second")
	published(t, a, admin)
	token := func(subject string) string {
		return tokenFor(t, database, access.Actor{Subject: subject, Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View}})
	}
	key, err := access.EnsureKey(t.Context(), database.OwnerURL, time.Now())
	require.NoError(t, err)
	fleeting := func() string {
		text, err := access.Issue(key, access.Actor{Subject: "mayfly", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View}}, 2*time.Second, time.Now())
		require.NoError(t, err)
		return text
	}
	b := &bystander{app: a, token: token("bystander")}
	b.want = b.ask(t.Context())
	require.Contains(t, b.want, `200 OK {"organization":{"authorityPaths":{"totalCount":2,`)

	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() { b.run(ctx) })
	defer asking.Wait()
	defer stop()
	beside := func(t *testing.T, what string, do func()) {
		t.Helper()
		since := b.answered()
		for first := true; first || b.answered() < since+20; first = false {
			do()
		}
		b.requireServed(t, what, since)
	}
	beside(t, "nobody", func() { time.Sleep(10 * time.Millisecond) })

	// One that does not read is there from the beginning to the end, when it is cut.
	mute := rude{t: t, app: a, token: token("deaf")}
	deaf, _, err := mute.dial(feedProtocol, nil)
	require.NoError(t, err)
	for _, message := range []string{mute.init(), subscription("1", "null")} {
		require.NoError(t, deaf.Write(t.Context(), websocket.MessageText, []byte(message)))
	}
	for _, row := range rudenesses {
		t.Run(row.name, func(t *testing.T) {
			r := rude{t: t, app: a, token: token("rude"), fleeting: fleeting}
			beside(t, row.name, func() { row.do(r) })
		})
	}
	t.Run("does not read", func(t *testing.T) {
		beside(t, "does not read", func() {
			require.Eventually(t, func() bool { return metric(t, a, "subscriptions_cut_total") >= 1 && metric(t, a, "subscribers") == 0 },
				time.Minute, 100*time.Millisecond, "who does not read is cut, and nothing of the others is left")
		})
	})
	_, _, err = deaf.Read(t.Context())
	for err == nil { // what was sent before
		_, _, err = deaf.Read(t.Context())
	}
}

// metric is a number of /metrics.
func metric(t *testing.T, a *app.App, name string) (value int) {
	t.Helper()
	status, body := plain(t, a, "", "/metrics")
	require.Equal(t, http.StatusOK, status)
	for line := range strings.Lines(string(body)) {
		if text, found := strings.CutPrefix(line, "exposuregraph_"+name+" "); found {
			value, err := strconv.Atoi(strings.TrimSpace(text))
			require.NoError(t, err, line)
			return value
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

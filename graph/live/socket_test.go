package live_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph/live"
)

const (
	initAnn = `{"type":"connection_init","payload":{"Authorization":"Bearer ann"}}`
	ack     = `{"type":"connection_ack"}`
)

func subscribe(id, query string) string {
	return `{"type":"subscribe","id":"` + id + `","payload":{"query":"` + query + `"}}`
}

// What a client says and the server answers, in order, and how the server closes.
func TestWebSocketProtocol(t *testing.T) {
	t.Parallel()
	type step struct {
		say  string
		hear []string
	}
	anonymous, header := http.Header{}, http.Header{"Authorization": {"Bearer ann"}}
	const bad = "Invalid message received"
	for _, row := range []struct {
		name   string
		header http.Header
		steps  []step
		code   websocket.StatusCode // 0: stays open
		reason string
	}{
		{"token in the message", anonymous, []step{{initAnn, []string{ack}}}, 0, ""},
		{"token in the message, in small letters", anonymous, []step{{`{"type":"connection_init","payload":{"authorization":"bearer ann"}}`, []string{ack}}}, 0, ""},
		{"token in the header", header, []step{{`{"type":"connection_init"}`, []string{ack}}}, 0, ""},
		{"the header wins", header, []step{{`{"type":"connection_init","payload":{"Authorization":"Bearer nobody"}}`, []string{ack}}}, 0, ""},
		{"no token", anonymous, []step{{`{"type":"connection_init"}`, nil}}, 4403, "Forbidden: TOKEN_MISSING"},
		{"a token that nobody signed", anonymous, []step{{`{"type":"connection_init","payload":{"Authorization":"Bearer nobody"}}`, nil}}, 4403, "Forbidden: TOKEN_SIGNATURE"},
		{"another scheme", anonymous, []step{{`{"type":"connection_init","payload":{"Authorization":"Basic ann"}}`, nil}}, 4403, "Forbidden: TOKEN_MISSING"},
		{"a cookie alone", http.Header{"Cookie": {"token=ann"}}, []step{{`{"type":"connection_init"}`, nil}}, 4403, "Forbidden: TOKEN_MISSING"},
		{"a payload that is no object", anonymous, []step{{`{"type":"connection_init","payload":[]}`, nil}}, 4400, bad},
		{"subscribe before init", anonymous, []step{{subscribe("1", "subscription{never}"), nil}}, 4401, "Unauthorized"},
		{"subscribe before init, with a token in the header", header, []step{{subscribe("1", "subscription{never}"), nil}}, 4401, "Unauthorized"},
		{"init twice", anonymous, []step{{initAnn, []string{ack}}, {initAnn, nil}}, 4429, "Too many initialisation requests"},
		{"no init", anonymous, nil, 4408, "Connection initialisation timeout"},
		{"ping before init", anonymous, []step{{`{"type":"ping"}`, []string{`{"type":"pong"}`}}, {initAnn, []string{ack}}}, 0, ""},
		{"ping with a payload", anonymous, []step{{`{"type":"ping","payload":{"a":1}}`, []string{`{"type":"pong","payload":{"a":1}}`}}, {initAnn, []string{ack}}}, 0, ""},
		{"no JSON", anonymous, []step{{`{"type":`, nil}}, 4400, bad},
		{"no object", anonymous, []step{{`[]`, nil}}, 4400, bad},
		{"unfit text", anonymous, []step{{`{"type":"ping","payload":{"a":"\u0000"}}`, nil}}, 4400, bad},
		{"no type", anonymous, []step{{`{}`, nil}}, 4400, bad},
		{"an unknown type", anonymous, []step{{initAnn, []string{ack}}, {`{"type":"start","id":"1"}`, nil}}, 4400, bad},
		{"a type of the server", anonymous, []step{{initAnn, []string{ack}}, {`{"type":"next","id":"1","payload":{}}`, nil}}, 4400, bad},
		{"subscribe without an id", anonymous, []step{{initAnn, []string{ack}}, {subscribe("", "subscription{never}"), nil}}, 4400, bad},
		{"an id without end", anonymous, []step{{initAnn, []string{ack}}, {subscribe(strings.Repeat("x", 300), "subscription{never}"), nil}}, 4400, bad},
		{"subscribe without a payload", anonymous, []step{{initAnn, []string{ack}}, {`{"type":"subscribe","id":"1"}`, nil}}, 4400, bad},
		{"subscribe with a query of another type", anonymous, []step{{initAnn, []string{ack}}, {`{"type":"subscribe","id":"1","payload":{"query":1}}`, nil}}, 4400, bad},
		{"complete without an id", anonymous, []step{{initAnn, []string{ack}}, {`{"type":"complete"}`, nil}}, 4400, bad},
		{"complete of what is not there", anonymous, []step{{initAnn, []string{ack}}, {`{"type":"complete","id":"9"}`, nil}, {`{"type":"ping"}`, []string{`{"type":"pong"}`}}}, 0, ""},
		{"an id twice", anonymous, []step{{initAnn, []string{ack}}, {subscribe("1", "subscription{never}"), nil}, {subscribe("1", "subscription{never}"), nil}}, 4409, "Subscriber already exists"},
		{
			"an id again after its end", anonymous, []step{
				{initAnn, []string{ack}},
				{subscribe("1", "subscription{never}"), nil},
				{`{"type":"complete","id":"1"}`, nil},
				{subscribe("1", "subscription{ticks(count:1)}"), []string{`{"id":"1","type":"next","payload":{"data":{"ticks":1}}}`, `{"id":"1","type":"complete"}`}},
				{subscribe("1", "subscription{ticks(count:1)}"), []string{`{"id":"1","type":"next","payload":{"data":{"ticks":1}}}`, `{"id":"1","type":"complete"}`}},
			}, 0, "",
		},
		{
			"a stream", anonymous, []step{
				{initAnn, []string{ack}},
				{`{"type":"subscribe","id":"<&>","payload":{"query":"subscription S($n: Int!) {ticks(count:$n)}","operationName":"S","variables":{"n":2}}}`, []string{
					`{"id":"<&>","type":"next","payload":{"data":{"ticks":1}}}`, `{"id":"<&>","type":"next","payload":{"data":{"ticks":2}}}`, `{"id":"<&>","type":"complete"}`,
				}},
			}, 0, "",
		},
		{"a query", anonymous, []step{{initAnn, []string{ack}}, {subscribe("q", "{name}"), []string{`{"id":"q","type":"next","payload":{"data":{"name":"healthy"}}}`, `{"id":"q","type":"complete"}`}}}, 0, ""},
		{
			"a document that is none: an error and no complete", anonymous, []step{
				{initAnn, []string{ack}},
				{`{"type":"subscribe","id":"1","payload":{"query":"subscription{"}}`, []string{`{"id":"1","type":"error","payload":[{"message":"Expected Name, found <EOF>","extensions":{"code":"DOCUMENT"}}]}`}},
				{`{"type":"ping"}`, []string{`{"type":"pong"}`}},
			}, 0, "",
		},
		{
			"a stream that is refused", anonymous, []step{
				{initAnn, []string{ack}},
				{subscribe("1", "subscription{refused}"), []string{`{"id":"1","type":"error","payload":[{"message":"no cursor","extensions":{"code":"CURSOR_INVALID"}}]}`}},
				{`{"type":"ping"}`, []string{`{"type":"pong"}`}},
			}, 0, "",
		},
		{
			"a stream that fails", anonymous, []step{
				{initAnn, []string{ack}},
				{subscribe("1", "subscription{late}"), []string{
					`{"id":"1","type":"next","payload":{"data":{"late":1}}}`, `{"id":"1","type":"error","payload":[{"message":"down","extensions":{"code":"DATABASE_UNAVAILABLE"}}]}`,
				}},
				{`{"type":"ping"}`, []string{`{"type":"pong"}`}},
			}, 0, "",
		},
		{
			"an event that fails", anonymous, []step{
				{initAnn, []string{ack}},
				{subscribe("1", "subscription{fault}"), []string{
					`{"id":"1","type":"next","payload":{"data":null,"errors":[{"message":"of this tick"}]}}`, `{"id":"1","type":"next","payload":{"data":{"fault":2}}}`, `{"id":"1","type":"complete"}`,
				}},
			}, 0, "",
		},
		{
			"a panic", anonymous, []step{
				{initAnn, []string{ack}},
				{subscribe("1", "subscription{panics}"), []string{`{"id":"1","type":"error","payload":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}`}},
				{`{"type":"ping"}`, []string{`{"type":"pong"}`}},
			}, 0, "",
		},
		{"a message without end", anonymous, []step{{initAnn, []string{ack}}, {subscribe("1", strings.Repeat(" ", 5000)+"{name}"), nil}}, websocket.StatusMessageTooBig, ""},
		{"more operations than a share", anonymous, []step{
			{initAnn, []string{ack}},
			{subscribe("1", "subscription{never}"), nil},
			{subscribe("2", "subscription{never}"), nil},
			{subscribe("3", "subscription{never}"), nil},
		}, 4429, "Too many operations"},
		{"more messages than a share", anonymous, append([]step{{initAnn, []string{ack}}}, repeat(30, step{`{"type":"pong"}`, nil})...), 4429, "Too many messages"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			limits := live.Limits{Operations: 2, Message: 4096, Burst: 20, Rate: 1}
			if len(row.steps) == 0 {
				limits.InitTime = 50 * time.Millisecond
			}
			h := setup(t, limits)
			client := h.dial(t, &websocket.DialOptions{Subprotocols: []string{"other", protocol}, HTTPHeader: row.header})
			require.Equal(t, protocol, client.Subprotocol())
			for _, step := range row.steps {
				if row.code == 0 {
					client.say(step.say)
				} else { // the server may have closed already
					_ = client.Write(t.Context(), websocket.MessageText, []byte(step.say))
				}
				for _, want := range step.hear {
					require.JSONEq(t, want, client.hear())
				}
			}
			if row.code == 0 {
				h.healthy(t)
				client.say(`{"type":"ping"}`)
				require.JSONEq(t, `{"type":"pong"}`, client.hear())
				require.NoError(t, client.Close(websocket.StatusNormalClosure, ""))
			} else {
				code, reason := client.farewell()
				require.Equal(t, row.code, code, "%s", reason)
				if row.reason != "" {
					require.Equal(t, row.reason, reason)
				}
			}
			h.quiet(t)
			h.healthy(t)
		})
	}
}

func repeat[T any](times int, value T) (list []T) {
	for range times {
		list = append(list, value)
	}
	return list
}

func TestWebSocketSubprotocol(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{})
	for _, offered := range [][]string{nil, {"graphql-ws"}, {"other", "graphql-ws"}} {
		client := h.dial(t, &websocket.DialOptions{Subprotocols: offered})
		code, reason := client.farewell()
		require.EqualValues(t, 4406, code)
		require.Equal(t, "Subprotocol not acceptable", reason)
	}
	h.quiet(t)
}

func TestWebSocketBinaryMessage(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{})
	client := h.dial(t, spoken())
	require.NoError(t, client.Write(t.Context(), websocket.MessageBinary, []byte(initAnn)))
	code, _ := client.farewell()
	require.EqualValues(t, 4400, code)
	h.quiet(t)
}

func TestWebSocketOfAForeignOrigin(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{})
	for origin, status := range map[string]int{
		"https://evil.example": http.StatusForbidden, "null": http.StatusForbidden, "%": http.StatusForbidden, h.URL: http.StatusSwitchingProtocols,
	} {
		options := spoken()
		options.HTTPHeader = http.Header{"Origin": {origin}, "Authorization": {"Bearer ann"}}
		ws, response, err := websocket.Dial(t.Context(), h.URL, options)
		require.Equal(t, status, response.StatusCode, origin)
		if status == http.StatusForbidden {
			require.Error(t, err)
			requireCode(t, response, "ORIGIN_FOREIGN")
			continue
		}
		require.NoError(t, ws.CloseNow())
	}
	h.quiet(t)
}

func TestWebSocketsAreBounded(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{Connections: 3, Subject: 2})
	dial := func(token string) (int, *http.Response) {
		options := spoken()
		if token != "" {
			options.HTTPHeader = http.Header{"Authorization": {"Bearer " + token}}
		}
		ws, response, err := websocket.Dial(t.Context(), h.URL, options)
		if err == nil {
			t.Cleanup(func() { _ = ws.CloseNow() })
		}
		return response.StatusCode, response
	}
	for range 2 {
		status, _ := dial("ann")
		require.Equal(t, http.StatusSwitchingProtocols, status)
	}
	status, response := dial("ann") // of two
	require.Equal(t, http.StatusTooManyRequests, status)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	requireCode(t, response, "LIMIT_STREAMS_OF_SUBJECT")

	late := h.dial(t, spoken()) // it says only later that it is a third of the same
	late.say(initAnn)
	code, _ := late.farewell()
	require.EqualValues(t, 4429, code)
	require.Eventually(t, func() bool { return h.streams.Stats().Open == 2 }, 10*time.Second, time.Millisecond)

	status, _ = dial("bob")
	require.Equal(t, http.StatusSwitchingProtocols, status)
	status, response = dial("bob") // of three in all
	require.Equal(t, http.StatusTooManyRequests, status)
	requireCode(t, response, "LIMIT_STREAMS")
	stream := h.post(t, "bob", "text/event-stream", "subscription{never}")
	require.Equal(t, http.StatusTooManyRequests, stream.StatusCode)
	requireCode(t, stream, "LIMIT_STREAMS")
	h.healthy(t)
}

// What follows at once travels together, and nothing is kept back for what does not
// come.
func TestBurstTravelsTogether(t *testing.T) {
	t.Parallel()
	const count = 200
	h := setup(t, live.Limits{})
	client := h.open(t, "ann")
	before := h.writes.Load()
	client.subscribe("1", fmt.Sprintf("subscription{burst(count:%d)}", count))
	for i := range count {
		require.JSONEq(t, fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"burst":%d}}}`, i+1), client.hear())
	}
	require.Less(t, h.writes.Load()-before, int64(count/10))

	before = h.writes.Load()
	lines := h.events(t, "ann", fmt.Sprintf("subscription{burst(count:%d)}", count))
	for heard := 0; heard < count; {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if strings.HasPrefix(line, "data: ") {
			heard++
			require.Equal(t, fmt.Sprintf("data: {\"data\":{\"burst\":%d}}\n", heard), line)
		}
	}
	require.Less(t, h.writes.Load()-before, int64(count/10))

	client.subscribe("2", "subscription{promise}")
	require.JSONEq(t, `{"id":"2","type":"next","payload":{"data":{"promise":1}}}`, client.hear())
	require.JSONEq(t, `{"id":"2","type":"complete"}`, client.hear())
	text, err := io.ReadAll(h.events(t, "ann", "subscription{promise}"))
	require.NoError(t, err)
	require.Equal(t, ":\n\nevent: next\ndata: {\"data\":{\"promise\":1}}\n\nevent: complete\ndata:\n\n", string(text))
}

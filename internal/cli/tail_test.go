package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// stand plays a server: each request for a stream gets the next script.
type stand struct {
	mu      sync.Mutex
	scripts []func(w http.ResponseWriter, r *http.Request)
	after   []any // of each subscription
}

func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Query     string
		Variables map[string]any
	}
	_ = json.NewDecoder(r.Body).Decode(&request)
	if strings.HasPrefix(request.Query, "query FromNow") {
		answer(200, `{"data":{"organization":{"exposureChangeFeed":{"cursor":"now"}}}}`)(w, r)
		return
	}
	s.mu.Lock()
	s.after = append(s.after, request.Variables["after"])
	script := s.scripts[0]
	s.scripts = s.scripts[1:]
	s.mu.Unlock()
	script(w, r)
}

// stream sends events and breaks off.
func stream(events ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ":\n\n"+strings.Join(events, ""))
	}
}

func change(seq int) string {
	return fmt.Sprintf("event: next\ndata: {\"data\":{\"exposureChanges\":{\"seq\":%d,\"cursor\":\"c%d\",\"type\":\"EXPOSURE_OPENED\",\"entityType\":\"EXPOSURE\",\"entityId\":\"x\",\"title\":\"t<%d>\",\"occurredAt\":\"2026-03-01T12:00:00Z\"}}}\n\n", seq, seq, seq)
}

func heartbeat(cursor string) string {
	return "event: next\r\ndata: {\"data\":{\"exposureChanges\":\r\ndata: {\"seq\":null,\"cursor\":\"" + cursor + "\",\"type\":null}}}\r\n\r\n"
}

func failure(kind, code string) string {
	return fmt.Sprintf("event: next\ndata: {\"errors\":[{\"message\":\"no\",\"extensions\":{\"kind\":%q,\"code\":%q}}]}\n\nevent: complete\ndata:\n\n", kind, code)
}

func changeLine(seq int) string {
	return fmt.Sprintf(`{"seq":%d,"cursor":"c%d","type":"EXPOSURE_OPENED","entityType":"EXPOSURE","entityId":"x","title":"t<%d>","occurredAt":"2026-03-01T12:00:00Z"}`+"\n", seq, seq, seq)
}

func TestTail(t *testing.T) {
	t.Parallel()
	denied := failure("unauthentic", "TOKEN_EXPIRED")
	for name, row := range map[string]struct {
		args    []string
		scripts []func(http.ResponseWriter, *http.Request)
		after   []any
		stdout  string
		code    int
	}{
		"goes on behind the last frame, and prints nothing twice": {
			scripts: []func(http.ResponseWriter, *http.Request){
				stream(change(1), change(2), heartbeat("h2")),
				stream(change(2), change(3), "event: complete\ndata:\n\n"),
				answer(503, `{"error":{"kind":"unavailable","code":"DATABASE_UNAVAILABLE","message":"down"}}`),
				answer(429, `{"errors":[{"message":"many","extensions":{"kind":"limit","code":"LIMIT_STREAMS"}}]}`),
				stream(change(4), "event: next\ndata: {\"data\":{\"expo"),
				stream(failure("unavailable", "DATABASE_UNAVAILABLE")),
				stream(denied),
			},
			after:  []any{nil, "h2", "c3", "c3", "c3", "c4", "c4"},
			stdout: changeLine(1) + changeLine(2) + `{"cursor":"h2"}` + "\n" + changeLine(3) + changeLine(4),
			code:   5,
		},
		"after": {args: []string{"--after", "c7"}, scripts: []func(http.ResponseWriter, *http.Request){stream(change(8), denied)}, after: []any{"c7"}, stdout: changeLine(8), code: 5},
		"now":   {args: []string{"--from-now"}, scripts: []func(http.ResponseWriter, *http.Request){stream(heartbeat("now"), denied)}, after: []any{"now"}, stdout: `{"cursor":"now"}` + "\n", code: 5},
		"table": {
			args: []string{"-o", "table"}, scripts: []func(http.ResponseWriter, *http.Request){stream(change(1), heartbeat("h"), denied)}, after: []any{nil},
			stdout: "1  2026-03-01T12:00:00Z  EXPOSURE_OPENED                      t<1>\n", code: 5,
		},
		"a cursor of nobody":   {scripts: []func(http.ResponseWriter, *http.Request){stream(failure("invalid", "CURSOR_INVALID"))}, after: []any{nil}, code: 1},
		"beyond the head":      {scripts: []func(http.ResponseWriter, *http.Request){stream(failure("conflict", "CURSOR_BEYOND_HEAD"))}, after: []any{nil}, code: 6},
		"no such organization": {scripts: []func(http.ResponseWriter, *http.Request){stream(failure("not_found", "ORGANIZATION_NOT_FOUND"))}, after: []any{nil}, code: 4},
		"no token":             {scripts: []func(http.ResponseWriter, *http.Request){answer(401, `{"errors":[{"message":"no","extensions":{"kind":"unauthentic","code":"TOKEN_MISSING"}}]}`)}, after: []any{nil}, code: 5},
		"a wrong token":        {scripts: []func(http.ResponseWriter, *http.Request){answer(401, `{"error":{"kind":"unauthentic","code":"TOKEN_EXPIRED","message":"no"}}`)}, after: []any{nil}, code: 5},
		"another server":       {scripts: []func(http.ResponseWriter, *http.Request){answer(200, `{}`)}, after: []any{nil}, code: 1},
		"not ready from the beginning": {
			scripts: []func(http.ResponseWriter, *http.Request){answer(503, `{"error":{"kind":"unavailable","code":"DATABASE_UNAVAILABLE","message":"down"}}`)}, after: []any{nil}, code: 7,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stand{scripts: row.scripts}
			code, stdout, stderr := world{}.run(t.Context(), append([]string{"tail", "--org", "acme", "--server", serve(t, s.ServeHTTP)}, row.args...)...)
			require.Equal(t, row.code, code, stderr)
			require.Equal(t, row.stdout, stdout)
			require.Equal(t, row.after, s.after)
			require.Empty(t, s.scripts)
		})
	}
	code, _, stderr := world{}.run(t.Context(), "tail", "--org", "acme", "--server", "http://127.0.0.1:1")
	require.Equal(t, 7, code)
	require.Contains(t, stderr, "SERVER_UNREACHABLE")
}

func TestTailIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	s := &stand{scripts: []func(http.ResponseWriter, *http.Request){func(w http.ResponseWriter, r *http.Request) {
		stream(change(1))(w, r)
		_ = http.NewResponseController(w).Flush()
		interrupt()
		<-r.Context().Done()
	}}}
	code, _, stderr := world{}.run(ctx, "tail", "--org", "acme", "--server", serve(t, s.ServeHTTP))
	require.Equal(t, 0, code)
	require.Empty(t, stderr)
}

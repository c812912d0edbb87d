package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/cli"
)

// screen is a terminal with one line that is written over.
type screen struct {
	mu    sync.Mutex
	raw   bytes.Buffer
	drawn []string // each line as it was seen
	until string   // what is waited for
	came  func()   // is called when that is seen
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(p)
	if line := strings.TrimSpace(string(p)); line != "" {
		s.drawn = append(s.drawn, line)
		if s.until != "" && strings.Contains(line, s.until) {
			s.until = ""
			s.came()
		}
	}
	return len(p), nil
}

// seen are the lines as they were drawn, each once.
func (s *screen) seen() (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, line := range s.drawn {
		if i == 0 || line != s.drawn[i-1] {
			lines = append(lines, line)
		}
	}
	return lines
}

// rest is what is left on the line in the end.
func (s *screen) rest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := []byte{}
	at := 0
	for _, c := range s.raw.Bytes() {
		switch {
		case c == '\r':
			at = 0
		case c == '\n':
			line, at = line[:0], 0
		case at < len(line):
			line[at] = c
			at++
		default:
			line = append(line, c)
			at++
		}
	}
	return strings.TrimRight(string(line), " ")
}

// depot plays a server that imports when all that is to be shown was.
type depot struct {
	t       *testing.T
	follow  http.HandlerFunc // answers the subscription
	answer  http.HandlerFunc // answers the import, once it may
	release chan struct{}    // closed when it may
	query   url.Values
	asked   map[string]any // the variables of the subscription
	asks    int
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/graphql" {
		var request struct{ Variables map[string]any }
		require.NoError(d.t, json.NewDecoder(r.Body).Decode(&request))
		d.asked, d.asks = request.Variables, d.asks+1
		d.follow(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	d.query = r.URL.Query()
	<-d.release
	d.answer(w, r)
}

func phase(name string, records int) string {
	return fmt.Sprintf("event: next\ndata: {\"data\":{\"syncProgress\":{\"phase\":%q,\"records\":%d}}}\n\n", name, records)
}

// watch runs an import on a terminal.
func watch(t *testing.T, d *depot, s *screen, terminal bool, args ...string) (code int, stdout string) {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = cli.Run(ctx, cli.Process{
		Args:  append([]string{"import", "auto", "-", "--org", "acme", "--server", serve(t, d.ServeHTTP)}, args...),
		Stdin: strings.NewReader("x"), Stdout: &out, Stderr: s, Terminal: terminal, Now: func() time.Time { return noon },
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	return code, out.String()
}

func TestProgressBar(t *testing.T) {
	t.Parallel()
	d := &depot{t: t, answer: answer(200, report), release: make(chan struct{})}
	d.follow = func(w http.ResponseWriter, r *http.Request) {
		stream(phase("WAITING", 0), phase("RECEIVING", 999), phase("RECEIVING", 1234567), phase("DERIVING", 2000000),
			phase("PAUSING", 2000000), phase("COMMITTING", 2000000), phase("DONE", 2000000), "event: complete\ndata:\n\n")(w, r)
	}
	s := &screen{until: "done", came: func() { close(d.release) }}
	code, stdout := watch(t, d, s, true)
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "5 added, 6 kept")
	require.Equal(t, []string{
		"[>                        ] waiting  0 records  0:00",
		"[===>                     ] receiving  999 records  0:00",
		"[===>                     ] receiving  1,234,567 records  0:00",
		"[=========>               ] deriving  2,000,000 records  0:00",
		"[>                        ] pausing  2,000,000 records  0:00", // of a server that knows more phases
		"[=====================>   ] committing  2,000,000 records  0:00",
		"[========================>] done  2,000,000 records  0:00",
	}, s.seen())
	require.Empty(t, s.rest(), "it leaves nothing behind")
	require.NoError(t, uuid.Validate(d.query.Get("progress")))
	require.Equal(t, map[string]any{"organization": "acme", "id": d.query.Get("progress")}, d.asked)
}

// What does not go to a terminal, or is to be read by a program, shows no bar, and
// asks the server for none.
func TestNoProgressBar(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		terminal bool
		args     []string
	}{{false, nil}, {true, []string{"-o", "json"}}} {
		d := &depot{t: t, answer: answer(200, report), release: make(chan struct{})}
		close(d.release)
		s := &screen{}
		code, stdout := watch(t, d, s, test.terminal, test.args...)
		require.Equal(t, 0, code)
		require.NotEmpty(t, stdout)
		require.Empty(t, s.raw.String())
		require.Zero(t, d.asks)
		require.False(t, d.query.Has("progress"))
	}
}

// Whatever becomes of the bar, the import goes on, and its answer is printed on a line
// that is free.
func TestProgressBarFails(t *testing.T) {
	t.Parallel()
	refused := answer(400, `{"error":{"kind":"invalid","code":"MANIFEST_BAD","message":"bad"}}`)
	for name, test := range map[string]struct {
		follow http.HandlerFunc
		answer http.HandlerFunc
		code   int
	}{
		"a stream that breaks off":  {stream(phase("RECEIVING", 10), "event: next\ndata: {\"da"), answer(200, report), 0},
		"a stream of something":     {stream(phase("RECEIVING", 10), "event: next\ndata: {\"data\":{\"syncProgress\":7}}\n\n"), answer(200, report), 0},
		"a refusal":                 {stream(failure("not_found", "DELIVERY_NOT_FOUND")), answer(200, report), 0},
		"a token that may not look": {answer(401, `{"errors":[{"message":"no","extensions":{"kind":"denied","code":"SCOPE_MISSING"}}]}`), answer(200, report), 0},
		"too many streams":          {answer(429, `{"errors":[{"message":"many","extensions":{"kind":"limit","code":"LIMIT_STREAMS"}}]}`), answer(200, report), 0},
		"a page":                    {answer(404, `nothing`), answer(200, report), 0},
		"an import that is refused": {stream(phase("FAILED", 3), "event: complete\ndata:\n\n"), refused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &depot{t: t, answer: test.answer, follow: test.follow, release: make(chan struct{})}
			s := &screen{}
			if test.code == 0 {
				d.follow = func(w http.ResponseWriter, r *http.Request) {
					defer close(d.release)
					test.follow(w, r)
				}
			} else { // the bar is there when the answer comes
				s.until, s.came = "failed", func() { close(d.release) }
			}
			code, stdout := watch(t, d, s, true)
			require.Equal(t, test.code, code, s.raw.String())
			require.Empty(t, s.rest())
			if code == 0 {
				require.Contains(t, stdout, "5 added, 6 kept")
				return
			}
			require.Contains(t, s.raw.String(), "\rexposuregraph: bad [MANIFEST_BAD]\n")
		})
	}
}

// TestProgressBarIsLeft: the answer to the import ends the bar, be there more to come
// or not.
func TestProgressBarIsLeft(t *testing.T) {
	t.Parallel()
	d := &depot{t: t, answer: answer(200, report), release: make(chan struct{})}
	left := make(chan struct{})
	d.follow = func(w http.ResponseWriter, r *http.Request) {
		stream(phase("MERGING", 10))(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	}
	s := &screen{until: "merging", came: func() { close(d.release) }}
	code, stdout := watch(t, d, s, true)
	<-left
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "5 added, 6 kept")
	require.Equal(t, []string{"[======>                  ] merging  10 records  0:00"}, s.seen())
	require.Empty(t, s.rest())
}

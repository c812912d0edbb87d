package isolation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// beginning is the first instant of every story. It lies far ahead, because a server
// gives its clients time by the clock that the story sets; and after the hour of the
// daily evaluation, so that no job tells anything of its own.
var beginning = time.Date(2040, 1, 2, 3, 0, 0, 0, time.UTC)

// root tells the stories.
var root = access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}

// stage is a server, with a clock that stands still until a story moves it.
type stage struct {
	t        testing.TB
	database *dbtest.Database
	app      *app.App
	stop     func()
	key      access.Key
	days     atomic.Int64 // nanoseconds after the beginning
	asked    int
	whole    bool // it is told what the callers may not see, too
	faults   faults
}

// faults are what a server takes for its own.
type faults struct {
	mu   sync.Mutex
	text strings.Builder
}

func (f *faults) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.Write(line)
}

func (f *faults) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.String()
}

func newStage(t testing.TB, whole bool) *stage {
	t.Helper()
	s := &stage{t: t, database: dbtest.New(t), whole: whole}
	s.open("")
	var err error
	s.key, err = access.EnsureKey(t.Context(), s.database.OwnerURL, s.now())
	require.NoError(t, err)
	return s
}

func (s *stage) now() time.Time { return beginning.Add(time.Duration(s.days.Load())) }

// at moves the clock to a time after the beginning.
func (s *stage) at(after time.Duration) { s.days.Store(int64(after)) }

// open serves; with a key it signs ledgers.
func (s *stage) open(ledgerKey string) {
	s.t.Helper()
	a, err := app.New(s.t.Context(), app.Config{
		Listen: "127.0.0.1:0", DatabaseURL: s.database.RuntimeURL, OwnerDatabaseURL: s.database.OwnerURL, LedgerKey: ledgerKey,
		CheckpointDir: filepath.Join(s.database.Folder, "checkpoints"),
		Files:         app.FilesConfig{Location: filepath.Join(s.database.Folder, "files")}, Now: s.now,
		Logger: slog.New(slog.NewTextHandler(&s.faults, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	s.app, s.stop = a, func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
			_ = a.Close()
		}
	}
	s.t.Cleanup(func() { s.stop() })
}

// again stops the server and opens another one, which signs ledgers.
func (s *stage) again(ledgerKey string) {
	s.t.Helper()
	s.stop()
	s.open(ledgerKey)
}

func (s *stage) token(actor access.Actor) string {
	s.t.Helper()
	token, err := access.Issue(s.key, actor, 24*time.Hour, s.now())
	require.NoError(s.t, err)
	return token
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	body   []byte
	silent bool // a stream that was still waiting when it was left
}

func (s *stage) send(token, method, path, name string, header map[string]string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.app.URL()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-Request-Id", name)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: content}, err
}

// ask runs a document that has to succeed, and gives its data.
func (s *stage) ask(actor access.Actor, document string, input any) map[string]any {
	s.t.Helper()
	data, errors := s.run(actor, document, input)
	require.Empty(s.t, errors, "%s %v", document, input)
	return data
}

// answered is the data of a document, of which some may be refused.
func (s *stage) answered(actor access.Actor, document string) map[string]any {
	s.t.Helper()
	data, _ := s.run(actor, document, nil)
	return data
}

func (s *stage) run(actor access.Actor, document string, input any) (map[string]any, []any) {
	s.t.Helper()
	s.asked++
	body, err := json.Marshal(map[string]any{"query": document, "variables": map[string]any{"input": input}})
	require.NoError(s.t, err)
	got, err := s.send(s.token(actor), http.MethodPost, "/graphql", fmt.Sprintf("told-%d", s.asked), map[string]string{"Content-Type": "application/json"}, body)
	require.NoError(s.t, err)
	var read struct {
		Data   map[string]any
		Errors []any
	}
	require.NoError(s.t, json.Unmarshal(got.body, &read), string(got.body))
	return read.Data, read.Errors
}

// does runs a mutation that has to find nothing wrong with its input.
func (s *stage) does(actor access.Actor, mutation, kind, selection string, input map[string]any) map[string]any {
	s.t.Helper()
	data := s.ask(actor, fmt.Sprintf("mutation($input: %s!) { %s(input: $input) { %s userErrors { code message } } }", kind, mutation, selection), input)
	payload, _ := data[mutation].(map[string]any)
	require.Empty(s.t, payload["userErrors"], "%s %v", mutation, input)
	return payload
}

// deliver imports a file into an organization.
func (s *stage) deliver(slug, format, more string, body string) {
	s.t.Helper()
	s.asked++
	got, err := s.send(s.token(root), http.MethodPost, "/imports/"+format+"?create=true&org="+slug+more, fmt.Sprintf("told-%d", s.asked),
		map[string]string{"Content-Type": "application/octet-stream"}, []byte(body))
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, got.status, "%s: %s", format, got.body)
}

// collect uploads a file.
func (s *stage) collect(slug, more, content string) {
	s.t.Helper()
	s.asked++
	got, err := s.send(s.token(root), http.MethodPost, "/files?org="+slug+more, fmt.Sprintf("told-%d", s.asked), map[string]string{"Content-Type": "application/octet-stream"}, []byte(content))
	require.NoError(s.t, err)
	require.Contains(s.t, []int{200, 201}, got.status, string(got.body))
}

// looked waits until the schedule has looked what is due, as it does when a server has
// started. Later in the story it would find an evaluation that is.
func (s *stage) looked() {
	s.t.Helper()
	super := s.database.Super(s.t)
	require.Eventually(s.t, func() bool {
		var done bool
		err := super.QueryRow(s.t.Context(), `SELECT EXISTS (SELECT FROM river.river_job WHERE kind = 'daily_round' AND state = 'completed')`).Scan(&done)
		return err == nil && done
	}, 60*time.Second, 20*time.Millisecond)
}

// quiet waits until all that happened is in the feeds: when something was published is
// part of an answer.
func (s *stage) quiet() {
	s.t.Helper()
	token := s.token(root)
	require.Eventually(s.t, func() bool {
		got, err := s.send(token, http.MethodPost, "/graphql", "quiet", map[string]string{"Content-Type": "application/json"},
			[]byte(`{"query":"{ organizations(first: 50) { nodes { exposureChangeFeed { pending failures } } } }"}`))
		return err == nil && got.status == http.StatusOK && !strings.Contains(strings.ReplaceAll(string(got.body), `"pending":0,"failures":0`, ""), "pending")
	}, 30*time.Second, 2*time.Millisecond)
}

// sign has the ledger of an organization signed as it is.
func (s *stage) sign(ledgerKey, slug string) {
	s.t.Helper()
	pool, err := db.Open(s.t.Context(), s.database.RuntimeURL, db.Options{MaxConns: 2})
	require.NoError(s.t, err)
	defer pool.Close()
	key, err := book.ReadKey(ledgerKey)
	require.NoError(s.t, err)
	signer := book.NewCheckpointer(book.CheckpointerConfig{DB: pool, Key: key, Folder: filepath.Join(s.database.Folder, "checkpoints"),
		Logger: slog.New(slog.DiscardHandler), Now: s.now, Entries: 1})
	size, err := signer.Look(access.With(s.t.Context(), root), &org.Organization{ID: id.Organization(slug), Slug: slug})
	require.NoError(s.t, err)
	require.Positive(s.t, size)
}

func testdata(t testing.TB, parts ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{"..", "importer"}, parts...)...))
	require.NoError(t, err)
	return string(content)
}

// said is a snapshot of what a source says.
func said(source string, observed time.Time, more string, records ...string) string {
	counts := map[string]int{}
	for _, record := range records {
		var of struct{ Kind string }
		if err := json.Unmarshal([]byte(record), &of); err != nil {
			panic(record)
		}
		counts[of.Kind]++
	}
	trailer, err := json.Marshal(map[string]any{"kind": "trailer", "records": len(records), "counts": counts})
	if err != nil {
		panic(err)
	}
	header := fmt.Sprintf(`{"kind":"header","format":"exposuregraph-snapshot","version":1,"source":%q,"system":"eu","observedAt":%q%s}`, source, observed.Format(time.RFC3339), more)
	return strings.Join(append(append([]string{header}, records...), string(trailer)), "\n") + "\n"
}

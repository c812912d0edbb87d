package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// crashFolderEnv makes the test binary a server on the data folder that it names:
// another process, which can be killed.
const crashFolderEnv = "APP_TEST_CRASH_FOLDER"

func init() {
	if folder := os.Getenv(crashFolderEnv); folder != "" {
		os.Exit(serveUntilKilled(crashConfig(folder)))
	}
}

// serveUntilKilled serves until its input ends, which it does with the test, until
// it has lost its database, or until it is killed.
func serveUntilKilled(config app.Config) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	a, err := app.New(ctx, config)
	if err == nil {
		fmt.Println("ready", a.URL())
		err = errors.Join(a.Run(ctx), a.Close())
	}
	if err != nil {
		fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " | "))
		return 1
	}
	return 0
}

func crashConfig(folder string) app.Config {
	return app.Config{Listen: "127.0.0.1:0", DataDir: folder, Logger: slog.New(slog.DiscardHandler), Now: time.Now}
}

// The size of the test: 16 people with 25 exposures each, of each of which they
// decide five times.
const (
	crashPeople = 16
	crashEach   = 25
	crashSlug   = "acme"
)

// crashPatience is how long a request is asked again and again.
const crashPatience = 2 * time.Minute

// crashMoves lead every exposure through all that can be taken back; it ends
// acknowledged.
var crashMoves = []struct{ mutation, reason string }{
	{mutation: "acknowledgeExposure"},
	{mutation: "unacknowledgeExposure"},
	{mutation: "markFalsePositive", reason: "WRONG_DATA"},
	{mutation: "unmarkFalsePositive"},
	{mutation: "acknowledgeExposure"},
}

// TestDecisionsOutliveKills kills the server, PostgreSQL and one of its backends
// while 16 people decide 2,000 times. Whatever they were told is done is in the
// ledger, once; the chain holds; and the tables are what follows from it.
func TestDecisionsOutliveKills(t *testing.T) {
	t.Parallel()
	each, kills := crashEach, 7
	if testing.Short() {
		each, kills = 4, 3
	}
	c := newCrash(t, each)
	c.launch()
	c.findExposures(crashPeople * each)
	total := crashPeople * each * len(crashMoves)

	dice := rand.New(rand.NewPCG(5, 2026)) //nolint:gosec // the same at each run
	var people sync.WaitGroup
	for n := range crashPeople {
		people.Go(func() { c.decide(n, c.exposures[n*each:(n+1)*each]) })
	}
	finished := make(chan struct{})
	go func() { people.Wait(); close(finished) }()
	ways := []func(){c.killServer, c.killPostgres, c.killBackend}
	for n := range kills {
		// Somewhere in this share of the decisions.
		point := (total-crashPeople)*n/kills + 1 + dice.IntN(total/kills-crashPeople)
		pause := time.Duration(dice.IntN(20_000)) * time.Microsecond
		if !c.await(point, finished) {
			break
		}
		time.Sleep(pause)
		ways[n%len(ways)]()
	}
	select {
	case <-finished:
	case <-time.After(2 * crashPatience):
		t.Fatal("the decisions do not come to an end")
	}
	require.Empty(t, c.failures)
	t.Logf("%d decisions; %d kills; %d requests were lost and asked again, %d were answered a second time",
		len(c.told), kills, c.lost.Load(), c.replays.Load())
	require.Len(t, c.told, total)
	require.Positive(t, c.lost.Load(), "no kill met a request under way")
	require.Positive(t, c.replays.Load(), "nobody asked again for what was done")
	c.end()
	c.audit()
}

// told is what somebody was told of a decision: that it is done.
type told struct {
	Seq  int64
	Hash string
}

// crash is a server that is killed and started again, and those who go on with it.
type crash struct {
	t         *testing.T
	folder    string
	token     string
	exposures []exposureAt
	http      http.Client
	lost      atomic.Int64
	replays   atomic.Int64
	done      atomic.Int64

	mu       sync.Mutex
	url      string
	told     map[string]told // by idempotency key
	failures []string

	child  *exec.Cmd
	stdin  io.Closer
	exited chan struct{} // closed when the child is gone
}

func newCrash(t *testing.T, each int) *crash {
	t.Helper()
	folder, err := devpg.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	c := &crash{t: t, folder: folder, told: map[string]told{}, http: http.Client{Timeout: 30 * time.Second}}
	c.http.Transport = &http.Transport{MaxIdleConnsPerHost: crashPeople}
	t.Cleanup(func() {
		if c.child != nil {
			_ = c.child.Process.Kill()
			<-c.exited
		}
	})

	database, pool := c.open()
	defer func() { pool.Close(); require.NoError(t, database.Close()) }()
	paths := authority.New(pool, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), time.Now, slog.New(slog.DiscardHandler))
	ctx := access.With(t.Context(), access.Actor{Subject: "feed", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	_, err = paths.Sync(ctx, authority.SyncRequest{Organization: crashSlug, Format: "snapshot", CreateOrganization: true, Strict: true, ObservedAt: time.Now()},
		func(out record.Emitter) error {
			for i, fact := range crashWorld(crashPeople * each / 2) {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(t, err)
	key, err := access.EnsureKey(t.Context(), database.OwnerURL, time.Now())
	require.NoError(t, err)
	c.token, err = access.Issue(key, access.Actor{Subject: "ann", Role: access.Client, Organizations: []string{crashSlug}, Scopes: access.Scopes}, time.Hour, time.Now())
	require.NoError(t, err)
	return c
}

// crashWorld is a workload with as many paths, of which each has two exposures:
// nobody owns it, and it reaches what is sensitive.
func crashWorld(paths int) []record.Fact {
	workload, identity, role := record.Ref{Kind: record.Workload, SourceID: "w"}, record.Ref{Kind: record.Identity, SourceID: "i"}, record.Ref{Kind: record.Role, SourceID: "reader"}
	facts := []record.Fact{
		record.Entity{Ref: workload}, record.Entity{Ref: identity}, record.Entity{Ref: role},
		record.Edge{Kind: record.RunsAs, From: workload, To: identity},
		record.Edge{Kind: record.HasRole, From: identity, To: role, Scope: "*"},
		record.Coverage{Kind: record.Ownership}, record.Coverage{Kind: record.EgressObs},
	}
	for n := range paths {
		vault := record.Ref{Kind: record.Resource, SourceID: fmt.Sprintf("vault-%d", n)}
		facts = append(facts, record.Entity{Ref: vault, Sensitivity: "restricted"},
			record.Edge{Kind: record.Grants, From: role, To: vault, Scope: "*", Actions: []string{"get"}})
	}
	return facts
}

// open gives the database while no server runs.
func (c *crash) open() (*app.Database, *db.DB) {
	c.t.Helper()
	database, err := app.OpenDatabase(c.t.Context(), app.DatabaseConfig{DataDir: c.folder, Logger: slog.New(slog.DiscardHandler), Exclusive: true, Migrate: true})
	require.NoError(c.t, err)
	pool, err := db.Open(c.t.Context(), database.RuntimeURL, db.Options{MaxConns: 4})
	require.NoError(c.t, err)
	return database, pool
}

// launch starts a server and tells everybody where it is.
func (c *crash) launch() {
	c.t.Helper()
	program, err := os.Executable()
	require.NoError(c.t, err)
	c.child = exec.Command(program)
	c.child.Env = append(os.Environ(), crashFolderEnv+"="+c.folder)
	c.child.Stderr = os.Stderr
	c.stdin, err = c.child.StdinPipe() // which ends with this process
	require.NoError(c.t, err)
	stdout, err := c.child.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, c.child.Start())
	child, exited, lines := c.child, make(chan struct{}), bufio.NewReader(stdout)
	c.exited = exited
	line, err := lines.ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = child.Wait()
		close(exited)
	}()
	require.NoError(c.t, err, "the server ended before it was ready")
	var url string
	_, err = fmt.Sscanf(line, "ready %s", &url)
	require.NoError(c.t, err, "the server said %q", line)
	c.mu.Lock()
	c.url = url
	c.mu.Unlock()
}

// await waits until so many decisions are done.
func (c *crash) await(point int, finished <-chan struct{}) bool {
	for c.done.Load() < int64(point) {
		select {
		case <-finished:
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// killServer kills the server. Its PostgreSQL ends with it, or is ended by the next
// one.
func (c *crash) killServer() {
	c.t.Helper()
	require.NoError(c.t, c.child.Process.Kill())
	c.gone()
	c.launch()
}

// killPostgres kills PostgreSQL, which ends the server.
func (c *crash) killPostgres() {
	c.t.Helper()
	database, err := app.OpenDatabase(c.t.Context(), app.DatabaseConfig{DataDir: c.folder, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(c.t, err)
	require.NoError(c.t, stopPostgres(c.t, database))
	c.gone()
	c.launch()
}

// killBackend kills a session of the server, after which PostgreSQL ends all others
// and recovers; the server stays.
func (c *crash) killBackend() {
	c.t.Helper()
	database, err := app.OpenDatabase(c.t.Context(), app.DatabaseConfig{DataDir: c.folder, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(c.t, err)
	conn, err := pgx.Connect(c.t.Context(), database.RuntimeURL)
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	var pid int
	require.NoError(c.t, conn.QueryRow(c.t.Context(), `SELECT pid FROM pg_stat_activity
		WHERE usename = current_user AND pid <> pg_backend_pid() AND application_name = 'exposuregraph'
		ORDER BY state = 'active' AND wait_event_type IS NULL DESC NULLS LAST, xact_start NULLS LAST LIMIT 1`).Scan(&pid))
	process, err := os.FindProcess(pid)
	require.NoError(c.t, err)
	require.NoError(c.t, process.Kill())
}

// gone waits for the end of the server.
func (c *crash) gone() {
	c.t.Helper()
	select {
	case <-c.exited:
	case <-time.After(time.Minute):
		c.t.Fatal("the server is still there")
	}
}

// end stops the server in order.
func (c *crash) end() {
	c.t.Helper()
	require.NoError(c.t, c.stdin.Close())
	c.gone()
}

func (c *crash) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, fmt.Sprintf(format, args...))
}

// The answers ----------------------------------------------------------------------

// crashAnswer is one to a decision.
type crashAnswer struct {
	Decision   *told
	Replayed   bool
	UserErrors []struct{ Code, Message string }
}

// send asks once. What did not come back with data may have been done or not.
func (c *crash) send(document string, variables map[string]any, data any) error {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return err
	}
	c.mu.Lock()
	url := c.url
	c.mu.Unlock()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	if len(answer.Errors) > 0 || response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %v", response.StatusCode, answer.Errors)
	}
	return json.Unmarshal(answer.Data, data)
}

// exposureAt is an exposure and the version from which it is judged.
type exposureAt struct {
	ID      string
	Version int
}

// findExposures asks the server which there are.
func (c *crash) findExposures(want int) {
	c.t.Helper()
	var after *string
	for more := true; more; {
		var page struct {
			Organization struct {
				Exposures struct {
					Nodes    []exposureAt
					PageInfo struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
			}
		}
		require.NoError(c.t, c.send(`query Exposures($after: String) { organization(slug: "`+crashSlug+`") { exposures(first: 100, after: $after) {
			nodes { id version } pageInfo { hasNextPage endCursor } } } }`, map[string]any{"after": after}, &page))
		found := page.Organization.Exposures
		c.exposures = append(c.exposures, found.Nodes...)
		after, more = found.PageInfo.EndCursor, found.PageInfo.HasNextPage
	}
	require.Len(c.t, c.exposures, want)
}

// decide makes one person's decisions, one after the other.
func (c *crash) decide(person int, exposures []exposureAt) {
	var last func(again bool) (lost, ok bool)
	for move, how := range crashMoves {
		reason := ""
		if how.reason != "" {
			reason = " reason: " + how.reason
		}
		document := `mutation Judge($exposure: ID!, $version: Int!, $key: String!) { judged: ` + how.mutation + `(input: {
			exposure: $exposure expectedVersion: $version justification: "Seen by the team." idempotencyKey: $key` + reason + `}) {
			decision { seq hash } replayed userErrors { code message } } }`
		for n, x := range exposures {
			key := fmt.Sprintf("person-%d-exposure-%d-move-%d", person, n, move)
			variables := map[string]any{"exposure": x.ID, "version": x.Version + move, "key": key}
			ask := func(again bool) (lost, ok bool) { return c.ask(key, document, variables, again) }
			lost, ok := ask(false)
			// What was done before the kill is done after it, and not once more.
			if ok && lost && last != nil {
				_, ok = last(true)
			}
			if !ok {
				return
			}
			last = ask
		}
	}
}

// ask makes a decision, as often as it takes to be told that it is made. Lost says
// that it took more than once; again, that it was made before.
func (c *crash) ask(key, document string, variables map[string]any, again bool) (lost, ok bool) {
	var answer struct{ Judged crashAnswer }
	for deadline := time.Now().Add(crashPatience); ; {
		err := c.send(document, variables, &answer)
		if err == nil {
			break
		}
		if time.Now().After(deadline) || c.t.Context().Err() != nil {
			c.fail("%s: there is no answer: %s", key, err)
			return true, false
		}
		lost = true
		time.Sleep(50 * time.Millisecond)
	}
	if lost {
		c.lost.Add(1)
	}
	judged := answer.Judged
	c.mu.Lock()
	before, known := c.told[key]
	if judged.Decision != nil {
		c.told[key] = *judged.Decision
	}
	c.mu.Unlock()
	switch {
	case len(judged.UserErrors) > 0 || judged.Decision == nil:
		c.fail("%s: it was refused: %v", key, judged.UserErrors)
		return lost, false
	case again && (!judged.Replayed || !known || before != *judged.Decision):
		c.fail("%s: it was done as %v before, and now as %v (replayed: %t)", key, before, *judged.Decision, judged.Replayed)
	case !again && !lost && judged.Replayed:
		c.fail("%s: it was asked for the first time, and had been done", key)
	}
	if judged.Replayed {
		c.replays.Add(1)
	}
	if !again {
		c.done.Add(1)
	}
	return lost, true
}

// The books ------------------------------------------------------------------------

// kept is an entry of the ledger about a decision.
type kept struct {
	told

	Key string
}

// audit holds the ledger against what was told, and the tables against the ledger.
func (c *crash) audit() {
	c.t.Helper()
	ctx := access.With(c.t.Context(), access.Actor{Subject: "auditor", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	database, pool := c.open()
	defer func() { pool.Close(); require.NoError(c.t, database.Close()) }()
	snapshot := pool.Snapshot()
	defer snapshot.Close(ctx)
	organization := &org.Organization{ID: id.Organization(crashSlug), Slug: crashSlug}
	books := book.New(time.Now)

	require.Empty(c.t, c.compare(c.entries(ctx, books, snapshot, organization)))

	key, err := book.ReadKey(filepath.Join(c.folder, "ledger.key"))
	require.NoError(c.t, err)
	verifier, err := key.Verifier()
	require.NoError(c.t, err)
	report, err := books.Verify(ctx, snapshot, organization, book.Trust{Keys: []note.Verifier{verifier}})
	require.NoError(c.t, err)
	require.Empty(c.t, report.Faults)
	require.Equal(c.t, len(c.exposures), int(report.Exposures))

	projection, err := books.Rebuild(ctx, snapshot.Of(organization.ID))
	require.NoError(c.t, err)
	require.Empty(c.t, projection.Differences)
	require.Equal(c.t, projection.Ledger, projection.Tables)
	require.Equal(c.t, len(c.exposures), int(projection.Rows))

	// Whatever counts exposures counts them as they are decided.
	counted, err := invariant.Check(ctx, snapshot, organization, posture.Definitions)
	require.NoError(c.t, err)
	for _, check := range counted.Checks {
		for _, finding := range check.First {
			// The last snapshot shows the clusters as they were before anybody decided.
			if finding.Check != invariant.Snapshots || finding.Message != "what it says of the cluster is wrong" {
				c.t.Errorf("%+v", finding)
			}
		}
	}
}

// entries reads the decisions of the ledger.
func (c *crash) entries(ctx context.Context, books *book.Book, snapshot *db.Snapshot, organization *org.Organization) (list []kept) {
	c.t.Helper()
	var export bytes.Buffer
	require.NoError(c.t, books.Export(ctx, snapshot, organization, &export))
	for lines := json.NewDecoder(&export); lines.More(); {
		var line struct {
			Seq  int64
			Hash string
			Body []byte
		}
		require.NoError(c.t, lines.Decode(&line))
		if line.Body == nil {
			continue
		}
		entry, err := ledger.Parse(line.Body)
		require.NoError(c.t, err)
		if entry.Subject.Kind != ledger.SubjectExposure {
			continue
		}
		var payload struct{ IdempotencyKey string }
		require.NoError(c.t, json.Unmarshal(entry.Payload, &payload))
		list = append(list, kept{told{line.Seq, line.Hash}, payload.IdempotencyKey})
	}
	return list
}

func (c *crash) compare(entries []kept) []string { return compareBooks(c.told, entries) }

// compareBooks says which decisions that were told as done are not in the ledger
// once, and which of the ledger nobody was told of.
func compareBooks(said map[string]told, entries []kept) (faults []string) {
	found := map[string][]told{}
	for _, entry := range entries {
		found[entry.Key] = append(found[entry.Key], entry.told)
	}
	for key, is := range said {
		switch there := found[key]; {
		case len(there) == 0:
			faults = append(faults, key+" is missing")
		case len(there) > 1:
			faults = append(faults, fmt.Sprintf("%s is there %d times", key, len(there)))
		case there[0] != is:
			faults = append(faults, fmt.Sprintf("%s is %v, and was told as %v", key, there[0], is))
		}
	}
	for key := range found {
		if _, asked := said[key]; !asked {
			faults = append(faults, key+" is there, and nobody was told")
		}
	}
	slices.Sort(faults)
	return faults
}

// TestComparingBooks shows that the comparison finds what it is for.
func TestComparingBooks(t *testing.T) {
	t.Parallel()
	said := map[string]told{"a": {1, "aa"}, "b": {2, "bb"}, "c": {3, "cc"}}
	books := []kept{{told{1, "aa"}, "a"}, {told{2, "bb"}, "b"}, {told{3, "cc"}, "c"}}
	require.Empty(t, compareBooks(said, books))
	require.Equal(t, []string{"c is missing"}, compareBooks(said, books[:2]))
	require.Equal(t, []string{"a is there 2 times"}, compareBooks(said, append(slices.Clone(books), kept{told{4, "dd"}, "a"})))
	require.Equal(t, []string{"b is {9 bb}, and was told as {2 bb}"}, compareBooks(said, []kept{books[0], {told{9, "bb"}, "b"}, books[2]}))
	require.Equal(t, []string{"d is there, and nobody was told"}, compareBooks(said, append(slices.Clone(books), kept{told{4, "dd"}, "d"})))
}

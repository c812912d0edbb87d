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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/change/feedtest"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// replicaURLEnv makes the test binary a server on the database that it names: one of
// several replicas, each a process of its own.
// Its files are in the other.
const (
	replicaURLEnv   = "APP_TEST_REPLICA_URL"
	replicaFilesEnv = "APP_TEST_REPLICA_FILES"
)

func init() {
	if address := os.Getenv(replicaURLEnv); address != "" {
		os.Exit(serveUntilKilled(app.Config{Listen: "127.0.0.1:0", DatabaseURL: address,
			Files: app.FilesConfig{Location: os.Getenv(replicaFilesEnv)}, Logger: slog.New(slog.DiscardHandler), Now: time.Now}))
	}
}

// The size of the tests.
const (
	lossWriters     = 16
	lossReplicas    = 3
	lossSubscribers = 8
	lossKills       = 3 // of which the last is PostgreSQL
)

var lossSlugs = []string{"one", "two", "three"}

// lossRounds is how many transactions each writer begins.
func lossRounds(t *testing.T) int {
	t.Helper()
	if soak := os.Getenv("EXPOSUREGRAPH_SOAK"); soak != "" {
		n, err := strconv.Atoi(soak)
		require.NoError(t, err)
		return max(20, n/10)
	}
	if testing.Short() {
		return 8
	}
	return 20
}

// loss is a feed under test: writers whose transactions overlap, and subscribers who
// come and go. Whatever is committed, each of them must have seen it, once, in the
// order of the table.
type loss struct {
	t             *testing.T
	address       func() string // of the database, for the runtime role
	organizations []id.ID
	write         func(ctx context.Context, conn *pgx.Conn, dice *rand.Rand, organization id.ID, count int, before func() error) error
	follow        func(ctx context.Context, dice *rand.Rand, organization int, after string, take func(line, cursor string) bool) error

	patience  time.Duration
	hold      atomic.Bool // the writers do not end yet
	done      atomic.Bool // the writers have ended
	want      []int       // of each organization, then
	committed atomic.Int64
	broken    atomic.Int64 // transactions of which the writer does not know how they ended
	resumed   atomic.Int64
}

var (
	errRolledBack  = errors.New("rolled back")
	errNothingLeft = errors.New("nothing is left")
)

// writer has things happen in every organization and source, crosswise.
func (l *loss) writer(n, rounds int) {
	dice := rand.New(rand.NewPCG(uint64(n), 6)) //nolint:gosec // the same at each run
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.Background())
		}
	}()
	ctx, cancel := context.WithTimeout(l.t.Context(), l.patience)
	defer cancel()
	for round := 0; (round < rounds || l.hold.Load()) && ctx.Err() == nil; {
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(ctx, l.address()); err != nil {
				conn = nil
				time.Sleep(50 * time.Millisecond)
				continue
			}
		}
		kept := dice.IntN(5) > 0
		err := l.write(ctx, conn, dice, l.organizations[dice.IntN(len(l.organizations))], 1+dice.IntN(20), func() error {
			time.Sleep(time.Duration(dice.IntN(30_000)) * time.Microsecond)
			if !kept {
				return errRolledBack
			}
			return nil
		})
		switch {
		case err == nil:
			l.committed.Add(1)
		case !errors.Is(err, errRolledBack):
			if l.broken.Add(1) == 1 {
				l.t.Logf("writer %d was the first whose transaction broke off: %s", n, err)
			}
			_ = conn.Close(context.Background())
		}
		round++
	}
}

// subscriber follows one organization until it has what was committed there, and goes
// away and comes back meanwhile.
func (l *loss) subscriber(n int) (lines []string) {
	dice := rand.New(rand.NewPCG(uint64(n), 7)) //nolint:gosec // the same at each run
	organization, cursor := n%len(l.organizations), ""
	for deadline := time.Now().Add(l.patience); time.Now().Before(deadline); l.resumed.Add(1) {
		if l.done.Load() && l.want != nil && len(lines) >= l.want[organization] {
			return lines
		}
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Duration(100+dice.IntN(1500))*time.Millisecond)
		leave := 1 + dice.IntN(300) // lines on
		err := l.follow(ctx, dice, organization, cursor, func(line, at string) bool {
			if cursor = at; line != "" {
				lines = append(lines, line)
				leave--
			}
			return leave > 0
		})
		gone := ctx.Err() != nil
		cancel()
		if errors.Is(err, errNothingLeft) {
			return lines
		}
		if err != nil && !gone {
			time.Sleep(time.Duration(dice.IntN(100)) * time.Millisecond)
		}
	}
	return lines
}

// run has the writers and the subscribers at it, with something beside, and gives what
// each subscriber saw.
func (l *loss) run(rounds int, count func() []int, beside func(writing <-chan struct{})) [][]string {
	l.t.Helper()
	l.patience = time.Duration(rounds) * 9 * time.Second // twenty rounds have three minutes
	streams := make([][]string, lossSubscribers)
	var reading, writing sync.WaitGroup
	for n := range streams {
		reading.Go(func() { streams[n] = l.subscriber(n) })
	}
	for n := range lossWriters {
		writing.Go(func() { l.writer(n, rounds) })
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	if beside != nil {
		beside(written)
	}
	<-written
	if count != nil {
		l.want = count()
	}
	l.done.Store(true)
	reading.Wait()
	return streams
}

// feedFaults says where what a subscriber saw is not the table.
func feedFaults(table, stream []string) (faults []string) {
	for i := range min(len(table), len(stream)) {
		if table[i] != stream[i] {
			return []string{fmt.Sprintf("place %d is %q, and was seen as %q", i+1, table[i], stream[i])}
		}
	}
	if len(table) != len(stream) {
		faults = append(faults, fmt.Sprintf("%d were seen of %d", len(stream), len(table)))
	}
	return faults
}

// TestFeedFaults shows that the comparison finds what it is for.
func TestFeedFaults(t *testing.T) {
	t.Parallel()
	table := []string{"1 a", "2 b", "3 c"}
	require.Empty(t, feedFaults(table, slices.Clone(table)))
	for name, stream := range map[string][]string{
		"nothing": nil, "lost in the middle": {"1 a", "3 c"}, "lost at the end": {"1 a", "2 b"}, "seen twice": {"1 a", "1 a", "2 b", "3 c"},
		"seen again at the end": {"1 a", "2 b", "3 c", "3 c"}, "another order": {"2 b", "1 a", "3 c"}, "another event": {"1 a", "2 x", "3 c"},
	} {
		require.NotEmpty(t, feedFaults(table, stream), name)
	}
}

// replicas -------------------------------------------------------------------------

// fleet are replicas on one database.
type fleet struct {
	t        *testing.T
	address  func() string
	files    string
	token    string
	http     http.Client
	mu       sync.Mutex
	replicas [lossReplicas]*replica
}

type replica struct {
	url    string
	child  *exec.Cmd
	stdin  io.Closer
	exited chan struct{}
}

func newFleet(t *testing.T, address func() string, owner string) *fleet {
	t.Helper()
	f := &fleet{t: t, address: address, files: t.TempDir(), http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: lossSubscribers}}}
	key, err := access.EnsureKey(t.Context(), owner, time.Now())
	require.NoError(t, err)
	f.token, err = access.Issue(key, access.Actor{Subject: "ann", Role: access.Client, Organizations: lossSlugs, Scopes: []access.Scope{access.View, access.Operate}}, time.Hour, time.Now())
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, r := range f.replicas {
			if r != nil {
				_ = r.child.Process.Kill()
				<-r.exited
			}
		}
	})
	for n := range f.replicas {
		require.NoError(t, f.launch(n))
	}
	return f
}

// launch starts a replica in the place of the one before.
func (f *fleet) launch(n int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	r := &replica{child: exec.Command(program), exited: make(chan struct{})}
	r.child.Env = append(os.Environ(), replicaURLEnv+"="+f.address(), replicaFilesEnv+"="+f.files)
	r.child.Stderr = os.Stderr
	if r.stdin, err = r.child.StdinPipe(); err != nil { // which ends with this process
		return err
	}
	stdout, err := r.child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.child.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = r.child.Wait()
		close(r.exited)
	}()
	if _, scanned := fmt.Sscanf(line, "ready %s", &r.url); err != nil || scanned != nil {
		_ = r.child.Process.Kill()
		<-r.exited
		return fmt.Errorf("the replica said %q", line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas[n] = r
	return nil
}

// kill kills a replica and starts another, as often as it takes: its database may be
// gone at that moment.
func (f *fleet) kill(n int) {
	f.t.Helper()
	r := f.replicas[n]
	require.NoError(f.t, r.child.Process.Kill())
	<-r.exited
	require.Eventually(f.t, func() bool { return f.launch(n) == nil }, time.Minute, 100*time.Millisecond)
}

const lossDocument = `subscription Feed($organization: String!, $after: String) { exposureChanges(organization: $organization, after: $after) { seq cursor heartbeat occurredAt } }`

// follow subscribes at any replica, over server-sent events, until it is cut off.
func (f *fleet) follow(ctx context.Context, dice *rand.Rand, organization int, after string, take func(line, cursor string) bool) error {
	variables := map[string]any{"organization": lossSlugs[organization]}
	if after != "" {
		variables["after"] = after
	}
	body, err := json.Marshal(map[string]any{"query": lossDocument, "variables": variables})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.any(dice)+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+f.token)
	response, err := f.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !found || len(bytes.TrimSpace(data)) == 0 {
			continue
		}
		var event struct {
			Data *struct {
				ExposureChanges struct {
					Seq        int64
					Cursor     string
					Heartbeat  bool
					OccurredAt time.Time
				}
			}
			Errors json.RawMessage
		}
		if err := json.Unmarshal(data, &event); err != nil {
			return err
		}
		if event.Data == nil {
			return fmt.Errorf("refused: %s", event.Errors)
		}
		frame, line := event.Data.ExposureChanges, ""
		if !frame.Heartbeat {
			line = lossLine(frame.Seq, frame.OccurredAt)
		}
		if !take(line, frame.Cursor) {
			return nil
		}
	}
	return lines.Err()
}

// write has things happen, some of them at the replicas. A replica numbers at once what
// is committed through it, so that they take turns at the feeds, while each has
// subscribers to whom it shows what the others have numbered.
func (f *fleet) write(ctx context.Context, conn *pgx.Conn, dice *rand.Rand, organization id.ID, count int, before func() error) error {
	if dice.IntN(3) > 0 {
		return deliveries(ctx, conn, dice, organization, count, before)
	}
	slug := slices.IndexFunc(lossSlugs, func(slug string) bool { return id.Organization(slug) == organization })
	return f.deliver(ctx, f.any(dice), lossSlugs[slug], fmt.Sprint("over HTTP ", dice.IntN(8)))
}

// any is the address of one of the replicas.
func (f *fleet) any(dice *rand.Rand) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replicas[dice.IntN(len(f.replicas))].url
}

// deliver imports nothing new: one event. Where another was faster to say what is seen
// later, it is a late one.
func (f *fleet) deliver(ctx context.Context, address, slug, source string) error {
	body := fmt.Sprintf(`{"kind":"header","format":"exposuregraph-snapshot","version":1,"source":%q,"system":"made-up","observedAt":%q}
{"kind":"identity","id":"svc"}
{"kind":"trailer","records":1,"counts":{"identity":1}}
`, source, time.Now().UTC().Format(time.RFC3339Nano))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/imports/snapshot?strict=true&org="+slug, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("Authorization", "Bearer "+f.token)
	response, err := f.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the import was answered with %d: %s", response.StatusCode, said)
	}
	return nil
}

// requireAlive holds that no replica has ended by itself.
func (f *fleet) requireAlive() {
	f.t.Helper()
	for n, r := range f.replicas {
		select {
		case <-r.exited:
			f.t.Fatalf("replica %d has ended: %s", n, r.child.ProcessState)
		default:
		}
	}
}

func lossLine(seq int64, at time.Time) string { return fmt.Sprint(seq, " ", at.UTC().UnixMicro()) }

// deliveries writes what the feed is of.
func deliveries(ctx context.Context, conn *pgx.Conn, dice *rand.Rand, organization id.ID, count int, before func() error) error {
	_, err := feedtest.Deliveries{
		Organization: organization, Source: feedtest.Source(organization, []string{"a", "b"}[dice.IntN(2)]), Count: count, Urgent: dice.IntN(4) == 0,
		From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Span: 200 * 24 * time.Hour, Before: before,
	}.Write(ctx, conn, dice)
	return err
}

func prepareLoss(t *testing.T, address string) (organizations []id.ID) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, slug := range lossSlugs {
		organization, err := feedtest.Prepare(t.Context(), conn, slug, "a", "b")
		require.NoError(t, err)
		organizations = append(organizations, organization)
	}
	return organizations
}

// rowsOf reads lines of an organization, as the runtime role.
func rowsOf(t *testing.T, address string, organization id.ID, sql string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(t.Context(), `SELECT set_config('app.organization', $1, false)`, organization.String())
	require.NoError(t, err)
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return list
}

// requireFeed holds the feeds to what was committed, and the streams to the feeds.
func (l *loss) requireFeed(streams [][]string) {
	l.t.Helper()
	events := 0
	tables := make([][]string, len(l.organizations))
	for n, organization := range l.organizations {
		synced := rowsOf(l.t, l.address(), organization, `SELECT id::text FROM sync ORDER BY 1`)
		require.Equal(l.t, synced, rowsOf(l.t, l.address(), organization, `SELECT entity_id::text FROM exposure_changes ORDER BY 1`), "the feed is what was committed")
		tables[n] = rowsOf(l.t, l.address(), organization, `SELECT seq || ' ' || (extract(epoch FROM at) * 1000000)::bigint FROM exposure_changes ORDER BY seq`)
		for i, line := range tables[n] {
			require.True(l.t, strings.HasPrefix(line, strconv.Itoa(i+1)+" "), "the numbers have no gap: %q is at place %d", line, i+1)
		}
		events += len(synced)
	}
	for n, stream := range streams {
		require.Empty(l.t, feedFaults(tables[n%len(tables)], stream), "subscriber %d", n)
	}
	l.t.Logf("%d events of %d transactions; %d more broke off; subscribers came back %d times", events, l.committed.Load(), l.broken.Load(), l.resumed.Load())
	require.Positive(l.t, events)
	require.Greater(l.t, l.resumed.Load(), int64(lossSubscribers))
}

// synced counts what was committed.
func (l *loss) synced() (counts []int) {
	for _, organization := range l.organizations {
		counts = append(counts, len(rowsOf(l.t, l.address(), organization, `SELECT id::text FROM sync`)))
	}
	return counts
}

// TestFeedLosesNothing: 16 writers whose transactions overlap and roll back, at the
// database and at three replicas that take turns at numbering, and subscribers who disconnect and go on at another replica.
func TestFeedLosesNothing(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	address := func() string { return database.RuntimeURL }
	f := newFleet(t, address, database.OwnerURL)
	l := &loss{t: t, address: address, organizations: prepareLoss(t, address()), write: f.write, follow: f.follow}
	streams := l.run(lossRounds(t), l.synced, nil)
	f.requireAlive()
	l.requireFeed(streams)
	require.Zero(t, l.broken.Load())
}

// TestNaiveFeedLoses: the same at a table whose numbers are drawn from a sequence. A
// number is drawn before the commit, so one can become visible behind a place that a
// subscriber has passed. The test sees that; were it not to, it would prove nothing of
// the other.
func TestNaiveFeedLoses(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	super := database.Super(t)
	for _, statement := range []string{
		`CREATE TABLE naive_feed (seq bigserial PRIMARY KEY, organization_id uuid NOT NULL, what text NOT NULL)`,
		`GRANT ALL ON naive_feed TO PUBLIC`, `GRANT ALL ON SEQUENCE naive_feed_seq_seq TO PUBLIC`,
	} {
		_, err := super.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	l := &loss{t: t, address: func() string { return database.RuntimeURL }, organizations: prepareLoss(t, database.RuntimeURL)}
	l.write = func(ctx context.Context, conn *pgx.Conn, dice *rand.Rand, organization id.ID, count int, before func() error) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		if _, err := tx.Exec(ctx, `INSERT INTO naive_feed (organization_id, what) SELECT $1, n || $2::text FROM generate_series(1, $3::int) n`, organization, fmt.Sprint(" of ", dice.Uint64()), count); err != nil {
			return err
		}
		if err := before(); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}
	l.follow = func(ctx context.Context, _ *rand.Rand, organization int, after string, take func(line, cursor string) bool) error {
		conn, err := pgx.Connect(ctx, l.address())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.Background()) }()
		for {
			done := l.done.Load()
			rows, err := conn.Query(ctx, `SELECT seq::text, what FROM naive_feed WHERE organization_id = $1 AND seq > coalesce(nullif($2, '')::bigint, 0) ORDER BY seq LIMIT 500`,
				l.organizations[organization], after)
			if err != nil {
				return err
			}
			more, stay := false, true
			var what string
			if _, err := pgx.ForEachRow(rows, []any{&after, &what}, func() error {
				more = true
				if stay {
					stay = take(after+" "+what, after)
				}
				return nil
			}); err != nil || !stay {
				return err
			}
			if done && !more {
				return errNothingLeft
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	streams := l.run(lossRounds(t), nil, nil)
	faults := 0
	for n, stream := range streams {
		table := rowsOf(t, l.address(), l.organizations[n%len(l.organizations)],
			`SELECT seq || ' ' || what FROM naive_feed WHERE organization_id = current_setting('app.organization')::uuid ORDER BY seq`)
		require.NotEmpty(t, stream)
		faults += len(feedFaults(table, stream))
		t.Logf("subscriber %d saw %d of %d", n, len(stream), len(table))
	}
	require.Positive(t, faults, "nothing was lost: the test cannot see a loss")
}

// TestFeedOutlivesKills: the same with replicas and PostgreSQL killed meanwhile.
func TestFeedOutlivesKills(t *testing.T) {
	t.Parallel()
	folder, err := devpg.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	open := func() *app.Database {
		database, err := app.OpenDatabase(t.Context(), app.DatabaseConfig{DataDir: folder, Logger: slog.New(slog.DiscardHandler), Exclusive: true, Migrate: true})
		require.NoError(t, err)
		return database
	}
	database := open()
	t.Cleanup(func() { require.NoError(t, database.Close()) })
	where := database.RuntimeURL
	address := func() string { return where }
	f := newFleet(t, address, database.OwnerURL)
	l := &loss{t: t, address: address, organizations: prepareLoss(t, where), write: f.write, follow: f.follow}
	dice := rand.New(rand.NewPCG(8, 2026)) //nolint:gosec // the same at each run
	kills := 0
	l.hold.Store(true) // however fast the machine is, the kills come between
	streams := l.run(3*lossRounds(t), l.synced, func(writing <-chan struct{}) {
		for ; ; kills++ {
			select {
			case <-writing:
				return
			case <-time.After(time.Duration(200+dice.IntN(600)) * time.Millisecond):
			}
			if kills%lossKills < lossKills-1 {
				f.kill(dice.IntN(lossReplicas))
				continue
			}
			require.NoError(t, stopPostgres(t, database))
			<-database.Lost()
			_ = database.Close()
			database = open()
			require.Equal(t, where, database.RuntimeURL)
			l.hold.Store(false)
		}
	})
	l.requireFeed(streams)
	t.Logf("%d kills", kills)
	require.GreaterOrEqual(t, kills, lossKills)
}

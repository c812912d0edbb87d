package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/cli"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// tokenFor makes a token whose key the servers on the database know.
func tokenFor(t *testing.T, database *dbtest.Database, actor access.Actor) string {
	t.Helper()
	key, err := access.EnsureKey(t.Context(), database.OwnerURL, time.Now())
	require.NoError(t, err)
	token, err := access.Issue(key, actor, time.Hour, time.Now())
	require.NoError(t, err)
	return token
}

// frame is what clients of these tests ask for.
type frame struct {
	Seq                     *int64
	Cursor                  string
	Heartbeat               bool
	Type, Title, EntityType string
	Change                  *struct {
		CausedBy *struct{ Title string }
		Path     *struct{ Workload *struct{ SourceID string } }
	}
}

const framesOf = `subscription Live($after: String, $filter: ExposureChangeFilter) { exposureChanges(organization: "acme", after: $after, filter: $filter) {
	seq cursor heartbeat type title entityType change { causedBy { title } path { workload { sourceId } } } } }`

// follower is a client of a WebSocket.
type follower struct {
	t  *testing.T
	ws *websocket.Conn
}

func (f *follower) say(message any) {
	f.t.Helper()
	text, err := json.Marshal(message)
	require.NoError(f.t, err)
	require.NoError(f.t, f.ws.Write(f.t.Context(), websocket.MessageText, text))
}

// hear is the next message that is no ping.
func (f *follower) hear() (m struct {
	ID, Type string
	Payload  json.RawMessage
}, err error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	for {
		_, text, err := f.ws.Read(ctx)
		if err != nil {
			return m, err
		}
		require.NoError(f.t, json.Unmarshal(text, &m))
		if m.Type != "ping" {
			return m, nil
		}
		f.say(map[string]string{"type": "pong"})
	}
}

// follow opens a WebSocket and subscribes.
func follow(t *testing.T, a *app.App, token string, variables map[string]any) *follower {
	t.Helper()
	ws, response, err := websocket.Dial(t.Context(), a.URL()+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	require.NoError(t, err)
	if response.Body != nil {
		_ = response.Body.Close()
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	f := &follower{t, ws}
	f.say(map[string]any{"type": "connection_init", "payload": map[string]string{"Authorization": "Bearer " + token}})
	m, err := f.hear()
	require.NoError(t, err)
	require.Equal(t, "connection_ack", m.Type)
	f.say(map[string]any{"type": "subscribe", "id": "1", "payload": map[string]any{"query": framesOf, "variables": variables}})
	return f
}

func (f *follower) next() frame {
	f.t.Helper()
	m, err := f.hear()
	require.NoError(f.t, err)
	require.Equal(f.t, "next", m.Type, string(m.Payload))
	var payload struct {
		Data   struct{ ExposureChanges frame }
		Errors json.RawMessage
	}
	require.NoError(f.t, json.Unmarshal(m.Payload, &payload))
	require.Empty(f.t, payload.Errors)
	return payload.Data.ExposureChanges
}

// upTo are the frames up to one of a type, which is among them; the type of a
// heartbeat is empty.
func (f *follower) upTo(kind string) (frames []frame) {
	f.t.Helper()
	for {
		frames = append(frames, f.next())
		if frames[len(frames)-1].Type == kind {
			return frames
		}
	}
}

// seqs asserts that the changes among frames are numbered without a gap.
func seqs(t *testing.T, from int64, frames []frame) (last int64) {
	t.Helper()
	for _, f := range frames {
		if f.Seq == nil {
			require.True(t, f.Heartbeat)
			continue
		}
		require.Equal(t, from+1, *f.Seq, "%+v", f)
		from++
	}
	return from
}

// tailing is `exposuregraph tail` under way.
type tailing struct {
	lines *bufio.Scanner
	stop  func() int
}

func startTail(t *testing.T, args ...string) *tailing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := cli.Run(ctx, cli.Process{Args: append([]string{"tail"}, args...), Stdin: strings.NewReader(""), Stdout: writer, Stderr: io.Discard, Now: time.Now,
			LookupEnv: func(string) (string, bool) { return "", false }})
		_ = writer.Close()
		ended <- code
	}()
	tail := &tailing{lines: bufio.NewScanner(reader)}
	tail.stop = func() int {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, reader) }()
		return <-ended
	}
	t.Cleanup(func() { cancel(); _ = reader.Close() })
	return tail
}

// upTo are the lines up to one of a type.
func (l *tailing) upTo(t *testing.T, kind string) (frames []frame) {
	t.Helper()
	for l.lines.Scan() {
		var f frame
		require.NoError(t, json.Unmarshal(l.lines.Bytes(), &f), l.lines.Text())
		f.Heartbeat = f.Seq == nil
		if frames = append(frames, f); f.Type == kind {
			return frames
		}
	}
	t.Fatalf("tail has ended after %d lines", len(frames))
	return nil
}

// deliver imports a snapshot in which a job reaches a database.
func deliver(t *testing.T, a *app.App, token string, observed time.Time, jobs ...string) {
	t.Helper()
	lines := []string{
		`{"kind":"identity","id":"svc"}`, `{"kind":"role","id":"writer"}`, `{"kind":"resource","id":"billing","name":"Billing","dataDomain":"finance","sensitivity":"restricted"}`,
		`{"kind":"has_role","identity":"svc","role":"writer","scope":"*"}`, `{"kind":"grants","role":"writer","scope":"*","resource":"billing","actions":["update"]}`,
		`{"kind":"coverage","evidence":"ownership","completeness":"complete"}`,
	}
	for _, job := range jobs {
		lines = append(lines, fmt.Sprintf(`{"kind":"workload","id":%q}`, job), fmt.Sprintf(`{"kind":"runs_as","workload":%q,"identity":"svc"}`, job))
	}
	send(t, a, token, observed, lines)
}

// send delivers records as the source platform of the system eu.
func send(t *testing.T, a *app.App, token string, observed time.Time, records []string) {
	t.Helper()
	header := fmt.Sprintf(`{"kind":"header","format":"exposuregraph-snapshot","version":1,"source":"platform","system":"eu","observedAt":%q}`, observed.UTC().Format(time.RFC3339))
	counts := map[string]int{}
	for _, line := range records {
		var record struct{ Kind string }
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		counts[record.Kind]++
	}
	trailer, err := json.Marshal(map[string]any{"kind": "trailer", "records": len(records), "counts": counts})
	require.NoError(t, err)
	lines := slices.Concat([]string{header}, records, []string{string(trailer)})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/imports/snapshot?org=acme&create=true&strict=true", strings.NewReader(strings.Join(lines, "\n")+"\n"))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
}

// published waits until all that has happened is in the feed, and gives its head.
func published(t *testing.T, a *app.App, token string) (cursor string) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer := ask(t, a, token, `{ organization(slug: "acme") { exposureChangeFeed { seq pending cursor } } }`)
		var organization struct {
			ExposureChangeFeed struct {
				Seq     int64
				Pending int
				Cursor  string
			}
		}
		require.NoError(t, json.Unmarshal(answer.Data["organization"], &organization))
		cursor = organization.ExposureChangeFeed.Cursor
		return organization.ExposureChangeFeed.Pending == 0 && organization.ExposureChangeFeed.Seq > 0
	}, 20*time.Second, 5*time.Millisecond)
	return cursor
}

// acknowledge decides about the first exposure there is.
func acknowledge(t *testing.T, a *app.App, token string) {
	t.Helper()
	found := ask(t, a, token, `{ organization(slug: "acme") { exposures(first: 1) { nodes { id version } } } }`)
	require.Empty(t, found.Errors)
	var organization struct {
		Exposures struct {
			Nodes []struct {
				ID      string
				Version int
			}
		}
	}
	require.NoError(t, json.Unmarshal(found.Data["organization"], &organization))
	x := organization.Exposures.Nodes[0]
	done := ask(t, a, token, fmt.Sprintf(`mutation { acknowledgeExposure(input: {exposure: %q, expectedVersion: %d, justification: "known", idempotencyKey: "k"}) { userErrors { code } } }`, x.ID, x.Version))
	require.Empty(t, done.Errors)
	require.JSONEq(t, `{"userErrors":[]}`, string(done.Data["acknowledgeExposure"]))
}

// TestFeedIsLive: what an import and a decision change reaches who follows, over a
// WebSocket and over server-sent events, and who comes back to a server that was
// started again goes on where it was.
func TestFeedIsLive(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	everybody := access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}
	a, stop := start(t, config(database))
	token := tokenFor(t, database, everybody)
	begin := time.Now().Add(-time.Hour)
	deliver(t, a, token, begin, "first")
	published(t, a, token)

	// From the beginning, and then live.
	socket := follow(t, a, token, nil)
	first := socket.upTo("")
	require.Equal(t, "SYNC_APPLIED", first[0].Type)
	require.Contains(t, types(first), "AUTHORITY_PATH_DISCOVERED")
	require.Contains(t, types(first), "EXPOSURE_OPENED")
	last := seqs(t, 0, first)
	require.EqualValues(t, len(first)-1, last)

	tail := startTail(t, "--org", "acme", "--server", a.URL(), "--token", token)
	require.Equal(t, last, seqs(t, 0, tail.upTo(t, "")))
	only := follow(t, a, token, map[string]any{"filter": map[string]any{"type": "EXPOSURE_DISPOSITION_CHANGED"}})
	require.Len(t, only.upTo(""), 1, "nothing of the kind yet")

	deliver(t, a, token, begin.Add(time.Minute), "first", "second")
	second := socket.upTo("EXPOSURE_OPENED")
	var discovered *frame
	for i, f := range second {
		if f.Type == "AUTHORITY_PATH_DISCOVERED" {
			discovered = &second[i]
		}
	}
	require.NotNil(t, discovered, "%+v", second)
	require.Equal(t, "second", discovered.Change.Path.Workload.SourceID, "what hangs on a frame is read when it is sent")
	require.Equal(t, second[0].Title, discovered.Change.CausedBy.Title)

	acknowledge(t, a, token)
	second = append(second, socket.upTo("EXPOSURE_DISPOSITION_CHANGED")...)
	head := seqs(t, last, second)
	require.Equal(t, head, seqs(t, last, tail.upTo(t, "EXPOSURE_DISPOSITION_CHANGED")))
	require.Equal(t, head, *only.upTo("EXPOSURE_DISPOSITION_CHANGED")[0].Seq)

	// The server stops: it says so, and is not waited for.
	stopped := time.Now()
	require.NoError(t, stop())
	require.Less(t, time.Since(stopped), 12*time.Second, "open streams do not take the grace of requests")
	_, err := socket.hear()
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err), "%v", err)

	// Another one on the same address goes on.
	again := config(database)
	again.Listen = strings.TrimPrefix(a.URL(), "http://")
	b, _ := start(t, again)
	cursor := second[0].Cursor
	resumed := follow(t, b, token, map[string]any{"after": cursor})
	frames := resumed.upTo("")
	require.Equal(t, head, seqs(t, *second[0].Seq, frames))
	deliver(t, b, token, begin.Add(2*time.Minute), "first")
	removed := resumed.upTo("AUTHORITY_PATH_REMOVED")
	seqs(t, head, removed)
	require.Equal(t, types(removed), types(changes(tail.upTo(t, "AUTHORITY_PATH_REMOVED"))), "tail has come again by itself")
	require.Zero(t, tail.stop())
}

// TestFollowersHoldNoConnection: more follow a feed than the database has connections
// for, and everybody else is answered.
func TestFollowersHoldNoConnection(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	token := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	begin := time.Now().Add(-time.Hour)
	deliver(t, a, token, begin, "first")
	head := published(t, a, token)
	var all []*follower
	for range 40 {
		f := follow(t, a, token, map[string]any{"after": head})
		require.True(t, f.next().Heartbeat) // it has arrived at the head, and waits
		all = append(all, f)
	}
	acknowledge(t, a, token)
	for _, f := range all {
		require.Equal(t, "EXPOSURE_DISPOSITION_CHANGED", f.next().Type)
	}
	deliver(t, a, token, begin.Add(time.Minute), "first", "second")
	for _, f := range all {
		f.upTo("EXPOSURE_OPENED")
	}
}

func types(frames []frame) (list []string) {
	for _, f := range frames {
		list = append(list, f.Type)
	}
	return list
}

func changes(frames []frame) (list []frame) {
	for _, f := range frames {
		if !f.Heartbeat {
			list = append(list, f)
		}
	}
	return list
}

// TestFeedIsRefused: errors of a subscription say what is wrong, over both
// transports, and tail ends with their exit code.
func TestFeedIsRefused(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	everybody := access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}
	stranger := access.Actor{Subject: "ann", Role: access.Client, Organizations: []string{"other"}, Scopes: access.Scopes}
	blind := access.Actor{Subject: "bob", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.Audit}}
	a, _ := start(t, config(database))
	token := tokenFor(t, database, everybody)
	deliver(t, a, token, time.Now().Add(-time.Hour), "first")
	head := published(t, a, token)

	for name, row := range map[string]struct {
		token     string
		variables map[string]any
		code      string
		exit      int // of tail; -1 where tail has no such flag
	}{
		"a stranger":              {tokenFor(t, database, stranger), nil, "ORGANIZATION_NOT_FOUND", 4},
		"without the scope":       {tokenFor(t, database, blind), nil, "SCOPE_MISSING", 5},
		"a cursor that is none":   {token, map[string]any{"after": "nonsense"}, "CURSOR_INVALID", 1},
		"a cursor of another":     {token, map[string]any{"after": change.EncodeCursor(id.Organization("other"), 1)}, "CURSOR_OF_ANOTHER_FEED", 1},
		"beyond the head":         {token, map[string]any{"after": change.EncodeCursor(id.Organization("acme"), 1000)}, "CURSOR_BEYOND_HEAD", 6},
		"an empty cursor":         {token, map[string]any{"after": ""}, "CURSOR_INVALID", -1},
		"a type that is none":     {token, map[string]any{"filter": map[string]any{"type": "NONSENSE"}}, "GRAPHQL_VALIDATION_FAILED", -1},
		"more values than a list": {token, map[string]any{"filter": map[string]any{"lineage": many(101)}}, "FILTER_TOO_LARGE", -1},
	} {
		f := follow(t, a, row.token, row.variables)
		m, err := f.hear()
		require.NoError(t, err)
		require.Equal(t, "error", m.Type, "%s: %s", name, m.Payload)
		require.Contains(t, string(m.Payload), `"code":"`+row.code+`"`, name)
		if row.exit >= 0 {
			args := []string{"--org", "acme", "--server", a.URL(), "--token", row.token}
			if after, ok := row.variables["after"].(string); ok {
				args = append(args, "--after", after)
			}
			tail := startTail(t, args...)
			require.False(t, tail.lines.Scan(), name)
			require.Equal(t, row.exit, tail.stop(), name)
		}
	}
	missing := startTail(t, "--org", "nobody", "--server", a.URL(), "--token", token)
	require.False(t, missing.lines.Scan())
	require.Equal(t, 4, missing.stop())
	now := startTail(t, "--org", "acme", "--server", a.URL(), "--token", token, "--from-now")
	require.Equal(t, head, now.upTo(t, "")[0].Cursor)
	require.Zero(t, now.stop())

	// Not a stream.
	answer := ask(t, a, token, `subscription { exposureChanges(organization: "acme") { cursor } }`)
	require.Equal(t, "SUBSCRIPTION_NEEDS_STREAM", answer.Errors[0].Extensions.Code)
}

func many(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

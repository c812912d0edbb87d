package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/cli"
)

// progressed is a frame of an import that is looked at.
type progressed struct {
	Phase   string
	Records int
	Code    *string
	Sync    *struct{ Outcome string }
}

// look follows an import over a WebSocket.
func look(t *testing.T, a *app.App, token, delivery string) *follower {
	t.Helper()
	f := follow(t, a, token, map[string]any{"after": "nothing"})
	m, err := f.hear() // the subscription that it begins with is refused
	require.NoError(t, err)
	require.Equal(t, "error", m.Type)
	f.say(map[string]any{"type": "subscribe", "id": "2", "payload": map[string]any{
		"query":     `subscription($id: ID!) { syncProgress(organization: "acme", id: $id) { phase records code sync { outcome } } }`,
		"variables": map[string]any{"id": delivery}}})
	return f
}

// until reads the frames up to one that passes.
func (f *follower) until(passes func(progressed) bool) (last progressed) {
	f.t.Helper()
	for {
		m, err := f.hear()
		require.NoError(f.t, err)
		require.Equal(f.t, "next", m.Type, string(m.Payload))
		var payload struct {
			Data struct{ SyncProgress progressed }
		}
		require.NoError(f.t, json.Unmarshal(m.Payload, &payload))
		if last = payload.Data.SyncProgress; passes(last) {
			return last
		}
	}
}

func phaseIs(phase string) func(progressed) bool {
	return func(p progressed) bool { return p.Phase == phase }
}

// upload is an import whose body the test sends piece by piece.
type upload struct {
	*io.PipeWriter
	answer chan string
	cancel func()
}

func startUpload(t *testing.T, a *app.App, token, delivery string) *upload {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL()+"/imports/snapshot?org=acme&create=true&progress="+delivery, reader)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	u := &upload{writer, make(chan string, 1), func() {
		cancel()
		_ = writer.CloseWithError(context.Canceled) // net/http waits for who reads the body
	}}
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			u.answer <- ""
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		u.answer <- string(body)
	}()
	t.Cleanup(u.cancel)
	return u
}

func (u *upload) say(t *testing.T, lines ...string) {
	t.Helper()
	_, err := io.WriteString(u, strings.Join(lines, "\n")+"\n")
	require.NoError(t, err)
}

const snapshotHeader = `{"kind":"header","format":"exposuregraph-snapshot","version":1,"source":"platform","system":"eu","observedAt":"2026-03-01T12:00:00Z"}`

// much is so many records that they are more than the buffers on the way hold.
const much = 10_000

func identities(from, to int) (lines []string) {
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf(`{"kind":"identity","id":"svc-%d"}`, i))
	}
	return lines
}

// cutOff is what may be said of an import whose connection ended, by whatever found it
// first.
var cutOff = []string{"INTERRUPTED", "UPLOAD_CUT_OFF", "SNAPSHOT_TRUNCATED", "INTERNAL"}

// TestImportIsFollowed sends an import to one replica, and follows it on both: also
// one that is broken off, or whose server is told to stop.
func TestImportIsFollowed(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	here, stop := start(t, config(database))
	there, _ := start(t, config(database))
	token := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})

	delivery := uuid.NewString()
	far, near := look(t, there, token, delivery), look(t, here, token, delivery)
	u := startUpload(t, here, token, delivery)
	u.say(t, append([]string{snapshotHeader}, identities(0, much)...)...)
	some := func(p progressed) bool { return p.Phase == "RECEIVING" && p.Records > 0 }
	far.until(some)
	near.until(some)
	u.say(t, identities(much, 2*much)...)
	far.until(func(p progressed) bool { return p.Records > much })
	u.say(t, fmt.Sprintf(`{"kind":"trailer","records":%d,"counts":{"identity":%[1]d}}`, 2*much))
	require.NoError(t, u.Close())
	require.Contains(t, <-u.answer, `"outcome":"applied"`)
	for _, f := range []*follower{far, near} {
		end := f.until(phaseIs("DONE"))
		require.Equal(t, 2*much, end.Records)
		require.Equal(t, "APPLIED", end.Sync.Outcome)
		m, err := f.hear()
		require.NoError(t, err)
		require.Equal(t, "complete", m.Type)
	}

	// Its client goes away.
	delivery = uuid.NewString()
	u = startUpload(t, here, token, delivery)
	far = look(t, there, token, delivery)
	u.say(t, append([]string{snapshotHeader}, identities(0, much)...)...)
	far.until(some)
	u.cancel()
	require.Contains(t, cutOff, *far.until(phaseIs("FAILED")).Code)
	require.Empty(t, <-u.answer)

	// Its server stops.
	delivery = uuid.NewString()
	u = startUpload(t, here, token, delivery)
	far = look(t, there, token, delivery)
	u.say(t, append([]string{snapshotHeader}, identities(0, much)...)...)
	far.until(some)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Contains(t, cutOff, *far.until(phaseIs("FAILED")).Code)
	require.NoError(t, <-stopped)
}

// shared is a buffer that two may use.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestImportOnATerminal has the command show what the server says.
func TestImportOnATerminal(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	token := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	reader, writer := io.Pipe()
	var out, terminal shared
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(t.Context(), cli.Process{
			Args: []string{"import", "snapshot", "-", "--org", "acme", "--server", a.URL(), "--token", token}, Stdin: reader, Stdout: &out, Stderr: &terminal,
			Terminal: true, Now: time.Now, LookupEnv: func(string) (string, bool) { return "", false },
		})
	}()
	_, err := io.WriteString(writer, strings.Join(append([]string{snapshotHeader}, identities(0, much)...), "\n")+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(terminal.String(), "[===>                     ] receiving  ") }, 30*time.Second, 5*time.Millisecond)
	_, err = io.WriteString(writer, fmt.Sprintf(`{"kind":"trailer","records":%d,"counts":{"identity":%[1]d}}`+"\n", much))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	require.Zero(t, <-ended, terminal.String())
	require.Contains(t, out.String(), "10000 read, 10000 accepted")
	require.True(t, strings.HasSuffix(terminal.String(), " \r"), "the line is free again: %q", terminal.String())
}

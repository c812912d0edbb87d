package live_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// narrow is a client whose end of a connection holds next to nothing.
func narrow() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}}
}

func heap() uint64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}

func TestStalledSubscriberIsCut(t *testing.T) {
	h := setup(t, live.Limits{WriteTime: time.Second, PingTime: time.Hour})
	healthy := h.open(t, "bob")
	healthy.subscribe("1", "subscription{beat}")
	before := heap()

	const each = 10
	for range each {
		stalled := h.dial(t, &websocket.DialOptions{Subprotocols: []string{protocol}, HTTPClient: narrow()})
		stalled.say(initAnn)
		stalled.subscribe("1", "subscription{flood}")
	}
	for range each {
		body := strings.NewReader(`{"query":"subscription{flood}"}`)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL, body)
		require.NoError(t, err)
		for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Bearer ann"} {
			request.Header.Set(name, value)
		}
		response, err := narrow().Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	require.Eventually(t, func() bool { return h.started.Load() == 2*each+1 }, 30*time.Second, time.Millisecond)
	grown := int64(heap()) - int64(before)
	require.Less(t, grown, int64(2*each<<20), "what stalled clients hold") // one event each, and buffers
	require.Eventually(t, func() bool { return h.streams.Stats() == live.Stats{Open: 1, Cut: 2 * each} }, 30*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return h.running.Load() == 1 }, 30*time.Second, time.Millisecond) // who sends ends after its stream
	for range 50 {                                                                                        // who reads goes on
		require.Contains(t, healthy.hear(), `"beat"`)
	}
	h.healthy(t)
}

func TestSilentClientIsCut(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{PingTime: 100 * time.Millisecond})
	silent := h.open(t, "ann") // it reads, but answers no ping
	silent.subscribe("1", "subscription{never}")
	code, _ := silent.farewell()
	require.EqualValues(t, -1, code)
	require.EqualValues(t, 1, h.streams.Stats().Cut)
	h.quiet(t)

	lively := h.open(t, "ann")
	lively.subscribe("1", "subscription{never}")
	for range 5 {
		_, text, err := lively.Read(t.Context())
		require.NoError(t, err)
		require.JSONEq(t, `{"type":"ping"}`, string(text))
		lively.say(`{"type":"pong"}`)
	}
	require.EqualValues(t, 1, h.running.Load())
}

func TestDisconnectsLeaveNothing(t *testing.T) {
	h := setup(t, live.Limits{Rate: 1000})
	h.healthy(t)
	h.Client().CloseIdleConnections()
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	turns := make(chan struct{}, 50)
	for i := range 1000 {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			if i%2 == 0 {
				client := h.open(t, "ann")
				for _, id := range []string{"1", "2", "3"} {
					client.subscribe(id, "subscription{beat}")
				}
				client.hear()
				_ = client.CloseNow()
				return
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			request, _ := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, strings.NewReader(`{"query":"subscription{beat}"}`))
			for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Bearer bob"} {
				request.Header.Set(name, value)
			}
			response, err := h.Client().Do(request)
			if err == nil {
				_, _ = io.ReadFull(response.Body, make([]byte, 40))
				_ = response.Body.Close()
			}
		})
	}
	group.Wait()
	h.quiet(t)
	h.Client().CloseIdleConnections()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 20*time.Second, 20*time.Millisecond,
		"%d goroutines before", before)
	require.Zero(t, h.streams.Stats().Cut)
}

func TestTokenExpiresMidStream(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{})
	h.say("brief", verdict{actor: access.Actor{Subject: "brief", ExpiresAt: time.Now().Add(500 * time.Millisecond)}})
	client := h.open(t, "brief")
	client.subscribe("1", "subscription{never}")
	events := h.events(t, "brief", "subscription{never}")
	code, reason := client.farewell()
	require.EqualValues(t, 4403, code)
	require.Equal(t, "Forbidden: TOKEN_EXPIRED", reason)
	text, err := io.ReadAll(events)
	require.NoError(t, err)
	require.Contains(t, string(text), `"code":"TOKEN_EXPIRED"`)
	require.True(t, strings.HasSuffix(string(text), "event: complete\ndata:\n\n"), "%s", text)
	h.quiet(t)
}

func TestTokenIsWithdrawnMidStream(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{VerifyTime: 50 * time.Millisecond})
	client := h.open(t, "ann")
	client.subscribe("1", "subscription{beat}")
	events := h.events(t, "ann", "subscription{never}")
	ann := access.Actor{Subject: "ann"}
	h.say("ann", verdict{ann, problem.New(problem.Unavailable, "DATABASE_UNAVAILABLE", "down")})
	for range 50 { // some rounds of verifying what cannot be verified
		client.hear()
	}
	h.say("ann", verdict{ann, problem.New(problem.Unauthentic, "TOKEN_SIGNATURE", "withdrawn")})
	code, reason := client.farewell()
	require.EqualValues(t, 4403, code)
	require.Equal(t, "Forbidden: TOKEN_SIGNATURE", reason)
	text, err := io.ReadAll(events)
	require.NoError(t, err)
	require.Contains(t, string(text), `"code":"TOKEN_SIGNATURE"`)
	h.quiet(t)
}

// TestTokenIsRevokedMidStream: it is looked at often, and says nothing while it cannot
// be found out.
func TestTokenIsRevokedMidStream(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{RevokeTime: 50 * time.Millisecond})
	h.say("cem", verdict{actor: access.Actor{Subject: "cem", TokenID: "token-1"}})
	client := h.open(t, "cem")
	client.subscribe("1", "subscription{beat}")
	events := h.events(t, "cem", "subscription{never}")
	bystander := h.open(t, "ann")
	bystander.subscribe("1", "subscription{beat}")
	h.say("token-1", verdict{err: problem.New(problem.Unavailable, "DATABASE_UNAVAILABLE", "down")})
	for range 50 {
		client.hear()
	}
	h.say("token-1", verdict{err: problem.New(problem.Unauthentic, "TOKEN_REVOKED", "revoked")})
	code, reason := client.farewell()
	require.EqualValues(t, 4403, code)
	require.Equal(t, "Forbidden: TOKEN_REVOKED", reason)
	text, err := io.ReadAll(events)
	require.NoError(t, err)
	require.Contains(t, string(text), `"code":"TOKEN_REVOKED"`)
	bystander.hear()
	h.streams.Stop()
	h.quiet(t)
}

func TestServerStops(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{})
	client := h.open(t, "ann")
	client.subscribe("1", "subscription{never}")
	events := h.events(t, "ann", "subscription{never}")
	h.streams.Stop()
	h.streams.Stop()
	code, _ := client.farewell()
	require.EqualValues(t, websocket.StatusGoingAway, code)
	text, err := io.ReadAll(events)
	require.NoError(t, err)
	require.Equal(t, ":\n\n", string(text)) // not complete: the client comes again
	h.quiet(t)
}

// TestFarewellIsNotHeldBack: a stream that says that more follows holds back what it
// sends, and must not hold back why its connection ends.
func TestFarewellIsNotHeldBack(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{Message: 1 << 10})
	for range 20 {
		for want, last := range map[websocket.StatusCode]string{
			4409:                          `{"type":"subscribe","id":"1","payload":{"query":"subscription{never}"}}`,
			4400:                          `{"type":`,
			websocket.StatusMessageTooBig: strings.Repeat(" ", 2<<10),
		} {
			s := h.open(t, "ann")
			s.subscribe("1", "subscription{torrent}")
			s.hear()
			s.say(last)
			code, _ := s.farewell()
			require.Equal(t, want, code)
		}
	}
}

// However many operations a client begins at once, few are at it at a time: the others
// wait, and leave when the client does.
func TestOperationsBeginFewAtATime(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{})
	s := h.open(t, "ann")
	for i := range 3 { // what falls while it begins leaves its place to others
		s.subscribe(fmt.Sprint("falls", i), "subscription{falls}")
		require.Contains(t, s.hear(), `"error"`)
	}
	for i := range 10 {
		s.subscribe(fmt.Sprint(i), "subscription{wades}")
	}
	s.say(`{"type":"ping"}`) // so that all before it were read
	require.JSONEq(t, `{"type":"pong"}`, s.hear())
	for begun := range int64(8) {
		require.Eventually(t, func() bool { return h.wading.Load() == 2 && h.started.Load() == begun }, 10*time.Second, time.Millisecond)
		h.shore <- struct{}{}
	}
	require.NoError(t, s.CloseNow())
	require.Eventually(t, func() bool { return h.wading.Load() == 0 && h.running.Load() == 0 }, 10*time.Second, time.Millisecond)
	h.healthy(t)
}

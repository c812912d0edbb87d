package live

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// protocol is the only one that is spoken.
const protocol = "graphql-transport-ws"

// The close codes of the protocol, and what they say here. Clients come again
// after most of them; after 4400, 4401, 4406, 4409 and 4429 they should not.
const (
	closeGoingAway   = websocket.StatusGoingAway     // the server stops
	closeTryAgain    = websocket.StatusTryAgainLater // the token could not be verified just now
	closeBadRequest  = websocket.StatusCode(4400)    // no message of the protocol
	closeUnready     = websocket.StatusCode(4401)    // an operation before connection_init
	closeForbidden   = websocket.StatusCode(4403)    // no token that lets in, or not any more
	closeSubprotocol = websocket.StatusCode(4406)    // another protocol, or none
	closeInitTimeout = websocket.StatusCode(4408)    // no connection_init in time
	closeDuplicate   = websocket.StatusCode(4409)    // an id that is under way
	closeTooMany     = websocket.StatusCode(4429)    // connection_init twice, or more than a share of anything
)

// farewell is why the server closes a WebSocket. The reason has at most 123 bytes.
type farewell struct {
	code   websocket.StatusCode
	reason string
}

// socket is the transport of WebSockets.
type socket struct{ *Streams }

// Supports the handshake of a WebSocket.
func (socket) Supports(r *http.Request) bool { return IsSocket(r) }

// IsSocket tells the handshake of a WebSocket from a request that is answered.
func IsSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(strings.TrimSpace(r.Header.Get("Upgrade")), "websocket")
}

// Do holds a WebSocket until it is closed.
func (s socket) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if foreign(r) {
		refuse(w, http.StatusForbidden, problem.New(problem.Denied, "ORIGIN_FOREIGN", "a page of another origin may not open a WebSocket here"))
		return
	}
	actor, known := access.From(r.Context())
	seat, err := s.enter(actor.Subject)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusTooManyRequests, err)
		return
	}
	defer seat.leave()
	under := &upgrade{w, &wire{}}
	ws, err := websocket.Accept(under, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = ws.CloseNow() }() // closed already, as a rule
	if ws.Subprotocol() != protocol {
		_ = ws.Close(closeSubprotocol, "Subprotocol not acceptable") // the client may be gone
		return
	}
	ws.SetReadLimit(s.Limits.Message)
	ctx, cancel := context.WithCancel(r.Context())
	c := &connection{
		Streams: s.Streams, ws: ws, wire: under.wire, exec: exec, header: r.Header, seat: seat, ctx: ctx, cancel: cancel,
		actor: actor, known: known, token: tokenOfRequest(r),
		licensed: make(chan *license, 1), beginning: make(lanes, atATime), over: make(chan struct{}), active: map[string]*subscription{},
	}
	c.serve(r.Context())
}

// foreign tells the page of another origin: a browser sends where it is from, and
// other programs need not.
func foreign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	from, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(from.Host, r.Host)
}

// bucket fills by the rate and holds a burst.
type bucket struct {
	left float64
	last time.Time
}

func (b *bucket) take(now time.Time, limits Limits) bool {
	if b.last.IsZero() {
		b.left, b.last = float64(limits.Burst), now
	}
	b.left = min(b.left+max(now.Sub(b.last).Seconds(), 0)*float64(limits.Rate), float64(limits.Burst))
	b.last = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

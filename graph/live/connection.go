package live

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The messages of the protocol.
const (
	typeInit      = "connection_init"
	typeAck       = "connection_ack"
	typePing      = "ping"
	typePong      = "pong"
	typeSubscribe = "subscribe"
	typeNext      = "next"
	typeError     = "error"
	typeComplete  = "complete"
)

// atATime is how many operations of one connection begin at a time: each reads its
// document and asks the database where its feed is. A client that begins all it may at
// once, and goes on doing so, takes that much of the server from others.
const atATime = 2

// maxOperationID bounds an id, which each message of its operation repeats.
const maxOperationID = 256

// message is one of the protocol.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// connection is one WebSocket. One goroutine reads it, which is the request's, one
// watches what ends it, and each operation has its own; all of them write.
type connection struct {
	*Streams

	ws     *websocket.Conn
	wire   *wire
	exec   graphql.GraphExecutor
	header http.Header
	seat   *seat

	// Of the reader alone.
	ctx    context.Context // of operations: it carries the actor
	actor  access.Actor
	known  bool   // the upgrade itself had a token
	token  string // to verify again
	ready  bool
	bucket bucket

	cancel    context.CancelFunc
	licensed  chan *license // from the reader to the watcher
	beginning lanes
	over      chan struct{} // the reader has ended
	heard     atomic.Bool   // something came since the last ping
	slow      atomic.Bool
	running   sync.WaitGroup

	mu     sync.Mutex
	active map[string]*subscription
}

// subscription is an operation under way.
type subscription struct {
	id     string
	cancel context.CancelFunc
}

// serve reads until the connection ends, and leaves nothing running.
func (c *connection) serve(request context.Context) {
	c.running.Go(func() { c.watch(request) })
	if bye := c.read(); bye != nil {
		c.close(bye)
	}
	c.wire.last()
	c.wire.flush() // the library itself may have said why it ends
	close(c.over)
	c.cancel()
	_ = c.ws.CloseNow() // so that no operation waits to write
	c.running.Wait()
}

// read takes messages until the connection ends or one of them ends it.
func (c *connection) read() *farewell {
	for {
		kind, content, err := c.ws.Read(context.Background()) // whoever ends the connection closes it
		if err != nil {
			return nil
		}
		c.heard.Store(true)
		if c.Now != nil && !c.bucket.take(c.Now(), c.Limits) {
			return &farewell{closeTooMany, "Too many messages"}
		}
		if bye := c.take(kind, content); bye != nil {
			return bye
		}
	}
}

// take acts on one message.
func (c *connection) take(kind websocket.MessageType, content []byte) *farewell {
	var m message
	if kind != websocket.MessageText || c.Check != nil && c.Check(content) != nil || json.Unmarshal(content, &m) != nil {
		return &farewell{closeBadRequest, "Invalid message received"}
	}
	switch m.Type {
	case typeInit:
		if c.ready {
			return &farewell{closeTooMany, "Too many initialisation requests"}
		}
		return c.begin(m.Payload)
	case typePing:
		_ = c.send(&message{Type: typePong, Payload: m.Payload}) // that it failed is seen by reading on
		return nil
	case typePong:
		return nil
	case typeSubscribe:
		if !c.ready {
			return &farewell{closeUnready, "Unauthorized"}
		}
		return c.subscribe(&m)
	case typeComplete:
		if m.ID == "" {
			return &farewell{closeBadRequest, "Invalid message received"}
		}
		c.complete(m.ID)
		return nil
	}
	return &farewell{closeBadRequest, "Invalid message received"}
}

// begin lets the client in, by the token of the upgrade or else by that of the
// message.
func (c *connection) begin(payload json.RawMessage) *farewell {
	var init map[string]any
	if len(payload) > 0 && json.Unmarshal(payload, &init) != nil {
		return &farewell{closeBadRequest, "Invalid message received"}
	}
	if !c.known {
		if err := c.identify(init); err != nil {
			if problem.KindOf(err) == problem.Unavailable {
				return &farewell{closeTryAgain, "Try again later"}
			}
			return &farewell{closeForbidden, "Forbidden: " + codeOf(err)}
		}
		if err := c.seat.give(c.actor.Subject); err != nil {
			return &farewell{closeTooMany, "Too many streams of one caller"}
		}
		c.ctx = access.With(c.ctx, c.actor)
	}
	c.ready = true
	_ = c.send(&message{Type: typeAck}) // as above
	c.licensed <- c.license(c.actor, c.token)
	return nil
}

func (c *connection) identify(init map[string]any) error {
	for _, name := range []string{"Authorization", "authorization"} {
		if text, ok := init[name].(string); ok && c.token == "" {
			c.token = tokenOf(text)
		}
	}
	if c.token == "" || c.Verify == nil {
		return problem.New(problem.Unauthentic, "TOKEN_MISSING", "connection_init has no Authorization with a token")
	}
	actor, err := c.Verify(c.ctx, c.token)
	c.actor = actor
	return err
}

// codeOf is short enough for a close frame.
func codeOf(err error) string {
	var typed *problem.Error
	if errors.As(err, &typed) {
		return typed.Code
	}
	return "INTERNAL"
}

// subscribe begins an operation of its own.
func (c *connection) subscribe(m *message) *farewell {
	if m.ID == "" || len(m.ID) > maxOperationID {
		return &farewell{closeBadRequest, "Invalid message received"}
	}
	params, err := parameters(m.Payload)
	if err != nil {
		return &farewell{closeBadRequest, "Invalid message received"}
	}
	params.Headers = c.header
	ctx, cancel := context.WithCancel(graphql.StartOperationTrace(c.ctx))
	operation := &subscription{m.ID, cancel}
	if bye := c.add(operation); bye != nil {
		cancel()
		return bye
	}
	params.ReadTime = graphql.TraceTiming{Start: graphql.GetStartTime(ctx), End: graphql.Now()}
	c.running.Go(func() { c.run(ctx, operation, params) })
	return nil
}

func (c *connection) add(operation *subscription) *farewell {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.active[operation.id] != nil:
		return &farewell{closeDuplicate, "Subscriber already exists"} // the id could be too long for the frame
	case len(c.active) >= c.Limits.Operations:
		return &farewell{closeTooMany, "Too many operations"}
	}
	c.active[operation.id] = operation
	return nil
}

// run executes an operation, and says how it ended unless the client has ended it.
func (c *connection) run(ctx context.Context, operation *subscription, params *graphql.RawParams) {
	defer operation.cancel()
	defer c.wire.flush()
	failed := run(ctx, c.exec, params, c.beginning, func(payload []byte, more bool) error {
		if !c.isActive(operation) {
			return context.Canceled
		}
		c.wire.hold(more)
		return c.send(&message{ID: operation.id, Type: typeNext, Payload: payload})
	})
	if !c.remove(operation) || ctx.Err() != nil {
		return
	}
	if len(failed) > 0 {
		c.fail(operation.id, failed)
		return
	}
	_ = c.send(&message{ID: operation.id, Type: typeComplete}) // as above
}

// fail ends an operation; complete does not follow.
func (c *connection) fail(id string, failed gqlerror.List) {
	payload, err := json.Marshal(failed)
	if err != nil { // an extension of an error that is no JSON
		payload = []byte(`[{"message":"internal error"}]`)
	}
	_ = c.send(&message{ID: id, Type: typeError, Payload: payload}) // as above
}

// complete ends an operation by the client's wish. Its id is free at once.
func (c *connection) complete(id string) {
	c.mu.Lock()
	operation := c.active[id]
	delete(c.active, id)
	c.mu.Unlock()
	if operation != nil {
		operation.cancel()
	}
}

func (c *connection) isActive(operation *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active[operation.id] == operation
}

// remove says whether the operation was still under way.
func (c *connection) remove(operation *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active[operation.id] != operation {
		return false
	}
	delete(c.active, operation.id)
	return true
}

// send writes a message within its time; a client that does not take it is cut.
func (c *connection) send(m *message) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Limits.WriteTime)
	defer cancel()
	err := c.ws.Write(ctx, websocket.MessageText, m.text())
	if err == nil || errors.Is(err, net.ErrClosed) {
		return err // in the second case somebody else is about to end the connection
	}
	if errors.Is(err, context.DeadlineExceeded) {
		c.lose()
	}
	_ = c.ws.CloseNow() // what was not written whole leaves nothing to go on with
	return err
}

// lose notes that the client was cut.
func (c *connection) lose() {
	if !c.slow.Swap(true) {
		c.cut.Add(1)
	}
}

// text is the message as JSON. The payload is JSON already, and large.
func (m *message) text() []byte {
	text := make([]byte, 0, len(m.Payload)+len(m.ID)+48)
	text = append(text, '{')
	if m.ID != "" {
		id, err := json.Marshal(m.ID)
		if err != nil {
			panic(err) // a string
		}
		text = append(append(append(text, `"id":`...), id...), ',')
	}
	text = append(append(append(text, `"type":"`...), m.Type...), '"')
	if len(m.Payload) > 0 {
		text = append(append(text, `,"payload":`...), m.Payload...)
	}
	return append(text, '}')
}

// watch ends the connection when its time has come, whatever the reader waits for.
func (c *connection) watch(request context.Context) {
	init := time.NewTimer(c.Limits.InitTime)
	defer init.Stop()
	ping := time.NewTicker(c.Limits.PingTime)
	defer ping.Stop()
	right := &license{}
	defer func() { right.end() }()
	for {
		select {
		case <-c.over:
			return
		case <-request.Done():
			c.close(&farewell{closeGoingAway, "The server is stopping"})
			return
		case <-c.stopping:
			c.close(&farewell{closeGoingAway, "The server is stopping"})
			return
		case <-init.C:
			c.close(&farewell{closeInitTimeout, "Connection initialisation timeout"})
			return
		case right = <-c.licensed:
			init.Stop()
		case <-right.expired:
			c.close(&farewell{closeForbidden, "Forbidden: TOKEN_EXPIRED"})
			return
		case <-right.glimpse:
			if c.forbid(right.look(request)) {
				return
			}
		case <-right.due:
			if c.forbid(right.verify(request)) {
				return
			}
		case <-ping.C:
			if !c.heard.Swap(false) {
				c.lose()
				_ = c.ws.CloseNow() // it would not answer to a close frame either
				return
			}
			if c.send(&message{Type: typePing}) != nil {
				return
			}
		}
	}
}

// forbid closes the connection if its right was lost.
func (c *connection) forbid(err error) bool {
	if err != nil {
		c.close(&farewell{closeForbidden, "Forbidden: " + codeOf(err)})
	}
	return err != nil
}

// close ends operations and says why. The reader sees the end of the connection.
// Operations end first: their frames would keep the last one from being written.
func (c *connection) close(bye *farewell) {
	c.cancel()
	c.wire.last()
	_ = c.ws.Close(bye.code, bye.reason) // the client may be gone
}

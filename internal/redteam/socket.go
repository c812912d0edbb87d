package redteam

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

const (
	protocol    = "graphql-transport-ws"
	farewellIn  = 30 * time.Second // the server has for a close that it owes
	initMessage = `{"type":"connection_init"}`
	ping        = `{"type":"ping"}`
)

// socket is a WebSocket of a client that may keep to the protocol or not.
type socket struct{ ws *websocket.Conn }

// open opens a WebSocket by the subprotocol, or none. An error comes with the answer
// to the request, if there was one.
func (c *client) open(ctx context.Context, subprotocol string, header http.Header) (*socket, *answer, error) {
	options := &websocket.DialOptions{HTTPHeader: header, HTTPClient: c.http}
	if subprotocol != "" {
		options.Subprotocols = []string{subprotocol}
	}
	ws, response, err := websocket.Dial(ctx, c.url+"/graphql", options)
	if err != nil {
		if response == nil {
			return nil, nil, err
		}
		got, readErr := received(response, now())
		if readErr != nil {
			return nil, nil, readErr
		}
		return nil, got, err
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	return &socket{ws}, nil, nil
}

// greeted opens a WebSocket, and says who it is.
func (c *client) greeted(ctx context.Context) (*socket, error) {
	s, _, err := c.open(ctx, protocol, nil)
	if err != nil {
		return nil, err
	}
	if err := s.say(ctx, c.greeting()); err != nil {
		return nil, err
	}
	m, err := s.hear(ctx)
	if err != nil {
		return nil, err
	}
	if m.Type != "connection_ack" {
		return nil, fmt.Errorf("connection_init is answered by %s", m.Type)
	}
	return s, nil
}

// greeting is the message by which a client says who it is.
func (c *client) greeting() string {
	return `{"type":"connection_init","payload":{"Authorization":` + quoted("Bearer "+c.token) + `}}`
}

func (s *socket) say(ctx context.Context, text string) error {
	return s.ws.Write(ctx, websocket.MessageText, []byte(text))
}

func (s *socket) drop() { _ = s.ws.CloseNow() }

// heard is a message of the server.
type heard struct {
	ID, Type string
	Payload  json.RawMessage
}

// hear is the next message that is no ping.
func (s *socket) hear(ctx context.Context) (m heard, err error) {
	for {
		_, text, err := s.ws.Read(ctx)
		if err != nil {
			return m, err
		}
		m = heard{}
		if err := json.Unmarshal(text, &m); err != nil {
			return m, err
		}
		if m.Type != "ping" {
			return m, nil
		}
		if err := s.say(ctx, `{"type":"pong"}`); err != nil {
			return m, err
		}
	}
}

// farewell says all of it, and gives the code and reason with which the server closes,
// and the types of what came before.
func (s *socket) farewell(ctx context.Context, within time.Duration, say ...string) (code websocket.StatusCode, reason string, before []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer s.drop()
	said := make(chan struct{})
	go func() { // while it reads: a server that cannot send cannot say why it closes
		defer close(said)
		for _, message := range say {
			if s.say(ctx, message) != nil {
				return // the server has closed already
			}
		}
	}()
	defer func() { cancel(); <-said }()
	for {
		m, err := s.hear(ctx)
		if err == nil {
			before = append(before, m.Type)
			continue
		}
		if ctx.Err() != nil {
			return 0, "", before, fmt.Errorf("it is not closed within %s, and heard %q", within, before)
		}
		code, reason = closing(err)
		return code, reason, before, nil
	}
}

// frame is an event of a feed.
type frame struct {
	Seq       *int64
	Cursor    string
	Heartbeat bool
}

const follow = `subscription($organization: String!, $after: String) { exposureChanges(organization: $organization, after: $after) { seq cursor heartbeat } }`

// following is a message that follows the feed of an organization.
func following(id, organization, after string) string {
	variables := map[string]any{"organization": organization}
	if after != "" {
		variables["after"] = after
	}
	return string(marshal(map[string]any{"type": "subscribe", "id": id, "payload": map[string]any{"query": follow, "variables": variables}}))
}

// frame is the next event of a feed.
func (s *socket) frame(ctx context.Context) (f frame, err error) {
	m, err := s.hear(ctx)
	if err != nil {
		return f, err
	}
	var payload struct {
		Data   struct{ ExposureChanges frame }
		Errors json.RawMessage
	}
	if m.Type != "next" {
		return f, fmt.Errorf("the stream is answered by %s %s", m.Type, m.Payload)
	}
	if err := json.Unmarshal(m.Payload, &payload); err != nil || len(payload.Errors) > 0 {
		return f, fmt.Errorf("the stream has an event %s", m.Payload)
	}
	return payload.Data.ExposureChanges, nil
}

// arrive reads on until the head of the feed, and gives the last number and cursor.
func (s *socket) arrive(ctx context.Context, from int64) (last int64, cursor string, err error) {
	last = from
	for {
		f, err := s.frame(ctx)
		if err != nil {
			return last, cursor, err
		}
		cursor = f.Cursor
		switch {
		case f.Heartbeat:
			return last, cursor, nil
		case f.Seq == nil || *f.Seq != last+1:
			return last, cursor, fmt.Errorf("after the change %d comes another than the next one", last)
		}
		last = *f.Seq
	}
}

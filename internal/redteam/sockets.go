package redteam

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// socketRows are the rules of the protocol that clients of a WebSocket break.
func socketRows() []Row {
	greets := func(a *Attack) string { return a.member.greeting() }
	subscribes := func(*Attack) string { return following("1", acme, "") }
	says := func(text string) func(*Attack) string { return func(*Attack) string { return text } }
	row := func(number int, name string, checks ...Check) Row {
		return Row{Number: fmt.Sprintf("W%d", number), Name: name, Checks: checks}
	}
	return []Row{
		row(1, "subscribe before init", breaking("subscribe", 4401, subscribes)),
		row(2, "second init", breaking("connection_init twice", 4429, greets, greets)),
		row(3, "no message of the protocol",
			breaking("no JSON", 4400, greets, says(`{"type":`)),
			breaking("a type that there is not", 4400, greets, says(`{"type":"start","id":"1"}`)),
			breaking("a type of the server", 4400, greets, says(`{"type":"next","id":"1","payload":{}}`)),
			breaking("subscribe without an id", 4400, greets, says(`{"type":"subscribe","payload":{"query":"{__typename}"}}`)),
			breaking("NUL in a message", 4400, greets, says(`{"type":"ping","payload":{"a":"\u0000"}}`)),
			breaking("lists 10,000 deep", 4400, greets, says(`{"type":"ping","payload":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+`}`)),
		),
		row(4, "no init", once(breaking("says nothing", 4408))),
		row(5, "duplicate id", breaking("two streams under one id", 4409, greets, subscribes, subscribes)),
		row(6, "an error is terminal", Check{Request: "a stream that is refused, then ping", Run: terminal}),
		row(7, "no subprotocol",
			speaking("none is offered", "", 4406),
			speaking("graphql-ws, as of old", "graphql-ws", 4406),
		),
		row(8, "init refused",
			breaking("no token", closeForbidden, says(initMessage)),
			breaking("a token that is none", closeForbidden, says((&client{token: "nonsense"}).greeting())),
		),
		row(9, "foreign Origin", Check{Request: "Origin: https://evil.example", Run: foreignOrigin("https://evil.example")}),
		row(10, "message too big", breaking("a message of 1 MB", websocket.StatusMessageTooBig, greets, says(strings.Repeat(" ", 1<<20)+ping))),
		row(11, "operations at a time", Check{Request: "60 streams on one connection", Run: func(ctx context.Context, a *Attack) (string, error) {
			say := []string{""}
			for i := range 60 {
				say = append(say, following(fmt.Sprint(i), acme, ""))
			}
			return closedFor(ctx, a, closeTooMany, say)
		}}),
		row(12, "rate of messages", Check{Request: "300 messages at once", Run: func(ctx context.Context, a *Attack) (string, error) {
			return closedFor(ctx, a, closeTooMany, append([]string{""}, slices.Repeat([]string{ping}, 300)...))
		}}),
		row(13, "connections of one caller", Check{Request: "520 connections", Once: true, Run: func(ctx context.Context, a *Attack) (string, error) {
			return herdOfSockets(ctx, a.fewer(520))
		}}),
		row(14, "goes away without a word", Check{Request: "20 streams, whose connections break", Run: vanish}),
		row(15, "does not read", Check{Request: "a stream that nobody reads", Once: true, Run: unread}),
		row(16, "the limits of documents hold here, too", Check{Request: "fragment doubling, aliases", Run: limited}),
	}
}

func once(check Check) Check {
	check.Once = true
	return check
}

// breaking says some messages, and wants the server to close with the code.
func breaking(request string, code websocket.StatusCode, say ...func(*Attack) string) Check {
	return Check{Request: request, Run: func(ctx context.Context, a *Attack) (string, error) {
		s, _, err := a.nobody.open(ctx, protocol, nil)
		if err != nil {
			return "", err
		}
		var texts []string
		for _, text := range say {
			texts = append(texts, text(a))
		}
		return closed(ctx, a, s, code, farewellIn, texts...)
	}}
}

// speaking opens a WebSocket by another subprotocol.
func speaking(request, subprotocol string, code websocket.StatusCode) Check {
	return Check{Request: request, Run: func(ctx context.Context, a *Attack) (string, error) {
		s, _, err := a.nobody.open(ctx, subprotocol, nil)
		if err != nil {
			return "", err
		}
		return closed(ctx, a, s, code, farewellIn, a.member.greeting())
	}}
}

// terminal has a stream refused: there is one error, and nothing more of it, and the
// connection goes on.
func terminal(ctx context.Context, a *Attack) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, a.patience(farewellIn))
	defer cancel()
	s, err := a.member.greeted(ctx)
	if err != nil {
		return "", err
	}
	defer s.drop()
	if err := s.say(ctx, following("1", acme, "nonsense")); err != nil {
		return "", err
	}
	m, err := s.hear(ctx)
	if err != nil {
		return "", err
	}
	if m.Type != "error" || m.ID != "1" {
		return m.Type, fmt.Errorf("it is answered by %s %s", m.Type, m.Payload)
	}
	// What would follow comes before the answers to these two.
	if err := errors.Join(s.say(ctx, following("2", acme, "nonsense")), s.say(ctx, ping)); err != nil {
		return "", err
	}
	var types []string
	for range 2 {
		m, err := s.hear(ctx)
		if err != nil {
			return "", err
		}
		if m.ID == "1" {
			return "error, " + m.Type, fmt.Errorf("after the error comes %s", m.Type)
		}
		types = append(types, m.Type)
	}
	slices.Sort(types)
	if !slices.Equal(types, []string{"error", "pong"}) {
		return strings.Join(types, ", "), fmt.Errorf("the connection goes on with %q", types)
	}
	return "error, nothing more of it", nil
}

// fewer is the attack with another count of connections.
func (a *Attack) fewer(sockets int) *Attack {
	return &Attack{Scale: Scale{Sockets: sockets, Patience: a.Patience}, victim: a.victim, registry: a.registry}
}

// vanish leaves streams without a word; nothing of them stays.
func vanish(ctx context.Context, a *Attack) (string, error) {
	for range 20 {
		s, err := a.member.greeted(ctx)
		if err != nil {
			return "", err
		}
		if err := s.say(ctx, following("1", acme, "")); err != nil {
			s.drop()
			return "", err
		}
		_, err = s.hear(ctx)
		s.drop()
		if err != nil {
			return "", err
		}
	}
	left, err := a.until(ctx, "subscribers", 20*time.Second, func(n int64) bool { return n <= 1 }) // who does not read may be there
	return fmt.Sprintf("%d subscribers are left", left), err
}

// until waits for a number of /metrics.
func (a *Attack) until(ctx context.Context, metric string, within time.Duration, holds func(int64) bool) (value int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.patience(within))
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if value, err = a.metric(ctx, metric); err != nil || holds(value) {
			return value, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return value, fmt.Errorf("%s stays %d", metric, value)
		}
	}
}

// goDeaf opens a stream that is not read any more, up to the row that wants it cut.
func (a *Attack) goDeaf(ctx context.Context) error {
	c, err := a.somebody(ctx, "deaf", 12*time.Hour, acme)
	if err != nil {
		return err
	}
	f, err := a.follow(ctx, c, acme, 0, "")
	if err != nil {
		return err
	}
	a.deaf = f.socket
	return nil
}

// unread holds that who does not read is cut.
func unread(ctx context.Context, a *Attack) (string, error) {
	count, err := a.until(ctx, "subscriptions_cut_total", time.Minute, func(n int64) bool { return n >= 1 })
	short := fmt.Sprintf("%d cut", count)
	if err != nil {
		return short, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.patience(farewellIn))
	defer cancel()
	for err == nil { // what was sent before it was cut
		_, _, err = a.deaf.ws.Read(ctx)
	}
	if ctx.Err() != nil {
		return short, errors.New("the connection of who did not read is still open")
	}
	return short, nil
}

// limited sends documents that no request may have as operations.
func limited(ctx context.Context, a *Attack) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, a.patience(farewellIn))
	defer cancel()
	s, err := a.member.greeted(ctx)
	if err != nil {
		return "", err
	}
	defer s.drop()
	var seen []string
	for i, document := range []string{doubling(25, "F F")(), numbered("{", "aN:__typename ", 101, "}")(), strings.Repeat("{a", 20_000), "subscription{__typename}"} {
		text := marshal(map[string]any{"type": "subscribe", "id": fmt.Sprint(i), "payload": map[string]any{"query": document}})
		if err := s.say(ctx, string(text)); err != nil {
			return "", err
		}
		m, err := s.hear(ctx)
		if err != nil {
			return strings.Join(seen, ", "), err
		}
		if m.Type != "error" {
			return m.Type, fmt.Errorf("%.60s is answered by %s %.200s", document, m.Type, m.Payload)
		}
		got := &answer{body: []byte(`{"errors":` + string(m.Payload) + `}`), status: http.StatusBadRequest}
		seen = append(seen, strings.Join(got.codes(), " "))
	}
	if !slices.Equal(seen[:3], []string{"LIMIT_COST", "LIMIT_ALIASES", tokenLimit}) {
		return strings.Join(seen, ", "), fmt.Errorf("the errors have the codes %q", seen)
	}
	return strings.Join(seen[:3], ", "), nil
}

// closing is the code and reason with which a connection was closed; -1 without.
func closing(err error) (websocket.StatusCode, string) {
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return closed.Code, closed.Reason
	}
	return -1, ""
}

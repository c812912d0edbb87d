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

	"github.com/exposuregraph/exposuregraph/internal/access"
)

const (
	closeForbidden = websocket.StatusCode(4403)

	// lossTime is how long a stream may outlive its token.
	lossTime = 5 * time.Second
)

// identityRows are about who somebody is, and for how long.
func identityRows() []Row {
	return []Row{
		{Number: "20", Name: "WebSocket of nobody, or from elsewhere", Checks: []Check{
			intruding("no token", nil, func(*Attack) string { return initMessage }),
			intruding("a token that is none", nil, func(*Attack) string { return (&client{token: "nonsense"}).greeting() }),
			intruding("a token that another key signed", nil, func(a *Attack) string {
				text := []byte(a.attacker.token)
				text[len(text)-10] ^= 1 // of the signature
				return (&client{token: string(text)}).greeting()
			}),
			intruding("a cookie alone", func(a *Attack) http.Header {
				return http.Header{"Cookie": {"token=" + a.attacker.token + "; Authorization=Bearer " + a.attacker.token}}
			}, func(*Attack) string { return initMessage }),
			{Request: "a foreign Origin", Run: foreignOrigin("https://evil.example")},
			{Request: "the Origin null", Run: foreignOrigin("null")},
		}},
		{Number: "21", Name: "the end of a token, and coming again", Together: true, Checks: []Check{
			{Request: "it expires, 2 s after it was made", Once: true, Run: expires},
			{Request: "it is revoked", Once: true, Run: isRevoked},
		}},
	}
}

// intruding is somebody who is nobody and asks nevertheless: no operation runs.
func intruding(request string, header func(a *Attack) http.Header, greeting func(a *Attack) string) Check {
	return Check{Request: request, Run: func(ctx context.Context, a *Attack) (string, error) {
		mutation, err := a.mutation(ctx)
		if err != nil {
			return "", err
		}
		before, err := a.decided(ctx)
		if err != nil {
			return "", err
		}
		var more http.Header
		if header != nil {
			more = header(a)
		}
		s, _, err := a.nobody.open(ctx, protocol, more)
		if err != nil {
			return "", err
		}
		operation := string(marshal(map[string]any{"type": "subscribe", "id": "1", "payload": map[string]any{"query": mutation}}))
		code, reason, told, err := s.farewell(ctx, a.patience(farewellIn), greeting(a), operation, following("2", rival, ""))
		short := fmt.Sprintf("%d %s", code, reason)
		switch {
		case err != nil:
			return short, err
		case code != closeForbidden:
			return short, fmt.Errorf("it is closed with %d", code)
		case len(told) > 0:
			return short, fmt.Errorf("it was told %q", told)
		}
		return unchanged(ctx, a, short, before)
	}}
}

func foreignOrigin(origin string) func(context.Context, *Attack) (string, error) {
	return func(ctx context.Context, a *Attack) (string, error) {
		s, got, err := a.attacker.open(ctx, protocol, http.Header{"Origin": {origin}, "Authorization": {"Bearer " + a.attacker.token}})
		if s != nil {
			s.drop()
			return "open", errors.New("it is let in")
		}
		if got == nil {
			return "", err
		}
		return judged(got, nil, status(http.StatusForbidden))
	}
}

// follower is somebody who follows a feed for as long as a token lasts.
type follower struct {
	*socket
	seq    int64
	cursor string
}

func (a *Attack) follow(ctx context.Context, c *client, organization string, from int64, after string) (*follower, error) {
	s, err := c.greeted(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.say(ctx, following("1", organization, after)); err != nil {
		s.drop()
		return nil, err
	}
	f := &follower{socket: s}
	if f.seq, f.cursor, err = s.arrive(ctx, from); err != nil {
		s.drop()
		return nil, err
	}
	return f, nil
}

// lost waits until the server ends the stream, which it has to in time, and goes on
// behind the last cursor with another token: nothing is missing, and nothing comes
// twice.
func (f *follower) lost(ctx context.Context, a *Attack, since time.Time, subject, job string) (string, error) {
	code, reason, told, err := f.farewell(ctx, a.patience(30*time.Second))
	took := now().Sub(since)
	short := fmt.Sprintf("%d %.1f s after, %s", code, took.Seconds(), strings.TrimPrefix(reason, "Forbidden: "))
	switch {
	case err != nil:
		return short, err
	case code != closeForbidden:
		return short, fmt.Errorf("it is closed with %d", code)
	case took > a.patience(lossTime):
		return short, fmt.Errorf("it is closed %s after its token ended", took)
	case slices.Contains(told, "error"):
		return short, fmt.Errorf("it was told %q before", told)
	}
	// Something happens while nobody listens.
	if err := a.deliver(ctx, subject, time.Minute, job, job+"-2"); err != nil {
		return short, err
	}
	if _, err := a.head(ctx, subject); err != nil {
		return short, err
	}
	again, err := a.somebody(ctx, subject, time.Hour, subject)
	if err != nil {
		return short, err
	}
	next, err := a.follow(ctx, again, subject, f.seq, f.cursor)
	if err != nil {
		return short, fmt.Errorf("with a new token and the cursor: %w", err)
	}
	next.drop()
	if next.seq == f.seq {
		return short, errors.New("with a new token and the cursor it is told nothing of what happened")
	}
	return short + ", resumes", nil
}

// expires and isRevoked each have an organization of their own, so that their feeds
// tell of nothing else.
func expires(ctx context.Context, a *Attack) (string, error) {
	name := a.another("mayfly")
	if err := a.deliver(ctx, name, 0, "job"); err != nil {
		return "", err
	}
	if _, err := a.head(ctx, name); err != nil {
		return "", err
	}
	token, err := a.registry.Issue(ctx, access.Order{TTL: a.patience(2 * time.Second), Actor: access.Actor{
		Subject: name, Role: access.Client, Organizations: []string{name}, Scopes: access.Scopes,
	}})
	if err != nil {
		return "", err
	}
	f, err := a.follow(ctx, newClient(a.victim.url, token.Text), name, 0, "")
	if err != nil {
		return "", err
	}
	return f.lost(ctx, a, token.ExpiresAt, name, "job")
}

func isRevoked(ctx context.Context, a *Attack) (string, error) {
	name := a.another("outcast")
	if err := a.deliver(ctx, name, 0, "job"); err != nil {
		return "", err
	}
	if _, err := a.head(ctx, name); err != nil {
		return "", err
	}
	c, err := a.as(ctx, access.Actor{Subject: name, Role: access.Admin, Organizations: []string{name}, Scopes: access.Scopes}, time.Hour)
	if err != nil {
		return "", err
	}
	f, err := a.follow(ctx, c, name, 0, "")
	if err != nil {
		return "", err
	}
	since := now()
	if _, err := a.registry.Revoke(ctx, c.token, "redteam"); err != nil {
		return "", err
	}
	return f.lost(ctx, a, since, name, "job")
}

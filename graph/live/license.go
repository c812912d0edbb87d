package live

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// license is the right to a stream: as long as its token lasts, is not revoked and is
// verified. Its channels are never ready where nothing ends it.
type license struct {
	streams *Streams
	actor   access.Actor
	token   string

	expiry  *time.Timer
	glance  *time.Ticker
	again   *time.Ticker
	expired <-chan time.Time
	glimpse <-chan time.Time // time to look whether the token was revoked
	due     <-chan time.Time // time to verify it
}

// license begins the right of an actor. Whoever begins it ends it.
func (s *Streams) license(actor access.Actor, token string) *license {
	l := &license{streams: s, actor: actor, token: token}
	if s.Now != nil && !actor.ExpiresAt.IsZero() {
		l.expiry = time.NewTimer(max(actor.ExpiresAt.Sub(s.Now()), 0))
		l.expired = l.expiry.C
	}
	if s.Holds != nil && actor.TokenID != "" {
		l.glance = time.NewTicker(s.Limits.RevokeTime)
		l.glimpse = l.glance.C
	}
	if s.Verify != nil && token != "" {
		l.again = time.NewTicker(s.Limits.VerifyTime)
		l.due = l.again.C
	}
	return l
}

func (l *license) end() {
	if l.expiry != nil {
		l.expiry.Stop()
	}
	for _, ticker := range []*time.Ticker{l.glance, l.again} {
		if ticker != nil {
			ticker.Stop()
		}
	}
}

// look says that the token was revoked.
func (l *license) look(ctx context.Context) error { return lost(l.streams.Holds(ctx, l.actor)) }

// verify says that the token no longer holds.
func (l *license) verify(ctx context.Context) error {
	_, err := l.streams.Verify(ctx, l.token)
	return lost(err)
}

// lost is why a right has ended. That it cannot be found out just now says nothing
// of it.
func lost(err error) error {
	if err != nil && problem.KindOf(err) == problem.Unauthentic {
		return err
	}
	return nil
}

func tokenExpired() error {
	return problem.New(problem.Unauthentic, "TOKEN_EXPIRED", "the access token has expired; come again with another one and the last cursor")
}

// tokenOf is the token of an Authorization header, or of its like in a
// connection_init; empty without one.
func tokenOf(authorization string) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(authorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func tokenOfRequest(r *http.Request) string { return tokenOf(r.Header.Get("Authorization")) }

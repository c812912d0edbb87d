package live

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// license is the right to a stream: as long as its token lasts and is verified.
// Its channels are never ready where nothing ends it.
type license struct {
	streams *Streams
	token   string

	expiry  *time.Timer
	again   *time.Ticker
	expired <-chan time.Time
	due     <-chan time.Time
}

// license begins the right of an actor. Whoever begins it ends it.
func (s *Streams) license(actor access.Actor, token string) *license {
	l := &license{streams: s, token: token}
	if s.Now != nil && !actor.ExpiresAt.IsZero() {
		l.expiry = time.NewTimer(max(actor.ExpiresAt.Sub(s.Now()), 0))
		l.expired = l.expiry.C
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
	if l.again != nil {
		l.again.Stop()
	}
}

// verify says that the token no longer holds. That it cannot be verified just now
// says nothing of it.
func (l *license) verify(ctx context.Context) error {
	_, err := l.streams.Verify(ctx, l.token)
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

package redteam

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	closeTooMany = websocket.StatusCode(4429)
	closeNoInit  = websocket.StatusCode(4408)
)

// floodRows are much of something, or something that does not end.
func floodRows() []Row {
	return []Row{
		{Number: "18", Name: "slowloris", Together: true, Checks: []Check{
			slow("headers, a byte a second", 15*time.Second, func(a *Attack) string {
				return "POST /graphql HTTP/1.1\r\nHost: " + a.member.host() + "\r\nX-Slow: "
			}),
			slow("body, a byte a second", 40*time.Second, func(a *Attack) string { return a.member.headOf("Content-Length: 1000") }),
			slow("body of a form, a byte a second", 40*time.Second, func(a *Attack) string {
				return "POST /oauth/token HTTP/1.1\r\nHost: " + a.member.host() + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
			}),
			{Request: "hundreds of connections, headers a byte a second", Once: true, Run: slowHerd},
		}},
		{Number: "19", Name: "WebSocket flood", Checks: []Check{
			{Request: "1,000 connections of one caller", Once: true, Run: herdOfSockets},
			{Request: "1,000 operations on one connection", Run: func(ctx context.Context, a *Attack) (string, error) {
				say := []string{""}
				for i := range a.Operations {
					say = append(say, following(fmt.Sprint(i), acme, ""))
				}
				return closedFor(ctx, a, closeTooMany, say)
			}},
			{Request: "10,000 messages at once", Run: func(ctx context.Context, a *Attack) (string, error) {
				return closedFor(ctx, a, closeTooMany, append([]string{""}, slices.Repeat([]string{ping}, a.Messages)...))
			}},
			{Request: "connections that never say who they are", Once: true, Run: silentSockets},
		}},
	}
}

// slow is a client that drips, and has to be cut.
func slow(request string, within time.Duration, head func(a *Attack) string) Check {
	return Check{Request: request, Once: true, Run: func(ctx context.Context, a *Attack) (string, error) {
		took, err := a.member.drip(ctx, head(a), a.patience(within))
		if err != nil {
			return "stays open", err
		}
		return fmt.Sprintf("cut after %.0f s", took.Seconds()), nil
	}}
}

// slowHerd is many of them at a time.
func slowHerd(ctx context.Context, a *Attack) (string, error) {
	var running sync.WaitGroup
	took, errs := make([]time.Duration, a.Slow), make([]error, a.Slow)
	for i := range a.Slow {
		running.Go(func() {
			took[i], errs[i] = a.member.drip(ctx, "GET / HTTP/1.1\r\nX-Slow: ", a.patience(20*time.Second))
		})
	}
	running.Wait()
	return fmt.Sprintf("%d cut after at most %.0f s", a.Slow, slices.Max(took).Seconds()), errors.Join(errs...)
}

// closedFor has a member say something after it has said who it is, in the place of
// the first message, and wants the server to close with the code.
func closedFor(ctx context.Context, a *Attack, code websocket.StatusCode, say []string) (string, error) {
	s, _, err := a.member.open(ctx, protocol, nil)
	if err != nil {
		return "", err
	}
	say[0] = a.member.greeting()
	return closed(ctx, a, s, code, farewellIn, say...)
}

// closed says all of it, and wants the server to close with the code.
func closed(ctx context.Context, a *Attack, s *socket, code websocket.StatusCode, within time.Duration, say ...string) (string, error) {
	got, reason, _, err := s.farewell(ctx, a.patience(within), say...)
	if err != nil {
		return "stays open", err
	}
	short := fmt.Sprintf("%d %s", got, reason)
	if got != code {
		return short, fmt.Errorf("it is closed with %d, and wanted is %d", got, code)
	}
	return short, nil
}

// several opens WebSockets, a few at a time, and sorts what becomes of them.
func several(ctx context.Context, count int, open func() (*socket, *answer, error)) (opened []*socket, refused map[string]int, err error) {
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		turns   = make(chan struct{}, 16)
		errs    []error
	)
	refused = map[string]int{}
	for range count {
		turns <- struct{}{}
		running.Go(func() {
			defer func() { <-turns }()
			s, got, err := open()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case s != nil:
				opened = append(opened, s)
			case got != nil:
				refused[got.String()]++
			default:
				errs = append(errs, err)
			}
		})
		if ctx.Err() != nil {
			break
		}
	}
	running.Wait()
	return opened, refused, errors.Join(errs...)
}

// herdOfSockets is one caller with more WebSockets than it may have.
func herdOfSockets(ctx context.Context, a *Attack) (short string, err error) {
	shepherd, err := a.somebody(ctx, "shepherd", time.Hour, acme)
	if err != nil {
		return "", err
	}
	header := http.Header{"Authorization": {"Bearer " + shepherd.token}}
	opened, refused, err := several(ctx, a.Sockets, func() (*socket, *answer, error) { return shepherd.open(ctx, protocol, header) })
	defer func() {
		for _, s := range opened {
			s.drop()
		}
	}()
	short = fmt.Sprintf("%d open, %d x %s", len(opened), a.Sockets-len(opened), firstKey(refused))
	if err == nil && (len(opened) > 500 || refused["429 LIMIT_STREAMS_OF_SUBJECT"] != a.Sockets-len(opened)) {
		err = fmt.Errorf("of %d there are %d open, and refused %v", a.Sockets, len(opened), refused)
	}
	return short, err
}

func firstKey(counts map[string]int) string {
	for key := range counts {
		return key
	}
	return "nothing"
}

// silentSockets never say who they are.
func silentSockets(ctx context.Context, a *Attack) (short string, err error) {
	opened, refused, err := several(ctx, a.Silent, func() (*socket, *answer, error) { return a.nobody.open(ctx, protocol, nil) })
	if err != nil {
		return "", err
	}
	errs := make([]error, len(opened))
	var running sync.WaitGroup
	for i, s := range opened {
		running.Go(func() { _, errs[i] = closed(ctx, a, s, closeNoInit, farewellIn) })
	}
	running.Wait()
	short = fmt.Sprintf("%d x 4408, %d x %s", len(opened), a.Silent-len(opened), firstKey(refused))
	if err := errors.Join(errs...); err != nil {
		return short, err
	}
	if len(opened) > 500 || refused["429 LIMIT_STREAMS_OF_SUBJECT"] != a.Silent-len(opened) {
		return short, fmt.Errorf("of %d there are %d open, and refused %v", a.Silent, len(opened), refused)
	}
	return short, nil
}

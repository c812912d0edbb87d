package audience

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

const (
	// fresh is how long a response serves: what it says of the present may be that old.
	fresh = time.Second

	// textRoom bounds the bytes of the responses that are kept for others.
	textRoom = 32 << 20
)

// House holds the audiences of a process.
type House struct {
	now  func() time.Time
	held atomic.Int64

	mu        sync.Mutex
	audiences map[key]*Audience
}

// Audience are the subscriptions whose responses to an event are the same.
type Audience struct {
	house   *House
	key     key
	members atomic.Int64 // changes under the house's lock

	mu    sync.Mutex
	texts map[int64]*text // by the number of the event
	order []int64         // of texts, the oldest first
}

// text is the response to an event.
type text struct {
	at       time.Time
	done     chan struct{}     // closed when there is a response, or will be none
	response *graphql.Response // nil: each asks for himself
	counted  int64             // bytes, of those that the house holds
}

// NewHouse makes one without any.
func NewHouse(now func() time.Time) *House {
	return &House{now: now, audiences: map[key]*Audience{}}
}

// Join gives the audience of those who ask about an organization's events what the
// operation of the context asks. Whoever joins leaves.
func (h *House) Join(ctx context.Context, organization id.ID) (*Audience, error) {
	key, err := keyOf(ctx, organization)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.audiences[key]
	if a == nil {
		a = &Audience{house: h, key: key}
		h.audiences[key] = a
	}
	a.members.Add(1)
	return a, nil
}

// Held is about how many bytes are kept for others.
func (h *House) Held() int64 { return h.held.Load() }

// Leave ends a subscription.
func (a *Audience) Leave() {
	a.house.mu.Lock()
	defer a.house.mu.Unlock()
	if a.members.Add(-1) == 0 {
		delete(a.house.audiences, a.key)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.forget(len(a.order))
	}
}

// Response is the one to the event of a number. Of those who ask at the same time
// one executes, and the others wait for him.
func (a *Audience) Response(ctx context.Context, seq int64, execute func() *graphql.Response) *graphql.Response {
	if a.members.Load() == 1 { // nobody to keep it for
		return execute()
	}
	t, first := a.text(seq)
	if first {
		return a.fill(seq, t, execute)
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return nil
	}
	if t.response == nil {
		return execute()
	}
	return t.response
}

// text finds the response to an event, or gives it to the caller to fill.
func (a *Audience) text(seq int64) (t *text, first bool) {
	now := a.house.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	stale := 0
	for stale < len(a.order) && now.Sub(a.texts[a.order[stale]].at) > fresh {
		stale++
	}
	a.forget(stale)
	if t := a.texts[seq]; t != nil {
		return t, false
	}
	if a.texts == nil {
		a.texts = map[int64]*text{}
	}
	t = &text{at: now, done: make(chan struct{})}
	a.texts[seq] = t
	a.order = append(a.order, seq)
	return t, true
}

// fill executes for all. What went wrong is the caller's alone.
func (a *Audience) fill(seq int64, t *text, execute func() *graphql.Response) *graphql.Response {
	defer close(t.done)
	response := execute()
	if response == nil || len(response.Errors) > 0 || a.house.held.Load() > textRoom {
		return response
	}
	kept := *response
	kept.Data = bytes.Clone(response.Data) // the executor writes the next over it
	a.mu.Lock()
	defer a.mu.Unlock()
	t.response = &kept
	if a.texts[seq] == t { // else it was forgotten meanwhile, and serves those who wait
		a.house.held.Add(int64(len(kept.Data)))
		t.counted = int64(len(kept.Data))
	}
	return t.response
}

// forget drops the oldest texts.
func (a *Audience) forget(count int) {
	for _, seq := range a.order[:count] {
		a.house.held.Add(-a.texts[seq].counted)
		delete(a.texts, seq)
	}
	a.order = slices.Delete(a.order, 0, count)
}

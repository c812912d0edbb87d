package stream

import (
	"context"
	"sync"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// queue is whose turn it is to be numbered. There are two lines. In the first stand
// those in which something was just committed, in the second those that go on; of
// every four turns the second has one at least, so that neither line waits for the
// other to be empty. Nobody stands twice in a line, or is worked on by two workers.
type queue struct {
	mu      sync.Mutex
	lines   [2][]id.ID
	stands  map[id.ID]line // where each stands: who moved up is passed over in the second
	working map[id.ID]again
	turn    int
	closed  bool
	filled  chan struct{} // has room for one: somebody may have come
}

type line int

const (
	first line = iota
	second
)

// again is whether a feed under work was asked for meanwhile, and in which line.
type again struct {
	asked bool
	in    line
}

func newQueue() *queue {
	return &queue{stands: map[id.ID]line{}, working: map[id.ID]again{}, filled: make(chan struct{}, workers)}
}

// wake puts a feed into the first line.
func (q *queue) wake(organization id.ID) { q.add(organization, first) }

func (q *queue) add(organization id.ID, in line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(organization, in)
}

func (q *queue) put(organization id.ID, in line) {
	if q.closed {
		return
	}
	if mark, busy := q.working[organization]; busy {
		if !mark.asked || in < mark.in {
			q.working[organization] = again{true, in}
		}
		return
	}
	if stands, there := q.stands[organization]; there && stands <= in {
		return
	}
	q.stands[organization] = in
	q.lines[in] = append(q.lines[in], organization)
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// next waits for a feed; without one the context has ended.
func (q *queue) next(ctx context.Context) (id.ID, bool) {
	for ctx.Err() == nil {
		if organization, found := q.take(); found {
			return organization, true
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
		}
	}
	return id.Nil, false
}

func (q *queue) take() (id.ID, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn++
	order := [2]line{first, second}
	if q.turn%4 == 0 {
		order = [2]line{second, first}
	}
	for _, in := range order {
		for len(q.lines[in]) > 0 {
			organization := q.lines[in][0]
			q.lines[in] = q.lines[in][1:]
			if stands, there := q.stands[organization]; there && stands == in {
				delete(q.stands, organization)
				q.working[organization] = again{}
				return organization, true
			}
		}
	}
	return id.Nil, false
}

// done gives a feed back, which goes on in the second line if there is more.
func (q *queue) done(organization id.ID, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	mark := q.working[organization]
	delete(q.working, organization)
	switch {
	case mark.asked:
		q.put(organization, mark.in)
	case more:
		q.put(organization, second)
	}
}

// later gives a feed back that is to be tried again after a while.
func (q *queue) later(organization id.ID, after time.Duration) {
	q.done(organization, false)
	time.AfterFunc(after, func() { q.add(organization, second) })
}

// close has nobody come any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.stands) + len(q.working)
}

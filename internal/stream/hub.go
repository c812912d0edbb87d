package stream

import (
	"sync"

	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// hub holds the newest events of every organization that has subscribers here. What
// it knows of a feed is committed.
type hub struct {
	ring  int
	limit int64

	mu          sync.Mutex
	feeds       map[id.ID]*feed
	subscribers int
	bytes       int64
	uses        uint64
	arrived     chan struct{} // has room for one: there may be a first subscriber
}

// feed is the end of one: the events behind base, up to last, without a gap.
type feed struct {
	subscribers int
	base, last  int64
	events      []*change.Event
	bytes       int64
	used        uint64
	setBack     int           // how often the feed was found to end before what was known
	advanced    chan struct{} // closed when last moves
}

func newHub(ring int, limit int64) *hub {
	return &hub{ring: ring, limit: limit, feeds: map[id.ID]*feed{}, arrived: make(chan struct{}, 1)}
}

// join adds a subscriber to a feed whose head is known. It gives how often the feed
// was set back, and whether the hub knows less than the head.
func (h *hub) join(organization id.ID, head int64) (setBack int, behind bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[organization]
	if f == nil {
		f = &feed{base: head, last: head, advanced: make(chan struct{})}
		h.feeds[organization] = f
	}
	f.subscribers++
	h.subscribers++
	select {
	case h.arrived <- struct{}{}:
	default:
	}
	return f.setBack, f.last < head
}

// leave takes a subscriber off. A feed without any is forgotten.
func (h *hub) leave(organization id.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[organization]
	h.subscribers--
	if f.subscribers--; f.subscribers == 0 {
		h.bytes -= f.bytes
		delete(h.feeds, organization)
	}
}

// known gives the feeds that have subscribers, and how far each is known.
func (h *hub) known() map[id.ID]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := make(map[id.ID]int64, len(h.feeds))
	for organization, f := range h.feeds {
		last[organization] = f.last
	}
	return last
}

// publish appends events that follow each other, without those that are known. It
// says whether some before them are missing, without which they cannot be shown.
func (h *hub) publish(organization id.ID, events []*change.Event) (behind bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[organization]
	if f == nil || len(events) == 0 {
		return false
	}
	if events[0].Seq > f.last+1 {
		return true
	}
	events = events[min(int64(len(events)), f.last+1-events[0].Seq):]
	if len(events) == 0 {
		return false
	}
	for _, e := range events {
		f.bytes += weight(e)
		h.bytes += weight(e)
	}
	f.events = append(f.events, events...)
	h.use(f)
	if over := len(f.events) - h.ring; over > 0 && over > h.ring/4 { // seldom, because it copies
		h.shed(f, over)
	}
	h.fit()
	f.move(f.last + int64(len(events)))
	return false
}

// jump forgets the events of a feed that is still known as far as that, and goes on
// behind a number.
func (h *hub) jump(organization id.ID, known, to int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[organization]
	if f == nil || f.last != known || to == known {
		return
	}
	if to < f.last {
		f.setBack++
	}
	h.shed(f, len(f.events))
	f.base = to
	f.move(to)
}

// move wakes those who wait.
func (f *feed) move(last int64) {
	f.last = last
	close(f.advanced)
	f.advanced = make(chan struct{})
}

func (h *hub) use(f *feed) {
	h.uses++
	f.used = h.uses
}

// shed forgets the oldest events of a feed. What is left is copied: those who read
// the former list may still hold it.
func (h *hub) shed(f *feed, count int) {
	for _, e := range f.events[:count] {
		f.bytes -= weight(e)
		h.bytes -= weight(e)
	}
	f.base += int64(count)
	f.events = append([]*change.Event(nil), f.events[count:]...)
}

// fit sheds events of the feeds that were used longest ago, half of one at a time.
func (h *hub) fit() {
	for h.bytes > h.limit {
		var oldest *feed
		for _, f := range h.feeds {
			if len(f.events) > 0 && (oldest == nil || f.used < oldest.used) {
				oldest = f
			}
		}
		h.shed(oldest, (len(oldest.events)+1)/2)
	}
}

// view is what a subscriber finds behind its place.
type view struct {
	events   []*change.Event // the next; not to be changed
	last     int64           // how far the feed is known
	replay   bool            // they are in the database alone
	gone     bool            // nobody follows the feed any more
	setBack  int
	advanced <-chan struct{}
}

func (h *hub) view(organization id.ID, position int64) view {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[organization]
	if f == nil {
		return view{gone: true}
	}
	v := view{last: f.last, setBack: f.setBack, advanced: f.advanced}
	switch {
	case position < f.base:
		v.replay = true
	case position < f.last:
		from := int(position - f.base)
		to := min(from+batch, len(f.events))
		v.events = f.events[from:to:to]
		h.use(f)
	}
	return v
}

func (h *hub) stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{Subscribers: h.subscribers, Feeds: len(h.feeds), RingBytes: h.bytes}
	for _, f := range h.feeds {
		s.RingEvents += len(f.events)
	}
	return s
}

// weight is about what an event holds.
func weight(e *change.Event) int64 {
	const bare = 640
	n := bare + len(e.Title) + len(e.OldValue) + len(e.NewValue) + len(e.Metadata)
	if e.Description != nil {
		n += len(*e.Description)
	}
	return int64(n)
}

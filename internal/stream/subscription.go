package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// ErrClosed is what a subscription gives that was closed.
var ErrClosed = errors.New("the subscription is closed")

// Subscription is somebody's place in a feed. It holds no events and has no goroutine.
type Subscription struct {
	stream       *Stream
	organization id.ID
	filter       change.Filter
	limited      bool  // the filter has the access classes that the subscriber sees
	newest       int   // up to which classes were looked up
	position     int64 // the number up to which it has gone through the feed
	setBack      int
	live         bool // it has reached the head once
	closed       chan struct{}
	once         sync.Once
}

// Batch is what a subscriber is given: events, or without any a heartbeat. The cursor
// stands behind all of it, and behind what the filter left out.
type Batch struct {
	Events    []*change.Event // shared by all who see them: not to be changed
	Cursor    string
	Heartbeat bool
}

// Subscribe follows the feed of an organization from behind a cursor, or without one
// from its beginning. Whoever subscribes closes the subscription.
func (s *Stream) Subscribe(ctx context.Context, organization id.ID, after *string, filter change.Filter) (*Subscription, error) {
	actor, err := access.Admit(ctx, organization, access.View)
	if err != nil {
		return nil, err
	}
	if err := filter.Check(); err != nil {
		return nil, err
	}
	position := int64(0)
	if after != nil {
		if position, err = change.DecodeCursor("after", organization, *after); err != nil {
			return nil, err
		}
	}
	head, err := s.head(ctx, organization)
	if err != nil {
		return nil, err
	}
	if err := change.Within("after", position, head); err != nil {
		return nil, err
	}
	x := &Subscription{stream: s, organization: organization, filter: filter, position: position, closed: make(chan struct{})}
	if x.limited = actor.Attributes.Limited(); x.limited {
		x.filter.Classes, x.newest = []int{}, change.AllClasses
	}
	setBack, behind := s.hub.join(organization, head)
	if x.setBack = setBack; behind {
		s.look()
	}
	return x, nil
}

func (s *Stream) head(ctx context.Context, organization id.ID) (int64, error) {
	snapshot := s.config.Readers.Snapshot()
	defer snapshot.Close(ctx)
	return s.reader.Head(ctx, snapshot.Of(organization), organization)
}

// Next waits for what is next: events that pass, or a heartbeat, which comes when the
// head is reached for the first time and after each silence. One caller at a time.
func (x *Subscription) Next(ctx context.Context) (Batch, error) {
	silence := time.NewTimer(x.stream.config.Heartbeat)
	defer silence.Stop()
	for {
		if err := x.over(ctx); err != nil {
			return Batch{}, err
		}
		v := x.stream.hub.view(x.organization, x.position)
		switch {
		case v.gone: // closed just now
			continue
		case v.setBack != x.setBack:
			return Batch{}, change.Within("after", x.position, min(v.last, x.position-1))
		case v.replay:
			events, err := x.replay(ctx, v.last)
			if err != nil {
				return Batch{}, err
			}
			if len(events) > 0 {
				return x.batch(events), nil
			}
		case len(v.events) > 0:
			x.position = v.events[len(v.events)-1].Seq
			events, err := x.passing(ctx, v.events)
			if err != nil {
				return Batch{}, err
			}
			if len(events) > 0 {
				return x.batch(events), nil
			}
		case !x.live:
			x.live = true
			return x.batch(nil), nil
		}
		if len(v.events) > 0 || v.replay {
			select {
			case <-silence.C: // nothing passes, and the cursor moves
				return x.batch(nil), nil
			default:
				continue
			}
		}
		select {
		case <-v.advanced:
		case <-silence.C:
			return x.batch(nil), nil
		case <-ctx.Done():
		case <-x.closed:
		case <-x.stream.ended:
		}
	}
}

// over says why there is nothing more to wait for.
func (x *Subscription) over(ctx context.Context) error {
	select {
	case <-x.closed:
		return ErrClosed
	default:
	}
	select {
	case <-x.stream.ended:
		return problem.New(problem.Unavailable, "STREAM_ENDED", "the server stops; subscribe again with the last cursor")
	default:
		return ctx.Err()
	}
}

// replay reads from the database, a few subscribers at a time. What is much is cut.
func (x *Subscription) replay(ctx context.Context, upTo int64) ([]*change.Event, error) {
	select {
	case x.stream.replays <- struct{}{}:
		defer func() { <-x.stream.replays }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-x.closed:
		return nil, ErrClosed
	}
	snapshot := x.stream.config.Readers.Snapshot()
	defer snapshot.Close(ctx)
	q, err := access.Reader(ctx, snapshot, x.organization, access.View)
	if err != nil {
		return nil, err
	}
	filter := x.filter
	filter.Classes = nil // the querier sees to them
	events, reached, err := x.stream.reader.Replay(ctx, q, x.organization, x.position, upTo, filter, batch)
	if err != nil {
		return nil, err
	}
	size := int64(0)
	for i, e := range events {
		if size += weight(e); size > parcel && i > 0 {
			events, reached = events[:i:i], events[i-1].Seq
			break
		}
	}
	x.position = reached
	x.stream.replayed.Add(int64(len(events)))
	return events, nil
}

// passing are those of the events that the filter lets pass.
func (x *Subscription) passing(ctx context.Context, events []*change.Event) ([]*change.Event, error) {
	if err := x.meet(ctx, events); err != nil {
		return nil, err
	}
	all := true
	for _, e := range events {
		all = all && x.filter.Matches(e)
	}
	if all {
		return events, nil
	}
	var some []*change.Event
	for _, e := range events {
		if x.filter.Matches(e) {
			some = append(some, e)
		}
	}
	return some, nil
}

// meet looks the classes up when there is one that is new. What a class stands for never
// changes.
func (x *Subscription) meet(ctx context.Context, events []*change.Event) error {
	newest := x.newest
	for _, e := range events {
		newest = max(newest, e.Class)
	}
	if !x.limited || newest == x.newest {
		return nil
	}
	snapshot := x.stream.config.Readers.Snapshot()
	defer snapshot.Close(ctx)
	visible, err := access.VisibleClasses(ctx, snapshot.Of(x.organization))
	if err != nil {
		return err
	}
	x.filter.Classes, x.newest = visible, newest
	return nil
}

func (x *Subscription) batch(events []*change.Event) Batch {
	return Batch{Events: events, Cursor: change.EncodeCursor(x.organization, x.position), Heartbeat: len(events) == 0}
}

// Close ends the subscription, and whoever waits for what is next.
func (x *Subscription) Close() {
	x.once.Do(func() {
		close(x.closed)
		x.stream.hub.leave(x.organization)
	})
}

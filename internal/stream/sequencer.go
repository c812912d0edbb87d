package stream

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

const (
	heldFor  = 10 * time.Millisecond // until a feed is tried again that another replica numbers
	failedAt = time.Second           // until one is tried again that failed
	share    = 20                    // a sweep is followed by so many times its own length
)

// work numbers feeds step by step, each going to the end of its line after one.
func (s *Stream) work(ctx context.Context) {
	for {
		organization, ok := s.queue.next(ctx)
		if !ok {
			return
		}
		step, err := s.config.Sequencer.Step(ctx, organization, 0)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				s.config.Log.WarnContext(ctx, "a feed is not numbered; it is tried again", "organization", organization, "error", err)
			}
			s.queue.later(organization, failedAt)
		case step.Held:
			s.queue.later(organization, heldFor)
		default:
			s.numbered.Add(int64(len(step.Published)))
			if s.hub.publish(organization, step.Published) {
				s.look()
			}
			s.queue.done(organization, step.More)
		}
	}
}

// look has the tailer look now.
func (s *Stream) look() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// sweep finds what was noted and nobody was woken for: what a replica left that was
// killed, and what is noted by programs other than this.
func (s *Stream) sweep(ctx context.Context) {
	failing := false
	for {
		begun := s.config.Now()
		found, err := s.waiting(ctx)
		took := s.config.Now().Sub(begun)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.config.Log.WarnContext(ctx, "what is to be numbered cannot be looked for; it is tried again", "error", err)
		}
		failing = err != nil
		for _, organization := range found {
			s.queue.add(organization, second)
		}
		if err == nil {
			s.pending.Store(int64(len(found)))
		}
		if !pause(ctx, max(s.config.Sweep, share*took)) {
			return
		}
	}
}

// waiting names the organizations in which something is to be numbered. The snapshot
// is of its own: the statement leaves it without an organization.
func (s *Stream) waiting(ctx context.Context) ([]id.ID, error) {
	snapshot := s.config.DB.Snapshot()
	defer snapshot.Close(ctx)
	return db.Column[id.ID](ctx, snapshot.Shared(), queries.Get("pending"), nil)
}

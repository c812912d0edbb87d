package stream

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// subject is who the tailer reads as.
const subject = "stream"

// tail finds what other replicas published, as long as anybody here would see it.
func (s *Stream) tail(ctx context.Context) {
	ctx = access.With(ctx, access.Actor{Subject: subject, Role: access.Client, Scopes: []access.Scope{access.View}, AllOrganizations: true})
	failing := false
	for ctx.Err() == nil {
		known := s.hub.known()
		if len(known) == 0 {
			select {
			case <-s.hub.arrived:
			case <-ctx.Done():
			}
			continue
		}
		err := s.catchUp(ctx, known)
		if err != nil && !failing && ctx.Err() == nil {
			s.config.Log.WarnContext(ctx, "feeds cannot be followed; it is tried again", "error", err)
		}
		if failing = err != nil; failing {
			pause(ctx, failedAt)
			continue
		}
		s.await(ctx)
	}
}

// await waits for the time of the next look, or for who has it look now.
func (s *Stream) await(ctx context.Context) {
	timer := time.NewTimer(s.config.Poll)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.nudge:
	case <-ctx.Done():
	}
}

// catchUp reads what is new in the feeds. What was known of them was so before the
// snapshot: a head before that was set back, by a database that was restored.
func (s *Stream) catchUp(ctx context.Context, known map[id.ID]int64) error {
	snapshot := s.config.DB.Snapshot()
	defer snapshot.Close(ctx)
	heads, err := change.Heads(ctx, snapshot.Shared(), slices.Collect(maps.Keys(known)))
	if err != nil {
		return err
	}
	for organization, head := range heads {
		last := known[organization]
		if head < last || head-last > int64(s.config.Ring) {
			s.hub.jump(organization, last, head)
			continue
		}
		for last < head {
			var events []*change.Event
			events, last, err = s.reader.Replay(ctx, snapshot.Of(organization), organization, last, head, change.Filter{}, batch)
			if err != nil {
				return err
			}
			s.hub.publish(organization, events)
		}
	}
	return nil
}

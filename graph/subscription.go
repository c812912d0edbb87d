package graph

import (
	"context"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/stream"
)

type subscriptionResolver struct{ *Resolver }

// Subscription resolves the fields of Subscription.
func (r *Resolver) Subscription() generated.SubscriptionResolver { return subscriptionResolver{r} }

func (r subscriptionResolver) ExposureChanges(ctx context.Context, slug string, after *string, input *generated.ExposureChangeFilter) (<-chan *model.ExposureChangeFrame, error) {
	if r.stream == nil {
		return nil, problem.New(problem.Unavailable, "STREAM_OFF", "this server follows no feeds; ask Organization.exposureChanges")
	}
	organization, err := r.existing(ctx, slug)
	if err != nil {
		return nil, err
	}
	followed, err := r.stream.Subscribe(ctx, organization, after, changeFilter(organization, input))
	if err != nil {
		return nil, err
	}
	frames := make(chan *model.ExposureChangeFrame) // which holds nothing: the reader sets the pace
	go func() {
		defer close(frames)
		defer followed.Close()
		live.Fail(ctx, send(ctx, followed, frames))
	}()
	return frames, nil
}

// existing is the organization of a slug. A feed that nothing can ever come from
// would be silent instead of wrong.
func (r subscriptionResolver) existing(ctx context.Context, slug string) (id.ID, error) {
	snapshot := r.readers.Snapshot()
	defer snapshot.Close(ctx)
	found, err := r.organizations.BySlug(ctx, snapshot, slug)
	switch {
	case err != nil:
		return id.Nil, err
	case found == nil:
		return id.Nil, access.OrganizationNotFound()
	}
	return found.ID, nil
}

// send hands on what comes until the context ends or nothing more can come.
func send(ctx context.Context, followed *stream.Subscription, frames chan<- *model.ExposureChangeFrame) error {
	hand := func(frame *model.ExposureChangeFrame) bool {
		select {
		case frames <- frame:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		batch, err := followed.Next(ctx)
		if err != nil {
			return err
		}
		for _, event := range batch.Events {
			if !hand(model.NewFrame(event)) {
				return ctx.Err()
			}
		}
		if batch.Heartbeat && !hand(model.NewHeartbeat(batch.Cursor)) {
			return ctx.Err()
		}
	}
}

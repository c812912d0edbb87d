package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph/audience"
	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
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
	frames := make(chan *model.ExposureChangeFrame, 1)
	return frames, follow(ctx, &following{source: followed, organization: organization, frames: frames})
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

// following is a subscription to events under way. The executor shows what is in
// frames; what is put there, and whether it must be, is decided here.
type following struct {
	source       *stream.Subscription
	organization id.ID
	frames       chan *model.ExposureChangeFrame // room for one
	batch        []*change.Event                 // what was given and is not shown yet
	audience     *audience.Audience
}

type followingKey struct{}

// follow hands a subscription to whoever gives its responses.
func follow(ctx context.Context, f *following) error {
	place, ok := ctx.Value(followingKey{}).(*following)
	if !ok {
		f.source.Close()
		return problem.New(problem.Invalid, "SUBSCRIPTION_NEEDS_STREAM", "a subscription is answered by a stream")
	}
	*place = *f
	return nil
}

// together gives the responses of subscriptions to events, each executed once for
// all who are shown the same.
func together(house *audience.House) graphql.OperationMiddleware {
	return func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		if graphql.GetOperationContext(ctx).Operation.Operation != ast.Subscription {
			return next(ctx)
		}
		f := &following{}
		show := next(context.WithValue(ctx, followingKey{}, f))
		if f.source == nil { // refused, or to something else
			return show
		}
		var err error
		if f.audience, err = house.Join(ctx, f.organization); err != nil {
			f.source.Close()
			live.Fail(ctx, err)
			return func(context.Context) *graphql.Response { return nil }
		}
		context.AfterFunc(ctx, func() {
			f.source.Close()
			f.audience.Leave()
		})
		return func(ctx context.Context) *graphql.Response { return f.next(ctx, show) }
	}
}

// next waits for the next response; null when there is none.
func (f *following) next(ctx context.Context, show graphql.ResponseHandler) *graphql.Response {
	if len(f.batch) == 0 {
		batch, err := f.source.Next(ctx)
		if err != nil {
			live.Fail(ctx, err)
			return nil
		}
		if batch.Heartbeat {
			live.More(ctx, false)
			f.frames <- model.NewHeartbeat(batch.Cursor)
			return show(ctx)
		}
		f.batch = batch.Events
	}
	event := f.batch[0]
	f.batch = f.batch[1:]
	live.More(ctx, len(f.batch) > 0)
	return f.audience.Response(ctx, event.Seq, func() *graphql.Response {
		f.frames <- model.NewFrame(event)
		return show(ctx)
	})
}

package graph

import (
	"context"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/progress"
)

type syncProgressResolver struct{ *Resolver }

// SyncProgress resolves the fields of SyncProgress.
func (r *Resolver) SyncProgress() generated.SyncProgressResolver { return syncProgressResolver{r} }

func (r subscriptionResolver) SyncProgress(ctx context.Context, slug, text string) (<-chan *model.SyncProgress, error) {
	if r.board == nil {
		return nil, problem.New(problem.Unavailable, "PROGRESS_OFF", "this server does not show how far imports have come; ask Organization.syncs")
	}
	organization := id.Organization(slug)
	subject, err := progressSubject(text)
	if err != nil {
		return nil, err
	}
	followed, err := r.board.Follow(ctx, organization, subject)
	if err != nil {
		return nil, err
	}
	frames := make(chan *model.SyncProgress) // which holds nothing: who reads slowly is shown less
	go func() {
		defer close(frames)
		defer followed.Close()
		live.Fail(ctx, sendProgress(ctx, organization, followed, frames))
	}()
	return frames, nil
}

// progressSubject is what an id names: a delivery, or a sync. One of another
// organization is looked for in this one, where it is not.
func progressSubject(text string) (progress.Subject, error) {
	if opened, ok := model.ParseID(text); ok && opened.Type == model.TypeSync && opened.Parts[0] != id.Nil {
		return progress.Subject{Sync: opened.Parts[0]}, nil
	}
	delivery, err := progress.Parse(text)
	return progress.Subject{Delivery: delivery}, err
}

// sendProgress hands on what comes until the context or the delivery ends.
func sendProgress(ctx context.Context, organization id.ID, followed *progress.Following, frames chan<- *model.SyncProgress) error {
	for {
		row, err := followed.Next(ctx)
		if err != nil || row == nil {
			return err
		}
		select {
		case frames <- &model.SyncProgress{Row: *row, OrganizationID: organization}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r syncProgressResolver) Sync(ctx context.Context, p *model.SyncProgress) (*model.Sync, error) {
	if p.SyncID == nil {
		return nil, nil
	}
	s, err := loader.From(ctx).Syncs.Load(ctx, p.OrganizationID, *p.SyncID)
	if err != nil || s == nil {
		return nil, err
	}
	return &model.Sync{SyncRow: *s}, nil
}

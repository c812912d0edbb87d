// Package teller tells the demo's history to a server: it imports what the sources
// deliver, and does what people decide, each in their own name and at their instant.
package teller

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/demo"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// Deliver imports what a source delivers, by the door that everybody uses.
func Deliver(ctx context.Context, service *importer.Service, d *demo.Delivery, request authority.SyncRequest) (*authority.SyncReport, error) {
	content, err := d.Content()
	if err != nil {
		return nil, err
	}
	request.Source, request.System, request.Format, request.ObservedAt = d.Source, d.System, d.Format(), d.At
	return service.Run(ctx, importer.Request{SyncRequest: request, Files: func(yield func(importer.File, error) bool) {
		yield(importer.File{Name: d.Name(), Content: bytes.NewReader(content)}, nil)
	}})
}

// Teller tells an organization what people decide.
type Teller struct {
	db           *db.DB
	assessor     authority.Assessor
	slug         string
	organization id.ID
}

// New makes a teller for the organization of a slug.
func New(database *db.DB, assessor authority.Assessor, slug string) *Teller {
	return &Teller{db: database, assessor: assessor, slug: slug, organization: id.Organization(slug)}
}

// Decide does what somebody decides at an instant, unless the organization's ledger
// has come to it: then it was told before. As it says when it happened, it is
// recorded then, too: the story has one clock.
func (t *Teller) Decide(ctx context.Context, at time.Time, d *demo.Decision) error {
	now := func() time.Time { return at }
	paths := authority.New(t.db, t.assessor, now, slog.New(slog.DiscardHandler)).WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	told, err := t.told(ctx, paths, at)
	if err != nil || told {
		return err
	}
	scopes := []access.Scope{access.View, access.Investigate}
	if d.By.Operates {
		scopes = append(scopes, access.Operate)
	}
	ctx = access.With(ctx, access.Actor{Subject: d.By.Subject, Role: access.Client, Scopes: scopes, Organizations: []string{t.slug}})
	switch what := d.What.(type) {
	case demo.Judged:
		_, err = triage.New(t.db, paths, now).Judge(ctx, t.organization, t.key(what.Exposure), triage.Command{
			Action: triage.Action(what.Action), Reason: triage.FalsePositiveReason(what.Reason), ExpectedVersion: what.Version,
			Justification: d.Because, IdempotencyKey: what.Key,
		})
	case demo.JudgedMany:
		_, err = t.many(ctx, triage.New(t.db, paths, now), what, d.Because)
	case demo.Undone:
		err = t.undo(ctx, triage.New(t.db, paths, now), what, d.Because)
	case demo.Attested:
		_, err = exposure.NewRecorder(paths).AttestBaseline(ctx, t.organization, demo.EntityID(t.organization, what.Identity), d.Because)
	case demo.Justified:
		_, err = exposure.NewRecorder(paths).RecordJustification(ctx, t.organization, what.Path.ID(t.organization), exposure.Justification{Text: d.Because, Actions: what.Actions})
	default:
		err = fmt.Errorf("there is no such judgement: %T", what)
	}
	if err != nil {
		return fmt.Errorf("what %s decides at %s: %w", d.By.Subject, at.Format(time.RFC3339), err)
	}
	return nil
}

// told says whether the ledger has come to an instant. Every step of the history
// leaves an entry that says when it was.
func (t *Teller) told(ctx context.Context, paths *authority.Service, at time.Time) (bool, error) {
	snapshot := t.db.Snapshot()
	defer snapshot.Close(ctx)
	head, err := paths.Ledger().Head(ctx, snapshot, t.organization)
	return err == nil && !head.At.Before(at), err
}

func (t *Teller) many(ctx context.Context, service *triage.Service, what demo.JudgedMany, because string) (*triage.Batch, error) {
	items := make([]triage.Item, len(what.Exposures))
	for i, x := range what.Exposures {
		items[i].Key = t.key(x)
	}
	return service.JudgeMany(ctx, t.organization, triage.Selection{Items: items},
		triage.Command{Action: triage.Action(what.Action), Justification: because, IdempotencyKey: what.Key}, false)
}

// undo asks for the batch once more, which answers with what was done then.
func (t *Teller) undo(ctx context.Context, service *triage.Service, what demo.Undone, because string) error {
	many, is := what.Of.What.(demo.JudgedMany)
	if !is {
		return fmt.Errorf("only a batch can be undone, and not %T", what.Of.What)
	}
	actor, err := access.Current(ctx)
	if err != nil {
		return err
	}
	actor.Subject = what.Of.By.Subject
	batch, err := t.many(access.With(ctx, actor), service, many, what.Of.Because)
	if err != nil {
		return err
	}
	_, err = service.Undo(ctx, t.organization, batch.ID, because, what.Key)
	return err
}

func (t *Teller) key(x demo.Exposure) exposure.Key {
	return exposure.Key{PathID: x.Path.ID(t.organization), Type: x.Type, Ordinal: x.Ordinal}
}

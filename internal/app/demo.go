package app

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"log/slog"
	"path"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/demo"
	"github.com/exposuregraph/exposuregraph/internal/demo/teller"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed demo/*.yaml
var demoFiles embed.FS

// demoOwners says who answers for the workloads of the manifests beside it.
const demoOwners = "demo/owners.yaml"

// The organizations of the demo.
const (
	demoOrganization   = "demo"
	demoName           = "Demo: Contoso"
	demoKubernetes     = "demo-kubernetes"
	demoKubernetesName = "Demo: two Kubernetes manifests"
)

// demoObservedAt is the same at each start, so that importing again is
// recognised and writes nothing.
var demoObservedAt = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)

// demoTTL is how long the tokens of the demo live; each start makes new ones.
const demoTTL = 24 * time.Hour

// Tokens are the personas of the demo.
type Tokens struct {
	Admin   string // may everything, everywhere
	Analyst string // works on both organizations
	Viewer  string // reads both organizations
}

// errTold rolls an evaluation back whose place in the history is taken.
var errTold = errors.New("already told")

// Demo makes the organizations of the demo, if they are not there, and new
// tokens.
func (a *App) Demo(ctx context.Context) (*Tokens, error) {
	if a.database.OwnerURL == "" {
		return nil, problem.New(problem.Invalid, "OWNER_ROLE_NEEDED", "--demo makes access tokens, which takes the owner role: give --owner-database-url")
	}
	ctx = access.With(ctx, access.Actor{Subject: "demo", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	for slug, name := range map[string]string{demoOrganization: demoName, demoKubernetes: demoKubernetesName} {
		err := a.db.Tenant(ctx, id.Organization(slug), func(tx *db.Tx) error {
			_, err := a.organizations.Create(ctx, tx, slug, name, a.config.Now())
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if err := a.demoStory(ctx); err != nil {
		return nil, err
	}
	if err := a.demoManifests(ctx); err != nil {
		return nil, err
	}
	return a.demoTokens(ctx)
}

// demoDate is the day up to which the demo's history goes, if it is not told yet.
func (a *App) demoDate() time.Time {
	if !a.config.DemoDate.IsZero() {
		return demo.Midnight(a.config.DemoDate)
	}
	return demo.Midnight(a.config.Now())
}

// demoStory tells the history of the organization demo, or what is missing of it
// where an earlier start was interrupted.
func (a *App) demoStory(ctx context.Context) error {
	now, base := a.config.Now(), a.demoDate()
	if base.After(now) {
		return problem.New(problem.Invalid, "DEMO_DATE_IN_FUTURE", "the demo cannot end on %s, which is in the future; give a day up to today", base.Format(time.DateOnly)).On("demo-date")
	}
	told, theirs, err := a.demoTold(ctx)
	switch {
	case err != nil:
		return err
	case theirs:
		a.config.Logger.WarnContext(ctx, "the organization demo holds other data than the demo's, and is left alone")
		return nil
	case told != nil && !told.base.Equal(base):
		if !a.config.DemoDate.IsZero() {
			a.config.Logger.WarnContext(ctx, "the demo is there already, up to another date", "date", told.base.Format(time.DateOnly))
		}
		base = told.base
	}
	for _, step := range demo.History(base) {
		if told != nil && !step.At.After(told.until) {
			continue
		}
		if err := a.demoStep(ctx, step); err != nil {
			return err
		}
		a.config.Logger.DebugContext(ctx, "demo step", "at", step.At)
	}
	a.config.Logger.InfoContext(ctx, "demo", "organization", demoOrganization, "date", base.Format(time.DateOnly))
	return nil
}

// toldSoFar says how much of the history is there.
type toldSoFar struct {
	base  time.Time // up to which it goes
	until time.Time // the last delivery, of the demo or of somebody else
}

// demoTold finds how much of the history is there: nothing, or what began as it
// begins; theirs is anything else.
func (a *App) demoTold(ctx context.Context) (found *toldSoFar, theirs bool, err error) {
	snapshot := a.db.Snapshot()
	defer snapshot.Close(ctx)
	one, organization := 1, id.Organization(demoOrganization)
	newest, err := a.authority.Syncs(ctx, snapshot, organization, authority.SyncFilter{}, page.Request{First: &one})
	if err != nil || len(newest.Rows) == 0 {
		return nil, false, err
	}
	first, err := a.authority.Syncs(ctx, snapshot, organization, authority.SyncFilter{}, page.Request{Last: &one})
	if err != nil {
		return nil, false, err
	}
	begun := first.Rows[0].ObservedAt
	base := demo.BaseOf(begun)
	opening := demo.History(base)[0]
	if !begun.Equal(opening.At) || first.Rows[0].SourceID != id.Source(organization, opening.Delivery.Source, opening.Delivery.System) {
		return nil, true, nil
	}
	return &toldSoFar{base: base, until: newest.Rows[0].At}, false, nil
}

// demoStep takes a step. What is delivered is recorded as of now; decisions and
// judgements take place at their instant, because that is what they judge by.
func (a *App) demoStep(ctx context.Context, step demo.Step) error {
	if step.Decision != nil {
		return teller.New(a.db, assessor(), demoOrganization).Decide(ctx, step.At, step.Decision)
	}
	if step.Delivery == nil {
		evaluator := authority.New(a.db, assessor(), func() time.Time { return step.At }, slog.New(slog.DiscardHandler)).WithSurface(surface())
		_, err := evaluator.Reevaluate(ctx, id.Organization(demoOrganization), authority.ByTime, func(_ *db.Tx, at time.Time) error {
			if at.After(step.At) {
				return errTold
			}
			return nil
		})
		if errors.Is(err, errTold) {
			return nil
		}
		return err
	}
	_, err := teller.Deliver(ctx, a.importer, step.Delivery, authority.SyncRequest{Organization: demoOrganization, Strict: true})
	return err
}

// demoManifests imports the manifests of the organization demo-kubernetes.
func (a *App) demoManifests(ctx context.Context) error {
	owners, err := demoFiles.ReadFile(demoOwners)
	if err != nil {
		return err
	}
	report, err := a.importer.Run(ctx, importer.Request{
		SyncRequest: authority.SyncRequest{Organization: demoKubernetes, Format: "kubernetes", System: "demo", ObservedAt: demoObservedAt},
		Files:       manifests,
		Owners:      &importer.File{Name: path.Base(demoOwners), Content: bytes.NewReader(owners)},
	})
	if err != nil {
		return err
	}
	a.config.Logger.InfoContext(ctx, "demo", "organization", demoKubernetes, "outcome", report.Outcome)
	return nil
}

func manifests(yield func(importer.File, error) bool) {
	entries, err := demoFiles.ReadDir("demo") // sorted by name
	if err != nil {
		yield(importer.File{}, err)
		return
	}
	for _, entry := range entries {
		name := path.Join("demo", entry.Name())
		if name == demoOwners {
			continue
		}
		content, err := demoFiles.ReadFile(name)
		if !yield(importer.File{Name: entry.Name(), Content: bytes.NewReader(content)}, err) || err != nil {
			return
		}
	}
}

func (a *App) demoTokens(ctx context.Context) (*Tokens, error) {
	registry, err := OpenRegistry(ctx, a.database, a.config.Tokens, a.audit, audit.Issuer, a.config.Now)
	if err != nil {
		return nil, err
	}
	defer registry.Close()
	var tokens Tokens
	both := []string{demoOrganization, demoKubernetes}
	for _, persona := range []struct {
		token *string
		actor access.Actor
	}{
		{&tokens.Admin, access.Actor{Subject: "demo-admin", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true}},
		{&tokens.Analyst, access.Actor{Subject: "demo-analyst", Role: access.Client, Scopes: []access.Scope{access.View, access.Investigate, access.Operate}, Organizations: both}},
		{&tokens.Viewer, access.Actor{Subject: "demo-viewer", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: both}},
	} {
		token, err := registry.Issue(ctx, access.Order{Actor: persona.actor, TTL: demoTTL})
		if err != nil {
			return nil, err
		}
		*persona.token = token.Text
	}
	return &tokens, nil
}

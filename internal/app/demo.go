package app

import (
	"bytes"
	"context"
	"embed"
	"path"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed demo/*.yaml
var demoFiles embed.FS

// demoOwners says who answers for the workloads of the manifests beside it.
const demoOwners = "demo/owners.yaml"

// The organizations of the demo.
const (
	demoOrganization   = "demo"
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

// Demo makes the organizations of the demo, if they are not there, and new
// tokens.
func (a *App) Demo(ctx context.Context) (*Tokens, error) {
	if a.database.OwnerURL == "" {
		return nil, problem.New(problem.Invalid, "OWNER_ROLE_NEEDED", "--demo makes access tokens, which takes the owner role: give --owner-database-url")
	}
	ctx = access.With(ctx, access.Actor{Subject: "demo", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	for slug, name := range map[string]string{demoOrganization: "Demo", demoKubernetes: demoKubernetesName} {
		err := a.db.Tenant(ctx, id.Organization(slug), func(tx *db.Tx) error {
			_, err := a.organizations.Create(ctx, tx, slug, name, a.config.Now())
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	owners, err := demoFiles.ReadFile(demoOwners)
	if err != nil {
		return nil, err
	}
	report, err := a.importer.Run(ctx, importer.Request{
		SyncRequest: authority.SyncRequest{Organization: demoKubernetes, Format: "kubernetes", System: "demo", ObservedAt: demoObservedAt},
		Files:       demoManifests,
		Owners:      &importer.File{Name: path.Base(demoOwners), Content: bytes.NewReader(owners)},
	})
	if err != nil {
		return nil, err
	}
	a.config.Logger.InfoContext(ctx, "demo", "organization", demoKubernetes, "outcome", report.Outcome)
	return a.demoTokens(ctx)
}

func demoManifests(yield func(importer.File, error) bool) {
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
	now := a.config.Now()
	key, err := access.EnsureKey(ctx, a.database.OwnerURL, now)
	if err != nil {
		return nil, err
	}
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
		if *persona.token, err = access.Issue(key, persona.actor, demoTTL, now); err != nil {
			return nil, err
		}
	}
	return &tokens, nil
}

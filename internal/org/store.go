package org

import (
	"context"
	_ "embed"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var queriesSQL string

var (
	queries = db.Parse("org", queriesSQL)
	bySlug  = queries.Get("by_slug")
	byIDs   = queries.Get("by_ids")
	every   = queries.Get("every")
	create  = queries.Get("create")
)

// Store reads and creates organizations.
type Store struct{}

// BySlug is the organization of this name; nil if there is none, or none for
// this caller.
func (s *Store) BySlug(ctx context.Context, snapshot *db.Snapshot, slug string) (*Organization, error) {
	if _, err := access.Admit(ctx, id.Organization(slug), access.View); err != nil {
		if problem.KindOf(err) == problem.NotFound {
			return nil, nil
		}
		return nil, err
	}
	if CheckSlug(slug) != nil {
		return nil, nil //nolint:nilerr // no slug names nothing, and PostgreSQL never sees bytes that it cannot read
	}
	return db.First[Organization](ctx, snapshot.Shared(), bySlug, pgx.StrictNamedArgs{"slug": slug})
}

// ByIDs gives those of the organizations that exist and that the caller sees,
// sorted by slug.
func (s *Store) ByIDs(ctx context.Context, snapshot *db.Snapshot, ids []id.ID) ([]*Organization, error) {
	actor, err := access.RequireScope(ctx, access.View)
	if err != nil {
		return nil, err
	}
	return visible(ctx, snapshot, slices.DeleteFunc(slices.Clone(ids), func(organization id.ID) bool { return !actor.Sees(organization) }))
}

// List gives the organizations that the caller sees, sorted by slug.
func (s *Store) List(ctx context.Context, snapshot *db.Snapshot) ([]*Organization, error) {
	actor, err := access.RequireScope(ctx, access.View)
	if err != nil {
		return nil, err
	}
	if actor.AllOrganizations {
		return db.Select[Organization](ctx, snapshot.Shared(), every, pgx.StrictNamedArgs{})
	}
	ids := make([]id.ID, 0, len(actor.Organizations))
	for _, slug := range actor.Organizations {
		ids = append(ids, id.Organization(slug))
	}
	return visible(ctx, snapshot, ids)
}

func visible(ctx context.Context, snapshot *db.Snapshot, ids []id.ID) ([]*Organization, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return db.Select[Organization](ctx, snapshot.Shared(), byIDs, pgx.StrictNamedArgs{"ids": ids})
}

// Create makes the organization within a transaction and says whether it was
// new. Only an administrator who sees it may; an organization that is there
// already stays as it is. Without a name it is called by its slug.
func (s *Store) Create(ctx context.Context, tx *db.Tx, slug, name string, now time.Time) (created bool, err error) {
	if err := access.RequireAdmin(ctx); err != nil {
		return false, err
	}
	organization := id.Organization(slug)
	if actor, _ := access.From(ctx); !actor.Sees(organization) {
		return false, access.OrganizationNotFound()
	}
	if err := CheckSlug(slug); err != nil {
		return false, err
	}
	if name == "" {
		name = slug
	}
	// Local, because the table belongs to no organization: the id follows from
	// the slug and not from the transaction.
	count, err := db.Exec(ctx, tx.Local(), create, pgx.StrictNamedArgs{"id": organization, "slug": slug, "name": name, "now": now})
	return count > 0, err
}

package schedule

import (
	"context"
	"errors"
	"log/slog"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// rounds go through all organizations.
type rounds struct {
	db            *db.DB
	organizations *org.Store
	log           *slog.Logger
}

func (s *Schedule) rounds() rounds {
	return rounds{db: s.config.DB, organizations: s.config.Organizations, log: s.config.Logger}
}

// round does something for each organization. One for which it fails keeps it from
// no other.
func (r rounds) round(ctx context.Context, scopes []access.Scope, do func(context.Context, *org.Organization) error) error {
	ctx = access.With(ctx, access.Actor{Subject: subject, Role: access.Client, Scopes: scopes, AllOrganizations: true})
	list, err := every(ctx, r.db, r.organizations)
	if err != nil {
		return failed(ctx, r.log, err)
	}
	var errs []error
	for _, organization := range list {
		if err := do(ctx, organization); err != nil {
			errs = append(errs, failed(ctx, r.log, err, "organization", organization.ID))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

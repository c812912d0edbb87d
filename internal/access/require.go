package access

import (
	"context"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Require lets a member of the organization with the scope pass. The check of
// the membership comes first, so that a missing scope tells a stranger nothing.
func Require(ctx context.Context, organization id.ID, scope Scope) error {
	actor, ok := From(ctx)
	switch {
	case !ok:
		return tokenMissing()
	case !actor.Sees(organization):
		return OrganizationNotFound()
	case !actor.May(scope):
		return scopeMissing(scope)
	}
	return nil
}

// Current says who asks, whatever they may do.
func Current(ctx context.Context) (Actor, error) {
	actor, ok := From(ctx)
	if !ok {
		return Actor{}, tokenMissing()
	}
	return actor, nil
}

// RequireScope lets anybody with the scope pass and says who it is, for what
// belongs to no single organization.
func RequireScope(ctx context.Context, scope Scope) (Actor, error) {
	actor, ok := From(ctx)
	switch {
	case !ok:
		return Actor{}, tokenMissing()
	case !actor.May(scope):
		return Actor{}, scopeMissing(scope)
	}
	return actor, nil
}

// RequireAdmin lets an administrator pass.
func RequireAdmin(ctx context.Context) error {
	actor, ok := From(ctx)
	switch {
	case !ok:
		return tokenMissing()
	case actor.Role != Admin:
		return problem.New(problem.Denied, "ADMIN_REQUIRED", "only a token with the role admin may do this")
	}
	return nil
}

// OrganizationNotFound is the one answer for an organization that does not
// exist and for one that the caller is no member of. It does not repeat the
// name that was asked for, so both are the same to the byte.
func OrganizationNotFound() error {
	return problem.New(problem.NotFound, "ORGANIZATION_NOT_FOUND", "this organization does not exist, or not for this caller")
}

func tokenMissing() error {
	return problem.New(problem.Unauthentic, "TOKEN_MISSING",
		"this needs an access token: send it as `Authorization: Bearer TOKEN`; `exposuregraph token create` makes one")
}

func scopeMissing(scope Scope) error {
	return problem.New(problem.Denied, "SCOPE_MISSING", "this needs a token with the scope %s", scope)
}

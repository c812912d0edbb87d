package access

import (
	"context"
	"slices"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Require lets a member of the organization with the scope pass who sees all of it.
// Whoever sees a part is let in by Admit or Reader alone, so that what does not ask
// how much a caller sees is kept from such callers.
func Require(ctx context.Context, organization id.ID, scope Scope) error {
	actor, err := Admit(ctx, organization, scope)
	if err == nil && actor.Attributes.Limited() {
		return Partial("this")
	}
	return err
}

// Admit lets a member of the organization with the scope pass, and says who it is. It
// may see a part of the organization only: whoever asks this asks for that as well.
// The check of the membership comes first, so that a missing scope tells a stranger
// nothing.
func Admit(ctx context.Context, organization id.ID, scope Scope) (Actor, error) {
	actor, ok := From(ctx)
	switch {
	case !ok:
		return Actor{}, tokenMissing()
	case !actor.Sees(organization):
		return Actor{}, OrganizationNotFound()
	case !actor.May(scope):
		return Actor{}, scopeMissing(scope)
	}
	return actor, nil
}

// Reader is the organization as a member with the scope sees it: all of it, or what
// its attributes let through.
func Reader(ctx context.Context, snapshot *db.Snapshot, organization id.ID, scope Scope) (db.Querier, error) {
	actor, err := Admit(ctx, organization, scope)
	if err != nil {
		return nil, err
	}
	if actor.Attributes.Limited() {
		return snapshot.Through(organization, actor.Attributes.Filter()), nil
	}
	return snapshot.Of(organization), nil
}

// Classes are access classes of an organization that somebody sees; nil are all. None
// at all is not nil.
type Classes []int

// Has says whether the class is among them.
func (c Classes) Has(class int) bool { return c == nil || slices.Contains(c, class) }

// VisibleClasses are those that the caller sees of the organization that is read.
func VisibleClasses(ctx context.Context, q db.Querier) (Classes, error) {
	actor, ok := From(ctx)
	if !ok {
		return nil, tokenMissing()
	}
	if !actor.Attributes.Limited() {
		return nil, nil
	}
	return db.VisibleClasses(ctx, q, actor.Attributes.Filter())
}

// Limited says whether the caller sees a part of each organization.
func Limited(ctx context.Context) bool {
	actor, ok := From(ctx)
	return ok && actor.Attributes.Limited()
}

// Whole refuses somebody who sees a part of what they ask for.
func Whole(ctx context.Context, what string) error {
	if Limited(ctx) {
		return Partial(what)
	}
	return nil
}

// Partial is the answer to somebody who sees a part, about what is there as a whole.
func Partial(what string) error {
	return problem.New(problem.Denied, "TOKEN_LIMITED", "%s is about the whole organization, and the access token is limited by attributes; ask with one that is not", what)
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

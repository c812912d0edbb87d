package access

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Role tells an administrator from everybody else.
type Role string

// The roles.
const (
	Client Role = "client"
	Admin  Role = "admin" // may create organizations
)

// Roles are all roles.
var Roles = []Role{Client, Admin}

// Scope is something an actor may do in its organizations.
type Scope string

// The scopes.
const (
	View        Scope = "vuln:view"        // read
	Investigate Scope = "vuln:investigate" // comment, assign, collect evidence
	Operate     Scope = "vuln:operate"     // import, change the state of findings
	Audit       Scope = "vuln:audit"       // read the ledger, write bundles
	Approve     Scope = "vuln:approve"     // approve the acceptance of a risk
)

// Scopes are all scopes.
var Scopes = []Scope{View, Investigate, Operate, Audit, Approve}

// legacyView is what older tokens call View. It is honoured and not advertised.
const legacyView Scope = "vuln:read"

// Actor is who asks.
type Actor struct {
	Subject          string   // who answers for what is done
	Delegates        []string // who acts on behalf of the subject: the one that asks first, then the one before it
	Role             Role
	Scopes           []Scope
	Organizations    []string // slugs of the organizations it is a member of
	AllOrganizations bool     // member of every organization, present and future
	Attributes       Attributes
	ExpiresAt        time.Time
	TokenID          string // of a token that was made here, which can be revoked; empty for any other
	Deprecated       bool   // the token says vuln:read, as vuln:view was called
}

// Chain is everybody who takes part, the subject first, as the ledger keeps it.
func (a Actor) Chain() []string { return append([]string{a.Subject}, a.Delegates...) }

// Sees says whether the actor is a member of the organization.
func (a Actor) Sees(organization id.ID) bool {
	return a.AllOrganizations || slices.ContainsFunc(a.Organizations, func(slug string) bool {
		return id.Organization(slug) == organization
	})
}

// May says whether the actor has the scope.
func (a Actor) May(scope Scope) bool { return slices.Contains(a.Scopes, scope) }

// Rights names what the actor may see and do: who has the same rights is answered
// with the same. Whether a token is deprecated is part of the answer.
func (a Actor) Rights() string {
	scopes := slices.Sorted(slices.Values(a.Scopes))
	organizations := slices.Sorted(slices.Values(a.Organizations))
	return fmt.Sprintf("%q %q %t %q %s %t", a.Role, scopes, a.AllOrganizations, organizations, a.Attributes.rights(), a.Deprecated)
}

type contextKey struct{}

// With puts the actor into the context.
func With(ctx context.Context, actor Actor) context.Context {
	return context.WithValue(ctx, contextKey{}, actor)
}

// From is the actor of the context, if there is one.
func From(ctx context.Context) (Actor, bool) {
	actor, ok := ctx.Value(contextKey{}).(Actor)
	return actor, ok
}

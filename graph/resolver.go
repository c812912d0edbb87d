// Package graph is the GraphQL surface: hand-written resolvers, a file per
// area, and the handler that puts limits before them and one snapshot under
// each response. A resolver decodes its arguments, makes one domain call and
// shows what comes back.
package graph

import (
	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// Resolver is the root of all resolvers.
type Resolver struct {
	organizations *org.Store
	paths         *authority.Service
}

var _ generated.ResolverRoot = (*Resolver)(nil)

// The areas, each with its fields that are more than a value of their object.
type (
	queryResolver                struct{ *Resolver }
	organizationResolver         struct{ *Resolver }
	authorityPathResolver        struct{ *Resolver }
	authorityPathVersionResolver struct{ *Resolver }
	lineageResolver              struct{ *Resolver }
	identityRotationResolver     struct{ *Resolver }
	workloadResolver             struct{ *Resolver }
	identityResolver             struct{ *Resolver }
	resourceResolver             struct{ *Resolver }
	accessRoleResolver           struct{ *Resolver }
	ownerResolver                struct{ *Resolver }
	identityBindingResolver      struct{ *Resolver }
	roleBindingResolver          struct{ *Resolver }
	attributeResolver            struct{ *Resolver }
	syncResolver                 struct{ *Resolver }
)

// Query and the methods below hand gqlgen the resolvers of each type.
func (r *Resolver) Query() generated.QueryResolver                 { return queryResolver{r} }
func (r *Resolver) Organization() generated.OrganizationResolver   { return organizationResolver{r} }
func (r *Resolver) AuthorityPath() generated.AuthorityPathResolver { return authorityPathResolver{r} }
func (r *Resolver) AuthorityPathVersion() generated.AuthorityPathVersionResolver {
	return authorityPathVersionResolver{r}
}
func (r *Resolver) Lineage() generated.LineageResolver { return lineageResolver{r} }
func (r *Resolver) IdentityRotation() generated.IdentityRotationResolver {
	return identityRotationResolver{r}
}
func (r *Resolver) Workload() generated.WorkloadResolver     { return workloadResolver{r} }
func (r *Resolver) Identity() generated.IdentityResolver     { return identityResolver{r} }
func (r *Resolver) Resource() generated.ResourceResolver     { return resourceResolver{r} }
func (r *Resolver) AccessRole() generated.AccessRoleResolver { return accessRoleResolver{r} }
func (r *Resolver) Owner() generated.OwnerResolver           { return ownerResolver{r} }
func (r *Resolver) IdentityBinding() generated.IdentityBindingResolver {
	return identityBindingResolver{r}
}
func (r *Resolver) RoleBinding() generated.RoleBindingResolver { return roleBindingResolver{r} }
func (r *Resolver) Attribute() generated.AttributeResolver     { return attributeResolver{r} }
func (r *Resolver) Sync() generated.SyncResolver               { return syncResolver{r} }

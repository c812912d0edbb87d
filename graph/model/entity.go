package model

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Node is an object with a global id.
type Node interface {
	IsNode()
	ID() string
}

// Entity is something that sources name.
type Entity interface {
	Node
	IsEntity()
	Domain() *authority.Entity
}

// entity is what all kinds of entities share.
type entity struct{ authority.Entity }

func (*entity) IsNode()   {}
func (*entity) IsEntity() {}

// Domain is the entity itself.
func (e *entity) Domain() *authority.Entity { return &e.Entity }

// SourceID is its name in its own system.
func (e *entity) SourceID() string { return e.ExternalID }

// SourceSystem is the system it lives in.
func (e *entity) SourceSystem() string { return e.System }

type (
	// Workload is what runs.
	Workload struct{ entity }
	// Identity is what a workload runs as.
	Identity struct{ entity }
	// Resource is what can be reached.
	Resource struct{ entity }
	// AccessRole is what grants.
	AccessRole struct{ entity }
	// Owner is who answers for a workload.
	Owner struct{ entity }
)

// ID is the workload's global id.
func (w *Workload) ID() string { return globalID(TypeWorkload, w.OrganizationID, w.Entity.ID) }

// ID is the identity's global id.
func (i *Identity) ID() string { return globalID(TypeIdentity, i.OrganizationID, i.Entity.ID) }

// ID is the resource's global id.
func (r *Resource) ID() string { return globalID(TypeResource, r.OrganizationID, r.Entity.ID) }

// ID is the role's global id.
func (r *AccessRole) ID() string { return globalID(TypeAccessRole, r.OrganizationID, r.Entity.ID) }

// ID is the owner's global id.
func (o *Owner) ID() string { return globalID(TypeOwner, o.OrganizationID, o.Entity.ID) }

// Type says whether the owner is a person.
func (o *Owner) Type() *record.OwnerType { return o.OwnerType }

// NewEntity shows an entity as its kind.
func NewEntity(e *authority.Entity) Entity {
	switch e.Kind {
	case record.Workload:
		return NewWorkload(e)
	case record.Identity:
		return NewIdentity(e)
	case record.Resource:
		return NewResource(e)
	case record.Role:
		return NewAccessRole(e)
	case record.Owner:
		return NewOwner(e)
	}
	return nil
}

// NewWorkload shows an entity as a workload.
func NewWorkload(e *authority.Entity) *Workload { return &Workload{entity{*e}} }

// NewIdentity shows an entity as an identity.
func NewIdentity(e *authority.Entity) *Identity { return &Identity{entity{*e}} }

// NewResource shows an entity as a resource.
func NewResource(e *authority.Entity) *Resource { return &Resource{entity{*e}} }

// NewAccessRole shows an entity as a role.
func NewAccessRole(e *authority.Entity) *AccessRole { return &AccessRole{entity{*e}} }

// NewOwner shows an entity as an owner.
func NewOwner(e *authority.Entity) *Owner { return &Owner{entity{*e}} }

// IdentityBinding is a tie between a workload and an identity.
type IdentityBinding struct {
	OrganizationID id.ID
	IdentityID     id.ID
	Type           record.EdgeKind
	Protocol       *string
	TargetSystem   *string
}

// RelationshipType is how the workload comes to the identity.
func (b *IdentityBinding) RelationshipType() record.EdgeKind { return b.Type }

// RoleBinding is a role that an identity holds.
type RoleBinding struct {
	OrganizationID id.ID
	RoleID         id.ID
	Scope          string
}

// Attribute is what is known of one attribute.
type Attribute struct {
	OrganizationID id.ID
	SourceID       id.ID
	Name, Value    string
	Basis          record.Basis
}

// Source is a feed.
type Source struct{ authority.Source }

// IsNode marks a node.
func (*Source) IsNode() {}

// ID is the source's global id.
func (s *Source) ID() string { return globalID(TypeSource, s.OrganizationID, s.Source.ID) }

// Sync is a delivery.
type Sync struct{ authority.SyncRow }

// IsNode marks a node.
func (*Sync) IsNode() {}

// ID is the delivery's global id.
func (s *Sync) ID() string { return globalID(TypeSync, s.OrganizationID, s.SyncRow.ID) }

// counted is what a delivery was or did as a whole: it is not told apart by who sees
// what of it.
func counted[T any](ctx context.Context, value T) (T, error) {
	return value, access.Whole(ctx, "what a delivery had and did")
}

// RecordsRead is how many records it had.
func (s *Sync) RecordsRead(ctx context.Context) (int, error) {
	return counted(ctx, s.SyncRow.RecordsRead)
}

// RecordsRejected is how many were not accepted.
func (s *Sync) RecordsRejected(ctx context.Context) (int, error) {
	return counted(ctx, s.SyncRow.RecordsRejected)
}

// PathsAdded is how many paths began to stand.
func (s *Sync) PathsAdded(ctx context.Context) (int, error) {
	return counted(ctx, s.SyncRow.PathsAdded)
}

// PathsKept is how many stayed as they were.
func (s *Sync) PathsKept(ctx context.Context) (int, error) { return counted(ctx, s.SyncRow.PathsKept) }

// PathsChanged is how many are others since.
func (s *Sync) PathsChanged(ctx context.Context) (int, error) {
	return counted(ctx, s.SyncRow.PathsChanged)
}

// PathsRemoved is how many ceased to stand.
func (s *Sync) PathsRemoved(ctx context.Context) (int, error) {
	return counted(ctx, s.SyncRow.PathsRemoved)
}

// Rejections are the records that were not accepted.
func (s *Sync) Rejections(ctx context.Context) ([]SyncRejection, error) {
	list := make([]SyncRejection, len(s.SyncRow.Rejections))
	for i, r := range s.SyncRow.Rejections {
		list[i] = SyncRejection{File: text(r.File), Line: line(r.Line), Code: r.Code, Reason: r.Reason}
	}
	return counted(ctx, list)
}

// Warnings are what the reader should know.
func (s *Sync) Warnings(ctx context.Context) ([]SyncWarning, error) {
	list := make([]SyncWarning, len(s.SyncRow.Warnings))
	for i, w := range s.SyncRow.Warnings {
		list[i] = SyncWarning{File: text(w.File), Line: line(w.Line), Code: w.Code, Message: w.Message}
	}
	return counted(ctx, list)
}

// SyncRejection is a record that was not accepted.
type SyncRejection struct {
	File   *string
	Line   *int
	Code   string
	Reason string
}

// SyncWarning is something that the reader should know.
type SyncWarning struct {
	File    *string
	Line    *int
	Code    string
	Message string
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func line(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// Viewer is who asks.
type Viewer struct {
	Subject          string
	Role             access.Role
	Scopes           []string
	AllOrganizations bool
	ExpiresAt        *time.Time
	AttributeFilters []*AttributeFilter
}

// AttributeFilter is a limit of a token.
type AttributeFilter struct {
	Attribute string
	Values    []string
}

package model

import (
	"encoding/hex"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// AuthorityPath is a path as the schema shows it.
type AuthorityPath struct{ authority.Path }

// ID is the path's global id.
func (p *AuthorityPath) ID() string { return globalID(TypeAuthorityPath, p.OrganizationID, p.Path.ID) }

// LineageID is the global id of the path's lineage.
func (p *AuthorityPath) LineageID() string { return p.Lineage().ID() }

// Lineage is the path's lineage.
func (p *AuthorityPath) Lineage() *Lineage {
	return &Lineage{OrganizationID: p.OrganizationID, LineageKey: authority.LineageKey{WorkloadID: p.WorkloadID, ResourceID: p.ResourceID}}
}

// CompositionHash is the fingerprint in hexadecimal.
func (p *AuthorityPath) CompositionHash() string { return hex.EncodeToString(p.State.CompositionHash) }

// CreatedAt is when the path was recorded first.
func (p *AuthorityPath) CreatedAt() time.Time { return p.FirstSeenAt }

// UpdatedAt is since when the path is as it is.
func (p *AuthorityPath) UpdatedAt() time.Time { return p.FromAt }

// CurrentState is what a list row needs.
func (p *AuthorityPath) CurrentState() PathState { return PathState{&p.Path} }

// PathState is the state of a path as a list row needs it.
type PathState struct{ *authority.Path }

// MaxSensitivity is the highest sensitivity that the path reaches.
func (s PathState) MaxSensitivity() authority.Sensitivity { return s.Sensitivity }

// MaxExposureSeverity is the highest severity of an active exposure.
func (s PathState) MaxExposureSeverity() *rule.Severity {
	if s.Path.MaxExposureSeverity == nil {
		return nil
	}
	severity := rule.Severity(*s.Path.MaxExposureSeverity)
	return &severity
}

// AuthorityPathVersion is a state of a path and its interval.
type AuthorityPathVersion struct {
	authority.PathVersion
	OrganizationID id.ID
}

// EffectiveFrom is when the state began.
func (v *AuthorityPathVersion) EffectiveFrom() time.Time { return v.FromAt }

// EffectiveTo is when it ended.
func (v *AuthorityPathVersion) EffectiveTo() *time.Time { return v.ToAt }

// CompositionHash is the fingerprint in hexadecimal.
func (v *AuthorityPathVersion) CompositionHash() string {
	return hex.EncodeToString(v.State.CompositionHash)
}

// Lineage is a workload and a destination.
type Lineage struct {
	OrganizationID id.ID
	authority.LineageKey
}

// IsNode marks a node.
func (*Lineage) IsNode() {}

// ID is the lineage's global id.
func (l *Lineage) ID() string {
	return ID{Type: TypeLineage, Organization: l.OrganizationID, Parts: [2]id.ID{l.WorkloadID, l.ResourceID}}.String()
}

// IsNode marks a node.
func (*AuthorityPath) IsNode() {}

// IdentityRotation is a workload's change of identity.
type IdentityRotation struct{ authority.Rotation }

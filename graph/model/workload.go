package model

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// WorkloadExposure is a row of a workload as the schema shows it.
type WorkloadExposure struct{ *posture.WorkloadExposure }

// ID is the row's own id, which people use.
func (w *WorkloadExposure) ID() string { return w.Code }

// IdentityBinding says whether any identity is known.
func (w *WorkloadExposure) IdentityBinding() posture.Binding { return w.Binding() }

// PathCount is how many paths start at the workload.
func (w *WorkloadExposure) PathCount() int { return w.Paths }

// FindingCount is how many findings it has.
func (w *WorkloadExposure) FindingCount() int { return w.Findings }

// FindingTypes are the rules of the findings.
func (w *WorkloadExposure) FindingTypes() []rule.Rule { return w.Rules() }

// MaxSeverity is the gravest of its paths; nil without any.
func (w *WorkloadExposure) MaxSeverity() *rule.Severity {
	if w.WorkloadExposure.MaxSeverity == 0 {
		return nil
	}
	return &w.WorkloadExposure.MaxSeverity
}

// SensitiveDomainCount counts the domains of its sensitive destinations.
func (w *WorkloadExposure) SensitiveDomainCount() int { return len(w.SensitiveDomains) }

// ExecutionCount30d counts its executions.
func (w *WorkloadExposure) ExecutionCount30d() *int64 { return w.Executions }

// EgressCategories are what was seen, the gravest first.
func (w *WorkloadExposure) EgressCategories() []authority.EgressCategory { return w.Egress() }

// PathSummary is what its paths come to.
func (w *WorkloadExposure) PathSummary() PathSummary { return PathSummary{w.WorkloadExposure} }

// PathSummary is what the paths of a workload come to.
type PathSummary struct{ row *posture.WorkloadExposure }

// TotalPaths is how many there are.
func (s PathSummary) TotalPaths() int { return s.row.Paths }

// SensitivePaths is how many reach sensitive data.
func (s PathSummary) SensitivePaths() int { return s.row.SensitivePaths }

// DormantPaths is how many are dormant.
func (s PathSummary) DormantPaths() int { return s.row.DormantPaths }

// ExecutedPaths is how many were used.
func (s PathSummary) ExecutedPaths() int { return s.row.ExecutedPaths }

// UnwatchedPaths is of how many nobody can tell.
func (s PathSummary) UnwatchedPaths() int { return s.row.UnwatchedPaths }

// TotalExecution30d counts the executions.
func (s PathSummary) TotalExecution30d() *int64 { return s.row.Executions }

// WorkloadOwnership is who answers for a workload.
type WorkloadOwnership struct {
	Owners          []*WorkloadOwner
	EffectiveStatus authority.OwnershipStatus
}

// WorkloadOwner is an owner or creator of a workload.
type WorkloadOwner struct {
	WorkloadID       id.ID
	Owner            *Owner
	RelationshipType record.EdgeKind
}

// ID is that of the tie and not the owner's: a client that keeps objects by their ids
// would take one tie of the owner for another.
func (o *WorkloadOwner) ID() string {
	return id.New("workload-owner/1").ID(o.WorkloadID).Text(string(o.RelationshipType)).ID(o.Owner.Entity.ID).Short().String()
}

// Name is the owner's.
func (o *WorkloadOwner) Name() string { return o.Owner.Name }

// Type says whether the owner is a person.
func (o *WorkloadOwner) Type() *record.OwnerType { return o.Owner.OwnerType }

// Status says whether the owner is active.
func (o *WorkloadOwner) Status() record.Status { return o.Owner.Status }

// Role is the owner's towards what they own.
func (o *WorkloadOwner) Role() *string { return o.Owner.Title }

// WorkloadMetadata is where a workload comes from.
type WorkloadMetadata struct {
	entity       *authority.Entity
	LastSyncedAt *time.Time
}

// NewWorkloadMetadata shows where a workload comes from.
func NewWorkloadMetadata(workload *authority.Entity, lastSynced *time.Time) *WorkloadMetadata {
	return &WorkloadMetadata{workload, lastSynced}
}

// SourceSystem is the system it lives in.
func (m *WorkloadMetadata) SourceSystem() string { return m.entity.System }

// SourceID is its name there.
func (m *WorkloadMetadata) SourceID() string { return m.entity.ExternalID }

// ArtifactIdentifier is what is deployed.
func (m *WorkloadMetadata) ArtifactIdentifier() *string { return m.entity.ArtifactIdentifier }

// CreatedAt is when it was created in its own system.
func (m *WorkloadMetadata) CreatedAt() *time.Time { return m.entity.CreatedInSourceAt }

// ExecutionEvidenceSummary is what is recorded of the executions of a workload.
type ExecutionEvidenceSummary struct {
	TotalDirectRecords  int
	TotalRelatedRecords int
	LastExecutionAt     *time.Time
	ExecutionCount30d   *int64
}

// NewExecutionEvidenceSummary shows what is recorded.
func NewExecutionEvidenceSummary(w *posture.WorkloadExposure, d *posture.Dossier) *ExecutionEvidenceSummary {
	return &ExecutionEvidenceSummary{
		TotalDirectRecords: int(d.DirectRecords), TotalRelatedRecords: int(d.RelatedRecords),
		LastExecutionAt: w.LastExecutionAt, ExecutionCount30d: w.Executions,
	}
}

// NewCompleteness shows how completely each kind of evidence is known.
func NewCompleteness(coverage map[record.EvidenceKind]rule.Coverage) []*EvidenceCompleteness {
	shown := []*EvidenceCompleteness{}
	for _, kind := range []record.EvidenceKind{record.Ownership, record.Execution, record.EgressObs, record.Binding, record.Roles} {
		if c, asked := coverage[kind]; asked {
			shown = append(shown, &EvidenceCompleteness{Kind: kind, Coverage: c})
		}
	}
	return shown
}

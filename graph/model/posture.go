package model

import (
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// RiskCluster is a risk cluster as the schema shows it.
type RiskCluster struct{ *posture.Cluster }

// IsNode marks a node.
func (*RiskCluster) IsNode() {}

// ID is the cluster's global id: of its number and of the level it is read at.
func (c *RiskCluster) ID() string {
	return ID{Type: TypeRiskCluster, Organization: c.OrganizationID, Parts: [2]id.ID{pair(int64(c.Definition.Cluster), int64(c.Level))}}.String()
}

// ClusterLevel is the cluster and the level that an id names; ok is false for an
// id of something else.
func (i ID) ClusterLevel() (cluster int16, level posture.Level, ok bool) {
	a, b := unpair(i.Parts[0])
	if i.Type != TypeRiskCluster || a < 1 || a > 1000 || b < int64(posture.Open) || b > int64(posture.Accepted) {
		return 0, 0, false
	}
	return int16(a), posture.Level(b), true
}

// Description says what the members have in common.
func (c *RiskCluster) Description() string { return c.Summary }

// Priority says in which order to look at it.
func (c *RiskCluster) Priority() *posture.Priority { return c.Cluster.Priority() }

// Urgency says how much of it is known to happen.
func (c *RiskCluster) Urgency() *posture.Urgency { return c.Cluster.Urgency() }

// Verdict is what it comes to, in a sentence.
func (c *RiskCluster) Verdict() string { return c.Sentence() }

// FindingTypes are the rules whose findings make a member.
func (c *RiskCluster) FindingTypes() []rule.Rule {
	rules := make([]rule.Rule, 0, len(c.Types()))
	for _, t := range c.Types() {
		rules = append(rules, rule.Rule(t))
	}
	return rules
}

// ExposureTypes are the exposures that make a member.
func (c *RiskCluster) ExposureTypes() []rule.Type { return c.Types() }

// PathCount is how many paths are members.
func (c *RiskCluster) PathCount() int { return int(c.Paths) }

// IdentityCount is through how many identities they lead.
func (c *RiskCluster) IdentityCount() int { return int(c.Identities) }

// WorkloadCount is at how many workloads they start.
func (c *RiskCluster) WorkloadCount() int { return int(c.Workloads) }

// TotalExecution30d counts the executions of the members.
func (c *RiskCluster) TotalExecution30d() int64 { return c.Executions }

// AcknowledgedPathCount is how many are members only by acknowledged exposures.
func (c *RiskCluster) AcknowledgedPathCount() int { return int(c.AcknowledgedPaths) }

// AcceptedPathCount is how many more would be members by accepted risks.
func (c *RiskCluster) AcceptedPathCount() int { return int(c.AcceptedPaths) }

// OldestFindingDays is the age of the first exposure that makes a member.
func (c *RiskCluster) OldestFindingDays() *int { return c.OldestDays }

// NewPaths30d is how many members were first seen within the window.
func (c *RiskCluster) NewPaths30d() int { return int(c.NewPaths) }

// OwnershipBreakdown counts paths by who answers for their workload.
type OwnershipBreakdown struct{ Valid, Degraded, Ambiguous, Orphaned, Unknown int }

// OwnershipBreakdown counts the members by who answers for their workload.
func (c *RiskCluster) OwnershipBreakdown() OwnershipBreakdown {
	return OwnershipBreakdown{
		Valid: int(c.OwnershipValid), Degraded: int(c.OwnershipDegraded), Ambiguous: int(c.OwnershipAmbiguous),
		Orphaned: int(c.OwnershipOrphaned), Unknown: int(c.OwnershipUnknown),
	}
}

// SensitivityBreakdown counts paths by how sensitive their destination is.
type SensitivityBreakdown struct{ Unknown, Public, Internal, Confidential, Restricted int }

// SensitivityBreakdown counts the members by how sensitive their destination is.
func (c *RiskCluster) SensitivityBreakdown() SensitivityBreakdown {
	return SensitivityBreakdown{
		Unknown: int(c.SensitivityUnknown), Public: int(c.SensitivityPublic), Internal: int(c.SensitivityInternal),
		Confidential: int(c.SensitivityConfidential), Restricted: int(c.SensitivityRestricted),
	}
}

// Posture is what an organization comes to, as the schema shows it.
type Posture struct{ *posture.Posture }

// ActivePaths is how many paths stand.
func (p *Posture) ActivePaths() int { return int(p.Paths) }

// DormantPaths is how many are dormant.
func (p *Posture) DormantPaths() int { return int(p.Posture.DormantPaths) }

// SensitivePaths is how many reach sensitive data.
func (p *Posture) SensitivePaths() int { return int(p.Posture.SensitivePaths) }

// ExecutedPaths is how many were used.
func (p *Posture) ExecutedPaths() int { return int(p.Posture.ExecutedPaths) }

// UnwatchedPaths is of how many nobody can tell.
func (p *Posture) UnwatchedPaths() int { return int(p.Posture.UnwatchedPaths) }

// TotalExecutions30d counts the executions.
func (p *Posture) TotalExecutions30d() int64 { return p.Executions }

// OwnershipInvalidCount is how many paths start where nobody rightly answers.
func (p *Posture) OwnershipInvalidCount() int { return int(p.InvalidPaths) }

// ExecutedInvalidOwnershipCount is how many of these were used.
func (p *Posture) ExecutedInvalidOwnershipCount() int { return int(p.ExecutedInvalidPaths) }

// IdentityCounts counts identities.
type IdentityCounts struct{ ActiveAutonomous, DormantAuthority, Active, Total int }

// IdentityCounts counts the identities that paths lead through.
func (p *Posture) IdentityCounts() *IdentityCounts {
	return &IdentityCounts{
		ActiveAutonomous: int(p.ActiveAutonomous), DormantAuthority: int(p.DormantIdentities), Active: int(p.ActiveIdentities), Total: int(p.Identities),
	}
}

// WorkloadCounts counts workloads by who makes them run.
type WorkloadCounts struct{ Autonomous, OperatorAssisted, HumanTriggered, Unclassified, Total int }

// WorkloadCounts counts the living workloads.
func (p *Posture) WorkloadCounts() *WorkloadCounts {
	return &WorkloadCounts{
		Autonomous: int(p.Autonomous), OperatorAssisted: int(p.OperatorAssisted), HumanTriggered: int(p.HumanTriggered),
		Unclassified: int(p.Unclassified), Total: int(p.Workloads),
	}
}

// WorkloadExposureCounts counts rows by severity.
type WorkloadExposureCounts struct{ Critical, High, Medium, Low, None, Total int }

// WorkloadExposureCounts counts the rows of the list.
func (p *Posture) WorkloadExposureCounts() WorkloadExposureCounts {
	return WorkloadExposureCounts{
		Critical: int(p.Critical), High: int(p.High), Medium: int(p.Medium), Low: int(p.Low),
		None: int(p.Listed - p.Critical - p.High - p.Medium - p.Low), Total: int(p.Listed),
	}
}

// Delta is what has changed.
func (p *Posture) Delta() *PostureDelta {
	d := p.Posture.Delta()
	if d == nil {
		return nil
	}
	return &PostureDelta{
		OrganizationID: p.OrganizationID, Since: d.Since, NewPaths: narrow(d.NewPaths), RemovedPaths: narrow(d.RemovedPaths), NewOrphaned: narrow(d.NewOrphaned),
		OwnershipInvalidations: narrow(d.OwnershipInvalidations), NewAutonomousIdentities: narrow(d.NewAutonomousIdentities),
	}
}

// Refreshes are the sources.
func (p *Posture) Refreshes() []SourceRefresh {
	shown := make([]SourceRefresh, len(p.Sources))
	for i, source := range p.Sources {
		shown[i] = SourceRefresh{Source: &Source{source}, LastRefresh: source.LastCompleteAt, LastAppliedAt: source.LastAppliedAt}
	}
	return shown
}

// PostureDelta is what has changed since a snapshot.
type PostureDelta struct {
	OrganizationID          id.ID
	Since                   *posture.Snapshot
	NewPaths                *int
	RemovedPaths            *int
	NewOrphaned             *int
	OwnershipInvalidations  *int
	NewAutonomousIdentities *int
}

func narrow(n *int64) *int {
	if n == nil {
		return nil
	}
	number := int(*n)
	return &number
}

// SourceRefresh is when a source last refreshed what is known.
type SourceRefresh struct {
	Source        *Source
	LastRefresh   *time.Time
	LastAppliedAt *time.Time
}

// PostureSnapshot is what an organization came to, as the schema shows it.
type PostureSnapshot struct{ *posture.Snapshot }

// ActivePaths is how many paths stood.
func (s *PostureSnapshot) ActivePaths() int { return int(s.Paths) }

// DormantPaths is how many were dormant.
func (s *PostureSnapshot) DormantPaths() int { return int(s.Snapshot.DormantPaths) }

// SensitivePaths is how many reached sensitive data.
func (s *PostureSnapshot) SensitivePaths() *int { return narrow(s.Snapshot.SensitivePaths) }

// TotalExecutions30d counts the executions.
func (s *PostureSnapshot) TotalExecutions30d() int64 { return s.Executions }

// OwnershipInvalidCount is how many paths started where nobody rightly answered.
func (s *PostureSnapshot) OwnershipInvalidCount() int { return int(s.InvalidPaths) }

// ExecutedInvalidOwnershipCount is how many of these were used.
func (s *PostureSnapshot) ExecutedInvalidOwnershipCount() int { return int(s.ExecutedInvalidPaths) }

// IdentityCounts counts identities; nil where one of the numbers was not measured.
func (s *PostureSnapshot) IdentityCounts() *IdentityCounts {
	n, ok := all(s.ActiveAutonomous, s.DormantIdentities, s.ActiveIdentities, s.Identities)
	if !ok {
		return nil
	}
	return &IdentityCounts{ActiveAutonomous: n[0], DormantAuthority: n[1], Active: n[2], Total: n[3]}
}

// WorkloadCounts counts workloads; nil where one of the numbers was not measured.
func (s *PostureSnapshot) WorkloadCounts() *WorkloadCounts {
	n, ok := all(s.Autonomous, s.OperatorAssisted, s.HumanTriggered, s.Unclassified, s.Workloads)
	if !ok {
		return nil
	}
	return &WorkloadCounts{Autonomous: n[0], OperatorAssisted: n[1], HumanTriggered: n[2], Unclassified: n[3], Total: n[4]}
}

// all are the numbers, if each was measured.
func all(numbers ...*int64) ([]int, bool) {
	values := make([]int, len(numbers))
	for i, n := range numbers {
		if n == nil {
			return nil, false
		}
		values[i] = int(*n)
	}
	return values, true
}

// ClusterSnapshot is what a cluster came to.
type ClusterSnapshot struct {
	Key               string
	PathCount         int
	TotalExecution30d int64
}

// Clusters are the clusters that had members, by key.
func (s *PostureSnapshot) Clusters() []ClusterSnapshot {
	shown := make([]ClusterSnapshot, 0, len(s.Snapshot.Clusters))
	for key, c := range s.Snapshot.Clusters {
		shown = append(shown, ClusterSnapshot{Key: key, PathCount: int(c.Paths), TotalExecution30d: c.Executions})
	}
	slices.SortFunc(shown, func(a, b ClusterSnapshot) int { return strings.Compare(a.Key, b.Key) })
	return shown
}

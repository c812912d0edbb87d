package model

import (
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

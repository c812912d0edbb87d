package model

import (
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// PostureDiff is what moved an organization between two instants.
type PostureDiff struct{ *posture.Diff }

// Causes are what brought it.
func (d PostureDiff) Causes() []*PostureCause {
	causes := make([]*PostureCause, len(d.Diff.Causes))
	for i, c := range d.Diff.Causes {
		causes[i] = &PostureCause{CauseCount: c, OrganizationID: d.OrganizationID}
	}
	return causes
}

// PostureCause is what one cause brought.
type PostureCause struct {
	*posture.CauseCount
	OrganizationID id.ID
}

// Evaluation is why was judged.
func (c *PostureCause) Evaluation() *string { return c.word(posture.CauseEvaluation) }

// Decision is the kind of the entries in the ledger.
func (c *PostureCause) Decision() *string { return c.word(posture.CauseDecision) }

func (c *PostureCause) word(kind posture.CauseKind) *string {
	if c.Kind != kind {
		return nil
	}
	return c.Word
}

// RiskClusterPoint is what a cluster came to at an instant.
type RiskClusterPoint struct {
	posture.Point
	Priority *posture.Priority
}

// PathCount is how many paths were members.
func (p RiskClusterPoint) PathCount() int64 { return p.Paths }

// IdentityCount is how many identities they had.
func (p RiskClusterPoint) IdentityCount() int64 { return p.Identities }

// WorkloadCount is how many workloads they had.
func (p RiskClusterPoint) WorkloadCount() int64 { return p.Workloads }

// TotalExecution30d is how often they executed.
func (p RiskClusterPoint) TotalExecution30d() int64 { return p.Executions }

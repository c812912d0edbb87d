package exposure

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Disposition is what people say of an exposure.
type Disposition int16

// The dispositions, as they are stored.
const (
	DispositionOpen          Disposition = 1
	DispositionAcknowledged  Disposition = 2
	DispositionRiskAccepted  Disposition = 3
	DispositionFalsePositive Disposition = 4
)

// Status is the one word for the condition and the disposition together.
type Status string

// The statuses.
const (
	StatusActive        Status = "active"
	StatusResolved      Status = "resolved"
	StatusAcknowledged  Status = "acknowledged" // or its risk accepted
	StatusFalsePositive Status = "false_positive"
)

// StatusOf is the status of a condition that holds.
func StatusOf(d Disposition) Status {
	switch d {
	case DispositionAcknowledged, DispositionRiskAccepted:
		return StatusAcknowledged
	case DispositionFalsePositive:
		return StatusFalsePositive
	}
	return StatusActive
}

// Key names an exposure in its organization.
type Key struct {
	PathID  id.ID
	Type    rule.Type
	Ordinal int // counts the intervals of a path and type
}

// Exposure is a condition on one authority path, in its interval.
type Exposure struct {
	OrganizationID id.ID
	Key
	WorkloadID         id.ID
	Class              int
	Severity           rule.Severity
	Factors            rule.Factors
	Explanation        string
	EvidenceDigest     id.ID
	Disposition        Disposition
	DecidedSeq         *int64 // the entry of the ledger that the disposition, or a resolution by hand, follows from
	EffectiveFrom      time.Time
	EffectiveBasis     rule.Basis
	LineageFrom        time.Time
	IndeterminateSince *time.Time // of rules of path grain; see Standing
	Version            int
	VersionFrom        time.Time
	FromAt             time.Time
	ToAt               *time.Time
	ResolutionReason   *rule.Reason
}

// Status is the published status.
func (x *Exposure) Status() Status {
	if x.ToAt != nil {
		return StatusResolved
	}
	return StatusOf(x.Disposition)
}

// Days is how many whole days the exposure has been effective: until it
// resolved, or until now, the organization's clock.
func (x *Exposure) Days(now time.Time) int {
	if x.ToAt != nil {
		now = *x.ToAt
	}
	return max(0, int(now.Sub(x.EffectiveFrom)/(24*time.Hour)))
}

// LastEvaluated is when the exposure was last known to be judged: at its end,
// or by whatever came last of its own change, a complete sync of the workload and
// a judgement of everything.
func (x *Exposure) LastEvaluated(synced, judged *time.Time) time.Time {
	if x.ToAt != nil {
		return *x.ToAt
	}
	last := x.VersionFrom
	for _, at := range []*time.Time{synced, judged} {
		if at != nil && at.After(last) {
			last = *at
		}
	}
	return last
}

// Version is a state of an exposure and the interval in which it held.
type Version struct {
	Key
	Version            int
	FromAt             time.Time
	ToAt               *time.Time
	Severity           rule.Severity
	Factors            rule.Factors
	Explanation        string
	Disposition        Disposition
	DecidedSeq         *int64
	IndeterminateSince *time.Time
}

// Standing is what an exposure stands on, as it stood while the exposure did:
// now, or just before it resolved.
type Standing struct {
	Key
	RuleVersion        *int // null: nobody recorded which
	SettingVersion     int  // 0: the defaults
	WindowAt           *time.Time
	Explanation        *string        // of the condition; null for rules of path grain
	Evidence           *rule.Evidence // of the condition; null for rules of path grain
	IndeterminateSince *time.Time     // of the condition
	Actions            []string
	RoleIDs            []id.ID `db:"role_ids"`
	DataDomain         *string
	Sensitivity        authority.Sensitivity
}

// Neighbours are the exposures of the same type that an exposure took over from
// and handed over to when the workload rotated its identity.
type Neighbours struct{ Predecessor, Successor *Exposure }

// Clock is how far an organization's time has come.
type Clock struct {
	At          time.Time  // the last sync or judgement
	EvaluatedAt *time.Time // the last judgement of everything that no sync caused
}

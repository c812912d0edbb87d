package model

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// SeverityContribution is a part of a severity, in steps.
type SeverityContribution struct {
	Factor       rule.Factors
	Contribution int
}

// SeverityFactors are what the severity adds up to.
func (e *ExposureExplanation) SeverityFactors() []SeverityContribution {
	set := rule.Factors(0)
	for _, f := range e.Factors {
		set |= f
	}
	parts := []SeverityContribution{}
	for _, c := range set.Contributions() {
		parts = append(parts, SeverityContribution{Factor: c.Factor, Contribution: c.Steps})
	}
	return parts
}

// RulePredicate is one of the things that a rule asks.
type RulePredicate struct {
	Name        string
	Requires    string
	OneOf       *string
	Holds       rule.Outcome
	Value       *PredicateValue
	Threshold   *rule.Threshold
	Coverage    *PredicateCoverage
	EvidenceIDs []string
}

// PredicateValue is what was found.
type PredicateValue struct {
	Number *int
	Text   *string
	At     *time.Time
	List   []string
}

// PredicateCoverage says how completely a kind of evidence is known.
type PredicateCoverage struct {
	Kind         record.EvidenceKind
	Completeness rule.Coverage
	Since        *time.Time
	Until        *time.Time
	LookedAt     *time.Time
}

// recordTypes are the types of the ids of records.
var recordTypes = map[exposure.RecordKind]Type{
	exposure.RecordWorkload: TypeWorkload, exposure.RecordIdentity: TypeIdentity, exposure.RecordResource: TypeResource, exposure.RecordOwner: TypeOwner,
	exposure.RecordPath: TypeAuthorityPath, exposure.RecordTie: TypeTie, exposure.RecordEgress: TypeEgress, exposure.RecordLink: TypeLink, exposure.RecordExecution: TypeExecution,
	exposure.RecordCoverage: TypeCoverage, exposure.RecordBaseline: TypeBaseline, exposure.RecordJustification: TypeJustification,
}

// NewRulePredicates shows what a rule asked.
func NewRulePredicates(organization id.ID, asked []exposure.Asked) []RulePredicate {
	shown := make([]RulePredicate, len(asked))
	for i, a := range asked {
		p := RulePredicate{Name: a.Name, Requires: a.Requires, Holds: a.Holds, Threshold: a.Threshold, EvidenceIDs: make([]string, len(a.Records))}
		if a.OneOf != "" {
			p.OneOf = &a.OneOf
		}
		if v := a.Found; v.Number != nil || v.Text != nil || v.At != nil || v.List != nil {
			p.Value = &PredicateValue{Number: v.Number, Text: v.Text, At: v.At, List: v.List}
		}
		if c := a.Coverage; c != nil {
			p.Coverage = &PredicateCoverage{Kind: c.Kind, Completeness: c.State, Since: c.Since, Until: c.Until, LookedAt: c.LookedAt}
		}
		for n, r := range a.Records {
			p.EvidenceIDs[n] = globalID(recordTypes[r.Kind], organization, r.ID)
		}
		shown[i] = p
	}
	return shown
}

// RuleVerdict is what a rule says of a path now.
type RuleVerdict struct {
	Rule       rule.Rule
	Enabled    bool
	Outcome    rule.Outcome
	Predicates []RulePredicate
}

// NewRuleVerdict shows a verdict.
func NewRuleVerdict(organization id.ID, v *exposure.Verdict) *RuleVerdict {
	return &RuleVerdict{Rule: v.Rule, Enabled: !v.Disabled, Outcome: v.Outcome, Predicates: NewRulePredicates(organization, v.Asked)}
}

// RiskClusterExplanation is what a cluster asks and what follows from its members.
type RiskClusterExplanation struct{ *posture.Cluster }

// Explain says what the cluster asks and what follows from its members.
func (c *RiskCluster) Explain() *RiskClusterExplanation {
	return &RiskClusterExplanation{c.Cluster}
}

// DefinitionVersion is the version of what is asked.
func (e *RiskClusterExplanation) DefinitionVersion() int { return e.Version }

// ClusterTerm is a term of a cluster.
type ClusterTerm struct{ Types []rule.Type }

// Terms are what is asked.
func (e *RiskClusterExplanation) Terms() []ClusterTerm {
	terms := []ClusterTerm{}
	for _, types := range e.Expression() {
		terms = append(terms, ClusterTerm{types})
	}
	return terms
}

// ClusterLevelCounts is what the members up to a level come to.
type ClusterLevelCounts struct {
	Level             posture.Level
	PathCount         int
	IdentityCount     int
	WorkloadCount     int
	TotalExecution30d int64
}

// Levels are what the members come to at each level.
func (e *RiskClusterExplanation) Levels() []ClusterLevelCounts {
	shown := []ClusterLevelCounts{}
	for _, level := range []posture.Level{posture.Open, posture.Acknowledged, posture.Accepted} {
		t := e.Cluster.Levels[level]
		shown = append(shown, ClusterLevelCounts{
			Level: level, PathCount: int(t.Paths), IdentityCount: int(t.Identities), WorkloadCount: int(t.Workloads), TotalExecution30d: t.Executions,
		})
	}
	return shown
}

// PriorityExplanation is what a priority follows from.
type PriorityExplanation struct {
	Value     *posture.Priority
	Severity  rule.Severity
	PathCount int
}

// Priority is what the priority follows from.
func (e *RiskClusterExplanation) Priority() PriorityExplanation {
	return PriorityExplanation{Value: e.Cluster.Priority(), Severity: e.Severity, PathCount: int(e.Paths)}
}

// UrgencyExplanation is what an urgency follows from.
type UrgencyExplanation struct {
	Value           *posture.Urgency
	Because         []posture.Because
	GovernanceTypes []rule.Type
}

// Urgency is what the urgency follows from.
func (e *RiskClusterExplanation) Urgency() UrgencyExplanation {
	return UrgencyExplanation{Value: e.Cluster.Urgency(), Because: e.WhyUrgent(e.Totals), GovernanceTypes: e.Governance()}
}

// ClusterMembership is why a path is a member of a cluster, or is not.
type ClusterMembership struct {
	Cluster    *RiskCluster
	Level      posture.Level
	Member     bool
	MemberFrom *posture.Level
	Obstacle   *posture.Obstacle
	Terms      []ClusterTermState
}

// ClusterTermState is how far a term is satisfied.
type ClusterTermState struct {
	Types         []rule.Type
	Satisfied     bool
	CarriedByPath bool
	BySeverity    *rule.Severity
	Exposure      *Exposure
	CarrierCount  int
	Carriers      []*Exposure
	Missing       []MissingExposure
}

// MissingExposure is why an exposure does not count.
type MissingExposure struct {
	OrganizationID   id.ID
	PathID           id.ID
	Type             rule.Type
	Reason           posture.Gap
	Exposure         *Exposure
	ResolvedAt       *time.Time
	ResolutionReason *rule.Reason
}

func showOptional(x *exposure.Exposure) *Exposure {
	if x == nil {
		return nil
	}
	return &Exposure{*x}
}

// NewClusterMembership shows why a path is a member of a cluster, or is not.
func NewClusterMembership(path *authority.Path, cluster *RiskCluster, w *posture.WhyNot) *ClusterMembership {
	shown := &ClusterMembership{Cluster: cluster, Level: w.Level, Member: w.Member, MemberFrom: w.From, Obstacle: w.Obstacle, Terms: []ClusterTermState{}}
	for _, s := range w.States {
		state := ClusterTermState{
			Types: s.Types, Satisfied: s.Satisfied, CarriedByPath: s.Here, Exposure: showOptional(s.By), CarrierCount: s.Paths, Carriers: []*Exposure{}, Missing: []MissingExposure{},
		}
		if s.By != nil {
			state.BySeverity = &s.By.Severity
		}
		for _, x := range s.Carriers {
			state.Carriers = append(state.Carriers, showOptional(x))
		}
		for _, m := range s.Missing {
			missing := MissingExposure{OrganizationID: path.OrganizationID, PathID: path.ID, Type: m.Type, Reason: m.Gap, Exposure: showOptional(m.Exposure)}
			if m.Exposure != nil {
				missing.ResolvedAt, missing.ResolutionReason = m.Exposure.ToAt, m.Exposure.ResolutionReason
			}
			state.Missing = append(state.Missing, missing)
		}
		shown.Terms = append(shown.Terms, state)
	}
	return shown
}

// PrimaryClusterExplanation is why a path is shown under one of its clusters.
type PrimaryClusterExplanation struct {
	DecidedBy posture.Deciding
	Ranking   []RankedCluster
}

// RankedCluster is a cluster and what it is ranked by.
type RankedCluster struct {
	Cluster  *RiskCluster
	Severity rule.Severity
	Terms    int
	Key      string
}

// PostureCountExplanation is what a number of a posture counts.
type PostureCountExplanation struct {
	Posture    *posture.Posture
	Counting   posture.Counting
	Count      posture.Count
	Value      *int64
	Definition string
	From       *posture.Snapshot // of a number that counts what happened
	Filter     *PostureCountFilter
}

// PostureCountFilter is a list and its filter.
type PostureCountFilter struct {
	List            posture.List
	Sensitivity     []authority.Sensitivity
	OwnershipStatus []authority.OwnershipStatus
	Severity        []rule.Severity
	WithoutSeverity bool
}

// Explain says what a number counts; nil for a number that there is not.
func (p *Posture) Explain(count posture.Count) *PostureCountExplanation {
	c, known := posture.Explain(count)
	if !known {
		return nil
	}
	shown := &PostureCountExplanation{Posture: p.Posture, Counting: c, Count: count, Value: c.Value(p.Posture), Definition: c.Definition}
	if c.Event && p.From != nil {
		shown.From = p.From
	}
	if f := c.Filter; f != nil {
		shown.Filter = &PostureCountFilter{List: f.List, Sensitivity: f.Sensitivities, OwnershipStatus: f.Ownership, Severity: f.Severities, WithoutSeverity: f.Harmless}
	}
	return shown
}

// PostureRow is a row that a number counts.
type PostureRow struct {
	OrganizationID id.ID
	Of             posture.Counted
}

// Amount is how much of the number it is.
func (r *PostureRow) Amount() int64 { return r.Of.Amount }

// At is when it happened.
func (r *PostureRow) At() *time.Time { return r.Of.At }

package rule

import "strconv"

// Rule numbers a rule. Each opens exposures of one Type, which has the same
// number; numbers are stored, and bits of masks follow from them.
type Rule int16

// The rules.
const (
	OrphanedOwnership  Rule = 1
	OwnershipDegraded  Rule = 2
	OwnershipAmbiguous Rule = 3
	OwnershipUnknown   Rule = 4
	DormantAuthority   Rule = 5
	SensitiveDomain    Rule = 6
	UnknownBinding     Rule = 7
	UnprovenExecution  Rule = 8
	ScopeDrift         Rule = 9
	PrivilegeGap       Rule = 10
	ExternalEgress     Rule = 11
	LLMEgress          Rule = 12
	IdentityReuse      Rule = 13
	InternetFacing     Rule = 16 // 14 and 15 are set aside
)

// Grain is what a rule judges.
type Grain string

// The grains. A condition of a workload or an identity fans out to its paths.
const (
	OfWorkload Grain = "workload"
	OfIdentity Grain = "identity"
	OfPath     Grain = "path"
)

// Definition is what is fixed about a rule.
type Definition struct {
	Rule    Rule
	Key     string // the name of the condition, such as "orphaned_ownership"
	Type    Type
	Version int // raised when the rule's outcome changes for the same facts
	Grain   Grain
}

// Definitions are the rules in the order of their numbers.
var Definitions = []Definition{
	{OrphanedOwnership, "orphaned_ownership", OrphanedPath, 1, OfWorkload},
	{OwnershipDegraded, "ownership_degraded", DegradedOwnership, 1, OfWorkload},
	{OwnershipAmbiguous, "ownership_ambiguous", AmbiguousOwnership, 1, OfWorkload},
	{OwnershipUnknown, "ownership_unknown", UnknownOwnership, 1, OfWorkload},
	{DormantAuthority, "dormant_authority", DormantPath, 1, OfIdentity},
	{SensitiveDomain, "reachable_sensitive_domain", SensitiveReach, 1, OfPath},
	{UnknownBinding, "unknown_identity_binding", UnboundPath, 1, OfWorkload},
	{UnprovenExecution, "unproven_execution", UnprovenPath, 2, OfWorkload},
	{ScopeDrift, "scope_drift", ScopeExpansion, 1, OfIdentity},
	{PrivilegeGap, "privilege_justification_gap", ExcessPrivilege, 1, OfPath},
	{ExternalEgress, "external_egress", ExternalEgressing, 1, OfWorkload},
	{LLMEgress, "llm_egress", LLMEgressing, 1, OfWorkload},
	{IdentityReuse, "identity_reuse", SharedIdentity, 1, OfIdentity},
	{InternetFacing, "internet_facing", OutwardFacing, 1, OfWorkload},
}

// Define finds the definition of a rule.
func Define(r Rule) Definition {
	for _, d := range Definitions {
		if d.Rule == r {
			return d
		}
	}
	panic("no rule " + strconv.Itoa(int(r)))
}

// Type is what an exposure is.
type Type int16

// The types of exposures.
const (
	OrphanedPath       = Type(OrphanedOwnership)
	DegradedOwnership  = Type(OwnershipDegraded)
	AmbiguousOwnership = Type(OwnershipAmbiguous)
	UnknownOwnership   = Type(OwnershipUnknown)
	DormantPath        = Type(DormantAuthority)
	SensitiveReach     = Type(SensitiveDomain)
	UnboundPath        = Type(UnknownBinding)
	UnprovenPath       = Type(UnprovenExecution)
	ScopeExpansion     = Type(ScopeDrift)
	ExcessPrivilege    = Type(PrivilegeGap)
	ExternalEgressing  = Type(ExternalEgress)
	LLMEgressing       = Type(LLMEgress)
	SharedIdentity     = Type(IdentityReuse)
	OutwardFacing      = Type(InternetFacing)
)

// Bit is the type's place in a mask.
func (t Type) Bit() int32 { return 1 << (t - 1) }

// Severity of an exposure, ordered: a greater one is graver.
type Severity int16

// The severities.
const (
	Low Severity = iota + 1
	Medium
	High
	Critical
)

// Reason says why something resolved.
type Reason string

// The reasons.
const (
	OwnerAssigned           Reason = "owner_assigned"            // an owner who is active was added
	OwnerReactivated        Reason = "owner_reactivated"         // a former owner is active again
	OwnerRecordCleaned      Reason = "owner_record_cleaned"      // the inactive owners were taken off the record
	IndividualOwnerAssigned Reason = "individual_owner_assigned" // a person now answers besides the groups
	OwnershipReceived       Reason = "ownership_metadata_received"
	OwnershipChanged        Reason = "ownership_changed" // another ownership condition took its place
	ActivityResumed         Reason = "activity_resumed"
	IdentityDisabled        Reason = "identity_disabled"
	SensitivityReclassified Reason = "sensitivity_reclassified"
	IdentityBound           Reason = "identity_bound"
	EvidenceAppeared        Reason = "evidence_appeared"
	ScopeReduced            Reason = "scope_reduced"
	BaselineAttested        Reason = "baseline_attested"
	PrivilegeReduced        Reason = "privilege_reduced"
	PrivilegeExercised      Reason = "privilege_exercised"
	JustificationRecorded   Reason = "justification_recorded" // what is unused has been justified
	ExecutionCeased         Reason = "execution_ceased"       // nothing is proven any longer: dormancy is another rule's business
	EgressRemoved           Reason = "egress_removed"
	HostReclassified        Reason = "host_reclassified"
	IdentityDedicated       Reason = "identity_dedicated"
	AssetGone               Reason = "asset_gone"   // what the workload answered at is closed, or was not seen any more
	LinkRemoved             Reason = "link_removed" // what is there leads to the workload no longer

	PathRemoved        Reason = "path_removed"
	PathIneffective    Reason = "path_ineffective" // the target system ignores the authority by now
	WorkloadRemoved    Reason = "workload_removed"
	IdentityRemoved    Reason = "identity_removed"
	RotatedToSuccessor Reason = "rotated_to_successor"
	RuleRetired        Reason = "rule_retired"     // the rule was switched off
	RuleChanged        Reason = "rule_changed"     // a new version of the rule judges otherwise
	SettingChanged     Reason = "settings_changed" // a threshold was moved
	Manual             Reason = "manual"
)

// Basis says how the beginning of a condition is known.
type Basis string

// The bases.
const (
	Detected      Basis = "detected"        // it was first found then; it may be older
	PathFirstSeen Basis = "path_first_seen" // it has held since the subject was first seen
	EntityEvent   Basis = "entity_event"    // it follows from a dated event
)

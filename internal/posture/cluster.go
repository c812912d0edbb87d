package posture

import "github.com/exposuregraph/exposuregraph/internal/exposure/rule"

// Grain is what has to satisfy a cluster's expression.
type Grain string

// The grains. Members are paths either way: at workload grain those that carry
// a term, of a workload whose paths satisfy the expression together.
const (
	OfPath     Grain = "path"
	OfWorkload Grain = "workload"
)

// Level is up to which disposition exposures count.
type Level int16

// The levels; each includes those before it.
const (
	Open Level = iota + 1
	Acknowledged
	Accepted
)

// AllClasses is the class of the counters over all access classes.
const AllClasses = -1

// Definition is a risk cluster: a combination of exposure types.
type Definition struct {
	Cluster  int16 // its number, which is stored
	Version  int   // raised when the expression, the grain or the severity changes
	Key      string
	Label    string
	Summary  string
	Verdict  string // a sentence with {identities}, {workloads}, {paths} and {executions}
	Severity rule.Severity
	Grain    Grain
	All      []rule.Type // every one of them
	Any      []rule.Type // and, unless empty, one of them
}

// Definitions are the clusters in the order of their numbers.
var Definitions = []Definition{
	{
		Cluster: 1, Version: 1, Key: "orphaned-sensitive", Label: "Unowned Sensitive Access", Severity: rule.Critical, Grain: OfPath,
		Summary: "Paths to sensitive data of workloads that nobody active owns.",
		Verdict: "{identities} accessed sensitive systems {executions} in 30 days; none has an owner.",
		All:     []rule.Type{rule.OrphanedPath, rule.SensitiveReach},
	},
	{
		Cluster: 2, Version: 1, Key: "orphaned-sensitive-llm", Label: "Unowned Sensitive Access with LLM", Severity: rule.Critical, Grain: OfPath,
		Summary: "Paths to sensitive data of workloads that nobody active owns and that send data to a language model.",
		Verdict: "{identities} could send sensitive data to a model and ran {executions} in 30 days; none has an owner.",
		All:     []rule.Type{rule.OrphanedPath, rule.SensitiveReach, rule.LLMEgressing},
	},
	{
		Cluster: 3, Version: 1, Key: "unbound-sensitive", Label: "Unbound Sensitive Access", Severity: rule.Critical, Grain: OfWorkload,
		Summary: "Workloads that reach sensitive data without an identity that is known.",
		Verdict: "{workloads} reached sensitive systems without a bound identity.",
		All:     []rule.Type{rule.UnboundPath, rule.SensitiveReach},
	},
	{
		Cluster: 4, Version: 1, Key: "llm-egress", Label: "LLM Data Egress", Severity: rule.High, Grain: OfPath,
		Summary: "Paths of workloads that send data to a language-model endpoint.",
		Verdict: "{identities} sent data to model endpoints and ran {executions} in 30 days.",
		All:     []rule.Type{rule.LLMEgressing},
	},
	{
		Cluster: 5, Version: 1, Key: "orphaned-external", Label: "Unowned External Egress", Severity: rule.High, Grain: OfPath,
		Summary: "Paths of workloads that send data outside and that nobody active owns.",
		Verdict: "{identities} sent data outside and ran {executions} in 30 days; none has an owner.",
		All:     []rule.Type{rule.OrphanedPath, rule.ExternalEgressing},
	},
	{
		Cluster: 6, Version: 1, Key: "dormant-external", Label: "Dormant External Access", Severity: rule.High, Grain: OfPath,
		Summary: "Paths through identities that have stopped acting, of workloads that send data outside.",
		Verdict: "{identities} kept external access and did not act for {dormancy}.",
		All:     []rule.Type{rule.DormantPath, rule.ExternalEgressing},
	},
	{
		Cluster: 7, Version: 1, Key: "drifted-sensitive", Label: "Expanded Sensitive Access", Severity: rule.High, Grain: OfPath,
		Summary: "Paths to sensitive data that an identity holds by roles it did not have at its baseline.",
		Verdict: "{identities} gained scope that reaches sensitive data on {paths}.",
		All:     []rule.Type{rule.ScopeExpansion, rule.SensitiveReach},
	},
	{
		Cluster: 8, Version: 1, Key: "standing-sensitive", Label: "Standing Sensitive Authority", Severity: rule.Medium, Grain: OfPath,
		Summary: "Paths to sensitive data that were never used, or are no longer.",
		Verdict: "{identities} held {paths} to sensitive data, never or no longer used.",
		All:     []rule.Type{rule.SensitiveReach}, Any: []rule.Type{rule.UnprovenPath, rule.DormantPath},
	},
	{
		Cluster: 9, Version: 1, Key: "shared-sensitive", Label: "Shared Identity on Sensitive Data", Severity: rule.High, Grain: OfPath,
		Summary: "Paths to sensitive data through an identity that several workloads share.",
		Verdict: "{identities} carried {workloads} to sensitive data: one credential, many workloads.",
		All:     []rule.Type{rule.SharedIdentity, rule.SensitiveReach},
	},
	{
		Cluster: 10, Version: 1, Key: "overprivileged-egress", Label: "Excess Privilege with Egress", Severity: rule.High, Grain: OfPath,
		Summary: "Paths with power that is not used, of workloads that send data outside or to a language model.",
		Verdict: "{identities} held power that was not used, next to an exit, on {paths}.",
		All:     []rule.Type{rule.ExcessPrivilege}, Any: []rule.Type{rule.ExternalEgressing, rule.LLMEgressing},
	},
	{
		Cluster: 11, Version: 1, Key: "weak-ownership-drift", Label: "Drift under Weak Ownership", Severity: rule.Medium, Grain: OfPath,
		Summary: "Paths whose scope grew while nobody clearly answers for the workload.",
		Verdict: "The scope of {identities} grew on {paths}, and nobody clearly approved it.",
		All:     []rule.Type{rule.ScopeExpansion}, Any: []rule.Type{rule.DegradedOwnership, rule.AmbiguousOwnership, rule.UnknownOwnership},
	},
	{
		Cluster: 12, Version: 1, Key: "unaccountable-sensitive", Label: "Unaccountable Sensitive Access", Severity: rule.Medium, Grain: OfPath,
		Summary: "Paths to sensitive data of workloads that nobody clearly answers for.",
		Verdict: "{paths} of {workloads} led to sensitive data, and nobody clearly answers for them.",
		All:     []rule.Type{rule.SensitiveReach}, Any: []rule.Type{rule.UnknownOwnership, rule.AmbiguousOwnership, rule.DegradedOwnership},
	},
	{
		Cluster: 13, Version: 1, Key: "internet-facing-sensitive", Label: "Internet-Facing Sensitive Access", Severity: rule.Critical, Grain: OfWorkload,
		Summary: "Workloads that answer from outside and reach sensitive data.",
		Verdict: "{workloads} answered from outside and led to sensitive data on {paths}.",
		All:     []rule.Type{rule.OutwardFacing, rule.SensitiveReach},
	},
}

// AllMask has the bits of All, AnyMask those of Any.
func (d Definition) AllMask() int32 { return mask(d.All) }

// AnyMask is 0 where no alternative is asked.
func (d Definition) AnyMask() int32 { return mask(d.Any) }

func mask(types []rule.Type) (bits int32) {
	for _, t := range types {
		bits |= t.Bit()
	}
	return bits
}

// Holds says whether the exposure types of a mask satisfy the expression.
func (d Definition) Holds(bits int32) bool {
	all, anyOf := d.AllMask(), d.AnyMask()
	return bits&all == all && (anyOf == 0 || bits&anyOf != 0)
}

package rule

import (
	"math/bits"

	"github.com/exposuregraph/exposuregraph/internal/authority"
)

// Factors is the set of what a severity is made of: one base and any number of
// modifiers, each of which raises it by one. The bits are stored.
type Factors int32

// The bases: where a rule starts.
const (
	BaseLow    Factors = 1 << iota // the rule alone is a low matter
	BaseMedium                     // the rule alone is a medium matter
	BaseHigh                       // the rule alone is a high matter
)

// The modifiers. Where a rule lets either of two raise the severity, and not
// both, the set holds the one that is named first here.
const (
	FactorSensitive      Factors = 1 << (iota + 4) // the destination is confidential or restricted
	FactorRestricted                               // the destination is restricted; for a rule that minds no less, or minds it more
	FactorExternalEgress                           // the workload sends data outside or to a model
	FactorWrites                                   // the path may change, delete or administer something
	FactorGrewPower                                // what was added may change, delete or administer something
	FactorNewlySensitive                           // what was added reaches a sensitive destination that was out of reach before
)

// bases are the bits below the modifiers; one more is free for a critical base.
const bases = BaseLow | BaseMedium | BaseHigh

// Factor is the name of one of the Factors.
type Factor string

var factors = []struct {
	bit  Factors
	name Factor
}{
	{BaseLow, "base_low"},
	{BaseMedium, "base_medium"},
	{BaseHigh, "base_high"},
	{FactorSensitive, "sensitive"},
	{FactorRestricted, "restricted"},
	{FactorExternalEgress, "external_egress"},
	{FactorWrites, "writes"},
	{FactorGrewPower, "grew_power"},
	{FactorNewlySensitive, "newly_sensitive"},
}

// List names the factors, the base first.
func (f Factors) List() []Factor {
	list := make([]Factor, 0, 3)
	for _, factor := range factors {
		if f&factor.bit != 0 {
			list = append(list, factor.name)
		}
	}
	return list
}

// Severity adds the factors up.
func (f Factors) Severity() Severity {
	base, raised := uint32(f&bases), uint32(f&^bases) //nolint:gosec // bits, not numbers
	return Severity(bits.Len32(base) + bits.OnesCount32(raised))
}

// SeverityOn is how grave a rule's exposure is on a path with this trait, and
// the factors that add up to it.
func SeverityOn(r Rule, t Trait) (Severity, Factors) {
	f := factorsOn(r, t)
	return f.Severity(), f
}

func factorsOn(r Rule, t Trait) Factors {
	sensitive := t.Sensitivity >= authority.Confidential
	restricted := t.Sensitivity == authority.Restricted
	switch r {
	case OrphanedOwnership:
		return BaseHigh | when(sensitive, FactorSensitive)
	case OwnershipDegraded, OwnershipUnknown, IdentityReuse:
		return BaseMedium
	case OwnershipAmbiguous:
		return BaseLow | when(restricted, FactorRestricted)
	case DormantAuthority:
		return BaseMedium | either(sensitive, FactorSensitive, t.External, FactorExternalEgress)
	case SensitiveDomain:
		return BaseMedium | when(restricted, FactorRestricted) | when(t.Writes, FactorWrites)
	case UnknownBinding, InternetFacing:
		return BaseHigh
	case UnprovenExecution, ExternalEgress:
		return BaseMedium | when(sensitive, FactorSensitive)
	case ScopeDrift:
		return BaseMedium | either(t.Writes, FactorGrewPower, t.Newly && sensitive, FactorNewlySensitive)
	case PrivilegeGap:
		return BaseMedium | when(restricted, FactorRestricted)
	case LLMEgress:
		return BaseHigh | when(restricted, FactorRestricted)
	}
	panic("no severity of rule " + Define(r).Key)
}

func when(holds bool, f Factors) Factors {
	if holds {
		return f
	}
	return 0
}

func either(first bool, f Factors, second bool, g Factors) Factors {
	if first {
		return f
	}
	return when(second, g)
}

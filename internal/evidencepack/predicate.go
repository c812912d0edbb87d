package evidencepack

import (
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// predicate is one of the things that a rule asks: what it requires, in words,
// and what was found.
type predicate struct {
	Name     string `json:"name"`
	Requires string `json:"requires"`
	Found    any    `json:"found"` // a text, a number, a list of texts, or null: nothing
}

// predicates are what the rule asked and found, as rule.Predicates has them. How
// they hold is not written: of an exposure, all of them did.
func predicates(r rule.Rule, f rule.Facts) []predicate {
	asked := rule.Predicates(r, f)
	written := make([]predicate, len(asked))
	for i, p := range asked {
		written[i] = predicate{Name: p.Name, Requires: p.Requires, Found: found(p.Found)}
	}
	return written
}

// found is a value as a document has it.
func found(v rule.Value) any {
	switch {
	case v.Number != nil:
		return *v.Number
	case v.Text != nil:
		return *v.Text
	case v.At != nil:
		return moment{*v.At}
	case v.List != nil:
		return v.List
	}
	return nil
}

// thresholds are those of the settings that a rule looks at.
func thresholds(r rule.Rule, s rule.Settings) map[string]int {
	switch r {
	case rule.DormantAuthority:
		return map[string]int{"dormantAfterDays": exposure.Days(s.DormantAfter)}
	case rule.UnprovenExecution:
		return map[string]int{"proofGraceDays": exposure.Days(s.ProofGrace)}
	case rule.PrivilegeGap:
		return map[string]int{"privilegeWindowDays": exposure.Days(s.PrivilegeWindow)}
	case rule.IdentityReuse:
		return map[string]int{"sharedWorkloads": s.SharedWorkloads}
	}
	return map[string]int{}
}

// list is never null in a document.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

package evidencepack

import (
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// predicate is one of the things that a rule asks: what it requires, in words,
// and what was found.
type predicate struct {
	Name     string `json:"name"`
	Requires string `json:"requires"`
	Found    any    `json:"found"` // a text, a number, a list of texts, or null: nothing
}

// facts are what the predicates of a rule are about on one path.
type facts struct {
	evidence    rule.Evidence // what the rule kept of the condition
	settings    rule.Settings
	sensitivity authority.Sensitivity
	actions     []string // that the path grants
	identity    *id.ID
	firstSeen   time.Time // of the path
	use         *use      // null: what was used at the time is not known any more
}

// use is what is known of the use of a path in the window of its privilege.
type use struct {
	used      []string
	justified []string
}

// predicates are what the rule asked and found. Rules that judge paths keep no
// evidence: theirs is the path itself.
func predicates(r rule.Rule, f facts) []predicate {
	e := f.evidence
	completeness := func(kind record.EvidenceKind, requires string) predicate {
		return predicate{string(kind) + "_coverage", requires, orNothing(e.Completeness[string(kind)])}
	}
	const looked = "complete"
	owners := func(status, kind string) int {
		n := 0
		for _, o := range e.Owners {
			if o.Status == status && (kind == "" || o.Type == kind) {
				n++
			}
		}
		return n
	}
	owning := func(status, kind, requires string) predicate {
		name := status + "_owners"
		if kind != "" {
			name = status + "_" + kind + "_owners"
		}
		return predicate{name, requires, owners(status, kind)}
	}
	days := func(d time.Duration) string { return strconv.Itoa(exposure.Days(d)) + " days" }

	switch r {
	case rule.OrphanedOwnership:
		return []predicate{owning("active", "", "none"), completeness(record.Ownership, looked)}
	case rule.OwnershipDegraded:
		return []predicate{owning("active", "individual", "one or more"), owning("inactive", "", "one or more")}
	case rule.OwnershipAmbiguous:
		return []predicate{owning("active", "group", "one or more"), owning("active", "individual", "none"), completeness(record.Ownership, looked)}
	case rule.OwnershipUnknown:
		return []predicate{owning("active", "", "none"), completeness(record.Ownership, "anything but complete")}
	case rule.DormantAuthority:
		return []predicate{
			{"identity_last_active_at", "none, or " + days(f.settings.DormantAfter) + " or more before the end of the window", at(e.LastActiveAt)},
			{"identity_first_seen_at", days(f.settings.DormantAfter) + " or more before the end of the window", at(e.FirstSeenAt)},
			{"path_first_seen_at", days(f.settings.DormantAfter) + " or more before the end of the window", at(&f.firstSeen)},
			completeness(record.Execution, looked),
		}
	case rule.SensitiveDomain:
		return []predicate{{"sensitivity", "confidential or restricted", sensitivityWords[f.sensitivity]}}
	case rule.UnknownBinding:
		return []predicate{
			{"identity_of_path", "none", identityOf(f.identity)},
			{"unresolved_bindings", "one or more, unless bindings were collected completely", e.Unresolved},
			completeness(record.Binding, "complete, unless a binding is unresolved"),
		}
	case rule.UnprovenExecution:
		return []predicate{
			{"executions_of_workload", "none, ever", 0},
			{"workload_first_seen_at", days(f.settings.ProofGrace) + " or more before the end of the window", at(e.FirstSeenAt)},
			completeness(record.Execution, looked),
		}
	case rule.ScopeDrift:
		const grown = "anything, in one of the three"
		return []predicate{
			{"baseline_at", "before the scope that is compared", at(e.BaselineAt)},
			{"roles_added", grown, list(e.RolesAdded)},
			{"actions_added", grown, list(e.ActionsAdded)},
			{"destinations_added", grown, e.Newly},
		}
	case rule.PrivilegeGap:
		found := []predicate{{"granted_actions_that_change_something", "one or more", list(rule.Unused(f.actions, nil))}}
		if f.use == nil {
			return found // the explanation says the rest
		}
		unused := rule.Unused(f.actions, f.use.used)
		unused = slices.DeleteFunc(unused, func(action string) bool { return slices.Contains(f.use.justified, action) })
		return append(found,
			predicate{"used_actions", "one or more in " + days(f.settings.PrivilegeWindow), list(f.use.used)},
			predicate{"justified_actions", "not all of those that are unused", list(f.use.justified)},
			predicate{"unused_unjustified_actions", "one or more", list(unused)},
		)
	case rule.ExternalEgress:
		return []predicate{{"external_hosts", "one or more", list(e.Hosts)}}
	case rule.LLMEgress:
		return []predicate{{"language_model_hosts", "one or more", list(e.Hosts)}}
	case rule.IdentityReuse:
		return []predicate{
			{"workloads", strconv.Itoa(f.settings.SharedWorkloads) + " or more, or two whose owners are known to differ", e.Workloads},
			{"owner_sets", "two or more, unless the workloads are enough", e.OwnerSets},
			completeness(record.Ownership, "complete, unless the workloads are enough"),
		}
	}
	panic("no predicates of rule " + rule.Define(r).Key)
}

func orNothing(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func at(t *time.Time) any {
	if t == nil {
		return nil
	}
	return moment{*t}
}

func identityOf(identity *id.ID) any {
	if identity == nil {
		return nil
	}
	return identity.String()
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

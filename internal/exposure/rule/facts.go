package rule

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Facts are what the predicates of a rule on workloads are about, of the workload
// as it is now and whatever the verdict.
func (w Workload) Facts(r Rule, s Settings, windowAt time.Time) Facts {
	f := Facts{Settings: s, WindowAt: windowAt, LastExecuted: w.LastExecuted, Bound: w.Bound}
	e := &f.Evidence
	switch r {
	case OrphanedOwnership, OwnershipDegraded, OwnershipAmbiguous, OwnershipUnknown:
		e.Completeness, e.Owners = known(record.Ownership, w.Ownership), ownerEvidence(w.Owners)
	case UnknownBinding:
		e.Completeness, e.Unbound, e.Unresolved = known(record.Binding, w.Binding), w.Unbound, w.Unresolved
	case UnprovenExecution:
		e.Completeness, e.FirstSeenAt = known(record.Execution, w.Execution), moment(w.FirstSeen)
	case ExternalEgress, LLMEgress:
		e.Completeness = known(record.EgressObs, w.Egress)
		for _, h := range w.Hosts {
			if h.Category == egressOf[r] {
				e.Hosts = append(e.Hosts, h.Name)
			}
		}
	case InternetFacing:
		e.Assets = w.Assets
	}
	return f
}

// egressOf is what a rule on egress looks for.
var egressOf = map[Rule]authority.EgressCategory{ExternalEgress: authority.EgressExternal, LLMEgress: authority.EgressLLM}

// Facts are what the predicates of a rule on identities are about.
func (i Identity) Facts(r Rule, s Settings, windowAt time.Time) Facts {
	f := Facts{Settings: s, WindowAt: windowAt, Disabled: i.Disabled}
	e := &f.Evidence
	switch r {
	case DormantAuthority:
		e.Completeness, e.LastActiveAt, e.FirstSeenAt = known(record.Execution, i.Execution), moment(i.LastActive), moment(i.FirstSeen)
	case ScopeDrift:
		e.Completeness = known(record.Roles, i.Roles)
		if i.Scope != nil {
			e.BaselineAt, e.RolesAdded, e.ActionsAdded, e.Newly = moment(i.Scope.BaselineAt), i.Scope.RolesAdded, i.Scope.ActionsAdded, i.Scope.Newly
		}
	case IdentityReuse:
		e.Completeness = map[string]string{string(record.Binding): i.Binding.String(), string(record.Ownership): i.Ownership.String()}
		e.Workloads, e.OwnerSets = i.Workloads, i.OwnerSets
	}
	return f
}

// Facts are what the predicates of PrivilegeGap are about.
func (p Privilege) Facts(s Settings, windowAt time.Time) Facts {
	return Facts{
		Evidence: Evidence{Completeness: known(record.Execution, p.Execution)}, Settings: s, WindowAt: windowAt, Actions: p.Granted,
		Use: &Use{Used: p.Used, Justified: p.Justified, Opaque: p.Opaque, Execution: p.Execution},
	}
}

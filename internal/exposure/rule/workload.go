package rule

import (
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// JudgeWorkload gives the verdicts of the rules on a workload, in the order of
// the rules, given its open conditions. A rule that is switched off gives none:
// its condition resolves because of that. On a workload that is gone every rule
// is False.
func JudgeWorkload(w Workload, s Settings, windowAt time.Time, open map[Rule]Open) []Verdict {
	verdicts := make([]Verdict, 0, 9)
	owned := false // one of the rules before OwnershipUnknown says who owns it, or says that nobody does
	judge := func(r Rule, verdict func() Verdict) {
		if Retired(r, s) {
			return
		}
		v := gone(r, WorkloadRemoved)
		if !w.Removed {
			v = verdict()
		}
		_, isOpen := open[r]
		if r < OwnershipUnknown && (v.Outcome == True || v.Outcome == Unknown && isOpen) {
			owned = true
		}
		verdicts = append(verdicts, v)
	}
	owners := sortOut(w.Owners)
	judge(OrphanedOwnership, func() Verdict { return judgeOrphaned(w, owners, open[OrphanedOwnership]) })
	judge(OwnershipDegraded, func() Verdict { return judgeDegraded(w, owners, open[OwnershipDegraded]) })
	judge(OwnershipAmbiguous, func() Verdict { return judgeAmbiguous(w, owners) })
	judge(OwnershipUnknown, func() Verdict { return judgeUnknownOwnership(w, owners, owned) })
	judge(UnknownBinding, func() Verdict { return judgeBinding(w) })
	judge(UnprovenExecution, func() Verdict { return judgeProof(w, s, windowAt) })
	judge(ExternalEgress, func() Verdict {
		return judgeEgress(w, ExternalEgress, authority.EgressExternal, open[ExternalEgress])
	})
	judge(LLMEgress, func() Verdict { return judgeEgress(w, LLMEgress, authority.EgressLLM, open[LLMEgress]) })
	judge(InternetFacing, func() Verdict { return judgeFacing(w, open[InternetFacing]) })
	return verdicts
}

// owners of a workload, by what they are to the rules.
type owners struct {
	active      []Owner
	inactive    []Owner
	individuals int      // of the active ones
	groups      []string // names of the active ones
	lastActive  time.Time
}

func sortOut(all []Owner) owners {
	var o owners
	for _, owner := range all {
		switch {
		case !owner.Active:
			o.inactive = append(o.inactive, owner)
			if owner.LastActive.After(o.lastActive) {
				o.lastActive = owner.LastActive
			}
			continue
		case owner.Group:
			o.groups = append(o.groups, owner.Name)
		default:
			o.individuals++
		}
		o.active = append(o.active, owner)
	}
	return o
}

// reactivated says whether an owner who was inactive is active now.
func (o owners) reactivated(open Open) bool {
	return slices.ContainsFunc(o.active, func(owner Owner) bool { return open.Evidence.status(owner.ID) == inactive })
}

func judgeOrphaned(w Workload, o owners, open Open) Verdict {
	const r = OrphanedOwnership
	switch not(exists(len(o.active) > 0, w.Ownership)) {
	case Unknown:
		return unknown(r)
	case False:
		if o.reactivated(open) {
			return gone(r, OwnerReactivated)
		}
		return gone(r, OwnerAssigned)
	}
	text := w.Name + " has no active owner; "
	if len(o.inactive) == 0 {
		text += "no owner is on record"
	} else {
		text += count(len(o.inactive), "former owner", "former owners")
	}
	if !o.lastActive.IsZero() {
		text += ", last active " + date(o.lastActive)
	}
	return found(r, w.ID, text+".", Evidence{
		Completeness: known(record.Ownership, w.Ownership), Owners: ownerEvidence(w.Owners), LastActiveAt: moment(o.lastActive),
	})
}

func judgeDegraded(w Workload, o owners, open Open) Verdict {
	const r = OwnershipDegraded
	individual := exists(o.individuals > 0, w.Ownership)
	switch and(individual, exists(len(o.inactive) > 0, w.Ownership)) {
	case Unknown:
		return unknown(r)
	case False:
		switch {
		case individual == False:
			return gone(r, OwnershipChanged)
		case o.reactivated(open):
			return gone(r, OwnerReactivated)
		}
		return gone(r, OwnerRecordCleaned)
	}
	k, n := len(o.inactive), len(w.Owners)
	text := strconv.Itoa(k) + " of " + count(n, "owner", "owners") + " of " + w.Name + number(k, " is", " are") + " inactive; " + strconv.Itoa(n-k) + " still accountable."
	return found(r, w.ID, text, Evidence{Completeness: known(record.Ownership, w.Ownership), Owners: ownerEvidence(w.Owners)})
}

func judgeAmbiguous(w Workload, o owners) Verdict {
	const r = OwnershipAmbiguous
	switch and(exists(len(o.active) > 0, w.Ownership), not(exists(o.individuals > 0, w.Ownership))) {
	case Unknown:
		return unknown(r)
	case False:
		if o.individuals > 0 {
			return gone(r, IndividualOwnerAssigned)
		}
		return gone(r, OwnershipChanged)
	}
	text := w.Name + " is owned only by " + number(len(o.groups), "group ", "groups ") + List(o.groups) + "."
	return found(r, w.ID, text, Evidence{Completeness: known(record.Ownership, w.Ownership), Owners: ownerEvidence(w.Owners)})
}

// judgeUnknownOwnership is about not having looked, and so never in doubt.
func judgeUnknownOwnership(w Workload, o owners, owned bool) Verdict {
	const r = OwnershipUnknown
	switch {
	case w.Ownership == Complete || len(o.active) > 0:
		return gone(r, OwnershipReceived)
	case owned:
		return gone(r, OwnershipChanged)
	}
	var why string
	switch w.Ownership {
	case Expired:
		why = "what was collected of it is out of date"
	case Incomplete:
		why = "it was not collected completely"
	default:
		why = "it was not collected"
	}
	return found(r, w.ID, "Ownership of "+w.Name+" cannot be determined: "+why+".",
		Evidence{Completeness: known(record.Ownership, w.Ownership), Owners: ownerEvidence(w.Owners)})
}

func judgeBinding(w Workload) Verdict {
	const r = UnknownBinding
	switch {
	case w.Bound > 0:
		return gone(r, IdentityBound)
	case w.Unresolved == 0 && w.Binding != Complete:
		return unknown(r)
	}
	text := "No deterministic identity recorded for " + w.Name + "; " + count(w.Unbound, "destination", "destinations") + " affected."
	return found(r, w.ID, text, Evidence{
		Completeness: known(record.Binding, w.Binding), Unbound: w.Unbound, Unresolved: w.Unresolved,
	})
}

func judgeProof(w Workload, s Settings, windowAt time.Time) Verdict {
	const r = UnprovenExecution
	switch {
	case !w.LastExecuted.IsZero():
		return gone(r, EvidenceAppeared)
	case w.FirstSeen.Add(s.ProofGrace).After(windowAt):
		return gone(r, SettingChanged) // nothing grows younger by itself
	case w.Execution != Complete:
		return unknown(r)
	}
	seen := "o execution observed since " + date(w.FirstSeen) + "."
	v := found(r, w.ID, w.Name+" has not proven that it runs; n"+seen,
		Evidence{Completeness: known(record.Execution, w.Execution), FirstSeenAt: moment(w.FirstSeen)})
	v.PathExplanation = Escape(w.Name) + " holds a path to " + place(PlaceResource) + "; n" + seen
	return v.since(w.FirstSeen, PathFirstSeen)
}

func judgeEgress(w Workload, r Rule, category authority.EgressCategory, open Open) Verdict {
	var hosts, others []string
	for _, h := range w.Hosts {
		if h.Category == category {
			hosts = append(hosts, h.Name)
		} else {
			others = append(others, h.Name)
		}
	}
	switch exists(len(hosts) > 0, w.Egress) {
	case Unknown:
		return unknown(r)
	case False:
		for _, host := range open.Evidence.Hosts {
			if slices.Contains(others, host) {
				return gone(r, HostReclassified)
			}
		}
		return gone(r, EgressRemoved)
	}
	to := number(len(hosts), "external host ", "external hosts ")
	if r == LLMEgress {
		to = number(len(hosts), "language-model endpoint ", "language-model endpoints ")
	}
	return found(r, w.ID, w.Name+" sends data to "+to+List(hosts)+".",
		Evidence{Completeness: known(record.EgressObs, w.Egress), Hosts: hosts})
}

// judgeFacing is never in doubt: somebody had to look before an asset was taken to
// be gone. What was gone before the condition ends did not end it.
func judgeFacing(w Workload, open Open) Verdict {
	const r = InternetFacing
	switch {
	case len(w.Assets) > 0:
		return found(r, w.ID, w.Name+" answers on "+List(w.Assets)+" from outside.", Evidence{Assets: w.Assets})
	case slices.ContainsFunc(open.Evidence.Assets, func(asset string) bool { return slices.Contains(w.AssetsGone, asset) }):
		return gone(r, AssetGone)
	}
	return gone(r, LinkRemoved)
}

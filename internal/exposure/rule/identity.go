package rule

import (
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// JudgeIdentity gives the verdicts of the rules on an identity, in the order of
// the rules, given its open conditions. A rule that is switched off gives none.
// On an identity that is gone every rule is False.
func JudgeIdentity(i Identity, s Settings, windowAt time.Time, open map[Rule]Open) []Verdict {
	verdicts := make([]Verdict, 0, 3)
	judge := func(r Rule, verdict func() Verdict) {
		switch {
		case Retired(r, s):
		case i.Removed:
			verdicts = append(verdicts, gone(r, IdentityRemoved))
		default:
			verdicts = append(verdicts, verdict())
		}
	}
	judge(DormantAuthority, func() Verdict { return judgeDormancy(i, s, windowAt, open[DormantAuthority]) })
	judge(ScopeDrift, func() Verdict { return judgeDrift(i, open[ScopeDrift]) })
	judge(IdentityReuse, func() Verdict { return judgeReuse(i, s, open[IdentityReuse]) })
	return verdicts
}

func judgeDormancy(i Identity, s Settings, windowAt time.Time, open Open) Verdict {
	const r = DormantAuthority
	dormantAt := i.LastActive.Add(s.DormantAfter)
	switch {
	case i.Disabled:
		return gone(r, IdentityDisabled)
	case !i.LastActive.IsZero() && dormantAt.After(windowAt):
		if at := open.Evidence.LastActiveAt; at != nil && !i.LastActive.After(*at) {
			return gone(r, SettingChanged) // it did nothing since: a longer absence is allowed
		}
		return gone(r, ActivityResumed)
	case i.FirstSeen.Add(s.DormantAfter).After(windowAt):
		return gone(r, SettingChanged) // nothing grows younger by itself
	case i.Execution != Complete:
		return unknown(r)
	}
	// The text says since when, not for how long: it would differ every day.
	absent := " has not acted for " + days(s.DormantAfter) + " or more"
	if !i.LastActive.IsZero() {
		absent = " has not acted since " + date(i.LastActive)
	}
	v := found(r, i.ID, i.Name+absent+".", Evidence{
		Completeness: known(record.Execution, i.Execution), LastActiveAt: moment(i.LastActive), FirstSeenAt: moment(i.FirstSeen),
	})
	v.PathExplanation = Escape(i.Name) + absent + ", still reaches " + place(PlaceResource) + " (" + place(PlaceSensitivity) + ")."
	if i.LastActive.IsZero() {
		return v
	}
	return v.since(dormantAt, EntityEvent)
}

func judgeDrift(i Identity, open Open) Verdict {
	const r = ScopeDrift
	scope := i.Scope
	was := open.Evidence.BaselineAt
	switch {
	case scope.Grown():
	case scope != nil && scope.Attested && was != nil && scope.BaselineAt.After(*was):
		return gone(r, BaselineAttested) // however well it is known: what had grown was vouched for
	case i.Roles != Complete:
		return unknown(r)
	default:
		return gone(r, ScopeReduced)
	}
	then := "none"
	if scope.RolesThen > 0 {
		then = strconv.Itoa(scope.RolesThen)
	}
	parts := []string{i.Name + ": " + count(scope.RolesNow, "role", "roles") + " versus " + then + " at " + date(scope.BaselineAt)}
	if len(scope.RolesAdded) > 0 {
		parts = append(parts, "added "+List(scope.RolesAdded))
	}
	if len(scope.ActionsAdded) > 0 {
		parts = append(parts, "gained "+List(scope.ActionsAdded))
	}
	text := strings.Join(parts, "; ")
	onPath := Escape(text) + "; reaches " + place(PlaceResource) + " (" + place(PlaceSensitivity) + ")."
	if scope.Newly > 0 {
		text += "; newly reaches " + count(scope.Newly, "resource", "resources")
	}
	v := found(r, i.ID, text+".", Evidence{
		Completeness: known(record.Roles, i.Roles), BaselineAt: moment(scope.BaselineAt),
		RolesAdded: scope.RolesAdded, ActionsAdded: scope.ActionsAdded, Newly: scope.Newly,
	})
	v.PathExplanation = onPath
	return v
}

func judgeReuse(i Identity, s Settings, open Open) Verdict {
	const r = IdentityReuse
	completeness := map[string]string{string(record.Binding): i.Binding.String(), string(record.Ownership): i.Ownership.String()}
	is := func() Verdict {
		across := count(i.Owners, "known owner", "known owners")
		if i.Ownership == Complete {
			across = count(i.Owners, "owner", "owners")
		}
		text := i.Name + " is shared by " + count(i.Workloads, "workload", "workloads") + " across " + across + "."
		return found(r, i.ID, text, Evidence{Completeness: completeness, Workloads: i.Workloads, OwnerSets: i.OwnerSets})
	}
	switch several := i.Workloads >= 2; {
	case i.Workloads >= s.SharedWorkloads:
		return is()
	case several && i.Ownership == Complete && i.OwnerSets >= 2:
		return is()
	case several && i.Ownership != Complete, i.Binding != Complete:
		return unknown(r)
	}
	// As many workloads as when it was found, and no fewer owners: then more of
	// them are allowed now.
	if was := open.Evidence; was.Workloads > 0 && i.Workloads >= was.Workloads && i.OwnerSets >= was.OwnerSets {
		return gone(r, SettingChanged)
	}
	return gone(r, IdentityDedicated)
}

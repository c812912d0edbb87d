package rule

import (
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// JudgePrivilege judges PrivilegeGap by a combination of facts, for every path
// that shares it. A verdict False has no reason unless execution has ceased or
// all that is left over is justified: by the combination alone nobody sees
// whether the power was taken away or used. It does not ask whether the rule is
// switched off.
func JudgePrivilege(p Privilege, s Settings) Verdict {
	const r = PrivilegeGap
	unused, excused := Unused(p.Granted, p.Used), p.Excused()
	unjustified := slices.DeleteFunc(slices.Clone(unused), func(action string) bool { return slices.Contains(excused, action) })
	switch {
	case len(unused) == 0:
		return gone(r, "") // whoever looked, and however well
	case len(unjustified) == 0:
		return gone(r, JustificationRecorded)
	case !p.Proven && p.Execution == Complete:
		return gone(r, ExecutionCeased)
	case !p.Proven, p.Opaque, len(p.Used) == 0, p.Execution != Complete:
		return unknown(r)
	}
	v := found(r, id.Nil, "", Evidence{
		ActionsUnused: unjustified, ActionsUsed: p.Used, Completeness: known(record.Execution, p.Execution),
	})
	v.PathExplanation = place(PlaceIdentity) + " may " + Escape(List(unjustified)) + " on " + place(PlaceResource) +
		"; only " + Escape(List(p.Used)) + " observed in " + days(s.PrivilegeWindow) + "."
	return v
}

// Excused are the actions that were not used and need not be: somebody justified
// them. A justification covers the very actions that it names, no others that fit
// them.
func (p Privilege) Excused() []string {
	excused := []string{}
	for _, action := range Unused(p.Granted, p.Used) {
		if slices.Contains(p.Justified, action) {
			excused = append(excused, action)
		}
	}
	return excused
}

// Unused are the granted actions that write and were not used. A pattern stands
// for many actions: one that writes and fits it is use enough, for nobody uses
// all of them.
func Unused(granted, used []string) []string {
	var left []string
	for _, action := range granted {
		exercised := func(u string) bool {
			return strings.EqualFold(u, action) || strings.Contains(action, "*") && Writes(u) && fits(u, action)
		}
		if Writes(action) && !slices.ContainsFunc(used, exercised) {
			left = append(left, action)
		}
	}
	return left
}

// fits says whether an action is one of those that a pattern stands for.
func fits(action, pattern string) bool {
	action, parts := strings.ToLower(action), strings.Split(strings.ToLower(pattern), "*")
	action, found := strings.CutPrefix(action, parts[0])
	if !found {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, action, found = strings.Cut(action, part); !found {
			return false
		}
	}
	return strings.HasSuffix(action, parts[len(parts)-1])
}

// JudgeReach judges SensitiveDomain by the trait of a path. It does not ask
// whether the rule is switched off.
func JudgeReach(t Trait) Verdict {
	const r = SensitiveDomain
	var level string
	switch t.Sensitivity {
	case authority.Restricted:
		level = "restricted"
	case authority.Confidential:
		level = "confidential"
	case authority.Public, authority.Internal:
		return gone(r, SensitivityReclassified)
	default:
		return unknown(r)
	}
	v := found(r, id.Nil, "", Evidence{Sensitivity: level, Writes: t.Writes})
	v.PathExplanation = reaches
	return v
}

// reaches is SensitiveDomain's text.
var reaches = place(PlaceWorkload) + " can " + place(PlaceActions) + " " + place(PlaceResource) + " in " + place(PlaceDomain) +
	" (" + place(PlaceSensitivity) + ") via " + place(PlaceRoles) + "."

package rule

import (
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// JudgePrivilege judges PrivilegeGap by a combination of facts, for every path
// that shares it. A verdict False has no reason unless execution has ceased: by
// the combination alone nobody sees whether the power was taken away or used.
// It does not ask whether the rule is switched off.
func JudgePrivilege(p Privilege, s Settings) Verdict {
	const r = PrivilegeGap
	unused := leftOver(p.Granted, p.Used)
	switch {
	case len(unused) == 0:
		return gone(r, "") // whoever looked, and however well
	case !p.Proven && p.Execution == Complete:
		return gone(r, ExecutionCeased)
	case !p.Proven, p.Opaque, len(p.Used) == 0, p.Execution != Complete:
		return unknown(r)
	}
	v := found(r, id.Nil, "", Evidence{
		ActionsUnused: unused, ActionsUsed: p.Used, Completeness: known(record.Execution, p.Execution),
	})
	v.PathExplanation = place(PlaceIdentity) + " may " + Escape(List(unused)) + " on " + place(PlaceResource) +
		"; only " + Escape(List(p.Used)) + " observed in " + days(s.PrivilegeWindow) + "."
	return v
}

// leftOver are the granted actions that write and were not used. A pattern stands
// for many actions: one that writes and fits it is use enough, for nobody uses
// all of them.
func leftOver(granted, used []string) []string {
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

package authority_test

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Paths ----------------------------------------------------------------------------

// wanted is an exposure that a path should have.
type wanted struct {
	firm     bool // false: it keeps what is open and opens nothing
	doubted  bool // of a rule of path grain: what is open is in doubt from now on
	frozen   bool // what is open keeps its words and its weight
	severity int
	factors  int
	text     string
	digest   id.ID
	from     time.Time
	basis    rule.Basis
}

// powerful are the actions of the tests that change something.
var powerful = map[string]bool{"delete": true, "update": true, "*": true}

func (w *world) standing(key pathKey) (since time.Time) {
	removed := true
	for _, v := range w.paths[key].versions {
		if removed && !v.State.Removed {
			since = v.From
		}
		removed = v.State.Removed
	}
	return since
}

// expose brings the exposures of a path up to what was judged.
func (w *world) expose(result *outcome, key pathKey, at time.Time, resettled bool) {
	p := w.paths[key].now()
	wants, gap := map[rule.Type]wanted{}, rule.Reason("")
	if !p.Removed && p.Effective {
		w.wantConditions(wants, key, at)
		w.wantReach(wants, key, at)
		gap = w.wantPrivilege(wants, key, at)
	}
	for r := range w.versions {
		t := rule.Type(r)
		open := w.exposure(place{key, t})
		want, is := wants[t]
		switch {
		case open == nil && is && want.firm:
			w.open(key, t, want, at)
			result.Exposures.Opened++
		case open == nil:
		case !is:
			open.To, open.Reason = at, w.why(key, t, gap, at, resettled)
			result.Exposures.Resolved++
		default:
			state := open.now()
			state.Class = p.Class
			switch {
			case want.doubted && state.Since.IsZero():
				state.Since = at
			case !want.doubted:
				state.Since = time.Time{}
			}
			if !want.doubted && !want.frozen {
				state.Severity, state.Factors, state.Explanation, state.Digest = want.severity, want.factors, want.text, want.digest
			}
			if state != open.now() {
				open.Versions = append(open.Versions, version[exposedState]{From: at, State: state})
			}
		}
	}
}

func (w *world) open(key pathKey, t rule.Type, want wanted, at time.Time) {
	spot := place{key, t}
	x := exposed{From: at, Effective: want.from, Basis: want.basis, Lineage: want.from, Versions: []version[exposedState]{{From: at, State: exposedState{
		Class: w.paths[key].now().Class, Severity: want.severity, Factors: want.factors, Explanation: want.text, Digest: want.digest, Disposition: 1}}}}
	if before := w.exposures[spot]; len(before) > 0 && latest(before).now().Disposition == 4 && latest(before).now().Digest == want.digest {
		x.Versions[0].State.Disposition = 4
	}
	for _, s := range w.successions {
		if s.Successor != key || !s.At.Equal(at) {
			continue
		}
		if before := w.exposures[place{s.Predecessor, t}]; len(before) > 0 {
			last := latest(before)
			ends := last.To.Equal(at) || last.To.IsZero() // or is about to: paths come in any order
			if ends && last.Lineage.Before(x.Lineage) {
				x.Lineage = last.Lineage
			}
		}
	}
	w.exposures[spot] = append(w.exposures[spot], x)
}

// why says why an exposure resolved.
func (w *world) why(key pathKey, t rule.Type, gap rule.Reason, at time.Time, resettled bool) rule.Reason {
	p := w.paths[key].now()
	r := rule.Rule(t)
	if p.Removed {
		for _, s := range w.successions {
			if s.Predecessor == key && s.At.Equal(at) {
				return rule.RotatedToSuccessor
			}
		}
		if !w.alive(key.Workload) {
			return rule.WorkloadRemoved
		}
		return rule.PathRemoved
	}
	switch {
	case !p.Effective:
		return rule.PathIneffective
	case w.retired(r):
		return rule.RuleRetired
	case r == rule.SensitiveDomain || r == rule.PrivilegeGap:
		switch {
		case w.renamed[r]:
			return rule.RuleChanged
		case r == rule.SensitiveDomain:
			return rule.SensitivityReclassified
		case resettled:
			return rule.SettingChanged
		}
		return gap
	}
	for _, subject := range []record.Ref{key.Workload, key.Identity} {
		if list := w.conditions[seat{subject, r}]; len(list) > 0 && latest(list).To.Equal(at) {
			return latest(list).Reason
		}
	}
	switch { // the condition holds, and says nothing of this path any more
	case resettled:
		return rule.SettingChanged
	case r == rule.DormantAuthority:
		return rule.ActivityResumed
	}
	return rule.ScopeReduced
}

// words fills the places of a text on a path.
func (w *world) words(template string, key pathKey) string {
	p := w.paths[key].now()
	name := func(r record.Ref, otherwise string) string {
		if r == unnamed {
			return otherwise
		}
		return w.entities[r].now().Name
	}
	actions, roles := "reach", "no known role"
	if p.Actions != "" {
		actions = rule.List(strings.Fields(p.Actions))
	}
	if list := w.roles(p.Roles); len(list) > 0 {
		var names []string
		for _, role := range list {
			names = append(names, role.name)
		}
		roles = rule.List(names)
	}
	return rule.Format(template, name(key.Resource, ""), []string{"unknown", "public", "internal", "confidential", "restricted"}[p.Sensitivity],
		cmp.Or(p.DataDomain, "an unnamed domain"), actions, roles, name(key.Workload, ""), name(key.Identity, "an unknown identity"))
}

// The factors of a severity, as they are stored.
const (
	baseLow, baseMedium, baseHigh                         = 1, 2, 4
	sensitive, restricted, leaves, writing, grew, reaches = 16, 32, 64, 128, 256, 512
)

// weigh is the severity of an exposure and what it is made of: each factor that
// holds raises the base by one.
func (w *world) weigh(r rule.Rule, p pathState, g growth) (severity, factors int) {
	isSensitive, isRestricted := p.Sensitivity >= 3, p.Sensitivity == 4
	isPowerful := func(actions map[string]bool) bool {
		for action := range actions {
			if powerful[action] {
				return true
			}
		}
		return false
	}
	severity = map[rule.Rule]int{1: 3, 2: 2, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3, 8: 2, 9: 2, 10: 2, 11: 2, 12: 3, 13: 2, 16: 3}[r]
	factors = []int{0, baseLow, baseMedium, baseHigh}[severity]
	raise := func(holds bool, factor int) bool {
		if holds {
			severity++
			factors |= factor
		}
		return holds
	}
	switch r {
	case rule.OrphanedOwnership, rule.UnprovenExecution, rule.ExternalEgress:
		raise(isSensitive, sensitive)
	case rule.OwnershipAmbiguous, rule.PrivilegeGap, rule.LLMEgress:
		raise(isRestricted, restricted)
	case rule.DormantAuthority: // either of the two
		_ = raise(isSensitive, sensitive) || raise(p.Egress == "external" || p.Egress == "llm", leaves)
	case rule.SensitiveDomain:
		raise(isRestricted, restricted)
		raise(isPowerful(set(p.Actions)), writing)
	case rule.ScopeDrift: // either of the two
		_ = raise(isPowerful(g.actions), grew) || raise(g.newly && isSensitive, reaches)
	default:
	}
	return severity, factors
}

// wantConditions fans the conditions of a path's workload and identity out.
func (w *world) wantConditions(wants map[rule.Type]wanted, key pathKey, at time.Time) {
	p, since := w.paths[key].now(), w.standing(key)
	for s := range w.conditions {
		c := w.condition(s)
		if c == nil || s.Subject != key.Workload && s.Subject != key.Identity {
			continue
		}
		state := c.now()
		var g growth
		want := wanted{firm: state.Since.IsZero(), digest: state.Digest, text: state.Explanation, from: c.Effective, basis: c.Basis}
		switch s.Rule {
		case rule.UnknownBinding:
			if key.Identity != unnamed {
				continue
			}
		case rule.DormantAuthority:
			if since.After(w.dormantBefore()) || w.travelled(key) {
				continue
			}
		case rule.ScopeDrift:
			var gained bool
			if g, gained = w.growth(key.Identity, at)[key.Resource]; !gained {
				if want.firm {
					continue
				}
				want.frozen = true // nobody knows whether it was taken away
			}
		default:
		}
		if state.PathExplanation != "" {
			want.text = w.words(state.PathExplanation, key)
		}
		if c.Effective.Before(since) {
			want.from, want.basis = since, rule.PathFirstSeen
		}
		want.severity, want.factors = w.weigh(s.Rule, p, g)
		wants[rule.Type(s.Rule)] = want
	}
}

// travelled says whether the workload was seen to use the route of a path
// within the threshold of dormancy, under whatever identity.
func (w *world) travelled(key pathKey) (is bool) {
	all(w, func(_ *voice, k evidenceKey, _ evidenceValue) {
		is = is || k.Identity == unnamed && k.Workload == key.Workload && (k.Resource == unnamed || k.Resource == key.Resource) && k.Day.After(w.dormantBefore())
	})
	return is
}

func (w *world) wantReach(wants map[rule.Type]wanted, key pathKey, at time.Time) {
	p := w.paths[key].now()
	if w.retired(rule.SensitiveDomain) || p.Sensitivity == 1 || p.Sensitivity == 2 {
		return
	}
	want := wanted{firm: p.Sensitivity >= 3, doubted: p.Sensitivity == 0, from: at, basis: rule.Detected}
	if len(w.paths[key].versions) == 1 && w.paths[key].begun(at) {
		want.basis = rule.PathFirstSeen
	}
	if want.firm {
		want.severity, want.factors = w.weigh(rule.SensitiveDomain, p, growth{})
		want.text = w.words(rule.JudgeReach(rule.Trait{Sensitivity: p.Sensitivity}).PathExplanation, key)
		want.digest = w.fingerprint(key, "\x00"+string(rune(p.Sensitivity)))
	}
	wants[rule.SensitiveReach] = want
}

// fingerprint identifies what a path is made of, and something more.
func (w *world) fingerprint(key pathKey, more string) id.ID {
	p := w.paths[key].now()
	var identity *id.ID
	if key.Identity != unnamed {
		named := w.id(key.Identity)
		identity = &named
	}
	roles := []id.ID{}
	for _, role := range w.roles(p.Roles) {
		roles = append(roles, role.id)
	}
	slices.SortFunc(roles, func(a, b id.ID) int { return slices.Compare(a[:], b[:]) })
	composition := id.Composition(w.id(key.Workload), identity, w.id(key.Resource), roles, strings.Fields(p.Actions))
	whole := sha256.Sum256(append(composition[:], more...))
	return id.ID(whole[:16])
}

// wantPrivilege judges power that is not used. It says why an exposure would
// resolve.
func (w *world) wantPrivilege(wants map[rule.Type]wanted, key pathKey, at time.Time) rule.Reason {
	const r = rule.PrivilegeGap
	if w.retired(r) {
		return ""
	}
	p := w.paths[key].now()
	used, proven, opaque := w.used(key)
	unused := leftOver(p.Actions, used)
	excused := map[string]bool{} // of those left over
	j := w.justification(key)
	if j != nil {
		for action := range set(j.Actions) {
			if slices.Contains(unused, action) {
				excused[action] = true
			}
		}
	}
	unjustified := slices.DeleteFunc(slices.Clone(unused), func(action string) bool { return excused[action] })
	start := w.windowAt.Add(-w.settings.PrivilegeWindow)
	watched := w.coverage(key.Workload, record.Execution, start)
	switch {
	case len(unused) > 0 && len(unjustified) == 0 && j.From.Equal(at):
		return rule.JustificationRecorded
	case len(unjustified) == 0: // what an older justification covers was in no question
		for action := range w.grantedBefore(key, at) {
			if !set(p.Actions)[action] {
				return rule.PrivilegeReduced
			}
		}
		return rule.PrivilegeExercised
	case !proven && watched == rule.Complete:
		return rule.ExecutionCeased
	case !proven || opaque || len(used) == 0 || watched != rule.Complete:
		wants[rule.ExcessPrivilege] = wanted{doubted: true}
		return ""
	}
	made := joined(used)
	if len(excused) > 0 {
		made += "\x00" + joined(excused)
	}
	want := wanted{firm: true, from: at, basis: rule.Detected, digest: w.fingerprint(key, made)}
	want.severity, want.factors = w.weigh(r, p, growth{})
	v := rule.JudgePrivilege(rule.Privilege{Granted: strings.Fields(p.Actions), Used: slices.Sorted(maps.Keys(used)),
		Justified: slices.Sorted(maps.Keys(excused)), Proven: proven, Execution: watched}, w.settings)
	want.text = w.words(v.PathExplanation, key)
	wants[rule.ExcessPrivilege] = want
	return ""
}

// used are the actions that evidence in the window names on a path; opaque where
// some of it names none.
func (w *world) used(key pathKey) (used map[string]bool, proven, opaque bool) {
	used = map[string]bool{}
	start := w.windowAt.Add(-w.settings.PrivilegeWindow)
	all(w, func(_ *voice, k evidenceKey, _ evidenceValue) {
		fits := func(named, subject record.Ref) bool { return named == unnamed || named == subject }
		if k.Resource != key.Resource || !fits(k.Workload, key.Workload) || !fits(k.Identity, key.Identity) || !k.Day.After(start) {
			return
		}
		proven = true
		if k.Action == "" {
			opaque = true
		} else {
			used[k.Action] = true
		}
	})
	return used, proven, opaque
}

// leftOver are the granted actions that change something and were not used.
func leftOver(granted string, used map[string]bool) (unused []string) {
	for _, action := range strings.Fields(granted) {
		exercised := used[action]
		for u := range used {
			exercised = exercised || action == "*" && powerful[u]
		}
		if powerful[action] && !exercised {
			unused = append(unused, action)
		}
	}
	return unused
}

// justification is the one of a path that is in force, if there is one.
func (w *world) justification(key pathKey) *justification {
	if list := w.justifications[key]; len(list) > 0 && latest(list).To.IsZero() {
		return latest(list)
	}
	return nil
}

// grantedBefore is what a path allowed until this instant.
func (w *world) grantedBefore(key pathKey, at time.Time) map[string]bool {
	versions := w.paths[key].versions
	if last := len(versions) - 1; last > 0 && versions[last].From.Equal(at) {
		return set(versions[last-1].State.Actions)
	}
	return set(latest(versions).State.Actions)
}

// Masks ------------------------------------------------------------------------------

// mask is what the row of a path says of its exposures.
type mask struct {
	Open, Acknowledged, Accepted int
	Count, Severity              int
}

func (w *world) mask(key pathKey) (m mask) {
	for r := range w.versions {
		x := w.exposure(place{key, rule.Type(r)})
		if x == nil {
			continue
		}
		bit := 1 << (r - 1)
		switch state := x.now(); state.Disposition {
		case 1:
			m.Open |= bit
			fallthrough
		case 2:
			m.Acknowledged |= bit
			m.Count++
			m.Severity = max(m.Severity, state.Severity)
			fallthrough
		case 3:
			m.Accepted |= bit
		}
	}
	return m
}

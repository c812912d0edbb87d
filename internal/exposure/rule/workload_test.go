package rule_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// windowAt is when everything here is judged.
var windowAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func daysAgo(n int) time.Time { return windowAt.AddDate(0, 0, -n) }

func person(n byte, name string, active bool) rule.Owner {
	return rule.Owner{ID: someID(n), Name: name, Active: active}
}

func group(n byte, name string, active bool) rule.Owner {
	return rule.Owner{ID: someID(n), Name: name, Active: active, Group: true}
}

func left(n byte, name string, days int) rule.Owner {
	return rule.Owner{ID: someID(n), Name: name, LastActive: daysAgo(days)}
}

// sound is a workload that nothing is wrong with.
func sound() rule.Workload {
	return rule.Workload{
		ID: someID(100), Name: "router", FirstSeen: daysAgo(60),
		Ownership: rule.Complete, Owners: []rule.Owner{person(1, "Ada", true)},
		Binding: rule.Complete, Bound: 1,
		Execution: rule.Complete, LastExecuted: daysAgo(1),
		Egress: rule.Complete,
	}
}

// of finds the verdict of a rule.
func of(t require.TestingT, verdicts []rule.Verdict, r rule.Rule) rule.Verdict {
	n := slices.IndexFunc(verdicts, func(v rule.Verdict) bool { return v.Rule == r })
	require.GreaterOrEqual(t, n, 0, "no verdict of %s", rule.Define(r).Key)
	return verdicts[n]
}

// opened is the open condition that a verdict leaves.
func opened(v rule.Verdict) *rule.Open {
	return &rule.Open{RuleVersion: rule.Define(v.Rule).Version, Evidence: v.Evidence}
}

func TestSoundWorkload(t *testing.T) {
	t.Parallel()
	verdicts := rule.JudgeWorkload(sound(), rule.Defaults(), windowAt, nil)
	var rules []rule.Rule
	for _, v := range verdicts {
		require.Equal(t, rule.False, v.Outcome, rule.Define(v.Rule).Key)
		require.NotEmpty(t, v.Reason)
		rules = append(rules, v.Rule)
	}
	require.Equal(t, []rule.Rule{1, 2, 3, 4, 7, 8, 11, 12, 16}, rules)
}

// A workloadCase judges one rule. was is what opened its condition before.
type workloadCase struct {
	name string
	set  func(*rule.Workload)
	was  func(*rule.Workload)

	outcome rule.Outcome
	text    string // Explanation
	onPath  string // PathExplanation
	reason  rule.Reason
}

func judgeCases(t *testing.T, r rule.Rule, cases []workloadCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			open := map[rule.Rule]rule.Open{}
			if c.was != nil {
				before := sound()
				c.was(&before)
				v := of(t, rule.JudgeWorkload(before, rule.Defaults(), windowAt, nil), r)
				require.Equal(t, rule.True, v.Outcome, "was")
				open[r] = *opened(v)
			}
			w := sound()
			c.set(&w)
			v := of(t, rule.JudgeWorkload(w, rule.Defaults(), windowAt, open), r)
			require.Equal(t, c.outcome, v.Outcome)
			require.Equal(t, c.text, v.Explanation)
			require.Equal(t, c.onPath, v.PathExplanation)
			if c.reason != "" {
				require.Equal(t, c.reason, v.Reason)
			}
			checkShape(t, v)
		})
	}
}

// checkShape checks what holds of every verdict of entity grain.
func checkShape(t require.TestingT, v rule.Verdict) {
	switch v.Outcome {
	case rule.True:
		require.NotEmpty(t, v.Explanation)
		require.NotEmpty(t, v.Basis)
		require.Equal(t, v.EffectiveFrom.IsZero(), v.Basis == rule.Detected)
		require.False(t, v.EffectiveFrom.After(windowAt))
		require.NotZero(t, v.EvidenceDigest)
		require.Empty(t, v.Reason)
	case rule.False:
		require.Equal(t, rule.Verdict{Rule: v.Rule, Outcome: rule.False, Reason: v.Reason}, v)
		require.NotEmpty(t, v.Reason)
	default:
		require.Equal(t, rule.Verdict{Rule: v.Rule, Outcome: rule.Unknown}, v)
	}
}

func owned(c rule.Coverage, owners ...rule.Owner) func(*rule.Workload) {
	return func(w *rule.Workload) { w.Ownership, w.Owners = c, owners }
}

func TestOrphanedOwnership(t *testing.T) {
	t.Parallel()
	nobody := owned(rule.Complete)
	gone := owned(rule.Complete, left(1, "Ada", 10))
	judgeCases(t, rule.OrphanedOwnership, []workloadCase{
		{name: "none on record", set: nobody, outcome: rule.True, text: "router has no active owner; no owner is on record."},
		{name: "one former owner", set: gone, outcome: rule.True, text: "router has no active owner; 1 former owner, last active 2026-02-19."},
		{name: "several, the last of them counts", set: owned(rule.Complete, left(1, "Ada", 20), left(2, "Bob", 9), group(3, "Ops", false)), outcome: rule.True,
			text: "router has no active owner; 3 former owners, last active 2026-02-20."},
		{name: "no date", set: owned(rule.Complete, person(1, "Ada", false), group(2, "Ops", false)), outcome: rule.True,
			text: "router has no active owner; 2 former owners."},
		{name: "an active group", set: owned(rule.Incomplete, group(1, "Ops", true)), outcome: rule.False},
		{name: "nobody looked", set: owned(rule.NotCollected), outcome: rule.Unknown},
		{name: "looked too long ago", set: owned(rule.Expired, left(1, "Ada", 10)), was: gone, outcome: rule.Unknown},
		{name: "somebody else now, incompletely known", was: gone, set: owned(rule.Incomplete, left(1, "Ada", 10), person(2, "Bob", true)),
			outcome: rule.False, reason: rule.OwnerAssigned},
		{name: "the former owner is back", was: gone, set: owned(rule.Complete, person(1, "Ada", true), person(2, "Bob", true)),
			outcome: rule.False, reason: rule.OwnerReactivated},
	})
}

func TestOwnershipDegraded(t *testing.T) {
	t.Parallel()
	mixed := owned(rule.Complete, person(1, "Ada", true), left(2, "Bob", 10))
	judgeCases(t, rule.OwnershipDegraded, []workloadCase{
		{name: "one of two", set: mixed, outcome: rule.True, text: "1 of 2 owners of router is inactive; 1 still accountable."},
		{name: "seen by somebody who did not look completely", outcome: rule.True, text: "2 of 4 owners of router are inactive; 2 still accountable.",
			set: owned(rule.Incomplete, person(1, "Ada", true), left(2, "Bob", 10), group(3, "Dev", false), group(4, "Ops", true))},
		{name: "everybody active", set: owned(rule.Complete, person(1, "Ada", true)), outcome: rule.False},
		{name: "perhaps somebody left", set: owned(rule.Incomplete, person(1, "Ada", true)), outcome: rule.Unknown},
		{name: "perhaps somebody stayed", set: owned(rule.Expired, left(1, "Ada", 1)), outcome: rule.Unknown},
		{name: "the record was cleaned", was: mixed, set: owned(rule.Complete, person(1, "Ada", true)), outcome: rule.False, reason: rule.OwnerRecordCleaned},
		{name: "back again", was: mixed, set: owned(rule.Complete, person(1, "Ada", true), person(2, "Bob", true)), outcome: rule.False, reason: rule.OwnerReactivated},
		{name: "nobody left", was: mixed, set: owned(rule.Complete, left(1, "Ada", 1), left(2, "Bob", 10)), outcome: rule.False, reason: rule.OwnershipChanged},
		{name: "only a group left", was: mixed, set: owned(rule.Complete, group(3, "Ops", true)), outcome: rule.False, reason: rule.OwnershipChanged},
	})
}

func TestOwnershipAmbiguous(t *testing.T) {
	t.Parallel()
	ops := owned(rule.Complete, group(1, "Ops", true))
	judgeCases(t, rule.OwnershipAmbiguous, []workloadCase{
		{name: "a group", set: ops, outcome: rule.True, text: "router is owned only by group Ops."},
		{name: "groups, and somebody who left", set: owned(rule.Complete, left(3, "Ada", 3), group(2, "Dev 50%", true), group(1, "Ops", true)),
			outcome: rule.True, text: "router is owned only by groups Dev 50%, Ops."},
		{name: "perhaps a person, too", set: owned(rule.Incomplete, group(1, "Ops", true)), outcome: rule.Unknown},
		{name: "nobody looked", set: owned(rule.NotCollected), outcome: rule.Unknown},
		{name: "a person answers", was: ops, set: owned(rule.Incomplete, person(2, "Ada", true), group(1, "Ops", true)),
			outcome: rule.False, reason: rule.IndividualOwnerAssigned},
		{name: "the group left", was: ops, set: owned(rule.Complete, group(1, "Ops", false)), outcome: rule.False, reason: rule.OwnershipChanged},
	})
}

func TestOwnershipUnknown(t *testing.T) {
	t.Parallel()
	nobody := owned(rule.NotCollected)
	judgeCases(t, rule.OwnershipUnknown, []workloadCase{
		{name: "nobody looked", set: nobody, outcome: rule.True, text: "Ownership of router cannot be determined: it was not collected."},
		{name: "not at all of it", set: owned(rule.Incomplete, left(1, "Ada", 10)), outcome: rule.True,
			text: "Ownership of router cannot be determined: it was not collected completely."},
		{name: "too long ago", set: owned(rule.Expired), outcome: rule.True,
			text: "Ownership of router cannot be determined: what was collected of it is out of date."},
		{name: "an owner is known", was: nobody, set: owned(rule.Incomplete, group(1, "Ops", true)), outcome: rule.False, reason: rule.OwnershipReceived},
		{name: "looked completely", was: nobody, set: owned(rule.Complete), outcome: rule.False, reason: rule.OwnershipReceived},
	})
}

// The other ownership conditions come first, as long as they are open.
func TestOwnershipUnknownGivesWay(t *testing.T) {
	t.Parallel()
	w := sound()
	owned(rule.Expired, left(1, "Ada", 10))(&w)
	open := map[rule.Rule]rule.Open{rule.OrphanedOwnership: {RuleVersion: 1}}
	verdicts := rule.JudgeWorkload(w, rule.Defaults(), windowAt, open)
	require.Equal(t, rule.Unknown, of(t, verdicts, rule.OrphanedOwnership).Outcome)
	v := of(t, verdicts, rule.OwnershipUnknown)
	require.Equal(t, rule.False, v.Outcome)
	require.Equal(t, rule.OwnershipChanged, v.Reason)

	s := rule.Defaults()
	s.DisabledRules = []rule.Rule{rule.OrphanedOwnership}
	verdicts = rule.JudgeWorkload(w, s, windowAt, open)
	require.Len(t, verdicts, 8)
	require.Equal(t, rule.True, of(t, verdicts, rule.OwnershipUnknown).Outcome, "the condition of a rule that is switched off resolves")
}

func TestUnknownBinding(t *testing.T) {
	t.Parallel()
	bind := func(c rule.Coverage, bound, unresolved, unbound int) func(*rule.Workload) {
		return func(w *rule.Workload) { w.Binding, w.Bound, w.Unresolved, w.Unbound = c, bound, unresolved, unbound }
	}
	judgeCases(t, rule.UnknownBinding, []workloadCase{
		{name: "looked completely", set: bind(rule.Complete, 0, 0, 2), outcome: rule.True,
			text: "No deterministic identity recorded for router; 2 destinations affected."},
		{name: "a binding to nobody", set: bind(rule.NotCollected, 0, 1, 1), outcome: rule.True,
			text: "No deterministic identity recorded for router; 1 destination affected."},
		{name: "it reaches nothing", set: bind(rule.Complete, 0, 0, 0), outcome: rule.True,
			text: "No deterministic identity recorded for router; no destination affected."},
		{name: "several are no ambiguity", set: bind(rule.Complete, 2, 1, 0), outcome: rule.False},
		{name: "nobody looked", set: bind(rule.Incomplete, 0, 0, 2), outcome: rule.Unknown},
		{name: "bound", was: bind(rule.Complete, 0, 0, 2), set: bind(rule.Incomplete, 1, 0, 0), outcome: rule.False, reason: rule.IdentityBound},
	})
}

func TestUnprovenExecution(t *testing.T) {
	t.Parallel()
	proof := func(c rule.Coverage, firstSeen, executed time.Time) func(*rule.Workload) {
		return func(w *rule.Workload) { w.Execution, w.FirstSeen, w.LastExecuted = c, firstSeen, executed }
	}
	never := proof(rule.Complete, daysAgo(60), time.Time{})
	judgeCases(t, rule.UnprovenExecution, []workloadCase{
		{name: "never", set: never, outcome: rule.True,
			text:   "router has not proven that it runs; no execution observed since 2025-12-31.",
			onPath: "router holds a path to %1$s; no execution observed since 2025-12-31."},
		{name: "a percent sign", set: func(w *rule.Workload) { never(w); w.Name = "50%s" }, outcome: rule.True,
			text:   "50%s has not proven that it runs; no execution observed since 2025-12-31.",
			onPath: "50%%s holds a path to %1$s; no execution observed since 2025-12-31."},
		{name: "the grace ends now", set: proof(rule.Complete, daysAgo(7), time.Time{}), outcome: rule.True,
			text:   "router has not proven that it runs; no execution observed since 2026-02-22.",
			onPath: "router holds a path to %1$s; no execution observed since 2026-02-22."},
		{name: "in its grace", set: proof(rule.Complete, daysAgo(7).Add(time.Second), time.Time{}), outcome: rule.False},
		{name: "not watched", set: proof(rule.Expired, daysAgo(60), time.Time{}), outcome: rule.Unknown},
		{name: "evidence appeared", was: never, set: proof(rule.NotCollected, daysAgo(60), daysAgo(50)), outcome: rule.False, reason: rule.EvidenceAppeared},
	})
	w := sound()
	never(&w)
	v := of(t, rule.JudgeWorkload(w, rule.Defaults(), windowAt, nil), rule.UnprovenExecution)
	require.Equal(t, w.FirstSeen, v.EffectiveFrom)
	require.Equal(t, rule.PathFirstSeen, v.Basis)
	require.Equal(t, "50%s holds a path to vault; no execution observed since 2025-12-31.",
		rule.Format(rule.Escape("50%s")+v.PathExplanation[len(w.Name):], "vault"))

	s := rule.Defaults()
	s.ProofGrace = 90 * 24 * time.Hour
	v = of(t, rule.JudgeWorkload(w, s, windowAt, map[rule.Rule]rule.Open{rule.UnprovenExecution: *opened(v)}), rule.UnprovenExecution)
	require.Equal(t, rule.False, v.Outcome)
	require.Equal(t, rule.SettingChanged, v.Reason)
}

func sends(c rule.Coverage, category authority.EgressCategory, names ...string) func(*rule.Workload) {
	return func(w *rule.Workload) {
		w.Egress = c
		for _, name := range names {
			w.Hosts = append(w.Hosts, rule.Host{Name: name, Category: category})
		}
	}
}

func TestExternalEgress(t *testing.T) {
	t.Parallel()
	out := sends(rule.Complete, authority.EgressExternal, "a.example")
	judgeCases(t, rule.ExternalEgress, []workloadCase{
		{name: "a host", set: out, outcome: rule.True, text: "router sends data to external host a.example."},
		{name: "hosts, incompletely known", set: sends(rule.Incomplete, authority.EgressExternal, "a.example", "b.example"), outcome: rule.True,
			text: "router sends data to external hosts a.example, b.example."},
		{name: "only inside", set: sends(rule.Complete, authority.EgressInternal, "a.internal"), outcome: rule.False},
		{name: "inside as far as is known", set: sends(rule.Incomplete, authority.EgressInternal, "a.internal"), outcome: rule.Unknown},
		{name: "not watched", set: sends(rule.NotCollected, ""), was: out, outcome: rule.Unknown},
		{name: "removed", was: out, set: sends(rule.Complete, authority.EgressInternal, "b.internal"), outcome: rule.False, reason: rule.EgressRemoved},
		{name: "reclassified", was: out, set: sends(rule.Complete, authority.EgressInternal, "a.example"), outcome: rule.False, reason: rule.HostReclassified},
	})
}

func TestLLMEgress(t *testing.T) {
	t.Parallel()
	model := sends(rule.Complete, authority.EgressLLM, "api.model.example")
	judgeCases(t, rule.LLMEgress, []workloadCase{
		{name: "a model", set: model, outcome: rule.True, text: "router sends data to language-model endpoint api.model.example."},
		{name: "models", set: sends(rule.Expired, authority.EgressLLM, "a", "b", "c", "d", "e", "f", "g"), outcome: rule.True,
			text: "router sends data to language-model endpoints a, b, c, d, e and 2 more."},
		{name: "external is no model", set: sends(rule.Complete, authority.EgressExternal, "a.example"), outcome: rule.False},
		{name: "not watched", set: sends(rule.Expired, ""), outcome: rule.Unknown},
		{name: "removed", was: model, set: sends(rule.Complete, ""), outcome: rule.False, reason: rule.EgressRemoved},
		{name: "reclassified", was: model, set: sends(rule.Complete, authority.EgressExternal, "api.model.example"), outcome: rule.False, reason: rule.HostReclassified},
	})
}

func TestRemovedWorkload(t *testing.T) {
	t.Parallel()
	w := sound()
	owned(rule.Complete)(&w)
	w.Removed = true
	s := rule.Defaults()
	s.DisabledRules = []rule.Rule{rule.LLMEgress, rule.OwnershipUnknown}
	verdicts := rule.JudgeWorkload(w, s, windowAt, map[rule.Rule]rule.Open{rule.OrphanedOwnership: {RuleVersion: 1}})
	require.Len(t, verdicts, 7)
	for _, v := range verdicts {
		require.Equal(t, rule.False, v.Outcome)
		require.Equal(t, rule.WorkloadRemoved, v.Reason)
	}
	require.True(t, rule.Retired(rule.LLMEgress, s))
	require.False(t, rule.Retired(rule.ExternalEgress, s))
}

// The same evidence found again is recognized, whatever time went by.
func TestWorkloadDigests(t *testing.T) {
	t.Parallel()
	w := sound()
	owned(rule.NotCollected)(&w)
	w.Bound, w.Unbound, w.LastExecuted = 0, 1, time.Time{}
	w.Hosts = []rule.Host{{Name: "a", Category: authority.EgressExternal}, {Name: "b", Category: authority.EgressLLM}}
	later := w
	later.Name, later.FirstSeen, later.Unbound = "renamed", daysAgo(40), 5
	a, b := rule.JudgeWorkload(w, rule.Defaults(), windowAt, nil), rule.JudgeWorkload(later, rule.Defaults(), windowAt.AddDate(0, 1, 0), nil)
	fired := 0
	for n := range a {
		if a[n].Outcome == rule.True {
			fired++
			require.Equal(t, a[n].EvidenceDigest, b[n].EvidenceDigest, rule.Define(a[n].Rule).Key)
			require.NotEqual(t, a[n].Explanation, b[n].Explanation)
		}
	}
	require.Equal(t, 5, fired)
	for _, owners := range [][]rule.Owner{
		{left(1, "Ada", 1), left(2, "Bob", 2)}, {left(1, "Ada", 1), person(2, "Bob", true)}, {group(1, "Ops", true), left(2, "Bob", 1)},
	} {
		w, later := sound(), sound()
		owned(rule.Complete, owners...)(&w)
		changed := slices.Clone(owners)
		changed[0].LastActive, changed[1].LastActive = changed[0].LastActive.Add(-time.Hour), changed[1].LastActive.Add(-time.Hour)
		slices.Reverse(changed)
		owned(rule.Complete, changed...)(&later)
		a, b := rule.JudgeWorkload(w, rule.Defaults(), windowAt, nil), rule.JudgeWorkload(later, rule.Defaults(), windowAt, nil)
		n := slices.IndexFunc(a, func(v rule.Verdict) bool { return v.Outcome == rule.True })
		require.Equal(t, a[n].EvidenceDigest, b[n].EvidenceDigest)
	}
}

// Whatever becomes known of the owners, in whatever order: at most one of the
// four ownership conditions is open, and none contradicts what is known.
func TestOwnershipIsExclusive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		open := map[rule.Rule]rule.Open{}
		settings := rule.Defaults()
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			w := sound()
			w.Ownership = rapid.SampledFrom([]rule.Coverage{rule.NotCollected, rule.Incomplete, rule.Expired, rule.Complete, rule.Complete}).Draw(t, "coverage")
			w.Owners = nil
			for n := range rapid.IntRange(0, 3).Draw(t, "owners") {
				w.Owners = append(w.Owners, rule.Owner{
					ID: someID(byte(n)), Group: rapid.Bool().Draw(t, "group"), Active: rapid.Bool().Draw(t, "active"),
				})
			}
			w.Removed = rapid.IntRange(0, 9).Draw(t, "removed") == 0
			settings.DisabledRules = rapid.SliceOfNDistinct(rapid.SampledFrom([]rule.Rule{1, 2, 3, 4}), 0, 1, rapid.ID[rule.Rule]).Draw(t, "disabled")
			version := rapid.IntRange(1, 2).Draw(t, "version")

			verdicts := rule.JudgeWorkload(w, settings, windowAt, open)
			for _, r := range settings.DisabledRules {
				delete(open, r)
			}
			for _, v := range verdicts {
				checkShape(t, v)
				var was *rule.Open
				if o, ok := open[v.Rule]; ok {
					was = &o
				}
				switch rule.Decide(was, v, version).Kind {
				case rule.ChangeOpen, rule.ChangeUpdate, rule.ChangeKeep:
					open[v.Rule] = rule.Open{RuleVersion: version, Evidence: v.Evidence}
				case rule.ChangeClose:
					delete(open, v.Rule)
				}
			}
			count := 0
			for r := rule.OrphanedOwnership; r <= rule.OwnershipUnknown; r++ {
				if _, ok := open[r]; ok {
					count++
				}
			}
			require.LessOrEqual(t, count, 1, "open: %v", open)
			active := slices.ContainsFunc(w.Owners, func(o rule.Owner) bool { return o.Active })
			if _, ok := open[rule.OrphanedOwnership]; ok {
				require.False(t, active)
			}
			if _, ok := open[rule.OwnershipUnknown]; ok {
				require.False(t, active)
				require.NotEqual(t, rule.Complete, w.Ownership)
			}
			if w.Ownership != rule.Complete && !active && !w.Removed && len(settings.DisabledRules) == 0 {
				require.Equal(t, 1, count, "nobody known to answer is always a matter")
			}
			for _, v := range rule.JudgeWorkload(w, settings, windowAt, open) {
				was, isOpen := open[v.Rule]
				if !isOpen {
					require.NotEqual(t, rule.True, v.Outcome, "judged again, nothing opens")
					continue
				}
				require.Contains(t, []rule.ChangeKind{rule.ChangeKeep, rule.ChangeDoubt}, rule.Decide(&was, v, was.RuleVersion).Kind, "judged again, nothing changes")
			}
		}
	})
}

func TestInternetFacing(t *testing.T) {
	t.Parallel()
	at := func(gone []string, assets ...string) func(*rule.Workload) {
		return func(w *rule.Workload) { w.Assets, w.AssetsGone = assets, gone }
	}
	judgeCases(t, rule.InternetFacing, []workloadCase{
		{name: "nothing leads to it", set: at(nil), outcome: rule.False, reason: rule.LinkRemoved},
		{name: "a service", set: at(nil, "203.0.113.7 tcp/443"), outcome: rule.True, text: "router answers on 203.0.113.7 tcp/443 from outside."},
		{name: "several, one of them gone", set: at([]string{"203.0.113.8 tcp/443"}, "203.0.113.7 tcp/443", "https://shop.example.com:443"), outcome: rule.True,
			text: "router answers on 203.0.113.7 tcp/443, https://shop.example.com:443 from outside."},
		{name: "more than a sentence holds", set: at(nil, "a", "b", "c", "d", "e", "f", "g"), outcome: rule.True, text: "router answers on a, b, c, d, e and 2 more from outside."},
		{name: "the port was closed", was: at(nil, "203.0.113.7 tcp/443"), set: at([]string{"203.0.113.7 tcp/443"}), outcome: rule.False, reason: rule.AssetGone},
		{name: "the ingress was taken away", was: at(nil, "203.0.113.7 tcp/443"), set: at(nil), outcome: rule.False, reason: rule.LinkRemoved},
		{name: "the same, and another port was closed before", was: at([]string{"203.0.113.8 tcp/443"}, "203.0.113.7 tcp/443"), set: at([]string{"203.0.113.8 tcp/443"}),
			outcome: rule.False, reason: rule.LinkRemoved},
	})
	w := sound()
	w.Removed, w.Assets = true, []string{"a"}
	require.Equal(t, rule.WorkloadRemoved, of(t, rule.JudgeWorkload(w, rule.Defaults(), windowAt, nil), rule.InternetFacing).Reason)

	one, other := rule.Evidence{Assets: []string{"a"}}, rule.Evidence{Assets: []string{"b"}}
	require.NotEqual(t, one.Digest(rule.InternetFacing, w.ID), other.Digest(rule.InternetFacing, w.ID), "another place is another finding")
}

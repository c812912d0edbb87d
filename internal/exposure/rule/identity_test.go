package rule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// quiet is an identity that nothing is wrong with.
func quiet() rule.Identity {
	return rule.Identity{
		ID: someID(101), Name: "sp-1", FirstSeen: daysAgo(200),
		Execution: rule.Complete, LastActive: daysAgo(1),
		Roles: rule.Complete, Scope: &rule.Scope{BaselineAt: daysAgo(150), RolesThen: 2, RolesNow: 2},
		Binding: rule.Complete, Workloads: 1, Ownership: rule.Complete, OwnerSets: 1, Owners: 1,
	}
}

func TestQuietIdentity(t *testing.T) {
	t.Parallel()
	verdicts := rule.JudgeIdentity(quiet(), rule.Defaults(), windowAt, nil)
	var rules []rule.Rule
	for _, v := range verdicts {
		require.Equal(t, rule.False, v.Outcome, rule.Define(v.Rule).Key)
		rules = append(rules, v.Rule)
	}
	require.Equal(t, []rule.Rule{5, 9, 13}, rules)
}

// An identityCase judges one rule. was is what opened its condition before, by
// the default settings; settings moves them for set.
type identityCase struct {
	name     string
	set      func(*rule.Identity)
	was      func(*rule.Identity)
	settings func(*rule.Settings)

	outcome rule.Outcome
	text    string // Explanation
	onPath  string // PathExplanation
	reason  rule.Reason
	from    time.Time
}

func judgeIdentityCases(t *testing.T, r rule.Rule, cases []identityCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			open := map[rule.Rule]rule.Open{}
			settings := rule.Defaults()
			if c.was != nil {
				before := quiet()
				c.was(&before)
				v := of(t, rule.JudgeIdentity(before, settings, windowAt, nil), r)
				require.Equal(t, rule.True, v.Outcome, "was")
				open[r] = *opened(v)
			}
			if c.settings != nil {
				c.settings(&settings)
			}
			i := quiet()
			c.set(&i)
			v := of(t, rule.JudgeIdentity(i, settings, windowAt, open), r)
			require.Equal(t, c.outcome, v.Outcome)
			require.Equal(t, c.text, v.Explanation)
			require.Equal(t, c.onPath, v.PathExplanation)
			require.Equal(t, c.from, v.EffectiveFrom)
			if c.reason != "" {
				require.Equal(t, c.reason, v.Reason)
			}
			checkShape(t, v)
		})
	}
}

func TestDormantAuthority(t *testing.T) {
	t.Parallel()
	idle := func(c rule.Coverage, lastActive time.Time) func(*rule.Identity) {
		return func(i *rule.Identity) { i.Execution, i.LastActive = c, lastActive }
	}
	dormant := idle(rule.Complete, daysAgo(100))
	judgeIdentityCases(t, rule.DormantAuthority, []identityCase{
		{name: "dormant", set: dormant, outcome: rule.True, from: daysAgo(10),
			text:   "sp-1 has not acted since 2025-11-21.",
			onPath: "sp-1 has not acted since 2025-11-21, still reaches %1$s (%2$s)."},
		{name: "no activity is known", set: idle(rule.Complete, time.Time{}), outcome: rule.True,
			text:   "sp-1 has not acted for 90 days or more.",
			onPath: "sp-1 has not acted for 90 days or more, still reaches %1$s (%2$s)."},
		{name: "another threshold", set: idle(rule.Complete, time.Time{}), settings: func(s *rule.Settings) { s.DormantAfter = 24 * time.Hour }, outcome: rule.True,
			text:   "sp-1 has not acted for 1 day or more.",
			onPath: "sp-1 has not acted for 1 day or more, still reaches %1$s (%2$s)."},
		{name: "a percent sign", set: func(i *rule.Identity) { dormant(i); i.Name = "%1$s" }, outcome: rule.True, from: daysAgo(10),
			text:   "%1$s has not acted since 2025-11-21.",
			onPath: "%%1$s has not acted since 2025-11-21, still reaches %1$s (%2$s)."},
		{name: "dormant as of now", set: idle(rule.Complete, daysAgo(90)), outcome: rule.True, from: windowAt,
			text:   "sp-1 has not acted since 2025-12-01.",
			onPath: "sp-1 has not acted since 2025-12-01, still reaches %1$s (%2$s)."},
		{name: "not yet", set: idle(rule.Complete, daysAgo(90).Add(time.Second)), outcome: rule.False},
		{name: "too young", set: func(i *rule.Identity) { idle(rule.Complete, time.Time{})(i); i.FirstSeen = daysAgo(89) }, outcome: rule.False},
		{name: "not watched", set: idle(rule.Incomplete, daysAgo(100)), outcome: rule.Unknown},
		{name: "no longer watched", was: dormant, set: idle(rule.Expired, daysAgo(100)), outcome: rule.Unknown},
		{name: "it acts", was: dormant, set: idle(rule.NotCollected, daysAgo(3)), outcome: rule.False, reason: rule.ActivityResumed},
		{name: "it acts, later than the window", was: dormant, set: idle(rule.Complete, daysAgo(-1)), outcome: rule.False, reason: rule.ActivityResumed},
		{name: "disabled", was: dormant, set: func(i *rule.Identity) { dormant(i); i.Disabled = true }, outcome: rule.False, reason: rule.IdentityDisabled},
		{name: "a longer absence is allowed", was: dormant, set: dormant, settings: func(s *rule.Settings) { s.DormantAfter *= 2 },
			outcome: rule.False, reason: rule.SettingChanged},
		{name: "a longer absence is allowed, and no activity is known", was: idle(rule.Complete, time.Time{}), set: idle(rule.Complete, time.Time{}),
			settings: func(s *rule.Settings) { s.DormantAfter *= 3 }, outcome: rule.False, reason: rule.SettingChanged},
	})
	i := quiet()
	dormant(&i)
	v := of(t, rule.JudgeIdentity(i, rule.Defaults(), windowAt, nil), rule.DormantAuthority)
	require.Equal(t, rule.EntityEvent, v.Basis)
	tomorrow := of(t, rule.JudgeIdentity(i, rule.Defaults(), windowAt.AddDate(0, 0, 1), nil), rule.DormantAuthority)
	require.Equal(t, v, tomorrow, "it does not read differently every day")
}

func TestScopeDrift(t *testing.T) {
	t.Parallel()
	scope := func(c rule.Coverage, s *rule.Scope) func(*rule.Identity) {
		return func(i *rule.Identity) { i.Roles, i.Scope = c, s }
	}
	grown := scope(rule.Complete, &rule.Scope{BaselineAt: daysAgo(150), RolesThen: 1, RolesNow: 3, RolesAdded: []string{"Editor", "100% Admin"}, Newly: 2})
	judgeIdentityCases(t, rule.ScopeDrift, []identityCase{
		{name: "roles", set: grown, outcome: rule.True,
			text:   "sp-1: 3 roles versus 1 at 2025-10-02; added Editor, 100% Admin; newly reaches 2 resources.",
			onPath: "sp-1: 3 roles versus 1 at 2025-10-02; added Editor, 100%% Admin; reaches %1$s (%2$s)."},
		{name: "a role, where there was none, seen incompletely", outcome: rule.True,
			set:    scope(rule.Incomplete, &rule.Scope{BaselineAt: daysAgo(150), RolesNow: 1, RolesAdded: []string{"Editor"}, Newly: 1}),
			text:   "sp-1: 1 role versus none at 2025-10-02; added Editor; newly reaches 1 resource.",
			onPath: "sp-1: 1 role versus none at 2025-10-02; added Editor; reaches %1$s (%2$s)."},
		{name: "actions only", outcome: rule.True,
			set:    scope(rule.Complete, &rule.Scope{BaselineAt: daysAgo(150), RolesThen: 2, RolesNow: 2, ActionsAdded: []string{"delete", "write"}}),
			text:   "sp-1: 2 roles versus 2 at 2025-10-02; gained delete, write.",
			onPath: "sp-1: 2 roles versus 2 at 2025-10-02; gained delete, write; reaches %1$s (%2$s)."},
		{name: "no less than then, as far as is known", set: scope(rule.Expired, &rule.Scope{BaselineAt: daysAgo(150)}), outcome: rule.Unknown},
		{name: "never completely observed", set: scope(rule.Incomplete, nil), outcome: rule.Unknown},
		{name: "nothing to compare with", set: scope(rule.Complete, nil), outcome: rule.False},
		{name: "reduced", was: grown, set: scope(rule.Complete, &rule.Scope{BaselineAt: daysAgo(150), RolesThen: 1, RolesNow: 1}),
			outcome: rule.False, reason: rule.ScopeReduced},
		{name: "attested", was: grown, set: scope(rule.Complete, &rule.Scope{BaselineAt: daysAgo(1), Attested: true, RolesThen: 3, RolesNow: 3}),
			outcome: rule.False, reason: rule.BaselineAttested},
		{name: "attested, by what is known", was: grown, set: scope(rule.Expired, &rule.Scope{BaselineAt: daysAgo(1), Attested: true, RolesThen: 3, RolesNow: 3}),
			outcome: rule.False, reason: rule.BaselineAttested},
		{name: "grown since it was attested", was: grown, outcome: rule.True,
			set:    scope(rule.Complete, &rule.Scope{BaselineAt: daysAgo(1), Attested: true, RolesThen: 3, RolesNow: 4, RolesAdded: []string{"Owner"}}),
			text:   "sp-1: 4 roles versus 3 at 2026-02-28; added Owner.",
			onPath: "sp-1: 4 roles versus 3 at 2026-02-28; added Owner; reaches %1$s (%2$s)."},
		{name: "reduced below what was attested long ago", outcome: rule.False, reason: rule.ScopeReduced,
			was: scope(rule.Complete, &rule.Scope{BaselineAt: daysAgo(150), Attested: true, RolesThen: 1, RolesNow: 2, RolesAdded: []string{"Editor"}}),
			set: scope(rule.Complete, &rule.Scope{BaselineAt: daysAgo(150), Attested: true, RolesThen: 1, RolesNow: 1})},
	})
}

func TestIdentityReuse(t *testing.T) {
	t.Parallel()
	shared := func(binding rule.Coverage, workloads int, ownership rule.Coverage, sets, owners int) func(*rule.Identity) {
		return func(i *rule.Identity) {
			i.Binding, i.Workloads, i.Ownership, i.OwnerSets, i.Owners = binding, workloads, ownership, sets, owners
		}
	}
	three := shared(rule.Complete, 3, rule.Complete, 2, 4)
	judgeIdentityCases(t, rule.IdentityReuse, []identityCase{
		{name: "three", set: three, outcome: rule.True, text: "sp-1 is shared by 3 workloads across 4 owners."},
		{name: "three are enough", set: shared(rule.NotCollected, 3, rule.Incomplete, 1, 1), outcome: rule.True,
			text: "sp-1 is shared by 3 workloads across 1 known owner."},
		{name: "three of nobody", set: shared(rule.Complete, 3, rule.NotCollected, 1, 0), outcome: rule.True,
			text: "sp-1 is shared by 3 workloads across no known owner."},
		{name: "two with different owners", set: shared(rule.Incomplete, 2, rule.Complete, 2, 1), outcome: rule.True,
			text: "sp-1 is shared by 2 workloads across 1 owner."},
		{name: "two with different owners, as far as is known", set: shared(rule.Complete, 2, rule.Expired, 2, 2), outcome: rule.Unknown},
		{name: "two with the same owners, as far as is known", set: shared(rule.Complete, 2, rule.Incomplete, 1, 2), outcome: rule.Unknown},
		{name: "two with the same owners", set: shared(rule.Complete, 2, rule.Complete, 1, 2), outcome: rule.False},
		{name: "perhaps a third", set: shared(rule.Incomplete, 2, rule.Complete, 1, 2), outcome: rule.Unknown},
		{name: "one, whoever owns it", set: shared(rule.Complete, 1, rule.NotCollected, 1, 0), outcome: rule.False},
		{name: "one is known", set: shared(rule.Incomplete, 1, rule.Complete, 1, 1), outcome: rule.Unknown},
		{name: "dedicated", was: three, set: shared(rule.Complete, 1, rule.Complete, 1, 1), outcome: rule.False, reason: rule.IdentityDedicated},
		{name: "owned alike", was: three, set: shared(rule.Complete, 2, rule.Complete, 1, 1), outcome: rule.False, reason: rule.IdentityDedicated},
		{name: "more are allowed", was: shared(rule.Complete, 3, rule.Complete, 1, 1), set: shared(rule.Complete, 3, rule.Complete, 1, 1),
			settings: func(s *rule.Settings) { s.SharedWorkloads = 5 }, outcome: rule.False, reason: rule.SettingChanged},
	})
}

func TestRemovedIdentity(t *testing.T) {
	t.Parallel()
	i := quiet()
	i.Removed = true
	s := rule.Defaults()
	s.DisabledRules = []rule.Rule{rule.ScopeDrift}
	verdicts := rule.JudgeIdentity(i, s, windowAt, nil)
	require.Len(t, verdicts, 2)
	for _, v := range verdicts {
		require.Equal(t, rule.False, v.Outcome)
		require.Equal(t, rule.IdentityRemoved, v.Reason)
	}
}

func TestIdentityDigests(t *testing.T) {
	t.Parallel()
	judge := func(change func(*rule.Identity)) []rule.Verdict {
		i := quiet()
		i.LastActive, i.Workloads = daysAgo(100), 3
		i.Scope = &rule.Scope{BaselineAt: daysAgo(150), RolesThen: 1, RolesNow: 2, RolesAdded: []string{"Editor"}, Newly: 2}
		change(&i)
		return rule.JudgeIdentity(i, rule.Defaults(), windowAt, nil)
	}
	a := judge(func(*rule.Identity) {})
	b := judge(func(i *rule.Identity) {
		i.Name, i.LastActive, i.Workloads, i.FirstSeen = "renamed", daysAgo(120), 9, daysAgo(300)
		i.Scope.BaselineAt, i.Scope.Newly = daysAgo(100), 3
	})
	for n := range a {
		require.Equal(t, rule.True, a[n].Outcome)
		require.Equal(t, a[n].EvidenceDigest, b[n].EvidenceDigest)
		require.NotEqual(t, a[n].Explanation, b[n].Explanation)
	}
	b = judge(func(i *rule.Identity) { i.Scope.RolesAdded = []string{"Owner"} })
	require.NotEqual(t, a[1].EvidenceDigest, b[1].EvidenceDigest)
}

package rule_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

func drawCoverage(t *rapid.T, name string) rule.Coverage {
	return rapid.SampledFrom([]rule.Coverage{rule.NotCollected, rule.Incomplete, rule.Expired, rule.Complete, rule.Complete}).Draw(t, name)
}

func drawPast(t *rapid.T, name string) time.Time {
	if rapid.Bool().Draw(t, "no "+name) {
		return time.Time{}
	}
	return daysAgo(rapid.IntRange(0, 200).Draw(t, name))
}

// What is asked adds up to the verdict, whatever is known.
func TestPredicatesOfWorkloadsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := rule.Workload{
			ID: someID(100), Name: "router", FirstSeen: daysAgo(rapid.IntRange(0, 60).Draw(t, "first seen")),
			Ownership: drawCoverage(t, "ownership"), Binding: drawCoverage(t, "binding"), Execution: drawCoverage(t, "execution"), Egress: drawCoverage(t, "egress"),
			Bound: rapid.IntRange(0, 1).Draw(t, "bound"), Unresolved: rapid.IntRange(0, 1).Draw(t, "unresolved"), LastExecuted: drawPast(t, "executed"),
		}
		for n := range rapid.IntRange(0, 3).Draw(t, "owners") {
			w.Owners = append(w.Owners, rule.Owner{ID: someID(byte(n)), Group: rapid.Bool().Draw(t, "group"), Active: rapid.Bool().Draw(t, "active")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "hosts") {
			w.Hosts = append(w.Hosts, rule.Host{Name: "a", Category: rapid.SampledFrom([]authority.EgressCategory{authority.EgressExternal, authority.EgressLLM, authority.EgressInternal}).Draw(t, "category")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "assets") {
			w.Assets = append(w.Assets, "203.0.113.7 tcp/443")
		}
		verdicts := rule.JudgeWorkload(w, rule.Defaults(), windowAt, nil)
		owned := false
		for _, v := range verdicts {
			facts := w.Facts(v.Rule, rule.Defaults(), windowAt)
			facts.Owned = owned && v.Rule == rule.OwnershipUnknown
			owned = owned || v.Rule < rule.OwnershipUnknown && v.Outcome == rule.True
			require.Equal(t, v.Outcome, rule.Holding(rule.Predicates(v.Rule, facts)), rule.Define(v.Rule).Key)
			if v.Outcome == rule.True { // what the rule keeps says the same
				kept := rule.Facts{Evidence: v.Evidence, Settings: rule.Defaults(), WindowAt: windowAt, FirstSeen: daysAgo(300)}
				require.Equal(t, rule.True, rule.Holding(rule.Predicates(v.Rule, kept)), rule.Define(v.Rule).Key)
				kept.Doubted = true
				if v.Rule != rule.OwnershipUnknown && v.Rule != rule.InternetFacing { // which are about not knowing, and never in doubt
					require.Equal(t, rule.Unknown, rule.Holding(rule.Predicates(v.Rule, kept)), rule.Define(v.Rule).Key)
				}
			}
		}
	})
}

func TestPredicatesOfIdentitiesAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := rule.Identity{
			ID: someID(101), Name: "sp-1", Disabled: rapid.IntRange(0, 5).Draw(t, "disabled") == 0, FirstSeen: daysAgo(rapid.IntRange(0, 200).Draw(t, "first seen")),
			Execution: drawCoverage(t, "execution"), LastActive: drawPast(t, "active"), Roles: drawCoverage(t, "roles"),
			Binding: drawCoverage(t, "binding"), Ownership: drawCoverage(t, "ownership"), Workloads: rapid.IntRange(0, 4).Draw(t, "workloads"),
		}
		i.OwnerSets = rapid.IntRange(min(1, i.Workloads), max(1, i.Workloads)).Draw(t, "owner sets")
		if rapid.Bool().Draw(t, "baseline") {
			i.Scope = &rule.Scope{BaselineAt: daysAgo(100), Newly: rapid.IntRange(0, 1).Draw(t, "newly")}
			if rapid.Bool().Draw(t, "roles added") {
				i.Scope.RolesAdded = []string{"admin"}
			}
			if rapid.Bool().Draw(t, "actions added") {
				i.Scope.ActionsAdded = []string{"delete"}
			}
		}
		for _, v := range rule.JudgeIdentity(i, rule.Defaults(), windowAt, nil) {
			facts := i.Facts(v.Rule, rule.Defaults(), windowAt)
			facts.FirstSeen = daysAgo(300)
			require.Equal(t, v.Outcome, rule.Holding(rule.Predicates(v.Rule, facts)), rule.Define(v.Rule).Key)
			if v.Outcome == rule.True {
				kept := rule.Facts{Evidence: v.Evidence, Settings: rule.Defaults(), WindowAt: windowAt, FirstSeen: daysAgo(300)}
				require.Equal(t, rule.True, rule.Holding(rule.Predicates(v.Rule, kept)), rule.Define(v.Rule).Key)
				kept.Doubted = true
				require.Equal(t, rule.Unknown, rule.Holding(rule.Predicates(v.Rule, kept)), rule.Define(v.Rule).Key)
			}
		}
	})
}

func TestPredicatesOfPathsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"delete", "get", "update", "write", "*"}), rapid.ID[string])
		p := rule.Privilege{Granted: some.Draw(t, "granted"), Execution: drawCoverage(t, "execution"), Proven: rapid.Bool().Draw(t, "proven")}
		for _, action := range p.Granted {
			if rapid.Bool().Draw(t, "justified") {
				p.Justified = append(p.Justified, action)
			}
		}
		if p.Proven { // by evidence that names an action or not
			p.Used, p.Opaque = some.Draw(t, "used"), rapid.Bool().Draw(t, "opaque")
			p.Opaque = p.Opaque || len(p.Used) == 0
		}
		want := rule.JudgePrivilege(p, rule.Defaults()).Outcome
		require.Equal(t, want, rule.Holding(rule.Predicates(rule.PrivilegeGap, p.Facts(rule.Defaults(), windowAt))))

		trait := rule.TraitOf(rapid.IntRange(0, rule.Traits-1).Draw(t, "trait"))
		require.Equal(t, rule.JudgeReach(trait).Outcome, rule.Holding(rule.Predicates(rule.SensitiveDomain, rule.Facts{Sensitivity: trait.Sensitivity})))
	})
}

// What keeps a rule from a path although the subject's condition holds.
func TestPredicatesOfThePathAlone(t *testing.T) {
	t.Parallel()
	some := someID(1)
	i := quiet()
	i.LastActive, i.Scope.RolesAdded = daysAgo(120), []string{"admin"}
	dormant := i.Facts(rule.DormantAuthority, rule.Defaults(), windowAt)
	dormant.FirstSeen = daysAgo(120)
	require.Equal(t, rule.True, rule.Holding(rule.Predicates(rule.DormantAuthority, dormant)))
	dormant.FirstSeen = daysAgo(20)
	require.Equal(t, rule.False, rule.Holding(rule.Predicates(rule.DormantAuthority, dormant)), "the path is young")
	dormant.FirstSeen, dormant.RouteUsed = daysAgo(120), true
	require.Equal(t, rule.False, rule.Holding(rule.Predicates(rule.DormantAuthority, dormant)), "the workload goes there itself")
	drift := i.Facts(rule.ScopeDrift, rule.Defaults(), windowAt)
	require.Equal(t, rule.True, rule.Holding(rule.Predicates(rule.ScopeDrift, drift)))
	drift.NotAdded = true
	require.Equal(t, rule.False, rule.Holding(rule.Predicates(rule.ScopeDrift, drift)))
	w := sound()
	w.Bound = 0
	unbound := w.Facts(rule.UnknownBinding, rule.Defaults(), windowAt)
	require.Equal(t, rule.True, rule.Holding(rule.Predicates(rule.UnknownBinding, unbound)))
	unbound.Identity = &some
	require.Equal(t, rule.False, rule.Holding(rule.Predicates(rule.UnknownBinding, unbound)))
}

// The steps of every severity add up to it.
func TestContributions(t *testing.T) {
	t.Parallel()
	for _, d := range rule.Definitions {
		for code := range rule.Traits {
			severity, factors := rule.SeverityOn(d.Rule, rule.TraitOf(code))
			steps, set := 0, rule.Factors(0)
			for n, c := range factors.Contributions() {
				require.Positive(t, c.Steps)
				require.True(t, n == 0 || c.Steps == 1, "only the base adds more than one")
				steps, set = steps+c.Steps, set|c.Factor
			}
			require.Equal(t, int(severity), steps, d.Key)
			require.Equal(t, factors, set)
		}
	}
}

// docs/explain.md lists the predicates of each rule, and no others.
func TestPredicatesAreDocumented(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../../docs/explain.md")
	require.NoError(t, err)
	name := regexp.MustCompile("`([a-z_]+)`")
	for _, d := range rule.Definitions {
		row := regexp.MustCompile("(?m)^\\| `" + strings.ToUpper(d.Key) + "` \\| (.*)$").FindStringSubmatch(string(document))
		require.NotNil(t, row, d.Key)
		var documented, asked []string
		for _, m := range name.FindAllStringSubmatch(row[1], -1) {
			documented = append(documented, m[1])
		}
		for _, p := range rule.Predicates(d.Rule, rule.Facts{Use: &rule.Use{}, Bound: 1, Owned: true, Disabled: true, RouteUsed: true, NotAdded: true}) {
			asked = append(asked, p.Name)
		}
		slices.Sort(documented)
		slices.Sort(asked)
		require.Equal(t, asked, documented, d.Key)
	}
}

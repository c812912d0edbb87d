package rule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// graphPath is the route to Microsoft Graph that the workloads below share. The
// source calls the sensitivity of Graph "high".
type graphPath struct {
	workload rule.Workload
	identity *rule.Identity
	writes   bool
	actions  string
}

// exposures are the types on the path with their severities and texts.
func (p graphPath) exposures(t *testing.T) string {
	t.Helper()
	verdicts := rule.JudgeWorkload(p.workload, rule.Defaults(), windowAt, nil)
	name := "no known identity"
	if p.identity != nil {
		name = p.identity.Name
		verdicts = append(verdicts, rule.JudgeIdentity(*p.identity, rule.Defaults(), windowAt, nil)...)
	}
	trait := rule.Trait{Sensitivity: authority.ParseSensitivity("high"), Writes: p.writes}
	for _, h := range p.workload.Hosts {
		trait.External = trait.External || h.Category != authority.EgressInternal
	}
	verdicts = append(verdicts, rule.JudgeReach(trait))
	var text strings.Builder
	for _, v := range verdicts {
		if v.Outcome != rule.True {
			continue
		}
		severity, factors := rule.SeverityOn(v.Rule, trait)
		explanation := v.Explanation
		if v.PathExplanation != "" {
			explanation = rule.Format(v.PathExplanation,
				places("Microsoft Graph", "confidential", "identity_platform", p.actions, p.actions, p.workload.Name, name)...)
		}
		fmt.Fprintf(&text, "%s %s %v\n  %s\n", rule.Define(v.Rule).Key, []string{"", "low", "medium", "high", "critical"}[severity], factors.List(), explanation)
	}
	return text.String()
}

func principal() *rule.Identity {
	i := quiet()
	i.Name = "SP (61c1fe)"
	return &i
}

// The three workloads of the product's own example.
func TestExamples(t *testing.T) {
	t.Parallel()

	router := sound()
	router.Name = "AzureGraphRouter"
	dormant := principal()
	dormant.LastActive = daysAgo(120)
	owned(rule.Complete, left(1, "Ada", 47))(&router)
	golden(t, "AzureGraphRouter", graphPath{workload: router, identity: dormant, actions: "Directory.Read.All"}.exposures(t))

	unowned := sound()
	unowned.Name = "AzureGraphRouterNoOwner"
	owned(rule.Complete)(&unowned)
	unowned.LastExecuted = time.Time{}
	unowned.Hosts = []rule.Host{{Name: "graph.microsoft.com", Category: authority.EgressExternal}}
	golden(t, "AzureGraphRouterNoOwner", graphPath{workload: unowned, identity: principal(), actions: "Directory.Read.All"}.exposures(t))

	var found []string
	for _, v := range rule.JudgeWorkload(unowned, rule.Defaults(), windowAt, nil) {
		if v.Outcome == rule.True {
			severity, _ := rule.SeverityOn(v.Rule, rule.Trait{Sensitivity: authority.Confidential, External: true})
			found = append(found, fmt.Sprint(rule.Define(v.Rule).Key, " ", severity))
		}
	}
	require.Equal(t, []string{"orphaned_ownership 4", "unproven_execution 3", "external_egress 3"}, found)

	tickets := sound()
	tickets.Name = "Auto-route identity tickets via Entra"
	owned(rule.NotCollected)(&tickets)
	tickets.Bound, tickets.Unbound = 0, 1
	golden(t, "AutoRouteIdentityTickets", graphPath{workload: tickets, actions: "Directory.ReadWrite.All", writes: rule.Writes("Directory.ReadWrite.All")}.exposures(t))
}

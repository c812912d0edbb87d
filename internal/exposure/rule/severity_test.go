package rule_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = "testdata/" + name + ".golden"
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

var levels = []string{"unknown", "public", "internal", "confidential", "restricted"}

func TestSeverityMatrix(t *testing.T) {
	t.Parallel()
	words := []string{"", "low", "medium", "high", "critical"}
	var matrix strings.Builder
	for _, d := range rule.Definitions {
		fmt.Fprintf(&matrix, "%s\n", d.Key)
		for code := range rule.Traits {
			trait := rule.TraitOf(code)
			require.Equal(t, code, trait.Code())
			severity, factors := rule.SeverityOn(d.Rule, trait)
			list := factors.List()
			require.Equal(t, factors.Severity(), severity)
			require.Contains(t, string(list[0]), "base_")
			require.Equal(t, severity, map[rule.Factor]rule.Severity{"base_low": rule.Low, "base_medium": rule.Medium, "base_high": rule.High}[list[0]]+
				rule.Severity(len(list)-1), "the list adds up")
			line := fmt.Sprintf("  %-12s", levels[trait.Sensitivity])
			for _, flag := range []struct {
				set  bool
				name string
			}{{trait.External, "external"}, {trait.Writes, "writes"}, {trait.Newly, "newly"}} {
				if !flag.set {
					flag.name = ""
				}
				line += fmt.Sprintf(" %-8s", flag.name)
			}
			fmt.Fprintf(&matrix, "%s %-8s %d %v\n", line, words[severity], factors, list)
		}
	}
	golden(t, "severity", matrix.String())
}

func TestSeverityFactors(t *testing.T) {
	t.Parallel()
	restricted := rule.Trait{Sensitivity: authority.Restricted}
	severity, factors := rule.SeverityOn(rule.DormantAuthority, rule.Trait{Sensitivity: authority.Restricted, External: true})
	require.Equal(t, rule.High, severity, "two reasons to raise it, once")
	require.Equal(t, []rule.Factor{"base_medium", "sensitive"}, factors.List())
	severity, factors = rule.SeverityOn(rule.SensitiveDomain, rule.Trait{Sensitivity: authority.Restricted, Writes: true})
	require.Equal(t, rule.Critical, severity)
	require.Equal(t, rule.BaseMedium|rule.FactorRestricted|rule.FactorWrites, factors)
	severity, _ = rule.SeverityOn(rule.LLMEgress, restricted)
	require.Equal(t, rule.Critical, severity)
	require.Panics(t, func() { rule.SeverityOn(14, restricted) })
}

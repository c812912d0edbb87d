package posture_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func defined(t testing.TB, key string) posture.Definition {
	t.Helper()
	d, ok := posture.Find(key)
	require.True(t, ok, key)
	return d
}

func TestPriority(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		severity rule.Severity
		paths    int64
		want     posture.Priority
	}{
		{rule.Critical, 1, posture.P0}, {rule.High, 1, posture.P1}, {rule.Medium, 7, posture.P2}, {rule.Low, 1, posture.P2},
	} {
		d := posture.Definition{Severity: test.severity}
		require.Equal(t, test.want, *d.Priority(test.paths))
		require.Nil(t, d.Priority(0), "an empty cluster has none")
	}
}

func TestUrgency(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key    string
		totals posture.Totals
		want   posture.Urgency
	}{
		"sensitive, executed, unowned":         {"orphaned-sensitive", posture.Totals{Paths: 2, Executions: 5, ExecutedSensitive: 1}, posture.UrgencyCritical},
		"even where some is unwatched":         {"orphaned-sensitive", posture.Totals{Paths: 2, Executions: 5, ExecutedSensitive: 1, Unwatched: 1}, posture.UrgencyCritical},
		"unbound is a failure":                 {"unbound-sensitive", posture.Totals{Paths: 2, Executions: 5, ExecutedSensitive: 1}, posture.UrgencyCritical},
		"drift is a failure":                   {"drifted-sensitive", posture.Totals{Paths: 2, Executions: 5, ExecutedSensitive: 1}, posture.UrgencyCritical},
		"excess is a failure":                  {"overprivileged-egress", posture.Totals{Paths: 2, Executions: 5, ExecutedSensitive: 1}, posture.UrgencyCritical},
		"an alternative is a failure":          {"unaccountable-sensitive", posture.Totals{Paths: 2, Executions: 5, ExecutedSensitive: 1}, posture.UrgencyCritical},
		"sensitive and executed":               {"shared-sensitive", posture.Totals{Paths: 2, Executions: 5, ExecutedSensitive: 1}, posture.UrgencyHigh},
		"executed, nothing sensitive, unowned": {"orphaned-external", posture.Totals{Paths: 2, Executions: 5, Executed: 1}, posture.UrgencyModerate},
		"watched and idle, unowned":            {"orphaned-external", posture.Totals{Paths: 2}, posture.UrgencyModerate},
		"nobody watched":                       {"orphaned-external", posture.Totals{Paths: 2, Unwatched: 1}, posture.UrgencyUnknown},
		"some ran, some unwatched":             {"dormant-external", posture.Totals{Paths: 2, Executions: 1, Unwatched: 1}, posture.UrgencyLow},
		"idle":                                 {"standing-sensitive", posture.Totals{Paths: 2}, posture.UrgencyLow},
	} {
		require.Equal(t, test.want, *defined(t, test.key).Urgency(test.totals), name)
	}
	require.Nil(t, defined(t, "llm-egress").Urgency(posture.Totals{Unwatched: 1}), "an empty cluster has none")
}

func TestSentence(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, test := range []struct {
		key     string
		totals  posture.Totals
		dormant time.Duration
		want    string
	}{
		{"orphaned-sensitive", posture.Totals{Paths: 3, Identities: 2, Unwatched: 3}, day, "2 identities accessed sensitive systems an unknown number of times in 30 days; none has an owner."},
		{"orphaned-sensitive", posture.Totals{Paths: 3, Identities: 2, Executions: 1, Unwatched: 1}, day, "2 identities accessed sensitive systems at least 1 time in 30 days; none has an owner."},
		{"orphaned-sensitive", posture.Totals{Paths: 3, Identities: 2, Executions: 12}, day, "2 identities accessed sensitive systems 12 times in 30 days; none has an owner."},
		{"orphaned-sensitive", posture.Totals{Paths: 1, Identities: 1, Executions: 1}, day, "1 identity accessed sensitive systems 1 time in 30 days; none has an owner."},
		{"dormant-external", posture.Totals{Paths: 1, Identities: 2}, 90 * day, "2 identities kept external access and did not act for 90 days."},
		{"unbound-sensitive", posture.Totals{Paths: 1, Workloads: 4}, day, "4 workloads reached sensitive systems without a bound identity."},
		{"orphaned-sensitive", posture.Totals{}, day, "No authority path matches."},
	} {
		require.Equal(t, test.want, defined(t, test.key).Sentence(test.totals, test.dormant))
	}
	for _, d := range posture.Definitions {
		for _, n := range []int64{1, 7} {
			require.NotContains(t, d.Sentence(posture.Totals{Paths: n, Identities: n, Workloads: n, Executions: n}, 90*day), "{", d.Key)
		}
	}
}

func TestPrimary(t *testing.T) {
	t.Parallel()
	of := func(keys ...string) (clusters []*posture.Cluster) {
		for _, key := range keys {
			clusters = append(clusters, &posture.Cluster{Definition: defined(t, key)})
		}
		return clusters
	}
	require.Nil(t, posture.Primary(nil))
	require.Equal(t, "orphaned-sensitive", posture.Primary(of("llm-egress", "orphaned-sensitive", "standing-sensitive")).Key, "the gravest")
	require.Equal(t, "orphaned-sensitive-llm", posture.Primary(of("orphaned-sensitive", "orphaned-sensitive-llm")).Key, "then that with most terms")
	require.Equal(t, "dormant-external", posture.Primary(of("orphaned-external", "dormant-external", "shared-sensitive")).Key, "then the first by key")
	require.Equal(t, "standing-sensitive", posture.Primary(of("weak-ownership-drift", "standing-sensitive", "unaccountable-sensitive")).Key, "alternatives are one term")
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	numbers, err := posture.Numbers([]string{"dormant_external", "orphaned-sensitive", "dormant-external"})
	require.NoError(t, err)
	require.Equal(t, []int16{1, 6}, numbers)
	none, err := posture.Numbers(nil)
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = posture.Numbers([]string{"orphaned-sensitive", "nonsense"})
	require.ErrorContains(t, err, `"nonsense" is no risk cluster; there are orphaned-sensitive, orphaned-sensitive-llm, unbound-sensitive`)
}

package posture_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func holding(typ rule.Type, disposition exposure.Disposition, severity rule.Severity) *exposure.Exposure {
	return &exposure.Exposure{Key: exposure.Key{Type: typ, Ordinal: 1}, Disposition: disposition, Severity: severity}
}

func resolved(typ rule.Type, reason rule.Reason) *exposure.Exposure {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	x := holding(typ, exposure.DispositionOpen, rule.High)
	x.ToAt, x.ResolutionReason = &at, &reason
	return x
}

func standing(latest ...*exposure.Exposure) posture.Standing {
	return posture.Standing{Path: &authority.Path{State: authority.State{Status: authority.PathActive, Effective: true}}, Latest: latest}
}

func TestWhyNotOfAlternatives(t *testing.T) {
	t.Parallel()
	d := defined(t, "standing-sensitive")
	reach := holding(rule.SensitiveReach, exposure.DispositionOpen, rule.High)
	w := d.WhyNot(standing(reach, holding(rule.DormantPath, exposure.DispositionOpen, rule.High), holding(rule.UnprovenPath, exposure.DispositionAcknowledged, rule.Medium)), posture.Acknowledged)
	require.True(t, w.Member)
	require.Equal(t, posture.Open, *w.From)
	require.Equal(t, rule.DormantPath, w.States[1].By.Type, "the gravest")

	w = d.WhyNot(standing(reach, resolved(rule.DormantPath, rule.ActivityResumed)), posture.Acknowledged)
	require.False(t, w.Member)
	require.Equal(t, posture.ObstacleTerm, *w.Obstacle)
	require.True(t, w.States[0].Satisfied)
	gaps := map[rule.Type]posture.Gap{}
	for _, m := range w.States[1].Missing {
		gaps[m.Type] = m.Gap
	}
	require.Equal(t, map[rule.Type]posture.Gap{rule.UnprovenPath: posture.GapNone, rule.DormantPath: posture.GapResolved}, gaps)

	s := standing(resolved(rule.SensitiveReach, rule.PathIneffective))
	s.Path.Effective = false
	w = d.WhyNot(s, posture.Acknowledged)
	require.Equal(t, posture.ObstacleIneffective, *w.Obstacle)
	require.Equal(t, posture.GapIneffective, w.States[0].Missing[0].Gap)
}

// At the grain of workloads, the paths satisfy the expression together.
func TestWhyNotOfWorkloads(t *testing.T) {
	t.Parallel()
	d := defined(t, "unbound-sensitive")
	unbound, reach := holding(rule.UnboundPath, exposure.DispositionOpen, rule.High), holding(rule.SensitiveReach, exposure.DispositionAcknowledged, rule.Critical)
	carriers := map[rule.Type]*exposure.Carriers{
		rule.UnboundPath:    {Open: 1, Acknowledged: 1, Accepted: 1, Exposures: []*exposure.Exposure{unbound}},
		rule.SensitiveReach: {Acknowledged: 1, Accepted: 1, Exposures: []*exposure.Exposure{reach}},
	}
	s := standing(unbound)
	s.Carriers = carriers
	w := d.WhyNot(s, posture.Acknowledged)
	require.True(t, w.Member)
	require.Equal(t, posture.Acknowledged, *w.From)
	require.False(t, w.States[1].Here)
	require.Equal(t, reach, w.States[1].By, "another path carries it")
	w = d.WhyNot(s, posture.Open)
	require.False(t, w.Member)
	require.Equal(t, posture.GapAcknowledged, w.States[1].Missing[0].Gap)

	s.Latest = []*exposure.Exposure{holding(rule.ExternalEgressing, exposure.DispositionOpen, rule.Medium)}
	w = d.WhyNot(s, posture.Acknowledged)
	require.False(t, w.Member)
	require.Equal(t, posture.ObstacleNotHere, *w.Obstacle)
	s.Path.Status = authority.PathRemoved
	require.Equal(t, posture.ObstacleRemoved, *d.WhyNot(s, posture.Acknowledged).Obstacle)
}

// A path is a member exactly if its expression holds and each of its terms does.
func TestWhyNotAgreesWithItsTerms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var latest []*exposure.Exposure
		var bits [4]int32
		for _, d := range rule.Definitions {
			switch disposition := rapid.IntRange(-1, 4).Draw(t, d.Key); disposition {
			case -1:
			case 0:
				latest = append(latest, resolved(d.Type, rule.RuleRetired))
			default:
				latest = append(latest, holding(d.Type, exposure.Disposition(disposition), rule.Severity(rapid.IntRange(1, 4).Draw(t, "severity"))))
				for level := disposition; level < 4; level++ {
					bits[level] |= d.Type.Bit()
				}
			}
		}
		level := posture.Level(rapid.IntRange(1, 3).Draw(t, "level"))
		for _, d := range posture.Definitions {
			if d.Grain != posture.OfPath {
				continue
			}
			w := d.WhyNot(standing(latest...), level)
			require.Equal(t, d.Holds(bits[level]), w.Member, d.Key)
			all := true
			for _, state := range w.States {
				all = all && state.Satisfied
				require.Equal(t, !state.Satisfied, len(state.Missing) > 0)
			}
			require.Equal(t, all, w.Member)
			require.Equal(t, w.Member, w.Obstacle == nil)
		}
	})
}

func TestRanked(t *testing.T) {
	t.Parallel()
	of := func(keys ...string) (list []*posture.Cluster) {
		for _, key := range keys {
			list = append(list, &posture.Cluster{Definition: defined(t, key)})
		}
		return list
	}
	for _, c := range []struct {
		keys    []string
		first   string
		decided posture.Deciding
	}{
		{[]string{"llm-egress"}, "llm-egress", posture.DecidedAlone},
		{[]string{"llm-egress", "orphaned-sensitive"}, "orphaned-sensitive", posture.DecidedBySeverity},
		{[]string{"orphaned-sensitive", "orphaned-sensitive-llm"}, "orphaned-sensitive-llm", posture.DecidedByTerms},
		{[]string{"shared-sensitive", "drifted-sensitive"}, "drifted-sensitive", posture.DecidedByKey},
	} {
		ranked, decided := posture.Ranked(of(c.keys...))
		require.Equal(t, c.first, ranked[0].Key)
		require.Equal(t, posture.Primary(of(c.keys...)).Key, ranked[0].Key)
		require.Equal(t, c.decided, decided)
	}
	ranked, decided := posture.Ranked(nil)
	require.Empty(t, ranked)
	require.Empty(t, decided)
}

// What was looked at decides: with those facts alone the urgency is the same.
func TestWhyUrgent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.Int64Range(0, 2)
		totals := posture.Totals{Paths: some.Draw(t, "paths"), ExecutedSensitive: some.Draw(t, "sensitive"), Executions: some.Draw(t, "executions"), Unwatched: some.Draw(t, "unwatched")}
		d := rapid.SampledFrom(posture.Definitions).Draw(t, "cluster")
		facts := d.WhyUrgent(totals)
		require.Len(t, facts, 4)
		if totals.Paths == 0 {
			for _, f := range facts {
				require.False(t, f.Decides)
			}
			return
		}
		counts := map[posture.Fact]posture.Because{}
		for _, f := range facts {
			counts[f.Fact] = f
		}
		require.Equal(t, posture.Because{Fact: posture.FactExecutedSensitive, Count: totals.ExecutedSensitive, Decides: true}, counts[posture.FactExecutedSensitive], "always asked first")
		other := totals
		if !counts[posture.FactExecutions].Decides {
			other.Executions = some.Draw(t, "other executions")
		}
		if !counts[posture.FactUnwatched].Decides {
			other.Unwatched = some.Draw(t, "other unwatched")
		}
		require.Equal(t, d.Urgency(totals), d.Urgency(other))
		require.Equal(t, int64(len(d.Governance())), counts[posture.FactGovernance].Count)
	})
}

// Each number has one explanation.
func TestCountings(t *testing.T) {
	t.Parallel()
	counts, definitions := map[posture.Count]bool{}, map[string]bool{}
	for _, c := range posture.Countings {
		require.False(t, counts[c.Count] || definitions[c.Definition], c.Count)
		counts[c.Count], definitions[c.Definition] = true, true
		found, known := posture.Explain(c.Count)
		require.True(t, known)
		require.Equal(t, c.Definition, found.Definition)
		require.Equal(t, c.Event, c.Value(&posture.Posture{}) == nil, c.Count)
	}
	_, known := posture.Explain("happiness")
	require.False(t, known)
}

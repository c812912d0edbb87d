package exposure_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// TestDurations holds the sum of intervals to a set of the hours that they cover.
func TestDurations(t *testing.T) {
	t.Parallel()
	begin, now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), 60
	hour := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Hour) }
	rapid.Check(t, func(rt *rapid.T) {
		var intervals []exposure.Interval
		covered, current := map[rule.Type][]bool{}, map[rule.Type]bool{}
		for range rapid.IntRange(0, 8).Draw(rt, "intervals") {
			x := exposure.Interval{Type: rule.Type(rapid.IntRange(1, 2).Draw(rt, "type"))}
			from := rapid.IntRange(0, now-1).Draw(rt, "from")
			to := now
			x.EffectiveFrom = hour(from)
			if rapid.IntRange(0, 4).Draw(rt, "open") > 0 {
				to = rapid.IntRange(from+1, now).Draw(rt, "to")
				end := hour(to)
				x.ToAt = &end
			} else {
				current[x.Type] = true
			}
			if covered[x.Type] == nil {
				covered[x.Type] = make([]bool, now)
			}
			for h := from; h < to; h++ {
				covered[x.Type][h] = true
			}
			intervals = append(intervals, x)
		}
		found := exposure.Durations(intervals, hour(now))
		require.Len(rt, found, len(covered))
		for i, d := range found {
			require.True(rt, i == 0 || found[i-1].Type < d.Type)
			total, runs, first, last := 0, 0, -1, -1
			for h, is := range covered[d.Type] {
				if !is {
					continue
				}
				total++
				if first < 0 {
					first = h
				}
				if h == 0 || !covered[d.Type][h-1] {
					runs, last = runs+1, h
				}
			}
			require.Equal(rt, time.Duration(total)*time.Hour, d.Total)
			require.Equal(rt, total/24, d.Days())
			require.Equal(rt, runs, d.Intervals)
			require.Equal(rt, hour(first), d.Since)
			require.Equal(rt, current[d.Type], d.Current())
			if d.Current() {
				require.Equal(rt, hour(last), *d.OpenSince)
			}
		}
	})
}

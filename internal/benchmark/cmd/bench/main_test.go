package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/benchmark"
)

// TestCheckWrite: a run that measures a part never takes the place of the whole.
func TestCheckWrite(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkWrite(true, benchmark.Options{Paths: 10_000}))
	for flag, options := range map[string]benchmark.Options{
		"-syncs": {SyncsOnly: true}, "-growth": {GrowthOnly: true}, "-decisions": {DecisionsOnly: true}, "-feed": {FeedOnly: true},
	} {
		require.ErrorContains(t, checkWrite(true, options), flag+" measures only some")
		require.NoError(t, checkWrite(false, options))
	}
}

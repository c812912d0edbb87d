package benchmark

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// TestMain is also the process of the subscribers, as cmd/bench is.
func TestMain(m *testing.M) {
	if IsFollower(os.Args) {
		Follow(os.Stdin, os.Stdout)
		return
	}
	os.Exit(m.Run())
}

// A run of a small world: it is accepted whole (its syncs are strict), has the
// paths that it promises, and every operation answers what is expected of it.
func TestRun(t *testing.T) {
	t.Parallel()
	result, err := Run(t.Context(), Options{Paths: 3000, Requests: 2, Load: 4, Connections: 2, Organizations: 2, Subscribers: []int{200}})
	require.NoError(t, err)
	require.Equal(t, 3000, result.Paths)
	require.Equal(t, 3000, result.First.Report.Paths.Added)
	require.Zero(t, result.Repeated.Rows)
	require.Equal(t, int64(6), result.Unchanged.Rows, "its sync, its snapshot, its source, its entry in the ledger and the head of that, its note in the outbox")
	require.Positive(t, result.Changes.Added)
	require.Positive(t, result.Changes.Changed)
	require.Positive(t, result.Changes.Removed)
	require.Positive(t, result.Changed.Rows)
	require.Len(t, result.Operations, 19)
	statements := map[string][]string{}
	for _, o := range result.Operations {
		statements[o.Name] = o.Statements
		require.Positive(t, o.Database, o.Name)
		require.Positive(t, o.Alone, o.Name)
	}
	require.Equal(t, statements["clusters × 20 paths × 10 exposures"], statements["clusters × 100 paths × 10 exposures"])

	require.Len(t, result.Sight, len(steady()))
	for _, one := range result.Sight {
		for _, took := range []time.Duration{one.Whole, one.All, one.Part} {
			require.Positive(t, took, one.Name)
		}
	}

	decisions := result.Decisions
	require.NotNil(t, decisions)
	for _, took := range []time.Duration{decisions.Commit, decisions.Untouched, decisions.Before, decisions.After} {
		require.Positive(t, took)
	}
	require.Len(t, decisions.Moves, 3)
	for _, m := range decisions.Moves {
		require.Positive(t, m.P50, m.Name)
		require.GreaterOrEqual(t, m.P99, m.P50, m.Name)
		require.Positive(t, m.Database, m.Name)
		require.Positive(t, m.Sent, m.Name)
	}
	require.Positive(t, decisions.Rate)
	require.Positive(t, decisions.Spread)
	sent := map[string]int{}
	for _, part := range decisions.Parts {
		sent[part.Name] = part.Sent
	}
	require.Equal(t, 4, sent["book.append"], "each decision is an entry of the ledger")
	require.Equal(t, 4, sent["commit"])

	feed := result.Feed
	require.NotNil(t, feed)
	require.Greater(t, feed.Events, int64(result.Paths), "each path and exposure of the first sync")
	require.Positive(t, feed.Append)
	require.Positive(t, feed.Replay)
	require.Positive(t, feed.Loud.Of)
	require.Equal(t, 2, feed.Quiet.Of)
	require.Positive(t, feed.Told)
	require.Positive(t, feed.Plain)
	require.Len(t, feed.Live, 1)
	require.Equal(t, 8, feed.Live[0].Sent)
	require.Zero(t, feed.Live[0].Missing)
	require.Positive(t, feed.Live[0].P50)
	require.Positive(t, feed.Idle)
	require.Len(t, feed.Past, 2)
	for _, p := range feed.Past {
		require.Positive(t, p.Now, p.Name)
		require.Positive(t, p.Then, p.Name)
	}

	document, err := Insert("a\n<!-- bench 3000 begin -->\nold\n<!-- bench 3000 end -->\nb\n", "3000", result.Markdown())
	require.NoError(t, err)
	require.Contains(t, document, "| totalCount |")
	require.Contains(t, document, "| acknowledge, unacknowledge |")
	require.Contains(t, document, "| replay from the first event on, inside the server |")
	require.NotContains(t, document, "\nold\n")
	require.NotEmpty(t, result.Breakdown())
	_, err = Insert("a", "3000", "")
	require.Error(t, err)
}

func TestWorldsOfASeedAreTheSame(t *testing.T) {
	t.Parallel()
	facts := func(w World) (list []record.Fact) {
		require.NoError(t, w.Records(func(fact record.Fact) error {
			list = append(list, fact)
			return nil
		}))
		return list
	}
	world := World{Paths: 201, Seed: 7, Now: epoch}
	require.Equal(t, 3, world.Teams())
	require.Equal(t, facts(world), facts(world))
	require.NotEqual(t, facts(world), facts(World{Paths: 201, Seed: 8, Now: epoch}))
}

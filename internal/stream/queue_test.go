package stream

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// TestQueueIsFair: whoever is asked for has a turn, however many others are asked for
// all the time or always have more to do; and nobody is worked on twice at a time.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(rt *rapid.T) {
		q := newQueue()
		waits := map[id.ID]int{} // turns since it was asked for
		busy := []id.ID{}
		for range rapid.IntRange(1, 200).Draw(rt, "moves") {
			organization := id.Organization(rapid.SampledFrom(names).Draw(rt, "organization"))
			switch rapid.IntRange(0, 3).Draw(rt, "move") {
			case 0:
				q.wake(organization)
				waits[organization] += 0
			case 1:
				q.add(organization, second)
				waits[organization] += 0
			case 2:
				if len(busy) > 0 {
					q.done(busy[0], true)
					waits[busy[0]] += 0
					busy = busy[1:]
				}
			case 3:
				if len(busy) == workers {
					continue
				}
				taken, found := q.take()
				if !found {
					for waiting := range waits {
						require.Contains(rt, busy, waiting, "somebody waits, and nobody is found")
					}
					continue
				}
				require.Contains(rt, waits, taken, "nobody asked for it")
				require.NotContains(rt, busy, taken, "it is under work")
				delete(waits, taken)
				busy = append(busy, taken)
				for waiting := range waits {
					waits[waiting]++
					// Of four turns one is of the second line, in which no more than all others stand.
					require.LessOrEqual(rt, waits[waiting], 5*len(names), "it waits for too long")
				}
			}
		}
	})
}

func TestQueueOrder(t *testing.T) {
	t.Parallel()
	bulk, urgent, other := id.Organization("bulk"), id.Organization("urgent"), id.Organization("other")
	q := newQueue()
	take := func() id.ID {
		organization, found := q.take()
		require.True(t, found)
		return organization
	}
	q.add(bulk, second)
	q.add(other, second)
	q.wake(urgent)
	q.wake(other) // moves up
	require.Equal(t, urgent, take())
	require.Equal(t, other, take())
	require.Equal(t, bulk, take())
	_, found := q.take()
	require.False(t, found, "who moved up stands in one line alone")

	// What is asked for while it is under work has another turn, and not at once.
	q.wake(bulk)
	_, found = q.take()
	require.False(t, found)
	q.done(bulk, false)
	q.done(urgent, false)
	require.Equal(t, bulk, take())
	require.Equal(t, 2, q.length())
	q.close()
	q.done(bulk, true)
	_, found = q.take()
	require.False(t, found)
}

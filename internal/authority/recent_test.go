package authority

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// However references come one after the other, each has the identifier that is its
// own: those of one name and another kind or system, too, which share a place.
func TestRecentIdentifiers(t *testing.T) {
	t.Parallel()
	organization := id.Organization("acme")
	s := &stage{organization: organization, system: "cluster", recent: newRecentIDs()}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		ref := record.Ref{
			Kind:     entityKinds[random.IntN(len(entityKinds))],
			System:   []string{"", "cluster", "cloud"}[random.IntN(3)],
			SourceID: fmt.Sprint(random.IntN(2 * recentPlaces)),
		}
		system := ref.System
		if system == "" {
			system = "cluster"
		}
		require.Equal(t, id.Entity(organization, string(ref.Kind), system, ref.SourceID), s.entityID(ref))
	}
	require.Len(t, s.recent.places, recentPlaces)
}

// A list in its order is the same list; any other is put into it and left as it was.
func TestOrdered(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{{"b"}, {"a", "b"}, {"b", "a"}, {"a", "a"}, {"b", "a", "b"}} {
		before := append([]string(nil), list...)
		got := ordered(list)
		require.Equal(t, before, list)
		require.IsIncreasing(t, append([]string{""}, got...))
		require.Subset(t, got, list)
		require.Subset(t, list, got)
	}
	require.Equal(t, []string{}, ordered(nil))
	require.NotNil(t, ordered(nil))
}

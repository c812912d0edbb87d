package authority

import (
	"hash/maphash"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// recentIDs remembers the identifiers of entities that were named lately. Records about
// an entity stand close to each other in most deliveries, and a digest costs more than
// the look here. Each reference has one place, which the latest of those that share it
// takes, so that no more is held than there are places.
type recentIDs struct {
	seed   maphash.Seed
	places []recentID
}

type recentID struct {
	ref record.Ref
	id  id.ID
}

const recentPlaces = 1024

func newRecentIDs() recentIDs {
	return recentIDs{seed: maphash.MakeSeed(), places: make([]recentID, recentPlaces)}
}

func (r *recentIDs) id(ref record.Ref, derive func() id.ID) id.ID {
	place := &r.places[maphash.String(r.seed, ref.SourceID)%recentPlaces]
	if place.ref != ref || place.id == id.Nil {
		*place = recentID{ref, derive()}
	}
	return place.id
}

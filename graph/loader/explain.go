package loader

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Explaining are the loaders of explanations.
type Explaining struct {
	Explanations    Loader[exposure.Key, []exposure.Asked]
	LatestExposures Loader[id.ID, []*exposure.Exposure] // of a path
	Carriers        Loader[exposure.CarrierKey, *exposure.Carriers]
	Verdicts        Loader[id.ID, []*exposure.Verdict] // on a path
}

func (s *Scope) explaining(exposures *exposure.Reader, wait time.Duration) {
	snapshot := s.Snapshot

	s.Explanations = newLoader(wait, func(ctx context.Context, organization id.ID, keys []exposure.Key) (map[exposure.Key][]exposure.Asked, error) {
		found, err := s.Standings.Prefetch(ctx, organization, keys)
		if err != nil {
			return nil, err
		}
		var standings []*exposure.Standing
		for _, k := range keys {
			if found[k] != nil {
				standings = append(standings, found[k])
			}
		}
		return exposures.Explanations(ctx, snapshot, organization, standings)
	})
	s.LatestExposures = newLoader(wait, func(ctx context.Context, organization id.ID, paths []id.ID) (map[id.ID][]*exposure.Exposure, error) {
		return group(func(x *exposure.Exposure) id.ID { return x.PathID })(exposures.LatestByPaths(ctx, snapshot, organization, paths))
	})
	s.Carriers = newLoader(wait, func(ctx context.Context, organization id.ID, keys []exposure.CarrierKey) (map[exposure.CarrierKey]*exposure.Carriers, error) {
		return exposures.CarriersOf(ctx, snapshot, organization, keys)
	})
	s.Verdicts = newLoader(wait, func(ctx context.Context, organization id.ID, paths []id.ID) (map[id.ID][]*exposure.Verdict, error) {
		return exposures.Verdicts(ctx, snapshot, organization, paths)
	})
}

package loader

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Changing are the loaders of what changed.
type Changing struct {
	Changes      Loader[change.Key, *change.Event]
	ChangeLists  Loader[ChangeListKey, change.Page]
	ChangeCounts Loader[ChangeListKey, int]
}

// ChangeListKey is a page of one history.
type ChangeListKey struct {
	Of   change.History
	List *change.List
}

func (s *Scope) changing(changes *change.Reader, wait time.Duration) {
	snapshot := s.Snapshot

	s.Changes = newLoader(wait, func(ctx context.Context, organization id.ID, keys []change.Key) (map[change.Key]*change.Event, error) {
		return index((*change.Event).Key)(changes.ByKeys(ctx, snapshot, organization, keys))
	})
	s.ChangeLists = newLoader(wait, shared(func(k ChangeListKey) (*change.List, change.History) { return k.List, k.Of },
		func(ctx context.Context, organization id.ID, list *change.List, of []change.History) (map[change.History]change.Page, error) {
			return changes.Under(ctx, snapshot, organization, list, of)
		}))
	s.ChangeCounts = newLoader(wait, shared(func(k ChangeListKey) (*change.List, change.History) { return k.List, k.Of },
		func(ctx context.Context, organization id.ID, list *change.List, of []change.History) (map[change.History]int, error) {
			return changes.CountUnder(ctx, snapshot, organization, list, of)
		}))
}

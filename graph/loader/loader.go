package loader

import (
	"context"
	"time"

	"github.com/graph-gophers/dataloader/v7"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

const (
	// batchCap is above any page times any fan-out that the limits allow.
	batchCap = 16_384
	// batchTimeout bounds a batch, which does not end with the caller that
	// began it: its other callers may still wait.
	batchTimeout = 15 * time.Second
)

// key is a row of an organization.
type key[K comparable] struct {
	organization id.ID
	key          K
}

// Loader loads rows by key, many in one statement. A row that does not exist is
// the zero value.
type Loader[K comparable, V any] struct {
	inner *dataloader.Loader[key[K], V]
	read  fetch[K, V]
}

// fetch reads the rows of an organization.
type fetch[K comparable, V any] func(ctx context.Context, organization id.ID, keys []K) (map[K]V, error)

func newLoader[K comparable, V any](wait time.Duration, read fetch[K, V]) Loader[K, V] {
	batch := func(ctx context.Context, keys []key[K]) []*dataloader.Result[V] {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
		defer cancel()
		results := make([]*dataloader.Result[V], len(keys))
		for organization, positions := range byOrganization(keys) {
			wanted := make([]K, len(positions))
			for i, position := range positions {
				wanted[i] = keys[position].key
			}
			rows, err := read(ctx, organization, wanted)
			for _, position := range positions {
				results[position] = &dataloader.Result[V]{Data: rows[keys[position].key], Error: err}
			}
		}
		return results
	}
	return Loader[K, V]{read: read, inner: dataloader.NewBatchedLoader(batch,
		dataloader.WithWait[key[K], V](wait),
		dataloader.WithBatchCapacity[key[K], V](batchCap),
	)}
}

func byOrganization[K comparable](keys []key[K]) map[id.ID][]int {
	groups := map[id.ID][]int{}
	for i, k := range keys {
		groups[k.organization] = append(groups[k.organization], i)
	}
	return groups
}

// Load gives the row of a key.
func (l Loader[K, V]) Load(ctx context.Context, organization id.ID, k K) (V, error) {
	full := key[K]{organization, k}
	row, err := l.inner.Load(ctx, full)()
	if err != nil {
		l.inner.Clear(ctx, full) // an error is not an answer to keep
	}
	return row, err
}

// LoadAll gives the rows of several keys, in one batch with whatever else waits.
func (l Loader[K, V]) LoadAll(ctx context.Context, organization id.ID, keys []K) ([]V, error) {
	thunks := make([]dataloader.Thunk[V], len(keys))
	for i, k := range keys {
		thunks[i] = l.inner.Load(ctx, key[K]{organization, k})
	}
	rows := make([]V, len(keys))
	for i, thunk := range thunks {
		row, err := thunk()
		if err != nil {
			l.inner.Clear(ctx, key[K]{organization, keys[i]})
			return nil, err
		}
		rows[i] = row
	}
	return rows, nil
}

// Prefetch reads rows that are about to be loaded, in one statement whatever
// the scheduler does: a batch is collected for a fixed time, and a busy machine
// may start the resolvers of one page further apart than that. It gives the
// rows, too.
func (l Loader[K, V]) Prefetch(ctx context.Context, organization id.ID, keys []K) (map[K]V, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := l.read(ctx, organization, keys)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		l.inner.Prime(ctx, key[K]{organization, k}, rows[k])
	}
	return rows, nil
}

package loader

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/graph-gophers/dataloader/v7"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

const (
	// batchCap is above any page times any fan-out that the limits allow.
	batchCap = 16_384
	// batchTimeout bounds a batch, besides the time of its operation. All who wait for
	// one are fields of the same response, and end with it.
	batchTimeout = 15 * time.Second
)

// failures are what went wrong with some keys of a batch.
type failures[K comparable] map[K]error

func (f failures[K]) Error() string { return fmt.Sprintf("%d keys of a batch failed", len(f)) }

// key is a row of an organization.
type key[K comparable] struct {
	organization id.ID
	key          K
}

// Loader loads rows by key, many in one statement. A row that does not exist is
// the zero value.
type Loader[K comparable, V any] struct {
	inner  *dataloader.Loader[key[K], V]
	read   fetch[K, V]
	primed *primed[K, V]
}

// primed are the rows that were read ahead.
type primed[K comparable, V any] struct {
	mu   sync.Mutex
	rows map[key[K]]V
}

// fetch reads the rows of an organization.
type fetch[K comparable, V any] func(ctx context.Context, organization id.ID, keys []K) (map[K]V, error)

func newLoader[K comparable, V any](wait time.Duration, read fetch[K, V]) Loader[K, V] {
	batch := func(ctx context.Context, keys []key[K]) []*dataloader.Result[V] {
		ctx, cancel := context.WithTimeout(ctx, batchTimeout)
		defer cancel()
		results := make([]*dataloader.Result[V], len(keys))
		for organization, positions := range byOrganization(keys) {
			wanted := make([]K, len(positions))
			for i, position := range positions {
				wanted[i] = keys[position].key
			}
			rows, err := read(ctx, organization, wanted)
			some, partly := err.(failures[K]) //nolint:errorlint // it is given as it is, by shared
			for _, position := range positions {
				k := keys[position].key
				if partly {
					err = some[k]
				}
				results[position] = &dataloader.Result[V]{Data: rows[k], Error: err}
			}
		}
		return results
	}
	return Loader[K, V]{read: read, primed: &primed[K, V]{rows: map[key[K]]V{}}, inner: dataloader.NewBatchedLoader(batch,
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
// rows, too. What was read ahead before is not read again.
func (l Loader[K, V]) Prefetch(ctx context.Context, organization id.ID, keys []K) (map[K]V, error) {
	l.primed.mu.Lock()
	defer l.primed.mu.Unlock()
	rows := make(map[K]V, len(keys))
	wanted, missing := map[K]bool{}, []K{}
	for _, k := range keys {
		if row, ok := l.primed.rows[key[K]{organization, k}]; ok {
			rows[k] = row
		} else if !wanted[k] {
			wanted[k] = true
			missing = append(missing, k)
		}
	}
	if len(missing) == 0 {
		return rows, nil
	}
	found, err := l.read(ctx, organization, missing)
	some, partly := err.(failures[K]) //nolint:errorlint // as above
	if err != nil && !partly {
		return nil, err
	}
	for _, k := range missing {
		if some[k] != nil {
			continue // whoever loads it is told
		}
		rows[k] = found[k]
		l.prime(ctx, key[K]{organization, k}, found[k])
	}
	return rows, nil
}

// Prime gives a row that was read already.
func (l Loader[K, V]) Prime(ctx context.Context, organization id.ID, k K, row V) {
	l.primed.mu.Lock()
	defer l.primed.mu.Unlock()
	l.prime(ctx, key[K]{organization, k}, row)
}

func (l Loader[K, V]) prime(ctx context.Context, k key[K], row V) {
	l.primed.rows[k] = row
	l.inner.Prime(ctx, k, row)
}

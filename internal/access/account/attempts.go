package account

import (
	"sync"
	"time"
)

const (
	// burst is how often somebody may be wrong at once, and refill the time after
	// which once more.
	burst  = 5
	refill = 10 * time.Second

	// maxBuckets bounds what is remembered. Beyond it newcomers share one.
	maxBuckets = 10_000
)

// attempts counts who was wrong how often.
type attempts struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, buckets: map[string]*bucket{}}
}

// take says whether one more may be made. It counts before it is known to be wrong,
// so that many at once are not more.
func (a *attempts) take(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.of(key)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// giveBack uncounts one that was right.
func (a *attempts) giveBack(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.of(key)
	b.left = min(b.left+1, burst)
}

func (a *attempts) of(key string) *bucket {
	now := a.now()
	if a.buckets[key] == nil {
		if len(a.buckets) >= maxBuckets {
			a.forget(now)
		}
		if len(a.buckets) >= maxBuckets {
			key = ""
		}
	}
	b := a.buckets[key]
	if b == nil {
		b = &bucket{left: burst, at: now}
		a.buckets[key] = b
	}
	b.left = min(b.left+max(now.Sub(b.at).Seconds(), 0)/refill.Seconds(), burst)
	b.at = now
	return b
}

// forget drops those who have not been wrong for long.
func (a *attempts) forget(now time.Time) {
	for key, b := range a.buckets {
		if b.left+now.Sub(b.at).Seconds()/refill.Seconds() >= burst {
			delete(a.buckets, key)
		}
	}
}

package access

import (
	"context"
	"sync"
	"time"
)

// readTime bounds one reading.
const readTime = 5 * time.Second

// cached is something that is read when it is needed and too old. One reads for all
// that wait, and outlives whoever began it.
type cached[V any] struct {
	read   func(context.Context) (map[string]V, error)
	now    func() time.Time
	usable time.Duration // how old it may be where it cannot be read again
	pause  time.Duration // before it is tried again where reading failed

	mu      sync.Mutex
	value   map[string]V  // null: never read
	at      time.Time     // when reading it began
	err     error         // of the last reading
	tried   time.Time     // when the last reading ended
	reading chan struct{} // closed when the reading under way has ended
}

// get gives what is not older than that, or what is usable with the error that
// kept it from being read again, or the error alone.
func (c *cached[V]) get(ctx context.Context, age time.Duration) (map[string]V, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value != nil && c.err == nil && c.now().Sub(c.at) < age {
		return c.value, nil
	}
	if c.reading == nil && (c.err == nil || c.now().Sub(c.tried) >= c.pause) {
		c.begin(ctx)
	}
	// Where reading has failed before, nobody waits for it to fail again.
	if done := c.reading; done != nil && (c.err == nil || !c.isUsable()) {
		c.mu.Unlock()
		var err error
		select {
		case <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		c.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
	if !c.isUsable() {
		return nil, c.err
	}
	return c.value, c.err
}

func (c *cached[V]) isUsable() bool {
	return c.value != nil && (c.err == nil || c.now().Sub(c.at) < c.usable)
}

// begin reads. The lock is held.
func (c *cached[V]) begin(ctx context.Context) {
	done, at := make(chan struct{}), c.now()
	c.reading = done
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
		defer cancel()
		value, err := c.read(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.value, c.at = value, at
		}
		c.err, c.tried, c.reading = err, c.now(), nil
		close(done)
	}()
}

package persisted

import (
	"container/list"
	"context"
	"sync"
)

// Cache keeps what was used last, within a number of bytes. It is a cache of gqlgen,
// which bounds its own by a count: a thousand documents of the largest size are more
// than a thousand of the usual one.
type Cache[V any] struct {
	most int64
	size func(key string, value V) int64

	mu    sync.Mutex
	held  map[string]*list.Element
	order list.List // the last used first
	bytes int64
}

// entry is a member of the order.
type entry[V any] struct {
	key   string
	value V
	size  int64
}

// overhead is what an entry takes beside its key and value.
const overhead = 200

// NewCache makes a cache of so many bytes, of which an entry takes what size says.
func NewCache[V any](most int64, size func(key string, value V) int64) *Cache[V] {
	return &Cache[V]{most: most, size: size, held: map[string]*list.Element{}}
}

// Get is what was added under the key, if it is still held.
func (c *Cache[V]) Get(_ context.Context, key string) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.held[key]
	if element == nil {
		return value, false
	}
	c.order.MoveToFront(element)
	return of[V](element).value, true
}

// Add holds a value, and lets go of those that were not used for longest. One that is
// larger than an eighth of the cache is not held: few of them would empty it.
func (c *Cache[V]) Add(_ context.Context, key string, value V) {
	size := c.size(key, value) + overhead
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.held[key]; element != nil {
		c.drop(element)
	}
	if size > c.most/8 {
		return
	}
	c.held[key] = c.order.PushFront(&entry[V]{key, value, size})
	for c.bytes += size; c.bytes > c.most; {
		c.drop(c.order.Back())
	}
}

// Bytes is how much is held.
func (c *Cache[V]) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

func (c *Cache[V]) drop(element *list.Element) {
	gone := of[V](element)
	c.order.Remove(element)
	delete(c.held, gone.key)
	c.bytes -= gone.size
}

func of[V any](element *list.Element) *entry[V] {
	e, _ := element.Value.(*entry[V]) // nothing else is put in
	return e
}

package document

import (
	"container/list"
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph/limit"
)

const (
	perNode     = 256 // bytes of a field or a value with its place in the text
	perDocument = 512 // bytes of a document without any, and of what finds it

	// share is the part of the cache that one document may take: a few large ones do
	// not drive the others out.
	share = 16
)

// Cache holds the documents that were asked for last, for gqlgen.
type Cache struct {
	size int64

	mu     sync.Mutex
	held   int64
	byText map[string]*list.Element
	recent list.List // of *entry, the latest first
}

var _ graphql.Cache[*ast.QueryDocument] = (*Cache)(nil)

type entry struct {
	text   string
	parsed *ast.QueryDocument
	weight int64
}

// NewCache makes a cache that holds about so many bytes.
func NewCache(size int64) *Cache { return &Cache{size: size, byText: map[string]*list.Element{}} }

// Get finds a document by its text.
func (c *Cache) Get(_ context.Context, text string) (*ast.QueryDocument, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.byText[text]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(found)
	return found.Value.(*entry).parsed, true //nolint:forcetypeassert // the list holds nothing else
}

// Add keeps a document that was parsed and is valid, unless it is too large.
func (c *Cache) Add(_ context.Context, text string, parsed *ast.QueryDocument) {
	weight := weigh(text, parsed)
	if weight > c.size/share {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byText[text]; ok { // two callers have parsed it at the same time
		return
	}
	c.byText[text] = c.recent.PushFront(&entry{text, parsed, weight})
	for c.held += weight; c.held > c.size; {
		last := c.recent.Remove(c.recent.Back()).(*entry) //nolint:forcetypeassert // as above
		delete(c.byText, last.text)
		c.held -= last.weight
	}
}

// weigh estimates what a document holds. The text counts twice, as values that were
// written with escapes are copies of it.
func weigh(text string, parsed *ast.QueryDocument) int64 {
	return perDocument + 2*int64(len(text)) + perNode*int64(limit.Measure(parsed).Nodes)
}

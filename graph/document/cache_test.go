package document

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

func parse(t *testing.T, text string) *ast.QueryDocument {
	t.Helper()
	parsed, err := parser.ParseQuery(&ast.Source{Input: text})
	require.NoError(t, err)
	return parsed
}

func TestCacheKeepsWhatWasAskedForLast(t *testing.T) {
	t.Parallel()
	texts := make([]string, 20)
	for i := range texts {
		texts[i] = fmt.Sprintf("{a%02d}", i)
	}
	weight := weigh(texts[0], parse(t, texts[0]))
	c := NewCache(16 * weight)
	for i, text := range texts {
		parsed := parse(t, text)
		c.Add(t.Context(), text, parsed)
		c.Add(t.Context(), text, parse(t, text))
		got, ok := c.Get(t.Context(), text)
		require.True(t, ok)
		require.Same(t, parsed, got, "the first one stays")
		if i >= 2 {
			_, ok := c.Get(t.Context(), texts[0]) // which keeps it
			require.True(t, ok)
		}
	}
	for i, text := range texts {
		_, ok := c.Get(t.Context(), text)
		require.Equal(t, i == 0 || i > 4, ok, text)
	}
	require.Equal(t, 16*weight, c.held)
	require.Equal(t, len(c.byText), c.recent.Len())
}

// TestCacheIsBoundedInBytes: however large and many documents are, what is kept of
// them stays below the bound.
func TestCacheIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	c := NewCache(size)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 60 {
				text := fmt.Sprintf("#%s%d.%d\n{%s}", strings.Repeat("x", 997*i), worker, i, strings.Repeat("a ", 97*(i%9)+1))
				parsed, err := parser.ParseQuery(&ast.Source{Input: text})
				if err == nil {
					c.Add(t.Context(), text, parsed)
				}
			}
		})
	}
	all.Wait()
	held := int64(0)
	for text, element := range c.byText {
		e, ok := element.Value.(*entry)
		require.True(t, ok)
		require.Equal(t, text, e.text)
		require.LessOrEqual(t, e.weight, int64(size/share))
		require.GreaterOrEqual(t, e.weight, 2*int64(len(text)))
		held += e.weight
	}
	require.Equal(t, held, c.held)
	require.LessOrEqual(t, held, int64(size))
	require.Greater(t, held, int64(size/2), "it keeps some")

	large := "#" + strings.Repeat("x", size/share) + "\n{a}"
	c.Add(t.Context(), large, parse(t, large))
	_, ok := c.Get(t.Context(), large)
	require.False(t, ok)
	require.Equal(t, held, c.held, "and it drove nothing out")
}

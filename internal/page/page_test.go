package page_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	here, there := id.Organization("here"), id.Organization("there")
	number := func(n int) *int { return &n }
	text := func(s string) *string { return &s }
	for name, test := range map[string]struct {
		request page.Request
		code    string
	}{
		"nothing":             {page.Request{}, ""},
		"zero":                {page.Request{First: number(0)}, "PAGE_SIZE"},
		"negative":            {page.Request{Last: number(-1)}, "PAGE_SIZE"},
		"too many":            {page.Request{First: number(101)}, "PAGE_SIZE"},
		"both":                {page.Request{First: number(1), Last: number(1)}, "PAGE_BOTH_ENDS"},
		"own cursor":          {page.Request{After: text(page.Cursor(here, "a", "b"))}, ""},
		"cursor of another":   {page.Request{After: text(page.Cursor(there, "a", "b"))}, "CURSOR_OF_ANOTHER_LIST"},
		"cursor of two keys":  {page.Request{Before: text(page.Cursor(here, "a"))}, "CURSOR_OF_ANOTHER_LIST"},
		"no cursor":           {page.Request{After: text("%%%")}, "CURSOR_INVALID"},
		"no JSON":             {page.Request{After: text("AAAA")}, "CURSOR_INVALID"},
		"an endless cursor":   {page.Request{After: text(strings.Repeat("A", 1<<20))}, "CURSOR_INVALID"},
		"an empty cursor":     {page.Request{After: text("")}, "CURSOR_INVALID"},
		"cursor as old world": {page.Request{After: text("eyJ2IjowfQ")}, "CURSOR_OF_ANOTHER_LIST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.request.Resolve(here, 2)
			if test.code == "" {
				require.NoError(t, err)
				return
			}
			var typed *problem.Error
			require.ErrorAs(t, err, &typed)
			require.Equal(t, test.code, typed.Code)
		})
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	forward := page.Cut(page.Page{Size: 2}, []int{1, 2, 3})
	require.Equal(t, page.Slice[int]{Rows: []int{1, 2}, HasNext: true}, forward)
	backward := page.Cut(page.Page{Size: 2, Backward: true, Before: []string{"4"}}, []int{3, 2, 1})
	require.Equal(t, page.Slice[int]{Rows: []int{2, 3}, HasNext: true, HasPrevious: true}, backward)
}

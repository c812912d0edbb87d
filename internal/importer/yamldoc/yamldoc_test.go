package yamldoc_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func reader(text string) *yamldoc.Reader {
	return yamldoc.NewReader(strings.NewReader(text), "f.yaml", "TEST", yamldoc.NewBudget(yamldoc.DefaultLimits))
}

func documents(t testing.TB, text string) []*yaml.Node {
	t.Helper()
	var nodes []*yaml.Node
	for in := reader(text); ; {
		node, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nodes
		}
		require.NoError(t, err)
		nodes = append(nodes, node)
	}
}

func TestLinesOfDocuments(t *testing.T) {
	t.Parallel()
	for text, lines := range map[string][]int{
		"":                          nil,
		"# a\n\n":                   nil,
		"a: 1":                      {1},
		"a: 1\n---\nb: 1\n":         {1, 3},
		"---\n---\n\n# x\na: 1\n":   {5},
		"# c\n---\na: 1\n...\nb: 1": {3, 5},
		"--- a\n--- b\n---\tc\n":    {1, 2, 3},
		"---a: 1\n":                 {1},
		"a: |\n  ---\n  ---\nb: 1":  {1},
		"a: 1\r\n---\r\nb: 1\r\n":   {1, 3},
		"\ufeffa: 1\n---\nb: 1\n":   {1, 3},
		"%YAML 1.2\n---\na: 1\n...\n%TAG ! x:\n# c\n---\nb: 1\n": {3, 8},
	} {
		var got []int
		for _, node := range documents(t, text) {
			got = append(got, node.Line)
		}
		require.Equal(t, lines, got, "%q", text)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	text := "base: &base {b: 2, c: 3}\nmap:\n  <<: [*base, {d: 4}]\n  b: 1\nlist: [a, 1.0, yes]\nnothing: ~\nflag: true\nnumber: 12\nalias: *base\n"
	root, check := yamldoc.Open(documents(t, text)[0])
	merged := root.Get("map")
	require.Equal(t, map[string]string{"b": "1", "c": "3", "d": "4"}, merged.TextMap())
	require.Equal(t, "1", merged.Get("b").Text())
	require.Equal(t, "4", merged.Get("d").Text())
	require.Equal(t, []string{"a", "1.0", "yes"}, root.Get("list").Texts())
	require.False(t, root.Get("nothing").Present())
	require.False(t, root.Get("missing").Get("below").Present())
	require.True(t, *root.Get("flag").Bool())
	require.Equal(t, 12, *root.Get("number").Int())
	require.Equal(t, 9, root.Get("alias").Line())
	require.Nil(t, check.Err())

	require.Empty(t, root.Get("list").Get("x").Text())
	require.Equal(t, &yamldoc.ShapeError{Line: 5, Path: "list", Reason: "must be a mapping"}, check.Err())
	root.Get("map").Texts()
	require.Equal(t, 5, check.Err().Line, "the first error stays")
}

func TestDigest(t *testing.T) {
	t.Parallel()
	same := documents(t, "a: 1\nb: [x, {c: d}]\n---\n# other\nb:\n- 'x'\n- c: d\na: 1\n")
	require.Equal(t, yamldoc.Digest(same[0]), yamldoc.Digest(same[1]))
	for _, text := range []string{"a: '1'\nb: [x, {c: d}]\n", "a: 1\nb: [x, {c: e}]\n", "a: 1\nb: [x, c, d]\n", "a: 1\n"} {
		require.NotEqual(t, yamldoc.Digest(same[0]), yamldoc.Digest(documents(t, text)[0]), text)
	}
}

func TestSound(t *testing.T) {
	t.Parallel()
	var wide strings.Builder
	for i := range 40 {
		wide.WriteString(strings.Repeat("k", i+1) + ": 1\n")
	}
	for text, line := range map[string]int{
		"a: 1\nb: {c: 1, c: 2}\n": 2, "a:\n- b: 1\n- c: 1\n  c: 1\n": 4, "[a]: 1\n": 1, "a: 1\nb: \"\\0\"\n": 2,
		"a: &a x\n*a : 1\nx: 2\n": 3, wide.String() + "kk: 2\n": 41,
	} {
		fault := yamldoc.Sound(documents(t, text)[0], nil)
		require.NotNil(t, fault, text)
		require.Equal(t, line, fault.Line, text)
	}
	require.Nil(t, yamldoc.Sound(documents(t, wide.String())[0], nil))
}

func FuzzReader(f *testing.F) {
	f.Add("a: 1\n---\nb: &x [1, *x]\n")
	f.Add("%YAML 1.1\n---\na: |\n ---\n...\n--- x\r\n")
	f.Add("a: &a {b: c}\nd: {<<: *a}\n")
	f.Fuzz(func(t *testing.T, text string) {
		for in := reader(text); ; {
			node, err := in.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				var fault *problem.Error
				require.ErrorAs(t, err, &fault)
				require.GreaterOrEqual(t, fault.Line, 1)
				require.LessOrEqual(t, fault.Line, len(text)+2)
				return
			}
			require.Positive(t, node.Line)
			yamldoc.Digest(node)
			yamldoc.Sound(node, nil)
			root, _ := yamldoc.Open(node)
			root.TextMap()
		}
	})
}

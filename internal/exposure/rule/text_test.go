package rule_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

func TestList(t *testing.T) {
	t.Parallel()
	items := strings.Fields("g f e d c b a")
	for n, want := range []string{"", "g", "g, f", "g, f, e", "g, f, e, d", "g, f, e, d, c", "g, f, e, d, c and 1 more", "g, f, e, d, c and 2 more"} {
		require.Equal(t, want, rule.List(items[:n]))
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	require.Equal(t, "b reaches a, 100%", rule.Format("%2$s reaches %1$s, 100%%", "a", "b"))
	require.Equal(t, "a%1$s", rule.Format("%1$s%%1$s", "a"), "a percent sign that is doubled begins no place")
	require.Equal(t, "%2$s", rule.Format("%1$s", "%2$s"), "what fills a place is no template")
	require.Equal(t, "k", rule.Format("%11$s", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"))
	for _, wrong := range []string{"%", "%s", "%2$s", "%0$s", "%1$d", "%-1$s", "% 1$s", "%1$"} {
		require.Panics(t, func() { rule.Format(wrong, "a") }, wrong)
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		require.Equal(t, name, rule.Format(rule.Escape(name)))
		require.Equal(t, name+"<"+name, rule.Format(rule.Escape(name)+"<%1$s", name))
	})
}

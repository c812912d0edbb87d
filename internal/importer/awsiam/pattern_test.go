package awsiam

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"*", "", true}, {"?", "", false}, {"?", "a", true}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"s3:get*", "s3:getobject", true}, {"s3:get*", "s3:putobject", false}, {"*:*", "s3:getobject", true},
		{"arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y", true}, {"arn:aws:s3:::b/*", "arn:aws:s3:::b", false},
		{"*a*b", "xaxb", true}, {"*ab*ab", "ab", false}, {"a*?", "a", false}, {"a*?", "ab", true},
	} {
		require.Equal(t, c.want, matches(c.pattern, c.text), "%s %s", c.pattern, c.text)
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b          string
		covers, meets bool
	}{
		{"*", "s3:*", true, true}, {"s3:*", "s3:get*", true, true}, {"s3:get*", "s3:*", false, true}, {"s3:get*", "s3:put*", false, false},
		{"s3:*object", "s3:get*", false, true}, {"?", "*", false, true}, {"*", "?", true, true}, {"a?", "a*", false, true},
		{"a*", "a?", true, true}, {"a?c", "abc", true, true}, {"a?c", "a?c", true, true}, {"", "*", false, true}, {"?é", "aé", false, true},
	} {
		require.Equal(t, c.covers, covers(c.a, c.b), "%s covers %s", c.a, c.b)
		require.Equal(t, c.meets, overlap(c.a, c.b), "%s meets %s", c.a, c.b)
		require.Equal(t, c.meets, overlap(c.b, c.a), "%s meets %s", c.b, c.a)
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"*", "anything", true}, {"arn:aws:s3:::b/*", "arn:aws:s3:::b/secret/*", true}, {"arn:aws:s3:::b/secret/*", "arn:aws:s3:::b/*", false},
		{"arn:aws:s3:::*", "*", false}, {"arn:aws:*:*:*:*", "arn:aws:s3:::b", true},
		{"arn:aws:s3*", "arn:aws:s3:::b", false}, // a star that would span parts of an ARN takes nothing away
		{"arn:aws:s3:::b", "arn:aws:s3:::b", true}, {"arn:*:s3:::b:*", "arn:aws:s3:::b:c", true},
	} {
		require.Equal(t, c.want, coversResource(c.a, c.b), "%s covers %s", c.a, c.b)
	}
}

// TestCoversIsTrue holds what covers and overlap say against texts that the
// patterns stand for: a text of the covered pattern is one of the covering.
func TestCoversIsTrue(t *testing.T) {
	t.Parallel()
	pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := pattern.Draw(t, "a"), pattern.Draw(t, "b")
		var text strings.Builder
		for _, c := range b {
			switch c {
			case '*':
				text.WriteString(rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 3, -1).Draw(t, "star"))
			case '?':
				text.WriteString(rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 1, 1, -1).Draw(t, "mark"))
			default:
				text.WriteRune(c)
			}
		}
		if !matches(b, text.String()) {
			t.Fatalf("%q does not match %q", b, text.String())
		}
		hit := matches(a, text.String())
		if covers(a, b) && !hit {
			t.Fatalf("%q covers %q, but not %q", a, b, text.String())
		}
		if hit && !overlap(a, b) {
			t.Fatalf("%q and %q both match %q and are said to have nothing in common", a, b, text.String())
		}
	})
}

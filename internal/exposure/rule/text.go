package rule

import (
	"strconv"
	"strings"
	"time"
)

// shown is how many items of a list a text names.
const shown = 5

// List is a list as a text names it: "a, b, c", and from the sixth item on
// "a, b, c, d, e and 4 more". It keeps the order that it is given.
func List(items []string) string {
	if len(items) <= shown {
		return strings.Join(items, ", ")
	}
	return strings.Join(items[:shown], ", ") + " and " + strconv.Itoa(len(items)-shown) + " more"
}

// Format fills the places of a PathExplanation as PostgreSQL's format() does:
// %1$s is the first place, %% a percent sign. It panics on anything else, and
// on a place that is not given: a template is written here, not by a user.
func Format(template string, places ...string) string {
	var text strings.Builder
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "%")
		text.WriteString(before)
		if !found {
			return text.String()
		}
		if after, found = strings.CutPrefix(after, "%"); found {
			text.WriteByte('%')
			rest = after
			continue
		}
		number, after, found := strings.Cut(after, "$s")
		n, err := strconv.Atoi(number)
		if !found || err != nil || n < 1 || n > len(places) {
			panic("not a template for " + strconv.Itoa(len(places)) + " places: " + template)
		}
		text.WriteString(places[n-1])
		rest = after
	}
}

// Escape makes a name a literal part of a template.
func Escape(name string) string { return strings.ReplaceAll(name, "%", "%%") }

// place is the directive of a place in a template.
func place(n int) string { return "%" + strconv.Itoa(n) + "$s" }

// count is "1 role", "3 roles" or, of nothing, "no role".
func count(n int, singular, plural string) string {
	switch n {
	case 0:
		return "no " + singular
	case 1:
		return "1 " + singular
	}
	return strconv.Itoa(n) + " " + plural
}

// number is the form of a word that a number asks for.
func number(n int, singular, plural string) string {
	if n == 1 {
		return singular
	}
	return plural
}

// date is a day as a text names it.
func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

const day = 24 * time.Hour

// days is a threshold as a text names it; thresholds are whole days.
func days(d time.Duration) string {
	n := int(d / day)
	return strconv.Itoa(n) + " " + number(n, "day", "days")
}

package awsiam

import "strings"

// IAM knows two wildcards: a star is any text, a question mark any character.

// matches says whether a text is one of a pattern's.
func matches(pattern, text string) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// overlap says whether two patterns have a text in common.
func overlap(a, b string) bool {
	if clash(a, b) {
		return false
	}
	if !wild(a) {
		return matches(b, a)
	}
	if !wild(b) {
		return matches(a, b)
	}
	return align(a, b, false)
}

// covers says whether every text that b matches is matched by a. It may say no
// where that is so, as of two patterns that write the same in different ways, but
// never yes where it is not: if a matches the wildcards of b taken as characters
// of no text, its own take them up, and with them whatever they may stand for.
func covers(a, b string) bool {
	if clash(a, b) {
		return false
	}
	if strings.Contains(a, "?") && strings.ContainsFunc(b, func(c rune) bool { return c > 0x7f }) {
		return a == b // a character of more than one byte
	}
	if !wild(b) {
		return matches(a, b)
	}
	return a == b || align(a, b, true)
}

// clash says whether two patterns differ before the first wildcard of either.
// Most that are compared do, by their service.
func clash(a, b string) bool {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == '*' || b[i] == '*' || a[i] == '?' || b[i] == '?':
			return false
		case a[i] != b[i]:
			return true
		}
	}
	return false
}

// weight is about how many steps it takes to compare two patterns.
func weight(a, b string) int {
	if clash(a, b) {
		return 1
	}
	return 1 + len(a)*len(b)/64
}

// align says whether the characters of two patterns can be paired. With opaque
// the wildcards of b are characters of no text, which only those of a take up.
func align(a, b string, opaque bool) bool {
	// reach[j]: the part of a that was read can be the part b[:j].
	var space [2][129]bool
	reach, next := space[0][:], space[1][:]
	if len(b) >= len(reach) {
		reach, next = make([]bool, len(b)+1), make([]bool, len(b)+1)
	}
	reach, next = reach[:len(b)+1], next[:len(b)+1]
	reach[0] = true
	for j := 0; !opaque && j < len(b) && b[j] == '*'; j++ {
		reach[j+1] = true
	}
	for i := range len(a) {
		x := a[i]
		next[0] = reach[0] && x == '*'
		for j := 1; j <= len(b); j++ {
			y := b[j-1]
			switch {
			case x == '*':
				next[j] = reach[j] || next[j-1]
			case opaque:
				next[j] = reach[j-1] && y != '*' && (x == y || x == '?')
			case y == '*':
				next[j] = next[j-1] || reach[j]
			default:
				next[j] = reach[j-1] && (x == y || x == '?' || y == '?')
			}
		}
		reach, next = next, reach
	}
	return reach[len(b)]
}

func wild(pattern string) bool { return strings.ContainsAny(pattern, "*?") }

// anything is the pattern of everything.
const anything = "*"

// coversResource is covers for resources. AWS compares an ARN part by part, and a
// Deny must not take away more than AWS would, so a star covers no colon here
// unless it stands alone.
func coversResource(a, b string) bool {
	if a == anything {
		return true
	}
	left, right := strings.SplitN(a, ":", 6), strings.SplitN(b, ":", 6)
	if len(left) < 6 || len(right) < 6 {
		return a == b
	}
	for i := range left {
		if !covers(left[i], right[i]) {
			return false
		}
	}
	return true
}

// arn is an ARN, or a pattern of one, in its parts.
type arn struct{ partition, service, region, account, resource string }

// parseARN takes an ARN apart. A text that is none has no parts.
func parseARN(text string) (arn, bool) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return arn{}, false
	}
	return arn{partition: parts[1], service: parts[2], region: parts[3], account: parts[4], resource: parts[5]}, true
}

// IsAccount holds for the number of an account.
func IsAccount(text string) bool {
	if len(text) != 12 {
		return false
	}
	return strings.Trim(text, "0123456789") == ""
}

// generalise puts a star in the place of each policy variable, whose value only a
// request has.
func generalise(pattern string) (general string, variable bool) {
	for {
		begin := strings.Index(pattern, "${")
		if begin < 0 {
			return pattern, variable
		}
		end := strings.IndexByte(pattern[begin:], '}')
		if end < 0 {
			return pattern, variable
		}
		pattern, variable = pattern[:begin]+"*"+pattern[begin+end+1:], true
	}
}

// extent says how much of something is meant.
type extent int

const (
	none extent = iota
	part
	whole
)

// extentOf says how much of a pattern some others take.
func extentOf(patterns []string, of string, cover func(a, b string) bool) extent {
	most := none
	for _, pattern := range patterns {
		if cover(pattern, of) {
			return whole
		}
		if most == none && overlap(pattern, of) {
			most = part
		}
	}
	return most
}

// other is what is left.
func (e extent) other() extent { return whole - e }

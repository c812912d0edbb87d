package authority

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

func stated(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

// Bounds of texts. What stands in an index is bounded more tightly, because
// PostgreSQL refuses index rows above 2.7 kB.
const (
	maxKey  = 1024
	maxText = 16 * 1024
)

// badText says what is wrong with the first text that the database would refuse.
func badText(texts ...string) string { return badWithin(maxText, texts) }

// badKey is badText for what stands in an index.
func badKey(texts ...string) string { return badWithin(maxKey, texts) }

func badWithin(limit int, texts []string) string {
	for _, text := range texts {
		switch {
		case text == "":
		case len(text) > limit:
			return fmt.Sprintf("is longer than %d bytes", limit)
		case strings.IndexByte(text, 0) >= 0:
			return "contains a NUL character"
		case !utf8.ValidString(text):
			return "is not UTF-8"
		}
	}
	return ""
}

// clean makes a doubtful text fit for a message.
func clean(text string) string {
	if len(text) > 120 {
		text = text[:120] + "…"
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\\0"), "\uFFFD")
}

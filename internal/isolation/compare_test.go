package isolation_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// told is everything of an answer that could tell one world from another. Left out are
// the hour of the machine, the budget, which comes back by it, and the ids of entries
// of audit logs, which are made of it and of chance.
func (a answer) told(unlike map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d silent=%t\n", a.status, a.silent)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name != "Date" && name != "Content-Length" {
			fmt.Fprintf(&b, "%s: %s\n", name, a.header[name])
		}
	}
	for line := range strings.Lines(string(a.body)) {
		head, rest := "", line
		if strings.HasPrefix(line, "data: ") {
			head, rest = line[:6], line[6:]
		}
		var value any
		decoder := json.NewDecoder(strings.NewReader(rest))
		decoder.UseNumber()
		if decoder.Decode(&value) != nil {
			b.WriteString(mask(line, unlike))
			continue
		}
		settle(value)
		pretty, _ := json.MarshalIndent(value, "", " ")
		b.WriteString(head + mask(string(pretty), unlike) + "\n")
	}
	return b.String()
}

// numbers are those of a feed and of a ledger, and what is made of them, in the answers
// of plain routes.
var numbers = regexp.MustCompile(`"(?:seq|cursor|startCursor|endCursor|ledgerSeq|createdAt)": ?(?:"[^"]*"|\d+)`)

// numberless is an answer as somebody reads it who knows nothing of these numbers.
func (a answer) numberless() answer {
	a.body = numbers.ReplaceAll(a.body, []byte(`"number":0`))
	return a
}

// settle takes away what depends on how fast a machine is: the budget, and which of
// several faults was found first; and where in the document a fault is, because a
// cursor in it may be longer on one server.
func settle(value any) {
	object, is := value.(map[string]any)
	if !is {
		return
	}
	if extensions, is := object["extensions"].(map[string]any); is {
		delete(extensions, "budget")
	}
	if faults, is := object["errors"].([]any); is {
		for _, fault := range faults {
			if one, is := fault.(map[string]any); is {
				delete(one, "locations")
			}
		}
		slices.SortFunc(faults, func(a, b any) int { return strings.Compare(text(a), text(b)) })
	}
	settle(object["payload"])
}

// token is a piece of a text that may hold an id: one of them, or what is packed in
// the alphabet of base64.
var token = regexp.MustCompile(`[A-Za-z0-9_-]{22,}`)

func mask(text string, unlike map[string]string) string {
	return token.ReplaceAllStringFunc(text, func(word string) string {
		if same, there := unlike[word]; there {
			return same
		}
		if one, err := uuid.Parse(word); err == nil {
			if isOfClock(one) {
				return "(entry)"
			}
			return word
		}
		bytes, err := base64.RawURLEncoding.DecodeString(word)
		if err != nil {
			return word
		}
		if kind, _, found := strings.Cut(string(bytes), "\x00"); found && len(bytes) == len(kind)+33 {
			if kind == "AuditEntry" || kind == "AuditSharedEntry" {
				return "(" + kind + ")"
			}
			return word
		}
		var cursor struct{ K []string }
		if json.Unmarshal(bytes, &cursor) == nil && len(cursor.K) > 0 {
			return mask(string(bytes), unlike)
		}
		return word
	})
}

// isOfClock says whether an id was made of the hour of the machine.
func isOfClock(one id.ID) bool { return one.Version() == 7 && one.Variant() == uuid.RFC4122 }

// differ says what two answers differ in, if they do.
func differ(whole, part answer, inWhole, inPart map[string]string) (string, bool) {
	a, b := whole.told(inWhole), part.told(inPart)
	if a == b {
		return "", false
	}
	var out strings.Builder
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	shown := 0
	for i := 0; i < max(len(left), len(right)) && shown < 12; i++ {
		l, r := "", ""
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		if l != r {
			shown++
			fmt.Fprintf(&out, "line %d\n  with the rest:    %.400s\n  without the rest: %.400s\n", i+1, l, r)
		}
	}
	return out.String(), true
}

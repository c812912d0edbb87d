package awsiam

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shapeError says which field has another shape than it must have.
type shapeError struct {
	line      int
	path      string // RolePolicyList[2].PolicyName
	reason    string // must be a text
	duplicate bool   // the field stands there twice
	first     int    // the line where a duplicate stood first
}

func (e *shapeError) Error() string {
	reason := e.reason
	if e.duplicate {
		reason = fmt.Sprintf("stands there twice, first in line %d", e.first)
	}
	if e.path == "" {
		return "the record " + reason
	}
	return e.path + " " + reason
}

// check keeps the first shape error of a record, and the times that could not be
// read: without one of those a record still means the same.
type check struct {
	err   *shapeError
	times []*shapeError
}

// value is a place in a document, present or not. Reading it as something that it
// is not fails its check and gives the zero value, so that a reader says what it
// wants and asks once whether that was there.
type value struct {
	node  *node // nil if absent or null
	path  string
	line  int
	check *check
}

func open(n *node) (value, *check) {
	c := &check{}
	return valueOf(n, "", int(n.line), c), c
}

func valueOf(n *node, path string, line int, c *check) value {
	if n != nil {
		line = int(n.line)
		if n.kind == nullNode {
			n = nil
		}
	}
	return value{node: n, path: path, line: line, check: c}
}

func (v value) present() bool { return v.node != nil }

func (v value) is(kind nodeKind) bool { return v.node != nil && v.node.kind == kind }

func (v value) fail(format string, args ...any) {
	if v.check.err == nil {
		v.check.err = &shapeError{line: v.line, path: v.path, reason: fmt.Sprintf(format, args...)}
	}
}

func (v value) get(key string) value {
	path := join(v.path, key)
	if v.node == nil {
		return value{path: path, line: v.line, check: v.check}
	}
	if v.node.kind != objectNode {
		v.fail("must be an object and is %s", v.node.kind)
		return value{path: path, line: v.line, check: v.check}
	}
	for i := range v.node.children {
		if v.node.children[i].key == key {
			return valueOf(&v.node.children[i], path, v.line, v.check)
		}
	}
	return value{path: path, line: v.line, check: v.check}
}

// field is one entry of an object.
type field struct {
	key string
	value
}

func (v value) fields() []field {
	if v.node == nil {
		return nil
	}
	if v.node.kind != objectNode {
		v.fail("must be an object and is %s", v.node.kind)
		return nil
	}
	fields := make([]field, len(v.node.children))
	for i := range v.node.children {
		child := &v.node.children[i]
		fields[i] = field{child.key, valueOf(child, join(v.path, quoteKey(child.key)), v.line, v.check)}
	}
	return fields
}

func (v value) items() []value {
	if v.node == nil {
		return nil
	}
	if v.node.kind != listNode {
		v.fail("must be a list and is %s", v.node.kind)
		return nil
	}
	items := make([]value, len(v.node.children))
	for i := range v.node.children {
		items[i] = valueOf(&v.node.children[i], v.path+"["+strconv.Itoa(i)+"]", v.line, v.check)
	}
	return items
}

// some are the elements of a list, or the one value that stands in its place:
// policies may be written either way.
func (v value) some() []value {
	if v.node == nil || v.node.kind == listNode {
		return v.items()
	}
	return []value{v}
}

// text is a text; absent is empty.
func (v value) text() string {
	if v.node == nil {
		return ""
	}
	if v.node.kind != textNode {
		v.fail("must be a text and is %s", v.node.kind)
		return ""
	}
	if len(v.node.text) > maxText {
		v.fail("is longer than %d bytes", maxText)
		return ""
	}
	return v.node.text
}

// texts is a text or a list of texts.
func (v value) texts() (texts []string) {
	for _, item := range v.some() {
		if item.text() == "" {
			item.fail("must be a text that is not empty")
		}
		texts = append(texts, item.text())
	}
	return texts
}

// name is a text that an identifier is made of.
func (v value) name() string {
	text := v.text()
	switch {
	case text == "":
		v.fail("is missing")
	case len(text) > maxName:
		v.fail("is longer than %d bytes", maxName)
	case strings.ContainsAny(text, "\n\t\r"):
		v.fail("has a line end or a tab")
	}
	return text
}

// maxName bounds names and ARNs, maxText every other text but policies. No real
// one comes near.
const (
	maxName = 1000
	maxText = 4096
)

func (v value) bool() bool {
	if v.node == nil {
		return false
	}
	if v.node.kind != boolNode {
		v.fail("must be true or false and is %s", v.node.kind)
	}
	return v.node.text == "true"
}

// times are the ways in which versions of the command line and of its kin write
// a moment.
var times = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05"}

// moment is a time, zero if absent or not to be read.
func (v value) moment() time.Time {
	if v.node == nil {
		return time.Time{}
	}
	var at time.Time
	switch v.node.kind {
	case textNode:
		for _, layout := range times {
			if parsed, err := time.Parse(layout, v.node.text); err == nil {
				at = parsed.UTC()
				break
			}
		}
	case numberNode: // seconds, as the first version of the command line writes them
		if seconds, err := strconv.ParseFloat(v.node.text, 64); err == nil && seconds > 0 && seconds < 1<<38 {
			at = time.Unix(int64(seconds), 0).UTC()
		}
	}
	if at.Year() < 1970 || at.Year() > 9998 {
		v.check.times = append(v.check.times, &shapeError{line: v.line, path: v.path, reason: "is no time such as 2026-01-02T15:04:05Z, and is left out"})
		return time.Time{}
	}
	return at
}

// digest is equal for values of equal content, whatever their layout and the
// order of their fields.
func digest(n *node) (sum [sha256.Size]byte) {
	h := sha256.New()
	write(h, n)
	h.Sum(sum[:0])
	return sum
}

func write(h hash.Hash, n *node) {
	put := func(text string) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
	h.Write([]byte{byte(n.kind)})
	put(n.text)
	put(strconv.Itoa(len(n.children)))
	if n.kind != objectNode {
		for i := range n.children {
			write(h, &n.children[i])
		}
		return
	}
	order := make([]int, len(n.children))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(n.children[a].key, n.children[b].key) })
	for _, i := range order {
		put(n.children[i].key)
		write(h, &n.children[i])
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// quoteKey shows a key from the input in a path, cut where it would drown the
// message.
func quoteKey(key string) string {
	if len(key) > 60 || strings.ContainsFunc(key, unreadable) {
		return quoted(key)
	}
	return key
}

// quoted shows a text from the input, cut where it would drown the message.
func quoted(text string) string {
	if runes := []rune(text); len(runes) > 120 {
		text = string(runes[:120]) + "…"
	}
	return strconv.Quote(text)
}

// trimMark takes away the mark with which some editors begin UTF-8.
func trimMark(content []byte) []byte { return bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")) }

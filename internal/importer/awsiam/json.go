package awsiam

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of one document. A dump of five thousand roles has about a million
// values, the deepest policies a dozen levels.
const (
	maxDepth = 64
	maxNodes = 2_000_000
)

type nodeKind byte

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	textNode
	listNode
	objectNode
)

func (k nodeKind) String() string {
	return [...]string{"null", "a boolean", "a number", "a text", "a list", "an object"}[k]
}

// node is one JSON value with its line. The children of an object are its
// fields, in the order of the text and with those that stand there twice.
type node struct {
	kind     nodeKind
	line     int32
	keyLine  int32
	key      string
	text     string // of a text, decoded; of a number or a boolean as it is written
	children []node
}

// syntaxError says where a document is no JSON, or more than is read.
type syntaxError struct {
	line   int
	code   string // without the prefix
	reason string
}

func (e *syntaxError) Error() string { return e.reason }

// reader takes JSON values from a text.
type reader struct {
	content []byte
	decoder *json.Decoder
	fixed   int // the line of everything, of a document inside a string
	line    int // of the offset
	offset  int
	nodes   int
}

func newReader(content []byte, fixed int) *reader {
	r := &reader{content: content, decoder: json.NewDecoder(bytes.NewReader(content)), fixed: fixed, line: 1}
	r.decoder.UseNumber()
	return r
}

// here is the line where the decoder stands.
func (r *reader) here() int {
	if r.fixed > 0 {
		return r.fixed
	}
	end := min(int(r.decoder.InputOffset()), len(r.content))
	r.line += bytes.Count(r.content[r.offset:end], []byte{'\n'})
	r.offset = end
	return r.line
}

func (r *reader) fault(code, reason string) *syntaxError {
	return &syntaxError{line: r.here(), code: code, reason: reason}
}

// next is the next value of the text, nil at its end.
func (r *reader) next() (*node, *syntaxError) {
	token, err := r.decoder.Token()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	var root node
	if fault := r.value(&root, token, err, 1); fault != nil {
		return nil, fault
	}
	return &root, nil
}

// value fills a node from a token and those that follow it.
func (r *reader) value(n *node, token json.Token, err error, depth int) *syntaxError {
	if err != nil {
		return r.broken(err)
	}
	if r.nodes++; r.nodes > maxNodes {
		return r.fault("TOO_LARGE", "The document has more than two million values.")
	}
	n.line = int32(r.here()) //nolint:gosec // a document has less than 2^31 lines
	switch t := token.(type) {
	case json.Delim:
		if depth > maxDepth {
			return r.fault("TOO_DEEP", "The document is nested deeper than 64 levels.")
		}
		if t == '{' {
			n.kind = objectNode
			return r.object(n, depth)
		}
		n.kind = listNode
		return r.list(n, depth)
	case string:
		n.kind, n.text = textNode, t
	case json.Number:
		n.kind, n.text = numberNode, t.String()
	case bool:
		n.kind, n.text = boolNode, map[bool]string{true: "true", false: "false"}[t]
	}
	return nil
}

func (r *reader) object(n *node, depth int) *syntaxError {
	for {
		token, err := r.decoder.Token()
		if err != nil {
			return r.broken(err)
		}
		key, isKey := token.(string)
		if !isKey {
			return nil // the decoder gives nothing else here but the end
		}
		child := node{key: key, keyLine: int32(r.here())} //nolint:gosec // as above
		token, err = r.decoder.Token()
		if fault := r.value(&child, token, err, depth+1); fault != nil {
			return fault
		}
		n.children = append(n.children, child)
	}
}

func (r *reader) list(n *node, depth int) *syntaxError {
	for {
		token, err := r.decoder.Token()
		if err != nil {
			return r.broken(err)
		}
		if token == json.Delim(']') {
			return nil
		}
		var child node
		if fault := r.value(&child, token, err, depth+1); fault != nil {
			return fault
		}
		n.children = append(n.children, child)
	}
}

func (r *reader) broken(err error) *syntaxError {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return r.fault("TRUNCATED", "The JSON ends in the middle: the file was cut off.")
	case errors.As(err, &syntax):
		if syntax.Error() == "unexpected end of JSON input" {
			return r.fault("TRUNCATED", "The JSON ends in the middle: the file was cut off.")
		}
		return r.fault("NOT_JSON", "This is not JSON: "+syntax.Error()+".")
	}
	return r.fault("NOT_JSON", "This is not JSON.")
}

// notText is the line with the first byte that is no UTF-8, 0 if there is none.
func notText(content []byte) int {
	if utf8.Valid(content) {
		return 0
	}
	line := 1
	for len(content) > 0 {
		symbol, width := utf8.DecodeRune(content)
		if symbol == utf8.RuneError && width == 1 {
			break
		}
		if symbol == '\n' {
			line++
		}
		content = content[width:]
	}
	return line
}

// sound checks what a record must be before its fields mean anything: keys are
// unique, and no text holds what the database or a terminal could not take.
// Subtrees for which skip is true are left out.
func sound(n *node, path string, skip func(key string) bool) *shapeError {
	if strings.ContainsFunc(n.text, unreadable) {
		return &shapeError{line: int(n.line), path: path, reason: "contains a control character or one that cannot be read"}
	}
	var seen map[string]int32
	if n.kind == objectNode {
		seen = make(map[string]int32, len(n.children))
	}
	for i := range n.children {
		child := &n.children[i]
		below := path
		if seen != nil {
			below = join(path, quoteKey(child.key))
			if strings.ContainsFunc(child.key, unreadable) {
				return &shapeError{line: int(child.keyLine), path: path, reason: "has a key with a character that cannot be read"}
			}
			if first, double := seen[child.key]; double {
				return &shapeError{line: int(child.keyLine), path: below, duplicate: true, first: int(first)}
			}
			seen[child.key] = child.keyLine
			if skip != nil && skip(child.key) {
				continue
			}
		}
		if err := sound(child, below, skip); err != nil {
			return err
		}
	}
	return nil
}

// unreadable holds for NUL and its like, and for what a decoder puts in the
// place of half a surrogate pair. Line ends and tabs stand in descriptions.
func unreadable(c rune) bool {
	return c < ' ' && c != '\n' && c != '\t' && c != '\r' || 0x7f <= c && c < 0xa0 || c == utf8.RuneError
}

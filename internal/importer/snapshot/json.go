package snapshot

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// What a line may hold. The bounds keep one hostile line from costing more
// than its length: a megabyte of "[0,0,0," would become half a million nodes,
// and the search for equal keys is quadratic in the fields of one object.
const (
	maxDepth  = 8
	maxNodes  = 8192
	maxFields = 128
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
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// node is one JSON value. Nodes of a line stand in one slice and point to each
// other by index; the root is 0, which is therefore no one's child or sibling.
type node struct {
	kind        nodeKind
	spoiled     bool // its key occurs twice, or its text has characters that are refused
	first, next int32
	size        int32
	begin       int32 // of a string without escapes: where its text stands in the line; 0: it does not
	key         []byte
	text        []byte // of a string, decoded; of a number or boolean as it was written
}

// document is one line as a tree. It is reused for every line.
type document struct {
	line  []byte
	at    int
	nodes []node
	fault *fault // the first one found
	kept  string // the line, once a string of it was kept
}

// maxKept bounds the lines that are kept as a whole where strings of them are, so that
// who keeps a string does not keep a megabyte.
const maxKept = 2048

// keep gives the text of a node for longer than until the next line. The strings of a
// line are pieces of one.
func (d *document) keep(f *node) string {
	if f.begin == 0 || len(d.line) > maxKept {
		return string(f.text)
	}
	if d.kept == "" {
		d.kept = string(d.line)
	}
	return d.kept[f.begin:][:len(f.text)]
}

// read takes in a line. Where it returns false the line is not JSON or not to
// be looked at, and nothing in it can be relied on. Where it returns true
// there may still be a fault, but the tree is complete.
func (d *document) read(line []byte) bool {
	d.line, d.at, d.nodes, d.fault, d.kept = line, 0, d.nodes[:0], nil, ""
	if !utf8.Valid(line) {
		return d.reject(codeNotUTF8, "The line contains bytes that are not UTF-8.")
	}
	if _, ok := d.value(0); !ok {
		return false
	}
	if d.space(); d.at < len(line) {
		return d.broken("more text after the value")
	}
	if d.nodes[0].kind != objectNode {
		return d.reject(codeNotJSON, "The line is "+d.nodes[0].kind.String()+"; a record is a JSON object on one line.")
	}
	return true
}

// reject keeps the first fault. It returns false for those who give up with it.
func (d *document) reject(code, reason string) bool {
	if d.fault == nil {
		d.fault = &fault{code: code, reason: reason}
	}
	return false
}

func (d *document) broken(what string) bool {
	d.fault = nil // what was found in a line that is no JSON does not matter
	return d.reject(codeNotJSON, fmt.Sprintf("The line is not JSON: column %d: %s.", d.at+1, what))
}

func (d *document) space() {
	for d.at < len(d.line) {
		switch d.line[d.at] {
		case ' ', '\t', '\r', '\n':
			d.at++
		default:
			return
		}
	}
}

// take steps over a character if it is the next one.
func (d *document) take(c byte) bool {
	if d.space(); d.at < len(d.line) && d.line[d.at] == c {
		d.at++
		return true
	}
	return false
}

func (d *document) value(depth int) (self int32, ok bool) {
	if d.space(); d.at == len(d.line) {
		return 0, d.broken("the line ends too early")
	}
	if len(d.nodes) == maxNodes {
		return 0, d.reject(codeTooMany, fmt.Sprintf("The line has more than %d values.", maxNodes))
	}
	self = int32(len(d.nodes)) //nolint:gosec // at most maxNodes
	d.nodes = append(d.nodes, node{})
	switch c := d.line[d.at]; c {
	case '{':
		return self, d.object(self, depth+1)
	case '[':
		return self, d.list(self, depth+1)
	case '"':
		begin := d.at + 1
		text, clean, ok := d.text()
		d.nodes[self].kind, d.nodes[self].text, d.nodes[self].spoiled = textNode, text, !clean
		if len(text) == d.at-1-begin { // an escape is longer than what it stands for
			d.nodes[self].begin = int32(begin) //nolint:gosec // at most maxLine
		}
		return self, ok
	case 't':
		return self, d.word(self, boolNode, "true")
	case 'f':
		return self, d.word(self, boolNode, "false")
	case 'n':
		return self, d.word(self, nullNode, "null")
	default:
		if c == '-' || isDigit(c) {
			return self, d.number(self)
		}
	}
	return 0, d.broken("a value is expected here")
}

func (d *document) object(self int32, depth int) bool {
	if depth > maxDepth {
		return d.reject(codeTooDeep, fmt.Sprintf("The line is nested deeper than %d levels.", maxDepth))
	}
	d.nodes[self].kind = objectNode
	d.at++
	if d.take('}') {
		return true
	}
	for last := int32(0); ; {
		if d.space(); d.at == len(d.line) || d.line[d.at] != '"' {
			return d.broken("a key in quotes is expected here")
		}
		key, _, ok := d.text()
		if !ok {
			return false
		}
		if !d.take(':') {
			return d.broken("a colon is expected after a key")
		}
		child, ok := d.value(depth)
		if !ok {
			return false
		}
		d.nodes[child].key = key
		for i := d.nodes[self].first; i != 0; i = d.nodes[i].next {
			if bytes.Equal(d.nodes[i].key, key) {
				d.nodes[i].spoiled, d.nodes[child].spoiled = true, true
				d.reject(codeDuplicateKey, "The key "+quote(key)+" occurs twice in one object.")
			}
		}
		last = d.link(self, last, child)
		if d.nodes[self].size > maxFields {
			return d.reject(codeTooMany, fmt.Sprintf("An object of the line has more than %d fields.", maxFields))
		}
		if d.take('}') {
			return true
		}
		if !d.take(',') {
			return d.broken("a comma or } is expected here")
		}
	}
}

func (d *document) list(self int32, depth int) bool {
	if depth > maxDepth {
		return d.reject(codeTooDeep, fmt.Sprintf("The line is nested deeper than %d levels.", maxDepth))
	}
	d.nodes[self].kind = listNode
	d.at++
	if d.take(']') {
		return true
	}
	for last := int32(0); ; {
		child, ok := d.value(depth)
		if !ok {
			return false
		}
		last = d.link(self, last, child)
		if d.take(']') {
			return true
		}
		if !d.take(',') {
			return d.broken("a comma or ] is expected here")
		}
	}
}

func (d *document) link(self, last, child int32) int32 {
	if last == 0 {
		d.nodes[self].first = child
	} else {
		d.nodes[last].next = child
	}
	d.nodes[self].size++
	return child
}

func (d *document) word(self int32, kind nodeKind, word string) bool {
	if !bytes.HasPrefix(d.line[d.at:], []byte(word)) {
		return d.broken("a value is expected here")
	}
	d.nodes[self].kind, d.nodes[self].text = kind, d.line[d.at:d.at+len(word)]
	d.at += len(word)
	return true
}

func (d *document) number(self int32) bool {
	begin := d.at
	if d.line[d.at] == '-' {
		d.at++
	}
	whole := d.at
	if !d.digits() {
		return d.broken("a digit is expected here")
	}
	if d.line[whole] == '0' && d.at > whole+1 {
		d.at = whole
		return d.broken("a number does not begin with 0")
	}
	if d.at < len(d.line) && d.line[d.at] == '.' {
		if d.at++; !d.digits() {
			return d.broken("a digit is expected here")
		}
	}
	if d.at < len(d.line) && (d.line[d.at] == 'e' || d.line[d.at] == 'E') {
		d.at++
		if d.at < len(d.line) && (d.line[d.at] == '+' || d.line[d.at] == '-') {
			d.at++
		}
		if !d.digits() {
			return d.broken("a digit is expected here")
		}
	}
	d.nodes[self].kind, d.nodes[self].text = numberNode, d.line[begin:d.at]
	return true
}

func (d *document) digits() bool {
	begin := d.at
	for d.at < len(d.line) && isDigit(d.line[d.at]) {
		d.at++
	}
	return d.at > begin
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// text reads a string. Without escapes the result is a piece of the line. It
// is clean unless it holds a control character or half of a surrogate pair.
func (d *document) text() (text []byte, clean, ok bool) {
	clean = true
	d.at++
	begin := d.at
	var decoded []byte // nil until the first escape
	for d.at += ordinary(d.line[d.at:]); d.at < len(d.line); d.at += ordinary(d.line[d.at:]) {
		c := d.line[d.at]
		switch {
		case c == '"':
			text = d.line[begin:d.at]
			if decoded != nil {
				text = append(decoded, text...)
			}
			d.at++
			return text, clean, true
		case c == '\\':
			decoded = append(decoded, d.line[begin:d.at]...)
			symbol, ok := d.escape()
			if !ok {
				return nil, false, false
			}
			switch {
			case isControl(symbol):
				clean = d.control(symbol)
			case utf16.IsSurrogate(symbol):
				clean = d.reject(codeLoneSurrogate, fmt.Sprintf(
					"A string contains half of a surrogate pair, \\u%04x, before column %d.", symbol, d.at+1))
			}
			decoded = utf8.AppendRune(decoded, symbol)
			begin = d.at
		case c < ' ' || c == 0x7f:
			clean = d.control(rune(c))
			d.at++
		case c == 0xc2 && d.line[d.at+1] < 0xa0: // UTF-8 was checked, so a byte follows
			clean = d.control(rune(d.line[d.at+1]))
			d.at += 2
		default:
			d.at++
		}
	}
	return nil, false, d.broken("a string does not end")
}

// ordinary is how many bytes there are until one that a string may not simply hold, or
// that begins a character which it may not.
func ordinary(text []byte) int {
	for i, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f || c == 0xc2 {
			return i
		}
	}
	return len(text)
}

func (d *document) control(symbol rune) bool {
	return d.reject(codeControlCharacter, fmt.Sprintf(
		"A string contains the control character U+%04X near column %d.", symbol, d.at+1))
}

func isControl(symbol rune) bool { return symbol < ' ' || 0x7f <= symbol && symbol < 0xa0 }

// escape reads one escape, or the two that make a surrogate pair.
func (d *document) escape() (rune, bool) {
	if d.at+1 == len(d.line) {
		return 0, d.broken("a string does not end")
	}
	d.at += 2
	switch c := d.line[d.at-1]; c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		high, ok := d.hex(d.at)
		if !ok {
			return 0, d.broken("\\u needs four hexadecimal digits")
		}
		d.at += 4
		if utf16.IsSurrogate(high) && bytes.HasPrefix(d.line[d.at:], []byte(`\u`)) {
			if low, ok := d.hex(d.at + 2); ok {
				if pair := utf16.DecodeRune(high, low); pair != utf8.RuneError {
					d.at += 6
					return pair, true
				}
			}
		}
		return high, true
	}
	d.at -= 2
	return 0, d.broken("this escape does not exist")
}

func (d *document) hex(at int) (rune, bool) {
	if at+4 > len(d.line) {
		return 0, false
	}
	var symbol rune
	for _, c := range d.line[at : at+4] {
		switch {
		case isDigit(c):
			symbol = symbol<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			symbol = symbol<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			symbol = symbol<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return symbol, true
}

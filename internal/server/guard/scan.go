package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// The faults a scan finds. None repeats the input.
var (
	errMalformed = errors.New("malformed JSON")
	errText      = errors.New("the text is not UTF-8, or holds NUL or half of a surrogate pair")
	errDepth     = errors.New("JSON nested too deep")
	errElements  = errors.New("too many JSON values")
	errDuplicate = errors.New("a key of the outermost object occurs twice")
)

// kind is the sort of a JSON value, by its first byte; a digit and a minus are '0'.
type kind byte

// scanner passes over one JSON value and checks it without building it. It keeps a
// byte for each open bracket, so that no input deepens the stack.
type scanner struct {
	data     []byte
	at       int
	depth    int // allowed
	elements int // left
	open     []byte
	members  map[string]kind // of the outermost object, by key
}

// scan checks that data is exactly one JSON value within the limits, of well-formed
// text throughout, and gives its kind and, for an object, the kinds of its members.
// The members a GraphQL request has go by their names, others by "." and theirs.
func scan(data []byte, depth, elements int) (kind, map[string]kind, error) {
	s := scanner{data: data, depth: depth, elements: elements}
	s.space()
	if s.at == len(data) {
		return 0, nil, errMalformed
	}
	first := kindOf(data[s.at])
	if err := s.values(); err != nil {
		return first, nil, err
	}
	s.space()
	if s.at != len(data) {
		return first, nil, errMalformed
	}
	return first, s.members, nil
}

func kindOf(c byte) kind {
	if c == '-' || '0' <= c && c <= '9' {
		return '0'
	}
	return kind(c)
}

// values passes over one value and all within it.
func (s *scanner) values() error {
	key := "" // the outermost key whose value is under way
	for {
		// A value stands here.
		s.elements--
		if s.elements < 0 {
			return errElements
		}
		s.space()
		if s.at == len(s.data) {
			return errMalformed
		}
		c := s.data[s.at]
		if len(s.open) == 1 && s.open[0] == '{' {
			s.members[key] = kindOf(c)
		}
		more := false // values follow inside this one
		switch c {
		case '{', '[':
			if len(s.open) >= s.depth {
				return errDepth
			}
			s.open = append(s.open, c)
			s.at++
			if len(s.open) == 1 && c == '{' {
				s.members = map[string]kind{}
			}
			s.space()
			if s.peek() != c+2 { // ']' is '['+2 and '}' is '{'+2
				more = true
			}
		case '"':
			if _, err := s.text(); err != nil {
				return err
			}
		default:
			if err := s.plain(); err != nil {
				return err
			}
		}
		// Behind a value: close what ends here, and find the next.
		for !more {
			if len(s.open) == 0 {
				return nil
			}
			s.space()
			top := s.open[len(s.open)-1]
			switch s.peek() {
			case ',':
				s.at++
				more = true
			case top + 2:
				s.at++
				s.open = s.open[:len(s.open)-1]
				if len(s.open) == 0 {
					return nil
				}
			default:
				return errMalformed
			}
		}
		if s.open[len(s.open)-1] == '{' {
			name, err := s.key()
			if err != nil {
				return err
			}
			if len(s.open) == 1 {
				key = name
				if _, twice := s.members[key]; twice {
					return errDuplicate
				}
			}
		}
	}
}

// key passes over a key and its colon.
func (s *scanner) key() (string, error) {
	s.space()
	if s.peek() != '"' {
		return "", errMalformed
	}
	raw, err := s.text()
	if err != nil {
		return "", err
	}
	s.space()
	if s.peek() != ':' {
		return "", errMalformed
	}
	s.at++
	if len(s.open) > 1 {
		return "", nil
	}
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return "", errMalformed
	}
	// encoding/json takes "Query" for "query", so the two are one key.
	for _, known := range []string{"query", "operationName", "variables", "extensions", "documentId"} {
		if strings.EqualFold(name, known) {
			return known, nil
		}
	}
	return "." + name, nil
}

// text passes over a string and gives it with its quotes.
func (s *scanner) text() ([]byte, error) {
	start := s.at
	s.at++
	for s.at < len(s.data) {
		c := s.data[s.at]
		switch {
		case c == '"':
			s.at++
			return s.data[start:s.at], nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c == 0:
			return nil, errText
		case c < ' ':
			return nil, errMalformed
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, size := utf8.DecodeRune(s.data[s.at:])
			if r == utf8.RuneError && size == 1 {
				return nil, errText
			}
			s.at += size
		}
	}
	return nil, errMalformed
}

// escape passes over an escape sequence; a leading surrogate takes its trailing one
// along.
func (s *scanner) escape() error {
	if s.at+1 >= len(s.data) {
		return errMalformed
	}
	if s.data[s.at+1] != 'u' {
		if bytes.IndexByte([]byte(`"\/bfnrt`), s.data[s.at+1]) < 0 {
			return errMalformed
		}
		s.at += 2
		return nil
	}
	r, ok := s.unit()
	switch {
	case !ok:
		return errMalformed
	case r == 0, 0xDC00 <= r && r <= 0xDFFF:
		return errText
	case r < 0xD800 || r > 0xDBFF:
		return nil
	}
	if r, ok = s.unit(); !ok || r < 0xDC00 || r > 0xDFFF {
		return errText
	}
	return nil
}

// unit passes over one escaped code unit, such as \u0041.
func (s *scanner) unit() (rune, bool) {
	if s.at+6 > len(s.data) || s.data[s.at] != '\\' || s.data[s.at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s.data[s.at+2 : s.at+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.at += 6
	return r, true
}

// plain passes over a number, true, false or null.
func (s *scanner) plain() error {
	start := s.at
	for s.at < len(s.data) && bytes.IndexByte([]byte(" \t\r\n,]}"), s.data[s.at]) < 0 {
		s.at++
	}
	if s.at == start || !json.Valid(s.data[start:s.at]) {
		return errMalformed
	}
	return nil
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at == len(s.data) {
		return 0
	}
	return s.data[s.at]
}

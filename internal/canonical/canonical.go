package canonical

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxInteger is the greatest integer that every reader of JSON reads exactly.
const MaxInteger = 1<<53 - 1

// Integer is a count; one that not every reader would read exactly is written
// as a string.
type Integer int64

// MarshalJSON writes the number, or a string with it.
func (n Integer) MarshalJSON() ([]byte, error) {
	text := strconv.FormatInt(int64(n), 10)
	if n.large() {
		text = `"` + text + `"`
	}
	return []byte(text), nil
}

// UnmarshalJSON reads what MarshalJSON writes, and no other form of it.
func (n *Integer) UnmarshalJSON(form []byte) error {
	text := string(form)
	quoted := len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"'
	if quoted {
		text = text[1 : len(text)-1]
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(value, 10) != text || Integer(value).large() != quoted {
		return fmt.Errorf("%s is no integer: a number up to 2^53 - 1, a string beyond", form)
	}
	*n = Integer(value)
	return nil
}

func (n Integer) large() bool { return n > MaxInteger || n < -MaxInteger }

// Marshal writes a value as RFC 8785 wants it. Of numbers it takes integers
// that every reader reads exactly: those have one form only, so that how floats
// are to be written is no question here.
func Marshal(value any) ([]byte, error) {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	// The encoder has replaced bytes that are no UTF-8 without a word. It has
	// also seen to it that the value has an end.
	if err := checkTexts(reflect.ValueOf(value)); err != nil {
		return nil, err
	}
	return Transform(plain.Bytes())
}

// Transform brings JSON into the canonical form.
func Transform(plain []byte) ([]byte, error) {
	if !utf8.Valid(plain) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrText)
	}
	// What follows takes the grammar for granted, and the depth for bounded.
	if err := json.Unmarshal(plain, new(json.RawMessage)); err != nil {
		return nil, err
	}
	if err := checkEscapes(plain); err != nil {
		return nil, err
	}
	t := transformer{in: plain}
	t.out.Grow(len(plain))
	err := t.value()
	return t.out.Bytes(), err
}

// ErrText is in the error about text that is none.
var ErrText = errors.New("text that cannot be written down")

// checkTexts looks for text that is no UTF-8 in what the encoder writes. What
// writes itself is looked at in its JSON.
func checkTexts(value reflect.Value) error {
	switch value.Kind() {
	case reflect.String:
		if !utf8.ValidString(value.String()) {
			return fmt.Errorf("%w: %q is not UTF-8", ErrText, value.String())
		}
	case reflect.Pointer, reflect.Interface:
		if !value.IsNil() {
			return checkTexts(value.Elem())
		}
	case reflect.Slice, reflect.Array:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range value.Len() {
			if err := checkTexts(value.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for entries := value.MapRange(); entries.Next(); {
			if err := errors.Join(checkTexts(entries.Key()), checkTexts(entries.Value())); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if value.Type().Implements(marshaler) {
			return nil
		}
		for i := range value.NumField() {
			field := value.Type().Field(i)
			if field.Tag.Get("json") == "-" || !field.IsExported() && !field.Anonymous {
				continue // not written
			}
			if err := checkTexts(value.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

var marshaler = reflect.TypeFor[json.Marshaler]()

// checkEscapes looks for halves of surrogate pairs, which encoding/json replaces
// without a word. In valid JSON a backslash stands in strings only.
func checkEscapes(plain []byte) error {
	for {
		at := bytes.IndexByte(plain, '\\')
		if at < 0 {
			return nil
		}
		unit, ok := unitAt(plain[at:])
		if !ok { // an escape of two characters
			plain = plain[at+2:]
			continue
		}
		plain = plain[at+6:]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		second, _ := unitAt(plain)
		if utf16.DecodeRune(unit, second) == utf8.RuneError {
			return fmt.Errorf(`%w: half of a surrogate pair, \u%04x`, ErrText, unit)
		}
		plain = plain[6:]
	}
}

// unitAt reads \u and four digits.
func unitAt(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit), err == nil
}

// transformer reads valid JSON and writes it in the canonical form.
type transformer struct {
	in  []byte // what is left
	out bytes.Buffer
}

// next is the first byte of the next token.
func (t *transformer) next() byte {
	t.in = bytes.TrimLeft(t.in, " \t\r\n")
	return t.in[0]
}

func (t *transformer) value() error {
	switch t.next() {
	case '{':
		return t.object()
	case '[':
		return t.array()
	case '"':
		text, err := t.text()
		writeString(&t.out, text)
		return err
	}
	end := bytes.IndexAny(t.in, ",]} \t\r\n")
	if end < 0 {
		end = len(t.in)
	}
	literal := string(t.in[:end])
	t.in = t.in[end:]
	if literal != "null" && literal != "true" && literal != "false" {
		n, err := strconv.ParseInt(literal, 10, 64)
		if err != nil || Integer(n).large() || strconv.FormatInt(n, 10) != literal {
			return fmt.Errorf("the number %s is no integer that every reader reads exactly", literal)
		}
	}
	t.out.WriteString(literal)
	return nil
}

func (t *transformer) array() error {
	t.in = t.in[1:]
	t.out.WriteByte('[')
	for t.next() != ']' {
		if t.in[0] == ',' {
			t.in = t.in[1:]
			t.out.WriteByte(',')
		}
		if err := t.value(); err != nil {
			return err
		}
	}
	t.in = t.in[1:]
	t.out.WriteByte(']')
	return nil
}

// object writes its members where they stand, and then in their order.
func (t *transformer) object() error {
	t.in = t.in[1:]
	begin := t.out.Len()
	type place struct {
		name     string
		from, to int
	}
	var places []place
	for t.next() != '}' {
		if t.in[0] == ',' {
			t.in = t.in[1:]
			t.next()
		}
		name, err := t.text()
		if err != nil {
			return err
		}
		t.next()
		t.in = t.in[1:] // the colon
		from := t.out.Len()
		writeString(&t.out, name)
		t.out.WriteByte(':')
		if err := t.value(); err != nil {
			return err
		}
		places = append(places, place{name, from, t.out.Len()})
	}
	t.in = t.in[1:]
	slices.SortFunc(places, func(a, b place) int { return byUnits(a.name, b.name) })
	written := slices.Clone(t.out.Bytes()[begin:])
	t.out.Truncate(begin)
	t.out.WriteByte('{')
	for i, p := range places {
		if i > 0 {
			if p.name == places[i-1].name {
				return fmt.Errorf("the name %q comes twice in one object", p.name)
			}
			t.out.WriteByte(',')
		}
		t.out.Write(written[p.from-begin : p.to-begin])
	}
	t.out.WriteByte('}')
	return nil
}

// text reads a string.
func (t *transformer) text() (string, error) {
	end := 1
	plain := true
	for ; t.in[end] != '"'; end++ {
		if t.in[end] == '\\' {
			plain = false
			end++
		}
	}
	quoted := t.in[:end+1]
	t.in = t.in[end+1:]
	if plain {
		return string(quoted[1:end]), nil
	}
	var text string
	err := json.Unmarshal(quoted, &text)
	return text, err
}

// byUnits orders keys by their UTF-16 code units. By them a character beyond the
// basic plane stands before U+E000 to U+FFFF; by bytes it stands behind.
func byUnits(a, b string) int {
	for a != "" && b != "" {
		x, n := utf8.DecodeRuneInString(a)
		y, m := utf8.DecodeRuneInString(b)
		if x != y {
			if first, second := firstUnit(x), firstUnit(y); first != second {
				return int(first - second)
			}
			return int(x - y)
		}
		a, b = a[n:], b[m:]
	}
	return len(a) - len(b)
}

func firstUnit(r rune) rune {
	if high, _ := utf16.EncodeRune(r); high != utf8.RuneError {
		return high
	}
	return r
}

// short are the escapes of two characters; every other control character is
// written as \u00 and two digits, and everything else as it is.
var short = map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

func writeString(out *bytes.Buffer, text string) {
	out.WriteByte('"')
	for {
		at := strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r == '"' || r == '\\' })
		if at < 0 {
			break
		}
		out.WriteString(text[:at])
		r := rune(text[at])
		if escape, ok := short[r]; ok {
			out.WriteString(escape)
		} else {
			fmt.Fprintf(out, `\u%04x`, r)
		}
		text = text[at+1:]
	}
	out.WriteString(text)
	out.WriteByte('"')
}

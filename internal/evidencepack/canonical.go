package evidencepack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxInteger is the greatest integer that every reader of JSON reads exactly.
const maxInteger = 1<<53 - 1

// integer is a count; one that not every reader would read exactly is written
// as a string.
type integer int64

// MarshalJSON writes the number, or a string with it.
func (n integer) MarshalJSON() ([]byte, error) {
	text := strconv.FormatInt(int64(n), 10)
	if n > maxInteger || n < -maxInteger {
		text = `"` + text + `"`
	}
	return []byte(text), nil
}

// canonical writes a value as RFC 8785 wants it. Of numbers it takes integers
// that every reader reads exactly: those have one form only, so that how floats
// are to be written is no question here.
func canonical(value any) ([]byte, error) {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return canonicalize(plain.Bytes())
}

// canonicalize brings JSON into the canonical form.
func canonicalize(plain []byte) ([]byte, error) {
	if !utf8.Valid(plain) {
		return nil, errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(plain))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	var out bytes.Buffer
	err := write(&out, tree)
	return out.Bytes(), err
}

func write(out *bytes.Buffer, value any) error {
	switch value := value.(type) {
	case nil:
		out.WriteString("null")
	case bool:
		out.WriteString(strconv.FormatBool(value))
	case string:
		writeString(out, value)
	case json.Number:
		n, err := strconv.ParseInt(value.String(), 10, 64)
		if err != nil || n > maxInteger || n < -maxInteger || strconv.FormatInt(n, 10) != value.String() {
			return fmt.Errorf("the number %s is no integer that every reader reads exactly", value)
		}
		out.WriteString(value.String())
	case []any:
		out.WriteByte('[')
		for i, element := range value {
			separate(out, i)
			if err := write(out, element); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	case map[string]any:
		out.WriteByte('{')
		for i, key := range slices.SortedFunc(maps.Keys(value), byUnits) {
			separate(out, i)
			writeString(out, key)
			out.WriteByte(':')
			if err := write(out, value[key]); err != nil {
				return err
			}
		}
		out.WriteByte('}')
	default:
		return fmt.Errorf("a %T is no JSON", value)
	}
	return nil
}

func separate(out *bytes.Buffer, i int) {
	if i > 0 {
		out.WriteByte(',')
	}
}

// byUnits orders keys by their UTF-16 code units. By them a character beyond the
// basic plane stands before U+E000 to U+FFFF; by bytes it stands behind.
func byUnits(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
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

package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Fault is why an event is not accepted.
type Fault struct{ Code, Reason string }

func (f *Fault) Error() string { return f.Reason }

// The codes of faults of one event.
const (
	codeNotJSON      = "NOT_JSON"
	codeNotEvent     = "NOT_AN_EVENT"
	codeTooLong      = "EVENT_TOO_LONG"
	codeDuplicateKey = "DUPLICATE_KEY"
	codeMissing      = "MISSING_FIELD"
	codeWrongType    = "WRONG_TYPE"
	codeIllegal      = "ILLEGAL_VALUE"
	codeBadTime      = "BAD_TIME"
)

// Object is an event, or an object in one, of which nothing was looked at but
// its keys. Asking for a field of another type keeps the first fault, so that a
// reader asks for all that it wants and once whether that was there.
type Object struct {
	path   string
	fields map[string]json.RawMessage
	fault  *Fault
	parent *Object
}

// open reads the keys of an object. Go's own decoder takes the last of two equal
// keys, and one that differs in its case: a log whose events mean one thing to
// us and another to the next reader is refused instead.
func open(path string, raw []byte) (*Object, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	if token != json.Delim('{') {
		return nil, &Fault{codeNotEvent, fmt.Sprintf("This is %s and no event.", kindOf(raw))}
	}
	o := &Object{path: path, fields: map[string]json.RawMessage{}}
	for decoder.More() {
		if err := o.field(decoder); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *Object) field(decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		return err
	}
	key, _ := token.(string) // the decoder gives nothing else here
	if _, double := o.fields[key]; double {
		o.fail(codeDuplicateKey, "%s stands there twice", o.name(key))
	}
	o.fields[key] = raw
	return nil
}

func kindOf(raw []byte) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func (o *Object) name(key string) string {
	if o.path != "" {
		return o.path + "." + Quote(key)
	}
	return Quote(key)
}

// Quote shows a text from the input, cut where it would drown the message.
func Quote(text string) string {
	if len(text) > 120 {
		text = strings.ToValidUTF8(text[:120], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}

func (o *Object) fail(code, format string, args ...any) {
	root := o
	for root.parent != nil {
		root = root.parent
	}
	if root.fault == nil {
		root.fault = &Fault{code, fmt.Sprintf("The field "+format+".", args...)}
	}
}

// Fault is the first thing that was wrong with what was asked for, nil if
// nothing was.
func (o *Object) Fault() *Fault { return o.fault }

// Sound says that nothing was wrong with what was asked for.
func (o *Object) Sound() bool { return o.fault == nil }

// Fail says that a field has a value that it cannot have.
func (o *Object) Fail(key, format string, args ...any) {
	o.fail(codeIllegal, "%s %s", o.name(key), fmt.Sprintf(format, args...))
}

// FailWith says what is wrong with the event as a whole.
func (o *Object) FailWith(code, reason string) { o.adopt(&Fault{code, reason}) }

// Has says whether a field is there and not null.
func (o *Object) Has(key string) bool {
	raw := o.fields[key]
	return raw != nil && !bytes.Equal(raw, []byte("null"))
}

// Object is an object in a field; one that is not there has no fields.
func (o *Object) Object(key string) *Object {
	inner := &Object{path: strings.Trim(o.path+"."+key, "."), parent: o}
	if !o.Has(key) {
		return inner
	}
	opened, err := open(inner.path, o.fields[key])
	var fault *Fault
	switch {
	case errors.As(err, &fault), err != nil:
		o.fail(codeWrongType, "%s must be an object and is %s", o.name(key), kindOf(o.fields[key]))
		return inner
	case opened.fault != nil:
		o.adopt(opened.fault)
	}
	inner.fields = opened.fields
	return inner
}

func (o *Object) adopt(fault *Fault) {
	root := o
	for root.parent != nil {
		root = root.parent
	}
	if root.fault == nil {
		root.fault = fault
	}
}

// maxText bounds the texts that are read. What is counted or named is far
// shorter; the objects of a call, which may be large, are not read.
const maxText = 2048

// Text is a text; one that is not there is empty.
func (o *Object) Text(key string) string {
	if !o.Has(key) {
		return ""
	}
	var text string
	if json.Unmarshal(o.fields[key], &text) != nil {
		o.fail(codeWrongType, "%s must be a text and is %s", o.name(key), kindOf(o.fields[key]))
		return ""
	}
	switch {
	case len(text) > maxText:
		o.fail(codeIllegal, "%s is longer than %d bytes", o.name(key), maxText)
		return ""
	case strings.ContainsFunc(text, unreadable):
		o.fail(codeIllegal, "%s contains a control character or one that cannot be read", o.name(key))
		return ""
	}
	return text
}

// unreadable holds for NUL and its like, and for what the decoder puts where
// there was no UTF-8 or half of a surrogate pair.
func unreadable(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }

// Required is a text that must be there.
func (o *Object) Required(key string) string {
	text := o.Text(key)
	if text == "" {
		o.fail(codeMissing, "%s is missing", o.name(key))
	}
	return text
}

// Int is a whole number; one that is not there is 0.
func (o *Object) Int(key string) int {
	if !o.Has(key) {
		return 0
	}
	var n int
	if json.Unmarshal(o.fields[key], &n) != nil {
		o.fail(codeWrongType, "%s must be a whole number", o.name(key))
	}
	return n
}

// Time is the first of some fields that is there, as a time of RFC 3339 that
// every part of the product can store and show. One of them must be there.
func (o *Object) Time(keys ...string) time.Time {
	for _, key := range keys {
		text := o.Text(key)
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || at.Year() <= 1970 || at.Year() > 9998 {
			o.fail(codeBadTime, "%s is %s and no time such as 2026-01-02T15:04:05Z", o.name(key), Quote(text))
			return time.Time{}
		}
		return at.UTC().Truncate(time.Microsecond)
	}
	o.fail(codeMissing, "%s is missing: nothing says when this was", o.name(keys[0]))
	return time.Time{}
}

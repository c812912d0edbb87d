package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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
	codeDuplicateKey = "DUPLICATE_KEY"
	codeMissing      = "MISSING_FIELD"
	codeWrongType    = "WRONG_TYPE"
	codeIllegal      = "ILLEGAL_VALUE"
	codeBadTime      = "BAD_TIME"
	codeInvalidText  = "INVALID_TEXT"
	codeTextTooLong  = "TEXT_TOO_LONG"
)

// errNoObject says that a value is none.
var errNoObject = errors.New("no object")

// Object is an event, or an object in one, of which nothing was looked at but
// its keys. Asking for a field of another type keeps the first fault, so that a
// reader asks for all that it wants and once whether that was there.
type Object struct {
	path   string
	fields map[string]json.RawMessage
	fault  *Fault
	left   int // texts that were left out
	parent *Object
}

// open reads the keys of an object. Go's own decoder takes the last of two equal
// keys, and one that differs in its case: a log whose events mean one thing to
// us and another to the next reader is refused instead.
func open(path string, raw []byte) (*Object, error) {
	decoder := newDecoder(bytes.NewReader(raw))
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	if token != json.Delim('{') {
		return nil, errNoObject
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
	o.put(key, raw)
	return nil
}

func (o *Object) put(key string, raw json.RawMessage) {
	if _, double := o.fields[key]; double {
		o.fail(codeDuplicateKey, "%s stands there twice", o.name(key))
	}
	o.fields[key] = raw
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
	o.adopt(&Fault{code, fmt.Sprintf("The field "+format+".", args...)})
}

// root is the element that this is, or is in.
func (o *Object) root() *Object {
	for o.parent != nil {
		o = o.parent
	}
	return o
}

// Fault is the first thing that was wrong with what was asked for, nil if
// nothing was.
func (o *Object) Fault() *Fault { return o.fault }

// TakeFault is the fault, which is then the caller's to tell of.
func (o *Object) TakeFault() *Fault {
	root := o.root()
	fault := root.fault
	root.fault = nil
	return fault
}

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
	if !o.Has(key) {
		return &Object{path: strings.Trim(o.path+"."+key, "."), parent: o}
	}
	return o.inner(key, o.fields[key])
}

// Objects are those of a list in a field.
func (o *Object) Objects(key string) []*Object {
	list := o.list(key)
	objects := make([]*Object, 0, len(list))
	for i, raw := range list {
		objects = append(objects, o.inner(fmt.Sprintf("%s[%d]", key, i), raw))
	}
	return objects
}

func (o *Object) inner(key string, raw []byte) *Object {
	inner := &Object{path: strings.Trim(o.path+"."+key, "."), parent: o}
	opened, err := open(inner.path, raw)
	switch {
	case err != nil:
		o.fail(codeWrongType, "%s must be an object and is %s", o.name(key), kindOf(raw))
		return inner
	case opened.fault != nil:
		o.adopt(opened.fault)
	}
	inner.fields = opened.fields
	return inner
}

func (o *Object) list(key string) (list []json.RawMessage) {
	if o.Has(key) && json.Unmarshal(o.fields[key], &list) != nil {
		o.fail(codeWrongType, "%s must be a list and is %s", o.name(key), kindOf(o.fields[key]))
	}
	return list
}

func (o *Object) adopt(fault *Fault) {
	if root := o.root(); root.fault == nil {
		root.fault = fault
	}
}

// maxText bounds the texts that are read. What is counted or named is far
// shorter; the objects of a call, which may be large, are not read.
const maxText = 2048

// Text is a text; one that is not there is empty.
func (o *Object) Text(key string) string {
	text, fault := o.read(key)
	if fault != nil {
		o.fail(codeIllegal, "%s", fault.Reason)
	}
	return text
}

// Key is a text that names something: as Text, with codes of their own for a name
// that is too long and for one that cannot be read.
func (o *Object) Key(key string) string {
	text, fault := o.read(key)
	if fault != nil {
		o.fail(fault.Code, "%s", fault.Reason)
	}
	return text
}

// RequiredKey is a name that must be there.
func (o *Object) RequiredKey(key string) string {
	text := o.Key(key)
	if text == "" {
		o.Missing(key)
	}
	return text
}

// Missing says that a field must be there and is not.
func (o *Object) Missing(key string) { o.fail(codeMissing, "%s is missing", o.name(key)) }

// Loose is a text that says something beside: one that cannot be kept is left out
// and counted, and costs nothing else.
func (o *Object) Loose(key string) string {
	text, fault := o.read(key)
	if fault != nil {
		o.root().left++
	}
	return text
}

// LeftOut is how many texts of the whole element were left out.
func (o *Object) LeftOut() int { return o.root().left }

// Texts are the texts of a list in a field; a single text is a list of one. Those
// that cannot be kept are left out and counted.
func (o *Object) Texts(key string) []string {
	if !o.Has(key) {
		return nil
	}
	list := []json.RawMessage{o.fields[key]}
	if list[0][0] != '"' {
		list = o.list(key)
	}
	texts := make([]string, 0, len(list))
	for i, raw := range list {
		switch text, fault := o.text(fmt.Sprintf("%s[%d]", key, i), raw); {
		case fault != nil:
			o.root().left++
		case text != "":
			texts = append(texts, text)
		}
	}
	return texts
}

func (o *Object) read(key string) (string, *Fault) {
	if !o.Has(key) {
		return "", nil
	}
	return o.text(key, o.fields[key])
}

// text is a text, or why it cannot be kept.
func (o *Object) text(key string, raw []byte) (string, *Fault) {
	var text string
	if kindOf(raw) != "a text" {
		o.fail(codeWrongType, "%s must be a text and is %s", o.name(key), kindOf(raw))
		return "", nil
	}
	_ = json.Unmarshal(raw, &text) // the decoder took it for a text
	switch {
	case len(text) > maxText:
		return "", &Fault{codeTextTooLong, fmt.Sprintf("%s is longer than %d bytes", o.name(key), maxText)}
	case strings.ContainsFunc(text, unreadable):
		return "", &Fault{codeInvalidText, o.name(key) + " contains a control character or one that cannot be read"}
	}
	return text, nil
}

// Number is a whole number that may be written as a text, as tools do that have
// changed their mind; ok is false where none of that stands there. One that is
// not there is none.
func (o *Object) Number(key string) (n int64, ok bool) {
	raw := bytes.TrimSpace(o.fields[key])
	if len(raw) > 1 && raw[0] == '"' {
		var text string
		_ = json.Unmarshal(raw, &text) // what the decoder took
		raw = []byte(strings.TrimSpace(text))
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

// Raw is what stands in a field, as it was sent.
func (o *Object) Raw(key string) string { return strings.Trim(string(o.fields[key]), `"`) }

// True says whether a field holds true; one that is not there does not.
func (o *Object) True(key string) bool {
	var is bool
	if o.Has(key) && json.Unmarshal(o.fields[key], &is) != nil {
		o.fail(codeWrongType, "%s must be true or false and is %s", o.name(key), kindOf(o.fields[key]))
	}
	return is
}

// unreadable holds for NUL and its like, and for what the decoder puts where
// there was no UTF-8 or half of a surrogate pair.
func unreadable(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }

// Required is a text that must be there.
func (o *Object) Required(key string) string {
	text := o.Text(key)
	if text == "" {
		o.Missing(key)
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

package eventlog

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// maxValue bounds one element. An event with the whole answer to a list of pods
// has tens of megabytes.
const maxValue = 64 << 20

// headSize is how much of a file is looked at to tell lines from a list.
const headSize = 1 << 20

// Reader reads the files of one log, or of another input of that shape.
type Reader struct {
	Prefix string         // begins the codes of faults of a file
	Noun   string         // what an element is called: event, if it is empty
	List   string         // the key of an object that holds a list of elements
	Out    record.Emitter // is told of what is no element
	Each   func(record.Position, *Object) error

	// Holder is given what else stands in an object that holds a list, after the
	// list was read. Nil: nobody asks.
	Holder func(record.Position, *Object) error

	// Whole says that a last line without its end refuses the file: a log may be
	// written while it is read, what somebody delivers was cut off.
	Whole bool

	MaxValue int // bounds one element; 0: the usual one

	values int
	name   string
}

// noun is what an element is called, as it is and after its article.
func (r *Reader) noun() (bare, article string) {
	bare = cmp.Or(r.Noun, "event")
	if strings.ContainsRune("aeiou", rune(bare[0])) {
		return bare, "an"
	}
	return bare, "a"
}

// code is the code of a fault that names the elements: NOT_AN_EVENT.
func code(words ...string) string { return strings.ToUpper(strings.Join(words, "_")) }

// Values is how many values stood in the files: 0 if there was nothing in them.
func (r *Reader) Values() int { return r.values }

// Read reads a file of some name. An error is a fault of the file
// (*problem.Error), or what the content, Each or Out returned.
func (r *Reader) Read(name string, content io.Reader) error {
	r.name = name
	r.MaxValue = cmp.Or(r.MaxValue, maxValue)
	in := bufio.NewReaderSize(content, headSize)
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return r.unreadable(1, err)
	}
	if err := r.refuseBinary(head); err != nil {
		return err
	}
	if bytes.HasPrefix(head, mark) {
		_, _ = in.Discard(len(mark)) // it was peeked
		head = head[len(mark):]
	}
	if isLines(head) {
		return r.lines(in)
	}
	return r.document(in)
}

// mark is what some editors begin UTF-8 with.
var mark = []byte("\xef\xbb\xbf")

// signatures are the beginnings of files that are not text but are sent by
// mistake, with what to do about it.
var signatures = []struct{ begin, hint string }{
	{"\x1f\x8b", "The file is compressed with gzip; decompress it first: gunzip FILE"},
	{"\x28\xb5\x2f\xfd", "The file is compressed with zstd; decompress it first: unzstd FILE"},
	{"PK\x03\x04", "The file is a zip archive; it has to be text."},
	{"\xff\xfe", "The file is in UTF-16; it has to be in UTF-8."},
	{"\xfe\xff", "The file is in UTF-16; it has to be in UTF-8."},
}

func (r *Reader) refuseBinary(head []byte) error {
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.begin)) {
			return r.fault("NOT_TEXT", 1, "%s", s.hint)
		}
	}
	return nil
}

// isLines says whether a file is a value to a line: its first line is a whole
// one. A list over many lines begins with a piece of one.
func isLines(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	line, _, more := bytes.Cut(head, []byte("\n"))
	return more && json.Valid(line)
}

func (r *Reader) lines(in *bufio.Reader) error {
	var line []byte
	for number := 1; ; number++ {
		var whole, long bool
		var err error
		line, whole, long, err = r.line(in, line[:0])
		if err != nil {
			return r.unreadable(number, err)
		}
		at := record.Position{File: r.name, Line: number}
		text := bytes.TrimSpace(line)
		switch {
		case long:
			noun, _ := r.noun()
			err = r.reject(at, &Fault{Code: code(noun, "too", "long"), Reason: fmt.Sprintf("The line is longer than %d bytes.", r.MaxValue)})
		case len(text) == 0:
		case r.Whole && !whole && isCut(text):
			return r.truncated(number)
		case !json.Valid(text):
			err = r.reject(at, &Fault{Code: codeNotJSON, Reason: "The line is not JSON."})
		default:
			err = r.value(newDecoder(bytes.NewReader(text)), func(int64) int { return number })
		}
		if err != nil || !whole {
			return err
		}
	}
}

// newDecoder leaves numbers as they are: one that no float can hold is JSON.
func newDecoder(in io.Reader) *json.Decoder {
	decoder := json.NewDecoder(in)
	decoder.UseNumber()
	return decoder
}

// isCut says whether a text is the beginning of a value.
func isCut(text []byte) bool {
	err := json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage))
	return errors.Is(err, io.ErrUnexpectedEOF)
}

// line is the next line; it is whole if a line end followed it. Of one that is
// too long the end is found and nothing kept.
func (r *Reader) line(in *bufio.Reader, buffer []byte) (line []byte, whole, long bool, err error) {
	for {
		piece, err := in.ReadSlice('\n')
		if long = long || len(buffer)+len(piece) > r.MaxValue; long {
			buffer = buffer[:0]
		} else {
			buffer = append(buffer, piece...)
		}
		switch {
		case err == nil:
			return buffer, true, long, nil
		case errors.Is(err, io.EOF):
			return buffer, false, long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, false, err
		}
	}
}

// document reads values that do not keep to lines.
func (r *Reader) document(in io.Reader) error {
	source := &source{in: in}
	decoder := newDecoder(source)
	source.limit = func() int64 { return decoder.InputOffset() + int64(r.MaxValue) }
	for {
		err := r.value(decoder, source.line)
		if errors.Is(err, errEnd) {
			return nil
		}
		var syntax *json.SyntaxError
		switch line := source.line(decoder.InputOffset()); {
		case err == nil:
		case errors.Is(source.err, errTooLong):
			return r.tooLarge(line)
		case source.err != nil && !errors.Is(source.err, io.EOF):
			return r.unreadable(line, source.err)
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input":
			return r.truncated(source.line(source.offset - 1))
		case errors.As(err, &syntax):
			return r.fault("NOT_JSON", source.line(max(syntax.Offset-1, decoder.InputOffset())), "This is not JSON: %s.", syntax.Error())
		default:
			return err
		}
	}
}

// errEnd says that nothing follows.
var errEnd = errors.New("the end")

// value reads one value: an element, a list of them, or an object that holds one.
func (r *Reader) value(decoder *json.Decoder, line func(int64) int) error {
	token, err := decoder.Token()
	if errors.Is(err, io.EOF) {
		return errEnd
	}
	if err != nil {
		return err
	}
	r.values++
	at := record.Position{File: r.name, Line: line(decoder.InputOffset() - 1)}
	switch token {
	case json.Delim('['):
		return r.list(decoder, line)
	case json.Delim('{'):
		return r.object(decoder, at, line)
	}
	return r.reject(at, r.noElement("a single value"))
}

func (r *Reader) noElement(what string) *Fault {
	noun, article := r.noun()
	return &Fault{Code: code("not", article, noun), Reason: fmt.Sprintf("This is %s and no %s.", what, noun)}
}

// list reads the elements of a list whose bracket was taken.
func (r *Reader) list(decoder *json.Decoder, line func(int64) int) error {
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		at := record.Position{File: r.name, Line: line(decoder.InputOffset() - int64(len(raw)))}
		o, err := open("", raw)
		switch {
		case errors.Is(err, errNoObject):
			err = r.reject(at, r.noElement(kindOf(raw)))
		case err == nil:
			err = r.give(at, o, r.Each)
		}
		if err != nil {
			return err
		}
	}
	_, err := decoder.Token() // the bracket
	return err
}

// object reads an object whose brace was taken: an element, or what holds a list.
func (r *Reader) object(decoder *json.Decoder, at record.Position, line func(int64) int) error {
	o := &Object{fields: map[string]json.RawMessage{}}
	holds, held := false, 0
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		if r.List == "" || token != r.List {
			var raw json.RawMessage
			if err := decoder.Decode(&raw); err != nil {
				return err
			}
			key, _ := token.(string)
			if held += len(key) + len(raw); held > r.MaxValue {
				return r.tooLarge(line(decoder.InputOffset()))
			}
			o.put(key, raw)
			continue
		}
		if token, err = decoder.Token(); err != nil {
			return err
		}
		switch {
		case token == json.Delim('['):
			err = r.list(decoder, line)
		case token != nil: // null is a list without anything
			noun, _ := r.noun()
			return r.fault(code("not", noun+"s"), line(decoder.InputOffset()), "%q must be a list of %ss.", r.List, noun)
		}
		if err != nil {
			return err
		}
		holds = true
	}
	if _, err := decoder.Token(); err != nil { // the brace
		return err
	}
	switch {
	case !holds:
		return r.give(at, o, r.Each)
	case r.Holder != nil:
		return r.give(at, o, r.Holder)
	}
	return nil
}

func (r *Reader) give(at record.Position, o *Object, to func(record.Position, *Object) error) error {
	if o.fault != nil {
		return r.reject(at, o.fault)
	}
	if err := to(at, o); err != nil {
		return err
	}
	if o.fault != nil {
		return r.reject(at, o.fault)
	}
	return nil
}

func (r *Reader) reject(at record.Position, fault *Fault) error {
	return r.Out.Reject(record.Rejection{Position: at, Code: fault.Code, Reason: fault.Reason})
}

func (r *Reader) fault(code string, line int, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, r.Prefix+"_"+code, format, args...).At(r.name, line)
}

// unreadable is the error of an input that broke. A body that ended before its
// announced length was cut off, as a list without its end was.
func (r *Reader) unreadable(line int, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return r.truncated(line).Because(err)
	}
	return fmt.Errorf("read %s: %w", r.name, err)
}

func (r *Reader) tooLarge(line int) *problem.Error {
	noun, article := r.noun()
	return r.fault("TOO_LARGE", line, "%s %s is larger than %d bytes.", strings.ToUpper(article[:1])+article[1:], noun, r.MaxValue)
}

func (r *Reader) truncated(line int) *problem.Error {
	return r.fault("TRUNCATED", line, "The file is cut off. Nothing of it was applied; send all of it.")
}

// source counts the lines of what a decoder reads and bounds what it holds.
type source struct {
	in     io.Reader
	limit  func() int64
	offset int64
	breaks []int64 // where the lines end that were read and not asked for
	passed int     // line ends before breaks
	err    error
}

var errTooLong = errors.New("one value is too long")

// Read gives small pieces, so that what was read and what was taken are never
// far apart but within one value.
func (s *source) Read(p []byte) (int, error) {
	if s.offset > s.limit() {
		s.err = errTooLong
		return 0, s.err
	}
	n, err := s.in.Read(p[:min(len(p), 64<<10)])
	for i, c := range p[:n] {
		if c == '\n' {
			s.breaks = append(s.breaks, s.offset+int64(i))
		}
	}
	s.offset += int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}

// line is the line of an offset, which is not before one that was asked for.
func (s *source) line(offset int64) int {
	past := 0
	for past < len(s.breaks) && s.breaks[past] < offset {
		past++
	}
	s.breaks = s.breaks[past:]
	s.passed += past
	return s.passed + 1
}

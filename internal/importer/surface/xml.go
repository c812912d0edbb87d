package surface

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// headSize is how much of a file may stand before its document.
	headSize = 64 << 10
	// maxElement bounds one element that is decoded, and what stands between two.
	// A host that answers on each of its ports has 9 megabytes.
	maxElement = 32 << 20
	// maxElements bounds the elements in one, for the smallest has seven bytes
	// and costs a hundred.
	maxElements   = 500_000
	maxDepth      = 64
	maxAttributes = 64
)

var errLarge = errors.New("one element is too large")

// Document is an XML document of which one element at a time is read. It has no
// entities but those of XML itself and fetches nothing, whatever the document
// says of itself.
type Document struct {
	Root xml.StartElement

	prefix   string
	limit    int64 // of one element
	in       *cleaner
	inner    *xml.Decoder // gives tokens
	outer    *xml.Decoder // takes them guarded, and decodes
	before   int          // lines before the document
	path     []string     // the elements that are open, the root first
	start    xml.StartElement
	line     int   // where start begins
	begin    int64 // where the guard counts from
	elements int   // and since then
	decoding bool
}

// XML opens a document whose root element has the name root. What stands before
// the document (a comment, a mark, the first lines that a scanner prints) is
// skipped if it is no longer than 64 KiB. Faults are problems whose codes begin
// with prefix; whoever knows the file's name adds it by [In].
func XML(in io.Reader, prefix, root string) (*Document, error) {
	return open(in, prefix, root, maxElement)
}

func open(in io.Reader, prefix, root string, limit int64) (*Document, error) {
	source := bufio.NewReaderSize(&sticky{in: in}, headSize)
	d := &Document{prefix: prefix, limit: limit}
	head, err := source.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, d.unreadable(err)
	}
	before, err := d.find(head, root, errors.Is(err, io.EOF))
	if err != nil {
		return nil, err
	}
	set, err := d.characterSet(head[before:])
	if err != nil {
		return nil, err
	}
	d.before = bytes.Count(head[:before], []byte("\n"))
	_, _ = source.Discard(before) // it was peeked
	d.in = &cleaner{in: source, single: set, limit: 2 * limit}
	d.inner = xml.NewDecoder(d.in)
	d.inner.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // the cleaner has done it
	d.outer = xml.NewTokenDecoder((*guard)(d))
	if d.Root, err = d.next(); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, d.fault("TRUNCATED", d.Line(), "The file ends before its first element. Nothing of it was applied; send all of it.")
		}
		return nil, err
	}
	if d.Root.Name.Local != root {
		return nil, d.fault("WRONG_FORMAT", d.line, "The document is a <%.40s> and not a <%s>.", d.Root.Name.Local, root)
	}
	return d, nil
}

// signatures are the beginnings of files that are sent by mistake, with what to
// do about it.
var signatures = []struct{ begin, hint string }{
	{"\x1f\x8b", "The file is compressed with gzip; decompress it first: gunzip FILE"},
	{"\x28\xb5\x2f\xfd", "The file is compressed with zstd; decompress it first: unzstd FILE"},
	{"PK\x03\x04", "The file is a zip archive; send the files in it."},
	{"\xff\xfe", "The file is in UTF-16; convert it to UTF-8 first: iconv -f UTF-16 -t UTF-8 FILE"},
	{"\xfe\xff", "The file is in UTF-16; convert it to UTF-8 first: iconv -f UTF-16 -t UTF-8 FILE"},
	{"<\x00", "The file is in UTF-16; convert it to UTF-8 first: iconv -f UTF-16LE -t UTF-8 FILE"},
	{"\x00<", "The file is in UTF-16; convert it to UTF-8 first: iconv -f UTF-16BE -t UTF-8 FILE"},
}

// An element that begins: here, or anywhere.
var (
	element     = regexp.MustCompile(`^<([A-Za-z][A-Za-z0-9_.:-]{0,99})`)
	declaration = regexp.MustCompile(`^<(?:\?|!(?i:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION))`)
	anyElement  = regexp.MustCompile(`<([A-Za-z][A-Za-z0-9_.:-]{0,99})`)
)

// find is where the document begins: its declaration, its type or its root.
// Comments before it may hold any of these.
func (d *Document) find(head []byte, root string, whole bool) (int, error) {
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.begin)) {
			return 0, d.fault("NOT_TEXT", 1, "%s", s.hint)
		}
	}
	if whole && len(bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))) == 0 {
		return 0, d.fault("EMPTY", 0, "The file is empty. A scan that found nothing says so in its format; send it when it has ended.")
	}
	for at := 0; ; {
		i := bytes.IndexByte(head[at:], '<')
		if i < 0 {
			break
		}
		at += i
		rest := head[at:]
		if bytes.HasPrefix(rest, []byte("<!--")) {
			end := bytes.Index(rest, []byte("-->"))
			if end < 0 {
				break
			}
			at += end
			continue
		}
		if name := element.FindSubmatch(rest); declaration.Match(rest) || name != nil && string(name[1]) == root {
			return at, nil
		}
		at++
	}
	if name := anyElement.FindSubmatch(head); name != nil {
		return 0, d.fault("WRONG_FORMAT", 1, "The file begins with a <%.40s> and not with a <%s>.", name[1], root)
	}
	if whole && bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("<")) {
		return 0, d.fault("TRUNCATED", 1, "The file is cut off. Nothing of it was applied; send all of it.")
	}
	return 0, d.fault("NOT_XML", 1, "There is no XML document in the first 64 KiB of the file.")
}

var declared = regexp.MustCompile(`^<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"']*)["']`)

// characterSet is the set that a document declares, nil for UTF-8.
func (d *Document) characterSet(head []byte) (*[128]rune, error) {
	name := declared.FindSubmatch(head)
	if name == nil {
		return nil, nil
	}
	set, known := characterSets[strings.ToLower(string(name[1]))]
	if !known {
		return nil, d.fault("NOT_TEXT", 1, "The file is in %.40q; convert it to UTF-8 first.", name[1])
	}
	return set, nil
}

// Next is the next element that begins, at any depth below the root, with the
// names of those that it stands in, the root first. After the last it is io.EOF,
// and the document was whole.
func (d *Document) Next() (start xml.StartElement, in []string, err error) {
	start, err = d.next()
	if err != nil {
		return start, nil, err
	}
	return start, d.path[:len(d.path)-1], nil
}

func (d *Document) next() (xml.StartElement, error) {
	for {
		d.mark()
		token, err := d.outer.Token()
		if err != nil {
			return xml.StartElement{}, d.explain(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			d.start = token.Copy()
			return d.start, nil
		case xml.CharData:
			if len(d.path) == 0 && d.Root.Name.Local == "" && len(bytes.TrimSpace(token)) > 0 {
				return xml.StartElement{}, d.fault("NOT_XML", d.Line(), "There is text where an element should begin.")
			}
		}
	}
}

// mark lets the guard count anew.
func (d *Document) mark() {
	d.begin, d.elements = d.inner.InputOffset(), 0
	d.in.limit = d.begin + 2*d.limit
}

// Decode reads the whole element that Next gave last.
func (d *Document) Decode(into any) error {
	line := d.line
	d.decoding = true
	err := d.outer.DecodeElement(into, &d.start)
	d.decoding = false
	d.line = line
	if err != nil {
		return d.explain(err)
	}
	return nil
}

// Line is where the element begins that Next gave last.
func (d *Document) Line() int { return max(d.line, 1) }

// Attribute is an attribute of an element, empty if it is not there.
func Attribute(of xml.StartElement, name string) string {
	for _, a := range of.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// guard looks at each token before anything is made of it.
type guard Document

// Token is the next token that is no more than it may be.
func (g *guard) Token() (xml.Token, error) {
	d := (*Document)(g)
	row, _ := d.inner.InputPos()
	token, err := d.inner.Token()
	if err != nil {
		return token, err
	}
	switch token := token.(type) {
	case xml.StartElement:
		if !d.decoding {
			d.line = d.before + row
		}
		err = d.open(token)
	case xml.EndElement:
		d.path = d.path[:max(len(d.path)-1, 0)]
	case xml.Directive:
		err = d.directive(token)
	}
	if err == nil && d.inner.InputOffset()-d.begin > d.limit {
		err = errLarge
	}
	if err != nil {
		return nil, err // a token beside an error would be taken
	}
	return token, nil
}

func (d *Document) open(start xml.StartElement) error {
	if len(d.path) == 0 && d.Root.Name.Local != "" {
		return d.fault("NOT_XML", d.Line(), "A second document begins here; send each in a file of its own.")
	}
	d.path = append(d.path, start.Name.Local)
	if len(d.path) > maxDepth {
		return d.fault("TOO_DEEP", d.Line(), "Elements stand in each other more than %d deep.", maxDepth)
	}
	if d.elements++; d.elements > maxElements {
		return errLarge
	}
	if len(start.Attr) > maxAttributes {
		return d.fault("TOO_LARGE", d.Line(), "The element <%.40s> has more than %d attributes.", start.Name.Local, maxAttributes)
	}
	for i, a := range start.Attr {
		for _, b := range start.Attr[:i] {
			if a.Name == b.Name {
				return d.fault("NOT_XML", d.Line(), "The element <%.40s> has the attribute %.40s twice.", start.Name.Local, a.Name.Local)
			}
		}
	}
	return nil
}

// directive lets the declaration of a document's type pass, which may name a
// file that nobody opens, but none that declares anything.
func (d *Document) directive(text xml.Directive) error {
	words := bytes.Fields(text)
	if len(words) > 0 && bytes.EqualFold(words[0], []byte("DOCTYPE")) && !bytes.ContainsAny(text, "[<") {
		return nil
	}
	return d.entities()
}

func (d *Document) entities() error {
	return d.fault("ENTITIES", d.Line(), "The document declares or uses entities of its own. No scanner writes these, and they are not read.")
}

// explain is the fault of a file that an error of a decoder means.
func (d *Document) explain(err error) error {
	var known *problem.Error
	var syntax *xml.SyntaxError
	switch broken := d.in.err; {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errLarge), errors.Is(broken, errLarge):
		return d.fault("TOO_LARGE", d.Line(), "One element is larger than %d MiB or has more than %d in it.", d.limit>>20, maxElements)
	case broken != nil && !errors.Is(broken, io.EOF):
		return d.unreadable(broken)
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return d.truncated()
	case errors.As(err, &syntax) && strings.HasPrefix(syntax.Msg, "invalid character entity &") &&
		!strings.HasPrefix(syntax.Msg, "invalid character entity &#") && !strings.HasSuffix(syntax.Msg, "(no semicolon)"):
		return d.entities()
	case errors.As(err, &syntax):
		return d.fault("NOT_XML", d.before+syntax.Line, "This is not XML: %s.", shorten(syntax.Msg))
	}
	return d.fault("NOT_XML", d.Line(), "This is not XML: %s.", shorten(strings.TrimPrefix(err.Error(), "xml: ")))
}

// shorten keeps a message of the decoder, which may quote the input, within
// bounds.
func shorten(text string) string {
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

func (d *Document) fault(code string, line int, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, d.prefix+"_"+code, format, args...).At("", line)
}

// unreadable is the error of an input that broke. A body that ended before its
// announced length was cut off, as a document without its end was.
func (d *Document) unreadable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return d.truncated().Because(err)
	}
	return fmt.Errorf("read the file: %w", err)
}

func (d *Document) truncated() *problem.Error {
	return d.fault("TRUNCATED", d.Line(), "The file is cut off. Nothing of it was applied; send all of it.")
}

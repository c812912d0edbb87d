package zap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// maxValue bounds one text, or one instance, that is held.
	maxValue = 8 << 20
	maxDepth = 64
	maxKeys  = 1000
)

// reader walks through a report in JSON and holds one value of it.
type reader struct {
	report  *report
	in      *lineReader
	decoder *json.Decoder
	depth   int
	line    int // of the token that was taken last
}

// readJSON reads the same tree as readXML: an object with a list of sites, each
// with its alerts and their instances.
func (r *report) readJSON(in io.Reader) error {
	source := &lineReader{in: in}
	w := &reader{report: r, in: source, decoder: json.NewDecoder(source)}
	w.decoder.UseNumber()
	source.limit = func() int64 { return w.decoder.InputOffset() + maxValue + 64<<10 }
	known := false
	first, err := w.token()
	if err != nil {
		return err
	}
	err = w.object(first, func(key string) error {
		switch key {
		case "@generated":
			text, err := w.text()
			r.made(text)
			return err
		case "site":
			known = true
			return w.list(w.site)
		case "@programName":
			known = true
		}
		return w.skip()
	})
	switch {
	case err != nil:
		return err
	case !known:
		return w.fault("WRONG_FORMAT", "This is no report of ZAP: it has no site.")
	}
	if _, err := w.decoder.Token(); !errors.Is(err, io.EOF) {
		if err != nil {
			return w.explain(err)
		}
		return w.fault("NOT_JSON", "A second value stands behind the report; send each in a file of its own.")
	}
	return nil
}

// site reads a site. Its name stands before its alerts in what ZAP writes; where
// it does not, the instances are told without it and it comes after them.
func (w *reader) site(first json.Token) error {
	at := w.at()
	var site siteText
	names := map[string]*string{"@name": &site.name, "@host": &site.host, "@port": &site.port, "@ssl": &site.ssl}
	begun := false
	err := w.object(first, func(key string) error {
		if key == "alerts" {
			if !begun && (site.host != "" || site.name != "") {
				begun = true
				if err := w.report.begin(at, site); err != nil {
					return err
				}
			}
			return w.list(w.alert)
		}
		if into := names[key]; into != nil {
			text, err := w.text()
			*into = text
			return err
		}
		return w.skip()
	})
	if err != nil || begun {
		return err
	}
	return w.report.begin(at, site)
}

func (w *reader) alert(first json.Token) error {
	return w.object(first, func(key string) error {
		if key == "instances" {
			return w.list(w.instance)
		}
		return w.skip()
	})
}

func (w *reader) instance(first json.Token) error {
	at := w.at()
	var uri, method string
	err := w.object(first, func(key string) (err error) {
		switch key {
		case "uri":
			uri, err = w.text()
			return err
		case "method":
			method, err = w.text()
			return err
		}
		return w.skip()
	})
	if err != nil {
		return err
	}
	return w.report.instance(at, uri, method)
}

// object reads an object that begins with a token, whose values each takes, key
// by key.
func (w *reader) object(first json.Token, each func(key string) error) error {
	if first != json.Delim('{') {
		return w.fault("WRONG_FORMAT", "An object should stand here.")
	}
	known := map[string]bool{}
	for w.decoder.More() {
		token, err := w.token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // the decoder gives nothing else here
		switch {
		case known[key]:
			return w.fault("DUPLICATE_KEY", "The key %.40q stands there twice.", key)
		case len(known) == maxKeys:
			return w.fault("TOO_LARGE", "An object has more than %d keys.", maxKeys)
		}
		known[key] = true
		if err := each(key); err != nil {
			return err
		}
	}
	_, err := w.token()
	return err
}

// list reads a list, or one value that stands where a list is expected: what made
// JSON out of XML could not know that there may be more.
func (w *reader) list(each func(first json.Token) error) error {
	first, err := w.token()
	if err != nil || first == nil {
		return err
	}
	if first != json.Delim('[') {
		return each(first)
	}
	for w.decoder.More() {
		if first, err = w.token(); err != nil {
			return err
		}
		if err := each(first); err != nil {
			return err
		}
	}
	_, err = w.token()
	return err
}

// text reads a text, or a number or boolean as one.
func (w *reader) text() (string, error) {
	token, err := w.token()
	if err != nil {
		return "", err
	}
	switch token := token.(type) {
	case nil:
		return "", nil
	case json.Delim:
		return "", w.fault("WRONG_FORMAT", "A text should stand here.")
	default:
		return fmt.Sprint(token), nil
	}
}

// skip passes over a value.
func (w *reader) skip() error {
	depth := w.depth
	for {
		if _, err := w.token(); err != nil {
			return err
		}
		if w.depth <= depth {
			return nil
		}
	}
}

// token takes the next token.
func (w *reader) token() (json.Token, error) {
	begin := w.decoder.InputOffset()
	token, err := w.decoder.Token()
	if err != nil {
		return nil, w.explain(err)
	}
	if w.decoder.InputOffset()-begin > maxValue {
		return nil, w.explain(errLarge)
	}
	w.line = w.in.line(w.decoder.InputOffset() - 1)
	switch token {
	case json.Delim('{'), json.Delim('['):
		if w.depth++; w.depth > maxDepth {
			return nil, w.fault("TOO_DEEP", "Values stand in each other more than %d deep.", maxDepth)
		}
	case json.Delim('}'), json.Delim(']'):
		w.depth--
	}
	return token, nil
}

func (w *reader) at() record.Position { return record.Position{File: w.report.file, Line: w.line} }

func (w *reader) fault(code, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, codePrefix+"_"+code, format, args...).At("", max(w.line, 1))
}

// explain is the fault of a file that an error of the decoder means.
func (w *reader) explain(err error) error {
	var syntax *json.SyntaxError
	switch broken := w.in.err; {
	case errors.Is(err, errLarge), errors.Is(broken, errLarge):
		return w.fault("TOO_LARGE", "One value is larger than %d MiB.", maxValue>>20)
	case broken != nil && !errors.Is(broken, io.EOF) && !errors.Is(broken, io.ErrUnexpectedEOF):
		return fmt.Errorf("read the file: %w", broken)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input":
		return w.fault("TRUNCATED", "The file is cut off. Nothing of it was applied; send all of it.")
	}
	return w.fault("NOT_JSON", "This is not JSON: %s.", err.Error())
}

var errLarge = errors.New("one value is too large")

// lineReader counts the lines of what a decoder reads and bounds what it holds.
type lineReader struct {
	in     io.Reader
	limit  func() int64
	offset int64
	breaks []int64 // where the lines end that were read and not asked for
	passed int     // line ends before breaks
	err    error
}

// Read gives small pieces, so that what was read and what was taken are never far
// apart but within one value.
func (l *lineReader) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.offset > l.limit() {
		l.err = errLarge
		return 0, l.err
	}
	n, err := l.in.Read(p[:min(len(p), 64<<10)])
	for i := 0; i < n; {
		next := bytes.IndexByte(p[i:n], '\n')
		if next < 0 {
			break
		}
		i += next + 1
		l.breaks = append(l.breaks, l.offset+int64(i-1))
	}
	l.offset += int64(n)
	l.err = err
	return n, err
}

// line is the line of an offset, which is not before one that was asked for.
func (l *lineReader) line(offset int64) int {
	past := 0
	for past < len(l.breaks) && l.breaks[past] < offset {
		past++
	}
	l.breaks = l.breaks[past:]
	l.passed += past
	return l.passed + 1
}

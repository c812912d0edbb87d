package snapshot

import (
	"errors"
	"io"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Options adjust a parse. The zero value is useful.
type Options struct {
	// Now is what times are compared with: one more than five minutes after it
	// is refused. Zero: none is.
	Now time.Time
}

// Parse reads a snapshot without options.
func Parse(name string, r io.Reader, onHeader func(Header) error, out record.Emitter) error {
	return Options{}.Parse(name, r, onHeader, out)
}

// Parse reads a snapshot of some name from r. It calls onHeader, which may be
// nil, once and before any record, and gives out what each line says.
//
// Until Parse returns nil nothing it gave out may be applied. A fault of the
// file is a *problem.Error; an error of onHeader or out ends the parse and is
// returned as it is; an error of r is wrapped. Memory is bounded by one line,
// whatever the size of the input.
func (o Options) Parse(name string, r io.Reader, onHeader func(Header) error, out record.Emitter) error {
	p := parser{lines: newLines(name, r), decoder: newDecoder(o.Now), tally: newTally(), out: out}
	header, err := p.header()
	if err != nil {
		return err
	}
	if onHeader != nil {
		if err := onHeader(header); err != nil {
			return err
		}
	}
	return p.records()
}

type parser struct {
	lines   *lines
	decoder decoder
	tally   tally
	out     record.Emitter
}

// fault is an error of the file in the present line.
func (p *parser) fault(code, field, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, code, format, args...).On(field).At(p.lines.name, p.lines.number)
}

func (p *parser) header() (Header, error) {
	if err := p.lines.open(); err != nil {
		return Header{}, err
	}
	line, whole, err := p.lines.next()
	if errors.Is(err, io.EOF) {
		return Header{}, p.fault(codeEmpty, "", "The input is empty. A snapshot has at least a header and a trailer, even where it has no record.")
	}
	if err != nil {
		return Header{}, err
	}
	d := &p.decoder
	if !d.read(line) {
		if !whole && line[0] == '{' {
			return Header{}, p.lines.truncated()
		}
		return Header{}, p.fault(codeHeaderMissing, "", "The input does not begin with the header of a snapshot, one JSON object on one line. %s", d.fault.reason)
	}
	if kind := d.kind(); kind != "header" {
		return Header{}, p.fault(codeHeaderMissing, "kind", `The first line is not a header: {"kind":"header","format":%q,"version":%d}.`, Format, Version)
	}
	header, found := d.header()
	if found != nil {
		return Header{}, found.at(p.lines.name, p.lines.number)
	}
	return header, nil
}

func (p *parser) records() error {
	for {
		line, whole, err := p.lines.next()
		if errors.Is(err, io.EOF) {
			return p.fault(codeTrailerMissing, "", "The snapshot ends without its trailer, so it may be incomplete. Nothing of it was applied; send all of it.")
		}
		if err != nil {
			return err
		}
		var kind string
		if p.decoder.read(line) {
			kind = p.decoder.kind()
		}
		switch {
		case kind == "trailer":
			return p.trailer()
		case !whole:
			// Even if the cut went between two records, what follows is missing.
			return p.lines.truncated()
		case kind == "header":
			return p.fault(codeHeaderRepeated, "kind", "A second header stands here; a file holds one snapshot. Send them one by one.")
		}
		p.tally.add(kind)
		if err := p.emit(kind); err != nil {
			return err
		}
	}
}

// emit gives out the line that the decoder has just read.
func (p *parser) emit(kind string) error {
	d := &p.decoder
	var fact record.Fact
	if d.fault == nil {
		fact = d.fact(kind)
	}
	position := record.Position{File: p.lines.name, Line: p.lines.number}
	if d.fault == nil {
		return p.out.Record(record.Record{Position: position, Fact: fact})
	}
	rejection := record.Rejection{Position: position, Code: d.fault.code, Reason: d.fault.reason}
	if kind != "" {
		rejection.Entity = d.subject(kind)
	}
	return p.out.Reject(rejection)
}

func (p *parser) trailer() error {
	said, found := p.decoder.trailer()
	if found != nil {
		found.code = codeTrailerInvalid
		return found.at(p.lines.name, p.lines.number)
	}
	if found := p.tally.compare(said); found != nil {
		return found.at(p.lines.name, p.lines.number)
	}
	_, _, err := p.lines.next()
	switch {
	case err == nil:
		return p.fault(codeDataAfterTrailer, "", "The snapshot ended in an earlier line; nothing may follow its trailer.")
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

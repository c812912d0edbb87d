package testssl

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// maxRow bounds a row, and what is kept of one target.
const maxRow = 8 << 20

var errTooLong = errors.New("a row is too long")

// source bounds what a reader of tables holds, and knows how the table ends.
type source struct {
	in    io.Reader
	taken func() int64 // how far rows were read
	read  int64
	last  byte
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	if s.read-s.taken() > maxRow {
		s.err = errTooLong
		return 0, s.err
	}
	n, err := s.in.Read(p)
	if n > 0 {
		s.last = p[n-1]
	}
	s.read += int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}

// columns are those that are read.
var columns = []string{"id", "fqdn/ip", "port", "finding"}

// table reads rows that are a table whose first row names the columns.
func table(g *grouper, name string, in io.Reader) (int, error) {
	s := &source{in: in}
	rows := csv.NewReader(s)
	rows.FieldsPerRecord = -1
	s.taken = rows.InputOffset
	var at [4]int // where the columns stand
	width, count := 0, 0
	for {
		fields, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, g.broken(name, s, rows, err)
		}
		line, _ := rows.FieldPos(0)
		position := record.Position{File: name, Line: line}
		if count++; count == 1 {
			for i, column := range columns {
				if at[i] = slices.Index(fields, column); at[i] < 0 {
					return count, g.noTable(position, len(fields))
				}
			}
			width = slices.Max(at[:]) + 1
			continue
		}
		if len(fields) < width {
			if s.err != nil && s.read == rows.InputOffset() && s.last != '\n' {
				return count, g.run.Truncated(position)
			}
			d := g.run.Draft(position)
			d.Fail("MISSING_FIELD", "The row has %d fields and needs %d.", len(fields), width)
			if err := g.run.Emit(d); err != nil {
				return count, err
			}
			continue
		}
		if err := g.take(row{at: position, id: fields[at[0]], target: fields[at[1]], port: fields[at[2]], finding: fields[at[3]]}); err != nil {
			return count, err
		}
	}
}

func (g *grouper) noTable(at record.Position, fields int) error {
	if fields < 2 {
		return g.run.Fault("NOT_CSV", at, "This is no table: its first row has to name columns, id and fqdn/ip among them.")
	}
	return g.run.Fault("WRONG_FORMAT", at, "This is no output of testssl.sh: its first row does not name the columns id, fqdn/ip, port and finding.")
}

// broken is why a table cannot be read on.
func (g *grouper) broken(name string, s *source, rows *csv.Reader, err error) error {
	at := record.Position{File: name}
	var wrong *csv.ParseError
	switch {
	case errors.As(err, &wrong):
		at.Line = wrong.StartLine
		if errors.Is(err, csv.ErrQuote) && errors.Is(s.err, io.EOF) && s.read == rows.InputOffset() {
			return g.run.Truncated(at)
		}
		return g.run.Fault("NOT_CSV", at, "This is no table: %s.", wrong.Err.Error())
	case errors.Is(err, errTooLong):
		return g.run.Fault("TOO_LARGE", at, "A row is longer than %d bytes.", maxRow)
	}
	return g.run.Unreadable(at, err)
}

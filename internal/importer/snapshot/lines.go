package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// maxLine bounds a line, its line end not counted.
const maxLine = 1 << 20

// lines cuts the input into lines without ever holding more than one.
type lines struct {
	in     *bufio.Reader
	name   string
	number int    // of the line that was returned last, counted from 1
	long   []byte // holds a line that does not fit into the buffer of in
}

func newLines(name string, r io.Reader) *lines {
	return &lines{in: bufio.NewReaderSize(r, 64<<10), name: name}
}

// signatures are the beginnings of files that are not text but are sent by
// mistake, with what to do about it.
var signatures = []struct{ begin, hint string }{
	{"\x1f\x8b", "The input is compressed with gzip; decompress it first: gzip -dc FILE | exposuregraph import snapshot -"},
	{"\x28\xb5\x2f\xfd", "The input is compressed with zstd; decompress it first: zstd -dc FILE | exposuregraph import snapshot -"},
	{"\xfd7zXZ", "The input is compressed with xz; decompress it first: xz -dc FILE | exposuregraph import snapshot -"},
	{"PK\x03\x04", "The input is a zip archive; a snapshot is one text file."},
	{"\xff\xfe", "The input is in UTF-16; a snapshot is in UTF-8."},
	{"\xfe\xff", "The input is in UTF-16; a snapshot is in UTF-8."},
}

// open looks at the first bytes, before a line end is searched in what may be
// no text at all.
func (l *lines) open() error {
	begin, err := l.in.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		l.number = 1
		return l.unreadable(err)
	}
	for _, s := range signatures {
		if bytes.HasPrefix(begin, []byte(s.begin)) {
			return problem.New(problem.Invalid, codeNotText, "%s", s.hint).At(l.name, 1)
		}
	}
	if mark := []byte("\xef\xbb\xbf"); bytes.HasPrefix(begin, mark) {
		_, err = l.in.Discard(len(mark)) // some editors begin UTF-8 with a byte order mark
	} else {
		err = nil
	}
	return err
}

// next is the next line that is not blank, valid until the following call. It
// is whole when it ended in a line end; io.EOF follows the last one.
func (l *lines) next() (line []byte, whole bool, err error) {
	for {
		line, whole, err = l.read()
		if err != nil {
			return nil, false, err
		}
		if !blank(line) {
			return line, whole, nil
		}
	}
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

func (l *lines) read() (line []byte, whole bool, err error) {
	l.number++
	l.long = l.long[:0]
	for {
		piece, err := l.in.ReadSlice('\n')
		whole := err == nil
		if whole {
			piece = piece[:len(piece)-1]
		}
		if len(l.long)+len(piece) > maxLine {
			return nil, false, problem.New(problem.Invalid, codeLineTooLong,
				"The line is longer than %d bytes.", maxLine).At(l.name, l.number)
		}
		switch {
		case whole && len(l.long) == 0:
			return piece, true, nil
		case whole:
			l.long = append(l.long, piece...)
			return l.long, true, nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.long = append(l.long, piece...)
		case errors.Is(err, io.EOF):
			l.long = append(l.long, piece...)
			if len(l.long) == 0 {
				l.number--
				return nil, false, io.EOF
			}
			return l.long, false, nil
		default:
			return nil, false, l.unreadable(err)
		}
	}
}

// unreadable is the error of an input that broke. A body that ended before its
// announced length was cut off, as a file without its trailer was.
func (l *lines) unreadable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return l.truncated().Because(err)
	}
	return fmt.Errorf("read %s: %w", l.name, err)
}

func (l *lines) truncated() *problem.Error {
	return problem.New(problem.Invalid, codeTruncated,
		"The snapshot is cut off in this line. Nothing of it was applied; send all of it.").At(l.name, l.number)
}

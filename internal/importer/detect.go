package importer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"regexp"

	"github.com/exposuregraph/exposuregraph/internal/importer/snapshot"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// headSize is how much of a file is looked at to tell its format.
const headSize = 64 << 10

// The marks of a format. A manifest may begin with any amount of comments and
// with objects in any order of keys, so both marks are looked for on their own.
var (
	snapshotMark = regexp.MustCompile(`^\s*\{[^\n]*"` + regexp.QuoteMeta(snapshot.Format) + `"`)
	apiVersion   = regexp.MustCompile(`(?m)^[\s{,-]*(?:apiVersion|"apiVersion"|'apiVersion')\s*:|[{,]\s*"apiVersion"\s*:`)
	kind         = regexp.MustCompile(`(?m)^[\s{,-]*(?:kind|"kind"|'kind')\s*:|[{,]\s*"kind"\s*:`)
)

// Detect tells the format of a file from its first bytes.
func Detect(head []byte) (string, error) {
	head = bytes.TrimPrefix(head, []byte("\ufeff")) // some editors begin UTF-8 with it
	switch {
	case snapshotMark.Match(head):
		return "snapshot", nil
	case apiVersion.Match(head) && kind.Match(head):
		return "kubernetes", nil
	}
	return "", problem.New(problem.Invalid, "FORMAT_UNDETECTED",
		"the format of the first file cannot be told from its beginning; name it instead of auto").On("format")
}

// peekFirst looks at the beginning of the first file and gives the same files
// again. Whoever calls it calls stop at the end.
func peekFirst(files iter.Seq2[File, error]) (head []byte, again iter.Seq2[File, error], stop func(), err error) {
	next, stop := iter.Pull2(files)
	first, err, ok := next()
	switch {
	case !ok:
		return nil, nil, stop, noFiles()
	case err != nil:
		return nil, nil, stop, err
	}
	reader := bufio.NewReaderSize(first.Content, headSize)
	head, err = reader.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, stop, err
	}
	first.Content = reader
	return head, func(yield func(File, error) bool) {
		for file, err, ok := first, error(nil), true; ok; file, err, ok = next() {
			if !yield(file, err) {
				return
			}
		}
	}, stop, nil
}

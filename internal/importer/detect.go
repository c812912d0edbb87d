package importer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"regexp"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/awsiam"
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

// awsMark is the list that an answer of the AWS command line begins with, or one
// that only a dump of an account has.
var awsMark = regexp.MustCompile(`^\s*\{\s*"(?:` + strings.Join(awsiam.Keys(), "|") + `)"\s*:\s*\[|[{,]\s*"(?:User|Group|Role)DetailList"\s*:\s*\[`)

// The marks of logs: what every event has, and hardly anything else. The objects
// inside an event may be manifests, so these are looked for first, and only in
// what begins as JSON does.
var (
	jsonMark   = regexp.MustCompile(`^\s*[\[{]`)
	auditMark  = regexp.MustCompile(`[{,]\s*"auditID"\s*:\s*"|"kind"\s*:\s*"EventList"\s*,\s*"apiVersion"\s*:\s*"audit\.k8s\.io/`)
	trailMark  = regexp.MustCompile(`^\s*\{\s*"Records"\s*:\s*\[|[{,]\s*"eventSource"\s*:\s*"[a-z0-9.-]+\.amazonaws\.com`)
	ownersMark = regexp.MustCompile(`(?m)^(?:owners|workloads)\s*:|^\s*\{\s*"(?:owners|workloads)"\s*:`)
)

// Detect tells the format of a file from its first bytes.
func Detect(head []byte) (string, error) {
	head = bytes.TrimPrefix(head, []byte("\ufeff")) // some editors begin UTF-8 with it
	switch {
	case snapshotMark.Match(head):
		return "snapshot", nil
	case jsonMark.Match(head) && auditMark.Match(head):
		return "kubernetes-audit", nil
	case jsonMark.Match(head) && trailMark.Match(head):
		return "cloudtrail", nil
	}
	switch scanners := scannersOf(head); {
	case len(scanners) == 1:
		return scanners[0], nil
	case len(scanners) > 1:
		return "", undetected() // whoever guesses here is wrong half of the time
	case apiVersion.Match(head) && kind.Match(head):
		return "kubernetes", nil
	case awsMark.Match(head):
		return "aws-iam", nil
	case ownersMark.Match(head):
		return "owners", nil
	}
	return "", undetected()
}

func undetected() error {
	return problem.New(problem.Invalid, "FORMAT_UNDETECTED",
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

package importer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/snapshot"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// runSnapshot imports the one file of a snapshot. Its header is read before the
// sync begins, because it may say whose sync it is: what the request
// leaves open, the header decides.
func runSnapshot(ctx context.Context, s *Service, request Request) (*authority.SyncReport, error) {
	next, stop := iter.Pull2(request.Files)
	defer stop()
	file, err, ok := next()
	if !ok {
		err = noFiles()
	}
	if err != nil {
		return nil, err
	}
	options := snapshot.Options{Now: s.now()}
	content := bufio.NewReaderSize(file.Content, headSize)
	header := peekHeader(options, file.Name, content)
	sync := request.SyncRequest
	var unused []record.Warning
	fill := func(field string, given *string, said string) {
		switch {
		case *given == "":
			*given = said
		case said != "" && *given != said:
			unused = append(unused, record.Warning{
				Position: record.Position{File: file.Name, Line: 1}, Code: "HEADER_OVERRULED",
				Message: fmt.Sprintf("The import names the %s %q; the %q of the header is not used.", field, *given, said),
			})
		}
	}
	fill("source", &sync.Source, header.Source)
	fill("system", &sync.System, header.System)
	given := timeText(sync.ObservedAt)
	fill("time of observation", &given, timeText(header.ObservedAt))
	if sync.ObservedAt.IsZero() {
		sync.ObservedAt = header.ObservedAt
	}
	sync.Partial = sync.Partial || header.Partial

	return s.syncer.Sync(ctx, sync, func(out record.Emitter) error {
		for _, warning := range unused {
			if err := out.Warn(warning); err != nil {
				return err
			}
		}
		if err := options.Parse(file.Name, content, sameAs(header, file.Name), out); err != nil {
			return err
		}
		// An upload that breaks off here must not count as complete.
		switch _, err, more := next(); {
		case err != nil:
			return err
		case more:
			return problem.New(problem.Invalid, "ONE_FILE_ONLY", "a snapshot is one file; send them one by one").On("file")
		}
		return nil
	})
}

// sameAs refuses a header that the look ahead did not find, as behind pages of
// blank lines: the sync would run under another name than the file says.
func sameAs(peeked snapshot.Header, name string) func(snapshot.Header) error {
	return func(h snapshot.Header) error {
		if h != peeked {
			return problem.New(problem.Invalid, "SNAPSHOT_HEADER_MISSING", "the header stands too far from the beginning of the file").At(name, 1)
		}
		return nil
	}
}

// peekHeader reads the header and leaves the content where it is. A header that
// cannot be read is empty here: the parse proper says what is wrong with it.
func peekHeader(options snapshot.Options, name string, content *bufio.Reader) (header snapshot.Header) {
	head, _ := content.Peek(headSize) // a read that fails fails again, for the parse proper to say
	enough := errors.New("the header was read")
	_ = options.Parse(name, bytes.NewReader(head), func(h snapshot.Header) error {
		header = h
		return enough
	}, nil)
	return header
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

package importer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/snapshot"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// runSnapshot imports the one file of a snapshot. Its header is read before the
// sync begins, because it says whose sync it is; what it does not say the
// request decides.
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
	var overruled []record.Warning
	overrule := func(field string, given *string, said string) {
		if said == "" {
			return
		}
		if *given != "" && *given != said {
			overruled = append(overruled, record.Warning{
				Position: record.Position{File: file.Name, Line: 1}, Code: "HEADER_DECIDES",
				Message: fmt.Sprintf("The header says the %s is %q; the %q of the import is not used.", field, said, *given),
			})
		}
		*given = said
	}
	overrule("source", &sync.Source, header.Source)
	overrule("system", &sync.System, header.System)
	if !header.ObservedAt.IsZero() {
		given := timeText(sync.ObservedAt)
		overrule("time of observation", &given, timeText(header.ObservedAt))
		sync.ObservedAt = header.ObservedAt
	}
	sync.Partial = sync.Partial || header.Partial

	return s.syncer.Sync(ctx, sync, func(out record.Emitter) error {
		for _, warning := range overruled {
			if err := out.Warn(warning); err != nil {
				return err
			}
		}
		if err := options.Parse(file.Name, content, nil, out); err != nil {
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

// peekHeader reads the header and leaves the content where it is. A header that
// cannot be read is empty here: the parse proper says what is wrong with it.
func peekHeader(options snapshot.Options, name string, content *bufio.Reader) (header snapshot.Header) {
	head, err := content.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return header
	}
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

package testssl

import (
	"bufio"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

var format = surface.JSON{Prefix: "TESTSSL", Tool: "testssl.sh", Known: []string{"finding"}}

// Parse reads a scan and emits what it shows. An error is a fault of the input as
// a whole (*problem.Error), or what the iterator, a reader or the emitter
// returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[surface.File, error], options surface.Options, out record.Emitter) (surface.Summary, error) {
	run := surface.NewRun(format.Prefix, options, out)
	return run.Files(files, func(name string, content io.Reader) (values int, err error) {
		in := bufio.NewReaderSize(content, headSize)
		head, err := in.Peek(headSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, run.Unreadable(record.Position{File: name, Line: 1}, err)
		}
		g := &grouper{run: run}
		if isTable(string(head)) {
			if strings.HasPrefix(string(head), mark) {
				_, _ = in.Discard(len(mark)) // it was peeked
			}
			values, err = table(g, name, in)
		} else {
			values, err = list(g, name, in)
		}
		if err != nil {
			return values, err
		}
		return values, g.flush()
	})
}

// headSize is how much of a file is looked at to tell a table from JSON.
const headSize = 4096

// mark is what some editors begin UTF-8 with.
const mark = "\ufeff"

// isTable says whether a file begins as text that is no JSON.
func isTable(head string) bool {
	head = strings.TrimLeft(strings.TrimPrefix(head, mark), " \t\r\n")
	first := strings.TrimLeft(head, `"`)
	return first != "" && ('a' <= first[0] && first[0] <= 'z' || 'A' <= first[0] && first[0] <= 'Z') && !strings.HasPrefix(head, "PK\x03\x04")
}

// list reads rows that are JSON.
func list(g *grouper, name string, in io.Reader) (int, error) {
	return format.Read(g.run, name, in, func(at record.Position, o *eventlog.Object) error {
		r := row{at: at, id: o.RequiredKey("id"), target: o.Key("ip"), port: o.Raw("port")}
		if r.id == certificateInFull || strings.HasPrefix(r.id, certificateInFull+" <") {
			r.finding = strings.ReplaceAll(o.Raw("finding"), `\n`, "\n") // far longer than a text
		} else {
			r.finding = o.Loose("finding")
		}
		g.run.Note("TEXT_UNREADABLE", o.LeftOut())
		if !o.Sound() {
			return nil
		}
		return g.take(r)
	})
}

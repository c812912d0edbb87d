package subfinder

import (
	"bufio"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

var format = surface.JSON{Prefix: "SUBFINDER", Tool: "subfinder", Known: []string{"host"}}

// Parse reads a scan and emits what it shows. An error is a fault of the input as
// a whole (*problem.Error), or what the iterator, a reader or the emitter
// returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[surface.File, error], options surface.Options, out record.Emitter) (surface.Summary, error) {
	run := surface.NewRun(format.Prefix, options, out)
	return run.Files(files, func(name string, content io.Reader) (int, error) {
		in := bufio.NewReaderSize(content, headSize)
		head, err := in.Peek(headSize)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return 0, run.Unreadable(record.Position{File: name, Line: 1}, err)
		case isNames(string(head)):
			return names(run, name, in)
		}
		return format.Read(run, name, in, func(at record.Position, o *eventlog.Object) error {
			d := run.Draft(at)
			found(d, o)
			return d.Emit(o)
		})
	})
}

// found reads a name that was found.
func found(d *surface.Draft, o *eventlog.Object) {
	sources := o.Texts("sources")
	if source := o.Loose("source"); source != "" {
		sources = append(sources, source)
	}
	slices.Sort(sources)
	plugin := strings.Join(slices.Compact(sources), ",")
	if surface.Unfit(plugin) != "" { // each could be kept, all of them cannot
		plugin = sources[0]
	}
	domain := d.Domain(o.RequiredKey("host"), plugin)
	if address := o.Key("ip"); address != "" {
		d.Tie(record.Resolves, domain, d.Host(address, nil))
	}
	d.CoverDomain(o.Key("input"))
}

// headSize is how much of a file is looked at to tell plain output from JSON, and
// bounds a line of it.
const headSize = 4096

// mark is what some editors begin UTF-8 with.
const mark = "\ufeff"

// isNames says whether a file begins with a name. Those that are found have a dot.
func isNames(head string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(strings.TrimPrefix(head, mark), " \t\r\n"), "\n")
	name, _, _ := strings.Cut(strings.TrimSpace(first), ",")
	_, err := surface.Domain(name)
	return strings.Contains(name, ".") && (err == nil || errors.Is(err, surface.ErrWildcard))
}

// names reads plain output: a name, and perhaps its address, to a line.
func names(run *surface.Run, file string, in io.Reader) (count int, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, headSize), headSize)
	for number := 1; lines.Scan(); number++ {
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), mark))
		if text == "" {
			continue
		}
		count++
		d := run.Draft(record.Position{File: file, Line: number})
		parts := strings.Split(text, ",")
		domain := d.Domain(parts[0], "")
		if len(parts) > 1 {
			if host, err := surface.Host(strings.TrimSpace(parts[1])); err == nil { // and no list of sources
				d.Tie(record.Resolves, domain, d.Asset(record.Asset{AssetRef: host}))
			}
		}
		if err := run.Emit(d); err != nil {
			return count, err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return count, run.Fault("TOO_LARGE", record.Position{File: file}, "A line is longer than %d bytes.", headSize)
	} else if err != nil {
		return count, run.Unreadable(record.Position{File: file}, err)
	}
	return count, nil
}

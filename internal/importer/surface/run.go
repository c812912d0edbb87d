package surface

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Run is one parse of a scan: it hands on what was seen and what was rejected,
// counts it, and says once for each file what was left out.
type Run struct {
	prefix  string // begins the codes of faults of a file
	options Options
	out     record.Emitter
	summary Summary
	notes   Warnings // of the file that is being read
}

// NewRun begins a parse. The prefix begins the codes of faults of a file.
func NewRun(prefix string, options Options, out record.Emitter) *Run {
	return &Run{prefix: prefix, options: options, out: out}
}

// Files reads the files of a scan, one after the other. Each is what reads one
// and says how many values stood in it: files without any are no scan.
func (r *Run) Files(files iter.Seq2[File, error], each func(name string, content io.Reader) (values int, err error)) (Summary, error) {
	first, total := "", 0
	for file, err := range files {
		if err != nil {
			return r.summary, err
		}
		name := BaseName(file.Name)
		first = cmp.Or(first, name)
		r.notes = Warnings{File: name}
		values, err := each(name, file.Content)
		if err != nil {
			return r.summary, err
		}
		total += values
		if err := r.notes.Emit(r.out); err != nil {
			return r.summary, err
		}
	}
	if total == 0 {
		return r.summary, r.Fault("EMPTY", record.Position{File: first}, "The input holds nothing. A scan that found nothing says so in its format.")
	}
	return r.summary, nil
}

// Fault is a fault of the file.
func (r *Run) Fault(code string, at record.Position, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, r.prefix+"_"+code, format, args...).At(at.File, at.Line)
}

// Unreadable is the error of an input that broke. A body that ended before its
// announced length was cut off.
func (r *Run) Unreadable(at record.Position, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return r.Truncated(at).Because(err)
	}
	return fmt.Errorf("read %s: %w", at.File, err)
}

// Truncated is the fault of a file that was cut off.
func (r *Run) Truncated(at record.Position) *problem.Error {
	return r.Fault("TRUNCATED", at, "The file is cut off. Nothing of it was applied; send all of it.")
}

// Row counts a line of a table.
func (r *Run) Row() { r.summary.Rows++ }

// notices are how is said what was noted, of one and of several.
var notices = map[string][2]string{
	"CERTIFICATE_NEVER_VALID": {"certificate expired before it began to be valid", "certificates expired before they began to be valid"},
	"CREDENTIALS_DROPPED":     {"address held credentials, which were left out", "addresses held credentials, which were left out"},
	"DIGEST_DIFFERS":          {"certificate has another digest than the scan says", "certificates have another digest than the scan says"},
	"NAME_UNREADABLE":         {"name is none of a host and was left out", "names are none of a host and were left out"},
	"TARGET_UNREACHABLE":      {"target could not be reached", "targets could not be reached"},
	"TEXT_UNREADABLE":         {"text or time cannot be kept and was left out", "texts or times cannot be kept and were left out"},
	"TIME_IN_FUTURE":          {"time of the scan is in the future and was not used", "times of the scan are in the future and were not used"},
	"WILDCARD_NAME":           {"name stands for many and was left out", "names stand for many and were left out"},
}

// Note counts something to be warned of.
func (r *Run) Note(code string, count int) {
	for range count {
		r.notes.Add(code, notices[code][0], notices[code][1])
	}
}

// Time takes in a time of the scan itself. One to come is none of it, and one
// before there were scanners is of a clock that nobody set.
func (r *Run) Time(when time.Time) {
	switch {
	case when.Year() <= 1970:
	case r.options.Future(when):
		r.Note("TIME_IN_FUTURE", 1)
	default:
		r.summary.Ran(when, when)
	}
}

// TimeText takes in a time of the scan itself as it is written.
func (r *Run) TimeText(text string, layouts ...string) {
	when, ok := ParseTime(text, layouts...)
	if !ok {
		r.Note("TEXT_UNREADABLE", 1)
		return
	}
	r.Time(when)
}

// Emit hands on what a record shows, or why it was rejected.
func (r *Run) Emit(d *Draft) error {
	if d.fault != nil {
		rejection, _ := Reject(d.At, d.about(), d.fault)
		return r.out.Reject(rejection)
	}
	r.summary.Records++
	return r.out.Record(record.Record{Position: d.At, Fact: d.sighting()})
}

// ParseTime reads a time in the first layout that fits; without a zone it is UTC.
func ParseTime(text string, layouts ...string) (time.Time, bool) {
	for _, layout := range layouts {
		if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil && at.Year() > 0 && at.Year() < 10000 {
			return at.UTC().Truncate(time.Microsecond), true
		}
	}
	return time.Time{}, false
}

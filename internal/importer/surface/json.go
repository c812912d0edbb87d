package surface

import (
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// maxValue bounds one record of a scan.
const maxValue = 8 << 20

// JSON is a scan that is written as JSON: a record to a line, a list of records,
// a single one, or an object that holds a list of them under a key.
type JSON struct {
	Prefix string   // begins the codes of faults of a file
	Tool   string   // what the scanner is called
	Known  []string // the first record of a file has one of these keys, or it is of another scanner
	List   string   // the key of an object that holds the list of records, if one may

	// Filter mends what the scanner writes that is no JSON. Nil: nothing.
	Filter func(io.Reader) io.Reader

	// Holder reads what stands beside a list of records. Nil: nothing does.
	Holder func(*Run, *eventlog.Object)
}

// Parse reads a scan whose records are drafts of their own.
func (j JSON) Parse(files iter.Seq2[File, error], options Options, out record.Emitter, each func(*Draft, *eventlog.Object)) (Summary, error) {
	run := NewRun(j.Prefix, options, out)
	return run.Files(files, func(name string, content io.Reader) (int, error) {
		return j.Read(run, name, content, func(at record.Position, o *eventlog.Object) error {
			d := run.Draft(at)
			each(d, o)
			return d.Emit(o)
		})
	})
}

// Read reads the records of a file and says how many values stood in it.
func (j JSON) Read(run *Run, name string, content io.Reader, each func(record.Position, *eventlog.Object) error) (int, error) {
	first := true
	reader := eventlog.Reader{Prefix: j.Prefix, Noun: "record", List: j.List, Out: run.out, Whole: true, MaxValue: maxValue}
	reader.Each = func(at record.Position, o *eventlog.Object) error {
		if first && !slices.ContainsFunc(j.Known, o.Has) {
			return run.Fault("WRONG_FORMAT", at, "This is no output of %s: there is none of %s in it.", j.Tool, strings.Join(j.Known, ", "))
		}
		first = false
		return each(at, o)
	}
	if j.Holder != nil {
		reader.Holder = func(_ record.Position, o *eventlog.Object) error {
			j.Holder(run, o)
			return nil
		}
	}
	if j.Filter != nil {
		content = j.Filter(content)
	}
	err := reader.Read(name, content)
	return reader.Values(), err
}

// Emit hands on what a record shows that was read from an object, or why it was
// rejected.
func (d *Draft) Emit(o *eventlog.Object) error {
	if wrong := o.TakeFault(); wrong != nil { // what could not be read comes before what followed from that
		d.fault = fault(wrong.Code, "%s", wrong.Reason)
	}
	d.run.Note("TEXT_UNREADABLE", o.LeftOut())
	return d.run.Emit(d)
}

// Port is a port in a field, as a number or as a text. One must be there.
func (d *Draft) Port(o *eventlog.Object, key string) int {
	if !o.Has(key) {
		o.Missing(key)
		return 0
	}
	return d.ParsePort(o.Raw(key))
}

// Time takes in the time of a scan that a field holds, as RFC 3339 has it.
func (d *Draft) Time(o *eventlog.Object, key string) {
	text := o.Key(key)
	if text == "" {
		return
	}
	at, ok := ParseTime(text, time.RFC3339Nano)
	if !ok {
		d.Fail("BAD_TIME", "The field %q is %s and no time.", key, Quote(text))
		return
	}
	d.SeenAt(at)
}

// SeenAt takes in the time of a scan.
func (d *Draft) SeenAt(at time.Time) { d.run.Time(at) }

package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Format is the name of the format in the header.
const Format = "exposuregraph-snapshot"

// Version is the version of the format that is written, and the only one so
// far that is read.
const Version = 1

// Header is the first line: who speaks, about what, and as of when. What it
// leaves empty the import decides.
type Header struct {
	Version    int
	Source     string    // the name of the feed
	System     string    // the instance it speaks about, and where a plain id belongs
	ObservedAt time.Time // when the source looked; zero: not said
	Partial    bool      // it looked at a part only: what it does not name is not gone
}

// header decodes the first line. The version is judged before the fields,
// because a later version may have other fields.
func (d *decoder) header() (Header, *fault) {
	var h Header
	for _, key := range []string{"format", "version"} {
		f := d.field(key)
		if f == nil || f.kind == nullNode {
			return h, &fault{code: codeHeaderInvalid, field: key, reason: "The header has no " + key + "."}
		}
		if key == "format" {
			if format := d.string(f, maxName); d.fault == nil && format != Format {
				return h, &fault{code: codeHeaderInvalid, field: key,
					reason: fmt.Sprintf("The format is %s; it must be %q.", quote(format), Format)}
			}
			continue
		}
		h.Version = d.integer(f, 1, maxCount)
		if d.fault == nil && h.Version != Version {
			return h, &fault{code: codeVersion, field: key,
				reason: fmt.Sprintf("Version %d of the format is not supported; this server reads version %d.", h.Version, Version)}
		}
	}
	for f := d.first(0); f != nil; f = d.after(f) {
		switch string(f.key) {
		case "kind", "format", "version":
		case "source":
			h.Source = d.string(f, maxName)
		case "system":
			h.System = d.string(f, maxName)
		case "observedAt":
			h.ObservedAt = d.time(f)
		case "partial":
			h.Partial = d.bool(f, false)
		default:
			d.fail(string(f.key), codeHeaderInvalid, "The header has no field %s.", quote(f.key))
		}
	}
	if d.fault != nil && d.fault.code != codeTimeInFuture {
		d.fault.code = codeHeaderInvalid
	}
	return h, d.fault
}

// trailer is what the last line says was written.
type trailer struct {
	records int
	counts  map[string]int
}

func (d *decoder) trailer() (trailer, *fault) {
	t := trailer{counts: make(map[string]int)}
	var records, counts bool
	for f := d.first(0); f != nil; f = d.after(f) {
		switch string(f.key) {
		case "kind":
		case "records":
			records = f.kind != nullNode
			t.records = d.integer(f, 0, maxCount)
		case "counts":
			counts = f.kind != nullNode
			if !d.is(f, objectNode) {
				continue
			}
			for item := d.node(f.first); item != nil; item = d.after(item) {
				t.counts[fold(item.key)] += d.integer(item, 0, maxCount)
			}
		default:
			d.fail(string(f.key), codeTrailerInvalid, "The trailer has no field %s.", quote(f.key))
		}
	}
	d.require(records, "records")
	d.require(counts, "counts")
	return t, d.fault
}

// tally counts the lines between header and trailer, rejected ones too: a
// trailer is the sender's word against loss, and a record that was refused was
// not lost.
type tally struct {
	total     int
	noKind    int // lines whose kind could not be read
	kinds     map[string]*int
	strangers int // kinds that are none of ours
}

// Bounds on what is remembered of unknown kinds; beyond them a line counts as
// one whose kind cannot be read.
const (
	maxStrangers  = 64
	maxKindLength = 64
)

func newTally() tally {
	t := tally{kinds: make(map[string]*int, len(recordKinds))}
	for _, kind := range recordKinds {
		t.kinds[kind] = new(int)
	}
	return t
}

func (t *tally) add(kind string) {
	t.total++
	if n := t.kinds[kind]; n != nil {
		*n++
		return
	}
	if kind == "" || len(kind) > maxKindLength || t.strangers == maxStrangers {
		t.noKind++
		return
	}
	t.strangers++
	n := 1
	t.kinds[strings.Clone(kind)] = &n
}

// compare is the fault of a trailer that does not say what was read, nil if it
// does. A line without a readable kind may be any that is missing; that the
// sums agree makes sure that it stands for one only.
func (t *tally) compare(said trailer) *fault {
	var sum int
	for _, n := range said.counts {
		sum += n
	}
	kinds := make(map[string]bool)
	for kind := range said.counts {
		kinds[kind] = true
	}
	for kind := range t.kinds {
		kinds[kind] = true
	}
	var parts []string
	var field string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		var read int
		if n := t.kinds[kind]; n != nil {
			read = *n
		}
		if n := said.counts[kind]; n < read || n-read > t.noKind {
			parts = append(parts, fmt.Sprintf("%s: %d said, %d read", quote(kind), n, read))
			if field == "" {
				field = "counts." + kind
			}
		}
	}
	if said.records != t.total {
		parts = append(parts, fmt.Sprintf("records: %d said, %d read", said.records, t.total))
		if field == "" {
			field = "records"
		}
	}
	if len(parts) == 0 && sum != said.records {
		parts, field = append(parts, fmt.Sprintf("the counts add up to %d, records says %d", sum, said.records)), "records"
	}
	if len(parts) == 0 {
		return nil
	}
	const most = 8
	if len(parts) > most {
		parts = append(parts[:most], "and "+strconv.Itoa(len(parts)-most)+" more")
	}
	reason := "The trailer does not fit what was read: " + strings.Join(parts, "; ") + "."
	if t.noKind > 0 {
		reason += fmt.Sprintf(" The kind of %d records could not be read.", t.noKind)
	}
	return &fault{code: codeCountsDiffer, reason: reason, field: field}
}

// at makes a fault of a line the error of the file.
func (f *fault) at(name string, line int) *problem.Error {
	return problem.New(problem.Invalid, f.code, "%s", f.reason).On(f.field).At(name, line)
}

package snapshot

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Writer writes a snapshot. What it has written Parse reads back as it was
// given: a record that the format cannot carry without loss is refused.
type Writer struct {
	out    *bufio.Writer
	check  decoder
	line   []byte
	counts map[string]int
	total  int
	err    error // of the header or of out; it stays
	closed bool
}

// NewWriter begins a snapshot on w with its header, whose version may be left
// zero. An error of the header comes with the first Write or with Close.
func NewWriter(w io.Writer, header Header) *Writer {
	s := &Writer{out: bufio.NewWriterSize(w, 64<<10), counts: make(map[string]int)}
	if header.Version == 0 {
		header.Version = Version
	}
	header.ObservedAt = plain(header.ObservedAt)
	l := begin(s.line, "header")
	l.text("format", Format)
	l.integer("version", header.Version)
	l.text("source", header.Source)
	l.text("system", header.System)
	l.time("observedAt", header.ObservedAt)
	l.bool("partial", header.Partial, false)
	s.line = l.end()
	if !s.check.read(s.line) {
		s.err = unwritable(s.check.fault)
		return s
	}
	switch back, found := s.check.header(); {
	case found != nil:
		s.err = unwritable(found)
	case back != header:
		s.err = problem.New(problem.Invalid, codeRecordUnwritable, "The header would not be read back as it is.")
	default:
		s.flushLine()
	}
	return s
}

// Write adds a record. Its position is not written: it is the line it gets.
// After an error that says what is wrong with the record the writer goes on
// without it.
func (s *Writer) Write(r record.Record) error {
	if s.closed {
		return problem.New(problem.Internal, codeWriterAlreadyShut, "The snapshot was closed before.")
	}
	if s.err != nil {
		return s.err
	}
	fact := normal(r.Fact)
	kind, line, ok := encode(s.line, fact)
	if !ok {
		return problem.New(problem.Invalid, codeRecordUnwritable, "There is no record of the kind of %T.", r.Fact)
	}
	s.line = line
	if len(line)-1 > maxLine {
		return problem.New(problem.Invalid, codeLineTooLong, "The line of the record would be longer than %d bytes.", maxLine)
	}
	// The reader is the judge, so that the two cannot drift apart.
	var back record.Fact
	if s.check.read(line) && s.check.fault == nil {
		back = s.check.fact(kind)
	}
	if s.check.fault != nil {
		return unwritable(s.check.fault)
	}
	if !reflect.DeepEqual(back, fact) {
		return problem.New(problem.Invalid, codeRecordUnwritable, "The record says something that a record of kind %s has no field for.", kind)
	}
	s.flushLine()
	if s.err == nil {
		s.total++
		s.counts[kind]++
	}
	return s.err
}

// Close writes the trailer, without which the snapshot is no snapshot, and
// flushes. It does not close what it writes to.
func (s *Writer) Close() error {
	if s.closed {
		return s.err
	}
	s.closed = true
	l := begin(s.line, "trailer")
	l.integer("records", s.total)
	l.key("counts")
	separator := byte('{')
	for _, kind := range slices.Sorted(maps.Keys(s.counts)) {
		l.buffer = quoted(append(l.buffer, separator), kind)
		l.buffer = strconv.AppendInt(append(l.buffer, ':'), int64(s.counts[kind]), 10)
		separator = ','
	}
	if separator == '{' {
		l.buffer = append(l.buffer, '{')
	}
	l.buffer = append(l.buffer, '}')
	s.line = l.end()
	s.flushLine()
	if s.err == nil {
		s.err = s.out.Flush()
	}
	return s.err
}

func (s *Writer) flushLine() {
	if s.err == nil {
		_, s.err = s.out.Write(s.line)
	}
}

func unwritable(f *fault) *problem.Error {
	return problem.New(problem.Invalid, f.code, "%s", f.reason).On(f.field)
}

// normal is a fact as Parse would give it: what means the same is the same.
func normal(fact record.Fact) record.Fact {
	switch f := fact.(type) {
	case record.Entity:
		if f.Basis == 0 {
			f.Basis = record.Inventory
		}
		f.LastActiveAt, f.CreatedAt = plain(f.LastActiveAt), plain(f.CreatedAt)
		if len(f.Labels) == 0 {
			f.Labels = nil
		}
		return f
	case record.Edge:
		if len(f.Actions) == 0 {
			f.Actions = nil
		}
		return f
	case record.Endpoint:
		if value, err := surface.Endpoint(f.Value); err == nil {
			f.Value = value
		}
		return f
	case record.Evidence:
		f.Day, f.LastAt = plain(f.Day), plain(f.LastAt)
		return f
	case record.Coverage:
		f.From, f.To = plain(f.From), plain(f.To)
		return f
	}
	return fact
}

// plain strips the location and the monotonic reading, which a line has not.
func plain(at time.Time) time.Time { return at.Round(0).UTC() }

// encode writes the line of a fact into a buffer that it takes over.
func encode(buffer []byte, fact record.Fact) (kind string, line []byte, ok bool) {
	switch f := fact.(type) {
	case record.Entity:
		return string(f.Kind), encodeEntity(buffer, f), true
	case record.Edge:
		t := ties[f.Kind]
		if t == nil {
			return "", nil, false
		}
		return string(f.Kind), encodeEdge(buffer, f, t), true
	case record.Egress:
		l := begin(buffer, "egress")
		l.ref("workload", &f.Workload, onlyWorkload)
		l.text("host", f.Host)
		l.text("category", string(f.Category))
		return "egress", l.end(), true
	case record.Endpoint:
		l := begin(buffer, "endpoint")
		l.ref("workload", &f.Workload, onlyWorkload)
		l.text("basis", string(f.Kind))
		l.text("value", f.Value)
		if f.Port != 0 {
			l.integer("port", f.Port)
		}
		return "endpoint", l.end(), true
	case record.Evidence:
		l := begin(buffer, "evidence")
		l.ref("workload", f.Workload, onlyWorkload)
		l.ref("identity", f.Identity, onlyIdentity)
		l.ref("resource", f.Resource, onlyResource)
		l.text("action", f.Action)
		if !f.Day.IsZero() {
			l.text("day", f.Day.Format(time.DateOnly))
		}
		l.time("lastAt", f.LastAt)
		l.integer("count", f.Count)
		l.bool("related", f.Related, false)
		return "evidence", l.end(), true
	case record.Coverage:
		l := begin(buffer, "coverage")
		l.text("evidence", string(f.Kind))
		l.ref("entity", f.Entity, entityKinds)
		if f.Partial {
			l.text("completeness", "partial")
		} else {
			l.text("completeness", "complete")
		}
		l.time("from", f.From)
		l.time("to", f.To)
		if f.MaxAge != 0 {
			l.integer("maxAgeDays", int(f.MaxAge/day))
		}
		return "coverage", l.end(), true
	}
	return "", nil, false
}

// encodeEntity writes every attribute, also one that the kind does not have:
// the check of the writer then names it.
func encodeEntity(buffer []byte, e record.Entity) []byte {
	l := begin(buffer, string(e.Kind))
	l.text("id", e.SourceID)
	l.text("system", e.System)
	if e.Basis != record.Inventory {
		if e.Basis >= 1 && int(e.Basis) <= len(basisNames) {
			l.text("basis", basisNames[e.Basis-1])
		} else {
			l.text("basis", fmt.Sprint(e.Basis))
		}
	}
	l.text("name", e.Name)
	l.text("status", string(e.Status))
	l.text("environment", e.Environment)
	l.text("ownerTeam", e.OwnerTeam)
	l.text("businessTier", e.BusinessTier)
	l.text("executionMode", string(e.ExecutionMode))
	l.text("artifactIdentifier", e.ArtifactIdentifier)
	l.text("sourceType", e.SourceType)
	l.text("dataDomain", e.DataDomain)
	l.text("sensitivity", e.Sensitivity)
	l.text("ownerType", string(e.OwnerType))
	l.text("title", e.Title)
	l.time("lastActiveAt", e.LastActiveAt)
	l.time("createdAt", e.CreatedAt)
	if len(e.Labels) > 0 {
		l.key("labels")
		separator := byte('{')
		for _, key := range slices.Sorted(maps.Keys(e.Labels)) {
			l.buffer = quoted(append(l.buffer, separator), key)
			l.buffer = quoted(append(l.buffer, ':'), e.Labels[key])
			separator = ','
		}
		l.buffer = append(l.buffer, '}')
	}
	return l.end()
}

func encodeEdge(buffer []byte, e record.Edge, t *tie) []byte {
	l := begin(buffer, string(e.Kind))
	l.ref(t.from, &e.From, t.fromKind)
	// A grant reads role, scope, resource; a role held reads identity, role, scope.
	if e.Kind == record.Grants {
		l.text("scope", e.Scope)
	}
	l.ref(t.to, &e.To, t.toKind)
	if e.Kind != record.Grants {
		l.text("scope", e.Scope)
	}
	if len(e.Actions) > 0 {
		l.key("actions")
		separator := byte('[')
		for _, action := range e.Actions {
			l.buffer = quoted(append(l.buffer, separator), action)
			separator = ','
		}
		l.buffer = append(l.buffer, ']')
	}
	l.bool("effective", !e.Ineffective, true)
	l.text("protocol", e.Protocol)
	l.text("targetSystem", e.TargetSystem)
	return l.end()
}

// object builds one line. Empty values are left out.
type object struct{ buffer []byte }

func begin(buffer []byte, kind string) object {
	return object{quoted(append(buffer[:0], `{"kind":`...), kind)}
}

func (o *object) end() []byte { return append(o.buffer, "}\n"...) }

func (o *object) key(key string) {
	o.buffer = append(quoted(append(o.buffer, ','), key), ':')
}

func (o *object) text(key, value string) {
	if value != "" {
		o.key(key)
		o.buffer = quoted(o.buffer, value)
	}
}

func (o *object) integer(key string, value int) {
	o.key(key)
	o.buffer = strconv.AppendInt(o.buffer, int64(value), 10)
}

func (o *object) bool(key string, value, usual bool) {
	if value != usual {
		o.key(key)
		o.buffer = strconv.AppendBool(o.buffer, value)
	}
}

func (o *object) time(key string, at time.Time) {
	if !at.IsZero() {
		o.key(key)
		o.buffer = append(at.AppendFormat(append(o.buffer, '"'), time.RFC3339Nano), '"')
	}
}

// ref writes a plain id where kind and system go without saying.
func (o *object) ref(key string, ref *record.Ref, kinds []record.EntityKind) {
	if ref == nil {
		return
	}
	o.key(key)
	saysKind := len(kinds) != 1 || ref.Kind != kinds[0]
	if !saysKind && ref.System == "" {
		o.buffer = quoted(o.buffer, ref.SourceID)
		return
	}
	o.buffer = append(o.buffer, '{')
	if saysKind {
		o.buffer = append(quoted(append(o.buffer, `"kind":`...), string(ref.Kind)), ',')
	}
	if ref.System != "" {
		o.buffer = append(quoted(append(o.buffer, `"system":`...), ref.System), ',')
	}
	o.buffer = append(quoted(append(o.buffer, `"id":`...), ref.SourceID), '}')
}

// quoted appends a JSON string. Bytes that are not UTF-8 go out as they are;
// the check of the writer finds them.
func quoted(buffer []byte, text string) []byte {
	buffer = append(buffer, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			buffer = append(buffer, '\\', c)
		case c < ' ':
			buffer = fmt.Appendf(buffer, `\u%04x`, c)
		default:
			buffer = append(buffer, c)
		}
	}
	return append(buffer, '"')
}

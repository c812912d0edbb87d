package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"unicode/utf8"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// FuzzParse holds the parser to what does not depend on the input: it ends with
// a typed error or none, accounts for no more lines than there are, and says
// nothing that the writer could not say again.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("testdata/example.ndjson")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(framed("workload", `{"kind":"workload","id":"\ud83d\ude00","labels":{"a":"b"}}`)))
	f.Add([]byte(framed("x", `{"kind":"workload","kind":1}`, "\x00", `[[[[[[[[[[`, `{"a":-0.5e+7}`, `{"a":"\ud800"}`)))
	f.Fuzz(func(t *testing.T, input []byte) {
		var got collector
		err := Parse("f", bytes.NewReader(input), nil, &got)
		if err != nil && problem.KindOf(err) != problem.Invalid {
			t.Fatalf("untyped error %v", err)
		}
		if len(got.records)+len(got.rejections) > bytes.Count(input, []byte("\n"))+1 {
			t.Fatal("more records than lines")
		}
		w := NewWriter(io.Discard, Header{})
		for _, r := range got.records {
			if err := w.Write(r); err != nil {
				t.Fatalf("%s cannot be written: %v", r, err)
			}
		}
		for _, r := range got.rejections {
			if r.Code == "" || r.Reason == "" || r.Line == 0 || !utf8.ValidString(r.Reason) || len(r.Reason) > 1000 {
				t.Fatalf("bad rejection %+v", r)
			}
		}
	})
}

// FuzzLexer compares the lexer with the standard library: what one takes for
// JSON the other does, but for the bounds, and strings mean the same.
func FuzzLexer(f *testing.F) {
	for _, seed := range []string{`{"a":"\u00e9\n"}`, `{"a":-0.5e+7}`, `{"a":[1,{"b":null}],"c":true}`, `{"a":"\ud83d\ude00"}`, `{"a":01}`, `{"":0.5e6667}`, ` {"a" : "b" } `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var d document
		ok := d.read(line)
		if d.fault != nil && d.fault.code != codeNotJSON {
			return
		}
		var want map[string]any
		var rest json.RawMessage
		library := json.NewDecoder(bytes.NewReader(line))
		library.UseNumber() // it refuses 1e999 for its own reasons
		err := library.Decode(&want)
		if err == nil && want == nil {
			return // the word null, which is JSON but no record
		}
		if err == nil && !errors.Is(library.Decode(&rest), io.EOF) {
			err = errors.New("more text after the value")
		}
		if ok != (err == nil) {
			t.Fatalf("%q: we say %v, the library says %v", line, d.fault, err)
		}
		if !ok {
			return
		}
		for i := d.nodes[0].first; i != 0; i = d.nodes[i].next {
			n := d.nodes[i]
			if text, isText := want[string(n.key)].(string); isText != (n.kind == textNode) || text != "" && text != string(n.text) {
				t.Fatalf("%q: %q is %q, not %q", line, n.key, n.text, text)
			}
		}
	})
}

// sink takes records at no cost.
type sink struct{ records, rejections int }

func (s *sink) Record(record.Record) error    { s.records++; return nil }
func (s *sink) Reject(record.Rejection) error { s.rejections++; return nil }
func (s *sink) Warn(record.Warning) error     { return nil }

// many is the example's body over and over, in lines and bytes.
func many(b *testing.B, lines int) []byte {
	b.Helper()
	example, err := os.ReadFile("testdata/example.ndjson")
	if err != nil {
		b.Fatal(err)
	}
	var body collector
	var header Header
	if err := Parse("example", bytes.NewReader(example), func(h Header) error { header = h; return nil }, &body); err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	w := NewWriter(&out, header)
	for i := range lines {
		if err := w.Write(body.records[i%len(body.records)]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

func BenchmarkParse(b *testing.B) {
	const lines = 110_000
	input := many(b, lines)
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		var s sink
		if err := (Options{Now: now}).Parse("bench", bytes.NewReader(input), nil, &s); err != nil || s.records != lines {
			b.Fatal(err, s)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func BenchmarkWrite(b *testing.B) {
	const lines = 20_000
	var body collector
	if err := Parse("bench", bytes.NewReader(many(b, lines)), nil, &body); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := NewWriter(io.Discard, Header{})
		for _, r := range body.records {
			if err := w.Write(r); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// Package surfacetest helps to test scans: what every parser of them is held to,
// whatever its format, and sightings without a parser.
package surfacetest

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Parser is a parser of scans.
type Parser func(iter.Seq2[surface.File, error], surface.Options, record.Emitter) (surface.Summary, error)

// Now is when tests read a scan.
var Now = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

// Files are files of some contents: scan1, scan2 and so on.
func Files(contents ...string) iter.Seq2[surface.File, error] {
	return chunked(func(r io.Reader) io.Reader { return r }, contents...)
}

func chunked(chop func(io.Reader) io.Reader, contents ...string) iter.Seq2[surface.File, error] {
	return func(yield func(surface.File, error) bool) {
		for i, content := range contents {
			if !yield(surface.File{Name: fmt.Sprintf("../in/scan%d", i+1), Content: chop(strings.NewReader(content))}, nil) {
				return
			}
		}
	}
}

// Parse reads a scan that is no fault as a whole, and checks what was emitted.
func Parse(t testing.TB, parser Parser, contents ...string) (surface.Summary, *recordtest.Collector) {
	t.Helper()
	var out recordtest.Collector
	summary, err := parser(Files(contents...), surface.Options{Now: Now}, &out)
	require.NoError(t, err)
	Check(t, summary, &out)
	return summary, &out
}

// Sighting reads a scan of one record.
func Sighting(t testing.TB, parser Parser, content string) record.Sighting {
	t.Helper()
	_, out := Parse(t, parser, content)
	require.Empty(t, out.Rejections)
	require.Len(t, out.Records, 1)
	sighting, ok := out.Records[0].Fact.(record.Sighting)
	require.True(t, ok)
	return sighting
}

// all is every asset of every record.
func all(out *recordtest.Collector) iter.Seq[record.Asset] {
	return func(yield func(record.Asset) bool) {
		for _, s := range Sightings(out) {
			for _, asset := range s.Assets {
				if !yield(asset) {
					return
				}
			}
		}
	}
}

// Assets are the assets that were seen, by ref, each as it was said last.
func Assets(out *recordtest.Collector) map[record.AssetRef]record.Asset {
	seen := map[record.AssetRef]record.Asset{}
	for asset := range all(out) {
		seen[asset.AssetRef] = asset
	}
	return seen
}

// Values are the different assets of a kind, sorted.
func Values(out *recordtest.Collector, kind record.AssetKind) []string {
	values := []string{}
	for ref := range Assets(out) {
		if ref.Kind == kind {
			values = append(values, ref.Value)
		}
	}
	slices.Sort(values)
	return values
}

// Ties are the different ties of a kind, sorted, as "from -> to".
func Ties(out *recordtest.Collector, kind record.TieKind) []string {
	ties := []string{}
	for _, s := range Sightings(out) {
		for _, tie := range s.Ties {
			if tie.Kind == kind {
				ties = append(ties, tie.From.Value+" -> "+tie.To.Value)
			}
		}
	}
	slices.Sort(ties)
	return slices.Compact(ties)
}

// Covers are what was asked about, sorted, as "kind: subject".
func Covers(out *recordtest.Collector) []string {
	covers := []string{}
	for _, s := range Sightings(out) {
		for _, c := range s.Covers {
			covers = append(covers, string(c.Of)+": "+c.Subject.Value)
		}
	}
	slices.Sort(covers)
	return slices.Compact(covers)
}

// Codes are the rejections, as CODE@line, and the warnings in their order.
func Codes(out *recordtest.Collector) (rejected, warned []string) {
	for _, r := range out.Rejections {
		rejected = append(rejected, fmt.Sprintf("%s@%d", r.Code, r.Line))
	}
	for _, w := range out.Warnings {
		warned = append(warned, w.Code)
	}
	return rejected, warned
}

// Case is an input and what becomes of it.
type Case struct {
	Text     string
	Fault    string   // the code of the fault that refuses the file
	Rejected []string // the rejections, as CODE@line
	Warned   []string // the codes of the warnings
	Seen     int      // the records that are accepted
}

// Answers holds that each input has its answer, and that no refused one left
// anything behind that depends on how it was read.
func Answers(t *testing.T, parser Parser, cases map[string]Case) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out recordtest.Collector
			summary, err := parser(Files(c.Text), surface.Options{Now: Now}, &out)
			Same(t, parser, c.Text)
			if c.Fault != "" {
				var fault *problem.Error
				require.ErrorAs(t, err, &fault)
				require.Equal(t, c.Fault, fault.Code, fault.Message)
				require.Equal(t, problem.Invalid, fault.Kind)
				require.Equal(t, "scan1", fault.File)
				return
			}
			require.NoError(t, err)
			Check(t, summary, &out)
			rejected, warned := Codes(&out)
			require.Equal(t, c.Rejected, rejected, "%v", out.Rejections)
			require.Equal(t, c.Warned, warned, "%v", out.Warnings)
			require.Equal(t, c.Seen, summary.Records)
		})
	}
}

// Same holds that what a parser says does not depend on how its reader chops the
// input.
func Same(t testing.TB, parser Parser, contents ...string) {
	t.Helper()
	var one, other recordtest.Collector
	summary, err := parser(Files(contents...), surface.Options{Now: Now}, &one)
	for _, chop := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		other = recordtest.Collector{}
		again, failure := parser(chunked(chop, contents...), surface.Options{Now: Now}, &other)
		if err != nil {
			require.EqualError(t, failure, err.Error())
			continue
		}
		require.NoError(t, failure)
		require.Equal(t, summary, again)
		require.Equal(t, one, other)
	}
}

// Breaks holds that what a reader, the iterator or the emitter returns ends the
// parse, and that a body that was cut off is a fault of the input.
func Breaks(t *testing.T, parser Parser, prefix, content string) {
	t.Helper()
	broken := errors.New("broken")
	one := func(r io.Reader) iter.Seq2[surface.File, error] {
		return func(yield func(surface.File, error) bool) { yield(surface.File{Name: "f", Content: r}, nil) }
	}
	var out recordtest.Collector
	_, err := parser(func(yield func(surface.File, error) bool) { yield(surface.File{}, broken) }, surface.Options{}, &out)
	require.ErrorIs(t, err, broken)
	for _, n := range []int{0, 1, len(content) / 2} {
		_, err = parser(one(io.MultiReader(strings.NewReader(content[:n]), iotest.ErrReader(broken))), surface.Options{}, &out)
		require.ErrorIs(t, err, broken)
		_, err = parser(one(io.MultiReader(strings.NewReader(content[:n]), iotest.ErrReader(io.ErrUnexpectedEOF))), surface.Options{}, &out)
		var fault *problem.Error
		require.ErrorAs(t, err, &fault)
		require.Equal(t, prefix+"_TRUNCATED", fault.Code)
	}
	for left := 0; ; left++ {
		_, err := parser(Files(content), surface.Options{}, &refusing{left: left, err: broken})
		if err == nil {
			require.Positive(t, left)
			return
		}
		require.ErrorIs(t, err, broken)
	}
}

type refusing struct {
	left int
	err  error
}

func (r *refusing) count() error {
	if r.left--; r.left < 0 {
		return r.err
	}
	return nil
}
func (r *refusing) Record(record.Record) error    { return r.count() }
func (r *refusing) Reject(record.Rejection) error { return r.count() }
func (r *refusing) Warn(record.Warning) error     { return r.count() }

// Fuzz holds that whatever the input is, the answer is a typed fault or what
// Check allows, and does not depend on how the input is read. It begins with what
// is committed in testdata and with the files of a folder of the shared data.
func Fuzz(f *testing.F, parser Parser, prefix, folder string) {
	for _, seed := range recordtest.SharedSeeds(f, folder) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var out recordtest.Collector
		summary, err := parser(Files(string(content)), surface.Options{Now: Now}, &out)
		if len(content) < 4<<10 {
			Same(t, parser, string(content))
		}
		if err != nil {
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, problem.Invalid, fault.Kind)
			require.True(t, strings.HasPrefix(fault.Code, prefix+"_"), fault.Code)
			return
		}
		Check(t, summary, &out)
	})
}

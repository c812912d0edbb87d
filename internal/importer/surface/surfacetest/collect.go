package surfacetest

import (
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// Named are files of one name.
func Named(name string, contents ...io.Reader) iter.Seq2[surface.File, error] {
	return func(yield func(surface.File, error) bool) {
		for _, content := range contents {
			if !yield(surface.File{Name: name, Content: content}, nil) {
				return
			}
		}
	}
}

// Read reads a scan of a file of some name that is no fault as a whole, and holds
// that a sync can take what was emitted. It asks less than Parse, of scanners
// whose files say more than their records.
func Read(t testing.TB, parser Parser, name, content string) (surface.Summary, *recordtest.Collector) {
	t.Helper()
	var out recordtest.Collector
	summary, err := parser(Named(name, strings.NewReader(content)), surface.Options{Now: Now}, &out)
	require.NoError(t, err)
	RequireSound(t, &out)
	return summary, &out
}

// Clean reads a scan of which nothing is rejected and of which nobody is warned.
func Clean(t testing.TB, parser Parser, contents ...string) (surface.Summary, *recordtest.Collector) {
	t.Helper()
	summary, out := Parse(t, parser, contents...)
	require.Empty(t, out.Rejections)
	require.Empty(t, out.Warnings)
	return summary, out
}

// Shared is the content of a file of the shared data.
func Shared(t testing.TB, elements ...string) string {
	t.Helper()
	return content(t, recordtest.SharedData(t, elements...))
}

// Own is the content of a file in the testdata of the package that is tested.
func Own(t testing.TB, name string) string {
	t.Helper()
	return content(t, filepath.Join("testdata", name))
}

func content(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// Sightings are what was shown, record by record.
func Sightings(out *recordtest.Collector) (all []record.Sighting) {
	for _, r := range out.Records {
		if s, ok := r.Fact.(record.Sighting); ok {
			all = append(all, s)
		}
	}
	return all
}

// Seen is all that was shown.
func Seen(out *recordtest.Collector) (whole record.Sighting) {
	for _, s := range Sightings(out) {
		whole.Assets = append(whole.Assets, s.Assets...)
		whole.Ties = append(whole.Ties, s.Ties...)
		whole.Covers = append(whole.Covers, s.Covers...)
	}
	return whole
}

// Said are the codes of the rejections and then of the warnings.
func Said(out *recordtest.Collector) (codes []string) {
	for _, r := range out.Rejections {
		codes = append(codes, r.Code)
	}
	for _, w := range out.Warnings {
		codes = append(codes, w.Code)
	}
	return codes
}

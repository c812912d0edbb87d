package demo_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/demo"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

var base = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func TestHistoryIsDeterministic(t *testing.T) {
	t.Parallel()
	tell := func(base time.Time) (at []time.Time, said [][]byte) {
		for _, step := range demo.History(base) {
			at = append(at, step.At)
			if step.Decision != nil {
				said = append(said, fmt.Appendf(nil, "%+v", *step.Decision))
				continue
			}
			if step.Delivery == nil {
				said = append(said, nil)
				continue
			}
			content, err := step.Delivery.Content()
			require.NoError(t, err)
			said = append(said, content)
		}
		return at, said
	}
	at, said := tell(base)
	for _, same := range []time.Time{base, base.Add(23 * time.Hour), base.In(time.FixedZone("there", 3600))} {
		atAgain, saidAgain := tell(same)
		require.Equal(t, at, atAgain)
		require.Equal(t, said, saidAgain)
	}
	_, next := tell(base.AddDate(0, 0, 1))
	require.Len(t, next, len(said))
	require.NotEqual(t, said[0], next[0])
}

// TestScansAreWhatTheirScannersWrite: the formats of the scans are recognized as
// anybody's are.
func TestScansAreWhatTheirScannersWrite(t *testing.T) {
	t.Parallel()
	var formats []string
	for _, step := range demo.History(base) {
		if step.Delivery == nil || step.Delivery.Scan == nil {
			continue
		}
		content, err := step.Delivery.Content()
		require.NoError(t, err)
		found, err := importer.Detect(content)
		require.NoError(t, err)
		require.Equal(t, step.Delivery.Format(), found)
		formats = append(formats, found)
	}
	require.Equal(t, []string{"nmap", "nmap", "httpx"}, formats)
}

func TestHistoryIsOneStory(t *testing.T) {
	t.Parallel()
	steps := demo.History(base)
	require.Equal(t, base, demo.BaseOf(steps[0].At))
	require.Equal(t, base, steps[len(steps)-1].At, "the history ends as the base date begins")
	require.Nil(t, steps[len(steps)-1].Delivery, "with a judgement of everything")
	require.Nil(t, steps[len(steps)-1].Decision)
	require.Greater(t, base.Sub(steps[0].At), 90*24*time.Hour)
	for n, step := range steps {
		if n > 0 { // so that each step takes place on the organization's clock when it says
			require.GreaterOrEqual(t, step.At.Sub(steps[n-1].At), time.Minute)
		}
		if step.Delivery == nil {
			continue
		}
		require.Nil(t, step.Decision, "a step is one thing")
		require.Equal(t, step.At, step.Delivery.At)
		for _, fact := range step.Delivery.Facts {
			switch f := fact.(type) {
			case record.Entity:
				if f.Basis != record.Mapping { // which adds to what an inventory named
					require.NotEmpty(t, f.Name, "%v", f.Ref)
					require.NotEqual(t, f.SourceID, f.Name, "%v", f.Ref)
				}
				require.False(t, f.CreatedAt.After(step.At), "%v", f.Ref)
				require.False(t, f.LastActiveAt.After(step.At), "%v", f.Ref)
			case record.Evidence:
				require.False(t, f.LastAt.After(step.At), "%v", f)
			}
		}
	}
}

package surfacetest

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

var digests = regexp.MustCompile(`^[0-9a-f]*$`)

// Check holds that what was emitted is sound, that it is what the summary says,
// and that what follows from something else follows.
func Check(t testing.TB, summary surface.Summary, out *recordtest.Collector) {
	t.Helper()
	RequireSound(t, out)
	require.Len(t, out.Records, summary.Records)
	for asset := range all(out) {
		checkParent(t, asset)
		if d := asset.Service; d != nil {
			require.Contains(t, []string{"", "ssl"}, d.Tunnel)
			require.False(t, d.Guessed && d.Name == "")
		}
		if d := asset.URL; d != nil {
			require.True(t, d.Status == 0 || d.Status >= 100 && d.Status <= 999)
		}
		if d := asset.Certificate; d != nil {
			require.True(t, d.SHA256 == asset.Value || d.SHA256 == "" && d.SHA1 == asset.Value)
			require.Regexp(t, digests, d.SHA256+d.SHA1)
			require.GreaterOrEqual(t, d.KeyBits, 0)
		}
		if d := asset.Technology; d != nil {
			require.Equal(t, asset.Value, asset.Parent.Value+" "+strings.ToLower(d.Name))
		}
	}
	for _, r := range out.Rejections {
		require.Regexp(t, `^[A-Z]+(_[A-Z]+)*$`, r.Code)
		require.True(t, utf8.ValidString(r.Reason) && len(r.Reason) < 2048, "%q", r.Reason)
	}
	require.False(t, summary.StartedAt.After(summary.FinishedAt))
	require.False(t, summary.FinishedAt.After(Now.Add(surface.ClockSkew)))
}

// checkParent holds that a parent is the one that follows from the value.
func checkParent(t testing.TB, a record.Asset) {
	t.Helper()
	switch a.Kind {
	case record.ServiceAsset:
		require.True(t, strings.HasPrefix(a.Value, a.Parent.Value+" "))
		require.Contains(t, []record.AssetKind{record.HostAsset, record.DomainAsset}, a.Parent.Kind)
	case record.URLAsset, record.URLPathAsset:
		on, port, _, err := surface.Location(a.AssetRef)
		require.NoError(t, err)
		if on.Kind == record.HostAsset {
			on, err = surface.Service(on, record.TCP, port)
			require.NoError(t, err)
		}
		require.Equal(t, on, a.Parent)
	case record.TechnologyAsset:
		require.Contains(t, []record.AssetKind{record.ServiceAsset, record.URLAsset}, a.Parent.Kind)
	default:
		require.Zero(t, a.Parent)
	}
}

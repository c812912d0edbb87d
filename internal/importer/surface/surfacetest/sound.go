package surfacetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// RequireSound holds what a sync asks of a delivery: every name is one that
// package surface makes, every asset stands before what names it, every detail
// can be kept, and of each code there is at most one warning in a file.
func RequireSound(t testing.TB, out *recordtest.Collector) {
	t.Helper()
	for _, r := range out.Records {
		require.NotEmpty(t, r.File)
		sighting, ok := r.Fact.(record.Sighting)
		require.True(t, ok, "%T", r.Fact)
		requireSighting(t, sighting)
	}
	for _, r := range out.Rejections {
		require.NotEmpty(t, r.Code)
		require.NotEmpty(t, r.Reason)
		require.NotEmpty(t, r.File)
		if r.Asset != nil {
			requireRef(t, *r.Asset)
		}
	}
	codes := map[string]bool{}
	for _, w := range out.Warnings {
		require.NotEmpty(t, w.Message)
		require.False(t, codes[w.File+" "+w.Code], w.Code)
		codes[w.File+" "+w.Code] = true
	}
}

func requireSighting(t testing.TB, s record.Sighting) {
	t.Helper()
	known := map[record.AssetRef]bool{}
	for _, a := range s.Assets {
		requireRef(t, a.AssetRef)
		require.False(t, known[a.AssetRef], "%v stands there twice", a.AssetRef)
		known[a.AssetRef] = true
		require.True(t, a.Parent == record.AssetRef{} || known[a.Parent], "%v before its parent %v", a.AssetRef, a.Parent)
		require.Equal(t, a.Kind == record.ServiceAsset, a.State != "")
		require.True(t, a.Confidence >= 0 && a.Confidence <= 100)
		require.Empty(t, surface.Unfit(a.Plugin))
		requireDetail(t, a)
	}
	for _, tie := range s.Ties {
		require.True(t, known[tie.From] && known[tie.To], "%v", tie)
		require.True(t, tie.Kind == record.Resolves && tie.From.Kind == record.DomainAsset && tie.To.Kind == record.HostAsset ||
			tie.Kind == record.Presents && tie.From.Kind == record.ServiceAsset && tie.To.Kind == record.CertificateAsset, "%v", tie)
	}
	for _, c := range s.Covers {
		if c.Of == record.HostAsset || c.Of == record.ServiceAsset {
			require.True(t, c.From.IsValid() && c.From.BitLen() == c.To.BitLen() && !c.To.Less(c.From), "%v", c)
			require.Equal(t, c.Of == record.ServiceAsset, len(c.Ports) > 0)
			continue
		}
		requireRef(t, c.Subject)
	}
}

// requireRef holds that a name is its own normal form.
func requireRef(t testing.TB, ref record.AssetRef) {
	t.Helper()
	var again record.AssetRef
	var err error
	words := strings.SplitN(ref.Value, " ", 3)
	switch ref.Kind {
	case record.HostAsset:
		again, err = surface.Host(ref.Value)
	case record.DomainAsset:
		again, err = surface.Domain(ref.Value)
	case record.ServiceAsset:
		require.Len(t, words, 2)
		again, err = service(words)
	case record.URLAsset:
		again, _, _, err = surface.URL(ref.Value)
	case record.URLPathAsset:
		_, again, _, err = surface.URL(ref.Value)
	case record.CertificateAsset:
		if len(ref.Value) == 64 {
			again, err = surface.Certificate(ref.Value, "")
		} else {
			again, err = surface.Certificate("", ref.Value)
		}
	case record.TechnologyAsset:
		subject, name, ok := technology(ref.Value)
		require.True(t, ok, ref.Value)
		again, err = surface.Technology(subject, name)
	default:
		require.Fail(t, "no parser makes a "+string(ref.Kind))
	}
	require.NoError(t, err, "%v", ref)
	require.Equal(t, ref, again)
}

func service(words []string) (record.AssetRef, error) {
	on, err := surface.Place(words[0])
	if err != nil {
		return on, err
	}
	protocol, port, _ := strings.Cut(words[1], "/")
	number, err := surface.Port(port)
	if err != nil {
		return on, err
	}
	return surface.Service(on, record.Protocol(protocol), number)
}

// technology takes the name of a technology apart.
func technology(value string) (subject record.AssetRef, name string, ok bool) {
	if strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://") {
		url, name, ok := strings.Cut(value, " ")
		return record.AssetRef{Kind: record.URLAsset, Value: url}, name, ok
	}
	words := strings.SplitN(value, " ", 3)
	if len(words) < 3 {
		return subject, "", false
	}
	return record.AssetRef{Kind: record.ServiceAsset, Value: words[0] + " " + words[1]}, words[2], true
}

func requireDetail(t testing.TB, a record.Asset) {
	t.Helper()
	var texts []string
	details := 0
	sorted := func(list []string) {
		require.True(t, slices.IsSorted(list))
		require.Equal(t, len(list), len(slices.Compact(slices.Clone(list))))
		texts = append(texts, list...)
	}
	if d := a.Host; d != nil {
		details++
		require.Equal(t, record.HostAsset, a.Kind)
		texts = append(texts, d.MAC, d.Vendor, d.OS, d.Reason)
		sorted(d.Addresses)
	}
	if d := a.Service; d != nil {
		details++
		require.Equal(t, record.ServiceAsset, a.Kind)
		texts = append(texts, d.Name, d.Tunnel, d.Banner)
		sorted(d.TLS)
	}
	if d := a.URL; d != nil {
		details++
		require.Equal(t, record.URLAsset, a.Kind)
		texts = append(texts, d.Title, d.Server, d.ContentType, d.Method)
	}
	if d := a.Certificate; d != nil {
		details++
		require.Equal(t, record.CertificateAsset, a.Kind)
		texts = append(texts, d.SHA256, d.SHA1, d.Subject, d.Issuer, d.Serial, d.KeyType, d.SignatureAlgorithm)
		sorted(d.Names)
		for _, year := range []int{d.NotBefore.Year(), d.NotAfter.Year()} {
			require.True(t, year >= 1 && year <= 9999, year)
		}
	}
	if d := a.Technology; d != nil {
		details++
		require.Equal(t, record.TechnologyAsset, a.Kind)
		texts = append(texts, d.Name, d.Version)
		sorted(d.CPE)
	}
	require.LessOrEqual(t, details, 1)
	require.Empty(t, surface.Unfit(texts...), "%v", a)
}

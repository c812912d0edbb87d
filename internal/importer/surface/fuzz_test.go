package surface

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzNames holds that whatever a text is, it names nothing or has a normal form
// that is its own.
func FuzzNames(f *testing.F) {
	for _, text := range []string{
		"", "10.0.0.1", "[::ffff:1.2.3.4]", "fe80::1%eth0", "Shop.Example.", "*.a", "http://Shop:80/a/../%zz?q#f", "https://u:p@[::1]", "http://a b/\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if place, err := Place(text); err == nil {
			again, err := Place(place.Value)
			require.NoError(t, err)
			require.Equal(t, place, again)
			require.Empty(t, Unfit(place.Value))
		}
		url, path, origin, err := URL(text)
		if err != nil {
			return
		}
		same, samePath, sameOrigin, err := URL(url.Value)
		require.NoError(t, err)
		require.Equal(t, url, same)
		require.Equal(t, path, samePath)
		require.Equal(t, origin, sameOrigin)
		_, again, _, err := URL(path.Value)
		require.NoError(t, err)
		require.Equal(t, path, again)
		require.Empty(t, Unfit(url.Value, path.Value))
		on, port, _, err := Location(origin)
		require.NoError(t, err)
		require.NotEmpty(t, on.Value)
		require.True(t, port >= 0 && port <= 65535)
	})
}

// FuzzPorts holds that a list of ports is sorted, and no two ranges of it touch.
func FuzzPorts(f *testing.F) {
	for _, text := range []string{"", "1,3-4,T:80", "65535,0-", "9-1", "70000", "1-65535,U:53"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ranges, err := Ports(text)
		if err != nil {
			require.ErrorIs(t, err, ErrPort)
			return
		}
		for i, r := range ranges {
			require.LessOrEqual(t, r.First, r.Last)
			require.True(t, i == 0 || int(ranges[i-1].Last)+1 < int(r.First))
		}
	})
}

// FuzzDigests holds that what is read as a digest is one, in one form.
func FuzzDigests(f *testing.F) {
	for _, text := range []string{
		"", "AA:BB", "qvTGHdzF6KLavt4PO0gs2a6pQ00=", "aaf4 c61d dcc5 e8a2 dabe de0f 3b48 2cd9 aea9 434d",
		"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE----- aGVs bG8= -----END CERTIFICATE-----",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if digest, ok := Digest(text); ok {
			again, ok := Digest(digest)
			require.True(t, ok)
			require.Equal(t, digest, again)
			require.Contains(t, []int{40, 64}, len(digest))
		}
		if long, short, ok := PEM(text); ok {
			require.Equal(t, [2]int{64, 40}, [2]int{len(long), len(short)})
		}
	})
}

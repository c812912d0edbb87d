package surface

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// value is the value of a reference, or the code of what was wrong.
func value(ref record.AssetRef, err error) string {
	if err != nil {
		if r, ok := Reject(record.Position{}, nil, err); ok {
			return r.Code
		}
		return err.Error()
	}
	return string(ref.Kind) + " " + ref.Value
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.1":                      "host 10.0.0.1",
		"::ffff:10.0.0.1":               "host 10.0.0.1",
		"2001:DB8:0::1":                 "host 2001:db8::1",
		"[2001:db8::1]":                 "host 2001:db8::1",
		"fe80::1%eth0":                  "host fe80::1",
		"[fe80::1":                      "BAD_ADDRESS",
		"[shop]":                        "BAD_ADDRESS",
		"Shop.Example.COM.":             "domain shop.example.com",
		"juice-shop":                    "domain juice-shop",
		"_dmarc.example.com":            "domain _dmarc.example.com",
		"bücher.example":                "domain bücher.example",
		"BÜCHER.example":                "domain bÜcher.example",
		"उदाहरण.example":                "domain उदाहरण.example",
		"*.example.com":                 "WILDCARD_NAME",
		"a.*.example.com":               "BAD_NAME",
		"10.0.0.300":                    "BAD_NAME",
		"010.0.0.1":                     "BAD_NAME",
		"2130706433":                    "BAD_NAME",
		"":                              "BAD_NAME",
		".":                             "BAD_NAME",
		"a..b":                          "BAD_NAME",
		"a b":                           "BAD_NAME",
		"a/b":                           "BAD_NAME",
		"a\x00b":                        "INVALID_TEXT",
		"a\xffb":                        "INVALID_TEXT",
		strings.Repeat("a", 63) + ".b":  "domain " + strings.Repeat("a", 63) + ".b",
		strings.Repeat("a", 64) + ".b":  "BAD_NAME",
		strings.Repeat("a.", 127) + "b": "BAD_NAME",
		strings.Repeat("a.", 2000):      "TEXT_TOO_LONG",
		strings.Repeat("a.", 126) + "b": "domain " + strings.Repeat("a.", 126) + "b",
	} {
		require.Equal(t, want, value(Place(text)), text)
	}
	require.Equal(t, "BAD_ADDRESS", value(Host("shop")))
	require.ErrorIs(t, error(fault("WILDCARD_NAME", "x")), ErrWildcard)
}

func TestServices(t *testing.T) {
	t.Parallel()
	host, shop := record.AssetRef{Kind: record.HostAsset, Value: "2001:db8::1"}, record.AssetRef{Kind: record.DomainAsset, Value: "shop"}
	require.Equal(t, "service 2001:db8::1 tcp/443", value(Service(host, record.TCP, 443)))
	require.Equal(t, "service shop udp/0", value(Service(shop, record.UDP, 0)))
	require.Equal(t, "service shop sctp/65535", value(Service(shop, record.SCTP, 65535)))
	require.Equal(t, "PORT_OUT_OF_RANGE", value(Service(shop, record.TCP, 65536)))
	require.Equal(t, "PORT_OUT_OF_RANGE", value(Service(shop, record.TCP, -1)))
	require.Equal(t, "BAD_PROTOCOL", value(Service(shop, "icmp", 1)))
	require.Equal(t, "BAD_ADDRESS", value(Service(record.AssetRef{}, record.TCP, 1)))
	for text, want := range map[string]int{"0": 0, "65535": 65535, "70000": -1, "-1": -1, "http": -1, "": -1, "1 ": -1, "99999999999999999999": -1} {
		port, err := Port(text)
		require.Equal(t, want >= 0, err == nil, text)
		require.Equal(t, max(want, 0), port)
		if err != nil {
			require.ErrorIs(t, err, ErrPort)
		}
	}
	p, err := Protocol("TCP")
	require.NoError(t, err)
	require.Equal(t, record.TCP, p)
	_, err = Protocol("")
	require.ErrorIs(t, err, ErrProtocol)

	service, err := Service(host, record.TCP, 443)
	require.NoError(t, err)
	require.Equal(t, "technology 2001:db8::1 tcp/443 apache http server", value(Technology(service, " Apache HTTP Server ")))
	require.Equal(t, "MISSING_FIELD", value(Technology(service, " ")))
	require.Equal(t, "MISSING_FIELD", value(Technology(host, "nginx")))
	require.Equal(t, "INVALID_TEXT", value(Technology(service, "ng\x1binx")))
	require.Equal(t, "TEXT_TOO_LONG", value(Technology(service, strings.Repeat("n", 2040))))
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][3]string{
		"http://172.29.0.2/.git/config":         {"http://172.29.0.2:80/.git/config", "http://172.29.0.2:80/.git/config", "http://172.29.0.2:80"},
		"https://mainsite.com":                  {"https://mainsite.com:443", "https://mainsite.com:443/", "https://mainsite.com:443"},
		"HTTPS://MainSite.com:8443/":            {"https://mainsite.com:8443/", "https://mainsite.com:8443/", "https://mainsite.com:8443"},
		"http://shop:3000/a/../B%2f%zz?q=A#f":   {"http://shop:3000/a/../B%2f%zz?q=A", "http://shop:3000/a/../B%2f%zz", "http://shop:3000"},
		"http://shop?q=/x":                      {"http://shop:80?q=/x", "http://shop:80/", "http://shop:80"},
		"http://shop:/":                         {"http://shop:80/", "http://shop:80/", "http://shop:80"},
		"http://user:p@ss@shop/":                {"http://shop:80/", "http://shop:80/", "http://shop:80"},
		"http://shop/a@b":                       {"http://shop:80/a@b", "http://shop:80/a@b", "http://shop:80"},
		" http://shop/a b?c d ":                 {"http://shop:80/a%20b?c%20d", "http://shop:80/a%20b", "http://shop:80"},
		"http://[2001:DB8::1]/":                 {"http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/", "http://[2001:db8::1]:80"},
		"http://[::ffff:10.0.0.1]:8080/":        {"http://10.0.0.1:8080/", "http://10.0.0.1:8080/", "http://10.0.0.1:8080"},
		"http://shop:0/":                        {"http://shop:0/", "http://shop:0/", "http://shop:0"},
		"http://shop#fragment/../?":             {"http://shop:80", "http://shop:80/", "http://shop:80"},
		"http://shop//etc/passwd?a?b":           {"http://shop:80//etc/passwd?a?b", "http://shop:80//etc/passwd", "http://shop:80"},
		"http://shop/" + strings.Repeat("a", 9): {"http://shop:80/aaaaaaaaa", "http://shop:80/aaaaaaaaa", "http://shop:80"},
	} {
		url, path, origin, err := URL(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, [3]string{url.Value, path.Value, origin.Value}, raw)
		require.Equal(t, [3]record.AssetKind{"url", "url_path", "url"}, [3]record.AssetKind{url.Kind, path.Kind, origin.Kind})
		for _, ref := range []record.AssetRef{url, path, origin} { // names are their own normal form
			again, _, _, err := URL(ref.Value)
			require.NoError(t, err)
			require.Equal(t, ref.Value, again.Value)
		}
		require.Equal(t, strings.Contains(raw, "user:"), Credentials(raw))
	}
	for raw, want := range map[string]string{
		"":                     "MISSING_FIELD",
		"shop":                 "BAD_URL",
		"/a":                   "BAD_URL",
		"://shop":              "BAD_URL",
		"http:shop":            "BAD_URL",
		"http:///a":            "BAD_URL",
		"http://a b/":          "BAD_URL",
		"http://10.0.0.300/":   "BAD_URL",
		"http://::1/":          "BAD_URL",
		"http://[10.0.0.1]/":   "BAD_URL",
		"http://shop\\x/":      "BAD_URL",
		"ftp://shop/":          "UNSUPPORTED_URL",
		"javascript:alert(1)":  "UNSUPPORTED_URL",
		"http://shop:70000/":   "PORT_OUT_OF_RANGE",
		"http://shop:-1/":      "PORT_OUT_OF_RANGE",
		"http://shop:http/":    "PORT_OUT_OF_RANGE",
		"http://shop/\x00":     "INVALID_TEXT",
		"http://shop/\r\nX: y": "INVALID_TEXT",
		"http://shop/\xff":     "INVALID_TEXT",
		"http://shop/" + strings.Repeat("a", 2040):       "TEXT_TOO_LONG",
		"http://shop/" + strings.Repeat(" ", 1000) + "a": "TEXT_TOO_LONG",
	} {
		url, _, _, err := URL(raw)
		require.Equal(t, want, value(url, err), raw)
	}
	_, _, _, err := URL("http://user:secret@sh op/")
	require.NotContains(t, err.Error(), "secret")

	url, _, _, err := URL("https://[::1]/a")
	require.NoError(t, err)
	on, port, tls, err := Location(url)
	require.NoError(t, err)
	require.Equal(t, record.AssetRef{Kind: record.HostAsset, Value: "::1"}, on)
	require.Equal(t, 443, port)
	require.True(t, tls)
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	long, short := "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" // of "hello"
	for text, want := range map[string]string{
		long:                  long,
		strings.ToUpper(long): long,
		"AA:F4:C6:1D:DC:C5:E8:A2:DA:BE:DE:0F:3B:48:2C:D9:AE:A9:43:4D": short,
		"aaf4 c61d dcc5 e8a2 dabe de0f 3b48 2cd9 aea9 434d":           short,
		"LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=":                long,
		"qvTGHdzF6KLavt4PO0gs2a6pQ00=":                                short,
		"":                                                            "",
		"hello":                                                       "",
		long[:62]:                                                     "",
		long + long:                                                   "",
		"zz" + short[2:]:                                              "",
	} {
		digest, ok := Digest(text)
		require.Equal(t, want, digest, text)
		require.Equal(t, want != "", ok, text)
	}
	require.Equal(t, "certificate "+long, value(Certificate(long, short)))
	require.Equal(t, "certificate "+short, value(Certificate("", short)))
	require.Equal(t, "BAD_DIGEST", value(Certificate(short, "")))
	require.Equal(t, "BAD_DIGEST", value(Certificate("x", short)))
	require.Equal(t, "MISSING_FIELD", value(Certificate("", "")))

	for name, text := range map[string]string{
		"newlines": "x\n-----BEGIN CERTIFICATE-----\naGVs\nbG8=\n-----END CERTIFICATE-----\ny",
		"CRLF":     "-----BEGIN CERTIFICATE-----\r\naGVs\r\nbG8=\r\n-----END CERTIFICATE-----",
		"blanks":   "-----BEGIN CERTIFICATE----- aGVs bG8= -----END CERTIFICATE-----",
		"two":      "-----BEGIN CERTIFICATE-----aGVsbG8=-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
	} {
		sha256, sha1, ok := PEM(text)
		require.True(t, ok, name)
		require.Equal(t, []string{long, short}, []string{sha256, sha1}, name)
	}
	for _, text := range []string{"", "aGVsbG8=", beginPEM + "aGVsbG8=", beginPEM + endPEM, beginPEM + "a-b" + endPEM, beginPEM + "aGVsbG8" + endPEM} {
		_, _, ok := PEM(text)
		require.False(t, ok, text)
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string][]record.PortRange{
		"":                    nil,
		"80":                  {{First: 80, Last: 80}},
		"443,1,3-4,2,T:80":    {{First: 1, Last: 4}, {First: 80, Last: 80}, {First: 443, Last: 443}},
		"0-65535":             {{First: 0, Last: 65535}},
		"65534-65535,65535,1": {{First: 1, Last: 1}, {First: 65534, Last: 65535}},
		"1-100,5-6, 50-200 ,": {{First: 1, Last: 200}},
	} {
		got, err := Ports(spec)
		require.NoError(t, err, spec)
		require.Equal(t, want, got, spec)
	}
	for _, spec := range []string{"65536", "1-70000", "http", "4-3", "-5", "5-", "1--2"} {
		_, err := Ports(spec)
		require.ErrorIs(t, err, ErrPort, spec)
	}
}

// TestRanges holds that ranges are what a set of addresses would be.
func TestRanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := func(i int) netip.Addr {
			if i < 128 {
				return netip.AddrFrom4([4]byte{255, 255, 255, byte(128 + i)})
			}
			return netip.AddrFrom16([16]byte{15: byte(i - 128)})
		}
		var ranges Ranges
		set := map[netip.Addr]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			from := rapid.IntRange(0, 255).Draw(t, "from")
			to := min(from+rapid.IntRange(0, 9).Draw(t, "more"), from|127)
			remove := rapid.IntRange(0, 3).Draw(t, "remove") == 0
			if remove {
				ranges.Remove(at(from), at(to))
			} else {
				ranges.AddAll(at(from), at(to))
			}
			for i := from; i <= to; i++ {
				set[at(i)] = !remove
			}
		}
		got := map[netip.Addr]bool{}
		var last netip.Addr
		require.NoError(t, ranges.Each(func(from, to netip.Addr) error {
			require.False(t, to.Less(from))
			if last.IsValid() {
				require.True(t, last.Less(from))
				require.NotEqual(t, last.Next(), from, "ranges that touch are one")
			}
			for a := from; ; a = a.Next() {
				got[a] = true
				if a == to {
					break
				}
			}
			last = to
			return nil
		}))
		for address, in := range set {
			require.Equal(t, in, got[address], address)
			delete(got, address)
		}
		require.Empty(t, got)
	})
	var many Ranges
	for i := range 100_000 {
		many.Add(netip.AddrFrom4([4]byte{10, byte(i >> 15), byte(i >> 7), byte(i << 1)}))
		many.Add(netip.AddrFrom4([4]byte{10, byte(i >> 15), byte(i >> 7), byte(i<<1) | 1}))
	}
	require.Len(t, many.all, 1)
}

func TestTexts(t *testing.T) {
	t.Parallel()
	require.Equal(t, "OpenSSH 9.6 (protocol 2.0)", Banner("OpenSSH", "9.6", "protocol 2.0"))
	require.Equal(t, "OpenSSH", Banner(" OpenSSH", "", " "))
	require.Equal(t, "1 (x y)", Banner("", "1", "x\n y"))
	require.Empty(t, Banner("", "", ""))
	require.Empty(t, Unfit("", "plain", strings.Repeat("a", 2048)))
	require.NotEmpty(t, Unfit("a", strings.Repeat("a", 2049)))
	require.NotEmpty(t, Unfit("a\tb"))
	require.NotEmpty(t, Unfit("a\ufffdb"))
	require.NotEmpty(t, Unfit("a\xffb"))
	require.Equal(t, "scan.xml", BaseName("../../etc/scan.xml"))
	require.Equal(t, "scan.xml", BaseName(`C:\x\scan.xml`))
	require.Equal(t, "_", BaseName("a/\x00"))
	require.Empty(t, BaseName("a/"))
	require.Len(t, BaseName(strings.Repeat("ä", 200)), 254)
}

package sslyze

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// TestCounts holds the counts that the data came with: one server each, with the
// certificate that it presents under its own name.
func TestCounts(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]struct {
		summary      surface.Summary
		domain, host string
		tls          []string
		certificate  record.CertificateDetail
	}{
		"defectdojo-one_target_one_vuln_new.json": {
			summary: surface.Summary{Records: 1, StartedAt: time.Date(2022, 1, 17, 16, 46, 10, 91480000, time.UTC), FinishedAt: time.Date(2022, 1, 17, 16, 46, 15, 754574000, time.UTC)},
			domain:  "example.com", host: "1.1.1.1", tls: []string{"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"},
			certificate: record.CertificateDetail{
				SHA256: "ea15021056767c36d4199e09502ce5e469aa102057b04b5347ebefddb6e5f106", SHA1: "207c246be38733c84dd6d460f2390f2545012e40",
				Subject: "CN=*.example.com", Issuer: "CN=RapidSSL TLS DV RSA Mixed SHA256 2020 CA-1,O=DigiCert Inc,C=US", Serial: "3428951006436800667962695313007041170",
				Names: []string{"*.example.com", "example.com"}, NotBefore: time.Date(2021, 3, 15, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2022, 3, 15, 23, 59, 59, 0, time.UTC),
				KeyType: "rsa", KeyBits: 2048, SignatureAlgorithm: "sha256WithRSAEncryption",
			},
		},
		"scb-www.securecodebox.io.json": {
			summary: surface.Summary{Records: 1, StartedAt: time.Date(2025, 11, 5, 12, 17, 36, 881574000, time.UTC), FinishedAt: time.Date(2025, 11, 5, 12, 17, 39, 633573000, time.UTC)},
			domain:  "www.securecodebox.io", host: "35.157.26.135", tls: []string{"TLS 1.2", "TLS 1.3"},
			certificate: record.CertificateDetail{
				SHA256: "7ec918597a5309aeb1188a91bd27d8be36a2521f68d61f22ac93a9caa18bfc25", SHA1: "1a931cb169710d74db11501892627b552232fc76",
				Subject: "CN=www.securecodebox.io", Issuer: "CN=E7,O=Let's Encrypt,C=US", Serial: "492947554138712313576529017960504612597129",
				Names: []string{"docs.securecodebox.io", "www.securecodebox.io"}, NotBefore: time.Date(2025, 10, 1, 21, 53, 48, 0, time.UTC), NotAfter: time.Date(2025, 12, 30, 21, 53, 47, 0, time.UTC),
				KeyType: "ec", KeyBits: 256, SignatureAlgorithm: "ecdsa-with-SHA384",
			},
		},
	} {
		content := surfacetest.Shared(t, "sslyze", file)
		summary, out := surfacetest.Clean(t, Parse, content)
		require.Equal(t, want.summary, summary, file)
		service := want.host + " tcp/443"
		require.Equal(t, []string{want.domain}, surfacetest.Values(out, record.DomainAsset))
		require.Equal(t, []string{want.host}, surfacetest.Values(out, record.HostAsset))
		require.Equal(t, []string{service}, surfacetest.Values(out, record.ServiceAsset))
		require.Equal(t, []string{want.certificate.SHA256}, surfacetest.Values(out, record.CertificateAsset))
		require.Len(t, surfacetest.Assets(out), 4)
		require.Equal(t, []string{want.domain + " -> " + want.host}, surfacetest.Ties(out, record.Resolves))
		require.Equal(t, []string{service + " -> " + want.certificate.SHA256}, surfacetest.Ties(out, record.Presents))
		require.Equal(t, []string{"certificate: " + service}, surfacetest.Covers(out))
		seen := surfacetest.Assets(out)
		require.Equal(t, &record.ServiceDetail{Tunnel: "ssl", TLS: want.tls}, seen[record.AssetRef{Kind: record.ServiceAsset, Value: service}].Service)
		require.Equal(t, &want.certificate, seen[record.AssetRef{Kind: record.CertificateAsset, Value: want.certificate.SHA256}].Certificate)
	}
}

// TestServers holds what becomes of servers that answered in part, or not at all.
func TestServers(t *testing.T) {
	t.Parallel()
	content := surfacetest.Own(t, "six.json")
	summary, out := surfacetest.Parse(t, Parse, content)
	require.Equal(t, surface.Summary{Records: 6, StartedAt: time.Date(2026, 5, 4, 10, 11, 12, 131415000, time.UTC), FinishedAt: time.Date(2026, 5, 4, 10, 12, 12, 0, time.UTC)}, summary)
	require.Empty(t, out.Rejections)
	require.Len(t, out.Warnings, 1)
	require.Equal(t, "2 targets could not be reached.", out.Warnings[0].Message)
	digest := func(n string) string { return strings.Repeat("0"+n, 32) }
	for kind, want := range map[record.AssetKind][]string{
		record.DomainAsset: {"half.example.com", "mail.example.com", "proxied.example.com", "shop.example.com"},
		record.HostAsset:   {"2001:db8::7", "203.0.113.10", "203.0.113.7", "203.0.113.8"},
		record.ServiceAsset: {"2001:db8::7 tcp/8443", "203.0.113.10 tcp/443", "203.0.113.7 tcp/443", "203.0.113.8 tcp/25",
			"proxied.example.com tcp/443"},
		record.CertificateAsset: {digest("1"), digest("2"), digest("3"), digest("4")},
	} {
		require.Equal(t, want, surfacetest.Values(out, kind), kind)
	}
	require.Equal(t, []string{
		"203.0.113.10 tcp/443 -> " + digest("4"), "203.0.113.7 tcp/443 -> " + digest("1"), "203.0.113.7 tcp/443 -> " + digest("2"),
		"203.0.113.8 tcp/25 -> " + digest("3"), "proxied.example.com tcp/443 -> " + digest("1"),
	}, surfacetest.Ties(out, record.Presents))
	require.Equal(t, []string{"certificate: 203.0.113.7 tcp/443", "certificate: 203.0.113.8 tcp/25", "certificate: proxied.example.com tcp/443"}, surfacetest.Covers(out))
	seen := surfacetest.Assets(out)
	require.Equal(t, &record.ServiceDetail{Name: "smtp", TLS: []string{"TLS 1.2", "TLS 1.3"}}, seen[record.AssetRef{Kind: record.ServiceAsset, Value: "203.0.113.8 tcp/25"}].Service)
	require.Equal(t, []string{"203.0.113.7", "shop.example.com", "www.example.com"}, seen[record.AssetRef{Kind: record.CertificateAsset, Value: digest("1")}].Certificate.Names)
	surfacetest.Same(t, Parse, content)
}

// TestFormerVersions holds that a certificate without digests is known by the
// digests of itself.
func TestFormerVersions(t *testing.T) {
	t.Parallel()
	_, out := surfacetest.Parse(t, Parse, surfacetest.Own(t, "three.json"))
	require.Empty(t, out.Rejections)
	_, warned := surfacetest.Codes(out)
	require.Equal(t, []string{"TARGET_UNREACHABLE"}, warned)
	seen := surfacetest.Assets(out)
	require.Equal(t, &record.ServiceDetail{Tunnel: "ssl", TLS: []string{"TLS 1.2"}}, seen[record.AssetRef{Kind: record.ServiceAsset, Value: "203.0.113.7 tcp/443"}].Service)
	values := surfacetest.Values(out, record.CertificateAsset)
	require.Len(t, values, 1)
	require.Equal(t, &record.CertificateDetail{
		SHA256: "0ddde28e40838ef6f9853e887f597d6adb5f40eb35d5763c52e1e64d8ba3bfff", SHA1: "c98714b16f92c8a770e9fc229df834d1688e282f", Subject: "CN=www.example.com", Issuer: "CN=Example CA", Serial: "123",
		Names: []string{"www.example.com"}, NotBefore: time.Date(2020, 9, 22, 19, 13, 34, 0, time.UTC), NotAfter: time.Date(2020, 12, 21, 19, 13, 34, 0, time.UTC),
		KeyType: "rsa", KeyBits: 2048, SignatureAlgorithm: "sha256",
	}, seen[record.AssetRef{Kind: record.CertificateAsset, Value: values[0]}].Certificate)
	require.Equal(t, []string{"certificate: 203.0.113.7 tcp/443"}, surfacetest.Covers(out))
}

// target is a server at a place that presents a certificate.
func target(location, certificate string) string {
	return `{"server_location":{` + location + `},"connectivity_status":"COMPLETED","scan_status":"COMPLETED","scan_result":{"certificate_info":{"status":"COMPLETED",
"result":{"certificate_deployments":[{"received_certificate_chain":[{` + certificate + `}]}]}}}}`
}

const (
	place  = `"hostname":"a.example.com","ip_address":"203.0.113.1","port":443`
	digest = `"fingerprint_sha256":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="`
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	list := func(text string) string { return "{\"server_scan_results\":[\n" + text + "\n]}\n" }
	at := func(location string) string { return list(target(location, digest)) }
	with := func(certificate string) string { return list(target(place, digest+","+certificate)) }
	surfacetest.Answers(t, Parse, map[string]surfacetest.Case{
		"nothing":                           {Text: "", Fault: "SSLYZE_EMPTY"},
		"blanks":                            {Text: " \n\n", Fault: "SSLYZE_EMPTY"},
		"a scan of nobody":                  {Text: `{"server_scan_results":[]}`},
		"null":                              {Text: `{"server_scan_results":null}`},
		"lists":                             {Text: "[" + target(place, digest) + "]", Seen: 1},
		"another scanner's":                 {Text: `{"ip":"203.0.113.1","port":80}`, Fault: "SSLYZE_WRONG_FORMAT"},
		"text":                              {Text: "CHECKING CONNECTIVITY TO SERVER(S)\n", Fault: "SSLYZE_NOT_JSON"},
		"zstd":                              {Text: "\x28\xb5\x2f\xfd", Fault: "SSLYZE_NOT_TEXT"},
		"cut off":                           {Text: list(target(place, digest))[:200], Fault: "SSLYZE_TRUNCATED"},
		"cut off at the end":                {Text: strings.TrimRight(list(target(place, digest)), "}\n"), Fault: "SSLYZE_TRUNCATED"},
		"servers that are no list":          {Text: `{"server_scan_results":{}}`, Fault: "SSLYZE_NOT_RECORDS"},
		"a server that is too large":        {Text: list(`{"x":"` + strings.Repeat("a", 9<<20) + `"}`), Fault: "SSLYZE_TOO_LARGE"},
		"a server":                          {Text: at(place), Seen: 1},
		"a port too high":                   {Text: at(`"hostname":"a","ip_address":"203.0.113.1","port":70000`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}},
		"a port of a text":                  {Text: at(`"hostname":"a","ip_address":"203.0.113.1","port":"https"`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}},
		"no port":                           {Text: at(`"hostname":"a","ip_address":"203.0.113.1"`), Rejected: []string{"MISSING_FIELD@2"}},
		"no name":                           {Text: at(`"ip_address":"203.0.113.1","port":443`), Rejected: []string{"MISSING_FIELD@2"}},
		"an address that is none":           {Text: at(`"hostname":"a","ip_address":"a","port":443`), Rejected: []string{"BAD_ADDRESS@2"}},
		"a name that is none":               {Text: at(`"hostname":"a b","ip_address":"203.0.113.1","port":443`), Rejected: []string{"BAD_NAME@2"}},
		"a name with a control":             {Text: at(`"hostname":"a\u0000","ip_address":"203.0.113.1","port":443`), Rejected: []string{"INVALID_TEXT@2"}},
		"a key twice":                       {Text: at(place + `,"port":444`), Rejected: []string{"DUPLICATE_KEY@2"}},
		"another type":                      {Text: list(`{"server_location":"a:443","connectivity_status":"COMPLETED"}`), Rejected: []string{"WRONG_TYPE@2"}},
		"deployments of another type":       {Text: strings.Replace(at(place), `[{"received`, `{"x":{"received`, 1), Fault: "SSLYZE_NOT_JSON"},
		"a server that was not reached":     {Text: strings.Replace(at(place), "COMPLETED", "ERROR", 1), Warned: []string{"TARGET_UNREACHABLE"}, Seen: 1},
		"a certificate never valid":         {Text: with(`"not_valid_before":"2026-01-02T00:00:00","not_valid_after":"2026-01-01T00:00:00"`), Warned: []string{"CERTIFICATE_NEVER_VALID"}, Seen: 1},
		"a certificate of no time":          {Text: with(`"not_valid_before":"soon"`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 1},
		"a subject with a control":          {Text: with(`"subject":{"rfc4514_string":"CN=a\u0000"}`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 1},
		"a serial number that is none":      {Text: with(`"serial_number":{"a":1},"public_key":{"key_size":-1}`), Seen: 1},
		"a scan to come":                    {Text: `{"date_scans_started":"2031-01-01T00:00:00Z","server_scan_results":[]}`, Warned: []string{"TIME_IN_FUTURE"}},
		"a scan of no time":                 {Text: `{"date_scans_started":"soon","server_scan_results":[]}`, Warned: []string{"TEXT_UNREADABLE"}},
		"a certificate without any digest":  {Text: list(target(place, `"subject":{}`)), Seen: 1},
		"a certificate with a broken PEM":   {Text: list(target(place, `"as_pem":"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----"`)), Seen: 1},
		"digests that are none of anything": {Text: list(target(place, `"fingerprint_sha256":"AQE=","fingerprint_sha1":"x"`)), Seen: 1},
	})
	_, out := surfacetest.Parse(t, Parse, at(`"hostname":"a","ip_address":"203.0.113.1","port":70000`))
	require.Equal(t, &record.AssetRef{Kind: record.HostAsset, Value: "203.0.113.1"}, out.Rejections[0].Asset)
	_, out = surfacetest.Parse(t, Parse, list(target(place, `"subject":{}`)))
	require.Empty(t, surfacetest.Covers(out), "what was presented could not be told, so nothing is gone")
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	surfacetest.Breaks(t, Parse, "SSLYZE", `{"server_scan_results":[`+target(place, digest)+`,{"server_location":7},`+target(place, digest+`,"subject":{"rfc4514_string":"\u0000"}`)+"]}")
}

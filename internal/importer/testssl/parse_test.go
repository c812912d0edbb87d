package testssl

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// TestCounts holds the counts that the data came with.
func TestCounts(t *testing.T) {
	t.Parallel()
	content := surfacetest.Shared(t, "testssl", "demo.csv")
	summary, out := surfacetest.Clean(t, Parse, content)
	require.Equal(t, surface.Summary{Records: 1, Rows: 33}, summary)
	require.Equal(t, []string{"demo.defectdojo.org -> 104.131.110.75"}, surfacetest.Ties(out, record.Resolves))
	require.Len(t, surfacetest.Assets(out), 3, "a host, a domain, a service and no certificate")
	require.Empty(t, surfacetest.Covers(out))
	require.Equal(t, &record.ServiceDetail{Name: "http", Tunnel: "ssl", TLS: []string{"TLS 1.2", "TLS 1.3"}},
		surfacetest.Assets(out)[record.AssetRef{Kind: record.ServiceAsset, Value: "104.131.110.75 tcp/443"}].Service)
	surfacetest.Same(t, Parse, content)

	summary, out = surfacetest.Clean(t, Parse, surfacetest.Shared(t, "testssl", "overall_critical.csv"))
	require.Equal(t, surface.Summary{Records: 1, Rows: 198}, summary)
	value := "1bd29c55a8e4c8d77bf3a46095ccae91ec6057fb0705c4da9cb40f42b23430c1"
	require.Equal(t, []string{"127.0.0.1 tcp/443 -> " + value}, surfacetest.Ties(out, record.Presents))
	require.Equal(t, []string{"certificate: 127.0.0.1 tcp/443"}, surfacetest.Covers(out))
	require.Equal(t, &record.CertificateDetail{
		SHA256: value, SHA1: "ee2119daca1055b2cb5511cfaf8a390d1363742a", Subject: "CN=*.avn-live.com", Issuer: "AlphaSSL CA - SHA256 - G2 (GlobalSign nv-sa from BE)",
		Serial: "618E42C0D7A586970F48BF38", Names: []string{"*.avn-live.com", "avn-live.com"}, NotBefore: time.Date(2022, 2, 7, 2, 47, 0, 0, time.UTC),
		NotAfter: time.Date(2023, 3, 11, 2, 47, 0, 0, time.UTC), KeyType: "rsa", KeyBits: 2048, SignatureAlgorithm: "SHA256 with RSA",
	}, surfacetest.Assets(out)[record.AssetRef{Kind: record.CertificateAsset, Value: value}].Certificate)
}

const header = `"id","fqdn/ip","port","severity","finding","cve","cwe"` + "\n"

// said is a row of a table.
func said(id, target, port, finding string) string {
	return fmt.Sprintf("\"%s\",\"%s\",\"%s\",\"INFO\",\"%s\",\"\",\"\"\n", id, target, port, finding)
}

var digest = strings.Repeat("0A", 32)

// TestTargets holds the forms of a target, and what a table and JSON say alike.
func TestTargets(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"a.example.com/203.0.113.1": "203.0.113.1 tcp/443", "203.0.113.1/203.0.113.1": "203.0.113.1 tcp/443", "a.example.com/": "a.example.com tcp/443",
		"a.example.com": "a.example.com tcp/443", "/203.0.113.1": "203.0.113.1 tcp/443", "a.example.com/[2001:DB8::1]": "2001:db8::1 tcp/443",
	} {
		for _, text := range []string{
			header + said("TLS1_2", target, "443", "offered (OK)") + said("other", target, "443", "x"),
			fmt.Sprintf(`[{"id":"TLS1_2","ip":%q,"port":"443","severity":"OK","finding":"offered (OK)"},{"id":"other","ip":%q,"port":"443","finding":"x"}]`, target, target),
		} {
			summary, out := surfacetest.Parse(t, Parse, text)
			require.Equal(t, surface.Summary{Records: 1, Rows: 2}, summary, target)
			require.Empty(t, out.Rejections)
			require.Equal(t, []string{want}, surfacetest.Values(out, record.ServiceAsset), target)
			ref := record.AssetRef{Kind: record.ServiceAsset, Value: want}
			require.Equal(t, []string{"TLS 1.2"}, surfacetest.Assets(out)[ref].Service.TLS)
		}
	}
	_, out := surfacetest.Parse(t, Parse, header+said("service", "a.example.com/203.0.113.1:8443", "", "HTTP"))
	require.Equal(t, []string{"203.0.113.1 tcp/8443"}, surfacetest.Values(out, record.ServiceAsset))
}

// TestCertificates holds that certificates of one target stand apart, and that
// targets follow each other.
func TestCertificates(t *testing.T) {
	t.Parallel()
	one, two := "a.example.com/203.0.113.1", "b.example.com/203.0.113.2"
	text := header + said("engine_problem", "/", "443", "old") + said("cert_fingerprintSHA256 <cert#1>", one, "443", digest) +
		said("cert_commonName <cert#1>", one, "443", "a.example.com") + said("cert_fingerprintSHA256 <cert#2>", one, "443", strings.Repeat("0b", 32)) +
		said("cert_keySize <cert#2>", one, "443", "EC 256 bits") + said("cert_subjectAltName <cert#2>", one, "443", "missing (NOT ok)") +
		said("TLS1_2", one, "8443", "not offered") + said("scanProblem", two, "443", "Can't connect") + said("scanTime", two, "443", "7")
	summary, out := surfacetest.Parse(t, Parse, text)
	require.Equal(t, surface.Summary{Records: 3, Rows: 9}, summary)
	require.Empty(t, out.Rejections)
	_, warned := surfacetest.Codes(out)
	require.Equal(t, []string{"TARGET_UNREACHABLE"}, warned)
	require.Equal(t, []string{"203.0.113.1 tcp/443", "203.0.113.1 tcp/8443"}, surfacetest.Values(out, record.ServiceAsset))
	require.Equal(t, []string{strings.Repeat("0a", 32), strings.Repeat("0b", 32)}, surfacetest.Values(out, record.CertificateAsset))
	require.Equal(t, []string{"certificate: 203.0.113.1 tcp/443"}, surfacetest.Covers(out))
	seen := surfacetest.Assets(out)
	require.Equal(t, "CN=a.example.com", seen[record.AssetRef{Kind: record.CertificateAsset, Value: strings.Repeat("0a", 32)}].Certificate.Subject)
	require.Equal(t, &record.CertificateDetail{SHA256: strings.Repeat("0b", 32), KeyType: "ec", KeyBits: 256},
		seen[record.AssetRef{Kind: record.CertificateAsset, Value: strings.Repeat("0b", 32)}].Certificate)
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	good := said("service", "a.example.com/203.0.113.1", "443", "HTTP")
	between := func(text string) string { return header + good + text + strings.ReplaceAll(good, "443", "444") }
	certificate := func(rows ...string) string {
		text := said("cert_fingerprintSHA256", "203.0.113.2/203.0.113.2", "443", digest)
		for i := 0; i < len(rows); i += 2 {
			text += said(rows[i], "203.0.113.2/203.0.113.2", "443", rows[i+1])
		}
		return between(text)
	}
	object := `{"id":"service","ip":"203.0.113.1/203.0.113.1","port":"443","finding":"HTTP"}`
	surfacetest.Answers(t, Parse, map[string]surfacetest.Case{
		"nothing":                     {Text: "", Fault: "TESTSSL_EMPTY"},
		"blanks":                      {Text: " \n\n", Fault: "TESTSSL_EMPTY"},
		"a header":                    {Text: header},
		"a mark":                      {Text: mark + header + good, Seen: 1},
		"a list of nothing":           {Text: "[]"},
		"lines":                       {Text: object + "\n" + object + "\n", Seen: 1},
		"another table":               {Text: "host,port\na,80\n", Fault: "TESTSSL_WRONG_FORMAT"},
		"text":                        {Text: "Testing protocols via sockets\n", Fault: "TESTSSL_NOT_CSV"},
		"another scanner's":           {Text: `{"ip":"203.0.113.1","ports":[]}`, Fault: "TESTSSL_WRONG_FORMAT"},
		"the pretty form":             {Text: `{"Invocation":"x","scanResult":[]}`, Fault: "TESTSSL_WRONG_FORMAT"},
		"gzip":                        {Text: "\x1f\x8b\x08", Fault: "TESTSSL_NOT_TEXT"},
		"zip":                         {Text: "PK\x03\x04", Fault: "TESTSSL_NOT_TEXT"},
		"cut off in a text":           {Text: header + good + good[:30], Fault: "TESTSSL_TRUNCATED"},
		"cut off in a row":            {Text: header + good + `"service","a.example.com/203.0.113.1"`, Fault: "TESTSSL_TRUNCATED"},
		"a list that is cut off":      {Text: "[" + object + ",", Fault: "TESTSSL_TRUNCATED"},
		"a quote amiss":               {Text: header + "\"a\"b\",\"c\"\n" + good, Fault: "TESTSSL_NOT_CSV"},
		"a row that is too long":      {Text: header + said("x", strings.Repeat("a", 9<<20), "443", ""), Fault: "TESTSSL_TOO_LARGE"},
		"a short row":                 {Text: between("\"service\",\"b\"\n"), Rejected: []string{"MISSING_FIELD@3"}, Seen: 2},
		"a port too high":             {Text: between(said("service", "203.0.113.2/203.0.113.2", "70000", "HTTP")), Rejected: []string{"PORT_OUT_OF_RANGE@3"}, Seen: 2},
		"a port of a text":            {Text: between(said("service", "203.0.113.2/203.0.113.2", "https", "HTTP")), Rejected: []string{"PORT_OUT_OF_RANGE@3"}, Seen: 2},
		"no port":                     {Text: between(said("service", "203.0.113.2/203.0.113.2", "", "HTTP")), Rejected: []string{"PORT_OUT_OF_RANGE@3"}, Seen: 2},
		"a name that is none":         {Text: between(said("service", "a b/203.0.113.2", "443", "HTTP")), Rejected: []string{"BAD_NAME@3"}, Seen: 2},
		"a name with a control":       {Text: between(said("service", "a\x00/203.0.113.2", "443", "HTTP")), Rejected: []string{"INVALID_TEXT@3"}, Seen: 2},
		"an address that is none":     {Text: between(said("service", "a/203.0.113", "443", "HTTP")), Rejected: []string{"BAD_ADDRESS@3"}, Seen: 2},
		"a key twice":                 {Text: "[" + object + "," + strings.Replace(object, "{", `{"id":"x",`, 1) + "]", Rejected: []string{"DUPLICATE_KEY@1"}, Seen: 1},
		"another type":                {Text: "[" + object + "," + strings.Replace(object, `"HTTP"`, "7", 1) + "]", Rejected: []string{"WRONG_TYPE@1"}, Seen: 1},
		"a certificate never valid":   {Text: certificate("cert_notBefore", "2026-02-02 00:00", "cert_notAfter", "2026-01-01 00:00"), Warned: []string{"CERTIFICATE_NEVER_VALID"}, Seen: 3},
		"a certificate of no time":    {Text: certificate("cert_notBefore", "soon"), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"another digest":              {Text: certificate("cert", "-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----"), Warned: []string{"DIGEST_DIFFERS"}, Seen: 3},
		"a certificate that is none":  {Text: certificate("cert", "-----BEGIN CERTIFICATE----- *** -----END CERTIFICATE-----"), Seen: 3},
		"an issuer with a control":    {Text: certificate("cert_caIssuers", "a\x07"), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"rows about one target apart": {Text: header + good + strings.ReplaceAll(good, "443", "444") + good, Seen: 3},
	})
	_, out := surfacetest.Parse(t, Parse, between(said("service", "b/203.0.113.2", "70000", "HTTP")))
	require.Equal(t, &record.AssetRef{Kind: record.HostAsset, Value: "203.0.113.2"}, out.Rejections[0].Asset)
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	target := "203.0.113.2/203.0.113.2"
	surfacetest.Breaks(t, Parse, "TESTSSL", header+said("service", target, "443", "HTTP")+"\"x\"\n"+said("scanProblem", target, "444", "no"))
}

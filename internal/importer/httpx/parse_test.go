package httpx

import (
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
	content := surfacetest.Shared(t, "httpx", "httpx_many_vuln.json")
	summary, out := surfacetest.Clean(t, Parse, content)
	require.Equal(t, surface.Summary{Records: 5, StartedAt: time.Date(2026, 7, 31, 19, 38, 54, 433676000, time.UTC),
		FinishedAt: time.Date(2026, 7, 31, 19, 38, 54, 450647000, time.UTC)}, summary)
	base := "http://172.29.0.2:80"
	pages := []string{base + "/", base + "/.git/config", base + "/admin/", base + "/login.html", base + "/robots.txt"}
	require.Equal(t, pages, surfacetest.Values(out, record.URLAsset))
	require.Equal(t, pages, surfacetest.Values(out, record.URLPathAsset))
	require.Equal(t, []string{"172.29.0.2"}, surfacetest.Values(out, record.HostAsset))
	require.Equal(t, []string{"172.29.0.2 tcp/80"}, surfacetest.Values(out, record.ServiceAsset))
	require.Equal(t, []string{"172.29.0.2 tcp/80 nginx"}, surfacetest.Values(out, record.TechnologyAsset))
	require.Empty(t, surfacetest.Values(out, record.DomainAsset))
	require.Equal(t, []string{"technology: 172.29.0.2 tcp/80"}, surfacetest.Covers(out))
	seen := surfacetest.Assets(out)
	require.Equal(t, &record.TechnologyDetail{Name: "Nginx", Version: "1.31.3"}, seen[record.AssetRef{Kind: record.TechnologyAsset, Value: "172.29.0.2 tcp/80 nginx"}].Technology)
	require.Equal(t, &record.URLDetail{Status: 200, Title: "generic-app admin", Server: "nginx/1.31.3", ContentType: "text/html", Method: "GET"},
		seen[record.AssetRef{Kind: record.URLAsset, Value: base + "/admin/"}].URL)
	surfacetest.Same(t, Parse, content)

	// The same as a list, however that is written.
	lines := strings.Split(strings.TrimSpace(content), "\n")
	for _, text := range []string{"[" + strings.Join(lines, ",") + "]", "[\n" + strings.Join(lines, ",\n") + "\n]\n", "\xef\xbb\xbf" + content} {
		again, list := surfacetest.Parse(t, Parse, text)
		require.Equal(t, summary, again)
		require.Equal(t, surfacetest.Assets(out), surfacetest.Assets(list))
	}
	again, _ := surfacetest.Parse(t, Parse, lines[0])
	require.Equal(t, 1, again.Records)
}

// TestNames holds what becomes of names, of the addresses behind them, and of
// what was presented and recognized.
func TestNames(t *testing.T) {
	t.Parallel()
	content := surfacetest.Own(t, "named.jsonl")
	summary, out := surfacetest.Clean(t, Parse, content)
	require.Equal(t, surface.Summary{Records: 5, StartedAt: time.Date(2026, 5, 4, 8, 11, 12, 500000000, time.UTC),
		FinishedAt: time.Date(2026, 5, 4, 8, 11, 15, 0, time.UTC)}, summary)
	for kind, want := range map[record.AssetKind][]string{
		record.DomainAsset:  {"api.example.com", "old.example.com", "shop.example.com"},
		record.HostAsset:    {"198.51.100.4", "2001:db8::7", "203.0.113.10", "203.0.113.7", "203.0.113.8", "203.0.113.9"},
		record.ServiceAsset: {"198.51.100.4 tcp/443", "203.0.113.7 tcp/443", "203.0.113.9 tcp/8080"},
		record.URLAsset: {"http://api.example.com:8080/v1?x=1", "http://old.example.com:80/",
			"https://198.51.100.4:443/status", "https://shop.example.com:443"},
		record.URLPathAsset: {"http://api.example.com:8080/v1", "http://old.example.com:80/",
			"https://198.51.100.4:443/status", "https://shop.example.com:443/"},
		record.TechnologyAsset: {"198.51.100.4 tcp/443 go", "203.0.113.7 tcp/443 bootstrap", "203.0.113.7 tcp/443 hsts",
			"203.0.113.7 tcp/443 nginx", "203.0.113.7 tcp/443 sitecore:cms", "http://old.example.com:80/ php"},
		record.CertificateAsset: {strings.Repeat("02", 32)},
	} {
		require.Equal(t, want, surfacetest.Values(out, kind), kind)
	}
	require.Equal(t, []string{
		"api.example.com -> 203.0.113.10", "api.example.com -> 203.0.113.9", "old.example.com -> 203.0.113.10", "old.example.com -> 203.0.113.9",
		"shop.example.com -> 2001:db8::7", "shop.example.com -> 203.0.113.7", "shop.example.com -> 203.0.113.8",
	}, surfacetest.Ties(out, record.Resolves))
	require.Equal(t, []string{"203.0.113.7 tcp/443 -> " + strings.Repeat("02", 32)}, surfacetest.Ties(out, record.Presents))
	require.Equal(t, []string{"certificate: 203.0.113.7 tcp/443", "technology: 198.51.100.4 tcp/443", "technology: 203.0.113.7 tcp/443",
		"technology: http://old.example.com:80/"}, surfacetest.Covers(out))

	seen := surfacetest.Assets(out)
	require.Equal(t, &record.CertificateDetail{SHA256: strings.Repeat("02", 32), SHA1: strings.Repeat("01", 20), Subject: "CN=shop.example.com, O=Example",
		Issuer: "CN=Example CA", Serial: "0A:0B:0C", Names: []string{"shop.example.com", "www.example.com"},
		NotBefore: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)},
		seen[record.AssetRef{Kind: record.CertificateAsset, Value: strings.Repeat("02", 32)}].Certificate)
	service := seen[record.AssetRef{Kind: record.ServiceAsset, Value: "203.0.113.7 tcp/443"}]
	require.Equal(t, record.PortOpen, service.State)
	require.Equal(t, &record.ServiceDetail{Name: "http", Tunnel: "ssl"}, service.Service)
	require.Equal(t, 204, seen[record.AssetRef{Kind: record.URLAsset, Value: "https://198.51.100.4:443/status"}].URL.Status)
	for text, want := range map[string]string{"Nginx:1.31.3": "1.31.3", "Bootstrap:v5": "v5"} {
		_, version := split(text)
		require.Equal(t, want, version, text)
	}
	for _, text := range []string{"PHP", "a:b", "a:", ":1", "x:v"} {
		name, version := split(text)
		require.Equal(t, [2]string{text, ""}, [2]string{name, version})
	}
}

// good is a record that stands around what is wrong.
const good = `{"url":"http://203.0.113.1/","input":"203.0.113.1","host":"203.0.113.1","port":"80"}`

func TestAnswers(t *testing.T) {
	t.Parallel()
	between := func(text string) string { return good + "\n" + text + "\n" + good + "\n" }
	one := func(text string) string {
		return between(`{"url":"http://203.0.113.2/","host":"203.0.113.2",` + text + `}`)
	}
	page := func(text string) string { return between(`{"input":"x",` + text + `}`) }
	surfacetest.Answers(t, Parse, map[string]surfacetest.Case{
		"nothing":                       {Text: "", Fault: "HTTPX_EMPTY"},
		"blanks":                        {Text: " \n\n", Fault: "HTTPX_EMPTY"},
		"a list of nothing":             {Text: "[]"},
		"another scanner's":             {Text: `{"ip":"203.0.113.1","port":80}`, Fault: "HTTPX_WRONG_FORMAT"},
		"an object without keys":        {Text: "{}", Fault: "HTTPX_WRONG_FORMAT"},
		"text":                          {Text: "http://203.0.113.1/ [200]\n", Fault: "HTTPX_NOT_JSON"},
		"gzip":                          {Text: "\x1f\x8b\x08", Fault: "HTTPX_NOT_TEXT"},
		"a list that is cut off":        {Text: "[" + good + ",", Fault: "HTTPX_TRUNCATED"},
		"a line that is cut off":        {Text: good + "\n" + good[:40], Fault: "HTTPX_TRUNCATED"},
		"a line without its end":        {Text: good + "\n" + good, Seen: 2},
		"a broken line":                 {Text: between(good[:40]), Rejected: []string{"NOT_JSON@2"}, Seen: 2},
		"a value that is no record":     {Text: between("7"), Rejected: []string{"NOT_A_RECORD@2"}, Seen: 2},
		"a long value":                  {Text: "[" + good + `,{"url":"` + strings.Repeat("a", 9<<20) + `"}]`, Fault: "HTTPX_TOO_LARGE"},
		"a key twice":                   {Text: one(`"port":80,"port":81`), Rejected: []string{"DUPLICATE_KEY@2"}, Seen: 2},
		"a port of a text":              {Text: one(`"port":"http"`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port too high":               {Text: one(`"port":"70000"`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port too low":                {Text: one(`"port":-1`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port in the URL":             {Text: page(`"url":"http://203.0.113.2:70000/"`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"no URL":                        {Text: between(`{"host":"203.0.113.2"}`), Rejected: []string{"MISSING_FIELD@2"}, Seen: 2},
		"a URL that is none":            {Text: page(`"url":"http:///x"`), Rejected: []string{"BAD_URL@2"}, Seen: 2},
		"a URL of another kind":         {Text: page(`"url":"ftp://203.0.113.2/"`), Rejected: []string{"UNSUPPORTED_URL@2"}, Seen: 2},
		"a URL of another type":         {Text: page(`"url":7`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"a URL with a control":          {Text: page(`"url":"http://203.0.113.2/\u0000"`), Rejected: []string{"INVALID_TEXT@2"}, Seen: 2},
		"a long URL":                    {Text: page(`"url":"http://203.0.113.2/` + strings.Repeat("a", 2048) + `"`), Rejected: []string{"TEXT_TOO_LONG@2"}, Seen: 2},
		"a URL with credentials":        {Text: page(`"url":"http://me:secret@203.0.113.2/"`), Warned: []string{"CREDENTIALS_DROPPED"}, Seen: 3},
		"an address that is none":       {Text: one(`"a":["203.0.113.300"]`), Rejected: []string{"BAD_ADDRESS@2"}, Seen: 2},
		"a name that is none":           {Text: page(`"url":"http://203.0.113.2/","host":"a..b"`), Rejected: []string{"BAD_NAME@2"}, Seen: 2},
		"addresses of another type":     {Text: one(`"a":{"x":1}`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"a status of another type":      {Text: one(`"status_code":"200"`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"a status that is none":         {Text: one(`"status_code":-5`), Seen: 3},
		"a time that is none":           {Text: one(`"timestamp":"yesterday"`), Rejected: []string{"BAD_TIME@2"}, Seen: 2},
		"a time of another type":        {Text: one(`"timestamp":12`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"a time to come":                {Text: one(`"timestamp":"2031-01-01T00:00:00Z"`), Warned: []string{"TIME_IN_FUTURE"}, Seen: 3},
		"a title with controls":         {Text: one(`"title":"a\u0000b","webserver":"\u001b[31m"`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"a long title":                  {Text: one(`"title":"` + strings.Repeat("a", 3000) + `"`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"a technology with controls":    {Text: one(`"tech":["a\u0007","b"]`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"a certificate never valid":     {Text: one(tls(`"not_before":"2026-02-02T00:00:00Z","not_after":"2026-01-01T00:00:00Z"`)), Warned: []string{"CERTIFICATE_NEVER_VALID"}, Seen: 3},
		"a certificate without a time":  {Text: one(tls(`"not_before":"soon"`)), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"a certificate of another type": {Text: one(`"tls":true`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"UTF-8 that is none":            {Text: one("\"title\":\"a\xff\""), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
	})
}

func tls(fields string) string {
	return `"tls":{"fingerprint_hash":{"sha256":"` + strings.Repeat("0f", 32) + `"},` + fields + `}`
}

// TestWhoseFault holds that a rejection says whose record it was, where that much
// was readable.
func TestWhoseFault(t *testing.T) {
	t.Parallel()
	_, out := surfacetest.Parse(t, Parse, good+"\n"+`{"url":"http://203.0.113.2/","host":"203.0.113.2","port":70000}`+"\n"+`{"input":"x"}`+"\n"+`{"url":7}`)
	require.Len(t, out.Rejections, 2)
	require.Equal(t, &record.AssetRef{Kind: record.HostAsset, Value: "203.0.113.2"}, out.Rejections[0].Asset)
	require.Nil(t, out.Rejections[1].Asset)
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	surfacetest.Breaks(t, Parse, "HTTPX", "["+good+`,{"url":7},`+strings.Replace(good, "{", `{"title":"\u0000",`, 1)+"]")
}

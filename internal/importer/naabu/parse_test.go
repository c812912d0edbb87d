package naabu

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// TestCounts holds the counts that the data came with: each port stands there
// twice, which is no fault.
func TestCounts(t *testing.T) {
	t.Parallel()
	content := surfacetest.Shared(t, "naabu", "naabu_many_vuln.json")
	summary, out := surfacetest.Clean(t, Parse, content)
	day := time.Date(2026, 7, 31, 0, 0, 0, 0, time.UTC)
	require.Equal(t, surface.Summary{Records: 8, StartedAt: day, FinishedAt: day.Add(7 * time.Second)}, summary)
	require.Equal(t, []string{"172.29.0.3"}, surfacetest.Values(out, record.HostAsset))
	require.Equal(t, []string{"172.29.0.3 tcp/3000", "172.29.0.3 tcp/80", "172.29.0.3 tcp/8080", "172.29.0.3 tcp/8443"}, surfacetest.Values(out, record.ServiceAsset))
	require.Len(t, surfacetest.Assets(out), 5)
	require.Empty(t, surfacetest.Covers(out))
	surfacetest.Same(t, Parse, content)
}

func TestNames(t *testing.T) {
	t.Parallel()
	content := surfacetest.Own(t, "named.jsonl")
	summary, out := surfacetest.Clean(t, Parse, content)
	require.Equal(t, 9, summary.Records)
	for kind, want := range map[record.AssetKind][]string{
		record.DomainAsset: {"only.example.com", "shop.example.com"},
		record.HostAsset:   {"2001:db8::7", "203.0.113.7", "203.0.113.8", "203.0.113.9"},
		record.ServiceAsset: {"2001:db8::7 tcp/8443", "203.0.113.7 tcp/443", "203.0.113.7 udp/53", "203.0.113.8 tcp/22",
			"203.0.113.8 tcp/8080", "203.0.113.8 udp/161"},
		record.TechnologyAsset: {"203.0.113.8 tcp/22 openssh"},
	} {
		require.Equal(t, want, surfacetest.Values(out, kind), kind)
	}
	require.Equal(t, []string{"shop.example.com -> 203.0.113.7"}, surfacetest.Ties(out, record.Resolves))
	require.Empty(t, surfacetest.Covers(out))

	seen := surfacetest.Assets(out)
	service := func(value string) *record.ServiceDetail {
		return seen[record.AssetRef{Kind: record.ServiceAsset, Value: value}].Service
	}
	require.Equal(t, &record.ServiceDetail{Tunnel: "ssl"}, service("203.0.113.7 tcp/443"))
	require.Equal(t, &record.ServiceDetail{Tunnel: "ssl"}, service("2001:db8::7 tcp/8443"))
	require.Equal(t, &record.ServiceDetail{Name: "ssh", Banner: "OpenSSH 9.6p1 (protocol 2.0)"}, service("203.0.113.8 tcp/22"))
	require.Equal(t, &record.ServiceDetail{Name: "http-proxy", Guessed: true, Banner: "x"}, service("203.0.113.8 tcp/8080"))
	product := seen[record.AssetRef{Kind: record.TechnologyAsset, Value: "203.0.113.8 tcp/22 openssh"}]
	require.Equal(t, surface.VersionDetection, product.Plugin)
	require.Equal(t, &record.TechnologyDetail{Name: "OpenSSH", Version: "9.6p1", CPE: []string{"cpe:/a:openbsd:openssh:9.6p1"}}, product.Technology)
	first := surfacetest.Sighting(t, Parse, strings.SplitN(content, "\n", 2)[0])
	require.Equal(t, &record.HostDetail{MAC: "02:00:00:00:00:07"}, first.Assets[0].Host)
}

const good = `{"ip":"203.0.113.1","port":80,"protocol":"tcp","tls":false}`

func TestAnswers(t *testing.T) {
	t.Parallel()
	between := func(text string) string { return good + "\n" + text + "\n" + good + "\n" }
	one := func(text string) string { return between(`{"ip":"203.0.113.2",` + text + `}`) }
	surfacetest.Answers(t, Parse, map[string]surfacetest.Case{
		"nothing":                      {Text: "", Fault: "NAABU_EMPTY"},
		"blanks":                       {Text: " \n\n", Fault: "NAABU_EMPTY"},
		"a list of nothing":            {Text: "[]"},
		"a list":                       {Text: "[" + good + "," + good + "]", Seen: 2},
		"an indented object":           {Text: "{\n\"ip\":\"203.0.113.1\",\n\"port\":80\n}", Seen: 1},
		"another scanner's":            {Text: `{"@programName":"ZAP","site":[]}`, Fault: "NAABU_WRONG_FORMAT"},
		"text":                         {Text: "203.0.113.1:80\n", Fault: "NAABU_NOT_JSON"},
		"zip":                          {Text: "PK\x03\x04", Fault: "NAABU_NOT_TEXT"},
		"a list that is cut off":       {Text: "[" + good, Fault: "NAABU_TRUNCATED"},
		"a line that is cut off":       {Text: good + "\n" + good[:30], Fault: "NAABU_TRUNCATED"},
		"a key twice":                  {Text: one(`"port":80,"port":81`), Rejected: []string{"DUPLICATE_KEY@2"}, Seen: 2},
		"a key twice in a port":        {Text: one(`"port":{"Port":80,"Port":81}`), Rejected: []string{"DUPLICATE_KEY@2"}, Seen: 2},
		"a port too high":              {Text: one(`"port":70000`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port too low":               {Text: one(`"port":-1`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port of a text":             {Text: one(`"port":"http"`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port of a fraction":         {Text: one(`"port":80.5`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port of a list":             {Text: one(`"port":[80]`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"a port of an object too high": {Text: one(`"port":{"Port":70000}`), Rejected: []string{"PORT_OUT_OF_RANGE@2"}, Seen: 2},
		"no port":                      {Text: one(`"protocol":"tcp"`), Rejected: []string{"MISSING_FIELD@2"}, Seen: 2},
		"port 0":                       {Text: one(`"port":0,"protocol":"tcp"`), Seen: 3},
		"no host":                      {Text: between(`{"port":80}`), Rejected: []string{"MISSING_FIELD@2"}, Seen: 2},
		"a protocol that is none":      {Text: one(`"port":80,"protocol":"quic"`), Rejected: []string{"BAD_PROTOCOL@2"}, Seen: 2},
		"a protocol of a number":       {Text: one(`"port":{"Port":80,"Protocol":7}`), Rejected: []string{"BAD_PROTOCOL@2"}, Seen: 2},
		"an address that is none":      {Text: between(`{"ip":"shop.example.com","port":80}`), Rejected: []string{"BAD_ADDRESS@2"}, Seen: 2},
		"a name that is none":          {Text: one(`"port":80,"host":"a b"`), Rejected: []string{"BAD_NAME@2"}, Seen: 2},
		"an address with a control":    {Text: between(`{"ip":"203.0.113.2\u0000","port":80}`), Rejected: []string{"INVALID_TEXT@2"}, Seen: 2},
		"a long name":                  {Text: one(`"port":80,"host":"` + strings.Repeat("a", 3000) + `"`), Rejected: []string{"TEXT_TOO_LONG@2"}, Seen: 2},
		"a name that stands for many":  {Text: one(`"port":80,"host":"*.example.com"`), Warned: []string{"WILDCARD_NAME"}, Seen: 3},
		"another type":                 {Text: one(`"port":80,"tls":"no"`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"a time that is none":          {Text: one(`"port":80,"timestamp":"noon"`), Rejected: []string{"BAD_TIME@2"}, Seen: 2},
		"a time that nobody set":       {Text: one(`"port":80,"timestamp":"0001-01-01T00:00:00Z"`), Seen: 3},
		"a time to come":               {Text: one(`"port":80,"timestamp":"2031-01-01T00:00:00Z"`), Warned: []string{"TIME_IN_FUTURE"}, Seen: 3},
		"a product with a control":     {Text: one(`"port":80,"product":"a\u0007"`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
	})
	_, out := surfacetest.Parse(t, Parse, one(`"port":70000`))
	require.Equal(t, &record.AssetRef{Kind: record.HostAsset, Value: "203.0.113.2"}, out.Rejections[0].Asset)
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	surfacetest.Breaks(t, Parse, "NAABU", "["+good+`,{"port":7},`+strings.Replace(good, "{", `{"name":"\u0000",`, 1)+"]")
}

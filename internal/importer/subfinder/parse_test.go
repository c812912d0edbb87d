package subfinder

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// TestCounts holds the counts that the data came with.
func TestCounts(t *testing.T) {
	t.Parallel()
	content := surfacetest.Shared(t, "subfinder", "passive_scan_without_ip_example.com.jsonl")
	summary, out := surfacetest.Clean(t, Parse, content)
	require.Equal(t, surface.Summary{Records: 467}, summary)
	domains := surfacetest.Values(out, record.DomainAsset)
	require.Len(t, domains, 467)
	require.NotContains(t, domains, "example.com", "what was asked about was not found")
	plugins, underscored := map[string]int{}, 0
	for ref, asset := range surfacetest.Assets(out) {
		plugins[asset.Plugin]++
		if strings.Contains(ref.Value, "_") {
			underscored++
		}
	}
	require.Equal(t, map[string]int{"alienvault": 462, "crtsh": 5}, plugins)
	require.Equal(t, 1, underscored)
	require.Equal(t, []string{"domain: example.com"}, surfacetest.Covers(out))
	surfacetest.Same(t, Parse, content)
}

func TestNames(t *testing.T) {
	t.Parallel()
	content := surfacetest.Own(t, "named.jsonl")
	summary, out := surfacetest.Parse(t, Parse, content)
	require.Equal(t, 5, summary.Records)
	require.Empty(t, out.Rejections)
	_, warned := surfacetest.Codes(out)
	require.Equal(t, []string{"WILDCARD_NAME"}, warned)
	require.Equal(t, []string{"_sip.example.org", "api.example.com", "shop.example.com"}, surfacetest.Values(out, record.DomainAsset))
	require.Equal(t, []string{"2001:db8::7", "203.0.113.7", "203.0.113.9"}, surfacetest.Values(out, record.HostAsset))
	require.Equal(t, []string{"_sip.example.org -> 2001:db8::7", "api.example.com -> 203.0.113.9", "shop.example.com -> 203.0.113.7"}, surfacetest.Ties(out, record.Resolves))
	require.Equal(t, []string{"domain: example.com", "domain: example.org"}, surfacetest.Covers(out))
	require.Equal(t, "alienvault,crtsh", surfacetest.Assets(out)[record.AssetRef{Kind: record.DomainAsset, Value: "api.example.com"}].Plugin)
}

// TestPlainOutput holds that a list of names is read and covers nothing.
func TestPlainOutput(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"shop.example.com\nwww.example.com\n", "\ufeffshop.example.com\r\n\r\nWWW.example.com", "shop.example.com,[crtsh,anubis]\nwww.example.com,[crtsh]\n",
		"shop.example.com\nwww.example.com\n*.example.com\n",
	} {
		_, out := surfacetest.Parse(t, Parse, text)
		require.Equal(t, []string{"shop.example.com", "www.example.com"}, surfacetest.Values(out, record.DomainAsset))
		require.Empty(t, surfacetest.Values(out, record.HostAsset))
		require.Empty(t, surfacetest.Covers(out))
	}
	_, out := surfacetest.Parse(t, Parse, "shop.example.com,203.0.113.7,crtsh\n")
	require.Equal(t, []string{"shop.example.com -> 203.0.113.7"}, surfacetest.Ties(out, record.Resolves))
}

const good = `{"host":"a.example.com","input":"example.com","source":"crtsh"}`

func TestAnswers(t *testing.T) {
	t.Parallel()
	between := func(text string) string { return good + "\n" + text + "\n" + good + "\n" }
	one := func(text string) string { return between(`{"host":"b.example.com",` + text + `}`) }
	surfacetest.Answers(t, Parse, map[string]surfacetest.Case{
		"nothing":                     {Text: "", Fault: "SUBFINDER_EMPTY"},
		"blanks":                      {Text: " \n\n", Fault: "SUBFINDER_EMPTY"},
		"a list of nothing":           {Text: "[]"},
		"a list":                      {Text: "[\n" + good + ",\n" + good + "]", Seen: 2},
		"another scanner's":           {Text: `{"ip":"203.0.113.1","port":80}`, Fault: "SUBFINDER_WRONG_FORMAT"},
		"text":                        {Text: "hello\n", Fault: "SUBFINDER_NOT_JSON"},
		"a table":                     {Text: "host;ip\nb.example.com;203.0.113.1\n", Fault: "SUBFINDER_NOT_JSON"},
		"gzip":                        {Text: "\x1f\x8b\x08", Fault: "SUBFINDER_NOT_TEXT"},
		"a list that is cut off":      {Text: "[" + good + ",", Fault: "SUBFINDER_TRUNCATED"},
		"a line that is cut off":      {Text: good + "\n" + good[:30], Fault: "SUBFINDER_TRUNCATED"},
		"a long line of names":        {Text: "a.example.com\n" + strings.Repeat("a", 5000), Fault: "SUBFINDER_TOO_LARGE"},
		"a name that is none":         {Text: "a.example.com\nb c\nb.example.com", Rejected: []string{"BAD_NAME@2"}, Seen: 2},
		"a key twice":                 {Text: one(`"ip":"203.0.113.1","ip":"203.0.113.2"`), Rejected: []string{"DUPLICATE_KEY@2"}, Seen: 2},
		"no host":                     {Text: between(`{"input":"example.com"}`), Rejected: []string{"MISSING_FIELD@2"}, Seen: 2},
		"an empty host":               {Text: between(`{"host":""}`), Rejected: []string{"MISSING_FIELD@2"}, Seen: 2},
		"a host that is none":         {Text: between(`{"host":"a..b"}`), Rejected: []string{"BAD_NAME@2"}, Seen: 2},
		"a host that is an address":   {Text: between(`{"host":"203.0.113.1"}`), Rejected: []string{"BAD_NAME@2"}, Seen: 2},
		"a host with a control":       {Text: between(`{"host":"a\u0000.example.com"}`), Rejected: []string{"INVALID_TEXT@2"}, Seen: 2},
		"a long host":                 {Text: between(`{"host":"` + strings.Repeat("a.", 1500) + `"}`), Rejected: []string{"TEXT_TOO_LONG@2"}, Seen: 2},
		"an address that is none":     {Text: one(`"ip":"203.0.113"`), Rejected: []string{"BAD_ADDRESS@2"}, Seen: 2},
		"another type":                {Text: one(`"source":7`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"sources of another type":     {Text: one(`"sources":[7]`), Rejected: []string{"WRONG_TYPE@2"}, Seen: 2},
		"a source with a control":     {Text: one(`"source":"a\u0007"`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"sources that are too many":   {Text: one(`"sources":["` + strings.Repeat(strings.Repeat("a", 900)+`","`+strings.Repeat("b", 900)+`","`, 2) + `c"]`), Seen: 3},
		"a domain asked that is none": {Text: one(`"input":"..."`), Warned: []string{"NAME_UNREADABLE"}, Seen: 3},
	})
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	surfacetest.Breaks(t, Parse, "SUBFINDER", "["+good+`,{"host":7},`+strings.Replace(good, "crtsh", `\u0000`, 1)+"]")
}

package masscan

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// TestCounts holds the counts that the data came with: four records of one
// address.
func TestCounts(t *testing.T) {
	t.Parallel()
	content := surfacetest.Shared(t, "masscan", "masscan_many_vuln.json")
	summary, out := surfacetest.Clean(t, Parse, content)
	at := time.Unix(1785522037, 0).UTC()
	require.Equal(t, surface.Summary{Records: 4, StartedAt: at, FinishedAt: at}, summary)
	require.Equal(t, []string{"172.29.0.3"}, surfacetest.Values(out, record.HostAsset))
	require.Equal(t, []string{"172.29.0.3 tcp/3000", "172.29.0.3 tcp/80", "172.29.0.3 tcp/8080", "172.29.0.3 tcp/8443"}, surfacetest.Values(out, record.ServiceAsset))
	require.Len(t, surfacetest.Assets(out), 5)
	require.Empty(t, surfacetest.Covers(out))
	require.Equal(t, record.Position{File: "scan1", Line: 8}, out.Records[3].Position)
	surfacetest.Same(t, Parse, content)
}

func TestStatesAndBanners(t *testing.T) {
	t.Parallel()
	content := surfacetest.Own(t, "old.json")
	summary, out := surfacetest.Clean(t, Parse, content)
	require.Equal(t, surface.Summary{Records: 6, StartedAt: time.Unix(1770000000, 0).UTC(), FinishedAt: time.Unix(1770000005, 0).UTC()}, summary)
	require.Equal(t, []string{"2001:db8::7", "203.0.113.7", "203.0.113.8", "203.0.113.9"}, surfacetest.Values(out, record.HostAsset))
	services := map[string]record.Asset{}
	for _, r := range out.Records {
		s, ok := r.Fact.(record.Sighting)
		require.True(t, ok)
		for _, a := range s.Assets {
			if _, known := services[a.Value]; a.Kind == record.ServiceAsset && (!known || a.Service != nil) {
				services[a.Value] = a
			}
		}
	}
	require.Len(t, services, 4)
	require.Equal(t, &record.ServiceDetail{Name: "http", Banner: "HTTP/1.1 200 OK"}, services["203.0.113.7 tcp/80"].Service)
	require.Equal(t, record.PortOpen, services["203.0.113.7 tcp/80"].State)
	require.Equal(t, record.PortClosed, services["203.0.113.8 tcp/22"].State)
	require.Equal(t, record.PortOpen, services["203.0.113.8 udp/53"].State)
	require.Equal(t, &record.ServiceDetail{Tunnel: "ssl"}, services["2001:db8::7 tcp/443"].Service)
	surfacetest.Same(t, Parse, content)

	// However the same is written, it says the same.
	records := strings.Split(strings.TrimSpace(content), "\n")
	records = records[1 : len(records)-2]
	for i := range records {
		records[i] = strings.TrimSuffix(records[i], ",")
	}
	for name, text := range map[string]string{
		"lines":            strings.Join(records, "\n"),
		"lines and commas": strings.Join(records, ",\n") + ",\n{finished: 1}\n",
		"a list":           "[" + strings.Join(records, ",") + "]",
		"a comma more":     "[\n" + strings.Join(records, "\n,\n") + "\n,\n]\n",
		"an end":           "[" + strings.Join(records, ",") + "\n,\n{ finished: 1 }\n]",
		"an end outside":   "[" + strings.Join(records, ",") + "]\n{finished: 1}\n",
	} {
		again, list := surfacetest.Parse(t, Parse, text)
		require.Equal(t, summary, again, name)
		require.Equal(t, surfacetest.Assets(out), surfacetest.Assets(list), name)
	}
	one := surfacetest.Sighting(t, Parse, `{"ip":"203.0.113.7","port":22,"proto":"tcp","status":"filtered"}`)
	require.Equal(t, record.PortUnclear, one.Assets[1].State)
}

// TestMended holds what is changed on the way, and that nothing else is.
func TestMended(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "[1,2]": "[1,2]", "[1,\n2\n,]": "[1\n,2\n]", "{\"a\":[1,],}": "{\"a\":[1]}", "1,\n2,": "1\n2",
		"[{finished: 1}]": "[]", "{finished: 1}": "[]", "{finished": "{finished", "{finished: {}}": "{finished: {}}", "{\n\"a\":1}": "{\n\"a\":1}",
		"{finish: 1}": "{finish: 1}", "[{},{finished: 1},{}]": "[{},{}]", `{"a":",]\",}{finished: 1}"}`: `{"a":",]\",}{finished: 1}"}`,
		`["\\",]`: `["\\"]`, "]]],": "]]]", "{ {  {": "{ {  {", "\x1f\x8b": "\x1f\x8b", "{" + strings.Repeat(" ", 100) + "f": "{" + strings.Repeat(" ", 100) + "f",
	} {
		for _, chop := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			got, err := io.ReadAll(mended(chop(strings.NewReader(text))))
			require.NoError(t, err)
			require.Equal(t, want, string(got), "%q", text)
		}
	}
}

const good = `{"ip":"203.0.113.1","ports":[{"port":80,"proto":"tcp","status":"open"}]}`

func TestAnswers(t *testing.T) {
	t.Parallel()
	between := func(text string) string { return "[\n" + good + ",\n" + text + ",\n" + good + "\n]\n" }
	port := func(text string) string {
		return between(`{"ip":"203.0.113.2","ports":[{"port":1,"proto":"tcp"},{` + text + `}]}`)
	}
	surfacetest.Answers(t, Parse, map[string]surfacetest.Case{
		"nothing":                     {Text: "", Fault: "MASSCAN_EMPTY"},
		"blanks":                      {Text: " \n,\n", Fault: "MASSCAN_EMPTY"},
		"a list of nothing":           {Text: "[\n]\n"},
		"nothing but the end":         {Text: "{finished: 1}\n"},
		"lines":                       {Text: good + "\n" + good, Seen: 2},
		"another scanner's":           {Text: `{"url":"http://203.0.113.1"}`, Fault: "MASSCAN_WRONG_FORMAT"},
		"text":                        {Text: "open tcp 80 203.0.113.1 1770000000\n", Fault: "MASSCAN_NOT_JSON"},
		"UTF-16":                      {Text: "\xff\xfe[\x00", Fault: "MASSCAN_NOT_TEXT"},
		"a list that is cut off":      {Text: "[\n" + good + ",\n", Fault: "MASSCAN_TRUNCATED"},
		"a record that is cut off":    {Text: "[\n" + good[:40], Fault: "MASSCAN_TRUNCATED"},
		"a list that is broken":       {Text: "[\n" + good + "\n" + good + "\n]", Fault: "MASSCAN_NOT_JSON"},
		"a key twice":                 {Text: between(`{"ip":"203.0.113.2","ip":"203.0.113.3","ports":[]}`), Rejected: []string{"DUPLICATE_KEY@3"}, Seen: 2},
		"a key twice in a port":       {Text: port(`"port":80,"port":81`), Rejected: []string{"DUPLICATE_KEY@3"}, Seen: 2},
		"no ports":                    {Text: between(`{"ip":"203.0.113.2"}`), Rejected: []string{"MISSING_FIELD@3"}, Seen: 2},
		"no address":                  {Text: between(`{"ports":[]}`), Rejected: []string{"MISSING_FIELD@3"}, Seen: 2},
		"a list of no ports":          {Text: between(`{"ip":"203.0.113.2","ports":[]}`), Seen: 3},
		"a port too high":             {Text: port(`"port":70000,"proto":"tcp"`), Rejected: []string{"PORT_OUT_OF_RANGE@3"}, Seen: 2},
		"a port too low":              {Text: port(`"port":-1,"proto":"tcp"`), Rejected: []string{"PORT_OUT_OF_RANGE@3"}, Seen: 2},
		"a port of a text":            {Text: port(`"port":"http","proto":"tcp"`), Rejected: []string{"PORT_OUT_OF_RANGE@3"}, Seen: 2},
		"no port":                     {Text: port(`"proto":"tcp"`), Rejected: []string{"MISSING_FIELD@3"}, Seen: 2},
		"a protocol that is none":     {Text: port(`"port":80,"proto":"quic"`), Rejected: []string{"BAD_PROTOCOL@3"}, Seen: 2},
		"ports that are no list":      {Text: between(`{"ip":"203.0.113.2","ports":{"port":80}}`), Rejected: []string{"WRONG_TYPE@3"}, Seen: 2},
		"a port that is no object":    {Text: between(`{"ip":"203.0.113.2","ports":[80]}`), Rejected: []string{"WRONG_TYPE@3"}, Seen: 2},
		"an address that is none":     {Text: between(`{"ip":"203.0.113.256","ports":[]}`), Rejected: []string{"BAD_ADDRESS@3"}, Seen: 2},
		"an address with a control":   {Text: between(`{"ip":"203.0.113.2\u0000","ports":[]}`), Rejected: []string{"INVALID_TEXT@3"}, Seen: 2},
		"a time that is none":         {Text: between(`{"ip":"203.0.113.2","timestamp":"soon","ports":[]}`), Rejected: []string{"BAD_TIME@3"}, Seen: 2},
		"a time no calendar has":      {Text: between(`{"ip":"203.0.113.2","timestamp":9999999999999,"ports":[]}`), Rejected: []string{"BAD_TIME@3"}, Seen: 2},
		"a time that nobody set":      {Text: between(`{"ip":"203.0.113.2","timestamp":"0","ports":[]}`), Seen: 3},
		"a time to come":              {Text: between(`{"ip":"203.0.113.2","timestamp":"1900000000","ports":[]}`), Warned: []string{"TIME_IN_FUTURE"}, Seen: 3},
		"a banner of several lines":   {Text: port(`"port":80,"service":{"name":"http","banner":"HTTP/1.0 200\r\nDate: now"}`), Warned: []string{"TEXT_UNREADABLE"}, Seen: 3},
		"a service that is no object": {Text: port(`"port":80,"service":"http"`), Rejected: []string{"WRONG_TYPE@3"}, Seen: 2},
	})
	_, out := surfacetest.Parse(t, Parse, port(`"port":70000,"proto":"tcp"`))
	require.Equal(t, &record.AssetRef{Kind: record.HostAsset, Value: "203.0.113.2"}, out.Rejections[0].Asset)
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	surfacetest.Breaks(t, Parse, "MASSCAN", "["+good+`,{"ip":7},`+strings.Replace(good, `"status":"open"`, `"status":"\u0000"`, 1)+"]")
}

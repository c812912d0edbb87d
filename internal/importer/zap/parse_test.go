package zap

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// TestCounts holds what the shared reports are said to have.
func TestCounts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		records, urls, paths int
		site, service        string
		made                 time.Time
	}{
		"defectdojo-dvwa_baseline_dojo.xml": {124, 26, 21, "http://172.17.0.2:80", "172.17.0.2 tcp/80", time.Date(2021, 4, 26, 7, 3, 32, 0, time.UTC)},
		"defectdojo-some_2.9.0.xml":         {17, 1, 1, "https://mainsite.com:443", "", time.Date(2020, 5, 12, 20, 57, 30, 0, time.UTC)},
		"scb-juice-shop.xml":                {155, 69, 26, "http://juice-shop:3000", "", time.Date(2020, 10, 22, 7, 58, 22, 0, time.UTC)},
	} {
		summary, out := surfacetest.Read(t, Parse, "report", surfacetest.Shared(t, "zap", name))
		require.Equal(t, surface.Summary{Records: want.records, FinishedAt: want.made}, summary, name)
		require.Len(t, out.Records, want.records, name)
		require.Empty(t, surfacetest.Said(out), name)
		kinds := map[record.AssetKind]map[string]bool{}
		var covers []record.Cover
		for _, s := range surfacetest.Sightings(out) {
			covers = append(covers, s.Covers...)
			for _, a := range s.Assets {
				if kinds[a.Kind] == nil {
					kinds[a.Kind] = map[string]bool{}
				}
				kinds[a.Kind][a.Value] = true
			}
		}
		require.Len(t, kinds[record.URLAsset], want.urls, name)
		require.Len(t, kinds[record.URLPathAsset], want.paths, name)
		require.Equal(t, []record.Cover{{Of: record.URLAsset, Subject: record.AssetRef{Kind: record.URLAsset, Value: want.site}}}, covers)
		if want.service == "" {
			require.Empty(t, kinds[record.ServiceAsset], name)
			require.Len(t, kinds[record.DomainAsset], 1, name)
			continue
		}
		require.Equal(t, map[string]bool{want.service: true}, kinds[record.ServiceAsset], name)
		require.Empty(t, kinds[record.DomainAsset], name)
	}
}

// TestShop holds what each element becomes, in both forms.
func TestShop(t *testing.T) {
	t.Parallel()
	host := record.AssetRef{Kind: record.HostAsset, Value: "10.0.0.1"}
	service := record.AssetRef{Kind: record.ServiceAsset, Value: "10.0.0.1 tcp/8443"}
	cdn, shop := record.AssetRef{Kind: record.DomainAsset, Value: "cdn.example"}, record.AssetRef{Kind: record.DomainAsset, Value: "shop"}
	place := []record.Asset{{AssetRef: host},
		{AssetRef: service, Parent: host, State: record.PortOpen, Service: &record.ServiceDetail{Name: "http", Tunnel: "ssl"}}}
	page := func(parent record.AssetRef, url, path, method string) []record.Asset {
		return []record.Asset{
			{AssetRef: record.AssetRef{Kind: record.URLAsset, Value: url}, Parent: parent, URL: &record.URLDetail{Method: method}},
			{AssetRef: record.AssetRef{Kind: record.URLPathAsset, Value: path}, Parent: parent},
		}
	}
	covers := func(origin string) []record.Cover {
		return []record.Cover{{Of: record.URLAsset, Subject: record.AssetRef{Kind: record.URLAsset, Value: origin}}}
	}
	base := "https://10.0.0.1:8443"
	want := []record.Sighting{
		{Assets: append(place[:2:2], page(service, base+"/a?x=1&y=2", base+"/a", "GET")...), Covers: covers(base)},
		{Assets: append(place[:2:2], page(service, base+"/a?x=3", base+"/a", "POST")...)},
		{Assets: append([]record.Asset{{AssetRef: cdn}}, page(cdn, "http://cdn.example:80/lib.js", "http://cdn.example:80/lib.js", "GET")...)},
		{Assets: []record.Asset{{AssetRef: shop}}, Covers: covers("http://shop:80")},
	}
	for name, lines := range map[string][]int{"shop.xml": {7, 8, 9, 12}, "shop.json": {11, 12, 13, 17}} {
		text := surfacetest.Own(t, name)
		summary, out := surfacetest.Read(t, Parse, "report", text)
		require.Equal(t, surface.Summary{Records: 3, FinishedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, summary, name)
		require.Equal(t, want, surfacetest.Sightings(out), name)
		require.Equal(t, []string{"CREDENTIALS_DROPPED"}, surfacetest.Said(out))
		require.NotContains(t, fmt.Sprintf("%+v", out), "secret")
		for i, r := range out.Records {
			require.Equal(t, record.Position{File: "report", Line: lines[i]}, r.Position)
		}
		for _, in := range []io.Reader{iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			var again recordtest.Collector
			_, err := Parse(surfacetest.Named("report", in), surface.Options{Now: surfacetest.Now}, &again)
			require.NoError(t, err)
			require.Equal(t, out, &again, "however the input comes")
		}
	}
	for name, text := range map[string]string{
		"one for a list":       `{"site":{"@name":"http://shop","alerts":{"instances":{"uri":"http://shop/a","method":"GET"}}}}`,
		"a name after alerts":  `{"site":[{"alerts":[{"instances":[{"method":"GET","uri":"http://shop/a"}]}],"@port":80,"@host":"shop","@ssl":false}]}`,
		"nothing for a list":   `{"site":[{"@host":"shop","alerts":null}]}`,
		"a site without pages": `{"@programName":"ZAP","site":[{"@host":"shop"}]}`,
	} {
		_, out := surfacetest.Read(t, Parse, "report", text)
		require.Empty(t, surfacetest.Said(out), name)
		last := surfacetest.Sightings(out)[len(out.Records)-1]
		require.Equal(t, covers("http://shop:80"), last.Covers, name)
	}
	for _, text := range []string{`{"site":[]}`, `<OWASPZAPReport/>`} {
		_, out := surfacetest.Read(t, Parse, "report", text)
		require.Empty(t, out.Records, "a report without sites is one")
	}
	_, out := surfacetest.Read(t, Parse, "report", `<OWASPZAPReport><site name="" host="2001:DB8::1" port="80" ssl="false"/></OWASPZAPReport>`)
	require.Equal(t, covers("http://[2001:db8::1]:80"), surfacetest.Sightings(out)[0].Covers)
}

func TestTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"Fri, 2 Jan 2026 03:04:05": at, "Fri, 02 Jan 2026 03:04:05": at, "Fri, 2 Jan 2026 03:04:05 UTC": at, "Fri, 02 Jan 2026 04:04:05 +0100": at,
		"2026-01-02T04:04:05+01:00": at, "2026-01-02T03:04:05.123456789Z": at.Add(123456 * time.Microsecond), "2026-01-02T03:04:05": at, "": {},
	} {
		summary, out := surfacetest.Read(t, Parse, "report", `<OWASPZAPReport generated="`+text+`"/>`)
		require.Equal(t, want, summary.FinishedAt, text)
		require.Empty(t, surfacetest.Said(out), text)
	}
	for text, want := range map[string]string{"yesterday": "BAD_TIME", "0001-01-01T00:00:00Z": "BAD_TIME", "2027-01-02T03:09:06Z": "TIME_IN_FUTURE"} {
		summary, out := surfacetest.Read(t, Parse, "report", `{"@generated":"`+text+`","site":[]}`)
		require.Zero(t, summary.FinishedAt, text)
		require.Equal(t, []string{want}, surfacetest.Said(out), text)
	}
}

// TestRejects holds that a page or a site that cannot be read costs itself.
func TestRejects(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"https://10.0.0.1:70000/": "PORT_OUT_OF_RANGE", "https://10.0.0.1:-1/": "PORT_OUT_OF_RANGE", "": "MISSING_FIELD", "a": "BAD_URL",
		"https://10.0.0.300/": "BAD_URL", "ws://10.0.0.1/": "UNSUPPORTED_URL", "https://10.0.0.1/" + strings.Repeat("a", 2048): "TEXT_TOO_LONG",
		"https://10.0.0.1/\u0081": "INVALID_TEXT",
	} {
		for _, name := range []string{"shop.xml", "shop.json"} {
			text := surfacetest.Own(t, name)
			require.Contains(t, text, "https://10.0.0.1:8443/a?x=3")
			summary, out := surfacetest.Read(t, Parse, "report", strings.Replace(text, "https://10.0.0.1:8443/a?x=3", uri, 1))
			require.Equal(t, 2, summary.Records, uri)
			require.Len(t, out.Rejections, 1, uri)
			require.Equal(t, want, out.Rejections[0].Code, uri)
			require.Nil(t, out.Rejections[0].Asset)
		}
	}
	summary, out := surfacetest.Read(t, Parse, "report", strings.Replace(surfacetest.Own(t, "shop.xml"), `port="8443"`, `port="70000"`, 1))
	require.Equal(t, 3, summary.Records)
	require.Equal(t, []string{"PORT_OUT_OF_RANGE", "CREDENTIALS_DROPPED"}, surfacetest.Said(out))
	require.Empty(t, surfacetest.Sightings(out)[0].Covers, "the pages of a site that cannot be read are told")
	_, out = surfacetest.Read(t, Parse, "report", strings.Replace(surfacetest.Own(t, "shop.xml"), `POST`, "PO\x00ST", 1))
	require.Contains(t, surfacetest.Said(out), "TEXT_UNREADABLE")
}

// TestRefuses holds that a file that is no report, or is dangerous, is refused as
// a whole, and that nothing it names is opened.
func TestRefuses(t *testing.T) {
	t.Parallel()
	trap := surfacetest.NewTrap(t)
	whole, object := surfacetest.Own(t, "shop.xml"), surfacetest.Own(t, "shop.json")
	body := "<OWASPZAPReport><site name='&x;'/></OWASPZAPReport>"
	for name, test := range map[string]struct{ text, code string }{
		"nothing":               {"", "ZAP_EMPTY"},
		"blanks":                {" \n", "ZAP_EMPTY"},
		"text":                  {"hello", "ZAP_NOT_XML"},
		"another scanner's":     {"<nmaprun/>", "ZAP_WRONG_FORMAT"},
		"another JSON":          {`{"results": []}`, "ZAP_WRONG_FORMAT"},
		"a list":                {`[{"site":[]}]`, "ZAP_WRONG_FORMAT"},
		"a text for a site":     {`{"site":["shop"]}`, "ZAP_WRONG_FORMAT"},
		"a list for a text":     {`{"site":[{"@host":[]}]}`, "ZAP_WRONG_FORMAT"},
		"gzip":                  {"\x1f\x8b\x08", "ZAP_NOT_TEXT"},
		"cut":                   {whole[:strings.Index(whole, "<count>")], "ZAP_TRUNCATED"},
		"JSON that is cut":      {object[:strings.Index(object, `"count"`)], "ZAP_TRUNCATED"},
		"JSON cut in a text":    {object[:strings.Index(object, `GET`)], "ZAP_TRUNCATED"},
		"JSON cut at its begin": {`{`, "ZAP_TRUNCATED"},
		"JSON that is none":     {`{"site":[}`, "ZAP_NOT_JSON"},
		"two reports in JSON":   {object + object, "ZAP_NOT_JSON"},
		"two reports":           {whole + whole, "ZAP_NOT_XML"},
		"a key twice":           {`{"site":[],"site":[]}`, "ZAP_DUPLICATE_KEY"},
		"deep JSON":             {`{"a":` + strings.Repeat("[", 100), "ZAP_TOO_DEEP"},
		"deep":                  {"<OWASPZAPReport>" + strings.Repeat("<a>", 100), "ZAP_TOO_DEEP"},
		"large JSON":            {`{"a":"` + strings.Repeat("a", maxValue) + `"}`, "ZAP_TOO_LARGE"},
		"endless JSON":          {`{"a":"` + strings.Repeat("a", maxValue+1<<20), "ZAP_TOO_LARGE"},
		"many keys":             {`{` + manyKeys() + `"site":[]}`, "ZAP_TOO_LARGE"},
		"a file as entity":      {`<!DOCTYPE x [<!ENTITY x SYSTEM "` + trap.File + `">]>` + body, "ZAP_ENTITIES"},
		"a server as entity":    {`<!DOCTYPE x [<!ENTITY x SYSTEM "` + trap.Server + `">]>` + body, "ZAP_ENTITIES"},
		"an entity that grows":  {`<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY x "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + body, "ZAP_ENTITIES"},
		"an undeclared entity":  {body, "ZAP_ENTITIES"},
	} {
		for _, in := range []io.Reader{strings.NewReader(test.text), iotest.HalfReader(strings.NewReader(test.text))} {
			_, err := Parse(surfacetest.Named("../a/report.xml", in), surface.Options{Now: surfacetest.Now}, &recordtest.Collector{})
			require.Error(t, err, name)
			require.Equal(t, problem.Invalid, problem.KindOf(err), name)
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, test.code, fault.Code, "%s: %v", name, err)
			require.Equal(t, "report.xml", fault.File)
			require.NotContains(t, err.Error(), surfacetest.Secret)
		}
	}
	for _, begin := range []string{"{", `{"site":[`, "<OWASPZAPReport>"} {
		_, err := Parse(surfacetest.Named("a", io.MultiReader(strings.NewReader(begin), iotest.ErrReader(io.ErrClosedPipe))), surface.Options{}, &recordtest.Collector{})
		require.ErrorIs(t, err, io.ErrClosedPipe)
		_, err = Parse(surfacetest.Named("a", io.MultiReader(strings.NewReader(begin), iotest.ErrReader(io.ErrUnexpectedEOF))), surface.Options{}, &recordtest.Collector{})
		require.ErrorContains(t, err, "cut off")
	}
}

func manyKeys() (text string) {
	for i := range maxKeys {
		text += fmt.Sprintf(`"%d":0,`, i)
	}
	return text
}

// FuzzParse holds that whatever the file is, the answer is a typed fault or
// sightings that a sync can take, and the same however the input comes.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"shop.xml", "shop.json"} {
		text := surfacetest.Own(f, name)
		f.Add(text)
		for _, change := range [][2]string{{"10.0.0.1:8443/a", "[::1]:99999/"}, {"GET", "\x00"}, {"site", "sites"}, {"shop", "*.shop"}, {"8443", "70000"}, {"uri", "method"}} {
			f.Add(strings.ReplaceAll(text, change[0], change[1]))
		}
	}
	f.Add("")
	f.Add(`{"site":{"alerts":{"instances":{"uri":"http://a@b:c@[::ffff:1.2.3.4]/ ?#"}}}}`)
	f.Add(`<!DOCTYPE x [<!ENTITY x "y">]><OWASPZAPReport/>`)
	f.Fuzz(func(t *testing.T, text string) {
		var out, again recordtest.Collector
		summary, err := Parse(surfacetest.Named("a", strings.NewReader(text)), surface.Options{Now: surfacetest.Now}, &out)
		same, fault := Parse(surfacetest.Named("a", iotest.OneByteReader(strings.NewReader(text))), surface.Options{Now: surfacetest.Now}, &again)
		require.Equal(t, fmt.Sprint(err), fmt.Sprint(fault))
		require.Equal(t, out, again)
		require.Equal(t, summary, same)
		if err != nil {
			require.Equal(t, problem.Invalid, problem.KindOf(err))
			return
		}
		surfacetest.RequireSound(t, &out)
	})
}

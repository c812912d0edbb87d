package importer_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// TestScansArriveWhole imports the scans of the other scanners, and finds in the
// database what the data is said to have.
func TestScansArriveWhole(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		records int
		kinds   map[string]int
	}{
		"httpx/httpx_many_vuln.json":                          {5, map[string]int{"url": 5, "url_path": 5, "host": 1, "service": 1, "technology": 1}},
		"naabu/naabu_many_vuln.json":                          {8, map[string]int{"host": 1, "service": 4}},
		"masscan/masscan_many_vuln.json":                      {4, map[string]int{"host": 1, "service": 4}},
		"subfinder/passive_scan_without_ip_example.com.jsonl": {467, map[string]int{"domain": 467}},
		"sslyze/defectdojo-one_target_one_vuln_new.json":      {1, map[string]int{"domain": 1, "host": 1, "service": 1, "certificate": 1}},
		"sslyze/scb-www.securecodebox.io.json":                {1, map[string]int{"domain": 1, "host": 1, "service": 1, "certificate": 1}},
		"testssl/demo.csv":                                    {1, map[string]int{"domain": 1, "host": 1, "service": 1}},
		"testssl/overall_critical.csv":                        {1, map[string]int{"domain": 1, "host": 1, "service": 1, "certificate": 1}},
		"zap/defectdojo-dvwa_baseline_dojo.xml":               {124, map[string]int{"host": 1, "service": 1, "url": 26, "url_path": 21}},
		"zap/defectdojo-some_2.9.0.xml":                       {17, map[string]int{"domain": 1, "url": 1, "url_path": 1}},
		"zap/scb-juice-shop.xml":                              {155, map[string]int{"domain": 1, "url": 69, "url_path": 26}},
	} {
		format, file, _ := strings.Cut(name, "/")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLookout(t, organizationOfFile(file))
			run := func(observedAt time.Time) *authority.SyncReport {
				report, err := l.importer.Run(l.ctx, importer.Request{Files: shared(t, format, file),
					SyncRequest: authority.SyncRequest{Organization: l.organization, CreateOrganization: true, Format: importer.Auto, ObservedAt: observedAt}})
				require.NoError(t, err)
				require.Equal(t, format, report.Format)
				require.Empty(t, report.Rejections)
				require.Empty(t, report.Warnings)
				return report
			}
			first := run(dawn)
			require.Equal(t, authority.RecordCounts{Read: want.records, Accepted: want.records}, first.Records)
			kinds, total := map[string]int{}, 0
			for _, a := range l.assets(t) {
				require.Equal(t, "active", a.Status)
				require.Equal(t, first.At, a.FirstSeenAt.UTC())
				kinds[a.Kind]++
				total++
			}
			require.Equal(t, want.kinds, kinds)
			require.Equal(t, authority.SurfaceCounts{Added: total}, first.Assets)

			require.Equal(t, authority.Repeated, run(dawn).Outcome)
			require.Equal(t, authority.Unchanged, run(dawn.Add(time.Hour)).Outcome)
		})
	}
}

// TestTwoScannersOneHost holds that scanners that see one thing speak of one thing,
// and that what one source shows is not another's to take back.
func TestTwoScannersOneHost(t *testing.T) {
	t.Parallel()
	l := newLookout(t, "acme")
	l.scans(t, "naabu", "", dawn, surfacetest.Shared(t, "naabu", "naabu_many_vuln.json"))
	report := l.scans(t, "masscan", "", dawn.Add(time.Hour), surfacetest.Shared(t, "masscan", "masscan_many_vuln.json"))
	require.Equal(t, authority.Applied, report.Outcome)
	require.Zero(t, report.Assets.Added, "both saw 172.29.0.3 and its four ports")
	l.scans(t, "naabu", "", dawn.Add(2*time.Hour), `{"ip":"172.29.0.3","port":80}`)
	require.Len(t, l.values(t, "service"), 4, "a list of ports without its range closes none")
	_, err := l.imports(authority.SyncRequest{Format: "snapshot", Source: "naabu", System: "naabu", ObservedAt: dawn.Add(3 * time.Hour)}, header+"}\n"+trailer)
	require.Equal(t, "SOURCE_OF_ANOTHER_KIND", code(t, err))
	_, err = l.imports(authority.SyncRequest{Format: "kubernetes", Source: "manifests", System: "x", ObservedAt: dawn.Add(3 * time.Hour)}, deployment, account)
	require.NoError(t, err)
	_, err = l.imports(authority.SyncRequest{Format: "naabu", Source: "manifests", System: "x", ObservedAt: dawn.Add(4 * time.Hour)}, `{"ip":"172.29.0.3","port":80}`)
	require.Equal(t, "SOURCE_OF_ANOTHER_KIND", code(t, err))
}

// TestBadScans holds that what is no scan, or a dangerous one, is refused by its
// type, that nothing it names is touched, and that nothing of it is in the
// database; and that one bad record costs no more than it must.
func TestBadScans(t *testing.T) {
	t.Parallel()
	trap := surfacetest.NewTrap(t)
	l := newLookout(t, "acme")
	l.scans(t, "nmap", "", dawn, nmapped("10.0.0.1", "1-1000", upHost("10.0.0.1", "22 open")))
	whole := nmapped("10.0.0.2", "1-1000", upHost("10.0.0.2", "22 open"), upHost("10.0.0.3", "22 open"))
	report := surfacetest.Shared(t, "zap", "scb-juice-shop.xml")
	entity := func(declared string) string {
		return strings.Replace(strings.Replace(whole, "<nmaprun", "<!DOCTYPE x ["+declared+"]><nmaprun", 1), `addr="10.0.0.3"`, `addr="&x;"`, 1)
	}
	before := rowVersions(t, l.super)
	for name, test := range map[string]struct{ format, text, code string }{
		"truncated XML":            {"nmap", whole[:len(whole)-30], "NMAP_TRUNCATED"},
		"truncated in an instance": {"zap", report[:len(report)/2], "ZAP_TRUNCATED"},
		"a file as entity":         {"nmap", entity(`<!ENTITY x SYSTEM "` + trap.File + `">`), "NMAP_ENTITIES"},
		"a server as entity":       {"nmap", entity(`<!ENTITY x SYSTEM "` + trap.Server + `">`), "NMAP_ENTITIES"},
		"a server as parameter":    {"zap", `<!DOCTYPE x [<!ENTITY % x SYSTEM "` + trap.Server + `"> %x;]><OWASPZAPReport/>`, "ZAP_ENTITIES"},
		"an entity bomb": {"nmap", entity(`<!ENTITY a "aaaaaaaaaaaaaaaa"><!ENTITY b "` + strings.Repeat("&a;", 100) + `"><!ENTITY c "` +
			strings.Repeat("&b;", 100) + `"><!ENTITY x "` + strings.Repeat("&c;", 100) + `">`), "NMAP_ENTITIES"},
		"an entity of nobody":       {"nmap", strings.Replace(whole, `addr="10.0.0.3"`, `addr="&x;"`, 1), "NMAP_ENTITIES"},
		"an empty file of nmap":     {"nmap", "", "NMAP_EMPTY"},
		"an empty file of zap":      {"zap", " \n", "ZAP_EMPTY"},
		"an empty file of httpx":    {"httpx", "", "HTTPX_EMPTY"},
		"an empty file of testssl":  {"testssl", "", "TESTSSL_EMPTY"},
		"an empty file of any":      {"auto", "", "FORMAT_UNDETECTED"},
		"a list that is cut off":    {"httpx", `[{"url":"http://10.0.0.2","input":"x"},{"url":`, "HTTPX_TRUNCATED"},
		"a line that is cut off":    {"naabu", `{"ip":"10.0.0.2","port":80}` + "\n" + `{"ip":"10.0.`, "NAABU_TRUNCATED"},
		"a table that is cut off":   {"testssl", "id,fqdn/ip,port,severity,finding\nservice,a/10.0.0.2,443,INFO,\"HT", "TESTSSL_TRUNCATED"},
		"another scanner's":         {"nmap", report, "NMAP_WRONG_FORMAT"},
		"gzip":                      {"masscan", "\x1f\x8b\x08", "MASSCAN_NOT_TEXT"},
		"deep":                      {"nmap", "<nmaprun>" + strings.Repeat("<a>", 100), "NMAP_TOO_DEEP"},
		"names without their count": {"subfinder", `{"hosts":["a"]}`, "SUBFINDER_WRONG_FORMAT"},
	} {
		_, err := l.imports(authority.SyncRequest{Format: test.format, ObservedAt: dawn.Add(time.Hour)}, test.text)
		require.Error(t, err, name)
		require.Equal(t, test.code, code(t, err), name)
		require.NotContains(t, err.Error(), surfacetest.Secret)
	}
	_, err := l.imports(authority.SyncRequest{Format: "nmap", ObservedAt: dawn.Add(time.Hour)}, whole, whole[:len(whole)-30])
	require.Equal(t, "NMAP_TRUNCATED", code(t, err), "a second file that is cut off refuses the first")
	_, err = l.imports(authority.SyncRequest{Format: "nmap", ObservedAt: dawn.Add(time.Hour), Strict: true}, strings.Replace(whole, `portid="22"`, `portid="70000"`, 1))
	require.Error(t, err)
	require.Equal(t, before, rowVersions(t, l.super), "nothing is half written")
}

// TestOddScans holds that what is odd and can be read is read.
func TestOddScans(t *testing.T) {
	t.Parallel()
	certificate := func(from, to string) string {
		return `{"url":"https://10.0.0.2","input":"10.0.0.2","host":"10.0.0.2","port":"443","scheme":"https","tls":{"fingerprint_hash":{"sha256":"` +
			strings.Repeat("0f", 32) + `"},"not_before":"` + from + `","not_after":"` + to + `"}}`
	}
	pages := []string{`{"url":"http://10.0.0.2/a","input":"x","host":"10.0.0.2"}`, `{"url":"http://10.0.0.2/b","input":"x","host":"10.0.0.2"}`}
	for name, test := range map[string]struct {
		format, text     string
		rejected, warned []string
		active           map[string]int
	}{
		"text before XML": {"nmap", "Starting Nmap 7.95\n<!-- by cron -->\n" + nmapped("10.0.0.2", "22", upHost("10.0.0.2", "22 open")), nil, nil,
			map[string]int{"host": 1, "service": 1}},
		"a list where lines are":  {"httpx", "[" + strings.Join(pages, ",\n") + "]", nil, nil, map[string]int{"host": 1, "service": 1, "url": 2, "url_path": 2}},
		"lines where a list is":   {"masscan", `{"ip":"10.0.0.2","ports":[{"port":22}]}` + "\n" + `{"ip":"10.0.0.3","ports":[{"port":22}]}` + "\n", nil, nil, map[string]int{"host": 2, "service": 2}},
		"a scan of nothing":       {"nmap", nmapped("10.0.0.2", "22"), nil, nil, map[string]int{}},
		"a list of nothing":       {"naabu", "[]", nil, nil, map[string]int{}},
		"port 70000 of nmap":      {"nmap", nmapped("10.0.0.2", "22", upHost("10.0.0.2", "70000 open", "22 open")), []string{"PORT_OUT_OF_RANGE"}, nil, map[string]int{"host": 1, "service": 1}},
		"port 70000 of a line":    {"naabu", `{"ip":"10.0.0.2","port":70000}` + "\n" + `{"ip":"10.0.0.3","port":22}` + "\n", []string{"PORT_OUT_OF_RANGE"}, nil, map[string]int{"host": 1, "service": 1}},
		"expired before it began": {"httpx", certificate("2026-02-02T00:00:00Z", "2026-01-01T00:00:00Z"), nil, []string{"CERTIFICATE_NEVER_VALID"}, map[string]int{"host": 1, "service": 1, "url": 1, "url_path": 1, "certificate": 1}},
		"a secret in an address":  {"httpx", `{"url":"http://me:secret@10.0.0.2/","input":"x"}`, nil, []string{"CREDENTIALS_DROPPED"}, map[string]int{"host": 1, "service": 1, "url": 1, "url_path": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLookout(t, "acme")
			report, err := l.imports(authority.SyncRequest{Format: test.format, ObservedAt: dawn}, test.text)
			require.NoError(t, err)
			require.NotEqual(t, authority.Late, report.Outcome)
			var rejected, warned []string
			for _, r := range report.Rejections {
				rejected = append(rejected, r.Code)
			}
			for _, w := range report.Warnings {
				warned = append(warned, w.Code)
			}
			require.Equal(t, test.rejected, rejected)
			require.Equal(t, test.warned, warned)
			kinds := map[string]int{}
			for name, a := range l.assets(t) {
				kinds[a.Kind]++
				require.NotContains(t, name, "secret")
			}
			require.Equal(t, test.active, kinds)
			if slices.Contains(test.warned, "CERTIFICATE_NEVER_VALID") {
				for _, a := range maps.All(l.assets(t)) {
					require.True(t, a.Kind != "certificate" || a.text("notAfter") < a.text("notBefore"), "its dates are kept as they are shown")
				}
			}
		})
	}
}

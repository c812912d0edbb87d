package importer_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// TestRunScan holds that the files of an import are one scan, whoever made it, and
// that the sync knows it is one.
func TestRunScan(t *testing.T) {
	t.Parallel()
	for format, content := range map[string]string{
		"nmap":      `<nmaprun args="nmap 10.0.0.1"><runstats><finished/><hosts up="0"/></runstats></nmaprun>`,
		"zap":       `<OWASPZAPReport><site name="http://10.0.0.1"/></OWASPZAPReport>`,
		"httpx":     `{"url":"http://10.0.0.1","input":"10.0.0.1","scheme":"http"}`,
		"naabu":     `{"ip":"10.0.0.1","port":80}`,
		"masscan":   `[{"ip":"10.0.0.1","ports":[{"port":80,"proto":"tcp"}]}]`,
		"subfinder": `{"host":"a.example","input":"example","source":"crtsh"}`,
		"sslyze":    `{"date_scans_started":"2026-01-01T00:00:00Z","server_scan_results":[]}`,
		"testssl":   "id,fqdn/ip,port,severity,finding\nservice,a/10.0.0.1,443,INFO,HTTP\n",
	} {
		for _, name := range []string{format, "auto"} {
			request := importer.Request{Files: files(content)}
			request.Format = name
			got, err := run(t, request)
			require.NoError(t, err, name)
			require.Equal(t, authority.SyncRequest{Organization: "acme", Format: format, Scan: true}, got.request, "without a word it may take away what it looked at")
			require.Equal(t, format != "sslyze", len(got.Records) > 0, format)
			for _, r := range got.Records {
				require.IsType(t, record.Sighting{}, r.Fact)
				require.Equal(t, "in", r.File)
			}
			require.Empty(t, got.Rejections)

			request.Files = files()
			_, err = run(t, request)
			require.Equal(t, "FILE_MISSING", code(t, err), "no file is not a scan that saw nothing")
			request.Files = func(yield func(importer.File, error) bool) { yield(importer.File{}, errBroken) }
			_, err = run(t, request)
			require.ErrorIs(t, err, errBroken)
		}
		side := importer.Request{Files: files(content), Namespace: "shop"}
		side.Format = format
		_, err := run(t, side)
		require.Equal(t, "OPTION_UNSUPPORTED", code(t, err))
	}
}

var errBroken = errors.New("broken")

package nmap

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// FuzzParse holds that whatever the file is, the answer is a typed fault or
// sightings that a sync can take, and the same however the input comes.
func FuzzParse(f *testing.F) {
	whole := office(f)
	f.Add(whole)
	for _, change := range [][2]string{
		{"<!DOCTYPE nmaprun>", `<!DOCTYPE nmaprun [<!ENTITY x SYSTEM "file:///etc/passwd">]>`},
		{`portid="80"`, `portid="70000"`}, {`addr="10.0.0.1"`, `addr="IP"`}, {`product="OpenSSH"`, `product="&#0;"`},
		{`encoding="UTF-8"`, `encoding="windows-1252"`}, {"</hostnames>", ""}, {"UTF-8", "\xff"}, {`arp-response`, `user-set`},
	} {
		f.Add(strings.Replace(whole, change[0], change[1], 1))
	}
	f.Add("")
	f.Add(`<nmaprun args="nmap 10.0.0-9.0/8 1-3.*.7-.-"><runstats><finished/><hosts up="0"/></runstats></nmaprun>`)
	f.Fuzz(func(t *testing.T, text string) {
		var out, again recordtest.Collector
		summary, err := Parse(surfacetest.Named("a.xml", strings.NewReader(text)), surface.Options{Now: surfacetest.Now}, &out)
		same, fault := Parse(surfacetest.Named("a.xml", iotest.OneByteReader(strings.NewReader(text))), surface.Options{Now: surfacetest.Now}, &again)
		require.Equal(t, fmt.Sprint(err), fmt.Sprint(fault))
		require.Equal(t, out, again)
		require.Equal(t, summary, same)
		if err != nil {
			require.Equal(t, problem.Invalid, problem.KindOf(err))
			require.True(t, strings.HasPrefix(err.Error(), "a.xml"), err)
			return
		}
		surfacetest.RequireSound(t, &out)
		for _, r := range out.Records {
			require.IsType(t, record.Sighting{}, r.Fact)
		}
	})
}

package nmap

import (
	"io"
	"net/netip"
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

func office(t testing.TB) string { return surfacetest.Own(t, "office.xml") }

// TestOffice holds what each element becomes.
func TestOffice(t *testing.T) {
	t.Parallel()
	summary, out := surfacetest.Read(t, Parse, "scan.xml", office(t))
	require.Equal(t, surface.Summary{Records: 4, StartedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		FinishedAt: time.Date(2026, 1, 1, 0, 1, 40, 0, time.UTC)}, summary)
	require.Empty(t, out.Rejections)
	require.Equal(t, []record.Warning{
		{Position: record.Position{File: "scan.xml"}, Code: "NAME_UNREADABLE", Message: "1 name of a host is not in the form of a name and was left out."},
		{Position: record.Position{File: "scan.xml"}, Code: "CERTIFICATE_NEVER_VALID", Message: "1 certificate ends before it begins."},
	}, out.Warnings)
	require.Equal(t, record.Position{File: "scan.xml", Line: 12}, out.Records[0].Position)

	host := record.AssetRef{Kind: record.HostAsset, Value: "10.0.0.1"}
	name := record.AssetRef{Kind: record.DomainAsset, Value: "gate.example"}
	service := func(port string) record.AssetRef {
		return record.AssetRef{Kind: record.ServiceAsset, Value: "10.0.0.1 " + port}
	}
	certificate := record.AssetRef{Kind: record.CertificateAsset, Value: "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"}
	all := surfacetest.Sightings(out)
	require.Equal(t, record.Sighting{
		Assets: []record.Asset{
			{AssetRef: host, Host: &record.HostDetail{Addresses: []string{"2001:db8::1"}, MAC: "00:00:5E:00:53:01", Vendor: "Example Works", OS: "Linux 6", Reason: "arp-response"}},
			{AssetRef: name, Plugin: "user"},
			{AssetRef: service("tcp/22"), Parent: host, State: record.PortOpen, Confidence: 100,
				Service: &record.ServiceDetail{Name: "ssh", Banner: "OpenSSH 9.6 (protocol 2.0)"}},
			{AssetRef: record.AssetRef{Kind: record.TechnologyAsset, Value: "10.0.0.1 tcp/22 openssh"}, Parent: service("tcp/22"), Confidence: 100,
				Plugin: "version-detection", Technology: &record.TechnologyDetail{Name: "OpenSSH", Version: "9.6", CPE: []string{"cpe:/a:openbsd:openssh:9.6"}}},
			{AssetRef: service("tcp/80"), Parent: host, State: record.PortClosed},
			{AssetRef: service("tcp/443"), Parent: host, State: record.PortOpen, Confidence: 30,
				Service: &record.ServiceDetail{Name: "https", Guessed: true, Tunnel: "ssl"}},
			{AssetRef: certificate, Plugin: "ssl-cert", Certificate: &record.CertificateDetail{SHA1: certificate.Value,
				Subject: "commonName=gate.example/organizationName=Example", Issuer: "commonName=Example CA",
				Names: []string{"10.0.0.1", "gate.example", "www.example"}, KeyType: "rsa", KeyBits: 2048, SignatureAlgorithm: "sha256WithRSAEncryption",
				NotBefore: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
			{AssetRef: service("udp/53"), Parent: host, State: record.PortUnclear},
		},
		Ties: []record.Tie{{Kind: record.Resolves, From: name, To: host}, {Kind: record.Presents, From: service("tcp/443"), To: certificate}},
		Covers: []record.Cover{
			{Of: record.TechnologyAsset, Subject: service("tcp/22")},
			{Of: record.CertificateAsset, Subject: service("tcp/443")},
		},
	}, all[0])
	require.Equal(t, record.Sighting{}, all[1])
	require.Equal(t, record.Sighting{}, all[2])
	require.Equal(t, []string{
		"host 10.0.0.0-10.0.0.2", "host 10.1.0.5-10.1.0.5", "host 10.1.0.7-10.1.0.8", "host 10.1.1.5-10.1.1.5", "host 10.1.1.8-10.1.1.8",
		"host 2001:db8::-2001:db8::3",
		"service 10.0.0.1-10.0.0.1 tcp 22-22 80-80 443-445 answered", "service 10.0.0.1-10.0.0.1 udp 53-53 answered",
	}, showCovers(all[3].Covers))
}

// TestCovers holds that a scan covers what it looked at, and no more.
func TestCovers(t *testing.T) {
	t.Parallel()
	listed := []string{"host 10.0.0.0-10.0.0.2"}
	services := []string{"service 10.0.0.1-10.0.0.1 tcp 22-22 80-80 443-445 answered", "service 10.0.0.1-10.0.0.1 udp 53-53 answered"}
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"more hosts were up than it lists": {`<hosts up="2"`, `<hosts up="3"`, append(listed, services...)},
		"it did not end well":              {`exit="success"`, `exit="error"`, nil},
		"it did not end":                   {`<finished time="1767225700" elapsed="100" exit="success"/>`, ``, nil},
		"it says not how it ended":         {` exit="success"/><hosts up="2"`, `/><hosts up="3"`, append(listed, services...)},
		"a list of targets":                {"-sS", "-sL", append(listed, services...)},
		"excluded by a file":               {"-&#45;exclude 10.0.0.3", "-&#45;excludefile 10.0.0.3", append(listed, services...)},
		"excluded by name":                 {"-&#45;exclude 10.0.0.3", "-&#45;exclude gate.example", append(listed, services...)},
		"no ports":                         {"scaninfo ", "noinfo ", []string{"host 10.0.0.0-10.0.0.2", "host 10.1.0.5-10.1.0.5", "host 10.1.0.7-10.1.0.8", "host 10.1.1.5-10.1.1.5", "host 10.1.1.8-10.1.1.8", "host 2001:db8::-2001:db8::3"}},
		"up by somebody's word":            {"arp-response\" reason_ttl=\"0\"/>\n<address addr=\"2001", "user-set\" reason_ttl=\"0\"/>\n<address addr=\"2001", nil},
	} {
		text := office(t)
		require.Contains(t, text, test.old, name)
		_, out := surfacetest.Read(t, Parse, "scan.xml", strings.ReplaceAll(text, test.old, test.new))
		all := surfacetest.Sightings(out)
		got := showCovers(all[len(all)-1].Covers)
		if name == "up by somebody's word" {
			require.Contains(t, got, services[0], "a port answered")
			text = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(text, test.old, test.new), `state="open"`, `state="filtered"`), `state="closed"`, `state="filtered"`)
			_, out := surfacetest.Read(t, Parse, "scan.xml", text)
			all := surfacetest.Sightings(out)
			require.Contains(t, showCovers(all[len(all)-1].Covers), strings.TrimSuffix(services[0], " answered"))
			continue
		}
		require.Equal(t, test.want, got, name)
		require.Equal(t, strings.HasPrefix(name, "it did not end"), strings.Contains(strings.Join(surfacetest.Said(out), " "), "SCAN_UNFINISHED"), name)
	}
	_, out := surfacetest.Read(t, Parse, "scan.xml", `<nmaprun args="nmap 10.0.0.0/24"><runstats><finished exit="success"/><hosts up="0"/></runstats></nmaprun>`)
	require.Equal(t, []string{"host 10.0.0.0-10.0.0.255"}, showCovers(surfacetest.Seen(out).Covers), "a scan without hosts covers")
	_, out = surfacetest.Read(t, Parse, "scan.xml", `<nmaprun args="nmap 10.0.0.0/24"></nmaprun>`)
	require.Empty(t, out.Records)
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"nmap 10.0.0.1":                                    "10.0.0.1-10.0.0.1",
		"10.0.0.9 10.0.0.1":                                "10.0.0.1-10.0.0.1", // the first word is the program
		"nmap -p 10.0.0.9 10.0.0.1":                        "10.0.0.1-10.0.0.1",
		"nmap -p22 -T4 -PS22,80 -sV -A -n -6 10.0.0.1":     "10.0.0.1-10.0.0.1",
		"nmap -iL 10.0.0.9 -oX 10.0.0.8 -D 10.0.0.7":       "",
		"nmap --dns-servers 10.0.0.9 10.0.0.1":             "10.0.0.1-10.0.0.1",
		"nmap --dns-servers=10.0.0.9 10.0.0.1":             "10.0.0.1-10.0.0.1",
		"nmap --new-option 10.0.0.9":                       "",
		"nmap --open 10.0.0.1":                             "10.0.0.1-10.0.0.1",
		"nmap -script 10.0.0.9 10.0.0.1":                   "10.0.0.1-10.0.0.1",
		`nmap -oX "10.0.0.8 10.0.0.9" "10.0.0.1"`:          "10.0.0.1-10.0.0.1",
		`nmap -oX "a\" 10.0.0.9" 10.0.0.1`:                 "10.0.0.1-10.0.0.1",
		"nmap -oX - 10.0.0.1":                              "10.0.0.1-10.0.0.1",
		"nmap 10.0.0.77/24":                                "10.0.0.0-10.0.0.255",
		"nmap 10.0.0-3.*":                                  "10.0.0.0-10.0.3.255",
		"nmap 10.0.0.-5":                                   "10.0.0.0-10.0.0.5",
		"nmap 10.0.0.250-":                                 "10.0.0.250-10.0.0.255",
		"nmap 10.0.0.1,3":                                  "10.0.0.1-10.0.0.1 10.0.0.3-10.0.0.3",
		"nmap 10.0.0.256":                                  "",
		"nmap 10.0.0.5-1":                                  "",
		"nmap 10.0.0":                                      "",
		"nmap 1-254.1-254.1-254.1-3":                       "",
		"nmap 0.0.0.0/0":                                   "0.0.0.0-255.255.255.255",
		"nmap example.com/24 shop":                         "",
		"nmap fe80::1%eth0":                                "fe80::1-fe80::1",
		"nmap 2001:db8::/64":                               "2001:db8::-2001:db8::ffff:ffff:ffff:ffff",
		"nmap 10.0.0.0/29 --exclude 10.0.0.2-3,10.0.0.7":   "10.0.0.0-10.0.0.1 10.0.0.4-10.0.0.6",
		"nmap 10.0.0.0/29 --exclude=10.0.0.0/30":           "10.0.0.4-10.0.0.7",
		"nmap --exclude 10.0.0.0/30 10.0.0.0/29 -v --open": "10.0.0.4-10.0.0.7",
		"nmap":       "",
		"":           "",
		"nmap -p":    "",
		"nmap 10..1": "",
	} {
		var ranges surface.Ranges
		addTargets(command, &ranges)
		var got []string
		require.NoError(t, ranges.Each(func(from, to netip.Addr) error {
			got = append(got, from.String()+"-"+to.String())
			return nil
		}))
		require.Equal(t, want, strings.Join(got, " "), command)
	}
}

// TestCertificateText reads the answer of old versions, which had no tables.
func TestCertificateText(t *testing.T) {
	t.Parallel()
	text := func(digest string) string {
		return `<nmaprun><host><status state="up"/><address addr="10.0.0.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="443"><state state="open"/>` +
			`<script id="ssl-cert" output="Subject: commonName=a:b&#xa;Issuer: commonName=ca&#xa;Public Key type: ec&#xa;Public Key bits: 256&#xa;` +
			`Subject Alternative Name: DNS:B.example, DNS:a.example&#xa;Not valid before: 2012-01-02 03:04:05&#xa;Not valid after:  someday&#xa;` +
			`SHA-1: ` + digest + `&#xa;"/></port></ports></host></nmaprun>`
	}
	_, out := surfacetest.Read(t, Parse, "scan.xml", text("aaf4 c61d dcc5 e8a2 dabe de0f 3b48 2cd9 aea9 434d"))
	all := surfacetest.Seen(out)
	require.Equal(t, &record.CertificateDetail{SHA1: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", Subject: "commonName=a:b", Issuer: "commonName=ca",
		KeyType: "ec", KeyBits: 256, Names: []string{"a.example", "b.example"}, NotBefore: time.Date(2012, 1, 2, 3, 4, 5, 0, time.UTC)}, all.Assets[2].Certificate)
	require.Equal(t, []string{"BAD_TIME", "SCAN_UNFINISHED"}, surfacetest.Said(out))
	_, out = surfacetest.Read(t, Parse, "scan.xml", text("none"))
	require.Contains(t, surfacetest.Said(out), "CERTIFICATE_UNREADABLE")
	require.Len(t, surfacetest.Seen(out).Assets, 2)
	pem := "aaf4 c61d dcc5 e8a2 dabe de0f 3b48 2cd9 aea9 434e&#xa;-----BEGIN CERTIFICATE-----&#xa;aGVsbG8=&#xa;-----END CERTIFICATE-----"
	_, out = surfacetest.Read(t, Parse, "scan.xml", text(pem))
	require.Contains(t, surfacetest.Said(out), "DIGEST_DIFFERS")
	require.Equal(t, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", surfacetest.Seen(out).Assets[2].Value)
	require.Equal(t, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", surfacetest.Seen(out).Assets[2].Certificate.SHA1)
}

// TestRejects holds what a part that cannot be read costs.
func TestRejects(t *testing.T) {
	t.Parallel()
	host := record.AssetRef{Kind: record.HostAsset, Value: "10.0.0.1"}
	for name, test := range map[string]struct {
		old, new string
		codes    []string
		about    *record.AssetRef
		hosts    int
	}{
		"port 70000":             {`portid="80"`, `portid="70000"`, []string{"PORT_OUT_OF_RANGE"}, &host, 2},
		"port -1":                {`portid="80"`, `portid="-1"`, []string{"PORT_OUT_OF_RANGE"}, &host, 2},
		"port http":              {`portid="80"`, `portid="http"`, []string{"PORT_OUT_OF_RANGE"}, &host, 2},
		"no port":                {`portid="80"`, ``, []string{"MISSING_FIELD"}, &host, 2},
		"a strange protocol":     {`protocol="tcp" portid="80"`, `protocol="icmp" portid="80"`, []string{"BAD_PROTOCOL"}, &host, 2},
		"a port twice":           {`portid="80"`, `portid="22"`, []string{"DUPLICATE_KEY"}, &host, 2},
		"no address":             {`<address addr="10.0.0.0" addrtype="ipv4"/>`, ``, []string{"MISSING_FIELD"}, nil, 1},
		"an address that is bad": {`addr="10.0.0.0"`, `addr="10.0.0.256"`, []string{"BAD_ADDRESS"}, nil, 1},
		"an address with a NUL":  {`addr="10.0.0.0"`, `addr="10.0.&#0;0.0"`, []string{"INVALID_TEXT"}, nil, 1},
		"a long address":         {`addr="10.0.0.0"`, `addr="` + strings.Repeat("a", 3000) + `"`, []string{"TEXT_TOO_LONG"}, nil, 1},

		"a time to come":    {`start="1767225600"`, `start="1798859346"`, []string{"TIME_IN_FUTURE"}, nil, 2},
		"a time that isn't": {`start="1767225600"`, `start="soon"`, []string{"BAD_TIME"}, nil, 2},
		"NUL in a product":  {`product="OpenSSH"`, "product=\"Open\x00SSH\"", []string{"TEXT_UNREADABLE"}, nil, 2},
		"a long product":    {`product="OpenSSH"`, `product="` + strings.Repeat("n", 2040) + `"`, []string{"TEXT_UNREADABLE"}, nil, 2},
		"strange ports":     {`services="53"`, `services="53-70000"`, []string{"SCANINFO_UNREADABLE"}, nil, 2},
	} {
		text := office(t)
		require.Contains(t, text, test.old, name)
		_, out := surfacetest.Read(t, Parse, "scan.xml", strings.Replace(text, test.old, test.new, 1))
		for _, code := range test.codes {
			require.Contains(t, surfacetest.Said(out), code, name)
		}
		if len(out.Rejections) > 0 {
			require.Equal(t, test.about, out.Rejections[0].Asset, name)
			require.Equal(t, "scan.xml", out.Rejections[0].File)
			require.Positive(t, out.Rejections[0].Line)
		}
		require.Len(t, values(surfacetest.Seen(out).Assets, func(a record.Asset) bool { return a.Kind == record.HostAsset }), test.hosts, name)
	}
	summary, _ := surfacetest.Read(t, Parse, "scan.xml", strings.Replace(office(t), `start="1767225600"`, `start="1798859346"`, 1))
	require.Equal(t, time.Date(2026, 1, 1, 0, 1, 40, 0, time.UTC), summary.FinishedAt)
	require.Zero(t, summary.StartedAt)
}

// TestRefuses holds that a file that is no scan, or is dangerous, is refused as a
// whole, and that nothing it names is opened.
func TestRefuses(t *testing.T) {
	t.Parallel()
	trap := surfacetest.NewTrap(t)
	whole := office(t)
	swap := func(old, new string) string {
		require.Contains(t, whole, old)
		return strings.Replace(whole, old, new, 1)
	}
	for name, test := range map[string]struct {
		text, code string
		line       int
	}{
		"nothing":                 {"", "NMAP_EMPTY", 0},
		"blanks":                  {" \n\n", "NMAP_EMPTY", 0},
		"cut in a host":           {whole[:strings.Index(whole, "</ports>")], "NMAP_TRUNCATED", 12},
		"cut behind a host":       {whole[:strings.Index(whole, "<runstats>")], "NMAP_TRUNCATED", 42},
		"JSON":                    {`{"nmaprun": {}}`, "NMAP_NOT_XML", 1},
		"another scanner's":       {`<?xml version="1.0"?><OWASPZAPReport/>`, "NMAP_WRONG_FORMAT", 1},
		"gzip":                    {"\x1f\x8b\x08\x00", "NMAP_NOT_TEXT", 1},
		"a wrong end":             {swap("</hostnames>", "</hostname>"), "NMAP_NOT_XML", 20},
		"two scans":               {whole + whole, "NMAP_NOT_XML", 0},
		"deep":                    {swap("<ports>", strings.Repeat("<ports>", 70)), "NMAP_TOO_DEEP", 12},
		"a file as entity":        {swap("<!DOCTYPE nmaprun>", `<!DOCTYPE nmaprun [<!ENTITY x SYSTEM "`+trap.File+`">]>`), "NMAP_ENTITIES", 1},
		"a server as entity":      {swap("<!DOCTYPE nmaprun>", `<!DOCTYPE nmaprun [<!ENTITY % x SYSTEM "`+trap.Server+`"> %x;]>`), "NMAP_ENTITIES", 1},
		"an entity that grows":    {swap("<!DOCTYPE nmaprun>", `<!DOCTYPE n [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>`), "NMAP_ENTITIES", 1},
		"an undeclared entity":    {swap("Example Works", "&x;"), "NMAP_ENTITIES", 12},
		"another character set":   {swap(`encoding="UTF-8"`, `encoding="Shift_JIS"`), "NMAP_NOT_TEXT", 1},
		"an attribute said twice": {swap(`portid="22"`, `portid="22" portid="23"`), "NMAP_NOT_XML", 12},
	} {
		for _, in := range []io.Reader{strings.NewReader(test.text), iotest.OneByteReader(strings.NewReader(test.text))} {
			_, err := Parse(surfacetest.Named("../a/scan.xml", in), surface.Options{Now: surfacetest.Now}, &recordtest.Collector{})
			var fault *problem.Error
			require.ErrorAs(t, err, &fault, name)
			require.Equal(t, test.code, fault.Code, "%s: %v", name, err)
			require.Equal(t, problem.Invalid, fault.Kind, name)
			require.Equal(t, "scan.xml", fault.File, name)
			if test.line > 0 {
				require.Equal(t, test.line, fault.Line, name)
			}
			require.NotContains(t, err.Error(), surfacetest.Secret)
		}
	}
	// A type that names a file or a server is of no consequence: nobody asks it.
	_, out := surfacetest.Read(t, Parse, "scan.xml", swap("<!DOCTYPE nmaprun>", `<!DOCTYPE nmaprun SYSTEM "`+trap.Server+`">`))
	require.Len(t, out.Records, 4)
}

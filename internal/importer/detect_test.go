package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// TestDetectLogsAndOwners holds that a log is told from the manifests that its
// events are about.
func TestDetectLogsAndOwners(t *testing.T) {
	t.Parallel()
	event := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete",` +
		`"requestObject":{"kind":"Deployment","apiVersion":"apps/v1"}}`
	trail := `{"eventVersion":"1.09","userIdentity":{"type":"IAMUser"},"eventTime":"2026-01-01T00:00:00Z","eventSource":"eks.amazonaws.com","eventName":"X",` +
		`"requestParameters":{"kind":"Pod","apiVersion":"v1"}}`
	for name, test := range map[string]struct{ head, want string }{
		"audit events":                     {event + "\n" + event, "kubernetes-audit"},
		"audit events in a list":           {"[\n  " + event, "kubernetes-audit"},
		"EventList":                        {`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[`, "kubernetes-audit"},
		"an event without a version":       {`{"annotations":{"a":"b"},"auditID":"a","kind":"Event"`, "kubernetes-audit"},
		"an audit policy":                  {"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n", "kubernetes"},
		"an audit policy in JSON":          {`{"apiVersion":"audit.k8s.io/v1","kind":"Policy"}`, "kubernetes"},
		"a manifest with an event in it":   {"apiVersion: v1\nkind: ConfigMap\ndata:\n  e: |\n    " + event, "kubernetes"},
		"events of a namespace":            {`{"apiVersion":"v1","kind":"Event","involvedObject":{}}`, "kubernetes"},
		"CloudTrail as it is delivered":    {`{"Records":[` + trail, "cloudtrail"},
		"CloudTrail in lines":              {trail + "\n", "cloudtrail"},
		"CloudTrail in an indented list":   {"[\n  {\n    \"awsRegion\": \"x\",\n    \"eventSource\": \"s3.amazonaws.com\"", "cloudtrail"},
		"Records of nothing":               {`{"Records":[]}`, "cloudtrail"},
		"an owners file":                   {"# who\nowners:\n  - id: ada\n", "owners"},
		"an owners file without owners":    {"workloads:\n- {workload: w, owners: []}\n", "owners"},
		"an owners file in JSON":           {` {"owners":[{"id":"a"}]}`, "owners"},
		"a manifest whose text has owners": {"apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\nowners: []\n", "kubernetes"},
		"an event source of another kind":  {`{"eventSource":"mine","eventName":"x"}`, ""},
	} {
		got, err := importer.Detect([]byte(test.head))
		require.Equal(t, test.want, got, name)
		require.Equal(t, test.want == "", err != nil, name)
	}
}

// TestDetectScans holds that a scan is told by what its scanner alone writes, that
// what two may have written is nobody's, and that a manifest with a scan in it is
// one of manifests.
func TestDetectScans(t *testing.T) {
	t.Parallel()
	page := `"url":"http://a:80","input":"a","host":"10.0.0.1","port":"80","scheme":"http"`
	for name, test := range map[string]struct{ head, want string }{
		"nmap":                          {`<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun args="nmap">`, "nmap"},
		"nmap behind what it printed":   {"Starting Nmap 7.9 <hello>\n\n<?xml version=\"1.0\"?>\n<nmaprun>", "nmap"},
		"nmap behind a comment":         {"<!-- <OWASPZAPReport> -->\n<nmaprun/>", "nmap"},
		"nmap with a mark":              {"\ufeff\n  <nmaprun\n args=''", "nmap"},
		"nmap in a manifest":            {"apiVersion: v1\nkind: ConfigMap\ndata:\n  scan: |\n    <?xml version=\"1.0\"?>\n    <nmaprun>", "kubernetes"},
		"nmap in a text":                {"see <nmaprun> there", ""},
		"nmap in another document":      {"<bom><nmaprun/></bom>", ""},
		"a comment without an end":      {"<!-- <nmaprun>", ""},
		"a root that only begins so":    {"<nmapruns>", ""},
		"ZAP":                           {"<!--\nSPDX\n-->\n\n<?xml version=\"1.0\"?><OWASPZAPReport version=\"1\">", "zap"},
		"ZAP in JSON":                   {`{"@programName":"ZAP","@version":"2.14","site":[{"@name":"http://a"`, "zap"},
		"ZAP in JSON of before":         {`{"@version":"2.9.0","@generated":"x","site":[`, "zap"},
		"a site of nobody":              {`{"site":[]}`, ""},
		"testssl":                       {"\"id\",\"fqdn/ip\",\"port\",\"severity\",\"finding\",\"cve\",\"cwe\"\n", "testssl"},
		"testssl without quotes":        {"id,fqdn/ip,port,severity,finding,cve,cwe\n", "testssl"},
		"testssl in JSON":               {`[ { "id" : "service", "ip" : "a/10.0.0.1", "port" : "443", "severity" : "INFO", "finding" : "HTTP" }`, "testssl"},
		"another table":                 {"id,name,port\n", ""},
		"masscan":                       {"[\n{   \"ip\": \"10.0.0.1\", \"timestamp\": \"1\", \"ports\": [ {\"port\": 80", "masscan"},
		"masscan without its first row": {",\n{\"ip\":\"10.0.0.1\",\"ports\":[]}", "masscan"},
		"httpx":                         {"{" + page + `,"tech":["a"],"status_code":200}`, "httpx"},
		"httpx of before":               {`{"url":"http://a","input":"a","status-code":200}`, "httpx"},
		"httpx in a list, cut off":      {"[{" + page + `,"body":"` + "aaaa", "httpx"},
		"a page of nobody":              {`{"url":"http://a","title":"a"}`, ""},
		"subfinder":                     {`{"host":"a.example","input":"example","source":"crtsh"}`, "subfinder"},
		"subfinder of sources":          {`{"host":"a.example","input":"example","sources":["crtsh"]}`, "subfinder"},
		"naabu":                         {`{"ip":"10.0.0.1","port":80}`, "naabu"},
		"naabu with an object":          {`{"host":"a","port":{"Port":80,"Protocol":0,"TLS":false}}`, "naabu"},
		"naabu or subfinder":            {`{"host":"a","input":"a","source":"x","port":80}`, ""},
		"masscan or testssl":            {`{"id":"a","ip":"a","severity":"x","finding":"y","ports":[]}`, ""},
		"nuclei":                        {`{"template-id":"x","info":{},"host":"a","port":"80","ip":"10.0.0.1"}`, ""},
		"sslyze":                        {`{"date_scans_completed":"x","date_scans_started":"y","server_scan_results":[`, "sslyze"},
		"sslyze, cut off":               {`{"invalid_server_strings":[`, "sslyze"},
		"a manifest with a port":        {`{"apiVersion":"v1","kind":"Endpoints","subsets":[{"ip":"10.0.0.1","ports":[]}]}`, "kubernetes"},
		"keys further in":               {`{"a":{"ip":"10.0.0.1","ports":[]}}`, ""},
		"a list of a list":              {`[[{"ip":"10.0.0.1","ports":[]}]]`, ""},
		"a key that is cut off":         {`{"ip":"10.0.0.1","por`, ""},
		"an object of nothing":          {`{}`, ""},
		"an empty list":                 {`[]`, ""},
		"names":                         {"a.example.com\nb.example.com\n", ""},
	} {
		got, err := importer.Detect([]byte(test.head))
		require.Equal(t, test.want, got, name)
		require.Equal(t, test.want == "", err != nil, name)
	}
}

// TestDetectSharedData holds it against all the data that there is of a format.
func TestDetectSharedData(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"k8s-audit/*.log": "kubernetes-audit", "k8s-audit/falco/*.json": "kubernetes-audit", "cloudtrail/*.json": "cloudtrail",
		"kubernetes/*/*.yaml": "kubernetes", "kubernetes-timeline/*/*.yaml": "kubernetes",
		"nmap/*.xml": "nmap", "zap/*.xml": "zap", "httpx/*.json": "httpx", "naabu/*.json": "naabu", "masscan/*.json": "masscan",
		"subfinder/*.jsonl": "subfinder", "sslyze/*.json": "sslyze", "testssl/*.csv": "testssl",
		"nuclei/*.json*": "", "sarif/*.sarif*": "", "trivy/*.json": "", "osv-scanner/*.json": "", "grype/*.json": "", "openvex/*.json": "", "cyclonedx/*.json": "",
		"cyclonedx/*.xml": "", "kev/*/*.json": "", "kube-posture/*.json": "", "*/SOURCES.md": "",
	} {
		files, err := filepath.Glob(filepath.Join(recordtest.SharedData(t), pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := importer.Detect(content[:min(len(content), 64<<10)])
			require.Equal(t, want == "", err != nil, file)
			require.Equal(t, want, got, file)
		}
	}
}

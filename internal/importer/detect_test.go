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

// TestDetectSharedData holds it against all the data that there is of a format.
func TestDetectSharedData(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"k8s-audit/*.log": "kubernetes-audit", "k8s-audit/falco/*.json": "kubernetes-audit", "cloudtrail/*.json": "cloudtrail",
		"kubernetes/*/*.yaml": "kubernetes", "kubernetes-timeline/*/*.yaml": "kubernetes",
	} {
		files, err := filepath.Glob(filepath.Join(recordtest.SharedData(t), pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := importer.Detect(content[:min(len(content), 64<<10)])
			require.NoError(t, err, file)
			require.Equal(t, want, got, file)
		}
	}
}

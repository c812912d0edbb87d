package importer_test

import (
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// derived is the path list that a person derived from the lists of an account; how
// is written in the file itself.
type derived struct {
	Account               string
	Workloads, Identities []string
	Paths                 []struct {
		Workload, Identity, Resource string
		Actions, ViaRoles            []string
		Depth                        int
	}
}

func (d derived) world() world {
	w := world{}
	for _, p := range d.Paths {
		w[route{p.Workload, p.Identity, p.Resource}] = authorized{union(p.Actions), union(p.ViaRoles), true}
	}
	return w
}

func readDerived(t testing.TB) (expected derived) {
	t.Helper()
	content, err := os.ReadFile("awsiam/testdata/cloudmapper-demo.expected.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &expected))
	require.Len(t, expected.Paths, 9)
	return expected
}

// demoAccount are the lists of the demo account, by name.
func demoAccount(t testing.TB) (folder string, names []string) {
	t.Helper()
	folder = recordtest.SharedData(t, "aws-iam", "cloudmapper-demo")
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	require.Len(t, names, 8)
	return folder, names
}

func (c *cluster) account(t testing.TB, request authority.SyncRequest, files iter.Seq2[importer.File, error]) *authority.SyncReport {
	t.Helper()
	request.Format, request.CreateOrganization = "aws-iam", true
	report, err := c.importer.Run(c.ctx, importer.Request{SyncRequest: request, Files: files})
	require.NoError(t, err)
	return report
}

// TestAWSGroundTruth takes the demo account the whole way and reads back the paths
// that were derived by hand.
func TestAWSGroundTruth(t *testing.T) {
	t.Parallel()
	expected := readDerived(t)
	folder, names := demoAccount(t)
	c := newCluster(t)
	request := authority.SyncRequest{Organization: "acme", ObservedAt: now.Add(-time.Hour)}
	report := c.account(t, request, manifests(folder, names))
	require.Empty(t, report.Rejections)
	require.True(t, report.Complete)
	require.Equal(t, expected.Account, report.System, "an account is a system of its own, named by its number")
	require.Equal(t, authority.PathCounts{Added: len(expected.Paths)}, report.Paths)

	got, paths := c.read(t, "acme", expected.Account)
	requireWorld(t, expected.world(), got)
	for _, p := range expected.Paths {
		require.Equal(t, p.Depth, paths[route{p.Workload, p.Identity, p.Resource}].AuthChainDepth)
	}
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	require.ElementsMatch(t, expected.Workloads, sourceIDs(c.entities(t, snapshot, "acme", record.Workload)))
	require.ElementsMatch(t, expected.Identities, sourceIDs(c.entities(t, snapshot, "acme", record.Identity)))

	slices.Reverse(names)
	request.ObservedAt = now.Add(-time.Minute)
	again := c.account(t, request, manifests(folder, names))
	require.Equal(t, authority.Unchanged, again.Outcome, "the order of the files means nothing")
}

func sourceIDs(list []*authority.Entity) []string { return names(list) }

// TestAWSDumps imports the other dumps, which list no workloads: everybody in them
// is there and nobody reaches anything.
func TestAWSDumps(t *testing.T) {
	t.Parallel()
	folder := recordtest.SharedData(t, "aws-iam", "cloudsplaining")
	c := newCluster(t)
	for name, identities := range map[string]int{"example-authz-details.json": 6, "example_authz_v2.json": 3} {
		organization := strings.NewReplacer("_", "-", ".", "-").Replace(name)
		report := c.account(t, authority.SyncRequest{Organization: organization, ObservedAt: now}, manifests(folder, []string{name}))
		require.Empty(t, report.Rejections)
		require.Equal(t, "012345678901", report.System)
		require.Zero(t, report.Paths)
		func() {
			snapshot := c.Snapshot()
			defer snapshot.Close(c.ctx)
			require.Len(t, c.entities(t, snapshot, organization, record.Identity), identities)
			require.Empty(t, c.entities(t, snapshot, organization, record.Workload))
		}()
	}
}

// TestAWSBesideKubernetes: a cluster and an account in one organization are two
// systems, and neither touches what the other said.
func TestAWSBesideKubernetes(t *testing.T) {
	t.Parallel()
	expected := readDerived(t)
	folder, names := demoAccount(t)
	c := newCluster(t)
	request := authority.SyncRequest{Organization: "acme", ObservedAt: now.Add(-3 * time.Hour)}
	_, manifested := c.group(t, request, "flannel")
	request.ObservedAt = now.Add(-2 * time.Hour)
	report := c.account(t, request, manifests(folder, names))
	require.Equal(t, authority.PathCounts{Added: len(expected.Paths), Kept: len(manifested.Paths)}, report.Paths)

	both := func() {
		kubernetes, _ := c.read(t, "acme", "kubernetes")
		requireWorld(t, manifested.world(), kubernetes)
		account, _ := c.read(t, "acme", expected.Account)
		requireWorld(t, expected.world(), account)
		all, paths := c.read(t, "acme", "")
		requireWorld(t, manifested.world().and(expected.world()), all)
		for r, p := range paths {
			require.Equal(t, 1, p.Version, "%v was not touched", r)
		}
	}
	both()
	request.ObservedAt = now.Add(-time.Hour)
	again, _ := c.group(t, request, "flannel")
	require.Equal(t, authority.Unchanged, again.Outcome)
	both()

	// What goes from the account goes from nowhere else.
	request.ObservedAt = now
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "lambda") })
	gone := c.account(t, request, manifests(folder, names))
	require.Equal(t, len(expected.Paths), gone.Paths.Removed)
	kubernetes, _ := c.read(t, "acme", "kubernetes")
	requireWorld(t, manifested.world(), kubernetes)
}

// TestAWSRoleInUse: a use of a role is evidence of the identity, with its day.
func TestAWSRoleInUse(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	folder := recordtest.SharedData(t, "aws-iam", "cloudsplaining")
	c.account(t, authority.SyncRequest{Organization: "acme", ObservedAt: now}, manifests(folder, []string{"example-authz-details.json"}))
	var source, basis string
	var day time.Time
	var count int64
	require.NoError(t, c.Super(t).QueryRow(t.Context(), `SELECT i.external_id, e.basis::text, e.day, e.count FROM evidence e
		JOIN entity i ON i.organization_id = e.organization_id AND i.id = e.identity_id`).Scan(&source, &basis, &day, &count))
	require.Equal(t, "arn:aws:iam::012345678901:role/OverprivilegedEC2", source)
	require.Equal(t, "identity", basis)
	require.Equal(t, time.Date(2019, 1, 20, 0, 0, 0, 0, time.UTC), day.UTC())
	require.EqualValues(t, 1, count, "at least once is all that is known")
}

const (
	awsFunction = `{"Functions":[{"FunctionName":"f","FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f","Role":"arn:aws:iam::123456789012:role/r"}]}`
	awsDump     = `{"UserDetailList":[],"GroupDetailList":[],"Policies":[],"RoleDetailList":[{"RoleName":"r","Arn":"arn:aws:iam::123456789012:role/r",
"AssumeRolePolicyDocument":{"Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}},
"RolePolicyList":[{"PolicyName":"p","PolicyDocument":{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}]}]}`
)

func TestRunAWS(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"aws-iam", "auto"} {
		for _, system := range []string{"", "123456789012", "shop-production"} {
			request := importer.Request{Files: files(awsFunction, awsDump)}
			request.Format, request.System = format, system
			got, err := run(t, request)
			require.NoError(t, err)
			require.Equal(t, "aws-iam", got.request.Format)
			if system == "" {
				system = "123456789012"
			}
			require.Equal(t, system, got.request.System)
			require.False(t, got.request.Partial)
			require.Equal(t, []string{"arn:aws:lambda:eu-west-1:123456789012:function:f"}, got.workloads())
			require.Len(t, got.Paths(), 1)
		}
	}
	// A page without the next shows a part only.
	request := importer.Request{Files: files(awsDump, strings.Replace(awsFunction, "{", `{"NextMarker":"x",`, 1))}
	request.Format = "aws-iam"
	got, err := run(t, request)
	require.NoError(t, err)
	require.True(t, got.request.Partial)
}

func TestRunAWSWithSideFiles(t *testing.T) {
	t.Parallel()
	request := importer.Request{Files: files(awsFunction, awsDump),
		Owners: &importer.File{Name: "owners.yaml", Content: strings.NewReader("owners: [{id: ada}]\nworkloads: [{workload: '*:function:f', owners: [ada]}]\n")},
		Policy: &importer.File{Name: "policy.yaml", Content: strings.NewReader("rules: [{services: [s3], dataDomain: pay, sensitivity: restricted}]\ndefault: {dataDomain: x, sensitivity: public}\n")}}
	request.Format = "aws-iam"
	got, err := run(t, request)
	require.NoError(t, err)
	require.Len(t, got.Edges(record.OwnedBy), 1)
	require.Equal(t, "pay", got.Entities(record.Resource)["arn:aws:s3:::b/*"].DataDomain)
	for _, side := range []func(*importer.Request){
		func(r *importer.Request) { r.Owners = &importer.File{Name: "x", Content: strings.NewReader("[")} },
		func(r *importer.Request) { r.Policy = &importer.File{Name: "x", Content: strings.NewReader("[")} },
	} {
		request := importer.Request{Files: func(func(importer.File, error) bool) { t.Error("a broken side file costs no upload") }}
		request.Format = "aws-iam"
		side(&request)
		got, err := run(t, request)
		require.Error(t, err)
		require.False(t, got.called)
	}
}

func TestRunAWSRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code, system string
		contents     []string
	}{
		"another account":  {"AWS_ACCOUNT_DIFFERS", "210987654321", []string{awsDump}},
		"several accounts": {"AWS_ACCOUNTS_MIXED", "", []string{awsDump, strings.ReplaceAll(awsDump, "123456789012", "210987654321")}},
		"no account":       {"AWS_ACCOUNT_UNKNOWN", "", []string{`{"Buckets":[{"Name":"b"}]}`}},
		"nothing":          {"AWS_EMPTY", "", []string{`{"Volumes":[]}`}},
		"what was cut off": {"AWS_TRUNCATED", "", []string{awsDump, awsFunction[:50]}},
	} {
		request := importer.Request{Files: files(test.contents...)}
		request.Format, request.System = "aws-iam", test.system
		got, err := run(t, request)
		require.Equal(t, test.code, code(t, err), name)
		require.False(t, got.called, "nothing is applied")
	}
	request := importer.Request{Files: files(awsDump), Namespace: "x"}
	request.Format = "aws-iam"
	_, err := run(t, request)
	require.Equal(t, "OPTION_UNSUPPORTED", code(t, err))
}

// TestDetectAWS: every list of the shared data is told by its beginning.
func TestDetectAWS(t *testing.T) {
	t.Parallel()
	lists, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "aws-iam"), "*", "*.json"))
	require.NoError(t, err)
	require.Len(t, lists, 10)
	for _, list := range lists {
		content, err := os.ReadFile(list)
		require.NoError(t, err)
		got, err := importer.Detect(content[:min(len(content), 64<<10)])
		require.NoError(t, err, list)
		require.Equal(t, "aws-iam", got)
	}
	for _, head := range []string{`{"Functions":1}`, `{"Records":[]}`, `{"x":{"Policies":"no"}}`} {
		got, _ := importer.Detect([]byte(head))
		require.NotEqual(t, "aws-iam", got, head)
	}
}

package importer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

const (
	demoNumber   = "123456789012"
	demoFunction = "arn:aws:lambda:us-east-1:123456789012:function:invpclambda"
	demoRole     = "arn:aws:iam::123456789012:role/service-role/invpclambda"
	badRole      = "arn:aws:iam::123456789012:role/bad_role"
)

// trailEvent is a call that a session of a role of the demo account made.
func trailEvent(id, role, source, name, at string, more ...string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","eventID":%q,"eventTime":%q,"eventSource":%q,"eventName":%q,"eventType":"AwsApiCall","recipientAccountId":%q,`+
		`"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/x/session","sessionContext":{"sessionIssuer":{"type":"Role","arn":%q}}%s}%s}`+"\n",
		id, at, source, name, demoNumber, role, map[bool]string{true: `,"inScopeOf":{"issuerType":"AWS::Lambda::Function","credentialsIssuedTo":"` + demoFunction + `"}`}[role == demoRole],
		strings.Join(append([]string{""}, more...), ","))
}

func (c *cluster) trail(t testing.TB, system string, contents ...string) *authority.SyncReport {
	t.Helper()
	request := importer.Request{Files: files(contents...), SyncRequest: authority.SyncRequest{Organization: "acme", Format: "auto", System: system, ObservedAt: now}}
	report, err := c.importer.Run(c.ctx, request)
	require.NoError(t, err)
	require.Equal(t, "cloudtrail", report.Format)
	require.False(t, report.Complete, "a log is never all")
	require.Zero(t, report.Paths.Removed)
	return report
}

// TestTrailProvesExecution: the roles of the demo account act, and their paths
// have been executed.
func TestTrailProvesExecution(t *testing.T) {
	t.Parallel()
	expected := readDerived(t)
	folder, names := demoAccount(t)
	c := newCluster(t)
	super := c.Super(t)
	c.account(t, authority.SyncRequest{Organization: "acme", ObservedAt: now.Add(-10 * 24 * time.Hour)}, manifests(folder, names))
	executed := func() map[string]string { // by identity and destination
		counts := map[string]string{}
		_, paths := c.read(t, "acme", demoNumber)
		require.Len(t, paths, len(expected.Paths), "a log makes no path")
		for r, p := range paths {
			require.Equal(t, badRole, r.Identity)
			if p.Execution30d != nil {
				counts[r.Resource] = fmt.Sprint(*p.Execution30d)
			}
		}
		return counts
	}
	evidence := func() []string {
		return c.selects(t, super, `SELECT concat_ws(' ', e.basis, w.name, i.name, e.action, e.day, e.count, to_char(e.last_at AT TIME ZONE 'UTC', 'HH24:MI'))
			FROM evidence e JOIN entity i ON i.organization_id = e.organization_id AND i.id = e.identity_id
			LEFT JOIN entity w ON w.organization_id = e.organization_id AND w.id = e.workload_id
			WHERE e.day > '2026-01-01' ORDER BY i.name, e.day, e.action`)
	}
	require.Empty(t, executed())

	log := trailEvent("1", badRole, "ec2.amazonaws.com", "DescribeInstanceStatus", "2026-02-27T10:00:00Z") +
		trailEvent("2", badRole, "ec2.amazonaws.com", "DescribeInstanceStatus", "2026-02-27T11:30:00Z") +
		trailEvent("2", badRole, "ec2.amazonaws.com", "DescribeInstanceStatus", "2026-02-27T11:30:00Z") +
		trailEvent("3", badRole, "s3.amazonaws.com", "CompleteMultipartUpload", "2026-02-28T10:00:00Z") +
		trailEvent("4", badRole, "s3.amazonaws.com", "GetObject", "2026-02-28T10:00:00Z", `"errorCode":"AccessDenied"`) +
		trailEvent("5", demoRole, "logs.amazonaws.com", "PutLogEvents", "2026-02-28T09:00:00Z") +
		trailEvent("6", demoRole, "bedrock.amazonaws.com", "InvokeModel", "2026-02-28T09:01:00Z")
	report := c.trail(t, "", log)
	require.Zero(t, report.Entities, "the lists know them all")
	require.Empty(t, report.Rejections)
	require.Equal(t, demoNumber, report.System, "the system is the account of the log")
	require.Equal(t, []string{
		"identity bad_role ec2:DescribeInstanceStatus 2026-02-27 2 11:30",
		"identity bad_role s3:PutObject 2026-02-28 1 10:00",
		"workload invpclambda invpclambda bedrock:InvokeModel 2026-02-28 1 09:01",
		"workload invpclambda invpclambda logs:PutLogEvents 2026-02-28 1 09:00",
	}, evidence())
	counts := executed()
	require.Len(t, counts, len(expected.Paths), "which destination it was a log does not say: each path of the role was used")
	for destination, count := range counts {
		require.Equal(t, "3", count, destination)
	}
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	for _, w := range c.entities(t, snapshot, "acme", record.Workload) {
		want := authority.EgressUnknown
		if w.ExternalID == demoFunction {
			want = authority.EgressLLM
		}
		require.Equal(t, want, w.EgressCategory, w.ExternalID)
	}
	require.Equal(t, []string{"egress invpclambda partial", "execution bad_role partial", "execution invpclambda partial", "execution invpclambda partial"},
		c.selects(t, super, `SELECT concat_ws(' ', c.kind, e.name, CASE WHEN c.complete THEN 'complete' ELSE 'partial' END) FROM coverage c
			JOIN entity e ON e.organization_id = c.organization_id AND e.id = c.entity_id
			JOIN source s ON s.organization_id = c.organization_id AND s.id = c.source_id WHERE s.format = 'cloudtrail' ORDER BY 1`))

	// A log that holds more of a day counts what it holds; one that holds another
	// piece of it neither takes away nor adds, as docs/formats/cloudtrail.md says.
	c.trail(t, "", log+trailEvent("7", badRole, "ec2.amazonaws.com", "DescribeInstanceStatus", "2026-02-27T12:00:00Z"))
	require.Equal(t, "identity bad_role ec2:DescribeInstanceStatus 2026-02-27 3 12:00", evidence()[0])
	require.Equal(t, "4", executed()["ec2|*"])
	c.trail(t, "", trailEvent("8", badRole, "ec2.amazonaws.com", "DescribeInstanceStatus", "2026-02-27T13:00:00Z"))
	require.Equal(t, "identity bad_role ec2:DescribeInstanceStatus 2026-02-27 3 13:00", evidence()[0])
	require.Equal(t, "4", executed()["ec2|*"])
}

// TestTrailOfStrangers: a log may come before the lists of its account, and says of
// the identities of that account that they are there. What it says of somebody of
// another account whom no list has is rejected by its line, and the rest counts.
func TestTrailOfStrangers(t *testing.T) {
	t.Parallel()
	folder, names := demoAccount(t)
	c := newCluster(t)
	foreign := strings.ReplaceAll(badRole, demoNumber, "210987654321")
	log := trailEvent("1", badRole, "s3.amazonaws.com", "GetObject", "2026-02-28T10:00:00Z") +
		trailEvent("2", strings.ReplaceAll(badRole, "bad_role", "gone"), "s3.amazonaws.com", "GetObject", "2026-02-28T10:00:00Z") +
		trailEvent("3", foreign, "s3.amazonaws.com", "GetObject", "2026-02-28T10:00:00Z")
	request := importer.Request{Files: files(log), SyncRequest: authority.SyncRequest{
		Organization: "acme", CreateOrganization: true, Format: "cloudtrail", ObservedAt: now.Add(-time.Hour)}}
	report, err := c.importer.Run(c.ctx, request)
	require.NoError(t, err)
	require.Len(t, report.Rejections, 2, "evidence and coverage")
	for _, r := range report.Rejections {
		require.Equal(t, "DANGLING_REFERENCE", r.Code)
		require.Equal(t, 3, r.Line)
	}
	require.Equal(t, 2, report.Entities.Added)

	brought := c.account(t, authority.SyncRequest{Organization: "acme", ObservedAt: now}, manifests(folder, names))
	require.Equal(t, 1, brought.Entities.Changed, "the list knows more of bad_role, and is the same identity")
	_, paths := c.read(t, "acme", demoNumber)
	require.NotEmpty(t, paths)
	for _, p := range paths {
		require.EqualValues(t, 1, *p.Execution30d)
	}
}

// TestTrailOfNamedAccount: an account that was imported under a name is the same
// for its log.
func TestTrailOfNamedAccount(t *testing.T) {
	t.Parallel()
	folder, names := demoAccount(t)
	c := newCluster(t)
	c.account(t, authority.SyncRequest{Organization: "acme", System: "shop-production", ObservedAt: now.Add(-24 * time.Hour)}, manifests(folder, names))
	one := trailEvent("1", badRole, "s3.amazonaws.com", "GetObject", "2026-03-01T10:00:00Z")
	for _, system := range []string{"", "shop-production"} { // its number is another system
		c.trail(t, system, one)
		_, paths := c.read(t, "acme", "shop-production")
		require.NotEmpty(t, paths)
		for _, p := range paths {
			require.Equal(t, system != "", p.Execution30d != nil)
		}
	}
}

func TestRunTrail(t *testing.T) {
	t.Parallel()
	one := trailEvent("1", badRole, "s3.amazonaws.com", "GetObject", "2025-12-01T10:00:00Z")
	two := strings.ReplaceAll(one, demoNumber, "210987654321")
	for _, test := range []struct {
		system, want string
		contents     []string
	}{
		{"", demoNumber, []string{one}}, {demoNumber, demoNumber, []string{one}}, {"shop", "shop", []string{one}},
		{"", "", []string{one, two}}, {demoNumber, demoNumber, []string{one, two}},
	} {
		request := importer.Request{Files: files(test.contents...)}
		request.Format, request.System = "cloudtrail", test.system
		got, err := run(t, request)
		require.NoError(t, err)
		require.Equal(t, test.want, got.request.System)
		require.True(t, got.request.Partial)
	}
	for want, system := range map[string]string{"CLOUDTRAIL_ACCOUNT_DIFFERS": "345678901234", "CLOUDTRAIL_ACCOUNTS_MIXED": "shop"} {
		request := importer.Request{Files: files(one, two)}
		request.Format, request.System = "cloudtrail", system
		got, err := run(t, request)
		require.Equal(t, want, code(t, err))
		require.False(t, got.called, "nothing is applied")
	}
	request := importer.Request{Files: files(one), Owners: &importer.File{}}
	request.Format = "cloudtrail"
	_, err := run(t, request)
	require.Equal(t, "OPTION_UNSUPPORTED", code(t, err))
}

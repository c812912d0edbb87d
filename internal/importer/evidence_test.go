package importer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// A workload of a manifest that reaches the secrets of its namespace.
const shop = deployment + "---\n" + account + `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
`

// snapshotOf makes a snapshot of lines, about the same system as the manifests.
func snapshotOf(source string, partial bool, lines ...string) string {
	counts := map[string]int{}
	for _, line := range lines {
		_, rest, _ := strings.Cut(line, `"kind":"`)
		kind, _, _ := strings.Cut(rest, `"`)
		counts[kind]++
	}
	var said []string
	for kind, count := range counts {
		said = append(said, fmt.Sprintf("%q:%d", kind, count))
	}
	return fmt.Sprintf(`%s,"source":%q,"system":"kubernetes","partial":%t}`, header, source, partial) + "\n" +
		strings.Join(lines, "\n") + fmt.Sprintf("\n"+`{"kind":"trailer","records":%d,"counts":{%s}}`, len(lines), strings.Join(said, ",")) + "\n"
}

// delivers imports files that were looked at some time ago.
func (c *cluster) delivers(t testing.TB, format string, ago time.Duration, contents ...string) *authority.SyncReport {
	t.Helper()
	request := importer.Request{Files: files(contents...)}
	request.Organization, request.CreateOrganization, request.Format, request.ObservedAt = "acme", true, format, now.Add(-ago)
	report, err := c.importer.Run(c.ctx, request)
	require.NoError(t, err)
	require.Empty(t, report.Rejections)
	return report
}

// selects gives the rows of a query as text.
func (c *cluster) selects(t testing.TB, super *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := super.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return list
}

// TestTwoSourcesOfOneWorkload: a manifest says what runs and what it may do, an
// inventory who answers for it, what it sends where and how often it ran.
func TestTwoSourcesOfOneWorkload(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	inventory := []string{
		`{"kind":"workload","id":"Deployment/shop/web","name":"Web shop","ownerTeam":"team-shop","businessTier":"tier-1"}`,
		`{"kind":"owner","id":"ada@example.com","ownerType":"individual"}`,
		`{"kind":"owned_by","subject":{"kind":"workload","id":"Deployment/shop/web"},"owner":"ada@example.com"}`,
		`{"kind":"egress","workload":"Deployment/shop/web","host":"api.payments.example","category":"external"}`,
		`{"kind":"evidence","workload":"Deployment/shop/web","day":"2026-02-27","count":7}`,
		`{"kind":"coverage","evidence":"ownership","completeness":"complete"}`,
	}
	c := newCluster(t)
	super := c.Super(t)
	c.delivers(t, "kubernetes", 2*day, shop)
	c.delivers(t, "auto", day, snapshotOf("inventory", false, inventory...))

	type attribute struct{ Value, Source string }
	look := func() (*authority.Entity, map[string]attribute) {
		snapshot := c.Snapshot()
		defer snapshot.Close(c.ctx)
		workloads := c.entities(t, snapshot, "acme", record.Workload)
		require.Len(t, workloads, 1, "both speak of one workload")
		voices, err := c.paths.AssertionsByEntities(c.ctx, snapshot, id.Organization("acme"), []id.ID{workloads[0].ID})
		require.NoError(t, err)
		attributes := map[string]attribute{}
		for _, s := range authority.Standings(voices) {
			attributes[s.Name] = attribute{s.Value, s.Voice.SourceName}
		}
		return workloads[0], attributes
	}
	path := func() *authority.Path {
		_, paths := c.read(t, "acme", "kubernetes")
		require.Len(t, paths, 1)
		return paths[route{"Deployment/shop/web", "shop/web", "shop||secrets|*"}]
	}
	both := map[string]attribute{
		"name":               {"Web shop", "inventory"}, // an inventory outranks a manifest
		"ownerTeam":          {"team-shop", "inventory"},
		"businessTier":       {"tier-1", "inventory"},
		"status":             {"active", "kubernetes"},
		"sourceType":         {"Deployment", "kubernetes"},
		"executionMode":      {"autonomous", "kubernetes"},
		"artifactIdentifier": {"web", "kubernetes"},
	}
	workload, attributes := look()
	require.Equal(t, both, attributes)
	require.Equal(t, authority.OwnershipValid, workload.OwnershipStatus)
	require.Equal(t, authority.EgressExternal, workload.EgressCategory)
	require.Equal(t, "Web shop", workload.Name)
	require.EqualValues(t, 7, *path().Execution30d)

	// A part of what either says, said again, takes nothing back: neither its own
	// other statements nor those of the other source.
	request := importer.Request{Files: files(account)}
	request.Organization, request.Format, request.ObservedAt, request.Partial = "acme", "kubernetes", now.Add(-time.Hour), true
	report, err := c.importer.Run(c.ctx, request)
	require.NoError(t, err)
	require.Zero(t, report.Paths.Removed)
	require.False(t, report.Complete)
	c.delivers(t, "snapshot", time.Minute, snapshotOf("inventory", true,
		`{"kind":"workload","id":"Deployment/shop/web","name":"Web shop","ownerTeam":"team-checkout"}`))
	both["ownerTeam"] = attribute{"team-checkout", "inventory"}
	delete(both, "businessTier") // a statement on an entity is said anew as a whole
	workload, attributes = look()
	require.Equal(t, both, attributes)
	require.Equal(t, authority.OwnershipValid, workload.OwnershipStatus, "who owns it was not taken back")
	require.Equal(t, authority.EgressExternal, workload.EgressCategory)
	require.EqualValues(t, 7, *path().Execution30d)
	require.Equal(t, []string{"inventory: owned_by", "kubernetes: grants", "kubernetes: has_role", "kubernetes: runs_as"}, c.selects(t, super,
		`SELECT concat(s.name, ': ', e.kind) FROM edge e JOIN source s ON s.organization_id = e.organization_id AND s.id = e.source_id ORDER BY 1`))

	// All that one says, without the workload: the other still says it.
	c.delivers(t, "snapshot", 0, snapshotOf("inventory", false))
	workload, attributes = look()
	require.Equal(t, attribute{"web", "kubernetes"}, attributes["name"])
	require.NotContains(t, attributes, "ownerTeam")
	require.Equal(t, record.Active, workload.Status)
	require.Equal(t, authority.OwnershipUnknown, workload.OwnershipStatus, "nobody claims to know")
	require.NotNil(t, path())
	require.EqualValues(t, 7, *path().Execution30d, "what ran has run")
}

// call is an event of an audit log.
func call(auditID, user, verb string, at time.Time, code int) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":%q,"stage":"ResponseComplete","verb":%q,`+
		`"user":{"username":%q},"objectRef":{"resource":"secrets","namespace":"shop","apiVersion":"v1"},"responseStatus":{"code":%d},`+
		`"requestReceivedTimestamp":%q,"stageTimestamp":%q}`+"\n", auditID, verb, user, code, at.Format(time.RFC3339Nano), at.Format(time.RFC3339Nano))
}

// TestAuditLogProvesExecution: somebody watches completely and sees nothing run;
// then a log, which never knows all, shows that it did.
func TestAuditLogProvesExecution(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	const web = "system:serviceaccount:shop:web"
	c := newCluster(t)
	super := c.Super(t)
	unproven := func() []string {
		return c.selects(t, super, `SELECT concat_ws(' ', w.external_id, x.resolution_reason) FROM exposure x
			JOIN authority_path p ON p.organization_id = x.organization_id AND p.id = x.path_id
			JOIN entity w ON w.organization_id = p.organization_id AND w.id = p.workload_id WHERE x.type = $1`, rule.UnprovenPath)
	}
	c.delivers(t, "kubernetes", 10*day, shop)
	c.delivers(t, "snapshot", 9*day, snapshotOf("monitoring", false,
		`{"kind":"coverage","evidence":"execution","completeness":"complete","from":"2026-02-01T00:00:00Z"}`))
	require.Empty(t, unproven(), "in its grace")
	_, err := c.paths.Reevaluate(c.ctx, id.Organization("acme"), authority.ByTime, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"Deployment/shop/web"}, unproven())

	// What was denied, what somebody else did, and what ran before there was a
	// workload to run, prove nothing.
	later := now.Add(-3 * time.Hour)
	nothing := call("1", web, "get", later, 403) + call("2", web, "get", later, 401) +
		call("3", "system:kube-scheduler", "get", later, 200) + call("4", web, "get", now.Add(-30*day), 200)
	c.delivers(t, "kubernetes-audit", 0, nothing)
	require.Equal(t, []string{"Deployment/shop/web"}, unproven())

	log := call("5", web, "get", later, 200) + call("5", web, "get", later, 200) + call("6", web, "get", later.Add(time.Hour), 404)
	report := c.delivers(t, "auto", 0, log)
	require.Equal(t, "kubernetes-audit", report.Format)
	require.Equal(t, "kubernetes", report.System, "the accounts of the manifests are meant, without being told")
	require.False(t, report.Complete, "a log is never all")
	require.Zero(t, report.Paths.Removed)
	require.Equal(t, 1, report.Exposures.Resolved)
	require.Equal(t, []string{"Deployment/shop/web evidence_appeared"}, unproven())

	evidence := func() []string {
		return c.selects(t, super, `SELECT concat_ws(' ', i.external_id, e.basis, e.action, e.day, e.count, to_char(e.last_at AT TIME ZONE 'UTC', 'HH24:MI'))
			FROM evidence e JOIN entity i ON i.organization_id = e.organization_id AND i.id = e.identity_id
			WHERE e.day > '2026-02-01' ORDER BY e.day, e.action`)
	}
	require.Equal(t, []string{"shop/web identity get 2026-03-01 2 10:00"}, evidence())
	require.Equal(t, []string{"shop/web false"}, c.selects(t, super, `SELECT concat_ws(' ', i.external_id, c.complete::text)
		FROM coverage c JOIN entity i ON i.organization_id = c.organization_id AND i.id = c.entity_id WHERE c.kind = 'execution'`))
	_, paths := c.read(t, "acme", "kubernetes")
	require.EqualValues(t, 2, *paths[route{"Deployment/shop/web", "shop/web", "shop||secrets|*"}].Execution30d)

	// A log that holds the same calls and more of the day is the day's word.
	c.delivers(t, "kubernetes-audit", 0, log+call("7", web, "get", later.Add(2*time.Hour), 200)+call("8", web, "list", later, 200))
	require.Equal(t, []string{"shop/web identity get 2026-03-01 3 11:00", "shop/web identity list 2026-03-01 1 09:00"}, evidence())
	require.Equal(t, []string{"Deployment/shop/web evidence_appeared"}, unproven())

	// The manifests are a source of their own and are not touched by any of it.
	require.True(t, slices.Contains(names(c.all(t, record.Identity)), "shop/web"))
	require.Equal(t, authority.Unchanged, c.delivers(t, "kubernetes", 0, shop).Outcome)
}

// TestAuditLogBeforeManifests: the order in which the two arrive means nothing,
// and an account that no manifest declares is there because it acted.
func TestAuditLogBeforeManifests(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	c := newCluster(t)
	super := c.Super(t)
	log := call("1", "system:serviceaccount:shop:web", "get", now.Add(-5*hour), 200) +
		call("2", "system:serviceaccount:kube-system:replicaset-controller", "create", now.Add(-5*hour), 201) +
		call("3", "system:serviceaccount:shop:stranger", "get", now.Add(-5*hour), 403)
	report := c.delivers(t, "auto", 4*hour, log)
	require.Equal(t, authority.Applied, report.Outcome)
	require.Equal(t, 2, report.Entities.Added)
	require.Equal(t, []string{"kube-system/replicaset-controller 4", "shop/web 4"}, c.selects(t, super,
		`SELECT concat_ws(' ', external_id, basis) FROM entity_assertion ORDER BY 1`), "a denied call shows nothing, not even that the account exists")

	c.delivers(t, "kubernetes", 3*hour, shop)
	_, paths := c.read(t, "acme", "kubernetes")
	require.EqualValues(t, 1, *paths[route{"Deployment/shop/web", "shop/web", "shop||secrets|*"}].Execution30d)
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	require.ElementsMatch(t, []string{"shop/web", "kube-system/replicaset-controller"}, names(c.entities(t, snapshot, "acme", record.Identity)))

	// Manifests that have the account no more take away what it may do; that it
	// was there a log goes on to say.
	gone := c.delivers(t, "kubernetes", 2*hour, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: other, namespace: shop}\n")
	require.Equal(t, 1, gone.Paths.Removed)
	require.ElementsMatch(t, []string{"shop/web", "shop/other", "kube-system/replicaset-controller"}, names(c.all(t, record.Identity)))
	_, err := c.paths.Reevaluate(c.ctx, id.Organization("acme"), authority.ByTime, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"0"}, c.selects(t, super, `SELECT count(*)::text FROM exposure WHERE to_at IS NULL`))
}

// TestAuditLogInPieces: the last word of a source on a day holds, and the words
// of several sources add up.
func TestAuditLogInPieces(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	super := c.Super(t)
	yesterday := now.Add(-24 * time.Hour)
	calls := func(at time.Time, ids ...string) (log string) {
		for _, one := range ids {
			log += call(one, "system:serviceaccount:shop:web", "get", at, 200)
		}
		return log
	}
	step := 10 * time.Hour
	delivers := func(source, log string) []string {
		step -= time.Hour
		request := importer.Request{Files: files(log)}
		request.Organization, request.Source, request.Format, request.ObservedAt = "acme", source, "kubernetes-audit", now.Add(-step)
		report, err := c.importer.Run(c.ctx, request)
		require.NoError(t, err)
		require.Empty(t, report.Rejections)
		return c.selects(t, super, `SELECT concat_ws(' ', s.name, e.day, e.count) FROM evidence e
			JOIN source s ON s.organization_id = e.organization_id AND s.id = e.source_id ORDER BY 1`)
	}
	c.delivers(t, "kubernetes", step, shop)
	require.Equal(t, []string{"a 2026-02-28 2"}, delivers("a", calls(yesterday, "1", "2")))
	require.Equal(t, []string{"a 2026-02-28 3", "a 2026-03-01 1"}, delivers("a", calls(yesterday, "1", "2", "3")+calls(now.Add(-11*time.Hour), "4")), "a log that overlaps")
	require.Equal(t, []string{"a 2026-02-28 3", "a 2026-03-01 2"}, delivers("a", calls(now.Add(-11*time.Hour), "4", "5")), "a day that it does not have stays")
	require.Equal(t, []string{"a 2026-02-28 3", "a 2026-03-01 2"}, delivers("a", calls(yesterday, "3")), "a piece of a day takes nothing back")
	require.Equal(t, []string{"a 2026-02-28 3", "a 2026-03-01 2", "b 2026-02-28 2"}, delivers("b", calls(yesterday, "1", "2")))
	_, paths := c.read(t, "acme", "kubernetes")
	require.EqualValues(t, 7, *paths[route{"Deployment/shop/web", "shop/web", "shop||secrets|*"}].Execution30d)
}

// TestSharedAuditLog takes a real log the whole way, twice. All that a service
// account was allowed in it is one call, made by an administrator in its name.
func TestSharedAuditLog(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	super := c.Super(t)
	evidence := func() []string {
		return c.selects(t, super, `SELECT concat_ws(' ', i.external_id, e.basis, e.action, e.day, e.count, e.related::text)
			FROM evidence e JOIN entity i ON i.organization_id = e.organization_id AND i.id = e.identity_id`)
	}
	for _, ago := range []time.Duration{2 * time.Hour, time.Hour} {
		request := importer.Request{Files: manifests(recordtest.SharedData(t, "k8s-audit"), []string{"demo.log"})}
		request.Organization, request.CreateOrganization, request.ObservedAt = "acme", true, now.Add(-ago)
		report, err := c.importer.Run(c.ctx, request)
		require.NoError(t, err)
		require.Equal(t, "kubernetes-audit", report.Format)
		require.Empty(t, report.Rejections)
		require.Len(t, report.Warnings, 1)
		require.Equal(t, map[time.Duration]authority.Outcome{2 * time.Hour: authority.Applied, time.Hour: authority.Unchanged}[ago], report.Outcome)
		require.Equal(t, []string{"ns1/sa1 identity list 2017-09-11 1 true"}, evidence())
	}
}

func (c *cluster) all(t testing.TB, kind record.EntityKind) []*authority.Entity {
	t.Helper()
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	return c.entities(t, snapshot, "acme", kind)
}

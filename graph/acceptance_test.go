package graph_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// What a person who looks after the exposures of an organization must be able to
// do, each through the API alone.

// entra is a workload that reaches a directory through a service principal: what
// a test changes from one delivery to the next.
type entra struct {
	principal   string // what it runs as
	owner       record.Status
	sensitivity string
	revoked     bool // the principal no longer holds its role
	ran         bool
}

func (e entra) facts() []record.Fact {
	const name = "Auto-route identity tickets via Entra"
	w := ref(record.Workload, name)
	facts := []record.Fact{
		record.Entity{Ref: w}, record.Entity{Ref: ref(record.Identity, e.principal)}, record.Entity{Ref: ref(record.Role, "Directory.ReadWrite.All")},
		record.Entity{Ref: ref(record.Resource, "Microsoft Graph"), Sensitivity: e.sensitivity, DataDomain: "identity_platform"},
		record.Entity{Ref: ref(record.Owner, "maint"), OwnerType: record.Individual, Status: e.owner},
		record.Edge{Kind: record.RunsAs, From: w, To: ref(record.Identity, e.principal)},
		record.Edge{Kind: record.OwnedBy, From: w, To: ref(record.Owner, "maint")},
		grant("Directory.ReadWrite.All", "Microsoft Graph", "Directory.ReadWrite.All"),
		record.Coverage{Kind: record.Ownership},
	}
	if !e.revoked {
		facts = append(facts, has(e.principal, "Directory.ReadWrite.All"))
	}
	if e.ran {
		facts = append(facts, record.Evidence{Workload: &w, Day: epoch.Add(-24 * time.Hour).Truncate(24 * time.Hour), Count: 17})
	}
	return facts
}

func (b *bench) deliver(t testing.TB, e entra) {
	t.Helper()
	b.sync(t, "acme", e.facts()...)
	b.clock.Add(int64(24 * time.Hour))
}

func unowned() entra {
	return entra{principal: "SP-61c1fe", owner: record.Disabled, sensitivity: "restricted", ran: true}
}

const clusterRows = `query ClusterRows($key: String!) { organization(slug: "acme") { riskCluster(key: $key) { key pathCount totalExecution30d
	authorityPaths(first: 10) { totalCount nodes { id status workload { name } identity { sourceId } destination { name }
		currentState { execution30d ownershipStatus activeExposureCount maxExposureSeverity }
		exposures(first: 10) { nodes { type severity explanation } } } } } } }`

func (b *bench) cluster(t testing.TB, key string) map[string]any {
	t.Helper()
	a := b.query(t, viewer, clusterRows, map[string]any{"key": key})
	require.Empty(t, a.Errors)
	return at[map[string]any](t, a.Data, "organization", "riskCluster")
}

func TestAcceptanceClusterListsItsAuthorityPaths(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(t, unowned())
	cluster := b.cluster(t, "orphaned-sensitive")
	require.Equal(t, 1.0, cluster["pathCount"])
	row := at[map[string]any](t, cluster, "authorityPaths", "nodes", 0)
	require.Equal(t, "Auto-route identity tickets via Entra", at[string](t, row, "workload", "name"))
	require.Equal(t, "SP-61c1fe", at[string](t, row, "identity", "sourceId"))
	require.Equal(t, "Microsoft Graph", at[string](t, row, "destination", "name"))
	require.Len(t, at[[]any](t, row, "exposures", "nodes"), 2)
}

func TestAcceptanceRowShowsExecutionAndOwnership(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(t, unowned())
	state := at[map[string]any](t, b.cluster(t, "orphaned-sensitive"), "authorityPaths", "nodes", 0, "currentState")
	require.Equal(t, map[string]any{"execution30d": 17.0, "ownershipStatus": "ORPHANED", "activeExposureCount": 2.0, "maxExposureSeverity": "CRITICAL"}, state)
}

// timeline reads every interval of a path's exposures of a type, the oldest first.
func (b *bench) timeline(t testing.TB, exposureType string) []any {
	t.Helper()
	a := b.query(t, viewer, `query Timeline($type: [ExposureType!]) { organization(slug: "acme") { authorityPaths(first: 5, includeRemoved: true) { nodes { status removedAt
		exposures(first: 50, includeResolved: true, filter: {type: $type}, orderBy: {field: DETECTED_AT, direction: ASC}) {
			nodes { ordinal status effectiveFrom detectedAt resolvedAt resolutionReason durationDays } } } } } }`, map[string]any{"type": exposureType})
	require.Empty(t, a.Errors)
	return at[[]any](t, a.Data, "organization", "authorityPaths", "nodes", 0, "exposures", "nodes")
}

func TestAcceptanceTimelineShowsWhenEachStatusBegan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(t, unowned())
	owned := unowned()
	owned.owner = record.Active
	b.deliver(t, owned)
	list := b.timeline(t, "ORPHANED_PATH")
	require.Len(t, list, 1)
	require.Equal(t, map[string]any{
		"ordinal": 1.0, "status": "RESOLVED", "effectiveFrom": "2026-03-01T12:00:00Z", "detectedAt": "2026-03-01T12:00:00Z",
		"resolvedAt": "2026-03-02T12:00:00Z", "resolutionReason": "OWNER_REACTIVATED", "durationDays": 1.0,
	}, list[0])
}

func TestAcceptanceReopeningKeepsTheHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owned := unowned()
	owned.owner = record.Active
	for _, e := range []entra{unowned(), owned, unowned()} {
		b.deliver(t, e)
	}
	list := b.timeline(t, "ORPHANED_PATH")
	require.Len(t, list, 2)
	require.Equal(t, "RESOLVED", at[string](t, list, 0, "status"))
	require.Equal(t, "ACTIVE", at[string](t, list, 1, "status"))
	require.Equal(t, 2.0, at[float64](t, list, 1, "ordinal"))
	require.Equal(t, "2026-03-03T12:00:00Z", at[string](t, list, 1, "effectiveFrom"))
}

func TestAcceptanceClusterFollowsExposuresAndPathState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(t, unowned())
	cluster := b.cluster(t, "orphaned-sensitive")
	require.Equal(t, 17.0, cluster["totalExecution30d"])
	calm := unowned()
	calm.sensitivity = "internal"
	b.deliver(t, calm) // the exposure resolves, and with it the membership
	cluster = b.cluster(t, "orphaned-sensitive")
	require.Zero(t, cluster["pathCount"])
	require.Zero(t, cluster["totalExecution30d"])
	require.Empty(t, at[[]any](t, cluster, "authorityPaths", "nodes"))
}

func TestAcceptanceRemovedAndResolvedRemainQueryable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(t, unowned())
	revoked := unowned()
	revoked.revoked = true
	b.deliver(t, revoked)
	a := b.query(t, viewer, `{ organization(slug: "acme") { authorityPaths(first: 5) { totalCount }
		all: authorityPaths(first: 5, includeRemoved: true) { nodes { status removedAt exposures(first: 5) { totalCount }
			history: exposures(first: 5, includeResolved: true) { nodes { status resolutionReason resolvedAt } } } }
		exposures(filter: {status: [RESOLVED]}) { totalCount } } }`, nil)
	require.Empty(t, a.Errors)
	require.Zero(t, at[float64](t, a.Data, "organization", "authorityPaths", "totalCount"))
	path := at[map[string]any](t, a.Data, "organization", "all", "nodes", 0)
	require.Equal(t, "REMOVED", path["status"])
	require.Equal(t, "2026-03-02T12:00:00Z", path["removedAt"])
	require.Zero(t, at[float64](t, path, "exposures", "totalCount"))
	for _, x := range at[[]any](t, path, "history", "nodes") {
		require.Equal(t, map[string]any{"status": "RESOLVED", "resolutionReason": "PATH_REMOVED", "resolvedAt": path["removedAt"]}, x)
	}
	require.Equal(t, 2.0, at[float64](t, a.Data, "organization", "exposures", "totalCount"))
}

func TestAcceptanceOpenAndCloseAcrossTwoSyncs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	counts := func() (open, resolved float64) {
		a := b.query(t, viewer, `{ organization(slug: "acme") { exposures { totalCount } resolved: exposures(filter: {status: [RESOLVED]}) { totalCount } } }`, nil)
		require.Empty(t, a.Errors)
		return at[float64](t, a.Data, "organization", "exposures", "totalCount"), at[float64](t, a.Data, "organization", "resolved", "totalCount")
	}
	b.deliver(t, unowned())
	open, resolved := counts()
	require.Equal(t, []float64{2, 0}, []float64{open, resolved})
	owned := unowned()
	owned.owner = record.Active
	b.deliver(t, owned)
	open, resolved = counts()
	require.Equal(t, []float64{1, 1}, []float64{open, resolved})
	b.deliver(t, owned) // the same once more
	open, resolved = counts()
	require.Equal(t, []float64{1, 1}, []float64{open, resolved})
}

func TestChangeEvaluationSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(t, unowned())
	change := `mutation Change($input: ChangeEvaluationSettingsInput!) { changeEvaluationSettings(input: $input) {
		settings { version dormantAfterDays proofGraceDays privilegeWindowDays sharedWorkloads disabledRules }
		evaluation { at exposuresOpened exposuresResolved } userErrors { code field } } }`
	ask := func(actor access.Actor, input map[string]any) answer {
		return b.query(t, actor, change, map[string]any{"input": input})
	}
	a := ask(root, map[string]any{"organization": "acme", "expectedVersion": 0, "dormantAfterDays": 30, "disabledRules": []string{"ORPHANED_OWNERSHIP"}})
	require.Empty(t, a.Errors)
	payload := at[map[string]any](t, a.Data, "changeEvaluationSettings")
	require.Equal(t, map[string]any{"version": 1.0, "dormantAfterDays": 30.0, "proofGraceDays": 7.0, "privilegeWindowDays": 90.0, "sharedWorkloads": 3.0,
		"disabledRules": []any{"ORPHANED_OWNERSHIP"}}, payload["settings"])
	require.Equal(t, 1.0, at[float64](t, payload, "evaluation", "exposuresResolved"))
	require.Equal(t, "RULE_RETIRED", at[string](t, b.timeline(t, "ORPHANED_PATH"), 0, "resolutionReason"))

	read := b.query(t, viewer, `{ organization(slug: "acme") { evaluationSettings { version dormantAfterDays } } }`, nil)
	require.Equal(t, map[string]any{"version": 1.0, "dormantAfterDays": 30.0}, at[map[string]any](t, read.Data, "organization", "evaluationSettings"))

	for name, wrong := range map[string]struct {
		input map[string]any
		want  map[string]any
	}{
		"stale":     {map[string]any{"expectedVersion": 0}, map[string]any{"code": "SETTINGS_CHANGED", "field": "expectedVersion"}},
		"too small": {map[string]any{"expectedVersion": 1, "dormantAfterDays": 0}, map[string]any{"code": "SETTING_OUT_OF_RANGE", "field": "dormantAfterDays"}},
		"too large": {map[string]any{"expectedVersion": 1, "proofGraceDays": 2147483647}, map[string]any{"code": "SETTING_OUT_OF_RANGE", "field": "proofGraceDays"}},
	} {
		wrong.input["organization"] = "acme"
		a := ask(root, wrong.input)
		require.Empty(t, a.Errors, name)
		require.Nil(t, at[map[string]any](t, a.Data, "changeEvaluationSettings")["settings"], name)
		require.Equal(t, []any{wrong.want}, at[[]any](t, a.Data, "changeEvaluationSettings", "userErrors"), name)
	}
	require.Equal(t, "SCOPE_MISSING", ask(viewer, map[string]any{"organization": "acme", "expectedVersion": 1}).code())
	require.Equal(t, ask(viewer, map[string]any{"organization": "elsewhere", "expectedVersion": 1}).code(),
		ask(root, map[string]any{"organization": "nowhere", "expectedVersion": 0}).code(), "what is not there and what is not for the caller")
}

func TestEvaluateOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", append(unowned().facts(), record.Coverage{Kind: record.Execution})...)
	b.clock.Add(int64(100 * 24 * time.Hour))
	a := b.query(t, root, `mutation { evaluateOrganization(input: {organization: "acme"}) { evaluation { at exposuresOpened exposuresResolved } userErrors { code } } }`, nil)
	require.Empty(t, a.Errors)
	require.Equal(t, map[string]any{"at": "2026-06-09T12:00:00Z", "exposuresOpened": 1.0, "exposuresResolved": 0.0}, // the identity has become dormant
		at[map[string]any](t, a.Data, "evaluateOrganization", "evaluation"))
}

package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
)

// estate is an organization whose workloads have attributes, as a source tells of it.
type estate struct {
	dice      *rand.Rand
	workloads []*tenant
	at        time.Time
}

// tenant is a workload with its attributes; empty ones are not said.
type tenant struct {
	name, environment, owner, tier, mode string
	identity                             int
	gone                                 bool
}

func newEstate(dice *rand.Rand, workloads int) *estate {
	e := &estate{dice: dice, at: time.Now().Add(-30 * time.Minute)}
	for i := range workloads {
		w := &tenant{name: fmt.Sprintf("job-%02d", i), identity: dice.IntN(workloads / 2)}
		e.attribute(w)
		e.workloads = append(e.workloads, w)
	}
	return e
}

func (e *estate) oneOf(values ...string) string { return values[e.dice.IntN(len(values))] }

func (e *estate) attribute(w *tenant) {
	w.environment, w.owner, w.tier = e.oneOf("prod", "prod", "stage", ""), e.oneOf("pay", "people", ""), e.oneOf("gold", "silver", "")
	w.mode = e.oneOf("autonomous", "autonomous", "human_triggered", "")
}

// records are what a delivery says.
func (e *estate) records() (list []string) {
	say := func(kind, format string, args ...any) {
		list = append(list, fmt.Sprintf(`{"kind":%q,`, kind)+fmt.Sprintf(format, args...)+`}`)
	}
	for i := range 3 {
		say("role", `"id":"role-%d"`, i)
		say("resource", `"id":"place-%d","dataDomain":"domain-%d","sensitivity":%q`, i, i, []string{"restricted", "internal", "confidential"}[i])
		say("grants", `"role":"role-%d","scope":"*","resource":"place-%d","actions":["get","update"]`, i, i)
	}
	say("owner", `"id":"ada"`)
	for i := range len(e.workloads) / 2 {
		say("identity", `"id":"sa-%d","lastActiveAt":%q`, i, e.at.AddDate(0, 0, -e.dice.IntN(200)).UTC().Format(time.RFC3339))
		for j := range 3 {
			if e.dice.IntN(2) == 0 {
				say("has_role", `"identity":"sa-%d","role":"role-%d","scope":"*"`, i, j)
			}
		}
		if e.dice.IntN(3) == 0 {
			say("evidence", `"identity":"sa-%d","day":%q,"count":%d`, i, e.at.AddDate(0, 0, -2).UTC().Format(time.DateOnly), 1+e.dice.IntN(5))
		}
	}
	for _, w := range e.workloads {
		if w.gone {
			continue
		}
		say("workload", `"id":%q,"environment":%q,"ownerTeam":%q,"businessTier":%q,"executionMode":%q`, w.name, w.environment, w.owner, w.tier, w.mode)
		if e.dice.IntN(8) > 0 {
			say("runs_as", `"workload":%q,"identity":"sa-%d"`, w.name, w.identity)
		}
		if e.dice.IntN(2) == 0 {
			say("owned_by", `"subject":{"kind":"workload","id":%q},"owner":"ada"`, w.name)
		}
		if e.dice.IntN(2) == 0 {
			say("evidence", `"workload":%q,"identity":"sa-%d","resource":"place-%d","action":"get","day":%q,"count":%d`, w.name, w.identity, e.dice.IntN(3),
				e.at.AddDate(0, 0, -1-e.dice.IntN(5)).UTC().Format(time.DateOnly), 1+e.dice.IntN(9))
		}
		if e.dice.IntN(3) == 0 {
			say("egress", `"workload":%q,"host":"api.example","category":"external"`, w.name)
		}
	}
	for _, evidence := range []string{"ownership", "binding", "roles"} {
		say("coverage", `"evidence":%q,"completeness":"complete"`, evidence)
	}
	say("coverage", `"evidence":"execution","completeness":"complete","from":%q,"to":%q`,
		e.at.AddDate(0, -3, 0).UTC().Format(time.RFC3339), e.at.UTC().Format(time.RFC3339))
	return list
}

// change has some workloads change their attributes, go or come back.
func (e *estate) change() {
	e.at = e.at.Add(5 * time.Minute)
	for _, w := range e.workloads {
		switch e.dice.IntN(6) {
		case 0:
			e.attribute(w)
		case 1:
			w.gone = !w.gone
		case 2:
			w.identity = e.dice.IntN(len(e.workloads) / 2)
		}
	}
}

func (e *estate) deliver(t *testing.T, a *app.App, token string) {
	t.Helper()
	send(t, a, token, e.at, e.records())
}

// shown says whether the attributes let a workload through that stands as it last did.
func shown(a access.Attributes, environment, owner, tier string) bool {
	lets := func(values []string, value string) bool { return len(values) == 0 || slices.Contains(values, value) }
	return lets(a.Environment, environment) && lets(a.Owner, owner) && lets(a.BusinessTier, tier)
}

type listOf[T any] struct {
	TotalCount int
	Nodes      []T
	PageInfo   struct{ EndCursor string }
}

type named struct{ ID string }

func (n named) id() string { return n.ID }

type placed struct {
	ID       string
	Workload struct {
		named

		Environment, OwnerTeam, BusinessTier string
	}
	Identity    *named
	Destination named
	Status      string
}

func (p placed) id() string { return p.ID }

func idsOf[T interface{ id() string }](list []T) []string {
	ids := []string{}
	for _, one := range list {
		ids = append(ids, one.id())
	}
	slices.Sort(ids)
	return ids
}

// partOf is what a caller is told of an organization.
type partOf struct {
	Workloads listOf[struct {
		named

		SourceID, Environment, OwnerTeam, BusinessTier string
	}]
	AuthorityPaths listOf[placed]
	Exposures      listOf[struct {
		named

		Path, Workload named
		ResolvedAt     *time.Time
	}]
	Identities, Resources, Owners listOf[named]
}

const partDocument = `{ organization(slug: "acme") {
	workloads(first: 100) { totalCount nodes { id sourceId environment ownerTeam businessTier } }
	authorityPaths(first: 100, includeRemoved: true) { totalCount nodes { id status workload { id environment ownerTeam businessTier } identity { id } destination { id } } }
	exposures(first: 100, filter: {status: [ACTIVE, ACKNOWLEDGED, RESOLVED]}) { totalCount pageInfo { endCursor } nodes { id resolvedAt path { id } workload { id } } }
	identities(first: 100) { totalCount nodes { id } }
	resources(first: 100) { totalCount nodes { id } }
	owners(first: 100) { totalCount nodes { id } }
} }`

// countedDocument asks for numbers, each with the rows behind it.
const countedDocument = `{ organization(slug: "acme") {
	riskClusters(first: 20) { nodes {
		key pathCount workloadCount identityCount
		ownershipBreakdown { valid degraded ambiguous orphaned unknown }
		sensitivityBreakdown { unknown public internal confidential restricted }
		authorityPaths(first: 100) { totalCount nodes { id workload { id } identity { id } } }
		workloads(first: 100) { nodes { id } }
		identities(first: 100) { nodes { id } }
	} }
	workloadExposures(first: 100) { totalCount nodes {
		workload { id } pathCount identities { id } authorityPaths(first: 100) { totalCount nodes { id } } exposures(first: 100) { totalCount nodes { id } }
	} }
	exposureChanges(first: 100) { totalCount nodes { id } }
	exposureChangeSummary { total }
	postureSnapshots(first: 1) { nodes { activePaths identityCounts { total active } workloadCounts { total } } }
} }`

type countedPart struct {
	RiskClusters struct {
		Nodes []struct {
			Key                                      string
			PathCount, WorkloadCount, IdentityCount  int
			OwnershipBreakdown, SensitivityBreakdown map[string]int
			AuthorityPaths                           listOf[placed]
			Workloads, Identities                    listOf[named]
		}
	}
	WorkloadExposures listOf[struct {
		Workload   named
		PathCount  int
		Identities []named

		AuthorityPaths, Exposures listOf[named]
	}]
	ExposureChanges       listOf[named]
	ExposureChangeSummary struct{ Total int }
	PostureSnapshots      listOf[struct {
		ActivePaths    int
		IdentityCounts struct{ Total, Active int }
		WorkloadCounts struct{ Total int }
	}]
}

var postureCounts = []string{
	"ACTIVE_PATHS", "DORMANT_PATHS", "SENSITIVE_PATHS", "EXECUTED_PATHS", "UNWATCHED_PATHS", "TOTAL_EXECUTIONS_30D", "OWNERSHIP_INVALID",
	"EXECUTED_INVALID_OWNERSHIP", "ACTIVE_AUTONOMOUS_IDENTITIES", "DORMANT_IDENTITIES", "ACTIVE_IDENTITIES", "IDENTITIES", "AUTONOMOUS_WORKLOADS",
	"OPERATOR_ASSISTED_WORKLOADS", "HUMAN_TRIGGERED_WORKLOADS", "UNCLASSIFIED_WORKLOADS", "WORKLOADS", "CRITICAL_WORKLOAD_EXPOSURES",
	"HIGH_WORKLOAD_EXPOSURES", "MEDIUM_WORKLOAD_EXPOSURES", "LOW_WORKLOAD_EXPOSURES", "WORKLOAD_EXPOSURES_WITHOUT_SEVERITY", "WORKLOAD_EXPOSURES",
	"NEW_PATHS", "REMOVED_PATHS", "NEW_ORPHANED", "OWNERSHIP_INVALIDATIONS", "NEW_AUTONOMOUS_IDENTITIES",
}

func ofAcme[T any](t *testing.T, a *app.App, token, document string) T {
	t.Helper()
	answer := ask(t, a, token, document)
	require.Empty(t, answer.Errors, document)
	var organization T
	require.NoError(t, json.Unmarshal(answer.Data["organization"], &organization), document)
	return organization
}

// TestCountsOfAPart: a caller whose token has attribute filters is shown exactly what
// hangs on the workloads that they let through, and every number is that of the rows.
func TestCountsOfAPart(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not for secrets
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	admin := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	e := newEstate(dice, 8)
	e.deliver(t, a, admin)
	for range 2 {
		e.change()
		e.deliver(t, a, admin)
	}
	whole := ofAcme[partOf](t, a, admin, partDocument)
	for range 4 { // there may be nothing yet to decide on
		if slices.ContainsFunc(whole.AuthorityPaths.Nodes, func(p placed) bool { return p.Status == "ACTIVE" }) {
			break
		}
		e.change()
		e.deliver(t, a, admin)
		whole = ofAcme[partOf](t, a, admin, partDocument)
	}
	published(t, a, admin)
	for len(whole.Exposures.Nodes) < whole.Exposures.TotalCount { // a page has 100
		more := ofAcme[partOf](t, a, admin, strings.ReplaceAll(partDocument, "exposures(first: 100", fmt.Sprintf("exposures(first: 100, after: %q", whole.Exposures.PageInfo.EndCursor)))
		whole.Exposures.Nodes, whole.Exposures.PageInfo = append(whole.Exposures.Nodes, more.Exposures.Nodes...), more.Exposures.PageInfo
	}
	clock := ofAcme[struct{ Clock time.Time }](t, a, admin, `{ organization(slug: "acme") { clock } }`).Clock

	some := func(values ...string) []string {
		return slices.DeleteFunc(slices.Clone(values), func(string) bool { return dice.IntN(2) == 0 })
	}
	filters := []access.Attributes{{Environment: []string{"prod"}}, {Owner: []string{"pay"}}, {BusinessTier: []string{"gold"}, Environment: []string{"prod", "stage"}}, {Owner: []string{"nobody"}}}
	for range 4 {
		filters = append(filters, access.Attributes{Environment: some("prod", "stage"), Owner: some("pay", "people"), BusinessTier: some("gold", "silver")})
	}
	tokens := map[string]string{"everybody": admin}
	for _, attributes := range filters {
		if !attributes.Limited() {
			continue
		}
		t.Run(fmt.Sprintf("%v", attributes), func(t *testing.T) {
			token := tokenFor(t, database, access.Actor{Subject: "part", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View}, Attributes: attributes})
			tokens[fmt.Sprint(attributes)] = token
			part := ofAcme[partOf](t, a, token, partDocument)
			requirePart(t, &whole, &part, attributes)
			then := ofAcme[partOf](t, a, token, strings.ReplaceAll(partDocument, "first: 100", fmt.Sprintf("first: 100, asOf: %q", clock.Format(time.RFC3339Nano))))
			then.Exposures.PageInfo = part.Exposures.PageInfo // a cursor is of its instant
			require.Equal(t, part, then, "as of now")
			requireCounted(t, a, token, len(part.AuthorityPaths.Nodes))
		})
	}

	// What people decide moves numbers after the last sync.
	before := map[string]json.RawMessage{}
	for name, token := range tokens {
		before[name] = ofAcme[json.RawMessage](t, a, token, fmt.Sprintf(postureDocument, since(clock, "")))
	}
	answer := ask(t, a, admin, `mutation { judgeExposures(input: {organization: "acme", filter: {status: [ACTIVE]}, action: MARK_FALSE_POSITIVE, reason: WRONG_DATA,
		justification: "not so", idempotencyKey: "all"}) { batch { done } userErrors { code } } }`)
	require.Empty(t, answer.Errors)
	require.Contains(t, string(answer.Data["judgeExposures"]), `"userErrors":[]`)
	require.NotEqual(t, before["everybody"], ofAcme[json.RawMessage](t, a, admin, fmt.Sprintf(postureDocument, since(clock, ""))))
	later := ofAcme[struct{ Clock time.Time }](t, a, admin, `{ organization(slug: "acme") { clock } }`).Clock
	require.True(t, later.After(clock), "what was decided is later than what was synced")
	for name, token := range tokens {
		require.JSONEq(t, string(before[name]), string(ofAcme[json.RawMessage](t, a, token, fmt.Sprintf(postureDocument, since(clock, at(clock))))), "as of before the decisions: %s", name)
		require.JSONEq(t, string(ofAcme[json.RawMessage](t, a, token, fmt.Sprintf(postureDocument, since(clock, "")))),
			string(ofAcme[json.RawMessage](t, a, token, fmt.Sprintf(postureDocument, since(clock, at(later))))), "as of now: %s", name)
		requirePosture(t, a, token)
	}
}

// postureDocument takes arguments of its posture.
const postureDocument = `{ organization(slug: "acme") { posture%s {
	activePaths dormantPaths totalExecutions30d ownershipInvalidCount executedInvalidOwnershipCount
	identityCounts { total active activeAutonomous dormantAuthority } workloadCounts { total autonomous operatorAssisted humanTriggered unclassified }
	workloadExposureCounts { critical high medium low none total }
	delta { newPaths removedPaths newOrphaned ownershipInvalidations newAutonomousIdentities snapshot { activePaths identityCounts { total active } workloadCounts { total } } }
} } }`

func since(instant time.Time, more string) string {
	return fmt.Sprintf("(since: %q%s)", instant.Format(time.RFC3339Nano), more)
}

func at(instant time.Time) string {
	return fmt.Sprintf(", asOf: %q", instant.Format(time.RFC3339Nano))
}

// requirePart holds what a caller sees against what there is.
func requirePart(t *testing.T, whole, part *partOf, attributes access.Attributes) {
	t.Helper()
	paths := map[string]bool{}
	var workloads, seenPaths, exposures []string
	identities, resources := map[string]bool{}, map[string]bool{}
	for _, w := range whole.Workloads.Nodes {
		if shown(attributes, w.Environment, w.OwnerTeam, w.BusinessTier) {
			workloads = append(workloads, w.ID)
		}
	}
	seen := map[string]bool{}
	for _, p := range part.AuthorityPaths.Nodes {
		seen[p.ID] = true
	}
	for _, p := range whole.AuthorityPaths.Nodes {
		// A path that was removed keeps its class: it may have been another's before.
		if shown(attributes, p.Workload.Environment, p.Workload.OwnerTeam, p.Workload.BusinessTier) && (p.Status == "ACTIVE" || seen[p.ID]) {
			paths[p.ID] = true
			seenPaths = append(seenPaths, p.ID)
			resources[p.Destination.ID] = true
			if p.Identity != nil {
				identities[p.Identity.ID] = true
			}
		}
	}
	known := map[string]bool{}
	for _, x := range part.Exposures.Nodes {
		known[x.ID] = true
		require.True(t, paths[x.Path.ID], "an exposure of a path that is not seen")
	}
	for _, x := range whole.Exposures.Nodes {
		if paths[x.Path.ID] && known[x.ID] {
			exposures = append(exposures, x.ID)
		}
	}
	sorted := func(ids []string) []string { return append([]string{}, slices.Sorted(slices.Values(ids))...) }
	require.Equal(t, sorted(workloads), idsOf(part.Workloads.Nodes), "workloads")
	require.Equal(t, sorted(seenPaths), idsOf(part.AuthorityPaths.Nodes), "paths")
	require.Equal(t, sorted(exposures), idsOf(part.Exposures.Nodes), "exposures")
	if part.Exposures.TotalCount <= 100 {
		for _, x := range whole.Exposures.Nodes {
			require.True(t, known[x.ID] || x.ResolvedAt != nil || !paths[x.Path.ID], "an exposure of a path that is seen")
		}
	}
	require.Subset(t, idsOf(part.Identities.Nodes), sorted(keysOf(identities)), "identities of paths; more may be bound and reach nothing")
	require.Equal(t, sorted(keysOf(resources)), idsOf(part.Resources.Nodes), "resources")
	for name, list := range map[string][2]int{
		"workloads": {part.Workloads.TotalCount, len(part.Workloads.Nodes)}, "paths": {part.AuthorityPaths.TotalCount, len(part.AuthorityPaths.Nodes)},
		"exposures": {min(part.Exposures.TotalCount, 100), len(part.Exposures.Nodes)}, "identities": {part.Identities.TotalCount, len(part.Identities.Nodes)},
		"resources": {part.Resources.TotalCount, len(part.Resources.Nodes)}, "owners": {part.Owners.TotalCount, len(part.Owners.Nodes)},
	} {
		require.Equal(t, list[1], list[0], name)
	}
}

func keysOf(set map[string]bool) (keys []string) {
	for key := range set {
		keys = append(keys, key)
	}
	return keys
}

// requireCounted holds every number against the rows behind it.
func requireCounted(t *testing.T, a *app.App, token string, mostPaths int) {
	t.Helper()
	part := ofAcme[countedPart](t, a, token, countedDocument)
	sum := func(parts map[string]int) (n int) {
		for _, part := range parts {
			n += part
		}
		return n
	}
	for _, c := range part.RiskClusters.Nodes {
		rows := len(c.AuthorityPaths.Nodes)
		require.Equal(t, []int{rows, rows, rows, rows}, []int{c.PathCount, c.AuthorityPaths.TotalCount, sum(c.OwnershipBreakdown), sum(c.SensitivityBreakdown)}, "paths of %s", c.Key)
		workloads, identities := map[string]bool{}, map[string]bool{}
		for _, p := range c.AuthorityPaths.Nodes {
			workloads[p.Workload.ID] = true
			if p.Identity != nil {
				identities[p.Identity.ID] = true
			}
		}
		require.Equal(t, []int{len(workloads), len(workloads)}, []int{c.WorkloadCount, len(c.Workloads.Nodes)}, "workloads of %s", c.Key)
		require.Equal(t, []int{len(identities), len(identities)}, []int{c.IdentityCount, len(c.Identities.Nodes)}, "identities of %s", c.Key)
		require.LessOrEqual(t, rows, mostPaths)
	}
	for _, w := range part.WorkloadExposures.Nodes {
		require.Equal(t, w.PathCount, len(w.AuthorityPaths.Nodes), "paths of %s", w.Workload.ID)
		require.Equal(t, w.AuthorityPaths.TotalCount, len(w.AuthorityPaths.Nodes))
		require.Equal(t, w.Exposures.TotalCount, len(w.Exposures.Nodes))
	}
	require.Equal(t, part.WorkloadExposures.TotalCount, len(part.WorkloadExposures.Nodes))
	require.Equal(t, min(part.ExposureChanges.TotalCount, 100), len(part.ExposureChanges.Nodes))
	require.Equal(t, part.ExposureChanges.TotalCount, part.ExposureChangeSummary.Total)

	now := ofAcme[struct{ Posture wholePosture }](t, a, token, `{ organization(slug: "acme") { posture { activePaths identityCounts { total active } workloadCounts { total } } } }`).Posture
	require.Equal(t, now, wholePosture(part.PostureSnapshots.Nodes[0]), "the last snapshot is what is")
	requirePosture(t, a, token)
}

type wholePosture struct {
	ActivePaths    int
	IdentityCounts struct{ Total, Active int }
	WorkloadCounts struct{ Total int }
}

// requirePosture holds every number of the posture against the rows that it counts.
func requirePosture(t *testing.T, a *app.App, token string) {
	t.Helper()
	type explained struct {
		Value   *int
		Counted int
		Rows    listOf[struct {
			Node   *struct{ Typename string }
			Amount int
		}]
	}
	for _, count := range postureCounts {
		c := ofAcme[struct{ Posture struct{ Explain explained } }](t, a, token, `{ organization(slug: "acme") { posture {
			explain(count: `+count+`) { value counted rows(first: 100) { totalCount nodes { amount node { Typename: __typename } } } } } } }`).Posture.Explain
		if c.Value == nil {
			continue
		}
		amount := 0
		for _, row := range c.Rows.Nodes {
			require.NotNil(t, row.Node, "a row of %s that is not seen", count)
			amount += row.Amount
		}
		require.Equal(t, []int{*c.Value, *c.Value, len(c.Rows.Nodes)}, []int{c.Counted, amount, c.Rows.TotalCount}, count)
	}
}

// TestLimitedCaller: who sees a part works on that part, follows it, and is refused what
// is about the whole.
func TestLimitedCaller(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	admin := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	token := tokenFor(t, database, access.Actor{
		Subject: "part", Role: access.Client, Organizations: []string{"acme"}, Scopes: access.Scopes, Attributes: access.Attributes{Environment: []string{"prod"}}})
	e := newEstate(rand.New(rand.NewPCG(1, 1)), 4) //nolint:gosec // not for secrets
	for i, w := range e.workloads {
		w.environment = []string{"prod", "stage"}[i%2]
	}
	e.deliver(t, a, admin)
	cursor := published(t, a, admin)

	for what, document := range map[string]string{
		"syncs":    `{ organization(slug: "acme") { syncs(first: 1) { nodes { pathsAdded } } } }`,
		"feed":     `{ organization(slug: "acme") { exposureChangeFeed { pending } } }`,
		"ledger":   `{ organization(slug: "acme") { ledger { size } } }`,
		"audit":    `{ organization(slug: "acme") { auditLog(first: 1) { totalCount } } }`,
		"evaluate": `mutation { evaluateOrganization(input: {organization: "acme"}) { evaluation { at } userErrors { code } } }`,
		"settings": `mutation { changeEvaluationSettings(input: {organization: "acme", expectedVersion: 0, dormantAfterDays: 60}) { settings { version } userErrors { code } } }`,
	} {
		answer := ask(t, a, token, document)
		require.NotEmpty(t, answer.Errors, what)
		require.Equal(t, "TOKEN_LIMITED", answer.Errors[0].Extensions.Code, what)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/imports/snapshot?org=acme", strings.NewReader("nothing that is read"))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusForbidden, response.StatusCode)

	type found struct {
		Exposures listOf[struct {
			named

			Version  int
			Workload struct{ Environment string }
		}]
	}
	const exposures = `{ organization(slug: "acme") { exposures(first: 100) { totalCount nodes { id version workload { environment } } } } }`
	whole, part := ofAcme[found](t, a, admin, exposures).Exposures, ofAcme[found](t, a, token, exposures).Exposures
	require.Greater(t, whole.TotalCount, part.TotalCount)
	require.NotZero(t, part.TotalCount)

	judge := func(id string, version int) string {
		answer := ask(t, a, token, fmt.Sprintf(`mutation { acknowledgeExposure(input: {exposure: %q, expectedVersion: %d, justification: "seen", idempotencyKey: %q}) { userErrors { code } } }`, id, version, id))
		if len(answer.Errors) > 0 {
			return answer.Errors[0].Extensions.Code
		}
		var payload struct{ UserErrors []struct{ Code string } }
		require.NoError(t, json.Unmarshal(answer.Data["acknowledgeExposure"], &payload))
		if len(payload.UserErrors) > 0 {
			return payload.UserErrors[0].Code
		}
		return ""
	}
	tail := follow(t, a, token, map[string]any{"after": cursor})
	hidden := 0
	for _, x := range whole.Nodes {
		want := ""
		if x.Workload.Environment != "prod" {
			want, hidden = "EXPOSURE_NOT_FOUND", hidden+1
		}
		require.Equal(t, want, judge(x.ID, x.Version), x.Workload.Environment)
	}
	require.NotZero(t, hidden)

	// What somebody else decides of the rest is not told, and what is decided of the part is.
	answer := ask(t, a, admin, `mutation { judgeExposures(input: {organization: "acme", filter: {status: [ACTIVE]}, action: ACKNOWLEDGE, justification: "all", idempotencyKey: "all"}) { batch { done } userErrors { code } } }`)
	require.Contains(t, string(answer.Data["judgeExposures"]), fmt.Sprintf(`"done":%d`, hidden))
	answer = ask(t, a, token, `mutation { judgeExposures(input: {organization: "acme", filter: {status: [ACKNOWLEDGED]}, action: UNACKNOWLEDGE, justification: "mine", idempotencyKey: "mine"}) { batch { done } userErrors { code } } }`)
	require.Contains(t, string(answer.Data["judgeExposures"]), fmt.Sprintf(`"done":%d`, part.TotalCount))
	ours := map[string]bool{}
	for _, x := range part.Nodes {
		ours[x.ID] = true
	}
	told := 0
	for told < 2*part.TotalCount { // acknowledged, and open again
		f := tail.next()
		if f.Heartbeat {
			continue
		}
		told++
	}
	changes := ofAcme[struct {
		ExposureChanges listOf[struct{ Exposure *named }]
	}](t, a, token, fmt.Sprintf(`{ organization(slug: "acme") { exposureChanges(first: 100, after: %q, orderBy: {field: SEQ, direction: ASC}) { totalCount nodes { exposure { id } } } } }`, cursor)).ExposureChanges
	require.Len(t, changes.Nodes, told)
	for _, c := range changes.Nodes {
		require.True(t, c.Exposure != nil && ours[c.Exposure.ID], "a change of somebody else's")
	}
}

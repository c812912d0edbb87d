package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/documents"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// What the server answers is kept after each step of a story, and asked again at
// its end, as of that step.

// pastFields are the fields of an organization that have a past, with arguments
// under which they show as much as they can.
var pastFields = []string{
	`authorityPaths(first: 100, includeRemoved: true, asOf: $asOf)`,
	`exposures(first: 100, filter: {status: [ACTIVE, ACKNOWLEDGED, FALSE_POSITIVE, RESOLVED]}, orderBy: {field: DETECTED_AT, direction: ASC}, asOf: $asOf)`,
	`riskClusters(first: 20, asOf: $asOf)`,
	`riskCluster(key: "llm-egress", level: OPEN, asOf: $asOf)`,
	`posture(asOf: $asOf)`,
	`postureSnapshots(first: 5, asOf: $asOf)`,
	`workloadExposures(asOf: $asOf)`,
	`workloadExposure(id: $workload, asOf: $asOf)`,
	`workloads(filter: {status: [ACTIVE, DISABLED, REMOVED]}, asOf: $asOf)`,
	`workload(sourceId: "reports", sourceSystem: "snapshot", asOf: $asOf)`,
	`identities(filter: {status: [ACTIVE, DISABLED, REMOVED]}, asOf: $asOf)`,
	`resources(filter: {status: [ACTIVE, DISABLED, REMOVED]}, asOf: $asOf)`,
	`owners(filter: {status: [ACTIVE, DISABLED, REMOVED]}, asOf: $asOf)`,
	`evaluationSettings(asOf: $asOf)`,
	`sources(asOf: $asOf)`,
	`syncs(first: 4, asOf: $asOf)`,
	`authorityPath(id: $path, asOf: $asOf)`,
	`exposure(id: $exposure, asOf: $asOf)`,
}

// pastAssets are those that only scans change.
var pastAssets = []string{
	`assets(first: 50, orderBy: {field: FIRST_SEEN_AT, direction: DESC}, asOf: $asOf)`,
	`asset(type: SERVICE, value: "10.0.0.1 tcp/80", asOf: $asOf)`,
	`assets(first: 3, filter: {status: [CLOSED, STALE]}, asOf: $asOf)`,
	`assets(last: 2, filter: {technology: "NGINX", linked: false, port: [80]}, asOf: $asOf)`,
	`assets(first: 5, filter: {type: [SERVICE, HOST], status: [ACTIVE], valuePrefix: "10."}, asOf: $asOf)`,
}

// pastLists are lists under the filters and orders that a past reads by other ways.
var pastLists = []string{
	`authorityPaths(first: 3, orderBy: {field: SENSITIVITY, direction: ASC}, includeRemoved: true, asOf: $asOf)`,
	`authorityPaths(first: 3, orderBy: {field: FIRST_SEEN, direction: DESC}, filter: {status: [REMOVED]}, asOf: $asOf)`,
	`authorityPaths(last: 2, filter: {ownershipStatus: [VALID, ORPHANED], effective: true, sourceSystem: "snapshot"}, asOf: $asOf)`,
	`authorityPaths(first: 5, filter: {dataDomain: ["finance"], bound: true}, asOf: $asOf)`,
	`authorityPaths(first: 5, filter: {exposureType: [LLM_EGRESS]}, asOf: $asOf)`,
	`authorityPaths(first: 5, filter: {maxExposureSeverity: [HIGH, CRITICAL]}, asOf: $asOf)`,
	`authorityPaths(first: 5, filter: {cluster: ["llm-egress", "orphaned-sensitive"]}, asOf: $asOf)`,
	`workloads(first: 1, filter: {namePrefix: "R"}, asOf: $asOf)`,
	`syncs(first: 3, filter: {outcome: [LATE, UNCHANGED]}, asOf: $asOf)`,
	`riskClusters(first: 20, level: ACCEPTED, asOf: $asOf)`,
	`exposures(first: 3, filter: {status: [RESOLVED]}, orderBy: {field: RESOLVED_AT, direction: DESC}, asOf: $asOf)`,
	`exposures(first: 3, asOf: $asOf)`,
}

// notKept are the fields that have no past, and say so.
var notKept = []string{"ExposureExplanation.predicates", "MissingExposure.verdict"}

// selection is everything that can be asked of a type, so deep.
func selection(s *ast.Schema, name string, depth int) string {
	return documents.Text(documents.Whole(s, notKept...).Below(name, depth))
}

// document asks one field of an organization.
func document(s *ast.Schema, slug, field string, depth int) string {
	name, _, _ := strings.Cut(field, "(")
	of := s.Types["Organization"].Fields.ForName(name).Type.Name()
	variables := "$asOf: DateTime"
	for _, one := range []string{"workload", "path", "exposure"} {
		if strings.Contains(field, "$"+one) {
			variables += ", $" + one + ": ID!"
		}
	}
	return fmt.Sprintf(`query(%s) { organization(slug: %q) { %s { %s } } }`, variables, slug, field, selection(s, of, depth))
}

// tape is what was answered, and when.
type tape struct {
	*bench
	deep      http.Handler
	slug      string
	documents []string
	variables map[string]any
	takes     []take
	moves     []*move
	days      int
}

type move struct {
	from, mutation string
	made           int
}

type take struct {
	step    string
	instant time.Time
	answers []string
}

func newTape(t testing.TB) *tape {
	t.Helper()
	p := &tape{bench: setupWith(t, time.Nanosecond)}
	p.deep = graph.NewHandler(graph.Config{
		DB: p.DB, Organizations: &org.Store{}, Paths: p.paths, Exposures: &exposure.Reader{}, Clusters: &posture.Reader{},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Triage: triage.New(p.DB, p.paths, p.now), LoaderWait: 200 * time.Microsecond,
		Limits: limit.Limits{Tokens: 100_000, Depth: 100, Fragments: 1000, Repeats: 100_000, Cost: 1 << 50},
	})
	p.begin(t, "acme")
	return p
}

// begin is before anything happened in an organization.
func (p *tape) begin(t testing.TB, slug string) {
	t.Helper()
	p.slug, p.variables, p.documents, p.takes, p.moves, p.days = slug, map[string]any{}, nil, nil, nil, 0
	p.clock.Store(0)
	for _, m := range moves {
		p.moves = append(p.moves, &move{from: m[0], mutation: m[1]})
	}
	s := schema(t)
	for _, field := range pastFields {
		depth := 2
		if name, _, _ := strings.Cut(field, "("); !strings.HasSuffix(name, "s") { // of one thing, deeper
			depth = 3
		}
		p.documents = append(p.documents, document(s, slug, field, depth))
	}
	for _, field := range pastLists {
		p.documents = append(p.documents, document(s, slug, field, 0))
	}
}

// of asks about the organization.
func (p *tape) of(t tester, selection string, variables map[string]any) map[string]any {
	t.Helper()
	head := "query"
	if variables != nil {
		head = "query($status: [ExposureStatus!])"
	}
	a := p.query(t, root, fmt.Sprintf("%s { organization(slug: %q) { %s } }", head, p.slug, selection), variables)
	require.Empty(t, a.Errors)
	return at[map[string]any](t, a.Data, "organization")
}

// ask posts a document and gives the data of its answer as it was sent.
func (p *tape) ask(t tester, document string, variables map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	require.NoError(t, err)
	request := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(string(body)))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	p.deep.ServeHTTP(recorder, request.WithContext(access.With(request.Context(), root)))
	var a struct {
		Data   json.RawMessage
		Errors json.RawMessage
	}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a), recorder.Body.String())
	if len(a.Errors) > 0 {
		return string(a.Errors)
	}
	return string(a.Data)
}

// named are the things that documents ask for one by one.
func (p *tape) named(t tester) {
	t.Helper()
	node := at[map[string]any](t, p.of(t, `authorityPaths(first: 1) { nodes { id workload { id } exposures(first: 1) { nodes { id } } } }`, nil), "authorityPaths", "nodes", 0)
	p.variables = map[string]any{"path": at[string](t, node, "id"), "workload": at[string](t, node, "workload", "id"),
		"exposure": at[string](t, node, "exposures", "nodes", 0, "id")}
}

func (p *tape) take(t tester, step string) {
	t.Helper()
	p.takeOf(t, step, func(int) bool { return true })
}

// takeOf keeps the answers to some of the documents.
func (p *tape) takeOf(t tester, step string, some func(document int) bool) {
	t.Helper()
	if len(p.variables) == 0 {
		p.named(t)
	}
	instant, err := time.Parse(time.RFC3339Nano, at[string](t, p.of(t, "clock", nil), "clock"))
	require.NoError(t, err)
	one := take{step: step, instant: instant, answers: make([]string, len(p.documents))}
	for n, document := range p.documents {
		if some(n) {
			one.answers[n] = p.ask(t, document, p.variables)
			require.Contains(t, one.answers[n], `{"organization":{`, document)
		}
	}
	p.takes = append(p.takes, one)
}

// again asks a document as of a take, or as of the last instant before the next one.
func (p *tape) again(t tester, n, i int, end bool) string {
	t.Helper()
	instant := p.takes[i].instant
	if end && i+1 < len(p.takes) && p.takes[i+1].instant.After(instant) {
		instant = p.takes[i+1].instant.Add(-time.Microsecond)
	}
	variables := map[string]any{"asOf": instant}
	maps.Copy(variables, p.variables)
	return p.ask(t, p.documents[n], variables)
}

// replay asks for everything again, as of each take and of the last instant before
// the next one.
func (p *tape) replay(t testing.TB) {
	t.Helper()
	different := make([]map[string]bool, len(p.documents))
	wrong := map[int]bool{} // of each document the first difference is shown
	for i, one := range p.takes {
		for n, document := range p.documents {
			if different[n] == nil {
				different[n] = map[string]bool{}
			}
			different[n][one.answers[n]] = true
			then := p.again(t, n, i, n%2 == i%2)
			if then != one.answers[n] && !wrong[n] {
				wrong[n] = true
				assert.Equal(t, indented(t, one.answers[n]), indented(t, then), "%s, as of %s: %s", one.step, one.instant, document)
			}
		}
	}
	require.Empty(t, wrong)
	for n, document := range p.documents {
		require.Greater(t, len(different[n]), 1, "an answer that never changed proves nothing: %s", document)
	}
}

func indented(t tester, text string) string {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal([]byte(text), &value))
	pretty, err := json.MarshalIndent(value, "", " ")
	require.NoError(t, err)
	return string(pretty)
}

// day is the next one.
func (p *tape) day() {
	p.days++
	p.clock.Store(int64(time.Duration(p.days) * 6 * time.Hour))
}

// deliver syncs what a source says. While it is being read, meanwhile happens.
func (p *tape) deliver(t tester, request authority.SyncRequest, facts []record.Fact, meanwhile func()) {
	t.Helper()
	request.Organization, request.CreateOrganization, request.Format = p.slug, true, "snapshot"
	_, err := p.paths.Sync(access.With(context.Background(), root), request, func(out record.Emitter) error {
		for i, fact := range facts {
			if i == len(facts)/2 && meanwhile != nil {
				meanwhile()
			}
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// cmdb is the second source: it answers for reports, and knows how sensitive mail is.
func cmdb(team string, more ...record.Fact) []record.Fact {
	return append([]record.Fact{
		record.Entity{Ref: record.Ref{Kind: record.Workload, System: "snapshot", SourceID: "reports"}, Basis: record.Inventory, OwnerTeam: team, BusinessTier: "gold"},
		record.Entity{Ref: record.Ref{Kind: record.Resource, System: "snapshot", SourceID: "mail"}, Basis: record.Inventory, Sensitivity: "confidential"},
	}, more...)
}

// moves are what people decide about an exposure, and in which state.
var moves = [][2]string{{"ACTIVE", "acknowledgeExposure"}, {"ACKNOWLEDGED", "resolveExposure"}, {"ACTIVE", "markFalsePositive"},
	{"FALSE_POSITIVE", "unmarkFalsePositive"}, {"ACTIVE", "acknowledgeExposure"}, {"ACKNOWLEDGED", "unacknowledgeExposure"}, {"ACTIVE", "resolveExposure"}}

// judge has somebody decide what has been decided least often of what can be; false
// if nothing can.
func (p *tape) judge(t tester) bool {
	t.Helper()
	slices.SortStableFunc(p.moves, func(a, b *move) int { return a.made - b.made })
	for _, m := range p.moves {
		found := p.of(t, `exposures(first: 1, filter: {status: $status}, orderBy: {field: DETECTED_AT, direction: ASC}) { nodes { id version } }`, map[string]any{"status": []string{m.from}})
		nodes := at[[]any](t, found, "exposures", "nodes")
		if len(nodes) == 0 {
			continue
		}
		m.made++
		key := fmt.Sprintf("%s-%d-%d", m.mutation, len(p.takes), m.made)
		input := onExposure(at[string](t, nodes[0], "id"), int(at[float64](t, nodes[0], "version")), key)
		if m.mutation == "markFalsePositive" {
			input["reason"] = "WRONG_DATA"
		}
		who := operator
		who.Organizations = []string{p.slug}
		p.judged(t, who, m.mutation, input)
		return true
	}
	return false
}

// changes are the edits of the story, in their order.
var changes = []string{"the owner leaves", "a path begins", "reports runs", "nobody watches", "a second identity", "nobody knows who owns", "no workload",
	"a workload elsewhere", "more may be done"}

// scans are what scanners see in the story, in turn.
var scans = [][]scanned{
	hosts(2, "1.24", 80, 443),
	hosts(1, "1.25", 80),
	{{address: "10.0.0.1", ports: map[int]string{80: "", 443: ""}, bare: true}},
	hosts(2, "1.25", 443),
}

func TestPastIsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	p := newTape(t)
	for _, field := range pastAssets {
		p.documents = append(p.documents, document(schema(t), p.slug, field, 2))
	}
	inventory := authority.SyncRequest{Source: "inventory", System: "snapshot"}
	second := authority.SyncRequest{Source: "cmdb", System: "snapshot"}
	home := smallEstate()
	p.deliver(t, inventory, home.facts(), nil)
	p.take(t, "the first delivery")
	p.day()
	p.deliver(t, second, cmdb("payments"), nil)
	p.take(t, "the second source")

	for i, name := range changes { // each takes back the one before
		now := smallEstate()
		edits[slices.IndexFunc(edits, func(e edit) bool { return e.name == name })].do(now)
		p.day()
		p.deliver(t, inventory, now.facts(), nil)
		p.take(t, name)
		p.clock.Add(int64(time.Hour))
		p.scan(t, p.slug, []string{"nmap", "nmap", "httpx"}[i%3], scans[i%len(scans)]...)
		p.take(t, "a scan after "+name)
		p.clock.Add(int64(time.Hour))
		switch i % 5 {
		case 1:
			p.deliver(t, second, cmdb(fmt.Sprintf("team %d", i)), nil)
		case 3:
			p.deliver(t, inventory, now.facts(), nil) // nothing new
		default:
			require.True(t, p.judge(t))
		}
		p.take(t, "after "+name)
	}

	// While a source is merged, people go on, and so does who asks.
	p.day()
	p.deliver(t, inventory, smallEstate().facts(), func() {
		p.take(t, "while it is read")
		require.True(t, p.judge(t))
		p.take(t, "a decision while it is read")
	})
	p.take(t, "read")

	p.day()
	late := inventory
	late.ObservedAt = epoch.Add(time.Hour)
	p.deliver(t, late, nil, nil)
	p.take(t, "a late delivery")
	p.people(t)
	p.clock.Add(int64(120 * 24 * time.Hour))
	_, err := p.paths.Reevaluate(access.With(context.Background(), root), id.Organization("acme"), authority.ByTime, nil)
	require.NoError(t, err)
	p.take(t, "time goes by")
	p.days += 130 * 4
	p.day()
	p.deliver(t, inventory, []record.Fact{}, nil)
	p.take(t, "nothing is left")
	p.day()
	p.deliver(t, inventory, home.facts(), nil)
	p.take(t, "everything returns")
	t.Logf("%d documents, %d times", len(p.documents), len(p.takes))
	p.replay(t)
}

// people put on record what is no decision about an exposure.
func (p *tape) people(t testing.TB) {
	t.Helper()
	a := p.query(t, root, `{ organization(slug: "acme") { authorityPaths(first: 1) { nodes { id actions identity { id } } } evaluationSettings { version } } }`, nil)
	require.Empty(t, a.Errors)
	path := at[map[string]any](t, a.Data, "organization", "authorityPaths", "nodes", 0)
	version := at[float64](t, a.Data, "organization", "evaluationSettings", "version")
	for _, step := range []struct {
		document string
		input    map[string]any
	}{
		{attest, map[string]any{"identity": at[string](t, path, "identity", "id"), "note": "agreed"}},
		{justify, map[string]any{"path": path["id"], "justification": "it has to", "actions": path["actions"]}},
		{justify, map[string]any{"path": path["id"], "justification": "it has to, still", "actions": path["actions"]}},
		{withdraw, map[string]any{"path": path["id"]}},
		{`mutation($input: ChangeEvaluationSettingsInput!) { changeEvaluationSettings(input: $input) { userErrors { code } } }`,
			map[string]any{"organization": "acme", "expectedVersion": version, "dormantAfterDays": 30}},
	} {
		p.day()
		a := p.query(t, root, step.document, map[string]any{"input": step.input})
		require.Empty(t, a.Errors, step.document)
		for _, payload := range a.Data {
			require.Empty(t, at[[]any](t, payload, "userErrors"), step.document)
		}
		p.take(t, step.document)
	}
}

// An instant that no history has is refused, and so is what has no past. One
// document may ask as of several.
func TestPastRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ask := func(selection string) answer {
		return b.query(t, viewer, `{ organization(slug: "acme") { `+selection+` } }`, nil)
	}
	b.sync(t, "acme", smallEstate().facts()...)
	b.clock.Add(int64(24 * time.Hour))
	e := smallEstate()
	drop("to mail")(e)
	b.sync(t, "acme", e.facts()...)
	b.clock.Add(int64(time.Hour))
	clock := at[string](t, ask(`clock`).Data, "organization", "clock")
	require.Equal(t, "2026-03-02T12:00:00Z", clock)

	for selection, code := range map[string]string{
		`posture(asOf: "2026-03-01T11:59:59.999999Z") { at }`:                                                                                                               "ASOF_BEFORE_BEGINNING",
		`workload(sourceId: "billing", sourceSystem: "snapshot", asOf: "0001-01-01T00:00:00Z") { id }`:                                                                      "ASOF_BEFORE_BEGINNING",
		`sources(asOf: "2026-03-02T13:00:00.000001Z") { name }`:                                                                                                             "ASOF_IN_FUTURE",
		`sources(asOf: "2026-03-02T13:00:00Z") { name }`:                                                                                                                    "",
		`exposures(first: 1, asOf: "2026-03-01T12:00:00Z") { nodes { explain { predicates { holds } } } }`:                                                                  "ASOF_NOT_KEPT",
		`posture(asOf: "2026-03-01T12:00:00Z") { explain(count: ACTIVE_PATHS) { rows { nodes { amount } } } }`:                                                              "ASOF_NOT_KEPT",
		`authorityPaths(first: 1, asOf: "2026-03-01T12:00:00Z") { nodes { whyNot(cluster: "orphaned-sensitive") { obstacle terms { missing { verdict { outcome } } } } } }`: "ASOF_NOT_KEPT",
		`sources(asOf: "yesterday") { name }`:                                                                                                                               "BAD_USER_INPUT",
	} {
		require.Equal(t, code, ask(selection).code(), selection)
	}
	stranger := access.Actor{Subject: "eve", Role: access.Client, Organizations: []string{"rival"}, Scopes: []access.Scope{access.View}}
	require.Equal(t, "", b.query(t, stranger, `{ organization(slug: "acme") { posture(asOf: "2026-03-01T12:00:00Z") { at } } }`, nil).code())

	// Two instants beside what is, and the same list below each.
	a := ask(`now: workloads { nodes { authorityPaths(first: 1) { totalCount pageInfo { endCursor } } } }
		then: workloads(asOf: "2026-03-01T12:00:00Z") { nodes { authorityPaths(first: 1) { totalCount pageInfo { endCursor } } } }
		still: workloads(asOf: "2026-03-02T11:59:59Z") { nodes { authorityPaths(first: 1) { totalCount } } }`)
	require.Empty(t, a.Errors)
	for name, count := range map[string]float64{"now": 1, "then": 2, "still": 2} {
		require.InDelta(t, count, at[float64](t, a.Data, "organization", name, "nodes", 0, "authorityPaths", "totalCount"), 0, name)
	}
	// A cursor is one of its instant.
	paths := ask(`authorityPaths(first: 1, asOf: "2026-03-01T12:00:00Z") { pageInfo { endCursor } }`)
	cursor := at[string](t, paths.Data, "organization", "authorityPaths", "pageInfo", "endCursor")
	require.Empty(t, ask(fmt.Sprintf(`authorityPaths(first: 1, after: %q, asOf: "2026-03-01T12:00:00Z") { nodes { id } }`, cursor)).Errors)
	for _, other := range []string{``, `, asOf: "2026-03-01T12:00:01Z"`} {
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", ask(fmt.Sprintf(`authorityPaths(first: 1, after: %q%s) { nodes { id } }`, cursor, other)).code())
	}
}

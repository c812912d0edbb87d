package graph_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/server/guard"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// audited is a surface that keeps an audit log.
func audited(t testing.TB) (*bench, *audit.Log) {
	t.Helper()
	b := setup(t)
	log := audit.New(b.DB, b.now, slog.New(slog.DiscardHandler))
	b.handler = guard.Wrap(guard.Status(graph.NewHandler(graph.Config{
		DB: b.DB, Organizations: &org.Store{}, Paths: b.paths, Exposures: &exposure.Reader{}, Clusters: &posture.Reader{}, Log: slog.New(slog.DiscardHandler),
		Triage: triage.New(b.DB, b.paths, b.now), Audit: log, RequestID: func(context.Context) string { return "request" },
	})), guard.Limits{})
	return b, log
}

const auditFields = `id at subject action outcome door requestId properties { name value } touched`

// log reads the audit log of an organization.
func (b *bench) log(t testing.TB, organization string) []any {
	t.Helper()
	a := b.query(t, root, `query($slug: String!) { organization(slug: $slug) { auditLog(first: 100) { totalCount nodes { `+auditFields+` } } } }`, map[string]any{"slug": organization})
	require.Empty(t, a.Errors)
	nodes := at[[]any](t, a.Data, "organization", "auditLog", "nodes")
	require.Equal(t, float64(len(nodes)), at[float64](t, a.Data, "organization", "auditLog", "totalCount"))
	return nodes
}

// told is what an entry says in short.
func told(entry any) string {
	e := entry.(map[string]any)
	text := fmt.Sprint(e["subject"], " ", e["action"], " ", e["outcome"])
	for _, p := range e["properties"].([]any) {
		text += fmt.Sprint(" ", p.(map[string]any)["name"], "=", p.(map[string]any)["value"])
	}
	return text
}

// TestMutationsLeaveOneEntryEach: of whoever does it, may not, or gets it wrong; and
// nothing of what a caller wrote.
func TestMutationsLeaveOneEntryEach(t *testing.T) {
	t.Parallel()
	b, log := audited(t)
	b.sync(t, "acme", world(2)...)
	b.sync(t, "rival", world(2)...)
	own, foreign := b.exposureIDs(t, "acme", 2), b.exposureIDs(t, "rival", 1)[0]
	require.Empty(t, b.log(t, "acme"), "reading leaves nothing")
	count := 0
	// last is the one entry that was added.
	last := func(want string) map[string]any {
		t.Helper()
		count++
		b.clock.Add(int64(time.Second))
		list := b.log(t, "acme")
		require.Len(t, list, count)
		require.Equal(t, want, told(list[0]))
		require.Equal(t, []any{"GRAPHQL", "request"}, []any{list[0].(map[string]any)["door"], list[0].(map[string]any)["requestId"]})
		require.NotContains(t, fmt.Sprint(list[0]), "secret")
		return list[0].(map[string]any)
	}
	input := func(exposure string, version int, key string) map[string]any {
		return map[string]any{"exposure": exposure, "expectedVersion": version, "justification": "a secret reason", "idempotencyKey": key}
	}

	b.judged(t, investigator, "acknowledgeExposure", input(own[0], 1, "secret-key"))
	require.Equal(t, []any{own[0]}, last("ida mutation.acknowledgeExposure done")["touched"])
	b.judged(t, investigator, "acknowledgeExposure", input(own[0], 1, "secret-key"))
	last("ida mutation.acknowledgeExposure done replayed=true")
	b.judge(t, investigator, "acknowledgeExposure", input(own[0], 7, "k2"))
	last("ida mutation.acknowledgeExposure VERSION_CONFLICT")
	require.Equal(t, "SCOPE_MISSING", b.judge(t, viewer, "acknowledgeExposure", input(own[1], 1, "k3")).code())
	require.Equal(t, []any{own[1]}, last("viewer mutation.acknowledgeExposure SCOPE_MISSING")["touched"])

	const many = `mutation($input: JudgeExposuresInput!) { judgeExposures(input: $input) { batch { id } userErrors { code } } }`
	items := []any{map[string]any{"exposure": own[1]}, map[string]any{"exposure": foreign}}
	batch := map[string]any{"organization": "acme", "action": "ACKNOWLEDGE", "exposures": items, "justification": "a secret reason", "idempotencyKey": "k4"}
	a := b.query(t, investigator, many, map[string]any{"input": batch})
	require.Empty(t, a.Errors)
	made := at[string](t, a.Data, "judgeExposures", "batch", "id")
	require.Equal(t, []any{made, own[1]}, last("ida mutation.judgeExposures done action=acknowledge dryRun=false exposures=2")["touched"], "what is foreign is not named")
	batch["dryRun"] = true
	require.Empty(t, b.query(t, investigator, many, map[string]any{"input": batch}).Errors)
	last("ida mutation.judgeExposures done action=acknowledge dryRun=true exposures=2")
	undo := map[string]any{"input": map[string]any{"batch": made, "justification": "a secret reason", "idempotencyKey": "k5"}}
	require.Empty(t, b.query(t, investigator, `mutation($input: UndoBatchInput!) { undoBatch(input: $input) { userErrors { code } } }`, undo).Errors)
	require.Equal(t, []any{made}, last("ida mutation.undoBatch done")["touched"].([]any)[1:])

	// Several in one request are several entries.
	two := `mutation { one: evaluateOrganization(input: {organization: "acme"}) { userErrors { code } } two: registerSigningKey(input: {organization: "acme", publicKey: "secret"}) { userErrors { code } } }`
	require.Empty(t, b.query(t, operator, two, nil).Errors)
	list := b.log(t, "acme")
	require.Len(t, list, count+2)
	require.ElementsMatch(t, []string{"olga mutation.evaluateOrganization done", "olga mutation.registerSigningKey KEY_INVALID"}, []string{told(list[0]), told(list[1])})
	count += 2
	b.clock.Add(int64(time.Second))

	// An evidence pack is handed out by a query.
	const pack = `query($x: ID!) { organization(slug: "acme") { evidencePack(exposure: $x) { digest } } }`
	a = b.query(t, viewer, pack, map[string]any{"x": own[0]})
	require.Empty(t, a.Errors)
	last("viewer export.evidence_pack done digest=" + at[string](t, a.Data, "organization", "evidencePack", "digest"))
	b.query(t, viewer, pack, map[string]any{"x": foreign})
	last("viewer export.evidence_pack SUBJECT_NOT_FOUND")
	b.query(t, viewer, `{ organization(slug: "acme") { evidencePack { digest } } }`, nil)
	last("viewer export.evidence_pack ONE_SUBJECT")

	// Whoever is no member writes nothing into a foreign log, nor into their own.
	stranger := access.Actor{Subject: "eve", Role: access.Client, Organizations: []string{"rival"}, Scopes: access.Scopes}
	require.Equal(t, "EXPOSURE_NOT_FOUND", b.judge(t, stranger, "acknowledgeExposure", input(own[0], 2, "k6")).code())
	require.Equal(t, "ORGANIZATION_NOT_FOUND", b.query(t, stranger, `mutation { evaluateOrganization(input: {organization: "acme"}) { userErrors { code } } }`, nil).code())
	require.Equal(t, "EXPOSURE_NOT_FOUND", b.judge(t, investigator, "acknowledgeExposure", input("nothing", 2, "k7")).code())
	require.Len(t, b.log(t, "acme"), count)
	require.Empty(t, b.log(t, "rival"))
	// And what is not even read, or not understood, is none.
	require.NotEmpty(t, b.query(t, investigator, `mutation { nothing }`, nil).Errors)
	require.NotEmpty(t, b.query(t, investigator, `mutation($n: Int!) { changeEvaluationSettings(input: {organization: "acme", expectedVersion: $n}) { userErrors { code } } }`, map[string]any{"n": 1 << 40}).Errors)
	require.Len(t, b.log(t, "acme"), count)
	require.Zero(t, log.Failures())
}

// TestEveryMutationSaysWhoseItIs: an input has the organization, or the id of something
// of it, by which it is recorded; a payload says what was wrong.
func TestEveryMutationSaysWhoseItIs(t *testing.T) {
	t.Parallel()
	parsed := schema(t)
	for _, field := range parsed.Mutation.Fields {
		if strings.HasPrefix(field.Name, "__") {
			continue
		}
		input := parsed.Types[field.Arguments.ForName("input").Type.Name()]
		named := false
		for _, name := range []string{"organization", "exposure", "path", "identity", "batch", "subject"} {
			f := input.Fields.ForName(name)
			named = named || f != nil && f.Type.NonNull && (f.Type.Name() == "String" || f.Type.Name() == "ID")
		}
		require.True(t, named, field.Name)
		require.NotNil(t, parsed.Types[field.Type.Name()].Fields.ForName("userErrors"), field.Name)
		require.Equal(t, ast.Object, parsed.Types[field.Type.Name()].Kind)
	}
}

// TestAuditLogOverGraphQL: filters, pages, nodes and who may read.
func TestAuditLogOverGraphQL(t *testing.T) {
	t.Parallel()
	b, log := audited(t)
	b.sync(t, "acme", world(1)...)
	b.sync(t, "rival", world(1)...)
	for i := range 5 {
		b.clock.Add(int64(time.Second))
		for _, slug := range []string{"acme", "rival"} {
			log.Record(access.With(t.Context(), root), audit.Event{Organization: id.Organization(slug), Action: []string{"import.nmap", "mutation.x"}[i%2], Outcome: []string{audit.Done, "SCOPE_MISSING"}[i%2], Door: audit.HTTP})
		}
	}
	log.Token(t.Context(), audit.TokenEvent{Subject: "svc", Action: audit.TokenIssued, Outcome: audit.Done, Door: audit.Issuer})
	all := b.log(t, "acme")
	require.Len(t, all, 5)
	require.Nil(t, all[0].(map[string]any)["requestId"])
	ask := func(actor access.Actor, arguments string) answer {
		return b.query(t, actor, `{ organization(slug: "acme") { auditLog(`+arguments+`) { nodes { `+auditFields+` } pageInfo { hasNextPage endCursor } } } }`, nil)
	}
	for arguments, want := range map[string][]any{
		`first: 2`: all[:2], `last: 2`: all[3:], `filter: {action: ["import."]}`: {all[0], all[2], all[4]}, `filter: {outcome: ["SCOPE_MISSING"]}`: {all[1], all[3]},
		`filter: {subject: ["nobody"]}`: {}, `filter: {since: "2026-03-01T12:00:02Z", until: "2026-03-01T12:00:04Z"}`: all[2:4],
	} {
		a := ask(auditor, arguments)
		require.Empty(t, a.Errors, arguments)
		require.Equal(t, want, at[[]any](t, a.Data, "organization", "auditLog", "nodes"), arguments)
	}
	require.Equal(t, "INTERVAL_EMPTY", ask(auditor, `filter: {since: "2026-03-01T12:00:02Z", until: "2026-03-01T12:00:01Z"}`).code())

	// Without the scope the log is null, and the rest of the answer is there.
	a := b.query(t, investigator, `{ organization(slug: "acme") { slug auditLog { totalCount } } }`, nil)
	require.Equal(t, []any{"SCOPE_MISSING", "acme", nil}, []any{a.code(), at[string](t, a.Data, "organization", "slug"), at[map[string]any](t, a.Data, "organization")["auditLog"]})
	const foreign = `query($slug: String!) { organization(slug: $slug) { auditLog { totalCount } } }`
	require.Equal(t, b.query(t, auditor, foreign, map[string]any{"slug": "unborn"}), b.query(t, auditor, foreign, map[string]any{"slug": "rival"}))

	// Nodes.
	node := func(actor access.Actor, text any) answer {
		return b.query(t, actor, `query($id: ID!) { node(id: $id) { ... on AuditEntry { `+auditFields+` } } }`, map[string]any{"id": text})
	}
	require.Equal(t, all[0], node(auditor, all[0].(map[string]any)["id"]).Data["node"])
	theirs := b.log(t, "rival")[0].(map[string]any)["id"]
	none := node(auditor, id.Global(audit.EntryType, id.Organization("unborn"), id.Organization("x")))
	require.Equal(t, none, node(auditor, theirs))
	require.Nil(t, none.Data["node"])
	require.Nil(t, node(auditor, id.Global(audit.EntryType, id.Organization("acme"), id.Organization("x"))).Data["node"])

	// What belongs to no organization.
	const shared = `{ serverAuditLog { totalCount nodes { ` + auditFields + ` } } }`
	a = b.query(t, root, shared, nil)
	require.Empty(t, a.Errors)
	list := at[[]any](t, a.Data, "serverAuditLog", "nodes")
	require.Equal(t, []string{"svc token.issued done"}, []string{told(list[0])})
	require.Equal(t, list[0], node(root, list[0].(map[string]any)["id"]).Data["node"])
	require.Equal(t, "ADMIN_REQUIRED", b.query(t, auditor, shared, nil).code())
	require.Equal(t, "ADMIN_REQUIRED", node(auditor, list[0].(map[string]any)["id"]).code())
}

// recorder keeps events as they come, and may be what panics.
type recorder struct{ events []audit.Event }

func (r *recorder) Record(_ context.Context, event audit.Event) { r.events = append(r.events, event) }

// TestWitness: what panics, and what cannot be read, is recorded too.
func TestWitness(t *testing.T) {
	t.Parallel()
	kept := &recorder{}
	run := func(field func(ctx context.Context) graphql.Marshaler) audit.Event {
		kept.events = nil
		ctx := graphql.WithRootFieldContext(t.Context(), &graphql.RootFieldContext{Field: graphql.CollectedField{Field: &ast.Field{Name: "x"}}})
		func() {
			defer func() { _ = recover() }()
			graph.WitnessMutation(ctx, kept, field)
		}()
		require.Len(t, kept.events, 1)
		return kept.events[0]
	}
	resolved := func(ctx context.Context, resolve graphql.Resolver) {
		ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Object: "Mutation"})
		_, _ = graph.WitnessField(ctx, resolve)
	}
	require.Equal(t, "INPUT_REFUSED", run(func(context.Context) graphql.Marshaler { return nil }).Outcome)
	require.Equal(t, "INTERNAL", run(func(ctx context.Context) graphql.Marshaler {
		resolved(ctx, func(context.Context) (any, error) { panic("broken") })
		return nil
	}).Outcome)
	require.Equal(t, "INTERNAL", run(func(ctx context.Context) graphql.Marshaler {
		resolved(ctx, func(context.Context) (any, error) { return nil, errors.New("a secret") })
		return nil
	}).Outcome)
}

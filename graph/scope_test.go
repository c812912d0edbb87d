package graph_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

// scopesOf are the scopes that a sign names.
func scopesOf(t *testing.T, signs ast.DirectiveList) (scopes []access.Scope, signed bool) {
	t.Helper()
	sign := signs.ForName("requiresScopes")
	if sign == nil {
		return nil, false
	}
	for _, child := range sign.Arguments.ForName("scopes").Value.Children {
		require.Contains(t, access.Scopes, access.Scope(child.Value.Raw))
		scopes = append(scopes, access.Scope(child.Value.Raw))
	}
	return scopes, true
}

// signOf is what a field takes: by its own sign, or by that of its type.
func signOf(t *testing.T, of *ast.Definition, field *ast.FieldDefinition) []access.Scope {
	t.Helper()
	scopes, signed := scopesOf(t, field.Directives)
	if !signed {
		scopes, signed = scopesOf(t, of.Directives)
	}
	require.True(t, signed, "%s.%s has no sign", of.Name, field.Name)
	return scopes
}

// TestEveryFieldIsSigned: there is no field of which the schema does not say what it takes.
func TestEveryFieldIsSigned(t *testing.T) {
	t.Parallel()
	s := schema(t)
	roots := []*ast.Definition{s.Query, s.Mutation, s.Subscription}
	for _, of := range s.Types {
		if of.Kind != ast.Object || of.BuiltIn {
			continue
		}
		for _, field := range of.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			signOf(t, of, field)
			if slices.Contains(roots, of) {
				_, own := scopesOf(t, field.Directives)
				require.True(t, own, "%s.%s has no sign of its own", of.Name, field.Name)
			}
		}
	}
}

// allBut has every scope that there is, but for these.
func allBut(scopes ...access.Scope) access.Actor {
	rest := slices.DeleteFunc(slices.Clone(access.Scopes), func(s access.Scope) bool { return slices.Contains(scopes, s) })
	return with(rest...)
}

// with has these scopes, in every organization.
func with(scopes ...access.Scope) access.Actor {
	return access.Actor{Subject: "somebody", Role: access.Client, AllOrganizations: true, Scopes: scopes}
}

// batch is the id of one in which nothing could be judged.
func (b *bench) batch(t *testing.T, exposure string) string {
	t.Helper()
	made := b.query(t, root, `mutation($input: JudgeExposuresInput!) { judgeExposures(input: $input) { batch { id } userErrors { code } } }`,
		map[string]any{"input": map[string]any{"organization": "acme", "exposures": []any{map[string]any{"exposure": exposure, "expectedVersion": 99}},
			"action": "ACKNOWLEDGE", "justification": "because", "idempotencyKey": "batch"}})
	require.Empty(t, made.Errors)
	return at[string](t, made.Data, "judgeExposures", "batch", "id")
}

// TestScopesOfMutations: what the sign on a mutation names is what its service takes,
// neither less nor more.
func TestScopesOfMutations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", smallEstate().facts()...)
	some := b.query(t, root, `{ organization(slug: "acme") {
		authorityPaths(first: 1) { nodes { id identity { id } } } exposures(first: 1) { nodes { id } } } }`, nil)
	require.Empty(t, some.Errors)
	path, identity, exposure := at[string](t, some.Data, "organization", "authorityPaths", "nodes", 0, "id"),
		at[string](t, some.Data, "organization", "authorityPaths", "nodes", 0, "identity", "id"), at[string](t, some.Data, "organization", "exposures", "nodes", 0, "id")
	judge := map[string]any{"exposure": exposure, "expectedVersion": 99, "justification": "because", "idempotencyKey": "k"}
	wrong := map[string]any{"exposure": exposure, "expectedVersion": 99, "justification": "because", "idempotencyKey": "k", "reason": "WRONG_DATA"}
	inputs := map[string]map[string]any{
		"changeEvaluationSettings": {"organization": "acme", "expectedVersion": 99},
		"evaluateOrganization":     {"organization": "acme"},
		"attestBaseline":           {"identity": identity},
		"recordJustification":      {"path": path, "justification": "because"},
		"withdrawJustification":    {"path": path},
		"acknowledgeExposure":      judge, "unacknowledgeExposure": judge, "unmarkFalsePositive": judge, "resolveExposure": judge, "markFalsePositive": wrong,
		"judgeExposures":     {"organization": "acme", "exposures": []any{map[string]any{"exposure": exposure}}, "action": "ACKNOWLEDGE", "dryRun": true},
		"undoBatch":          {"batch": b.batch(t, exposure), "justification": "because", "idempotencyKey": "k"},
		"registerSigningKey": {"organization": "acme", "publicKey": "none"},
		"revokeSigningKey":   {"organization": "acme", "key": "none"},
		"sealEvidencePack":   {"subject": exposure},
	}
	do := func(actor access.Actor, field *ast.FieldDefinition) answer {
		input := inputs[field.Name]
		require.NotNil(t, input, "an input for %s", field.Name)
		of := field.Arguments.ForName("input").Type.Name()
		return b.query(t, actor, `mutation($input: `+of+`!) { `+field.Name+`(input: $input) { userErrors { code } } }`, map[string]any{"input": input})
	}
	for _, field := range schema(t).Mutation.Fields {
		scopes := signOf(t, schema(t).Mutation, field)
		if field.Name == "judgeExposures" { // which takes the scope of its action
			require.Empty(t, scopes)
			scopes = []access.Scope{access.Investigate}
		}
		for _, scope := range scopes {
			denied := do(allBut(scope), field)
			require.Equal(t, "SCOPE_MISSING", denied.code(), "%s without %s", field.Name, scope)
			require.Contains(t, denied.Errors[0].Message, string(scope), field.Name)
		}
		require.NotEqual(t, "SCOPE_MISSING", do(with(scopes...), field).code(), "%s with %s", field.Name, scopes)
	}
	inputs["judgeExposures"]["action"] = "RESOLVE"
	judgeExposures := schema(t).Mutation.Fields.ForName("judgeExposures")
	require.Contains(t, do(allBut(access.Operate), judgeExposures).Errors[0].Message, string(access.Operate))
	require.Empty(t, do(with(access.Operate), judgeExposures).Errors)
}

// TestScopesOfReading: whoever may view sees whatever is signed with no more, and of
// all else hears which scope is missing; whoever may do everything but view sees nothing.
func TestScopesOfReading(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", smallEstate().facts()...)
	s := schema(t)
	some := b.query(t, root, `{ organization(slug: "acme") { id authorityPaths(first: 1) { nodes { id } } exposures(first: 1) { nodes { id } }
		workloadExposures(first: 1) { nodes { id } } syncs(first: 1) { nodes { id } } } }`, nil)
	require.Empty(t, some.Errors)
	one := func(list string) string { return at[string](t, some.Data, "organization", list, "nodes", 0, "id") }
	organization := at[string](t, some.Data, "organization", "id")

	ways := []struct{ of, before, after string }{
		{"Organization", `{ organization(slug: "acme") { `, ` } }`},
		{"Organization", `{ node(id: "` + organization + `") { ... on Organization { `, ` } } }`},
		{"AuthorityPath", `{ node(id: "` + one("authorityPaths") + `") { ... on AuthorityPath { `, ` } } }`},
		{"Exposure", `{ organization(slug: "acme") { exposures(first: 1) { nodes { `, ` } } } }`},
		{"WorkloadExposure", `{ organization(slug: "acme") { workloadExposures(first: 1) { nodes { `, ` } } } }`},
		{"Workload", `{ organization(slug: "acme") { workloads(first: 1) { nodes { `, ` } } } }`},
		{"Sync", `{ node(id: "` + one("syncs") + `") { ... on Sync { `, ` } } }`},
	}
	arguments := map[string]string{
		"Organization.riskCluster": `(key: "llm-egress")`, "AuthorityPath.whyNot": `(cluster: "llm-egress")`, "Organization.batch": `(id: "` + b.batch(t, one("exposures")) + `")`, "Organization.workloadExposure": `(id: "` + one("workloadExposures") + `")`,
		"Organization.workload": `(sourceId: "reports", sourceSystem: "snapshot")`, "Organization.authorityPath": `(id: "` + one("authorityPaths") + `")`, "Organization.exposure": `(id: "` + one("exposures") + `")`,
		"Organization.evidencePack": `(exposure: "` + one("exposures") + `")`, "Organization.asset": `(type: HOST, value: "10.0.0.1")`, "Organization.exposureChangeSummary": `(days: 3)`,
		"Organization.exposureChange": `(id: "` + organization + `")`,
		"Organization.postureDiff":    `(from: "2026-03-01T00:00:00Z", to: "2026-03-01T00:00:00Z")`,
	}
	asked := map[string]int{}
	for _, way := range ways {
		for _, field := range s.Types[way.of].Fields {
			name := way.of + "." + field.Name
			text := field.Name + arguments[name]
			needs := slices.ContainsFunc(field.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull && a.DefaultValue == nil })
			if strings.HasPrefix(field.Name, "__") || needs && arguments[name] == "" {
				require.False(t, needs && !strings.HasPrefix(field.Name, "__"), "arguments for %s", name)
				continue
			}
			of := s.Types[field.Type.Name()]
			if of.IsAbstractType() {
				text += " { __typename }"
			} else if !of.IsLeafType() {
				text += " { " + selection(s, of.Name, 0) + " }"
			}
			takes := signOf(t, s.Types[way.of], field)
			missing := slices.DeleteFunc(slices.Clone(takes), func(s access.Scope) bool { return s == access.View })
			seen := b.query(t, with(access.View), way.before+text+way.after, nil)
			require.NotEqual(t, "GRAPHQL_VALIDATION_FAILED", seen.code(), "%s: %v", text, seen.Errors)
			for _, fault := range seen.Errors {
				if len(missing) == 0 {
					require.NotEqual(t, "SCOPE_MISSING", fault.Extensions["code"], "%s takes more than its sign says: %s", name, fault.Message)
				}
			}
			for _, scope := range missing {
				require.Equal(t, "SCOPE_MISSING", seen.code(), name)
				require.Contains(t, seen.Errors[0].Message, string(scope))
				whole := b.query(t, with(append(takes, access.View)...), way.before+text+way.after, nil)
				require.NotEqual(t, "SCOPE_MISSING", whole.code(), "%s with %s", name, takes)
				asked[name]++
			}
			require.Equal(t, "SCOPE_MISSING", b.query(t, allBut(access.View), way.before+text+way.after, nil).code(), name)
		}
	}
	// Each field that takes more than to view was met.
	for _, of := range s.Types {
		for _, field := range of.Fields {
			if of.Kind != ast.Object || of.BuiltIn || of == s.Mutation || of == s.Query || strings.HasPrefix(field.Name, "__") {
				continue
			}
			scopes, own := scopesOf(t, field.Directives)
			if own && slices.ContainsFunc(scopes, func(s access.Scope) bool { return s != access.View }) {
				require.Positive(t, asked[of.Name+"."+field.Name], "%s.%s was not asked", of.Name, field.Name)
			}
		}
	}
	for _, question := range []string{`{ organizations { nodes { id } } }`, `{ nodes(ids: ["` + organization + `"]) { id } }`, `{ node(id: "` + one("exposures") + `") { id } }`} {
		require.Equal(t, "SCOPE_MISSING", b.query(t, allBut(access.View), question, nil).code(), question)
	}
	require.Empty(t, b.query(t, with(), `{ viewer { subject scopes } }`, nil).Errors)
	const shared = `{ serverAuditLog { totalCount } }`
	administrator := func(actor access.Actor) access.Actor { actor.Role = access.Admin; return actor }
	require.Equal(t, "SCOPE_MISSING", b.query(t, administrator(allBut(access.Audit)), shared, nil).code())
	require.Empty(t, b.query(t, administrator(with(access.Audit)), shared, nil).Errors)
	require.Equal(t, "ADMIN_REQUIRED", b.query(t, with(access.Scopes...), shared, nil).code())
}

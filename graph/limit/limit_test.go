package limit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

var schema = gqlparser.MustLoadSchema(&ast.Source{Input: `
interface Node { id: ID! }
type Finding implements Node { id: ID! title: String! subject: Cluster notes: [Note!]! tags: [String!]! }
type Note { text: String! }
type Cluster implements Node { id: ID! name: String! parent: Cluster findings(first: Int, last: Int): FindingConnection! }
type FindingEdge { cursor: String! node: Finding! }
type FindingConnection { edges: [FindingEdge!]! nodes: [Finding!]! totalCount: Int }
type ClusterEdge { node: Cluster! }
type ClusterConnection { edges: [ClusterEdge!]! totalCount: Int }
type Query {
  findings(first: Int, last: Int, filter: String): FindingConnection!
  clusters(first: Int = 7): ClusterConnection!
  top(first: Int): [Cluster!]!
  node(id: ID!): Node
  nodes(ids: [ID!]!): [Node]!
  cluster(id: ID, ids: [Int]): Cluster
}
type Mutation { touch(id: ID!): Cluster }
type Subscription { findingChanged: Finding }
`})

// server is a gqlgen server with the extension, as the product wires it.
func server(limits Limits) *handler.Server {
	cache := lru.New[*ast.QueryDocument](100)
	srv := serverWith(New(limits, cache))
	srv.SetQueryCache(cache)
	return srv
}

func serverWith(extension *Extension) *handler.Server {
	srv := handler.New(&graphql.ExecutableSchemaMock{
		SchemaFunc: func() *ast.Schema { return schema },
		ExecFunc: func(context.Context) graphql.ResponseHandler {
			return graphql.OneShot(&graphql.Response{Data: json.RawMessage(`{"ok":true}`)})
		},
	})
	srv.AddTransport(transport.GET{})
	srv.AddTransport(transport.POST{})
	srv.SetParserTokenLimit(1000)
	srv.Use(extension)
	return srv
}

type answer struct {
	Errors []struct {
		Message    string
		Extensions struct {
			Code            string
			Measured, Limit int64
		}
	}
	Data       json.RawMessage
	Extensions struct {
		Cost   *Cost
		Budget *Budget
	}
}

// post runs one operation. The deadline is far above any bounded answer, so only an
// unbounded one meets it.
func post(t *testing.T, srv http.Handler, query string, variables map[string]any) (int, answer, int) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/graphql-response+json")
	recorder := httptest.NewRecorder()
	done := make(chan struct{})
	go func() { srv.ServeHTTP(recorder, request); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the answer took more than 5 s")
	}
	size := recorder.Body.Len()
	var got answer
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &got))
	return recorder.Code, got, size
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(format, "N", strconv.Itoa(i)))
	}
	return b.String()
}

// doubling is a chain of fragments of which each spreads the next one twice.
func doubling(levels int, body string) string {
	var b strings.Builder
	b.WriteString("{cluster{...F0}}")
	for i := range levels {
		next := fmt.Sprintf("...F%d", i+1)
		fmt.Fprintf(&b, " fragment F%d on Cluster {%s}", i, strings.ReplaceAll(body, "NEXT", next))
	}
	fmt.Fprintf(&b, " fragment F%d on Cluster {id}", levels)
	return b.String()
}

func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	srv := server(Limits{})
	for _, row := range []struct {
		name, query, code string
	}{
		{"1 aliases of __typename", "{" + numbered(101, "aN:__typename ") + "}", CodeAliases},
		{"1 aliases of a list", "{" + numbered(80, "aN:findings(first:1){totalCount} ") + "}", CodeAliases},
		{"1 aliases of a list x101", "{" + numbered(101, "aN:findings(first:1){totalCount} ") + "}", CodeTokens},
		{"2 unknown directives", "{__typename " + strings.Repeat("@aa", 10) + "}", CodeDirectives},
		{"2 known directives", "{__typename " + strings.Repeat("@include(if:true)", 140) + "}", CodeDirectives},
		{"2 known directives x500", "{__typename " + strings.Repeat("@include(if:true)", 500) + "}", CodeTokens},
		{"2 directives far apart", "{cluster{" + numbered(60, "fN @include(if:true) ") + "}}", CodeDirectives},
		{"3 cycle", "{cluster{...A}} fragment A on Cluster{...B} fragment B on Cluster{...A}", "GRAPHQL_VALIDATION_FAILED"},
		{"3 cycle with itself", "{cluster{...A}} fragment A on Cluster{id parent{...A}}", "GRAPHQL_VALIDATION_FAILED"},
		{"4 doubling in one set", doubling(25, "NEXT NEXT"), CodeCost},
		{"4 doubling in two sets", doubling(25, "parent{NEXT} x:parent{NEXT}"), CodeDepth},
		{"4 doubling side by side", doubling(9, "parent{NEXT} x:parent{NEXT} y:parent{NEXT} z:parent{NEXT}"), CodeCost},
		{"6 nesting", strings.Repeat("{cluster", 120) + strings.Repeat("}", 120), CodeDepth},
		{"6 nesting through fragments", "{cluster{...A}} fragment A on Cluster{" + strings.Repeat("parent{", 10) + "...B" + strings.Repeat("}", 10) + "} fragment B on Cluster{" + strings.Repeat("parent{", 10) + "id" + strings.Repeat("}", 10) + "}", CodeDepth},
		{"6 700,000 braces", strings.Repeat("{a", 700_000), CodeTokens},
		{"6 1M braces", strings.Repeat("{a", 1_000_000), CodeTokens},
		{"6 2M brackets", "{node(id:" + strings.Repeat("[", 2_000_000), CodeTokens},
		{"7 __typename x500", "{" + strings.Repeat("__typename ", 500) + "}", CodeRootFields},
		{"7 __typename x900 inside", "{cluster{" + strings.Repeat("__typename ", 900) + "}}", CodeRepeats},
		{"7 __typename x8000", "{" + strings.Repeat("__typename ", 8000) + "}", CodeTokens},
		{"8 overlapping inline fragments", "{" + strings.Repeat("cluster{"+strings.Repeat("...{id}", 100)+"}", 200) + "}", CodeTokens},
		{"8 repeats in nested inline fragments", "{cluster{" + strings.Repeat("...{", 111) + strings.Repeat("id ", 657) + strings.Repeat("}", 111) + "}}", CodeDepth},
		{"8 nested inline fragments", "{cluster{" + strings.Repeat("...{id ", 60) + strings.Repeat("}", 60) + "}}", CodeDepth},
		{"8 inline fragments side by side", "{cluster{" + numbered(101, "...{aN}") + "}}", CodeFragments},
		{"8 spreads side by side", "{cluster{" + strings.Repeat("...F ", 101) + "}} fragment F on Cluster{id}", CodeFragments},
		{"root fields through fragments", "{...F ...F ...F} fragment F on Query{" + numbered(10, "node(id:1){id}") + "}", CodeRootFields},
		{"14 operations", numbered(30, "query QN{__typename} "), CodeOperations},
		{"17 unterminated string", `{node(id:"abc){id}}`, "GRAPHQL_PARSE_FAILED"},
		{"17 unterminated block string", `{node(id:"""abc){id}}`, "GRAPHQL_PARSE_FAILED"},
		{"17 brace", "{", "GRAPHQL_PARSE_FAILED"},
		{"17 empty", "", "GRAPHQL_VALIDATION_FAILED"},
		{"17 comments", "# a\n# b\n", "GRAPHQL_VALIDATION_FAILED"},
		{"17 1 MB comment", "#" + strings.Repeat("x", 1<<20), "GRAPHQL_VALIDATION_FAILED"},
		{"17 500,000 comments", strings.Repeat("#\n", 500_000), CodeTokens},
		{"16 1 MB of a token", `{node "` + strings.Repeat("x", 1<<20) + `"}`, "GRAPHQL_PARSE_FAILED"},
		{"16 NUL in a string", `{node(id:"a\u0000b"){id}}`, CodeBadInput},
		{"16 NUL in braces", `{nodes(ids:["a\u{0}b"]){id}}`, CodeBadInput},
		{"16 lone surrogate", `{node(id:"a\ud800b"){id}}`, CodeBadInput},
		{"long name", "query " + strings.Repeat("x", 200_000) + "(" + numbered(200, "$aN:Int ") + "){__typename}", CodeName},
		{"15 huge page", "{findings(first:1000000000){nodes{id}}}", CodeCost},
		{"15 page beyond 64 bits", "{findings(first:99999999999999999999){nodes{id}}}", "GRAPHQL_VALIDATION_FAILED"},
		{"cost of pages in pages", "{clusters(first:100){edges{node{findings(first:300){edges{node{id title notes{text}}}}}}}}", CodeCost},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			status, got, size := post(t, srv, row.query, nil)
			require.Equal(t, http.StatusBadRequest, status)
			require.Len(t, got.Errors, 1, "one error: %v", got.Errors)
			require.Equal(t, row.code, got.Errors[0].Extensions.Code, got.Errors[0].Message)
			require.Less(t, size, 4096)

			// The process lives and answers a query beside it.
			status, got, _ = post(t, srv, "{findings(first:10){totalCount edges{node{id}}}}", nil)
			require.Equal(t, http.StatusOK, status)
			require.JSONEq(t, `{"ok":true}`, string(got.Data))
			require.Equal(t, &Cost{Requested: 32, Limit: 150_000}, got.Extensions.Cost)
		})
	}
}

func TestRefusalExplainsItself(t *testing.T) {
	t.Parallel()
	_, got, _ := post(t, server(Limits{}), "{findings(first:100000){nodes{id}}}", nil)
	require.Equal(t, "the operation costs 200001 and the limit is 150000: ask for smaller pages (first, last), fewer fields, or fewer levels", got.Errors[0].Message)
	require.EqualValues(t, 200001, got.Errors[0].Extensions.Measured)
	require.EqualValues(t, 150000, got.Errors[0].Extensions.Limit)
	require.Equal(t, &Cost{Requested: 200001, Limit: 150_000}, got.Extensions.Cost)
}

func TestErrorsOfRefusedDocumentsAreFewAndShort(t *testing.T) {
	t.Parallel()
	_, got, size := post(t, server(Limits{}), "{cluster{"+numbered(400, "unknownN ")+"}}", nil)
	require.Len(t, got.Errors, 20)
	require.Less(t, size, 8192)
	require.Equal(t, strings.Repeat("x", 499)+"…", shorten(strings.Repeat("x", 499)+"ößßß"))
}

func TestVariables(t *testing.T) {
	t.Parallel()
	srv := server(Limits{})
	query := "query($n: Int, $id: [ID!]!) {findings(first:$n){nodes{id}} nodes(ids:$id){id}}"
	_, got, _ := post(t, srv, query, map[string]any{"n": 30, "id": []string{"a", "b"}})
	require.EqualValues(t, 1+30*2+1+2, got.Extensions.Cost.Requested)
	status, got, _ := post(t, srv, query, map[string]any{"n": 1_000_000, "id": []string{}})
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, CodeCost, got.Errors[0].Extensions.Code)
	status, got, _ = post(t, srv, query, map[string]any{"id": []string{"a\x00"}})
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, CodeBadInput, got.Errors[0].Extensions.Code)
}

// reference is the introspection query that graphql-js builds with all options,
// whose type reference has nine levels of ofType.
func reference() string {
	ref := "kind name"
	for range 9 {
		ref = "kind name ofType {" + ref + "}"
	}
	return `query IntrospectionQuery { __schema { description
 queryType { name kind } mutationType { name kind } subscriptionType { name kind }
 types { ...FullType }
 directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL
 fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
 inputFields { ...InputValue } interfaces { ...TypeRef }
 enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
 possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
fragment TypeRef on __Type {` + ref + `}`
}

func TestIntrospectionPasses(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{"gqlgen": introspection.Query, "graphql-js": reference()} {
		shape := measure(t, query)
		require.Nil(t, Limits{}.Check(shape), name)
		require.Equal(t, 1, shape.Depth, name)
	}
	require.Equal(t, 13, measure(t, introspection.Query).Introspection)
	require.Equal(t, 15, measure(t, reference()).Introspection)

	status, got, _ := post(t, server(Limits{}), introspection.Query, nil)
	require.Equal(t, http.StatusOK, status)
	require.Less(t, got.Extensions.Cost.Requested, int64(500))

	deep := "{__schema{types{" + strings.Repeat("ofType{", 20) + "name" + strings.Repeat("}", 20) + "}}}"
	require.Equal(t, CodeDepth, Limits{}.Check(measure(t, deep)).Extensions["code"])
}

func TestDepthIsThatOfTheFields(t *testing.T) {
	t.Parallel()
	level := func(n int) string {
		return "{cluster{" + strings.Repeat("parent{", n-2) + "id" + strings.Repeat("}", n)
	}
	require.Nil(t, Limits{}.Check(measure(t, level(15))))
	require.Equal(t, CodeDepth, Limits{}.Check(measure(t, level(16))).Extensions["code"])
	require.Nil(t, Limits{Depth: 16}.Check(measure(t, level(16))))
}

func measure(t testing.TB, query string) Shape {
	t.Helper()
	doc, err := parser.ParseQuery(&ast.Source{Input: query})
	require.NoError(t, err)
	return Measure(doc)
}

func TestMeasuringIsLinear(t *testing.T) {
	t.Parallel()
	// One visit for each spread, field and definition, however often it is reached.
	for _, levels := range []int{25, 50, 400} {
		shape := measure(t, doubling(levels, "NEXT NEXT"))
		require.Equal(t, 3*levels+4, shape.Nodes)
	}
	require.EqualValues(t, most, measure(t, doubling(400, "NEXT NEXT")).Fields)

	doc, errs := gqlparser.LoadQueryWithRules(schema, doubling(400, "NEXT NEXT"), rules.NewDefaultRules())
	require.Nil(t, errs)
	c := coster{limits: Limits{}.orDefault(), done: map[*ast.FragmentDefinition]*bill{}}
	require.EqualValues(t, most, c.set(doc.Operations[0].SelectionSet).once)
	require.Equal(t, 2*400+3, c.nodes)
}

func TestCost(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		query string
		want  int64
	}{
		{"{__typename}", 1},
		{"{cluster{id name}}", 3},
		{"{findings{nodes{id}}}", 1 + 20*2},                               // the default page
		{"{findings(first:3){nodes{id}}}", 1 + 3*2},                       // nodes is one per item
		{"{findings(last:3){edges{cursor node{id}}}}", 1 + 3*4},           // so is edges
		{"{findings(first:3,last:5){nodes{id}}}", 1 + 5*2},                // the larger counts
		{"{findings(first:-1){nodes{id}}}", 1},                            // the resolver refuses it
		{"{findings(first:null){nodes{id}}}", 1 + 20*2},                   //
		{"{findings(first:3){totalCount}}", 2},                            // once for the page
		{"{clusters{edges{node{id}}}}", 1 + 7*3},                          // the argument's default
		{"query($n:Int){clusters(first:$n){edges{node{id}}}}", 1 + 7*3},   // left unset
		{"query($n:Int=2){clusters(first:$n){edges{node{id}}}}", 1 + 2*3}, // the variable's default
		{"{top(first:4){id name}}", 1 + 4*2},                              // a paged list
		{"{nodes(ids:[1,2,3]){id}}", 1 + 3},                               //
		{"{findings(first:2){nodes{tags notes{text}}}}", 1 + 2*(1+1+1+5)}, // a list of no known size
		{"{findings(first:2){...F}} fragment F on FindingConnection{totalCount nodes{...G}} fragment G on Finding{id title}", 1 + 1 + 2*3},
		{"{findings(first:2){...on FindingConnection{nodes{subject{findings(first:3){nodes{id}}}}}}}", 1 + 2*(1+1+1+3*2)},
		{"{cluster{name}}", 2},
	} {
		doc, errs := gqlparser.LoadQueryWithRules(schema, row.query, rules.NewDefaultRules())
		require.Nil(t, errs, row.query)
		operation := doc.Operations[0]
		variables, err := validator.VariableValues(schema, operation, nil)
		require.NoError(t, err)
		require.Equal(t, row.want, Limits{}.CostOf(operation, variables), row.query)
	}
	doc := gqlparser.MustLoadQueryWithRules(schema, "{cluster{name id}}", rules.NewDefaultRules())
	require.EqualValues(t, 12, Limits{Weights: map[string]int64{"Cluster.name": 10}}.CostOf(doc.Operations[0], nil))
}

func TestVariableNumbers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		value any
		want  int64
	}{
		{3, 3}, {int32(3), 3}, {int64(3), 3}, {3.0, 3}, {json.Number("3"), 3}, {"12", 12},
		{int64(1 << 62), most}, {1e300, most}, {json.Number("1e400"), most}, {true, most},
	} {
		c := coster{variables: map[string]any{"n": row.value}}
		got, ok := c.whole(&ast.Value{Kind: ast.Variable, Raw: "n"})
		require.True(t, ok)
		require.Equal(t, row.want, got, "%v", row.value)
	}
}

// documents that pass every limit and still give validation as much as they can.
func heavy() map[string]string {
	inline := strings.Repeat("...{", 28)
	spreads, fragments := "", ""
	for i := range 48 {
		spreads += fmt.Sprintf("...F%d ", i)
		fragments += fmt.Sprintf("fragment F%d on Cluster{%s}", i, numbered(12, "fN "))
	}
	spread2, fragments2 := "", ""
	for i := range 40 {
		spread2 += fmt.Sprintf("...F%d ", i)
		fragments2 += fmt.Sprintf("fragment F%d on Cluster{%s}", i, numbered(12, "fN "))
	}
	spread, pieces := "", ""
	for i := range 34 {
		spread += fmt.Sprintf("...F%d ", i)
		pieces += fmt.Sprintf("fragment F%d on Cluster{id parent{id parent{id name}}}", i)
	}
	nested := ""
	for i := range 11 {
		nested += fmt.Sprintf("...{parent{...F%d ", i)
	}
	return map[string]string{
		"repeats in inline fragments": "{cluster{" + inline + strings.Repeat("id ", 61) + strings.Repeat("}", 28) + "}}",
		"repeated sets in them":       "{cluster{" + strings.Repeat("...{", 27) + strings.Repeat("parent{"+strings.Repeat("id ", 6)+"}", 9) + strings.Repeat("}", 27) + "}}",
		"names in inline fragments":   "{cluster{" + inline + numbered(800, "fN ") + strings.Repeat("}", 28) + "}}",
		"equal fragments":             "{cluster{" + spreads + "}}" + fragments,
		"fields against fragments":    "{cluster{" + inline + numbered(12, "fN ") + spread2 + strings.Repeat("}", 28) + "}}" + fragments2,
		"equal nested fragments":      "{cluster{" + strings.Repeat("...{", 26) + spread + strings.Repeat("}", 26) + "}}" + pieces,
		"spreads between levels":      "{cluster{" + nested + "id" + strings.Repeat("}}", 11) + "}}" + pieces,
	}
}

// TestHeaviestAccepted runs what the limits let through; BenchmarkHeaviest says how
// long each takes.
func TestHeaviestAccepted(t *testing.T) {
	t.Parallel()
	srv := server(Limits{})
	for name, query := range heavy() {
		require.Nil(t, Limits{}.Check(measure(t, query)), name)
		post(t, srv, query, nil)
	}
}

func BenchmarkHeaviest(b *testing.B) {
	for name, query := range heavy() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, 1000)
				if err != nil {
					b.Fatal(err)
				}
				validator.ValidateWithRules(schema, doc, rules.NewDefaultRules())
			}
		})
	}
}

// typical is a query of a console page: two connections in one another.
const typical = `query Page($n: Int, $after: String) {
  clusters(first: $n) { totalCount edges { node { ...C findings(first: 5) { totalCount edges { cursor node { ...F } } } } } }
}
fragment C on Cluster { id name parent { id name } }
fragment F on Finding { id title tags notes { text } subject { id name } }`

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = parser.ParseQueryWithTokenLimit(&ast.Source{Input: typical}, 1000)
	}
}

func BenchmarkValidate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		doc, _ := parser.ParseQueryWithTokenLimit(&ast.Source{Input: typical}, 1000)
		validator.ValidateWithRules(schema, doc, rules.NewDefaultRules())
	}
}

func BenchmarkWalk(b *testing.B) {
	doc, errs := gqlparser.LoadQueryWithRules(schema, strings.Replace(typical, ", $after: String", "", 1), rules.NewDefaultRules())
	if errs != nil {
		b.Fatal(errs)
	}
	b.Run("shape", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Measure(doc)
		}
	})
	b.Run("cost", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Limits{}.CostOf(doc.Operations[0], map[string]any{"n": int64(50)})
		}
	})
}

func FuzzMeasure(f *testing.F) {
	for _, query := range heavy() {
		f.Add(query)
	}
	f.Add(typical)
	f.Add(reference())
	f.Add("{...A} fragment A on Query{...B} fragment B on Query{...A}")
	f.Add(`{node(id:"\u0000"){id}}`)
	f.Fuzz(func(t *testing.T, query string) {
		doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, 1000)
		if err != nil {
			return
		}
		shape := Measure(doc)
		// A node takes a token at least.
		if shape.Nodes > 1000 {
			t.Fatalf("%d nodes", shape.Nodes)
		}
		if (Limits{}).Check(shape) != nil {
			return
		}
		if validator.ValidateWithRules(schema, doc, rules.NewDefaultRules()) != nil {
			return
		}
		for _, operation := range doc.Operations {
			if cost := (Limits{}).CostOf(operation, nil); cost < 0 || cost > most {
				t.Fatalf("cost %d", cost)
			}
		}
	})
}

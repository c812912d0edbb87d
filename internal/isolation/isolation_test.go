package isolation_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph/documents"
)

// requests is how many are asked; a fifth of them under -short.
// EXPOSUREGRAPH_SOAK is another number, and EXPOSUREGRAPH_SEED where chance begins.
const requests = 1000

func count(t *testing.T) int {
	t.Helper()
	if soak := os.Getenv("EXPOSUREGRAPH_SOAK"); soak != "" {
		n, err := strconv.Atoi(soak)
		require.NoError(t, err, "EXPOSUREGRAPH_SOAK is a number of requests")
		return n
	}
	if testing.Short() {
		return requests / 5
	}
	return requests
}

func seed(t *testing.T) uint64 {
	t.Helper()
	if given := os.Getenv("EXPOSUREGRAPH_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		require.NoError(t, err, "EXPOSUREGRAPH_SEED is a number")
		return n
	}
	return 1
}

func schemaOf(t testing.TB) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../../schema.graphqls")
	require.NoError(t, err)
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphqls", Input: string(text)})
	require.NoError(t, err)
	return schema
}

// twins are two servers that are asked the same.
type twins struct {
	t               *testing.T
	g               *generator
	whole, part     *stage
	inWhole, inPart map[string]string // see world.unlike
	instead         []string          // ids, each with that of the same thing on the other server
	blind           map[string]bool
	follow          []request // pages behind those that were read
	asked           int
	noted           int
	withData        int
	codes, kinds    map[string]int
}

func newTwins(t *testing.T, w *world) *twins {
	t.Helper()
	schema := schemaOf(t)
	var both [2]*stage
	for i := range both {
		both[i] = w.begin(t, i == 0)
	}
	p := &twins{t: t, whole: both[0], part: both[1], codes: map[string]int{}, kinds: map[string]int{}}
	p.g = &generator{Rand: rand.New(rand.NewPCG(seed(t), 0)), schema: schema, world: w, covered: map[string]bool{}}
	p.g.mine = gather(p.part, schema, w.callers[0], w.slug)
	p.g.theirs = gather(p.whole, schema, w.other, w.rest)
	there := gather(p.whole, schema, w.callers[0], w.slug)
	p.pair(there)
	if w.unlike != nil {
		p.inWhole, p.inPart = w.unlike(p.whole), w.unlike(p.part)
		ids := map[string]string{}
		for id, name := range p.inWhole {
			ids[name] = id
		}
		for id, name := range p.inPart {
			p.instead = append(p.instead, id, ids[name])
		}
	}
	if w.rest == w.slug {
		p.g.theirs = p.g.theirs.but(p.g.mine, p.inWhole).but(there, nil)
	}
	p.blind = map[string]bool{}
	maps.Copy(p.blind, w.blind)
	return p
}

// pair has each server asked with its own cursor of a row: some say where the row stands
// by a number of all that there is, or by an id that was made by chance.
func (p *twins) pair(there pool) {
	for _, name := range []string{"Any.cursor", "ExposureChange.cursor"} {
		require.Len(p.t, there[name], len(p.g.mine[name]), name)
		for i, cursor := range p.g.mine[name] {
			if other := there[name][i]; other != cursor {
				p.instead = append(p.instead, cursor.(string), other.(string))
			}
		}
	}
}

// ask asks both, at the same time.
func (p *twins) ask(r request) (whole, part answer) {
	p.t.Helper()
	p.asked++
	// Each subject has a budget; it is one of its own for some requests.
	r.instead = append(slices.Clone(r.instead), p.instead...)
	r.name = fmt.Sprintf("fuzz-%d", p.asked)
	caller := r.caller
	caller.Subject = fmt.Sprintf("%s-%d", caller.Subject, p.asked/40)
	var errs [2]error
	var wait sync.WaitGroup
	for i, s := range []*stage{p.whole, p.part} {
		token := s.token(caller)
		wait.Go(func() {
			got, err := s.answer(r, token)
			if errs[i] = err; i == 0 {
				whole = got
			} else {
				part = got
			}
		})
	}
	wait.Wait()
	require.NoError(p.t, errs[0], "%s", r)
	require.NoError(p.t, errs[1], "%s", r)
	if r.changes() {
		p.whole.quiet()
		p.part.quiet()
	}
	return whole, part
}

func (p *twins) compare(r request) (whole, part answer, difference string, different bool) {
	p.t.Helper()
	whole, part = p.ask(r)
	difference, different = differ(whole, part, p.inWhole, p.inPart)
	if different && len(p.blind) > 0 && r.operation == "" {
		difference, different = differ(whole.numberless(), part.numberless(), p.inWhole, p.inPart)
	}
	if different && len(p.blind) > 0 && r.operation != "" {
		apart := p.apart(r, whole, part)
		different = slices.ContainsFunc(apart, func(field string) bool { return !p.blind[field] })
	}
	return whole, part, difference, different
}

// smallest drops what it can from a document as long as the answers differ.
func (p *twins) smallest(r request, difference string) (request, string) {
	p.t.Helper()
	if r.operation != "query" {
		return r, difference
	}
	for tries, smaller := 0, true; smaller && tries < 300; {
		smaller = false
		for _, fields := range documents.Smaller(r.fields) {
			tries++
			less := r
			less.fields = fields
			if _, _, now, different := p.compare(less); different {
				r, difference, smaller = less, now, true
				break
			}
		}
	}
	return r, difference
}

// note keeps what an answer had, and asks for the pages behind it.
func (p *twins) note(r request, whole, part answer) {
	some, codes := part.data(r)
	kind := r.operation
	if kind == "" {
		kind = r.method + " " + strings.FieldsFunc(r.path, func(c rune) bool { return c == '/' || c == '?' })[0]
	}
	p.kinds[kind]++
	p.noted++
	if some {
		p.withData++
	}
	slices.Sort(codes)
	for _, code := range slices.Compact(codes) {
		require.NotContains(p.t, []string{"INTERNAL", "GRAPHQL_VALIDATION_FAILED"}, code, "%s\n%s\n%s", r, part.body, &p.part.faults)
		p.codes[code]++
	}
	if r.operation == "" {
		return
	}
	for _, data := range part.objects() {
		visit(r.fields, data, func(f *documents.Field, name string, value any) {
			p.g.covered[name] = true
			if value != nil {
				p.g.covered["="+name] = true
			}
			if value != nil && f.Below != nil {
				p.g.covered["type "+f.Type] = true
			}
		})
	}
	here, there := cursors(r, part), cursors(r, whole)
	if r.operation == "query" && len(here) > 0 && len(here) == len(there) && len(p.follow) < 50 {
		i := p.g.IntN(len(here))
		p.behind(r, [2]string{here[i], there[i]})
	}
}

// cursors are those of the pages in an answer.
func cursors(r request, a answer) (list []string) {
	for _, data := range a.objects() {
		visit(r.fields, data, func(_ *documents.Field, name string, value any) {
			if cursor, is := value.(string); is && (name == "PageInfo.endCursor" || name == "PageInfo.startCursor") {
				list = append(list, cursor)
			}
		})
	}
	return list
}

// behind asks for what comes after a cursor wherever the document has a list: of the
// list that it is of it is good, of the others not.
func (p *twins) behind(r request, cursor [2]string) {
	next := r
	next.instead = cursor[:]
	next.fields = (&documents.Field{Below: r.fields}).Clone().Below
	done := false
	var visit func(fields []*documents.Field)
	visit = func(fields []*documents.Field) {
		for _, f := range fields {
			if p.paged(f) && !done && slices.ContainsFunc(f.Below, func(b *documents.Field) bool { return b.Name == "pageInfo" }) {
				done = true
				f.Arguments = slices.DeleteFunc(f.Arguments, func(a documents.Argument) bool { return a.Name == "after" || a.Name == "before" })
				name := "after"
				if p.g.chance(25) && p.g.schema.Types[f.Parent].Fields.ForName(f.Name).Arguments.ForName("before") != nil {
					name = "before"
				}
				f.Arguments = append(f.Arguments, documents.Argument{Name: name, Value: strconv.Quote(cursor[0])})
			}
			visit(f.Below)
		}
	}
	if visit(next.fields); done {
		p.follow = append(p.follow, next)
	}
}

// paged says whether a field is a list that is read page by page.
func (p *twins) paged(f *documents.Field) bool {
	definition := p.g.schema.Types[f.Parent].Fields.ForName(f.Name)
	return definition != nil && definition.Arguments.ForName("after") != nil
}

// fuzz asks both servers so many things, and some more where these have not reached all
// of the schema. It stops at the first difference.
func (p *twins) fuzz(n int) {
	p.t.Helper()
	for i := 0; i < n || i < 3*n && !testing.Short() && len(p.unreached()) > 0; i++ {
		if p.g.keen = i >= n; i%100 == 99 && p.g.world.meanwhile != nil {
			p.g.world.meanwhile(p.whole, i/100)
			p.whole.quiet()
		}
		var r request
		if len(p.follow) > 0 && p.g.chance(12) {
			r, p.follow = p.follow[0], p.follow[1:]
		} else {
			r = p.g.request()
		}
		whole, part, difference, different := p.compare(r)
		if different {
			r, difference = p.smallest(r, difference)
			if p.g.world.survey {
				p.found(r, difference)
				continue
			}
			require.Fail(p.t, "somebody is told of what is not theirs", "request %d of seed %d, %s\n%s", i, seed(p.t), r, difference)
		}
		p.note(r, whole, part)
	}
	p.t.Logf("%d requests, %d with data; by kind %v; errors by code %v", p.noted, p.withData, p.kinds, p.codes)
	require.Greater(p.t, 2*p.withData, p.noted, "requests that mostly fail prove nothing")
	never := p.never("")
	p.t.Logf("fields that had no value: %d, %v", len(never), never)
	require.True(p.t, testing.Short() || len(p.blind) > 0 || len(p.unreached()) == 0, "not reached: %v", p.unreached())
}

// apart are the fields in which two answers to a document differ; the document itself
// where they differ in something else.
func (p *twins) apart(r request, whole, part answer) (fields []string) {
	a, b := whole.frames(), part.frames()
	if whole.status != part.status || len(a) != len(b) {
		return []string{"status"}
	}
	for i := range a {
		if wrong(a[i], p.inWhole) != wrong(b[i], p.inPart) {
			fields = append(fields, "errors "+codes(a[i])+", "+codes(b[i]))
		}
		p.against(r.fields, a[i].Data, b[i].Data, "data", &fields)
	}
	if len(fields) == 0 {
		fields = append(fields, "headers")
	}
	return fields
}

// wrong are the errors of an answer, in whatever order they came.
func wrong(of frame, unlike map[string]string) string {
	var list []string
	for _, err := range of.Errors {
		list = append(list, mask(text(err), unlike))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

func codes(of frame) string {
	var list []string
	for _, err := range of.Errors {
		list = append(list, err.Extensions.Code)
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), "+")
}

func (p *twins) against(fields []*documents.Field, whole, part any, where string, found *[]string) {
	differ := func() {
		if !slices.Contains(*found, where) {
			*found = append(*found, where)
		}
	}
	switch a := whole.(type) {
	case []any:
		b, is := part.([]any)
		if !is || len(a) != len(b) {
			differ()
			return
		}
		for i := range a {
			p.against(fields, a[i], b[i], where, found)
		}
	case map[string]any:
		b, is := part.(map[string]any)
		if !is || len(fields) == 0 || a["__typename"] != b["__typename"] {
			if mask(text(whole), p.inWhole) != mask(text(part), p.inPart) {
				differ()
			}
			return
		}
		for _, f := range fields {
			if f.On != "" {
				if f.On == a["__typename"] {
					p.against(f.Below, a, b, where, found)
				}
				continue
			}
			p.against(f.Below, a[f.Key()], b[f.Key()], f.Parent+"."+f.Name, found)
		}
	default:
		if mask(text(whole), p.inWhole) != mask(text(part), p.inPart) {
			differ()
		}
	}
}

// found tells of a difference, and has the fields that differ pass from here on.
func (p *twins) found(r request, difference string) {
	p.t.Helper()
	where := []string{r.method + " " + strings.SplitN(r.path, "?", 2)[0]}
	if r.operation != "" {
		whole, part := p.ask(r)
		where = slices.DeleteFunc(p.apart(r, whole, part), func(field string) bool { return p.blind[field] })
	}
	if fresh := slices.DeleteFunc(where, func(field string) bool { return p.blind[field] }); len(fresh) == 0 {
		return
	}
	for _, field := range where {
		p.blind[field] = true
	}
	p.t.Errorf("somebody is told of what is not theirs: %v\n%s\n%s", where, r, difference)
}

// unreached are the types of which no answer had an object, and the fields of an
// organization and of the queries that never had a value.
func (p *twins) unreached() (list []string) {
	for name, of := range p.g.schema.Types {
		if of.Kind == ast.Object && !strings.HasPrefix(name, "__") && !slices.Contains(roots, name) && !p.g.covered["type "+name] {
			list = append(list, name)
		}
	}
	return append(append(list, p.never("Query.")...), p.never("Organization.")...)
}

var roots = []string{"Query", "Mutation", "Subscription"}

// never are the fields that never had a value, of those that begin so. The log of the
// server is none of an organization, and for none of the callers.
func (p *twins) never(prefix string) (list []string) {
	for name, of := range p.g.schema.Types {
		if of.Kind != ast.Object || strings.HasPrefix(name, "__") || !strings.HasPrefix(name+".", prefix) {
			continue
		}
		for _, field := range of.Fields {
			if where := name + "." + field.Name; !strings.HasPrefix(field.Name, "__") && where != "Query.serverAuditLog" && !p.g.covered["="+where] {
				list = append(list, where)
			}
		}
	}
	slices.Sort(list)
	return list
}

// TestOrganizationsAreApart: whether another organization has the same things, more of
// them or none at all, nobody of the first one is answered otherwise.
func TestOrganizationsAreApart(t *testing.T) {
	t.Parallel()
	p := newTwins(t, organizations(t))
	p.fuzz(count(t))
}

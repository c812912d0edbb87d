package isolation_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph/documents"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// pool are values that answers had, by "Type.field": what a generator puts into
// arguments.
type pool map[string][]any

func (p pool) add(name string, value any) {
	switch value.(type) {
	case string, float64:
		if !slices.Contains(p[name], value) && len(p[name]) < 200 {
			p[name] = append(p[name], value)
		}
	}
}

// any is one of the values under one of the names.
func (p pool) any(rng *rand.Rand, names ...string) (any, bool) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return len(p[name]) == 0 })
	if len(names) == 0 {
		return nil, false
	}
	all := p[names[rng.IntN(len(names))]]
	return all[rng.IntN(len(all))], true
}

// visit walks an answer beside what was asked, and names each field that an object has.
func visit(fields []*documents.Field, data any, see func(of *documents.Field, name string, value any)) {
	switch data := data.(type) {
	case []any:
		for _, one := range data {
			visit(fields, one, see)
		}
	case map[string]any:
		kind, _ := data["__typename"].(string)
		for _, f := range fields {
			if f.On != "" {
				if f.On == kind {
					visit(f.Below, data, see)
				}
				continue
			}
			value, there := data[f.Key()]
			if !there {
				continue
			}
			see(f, f.Parent+"."+f.Name, value)
			if len(f.Below) > 0 {
				visit(f.Below, value, see)
			}
		}
	}
}

// wide are fields of an organization that give most of what there is.
var wide = []string{
	`authorityPaths(first: 50, includeRemoved: true)`, `exposures(first: 60, filter: {status: [ACTIVE, ACKNOWLEDGED, FALSE_POSITIVE, RESOLVED]})`,
	`riskClusters(first: 30)`, `workloadExposures(first: 50)`, `workloads(first: 50, filter: {status: [ACTIVE, DISABLED, REMOVED]})`,
	`identities(first: 50, filter: {status: [ACTIVE, DISABLED, REMOVED]})`,
	`resources(first: 50, filter: {status: [ACTIVE, DISABLED, REMOVED]})`, `owners(first: 50, filter: {status: [ACTIVE, DISABLED, REMOVED]})`, `sources`, `syncs(first: 50)`, `assets(first: 90)`, `exposureChanges(first: 100)`,
	`signingKeys`, `postureSnapshots(first: 30)`, `auditLog(first: 50)`,
	`evaluationSettings`, `exposureChangeFeed`, `posture`,
}

// gather reads what one organization has to give.
func gather(s *stage, schema *ast.Schema, actor access.Actor, slug string) pool {
	p := pool{}
	// read asks for what is below some fields of the organization, each of which is
	// within the one before.
	read := func(fields []*documents.Field, heads ...string) {
		for i := len(heads) - 1; i >= 0; i-- {
			name, rest, _ := strings.Cut(heads[i], "(")
			head := &documents.Field{Name: name, Below: fields}
			if argument, value, has := strings.Cut(strings.TrimSuffix(rest, ")"), ": "); has {
				head.Arguments = []documents.Argument{{Name: argument, Value: value}}
			}
			fields = []*documents.Field{head}
		}
		found := s.answered(actor, fmt.Sprintf(`{ organization(slug: %q) { %s } }`, slug, documents.Text(fields)))
		visit(fields, found["organization"], func(_ *documents.Field, name string, value any) { p.add(name, value) })
	}
	organization := schema.Types["Organization"]
	for _, head := range wide {
		name := head[:slices.IndexFunc([]byte(head+"("), func(c byte) bool { return c == '(' })]
		kind := organization.Fields.ForName(name).Type.Name()
		read(documents.Whole(schema, "ExposureExplanation.predicates").Below(kind, 0), head)
	}
	leaves := func(parent string, names ...string) (list []*documents.Field) {
		for _, name := range names {
			list = append(list, &documents.Field{Parent: parent, Name: name})
		}
		return list
	}
	read(leaves("LedgerEntry", "seq", "kind", "actor", "batch", "subject", "occurredAt"), `ledger`, `entries(first: 100)`, `nodes`)
	read(leaves("Organization", "id", "clock"))
	read(leaves("ClusteredPath", "id"), `riskClusters(first: 30)`, `nodes`, `authorityPaths(first: 5)`, `nodes`)
	read(leaves("LinkedAsset", "id"), `assets(first: 50, filter: {linked: true})`, `nodes`)
	read(leaves("FileAsset", "id"), `assets(first: 50, filter: {type: [FILE]})`, `nodes`)
	for _, field := range organization.Fields {
		if field.Type.Elem == nil && len(field.Arguments) > 1 && field.Arguments.ForName("after") != nil {
			read(leaves("Any", "cursor"), field.Name+"(first: 3)", "edges")
		}
	}
	require.NotEmpty(s.t, p["Any.cursor"])
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if len(name) > 3 && name[len(name)-3:] == ".id" && name != "WorkloadExposure.id" && (name != "AuditEntry.id" || slug == theirs) { // those are made by chance
			for _, value := range p[name] {
				p.add("Any.id", value)
			}
		}
	}
	return p
}

// but is the pool without what is in another one.
func (p pool) but(other pool, names map[string]string) pool {
	left := pool{}
	for name, values := range p {
		for _, value := range values {
			text, _ := value.(string)
			if _, named := names[text]; !named && !slices.Contains(other[name], value) {
				left[name] = append(left[name], value)
			}
		}
	}
	return left
}

// raw is the identifier within one that the API gives out.
func raw(global any) string {
	text, _ := global.(string)
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(bytes) < 16 {
		return text
	}
	return id.ID(bytes[len(bytes)-16:]).String()
}

package isolation_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph/documents"
	"github.com/exposuregraph/exposuregraph/graph/limit"
)

// The measures of a document. What the server allows is 15 fields in one another.
const (
	deepest  = 15
	mostCost = 30_000
)

// generator makes up requests from the schema.
type generator struct {
	*rand.Rand

	schema      *ast.Schema
	world       *world
	mine        pool
	theirs      pool
	covered     map[string]bool // "Type.field" that an answer had
	room        int             // for fields in the document that is being made
	changing    bool            // the document is a mutation
	narrow      bool            // one field with others below it on each level
	next        int             // of idempotency keys
	goal        string          // "Type.field" that no answer has had, and that the document is made for; empty: none
	steps       map[string]int  // how many fields each type is from the goal
	keen        bool            // every document has a goal, of a type that was not reached yet
	shy         bool            // the document names as little as possible that is not the caller's
	nestedInput int
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// query makes a document up that the server can be asked, and does not find too dear.
func (g *generator) query(operation string) []*documents.Field {
	for {
		g.room, g.narrow, g.shy = 10+g.IntN(50), g.chance(25), g.chance(60)
		g.aim(operation)
		depth := 3 + g.IntN(5)
		if g.narrow {
			depth = deepest - g.IntN(4)
		}
		fields := g.root(operation, depth)
		if g.affordable(operation, fields) {
			return fields
		}
	}
}

// affordable asks the limits of the server, as it would.
func (g *generator) affordable(operation string, fields []*documents.Field) bool {
	document, errs := gqlparser.LoadQueryWithRules(g.schema, operation+" { "+documents.Text(fields)+" }", nil)
	if errs != nil {
		panic(fmt.Sprintf("%s: %s", errs, documents.Text(fields)))
	}
	return limit.Limits{Cost: mostCost}.Check(limit.Measure(document)) == nil && limit.Limits{}.CostOf(document.Operations[0], nil) <= mostCost
}

func (g *generator) walk() *documents.Walk {
	return &documents.Walk{Schema: g.schema, Again: true, Choose: g.choose, Deeper: g.deeper, Arguments: g.arguments, Types: g.types}
}

func (g *generator) root(operation string, depth int) (fields []*documents.Field) {
	of := g.operation(operation)
	name := of.Name
	for range 1 + g.IntN(2)*g.IntN(2) {
		field := pick(g, of.Fields...)
		goal, named := strings.CutPrefix(g.goal, name+".")
		switch {
		case named && len(fields) == 0:
			field = of.Fields.ForName(goal)
		case name == "Query":
			field = of.Fields.ForName(pick(g, rootFields...))
		}
		if strings.HasPrefix(field.Name, "__") || operation == "subscription" && len(fields) > 0 {
			continue
		}
		one := &documents.Field{Parent: name, Name: field.Name, Type: field.Type.Name(), List: field.Type.Elem != nil, Arguments: g.arguments(of, field)}
		if len(fields) > 0 {
			one.Alias = fmt.Sprintf("also%d", len(fields))
		}
		if one.Below = g.walk().Below(one.Type, depth-1, name); len(one.Below) > 0 {
			fields = append(fields, one)
		}
	}
	if len(fields) == 0 {
		return g.root(operation, depth)
	}
	return fields
}

// rootFields are those of a query, some of them more often than others.
var rootFields = strings.Fields(strings.Repeat("organization ", 24) + strings.Repeat("node ", 6) + "nodes nodes nodes organizations organizations viewer serverAuditLog")

// aim takes something that no answer has had yet for a goal, half of the time, and finds
// the ways that lead there.
func (g *generator) aim(operation string) {
	g.goal, g.steps = "", nil
	if g.chance(30) && !g.keen {
		return
	}
	var missing, first []string
	for _, name := range slices.Sorted(maps.Keys(g.schema.Types)) {
		of := g.schema.Types[name]
		root := of == g.schema.Query || of == g.schema.Mutation || of == g.schema.Subscription
		if of.Kind != ast.Object || strings.HasPrefix(name, "__") || root && of != g.operation(operation) {
			continue
		}
		for _, field := range of.Fields {
			if where := name + "." + field.Name; !strings.HasPrefix(field.Name, "__") && !g.covered["="+where] && where != "Query.serverAuditLog" {
				missing = append(missing, where)
				if !g.covered["type "+name] || name == "Organization" {
					first = append(first, where)
				}
			}
		}
	}
	if g.keen && len(first) > 0 {
		missing = first
	}
	if len(missing) == 0 {
		return
	}
	g.goal = pick(g, missing...)
	kind, _, _ := strings.Cut(g.goal, ".")
	g.steps = map[string]int{kind: 0}
	for far := 0; ; far++ {
		found := false
		for name, of := range g.schema.Types {
			if _, known := g.steps[name]; known || of.Kind != ast.Object {
				continue
			}
			for _, field := range of.Fields {
				if at, leads := g.steps[field.Type.Name()]; leads && at == far {
					g.steps[name], found = far+1, true
				}
			}
		}
		if !found {
			return
		}
	}
}

func (g *generator) operation(name string) *ast.Definition {
	return map[string]*ast.Definition{"query": g.schema.Query, "mutation": g.schema.Mutation, "subscription": g.schema.Subscription}[name]
}

// closer says whether a field is the goal, or leads to it.
func (g *generator) closer(of *ast.Definition, field *ast.FieldDefinition) bool {
	if of.Name+"."+field.Name == g.goal {
		return true
	}
	here, known := g.steps[of.Name]
	below, leads := g.steps[field.Type.Name()]
	return known && leads && below < here
}

// types are one or two as which an object behind an interface is asked.
func (g *generator) types(abstract *ast.Definition) (list []string) {
	possible := g.schema.GetPossibleTypes(abstract)
	slices.SortFunc(possible, func(a, b *ast.Definition) int { return strings.Compare(a.Name, b.Name) })
	for _, one := range possible {
		if len(possible) < 4 || g.chance(45) {
			list = append(list, one.Name)
		}
	}
	return list
}

func (g *generator) deeper(_ *ast.Definition, _ *ast.FieldDefinition, depth int) (int, bool) {
	return depth - 1, depth > 1
}

// choose takes fields at random, those that no answer has had yet before others.
func (g *generator) choose(of *ast.Definition, depth int, _ []string) (chosen []*ast.FieldDefinition) {
	var leaves, others []*ast.FieldDefinition
	for _, field := range of.Fields {
		switch {
		case strings.HasPrefix(field.Name, "__"):
		case g.changing && strings.HasPrefix(field.Type.Name(), "ExposureChange"): // is told soon, and not at once
		case g.schema.Types[field.Type.Name()].IsLeafType():
			leaves = append(leaves, field)
		case depth > 1:
			others = append(others, field)
		}
	}
	if of.Name == "UserError" {
		return leaves
	}
	fresh := func(field *ast.FieldDefinition) bool { return !g.covered[of.Name+"."+field.Name] }
	for _, field := range leaves {
		percent := 30
		if g.narrow {
			percent = 12
		}
		if g.chance(percent) || fresh(field) && g.chance(60) || g.closer(of, field) {
			chosen = append(chosen, field)
		}
	}
	many := g.IntN(3)
	switch {
	case strings.HasSuffix(of.Name, "Connection"), g.narrow, of.Name == "Organization":
		many = max(1, many)
	case g.steps[of.Name] > 0:
		many = max(1, many)
	case g.room <= 0:
		many = 0
	}
	g.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	slices.SortStableFunc(others, func(a, b *ast.FieldDefinition) int { // those that are new first, often
		return g.rank(of, a) - g.rank(of, b)
	})
	if g.narrow {
		many = min(many, 1)
	}
	chosen = append(chosen, others[:min(many, len(others))]...)
	if strings.HasSuffix(of.Name, "Connection") && g.chance(50) && !slices.ContainsFunc(chosen, func(f *ast.FieldDefinition) bool { return f.Name == "pageInfo" }) && depth > 1 {
		chosen = append(chosen, of.Fields.ForName("pageInfo"))
	}
	if wrong := of.Fields.ForName("userErrors"); wrong != nil && !slices.Contains(chosen, wrong) {
		chosen = append(chosen, wrong)
	}
	if len(chosen) == 0 && len(leaves) > 0 {
		chosen = append(chosen, pick(g, leaves...))
	}
	g.room -= len(chosen)
	return chosen
}

func (g *generator) rank(of *ast.Definition, field *ast.FieldDefinition) int {
	switch {
	case g.closer(of, field) && g.chance(90):
		return -1
	case !g.covered[of.Name+"."+field.Name] && g.chance(70):
		return 0
	case field.Name == "pageInfo":
		return 2
	}
	return 1
}

// arguments of a field: those that it needs, and some of the others.
func (g *generator) arguments(of *ast.Definition, field *ast.FieldDefinition) (list []documents.Argument) {
	add := func(name, value string, needed bool) {
		list = append(list, documents.Argument{Name: name, Value: value, Needed: needed})
	}
	coordinate := of.Name + "." + field.Name
	one := g.IntN(max(1, len(field.Arguments)))
	for i, argument := range field.Arguments {
		name := argument.Name
		percent := map[string]int{"asOf": 12, "after": 4, "before": 2, "last": 0, "filter": 35, "orderBy": 30, "includeRemoved": 30, "includeResolved": 40, "level": 30}[name]
		if _, named := map[string]bool{"asOf": true, "after": true, "before": true, "last": true, "filter": true, "orderBy": true, "includeRemoved": true, "includeResolved": true, "level": true}[name]; !named {
			percent = 50
		}
		switch {
		case name == "first" && field.Arguments.ForName("last") != nil && g.chance(15):
			add("last", strconv.Itoa(1+g.IntN(3)), false)
		case name == "first":
			add("first", strconv.Itoa(1+g.IntN(4)), true)
		case coordinate == "Organization.evidencePack", coordinate == "Organization.asset" && argument.Type.Name() != "DateTime":
			// one of them
			if i == one && coordinate == "Organization.evidencePack" {
				add(name, g.value(argument.Type, coordinate+"."+name), true)
			}
		case argument.Type.NonNull && argument.DefaultValue == nil:
			add(name, g.value(argument.Type, coordinate+"."+name), true)
		case g.chance(percent):
			add(name, g.value(argument.Type, coordinate+"."+name), false)
		}
	}
	if coordinate == "Organization.asset" {
		if g.chance(60) {
			add("id", g.value(ast.NamedType("ID", nil), "Organization.asset.id"), true)
		} else {
			add("type", pick(g, "SERVICE", "HOST", "DOMAIN"), true)
			add("value", g.value(ast.NamedType("String", nil), "Asset.value"), true)
		}
	}
	return list
}

// value of a type, as a document writes it. Where is "Type.field.argument" or
// "Input.field".
func (g *generator) value(of *ast.Type, where string) string {
	if of.Elem != nil {
		var list []string
		for range 1 + g.IntN(3) {
			list = append(list, g.value(of.Elem, where))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	name := where[strings.LastIndexByte(where, '.')+1:]
	definition := g.schema.Types[of.Name()]
	switch definition.Kind {
	case ast.Enum:
		if where == "ExposureOrder.field" {
			return pick(g, "SEVERITY", "SEVERITY", "DETECTED_AT")
		}
		return pick(g, definition.EnumValues...).Name
	case ast.InputObject:
		return g.object(definition)
	}
	switch of.Name() {
	case "Boolean":
		if name == "dryRun" && g.chance(80) {
			return "true"
		}
		return strconv.FormatBool(g.chance(50))
	case "Int", "Int64":
		return g.number(where, name)
	case "DateTime":
		return strconv.Quote(g.instant())
	}
	return strconv.Quote(g.text(of.Name(), where, name))
}

func (g *generator) object(of *ast.Definition) string {
	g.nestedInput++
	defer func() { g.nestedInput-- }()
	var list []string
	for _, field := range of.Fields {
		needed := field.Type.NonNull && field.DefaultValue == nil
		if !needed && (g.schema.Types[field.Type.Name()].Kind == ast.InputObject && g.nestedInput > 2 || !g.chance(30)) || field.Name == "envelope" {
			continue
		}
		list = append(list, field.Name+": "+g.value(field.Type, of.Name+"."+field.Name))
	}
	return "{" + strings.Join(list, ", ") + "}"
}

func (g *generator) number(where, name string) string {
	switch name {
	case "days", "buckets":
		return strconv.Itoa(1 + g.IntN(20))
	case "seq", "size", "from", "to":
		return strconv.Itoa(1 + g.IntN(45))
	case "port":
		return pick(g, "80", "443", "22", "8443")
	case "expectedVersion":
		return strconv.Itoa(g.IntN(3))
	}
	return strconv.Itoa(1 + g.IntN(3))
}

// instant is mostly one that the callers' organization has.
func (g *generator) instant() string {
	all := g.world.steps
	at := all[g.IntN(len(all))].at
	switch g.IntN(12) {
	case 0:
		return beginning.Add(-day).Format(time.RFC3339)
	case 1:
		return beginning.Add(g.world.after + 100*day).Format(time.RFC3339)
	case 2, 3, 4:
		at += time.Duration(g.IntN(int(day)))
	case 5:
		if found, there := g.theirs.any(g.Rand, "LedgerEntry.occurredAt", "Sync.at", "ExposureChange.occurredAt"); there {
			return fmt.Sprint(found)
		}
	}
	return beginning.Add(min(at, g.world.after)).Format(time.RFC3339Nano)
}

// sources of the texts and ids that arguments take, by "Input.field" or by the name of
// the argument alone.
var sources = map[string][]string{
	"workload": {"Workload.id"}, "identity": {"Identity.id"}, "destination": {"Resource.id"}, "path": {"AuthorityPath.id", "ClusteredPath.id"}, "exposure": {"Exposure.id"},
	"source": {"Source.id"}, "scan": {"Sync.id"}, "asset": {"Asset.id"}, "host": {"Asset.id"}, "lineage": {"AuthorityPath.lineageId", "Lineage.id"}, "batch": {"LedgerEntry.batch"},
	"subject": {"LedgerEntry.subject", "Workload.id"}, "AuditFilter.subject": {"AuditEntry.subject"}, "Organization.signingKeys.subject": {"SigningKey.subject"},
	"Organization.authorityPath.id": {"AuthorityPath.id", "ClusteredPath.id"}, "Organization.exposure.id": {"Exposure.id"}, "Organization.exposureChange.id": {"ExposureChange.id"},
	"Organization.workloadExposure.id": {"WorkloadExposure.id", "Workload.id"}, "Organization.evidencePack.workload": {"WorkloadExposure.id", "Workload.id"}, "Organization.batch.id": {"LedgerEntry.batch"}, "Organization.asset.id": {"Asset.id", "LinkedAsset.id", "FileAsset.id"},
	"Subscription.syncProgress.id": {"Sync.id"}, "id": {"Any.id"}, "ids": {"Any.id"}, "after": {"Any.cursor", "PageInfo.endCursor"}, "before": {"Any.cursor", "PageInfo.endCursor"},
	"Subscription.exposureChanges.after": {"ExposureChangeFeed.cursor", "ExposureChange.cursor"},
	"key":                                {"RiskCluster.key"}, "cluster": {"RiskCluster.key"}, "RevokeSigningKeyInput.key": {"SigningKey.keyId"}, "sourceId": {"Workload.sourceId"}, "sourceSystem": {"Workload.sourceSystem"},
	"value": {"Asset.value"}, "valuePrefix": {"Asset.value"}, "namePrefix": {"Workload.name", "Owner.name"}, "technology": {"AssetTechnology.name"}, "environment": {"Attribute.value"},
	"dataDomain": {"Resource.dataDomain"}, "kind": {"LedgerEntry.kind"}, "actor": {"LedgerEntry.actor"}, "action": {"AuditEntry.action"}, "outcome": {"AuditEntry.outcome"},
	"SealEvidencePackInput.subject": {"Exposure.id", "AuthorityPath.id", "Workload.id"}, "RegisterSigningKeyInput.subject": {"SigningKey.subject"},
}

// text is mostly what the callers could have been told, and sometimes of the rest.
func (g *generator) text(of, where, name string) string {
	mutating := strings.HasSuffix(where[:max(0, strings.LastIndexByte(where, '.'))], "Input")
	switch name {
	case "slug", "organization":
		if g.chance(94) && !mutating || g.chance(40) {
			return g.world.slug
		}
		return pick(g, g.world.rest, g.world.rest, "nobody", "demo")
	case "justification", "note":
		return "because"
	case "idempotencyKey":
		g.next++
		return fmt.Sprintf("fuzz-%d", g.next)
	case "publicKey":
		return pick(g, publicKey(1), publicKey(2), publicKey(3), "none")
	case "actions":
		return pick(g, "get", "update", "*")
	}
	from := sources[where]
	if from == nil {
		from = sources[name]
	}
	own, foreign := 78, 17
	if mutating {
		own, foreign = 45, 50
	} else if g.shy {
		own, foreign = 97, 2
	}
	roll := g.IntN(100)
	var found any
	var there bool
	switch {
	case roll < own:
		found, there = g.mine.any(g.Rand, from...)
	case roll < own+foreign:
		found, there = g.theirs.any(g.Rand, from...)
	case of == "ID":
		found, there = g.theirs.any(g.Rand, "Any.id")
	}
	text := fmt.Sprint(found)
	if !there {
		text = pick(g, "nothing", "orphaned-sensitive", "llm-egress")
	}
	if strings.HasSuffix(name, "Prefix") {
		text = text[:min(len(text), 1+g.IntN(4))]
	}
	return text
}

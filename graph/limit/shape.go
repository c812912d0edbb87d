package limit

import (
	"math"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Shape is what a document measures before it is known to be valid.
type Shape struct {
	Operations         int
	Depth              int // fields in one another, through fragments
	Introspection      int // fields in one another on a path through __schema or __type
	Nesting            int // fields and inline fragments in one another
	Aliases            int
	Directives         int
	DirectivesPerPlace int
	Fragments          int // fragment spreads and inline fragments, as written
	RootFields         int // of the operation that has most, through fragments
	Repeats            int // fields whose name their selection set already had
	Name               int // bytes of the longest name

	Fields int64  // of the operation that has most, each spread written out; saturates
	Cycle  string // a fragment that reaches itself
	NUL    bool   // a string value holds a NUL
	Marks  bool   // a string value holds U+FFFD, which a lone surrogate becomes
	Huge   bool   // a number takes more than 64 bits

	Nodes int // visited by the measuring; at most the nodes of the document
}

// Measure takes the shape of a parsed document, valid or not. Each node is visited
// once: what a fragment measures is remembered for its other spreads.
func Measure(doc *ast.QueryDocument) Shape {
	m := measurer{
		named: make(map[string]*ast.FragmentDefinition, len(doc.Fragments)),
		done:  make(map[*ast.FragmentDefinition]*extent, len(doc.Fragments)),
	}
	for _, fragment := range doc.Fragments {
		// gqlparser resolves a name to its first definition; so does this.
		if m.named[fragment.Name] == nil {
			m.named[fragment.Name] = fragment
		}
	}
	m.Operations = len(doc.Operations)
	for _, operation := range doc.Operations {
		m.name(operation.Name)
		m.directives(operation.Directives)
		m.variables(operation.VariableDefinitions)
		e := m.set(operation.SelectionSet, nil)
		m.Depth = max(m.Depth, e.depth)
		m.Introspection = max(m.Introspection, e.introspection)
		m.Nesting = max(m.Nesting, e.nesting)
		m.RootFields = int(max(int64(m.RootFields), min(e.roots, math.MaxInt32)))
		m.Fields = max(m.Fields, e.fields)
	}
	// Validation looks at fragments that no operation reaches too. The others are
	// measured where they are spread, since there it shows whether introspection
	// is around them.
	for _, fragment := range doc.Fragments {
		if _, reached := m.done[fragment]; reached {
			continue
		}
		e := m.fragment(fragment)
		m.Depth = max(m.Depth, e.depth)
		m.Introspection = max(m.Introspection, e.introspection)
		m.Nesting = max(m.Nesting, e.nesting)
		m.Fields = max(m.Fields, e.fields)
	}
	return m.Shape
}

// extent is what a selection set measures as seen from the place of its use.
type extent struct {
	depth, introspection, nesting int
	roots, fields                 int64
}

// beside adds a selection of the same set.
func (e *extent) beside(o extent) {
	e.depth = max(e.depth, o.depth)
	e.introspection = max(e.introspection, o.introspection)
	e.nesting = max(e.nesting, o.nesting)
	e.roots = add(e.roots, o.roots)
	e.fields = add(e.fields, o.fields)
}

type measurer struct {
	Shape
	named map[string]*ast.FragmentDefinition
	done  map[*ast.FragmentDefinition]*extent // nil while the fragment is being measured
}

// set measures a selection set. seen holds the names of the fields around an
// inline fragment, which merge with those inside it.
func (m *measurer) set(set ast.SelectionSet, seen map[string]struct{}) extent {
	var total extent
	if seen == nil && len(set) > 0 {
		seen = make(map[string]struct{}, len(set))
	}
	for _, selection := range set {
		m.Nodes++
		switch selection := selection.(type) {
		case *ast.Field:
			total.beside(m.field(selection, seen))
		case *ast.InlineFragment:
			m.Fragments++
			m.name(selection.TypeCondition)
			m.directives(selection.Directives)
			e := m.set(selection.SelectionSet, seen)
			e.nesting++
			total.beside(e)
		case *ast.FragmentSpread:
			m.Fragments++
			m.name(selection.Name)
			m.directives(selection.Directives)
			if fragment := m.named[selection.Name]; fragment != nil {
				total.beside(m.fragment(fragment))
			}
		}
	}
	return total
}

func (m *measurer) field(field *ast.Field, seen map[string]struct{}) extent {
	m.name(field.Name)
	m.name(field.Alias)
	if field.Alias != field.Name {
		m.Aliases++
	}
	if _, ok := seen[field.Alias]; ok {
		m.Repeats++
	}
	seen[field.Alias] = struct{}{}
	m.directives(field.Directives)
	m.arguments(field.Arguments)

	e := m.set(field.SelectionSet, nil)
	e.nesting++
	e.roots = 1
	e.fields = add(e.fields, 1)
	if field.Name == "__schema" || field.Name == "__type" {
		e.introspection = max(e.introspection, e.depth) + 1
		e.depth = 1
		return e
	}
	e.depth++
	if e.introspection > 0 {
		e.introspection++
	}
	return e
}

func (m *measurer) fragment(fragment *ast.FragmentDefinition) extent {
	e, begun := m.done[fragment]
	if e != nil {
		return *e
	}
	if begun {
		m.Cycle = fragment.Name
		return extent{}
	}
	m.done[fragment] = nil
	m.Nodes++
	m.name(fragment.Name)
	m.name(fragment.TypeCondition)
	m.directives(fragment.Directives)
	m.variables(fragment.VariableDefinition)
	found := m.set(fragment.SelectionSet, nil)
	m.done[fragment] = &found
	return found
}

func (m *measurer) variables(definitions ast.VariableDefinitionList) {
	for _, definition := range definitions {
		m.Nodes++
		m.name(definition.Variable)
		m.value(definition.DefaultValue)
		m.directives(definition.Directives)
	}
}

func (m *measurer) directives(directives ast.DirectiveList) {
	m.Directives += len(directives)
	m.DirectivesPerPlace = max(m.DirectivesPerPlace, len(directives))
	for _, directive := range directives {
		m.Nodes++
		m.name(directive.Name)
		m.arguments(directive.Arguments)
	}
}

func (m *measurer) arguments(arguments ast.ArgumentList) {
	for _, argument := range arguments {
		m.name(argument.Name)
		m.value(argument.Value)
	}
}

func (m *measurer) value(value *ast.Value) {
	if value == nil {
		return
	}
	m.Nodes++
	switch value.Kind {
	case ast.StringValue, ast.BlockValue:
		m.NUL = m.NUL || strings.ContainsRune(value.Raw, 0)
		m.Marks = m.Marks || strings.ContainsRune(value.Raw, '\uFFFD')
	case ast.IntValue:
		_, err := strconv.ParseInt(value.Raw, 10, 64)
		m.Huge = m.Huge || err != nil
	case ast.FloatValue:
		_, err := strconv.ParseFloat(value.Raw, 64)
		m.Huge = m.Huge || err != nil
	case ast.Variable, ast.EnumValue:
		m.name(value.Raw)
	}
	for _, child := range value.Children {
		m.name(child.Name)
		m.value(child.Value)
	}
}

func (m *measurer) name(name string) { m.Name = max(m.Name, len(name)) }

// most is where sums stop growing: the largest whole number every JSON reader
// takes exactly.
const most = 1<<53 - 1

// add is a + b for both in 0..most, at the most.
func add(a, b int64) int64 { return min(a+b, most) }

// times is a * b for both in 0..most, at the most.
func times(a, b int64) int64 {
	if a != 0 && b > most/a {
		return most
	}
	return a * b
}

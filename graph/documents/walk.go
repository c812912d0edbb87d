package documents

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Walk goes through a schema from a type downwards.
type Walk struct {
	Schema *ast.Schema

	// Choose gives the fields that are asked of an object, in their order. Way are
	// the types that lead to it, its own the last.
	Choose func(of *ast.Definition, depth int, way []string) []*ast.FieldDefinition

	// Deeper says whether the walk goes on below a field, and how deep from there.
	Deeper func(of *ast.Definition, field *ast.FieldDefinition, depth int) (int, bool)

	// Arguments of a field; nil: none are given.
	Arguments func(of *ast.Definition, field *ast.FieldDefinition) []Argument

	// Types are those as which an object behind an interface is asked; nil: only what
	// type it is.
	Types func(abstract *ast.Definition) []string

	// Again: a type may be asked below itself.
	Again bool
}

// Below is what is asked of an object of a type, so deep.
func (w *Walk) Below(name string, depth int, way ...string) []*Field {
	if !w.Again && slices.Contains(way, name) {
		return nil
	}
	way = append(slices.Clone(way), name)
	of := w.Schema.Types[name]
	var fields []*Field
	if of.IsAbstractType() {
		fields = append(fields, &Field{Parent: name, Name: "__typename", Type: "String"})
		if w.Types != nil {
			for _, one := range w.Types(of) {
				if below := w.Below(one, depth, way...); len(below) > 0 {
					fields = append(fields, &Field{Parent: name, On: one, Type: one, Below: below})
				}
			}
		}
		tellApart(fields)
		return fields
	}
	for _, field := range w.Choose(of, depth, way) {
		if one := w.field(of, field, depth, way); one != nil {
			fields = append(fields, one)
		}
	}
	return fields
}

// tellApart gives fields an alias that are called alike in two types: they may be
// something else in each.
func tellApart(fragments []*Field) {
	first := map[string]*Field{}
	for _, fragment := range fragments {
		for _, field := range fragment.Below {
			before, known := first[field.Name]
			switch {
			case !known:
				first[field.Name] = field
			case before.Parent != field.Parent && field.Name != "id":
				field.Alias = field.Name + "Of" + field.Parent
			}
		}
	}
}

func (w *Walk) field(of *ast.Definition, field *ast.FieldDefinition, depth int, way []string) *Field {
	one := &Field{Parent: of.Name, Name: field.Name, Type: field.Type.Name(), List: field.Type.Elem != nil}
	if !w.Schema.Types[one.Type].IsLeafType() {
		below, deeper := w.Deeper(of, field, depth)
		if !deeper {
			return nil
		}
		if one.Below = w.Below(one.Type, below, way...); len(one.Below) == 0 {
			return nil
		}
	}
	if w.Arguments != nil {
		one.Arguments = w.Arguments(of, field)
	}
	return one
}

// Needs says whether a field has an argument that must be given.
func Needs(field *ast.FieldDefinition) bool {
	return slices.ContainsFunc(field.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull && a.DefaultValue == nil })
}

// Whole is the walk that takes everything that can be asked of a type without an
// argument, each type once on the way, but for cursors, which are of their list, and
// what is left out, as "Type.field".
func Whole(schema *ast.Schema, leftOut ...string) *Walk {
	return &Walk{
		Schema: schema,
		Choose: func(of *ast.Definition, _ int, _ []string) (fields []*ast.FieldDefinition) {
			for _, field := range of.Fields {
				if strings.HasPrefix(field.Name, "__") || Needs(field) || strings.HasSuffix(strings.ToLower(field.Name), "cursor") ||
					slices.Contains(leftOut, of.Name+"."+field.Name) || isConnection(of.Name) && field.Name == "edges" {
					continue
				}
				fields = append(fields, field)
			}
			return fields
		},
		Deeper: func(of *ast.Definition, field *ast.FieldDefinition, depth int) (int, bool) {
			if isConnection(of.Name) { // a list and its page count as one
				return depth, true
			}
			return depth - 1, depth > 0 || field.Type.Name() == "PageInfo"
		},
	}
}

func isConnection(name string) bool { return strings.HasSuffix(name, "Connection") }

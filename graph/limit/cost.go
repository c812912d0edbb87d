package limit

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Cost is what an operation costs and may cost, as in extensions.cost.
type Cost struct {
	Requested int64 `json:"requested"`
	Limit     int64 `json:"limit"`
}

// CostOf is the cost of a validated operation under its coerced variables, at most
// 2^53-1: each field costs its weight, and what lies below a connection or list
// costs as often as it may have items. Fields under @skip and @include count, so
// that the cost of a document does not depend on its flags.
func (l Limits) CostOf(operation *ast.OperationDefinition, variables map[string]any) int64 {
	l = l.orDefault()
	c := coster{limits: l, variables: variables, done: map[*ast.FragmentDefinition]*bill{}}
	total := c.set(operation.SelectionSet)
	return add(total.once, total.each)
}

// bill is the cost of a selection set: a part for the object, and, on a
// connection, a part for each item of the page.
type bill struct{ once, each int64 }

func (b *bill) add(o bill) {
	b.once = add(b.once, o.once)
	b.each = add(b.each, o.each)
}

type coster struct {
	limits    Limits
	variables map[string]any
	done      map[*ast.FragmentDefinition]*bill // nil while being computed
	nodes     int
}

func (c *coster) set(set ast.SelectionSet) bill {
	var total bill
	for _, selection := range set {
		c.nodes++
		switch selection := selection.(type) {
		case *ast.Field:
			total.add(c.field(selection))
		case *ast.InlineFragment:
			total.add(c.set(selection.SelectionSet))
		case *ast.FragmentSpread:
			total.add(c.fragment(selection.Definition))
		}
	}
	return total
}

func (c *coster) fragment(fragment *ast.FragmentDefinition) bill {
	if fragment == nil {
		return bill{}
	}
	b, begun := c.done[fragment]
	if b != nil {
		return *b
	}
	if begun { // a cycle, which validation has refused
		return bill{}
	}
	c.done[fragment] = nil
	found := c.set(fragment.SelectionSet)
	c.done[fragment] = &found
	return found
}

func (c *coster) field(field *ast.Field) bill {
	below := c.set(field.SelectionSet)
	weight, object := int64(1), ""
	if field.ObjectDefinition != nil {
		object = field.ObjectDefinition.Name
		if own, ok := c.limits.Weights[object+"."+field.Name]; ok {
			weight = min(max(own, 0), most)
		}
	}
	all := add(below.once, below.each)
	if field.Definition == nil || len(field.SelectionSet) == 0 || strings.HasPrefix(object, "__") {
		// Introspection answers from memory and has a validation rule against
		// lists in lists, so its lists are not multiplied.
		return bill{once: add(weight, all)}
	}
	list := field.Definition.Type.Elem != nil
	if isConnection(object) && list && (field.Name == "edges" || field.Name == "nodes") {
		return bill{each: add(weight, all)} // the field around knows the page size
	}
	size, paged := c.pageSize(field)
	switch {
	case isConnection(field.Definition.Type.Name()) && !list:
		return bill{once: add(weight, add(below.once, times(below.each, size)))}
	case paged:
		return bill{once: add(weight, times(all, size))}
	case list:
		return bill{once: add(weight, times(all, c.listSize(field)))}
	}
	return bill{once: add(weight, all)}
}

// isConnection tells a connection by the naming rule of Relay.
func isConnection(name string) bool { return strings.HasSuffix(name, "Connection") }

// pageSize is how many items a field's first and last ask for, and whether it has
// such arguments at all. The resolver refuses a negative or too large page.
func (c *coster) pageSize(field *ast.Field) (size int64, paged bool) {
	asked := int64(-1)
	for _, name := range []string{"first", "last"} {
		definition := field.Definition.Arguments.ForName(name)
		if definition == nil {
			continue
		}
		paged = true
		value := definition.DefaultValue
		if argument := field.Arguments.ForName(name); argument != nil && !c.unset(argument.Value) {
			value = argument.Value
		}
		if n, ok := c.whole(value); ok {
			asked = max(asked, n, 0)
		}
	}
	if asked < 0 {
		return c.limits.PageSize, paged
	}
	return asked, paged
}

// unset tells a variable that the request leaves out, which leaves the default of
// the argument in place.
func (c *coster) unset(value *ast.Value) bool {
	if value.Kind != ast.Variable {
		return false
	}
	_, given := c.variables[value.Raw]
	return !given
}

// whole is the number a value stands for, if it stands for one. A number that is
// too large to read is the most.
func (c *coster) whole(value *ast.Value) (int64, bool) {
	if value == nil {
		return 0, false
	}
	switch value.Kind {
	case ast.IntValue:
		return parse(value.Raw), true
	case ast.Variable:
		switch given := c.variables[value.Raw].(type) {
		case nil:
			return 0, false
		case int:
			return min(int64(given), most), true
		case int32:
			return int64(given), true
		case int64:
			return min(given, most), true
		case float64:
			if given < most {
				return int64(given), true
			}
		case json.Number:
			return parse(given.String()), true
		case string: // which gqlparser takes for an Int
			return parse(given), true
		}
		return most, true
	}
	return 0, false
}

func parse(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return most
	}
	return min(n, most)
}

// listSize is how many items a list without paging has: as many as ids were asked
// for, or what the limits assume.
func (c *coster) listSize(field *ast.Field) int64 {
	argument := field.Arguments.ForName("ids")
	if argument == nil {
		return c.limits.ListSize
	}
	switch argument.Value.Kind {
	case ast.ListValue:
		return int64(len(argument.Value.Children))
	case ast.Variable:
		switch ids := c.variables[argument.Value.Raw].(type) {
		case []any:
			return int64(len(ids))
		case []string:
			return int64(len(ids))
		}
	}
	return c.limits.ListSize
}

package documents

import (
	"slices"
	"strings"
)

// Field is what a document asks of an object: a field, or, with On, more of an object
// that is of a type.
type Field struct {
	Parent    string // the type that has it
	Alias     string
	Name      string
	On        string
	Arguments []Argument
	Type      string // of what it gives, without the brackets of a list
	List      bool
	Below     []*Field
}

// Argument is one as a document writes it.
type Argument struct {
	Name, Value string
	Needed      bool
}

// Key is the name under which an answer has the field.
func (f *Field) Key() string {
	if f.Alias != "" {
		return f.Alias
	}
	return f.Name
}

// Clone is a copy down to the leaves.
func (f *Field) Clone() *Field {
	c := *f
	c.Arguments = slices.Clone(f.Arguments)
	c.Below = nil
	for _, below := range f.Below {
		c.Below = append(c.Below, below.Clone())
	}
	return &c
}

// Text is a selection set without its braces.
func Text(fields []*Field) string {
	var b strings.Builder
	write(&b, fields)
	return b.String()
}

func write(b *strings.Builder, fields []*Field) {
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(' ')
		}
		if f.On != "" {
			b.WriteString("... on " + f.On)
		}
		if f.Alias != "" {
			b.WriteString(f.Alias + ": ")
		}
		b.WriteString(f.Name)
		for j, a := range f.Arguments {
			b.WriteString([]string{"(", ", "}[min(j, 1)])
			b.WriteString(a.Name + ": " + a.Value)
		}
		if len(f.Arguments) > 0 {
			b.WriteByte(')')
		}
		if len(f.Below) > 0 {
			b.WriteString(" { ")
			write(b, f.Below)
			b.WriteString(" }")
		}
	}
}

// Smaller are the documents that ask for a little less: each lacks one field, or one
// argument that need not be given.
func Smaller(fields []*Field) (list [][]*Field) {
	whole := &Field{Below: fields}
	var visit func(path []int, f *Field)
	less := func(path []int, change func(*Field)) {
		c := whole.Clone()
		at := c
		for _, i := range path {
			at = at.Below[i]
		}
		change(at)
		list = append(list, c.Below)
	}
	visit = func(path []int, f *Field) {
		for i := range f.Below {
			if len(f.Below) > 1 && f.Below[i].Name != "__typename" { // which says what the rest is asked of
				less(path, func(at *Field) { at.Below = slices.Delete(at.Below, i, i+1) })
			}
		}
		for i, a := range f.Arguments {
			if !a.Needed {
				less(path, func(at *Field) { at.Arguments = slices.Delete(at.Arguments, i, i+1) })
			}
		}
		for i, below := range f.Below {
			visit(append(slices.Clone(path), i), below)
		}
	}
	visit(nil, whole)
	return list
}

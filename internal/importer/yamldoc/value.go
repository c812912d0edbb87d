package yamldoc

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ShapeError says which field has another shape than it must have.
type ShapeError struct {
	Line      int
	Path      string // rules[2].verbs
	Reason    string // must be a list
	Duplicate bool   // the field stands there twice
	First     int    // the line where a duplicate stood first
}

// Error is the path with the reason.
func (e *ShapeError) Error() string {
	reason := e.Reason
	if e.Duplicate {
		reason = fmt.Sprintf("stands there twice, first in line %d", e.First)
	}
	if e.Path == "" {
		return "the document " + reason
	}
	return e.Path + " " + reason
}

// Check keeps the first shape error of a tree.
type Check struct{ err *ShapeError }

// Err is the first error, nil if there was none.
func (c *Check) Err() *ShapeError { return c.err }

// Fail records an error unless one was recorded before.
func (c *Check) Fail(line int, path, format string, args ...any) {
	if c.err == nil {
		c.err = &ShapeError{Line: line, Path: path, Reason: fmt.Sprintf(format, args...)}
	}
}

// Value is a place in a tree, present or not. Reading it as something that it
// is not fails its check and gives the zero value, so that a reader says what
// it wants and asks once whether that was there.
type Value struct {
	node  *yaml.Node // nil if absent
	path  string
	line  int // where it is, or where it should have been
	check *Check
}

// Open begins to read a tree.
func Open(node *yaml.Node) (Value, *Check) {
	check := &Check{}
	return value(node, "", node.Line, check), check
}

func value(node *yaml.Node, path string, line int, check *Check) Value {
	if node != nil {
		line = node.Line // that of an alias, not of what it names
		node = resolve(node)
		if isNull(node) {
			node = nil
		}
	}
	return Value{node: node, path: path, line: line, check: check}
}

// Present is false for what is missing or null.
func (v Value) Present() bool { return v.node != nil }

// Line is where the value stands, or its parent if it is absent.
func (v Value) Line() int { return v.line }

// Path is how it was reached.
func (v Value) Path() string { return v.path }

// Fail records that the value is not as it must be.
func (v Value) Fail(format string, args ...any) { v.check.Fail(v.line, v.path, format, args...) }

// IsMapping and IsList tell shapes apart without failing.
func (v Value) IsMapping() bool { return v.node != nil && v.node.Kind == yaml.MappingNode }

// IsList is true for a sequence.
func (v Value) IsList() bool { return v.node != nil && v.node.Kind == yaml.SequenceNode }

// Node is the node below, nil if absent.
func (v Value) Node() *yaml.Node { return v.node }

// Get is a field of a mapping. A field written there beats one that a merge
// key brings in.
func (v Value) Get(key string) Value {
	path := join(v.path, key)
	if !v.mapping() {
		return Value{path: path, line: v.line, check: v.check}
	}
	return value(lookup(v.node, key), path, v.line, v.check)
}

// Field is one entry of a mapping.
type Field struct {
	Key   string
	Line  int
	Value Value
}

// Fields are the entries of a mapping in the order of the text, merged ones
// last.
func (v Value) Fields() []Field {
	if !v.mapping() {
		return nil
	}
	var fields []Field
	seen := map[string]bool{}
	var collect func(node *yaml.Node)
	collect = func(node *yaml.Node) {
		var merged []*yaml.Node
		for k := 0; k+1 < len(node.Content); k += 2 {
			key := resolve(node.Content[k])
			if isMerge(node.Content[k]) {
				merged = append(merged, mergeSources(node.Content[k+1])...)
			} else if !seen[key.Value] {
				seen[key.Value] = true
				fields = append(fields, Field{Key: key.Value, Line: node.Content[k].Line,
					Value: value(node.Content[k+1], join(v.path, key.Value), node.Content[k].Line, v.check)})
			}
		}
		for _, source := range merged {
			collect(source)
		}
	}
	collect(v.node)
	return fields
}

// Known fails on fields that are not named.
func (v Value) Known(names ...string) {
	for _, field := range v.Fields() {
		if !slices.Contains(names, field.Key) {
			v.check.Fail(field.Line, field.Value.path, "is not a field of this format; known are %s", strings.Join(names, ", "))
		}
	}
}

// Items are the elements of a list.
func (v Value) Items() []Value {
	if v.node == nil {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.Fail("must be a list")
		return nil
	}
	items := make([]Value, len(v.node.Content))
	for i, child := range v.node.Content {
		items[i] = value(child, v.path+"["+strconv.Itoa(i)+"]", child.Line, v.check)
	}
	return items
}

// Text is a scalar as it is written: a version 1.0 is "1.0". Absent is empty.
func (v Value) Text() string {
	if v.node == nil {
		return ""
	}
	if v.node.Kind != yaml.ScalarNode {
		v.Fail("must be text")
		return ""
	}
	return v.node.Value
}

// Texts is a list of scalars.
func (v Value) Texts() []string {
	items := v.Items()
	if len(items) == 0 {
		return nil
	}
	texts := make([]string, 0, len(items))
	for _, item := range items {
		if !item.Present() {
			item.Fail("must be text")
		}
		texts = append(texts, item.Text())
	}
	return texts
}

// TextMap is a mapping of scalars.
func (v Value) TextMap() map[string]string {
	fields := v.Fields()
	if len(fields) == 0 {
		return nil
	}
	texts := make(map[string]string, len(fields))
	for _, field := range fields {
		texts[field.Key] = field.Value.Text()
	}
	return texts
}

// Bool is true or false, nil if absent.
func (v Value) Bool() *bool {
	if v.node == nil {
		return nil
	}
	if v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!bool" {
		switch strings.ToLower(v.node.Value) {
		case "true":
			yes := true
			return &yes
		case "false":
			no := false
			return &no
		}
	}
	v.Fail("must be true or false")
	return nil
}

// Int is a whole number, nil if absent.
func (v Value) Int() *int {
	if v.node == nil {
		return nil
	}
	if v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!int" {
		if n, err := strconv.Atoi(v.node.Value); err == nil {
			return &n
		}
	}
	v.Fail("must be a whole number")
	return nil
}

func (v Value) mapping() bool {
	if v.node == nil {
		return false
	}
	if v.node.Kind != yaml.MappingNode {
		v.Fail("must be a mapping")
		return false
	}
	return true
}

// Digest is equal for trees of equal content, whatever their layout, comments
// and order of fields.
func Digest(node *yaml.Node) [sha256.Size]byte {
	h := sha256.New()
	digest(h, node)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

func digest(h hash.Hash, node *yaml.Node) {
	node = resolve(node)
	write := func(kind byte, text string) {
		var head [9]byte
		head[0] = kind
		binary.BigEndian.PutUint64(head[1:], uint64(len(text)))
		h.Write(head[:])
		h.Write([]byte(text))
	}
	switch node.Kind {
	case yaml.ScalarNode:
		write('s', node.ShortTag())
		write('v', node.Value)
	case yaml.SequenceNode:
		write('l', strconv.Itoa(len(node.Content)))
		for _, child := range node.Content {
			digest(h, child)
		}
	case yaml.MappingNode:
		fields := make([][2]*yaml.Node, 0, len(node.Content)/2)
		for k := 0; k+1 < len(node.Content); k += 2 {
			fields = append(fields, [2]*yaml.Node{resolve(node.Content[k]), node.Content[k+1]})
		}
		slices.SortStableFunc(fields, func(a, b [2]*yaml.Node) int { return strings.Compare(a[0].Value, b[0].Value) })
		write('m', strconv.Itoa(len(fields)))
		for _, field := range fields {
			write('k', field[0].Value)
			digest(h, field[1])
		}
	}
}

func lookup(node *yaml.Node, key string) *yaml.Node {
	var merged []*yaml.Node
	for k := 0; k+1 < len(node.Content); k += 2 {
		if resolve(node.Content[k]).Value == key {
			return node.Content[k+1]
		}
		if isMerge(node.Content[k]) {
			merged = append(merged, mergeSources(node.Content[k+1])...)
		}
	}
	for _, source := range merged {
		if found := lookup(source, key); found != nil {
			return found
		}
	}
	return nil
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge"
}

func mergeSources(node *yaml.Node) (sources []*yaml.Node) {
	switch node = resolve(node); node.Kind {
	case yaml.MappingNode:
		return []*yaml.Node{node}
	case yaml.SequenceNode:
		for _, child := range node.Content {
			if child = resolve(child); child.Kind == yaml.MappingNode {
				sources = append(sources, child)
			}
		}
	}
	return sources
}

func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

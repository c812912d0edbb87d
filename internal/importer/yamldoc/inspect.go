package yamldoc

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxDepth     = 200       // the deepest schemas of published manifests are near 60
	maxExpansion = 1_000_000 // nodes that aliases may add to a document
)

// extent is what a node amounts to when its aliases are followed.
type extent struct{ nodes, depth int }

// inspection measures a document without following an alias twice.
type inspection struct {
	reader  *Reader
	anchors map[*yaml.Node]extent // finished anchors; one that is missing is unfinished
	added   int                   // nodes that aliases add
}

func (r *Reader) inspect(root *yaml.Node) error {
	i := inspection{reader: r, anchors: map[*yaml.Node]extent{}}
	_, err := i.measure(root, 1)
	return err
}

func (i *inspection) measure(node *yaml.Node, level int) (extent, error) {
	if level > maxDepth {
		return extent{}, i.tooDeep(node)
	}
	if node.Kind == yaml.AliasNode {
		target, finished := i.anchors[node.Alias]
		if !finished {
			return extent{}, i.reader.fault("ALIAS_BOMB", node.Line, "The alias *%s stands inside the value that it names.", node.Value)
		}
		if i.added += target.nodes; i.added > maxExpansion {
			return extent{}, i.reader.fault("ALIAS_BOMB", node.Line,
				"The aliases of this document expand to more than %d values.", maxExpansion)
		}
		if level+target.depth > maxDepth {
			return extent{}, i.tooDeep(node)
		}
		return target, nil
	}
	whole := extent{nodes: 1}
	for _, child := range node.Content {
		part, err := i.measure(child, level+1)
		if err != nil {
			return extent{}, err
		}
		// Sums cannot overflow: each part is at most the document and what
		// aliases were allowed to add to it.
		whole.nodes += part.nodes
		whole.depth = max(whole.depth, part.depth)
	}
	whole.depth++
	if node.Anchor != "" {
		i.anchors[node] = whole
	}
	return whole, nil
}

func (i *inspection) tooDeep(node *yaml.Node) error {
	return i.reader.fault("TOO_DEEP", node.Line, "The document is nested deeper than %d levels.", maxDepth)
}

// shift moves a tree down by some lines. Aliases point into the same tree.
func shift(node *yaml.Node, lines int) {
	node.Line += lines
	for _, child := range node.Content {
		shift(child, lines)
	}
}

// Sound checks what a mapping must be before its fields mean anything: keys
// are text and unique, and no text holds a NUL character. Subtrees for which
// skip is true are left out.
func Sound(node *yaml.Node, skip func(*yaml.Node) bool) *ShapeError {
	return sound(node, "", skip)
}

func sound(node *yaml.Node, path string, skip func(*yaml.Node) bool) *ShapeError {
	if skip != nil && skip(node) {
		return nil
	}
	switch node.Kind {
	case yaml.ScalarNode:
		if strings.IndexByte(node.Value, 0) >= 0 {
			return &ShapeError{Line: node.Line, Path: path, Reason: "contains a NUL character"}
		}
	case yaml.SequenceNode:
		for _, child := range node.Content {
			if err := sound(child, path, skip); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		var seen map[string]int
		if len(node.Content) > 32 {
			seen = make(map[string]int, len(node.Content)/2)
		}
		for k := 0; k+1 < len(node.Content); k += 2 {
			key := resolve(node.Content[k])
			if key.Kind != yaml.ScalarNode {
				return &ShapeError{Line: key.Line, Path: path, Reason: "has a key that is not text"}
			}
			if strings.IndexByte(key.Value, 0) >= 0 {
				return &ShapeError{Line: key.Line, Path: path, Reason: "has a key with a NUL character"}
			}
			first, double := 0, false
			if seen != nil {
				first, double = seen[key.Value]
				seen[key.Value] = node.Content[k].Line
			} else {
				for before := 0; before < k && !double; before += 2 {
					if resolve(node.Content[before]).Value == key.Value {
						first, double = node.Content[before].Line, true
					}
				}
			}
			if double {
				return &ShapeError{Line: node.Content[k].Line, Path: join(path, key.Value), Duplicate: true, First: first}
			}
			if err := sound(node.Content[k+1], join(path, key.Value), skip); err != nil {
				return err
			}
		}
	}
	return nil
}

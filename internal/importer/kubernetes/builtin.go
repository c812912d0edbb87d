package kubernetes

import (
	"bytes"
	_ "embed" // the roles of Kubernetes
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
)

//go:embed builtin.yaml
var builtinTable []byte

// builtins are the roles that every cluster has, and the bindings that every
// authenticated principal has.
type builtins struct {
	roles    []*role
	byID     map[string]*role
	defaults map[string]*binding // by name
}

// defaultBuiltins reads builtin.yaml once. That it can be read is what its test
// proves; a fault is one of the build.
var defaultBuiltins = sync.OnceValue(func() *builtins {
	b, err := readBuiltins(builtinTable)
	if err != nil {
		panic(err)
	}
	return b
})

func readBuiltins(table []byte) (*builtins, error) {
	b := &builtins{byID: map[string]*role{}, defaults: map[string]*binding{}}
	documents := yamldoc.NewReader(bytes.NewReader(table), "builtin.yaml", "BUILTIN", yamldoc.NewBudget(yamldoc.DefaultLimits))
	for {
		node, err := documents.Next()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		list, check := yamldoc.Open(node)
		items := list.Get("items").Items()
		if err := check.Err(); err != nil {
			return nil, fmt.Errorf("builtin.yaml:%d: %w", err.Line, err)
		}
		for _, item := range items {
			root, check := yamldoc.Open(item.Node())
			o := object{kind: root.Get("kind").Text(), at: record.Position{File: "builtin.yaml", Line: root.Line()}}
			o.header(root.Get("metadata"), "")
			switch o.kind {
			case "Role", "ClusterRole":
				r := readRole(&o, root)
				r.builtin = true
				b.roles = append(b.roles, r)
				b.byID[r.id()] = r
			case "ClusterRoleBinding":
				b.defaults[o.name] = readBinding(&o, root)
			}
			if err := check.Err(); err != nil {
				return nil, fmt.Errorf("builtin.yaml:%d: %w", err.Line, err)
			}
		}
	}
}

// isDefault holds for a binding of a group that Kubernetes makes by itself,
// which an export of a cluster contains.
func (b *builtins) isDefault(bound *binding, group string) bool {
	made := b.defaults[bound.name]
	if made == nil || bound.namespace != "" || made.role != bound.role {
		return false
	}
	for _, sub := range made.subjects {
		if sub.kind == "Group" && sub.name == group {
			return true
		}
	}
	return false
}

// Package recordtest helps to test parsers: it collects what they emit, joins
// records into authority paths as a sync does, and finds the shared test data.
package recordtest

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Collector is an emitter that keeps everything.
type Collector struct {
	Records    []record.Record
	Rejections []record.Rejection
	Warnings   []record.Warning
}

// Record keeps a record.
func (c *Collector) Record(r record.Record) error {
	c.Records = append(c.Records, r)
	return nil
}

// Reject keeps a rejection.
func (c *Collector) Reject(r record.Rejection) error {
	c.Rejections = append(c.Rejections, r)
	return nil
}

// Warn keeps a warning.
func (c *Collector) Warn(w record.Warning) error {
	c.Warnings = append(c.Warnings, w)
	return nil
}

// Entities are the entities of a kind by source id. An id that was emitted more
// than once has its last attributes.
func (c *Collector) Entities(kind record.EntityKind) map[string]record.Entity {
	found := map[string]record.Entity{}
	for _, r := range c.Records {
		if entity, ok := r.Fact.(record.Entity); ok && entity.Kind == kind {
			found[entity.SourceID] = entity
		}
	}
	return found
}

// Edges are the edges of a kind in the order they were emitted.
func (c *Collector) Edges(kind record.EdgeKind) (edges []record.Edge) {
	for _, r := range c.Records {
		if edge, ok := r.Fact.(record.Edge); ok && edge.Kind == kind {
			edges = append(edges, edge)
		}
	}
	return edges
}

// Coverage is every claim of coverage.
func (c *Collector) Coverage() (claims []record.Coverage) {
	for _, r := range c.Records {
		if claim, ok := r.Fact.(record.Coverage); ok {
			claims = append(claims, claim)
		}
	}
	return claims
}

// Warned says whether there is a warning of a code.
func (c *Collector) Warned(code string) bool {
	return slices.ContainsFunc(c.Warnings, func(w record.Warning) bool { return w.Code == code })
}

// Path is what a sync makes of records: a workload reaches a resource through
// an identity.
type Path struct {
	Workload, Identity, Resource string
	Roles, Actions               []string // sorted, each once
	Effective                    bool
}

// Paths joins RunsAs, HasRole and Grants. A grant continues a holding of its
// role in the same scope; the paths between one workload, identity and resource
// are one, with the union of their roles and actions.
func (c *Collector) Paths() []Path {
	type key struct{ workload, identity, resource string }
	type bound struct{ role, scope string }
	grants := map[bound][]record.Edge{}
	for _, g := range c.Edges(record.Grants) {
		at := bound{g.From.SourceID, g.Scope}
		grants[at] = append(grants[at], g)
	}
	holdings := map[string][]record.Edge{}
	for _, h := range c.Edges(record.HasRole) {
		holdings[h.From.SourceID] = append(holdings[h.From.SourceID], h)
	}
	paths := map[key]*Path{}
	for _, runs := range c.Edges(record.RunsAs) {
		for _, h := range holdings[runs.To.SourceID] {
			for _, g := range grants[bound{h.To.SourceID, h.Scope}] {
				k := key{runs.From.SourceID, runs.To.SourceID, g.To.SourceID}
				p := paths[k]
				if p == nil {
					p = &Path{Workload: k.workload, Identity: k.identity, Resource: k.resource}
					paths[k] = p
				}
				p.Roles = append(p.Roles, h.To.SourceID)
				p.Actions = append(p.Actions, g.Actions...)
				p.Effective = p.Effective || !g.Ineffective
			}
		}
	}
	all := make([]Path, 0, len(paths))
	for _, p := range paths {
		slices.Sort(p.Roles)
		slices.Sort(p.Actions)
		p.Roles, p.Actions = slices.Compact(p.Roles), slices.Compact(p.Actions)
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Path) int {
		return cmp.Or(strings.Compare(a.Workload, b.Workload), strings.Compare(a.Identity, b.Identity),
			strings.Compare(a.Resource, b.Resource))
	})
	return all
}

// SharedData is the folder of shared test data, joined with some elements. It
// is what EXPOSUREGRAPH_SHARED_DATA names, or the folder shared/data beside the
// repository. A test that needs it is skipped where it is missing; where it is
// there, what a test names in it must exist.
func SharedData(t testing.TB, elements ...string) string {
	t.Helper()
	root := sharedRoot(t)
	if root == "" {
		t.Skip("the shared test data is not here: set EXPOSUREGRAPH_SHARED_DATA, or put it in ../shared/data")
	}
	path := filepath.Join(append([]string{root}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("shared test data: %v", err)
	}
	return path
}

// SharedSeeds are the files of a folder of the shared test data, each cut to
// what a fuzz target can work with; none where the data is missing.
func SharedSeeds(t testing.TB, folder string) (seeds [][]byte) {
	t.Helper()
	root := sharedRoot(t)
	if root == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(root, folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, content[:min(len(content), 64<<10)])
	}
	return seeds
}

func sharedRoot(t testing.TB) string {
	t.Helper()
	if root := os.Getenv("EXPOSUREGRAPH_SHARED_DATA"); root != "" {
		return root
	}
	return findSharedData(t)
}

func findSharedData(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		candidate := filepath.Join(folder, "shared", "data")
		if info, err := os.Stat(candidate); err == nil && info.IsDir() {
			return candidate
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return ""
		}
		folder = parent
	}
}

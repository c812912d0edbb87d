package kubernetes

import (
	"cmp"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// truth is what an independent reader, checked against the authorizer of
// Kubernetes, says about a set of manifests.
type truth struct {
	Files          []string
	ApplyNamespace string
	Workloads      []struct {
		ID, Kind, Namespace, Name, File, ServiceAccount string
		Images                                          []string
	}
	ServiceAccounts []struct {
		ID       string
		Declared bool
		UsedBy   []string
	}
	Roles              []string
	BuiltinRolesUsed   []string
	UnresolvedRoleRefs []any
	Paths              []truePath
}

type truePath struct {
	Workload, ServiceAccount, Scope, APIGroup, Resource, ResourceName string
	Verbs, ViaRoles                                                   []string
	Effective                                                         bool
}

func readTruth(t *testing.T, path string) truth {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var expected truth
	require.NoError(t, json.Unmarshal(content, &expected))
	return expected
}

// resourceID is the source id of a destination of the ground truth.
func (p truePath) resourceID() string {
	if p.APIGroup == "(nonResourceURL)" {
		return p.Scope + "||url:" + p.Resource + "|*"
	}
	return strings.Join([]string{p.Scope, p.APIGroup, p.Resource, p.ResourceName}, "|")
}

// folder yields the manifests of a folder in the order of their names.
func folder(path string, names ...string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for _, name := range names {
			content, err := os.Open(filepath.Join(path, name))
			if err != nil {
				yield(File{}, err)
				return
			}
			more := yield(File{Name: name, Content: content}, nil)
			_ = content.Close()
			if !more {
				return
			}
		}
	}
}

// compare holds what was emitted against the truth: nothing missing, nothing
// more.
func compare(t *testing.T, expected truth, got *recordtest.Collector) {
	t.Helper()
	require.Empty(t, got.Rejections)

	workloads := got.Entities(record.Workload)
	for _, w := range expected.Workloads {
		entity, found := workloads[w.ID]
		require.True(t, found, "workload %s is missing", w.ID)
		require.Equal(t, w.Kind, entity.SourceType)
		require.Equal(t, w.Name, entity.Name)
		images := slices.Clone(w.Images)
		slices.Sort(images)
		require.Equal(t, strings.Join(slices.Compact(images), ", "), entity.ArtifactIdentifier)
	}
	require.Len(t, workloads, len(expected.Workloads))

	identities := got.Entities(record.Identity)
	users := map[string][]string{}
	for _, edge := range got.Edges(record.RunsAs) {
		users[edge.To.SourceID] = append(users[edge.To.SourceID], edge.From.SourceID)
	}
	for _, account := range expected.ServiceAccounts {
		entity, found := identities[account.ID]
		require.True(t, found, "service account %s is missing", account.ID)
		require.Equal(t, account.Declared, entity.Basis == record.Manifest, account.ID)
		require.ElementsMatch(t, account.UsedBy, users[account.ID], account.ID)
	}
	require.Len(t, identities, len(expected.ServiceAccounts))

	var roles []string
	for id := range got.Entities(record.Role) {
		roles = append(roles, id)
	}
	require.ElementsMatch(t, append(slices.Clone(expected.Roles), expected.BuiltinRolesUsed...), roles)
	require.Equal(t, len(expected.UnresolvedRoleRefs) > 0, got.Warned("ROLE_MISSING"))

	want := make([]recordtest.Path, 0, len(expected.Paths))
	for _, p := range expected.Paths {
		path := recordtest.Path{Workload: p.Workload, Identity: p.ServiceAccount, Resource: p.resourceID(),
			Roles: slices.Clone(p.ViaRoles), Actions: slices.Clone(p.Verbs), Effective: p.Effective}
		slices.Sort(path.Roles)
		slices.Sort(path.Actions)
		want = append(want, path)
	}
	slices.SortFunc(want, func(a, b recordtest.Path) int {
		return cmp.Or(strings.Compare(a.Workload, b.Workload), strings.Compare(a.Identity, b.Identity),
			strings.Compare(a.Resource, b.Resource))
	})
	require.Equal(t, want, got.Paths())
	sound(t, got)
}

// sound holds for every emission: entities come before the edges that use them,
// everything has a place, and what a path needs is there.
func sound(t *testing.T, got *recordtest.Collector) {
	t.Helper()
	known := map[record.Ref]bool{}
	for _, r := range got.Records {
		switch fact := r.Fact.(type) {
		case record.Entity:
			require.False(t, known[fact.Ref], "%v is emitted twice", fact.Ref)
			known[fact.Ref] = true
			require.NotEmpty(t, fact.Name)
			require.NotEmpty(t, fact.SourceType)
			require.NotZero(t, fact.Basis)
			if fact.Kind == record.Resource {
				require.NotEmpty(t, fact.DataDomain)
				require.Contains(t, sensitivities, fact.Sensitivity)
			}
			if fact.Kind == record.Workload {
				require.NotEmpty(t, fact.ExecutionMode)
			}
		case record.Edge:
			require.True(t, known[fact.From], "%v is not known yet", fact.From)
			require.True(t, known[fact.To], "%v is not known yet", fact.To)
			require.True(t, slices.IsSorted(fact.Actions))
		case record.Coverage:
			require.Contains(t, []record.EvidenceKind{record.Binding, record.Roles}, fact.Kind)
			continue
		}
		require.NotEmpty(t, r.File)
		require.Positive(t, r.Line)
	}
}

func TestGroundTruth(t *testing.T) {
	t.Parallel()
	truths, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "expected", "kubernetes"), "[a-z]*.json"))
	require.NoError(t, err)
	require.Len(t, truths, 23)
	for _, path := range truths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expected := readTruth(t, path)
			group, _, _ := strings.Cut(name, "@")
			var got recordtest.Collector
			files := folder(recordtest.SharedData(t, "kubernetes", group), expected.Files...)
			require.NoError(t, Parse(files, Options{Namespace: expected.ApplyNamespace}, &got))
			compare(t, expected, &got)
			require.Equal(t, []record.Coverage{{Kind: record.Binding}, {Kind: record.Roles}}, got.Coverage())
		})
	}
}

func TestGroundTruthTimeline(t *testing.T) {
	t.Parallel()
	truths, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "expected", "kubernetes-timeline"), "*", "2*.json"))
	require.NoError(t, err)
	require.Len(t, truths, 17)
	for _, path := range truths {
		group, step := filepath.Base(filepath.Dir(path)), strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(group+"/"+step, func(t *testing.T) {
			t.Parallel()
			var got recordtest.Collector
			files := folder(recordtest.SharedData(t, "kubernetes-timeline", group), step+".yaml")
			require.NoError(t, Parse(files, Options{}, &got))
			compare(t, readTruth(t, path), &got)
		})
	}
}

// The manifests in testdata hold without the shared data.
func TestGroundTruthOfTestdata(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"ingress-nginx", "descheduler"} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			at := filepath.Join("testdata", group)
			expected := readTruth(t, filepath.Join(at, "expected.json"))
			require.NotEmpty(t, expected.Paths)
			var got recordtest.Collector
			require.NoError(t, Parse(folder(at, expected.Files...), Options{Namespace: expected.ApplyNamespace}, &got))
			compare(t, expected, &got)
			require.Empty(t, got.Warnings)
		})
	}
}

// What the steps of a timeline add and remove is what its manifests differ in.
func TestGroundTruthTimelineSteps(t *testing.T) {
	t.Parallel()
	type step struct {
		Older, Newer                   string
		WorkloadsAdded                 []string
		WorkloadsRemoved               []string
		LineagesAdded, LineagesRemoved [][]string
		IdentityRotations              []struct{ Workload, Old, New string }
	}
	for _, group := range []string{"flannel", "ingress-nginx", "kiali"} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(recordtest.SharedData(t, "expected", "kubernetes-timeline", group, "_steps.json"))
			require.NoError(t, err)
			var steps []step
			require.NoError(t, json.Unmarshal(content, &steps))
			require.NotEmpty(t, steps)
			for _, step := range steps {
				older, newer := readState(t, group, step.Older), readState(t, group, step.Newer)
				require.ElementsMatch(t, step.WorkloadsAdded, missing(newer.workloads, older.workloads))
				require.ElementsMatch(t, step.WorkloadsRemoved, missing(older.workloads, newer.workloads))
				require.ElementsMatch(t, joined(step.LineagesAdded), missing(newer.lineages, older.lineages))
				require.ElementsMatch(t, joined(step.LineagesRemoved), missing(older.lineages, newer.lineages))
				rotations := 0
				for workload, account := range newer.runsAs {
					if before := older.runsAs[workload]; before != "" && before != account {
						rotations++
					}
				}
				require.Len(t, step.IdentityRotations, rotations)
				for _, r := range step.IdentityRotations {
					require.Equal(t, r.Old, older.runsAs[r.Workload])
					require.Equal(t, r.New, newer.runsAs[r.Workload])
				}
			}
		})
	}
}

type state struct {
	workloads, lineages map[string]bool
	runsAs              map[string]string
}

func readState(t *testing.T, group, file string) state {
	t.Helper()
	var got recordtest.Collector
	require.NoError(t, Parse(folder(recordtest.SharedData(t, "kubernetes-timeline", group), file), Options{}, &got))
	s := state{workloads: map[string]bool{}, lineages: map[string]bool{}, runsAs: map[string]string{}}
	for id := range got.Entities(record.Workload) {
		s.workloads[id] = true
	}
	for _, path := range got.Paths() {
		s.lineages[path.Workload+" "+path.Resource] = true
	}
	for _, edge := range got.Edges(record.RunsAs) {
		s.runsAs[edge.From.SourceID] = edge.To.SourceID
	}
	return s
}

func missing(in, from map[string]bool) (names []string) {
	for name := range in {
		if !from[name] {
			names = append(names, name)
		}
	}
	return names
}

func joined(lineages [][]string) (names []string) {
	for _, l := range lineages {
		p := truePath{Scope: l[1], APIGroup: l[2], Resource: l[3], ResourceName: l[4]}
		names = append(names, l[0]+" "+p.resourceID())
	}
	return names
}

func BenchmarkParseArgoCD(b *testing.B) {
	content, err := os.ReadFile(recordtest.SharedData(b, "kubernetes", "argo-cd", "install.yaml"))
	require.NoError(b, err)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		var got recordtest.Collector
		require.NoError(b, Parse(texts(string(content)), Options{Namespace: "argocd"}, &got))
	}
}

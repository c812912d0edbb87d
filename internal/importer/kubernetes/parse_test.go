package kubernetes

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// texts yields files f0.yaml, f1.yaml, … of some contents.
func texts(contents ...string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for i, content := range contents {
			if !yield(File{Name: fmt.Sprintf("f%d.yaml", i), Content: strings.NewReader(content)}, nil) {
				return
			}
		}
	}
}

func parsed(t *testing.T, contents ...string) *recordtest.Collector {
	t.Helper()
	var got recordtest.Collector
	require.NoError(t, Parse(texts(contents...), Options{}, &got))
	sound(t, &got)
	return &got
}

// actions are the actions of each path by its resource.
func actions(got *recordtest.Collector) map[string]string {
	found := map[string]string{}
	for _, path := range got.Paths() {
		found[path.Resource] = strings.Join(path.Actions, ",")
	}
	return found
}

const (
	deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {env: production}}
spec: {template: {spec: {serviceAccountName: web, containers: [{image: b}, {image: a}], initContainers: [{image: a}]}}}
`
	account = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
`
	reader = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [secrets], verbs: [list, get]}]
`
	bound = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web-reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: default}]
`
)

func binds(kind, role string, subjects ...string) string {
	head := "\napiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: " + role + "}\nsubjects:\n"
	for _, subject := range subjects {
		head += "- {" + subject + "}\n"
	}
	return head
}

func TestEntities(t *testing.T) {
	t.Parallel()
	got := parsed(t, deployment, account, reader+"---"+bound)
	require.Empty(t, got.Rejections)
	require.Empty(t, got.Warnings)
	require.Equal(t, record.Entity{
		Ref: record.Ref{Kind: record.Workload, SourceID: "Deployment/default/web"}, Basis: record.Manifest, Status: record.Active,
		Name: "web", SourceType: "Deployment", Environment: "production", ExecutionMode: record.Autonomous,
		ArtifactIdentifier: "a, b", Labels: map[string]string{"env": "production"},
	}, got.Entities(record.Workload)["Deployment/default/web"])
	require.Equal(t, record.Entity{
		Ref: record.Ref{Kind: record.Resource, SourceID: "default||secrets|*"}, Basis: record.Manifest,
		Name: "secrets in default", SourceType: "kubernetes/secrets", DataDomain: "secrets", Sensitivity: "restricted",
	}, got.Entities(record.Resource)["default||secrets|*"])
	require.Equal(t, map[string]string{"default||secrets|*": "get,list"}, actions(got))
}

func TestLists(t *testing.T) {
	t.Parallel()
	got := parsed(t, `
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleList
  items:
  - metadata: {name: reader}
    rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
  - metadata: {name: "a/b"}
- apiVersion: v1
  kind: ServiceAccount
  metadata: {name: web}
`, deployment, bound)
	require.Equal(t, map[string]string{"default||secrets|*": "get"}, actions(got))
	require.Len(t, got.Rejections, 1)
	require.Equal(t, record.Position{File: "f0.yaml", Line: 10}, got.Rejections[0].Position)
	require.Contains(t, got.Coverage(), record.Coverage{Kind: record.Roles, Partial: true})
	require.Contains(t, got.Coverage(), record.Coverage{Kind: record.Binding})
}

func TestGroups(t *testing.T) {
	t.Parallel()
	other := "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: far, namespace: away}\n"
	for group, holders := range map[string]int{
		"system:serviceaccounts":         2,
		"system:authenticated":           2,
		"system:serviceaccounts:default": 1,
		"system:serviceaccounts:nowhere": 0,
		"system:masters":                 0,
	} {
		got := parsed(t, deployment, account+other, reader, binds("ClusterRoleBinding", "reader", `kind: Group, name: "`+group+`"`))
		require.Len(t, got.Edges(record.HasRole), holders, group)
		require.Equal(t, group == "system:masters", got.Warned("SUBJECT_NOT_FOLLOWED"), group)
	}
	got := parsed(t, deployment, account, reader, binds("ClusterRoleBinding", "reader", `kind: User, name: "system:serviceaccount:default:web"`))
	require.Equal(t, map[string]string{"*||secrets|*": "get,list"}, actions(got))
}

// What every principal may do by default is no path, not even where an export
// of a cluster says it.
func TestDefaultBindings(t *testing.T) {
	t.Parallel()
	made := strings.Replace(binds("ClusterRoleBinding", "system:discovery", `kind: Group, name: "system:authenticated"`),
		"name: b}", "name: 'system:discovery'}", 1)
	require.Empty(t, parsed(t, deployment, account, made).Paths())
	// A binding of one's own is a path, whatever it binds.
	own := binds("ClusterRoleBinding", "system:discovery", `kind: Group, name: "system:authenticated"`)
	require.NotEmpty(t, parsed(t, deployment, account, own).Paths())
}

func TestAggregation(t *testing.T) {
	t.Parallel()
	extension := `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: more, labels: {rbac.authorization.k8s.io/aggregate-to-view: "true"}}
rules: [{apiGroups: [example.com], resources: [things], verbs: [get]}]
`
	for _, role := range []string{"view", "edit", "admin"} {
		got := actions(parsed(t, deployment, account, extension, binds("RoleBinding", role, "kind: ServiceAccount, name: web")))
		require.Equal(t, "get", got["default|example.com|things|*"], role)
		require.Contains(t, got, "default||pods|*", role)
	}
	own := `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
aggregationRule:
  clusterRoleSelectors: [{matchExpressions: [{key: part, operator: In, values: [a, b]}, {key: not, operator: DoesNotExist}]}]
rules: [{apiGroups: [""], resources: [overwritten], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: one, labels: {part: b}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: two, labels: {part: b, not: x}}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
`
	require.Equal(t, map[string]string{"default||pods|*": "get"}, actions(parsed(t, deployment, account, own, bound)))
}

func TestEffective(t *testing.T) {
	t.Parallel()
	role := `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [nodes, nodes/status], verbs: ["*"]}
- {apiGroups: [""], resources: [namespaces], verbs: [get]}
- {apiGroups: [""], resources: [namespaces], resourceNames: [other], verbs: [get]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterrolebindings], verbs: [get]}
- {apiGroups: [example.com], resources: [planets, moons], verbs: [get]}
- {nonResourceURLs: [/metrics], verbs: [get]}
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: planets.example.com}
spec: {group: example.com, scope: Cluster, names: {plural: planets}}
`
	got := parsed(t, deployment, account, role, bound)
	ineffective := map[string]bool{}
	for _, path := range got.Paths() {
		if !path.Effective {
			ineffective[path.Resource] = true
		}
	}
	require.Equal(t, map[string]bool{
		"default||nodes|*": true, "default||nodes/status|*": true, "default||namespaces|other": true,
		"default|rbac.authorization.k8s.io|clusterrolebindings|*": true, "default|example.com|planets|*": true,
		"default||url:/metrics|*": true,
	}, ineffective)
	for _, path := range parsed(t, deployment, account, role, binds("ClusterRoleBinding", "reader", "kind: ServiceAccount, name: web, namespace: default")).Paths() {
		require.True(t, path.Effective, path.Resource)
	}
}

func TestReplicasAreNoWorkloads(t *testing.T) {
	t.Parallel()
	replica := func(kind, version, name, owner string) string {
		return fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata: {name: %s, ownerReferences: [{controller: true, kind: %s}]}\nspec: {containers: [], template: {spec: {}}}\n",
			version, kind, name, owner)
	}
	got := parsed(t, deployment+
		replica("ReplicaSet", "apps/v1", "web-1", "Deployment, name: web")+
		replica("Pod", "v1", "web-1-x", "ReplicaSet, name: web-1")+
		replica("Pod", "v1", "stray", "ReplicaSet, name: elsewhere"))
	var ids []string
	for id := range got.Entities(record.Workload) {
		ids = append(ids, id)
	}
	require.ElementsMatch(t, []string{"Deployment/default/web", "Pod/default/stray"}, ids)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	off := "automountServiceAccountToken: false\n"
	unmounted := strings.Replace(deployment, "{serviceAccountName", "{automountServiceAccountToken: false, serviceAccountName", 1)
	projected := strings.Replace(unmounted, "containers:", "volumes: [{projected: {sources: [{serviceAccountToken: {path: token}}]}}], containers:", 1)
	explicit := strings.Replace(deployment, "{serviceAccountName", "{automountServiceAccountToken: true, serviceAccountName", 1)
	for name, c := range map[string]struct {
		workload, account string
		warned            bool
	}{
		"default":                   {deployment, account, false},
		"off by the account":        {deployment, account + off, true},
		"off by the pod":            {unmounted, account, true},
		"the pod beats the account": {explicit, account + off, false},
		"projected":                 {projected, account, false},
	} {
		got := parsed(t, c.workload, c.account, reader, bound)
		require.Equal(t, c.warned, got.Warned("TOKEN_NOT_MOUNTED"), name)
		require.Len(t, got.Paths(), 1, name)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	t.Run("role missing", func(t *testing.T) {
		t.Parallel()
		got := parsed(t, deployment, account, bound)
		require.True(t, got.Warned("ROLE_MISSING"))
		require.Empty(t, got.Paths())
		ref := record.Ref{Kind: record.Identity, SourceID: "default/web"}
		require.Contains(t, got.Coverage(), record.Coverage{Kind: record.Roles, Entity: &ref, Partial: true})
	})
	t.Run("subject unmatched", func(t *testing.T) {
		t.Parallel()
		got := parsed(t, deployment, account, reader, strings.Replace(bound, "namespace: default", "namespace: prod", 1))
		require.Len(t, got.Warnings, 1)
		require.Equal(t, "SUBJECT_UNMATCHED", got.Warnings[0].Code)
		require.Equal(t, record.Position{File: "f3.yaml", Line: 6}, got.Warnings[0].Position)
		require.Contains(t, got.Warnings[0].Message, "was --namespace prod meant?")
		require.Contains(t, got.Entities(record.Identity), "prod/web")
	})
	t.Run("subject without namespace", func(t *testing.T) {
		t.Parallel()
		got := parsed(t, deployment, account, reader, binds("ClusterRoleBinding", "reader", "kind: ServiceAccount, name: web"))
		require.True(t, got.Warned("SUBJECT_UNMATCHED"))
		require.Empty(t, got.Paths())
		require.Len(t, parsed(t, deployment, account, reader, binds("RoleBinding", "reader", "kind: ServiceAccount, name: web")).Paths(), 1)
	})
	t.Run("unknown kinds once each, known ones never", func(t *testing.T) {
		t.Parallel()
		odd := "---\napiVersion: example.com/v1\nkind: Rocket\nmetadata: {name: r}\n"
		got := parsed(t, odd+odd+"---\napiVersion: apps/v1\nkind: Deploiment\nmetadata: {name: x}\n"+
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\n")
		require.Len(t, got.Warnings, 2)
		require.Equal(t, "UNKNOWN_KIND", got.Warnings[0].Code)
		require.Contains(t, got.Warnings[1].Message, "2 objects")
	})
	t.Run("the same object twice", func(t *testing.T) {
		t.Parallel()
		got := parsed(t, account, "# the same, written otherwise\nkind: ServiceAccount\napiVersion: v1\nmetadata:\n  name: web\n")
		require.Empty(t, got.Rejections)
		require.Len(t, got.Warnings, 1)
		require.Equal(t, "DUPLICATE_OBJECT", got.Warnings[0].Code)
	})
}

func TestRejections(t *testing.T) {
	t.Parallel()
	workload := &record.Ref{Kind: record.Workload, SourceID: "Deployment/default/bad"}
	const deploy = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad}\n"
	const role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: bad}\n"
	const binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: bad}\n"
	for name, c := range map[string]struct {
		text   string
		code   string
		line   int // within the text
		reason string
		entity *record.Ref
	}{
		"not an object":       {"foo: bar\n", codeInvalid, 1, "no Kubernetes object", nil},
		"text":                {"just words\n", codeInvalid, 1, "plain text", nil},
		"a list":              {"- a\n", codeInvalid, 1, "not a mapping", nil},
		"no kind":             {"apiVersion: v1\nmetadata: {name: x}\n", codeInvalid, 1, "Kind is missing", nil},
		"no version":          {"kind: Pod\nmetadata: {name: x}\n", codeInvalid, 1, "ApiVersion is missing", nil},
		"kind of a shape":     {"kind: [Pod]\napiVersion: v1\n", codeInvalid, 1, "Kind must be text", nil},
		"no metadata":         {"apiVersion: v1\nkind: Pod\n", codeInvalid, 1, "Metadata is missing", nil},
		"no name":             {"apiVersion: v1\nkind: Pod\nmetadata: {namespace: x}\n", codeInvalid, 3, "Metadata.name is missing", nil},
		"generated name":      {"apiVersion: v1\nkind: Pod\nmetadata:\n  generateName: x-\n", codeInvalid, 4, "generateName", nil},
		"bad name":            {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: A/b\n", codeInvalid, 4, `"A/b" is no name of a Pod`, nil},
		"bad namespace":       {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: a/b\n", codeInvalid, 5, "no name of a namespace", nil},
		"no pod":              {deploy + "spec: {}\n", codeInvalid, 4, "Spec.template is missing", workload},
		"labels of a shape":   {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, labels: x}\n", codeInvalid, 3, "Metadata.labels must be a mapping", workload},
		"containers":          {deploy + "spec: {template: {spec:\n  {containers: x}}}\n", codeInvalid, 5, "Spec.template.spec.containers must be a list", workload},
		"automount":           {deploy + "spec: {template: {spec: {automountServiceAccountToken: maybe}}}\n", codeInvalid, 4, "must be true or false", workload},
		"NUL":                 {deploy + "spec: {template: {spec: {serviceAccountName: \"a\\0b\"}}}\n", codeInvalid, 4, "NUL character", workload},
		"duplicate key":       {deploy + "spec:\n  a: 1\n  a: 2\n", codeDuplicateKey, 6, "Spec.a stands there twice, first in line 5", workload},
		"duplicate kind":      {"apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {name: p}\n", codeDuplicateKey, 3, "", &record.Ref{Kind: record.Workload, SourceID: "Pod/default/p"}},
		"duplicate in any":    {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1, a: 2}\n", codeDuplicateKey, 4, "", nil},
		"rules of a shape":    {role + "rules: x\n", codeInvalid, 4, "Rules must be a list", &record.Ref{Kind: record.Role, SourceID: "Role/default/bad"}},
		"verbs of a shape":    {role + "rules:\n- apiGroups: [a]\n  resources: [b]\n  verbs: get\n", codeInvalid, 7, "Rules[0].verbs must be a list", &record.Ref{Kind: record.Role, SourceID: "Role/default/bad"}},
		"no verbs":            {role + "rules:\n- apiGroups: [a]\n  resources: [b]\n", codeInvalid, 5, "no verbs", &record.Ref{Kind: record.Role, SourceID: "Role/default/bad"}},
		"a bar in a group":    {role + "rules:\n- {apiGroups: ['a|b'], resources: [b], verbs: [get]}\n", codeInvalid, 5, `"a|b"`, &record.Ref{Kind: record.Role, SourceID: "Role/default/bad"}},
		"too many products":   {role + "rules:\n- {apiGroups: &a [" + strings.Repeat("x,", 99) + "x], resources: *a, resourceNames: *a, verbs: [get]}\n", codeInvalid, 5, "multiply", &record.Ref{Kind: record.Role, SourceID: "Role/default/bad"}},
		"no roleRef":          {binding, codeInvalid, 1, "RoleRef is missing", nil},
		"role of the cluster": {binding + "roleRef: {kind: Role, name: x}\n", codeInvalid, 4, "must be ClusterRole", nil},
		"subject of a kind":   {binding + "roleRef: {kind: ClusterRole, name: x}\nsubjects: [{kind: Robot, name: x}]\n", codeInvalid, 5, "Subjects[0].kind must be", nil},
		"the other content":   {"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, labels: {a: b}}\n", codeDuplicate, 1, "different content; the first, at f0.yaml:2, holds", &record.Ref{Kind: record.Identity, SourceID: "default/web"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The object stands between two good ones, in a file of its own.
			got := parsed(t, account, "# above\n---\n"+c.text+"---\n"+reader, deployment, bound)
			require.Len(t, got.Rejections, 1)
			r := got.Rejections[0]
			require.Equal(t, c.code, r.Code)
			require.Equal(t, record.Position{File: "f1.yaml", Line: 2 + c.line}, r.Position, r.Reason)
			require.Contains(t, strings.ReplaceAll(r.Reason, "first in line 7", "first in line 5"), c.reason)
			require.Equal(t, c.entity, r.Entity)
			require.Len(t, got.Paths(), 1, "the rest is applied")
		})
	}
}

func bomb() string {
	var text strings.Builder
	text.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&text, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	return text.String()
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, code string
		line       int
	}{
		"nothing":              {"", "MANIFEST_EMPTY", 0},
		"comments only":        {"# nothing\n---\n\n---\n# here\n", "MANIFEST_EMPTY", 0},
		"nulls only":           {"null\n---\n~\n", "MANIFEST_EMPTY", 0},
		"not YAML":             {account + "---\na: [\n", "MANIFEST_NOT_YAML", 6},
		"a template":           {"kind: Pod\n{{- if .Values.x }}\napiVersion: v1\n{{- end }}\n", "MANIFEST_NOT_YAML", 2},
		"a tab":                {"a:\n\t- b\n", "MANIFEST_NOT_YAML", 2},
		"an unknown anchor":    {"a: 1\n---\na: *b\n", "MANIFEST_NOT_YAML", 2},
		"NUL":                  {"a: b\nc: \x00\n", "MANIFEST_NOT_YAML", 2},
		"not UTF-8":            {"a: b\n---\nb: c\nc: \xff\n", "MANIFEST_NOT_YAML", 4},
		"UTF-16":               {"\xff\xfea\x00:\x00", "MANIFEST_NOT_YAML", 1},
		"an alias bomb":        {bomb(), "MANIFEST_ALIAS_BOMB", 9},
		"an alias in itself":   {"a: &a [*a]\n", "MANIFEST_ALIAS_BOMB", 1},
		"a merge of itself":    {"a: &a\n  <<: *a\n", "MANIFEST_ALIAS_BOMB", 2},
		"deep":                 {"a: 1\n---\na:\n " + strings.Repeat("[", 250) + strings.Repeat("]", 250), "MANIFEST_TOO_DEEP", 4},
		"deeper than any":      {strings.Repeat("[", 1_000_000), "MANIFEST_TOO_DEEP", 1},
		"a parts bomb":         {"a: b\n---\n[" + strings.Repeat("a,", 800_000) + "a]", "MANIFEST_TOO_LARGE", 2},
		"deep through aliases": {"a: &a " + strings.Repeat("[", 150) + strings.Repeat("]", 150) + "\nb: " + strings.Repeat("[", 100) + "*a" + strings.Repeat("]", 100), "MANIFEST_TOO_DEEP", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got recordtest.Collector
			start := time.Now()
			err := Parse(texts(c.text), Options{}, &got)
			require.Less(t, time.Since(start), 5*time.Second)
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, problem.Invalid, fault.Kind)
			require.Equal(t, c.code, fault.Code, fault.Error())
			require.Equal(t, "f0.yaml", fault.File)
			require.Equal(t, c.line, fault.Line, fault.Error())
		})
	}
	t.Run("namespace", func(t *testing.T) {
		t.Parallel()
		var fault *problem.Error
		require.ErrorAs(t, Parse(texts(account), Options{Namespace: "A b"}, &recordtest.Collector{}), &fault)
		require.Equal(t, "NAMESPACE_INVALID", fault.Code)
	})
	t.Run("what the iterator says", func(t *testing.T) {
		t.Parallel()
		lost := errors.New("lost")
		files := func(yield func(File, error) bool) { yield(File{}, lost) }
		require.ErrorIs(t, Parse(files, Options{}, &recordtest.Collector{}), lost)
	})
}

// endless is a manifest that never ends.
type endless struct {
	begin string
	line  string
	read  int
}

func (e *endless) Read(into []byte) (int, error) {
	n := copy(into, e.begin)
	e.begin = e.begin[n:]
	for n < len(into) {
		n += copy(into[n:], e.line)
	}
	e.read += n
	return n, nil
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"many lines": "  word word word word word word word word word word word word word word word\n", "one line": "word "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &endless{begin: account + "---\nkind: ConfigMap\na: |\n", line: line}
			err := Parse(func(yield func(File, error) bool) { yield(File{Name: "big.yaml", Content: in}, nil) }, Options{}, &recordtest.Collector{})
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, "MANIFEST_TOO_LARGE", fault.Code)
			require.Equal(t, 5, fault.Line)
			require.Contains(t, fault.Message, "8 MiB")
			require.Less(t, in.read, 9<<20, "nothing is read past the limit")
		})
	}
	t.Run("in total", func(t *testing.T) {
		t.Parallel()
		limits := yamldoc.Limits{Document: 1 << 20, Total: len(account) + 10, Documents: 9}
		var fault *problem.Error
		require.ErrorAs(t, parse(texts(account, deployment), Options{}, limits, &recordtest.Collector{}), &fault)
		require.Equal(t, "MANIFEST_TOO_LARGE", fault.Code)
		require.Equal(t, "f1.yaml", fault.File)
	})
	t.Run("in number", func(t *testing.T) {
		t.Parallel()
		limits := yamldoc.Limits{Document: 1 << 20, Total: 1 << 20, Documents: 2}
		var fault *problem.Error
		require.NoError(t, parse(texts("---\n---\n"+account+"---\n---\n"+deployment), Options{}, limits, &recordtest.Collector{}))
		require.ErrorAs(t, parse(texts(account+"---"+deployment+"---"+reader), Options{}, limits, &recordtest.Collector{}), &fault)
		require.Equal(t, "MANIFEST_TOO_LARGE", fault.Code)
	})
}

// refusing is an emitter that fails at some call.
type refusing struct {
	recordtest.Collector
	left int
}

var errRefused = errors.New("refused")

func (r *refusing) count() error {
	if r.left--; r.left < 0 {
		return errRefused
	}
	return nil
}
func (r *refusing) Record(record.Record) error    { return r.count() }
func (r *refusing) Reject(record.Rejection) error { return r.count() }
func (r *refusing) Warn(record.Warning) error     { return r.count() }

func TestEmitterEndsTheParse(t *testing.T) {
	t.Parallel()
	contents := []string{deployment, account, account, reader, bound, "foo: bar\n", "apiVersion: x/v1\nkind: Y\n",
		binds("ClusterRoleBinding", "missing", "kind: User, name: u", "kind: ServiceAccount, name: lost, namespace: x")}
	calls := 0
	for ; ; calls++ {
		err := Parse(texts(contents...), Options{}, &refusing{left: calls})
		if err == nil {
			break
		}
		require.ErrorIs(t, err, errRefused)
	}
	require.Greater(t, calls, 12)
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("testdata", "ingress-nginx", "deploy.yaml"))
	require.NoError(t, err)
	first := parsed(t, string(content))
	for range 5 {
		require.Equal(t, first, parsed(t, string(content)))
	}
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	want := actions(parsed(t, deployment, account, reader, bound))
	for name, text := range map[string]string{
		"one file":       strings.Join([]string{deployment, account, reader, bound}, "---"),
		"Windows":        strings.ReplaceAll(strings.Join([]string{deployment, account, reader, bound}, "---"), "\n", "\r\n"),
		"document ends":  strings.Join([]string{deployment, account, reader, bound}, "...\n---"),
		"byte order":     "\ufeff" + strings.Join([]string{deployment, account, reader, bound}, "--- # next"),
		"directives":     "%YAML 1.2\n---" + strings.Join([]string{deployment, account, reader, bound}, "...\n%YAML 1.1\n---"),
		"JSON":           `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"serviceAccountName":"web"}}}}]}` + "\n---" + account + "---" + reader + "---" + bound,
		"merged aliases": strings.Replace(strings.Replace(deployment, "apiVersion", "x: &x {serviceAccountName: web}\napiVersion", 1), "{serviceAccountName: web,", "{<<: *x,", 1) + "---" + account + "---" + reader + "---" + bound,
	} {
		require.Equal(t, want, actions(parsed(t, text)), name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(deployment + "---" + account + "---" + reader + "---" + bound)
	f.Add(bomb())
	f.Add("apiVersion: v1\nkind: List\nitems: [{}, null, x, {kind: Pod, apiVersion: v1, metadata: {name: a}, spec: {<<: {a: b}}}]")
	f.Add(binds("ClusterRoleBinding", "admin", `kind: Group, name: "system:serviceaccounts"`) + "---" + account)
	f.Add("%YAML 1.1\n---\n? [a]\n: b\n...\n--- !!binary AA==\n")
	for _, name := range []string{"ingress-nginx/deploy.yaml", "descheduler/rbac.yaml"} {
		content, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
		require.NoError(f, err)
		f.Add(string(content))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got recordtest.Collector
		if err := Parse(texts(text), Options{}, &got); err != nil {
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.NotEqual(t, problem.Internal, fault.Kind)
			return
		}
		sound(t, &got)
		for _, r := range got.Rejections {
			require.NotEmpty(t, r.Reason)
			require.Positive(t, r.Line)
		}
		require.False(t, slices.ContainsFunc(got.Paths(), func(p recordtest.Path) bool { return strings.ContainsRune(p.Resource, 0) }))
	})
}

package kubernetes

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	policy, err := defaultPolicy()
	require.NoError(t, err)
	for kind := range podTemplates {
		require.Contains(t, policy.executionModes, kind)
	}
	for _, c := range []struct {
		request             Request
		domain, sensitivity string
	}{
		{Request{Resource: "secrets", Name: "*", Scope: "a"}, "secrets", "restricted"},
		{Request{Resource: "secrets", Name: "one", Scope: "*"}, "secrets", "restricted"},
		{Request{APIGroup: rbacGroup, Resource: "clusterrolebindings", Name: "*", Scope: "*"}, "identity_platform", "restricted"},
		{Request{Resource: "serviceaccounts/token", Name: "*", Scope: "*"}, "identity_platform", "restricted"},
		{Request{Resource: "serviceaccounts", Name: "*", Scope: "*"}, "identity_platform", "confidential"},
		{Request{Resource: "pods/exec", Name: "*", Scope: "*"}, "compute", "restricted"},
		{Request{Resource: "pods", Name: "*", Scope: "*"}, "compute", "confidential"},
		{Request{Resource: "configmaps", Name: "*", Scope: "*"}, "configuration", "confidential"},
		{Request{Resource: "events", Name: "*", Scope: "*"}, "observability", "internal"},
		{Request{APIGroup: "coordination.k8s.io", Resource: "leases", Name: "*", Scope: "*"}, "cluster_control", "internal"},
		{Request{APIGroup: "argoproj.io", Resource: "applications", Name: "*", Scope: "*"}, "custom_resource", "internal"},
		{Request{URL: "/metrics"}, "observability", "internal"},
		{Request{URL: "/healthz"}, "observability", "public"},
		{Request{URL: "*"}, "cluster_control", "confidential"},
		// A wildcard is as sensitive as the worst that it covers.
		{Request{Resource: "*", Name: "*", Scope: "*"}, "identity_platform", "restricted"},
		{Request{APIGroup: "*", Resource: "*", Name: "*", Scope: "*"}, "identity_platform", "restricted"},
		{Request{APIGroup: "batch", Resource: "*", Name: "*", Scope: "*"}, "workload_control", "confidential"},
		{Request{APIGroup: "*", Resource: "secrets", Name: "*", Scope: "*"}, "secrets", "restricted"},
		{Request{APIGroup: "*", Resource: "*/scale", Name: "*", Scope: "*"}, "workload_control", "internal"},
		{Request{APIGroup: "monitoring.coreos.com", Resource: "*", Name: "*", Scope: "*"}, "observability", "internal"},
	} {
		require.Equal(t, Class{c.domain, c.sensitivity}, policy.Classify(c.request), "%+v", c.request)
	}
}

func TestPolicyReplaces(t *testing.T) {
	t.Parallel()
	policy, err := LoadPolicy(strings.NewReader(`
environmentLabels: [stage]
executionModes: {Deployment: operator_assisted}
rules:
- {resources: [secrets], resourceNames: [tls-*], dataDomain: certificates, sensitivity: public}
- {resources: [secrets], scopes: [vault], dataDomain: vault, sensitivity: restricted}
- {resources: [secrets], dataDomain: secrets, sensitivity: confidential}
default: {dataDomain: other, sensitivity: internal}
`), "mine.yaml")
	require.NoError(t, err)
	for want, request := range map[string]Request{
		"certificates": {Resource: "secrets", Name: "tls-a", Scope: "x"},
		"secrets":      {Resource: "secrets", Name: "*", Scope: "x"},
		"vault":        {Resource: "secrets", Name: "*", Scope: "*"}, // the whole cluster covers vault
		"other":        {Resource: "pods", Name: "*", Scope: "*"},
	} {
		require.Equal(t, want, policy.Classify(request).DataDomain)
	}
	var got recordtest.Collector
	require.NoError(t, Parse(texts(strings.Replace(deployment, "env:", "stage:", 1), account, reader, bound), Options{Policy: policy}, &got))
	web := got.Entities(record.Workload)["Deployment/default/web"]
	require.Equal(t, "production", web.Environment)
	require.Equal(t, record.OperatorAssisted, web.ExecutionMode)
	require.Equal(t, "secrets", got.Entities(record.Resource)["default||secrets|*"].DataDomain)
}

func TestPolicyFaults(t *testing.T) {
	t.Parallel()
	const good = "default: {dataDomain: a, sensitivity: internal}\n"
	for name, c := range map[string]struct {
		text, code, message string
		line                int
	}{
		"nothing":            {"", "POLICY_EMPTY", "empty", 0},
		"not YAML":           {"a: [", "POLICY_NOT_YAML", "not YAML", 1},
		"two documents":      {good + "---\n" + good, "POLICY_INVALID", "another", 3},
		"an unknown key":     {good + "rule: []\n", "POLICY_INVALID", "Rule is not a field", 2},
		"a key of a rule":    {good + "rules:\n- resource: a\n  dataDomain: a\n  sensitivity: public\n", "POLICY_INVALID", "Rules[0].resource is not a field", 3},
		"a key twice":        {good + good, "POLICY_INVALID", "twice", 2},
		"a sensitivity":      {good + "rules:\n- dataDomain: a\n  sensitivity: high\n", "POLICY_INVALID", "must be restricted", 4},
		"no domain":          {good + "rules:\n- sensitivity: public\n", "POLICY_INVALID", "dataDomain is missing", 3},
		"no default":         {"rules: []\n", "POLICY_INVALID", "Default is missing", 1},
		"a mode":             {good + "executionModes:\n  Job: sometimes\n", "POLICY_INVALID", "must be autonomous", 3},
		"a kind":             {good + "executionModes:\n  Rocket: triggered\n", "POLICY_INVALID", "no kind of workload", 3},
		"a mixed rule":       {good + "rules:\n- {resources: [a], nonResourceURLs: [/a], dataDomain: a, sensitivity: public}\n", "POLICY_INVALID", "two rules", 3},
		"a list that is one": {good + "rules:\n- {resources: a, dataDomain: a, sensitivity: public}\n", "POLICY_INVALID", "must be a list", 3},
	} {
		_, err := LoadPolicy(strings.NewReader(c.text), "mine.yaml")
		var fault *problem.Error
		require.ErrorAs(t, err, &fault, name)
		require.Equal(t, c.code, fault.Code, name)
		require.Contains(t, fault.Message, c.message, name)
		require.Equal(t, c.line, fault.Line, name)
		require.Equal(t, "mine.yaml", fault.File, name)
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b              string
		overlaps, covered bool // a covers b
	}{
		{"pods", "pods", true, true}, {"pods", "*", true, false}, {"*", "pods", true, true}, {"*", "*", true, true},
		{"pods/*", "pods/exec", true, true}, {"pods/*", "pods", false, false}, {"pods/*", "*/exec", true, false},
		{"*/exec", "*/exec", true, true}, {"a*b", "*", true, false}, {"a*b", "b*a", false, false}, {"", "", true, true},
		{"", "*", true, false}, {"*", "", true, true}, {"a", "", false, false}, {"/api/*", "/apis/*", false, false},
	} {
		require.Equal(t, c.overlaps, overlap(c.a, c.b), "%q %q", c.a, c.b)
		require.Equal(t, c.overlaps, overlap(c.b, c.a), "%q %q", c.b, c.a)
		require.Equal(t, c.covered, covered(c.a, c.b), "%q %q", c.a, c.b)
	}
}

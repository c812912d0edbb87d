package owners

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const example = `owners:
  - id: alice@example.com
    name: Alice Example
    type: individual
    role: platform lead
    lastActiveAt: 2026-01-02T01:00:00+01:00
  - {id: team-platform, type: group}
  - {id: bob@example.com, status: disabled, lastActiveAt: 2025-03-04}
workloads:
  - workload: Deployment/argocd/*
    owners: [team-platform]
  - workload: Deployment/argocd/argocd-server
    owners: [alice@example.com, team-platform, alice@example.com]
    environment: production
    ownerTeam: platform
    businessTier: tier-1
  - {workload: "*/kube-system/*", owners: []}
  - {workload: Job/gone/away, owners: [bob@example.com]}
maxAgeDays: 180
`

var known = []string{"Deployment/argocd/argocd-server", "Deployment/argocd/argocd-redis", "DaemonSet/kube-system/proxy", "Job/default/other"}

func emitted(t *testing.T, text string) *recordtest.Collector {
	t.Helper()
	file, err := Read("owners.yaml", strings.NewReader(text))
	require.NoError(t, err)
	var got recordtest.Collector
	require.NoError(t, file.Emit(known, &got))
	return &got
}

func workload(id string) *record.Ref { return &record.Ref{Kind: record.Workload, SourceID: id} }

func TestEmit(t *testing.T) {
	t.Parallel()
	got := emitted(t, example)
	require.Equal(t, record.Record{Position: record.Position{File: "owners.yaml", Line: 2}, Fact: record.Entity{
		Ref: record.Ref{Kind: record.Owner, SourceID: "alice@example.com"}, Basis: record.Mapping, Name: "Alice Example",
		Status: record.Active, SourceType: "individual", OwnerType: record.Individual, Title: "platform lead",
		LastActiveAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
	}}, got.Records[0])
	owners := got.Entities(record.Owner)
	require.Equal(t, record.Group, owners["team-platform"].OwnerType)
	require.Equal(t, "team-platform", owners["team-platform"].Name)
	require.Equal(t, record.Disabled, owners["bob@example.com"].Status)
	require.Equal(t, time.Date(2025, 3, 4, 0, 0, 0, 0, time.UTC), owners["bob@example.com"].LastActiveAt)

	var ties []string
	for _, edge := range got.Edges(record.OwnedBy) {
		ties = append(ties, edge.From.SourceID+" "+edge.To.SourceID)
	}
	// The entry that names the server beats the pattern that stands before it.
	require.Equal(t, []string{
		"Deployment/argocd/argocd-server alice@example.com", "Deployment/argocd/argocd-server team-platform",
		"Deployment/argocd/argocd-redis team-platform",
	}, ties)
	require.Equal(t, map[string]record.Entity{"Deployment/argocd/argocd-server": {
		Ref: *workload("Deployment/argocd/argocd-server"), Basis: record.Mapping,
		Environment: "production", OwnerTeam: "platform", BusinessTier: "tier-1",
	}}, got.Entities(record.Workload))
	age := 180 * 24 * time.Hour
	require.Equal(t, []record.Coverage{
		{Kind: record.Ownership, Entity: workload(known[0]), MaxAge: age},
		{Kind: record.Ownership, Entity: workload(known[1]), MaxAge: age},
		{Kind: record.Ownership, Entity: workload(known[2]), MaxAge: age},
	}, got.Coverage())
	require.Equal(t, []record.Warning{{Position: record.Position{File: "owners.yaml", Line: 18}, Code: "WORKLOAD_UNMATCHED",
		Message: `No workload of the import is called "Job/gone/away", nor matches it.`}}, got.Warnings)
}

// What a workload answers at is said with its owners, or alone: then nothing is
// claimed of owners.
func TestAssets(t *testing.T) {
	t.Parallel()
	got := emitted(t, `owners: [{id: a}]
workloads:
  - workload: Deployment/argocd/argocd-server
    owners: [a]
    assets: [Shop.Example.com, "203.0.113.7:8443", "[2001:DB8::1]:443", shop.example.com]
  - {workload: "Deployment/argocd/*", assets: ["*.example.com"]}
`)
	var said []record.Endpoint
	for _, r := range got.Records {
		if endpoint, ok := r.Fact.(record.Endpoint); ok {
			said = append(said, endpoint)
		}
	}
	server, redis := *workload(known[0]), *workload(known[1])
	require.Equal(t, []record.Endpoint{
		{Workload: server, Kind: record.MappedEndpoint, Value: "shop.example.com"},
		{Workload: server, Kind: record.MappedEndpoint, Value: "203.0.113.7", Port: 8443},
		{Workload: server, Kind: record.MappedEndpoint, Value: "2001:db8::1", Port: 443},
		{Workload: redis, Kind: record.MappedEndpoint, Value: "*.example.com"},
	}, said)
	require.Equal(t, []record.Coverage{{Kind: record.Ownership, Entity: &server}}, got.Coverage())
}

func TestComplete(t *testing.T) {
	t.Parallel()
	require.Equal(t, []record.Coverage{{Kind: record.Ownership}}, emitted(t, "complete: true\n").Coverage())
	got := emitted(t, `{"owners":[{"id":"a"}],"workloads":[{"workload":"*","owners":["a"]}],"complete":true}`)
	require.Equal(t, []record.Coverage{{Kind: record.Ownership}}, got.Coverage())
	require.Len(t, got.Edges(record.OwnedBy), len(known))
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, code, message string
		line                int
	}{
		"nothing":           {"# nothing\n", "OWNERS_EMPTY", "empty", 0},
		"not YAML":          {"owners: [\n", "OWNERS_NOT_YAML", "not YAML", 1},
		"a list":            {"- a\n", "OWNERS_INVALID", "must be a mapping", 1},
		"two documents":     {"complete: true\n---\ncomplete: true\n", "OWNERS_INVALID", "another", 3},
		"no content":        {"{}\n", "OWNERS_INVALID", "neither", 1},
		"an unknown key":    {"owner: []\n", "OWNERS_INVALID", "Owner is not a field", 1},
		"a key of an owner": {"owners:\n- id: a\n  mail: b\n", "OWNERS_INVALID", "Owners[0].mail is not a field", 3},
		"a key of an entry": {"workloads:\n- workload: a\n  owner: b\n  owners: []\n", "OWNERS_INVALID", "Workloads[0].owner is not", 3},
		"a duplicate key":   {"owners:\n- id: a\n  id: b\n", "OWNERS_INVALID", "twice", 3},
		"no id":             {"owners:\n- name: a\n", "OWNERS_INVALID", "Owners[0].id is missing", 2},
		"an empty owner":    {"owners:\n-\n", "OWNERS_INVALID", "is empty", 2},
		"a type":            {"owners:\n- {id: a, type: robot}\n", "OWNERS_INVALID", "individual or group", 2},
		"a status":          {"owners:\n- {id: a, status: gone}\n", "OWNERS_INVALID", "active or disabled", 2},
		"a time":            {"owners:\n- id: a\n  lastActiveAt: yesterday\n", "OWNERS_INVALID", "must be a time", 3},
		"a far time":        {"owners:\n- id: a\n  lastActiveAt: 0001-01-01\n", "OWNERS_INVALID", "must be a time", 3},
		"no owners":         {"workloads:\n- workload: a\n", "OWNERS_INVALID", "write []", 2},
		"an asset":          {"workloads:\n- workload: a\n  assets: [\"https://x\"]\n", "OWNERS_INVALID", "Workloads[0].assets[0] is no address", 3},
		"an empty asset":    {"workloads:\n- workload: a\n  owners: []\n  assets: [\"\"]\n", "OWNERS_INVALID", "is empty", 4},
		"no assets":         {"workloads:\n- workload: a\n  assets: []\n", "OWNERS_INVALID", "write []", 2},
		"no workload":       {"workloads:\n- owners: []\n", "OWNERS_INVALID", "workload is missing", 2},
		"a long text":       {"owners:\n- id: " + strings.Repeat("a", 2000) + "\n", "OWNERS_INVALID", "longer", 2},
		"an age":            {"complete: true\nmaxAgeDays: 0\n", "OWNERS_INVALID", "days", 2},
		"an age of a shape": {"complete: true\nmaxAgeDays: 1.5\n", "OWNERS_INVALID", "whole number", 2},
		"a NUL":             {"owners:\n- id: \"a\\0\"\n", "OWNERS_INVALID", "NUL", 2},
		"an owner twice":    {"owners:\n- id: a\n- id: b\n- id: a\n", "OWNER_DUPLICATE", "in line 2 and in line 4", 4},
		"a workload twice":  {"workloads:\n- {workload: a, owners: []}\n- {workload: a, owners: []}\n", "OWNER_WORKLOAD_DUPLICATE", "in line 2 and in line 3", 3},
		"an unknown owner":  {"owners: [{id: a}]\nworkloads:\n- {workload: w, owners: [a, b]}\n", "OWNER_UNKNOWN", `"b"`, 3},
		"a bomb":            {"owners: &a [*a]\n", "OWNERS_ALIAS_BOMB", "inside the value", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read("owners.yaml", strings.NewReader(c.text))
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, c.code, fault.Code, fault.Message)
			require.Contains(t, fault.Message, c.message)
			require.Equal(t, c.line, fault.Line)
			require.Equal(t, problem.Invalid, fault.Kind)
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"a*", "a", true}, {"*b", "ab", true}, {"a*b", "ab", true},
		{"a*b", "a", false}, {"aa*aa", "aaa", false}, {"*a*b*", "xaxbx", true}, {"*a*b", "bab", true}, {"*ab*ab", "ab", false},
		{"Deployment/*/web", "Deployment/prod/web", true}, {"Deployment/*/web", "Deployment/prod/web2", false},
	} {
		require.Equal(t, c.want, matches(c.pattern, c.text), "%s %s", c.pattern, c.text)
	}
}

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
func (r *refusing) Record(record.Record) error { return r.count() }
func (r *refusing) Warn(record.Warning) error  { return r.count() }

func TestEmitterEndsIt(t *testing.T) {
	t.Parallel()
	file, err := Read("owners.yaml", strings.NewReader(example+"complete: true\n"))
	require.NoError(t, err)
	calls := 0
	for ; ; calls++ {
		if err := file.Emit(known, &refusing{left: calls}); err == nil {
			break
		} else {
			require.ErrorIs(t, err, errRefused)
		}
	}
	require.Equal(t, 9, calls)
}

func FuzzRead(f *testing.F) {
	f.Add(example)
	f.Add("complete: true")
	f.Add(`{"owners":[{"id":1}],"workloads":[{"workload":"*","owners":[1]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Read("owners.yaml", strings.NewReader(text))
		if err != nil {
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			return
		}
		require.NoError(t, file.Emit(known, &recordtest.Collector{}))
	})
}

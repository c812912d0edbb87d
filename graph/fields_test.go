package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// estate is what a source says, each statement under a name, so that a test can
// change one of them.
type estate map[string]record.Fact

func (e estate) facts() []record.Fact {
	var facts []record.Fact
	for _, name := range slices.Sorted(maps.Keys(e)) {
		facts = append(facts, e[name])
	}
	return facts
}

func daysAgo(n int) time.Time { return epoch.Add(-time.Duration(n) * 24 * time.Hour) }

func dayAgo(n int) time.Time { return daysAgo(n).Truncate(24 * time.Hour) }

// smallEstate is two workloads that one person owns: billing runs by itself and
// did; reports is started by people, and nobody did, and sends data to a model.
// Both may read a restricted ledger and a mailbox. All of it is watched completely.
func smallEstate() estate {
	billing, reports := ref(record.Workload, "billing"), ref(record.Workload, "reports")
	e := estate{
		"billing":   record.Entity{Ref: billing, Name: "Billing", ExecutionMode: record.Autonomous, ArtifactIdentifier: "billing:1", CreatedAt: daysAgo(400)},
		"reports":   record.Entity{Ref: reports, Name: "Reports", ExecutionMode: record.HumanTriggered},
		"ada":       record.Entity{Ref: ref(record.Owner, "ada"), Name: "Ada", OwnerType: record.Individual, Title: "Head of Billing"},
		"view":      record.Entity{Ref: ref(record.Role, "view")},
		"ledger":    record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: "restricted", DataDomain: "finance"},
		"mail":      record.Entity{Ref: ref(record.Resource, "mail"), Sensitivity: "internal", DataDomain: "mail"},
		"to ledger": grant("view", "ledger", "get"), "to mail": grant("view", "mail", "get"),
		"billing ran": record.Evidence{Workload: &billing, Day: dayAgo(3), Count: 10},
		"execution":   record.Coverage{Kind: record.Execution, From: daysAgo(200), To: epoch},
	}
	e["to a model"] = egress("reports", "api.model.example", record.EgressLLM)
	for _, kind := range []record.EvidenceKind{record.Ownership, record.Binding, record.Roles, record.EgressObs} {
		e[string(kind)] = record.Coverage{Kind: kind}
	}
	for _, name := range []string{"billing", "reports"} {
		sa := "sa-" + name
		e[sa] = record.Entity{Ref: ref(record.Identity, sa), LastActiveAt: daysAgo(2)}
		e[name+" owner"] = record.Edge{Kind: record.OwnedBy, From: ref(record.Workload, name), To: ref(record.Owner, "ada")}
		e[name+" runs"] = record.Edge{Kind: record.RunsAs, From: ref(record.Workload, name), To: ref(record.Identity, sa)}
		e[name+" may"] = has(sa, "view")
	}
	return e
}

const allFields = `query Fields($slug: String!, $since: DateTime!) { organization(slug: $slug) {
  posture(since: $since) {
    activePaths dormantPaths sensitivePaths executedPaths unwatchedPaths totalExecutions30d ownershipInvalidCount executedInvalidOwnershipCount
    identityCounts { activeAutonomous dormantAuthority active total }
    workloadCounts { autonomous operatorAssisted humanTriggered unclassified total }
    workloadExposureCounts { critical high medium low none total }
    delta { newPaths removedPaths newOrphaned newAutonomousIdentities ownershipInvalidations }
    lastRefresh refreshes { source { name } lastRefresh }
  }
  riskClusters(filter: {nonEmpty: true}) { nodes {
    key label description severity priority urgency findingTypes pathCount identityCount workloadCount totalExecution30d
    ownershipBreakdown { valid degraded ambiguous orphaned unknown } sensitivityBreakdown { unknown public internal confidential restricted }
    sensitiveDomains oldestFindingDays newPaths30d
  } }
  workloadExposures(first: 10) { totalCount nodes {
    id workload { name sourceId } sourceSystem identities { name } identityBinding pathCount findingCount findingTypes maxSeverity sensitiveDomainCount sensitiveDomains
    dataDomains executionCount30d lastExecutionAt ownershipStatus egressCategory egressCategories executionMode lastEvaluatedAt riskClusters { key }
    authorityPaths { totalCount } exposures { totalCount }
    ownershipBreakdown { owners { name type status role relationshipType } effectiveStatus }
    workloadMetadata { sourceSystem sourceId artifactIdentifier createdAt lastSyncedAt }
    identityBindings { relationshipType identity { name } protocol targetSystem }
    executionEvidenceSummary { totalDirectRecords totalRelatedRecords lastExecutionAt executionCount30d }
    pathSummary { totalPaths sensitivePaths dormantPaths executedPaths unwatchedPaths totalExecution30d }
    evidenceCompleteness { kind coverage }
  } }
} }`

// fields reads all of it, each leaf under its path: posture.activePaths,
// clusters.llm-egress.pathCount, billing.pathSummary.totalPaths.
func (b *bench) fields(t testing.TB, slug string) map[string]string {
	t.Helper()
	a := b.query(t, root, allFields, map[string]any{"slug": slug, "since": epoch})
	require.Empty(t, a.Errors)
	flat := map[string]string{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		if object, ok := value.(map[string]any); ok {
			for name, part := range object {
				walk(path+"."+name, part)
			}
			return
		}
		text, err := json.Marshal(value)
		require.NoError(t, err)
		flat[path] = string(text)
	}
	organization := at[map[string]any](t, a.Data, "organization")
	walk("posture", organization["posture"])
	for _, c := range at[[]any](t, organization, "riskClusters", "nodes") {
		walk("clusters."+at[string](t, c, "key"), c)
	}
	walk("list.totalCount", at[float64](t, organization, "workloadExposures", "totalCount"))
	order := []string{}
	for _, w := range at[[]any](t, organization, "workloadExposures", "nodes") {
		name := at[string](t, w, "workload", "sourceId")
		order = append(order, name)
		walk(name, w)
	}
	walk("list.order", strings.Join(order, " "))
	return flat
}

// moved are the fields that differ, or that only one of the two has.
func moved(before, after map[string]string) []string {
	var paths []string
	for path, value := range before {
		if after[path] != value {
			paths = append(paths, path)
		}
	}
	for path := range after {
		if _, there := before[path]; !there {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// refreshed are the fields that say when somebody last looked, and how long ago
// something was found.
var refreshed = regexp.MustCompile(`\.(lastEvaluatedAt|workloadMetadata\.lastSyncedAt|oldestFindingDays)$|^posture\.(lastRefresh|refreshes)$`)

// edit is a change of the estate.
type edit struct {
	name string
	aim  []string // fields that it is about: each has to move
	do   func(e estate)
	days int // after which everything is judged once more
}

func set(name string, fact record.Fact) func(estate) {
	return func(e estate) { e[name] = fact }
}

func drop(names ...string) func(estate) {
	return func(e estate) {
		for _, name := range names {
			delete(e, name)
		}
	}
}

func all(edits ...func(estate)) func(estate) {
	return func(e estate) {
		for _, do := range edits {
			do(e)
		}
	}
}

// entityIs changes what is said of an entity, if anything is.
func entityIs(name string, change func(*record.Entity)) func(estate) {
	return func(e estate) {
		if entity, there := e[name].(record.Entity); there {
			change(&entity)
			e[name] = entity
		}
	}
}

func person(name string, status record.Status) record.Entity {
	return record.Entity{Ref: ref(record.Owner, name), Name: strings.ToUpper(name[:1]) + name[1:], OwnerType: record.Individual, Status: status}
}

func owns(workload, owner string) record.Edge {
	return record.Edge{Kind: record.OwnedBy, From: ref(record.Workload, workload), To: ref(record.Owner, owner)}
}

func ran(workload, identity string, daysBefore, count int) record.Evidence {
	e := record.Evidence{Day: dayAgo(daysBefore), Count: count}
	if workload != "" {
		w := ref(record.Workload, workload)
		e.Workload = &w
	}
	if identity != "" {
		i := ref(record.Identity, identity)
		e.Identity = &i
	}
	return e
}

func egress(workload, host string, category record.EgressCategory) record.Egress {
	return record.Egress{Workload: ref(record.Workload, workload), Host: host, Category: category}
}

var edits = []edit{
	{name: "a path begins", aim: []string{"posture.activePaths", "posture.sensitivePaths", "posture.delta.newPaths", "billing.pathCount", "billing.authorityPaths.totalCount", "billing.dataDomains",
		"billing.sensitiveDomainCount", "billing.pathSummary.totalPaths", "billing.pathSummary.sensitivePaths", "billing.exposures.totalCount"},
		do: all(set("archive", record.Entity{Ref: ref(record.Resource, "archive"), Sensitivity: "confidential", DataDomain: "legal"}), set("to archive", grant("own", "archive", "get")),
			set("own", record.Entity{Ref: ref(record.Role, "own")}), set("billing may own", has("sa-billing", "own")))},
	{name: "a path ends", aim: []string{"posture.activePaths", "posture.delta.removedPaths", "billing.pathCount", "billing.dataDomains", "clusters.llm-egress.pathCount",
		"clusters.llm-egress.sensitivityBreakdown.internal"}, do: drop("to mail")},
	{name: "data is public", aim: []string{"posture.sensitivePaths", "billing.maxSeverity", "billing.sensitiveDomains", "billing.sensitiveDomainCount", "billing.pathSummary.sensitivePaths",
		"posture.workloadExposureCounts.none", "billing.findingTypes", "clusters.llm-egress.sensitiveDomains", "clusters.llm-egress.sensitivityBreakdown.public"},
		do: entityIs("ledger", func(x *record.Entity) { x.Sensitivity = "public" })},
	{name: "data is confidential", aim: []string{"billing.maxSeverity", "posture.workloadExposureCounts.medium", "clusters.llm-egress.sensitivityBreakdown.confidential",
		"clusters.llm-egress.sensitivityBreakdown.restricted"}, do: entityIs("ledger", func(x *record.Entity) { x.Sensitivity = "confidential" })},
	{name: "nobody says how sensitive mail is", aim: []string{"clusters.llm-egress.sensitivityBreakdown.unknown"}, do: entityIs("mail", func(x *record.Entity) { x.Sensitivity = "" })},
	{name: "data is of another domain", aim: []string{"billing.dataDomains", "billing.sensitiveDomains", "clusters.llm-egress.sensitiveDomains"},
		do: entityIs("ledger", func(x *record.Entity) { x.DataDomain = "hr" })},
	{name: "the owner leaves", aim: []string{"posture.ownershipInvalidCount", "posture.executedInvalidOwnershipCount", "posture.delta.newOrphaned", "posture.delta.ownershipInvalidations",
		"billing.ownershipStatus", "billing.ownershipBreakdown.owners", "billing.ownershipBreakdown.effectiveStatus", "billing.riskClusters", "billing.findingCount", "billing.maxSeverity",
		"posture.workloadExposureCounts.critical", "clusters.llm-egress.ownershipBreakdown.orphaned", "clusters.llm-egress.ownershipBreakdown.valid", "clusters.orphaned-sensitive.priority"},
		do: entityIs("ada", func(x *record.Entity) { x.Status = record.Disabled })},
	{name: "one of two owners has left", aim: []string{"posture.ownershipInvalidCount", "posture.delta.ownershipInvalidations", "reports.ownershipStatus", "clusters.llm-egress.ownershipBreakdown.degraded"},
		do: all(set("bob", person("bob", record.Disabled)), set("reports of bob", owns("reports", "bob")))},
	{name: "a group owns", aim: []string{"reports.ownershipStatus", "reports.ownershipBreakdown.owners", "clusters.llm-egress.ownershipBreakdown.ambiguous"},
		do: all(set("team", record.Entity{Ref: ref(record.Owner, "team"), OwnerType: record.Group}), set("reports owner", owns("reports", "team")))},
	{name: "a group owns what is harmless", aim: []string{"billing.maxSeverity", "posture.workloadExposureCounts.low"},
		do: all(set("team", record.Entity{Ref: ref(record.Owner, "team"), OwnerType: record.Group}), set("billing owner", owns("billing", "team")),
			entityIs("ledger", func(x *record.Entity) { x.Sensitivity = "public" }))},
	{name: "nobody knows who owns", aim: []string{"reports.ownershipStatus", "reports.evidenceCompleteness", "clusters.llm-egress.ownershipBreakdown.unknown"},
		do: drop("ownership", "billing owner", "reports owner", "ada")},
	{name: "the owner has another role", aim: []string{"billing.ownershipBreakdown.owners"}, do: entityIs("ada", func(x *record.Entity) { x.Title = "Auditor" })},
	{name: "somebody creates", aim: []string{"billing.ownershipBreakdown.owners"}, do: all(set("bob", person("bob", "")),
		set("billing by bob", record.Edge{Kind: record.CreatedBy, From: ref(record.Workload, "billing"), To: ref(record.Owner, "bob")}))},
	{name: "reports runs by itself", aim: []string{"posture.workloadCounts.autonomous", "posture.workloadCounts.humanTriggered", "reports.executionMode"},
		do: entityIs("reports", func(x *record.Entity) { x.ExecutionMode = record.Autonomous })},
	{name: "an operator runs reports", aim: []string{"posture.workloadCounts.operatorAssisted", "reports.executionMode"},
		do: entityIs("reports", func(x *record.Entity) { x.ExecutionMode = record.OperatorAssisted })},
	{name: "an event starts reports", aim: []string{"posture.workloadCounts.unclassified", "reports.executionMode"},
		do: entityIs("reports", func(x *record.Entity) { x.ExecutionMode = record.Triggered })},
	{name: "nobody says who starts reports", aim: []string{"posture.workloadCounts.unclassified", "reports.executionMode"},
		do: entityIs("reports", func(x *record.Entity) { x.ExecutionMode = "" })},
	{name: "reports runs", aim: []string{"posture.executedPaths", "posture.totalExecutions30d", "posture.identityCounts.active", "reports.executionCount30d", "reports.lastExecutionAt",
		"reports.executionEvidenceSummary.totalDirectRecords", "reports.executionEvidenceSummary.lastExecutionAt", "reports.executionEvidenceSummary.executionCount30d",
		"reports.pathSummary.executedPaths", "reports.pathSummary.totalExecution30d", "clusters.llm-egress.totalExecution30d", "clusters.llm-egress.urgency"},
		do: set("reports ran", ran("reports", "", 1, 4))},
	{name: "reports runs, and by itself", aim: []string{"posture.identityCounts.activeAutonomous", "posture.delta.newAutonomousIdentities"},
		do: all(set("reports ran", ran("reports", "", 1, 4)), entityIs("reports", func(x *record.Entity) { x.ExecutionMode = record.Autonomous }))},
	{name: "billing ran long ago, too", aim: []string{"billing.executionEvidenceSummary.totalDirectRecords"}, do: set("billing ran before", ran("billing", "", 40, 100))},
	{name: "an identity runs", aim: []string{"posture.totalExecutions30d", "reports.executionEvidenceSummary.totalRelatedRecords", "reports.executionCount30d", "reports.lastExecutionAt"},
		do: set("sa-reports ran", ran("", "sa-reports", 1, 4))},
	{name: "something related runs", aim: []string{"billing.executionEvidenceSummary.totalRelatedRecords", "billing.executionCount30d"}, do: func(e estate) {
		related := ran("billing", "", 1, 5)
		related.Related = true
		e["related ran"] = related
	}},
	{name: "nobody watches", aim: []string{"posture.unwatchedPaths", "reports.executionCount30d", "reports.pathSummary.unwatchedPaths", "reports.pathSummary.totalExecution30d",
		"reports.evidenceCompleteness", "clusters.llm-egress.urgency"}, do: drop("execution")},
	{name: "data goes to a model", aim: []string{"billing.egressCategory", "billing.egressCategories", "billing.riskClusters", "clusters.llm-egress.workloadCount", "clusters.llm-egress.identityCount",
		"clusters.llm-egress.newPaths30d"}, do: set("out", egress("billing", "api.model.example", record.EgressLLM))},
	{name: "data goes out, too", aim: []string{"reports.egressCategories", "reports.findingTypes"}, do: set("out", egress("reports", "paste.example", record.EgressExternal))},
	{name: "data goes around", aim: []string{"billing.egressCategory", "billing.egressCategories"}, do: set("out", egress("billing", "db.internal", record.EgressInternal))},
	{name: "an identity acts no more", aim: []string{"posture.dormantPaths", "posture.identityCounts.dormantAuthority", "reports.pathSummary.dormantPaths", "clusters.llm-egress.oldestFindingDays",
		"clusters.llm-egress.newPaths30d", "posture.totalExecutions30d", "posture.identityCounts.activeAutonomous"}, days: 100,
		do: all(set("execution", record.Coverage{Kind: record.Execution, From: daysAgo(200), To: daysAgo(-109)}), entityIs("sa-billing", func(x *record.Entity) { x.LastActiveAt = daysAgo(-105) }))},
	{name: "a second identity", aim: []string{"reports.identities", "reports.identityBindings", "posture.identityCounts.total", "clusters.llm-egress.identityCount"},
		do: all(set("sa-more", record.Entity{Ref: ref(record.Identity, "sa-more"), LastActiveAt: daysAgo(1)}), set("more may", has("sa-more", "view")),
			set("reports authenticates", record.Edge{Kind: record.Authenticates, From: ref(record.Workload, "reports"), To: ref(record.Identity, "sa-more"), Protocol: "oauth2", TargetSystem: "cloud"}))},
	{name: "no identity", aim: []string{"reports.identities", "reports.identityBinding", "reports.identityBindings", "reports.pathCount", "reports.findingTypes", "reports.maxSeverity"}, do: drop("reports runs")},
	{name: "no workload", aim: []string{"list.totalCount", "list.order", "posture.workloadCounts.total", "posture.workloadExposureCounts.total"}, do: drop("reports", "reports runs", "reports owner", "to a model")},
	{name: "a workload elsewhere", aim: []string{"elsewhere.id", "elsewhere.sourceSystem", "elsewhere.workload.sourceId", "elsewhere.workloadMetadata.sourceId", "elsewhere.workloadMetadata.sourceSystem"}, do: func(e estate) {
		w := record.Ref{Kind: record.Workload, System: "cloud", SourceID: "elsewhere"}
		e["elsewhere"] = record.Entity{Ref: w}
		e["elsewhere runs"] = record.Edge{Kind: record.RunsAs, From: w, To: ref(record.Identity, "sa-billing")}
	}},
	{name: "a new image and a new name", aim: []string{"billing.workload.name", "billing.workloadMetadata.artifactIdentifier", "billing.workloadMetadata.createdAt"},
		do: entityIs("billing", func(x *record.Entity) {
			x.Name, x.ArtifactIdentifier, x.CreatedAt = "Invoices", "billing:2", daysAgo(300)
		})},
	{name: "more may be done", aim: []string{"billing.findingCount", "billing.findingTypes"}, do: set("to ledger", grant("view", "ledger", "get", "delete"))},
}

// TestEachFieldFollowsItsInput changes one thing that a source says, and finds in
// testdata/fields.txt which fields that moves, and from what to what; no other
// one may. The file was checked line by line against the catalogue and is never
// written by a program.
func TestEachFieldFollowsItsInput(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	text, err := os.ReadFile("testdata/fields.txt")
	require.NoError(t, err)
	want := map[string][]string{}
	for _, section := range strings.Split(string(text), "\n== ")[1:] {
		lines := strings.Split(strings.TrimSpace(section), "\n")
		want[lines[0]] = lines[1:]
	}
	require.Len(t, want, len(edits))
	leaves, followed := map[string]bool{}, map[string]bool{}
	for _, change := range edits {
		before, after := b.around(t, change)

		paths := moved(before, after)
		for _, path := range paths {
			followed[leafOf(path)] = true
		}
		for path := range after {
			leaves[leafOf(path)] = true
			if refreshed.MatchString(path) {
				require.Contains(t, paths, path, "%s: somebody looked", change.name)
			}
		}
		for _, path := range change.aim {
			require.Contains(t, paths, path, change.name)
		}
		require.Equal(t, strings.Join(want[change.name], "\n"), strings.Join(report(before, after), "\n"), change.name)
	}
	for leaf := range leaves {
		require.True(t, followed[leaf], "%s moved in no case: it may be a constant", leaf)
	}
}

// around reads all fields before and after a change.
func (b *bench) around(t testing.TB, change edit) (before, after map[string]string) {
	t.Helper()
	slug := strings.ReplaceAll(strings.ReplaceAll(change.name, ",", ""), " ", "-")
	day := func(n int) { b.clock.Store(int64(time.Duration(n) * 24 * time.Hour)) }
	day(0)
	b.sync(t, slug, smallEstate().facts()...)
	before = b.fields(t, slug)
	e := smallEstate()
	change.do(e)
	day(9)
	b.sync(t, slug, e.facts()...)
	if change.days > 0 {
		day(9 + change.days)
		b.sync(t, slug, e.facts()...)
		_, err := b.paths.Reevaluate(access.With(context.Background(), root), id.Organization(slug), authority.ByRequest, nil)
		require.NoError(t, err)
	}
	return before, b.fields(t, slug)
}

// report says what moved, line by line. A row or a cluster that came or went is
// one line.
func report(before, after map[string]string) (lines []string) {
	for _, path := range moved(before, after) {
		line := fmt.Sprintf("%s: %s -> %s", path, before[path], after[path])
		whole := strings.TrimSuffix(path, "."+fieldOf(path))
		switch {
		case refreshed.MatchString(path):
			continue
		case before[path] == "":
			line = whole + " came"
		case after[path] == "":
			line = whole + " went"
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// fieldOf is a path without the row or cluster that it is of.
func fieldOf(path string) string {
	owner, field, _ := strings.Cut(path, ".")
	if owner == "clusters" {
		_, field, _ = strings.Cut(field, ".")
	}
	return field
}

// leafOf is the field of a path whatever row or cluster it is of.
func leafOf(path string) string {
	owner, _, _ := strings.Cut(path, ".")
	switch owner {
	case "posture", "list":
		return path
	case "clusters":
		return "cluster." + fieldOf(path)
	}
	return "row." + fieldOf(path)
}

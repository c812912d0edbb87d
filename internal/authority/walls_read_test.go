package authority_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// clusters are the numbers of all there are, and of some that there are not.
var clusters = []int16{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}

// samples are arguments for every statement that reads, drawn from what is there.
func samples(t testing.TB, super *pgx.Conn) map[string]pgx.StrictNamedArgs {
	t.Helper()
	ids := func(sql string) []id.ID {
		list := column[id.ID](t, super, sql, acme)
		require.NotEmpty(t, list, sql)
		return list
	}
	entities := ids(`SELECT id FROM entity WHERE organization_id = $1 ORDER BY 1`)
	of := func(kind string) []id.ID {
		return ids(`SELECT id FROM entity WHERE kind = '` + kind + `' AND organization_id = $1 ORDER BY 1`)
	}
	paths := ids(`SELECT id FROM authority_path WHERE organization_id = $1 ORDER BY 1`)
	kinds := []string{"runs_as", "has_role", "grants", "owned_by", "created_by", "authenticates", "declares"}
	list, byIDs := pgx.StrictNamedArgs{"limit": 1000}, func(ids []id.ID) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"ids": ids} }
	members := func(args pgx.StrictNamedArgs) pgx.StrictNamedArgs {
		args["clusters"], args["level"] = clusters, 3
		return args
	}
	reads := map[string]pgx.StrictNamedArgs{
		"paths_page": list, "syncs_page": list, "count_paths": {}, "count_syncs": {}, "sources": {}, "bounds": {},
		"paths_by_ids": byIDs(paths), "successions_by_paths": byIDs(paths), "versions_by_paths": {"ids": paths, "before": 1 << 30, "limit": 50},
		"paths_by_lineages": {
			"workloads": ids(`SELECT workload_id FROM authority_path WHERE organization_id = $1 ORDER BY id`),
			"resources": ids(`SELECT resource_id FROM authority_path WHERE organization_id = $1 ORDER BY id`)},
		"entities_by_ids": byIDs(entities), "last_seen": byIDs(entities), "assertions_by_entities": byIDs(entities),
		"rotations_by_workloads": byIDs(entities), "edges_from": {"kinds": kinds, "ids": entities}, "edges_to": {"kinds": kinds, "ids": entities},
		"entities_page": {"kind": "workload", "limit": 1000}, "count_entities": {"kind": "workload"},
		"sources_by_ids": byIDs(ids(`SELECT id FROM source WHERE organization_id = $1`)),
		"syncs_by_ids":   byIDs(ids(`SELECT id FROM sync WHERE organization_id = $1`)),
		// askService asks both of these for the other parents, too.
		"paths_under": {"parents": of("workload"), "limit": 1000}, "count_paths_under": {"parents": of("workload")},
		"paths_in_clusters": members(pgx.StrictNamedArgs{"limit": 1000}), "paths_in_clusters_sorted": members(pgx.StrictNamedArgs{"limit": 1000}),
		"count_paths_in_clusters": members(pgx.StrictNamedArgs{}),
	}
	all := map[string]pgx.StrictNamedArgs{}
	for name, args := range reads {
		all["authority.read."+name] = args
	}
	all["schedule.due"] = pgx.StrictNamedArgs{
		"instant": column[time.Time](t, super, `SELECT max(recorded_at) + interval '1 hour' FROM evaluation WHERE cause <> 'settings' AND organization_id = $1`, acme)[0]}
	// The invariants read whole tables, from before the first of their keys.
	begin := pgx.StrictNamedArgs{
		"rows": 100_000, "cluster": column[int16](t, super, `SELECT cluster FROM cluster_evidence WHERE organization_id = $1 ORDER BY members DESC LIMIT 1`, acme)[0],
		"action": "", "dimension": "", "value": "", "related": false, "version": 0, "rule": 0, "type": 0, "ordinal": 0, "level": 0, "class": -2,
		"basis": 0, "link_basis": "", "port": 0, "kind": "", "scope": "", "host": "", "day": time.Time{}, "at": time.Time{}, "from_at": time.Time{}, "seq": 0, "change_type": "", "severity": 0,
	}
	for _, query := range db.Parse("invariant", statementFiles(t)["internal/invariant/queries.sql"]).All() {
		args := pgx.StrictNamedArgs{}
		for _, m := range regexp.MustCompile(`@([a-z_]+)`).FindAllStringSubmatch(query.SQL, -1) {
			value, known := begin[m[1]]
			switch {
			case known:
				args[m[1]] = value
			case m[1] == "id" || strings.HasSuffix(m[1], "_id"):
				args[m[1]] = id.Nil
			}
		}
		all[query.Name] = args
	}
	all["db.visible_classes"] = pgx.StrictNamedArgs{"environments": []string{}, "owners": []string{}, "business_tiers": []string{}}
	all["invariant.moved_counters"] = pgx.StrictNamedArgs{"at": time.Time{}, "class": posture.AllClasses, "level": 2}
	return all
}

// sampled are the statements on tenants' rows that are asked with samples.
func sampled(t testing.TB, tables []string) (queries []db.Query) {
	t.Helper()
	files := statementFiles(t)
	for file, h := range held {
		for _, query := range db.Parse(h.pkg, files[file]).All() {
			if h.by == bySamples && mentioning(tables).MatchString(withoutComments(query.SQL)) {
				queries = append(queries, query)
			}
		}
	}
	return queries
}

// mentioning finds where a statement reads or writes one of the tables.
func mentioning(tables []string) *regexp.Regexp {
	return regexp.MustCompile(`\b(FROM|JOIN|UPDATE|USING|INTO)\s+(` + strings.Join(tables, "|") + `)\b(?:\s+([a-z]+)\b)?`)
}

// TestReadPredicatesAlone runs every named statement that reads for acme,
// before and after a rival with the same ids moved in, with row level security
// off; and the service with every condition of its filters.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, s := range quiet() {
		b.play(t, "acme", s)
	}
	b.collect(t)
	_, err := change.NewSequencer(b.DB, time.Now, slog.New(slog.DiscardHandler)).Drain(b.ctx, acme)
	require.NoError(t, err)
	super := b.Super(t)
	dropPolicies(t, super)
	arguments := samples(t, super)
	queries := sampled(t, tenantTables(t, super))
	ask := func() map[string]any {
		answers := map[string]any{}
		snapshot := b.Snapshot()
		defer snapshot.Close(b.ctx)
		for _, query := range queries {
			args, ok := arguments[query.Name]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			rows, err := db.Column[string](b.ctx, snapshot.Of(acme), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, rows, "%s: no answer proves nothing", query.Name)
			slices.Sort(rows) // a statement without its order marker has none
			answers[query.Name] = rows
			if query.Past == "" {
				continue
			}
			whole.Past = "SELECT to_jsonb(q)::text FROM (" + query.Past + ") q"
			rows, err = db.Column[string](b.ctx, snapshot.At(time.Now().AddDate(50, 0, 0)).Of(acme), whole, args) // everything has happened
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, rows, "%s: no past proves nothing", query.Name)
			slices.Sort(rows)
			answers[query.Name+"@past"] = rows
		}
		b.askService(t, snapshot, answers)
		invariants, err := invariant.Check(b.ctx, snapshot, &org.Organization{ID: acme, Slug: "acme"}, posture.Definitions)
		require.NoError(t, err)
		for _, check := range invariants.Checks {
			require.Positive(t, check.Compared, check.Check)
			if check.Check != invariant.Ledger { // the story gives dispositions that nobody decided
				require.Empty(t, check.First, "the story breaks an invariant")
			}
			answers["invariant "+check.Check] = []any{check.Compared, check.First}
		}
		return answers
	}
	b.Statements.Reset()
	before := ask()
	for _, query := range queries {
		require.Contains(t, b.Statements.Sent(), query.Name)
	}
	for _, more := range []func(){func() { shadow(t, super, 100) }, func() { shadow(t, super, -100); crowd(t, super) }} {
		more()
		foreign := marks(t, super, rival)
		after := ask()
		require.Len(t, after, len(before))
		for name, want := range before {
			require.Equal(t, want, after[name], name)
		}
		sameRows(t, foreign, marks(t, super, rival), "reading writes nothing")
	}
}

// collect keeps a file of acme, which is no matter of a sync.
func (b *bench) collect(t testing.TB) {
	t.Helper()
	store, err := object.Open(object.Config{Location: t.TempDir()})
	require.NoError(t, err)
	files := file.New(file.Config{DB: b.DB, Authority: b.service, Store: store, Now: time.Now})
	_, created, err := files.Collect(b.ctx, file.Upload{Organization: "acme", Name: "report.txt", Artifact: "shop:1", Content: strings.NewReader("a report")})
	require.NoError(t, err)
	require.True(t, created)
}

// askService lists through the service, once for each condition that a filter
// can add to a statement.
func (b *bench) askService(t testing.TB, snapshot *db.Snapshot, answers map[string]any) {
	t.Helper()
	first := page.Request{First: pointer(100)}
	note := func(name string, value any, err error) {
		t.Helper()
		require.NoError(t, err, name)
		bytes, err := json.Marshal(value)
		require.NoError(t, err)
		answers["service "+name] = string(bytes)
	}
	orders := map[string]authority.PathOrder{"gravest": {Field: authority.BySensitivity, Descending: true}, "oldest": {Field: authority.ByFirstSeen}}
	workloads := b.idsOf(t, snapshot, record.Workload)
	identities, resources := b.idsOf(t, snapshot, record.Identity), b.idsOf(t, snapshot, record.Resource)
	for name, filter := range map[string]authority.PathFilter{
		"all": {}, "status": {Statuses: []authority.PathStatus{authority.PathActive}}, "domain": {DataDomains: []string{"finance"}},
		"sensitivity": {Sensitivities: []authority.Sensitivity{authority.Restricted, authority.Public}},
		"ownership":   {Ownership: []authority.OwnershipStatus{authority.OwnershipUnknown, authority.OwnershipDegraded, authority.OwnershipOrphaned, authority.OwnershipValid}},
		"egress":      {Egress: []authority.EgressCategory{authority.EgressLLM, authority.EgressExternal}},
		"workload":    {WorkloadIDs: workloads}, "identity": {IdentityIDs: identities}, "resource": {ResourceIDs: resources},
		"effective": {Effective: pointer(true)}, "bound": {Bound: pointer(false)}, "system": {System: "shop"},
		"foreign system": {System: "foreign shop"},
		"exposed":        {Exposures: -1}, "exposure severity": {MaxSeverities: []int16{1, 2, 3, 4}}, "clusters": {Clusters: clusters},
		"seen": {FirstSeenAfter: pointer(epoch), FirstSeenBefore: pointer(epoch.AddDate(0, 0, 90))},
	} {
		count, err := b.service.CountPaths(b.ctx, snapshot, acme, filter)
		note("count "+name, count, err)
		if name != "foreign system" {
			require.Positive(t, count, name)
		}
		for by, order := range orders {
			got, err := b.service.Paths(b.ctx, snapshot, acme, filter, order, first)
			note("paths "+name+" "+by, got.Rows, err)
			for parent, ids := range map[authority.Parent][]id.ID{authority.UnderWorkload: workloads, authority.UnderIdentity: identities, authority.UnderResource: resources} {
				list := &authority.PathList{Parent: parent, Filter: filter, Order: order, Request: first}
				pages, err := b.service.PathsUnder(b.ctx, snapshot, acme, list, ids)
				rows := make([]any, len(ids))
				for i, id := range ids {
					rows[i] = pages[id].Rows
				}
				note("under "+string(parent)+" "+name+" "+by, rows, err)
				counts, err := b.service.CountPathsUnder(b.ctx, snapshot, acme, list, ids)
				note("count under "+string(parent)+" "+name, counts, err)
			}
		}
	}
	for _, field := range []authority.PathOrderField{authority.ByRank, authority.BySensitivity} {
		for _, status := range [][]authority.PathStatus{nil, {authority.PathActive}} {
			list := &authority.ClusterList{Level: 3, Filter: authority.PathFilter{Statuses: status}, Order: authority.PathOrder{Field: field}, Request: first}
			pages, err := b.service.PathsInClusters(b.ctx, snapshot, acme, list, clusters)
			rows := make([]any, len(clusters))
			for i, cluster := range clusters {
				rows[i] = pages[cluster].Rows
			}
			note(fmt.Sprint("in clusters by ", field, " ", status), rows, err)
			counts, err := b.service.CountPathsInClusters(b.ctx, snapshot, acme, list, clusters)
			note(fmt.Sprint("count in clusters ", status), counts, err)
		}
	}
	for name, filter := range map[string]authority.EntityFilter{
		"status": {Statuses: []record.Status{record.Active}}, "system": {Systems: []string{"shop"}}, "environment": {Environments: []string{"production", "staging"}},
		"source id": {SourceIDs: []string{"checkout"}}, "prefix": {NamePrefix: "Check"},
	} {
		got, err := b.service.Entities(b.ctx, snapshot, acme, record.Workload, filter, first)
		note("entities "+name, got.Rows, err)
		require.NotEmpty(t, got.Rows, name)
		count, err := b.service.CountEntities(b.ctx, snapshot, acme, record.Workload, filter)
		note("count entities "+name, count, err)
	}
	sources, err := b.service.Sources(b.ctx, snapshot, acme)
	note("sources", sources, err)
	for name, filter := range map[string]authority.SyncFilter{"source": {SourceIDs: []id.ID{sources[0].ID}}, "outcome": {Outcomes: []authority.Outcome{authority.Applied}}} {
		got, err := b.service.Syncs(b.ctx, snapshot, acme, filter, first)
		note("syncs "+name, got.Rows, err)
		require.NotEmpty(t, got.Rows, name)
		count, err := b.service.CountSyncs(b.ctx, snapshot, acme, filter)
		note("count syncs "+name, count, err)
	}
	assertions, err := b.service.AssertionsByEntities(b.ctx, snapshot, acme, workloads)
	note("assertions", assertions, err)
	seen, err := b.service.LastSeen(b.ctx, snapshot, acme, workloads)
	slices.SortFunc(seen, func(x, y *authority.Seen) int { return slices.Compare(x.ID[:], y.ID[:]) })
	note("last seen", seen, err)
}

func (b *bench) idsOf(t testing.TB, snapshot *db.Snapshot, kind record.EntityKind) (ids []id.ID) {
	t.Helper()
	got, err := b.service.Entities(b.ctx, snapshot, acme, kind, authority.EntityFilter{}, page.Request{First: pointer(100)})
	require.NoError(t, err)
	require.NotEmpty(t, got.Rows)
	for _, entity := range got.Rows {
		ids = append(ids, entity.ID)
	}
	return ids
}

package db_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// route is what identifies and makes up a path.
type route struct {
	Organization id.ID    `json:"organization"`
	Workload     id.ID    `json:"workload"`
	Identity     *id.ID   `json:"identity"`
	Resource     id.ID    `json:"resource"`
	Roles        []id.ID  `json:"roles"`
	Actions      []string `json:"actions"`
}

type derived struct {
	Path, Lineage id.ID
	Composition   []byte
	Sorted        []string
	Row           string
}

// derive asks the functions of the database, all routes in one query.
func derive(t require.TestingT, conn *pgx.Conn, routes []route) []derived {
	list, err := json.Marshal(routes)
	require.NoError(t, err)
	rows, err := conn.Query(context.Background(), `
		SELECT authority_path_id(x.organization, x.workload, x.identity, x.resource) AS path,
		       authority_lineage_id(x.organization, x.workload, x.resource) AS lineage,
		       composition_hash(x.workload, x.identity, x.resource, composition_tail(x.roles, x.actions)) AS composition,
		       sorted_distinct(x.actions) AS sorted,
		       workload_exposure_digest(x.organization, x.workload) AS row
		FROM ROWS FROM (json_to_recordset($1::json) AS (organization uuid, workload uuid, identity uuid, resource uuid, roles uuid[], actions text[]))
		     WITH ORDINALITY AS x(organization, workload, identity, resource, roles, actions, n)
		ORDER BY n`, string(list))
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowToStructByName[derived])
	require.NoError(t, err)
	require.Len(t, got, len(routes))
	return got
}

// TestDatabaseDerivesTheSameIdentifiers holds the SQL functions to the golden
// vectors that internal/id is held to.
func TestDatabaseDerivesTheSameIdentifiers(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../internal/id/testdata/vectors.json")
	require.NoError(t, err)
	var v struct {
		AuthorityPaths, Lineages []struct {
			route
			ID id.ID `json:"id"`
		}
		Compositions []struct {
			route
			Hash string `json:"hash"`
		}
	}
	require.NoError(t, json.Unmarshal(content, &v))
	require.NotEmpty(t, v.AuthorityPaths)
	require.NotEmpty(t, v.Lineages)
	require.NotEmpty(t, v.Compositions)
	conn := dbtest.New(t).Runtime(t)

	var routes []route
	for _, p := range v.AuthorityPaths {
		routes = append(routes, p.route)
	}
	for i, got := range derive(t, conn, routes) {
		require.Equal(t, v.AuthorityPaths[i].ID, got.Path, i)
	}
	routes = nil
	for _, l := range v.Lineages {
		routes = append(routes, l.route)
	}
	for i, got := range derive(t, conn, routes) {
		require.Equal(t, v.Lineages[i].ID, got.Lineage, i)
	}
	routes = nil
	for _, c := range v.Compositions {
		routes = append(routes, c.route)
	}
	for i, got := range derive(t, conn, routes) {
		require.Equal(t, v.Compositions[i].Hash, hex.EncodeToString(got.Composition), i)
	}
}

// TestDatabaseAndProgramAgree draws what no vector thought of.
func TestDatabaseAndProgramAgree(t *testing.T) {
	t.Parallel()
	conn := dbtest.New(t).Runtime(t)
	identifier := rapid.Custom(func(rt *rapid.T) (drawn id.ID) {
		copy(drawn[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "bytes"))
		return drawn
	})
	// A text of the database has no NUL; everything else that is UTF-8 it has.
	text := rapid.OneOf(rapid.String(), rapid.StringN(0, 3, -1)).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })
	one := rapid.Custom(func(rt *rapid.T) route {
		return route{
			Organization: identifier.Draw(rt, "organization"), Workload: identifier.Draw(rt, "workload"),
			Identity: rapid.Ptr(identifier, true).Draw(rt, "identity"), Resource: identifier.Draw(rt, "resource"),
			Roles: rapid.SliceOfN(identifier, 0, 5).Draw(rt, "roles"), Actions: rapid.SliceOfN(text, 0, 6).Draw(rt, "actions"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		routes := rapid.SliceOfN(one, 1, 64).Draw(rt, "routes")
		for i, got := range derive(rt, conn, routes) {
			r := routes[i]
			require.Equal(rt, id.AuthorityPath(r.Organization, r.Workload, r.Identity, r.Resource), got.Path)
			require.Equal(rt, id.Lineage(r.Organization, r.Workload, r.Resource), got.Lineage)
			composition := id.Composition(r.Workload, r.Identity, r.Resource, r.Roles, r.Actions)
			require.Equal(rt, composition[:], got.Composition)
			row := id.WorkloadExposure(r.Organization, r.Workload)
			require.Equal(rt, hex.EncodeToString(row[:]), got.Row)
			require.Equal(rt, sortedByBytes(r.Actions), got.Sorted, "a union is sorted as Go sorts, or the composition of two sources differs from that of one")
		}
	})
}

func sortedByBytes(texts []string) []string {
	sorted := append([]string{}, texts...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

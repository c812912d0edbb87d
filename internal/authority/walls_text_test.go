package authority_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
)

// otherSchema are folders whose statements are for tables of their own.
var otherSchema = map[string]string{
	"internal/benchmark/": "measures what PostgreSQL itself can do, beside the product's tables",
}

// root of the repository.
var root = filepath.Join("..", "..")

// statementFiles are all files of named statements, by their path from the root.
// They are searched for, so that those of a new package are in every test here
// without being named.
func statementFiles(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "node_modules" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".sql" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(content), "\n-- name: ") || strings.HasPrefix(string(content), "-- name: ") {
			relative, _ := filepath.Rel(root, path)
			relative = filepath.ToSlash(relative)
			for folder := range otherSchema {
				if strings.HasPrefix(relative, folder) {
					return nil
				}
			}
			files[relative] = string(content)
		}
		return err
	}))
	return files
}

// temporary are the scripts that make the temporary tables of a change, in order.
var temporary = []struct {
	file    string
	scripts []string
}{
	{"internal/authority/sync.sql", []string{"create_stage", "create_work"}},
	{"internal/exposure/assess.sql", []string{"create_judgement"}},
	{"internal/posture/count.sql", []string{"create_work"}},
	{"internal/posture/summary.sql", []string{"create_summary"}},
	{"internal/asset/merge.sql", []string{"create_work"}},
	{"internal/asset/link.sql", []string{"create_links"}},
}

// composed is a statement that is none before something stands in the place of a
// marker: a whole condition, or the body of another statement. The test beside it,
// which held names, runs it complete.
var composed = regexp.MustCompile(`\(\s*/\* (condition|rows|find_\w+) \*/\s*\)|WHERE /\* condition \*/;?\s*$`)

// TestEveryStatementPrepares holds every named statement of the program against
// the migrated schema, also those that no other test sends.
func TestEveryStatementPrepares(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	files := statementFiles(t)
	for _, known := range []string{"db/queries.sql", "internal/access/queries.sql", "internal/org/queries.sql", "internal/authority/queries.sql", "internal/authority/sync.sql"} {
		require.Contains(t, files, known)
	}
	database := dbtest.New(t)
	for file, content := range files {
		conn := database.Runtime(t)
		tx, err := conn.Begin(ctx) // the temporary tables of a sync live in it
		require.NoError(t, err)
		for _, tables := range temporary {
			for _, script := range tables.scripts {
				_, err := conn.Exec(ctx, db.Parse(tables.file, files[tables.file]).Get(script).SQL)
				require.NoError(t, err)
			}
		}
		for _, query := range db.Parse(file, content).All() {
			if strings.Contains(withoutComments(query.SQL), ";") { // a script takes no arguments and is sent as it stands
				if !strings.Contains(query.SQL, "CREATE TEMPORARY") {
					_, err := conn.Exec(ctx, query.SQL)
					require.NoError(t, err, query.Name)
				}
				continue
			}
			if composed.MatchString(query.SQL) {
				held, named := held[file]
				require.True(t, named && held.by != byStory && held.by != bySamples, "%s is composed, and no test beside it runs it", query.Name)
				continue
			}
			sql, _, err := pgx.NamedArgs{}.RewriteQuery(ctx, conn, query.SQL, nil)
			require.NoError(t, err, query.Name)
			_, err = conn.Prepare(ctx, "", sql)
			require.NoError(t, err, query.Name)
		}
		require.NoError(t, tx.Rollback(ctx))
	}
}

func withoutComments(sql string) string {
	var lines []string
	for line := range strings.Lines(sql) {
		code, _, _ := strings.Cut(line, "--")
		lines = append(lines, code)
	}
	return strings.Join(lines, "\n")
}

// creating finds what makes work tables.
var creating = regexp.MustCompile(`^/\* \S+ \*/\s+CREATE TEMPORARY TABLE`)

// timeMarks are the marks of time, in statements and in conditions.
var timeMarks = regexp.MustCompile(`/\* (?:page at|at|open|bare|bare any|seen) \*/ `)

// TestEveryTableOfAStatementHasItsPredicate counts. What a statement answers
// cannot prove every predicate: where rows are only counted as there or not, or
// where too much is derived again with the same result, a missing one does not
// show. So each mention of a tenant table must come with its own predicate.
func TestEveryTableOfAStatementHasItsPredicate(t *testing.T) {
	t.Parallel()
	tables := tenantTables(t, dbtest.New(t).Super(t))
	mention := mentioning(tables)
	comma := regexp.MustCompile(`,\s*(` + strings.Join(tables, "|") + `)\s+[a-z]+\b`)
	insert := regexp.MustCompile(`INSERT INTO (?:` + strings.Join(tables, "|") + `) \(organization_id, [^)]*\)\s+(?:SELECT|VALUES \()\s*@organization\b`)
	var queries []db.Query
	for file, content := range statementFiles(t) {
		for _, query := range db.Parse(file, content).All() {
			queries = append(queries, query)
			if query.Past != "" { // as it is written, the relations as the tables that they stand for
				queries = append(queries, db.Query{Name: query.Name + "@past", SQL: timeMarks.ReplaceAllString(query.Past, "")})
			}
			for _, seen := range []string{query.Seen, query.SeenPast} { // where it is written out
				if seen != "" {
					queries = append(queries, db.Query{Name: query.Name + "@seen", SQL: timeMarks.ReplaceAllString(seen, "")})
				}
			}
		}
	}
	past, err := os.ReadFile(filepath.Join(root, "db", "past.sql"))
	require.NoError(t, err)
	relations := strings.ReplaceAll(string(past), "-- relation: ", "-- name: ")
	queries = append(queries, db.Parse("relation", relations).All()...)
	sight, err := os.ReadFile(filepath.Join(root, "db", "sight.sql"))
	require.NoError(t, err)
	for _, part := range regexp.MustCompile(`(?m)^-- (?:rows|counted): `).Split(string(sight), -1)[1:] {
		name, text, _ := strings.Cut(part, "\n")
		queries = append(queries, db.Query{Name: "sight of " + name, SQL: timeMarks.ReplaceAllString(text, "")})
	}
	mentions := 0
	for _, query := range queries {
		sql := withoutComments(query.SQL)
		byAlias, inserts := map[string]int{}, 0
		for _, m := range mention.FindAllStringSubmatch(sql, -1) {
			mentions++
			if m[1] == "INTO" {
				inserts++
				continue
			}
			byAlias[m[3]]++
		}
		require.Len(t, insert.FindAllString(sql, -1), inserts, "%s writes the tenant itself", query.Name)
		if creating.MatchString(sql) {
			require.Equal(t, strings.Count(sql, "WITH NO DATA"), byAlias[""], "%s fills nothing", query.Name)
			continue // the columns of a table are no list of tables
		}
		require.Empty(t, comma.FindAllString(sql, -1), "%s: write a join, so that this test sees it", query.Name)
		require.NotRegexp(t, `organization_id = @organization\s+OR\b|\bOR\s+(?:[a-z]+\.)?organization_id = @organization`, sql, "%s: the predicate is no alternative", query.Name)
		for alias, want := range byAlias {
			predicate := regexp.MustCompile(`\b` + alias + `\.organization_id = @organization\b`)
			if alias == "" {
				predicate = regexp.MustCompile(`[^.\w]organization_id = @organization\b`)
			}
			require.Len(t, predicate.FindAllString(sql, -1), want, "%s: predicates of %q", query.Name, alias)
		}
	}
	require.Greater(t, mentions, 300)

	// The conditions of filters are written in Go.
	fragment := regexp.MustCompile(`\b(?:FROM|JOIN)\s+(?:` + strings.Join(tables, "|") + `)\s+([a-z]+) (.*)`)
	fragments := 0
	for _, folder := range []string{"internal", "graph", "db"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range fragment.FindAllStringSubmatch(timeMarks.ReplaceAllString(string(source), ""), -1) {
				fragments++
				require.Regexp(t, `^(WHERE|ON) `+m[1]+`\.organization_id = (@organization|[a-z]+\.organization_id)\b`, m[2], "%s: %s", path, m[0])
			}
			return err
		}))
	}
	require.GreaterOrEqual(t, fragments, 4)
}

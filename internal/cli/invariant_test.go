package cli_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
)

func TestInvariantCheck(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	w := world{env: map[string]string{"DATABASE_URL": database.RuntimeURL}}
	check := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		got, stdout, stderr := w.run(t.Context(), append([]string{"invariant", "check"}, args...)...)
		require.Equal(t, code, got, "%v: %s%s", args, stdout, stderr)
		return stdout, stderr
	}

	stdout, stderr := check(0)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "no organization")
	stdout, _ = check(0, "-o", "json")
	require.Equal(t, "[]\n", stdout)

	super := database.Super(t)
	for _, slug := range []string{"acme", "rival"} {
		_, err := super.Exec(t.Context(), `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, now())`, id.Organization(slug), slug)
		require.NoError(t, err)
	}
	stdout, _ = check(0)
	require.Regexp(t, `(?m)^skipped +acme +paths +there is nothing to compare$`, stdout)
	require.Contains(t, stdout, "rival")
	_, stderr = check(4, "--org", "nobody")
	require.Contains(t, stderr, "ORGANIZATION_NOT_FOUND")
	_, stderr = check(4, "--org", "No Slug")
	require.Contains(t, stderr, "ORGANIZATION_NOT_FOUND")

	_, err := super.Exec(t.Context(), `INSERT INTO cluster_workload (organization_id, cluster, level, class, workload_id, members)
		SELECT $1, 1, 1, n, md5(n::text)::uuid, 3 FROM generate_series(1, 25) AS n`, id.Organization("rival"))
	require.NoError(t, err)
	stdout, _ = check(1)
	require.Regexp(t, `(?m)^failed +rival +references +25 compared, 25 wrong$`, stdout)
	require.Regexp(t, `(?m)^ +cluster 1, level 1, class \d+, [0-9a-f-]+: workloads differ; it should be 0; it is 3$`, stdout)
	require.Contains(t, stdout, "and 5 more")
	stdout, _ = check(0, "--org", "acme")
	require.NotContains(t, stdout, "rival")

	stdout, _ = check(1, "--org", "rival", "-o", "json")
	var reports []invariant.Report
	require.NoError(t, json.Unmarshal([]byte(stdout), &reports))
	require.Len(t, reports, 1)
	require.Equal(t, "rival", reports[0].Organization)
	for _, result := range reports[0].Checks {
		if result.Check == invariant.References {
			require.Equal(t, int64(25), result.Findings)
			require.Len(t, result.First, 20)
		} else {
			require.Zero(t, result.Findings, result.Check)
		}
	}

	// A ledger that is not what was written, at its place.
	_, err = super.Exec(t.Context(), `INSERT INTO ledger_head (organization_id, seq, hash, at) VALUES ($1, 3, sha256('x'), now())`, id.Organization("acme"))
	require.NoError(t, err)
	stdout, _ = check(1, "--org", "acme")
	require.Regexp(t, `(?m)^failed +acme +ledger +0 compared, 1 wrong$`, stdout)
	require.Regexp(t, `(?m)^ +entry 0: HEAD_MISMATCH: the head says that there are 3 entries; the last is 0$`, stdout)

	w.env = nil
	_, stderr = check(4, "--data-dir", filepath.Join(t.TempDir(), "none"))
	require.Contains(t, stderr, "DATABASE_MISSING")
	check(2, "--owner-database-url", database.OwnerURL)
	check(2, "-o", "csv")
	check(2, "extra")
	check(7, "--database-url", dbtest.Empty(t).RuntimeURL)
}

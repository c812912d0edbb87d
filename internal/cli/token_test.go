package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
)

// TestTokens: what is made is on record, can be listed and revoked, and no command
// but create prints a token.
func TestTokens(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner := world{env: map[string]string{"DATABASE_URL": database.RuntimeURL, "EXPOSUREGRAPH_OWNER_DATABASE_URL": database.OwnerURL}}
	var made struct {
		Token, ID  string
		Attributes map[string][]string
	}
	code, stdout, stderr := owner.run(t.Context(), "token", "create", "--org", "acme", "--subject", "ann", "--delegate", "bot", "--delegate", "ci",
		"--attribute", "env=prod", "--attribute", "env=staging", "--attribute", "business_tier=1", "--ttl", "5m", "-o", "json")
	require.Zero(t, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &made))
	require.Equal(t, map[string][]string{"env": {"prod", "staging"}, "business_tier": {"1"}}, made.Attributes)

	code, stdout, _ = owner.run(t.Context(), "token", "create", "--all-orgs", "--role", "admin")
	require.Zero(t, code)
	plain := strings.TrimSpace(stdout)

	code, stdout, _ = owner.run(t.Context(), "token", "list", "-o", "json")
	require.Zero(t, code)
	var list []struct {
		ID, Subject string
		Delegates   []string
		Attributes  map[string][]string
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	require.Len(t, list, 2)
	require.NotContains(t, stdout, plain)
	code, stdout, _ = owner.run(t.Context(), "token", "list", "--subject", "ann", "-o", "ndjson")
	require.Zero(t, code)
	require.Equal(t, 1, strings.Count(stdout, "\n"))
	require.Contains(t, stdout, `"delegates":["bot","ci"]`)
	require.Contains(t, stdout, `"attributes":{"business_tier":["1"],"env":["prod","staging"]}`)

	code, stdout, stderr = owner.run(t.Context(), "token", "revoke", made.ID, "--by", "root")
	require.Zero(t, code, stderr)
	require.Equal(t, "revoked "+made.ID+" of ann\n", stdout)
	code, stdout, _ = owner.run(t.Context(), "token", "list")
	require.Zero(t, code)
	require.NotContains(t, stdout, made.ID)
	code, stdout, _ = owner.run(t.Context(), "token", "list", "--all")
	require.Zero(t, code)
	require.Regexp(t, made.ID+` .*2026-03-01T12:00:00Z by root`, stdout)

	owner.stdin = plain + "\n"
	code, stdout, _ = owner.run(t.Context(), "token", "revoke", "-", "-o", "json")
	require.Zero(t, code)
	require.Contains(t, stdout, `"revokedBy":"cli"`)
	require.NotContains(t, stdout, plain)
	code, _, stderr = owner.run(t.Context(), "token", "revoke", "nonsense")
	require.Equal(t, 4, code)
	require.Contains(t, stderr, "TOKEN_NOT_FOUND")
}

func TestHashSecret(t *testing.T) {
	t.Parallel()
	code, stdout, _ := world{}.run(t.Context(), "token", "hash-secret")
	require.Zero(t, code)
	require.Regexp(t, `^secret: \w{50,}\nhash: pbkdf2-sha256\$600000\$\S+\$\S+\n$`, stdout)
	code, stdout, _ = world{stdin: "correct horse battery staple\n"}.run(t.Context(), "token", "hash-secret", "-")
	require.Zero(t, code)
	require.Regexp(t, `^pbkdf2-sha256\$600000\$\S+\$\S+\n$`, stdout)
	code, stdout, stderr := world{stdin: "short\n"}.run(t.Context(), "token", "hash-secret", "-")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "SECRET_WEAK")
	require.NotContains(t, stdout+stderr, "short\n")
}

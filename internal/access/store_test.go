package access_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestStoredKeys(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	verifier := access.NewVerifier(access.Stored(database.DB), func() time.Time { return now })
	actor := access.Actor{Subject: "ada", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: []string{"acme"}, ExpiresAt: now.Add(time.Hour)}

	// Programs that start together make one key between them.
	var wait sync.WaitGroup
	keys := make([]access.Key, 4)
	for i := range keys {
		wait.Go(func() {
			key, err := access.EnsureKey(t.Context(), database.OwnerURL, now)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wait.Wait()
	for _, key := range keys {
		require.Equal(t, keys[0], key)
	}

	token, err := access.Issue(keys[0], actor, time.Hour, now)
	require.NoError(t, err)
	got, err := verifier.Verify(t.Context(), token)
	require.NoError(t, err)
	require.NotEmpty(t, got.TokenID)
	actor.TokenID = got.TokenID
	require.Equal(t, actor, got)
}

func TestRuntimeRoleReadsNoPrivateKey(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	_, err := access.EnsureKey(t.Context(), database.RuntimeURL, time.Now())
	require.Equal(t, problem.Invalid, problem.KindOf(err))
	require.ErrorContains(t, err, "--owner-database-url")
	for _, statement := range []string{
		"SELECT * FROM token_key_secret", "INSERT INTO token_key VALUES ('x', 'x', now())",
		"DELETE FROM token_key", "UPDATE token_key SET public_key = 'x'",
	} {
		_, err := database.Runtime(t).Exec(t.Context(), statement)
		require.ErrorContains(t, err, "permission denied", statement)
	}
}

func TestEnsureKeyWithoutSchema(t *testing.T) {
	t.Parallel()
	database := dbtest.Empty(t)
	_, err := access.EnsureKey(t.Context(), database.OwnerURL, time.Now())
	require.Equal(t, problem.Unavailable, problem.KindOf(err))
	require.ErrorContains(t, err, "migrate up")
	_, err = access.EnsureKey(t.Context(), "postgres:///?host=/nowhere", time.Now())
	require.Equal(t, problem.Unavailable, problem.KindOf(err))
}

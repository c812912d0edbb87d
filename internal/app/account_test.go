package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/access/account/accounttest"
	"github.com/exposuregraph/exposuregraph/internal/cli"
)

const newSecret = "the next secret of the scanner"

var newHash = accounttest.HashOf(newSecret)

// rewrite changes texts of a file, in pairs.
func rewrite(t *testing.T, path string, pairs ...string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, string(content), pairs[i])
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(content))), 0o600))
}

// TestServiceAccountsAreReadAgain: whole or not at all, and what was issued to accounts
// that lost something ends on every replica.
func TestServiceAccountsAreReadAgain(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c, log := issuing(t, database)
	a, _ := start(t, c)
	second := config(database)
	second.OwnerDatabaseURL = ""
	b, _ := start(t, second)
	require.NoError(t, b.ReloadAccounts(t.Context()), "it has none")
	deliver(t, a, tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}), time.Now().Add(-time.Hour), "first")
	require.Contains(t, log.String(), `msg="service accounts" accounts=5`)
	tokens := map[string]string{}
	for _, id := range []string{"scanner", "auditor", "limited", "root", "other"} {
		tokens[id] = grantOf(t, a, id).AccessToken
		require.NotEmpty(t, tokens[id])
	}
	works := func(id string) bool {
		_, code := refusalOf(t, a, tokens[id])
		return code == ""
	}
	path := c.Tokens.ServiceAccounts
	good, err := os.ReadFile(path)
	require.NoError(t, err)

	// Mistakes: each has a line, and nothing of the file counts.
	rewrite(t, path, "id: auditor", "id: newcomer", "vuln:investigate", "vuln:veiw", "env: [prod, staging]", "region: [prod]")
	err = a.ReloadAccounts(t.Context())
	require.ErrorContains(t, err, "the service accounts have mistakes")
	require.Contains(t, log.String(), `level=ERROR msg="a mistake in the service accounts" file=`+path+` line=2 field=accounts[0].scopes[1]`)
	require.Contains(t, log.String(), `level=ERROR msg="a mistake in the service accounts" file=`+path+` line=4 field=accounts[2].attributes`)
	require.Contains(t, log.String(), `msg="the service accounts of before stay in force" accounts=5`)
	require.NoError(t, os.Remove(path))
	require.ErrorContains(t, a.ReloadAccounts(t.Context()), "cannot be read")
	for id := range tokens {
		require.Equal(t, 200, grantOf(t, a, id).status, id)
		require.True(t, works(id), id)
	}
	require.Equal(t, 401, grantOf(t, a, "newcomer").status)

	// One that is right: an account comes, one goes, one has less and one another secret.
	require.NoError(t, os.WriteFile(path, good, 0o600))
	rewrite(t, path, "id: auditor", "id: newcomer", "env: [prod, staging]", "env: [prod]", "id: scanner, secret: "+clientHash(), "id: scanner, secret: "+newHash())
	require.NoError(t, a.ReloadAccounts(t.Context()))
	require.Contains(t, log.String(), `msg="service accounts" accounts=5 added=[newcomer] changed="[limited scanner]" gone=[auditor] tokens_revoked=4`)
	require.Equal(t, "CLIENT_CREDENTIALS", grantOf(t, a, "auditor").Code)
	require.Equal(t, "CLIENT_CREDENTIALS", grantOf(t, a, "scanner").Code, "by the secret of before")
	require.Equal(t, "ATTRIBUTE_NOT_ALLOWED", grantOf(t, a, "limited", "vuln_env", "staging").Code)
	require.Equal(t, "prod", grantOf(t, a, "limited").Env)
	require.Equal(t, 200, grantOf(t, a, "newcomer").status)
	for _, id := range []string{"auditor", "limited"} {
		requireSoonRefused(t, a, tokens[id], "TOKEN_REVOKED")
		requireSoonRefused(t, b, tokens[id], "TOKEN_REVOKED")
	}
	for _, id := range []string{"scanner", "root", "other"} {
		require.True(t, works(id), id)
	}
	_, metrics := plain(t, a, "", "/metrics")
	require.Contains(t, string(metrics), "exposuregraph_service_accounts 5\n")

	// What could not be revoked is revoked by the next reading.
	super := database.Super(t)
	_, err = super.Exec(t.Context(), `ALTER TABLE access_token RENAME COLUMN delegates TO delegates_away`)
	require.NoError(t, err)
	rewrite(t, path, "id: other", "id: another")
	require.Error(t, a.ReloadAccounts(t.Context()))
	require.Contains(t, log.String(), "the tokens of service accounts could not be revoked")
	require.Equal(t, "CLIENT_CREDENTIALS", grantOf(t, a, "other").Code, "it is gone all the same")
	_, err = super.Exec(t.Context(), `ALTER TABLE access_token RENAME COLUMN delegates_away TO delegates`)
	require.NoError(t, err)
	require.True(t, works("other"))
	require.NoError(t, a.ReloadAccounts(t.Context()))
	requireSoonRefused(t, b, tokens["other"], "TOKEN_REVOKED")

	rows, err := super.Query(t.Context(), `SELECT concat_ws(' ', subject, outcome, door, (SELECT string_agg(n || '=' || v, ' ' ORDER BY i) FROM unnest(property_names, property_values) WITH ORDINALITY AS p(n, v, i)))
		FROM audit_shared_entry WHERE action = 'service_accounts.read' ORDER BY at, id`)
	require.NoError(t, err)
	told, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{
		"service-accounts SERVICE_ACCOUNTS_INVALID issuer accounts=5", "service-accounts SERVICE_ACCOUNTS_UNREADABLE issuer accounts=5",
		"service-accounts done issuer accounts=5 added=newcomer changed=limited scanner gone=auditor tokensRevoked=4",
		"service-accounts INTERNAL issuer accounts=5 added=another gone=other", "service-accounts done issuer accounts=5 tokensRevoked=2",
	}, told)
	var revoked int
	require.NoError(t, super.QueryRow(t.Context(), `SELECT count(*) FROM audit_entry WHERE action = 'token.revoked' AND subject = 'service-accounts'`).Scan(&revoked))
	require.Equal(t, 4, revoked, "each token is on record; those for demo, which there is not, in the server's log")
	for _, secret := range []string{clientSecret, clientHash(), newSecret, newHash()} {
		require.NotContains(t, log.String(), secret)
	}
}

// TestReadingAtOnce: whoever gets tokens while the file changes gets whole ones, of the
// file before or after, and afterwards of the last.
func TestReadingAtOnce(t *testing.T) {
	t.Parallel()
	c, _ := issuing(t, dbtest.New(t))
	path := c.Tokens.ServiceAccounts
	// Each has more than the one before, so that no token has to be revoked.
	stages := []string{"vuln:view", "vuln:view, vuln:investigate", "vuln:view, vuln:investigate, vuln:operate", "vuln:view, vuln:investigate, vuln:operate, vuln:audit"}
	stage := func(n int) string {
		return fmt.Sprintf("scopes: [%s], organizations: [acme], ttl: %dm", stages[n], n+1)
	}
	rewrite(t, path, "scopes: [vuln:view, vuln:investigate, vuln:operate], organizations: [acme], ttl: 15m", stage(0))
	a, _ := start(t, c)
	require.Equal(t, 60, grantOf(t, a, "scanner").ExpiresIn)
	var clients sync.WaitGroup
	ended := make(chan struct{})
	for range 3 {
		clients.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				request, _ := http.NewRequest(http.MethodPost, a.URL()+"/oauth/token", strings.NewReader("grant_type=client_credentials"))
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				request.SetBasicAuth("scanner", strings.NewReplacer("%", "%25", "+", "%2B", "&", "%26", " ", "+").Replace(clientSecret))
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(response.Body)
				_ = response.Body.Close()
				text := string(body)
				whole := false
				for n, scopes := range stages {
					whole = whole || strings.Contains(text, fmt.Sprintf(`"expires_in":%d,"scope":%q`, 60*(n+1), strings.ReplaceAll(scopes, ",", "")))
				}
				if !whole && response.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("%d %s", response.StatusCode, text)
				}
			}
		})
	}
	for n := range stages[1:] {
		rewrite(t, path, stage(n), stage(n+1))
		require.NoError(t, a.ReloadAccounts(t.Context()))
		require.Equal(t, 60*(n+2), grantOf(t, a, "scanner").ExpiresIn)
	}
	close(ended)
	clients.Wait()
}

// TestHangup: the signal has a server that was started on the command line read its
// service accounts again, and it serves on.
func TestHangup(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	path := accountsFile(t)
	var stdout, stderr lines
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, cli.Process{
			Args: []string{"serve", "--listen", "127.0.0.1:0", "--database-url", database.RuntimeURL, "--owner-database-url", database.OwnerURL,
				"--service-accounts", path, "--data-dir", t.TempDir(), "--file-store", t.TempDir()},
			Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: time.Now, LookupEnv: func(string) (string, bool) { return "", false },
		})
	}()
	soon := func(l *lines, text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(l.String(), text) }, time.Minute, 20*time.Millisecond, "%s\n%s", text, stderr.String())
	}
	soon(&stdout, "ready\n")
	rewrite(t, path, "id: auditor", "id: newcomer")
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	soon(&stderr, "newcomer")
	rewrite(t, path, "id: newcomer", "id: the newcomer")
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	soon(&stderr, "is no id of an account")
	stop()
	require.Zero(t, <-ended, stderr.String())
}

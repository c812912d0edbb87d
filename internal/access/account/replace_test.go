package account_test

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access/account"
	"github.com/exposuregraph/exposuregraph/internal/access/account/accounttest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const otherSecret = "another horse, another battery"

var otherHash = accounttest.HashOf(otherSecret)

// altered are the accounts of a file in which texts are replaced, in pairs.
func altered(t *testing.T, pairs ...string) []*account.Account {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, whole(), pairs[i])
	}
	accounts, err := account.Parse("accounts.yaml", []byte(strings.NewReplacer(pairs...).Replace(whole())))
	require.NoError(t, err)
	return accounts
}

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestReplace(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		alter []string
		want  account.Change
	}{
		"nothing":              {nil, account.Change{}},
		"another name":         {[]string{"id: root", "id: toor"}, account.Change{Added: []string{"toor"}, Gone: []string{"root"}}},
		"a secret":             {[]string{"secret: " + theHash(), "secret: " + otherHash()}, account.Change{Changed: []string{"ci-scanner"}}},
		"a shorter life":       {[]string{"ttl: 15m", "ttl: 5m"}, account.Change{Changed: []string{"ci-scanner"}}},
		"fewer delegates":      {[]string{"[ada@example.com, bot]", "[bot]"}, account.Change{Changed: []string{"ci-scanner"}}},
		"an admin":             {[]string{"role: client", "role: admin"}, account.Change{Changed: []string{"ci-scanner"}}},
		"a client":             {[]string{"role: admin", "role: client"}, account.Change{Changed: []string{"root"}, Less: []string{"root"}}},
		"another scope":        {[]string{"[vuln:view, vuln:operate]", "[vuln:view, vuln:audit, vuln:operate]"}, account.Change{Changed: []string{"ci-scanner"}}},
		"a scope less":         {[]string{"[vuln:view, vuln:operate]", "[vuln:view, vuln:audit]"}, account.Change{Changed: []string{"ci-scanner"}, Less: []string{"ci-scanner"}}},
		"all organizations":    {[]string{"[acme, demo]", "all"}, account.Change{Changed: []string{"ci-scanner"}}},
		"an organization":      {[]string{"organizations: all", "organizations: [acme]"}, account.Change{Changed: []string{"root"}, Less: []string{"root"}}},
		"another one":          {[]string{"[acme, demo]", "[acme, other]"}, account.Change{Changed: []string{"ci-scanner"}, Less: []string{"ci-scanner"}}},
		"a value more":         {[]string{"[prod, staging]", "[prod, staging, dev]"}, account.Change{Changed: []string{"ci-scanner"}}},
		"a value less":         {[]string{"[prod, staging]", "[prod]"}, account.Change{Changed: []string{"ci-scanner"}, Less: []string{"ci-scanner"}}},
		"no values":            {[]string{"      env: [prod, staging]\n", ""}, account.Change{Changed: []string{"ci-scanner"}}},
		"an attribute besides": {[]string{"      business_tier", "      owner: [a]\n      business_tier"}, account.Change{Changed: []string{"ci-scanner"}, Less: []string{"ci-scanner"}}},
	} {
		desk := account.NewDesk(parse(t), noon)
		require.Equal(t, row.want, desk.Replace(altered(t, row.alter...)), name)
		require.Equal(t, 2, desk.Len(), name)
	}
}

// TestReplacedSecret: what is remembered of a secret does not outlast it, and what is
// known of an account does not outlast the account.
func TestReplacedSecret(t *testing.T) {
	t.Parallel()
	desk := account.NewDesk(parse(t), noon)
	enter := func(id, secret string) (*account.Account, error) {
		return desk.Authenticate(t.Context(), id, secret, "10.0.0.1")
	}
	before, err := enter("ci-scanner", secret)
	require.NoError(t, err)
	root, err := enter("root", secret)
	require.NoError(t, err)

	desk.Replace(altered(t, "secret: "+theHash(), "secret: "+otherHash(), "ttl: 15m", "ttl: 5m"))
	served := false
	serve := func() error { served = true; return nil }
	requireProblem(t, desk.Serve(before, serve), problem.Unavailable, "SERVICE_ACCOUNT_CHANGED")
	require.False(t, served)
	require.NoError(t, desk.Serve(root, serve))
	require.True(t, served, "it has not changed")
	_, err = enter("ci-scanner", secret)
	requireProblem(t, err, problem.Unauthentic, account.CodeCredentials)
	after, err := enter("ci-scanner", otherSecret)
	require.NoError(t, err)
	require.Equal(t, 5*time.Minute, after.TTL)

	desk.Replace(altered(t, "id: ci-scanner", "id: ci-other"))
	_, err = enter("ci-scanner", otherSecret)
	requireProblem(t, err, problem.Unauthentic, account.CodeCredentials)
	require.Nil(t, desk.Account("ci-scanner"))
	desk.Replace(parse(t))
	_, err = enter("ci-scanner", otherSecret)
	requireProblem(t, err, problem.Unauthentic, account.CodeCredentials, "of the account that is gone")
}

// TestReplaceAtOnce: while an account is served it is in force, whoever replaces it.
func TestReplaceAtOnce(t *testing.T) {
	t.Parallel()
	files := [][]*account.Account{parse(t), altered(t, "ttl: 15m", "ttl: 5m")}
	desk := account.NewDesk(files[0], noon)
	_, err := desk.Authenticate(t.Context(), "ci-scanner", secret, "10.0.0.1") // from here on it costs nothing
	require.NoError(t, err)
	var clients sync.WaitGroup
	var served atomic.Int64
	ended := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				client, err := desk.Authenticate(t.Context(), "ci-scanner", secret, "10.0.0.1")
				if err != nil {
					continue
				}
				_ = desk.Serve(client, func() error {
					served.Add(1)
					for range 20 {
						if desk.Account("ci-scanner") != client {
							t.Error("it was replaced while it was served")
						}
						runtime.Gosched()
					}
					return nil
				})
			}
		})
	}
	for n := range 500 {
		desk.Replace(files[(n+1)%2])
		for before := served.Load(); served.Load() == before; { // somebody is served between
			runtime.Gosched()
		}
	}
	close(ended)
	clients.Wait()
}

// TestMistakesOneByOne: a log has a line for each.
func TestMistakesOneByOne(t *testing.T) {
	t.Parallel()
	_, err := account.Parse("accounts.yaml", []byte("accounts:\n  - id: a b\n    secret: 123456789012345678901234\n    scopes: [vuln:veiw]\n    organizations: all\n"))
	var mistakes account.Mistakes
	require.ErrorAs(t, err, &mistakes)
	var told []string
	for _, m := range mistakes {
		require.Contains(t, err.Error(), m.Error())
		told = append(told, m.Error())
	}
	require.Equal(t, []string{
		`accounts.yaml:2: accounts[0].id: "a b" is no id of an account; give 1 to 128 letters, digits and . _ @ -, beginning with a letter or a digit`,
		"accounts.yaml:3: accounts[0].secret: it is no hash of a secret; make one with `exposuregraph token hash-secret`",
		`accounts.yaml:4: accounts[0].scopes[0]: there is no scope "vuln:veiw"; give vuln:view, vuln:investigate, vuln:operate, vuln:audit or vuln:approve`,
	}, told, "a secret of digits is not repeated either")
}

package account_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/access/account"
	"github.com/exposuregraph/exposuregraph/internal/access/account/accounttest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const secret = "correct horse battery staple"

var theHash = accounttest.HashOf(secret)

func requireProblem(t *testing.T, err error, kind problem.Kind, code string, about ...any) {
	t.Helper()
	var typed *problem.Error
	require.True(t, errors.As(err, &typed), "%v: %v", err, about)
	require.Equal(t, code, typed.Code, about...)
	require.Equal(t, kind, typed.Kind, about...)
	require.NotContains(t, err.Error(), secret)
}

func whole() string {
	return strings.ReplaceAll(`# service accounts
accounts:
  - id: ci-scanner
    secret: HASH
    role: client
    scopes: [vuln:view, vuln:operate]
    organizations: [acme, demo]
    ttl: 15m
    attributes:
      env: [prod, staging]
      business_tier: ["1"]
    delegates: [ada@example.com, bot]
  - id: root
    secret: [HASH, HASH]
    role: admin
    scopes: [vuln:view]
    organizations: all
`, "HASH", theHash())
}

func parse(t *testing.T) []*account.Account {
	t.Helper()
	accounts, err := account.Parse("accounts.yaml", []byte(whole()))
	require.NoError(t, err)
	require.Len(t, accounts, 2)
	return accounts
}

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accounts.yaml")
	require.NoError(t, os.WriteFile(path, []byte(whole()), 0o600))
	accounts, err := account.Load(path)
	require.NoError(t, err)
	ci, root := accounts[0], accounts[1]
	require.Equal(t, "ci-scanner", ci.ID)
	require.Equal(t, access.Client, ci.Role)
	require.Equal(t, []access.Scope{access.View, access.Operate}, ci.Scopes)
	require.Equal(t, []string{"acme", "demo"}, ci.Organizations)
	require.Equal(t, 15*time.Minute, ci.TTL)
	require.Equal(t, access.Attributes{Environment: []string{"prod", "staging"}, BusinessTier: []string{"1"}}, ci.Attributes)
	require.Equal(t, []string{"ada@example.com", "bot"}, ci.Delegates)
	require.Equal(t, access.Admin, root.Role)
	require.Empty(t, root.Organizations)
	require.Equal(t, time.Hour, root.TTL)
	_, err = account.Load(filepath.Join(t.TempDir(), "nowhere.yaml"))
	requireProblem(t, err, problem.Invalid, "SERVICE_ACCOUNTS_UNREADABLE")
}

// TestMistakes: each has its line, its path and what to do.
func TestMistakes(t *testing.T) {
	t.Parallel()
	change := func(from, to string) string {
		require.Contains(t, whole(), from)
		return strings.Replace(whole(), from, to, 1)
	}
	hash := theHash()
	for name, row := range map[string]struct{ content, want string }{
		"empty":                  {"", "accounts.yaml:1: accounts: the file is no YAML"},
		"no YAML":                {"accounts: [", "accounts.yaml:1: accounts: the file is no YAML"},
		"two documents":          {whole() + "---\naccounts: []\n", ":1: accounts: the file has more than one document"},
		"a list":                 {"- a\n", ":1: the file: a mapping is expected, with accounts"},
		"no accounts":            {"accounts: []\n", ":1: accounts: it has 0 members"},
		"another key":            {whole() + "issuer: x\n", `:18: the file: there is no "issuer"; known are accounts`},
		"an unknown member":      {change("ttl: 15m", "tttl: 15m"), `:8: accounts[0]: there is no "tttl"; known are attributes, delegates, id,`},
		"given twice":            {change("ttl: 15m", "id: other"), ":8: accounts[0].id: it is given twice"},
		"no id":                  {change("id: root", "role: client"), ":13: accounts[1]: id is missing"},
		"an odd id":              {change("id: root", "id: the root"), `:13: accounts[1].id: "the root" is no id of an account`},
		"the same id":            {change("id: root", "id: ci-scanner"), ":13: accounts[1].id: the account ci-scanner is in line 3 already"},
		"no secret":              {change("secret: "+hash, "ttl: 1h"), ": secret is missing"},
		"a plain secret":         {change("secret: "+hash, "secret: "+secret), ":4: accounts[0].secret: it is no hash of a secret; make one with"},
		"a cheap hash":           {change("600000", "1000"), ":4: accounts[0].secret: it is no hash"},
		"three secrets":          {change("["+hash, "["+hash+", "+hash), ":14: accounts[1].secret: it has 3 members; give 1 to 2"},
		"an unknown role":        {change("role: admin", "role: root"), `:15: accounts[1].role: there is no role "root"; give client or admin`},
		"an unknown scope":       {change("vuln:operate]", "vuln:veiw]"), `:6: accounts[0].scopes[1]: there is no scope "vuln:veiw"; give vuln:view`},
		"the legacy scope":       {change("vuln:operate]", "vuln:read]"), `:6: accounts[0].scopes[1]: there is no scope "vuln:read"`},
		"a scope twice":          {change("vuln:operate]", "vuln:view]"), `:6: accounts[0].scopes[1]: "vuln:view" is given twice`},
		"scopes in a text":       {change("scopes: [vuln:view]", "scopes: vuln:view"), ":16: accounts[1].scopes: a list is expected"},
		"no scope":               {change("scopes: [vuln:view]", "scopes: []"), ":16: accounts[1].scopes: it has 0 members"},
		"a slug that is none":    {change("[acme, demo]", "[acme, Demo!]"), ":7: accounts[0].organizations[1]: "},
		"one organization":       {change("organizations: all", "organizations: acme"), ":17: accounts[1].organizations: give a list of slugs, or the word all"},
		"a long life":            {change("ttl: 15m", "ttl: 48h"), `:8: accounts[0].ttl: "48h" is no time to live; give whole seconds from 10s to 24h`},
		"a number of what":       {change("ttl: 15m", "ttl: 15"), `:8: accounts[0].ttl: "15" is no text in YAML; put it in quotes`},
		"an unknown attribute":   {change("env: [", "region: ["), `:10: accounts[0].attributes: there is no "region"; known are business_tier, env, owner`},
		"no value":               {change("env: [prod, staging]", "env: []"), ":10: accounts[0].attributes.env: it has 0 members"},
		"a value with space":     {change("staging]", "\"pre prod\"]"), `:10: accounts[0].attributes.env[1]: the attribute env has the value "pre prod"`},
		"a number for a tier":    {change(`["1"]`, `[1]`), `:11: accounts[0].attributes.business_tier[0]: "1" is no text in YAML; put it in quotes`},
		"null":                   {change("staging]", "~]"), ":10: accounts[0].attributes.env[1]: a text is expected"},
		"an alias":               {change("[prod, staging]", "[&p prod, *p]"), ":10: accounts[0].attributes.env[1]: write it out: aliases are not followed"},
		"a delegate with spaces": {change("bot]", "\"a bot\"]"), `:12: accounts[0].delegates[1]: "a bot" is no name of a delegate`},
	} {
		_, err := account.Parse("accounts.yaml", []byte(row.content))
		requireProblem(t, err, problem.Invalid, "SERVICE_ACCOUNTS_INVALID", name)
		require.Contains(t, err.Error(), row.want, name)
	}

	// All of them at once, in the order of the lines.
	_, err := account.Parse("accounts.yaml", []byte("accounts:\n  - id: a b\n    role: root\n    ttl: soon\n    scopes: [x, y]\n  - 7\n"))
	requireProblem(t, err, problem.Invalid, "SERVICE_ACCOUNTS_INVALID")
	lines := strings.Split(err.Error(), "\n")[1:]
	var at []string
	for _, line := range lines {
		at = append(at, strings.Join(strings.SplitN(line, ":", 4)[1:3], ""))
	}
	require.Equal(t, []string{"2 accounts[0].id", "2 accounts[0]", "2 accounts[0]", "3 accounts[0].role", "4 accounts[0].ttl", "5 accounts[0].scopes[0]", "5 accounts[0].scopes[1]", "6 accounts[1]"}, at)
}

func TestHash(t *testing.T) {
	t.Parallel()
	require.NotContains(t, theHash(), secret)
	again, err := account.Hash(secret)
	require.NoError(t, err)
	require.NotEqual(t, theHash(), again, "salted")
	for _, weak := range []string{"", "short", strings.Repeat("a", 19), strings.Repeat("a", 257)} {
		_, err := account.Hash(weak)
		requireProblem(t, err, problem.Invalid, "SECRET_WEAK")
	}
	require.GreaterOrEqual(t, len(account.NewSecret()), 50)
	require.NotEqual(t, account.NewSecret(), account.NewSecret())
}

// TestAuthenticate: whoever guesses is slowed down, and nobody else.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	desk := account.NewDesk(parse(t), func() time.Time { return now })
	enter := func(id, secret, from string) error {
		got, err := desk.Authenticate(t.Context(), id, secret, from)
		if err == nil {
			require.Equal(t, id, got.ID)
		}
		return err
	}
	require.NoError(t, enter("root", secret, "10.0.0.1"))
	for n := range 5 {
		requireProblem(t, enter("ci-scanner", fmt.Sprint("guess", n), "10.0.0.1"), problem.Unauthentic, account.CodeCredentials)
	}
	requireProblem(t, enter("ci-scanner", "guess", "10.0.0.1"), problem.Limit, account.CodeAttempts)
	requireProblem(t, enter("ci-scanner", secret, "10.0.0.1"), problem.Limit, account.CodeAttempts, "guessing on is of no use")
	require.NoError(t, enter("ci-scanner", secret, "10.0.0.2"), "another address is not slowed down")
	require.NoError(t, enter("ci-scanner", secret, "10.0.0.1"), "nor is who has been right before")
	requireProblem(t, enter("ci-scanner", "guess", "10.0.0.1"), problem.Limit, account.CodeAttempts)
	now = now.Add(10 * time.Second)
	requireProblem(t, enter("ci-scanner", "guess", "10.0.0.1"), problem.Unauthentic, account.CodeCredentials)
	requireProblem(t, enter("ci-scanner", "guess", "10.0.0.1"), problem.Limit, account.CodeAttempts)

	requireProblem(t, enter("nobody", secret, "10.0.0.3"), problem.Unauthentic, account.CodeCredentials)
	requireProblem(t, enter("", "", "10.0.0.3"), problem.Unauthentic, account.CodeCredentials)
	requireProblem(t, enter("root", strings.Repeat("a", 1000), "10.0.0.3"), problem.Unauthentic, account.CodeCredentials)
}

func TestGrant(t *testing.T) {
	t.Parallel()
	accounts := parse(t)
	ci, root := accounts[0], accounts[1]
	order, err := ci.Grant(account.Request{})
	require.NoError(t, err)
	require.Equal(t, access.Order{ServiceAccount: "ci-scanner", TTL: 15 * time.Minute, Actor: access.Actor{
		Subject: "ci-scanner", Role: access.Client, Scopes: []access.Scope{access.View, access.Operate}, Organizations: []string{"acme", "demo"},
		Attributes: access.Attributes{Environment: []string{"prod", "staging"}, BusinessTier: []string{"1"}},
	}}, order, "nothing asked for: all that the account has, and its limits")

	order, err = ci.Grant(account.Request{
		Scopes: []string{"vuln:view", "vuln:view"}, Attributes: map[string][]string{"env": {"prod"}, "owner": {"team-a", "team-b"}}, Delegates: []string{"bot", "ada@example.com"},
	})
	require.NoError(t, err)
	require.Equal(t, []access.Scope{access.View}, order.Actor.Scopes)
	require.Equal(t, access.Attributes{Environment: []string{"prod"}, Owner: []string{"team-a", "team-b"}, BusinessTier: []string{"1"}}, order.Actor.Attributes)
	require.Equal(t, []string{"bot", "ada@example.com"}, order.Actor.Delegates)

	order, err = root.Grant(account.Request{})
	require.NoError(t, err)
	require.True(t, order.Actor.AllOrganizations)
	require.False(t, order.Actor.Attributes.Limited())

	for name, row := range map[string]struct {
		request account.Request
		kind    problem.Kind
		code    string
	}{
		"another scope":     {account.Request{Scopes: []string{"vuln:view", "vuln:audit"}}, problem.Denied, "SCOPE_NOT_ALLOWED"},
		"the legacy scope":  {account.Request{Scopes: []string{"vuln:read"}}, problem.Denied, "SCOPE_NOT_ALLOWED"},
		"another value":     {account.Request{Attributes: map[string][]string{"env": {"prod", "dev"}}}, problem.Denied, "ATTRIBUTE_NOT_ALLOWED"},
		"a value in spaces": {account.Request{Attributes: map[string][]string{"owner": {"a b"}}}, problem.Invalid, "ATTRIBUTE_INVALID"},
		"an empty value":    {account.Request{Attributes: map[string][]string{"env": {""}}}, problem.Invalid, "ATTRIBUTE_INVALID"},
		"another delegate":  {account.Request{Delegates: []string{"bot", "eve"}}, problem.Denied, "DELEGATE_NOT_ALLOWED"},
	} {
		_, err := ci.Grant(row.request)
		requireProblem(t, err, row.kind, row.code, name)
	}
	require.Equal(t, []access.Scope{access.View, access.Operate}, ci.Scopes, "the account is as it was")
}

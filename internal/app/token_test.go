package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/access/account/accounttest"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const clientSecret = "the secret & of+the scanner 100%"

var clientHash = accounttest.HashOf(clientSecret)

func accountsFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(`accounts:
  - {id: scanner, secret: HASH, scopes: [vuln:view, vuln:investigate, vuln:operate], organizations: [acme], ttl: 15m, delegates: [ada, bot]}
  - {id: auditor, secret: HASH, scopes: [vuln:view, vuln:audit], organizations: [acme, demo]}
  - {id: limited, secret: HASH, scopes: [vuln:view], organizations: [acme], attributes: {env: [prod, staging], owner: [team-a]}}
  - {id: root, secret: HASH, role: admin, scopes: [vuln:view], organizations: all}
  - {id: other, secret: HASH, role: admin, scopes: [vuln:view], organizations: [demo]}
`, "HASH", clientHash())), 0o600))
	return path
}

// lines is a log that is read while others write to it.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// issuing is the configuration of a server that makes tokens.
func issuing(t *testing.T, database *dbtest.Database) (app.Config, *lines) {
	t.Helper()
	c, log := config(database), &lines{}
	c.Tokens.ServiceAccounts = accountsFile(t)
	c.Logger = slog.New(slog.NewTextHandler(log, nil))
	return c, log
}

// reply of the issuer.
type granted struct {
	status int
	header http.Header
	text   string

	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	TokenID     string `json:"token_id"`
	Scope       string `json:"scope"`
	Env         string `json:"vuln_env"`
	Owner       string `json:"vuln_owner"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Code        string `json:"code"`
}

// sendForm posts a form, with credentials in a Basic header or with a token, if there is a user.
func sendForm(t *testing.T, address, user, password string, form url.Values) (g granted) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	switch user {
	case "":
	case "Bearer":
		request.Header.Set("Authorization", "Bearer "+password)
	default:
		request.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(password))
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	g.status, g.header, g.text = response.StatusCode, response.Header, string(content)
	require.NoError(t, json.Unmarshal(content, &g), g.text)
	return g
}

func grantOf(t *testing.T, a *app.App, id string, more ...string) granted {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return sendForm(t, a.URL()+"/oauth/token", id, clientSecret, form)
}

func revoked(t *testing.T, a *app.App, user, password, token string) granted {
	t.Helper()
	return sendForm(t, a.URL()+"/oauth/revoke", user, password, url.Values{"token": {token}, "token_type_hint": {"access_token"}})
}

// refusalOf is the code with which a server refuses a token; empty where it does not.
func refusalOf(t *testing.T, a *app.App, token string) (status int, code string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/graphql", strings.NewReader(`{"query":"{ viewer { subject } }"}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var body struct{ Error struct{ Code string } }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
	return response.StatusCode, body.Error.Code
}

func requireSoonRefused(t *testing.T, a *app.App, token, code string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, got := refusalOf(t, a, token)
		return got == code
	}, 4*time.Second, 100*time.Millisecond)
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c, log := issuing(t, database)
	a, _ := start(t, c)
	secrets := []string{clientSecret, url.QueryEscape(clientSecret), clientHash()}

	g := grantOf(t, a, "scanner", "delegation_actor", "bot ada", "scope", "vuln:view vuln:operate vuln:investigate")
	require.Equal(t, 200, g.status, g.text)
	require.Equal(t, "no-store", g.header.Get("Cache-Control"))
	require.Equal(t, []any{"Bearer", 900, "vuln:view vuln:operate vuln:investigate", "", ""}, []any{g.TokenType, g.ExpiresIn, g.Scope, g.Env, g.Owner})
	secrets = append(secrets, g.AccessToken)
	answer := ask(t, a, g.AccessToken, `{ viewer { subject role scopes expiresAt } }`)
	require.Empty(t, answer.Errors)
	require.Contains(t, string(answer.Data["viewer"]), `"subject":"scanner"`)

	// What the account does is on record with everybody who took part.
	deliver(t, a, tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}), time.Now().Add(-time.Hour), "first")
	acknowledge(t, a, g.AccessToken)
	var body string
	require.NoError(t, database.Super(t).QueryRow(t.Context(), `SELECT convert_from(body, 'UTF8') FROM ledger_entry ORDER BY seq DESC LIMIT 1`).Scan(&body))
	require.Contains(t, body, `"actors":[{"subject":"scanner"},{"subject":"bot"},{"subject":"ada"}]`)

	limited := grantOf(t, a, "limited", "vuln_env", "prod")
	require.Equal(t, []string{"prod", "team-a"}, []string{limited.Env, limited.Owner})
	answer = ask(t, a, limited.AccessToken, `{ viewer { attributeFilters { attribute values } } }`)
	require.Empty(t, answer.Errors)
	require.JSONEq(t, `{"attributeFilters":[{"attribute":"env","values":["prod"]},{"attribute":"owner","values":["team-a"]}]}`, string(answer.Data["viewer"]))
	all := grantOf(t, a, "limited")
	require.Equal(t, []string{"prod staging", "team-a"}, []string{all.Env, all.Owner})
	several := grantOf(t, a, "limited", "vuln_env", "prod", "vuln_env", "staging prod")
	require.Equal(t, "prod staging", several.Env)
	secrets = append(secrets, limited.AccessToken, all.AccessToken, several.AccessToken)

	form := func(pairs ...string) url.Values {
		values := url.Values{"grant_type": {"client_credentials"}, "client_id": {"scanner"}, "client_secret": {clientSecret}}
		for i := 0; i < len(pairs); i += 2 {
			if values.Add(pairs[i], pairs[i+1]); pairs[i+1] == "" {
				values.Del(pairs[i])
			}
		}
		return values
	}
	require.Equal(t, 200, sendForm(t, a.URL()+"/oauth/token", "", "", form()).status, "credentials in the body")
	for name, row := range map[string]struct {
		status             int
		error, code        string
		user, password, at string
		form               url.Values
	}{
		"no grant type":         {400, "unsupported_grant_type", "GRANT_TYPE_UNSUPPORTED", "", "", "", form("grant_type", "")},
		"a grant type twice":    {400, "invalid_request", "OAUTH_REQUEST", "", "", "", form("grant_type", "password")},
		"no secret":             {401, "invalid_client", "CLIENT_CREDENTIALS", "", "", "", form("client_secret", "")},
		"nobody":                {401, "invalid_client", "CLIENT_CREDENTIALS", "nobody", clientSecret, "", url.Values{"grant_type": {"client_credentials"}}},
		"a wrong secret":        {401, "invalid_client", "CLIENT_CREDENTIALS", "root", "wrong", "", url.Values{"grant_type": {"client_credentials"}}},
		"credentials twice":     {400, "invalid_request", "OAUTH_REQUEST", "scanner", clientSecret, "", form()},
		"of two clients":        {401, "invalid_client", "CLIENT_CREDENTIALS", "auditor", clientSecret, "", url.Values{"grant_type": {"client_credentials"}, "client_id": {"scanner"}}},
		"in the address":        {400, "invalid_request", "OAUTH_REQUEST", "", "", "?scope=vuln:view", form()},
		"another's scope":       {400, "invalid_scope", "SCOPE_NOT_ALLOWED", "", "", "", form("scope", "vuln:audit")},
		"the legacy scope":      {400, "invalid_scope", "SCOPE_NOT_ALLOWED", "", "", "", form("scope", "vuln:read")},
		"another's value":       {400, "invalid_request", "ATTRIBUTE_NOT_ALLOWED", "limited", clientSecret, "", url.Values{"grant_type": {"client_credentials"}, "vuln_env": {"prod dev"}}},
		"a misspelt attribute":  {400, "invalid_request", "ATTRIBUTE_UNKNOWN", "", "", "", form("vuln_envs", "prod")},
		"an attribute of space": {400, "invalid_request", "ATTRIBUTE_INVALID", "", "", "", form("vuln_env", " ")},
		"another's delegate":    {400, "invalid_request", "DELEGATE_NOT_ALLOWED", "", "", "", form("delegation_actor", "eve")},
		"a large body":          {400, "invalid_request", "OAUTH_REQUEST", "", "", "", form("x", strings.Repeat("a", 64<<10))},
	} {
		g := sendForm(t, a.URL()+"/oauth/token"+row.at, row.user, row.password, row.form)
		require.Equal(t, []any{row.status, row.error, row.code}, []any{g.status, g.Error, g.Code}, "%s: %s", name, g.text)
		require.Regexp(t, `^[ -!#-\[\]-~]+$`, g.Description, name)
		if row.status == 401 {
			require.Contains(t, g.header.Get("WWW-Authenticate"), "Basic", name)
		}
	}
	// Who guesses is slowed down; who knows the secret is not.
	for range 40 { // another guess is allowed every ten seconds, and to look at one takes some
		g = sendForm(t, a.URL()+"/oauth/token", "scanner", "wrong", url.Values{"grant_type": {"client_credentials"}})
		if g.status != 401 {
			break
		}
	}
	require.Equal(t, []any{429, "temporarily_unavailable", "LIMIT_CLIENT_ATTEMPTS", "10"}, []any{g.status, g.Error, g.Code, g.header.Get("Retry-After")})
	require.Equal(t, 200, grantOf(t, a, "scanner").status)

	// It is on record what was issued, and nowhere what lets anybody in.
	const text = `SELECT concat_ws(' ', 'by', subject, 'at the', door, (SELECT string_agg(n || '=' || v, ' ' ORDER BY i) FROM unnest(property_names, property_values) WITH ORDINALITY AS p(n, v, i)))
		FROM audit_`
	record, err := database.Super(t).Query(t.Context(), text+`entry WHERE action = 'token.issued' UNION ALL `+text+`shared_entry WHERE action = 'token.issued'`)
	require.NoError(t, err)
	entries, err := pgx.CollectRows(record, pgx.RowTo[string])
	require.NoError(t, err)
	told := strings.Join(entries, "\n")
	require.Contains(t, told, "by limited at the issuer authority.token.id=")
	require.Contains(t, told, "authority.vuln_attr.environment=prod authority.vuln_attr.owner=team-a delegation.service_account=limited")
	require.Contains(t, told, "delegation.service_account=scanner delegation.actor[0]=bot delegation.actor[1]=ada")
	for _, secret := range secrets {
		require.NotContains(t, log.String(), secret)
		require.NotContains(t, told, secret)
	}
}

// TestRevoking: by whom it may be, and that another replica, which makes no tokens
// itself, notices within seconds, for what is open too.
func TestRevoking(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c, _ := issuing(t, database)
	a, _ := start(t, c)
	second := config(database)
	second.OwnerDatabaseURL = ""
	b, _ := start(t, second)
	deliver(t, a, tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}), time.Now().Add(-time.Hour), "first")

	token := grantOf(t, a, "scanner").AccessToken
	socket := follow(t, b, token, nil)
	socket.upTo("")
	_, code := refusalOf(t, b, token)
	require.Empty(t, code)

	// Not by another account, an admin of other organizations, or a bearer who is no admin.
	demo, auditor := grantOf(t, a, "other").AccessToken, grantOf(t, a, "auditor").AccessToken
	for user, password := range map[string]string{"auditor": clientSecret, "Bearer": demo} {
		g := revoked(t, a, user, password, token)
		require.Equal(t, []any{403, "access_denied", "TOKEN_OF_ANOTHER"}, []any{g.status, g.Error, g.Code})
	}
	require.Equal(t, 403, revoked(t, a, "Bearer", auditor, token).status)
	require.Equal(t, 401, revoked(t, a, "", "", token).status)
	require.Equal(t, 401, revoked(t, a, "Bearer", "nonsense", token).status)
	require.Equal(t, 400, revoked(t, a, "scanner", clientSecret, "").status)
	require.Equal(t, 200, revoked(t, a, "scanner", clientSecret, "nonsense").status, "it lets nobody in, which is all that is wanted")
	_, code = refusalOf(t, a, token)
	require.Empty(t, code)

	started := time.Now()
	g := revoked(t, a, "scanner", clientSecret, token)
	require.Equal(t, []any{200, "{}\n"}, []any{g.status, g.text})
	for {
		_, err := socket.hear()
		if err == nil {
			continue
		}
		require.EqualValues(t, 4403, websocket.CloseStatus(err), "%v", err)
		require.ErrorContains(t, err, "TOKEN_REVOKED")
		break
	}
	require.Less(t, time.Since(started), 5*time.Second)
	requireSoonRefused(t, a, token, "TOKEN_REVOKED")
	requireSoonRefused(t, b, token, "TOKEN_REVOKED")
	require.Equal(t, 200, revoked(t, a, "scanner", clientSecret, token).status, "once more")

	// A bearer the token that it comes with, and an admin each of what it sees; of
	// those that let nobody in, too.
	require.Equal(t, 200, revoked(t, a, "Bearer", auditor, auditor).status)
	requireSoonRefused(t, b, auditor, "TOKEN_REVOKED")
	limited := grantOf(t, a, "limited").AccessToken
	root := grantOf(t, a, "root").AccessToken
	require.Equal(t, 200, revoked(t, a, "Bearer", root, limited).status)
	requireSoonRefused(t, b, limited, "TOKEN_REVOKED")
	var told int
	require.NoError(t, database.Super(t).QueryRow(t.Context(), `SELECT (SELECT count(*) FROM audit_entry WHERE action = 'token.revoked')
		+ (SELECT count(*) FROM audit_shared_entry WHERE action = 'token.revoked')`).Scan(&told))
	require.Equal(t, 3, told)

	// The replica that makes none says so.
	for _, path := range []string{"/oauth/token", "/oauth/revoke"} {
		status, code := sendFormCode(t, b.URL()+path)
		require.Equal(t, []any{404, "ISSUER_OFF"}, []any{status, code})
	}
	for _, path := range []string{"/oauth/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		response, err := http.Get(b.URL() + path)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, 404, response.StatusCode)
	}
}

func sendFormCode(t *testing.T, address string) (int, string) {
	t.Helper()
	response, err := http.PostForm(address, url.Values{"grant_type": {"client_credentials"}})
	require.NoError(t, err)
	defer response.Body.Close()
	var body struct{ Error struct{ Code string } }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
	return response.StatusCode, body.Error.Code
}

// TestOneServerTrustsAnother: the tokens of one installation let into another, by
// discovery and published keys alone, which need not be there when it starts.
func TestOneServerTrustsAnother(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())

	home := dbtest.New(t)
	trusting := config(dbtest.New(t))
	trusting.Tokens.OIDCIssuer, trusting.Tokens.OIDCAudience = "http://"+address, "exposuregraph"
	b, _ := start(t, trusting) // before the issuer

	key, err := access.EnsureKey(t.Context(), home.OwnerURL, time.Now())
	require.NoError(t, err)
	early, err := access.Mint{Issuer: "http://" + address}.Issue(key, access.Actor{Subject: "ann", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: []string{"acme"}}, time.Hour, time.Now())
	require.NoError(t, err)
	status, code := refusalOf(t, b, early.Text)
	require.Equal(t, []any{503, "TOKEN_ISSUER_UNAVAILABLE"}, []any{status, code})
	_, code = refusalOf(t, b, tokenFor(t, home, access.Actor{Subject: "ann", Role: access.Client, Organizations: []string{"acme"}}))
	require.Equal(t, "TOKEN_KEY_UNKNOWN", code, "it calls itself as we do, and has another key")

	c, _ := issuing(t, home)
	c.Listen, c.Tokens.IssuerURL = address, "http://"+address
	a, stop := start(t, c)
	token := grantOf(t, a, "scanner").AccessToken
	_, code = refusalOf(t, a, token)
	require.Empty(t, code)
	require.Eventually(t, func() bool {
		_, code := refusalOf(t, b, token)
		return code == ""
	}, 15*time.Second, 200*time.Millisecond)
	require.Contains(t, string(ask(t, b, token, `{ viewer { subject scopes } }`).Data["viewer"]), `"subject":"scanner"`)
	require.NoError(t, stop())
	_, code = refusalOf(t, b, token)
	require.Empty(t, code, "known keys outlast the issuer")
}

func TestTokensConfig(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("accounts:\n  - id: a\n"), 0o600))
	for code, change := range map[string]func(*app.Config){
		"OIDC_INCOMPLETE":             func(c *app.Config) { c.Tokens.OIDCIssuer = "https://login.example.com" },
		"OIDC_ISSUER_INVALID":         func(c *app.Config) { c.Tokens.OIDCIssuer, c.Tokens.OIDCAudience = "http://login.example.com", "x" },
		"SERVICE_ACCOUNTS_INVALID":    func(c *app.Config) { c.Tokens.ServiceAccounts = bad },
		"SERVICE_ACCOUNTS_UNREADABLE": func(c *app.Config) { c.Tokens.ServiceAccounts = bad + "x" },
		"OWNER_ROLE_NEEDED":           func(c *app.Config) { c.Tokens.ServiceAccounts, c.OwnerDatabaseURL = accountsFile(t), "" },
	} {
		c := config(database)
		change(&c)
		requireRefused(t, c, problem.Invalid, code)
	}
	c := config(database)
	c.Tokens.IssuerURL = "ftp://x"
	requireRefused(t, c, problem.Invalid, "OIDC_ISSUER_INVALID")
}

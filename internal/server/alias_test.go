package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

const changesOfAcme = "/api/v1/organizations/acme/changes"

// api answers every document with a text, and keeps what it was asked.
type api struct {
	says  string
	actor access.Actor
	asked struct {
		Query     string
		Variables map[string]any
	}
	times int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.times++
	a.actor, _ = access.From(r.Context())
	a.asked.Variables = nil
	if err := json.NewDecoder(r.Body).Decode(&a.asked); err != nil || r.Header.Get("Content-Type") != "application/json" {
		panic(err)
	}
	w.WriteHeader(http.StatusUnprocessableEntity) // what it says counts
	_, _ = io.WriteString(w, a.says)
}

// TestAlias: parameters become variables, and the answer is that of the API.
func TestAlias(t *testing.T) {
	t.Parallel()
	a := &api{says: `{"data":{"organization":{"answer":{"nodes":[{"seq":1}]}}},"extensions":{"cost":1}}`}
	f := setup(t, func(c *server.Config) { c.GraphQL = a })
	response, body := f.do(t, "GET", changesOfAcme+"?first=2&after=abc&type=sync_applied&type=EXPOSURE_OPENED&path=x&order=asc&occurredAfter=2026-01-01T00:00:00Z", "viewer", nil)
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.JSONEq(t, `{"nodes":[{"seq":1}]}`, body)
	require.Contains(t, a.asked.Query, "exposureChanges(")
	require.Equal(t, map[string]any{
		"slug": "acme", "first": 2.0, "after": "abc", "type": []any{"SYNC_APPLIED", "EXPOSURE_OPENED"}, "path": []any{"x"}, "order": "ASC",
		"occurredAfter": "2026-01-01T00:00:00Z"}, a.asked.Variables)
	require.Equal(t, "bob", a.actor.Subject, "who asks there is who asked here")
	require.Equal(t, 1, a.times)

	a.says = `{"data":{"organization":{"answer":null}}}`
	response, body = f.do(t, "GET", changesOfAcme+"/summary?days=30", "viewer", nil)
	require.Equal(t, 200, response.StatusCode)
	require.JSONEq(t, `null`, body)
	require.Contains(t, a.asked.Query, "exposureChangeSummary(")
	require.Equal(t, map[string]any{"slug": "acme", "days": 30.0}, a.asked.Variables)

	const ofAsset = "/api/v1/organizations/acme/assets/QXNz/changes"
	a.says = `{"data":{"organization":{"answer":{"answer":{"nodes":[{"seq":2}]}}}}}`
	response, body = f.do(t, "GET", ofAsset+"?first=2&type=port_opened", "viewer", nil)
	require.Equal(t, 200, response.StatusCode)
	require.JSONEq(t, `{"nodes":[{"seq":2}]}`, body)
	require.Contains(t, a.asked.Query, "asset(id: $asset")
	require.Equal(t, map[string]any{"slug": "acme", "asset": "QXNz", "first": 2.0, "type": []any{"PORT_OPENED"}}, a.asked.Variables)
	a.says = `{"data":{"organization":{"answer":null}}}`
	response, body = f.do(t, "GET", ofAsset, "viewer", nil)
	requireRefused(t, response, body, 404, "ASSET_NOT_FOUND")
	a.says = `{"data":{"organization":null}}`
	response, body = f.do(t, "GET", ofAsset, "viewer", nil)
	requireRefused(t, response, body, 404, "ORGANIZATION_NOT_FOUND")
	response, body = f.do(t, "GET", ofAsset+"?asset=other", "viewer", nil)
	requireRefused(t, response, body, 400, "PARAMETER_UNKNOWN")
	a.says = `{"data":{"organization":{"answer":null}}}`

	_, body = f.do(t, "GET", "/api/v1/organizations/a%22%7Dcme/changes", "viewer", nil)
	require.JSONEq(t, `null`, body)
	require.Equal(t, map[string]any{"slug": `a"}cme`}, a.asked.Variables, "a slug is a value and no part of the document")
}

// TestAliasRefuses: what is no parameter is refused before the API is asked, and what
// the API refuses keeps its kind and code.
func TestAliasRefuses(t *testing.T) {
	t.Parallel()
	a := &api{}
	f := setup(t, func(c *server.Config) { c.GraphQL = a })
	for parameters, code := range map[string]string{
		"limit=2": "PARAMETER_UNKNOWN", "first=2&first=3": "PARAMETER_REPEATED", "after=a&after=b": "PARAMETER_REPEATED",
		"first=two": "PARAMETER_INVALID", "first=": "PARAMETER_INVALID", "first=2.5": "PARAMETER_INVALID", "first=99999999999": "PARAMETER_INVALID",
		"after=a%00b": "PARAMETER_INVALID", "path=%ff": "PARAMETER_INVALID", "type=" + strings.Repeat("x", 2000): "PARAMETER_INVALID",
		"first=%zz": "PARAMETERS_MALFORMED",
	} {
		response, body := f.do(t, "GET", changesOfAcme+"?"+parameters, "viewer", nil)
		requireRefused(t, response, body, 400, code)
		if name, _, _ := strings.Cut(parameters, "="); code != "PARAMETERS_MALFORMED" {
			require.Contains(t, body, `"field":`+`"`+name+`"`)
		}
	}
	response, body := f.do(t, "GET", changesOfAcme+"/summary?first=2", "viewer", nil)
	requireRefused(t, response, body, 400, "PARAMETER_UNKNOWN")
	response, body = f.do(t, "POST", changesOfAcme, "viewer", nil)
	requireRefused(t, response, body, 405, "METHOD_NOT_ALLOWED")
	response, body = f.do(t, "GET", changesOfAcme, "expired", nil)
	requireRefused(t, response, body, 401, "TOKEN_EXPIRED")
	for _, path := range []string{"/api/v1/organizations/acme", "/api/v1/organizations/acme/changes/", "/api"} {
		response, body = f.do(t, "GET", path, "viewer", nil)
		requireRefused(t, response, body, 404, "PATH_UNKNOWN")
	}
	require.Zero(t, a.times)

	said := func(path, extensions string) string {
		return `{"errors":[{"message":"no","path":` + path + `,"extensions":` + extensions + `},{"message":"neither"}],"data":null}`
	}
	for says, want := range map[string]struct {
		status      int
		code, field string
	}{
		said(`["organization","answer"]`, `{"kind":"invalid","code":"PAGE_SIZE","field":"first"}`):                    {400, "PAGE_SIZE", "first"},
		said(`["organization","answer"]`, `{"kind":"conflict","code":"CURSOR_BEYOND_HEAD","field":"after"}`):          {409, "CURSOR_BEYOND_HEAD", "after"},
		said(`["organization"]`, `{"kind":"not_found","code":"ORGANIZATION_NOT_FOUND"}`):                              {404, "ORGANIZATION_NOT_FOUND", ""},
		said(`["organization"]`, `{"kind":"denied","code":"SCOPE_MISSING"}`):                                          {403, "SCOPE_MISSING", ""},
		said(`["organization"]`, `{"kind":"unavailable","code":"DATABASE_UNREACHABLE"}`):                              {503, "DATABASE_UNREACHABLE", ""},
		said(`[]`, `{"kind":"unauthentic","code":"TOKEN_MISSING"}`):                                                   {401, "TOKEN_MISSING", ""},
		said(`["variable","type",0]`, `{"code":"GRAPHQL_VALIDATION_FAILED"}`):                                         {400, "PARAMETER_INVALID", "type"},
		said(`["organization"]`, `{"kind":"internal","code":"INTERNAL","requestId":"1"}`):                             {500, "INTERNAL", ""},
		said(`[]`, `{"code":"LIMIT_COST"}`):                                                                           {400, "LIMIT_COST", ""},
		said(`[]`, `{"code":"GRAPHQL_PARSE_FAILED"}`):                                                                 {500, "INTERNAL", ""},
		`{"data":{"organization":null}}`:                                                                              {404, "ORGANIZATION_NOT_FOUND", ""},
		`{"data":null}`:                                                                                               {404, "ORGANIZATION_NOT_FOUND", ""},
		`nonsense`:                                                                                                    {500, "INTERNAL", ""},
		`{"data":{"organization":{"answer":{"nodes":[]}}},"errors":[{"message":"half","extensions":{"code":"ODD"}}]}`: {500, "INTERNAL", ""},
	} {
		a.says = says
		response, body := f.do(t, "GET", changesOfAcme+"?after="+url.QueryEscape("a+b"), "viewer", nil)
		requireRefused(t, response, body, want.status, want.code)
		if want.field != "" {
			require.Contains(t, body, `"field":"`+want.field+`"`)
		}
	}
}

package web_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/web"
)

var presets = []web.Tab{
	{Title: "Who am I", Query: "query Viewer { viewer { name } }"},
	{Query: "query Clusters($org: String!) { organization(slug: $org) { slug } }", Variables: `{"org": "demo"}`},
}

// mux mounts the handler as the documentation says.
var mux = func() *http.ServeMux {
	handler := web.GraphiQL(presets)
	mux := http.NewServeMux()
	mux.Handle("/graphiql", handler)
	mux.Handle("/graphiql/", handler)
	return mux
}()

func get(t *testing.T, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(raw)
}

func inflate(t *testing.T, raw []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	plain, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(plain)
}

// mainScript is the address of the script that the page loads.
func mainScript(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`src="(/graphiql/assets/main-[^"]+\.js)"`).
		FindStringSubmatch(body(t, get(t, http.MethodGet, "/graphiql", nil)))
	require.NotNil(t, found, "the page loads no main script")
	return found[1]
}

func TestGraphiQLPage(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/graphiql", "/graphiql/"} {
		response := get(t, http.MethodGet, target, nil)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", response.Header.Get("Content-Type"))
		require.Equal(t, "no-cache", response.Header.Get("Cache-Control"))
		html := body(t, response)
		require.Contains(t, html, "<title>exposuregraph — GraphiQL</title>")
		require.NotContains(t, html, "{{")

		// Everything the page loads is there, with an absolute path so that
		// both addresses of the page work.
		links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(html, -1)
		require.GreaterOrEqual(t, len(links), 2)
		for _, link := range links {
			if strings.HasPrefix(link[1], "data:") {
				continue
			}
			require.Equal(t, http.StatusOK, get(t, http.MethodGet, link[1], nil).StatusCode, link[1])
		}

		again := get(t, http.MethodGet, target, http.Header{"If-None-Match": {response.Header.Get("ETag")}})
		require.Equal(t, http.StatusNotModified, again.StatusCode)
	}
}

func TestGraphiQLSecurityHeaders(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/graphiql", mainScript(t), "/graphiql/presets.json", "/graphiql/missing"} {
		header := get(t, http.MethodGet, target, nil).Header
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), target)
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"), target)
		require.Equal(t, "same-origin", header.Get("Cross-Origin-Opener-Policy"), target)

		directives := map[string]string{}
		for _, directive := range strings.Split(header.Get("Content-Security-Policy"), ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
			directives[name] = value
		}
		require.Equal(t, "'self'", directives["default-src"], target)
		require.Equal(t, "'self'", directives["script-src"], target)
		require.Equal(t, "'self'", directives["connect-src"], target)
		require.Equal(t, "'self'", directives["worker-src"], target)
		require.Equal(t, "'none'", directives["frame-ancestors"], target)
		require.Equal(t, "'none'", directives["base-uri"], target)
		for name, value := range directives {
			require.NotContains(t, value, "http", name)
			require.NotContains(t, value, "unsafe-eval", name)
			require.NotContains(t, value, "*", name)
		}
	}
}

func TestGraphiQLAssets(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("dist/assets")
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".gz")
		require.True(t, ok, "%s is not gzip", entry.Name())
		require.Regexp(t, `-[0-9A-Z]{8}\.[a-z]+$`, name, "cached forever, so its name needs a hash")
		embedded, err := os.ReadFile(filepath.Join("dist/assets", entry.Name()))
		require.NoError(t, err)

		packed := get(t, http.MethodGet, "/graphiql/assets/"+name, http.Header{"Accept-Encoding": {"gzip, deflate, br"}})
		require.Equal(t, http.StatusOK, packed.StatusCode)
		require.Equal(t, types[filepath.Ext(name)], packed.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=31536000, immutable", packed.Header.Get("Cache-Control"))
		require.Equal(t, "gzip", packed.Header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", packed.Header.Get("Vary"))
		require.Equal(t, string(embedded), body(t, packed))

		plain := get(t, http.MethodGet, "/graphiql/assets/"+name, nil)
		require.Equal(t, http.StatusOK, plain.StatusCode)
		require.Empty(t, plain.Header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", plain.Header.Get("Vary"))
		require.Equal(t, inflate(t, embedded), body(t, plain))
	}
}

func TestGraphiQLAcceptEncoding(t *testing.T) {
	t.Parallel()
	script := mainScript(t)
	for value, want := range map[string]string{
		"gzip":              "gzip",
		"GZIP":              "gzip",
		"br, gzip;q=0.5":    "gzip",
		"*":                 "gzip",
		"identity, *;q=0.1": "gzip",
		"":                  "",
		"br":                "",
		"gzip;q=0":          "",
		"gzip; q=0.000":     "",
		"gzip;q=0, *":       "",
		"*, gzip;q=0":       "",
		"*;q=0":             "",
		"gzip;q=nonsense":   "",
	} {
		response := get(t, http.MethodGet, script, http.Header{"Accept-Encoding": {value}})
		require.Equal(t, want, response.Header.Get("Content-Encoding"), "Accept-Encoding: %s", value)
	}
}

func TestGraphiQLMethods(t *testing.T) {
	t.Parallel()
	accept := http.Header{"Accept-Encoding": {"gzip"}}
	for _, target := range []string{"/graphiql", mainScript(t), "/graphiql/presets.json"} {
		head := get(t, http.MethodHead, target, accept)
		require.Equal(t, http.StatusOK, head.StatusCode)
		require.Empty(t, body(t, head))
		require.Equal(t, get(t, http.MethodGet, target, accept).Header, head.Header)

		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			response := get(t, method, target, nil)
			require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
			require.Equal(t, "GET, HEAD", response.Header.Get("Allow"))
		}
	}
}

func TestGraphiQLUnknown(t *testing.T) {
	t.Parallel()
	handler := web.GraphiQL(nil)
	for _, target := range []string{
		"/graphiql/assets/",
		"/graphiql/assets/main.js",
		"/graphiql/assets/../index.html",
		"/graphiql/assets/..%2f..%2fgraphiql.go",
		"/graphiql/assets/%2e%2e/%2e%2e/graphiql.go",
		"/graphiql/../graphiql.go",
		"/graphiql/index.html",
		"/graphiql//",
		mainScript(t) + ".gz",
		mainScript(t) + "/",
		"/elsewhere",
	} {
		// Without a mux, which would clean the path first.
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		require.Equal(t, http.StatusNotFound, w.Code, target)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), target)
	}
}

func TestGraphiQLPresets(t *testing.T) {
	t.Parallel()
	response := get(t, http.MethodGet, "/graphiql/presets.json", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	require.Equal(t, "no-cache", response.Header.Get("Cache-Control"))
	require.JSONEq(t, `[
		{"title": "Who am I", "query": "query Viewer { viewer { name } }", "variables": ""},
		{"query": "query Clusters($org: String!) { organization(slug: $org) { slug } }", "variables": "{\"org\": \"demo\"}"}
	]`, body(t, response))

	w := httptest.NewRecorder()
	web.GraphiQL(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/graphiql/presets.json", nil))
	require.Equal(t, "[]", w.Body.String())
}

func TestGraphiQLLicences(t *testing.T) {
	t.Parallel()
	response := get(t, http.MethodGet, "/graphiql/THIRD_PARTY_LICENSES.txt", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	text := body(t, response)
	for _, name := range []string{"graphiql ", "monaco-editor ", "react ", "graphql-ws ", "Codicons"} {
		require.Contains(t, text, name)
	}
}

// TestBundleLoadsNothingFromOutside reads the bundle for the ways in which a
// page loads something. Links to follow and XML namespaces are not among them.
// The proof that nothing is requested is graphiql/e2e.mjs.
func TestBundleLoadsNothingFromOutside(t *testing.T) {
	t.Parallel()
	// One expression each, beginning with a literal: together they would be
	// searched byte by byte through seven megabytes.
	const outside = `["'\x60]?\s*(?:https?:)?//[a-z0-9]`
	loads := []*regexp.Regexp{
		regexp.MustCompile(`src\s*[=:]\s*\\?` + outside),
		regexp.MustCompile(`srcset\s*=\s*\\?` + outside),
		regexp.MustCompile(`href=\s*\\?` + outside),
		regexp.MustCompile(`@import\s*(?:url\()?\s*\\?` + outside),
		regexp.MustCompile(`url\(\s*\\?` + outside),
		regexp.MustCompile(`importScripts\(\s*` + outside),
		regexp.MustCompile(`import\s*\(?\s*["'\x60](?:https?:)?//`),
		regexp.MustCompile(`from\s*["'\x60](?:https?:)?//`),
		regexp.MustCompile(`fetch\(\s*["'\x60](?:https?:)?//`),
		regexp.MustCompile(`Worker\(\s*["'\x60](?:https?:)?//`),
		regexp.MustCompile(`WebSocket\(\s*["'\x60](?:wss?:)?//`),
		regexp.MustCompile(`EventSource\(\s*["'\x60](?:https?:)?//`),
		regexp.MustCompile(`sendBeacon\(\s*["'\x60](?:https?:)?//`),
		regexp.MustCompile(`sourceMappingURL=`),
	}
	find := func(text string) []string {
		var found []string
		for _, load := range loads {
			for _, at := range load.FindAllStringIndex(text, -1) {
				found = append(found, text[at[0]:min(at[0]+160, len(text))])
			}
		}
		return found
	}

	// They find what they are for.
	for _, bad := range []string{
		`<script src="https://cdn.example/x.js">`, `<link rel=stylesheet href=//cdn.example/x.css>`,
		`@import url(http://cdn.example/x.css)`, `@import"https://cdn.example/x.css"`,
		`src:url("https://cdn.example/x.woff2")`, `importScripts("http://cdn.example/x.js")`,
		`import("https://cdn.example/x.js")`, `import x from"https://cdn.example/x.js"`,
		`fetch("https://cdn.example/x")`, `new Worker("//cdn.example/x.js")`,
		`//# sourceMappingURL=x.js.map`,
	} {
		require.NotEmpty(t, find(bad), bad)
	}

	files := 0
	err := filepath.WalkDir("dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) == ".txt" {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text := string(raw)
		if filepath.Ext(name) == ".gz" {
			text = inflate(t, raw)
		}
		require.Empty(t, find(text), name)
		files++
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 5)
}

// TestBundleIsOfThisSource catches a page that was changed without a build: the
// packages that package.json pins are in the licence list.
func TestBundleIsOfThisSource(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("graphiql/package.json")
	require.NoError(t, err)
	var manifest struct{ Dependencies map[string]string }
	require.NoError(t, json.Unmarshal(raw, &manifest))
	licences, err := os.ReadFile("dist/THIRD_PARTY_LICENSES.txt")
	require.NoError(t, err)
	for name, version := range manifest.Dependencies {
		require.Contains(t, string(licences), name+" "+version+" (")
	}
}

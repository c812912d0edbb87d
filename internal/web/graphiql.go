package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed dist
var dist embed.FS

// Tab is an example query. GraphiQL takes the name of a tab from its operation,
// so Query should name one: "query RiskClusters { … }".
type Tab struct {
	Title     string `json:"title,omitempty"` // the entry in the Examples menu; without it, the operation's name
	Query     string `json:"query"`
	Variables string `json:"variables"` // a JSON object as text, or empty
}

// root is where GraphiQL is mounted. It is also written into the bundle
// (publicPath in graphiql/build.mjs).
const root = "/graphiql"

// policy is the content security policy of every response, so that it also
// holds in the workers.
//
//   - style-src allows inline styles because Monaco and the menus position
//     themselves with style elements; scripts have no such exception.
//   - connect-src 'self' covers the WebSocket on the same host (CSP level 3).
//   - img-src and font-src allow data: for the icons inside the style sheet.
//     Pictures from elsewhere stay out: GraphiQL previews image addresses that
//     appear in a response, and that would tell the other host who looks at what.
const policy = "default-src 'self'; " +
	"script-src 'self'; " +
	"style-src 'self' 'unsafe-inline'; " +
	"worker-src 'self'; " +
	"connect-src 'self'; " +
	"img-src 'self' data:; " +
	"font-src 'self' data:; " +
	"object-src 'none'; " +
	"base-uri 'none'; " +
	"form-action 'none'; " +
	"frame-ancestors 'none'"

// Hashed names never change their content; everything else is asked for again.
const (
	cacheForever = "public, max-age=31536000, immutable"
	revalidate   = "no-cache"
)

// page is one answer, complete before the first request.
type page struct {
	contentType string
	cache       string
	body        []byte
	gzipped     bool   // body is gzip
	etag        string // of pages that are revalidated
}

// GraphiQL serves the GraphiQL page at /graphiql and /graphiql/ and everything
// it loads below that. The tabs are readable without a token.
func GraphiQL(presets []Tab) http.Handler {
	if presets == nil {
		presets = []Tab{} // [] and not null
	}
	list, err := json.Marshal(presets)
	if err != nil {
		panic(err) // a struct of strings always marshals
	}

	html := revalidated("text/html; charset=utf-8", embedded("dist/index.html"))
	// The only paths there are: a request is looked up here and never becomes
	// the name of a file.
	pages := map[string]page{
		root:                   html,
		root + "/":             html,
		root + "/presets.json": revalidated("application/json", list),
		root + "/THIRD_PARTY_LICENSES.txt": revalidated("text/plain; charset=utf-8",
			embedded("dist/THIRD_PARTY_LICENSES.txt")),
	}
	entries, err := fs.ReadDir(dist, "dist/assets")
	if err != nil {
		panic(err) // the binary was built without its assets
	}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".gz")
		pages[root+"/assets/"+name] = page{
			contentType: contentTypes[path.Ext(name)],
			cache:       cacheForever,
			body:        embedded("dist/assets/" + entry.Name()),
			gzipped:     true,
		}
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")

		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		page, ok := pages[r.URL.Path]
		if !ok {
			header.Set("Cache-Control", "no-store")
			http.NotFound(w, r)
			return
		}
		page.serve(w, r)
	})
}

// contentTypes is spelled out because mime.TypeByExtension asks the machine.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".ttf": "font/ttf",
}

func (p page) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", p.contentType)
	header.Set("Cache-Control", p.cache)
	if !p.gzipped {
		header.Set("ETag", p.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
		return
	}

	header.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		header.Set("Content-Length", strconv.Itoa(len(p.body)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(p.body) // the client went away
		}
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(p.body))
	if err != nil {
		http.Error(w, "a damaged asset in the binary", http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, plain)
}

// acceptsGzip reads Accept-Encoding: gzip or *, unless its weight is zero; what
// is said of gzip itself counts more than *. A missing header counts as no, to
// be kind to simple clients.
func acceptsGzip(values []string) bool {
	wildcard := false
	for _, part := range strings.Split(strings.Join(values, ","), ",") {
		coding, parameters, _ := strings.Cut(part, ";")
		name, weight, _ := strings.Cut(strings.TrimSpace(parameters), "=")
		accepted := true
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
			accepted = err == nil && q > 0
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return accepted
		case "*":
			wildcard = accepted
		}
	}
	return wildcard
}

func revalidated(contentType string, body []byte) page {
	sum := sha256.Sum256(body)
	return page{
		contentType: contentType,
		cache:       revalidate,
		body:        body,
		etag:        `"` + hex.EncodeToString(sum[:12]) + `"`,
	}
}

func embedded(name string) []byte {
	body, err := dist.ReadFile(name)
	if err != nil {
		panic(err) // the binary was built without its assets
	}
	return body
}

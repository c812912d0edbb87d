package cli_test

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const report = `{"syncId":"5a4b5b6d-a5b0-b631-1178-30d7ab0fcd46","organization":"acme","source":"ci","system":"prod","format":"kubernetes",` +
	`"outcome":"applied","complete":true,"version":3,"observedAt":"2026-01-02T03:04:05Z","at":"2026-01-02T03:04:05Z",` +
	`"records":{"read":10,"accepted":10,"rejected":0},"entities":{"added":4,"changed":0,"removed":0},` +
	`"paths":{"added":5,"kept":6,"changed":7,"removed":8},"rotations":0,"exposures":{"opened":0,"resolved":0},"rejections":[],"warnings":[]}` + "\n"

var partly = strings.NewReplacer(
	`"accepted":10,"rejected":0`, `"accepted":8,"rejected":2`,
	`"rejections":[]`, `"rejections":[{"file":"a.yaml","line":7,"code":"NOT_UTF8","reason":"Bad bytes."}]`,
	`"warnings":[]`, `"warnings":[{"file":"b.yaml","line":9,"code":"SHRINKS","message":"Half of it is gone."}]`).Replace(report)

// scanned is the report of a scan, half that of one that is not complete.
var (
	scanned = strings.NewReplacer(`"rejections":[]`, `"assets":{"added":3,"changed":0,"gone":2,"kept":40},"rejections":[]`).Replace(report)
	half    = strings.NewReplacer(`"complete":true`, `"complete":false`).Replace(scanned)
)

// received is what a server saw of an upload.
type received struct {
	path, query, token string
	parts              []string // name|filename|content
	err                error
}

func receiver(t *testing.T, got *received, then http.HandlerFunc) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		*got = received{path: r.URL.Path, query: r.URL.RawQuery, token: r.Header.Get("Authorization")}
		_, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		reader := multipart.NewReader(r.Body, parameters["boundary"])
		for {
			part, err := reader.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				got.err = err
				break
			}
			content, err := io.ReadAll(part)
			if err != nil {
				got.err = err
				break
			}
			_, disposition, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
			got.parts = append(got.parts, disposition["name"]+"|"+disposition["filename"]+"|"+string(content))
		}
		then(w, r)
	})
}

func TestImportSends(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	for _, name := range []string{"k/b.yaml", "k/a.yml", "k/sub/c.json", "k/sub/d.YAML", "k/README.md", "k/.git/e.yaml", "k/.hidden.yaml", `say "hi".yaml`, "own.yaml", "pol.yaml", "notes.txt"} {
		write(t, in(name), "content of "+filepath.Base(name))
	}
	var got received
	server := receiver(t, &got, answer(200, report))
	code, stdout, stderr := world{stdin: "piped"}.run(t.Context(), "import", "kubernetes", in("k"), in(`say "hi".yaml`), "-", in("notes.txt"),
		"--server", server, "--token", " tok\n", "--org", "acme", "--source", "ci", "--system", "pr od", "--namespace", "shop",
		"--owners", in("own.yaml"), "--policy", in("pol.yaml"), "--observed-at", "2026-01-02T03:04:05+01:00", "--partial", "--strict")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "/imports/kubernetes", got.path)
	require.Equal(t, "create=true&namespace=shop&observedAt=2026-01-02T03%3A04%3A05%2B01%3A00&org=acme&partial=true&source=ci&strict=true&system=pr+od", got.query)
	require.Equal(t, "Bearer tok", got.token)
	require.Equal(t, []string{
		"policy|" + in("pol.yaml") + "|content of pol.yaml",
		"owners|" + in("own.yaml") + "|content of own.yaml",
		"file|" + in("k/.hidden.yaml") + "|content of .hidden.yaml",
		"file|" + in("k/a.yml") + "|content of a.yml",
		"file|" + in("k/b.yaml") + "|content of b.yaml",
		"file|" + in("k/sub/c.json") + "|content of c.json",
		"file|" + in("k/sub/d.YAML") + "|content of d.YAML",
		"file|" + in(`say "hi".yaml`) + `|content of say "hi".yaml`,
		"file|stdin|piped",
		"file|" + in("notes.txt") + "|content of notes.txt",
	}, got.parts)
	require.Contains(t, stdout, "5 added, 6 kept, 7 changed, 8 removed")
	require.NotContains(t, stdout, "assets")
	require.Empty(t, stderr)

	for _, name := range []string{"s/a.xml", "s/b.JSONL", "s/c.yaml", "s/d.csv", "s/e.json", "s/f.nmap"} {
		write(t, in(name), "x")
	}
	code, _, stderr = world{}.run(t.Context(), "import", "nmap", in("s"), "--server", server, "--org", "acme")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, []string{"file|" + in("s/a.xml") + "|x", "file|" + in("s/b.JSONL") + "|x", "file|" + in("s/d.csv") + "|x", "file|" + in("s/e.json") + "|x"}, got.parts)
}

func TestImportReports(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler        http.HandlerFunc
		args           []string
		code           int
		stdout, stderr string
	}{
		"done, JSON":     {answer(200, report), []string{"-o", "json"}, 0, report, ""},
		"a scan":         {answer(200, scanned), nil, 0, "assets     3 added, 0 changed, 2 gone, 40 kept\n", ""},
		"half a scan":    {answer(200, half), nil, 0, "version 3 of acme, partial: it counts where it looked\n", ""},
		"partly":         {answer(200, partly), nil, 3, "8 accepted, 2 rejected", "a.yaml:7: rejected: Bad bytes. [NOT_UTF8]\nand 1 more rejected\nb.yaml:9: warning: Half of it is gone. [SHRINKS]\n"},
		"partly, JSON":   {answer(200, partly), []string{"-o", "json"}, 3, partly, ""},
		"invalid":        {answer(400, `{"error":{"kind":"invalid","code":"MANIFEST_BAD","message":"bad","file":"a.yaml","line":3}}`), nil, 1, "", "a.yaml:3: bad [MANIFEST_BAD]"},
		"bad parameter":  {answer(400, `{"error":{"kind":"invalid","code":"X","message":"bad","field":"namespace"}}`), nil, 1, "", "bad [X: namespace]"},
		"no token":       {answer(401, `{"error":{"kind":"unauthentic","code":"TOKEN_MISSING","message":"token"}}`), nil, 5, "", "token"},
		"denied":         {answer(403, `{"error":{"kind":"denied","code":"X","message":"no"}}`), nil, 5, "", "no"},
		"not found":      {answer(404, `{"error":{"kind":"not_found","code":"ORGANIZATION_NOT_FOUND","message":"no"}}`), nil, 4, "", "no"},
		"conflict":       {answer(409, `{"error":{"kind":"conflict","code":"X","message":"moved on"}}`), nil, 6, "", "moved on"},
		"too large":      {answer(413, `{"error":{"kind":"limit","code":"X","message":"large"}}`), nil, 1, "", "large"},
		"unavailable":    {answer(503, `{"error":{"kind":"unavailable","code":"X","message":"down"}}`), nil, 7, "", "down"},
		"a fault":        {answer(500, `{"error":{"kind":"internal","code":"INTERNAL","message":"internal","requestId":"r-7"}}`), nil, 1, "", "r-7"},
		"another server": {answer(200, `[]`), nil, 7, "", "send it again"},
		"a wrong page":   {answer(404, `{}`), nil, 1, "", "is --server right?"},
	} {
		code, stdout, stderr := world{stdin: "x"}.run(t.Context(), append([]string{"import", "auto", "-", "--org", "acme", "--server", serve(t, test.handler)}, test.args...)...)
		require.Equal(t, test.code, code, "%s: %s", name, stderr)
		require.Contains(t, stdout, test.stdout, name)
		require.Contains(t, stderr, test.stderr, name)
	}
}

func TestImportRefusesFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	file := write(t, filepath.Join(folder, "a.yaml"), strings.Repeat("x", 1<<20))
	var got received
	server := receiver(t, &got, answer(200, report))
	for _, args := range [][]string{
		{filepath.Join(folder, "missing.yaml")},
		{empty},
	} {
		code, stdout, stderr := world{}.run(t.Context(), append([]string{"import", "kubernetes", "--org", "acme", "--server", server}, args...)...)
		require.Equal(t, 1, code, stderr)
		require.Empty(t, stdout)
		require.Empty(t, got.path, "nothing was sent")
	}
	// A side file is opened on the way; the server must see a broken upload.
	code, stdout, stderr := world{}.run(t.Context(), "import", "kubernetes", file, "--owners", filepath.Join(folder, "missing.yaml"), "--org", "acme", "--server", server)
	require.Equal(t, 1, code, stderr)
	require.Contains(t, stderr, "missing.yaml")
	require.Empty(t, stdout)
}

func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	arrived, release := make(chan struct{}), make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	defer close(release)
	go func() { <-arrived; cancel() }()
	start := time.Now()
	code, _, stderr := world{stdin: "x"}.run(ctx, "import", "auto", "-", "--org", "acme", "--server", server)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "interrupted")
	require.Less(t, time.Since(start), 5*time.Second)
}

// TestImportRefusedEarly sends more than buffers hold to a server that refuses
// at once: the reason must arrive.
func TestImportRefusedEarly(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "big.yaml"), strings.Repeat("x", 32<<20))
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"error":{"kind":"unauthentic","code":"TOKEN_EXPIRED","message":"it expired"}}`)
	})
	for range 5 {
		code, _, stderr := world{}.run(t.Context(), "import", "auto", file, "--org", "acme", "--server", server)
		require.Equal(t, 5, code, stderr)
	}
}

package cli_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFileCommands holds the commands against a server that keeps one file.
func TestFileCommands(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("ab", 32)
	var asked, sent string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked, sent = r.Method+" "+r.URL.String(), string(body)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "the content")
			return
		}
		answer(http.StatusCreated, `{"sha256":"`+digest+`","size":4,"mediaType":"text/plain","name":"a\u0007.txt","created":true}`)(w, r)
	})
	name := write(t, filepath.Join(t.TempDir(), "a.txt"), "text")
	code, stdout, stderr := world{}.run(t.Context(), "file", "put", name, "--org", "acme", "--artifact", "shop@sha256:1", "--server", server)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, digest+"  a .txt, 4 bytes, text/plain: kept\n", stdout)
	require.Equal(t, "POST /files?artifact=shop%40sha256%3A1&name=a.txt&org=acme", asked)
	require.Equal(t, "text", sent)
	code, stdout, _ = world{stdin: "piped"}.run(t.Context(), "file", "put", "-", "--org", "acme", "-o", "json", "--server", server)
	require.Equal(t, 0, code)
	require.Contains(t, stdout, `"created":true`)
	require.Equal(t, []string{"POST /files?org=acme", "piped"}, []string{asked, sent})
	code, stdout, _ = world{}.run(t.Context(), "file", "get", digest, "--org", "acme", "--server", server)
	require.Equal(t, 0, code)
	require.Equal(t, []string{"GET /files/" + digest + "?org=acme", "the content"}, []string{asked, stdout})

	refusing := serve(t, answer(413, `{"error":{"kind":"limit","code":"FILE_TOO_LARGE","message":"no"}}`))
	code, _, stderr = world{}.run(t.Context(), "file", "put", name, "--org", "acme", "--server", refusing)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "FILE_TOO_LARGE")
	code, _, stderr = world{}.run(t.Context(), "file", "put", "/nowhere", "--org", "acme", "--server", server)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "FILE_UNREADABLE")
	for _, args := range [][]string{{}, {"put"}, {"put", name}, {"put", name, name, "--org", "a"}, {"get"}, {"get", "../healthz", "--org", "a"}, {"get", digest}} {
		code, _, _ := world{}.run(t.Context(), append([]string{"file"}, args...)...)
		require.Equal(t, 2, code, args)
	}
}

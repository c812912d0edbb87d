package persisted_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph/persisted"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// TestCache: bytes are bounded, whatever comes, and what was used last stays.
func TestCache(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	cache := persisted.NewCache(most, func(key, text string) int64 { return int64(len(key) + len(text)) })
	cache.Add(t.Context(), "used", "often")
	for n := range 100_000 {
		cache.Add(t.Context(), fmt.Sprint(n), strings.Repeat("x", n%2000))
		if n%100 == 0 {
			text, ok := cache.Get(t.Context(), "used")
			require.True(t, ok, n)
			require.Equal(t, "often", text)
		}
		require.LessOrEqual(t, cache.Bytes(), int64(most))
	}
	require.Greater(t, cache.Bytes(), int64(most*9/10))
	_, ok := cache.Get(t.Context(), "0")
	require.False(t, ok)
	_, ok = cache.Get(t.Context(), "99999")
	require.True(t, ok)

	before := cache.Bytes()
	cache.Add(t.Context(), "large", strings.Repeat("x", most/8))
	_, ok = cache.Get(t.Context(), "large")
	require.False(t, ok, "one must not push out a part of all others")
	require.Equal(t, before, cache.Bytes())

	cache.Add(t.Context(), "used", "rarely")
	text, _ := cache.Get(t.Context(), "used")
	require.Equal(t, "rarely", text)
	cache.Add(t.Context(), "used", strings.Repeat("x", most/8))
	_, ok = cache.Get(t.Context(), "used")
	require.False(t, ok, "what is not held any more must not be answered with what was")
}

const (
	one = `query One { viewer { subject } }`
	two = `query Two { viewer { role } }`
)

// noFoo finds fault with documents that have foo.
func noFoo(document string) error {
	if strings.Contains(document, "foo") {
		return errors.New(`Cannot query field "foo" on type "Query".`)
	}
	return nil
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestLoad(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, content := range map[string]string{
		"relay.json": fmt.Sprintf(`{%q: %q}`, persisted.ID(one), one), "two.graphql": two + "\n", "three.gql": "{ viewer { role } }", ".hidden": "{",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	for path, want := range map[string]int{
		folder: 3,
		file(t, "documents.json", fmt.Sprintf("{\n  %q: %q,\n  %q: %q\n}", persisted.ID(one), one, "sha256:"+strings.ToUpper(persisted.ID(two)), two)): 2,
		file(t, "no-ending", fmt.Sprintf(`{%q: %q}`, persisted.ID(one), one)):                                                                          1,
		file(t, "two.graphql", two): 1,
	} {
		documents, err := persisted.Load(path, noFoo)
		require.NoError(t, err)
		require.Equal(t, want, documents.Len())
	}
}

// TestMistakes: each has its file, its line and its entry.
func TestMistakes(t *testing.T) {
	t.Parallel()
	hash, large := persisted.ID(one), strings.Repeat("#", persisted.MaxDocument+1)
	for name, row := range map[string]struct{ content, want string }{
		"no JSON":           {`{"a`, "documents.json:1: the file is no JSON"},
		"cut off":           {fmt.Sprintf(`{%q: %q`, hash, one), "the file is no JSON"},
		"a list":            {`[]`, "documents.json:1: a JSON object is expected"},
		"nothing":           {``, "documents.json:1: a JSON object is expected"},
		"no document":       {`{}`, "documents.json: there is no document in it"},
		"more after it":     {fmt.Sprintf(`{%q: %q} {}`, hash, one), "something follows the object"},
		"no text":           {fmt.Sprintf("{\n%q: {\"text\": %q}}", hash, one), fmt.Sprintf("documents.json:2: %q: the document must be a text", hash)},
		"null":              {fmt.Sprintf(`{%q: null}`, hash), "the document must be a text"},
		"an MD5":            {fmt.Sprintf(`{"d41d8cd98f00b204e9800998ecf8427e": %q}`, one), `"d41d8cd98f00b204e9800998ecf8427e": the key is no SHA-256`},
		"another's hash":    {fmt.Sprintf(`{%q: %q}`, hash, two), fmt.Sprintf("%q: the document has another SHA-256, %s", hash, persisted.ID(two))},
		"two with one hash": {fmt.Sprintf("{\n%q: %q,\n%q: %q\n}", hash, one, hash, one), fmt.Sprintf("documents.json:3: %q: the same document is in ", hash)},
		"too large":         {fmt.Sprintf(`{%q: %q}`, persisted.ID(large), large), "the document has 65537 bytes and the limit is 65536"},
		"an unknown field":  {fmt.Sprintf(`{%q: "{ foo }"}`, persisted.ID("{ foo }")), fmt.Sprintf(`%q: Cannot query field "foo"`, persisted.ID("{ foo }"))},
	} {
		path := file(t, "documents.json", row.content)
		_, err := persisted.Load(path, noFoo)
		requireProblem(t, err, "TRUSTED_DOCUMENTS_INVALID", name)
		require.Contains(t, err.Error(), row.want, name)
		require.Contains(t, err.Error(), path, name)
	}

	_, err := persisted.Load(filepath.Join(t.TempDir(), "nowhere.json"), noFoo)
	requireProblem(t, err, "TRUSTED_DOCUMENTS_UNREADABLE", "missing")
	_, err = persisted.Load(t.TempDir(), noFoo)
	requireProblem(t, err, "TRUSTED_DOCUMENTS_INVALID", "empty folder")
	require.Contains(t, err.Error(), "there is no document in it")
	_, err = persisted.Load(file(t, "large.json", strings.Repeat(" ", 16<<20+1)), noFoo)
	requireProblem(t, err, "TRUSTED_DOCUMENTS_INVALID", "large")
	require.Contains(t, err.Error(), "the file has more than")

	// In a folder: files of another sort, and a document in two of them.
	folder := t.TempDir()
	for name, content := range map[string]string{"a.graphql": one, "b.json": fmt.Sprintf(`{%q: %q}`, hash, one), "c.txt": one} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	_, err = persisted.Load(folder, noFoo)
	requireProblem(t, err, "TRUSTED_DOCUMENTS_INVALID", "folder")
	require.Contains(t, err.Error(), fmt.Sprintf("b.json:1: %q: the same document is in %s already", hash, filepath.Join(folder, "a.graphql")))
	require.Contains(t, err.Error(), "c.txt: it is neither .json nor .graphql")

	// Not more than a screen of them.
	var many []string
	for n := range 100 {
		text := fmt.Sprintf("{ foo%d }", n)
		many = append(many, fmt.Sprintf("%q: %q", persisted.ID(text), text))
	}
	_, err = persisted.Load(file(t, "documents.json", "{"+strings.Join(many, ",\n")+"}"), noFoo)
	require.Equal(t, 21, strings.Count(err.Error(), "\n"))
	require.Contains(t, err.Error(), "and 80 more")
}

func requireProblem(t *testing.T, err error, code, about string) {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed, about)
	require.Equal(t, code, typed.Code, about)
	require.Equal(t, problem.Invalid, typed.Kind, about)
}

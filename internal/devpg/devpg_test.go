package devpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The test binary runs itself again as another process, which can be another
// user's and can be killed.
const (
	helperEnv = "DEVPG_TEST_HELPER"
	dirEnv    = "DEVPG_TEST_DIR"
)

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		code := m.Run()
		if seeded != "" {
			_ = os.RemoveAll(seeded)
		}
		os.Exit(code)
	case "serve":
		os.Exit(helperServe(os.Getenv(dirEnv)))
	default:
		fmt.Fprintln(os.Stderr, "unknown helper", os.Getenv(helperEnv))
		os.Exit(2)
	}
}

// helperServe runs a server until its input ends, or until it is killed.
func helperServe(dir string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Start(ctx, testConfig(dir))
	if err != nil {
		fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " | "))
		return 1
	}
	fmt.Println("ready", os.Geteuid(), s.process.cmd.Process.Pid, s.RuntimeURL(""))
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

// helper is a process that runs a server.
type helper struct {
	cmd        *exec.Cmd
	stdin      io.Closer
	uid        int // of the helper
	postmaster int // its server's process
	url        string
}

// startHelper starts a helper; program and account are the test binary and the
// caller's user unless given.
func startHelper(t *testing.T, dir, program string, acc *account) *helper {
	t.Helper()
	if program == "" {
		var err error
		program, err = os.Executable()
		require.NoError(t, err)
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), helperEnv+"=serve", dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = acc.attributes()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the helper ended before it was ready")
	h := &helper{cmd: cmd, stdin: stdin}
	_, err = fmt.Sscanf(line, "ready %d %d %s", &h.uid, &h.postmaster, &h.url)
	require.NoError(t, err, "the helper said %q", line)
	return h
}

// kill9 ends the helper as nothing can prevent.
func (h *helper) kill9(t *testing.T) {
	t.Helper()
	require.NoError(t, h.cmd.Process.Kill())
	require.ErrorContains(t, h.cmd.Wait(), "killed")
}

func testConfig(dir string) Config {
	return Config{DataDir: dir, Settings: map[string]string{"shared_buffers": "16MB"}}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newDir(t *testing.T) string {
	t.Helper()
	dir, err := TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// seed is a data folder that initdb filled once for all the tests that are not
// about initdb.
var seed = sync.OnceValues(func() (string, error) {
	dir, err := TempDir()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Start(ctx, testConfig(dir))
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	seeded = dir
	return dir, s.Close()
})

// seeded is the seed, once there is one, for TestMain to remove.
var seeded string

// seedDir copies the seed, owners included, to a data folder that is made.
func seedDir(t *testing.T, dir string) string {
	t.Helper()
	source, err := seed()
	require.NoError(t, err)
	require.NoError(t, makeFolder(dir))
	out, err := exec.CommandContext(testContext(t), "cp", "-Rp", filepath.Join(source, "pg"), dir).CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

func seededDir(t *testing.T) string {
	t.Helper()
	return seedDir(t, newDir(t))
}

func start(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(testContext(t), testConfig(dir))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func open(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := connect(testContext(t), url)
	require.NoError(t, err)
	t.Cleanup(func() { disconnect(conn) })
	return conn
}

func ask[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var value T
	require.NoError(t, conn.QueryRow(testContext(t), sql, args...).Scan(&value))
	return value
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(testContext(t), sql)
	require.NoError(t, err)
}

func requireProblem(t *testing.T, err error, kind problem.Kind, code string) *problem.Error {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, kind, typed.Kind, typed.Message)
	require.Equal(t, code, typed.Code, typed.Message)
	return typed
}

// writeProgram makes an executable script.
func writeProgram(t *testing.T, path, script string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

//go:build unix

package devpg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// busy keeps a backend from noticing that its server is gone.
const busy = `DO $$ DECLARE until timestamptz := clock_timestamp() + interval '3 s';
	BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$`

func kill(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	process, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, process.Signal(signal))
}

func requireGone(t *testing.T, pid int, dir string) {
	t.Helper()
	require.Eventually(t, func() bool { return !isPostmaster(pid, filepath.Join(dir, "pg")) },
		15*time.Second, 20*time.Millisecond, "postgres outlived its parent")
}

// compute keeps a backend busy and returns when it is. The channel closes when
// the backend is gone.
func compute(t *testing.T, s *Server) <-chan struct{} {
	t.Helper()
	backend, done := open(t, s.OwnerURL("")), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = backend.Exec(t.Context(), busy) // its end is the point, not its answer
	}()
	watcher := open(t, s.SuperuserURL(""))
	require.Eventually(t, func() bool {
		return ask[bool](t, watcher, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %')")
	}, 10*time.Second, 20*time.Millisecond)
	return done
}

func TestKilledPostgresIsReportedAndStartsAgain(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	s := start(t, dir)
	run(t, open(t, s.OwnerURL("")), "SET synchronous_commit = on; CREATE TABLE kept (n int)")

	// An orphan that computes holds the shared memory for three seconds.
	computing := compute(t, s)
	kill(t, s.process.cmd.Process.Pid, syscall.SIGKILL)
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed the end of postgres")
	}
	typed := requireProblem(t, s.Err(), problem.Unavailable, "POSTGRES_EXITED")
	require.ErrorContains(t, typed, "signal: killed")
	require.NoError(t, s.Close())

	again := start(t, dir)
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "shared memory block", "the start was in time to meet the orphan")
	require.Equal(t, 0, ask[int](t, open(t, again.OwnerURL("")), "SELECT count(*) FROM kept"))
	<-computing
}

func TestKilledParentLeavesNoPostgres(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	h := startHelper(t, dir, "", nil)
	idle := open(t, h.url)
	require.Equal(t, 1, ask[int](t, idle, "SELECT 1"))
	_, err := Start(testContext(t), testConfig(dir))
	requireProblem(t, err, problem.Conflict, "DATA_FOLDER_IN_USE")

	h.kill9(t)
	// Right away: the postgres of the dead is still shutting down or running.
	s := start(t, dir)
	requireGone(t, h.postmaster, dir)
	require.Equal(t, 1, ask[int](t, open(t, s.RuntimeURL("")), "SELECT 1"))
}

func TestKilledParentAndPostgres(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	h := startHelper(t, dir, "", nil)
	// Stopped, it cannot end in order before it is killed.
	kill(t, h.postmaster, syscall.SIGSTOP)
	h.kill9(t)
	kill(t, h.postmaster, syscall.SIGKILL)
	start(t, dir)
}

// A server that is deaf to its parent's death is found and ended.
func TestOrphanIsShutDownFirst(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	s := start(t, dir)
	require.NoError(t, s.Close())

	b, err := Find()
	require.NoError(t, err)
	cmd := s.command(b.Postgres, []string{"-D", filepath.Join(dir, "pg"), "-c", "listen_addresses=",
		"-c", "unix_socket_directories=" + quoteListItem(s.SocketDir())}, nil, 0)
	cmd.Stdout, cmd.Stderr = nil, nil
	orphan := startChild(cmd)
	t.Cleanup(func() { orphan.kill(time.Millisecond) })
	require.Eventually(t, func() bool {
		conn, err := connect(t.Context(), s.RuntimeURL(""))
		if err == nil {
			disconnect(conn)
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)

	_, err = Attach(testContext(t), dir)
	requireProblem(t, err, problem.NotFound, "POSTGRES_NOT_RUNNING")
	require.Equal(t, orphan.cmd.Process.Pid, s.folder.postmasterPID())
	start(t, dir)
	select {
	case <-orphan.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the orphan is still there")
	}
	require.NoError(t, orphan.err, "it was shut down in order")
}

// A killed server whose death nobody has taken note of still has its number,
// which PostgreSQL takes for a running server's.
func TestUnreapedPostgresIsNotInTheWay(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	b, err := Find()
	require.NoError(t, err)
	f, err := prepareFolder(dir)
	require.NoError(t, err)
	s := &Server{folder: f}
	s.socketDir, err = f.makeSocketDir()
	require.NoError(t, err)
	cmd := s.command(b.Postgres, []string{"-D", f.pgData(), "-c", "listen_addresses=",
		"-c", "unix_socket_directories=" + quoteListItem(s.socketDir)}, nil, 0)
	cmd.Stdout, cmd.Stderr = nil, nil
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		conn, err := connect(t.Context(), s.RuntimeURL(""))
		if err == nil {
			disconnect(conn)
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)

	computing := compute(t, s)
	kill(t, cmd.Process.Pid, syscall.SIGKILL) // and no Wait
	start(t, dir)
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "already exists", "the start was in time to meet the dead")
	<-computing
}

// The process number of a postmaster.pid may have gone to somebody else, who
// must come to no harm and must not be in the way.
func TestRecycledProcessNumber(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	s := start(t, dir)
	require.NoError(t, s.Close())

	bystander := exec.Command("sleep", "60")
	bystander.SysProcAttr = s.folder.account.attributes()
	require.NoError(t, bystander.Start())
	ended := make(chan error, 1)
	go func() { ended <- bystander.Wait() }()
	t.Cleanup(func() { _ = bystander.Process.Kill() })
	pid := filepath.Join(dir, "pg", "postmaster.pid")
	require.NoError(t, os.WriteFile(pid, fmt.Appendf(nil, "%d\n%s\n1\n5432\n\n\n\n", bystander.Process.Pid, filepath.Join(dir, "pg")), 0o600))
	if a := s.folder.account; a != nil {
		require.NoError(t, os.Chown(pid, a.uid, a.gid))
	}

	start(t, dir)
	select {
	case err := <-ended:
		t.Fatal("the bystander was killed", err)
	default:
	}
}

func TestCtrlCReachesOnlyTheParent(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	h := startHelper(t, dir, "", nil)
	group, err := syscall.Getpgid(h.postmaster)
	require.NoError(t, err)
	require.Equal(t, h.postmaster, group, "a process group of its own")

	require.NoError(t, h.stdin.Close())
	require.NoError(t, h.cmd.Wait(), "an orderly end")
	require.False(t, isPostmaster(h.postmaster, filepath.Join(dir, "pg")))
}

func TestRunsAsAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if !isRoot() {
		require.Equal(t, os.Geteuid(), startHelper(t, newDir(t), "", nil).uid)
		return
	}
	nobody := &account{name: "nobody", uid: 65534, gid: 65534}
	base := newDir(t)
	require.NoError(t, os.Chmod(base, 0o755))
	// go test builds in a folder that only root can enter.
	self, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(base, "devpg.test")
	// Copied by another process: while this one had it open to write, a child of another
	// test could take that over, and nobody may run what is open to write.
	require.NoError(t, exec.Command("cp", self, program).Run())
	require.NoError(t, os.Chmod(program, 0o755))
	home := filepath.Join(base, "home")
	require.NoError(t, os.Mkdir(home, 0o700))
	require.NoError(t, os.Chown(home, nobody.uid, nobody.gid))
	dir := filepath.Join(home, "data")

	h := startHelper(t, dir, program, nobody)
	require.Equal(t, nobody.uid, h.uid)
	require.Equal(t, RuntimeRole, ask[string](t, open(t, h.url), "SELECT current_user"))
	status, err := os.ReadFile("/proc/" + strconv.Itoa(h.postmaster) + "/status")
	require.NoError(t, err)
	require.Contains(t, string(status), "Uid:\t65534")
	require.NoError(t, h.stdin.Close())
	require.NoError(t, h.cmd.Wait())

	// Root on the same folder runs it as its owner, and the owner still can.
	s := start(t, dir)
	require.Equal(t, nobody.uid, s.folder.account.uid)
	require.NoError(t, s.Close())
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if uid, _, ok := owner(info); err == nil && (!ok || uid != nobody.uid) {
			return fmt.Errorf("%s belongs to %d", path, uid)
		}
		return err
	}))
	h = startHelper(t, dir, program, nobody)
	require.NoError(t, h.stdin.Close())
	require.NoError(t, h.cmd.Wait())
}

func TestRootNeedsAReachableFolder(t *testing.T) {
	t.Parallel()
	closed := newDir(t)
	require.NoError(t, os.Chmod(closed, 0o700))
	dir := filepath.Join(closed, "data")
	if !isRoot() {
		require.True(t, strings.HasPrefix(start(t, dir).SocketDir(), dir), "an ordinary user's folder may be closed to all others")
		return
	}
	_, err := Start(testContext(t), testConfig(dir))
	typed := requireProblem(t, err, problem.Invalid, "DATA_FOLDER_UNREACHABLE")
	require.ErrorContains(t, typed, "cannot enter "+closed+" on the way")

	// The data folder itself is ours to open up.
	given := newDir(t)
	require.NoError(t, os.Chmod(given, 0o700))
	start(t, given)
}

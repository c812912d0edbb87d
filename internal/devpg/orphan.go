package devpg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// postmasterPID is the server that a PGDATA says is running on it; 0 for none.
func (f folder) postmasterPID() int {
	raw, err := os.ReadFile(filepath.Join(f.pgData(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(firstLine(string(raw)))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}

// stopOrphan shuts down a server whose parent has died. The caller has the lock,
// so nobody is using it any more.
func (s *Server) stopOrphan(ctx context.Context) error {
	pid, pgData := s.folder.postmasterPID(), s.folder.pgData()
	if pid == 0 || !isPostmaster(pid, pgData) {
		return nil
	}
	s.logger.Info("shutting down the postgres that an earlier process left", "pid", pid, "folder", s.folder.path)
	for _, step := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{
		{syscall.SIGINT, fastPatience / 2},
		{syscall.SIGQUIT, immediatePatience},
		{syscall.SIGKILL, immediatePatience},
	} {
		// The number is checked again right before each signal.
		if !isPostmaster(pid, pgData) {
			return nil
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			return nil //nolint:nilerr // gone in this instant
		}
		err = process.Signal(step.signal)
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			return problem.New(problem.Conflict, "POSTGRES_ORPHAN",
				"PostgreSQL is already running on %s (process %d) and cannot be shut down from here: %s.",
				s.folder.path, pid, err).Because(err)
		}
		if err := s.waitGone(ctx, pid, step.patience); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return problem.New(problem.Unavailable, "POSTGRES_ORPHAN",
		"The PostgreSQL running on %s (process %d) does not end.", s.folder.path, pid)
}

// waitGone waits for the end of a process that is nobody's child here, which
// can only be watched.
func (s *Server) waitGone(ctx context.Context, pid int, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for isPostmaster(pid, s.folder.pgData()) {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// dropStalePID removes a postmaster.pid whose number now belongs to another
// program, as happens where a container starts the same few processes again.
// PostgreSQL itself would believe in it for ever. Its protection against a
// second server stays: the lock, and the shared memory it finds by the folder.
func (s *Server) dropStalePID() {
	pid := s.folder.postmasterPID()
	if pid == 0 || isPostmaster(pid, s.folder.pgData()) || mayBeHeld(s.folder.pgData()) {
		return
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	if err := process.Signal(syscall.Signal(0)); err != nil && !errors.Is(err, os.ErrPermission) {
		return // no such process: PostgreSQL sees that itself
	}
	path := filepath.Join(s.folder.pgData(), "postmaster.pid")
	s.logger.Info("removing the process number of a postgres that is gone", "pid", pid, "file", path)
	if err := os.Remove(path); err != nil {
		s.logger.Warn("a stale postmaster.pid could not be removed", "error", err)
	}
}

//go:build unix && !linux

package devpg

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// signalOnParentDeath is Linux's; elsewhere an orphan lives until the next
// Start on its folder shuts it down.
func signalOnParentDeath(*syscall.SysProcAttr, syscall.Signal) {}

// isPostmaster says whether a process is the PostgreSQL server of a PGDATA. The
// number in a postmaster.pid proves nothing, because numbers are used again.
func isPostmaster(pid int, pgData string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false
	}
	program, args, _ := strings.Cut(strings.TrimSpace(string(out)), " -D ")
	return filepath.Base(program) == "postgres" && (args == pgData || strings.HasPrefix(args, pgData+" "))
}

// mayBeHeld is always careful here: without /proc there is no cheap way to
// know, and PostgreSQL itself decides about a leftover postmaster.pid.
func mayBeHeld(string) bool { return true }

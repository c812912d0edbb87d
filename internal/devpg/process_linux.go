package devpg

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// signalOnParentDeath makes the kernel signal the child when its parent dies.
// Parent means the thread that started it: see child.
func signalOnParentDeath(attr *syscall.SysProcAttr, signal syscall.Signal) {
	attr.Pdeathsig = signal
}

// isPostmaster says whether a process is the PostgreSQL server of a PGDATA. The
// number in a postmaster.pid proves nothing: numbers are used again, at once
// where containers start with a handful of processes. A process that has ended
// and waits for its parent to notice is no server any more.
func isPostmaster(pid int, pgData string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	comm, err := os.ReadFile(filepath.Join(proc, "comm"))
	if err != nil || !bytes.HasPrefix(comm, []byte("postgres")) {
		return false
	}
	// A server stands in its folder. Root without CAP_SYS_PTRACE, which is what
	// root in a container is, cannot look there but can read the command line.
	if sameDir(filepath.Join(proc, "cwd"), pgData) {
		return true
	}
	line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return false
	}
	args := bytes.Split(line, []byte{0})
	for i := 1; i < len(args); i++ {
		if string(args[i-1]) == "-D" && string(args[i]) == pgData {
			return true
		}
	}
	return false
}

// mayBeHeld says whether some PostgreSQL process, such as a backend that outlived
// its server, may still work on a PGDATA.
func mayBeHeld(pgData string) bool {
	data, err := os.Stat(pgData)
	if err != nil {
		return true
	}
	keeper, _, _ := owner(data)
	comms, _ := filepath.Glob("/proc/[0-9]*/comm") // a constant pattern is never bad
	for _, path := range comms {
		comm, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(comm, []byte("postgres")) {
			continue
		}
		// PostgreSQL works only on a folder of its own user's; the servers of
		// others, where one may not look, are no concern.
		info, err := os.Stat(filepath.Dir(path))
		if err != nil {
			continue // gone
		}
		if user, _, ok := owner(info); ok && user != keeper {
			continue
		}
		cwd := filepath.Join(filepath.Dir(path), "cwd")
		if _, err := os.Stat(cwd); errors.Is(err, fs.ErrPermission) || sameDir(cwd, pgData) {
			return true
		}
	}
	return false
}

func sameDir(a, b string) bool {
	infoA, err := os.Stat(a)
	if err != nil {
		return false
	}
	infoB, err := os.Stat(b)
	return err == nil && os.SameFile(infoA, infoB)
}

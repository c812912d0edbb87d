//go:build !unix

package devpg

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Everything here rests on Unix sockets, users and file locks. Elsewhere the
// package compiles and Start says that a database of one's own is needed.

func (a *account) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func serverAttributes(a *account, _ syscall.Signal) *syscall.SysProcAttr { return a.attributes() }

func owner(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

func tryLock(*os.File, bool) (bool, error) {
	return false, problem.New(problem.Unavailable, "POSTGRES_UNSUPPORTED",
		"The embedded PostgreSQL does not run on this system: give a server with --database-url.")
}

const noFollow = 0

func isPostmaster(int, string) bool { return false }

func mayBeHeld(string) bool { return true }

//go:build unix

package devpg

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// attributes make a child run as the account; a nil account is the caller's own
// user.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// serverAttributes are those of a postgres: besides the account, a process
// group of its own, so that Ctrl-C in the terminal reaches only the parent, and
// where the system can, a signal when the parent dies.
func serverAttributes(a *account, onParentDeath syscall.Signal) *syscall.SysProcAttr {
	attr := a.attributes()
	attr.Setpgid = true
	signalOnParentDeath(attr, onParentDeath)
	return attr
}

// owner is the user and group a file belongs to.
func owner(info fs.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

// tryLock takes the lock of a file, exclusively or together with other readers,
// without waiting. Closing the file, in whatever way, gives it back.
func tryLock(f *os.File, exclusive bool) (taken bool, err error) {
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	for {
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// noFollow refuses to open a symbolic link: root writes into a folder that may
// belong to somebody else.
const noFollow = syscall.O_NOFOLLOW

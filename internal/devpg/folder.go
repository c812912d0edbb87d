package devpg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// maxSocketDir keeps folder + "/.s.PGSQL.5432.lock" under the 104 bytes that
	// macOS has for a socket's path (Linux has 108).
	maxSocketDir = 84

	// maxLogSize is how large the log may be before Start puts it aside.
	maxLogSize = 10 << 20

	// lockPatience is how long Start tries for the lock. Attach holds it for an
	// instant to see whether somebody has it, and must not be mistaken for one.
	lockPatience = 500 * time.Millisecond
)

// account is an unprivileged user that a process of root runs PostgreSQL as.
// A nil account stands for the process's own user.
type account struct {
	name     string
	uid, gid int
}

func isRoot() bool { return os.Geteuid() == 0 }

// unprivilegedAccount is who runs PostgreSQL for root: the user that Debian and
// others make for just this, or else the one that owns nothing.
func unprivilegedAccount() (*account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil && uid != 0 {
			// macOS writes nobody as -2 where its files say 2³²-2.
			return &account{name: name, uid: int(uint32(uid)), gid: int(uint32(gid))}, nil
		}
	}
	return nil, problem.New(problem.Unavailable, "POSTGRES_NO_USER",
		"PostgreSQL refuses to run as root and this system has neither a user postgres nor nobody to run it as. Start this program as an ordinary user.")
}

// folder is a data folder that has been made ready: see doc.go for what is
// in it.
type folder struct {
	path    string // absolute, without symbolic links
	account *account
}

func (f folder) pgData() string     { return filepath.Join(f.path, "pg") }
func (f folder) lockFile() string   { return filepath.Join(f.path, "lock") }
func (f folder) socketFile() string { return filepath.Join(f.path, "socket") }
func (f folder) logFile() string    { return filepath.Join(f.path, "postgres.log") }

// DefaultDataDir is where the embedded PostgreSQL keeps its data when nobody
// says otherwise: $XDG_DATA_HOME/exposuregraph, by default below
// ~/.local/share, and /var/lib/exposuregraph for root. PostgreSQL reads only
// the data of its own major version: when that folder was made by one that is
// not here, the default is a folder of the version that is, such as
// /var/lib/exposuregraph-18, and the other stays as it is.
func DefaultDataDir() (string, error) {
	dir, err := defaultDataDir()
	if err != nil {
		return "", err
	}
	find, err := newFinder()
	if err != nil {
		return "", err
	}
	return find.readable(dir), nil
}

// readable is the folder, or the one beside it for the PostgreSQL that is here
// when the one that made the folder is not.
func (f finder) readable(dir string) string {
	major := majorOf(filepath.Join(dir, "pg"))
	if major == 0 {
		return dir
	}
	if _, err := f.find(major); err == nil {
		return dir
	}
	here, err := f.find(0)
	if err != nil {
		return dir // without any PostgreSQL, Start says what to install
	}
	return dir + "-" + strconv.Itoa(here.Major)
}

func defaultDataDir() (string, error) {
	if isRoot() {
		return "/var/lib/exposuregraph", nil
	}
	// The XDG rules say to ignore a relative path.
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "exposuregraph"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", problem.New(problem.Invalid, "DATA_FOLDER_UNKNOWN",
			"There is no home folder to keep data in: set HOME or name a data folder.").Because(err)
	}
	return filepath.Join(home, ".local", "share", "exposuregraph"), nil
}

// majorOf is the version of PostgreSQL that made a data folder; 0 when there is
// none, or none that is readable, which is for PostgreSQL to judge.
func majorOf(pgData string) int {
	raw, err := os.ReadFile(filepath.Join(pgData, "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
	return major
}

// TempDir makes a new folder in the temporary directory that can serve as a
// Config.DataDir for root too: unlike testing's TempDir and os.MkdirTemp it can
// be passed through by the user that runs PostgreSQL. The caller removes it.
func TempDir() (string, error) {
	dir, err := os.MkdirTemp("", "devpg-")
	if err != nil {
		return "", err
	}
	if isRoot() {
		err = os.Chmod(dir, 0o711)
	}
	return dir, err
}

// prepareFolder makes the data folder, if need be, and decides whose PostgreSQL
// it holds.
func prepareFolder(dataDir string) (folder, error) {
	path, err := absolute(dataDir)
	if err != nil {
		return folder{}, err
	}
	if err := makeFolder(path); err != nil {
		return folder{}, folderFault(path, err)
	}
	// PostgreSQL's view of its folder has to be ours, to recognise it later.
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return folder{}, folderFault(path, err)
	}
	path = resolved
	f := folder{path: path}
	if err := f.refuseForeign(); err != nil {
		return folder{}, err
	}
	if !isRoot() {
		return f, nil
	}
	if f.account, err = accountOf(f); err != nil {
		return folder{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return folder{}, folderFault(path, err)
	}
	// A folder of root's that PostgreSQL's user could not pass through is of no
	// use to either. Its contents keep their own modes.
	if uid, _, ok := owner(info); ok && uid == 0 && info.Mode()&0o011 != 0o011 {
		if err := os.Chmod(path, info.Mode().Perm()|0o011); err != nil {
			return folder{}, folderFault(path, err)
		}
	}
	return f, nil
}

func absolute(dataDir string) (string, error) {
	if dataDir == "" {
		return "", problem.New(problem.Invalid, "DATA_FOLDER_UNKNOWN", "No data folder was named.")
	}
	path, err := filepath.Abs(dataDir)
	if err != nil {
		return "", folderFault(dataDir, err)
	}
	return path, nil
}

// makeFolder is os.MkdirAll, except that what root makes can be passed through
// whatever the umask says; an ordinary user's is private.
func makeFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", path)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	mode := os.FileMode(0o700)
	if isRoot() {
		mode = 0o711
	}
	if err := os.Mkdir(path, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // another process was quicker
		}
		return err
	}
	return os.Chmod(path, mode)
}

// refuseForeign keeps a mistyped folder, such as a home or a bare PGDATA, from
// being strewn with our files.
func (f folder) refuseForeign() error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return folderFault(f.path, err)
	}
	foreign := ""
	for _, entry := range entries {
		switch entry.Name() {
		case "lock", "pg":
			return nil
		case "lost+found":
			// The root of a volume is a fine data folder.
		default:
			foreign = entry.Name()
		}
	}
	if foreign != "" {
		return problem.New(problem.Invalid, "DATA_FOLDER_FOREIGN",
			"%s is not a data folder of ours and not empty (it holds %s): name another folder.", f.path, foreign)
	}
	return nil
}

// accountOf is who runs PostgreSQL for root on a folder: whoever owns what is
// there already, so that `sudo` does not lock an ordinary user out.
func accountOf(f folder) (*account, error) {
	for _, path := range []string{f.pgData(), f.path} {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, folderFault(path, err)
		}
		uid, gid, ok := owner(info)
		if !ok || uid == 0 {
			continue
		}
		name := strconv.Itoa(uid)
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		return &account{name: name, uid: uid, gid: gid}, nil
	}
	return unprivilegedAccount()
}

// checkReach makes sure that PostgreSQL's user can come to the folder and run
// the programs. The kernel is asked, by starting a program there: modes alone
// do not know about access lists and mounts.
func (f folder) checkReach(ctx context.Context, b Binaries) error {
	if f.account == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, b.Postgres, "--version")
	cmd.Dir = f.path
	cmd.Env = childEnv()
	cmd.SysProcAttr = f.account.attributes()
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if _, probeErr := probe(b.Dir, f.account); probeErr != nil {
		return problem.New(problem.Unavailable, "POSTGRES_UNREACHABLE",
			"Root runs PostgreSQL as the user %s, who cannot use %s: %s.", f.account.name, b.Dir, oneLine(probeErr)).Because(probeErr)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return problem.New(problem.Invalid, "DATA_FOLDER_UNREACHABLE",
		"Root runs PostgreSQL as the user %s, who cannot enter %s on the way to the data folder %s: name a data folder elsewhere, such as /var/lib/exposuregraph.",
		f.account.name, f.firstBarrier(), f.path).Because(err)
}

// firstBarrier is the topmost folder that the account may not pass through, as
// far as modes tell.
func (f folder) firstBarrier() string {
	barrier := f.path
	for dir := f.path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil {
			uid, gid, ok := owner(info)
			bit := os.FileMode(0o001)
			switch {
			case uid == f.account.uid:
				bit = 0o100
			case gid == f.account.gid:
				bit = 0o010
			}
			if ok && info.Mode()&bit == 0 {
				barrier = dir
			}
		}
		if dir == filepath.Dir(dir) {
			return barrier
		}
	}
}

// lock takes the folder for this process until the returned file is closed.
func (f folder) lock(ctx context.Context) (*os.File, error) {
	file, err := f.open(f.lockFile(), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, folderFault(f.path, err)
	}
	waiting, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		taken, err := tryLock(file, true)
		if err == nil && taken {
			return file, nil
		}
		if err != nil {
			_ = file.Close() // opened for the lock alone
			var typed *problem.Error
			if errors.As(err, &typed) {
				return nil, err
			}
			return nil, folderFault(f.path, err)
		}
		if pause(waiting, 20*time.Millisecond) != nil {
			_ = file.Close()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, problem.New(problem.Conflict, "DATA_FOLDER_IN_USE",
				"Another process runs the PostgreSQL of %s: stop it or name another data folder.", f.path)
		}
	}
}

// held says whether some process has the lock, that is, runs the server.
func (f folder) held() (bool, error) {
	file, err := os.OpenFile(f.lockFile(), os.O_RDONLY|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, folderFault(f.path, err)
	}
	defer func() { _ = file.Close() }()
	taken, err := tryLock(file, false)
	return !taken, err
}

// makeSocketDir makes the folder of the socket and writes down where it is. The
// caller holds the lock and has seen to it that no server is running, so what
// is left of an earlier one can go.
func (f folder) makeSocketDir() (string, error) {
	dir := filepath.Join(f.path, "run")
	// In a connection string a comma separates hosts, and & and = may be read as
	// what they stand for between parameters.
	if len(dir) > maxSocketDir || strings.ContainsAny(dir, ",&=") {
		dir = f.shortSocketDir()
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", folderFault(dir, err)
	}
	// Mkdir fails on what somebody else put there in the meantime.
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", folderFault(dir, err)
	}
	if f.account != nil {
		if err := os.Lchown(dir, f.account.uid, f.account.gid); err != nil {
			return "", folderFault(dir, err)
		}
	}
	note, err := f.open(f.socketFile(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return "", folderFault(f.path, err)
	}
	_, err = note.WriteString(dir + "\n")
	if err = errors.Join(err, note.Close()); err != nil {
		return "", folderFault(f.path, err)
	}
	return dir, nil
}

// shortSocketDir is the same for every process that computes it, unless their
// TMPDIR differs; therefore the note in the data folder.
func (f folder) shortSocketDir() string {
	sum := sha256.Sum256([]byte(f.path))
	name := "exposuregraph-" + hex.EncodeToString(sum[:8])
	if dir := filepath.Join(os.TempDir(), name); len(dir) <= maxSocketDir {
		return dir
	}
	return filepath.Join("/tmp", name)
}

// socketDir is where the server that was started last has its socket; empty
// when there was none.
func (f folder) socketDir() (string, error) {
	raw, err := os.ReadFile(f.socketFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", folderFault(f.path, err)
	}
	return strings.TrimSuffix(string(raw), "\n"), nil
}

// openLog opens the log to append to it. A log that has grown is put aside
// first, in place of the one before it.
func (f folder) openLog() (*os.File, error) {
	if f.logEnd() > maxLogSize {
		if err := os.Rename(f.logFile(), f.logFile()+".1"); err != nil {
			return nil, folderFault(f.path, err)
		}
	}
	log, err := f.open(f.logFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return nil, folderFault(f.path, err)
	}
	return log, nil
}

// logEnd is the size of the log, from where logTail can read what comes next.
func (f folder) logEnd() int64 {
	info, err := os.Lstat(f.logFile())
	if err != nil {
		return 0
	}
	return info.Size()
}

// logTail is the end of what was logged since an offset: a dozen lines that
// belong into an error message.
func (f folder) logTail(from int64) string {
	const most = 4096
	file, err := os.Open(f.logFile())
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	raw, err := io.ReadAll(io.NewSectionReader(file, max(from, info.Size()-most), most))
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-12):], []byte("\n")))
}

// open opens a file of ours in the data folder, which when made by root belongs
// to whoever owns the folder.
func (f folder) open(path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, flags|noFollow, 0o600)
	if err != nil || !isRoot() {
		return file, err
	}
	info, err := os.Stat(f.path)
	if err == nil {
		if uid, gid, ok := owner(info); ok && uid != 0 {
			err = file.Chown(uid, gid)
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func folderFault(path string, err error) error {
	return problem.New(problem.Unavailable, "DATA_FOLDER_UNUSABLE",
		"The data folder %s cannot be used: %s.", path, err).Because(err)
}

// pause waits, but never past the context's end, which it reports.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

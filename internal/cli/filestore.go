package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// maxFileBytes is what a bucket takes in one request.
const maxFileBytes = 5 << 30

// fileStore are the flags that name the store of files.
type fileStore struct{ app.FilesConfig }

// addFileStore adds the flags.
func addFileStore(cmd *cobra.Command) *fileStore {
	s := &fileStore{}
	cmd.Flags().StringVar(&s.Location, "file-store", "", "where collected files are kept: a `folder` or s3://bucket/prefix (default: files in the data folder)")
	cmd.Flags().StringVar(&s.Region, "s3-region", "", "`region` of the bucket of --file-store")
	cmd.Flags().StringVar(&s.Endpoint, "s3-endpoint", "", "`URL` of a store that is compatible with S3 (default: that of AWS)")
	cmd.Flags().StringVar(&s.Style, "s3-style", "", "where the bucket stands in an address: `path` or virtual-host (default: path with --s3-endpoint, else virtual-host)")
	return s
}

// with adds the credentials, which come from the environment: a flag shows in the list
// of processes.
func (s *fileStore) with(p Process) app.FilesConfig {
	config := s.FilesConfig
	config.Credentials = object.FromEnvironment(func(name string) string {
		value, _ := p.LookupEnv(name)
		return value
	})
	return config
}

// isBucket says whether files are kept elsewhere than in a folder.
func (s *fileStore) isBucket() bool { return strings.HasPrefix(s.Location, "s3://") }

// examineFiles looks at what was collected, and at what is between two steps.
func examineFiles(ctx context.Context, p Process, flags *fileStore, dataDir string, pool *db.DB) finding {
	f := finding{Check: "files", Status: checkOK}
	if f.Message, f.Status, f.err = lookAtFiles(ctx, p, flags, dataDir, pool); f.err != nil {
		f.Status, f.Message = checkFailed, describe(f.err)
	}
	return f
}

func lookAtFiles(ctx context.Context, p Process, flags *fileStore, dataDir string, pool *db.DB) (message, status string, err error) {
	ctx = access.With(ctx, access.Actor{Subject: "system:doctor", Role: access.Client, Scopes: []access.Scope{access.View}, AllOrganizations: true})
	exists, err := flags.exists(dataDir)
	if err != nil {
		return "", "", err
	}
	var store object.Store // without one: nothing is in it
	if exists {
		if store, err = app.OpenStore(flags.with(p), dataDir, p.Now); err != nil {
			return "", "", err
		}
	}
	files := app.NewFiles(pool, store, p.Now, slog.New(slog.DiscardHandler))
	total, err := examineAll(ctx, pool, files)
	switch {
	case err != nil:
		return "", "", err
	case !exists && total.Files+total.Pending == 0:
		return "there are none, and no folder of them yet: `exposuregraph serve` makes it", checkSkipped, nil
	}
	drafts, left, err := files.Drafts(ctx)
	if err != nil {
		return "", "", err
	}
	return tellFiles(total, drafts, left, p.Now())
}

// examineAll adds the organizations up.
func examineAll(ctx context.Context, pool *db.DB, files *file.Service) (file.Examined, error) {
	var total file.Examined
	snapshot := pool.Snapshot()
	organizations, err := new(org.Store).List(ctx, snapshot)
	snapshot.Close(ctx)
	if err != nil {
		return total, err
	}
	for _, organization := range organizations {
		found, err := files.Examine(ctx, organization.ID)
		if err != nil {
			return total, err
		}
		total.Add(found)
	}
	return total, nil
}

// tellFiles says how files stand. Only a lost object is a failure: the rest ends by
// itself, or wants somebody to look.
func tellFiles(x file.Examined, drafts, left int, now time.Time) (message, status string, err error) {
	status = checkOK
	parts := []string{count(x.Files, "file")}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if x.Pending > 0 {
		add("%s pending, the oldest for %s: %d with the object stored will be completed, %d without it will be dropped",
			count(x.Pending, "upload"), now.Sub(x.Since).Truncate(time.Second), x.Stored, x.Pending-x.Stored)
	}
	if x.Overdue > 0 {
		status = checkWarning
		add("%d of them should have been settled by a running server", x.Overdue)
	}
	if drafts > 0 {
		add("%s in the spool", count(drafts, "draft"))
	}
	if left > 0 {
		status = checkWarning
		add("%d of them left behind, which a running server removes", left)
	}
	if n := len(x.Unknown); n > 0 {
		status = checkWarning
		add("%s that no row knows, as after an older database was restored, such as %s", count(n, "object"), x.Unknown[0])
	}
	if n := len(x.Missing); n > 0 {
		add("the object of %s is missing, such as %s", count(n, "file"), x.Missing[0])
	}
	if n := len(x.Resized); n > 0 {
		add("the object of %s has another size, such as %s", count(n, "file"), x.Resized[0])
	}
	message = strings.Join(parts, "; ")
	if len(x.Missing)+len(x.Resized) > 0 {
		err = problem.New(problem.Unavailable, "FILE_OBJECT_MISSING", "%s; restore the objects from a copy, or collect the same files again", message)
	}
	return message, status, err
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// exists says whether there is a store to look at. A folder is not made by looking.
func (s *fileStore) exists(dataDir string) (is bool, err error) {
	if s.isBucket() {
		return true, nil
	}
	folder := s.Location
	if folder == "" {
		if folder, err = app.FilesFolder(dataDir); err != nil {
			return false, err
		}
	}
	_, err = os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

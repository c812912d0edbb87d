package app

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/object/sigv4"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

// filesFolder is where files are kept within a data folder, and where those are
// received that go to a bucket.
const filesFolder = "files"

// FilesConfig says where collected files are kept.
type FilesConfig struct {
	Location    string // a folder or s3://bucket/prefix; empty: files in the data folder
	MaxBytes    int64  // of one file; zero: file.MaxBytes
	Region      string // of a bucket
	Endpoint    string // of a bucket that is not at AWS
	Style       string // where the name of a bucket stands: path or virtual-host
	Credentials sigv4.Credentials
}

// FilesFolder is the folder that files are kept in where nothing else is said, and
// received in where they are kept in a bucket.
func FilesFolder(dataDir string) (string, error) {
	folder, err := dataFolder(dataDir)
	return filepath.Join(folder, filesFolder), err
}

// OpenStore opens the store of files.
func OpenStore(c FilesConfig, dataDir string, now func() time.Time) (object.Store, error) {
	folder, err := FilesFolder(dataDir)
	if err != nil {
		return nil, err
	}
	if c.Location == "" {
		c.Location = folder
	}
	return object.Open(object.Config{Location: c.Location, Spool: folder, Region: c.Region, Endpoint: c.Endpoint,
		Style: object.Style(c.Style), Credentials: c.Credentials, Now: now})
}

// NewFiles keeps files with a database that no server need have open.
func NewFiles(database *db.DB, store object.Store, now func() time.Time, log *slog.Logger) *file.Service {
	return file.New(file.Config{DB: database, Authority: authority.New(database, assessor(), now, log), Store: store, Now: now})
}

// openFiles opens the store. A folder that nobody named and that cannot be made keeps
// nobody from serving the rest: files are refused then.
func (a *App) openFiles(ctx context.Context) error {
	store, err := OpenStore(a.config.Files, a.config.DataDir, a.config.Now)
	if err != nil && a.config.Files.Location == "" {
		a.config.Logger.WarnContext(ctx, "files are not kept: there is no folder for them; name one, or a bucket, with --file-store", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	a.files = file.New(file.Config{DB: a.db, Authority: a.authority, Store: store, Now: a.config.Now, MaxBytes: a.config.Files.MaxBytes, Passed: a.config.passed})
	return nil
}

// served are the files that the server gives; none is no interface with nothing in it.
func (a *App) served() server.Files {
	if a.files == nil {
		return nil
	}
	return a.files
}

package file_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	acme  = id.Organization("acme")
	rival = id.Organization("rival")
)

// bench is a service with a database and a store of its own, and a clock that the test
// moves.
type bench struct {
	*dbtest.Database
	*file.Service

	t       *testing.T
	ctx     context.Context
	super   *pgx.Conn
	paths   *authority.Service
	folder  string
	clock   atomic.Int64
	dieAt   atomic.Int64 // the step after which an upload dies; none: -1
	between func(file.Step)
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{Database: dbtest.New(t), t: t, folder: filepath.Join(t.TempDir(), "files")}
	b.clock.Store(epoch.UnixMicro())
	b.dieAt.Store(-1)
	b.super = b.Super(t)
	b.ctx = access.With(context.Background(), access.Actor{Subject: "ann", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	b.paths = authority.New(b.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), b.now, slog.New(slog.DiscardHandler))
	b.Service = b.open(0)
	b.sync("acme")
	b.sync("rival")
	return b
}

func (b *bench) now() time.Time          { return time.UnixMicro(b.clock.Load()).UTC() }
func (b *bench) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }
func (b *bench) store() object.Store     { return must(object.Open(object.Config{Location: b.folder})) }
func (b *bench) open(most int64) *file.Service {
	return file.New(file.Config{DB: b.DB, Authority: b.paths, Store: b.store(), Now: b.now, MaxBytes: most, Passed: b.passed})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// errKilled is what an upload dies of.
var errKilled = errors.New("killed")

func (b *bench) passed(step file.Step) {
	if b.between != nil {
		b.between(step)
	}
	if b.dieAt.Load() == int64(step) {
		panic(errKilled)
	}
}

// sync makes an organization of two workloads that are made of one image, and one of
// another.
func (b *bench) sync(slug string, source ...string) *authority.SyncReport {
	b.t.Helper()
	made := func(name, image string) record.Entity {
		return record.Entity{Ref: record.Ref{Kind: record.Workload, SourceID: name}, ArtifactIdentifier: image}
	}
	report, err := b.paths.Sync(b.ctx, authority.SyncRequest{Organization: slug, Source: strings.Join(source, ""), Format: "snapshot", CreateOrganization: true, ObservedAt: b.now()},
		func(out record.Emitter) error {
			for i, fact := range []record.Fact{made("shop", "shop@sha256:1, proxy@sha256:2"), made("cart", "shop@sha256:1"), made("mail", "mail@sha256:3")} {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(b.t, err)
	return report
}

func upload(content string) file.Upload {
	return file.Upload{Organization: "acme", Name: "report.txt", Content: strings.NewReader(content)}
}

func (b *bench) collect(u file.Upload) (*file.File, bool) {
	b.t.Helper()
	f, created, err := b.Collect(b.ctx, u)
	require.NoError(b.t, err)
	return f, created
}

// die begins an upload that ends after a step, but for its draft, as one does whose
// process is killed.
func (b *bench) die(u file.Upload, after file.Step) {
	b.t.Helper()
	b.dieAt.Store(int64(after))
	defer b.dieAt.Store(-1)
	require.PanicsWithValue(b.t, errKilled, func() { _, _, _ = b.Collect(b.ctx, u) })
}

// count counts rows of acme.
func (b *bench) count(table string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.super.QueryRow(context.Background(), `SELECT count(*) FROM `+table+` WHERE organization_id = $1`, acme).Scan(&n))
	return n
}

// notes counts what waits to be told of decisions.
func (b *bench) notes() (n int) {
	b.t.Helper()
	require.NoError(b.t, b.super.QueryRow(context.Background(), `SELECT count(*) FROM change_outbox WHERE organization_id = $1 AND cause = 'decision'`, acme).Scan(&n))
	return n
}

// told is what the feed of acme says of files, each event once.
func (b *bench) told() []string {
	b.t.Helper()
	_, err := change.NewSequencer(b.DB, b.now, slog.New(slog.DiscardHandler)).Drain(b.ctx, acme)
	require.NoError(b.t, err)
	return b.rows(`SELECT concat_ws(' ', entity_type, entity_id = asset_id, title, 'of scan', scan_id, new_value) FROM exposure_changes
		WHERE organization_id = $1 AND change_type = 'file_collected' ORDER BY seq`, acme)
}

// objects are those in the folder, and drafts what is in the spool.
func (b *bench) objects() (objects, drafts int) {
	b.t.Helper()
	require.NoError(b.t, filepath.WalkDir(b.folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if filepath.Base(filepath.Dir(path)) == "incoming" {
				drafts++
			} else {
				objects++
			}
		}
		return err
	}))
	return objects, drafts
}

func (b *bench) read(ctx context.Context, organization id.ID, content string) (string, error) {
	f, err := b.Find(ctx, organization, digest(content))
	if err != nil {
		return "", err
	}
	opened, err := b.Open(ctx, organization, f)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(opened)
	return string(got), errors.Join(err, opened.Close())
}

func digest(content string) string { return object.Digest(sha256.Sum256([]byte(content))).String() }

func codeOf(t *testing.T, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

package benchmark

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/snapshot"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/stream"
)

// organizationSlug is the organization of the benchmark. Those that stand beside it
// for a while have a number behind.
const organizationSlug = "bench"

// epoch is where the world's clock begins: a fixed day, so that the same seed
// makes the same bytes.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// operator is who imports.
var operator = access.Actor{Subject: "bench", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}

// stand is a PostgreSQL of its own with the service on it.
type stand struct {
	folder       string
	postgres     *devpg.Server
	db           *db.DB
	tracer       *tracer
	paths        *authority.Service
	importer     *importer.Service
	super        *pgx.Conn // behind the walls: statistics and maintenance
	organization id.ID
	clock        atomic.Int64
	stream       *stream.Stream // while it follows feeds
	press        *press         // what there is to tell, once it was asked for
}

// newStand starts it. Whoever calls it closes the stand.
func newStand(ctx context.Context, plans time.Duration) (*stand, error) {
	s := &stand{tracer: &tracer{}, organization: id.Organization(organizationSlug)}
	s.clock.Store(epoch.UnixMicro())
	if err := s.start(ctx, plans); err != nil {
		return nil, errors.Join(err, s.Close(ctx, false))
	}
	return s, nil
}

func (s *stand) start(ctx context.Context, plans time.Duration) (err error) {
	if s.folder, err = devpg.TempDir(); err != nil {
		return err
	}
	settings := map[string]string{}
	if plans > 0 {
		settings["session_preload_libraries"] = "auto_explain"
		settings["auto_explain.log_min_duration"] = strconv.FormatInt(plans.Milliseconds(), 10) // below one: all
		settings["auto_explain.log_analyze"] = "on"
		settings["auto_explain.log_buffers"] = "on"
	}
	s.postgres, err = devpg.Start(ctx, devpg.Config{
		DataDir: filepath.Join(s.folder, "data"), Durable: true, Settings: settings, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	migrator, err := db.NewMigrator(ctx, s.postgres.OwnerURL(""))
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx, devpg.RuntimeRole)
	if err := errors.Join(err, migrator.Close()); err != nil {
		return err
	}
	if s.super, err = pgx.Connect(ctx, s.postgres.SuperuserURL("")); err != nil {
		return fmt.Errorf("connect as superuser: %w", err)
	}
	return s.open(ctx)
}

// open gives the pool, and a service on it, as `exposuregraph serve` does.
func (s *stand) open(ctx context.Context) (err error) {
	if s.db, err = db.Open(ctx, s.postgres.RuntimeURL(""), db.Options{MaxConns: 16, Tracer: s.tracer}); err != nil {
		return err
	}
	s.paths = authority.New(s.db, s.assessor(), s.now, s.log()).WithSurface(s.surface())
	s.importer = importer.New(s.paths, s.now)
	return s.db.SelfTest(ctx)
}

func (s *stand) assessor() authority.Assessor {
	return exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions))
}

func (s *stand) surface() authority.Surface { return asset.NewSurface(asset.DefaultThresholds()) }

func (s *stand) log() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (s *stand) now() time.Time { return time.UnixMicro(s.clock.Load()).UTC() }

func (s *stand) advance(d time.Duration) { s.clock.Add(d.Microseconds()) }

// Close stops PostgreSQL and, unless they are to be kept, removes its files.
func (s *stand) Close(ctx context.Context, keep bool) error {
	var err error
	if s.db != nil {
		s.db.Close()
	}
	if s.super != nil {
		err = s.super.Close(ctx)
	}
	if s.postgres != nil {
		err = errors.Join(err, s.postgres.Close())
	}
	if s.folder != "" && !keep {
		err = errors.Join(err, os.RemoveAll(s.folder))
	}
	return err
}

// runtime connects as the role that serves, in an organization. Its statements
// stand under the same row level security as those of the service.
func (s *stand) runtime(ctx context.Context, organization id.ID) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.postgres.RuntimeURL(""))
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	config.RuntimeParams["app.organization"] = organization.String()
	config.RuntimeParams["timezone"] = "UTC"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect as runtime role: %w", err)
	}
	return conn, nil
}

// settle does what an hour between two syncs does: what autovacuum would do, and
// a checkpoint.
func (s *stand) settle(ctx context.Context) error {
	for _, statement := range []string{"VACUUM (ANALYZE)", "CHECKPOINT"} {
		if _, err := s.super.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Delivery is a snapshot on disk.
type Delivery struct {
	Path    string
	Records int
	Bytes   int64
}

// write makes the snapshot of a world.
func (s *stand) write(name string, world World) (Delivery, error) {
	return writeWorld(filepath.Join(s.folder, name+".ndjson"), world)
}

// WriteWorld writes the records of a world that is observed now, for a server to import.
func WriteWorld(path string, options Options) error {
	options = options.orDefault()
	_, err := writeWorld(path, World{Paths: options.Paths, Seed: options.Seed, Now: now().UTC().Truncate(time.Hour)})
	return err
}

func writeWorld(path string, world World) (Delivery, error) {
	d := Delivery{Path: path}
	file, err := os.Create(d.Path)
	if err != nil {
		return d, err
	}
	out := snapshot.NewWriter(file, snapshot.Header{})
	err = world.Records(func(fact record.Fact) error {
		d.Records++
		return out.Write(record.Record{Fact: fact})
	})
	err = errors.Join(err, out.Close())
	if info, statErr := file.Stat(); statErr == nil {
		d.Bytes = info.Size()
	}
	return d, errors.Join(err, file.Close())
}

// discard takes records and does nothing: what is left is the parser.
type discard struct{}

func (discard) Record(record.Record) error    { return nil }
func (discard) Reject(record.Rejection) error { return nil }
func (discard) Warn(record.Warning) error     { return nil }

// parse reads a snapshot without a database behind it.
func (s *stand) parse(d Delivery) (time.Duration, error) {
	file, err := os.Open(d.Path)
	if err != nil {
		return 0, err
	}
	since := now()
	err = snapshot.Options{Now: s.now()}.Parse(d.Path, file, nil, discard{})
	return now().Sub(since), errors.Join(err, file.Close())
}

// deliver imports a snapshot as `exposuregraph import` does.
func (s *stand) deliver(ctx context.Context, d Delivery, observedAt time.Time) (*authority.SyncReport, error) {
	return s.deliverTo(ctx, organizationSlug, d, observedAt)
}

func (s *stand) deliverTo(ctx context.Context, slug string, d Delivery, observedAt time.Time) (*authority.SyncReport, error) {
	file, err := os.Open(d.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return s.importer.Run(access.With(ctx, operator), importer.Request{
		SyncRequest: authority.SyncRequest{
			Organization: slug, CreateOrganization: true, Format: "snapshot", ObservedAt: observedAt, Strict: true},
		Files: func(yield func(importer.File, error) bool) {
			yield(importer.File{Name: filepath.Base(d.Path), Content: file}, nil)
		},
	})
}

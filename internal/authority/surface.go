package authority

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Surface keeps what scans show of the outer surface. It has a lane of its own in
// the transaction of a delivery, beside that of entities, and in that of an
// evaluation. A delivery that is no scan costs it what Link looks at.
type Surface interface {
	// Stage makes room for what a scan shows. While records come in, the transaction
	// is that of the copies.
	Stage(ctx context.Context, tx *db.Tx, organization id.ID, copies *Copier) (SurfaceStage, error)

	// Link ties assets to the workloads behind them, when the entities are derived. It
	// says how many workloads it has put into touched, because others or other assets
	// lie behind each other than before.
	Link(ctx context.Context, tx *db.Tx, change SurfaceChange) (touched int64, err error)

	// Age finds assets stale that were looked for and not seen in a long time. It is
	// part of an evaluation that moves the window, before Link.
	Age(ctx context.Context, tx *db.Tx, assessment *Assessment) (stale int, err error)
}

// SurfaceStage is what one scan shows.
type SurfaceStage interface {
	// Sighting takes a record, or says why not. The digest is of all that it says.
	Sighting(at record.Position, sighting record.Sighting) (*id.Digest, *record.Rejection, error)

	// Doubt is told whom a rejected record was about: the scan does not cover that
	// asset's host, or nothing at all.
	Doubt(about *record.AssetRef)

	// Flush copies what is held of the records.
	Flush() error

	// Rows is how many rows were staged.
	Rows() int64

	// Merge makes what the scan shows the word of its source, and tells how many rows
	// of that word differed from what it was.
	Merge(ctx context.Context, delivery SurfaceDelivery) (counts SurfaceCounts, differing int64, err error)
}

// SurfaceDelivery says whose scan is merged, and when.
type SurfaceDelivery struct {
	*Assessment       // At, and whether there is much to do
	Source      id.ID // who scanned
	Partial     bool  // it covers nothing
}

// SurfaceChange says what links may follow from.
type SurfaceChange struct {
	*Assessment

	// Assets says that the lane has worked in this transaction, so that its tables are
	// there and name the assets that changed.
	Assets bool

	// Entities says that the work tables of entities name those that changed.
	Entities bool
}

// SurfaceCounts counts the assets that a scan shows or closes.
type SurfaceCounts struct {
	Added   int `json:"added"`   // seen for the first time
	Changed int `json:"changed"` // known, and otherwise than before
	Gone    int `json:"gone"`    // closed by it
	Kept    int `json:"kept"`    // seen as before
}

// WithSurface gives the service whom it tells of scans. Without, they are refused.
func (s *Service) WithSurface(surface Surface) *Service {
	s.surface = surface
	return s
}

// openSurface makes room for what a scan shows, and for what follows from that.
func (d *delivery) openSurface(ctx context.Context) error {
	if !d.request.Scan {
		return nil
	}
	if d.service.surface == nil {
		return problem.New(problem.Invalid, "SCANS_UNSUPPORTED", "scans are not taken here; deliver them to a server that keeps assets")
	}
	var err error
	d.stage.surface, err = d.service.surface.Stage(ctx, d.tx, d.organization, d.stage.copies)
	return err
}

// otherKind refuses a scan of a source that tells of authority, and the reverse:
// each delivery would take back what the other says.
func (d *delivery) otherKind() error {
	is, wants := "entities and paths", "a scan"
	if d.previous.Scans {
		is, wants = "scans", "no scan"
	}
	return problem.New(problem.Invalid, "SOURCE_OF_ANOTHER_KIND",
		"the source %s of %s delivers %s, and this is %s; give it a source name of its own", d.request.Source, d.request.System, is, wants).On("source")
}

// mergeScan makes what a scan shows its source's word.
func (d *delivery) mergeScan(ctx context.Context) (differing int64, err error) {
	d.report.Assets, differing, err = d.stage.surface.Merge(ctx, SurfaceDelivery{
		Assessment: &d.derived.Assessment, Source: d.source, Partial: d.request.Partial})
	if err != nil || differing == 0 {
		return 0, err
	}
	if !d.ready { // for what follows from links
		if err := openWork(ctx, d.tx, d.service.assessor, d.derived.Few); err != nil {
			return 0, err
		}
	}
	_, err = db.Exec(ctx, d.tx.Local(), syncQueries.Get("clear_work"), nil)
	return differing, err
}

// undisturbed says whether nothing has happened since the source's last delivery
// that can have taken away what it shows: then the same scan says nothing new.
func (d *delivery) undisturbed(ctx context.Context) (bool, error) {
	if !d.request.Scan {
		return true, nil
	}
	disturbed, err := db.Column[bool](ctx, d.tx, syncQueries.Get("surface_disturbed"), pgx.StrictNamedArgs{"since": d.previous.LastAppliedAt})
	return err == nil && !disturbed[0], err
}

// linkSurface ties assets to workloads anew.
func (d *derivation) linkSurface(ctx context.Context, assets bool) (touched int64, err error) {
	if d.surface == nil {
		return 0, nil
	}
	return d.surface.Link(ctx, d.tx, SurfaceChange{Assessment: &d.Assessment, Assets: assets, Entities: !d.scan})
}

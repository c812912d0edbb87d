package authority

import (
	"context"
	"encoding/json"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Assessor judges what a change of authority means. It works in the change's
// transaction, after the paths are derived and before they are written, so that
// the row of a path is written once, with what is said of its exposures.
type Assessor interface {
	// Prepare adds what the assessor has to read before anything is derived. What
	// it gives is to be called with the instant when that is read, and says whether
	// all of the organization must be judged anew, because the judge is another.
	Prepare(p *db.Pipeline) Prepared

	// CreateWork makes the temporary tables that the assessor works in, or empties
	// them. It comes before Assess and Follow.
	CreateWork(ctx context.Context, tx *db.Tx) error

	// ClearWork empties the tables that CreateWork made in the session.
	ClearWork(p *db.Pipeline)

	// Assess reads the transaction's temporary tables: desired holds every
	// standing path whose exposures may differ, path_diff the paths whose own
	// row does, touched what they follow from, succeeded which path took over
	// from which. It leaves the masks of all paths of desired in path_mask. It may
	// find that there is more to do than the assessment says.
	Assess(ctx context.Context, tx *db.Tx, assessment *Assessment) (ExposureCounts, error)

	// Summarize follows when the paths are written. The temporary tables are
	// still there.
	Summarize(ctx context.Context, tx *db.Tx, assessment *Assessment) error

	// Follow does what Assess and Summarize do where nothing but dispositions
	// changed: it leaves the masks of the paths of desired in path_mask, and judges
	// nothing. The pipeline holds what comes before; write adds to it what writes
	// the masks to the paths. That is sent; what Follow ends with stays in the
	// pipeline. With again, the tables hold what the decision before this one left.
	Follow(ctx context.Context, p *db.Pipeline, assessment Assessment, again bool, write func()) error

	// Snapshot ends a sync or, without one, an evaluation: it keeps what the
	// organization came to then, and gives it as JSON.
	Snapshot(ctx context.Context, tx *db.Tx, at time.Time, sync *id.ID) (json.RawMessage, error)
}

// Prepared brings an assessor to what it has read.
type Prepared func(ctx context.Context, at time.Time) (everything bool, err error)

// Assessment says when and how much is judged.
type Assessment struct {
	At         time.Time // the place on the organization's clock that changes are written with
	WindowAt   time.Time // where windows and thresholds end
	Everything bool      // all of the organization is in desired
	Resettled  bool      // it is judged anew because its settings changed
	First      bool      // no path has stood before
	Large      bool      // so much that nested loops are not worth their time
	Few        bool      // so little that statistics and plans of its own are not worth theirs

	small int64 // rows of a work table are few; see Filled
}

package authority

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// SyncRequest says who speaks about what in a sync.
type SyncRequest struct {
	Organization       string    // its slug
	CreateOrganization bool      // create it when it does not exist; the caller must be an admin
	Source             string    // the name of the feed; empty: the format
	System             string    // the instance it speaks about; empty: the format
	Format             string    // kubernetes, snapshot, …
	ObservedAt         time.Time // when the source looked; zero: now
	Partial            bool      // it looked at a part only: what it does not name is not gone
	Scan               bool      // it shows the outer surface, and speaks of nothing else
	Strict             bool      // one rejected record refuses the whole sync
	Progress           Progress  // is told how far it has come; nil: nobody looks
}

// Outcome of a sync.
type Outcome string

// The outcomes.
const (
	Applied   Outcome = "applied"   // its statements are now the source's statements
	Unchanged Outcome = "unchanged" // it said what the source said before
	Repeated  Outcome = "repeated"  // this very sync was applied earlier; nothing was written
	Late      Outcome = "late"      // observed before the source's last applied sync: recorded, not applied
)

// SyncReport is what a sync did.
type SyncReport struct {
	SyncID       id.ID     `json:"syncId"`
	Organization string    `json:"organization"`
	Source       string    `json:"source"`
	System       string    `json:"system"`
	Format       string    `json:"format"`
	Outcome      Outcome   `json:"outcome"`
	Complete     bool      `json:"complete"` // false: nothing was removed
	Version      int64     `json:"version"`
	ObservedAt   time.Time `json:"observedAt"`
	At           time.Time `json:"at"` // on the organization's clock

	Records   RecordCounts   `json:"records"`
	Entities  ChangeCounts   `json:"entities"`
	Paths     PathCounts     `json:"paths"`
	Rotations int            `json:"rotations"`
	Exposures ExposureCounts `json:"exposures"`
	Assets    SurfaceCounts  `json:"assets"`

	Rejections []record.Rejection `json:"rejections"` // the first MaxListed of them
	Warnings   []record.Warning   `json:"warnings"`   // the first MaxListed of them
}

// RecordCounts counts what was read.
type RecordCounts struct {
	Read     int `json:"read"`
	Accepted int `json:"accepted"`
	Rejected int `json:"rejected"`
}

// ChangeCounts counts entities.
type ChangeCounts struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
}

// PathCounts counts authority paths of the organization. Kept are the active
// ones that this sync did not touch.
type PathCounts struct {
	Added   int `json:"added"`
	Kept    int `json:"kept"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
}

// ExposureCounts counts the exposures that a change opened and resolved.
type ExposureCounts struct {
	Opened   int `json:"opened"`
	Resolved int `json:"resolved"`
}

// MaxListed bounds the rejections and the warnings that a report carries and a
// sync row keeps. The counts are always exact.
const MaxListed = 1000

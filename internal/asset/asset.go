package asset

import (
	"encoding/json"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Status says whether an asset is there, as far as anybody looked.
type Status string

// The statuses.
const (
	StatusActive Status = "active"
	StatusClosed Status = "closed" // a delivery looked and did not see it
	StatusStale  Status = "stale"  // somebody looked, but long after it was seen
)

// Statuses are all of them.
var Statuses = []Status{StatusActive, StatusClosed, StatusStale}

// Asset is what is seen from outside, once for all who see it.
type Asset struct {
	OrganizationID id.ID
	ID             id.ID
	Kind           record.AssetKind
	Value          string
	ParentID       *id.ID
	RootID         *id.ID // the host or domain at the top, of itself its own
	FirstSeenAt    time.Time
	Status         Status
	State          *record.PortState // of a service: how its port answered last
	Attributes     json.RawMessage
	Technology     []Technology
	Confidence     *int // percent
	Plugin         *string
	Class          int
	Version        int
	FromAt         time.Time
}

// Technology is a product that runs on a service or a page, or what a service is.
type Technology struct {
	Name    string  `json:"name"`
	Version *string `json:"version"`
	Service bool    `json:"service"` // the name is that of the service: http, ssh
}

// Sighting is what one source saw of an asset, in every delivery from FromAt until
// ToAt, if that has come.
type Sighting struct {
	AssetID    id.ID
	SourceID   id.ID
	FromAt     time.Time
	ToAt       *time.Time
	LastSeenAt time.Time // the last delivery in there
	State      *record.PortState
	Attributes json.RawMessage
	Confidence *int
	Plugin     *string
}

// Version is what an asset was in an interval.
type Version struct {
	ID         id.ID
	Version    int
	FromAt     time.Time
	ToAt       *time.Time
	Status     Status
	State      *record.PortState
	Attributes json.RawMessage
	Technology []Technology
}

// Basis is how it is known which workload stands behind an asset.
type Basis string

// The bases.
const (
	ByMapping  Basis = "mapping"  // somebody said so
	ByIngress  Basis = "ingress"  // an ingress leads from a name to the workload
	ByHostname Basis = "hostname" // the workload answers at a name
	ByAddress  Basis = "address"  // the workload answers at an address
	ByImage    Basis = "image"    // a file was collected of the image that the workload runs
)

// Link is one reason why a workload stands behind an asset.
type Link struct {
	Basis  Basis     `json:"basis"`
	Detail string    `json:"detail"` // the name, address or image that says so
	Since  time.Time `json:"since"`
}

// LinkedAsset is an asset of a workload.
type LinkedAsset struct {
	WorkloadID id.ID
	Links      []Link
	Asset
}

// LinkedWorkload is a workload behind an asset.
type LinkedWorkload struct {
	AssetID    id.ID
	WorkloadID id.ID
	Name       string
	Links      []Link
}

// Collected is what is known of an asset that is a file.
type Collected struct {
	ID           id.ID
	SHA256       []byte `db:"sha256"`
	Size         int64
	MediaType    string
	Name         string
	Artifact     *string
	SyncID       *id.ID
	Actor        string
	At           time.Time
	Organization string // its slug
}

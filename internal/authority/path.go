package authority

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// PathStatus says whether the authority stands.
type PathStatus string

// The statuses of a path.
const (
	PathActive  PathStatus = "active"
	PathRemoved PathStatus = "removed"
)

// OwnershipStatus says whether somebody answers for a workload.
type OwnershipStatus string

// The ownership statuses.
const (
	OwnershipValid     OwnershipStatus = "valid"     // an active person, and nobody who left
	OwnershipDegraded  OwnershipStatus = "degraded"  // an active person, and somebody who left
	OwnershipAmbiguous OwnershipStatus = "ambiguous" // active groups only
	OwnershipOrphaned  OwnershipStatus = "orphaned"  // looked completely, nobody active
	OwnershipUnknown   OwnershipStatus = "unknown"   // nobody looked completely
)

// EgressCategory is where a workload sends data.
type EgressCategory string

// The egress categories, the gravest first.
const (
	EgressLLM      EgressCategory = "llm"
	EgressExternal EgressCategory = "external"
	EgressInternal EgressCategory = "internal"
	EgressNone     EgressCategory = "none"    // looked completely, nothing seen
	EgressUnknown  EgressCategory = "unknown" // nobody looked completely
)

// ExecutionBasis is what the evidence behind an execution count names.
type ExecutionBasis string

// The bases, the most specific first.
const (
	BasisPath     ExecutionBasis = "path"
	BasisWorkload ExecutionBasis = "workload"
	BasisIdentity ExecutionBasis = "identity"
)

// State is what a version of a path says, and from when on.
type State struct {
	Status          PathStatus
	Effective       bool
	RoleIDs         []id.ID `db:"role_ids"`
	Actions         []string
	AuthChainDepth  int
	CompositionHash []byte
	Class           int
	DataDomain      *string
	Sensitivity     Sensitivity
	OwnershipStatus OwnershipStatus
	EgressCategory  EgressCategory
	Execution30d    *int64          `db:"execution_30d"`
	ExecutionBasis  *ExecutionBasis `db:"execution_basis"`
	Version         int
	FromAt          time.Time
	SyncVersion     int64
}

// Path is an authority path with its current state.
type Path struct {
	OrganizationID id.ID
	ID             id.ID
	LineageID      id.ID
	WorkloadID     id.ID
	IdentityID     *id.ID
	ResourceID     id.ID
	FirstSeenAt    time.Time
	LastSeenAt     *time.Time // set once removed; see SeenLast
	RemovedAt      *time.Time

	ActiveExposureCount int
	MaxExposureSeverity *int16 // null without an active exposure; see package rule

	State
}

// SeenLast is when the path was last confirmed: for an active path by the last
// complete sync of the sources that assert its workload, if one was later than
// the path's own last change.
func (p *Path) SeenLast(workload *time.Time) time.Time {
	switch {
	case p.LastSeenAt != nil:
		return *p.LastSeenAt
	case workload != nil && workload.After(p.FromAt):
		return *workload
	}
	return p.FromAt
}

// PathVersion is a state of a path and the interval in which it held. The
// current one has no end.
type PathVersion struct {
	ID   id.ID
	ToAt *time.Time
	State
}

// Rotation is a workload's change from one identity to another.
type Rotation struct {
	OrganizationID id.ID
	WorkloadID     id.ID
	At             time.Time
	FromIdentity   id.ID
	ToIdentity     id.ID
}

// LineageKey names a lineage: what survives a rotation.
type LineageKey struct{ WorkloadID, ResourceID id.ID }

// Entity is what all sources together say of an entity.
type Entity struct {
	OrganizationID     id.ID
	ID                 id.ID
	Kind               record.EntityKind
	System             string
	ExternalID         string
	Name               string
	Status             record.Status
	Environment        *string
	OwnerTeam          *string
	BusinessTier       *string
	ExecutionMode      *record.ExecutionMode
	ArtifactIdentifier *string
	SourceType         *string
	DataDomain         *string
	DataDomainStated   *string
	Sensitivity        Sensitivity
	SensitivityStated  *string
	OwnerType          *record.OwnerType
	Title              *string
	LastActiveAt       *time.Time
	CreatedInSourceAt  *time.Time
	Labels             map[string]string
	Class              int
	OwnershipStatus    OwnershipStatus
	EgressCategory     EgressCategory
	Version            int
	FromAt             time.Time
	FirstSeenAt        time.Time
	RemovedAt          *time.Time
}

// Assertion is what one source says of an entity on one basis.
type Assertion struct {
	EntityID   id.ID
	SourceID   id.ID
	SourceName string
	System     string
	Basis      record.Basis
	Attributes []AttributeValue
}

// AttributeValue is one stated attribute.
type AttributeValue struct{ Name, Value string }

// Edge is a tie of an entity, as its sources together assert it.
type Edge struct {
	Kind         record.EdgeKind
	FromID       id.ID
	Scope        string
	ToID         id.ID
	Protocol     string
	TargetSystem string
}

// Source is a feed and what it last delivered.
type Source struct {
	OrganizationID id.ID
	ID             id.ID
	Name           string
	System         string
	Format         string
	CreatedAt      time.Time
	LastSyncID     *id.ID
	LastObservedAt *time.Time
	LastAppliedAt  *time.Time
	LastCompleteAt *time.Time
}

// SyncRow is a recorded delivery.
type SyncRow struct {
	OrganizationID  id.ID
	ID              id.ID
	SourceID        id.ID
	Version         int64
	At              time.Time
	ObservedAt      time.Time
	RecordedAt      time.Time
	Actor           string
	Outcome         Outcome
	Complete        bool
	RecordsRead     int
	RecordsRejected int
	PathsAdded      int
	PathsKept       int
	PathsChanged    int
	PathsRemoved    int
	AssetsAdded     int
	AssetsChanged   int
	AssetsGone      int
	Rejections      []record.Rejection
	Warnings        []record.Warning
}

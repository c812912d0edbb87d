package change

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// Event is one change, as it is published.
type Event struct {
	OrganizationID  id.ID
	Seq             int64 // its place in the feed, without a gap
	ID              id.ID // of what happened, not of its publication
	ChangeType      Kind
	EntityType      EntityType
	EntityID        id.ID // what changed: a path (also of an exposure), a workload, a sync, an asset
	SubjectID       id.ID // in whose history it stands: the lineage of a path or exposure, else the entity
	WorkloadID      *id.ID
	ExposureType    *rule.Type // with the ordinal, the exposure of the path that it is about
	ExposureOrdinal *int
	AssetID         *id.ID // the asset that it is about
	VulnerabilityID *id.ID
	ScanID          *id.ID // the sync that it came with
	ScanJobID       *id.ID // the source of that sync
	LedgerSeq       *int64 // the entry that says why
	CausedBy        *id.ID // another event of the same instant
	Class           int    // of the workload or asset at that instant; AllClasses for what is about neither
	Title           string
	Description     *string
	Severity        *rule.Severity
	RiskScore       *int
	OldValue        json.RawMessage // an object, or null
	NewValue        json.RawMessage // an object, or null
	Metadata        json.RawMessage // an object
	At              time.Time       // when it happened, on the organization's clock
	CreatedAt       time.Time       // when it was published, by the server's clock
}

// AllClasses is the class of what is about neither a workload nor an asset.
const AllClasses = -1

// key is what tells an event from all others: within one instant each thing changes
// in one way once.
type key struct {
	kind     Kind
	subject  id.ID
	entity   id.ID
	exposure rule.Type // with the ordinal; 0 for none
	ordinal  int
	at       time.Time
}

// instant is the form of an instant in what is digested, whatever zone it came in.
const instant = "2006-01-02T15:04:05.000000Z"

// id is the event's id: the same wherever and whenever it is worked out.
func (k key) id(organization id.ID) id.ID {
	word, ordinal := "", ""
	if k.exposure != 0 {
		word, ordinal = ledger.TypeWord(k.exposure), strconv.Itoa(k.ordinal)
	}
	return id.New("change/1").ID(organization).Text(string(k.kind)).ID(k.subject).ID(k.entity).Text(word).Text(ordinal).
		Text(k.at.UTC().Format(instant)).Short()
}

// staged is an event and the stage in which it was found.
type staged struct {
	*Event
	stage int16
}

// before is the order of events that are published together: by instant, by stage,
// and then as the stage goes through its keys.
func before(a, b staged) int {
	if by := a.At.Compare(b.At); by != 0 {
		return by
	}
	return cmp.Or(
		cmp.Compare(a.stage, b.stage),
		bytes.Compare(a.EntityID[:], b.EntityID[:]),
		cmp.Compare(value(a.ExposureType), value(b.ExposureType)),
		cmp.Compare(value(a.ExposureOrdinal), value(b.ExposureOrdinal)),
		cmp.Compare(slices.Index(Emitted, a.ChangeType), slices.Index(Emitted, b.ChangeType)))
}

// value is what is pointed to, or nothing of its kind.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

package triage

import (
	_ "embed"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

//go:embed decide.sql
var decideSQL string

//go:embed queries.sql
var readSQL string

var (
	decideQueries = db.Parse("triage", decideSQL)
	readQueries   = db.Parse("triage.read", readSQL)
)

// The bounds of a batch.
const (
	MaxItems    = 1_000  // exposures that one request names
	MaxMatching = 10_000 // exposures that a filter matches
)

// Service judges exposures.
type Service struct {
	db    *db.DB
	paths *authority.Service
	now   func() time.Time

	maxMatching int
}

// New makes the service. Its decisions take their turn through paths, whose ledger
// keeps them; the clock is the caller's.
func New(database *db.DB, paths *authority.Service, now func() time.Time) *Service {
	return &Service{db: database, paths: paths, now: now, maxMatching: MaxMatching}
}

// Command is what a person wants done, and why.
type Command struct {
	Action          Action
	ExpectedVersion int                 // of the exposure that the person has seen; not of a batch
	Reason          FalsePositiveReason // of MarkFalsePositive, and of nothing else
	Justification   string
	IdempotencyKey  string // of the caller's choice; the same again means the same request
	Envelope        []byte // the request, signed (DSSE, as JSON); empty for none
}

// Decision is what was decided about an exposure, as the ledger keeps it.
type Decision struct {
	Key             exposure.Key
	Action          Action
	From, To        State
	ExpectedVersion int
	Version         int // that the decision left
	Reason          FalsePositiveReason
	Justification   string
	Compensates     *int64 // the entry that this takes back
	IdempotencyKey  string
	Seq             int64 // of the entry
	Actor           string
	At              time.Time // on the organization's clock
	Batch           *id.ID
	Entry           *ledger.Entry
}

// Outcome is what came of a command.
type Outcome struct {
	Decision
	Replayed bool // it was done before: this is what was done then
}

// Item is an exposure of a batch.
type Item struct {
	Key             exposure.Key
	ExpectedVersion *int // null: whatever it is
}

// Selection is what a batch is about: the exposures that it names, or those that
// a filter matches. A filter that names no status matches what a list without one
// shows: exposures that are active or acknowledged.
type Selection struct {
	Items  []Item
	Filter *exposure.Filter
}

// ItemOutcome is what came of one exposure of a batch.
type ItemOutcome struct {
	Key      exposure.Key
	State    State     // before; empty for an exposure that there is not
	Code     string    // why it was left alone; empty for one that was not
	Message  string    // the same in words
	Decision *Decision // null where it was left alone, and of a dry run
}

// Count is how many exposures of a batch stood alike and fared alike.
type Count struct {
	State State
	Code  string // empty: done
	Count int
}

// Batch is what came of many exposures.
type Batch struct {
	ID            id.ID  // nil of a dry run
	Action        Action // of an undo, of what it took back
	Undoes        *id.ID // the batch that this one took back
	Actor         string
	At            time.Time // on the organization's clock; zero where nothing was done
	RecordedAt    time.Time // by the server's clock
	Reason        FalsePositiveReason
	Justification string
	Items         []ItemOutcome // by path, type and ordinal
	DryRun        bool
	Replayed      bool
}

// Done counts what was done or, of a dry run, would be.
func (b *Batch) Done() int { return len(b.Items) - b.Refused() }

// Refused counts what was left alone.
func (b *Batch) Refused() (refused int) {
	for i := range b.Items {
		if b.Items[i].Code != "" {
			refused++
		}
	}
	return refused
}

// Key is a key with which a person signs what they decide. It is valid in [From, To).
type Key struct {
	ID        string // SHA-256 of the public key, in hexadecimal
	Subject   string // whose it is
	PublicKey []byte
	From      time.Time
	To        *time.Time
	AddedBy   string
	EndedBy   *string
}

// Reader reads what was decided.
type Reader struct{}

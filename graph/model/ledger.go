package model

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

// Ledger is the ledger of an organization.
type Ledger struct {
	OrganizationID id.ID
	Size           int64
	Head           *string
	At             *time.Time
}

// NewLedger shows a ledger by its end.
func NewLedger(organization id.ID, end book.Head) *Ledger {
	l := &Ledger{OrganizationID: organization, Size: end.Size}
	if end.Size > 0 {
		head := end.Hash.String()
		l.Head, l.At = &head, &end.At
	}
	return l
}

// LedgerEntry is an entry of a ledger.
type LedgerEntry struct {
	OrganizationID id.ID
	Seq            int64
	Hash           string
	Kind           string
	Actor          string
	Actors         []string
	OccurredAt     time.Time
	RecordedAt     time.Time
	Batch          *string
	Subject        *string
	Imported       bool
	Signed         bool
	Body           string
}

// NewLedgerEntry shows an entry.
func NewLedgerEntry(e *book.Entry) *LedgerEntry {
	return &LedgerEntry{
		OrganizationID: e.Organization, Seq: e.Seq, Hash: e.Hash.String(), Kind: string(e.Kind), Actor: e.Actors[0].Subject, Actors: Subjects(e.Actors),
		OccurredAt: e.OccurredAt, RecordedAt: e.RecordedAt, Batch: batchID(e.Organization, e.Batch), Subject: subjectID(e.Organization, e.Subject),
		Imported: e.Imported, Signed: len(e.Envelope) > 0, Body: string(e.Body),
	}
}

// Subjects are the names of a chain of actors, in its order.
func Subjects(chain []ledger.Actor) []string {
	names := make([]string, len(chain))
	for i, actor := range chain {
		names[i] = actor.Subject
	}
	return names
}

var subjectTypes = map[string]Type{
	ledger.SubjectPath: TypeAuthorityPath, ledger.SubjectIdentity: TypeIdentity, ledger.SubjectWorkload: TypeWorkload,
}

// subjectID is the global id of what an entry is about; null for what has none.
func subjectID(organization id.ID, s ledger.Subject) *string {
	text := ""
	if t, known := subjectTypes[s.Kind]; known && s.ID != nil {
		text = globalID(t, organization, *s.ID)
	} else if number, known := ledger.TypeNumber(s.Type); known && s.Path != nil {
		text = ExposureID(organization, exposure.Key{PathID: *s.Path, Type: rule.Type(number), Ordinal: s.Ordinal})
	}
	return unlessZero(text)
}

// About is what a ledger calls what an id names: nothing for an id of another
// organization, or of what no entry is about.
func (i ID) About(organization id.ID) *book.About {
	if i.Organization != organization {
		return &book.About{}
	}
	if key, ok := i.ExposureKey(); ok {
		return &book.About{ID: key.PathID, Type: int16(key.Type), Ordinal: key.Ordinal}
	}
	for _, t := range subjectTypes {
		if i.Type == t {
			return &book.About{ID: i.Parts[0]}
		}
	}
	return &book.About{}
}

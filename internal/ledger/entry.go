package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Format is the form of an entry's body.
const Format = "exposuregraph/ledger-entry/1"

// MaxBody is the number of bytes that a body may have.
const MaxBody = 1 << 20

// Kind is what an entry says.
type Kind string

// The kinds.
const (
	Acknowledged           Kind = "exposure.acknowledged"
	Unacknowledged         Kind = "exposure.unacknowledged"
	MarkedFalsePositive    Kind = "exposure.marked_false_positive"
	UnmarkedFalsePositive  Kind = "exposure.unmarked_false_positive"
	Resolved               Kind = "exposure.resolved"
	BaselineAttested       Kind = "baseline.attested"
	JustificationRecorded  Kind = "justification.recorded"
	JustificationWithdrawn Kind = "justification.withdrawn"
	EvidencePackSealed     Kind = "evidence_pack.sealed"
	PostureSnapshotted     Kind = "posture.snapshotted"
	SigningKeyRegistered   Kind = "signing_key.registered"
	SigningKeyRevoked      Kind = "signing_key.revoked"
)

// The kinds of subject.
const (
	SubjectExposure     = "exposure"
	SubjectPath         = "path"
	SubjectIdentity     = "identity"
	SubjectWorkload     = "workload"
	SubjectOrganization = "organization"
	SubjectKey          = "key"
)

// about says which subjects an entry of a kind can have.
var about = map[Kind][]string{
	Acknowledged:           {SubjectExposure},
	Unacknowledged:         {SubjectExposure},
	MarkedFalsePositive:    {SubjectExposure},
	UnmarkedFalsePositive:  {SubjectExposure},
	Resolved:               {SubjectExposure},
	BaselineAttested:       {SubjectIdentity},
	JustificationRecorded:  {SubjectPath},
	JustificationWithdrawn: {SubjectPath},
	EvidencePackSealed:     {SubjectExposure, SubjectPath, SubjectWorkload},
	PostureSnapshotted:     {SubjectOrganization},
	SigningKeyRegistered:   {SubjectKey},
	SigningKeyRevoked:      {SubjectKey},
}

// Kinds are the kinds that can be written, in the order of their names.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(about))
	for kind := range about {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Actor is one who acted.
type Actor struct {
	Subject string `json:"subject"`
}

// Subject is what an entry is about. Which members it has follows from Kind: an
// exposure Path, Type and Ordinal, a key Name, the organization none, everything
// else ID.
type Subject struct {
	Kind    string `json:"kind"`
	ID      *id.ID `json:"id,omitempty"`
	Path    *id.ID `json:"path,omitempty"`
	Type    string `json:"type,omitempty"`
	Ordinal int    `json:"ordinal,omitempty"`
	Name    string `json:"name,omitempty"`
}

// Entry is one judgement.
type Entry struct {
	Organization id.ID
	Seq          int64 // counts from 1 without a gap
	Kind         Kind
	Actors       []Actor // who answers for it first, then who acted on behalf
	Class        int     // access class, 0 for none
	OccurredAt   time.Time
	RecordedAt   time.Time // by the server's clock; OccurredAt is the organization's
	Subject      Subject
	Batch        *id.ID          // what was asked for at once
	Imported     bool            // it happened before there was a ledger
	Payload      json.RawMessage // an object; what it holds follows from Kind
	Envelope     json.RawMessage // the DSSE envelope in which the actor signed it, if one did
}

// body is an entry as it is written.
type body struct {
	Actors       []Actor           `json:"actors"`
	Batch        *id.ID            `json:"batch,omitempty"`
	Class        int32             `json:"class"`
	Envelope     json.RawMessage   `json:"envelope,omitempty"`
	Format       string            `json:"format"`
	Imported     bool              `json:"imported,omitempty"`
	Kind         Kind              `json:"kind"`
	OccurredAt   instant           `json:"occurredAt"`
	Organization id.ID             `json:"organization"`
	Payload      json.RawMessage   `json:"payload"`
	RecordedAt   instant           `json:"recordedAt"`
	Seq          canonical.Integer `json:"seq"`
	Subject      Subject           `json:"subject"`
}

// Body is the entry as canonical JSON: the bytes that are stored and hashed.
// Instants are cut to the microsecond.
func (e *Entry) Body() ([]byte, error) {
	if subjects, known := about[e.Kind]; !known || !slices.Contains(subjects, e.Subject.Kind) {
		return nil, invalid("no entry %s is about a subject of kind %s", e.Kind, e.Subject.Kind)
	}
	if err := e.validate(); err != nil {
		return nil, err
	}
	return e.write()
}

// Parse reads a body. It refuses bytes that are not exactly what Body writes;
// only a kind may be one that this release does not know.
func Parse(bytesOfBody []byte) (*Entry, error) {
	var b body
	decoder := json.NewDecoder(bytes.NewReader(bytesOfBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return nil, invalid("the body is no entry: %s", err).Because(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("the body is more than one entry")
	}
	if b.Format != Format {
		return nil, invalid("the body has the format %q; this release reads %s", b.Format, Format)
	}
	e := &Entry{
		Organization: b.Organization, Seq: int64(b.Seq), Kind: b.Kind, Actors: b.Actors, Class: int(b.Class),
		OccurredAt: time.Time(b.OccurredAt), RecordedAt: time.Time(b.RecordedAt), Subject: b.Subject,
		Batch: b.Batch, Imported: b.Imported, Payload: b.Payload, Envelope: b.Envelope,
	}
	if subjects, known := about[e.Kind]; known && !slices.Contains(subjects, e.Subject.Kind) {
		return nil, invalid("no entry %s is about a subject of kind %s", e.Kind, e.Subject.Kind)
	}
	if err := e.validate(); err != nil {
		return nil, err
	}
	// Another order, another spelling, a member that comes twice or should not be
	// there: none of it survives being written again.
	again, err := e.write()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, bytesOfBody) {
		return nil, invalid("the body is not in the canonical form")
	}
	return e, nil
}

func (e *Entry) write() ([]byte, error) {
	form, err := canonical.Marshal(&body{
		Actors: e.Actors, Batch: e.Batch, Class: int32(e.Class), Envelope: e.Envelope, Format: Format, Imported: e.Imported, //nolint:gosec // validate bounds it
		Kind: e.Kind, OccurredAt: instant(e.OccurredAt), Organization: e.Organization, Payload: e.Payload,
		RecordedAt: instant(e.RecordedAt), Seq: canonical.Integer(e.Seq), Subject: e.Subject,
	})
	switch {
	case errors.Is(err, canonical.ErrText):
		return nil, badText(err.Error()).Because(err)
	case err != nil:
		return nil, invalid("the entry cannot be written: %s", err).Because(err)
	case hasNUL(form):
		return nil, badText("a text holds the character U+0000")
	case len(form) > MaxBody:
		return nil, problem.New(problem.Limit, "LEDGER_ENTRY_TOO_LARGE", "an entry of the ledger has at most %d bytes, this one %d; say it shorter", MaxBody, len(form))
	}
	return form, nil
}

var (
	kindForm = regexp.MustCompile(`^[a-z][a-z_]*\.[a-z][a-z_]*$`)
	wordForm = regexp.MustCompile(`^[a-z][a-z_]*$`)
)

func (e *Entry) validate() error {
	switch {
	case e.Organization == id.Nil:
		return invalid("an entry has an organization")
	case e.Seq < 1:
		return invalid("an entry has a seq of at least 1, not %d", e.Seq)
	case !kindForm.MatchString(string(e.Kind)):
		return invalid("%q is no kind of entry", e.Kind)
	case len(e.Actors) == 0:
		return invalid("an entry has an actor")
	case slices.ContainsFunc(e.Actors, func(a Actor) bool { return a.Subject == "" }):
		return invalid("an actor of an entry has a subject")
	case e.Class < 0 || e.Class > 1<<31-1:
		return invalid("%d is no access class", e.Class)
	case !writable(e.OccurredAt) || !writable(e.RecordedAt):
		return invalid("an entry says when it occurred and when it was recorded, in the years 1 to 9999")
	case e.Batch != nil && *e.Batch == id.Nil:
		return invalid("a batch has an id")
	case !isObject(e.Payload):
		return invalid("the payload of an entry is an object")
	case e.Envelope != nil && !isObject(e.Envelope):
		return invalid("the envelope of an entry is an object")
	}
	return e.Subject.validate()
}

func (s Subject) validate() error {
	want := Subject{Kind: s.Kind}
	switch s.Kind {
	case SubjectExposure:
		if s.Path == nil || *s.Path == id.Nil || !wordForm.MatchString(s.Type) || s.Ordinal < 1 || s.Ordinal > 1<<31-1 {
			return invalid("an exposure has a path, a type and an ordinal of at least 1")
		}
		want.Path, want.Type, want.Ordinal = s.Path, s.Type, s.Ordinal
	case SubjectPath, SubjectIdentity, SubjectWorkload:
		if s.ID == nil || *s.ID == id.Nil {
			return invalid("a subject of kind %s has an id", s.Kind)
		}
		want.ID = s.ID
	case SubjectKey:
		if s.Name == "" {
			return invalid("a key has a name")
		}
		want.Name = s.Name
	case SubjectOrganization:
	default:
		return invalid("%q is no kind of subject", s.Kind)
	}
	if s != want {
		return invalid("a subject of kind %s has members of another kind", s.Kind)
	}
	return nil
}

func invalid(format string, args ...any) *problem.Error {
	return problem.New(problem.Internal, "LEDGER_ENTRY_INVALID", format, args...)
}

func badText(why string) *problem.Error {
	return problem.New(problem.Invalid, "INVALID_TEXT", "the ledger cannot keep this text: %s", why)
}

func isObject(raw json.RawMessage) bool {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '{'
}

// hasNUL looks for the escape of U+0000 in canonical JSON.
func hasNUL(form []byte) bool {
	for {
		at := bytes.IndexByte(form, '\\')
		if at < 0 {
			return false
		}
		if bytes.HasPrefix(form[at:], []byte(`\u0000`)) {
			return true
		}
		form = form[at+2:]
	}
}

// instant is written in UTC with six digits of the second, always.
type instant time.Time

const instantForm = "2006-01-02T15:04:05.000000Z"

func writable(t time.Time) bool {
	year := t.UTC().Year()
	return !t.IsZero() && year >= 1 && year <= 9999
}

func (i instant) String() string { return time.Time(i).UTC().Format(instantForm) }

// MarshalJSON writes the instant.
func (i instant) MarshalJSON() ([]byte, error) { return []byte(`"` + i.String() + `"`), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (i *instant) UnmarshalJSON(form []byte) error {
	if !utf8.Valid(form) || len(form) != len(instantForm)+2 {
		return fmt.Errorf("%q is no instant of the form %s", form, instantForm)
	}
	return i.parse(string(form[1 : len(form)-1]))
}

func (i *instant) parse(text string) error {
	t, err := time.Parse(instantForm, text)
	if err != nil || instant(t).String() != text {
		return fmt.Errorf("%q is no instant of the form %s", text, instantForm)
	}
	*i = instant(t)
	return nil
}

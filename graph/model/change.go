package model

import (
	"encoding/json"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// ExposureChange is an event of the feed.
type ExposureChange struct{ change.Event }

// NewExposureChange shows an event.
func NewExposureChange(e *change.Event) *ExposureChange { return &ExposureChange{*e} }

// IsNode marks a node.
func (*ExposureChange) IsNode() {}

// ID is the event's global id. With the event it names the history that it stands
// in, by which it is found.
func (c *ExposureChange) ID() string {
	return ID{Type: TypeExposureChange, Organization: c.OrganizationID, Parts: [2]id.ID{c.Event.ID, c.SubjectID}}.String()
}

// ChangeKey is the event that an id names; ok is false for an id of something else.
func (i ID) ChangeKey() (key change.Key, ok bool) {
	return change.Key{ID: i.Parts[0], SubjectID: i.Parts[1]}, i.Type == TypeExposureChange
}

// Cursor is the event's place in the feed.
func (c *ExposureChange) Cursor() string { return change.EncodeCursor(c.OrganizationID, c.Seq) }

// Type is the kind of change.
func (c *ExposureChange) Type() change.Kind { return c.ChangeType }

// EntityID is the global id of what changed.
func (c *ExposureChange) EntityID() string {
	switch c.EntityType {
	case change.OfAuthorityPath:
		return globalID(TypeAuthorityPath, c.OrganizationID, c.Event.EntityID)
	case change.OfExposure:
		if key, ok := c.ExposureKey(); ok {
			return ExposureID(c.OrganizationID, key)
		}
	case change.OfWorkload:
		return globalID(TypeWorkload, c.OrganizationID, c.Event.EntityID)
	case change.OfSync:
		return globalID(TypeSync, c.OrganizationID, c.Event.EntityID)
	}
	if c.EntityType.IsAsset() {
		return globalID(TypeAsset, c.OrganizationID, c.Event.EntityID)
	}
	return c.ID() // of what has no node of its own
}

// ExposureKey is the exposure that it is about; ok is false for what is not about one.
func (c *ExposureChange) ExposureKey() (key exposure.Key, ok bool) {
	if c.ExposureType == nil || c.ExposureOrdinal == nil {
		return exposure.Key{}, false
	}
	return exposure.Key{PathID: c.Event.EntityID, Type: *c.ExposureType, Ordinal: *c.ExposureOrdinal}, true
}

// PathID is the path that it is about, or whose exposure; nil for what is not about
// one.
func (c *ExposureChange) PathID() *id.ID {
	if c.EntityType != change.OfAuthorityPath && c.EntityType != change.OfExposure {
		return nil
	}
	return &c.Event.EntityID
}

// ScanID is the global id of the sync that it came with.
func (c *ExposureChange) ScanID() *string {
	return optionalID(TypeSync, c.OrganizationID, c.Event.ScanID)
}

// ScanJobID is the global id of that sync's source.
func (c *ExposureChange) ScanJobID() *string {
	return optionalID(TypeSource, c.OrganizationID, c.Event.ScanJobID)
}

func optionalID(t Type, organization id.ID, part *id.ID) *string {
	if part == nil {
		return nil
	}
	text := globalID(t, organization, *part)
	return &text
}

// OccurredAt is when it happened.
func (c *ExposureChange) OccurredAt() time.Time { return c.At }

// ExposureChangeFrame is a piece of the live feed: an event, or none in a heartbeat.
type ExposureChangeFrame struct {
	Change *ExposureChange
	cursor string
}

// NewFrame shows an event as it is sent.
func NewFrame(e *change.Event) *ExposureChangeFrame {
	c := NewExposureChange(e)
	return &ExposureChangeFrame{Change: c, cursor: c.Cursor()}
}

// NewHeartbeat says that everything up to a cursor was sent.
func NewHeartbeat(cursor string) *ExposureChangeFrame { return &ExposureChangeFrame{cursor: cursor} }

// Cursor is where the feed goes on behind the frame.
func (f *ExposureChangeFrame) Cursor() string { return f.cursor }

// Heartbeat says whether it is one.
func (f *ExposureChangeFrame) Heartbeat() bool { return f.Change == nil }

// told is a value of the frame's event; nil in a heartbeat.
func told[T any](f *ExposureChangeFrame, of func(*ExposureChange) T) *T {
	if f.Change == nil {
		return nil
	}
	value := of(f.Change)
	return &value
}

// perhaps is a value that the frame's event may have; nil in a heartbeat.
func perhaps[T any](f *ExposureChangeFrame, of func(*ExposureChange) *T) *T {
	if f.Change == nil {
		return nil
	}
	return of(f.Change)
}

// object is an object of the frame's event; nil in a heartbeat.
func (f *ExposureChangeFrame) object(of func(*ExposureChange) json.RawMessage) json.RawMessage {
	if f.Change == nil {
		return nil
	}
	return of(f.Change)
}

// What follows are the fields of the event by their own names.
//
//revive:disable:exported

func (f *ExposureChangeFrame) ID() *string { return told(f, (*ExposureChange).ID) }

func (f *ExposureChangeFrame) Seq() *int64 {
	return told(f, func(c *ExposureChange) int64 { return c.Seq })
}

func (f *ExposureChangeFrame) Type() *change.Kind { return told(f, (*ExposureChange).Type) }

func (f *ExposureChangeFrame) EntityType() *change.EntityType {
	return told(f, func(c *ExposureChange) change.EntityType { return c.EntityType })
}

func (f *ExposureChangeFrame) EntityID() *string { return told(f, (*ExposureChange).EntityID) }

func (f *ExposureChangeFrame) Title() *string {
	return told(f, func(c *ExposureChange) string { return c.Title })
}

func (f *ExposureChangeFrame) Description() *string {
	return perhaps(f, func(c *ExposureChange) *string { return c.Description })
}

func (f *ExposureChangeFrame) Severity() *rule.Severity {
	return perhaps(f, func(c *ExposureChange) *rule.Severity { return c.Severity })
}

func (f *ExposureChangeFrame) RiskScore() *int {
	return perhaps(f, func(c *ExposureChange) *int { return c.RiskScore })
}

func (f *ExposureChangeFrame) OldValue() json.RawMessage {
	return f.object(func(c *ExposureChange) json.RawMessage { return c.OldValue })
}

func (f *ExposureChangeFrame) NewValue() json.RawMessage {
	return f.object(func(c *ExposureChange) json.RawMessage { return c.NewValue })
}

func (f *ExposureChangeFrame) Metadata() json.RawMessage {
	return f.object(func(c *ExposureChange) json.RawMessage { return c.Metadata })
}

func (f *ExposureChangeFrame) ScanID() *string { return perhaps(f, (*ExposureChange).ScanID) }

func (f *ExposureChangeFrame) ScanJobID() *string { return perhaps(f, (*ExposureChange).ScanJobID) }

func (f *ExposureChangeFrame) OccurredAt() *time.Time { return told(f, (*ExposureChange).OccurredAt) }

func (f *ExposureChangeFrame) CreatedAt() *time.Time {
	return told(f, func(c *ExposureChange) time.Time { return c.CreatedAt })
}

func (f *ExposureChangeFrame) LedgerSeq() *int64 {
	return perhaps(f, func(c *ExposureChange) *int64 { return c.LedgerSeq })
}

//revive:enable:exported

// MarshalObject writes a JSON object as it is stored.
func MarshalObject(object json.RawMessage) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		if object == nil {
			object = json.RawMessage("null")
		}
		_, _ = w.Write(object)
	})
}

// UnmarshalObject refuses: objects are never an input, but the generated code names
// both ways of every scalar.
func UnmarshalObject(any) (json.RawMessage, error) { return nil, badInput("an object is no input") }

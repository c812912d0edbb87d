package model

import "github.com/exposuregraph/exposuregraph/internal/audit"

// AuditEntry is an entry of an audit log.
type AuditEntry struct{ audit.Entry }

// NewAuditEntry shows an entry.
func NewAuditEntry(e *audit.Entry) *AuditEntry { return &AuditEntry{*e} }

// IsNode marks a node.
func (*AuditEntry) IsNode() {}

// ID is the entry's global id.
func (e *AuditEntry) ID() string { return e.GlobalID() }

// RequestID is null where there was none.
func (e *AuditEntry) RequestID() *string { return text(e.Entry.RequestID) }

package sigv4

import (
	"fmt"
	"io"
	"log/slog"
)

// Credentials are what a request is signed with. A session token comes with
// credentials that somebody gave for a time.
type Credentials struct {
	AccessKey    string
	SecretKey    Secret
	SessionToken Secret
}

// Secret is a text that no log, no message and no document shows, whichever way it
// is printed. Only a conversion to string gives it. It does not belong into a field
// that is not exported: fmt asks none how it wants to be shown.
type Secret string

const hidden = "[secret]"

// String hides it from who asks for its text.
func (Secret) String() string { return hidden }

// Format hides it from fmt, with every verb: one that does not suit a text would
// show it.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, hidden) }

// LogValue hides it from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides it from documents.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

package triage

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The bounds of what a caller writes.
const (
	MaxJustification  = 2_000 // characters
	MaxIdempotencyKey = 200   // characters
)

// admit lets a caller pass who may do this, and says who it is. About what the caller
// does not see it is done as about what there is not: see byKey.
func admit(ctx context.Context, organization id.ID, action Action) (actor string, err error) {
	caller, err := access.Admit(ctx, organization, action.Scope())
	return caller.Subject, err
}

// checkAction holds what is to be done against what there is.
func (c *Command) checkAction() error {
	switch {
	case !known(Actions, c.Action):
		return problem.New(problem.Invalid, "ACTION_UNKNOWN", "there is no action %q; there are %s", short(string(c.Action)), named(Actions)).On("action")
	case c.Action != MarkFalsePositive && c.Reason != "":
		return problem.New(problem.Invalid, "REASON_UNEXPECTED", "a reason is given of a false positive alone; say why in the justification").On("reason")
	case c.Action == MarkFalsePositive && !known(FalsePositiveReasons, c.Reason):
		return problem.New(problem.Invalid, "REASON_UNKNOWN", "say why it is a false positive: %s", named(FalsePositiveReasons)).On("reason")
	}
	return nil
}

func (c *Command) check() error {
	if err := c.checkAction(); err != nil {
		return err
	}
	if err := checkJustification(c.Justification); err != nil {
		return err
	}
	return checkIdempotencyKey(c.IdempotencyKey)
}

// checkVersion holds a version against what can be one.
func checkVersion(version int) error {
	if version < 1 || version > math.MaxInt32 {
		return problem.New(problem.Invalid, "INVALID_VERSION", "versions are numbers from 1 to %d", math.MaxInt32).On("expectedVersion")
	}
	return nil
}

// checkJustification holds what somebody wrote against what can be kept as it was
// written, and read by everybody.
func checkJustification(text string) error {
	var bad string
	switch characters := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		bad = "is not UTF-8"
	case strings.TrimSpace(text) == "":
		bad = "is missing: say why, for whoever asks later"
	case characters > MaxJustification:
		bad = fmt.Sprintf("has %d characters; it can have %d", characters, MaxJustification)
	case strings.ContainsRune(text, 0):
		bad = "contains a NUL character"
	default:
		return nil
	}
	return problem.New(problem.Invalid, "INVALID_TEXT", "the justification %s", bad).On("justification")
}

func checkIdempotencyKey(key string) error {
	invisible := strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
	if key == "" || len(key) > MaxIdempotencyKey || invisible {
		return problem.New(problem.Invalid, "INVALID_IDEMPOTENCY_KEY",
			"the idempotency key takes 1 to %d visible ASCII characters, such as a UUID; the same again means the same request", MaxIdempotencyKey).On("idempotencyKey")
	}
	return nil
}

// short cuts what somebody else wrote for a message.
func short(text string) string {
	if runes := []rune(text); len(runes) > 80 {
		return string(runes[:80]) + "…"
	}
	return text
}

// statement is a command about one exposure, as it is signed and hashed.
type statement struct {
	Action          Action              `json:"action"`
	ExpectedVersion int                 `json:"expectedVersion"`
	Exposure        subject             `json:"exposure"`
	IdempotencyKey  string              `json:"idempotencyKey"`
	Justification   string              `json:"justification"`
	Organization    id.ID               `json:"organization"`
	Reason          FalsePositiveReason `json:"reason,omitempty"`
}

type subject struct {
	Path    id.ID  `json:"path"`
	Type    string `json:"type"`
	Ordinal int    `json:"ordinal"`
}

func subjectOf(key exposure.Key) subject {
	return subject{Path: key.PathID, Type: ledger.TypeWord(key.Type), Ordinal: key.Ordinal}
}

func (s subject) key() (exposure.Key, bool) {
	t, found := ledger.TypeNumber(s.Type)
	return exposure.Key{PathID: s.Path, Type: rule.Type(t), Ordinal: s.Ordinal}, found
}

func (c *Command) statement(organization id.ID, key exposure.Key) statement {
	return statement{
		Action: c.Action, ExpectedVersion: c.ExpectedVersion, Exposure: subjectOf(key), IdempotencyKey: c.IdempotencyKey,
		Justification: c.Justification, Organization: organization, Reason: c.Reason,
	}
}

// Statement is what a person signs who wants this done: canonical JSON. The
// signature comes in the command's envelope.
func (c *Command) Statement(organization id.ID, key exposure.Key) ([]byte, error) {
	return canonical.Marshal(c.statement(organization, key))
}

// digest tells requests apart that come under one idempotency key.
func digest(operation string, request any) ([]byte, error) {
	body, err := canonical.Marshal(map[string]any{"operation": operation, "request": request})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("exposuregraph/triage-request/1\x00"), body...))
	return sum[:], nil
}

package triage

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/sign"
)

// envelope is the request as the caller signed it.
type envelope struct {
	*sign.Envelope
	form json.RawMessage // canonical
}

// text is the envelope as it is kept; null for none.
func (e *envelope) text() json.RawMessage {
	if e == nil {
		return nil
	}
	return e.form
}

// openEnvelope reads the envelope of a command; null for none.
func openEnvelope(raw []byte) (*envelope, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	parsed, err := sign.Parse(raw)
	if err != nil {
		return nil, err
	}
	if parsed.PayloadType != sign.DecisionType {
		return nil, badEnvelope("it signs a %s, and no %s", short(parsed.PayloadType), sign.DecisionType)
	}
	form, err := parsed.JSON()
	return &envelope{parsed, form}, err
}

// verify holds an envelope against the request that it came with: the caller
// signed these words, with a key that is valid now.
func (t *turn) verify(ctx context.Context, e *envelope, asked statement) error {
	if e == nil {
		return nil
	}
	type row struct {
		ID        string
		PublicKey []byte
	}
	rows, err := db.Select[row](ctx, t.tx, decideQueries.Get("valid_keys"), pgx.StrictNamedArgs{"subject": t.request.actor, "at": t.At})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return badEnvelope("no key of %s is registered that is valid now; register one first", short(t.request.actor))
	}
	keys := make(map[string]ed25519.PublicKey, len(rows))
	for _, r := range rows {
		keys[r.ID] = r.PublicKey
	}
	signed, _, err := sign.Verify(e.Envelope, keys)
	if err != nil {
		return err
	}
	return compareSigned(signed, asked)
}

// compareSigned names what is not signed as it was asked.
func compareSigned(signed []byte, asked statement) error {
	want, err := canonical.Marshal(asked)
	if err != nil {
		return err
	}
	if string(signed) == string(want) {
		return nil
	}
	if form, err := canonical.Transform(signed); err == nil && string(form) == string(want) {
		return badEnvelope("what it signs is not in the canonical form of RFC 8785")
	}
	var have, wanted map[string]json.RawMessage
	if err := json.Unmarshal(signed, &have); err != nil {
		return badEnvelope("what it signs is no decision")
	}
	if err := json.Unmarshal(want, &wanted); err != nil {
		return err
	}
	var differ []string
	for field, value := range wanted {
		if string(have[field]) != string(value) {
			differ = append(differ, field)
		}
	}
	for field := range have {
		if _, asked := wanted[field]; !asked && len(differ) < 10 {
			differ = append(differ, short(field))
		}
	}
	if len(differ) == 0 { // a name that comes twice
		return badEnvelope("what it signs is no decision")
	}
	slices.Sort(differ)
	return badEnvelope("it does not sign what the request has as %s", named(differ))
}

func badEnvelope(format string, args ...any) *problem.Error {
	e := problem.New(problem.Invalid, "ENVELOPE_INVALID", format, args...)
	e.Message = "the envelope is not accepted: " + e.Message
	return e.On("envelope")
}

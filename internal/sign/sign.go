package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// DecisionType is the payload type of a decision.
const DecisionType = "application/vnd.exposuregraph.decision+json"

// The limits of an envelope.
const (
	MaxEnvelope   = 64 << 10 // bytes
	MaxSignatures = 16
)

// Envelope is a payload and who signed it.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // base64, with the standard or the URL-safe letters
	Signatures  []Signature `json:"signatures"`
}

// Signature is one of them. Without a key id it may be of any key.
type Signature struct {
	KeyID *string `json:"keyid,omitempty"`
	Sig   string  `json:"sig"`
}

// Parse reads an envelope. It refuses what one reader could read otherwise than
// another: names that come twice or in other letters, and members that are none
// of an envelope.
func Parse(raw []byte) (*Envelope, error) {
	if len(raw) > MaxEnvelope {
		return nil, invalid("it has %d bytes, at most %d are read", len(raw), MaxEnvelope)
	}
	form, err := canonical.Transform(raw)
	if err != nil {
		return nil, invalid("%s", err).Because(err)
	}
	var e Envelope
	if err := json.Unmarshal(form, &e); err != nil {
		return nil, invalid("%s", err).Because(err)
	}
	if again, err := canonical.Marshal(&e); err != nil || !bytes.Equal(again, form) {
		return nil, invalid("it has the members payload, payloadType and signatures, a signature sig and keyid, and no others")
	}
	if e.PayloadType == "" {
		return nil, invalid("it names no payload type")
	}
	if _, err := decode(e.Payload); err != nil {
		return nil, invalid("its payload is no base64").Because(err)
	}
	if len(e.Signatures) == 0 || len(e.Signatures) > MaxSignatures {
		return nil, invalid("it has %d signatures; 1 to %d are read", len(e.Signatures), MaxSignatures)
	}
	for _, signature := range e.Signatures {
		if sig, err := decode(signature.Sig); err != nil || len(sig) != ed25519.SignatureSize {
			return nil, invalid("a signature is %d bytes in base64", ed25519.SignatureSize)
		}
	}
	return &e, nil
}

// JSON is the envelope in canonical JSON.
func (e *Envelope) JSON() ([]byte, error) { return canonical.Marshal(e) }

// Verify checks that one of these keys, by its id, has signed the envelope, and
// gives the payload and that id. Other signatures are not looked at, nor those of a
// key that proves nothing.
func Verify(e *Envelope, keys map[string]ed25519.PublicKey) (payload []byte, keyID string, err error) {
	payload, err = decode(e.Payload)
	if err != nil {
		return nil, "", invalid("its payload is no base64").Because(err)
	}
	var verifiers []dsse.Verifier
	for id, public := range keys {
		if len(public) != ed25519.PublicKeySize {
			return nil, "", invalid("the key %s is no Ed25519 key", id)
		}
		if CheckPublicKey(public) != nil {
			continue // registered before keys were looked at; what it signed proves nothing
		}
		verifiers = append(verifiers, &key{id: id, public: public})
	}
	if len(verifiers) == 0 {
		return nil, "", invalid("there is no key to check it with")
	}
	verifier, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return nil, "", invalid("%s", err).Because(err)
	}
	accepted, err := verifier.Verify(context.Background(), e.library(payload))
	if err != nil || len(accepted) == 0 {
		return nil, "", invalid("none of the keys at hand has signed it").Because(err)
	}
	return payload, accepted[0].KeyID, nil
}

// Sign puts a payload into an envelope.
func Sign(payloadType string, payload []byte, private ed25519.PrivateKey) (*Envelope, error) {
	if payloadType == "" {
		return nil, errors.New("a payload has a type")
	}
	if len(private) != ed25519.PrivateKeySize {
		return nil, errors.New("no Ed25519 key")
	}
	public := private.Public().(ed25519.PublicKey)
	signer, err := dsse.NewEnvelopeSigner(&key{id: KeyID(public), public: public, private: private})
	if err != nil {
		return nil, err
	}
	signed, err := signer.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, err
	}
	e := &Envelope{PayloadType: signed.PayloadType, Payload: signed.Payload}
	for _, signature := range signed.Signatures {
		e.Signatures = append(e.Signatures, Signature{KeyID: &signature.KeyID, Sig: signature.Sig})
	}
	return e, nil
}

// library is the envelope in the terms of the library, its base64 in one alphabet.
func (e *Envelope) library(payload []byte) *dsse.Envelope {
	out := &dsse.Envelope{PayloadType: e.PayloadType, Payload: base64.StdEncoding.EncodeToString(payload)}
	for _, signature := range e.Signatures {
		s := dsse.Signature{Sig: signature.Sig}
		if signature.KeyID != nil {
			s.KeyID = *signature.KeyID
		}
		out.Signatures = append(out.Signatures, s)
	}
	return out
}

// decode reads base64 with either alphabet, and only the one text that the bytes
// have in it.
func decode(text string) ([]byte, error) {
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		raw, err := alphabet.DecodeString(text)
		if err == nil && alphabet.EncodeToString(raw) == text {
			return raw, nil
		}
	}
	return nil, errors.New("no base64")
}

func invalid(format string, args ...any) *problem.Error {
	p := problem.New(problem.Invalid, "ENVELOPE_INVALID", format, args...)
	p.Message = "the envelope is not accepted: " + p.Message
	return p
}

// key is an Ed25519 key, as the library wants one.
type key struct {
	id      string
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

// KeyID is the name of the key.
func (k *key) KeyID() (string, error) { return k.id, nil }

// Public is the public key.
func (k *key) Public() crypto.PublicKey { return k.public }

// Sign signs.
func (k *key) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(k.private, data), nil
}

// Verify checks a signature.
func (k *key) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(k.public, data, sig) {
		return errors.New("the signature is of another key or another text")
	}
	return nil
}

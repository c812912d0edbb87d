package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// KeyID names a key: the SHA-256 of the raw public key, in hexadecimal.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:])
}

// ReadPublicKey reads a public key from PEM, as `openssl pkey -pubout` writes it. One
// that proves nothing is refused.
func ReadPublicKey(text []byte) (ed25519.PublicKey, error) {
	der, err := block(text, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	public, ok := parsed.(ed25519.PublicKey)
	if !ok || err != nil {
		return nil, badKey("it is no public Ed25519 key").Because(err)
	}
	if err := CheckPublicKey(public); err != nil {
		return nil, err
	}
	return public, nil
}

// ReadPrivateKey reads a private key from PEM, as
// `openssl genpkey -algorithm ed25519` writes it.
func ReadPrivateKey(text []byte) (ed25519.PrivateKey, error) {
	der, err := block(text, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if private, ok := parsed.(ed25519.PrivateKey); ok && err == nil {
		return private, nil
	}
	return nil, badKey("it is no private Ed25519 key").Because(err)
}

// block is the one block of a PEM file.
func block(text []byte, kind string) ([]byte, error) {
	found, rest := pem.Decode(text)
	switch {
	case found == nil:
		return nil, badKey("it is no PEM")
	case found.Type != kind:
		return nil, badKey("it holds a %s, not a %s", found.Type, kind)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, badKey("it holds more than one key")
	}
	return found.Bytes, nil
}

func badKey(format string, args ...any) *problem.Error {
	p := problem.New(problem.Invalid, "KEY_INVALID", format, args...)
	p.Message = "the key cannot be read: " + p.Message
	return p
}

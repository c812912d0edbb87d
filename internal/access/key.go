package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"strings"
)

// minRSA is the number of bits that an RSA key must have.
const minRSA = 2048

// Key signs tokens.
type Key struct {
	ID      string
	Private ed25519.PrivateKey
}

// PublicKey verifies tokens.
type PublicKey struct {
	Key       crypto.PublicKey
	Algorithm string // the only one that it is for; empty for any of its type
}

// PublicKeys gives every key that may sign tokens, by its id.
type PublicKeys func(ctx context.Context) (map[string]PublicKey, error)

// ours is the only algorithm of our own tokens. (Its name in RFC 9864 is Ed25519;
// EdDSA is what other tools still expect.)
var ours = []string{"EdDSA"}

// theirs are the algorithms that other issuers may sign with: asymmetric ones. With
// none anybody signs, and with HS256 everybody who knows the public key.
var theirs = []string{"EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// suits says whether signatures of the algorithm are checked with the key: what the
// header of a token says must not decide what a key is taken for.
func (k PublicKey) suits(algorithm string) bool {
	if k.Algorithm != "" && k.Algorithm != algorithm {
		return false
	}
	switch key := k.Key.(type) {
	case ed25519.PublicKey:
		// Verifying with a key of another length would panic.
		return (algorithm == "EdDSA" || algorithm == "Ed25519") && len(key) == ed25519.PublicKeySize
	case *ecdsa.PublicKey:
		size := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[algorithm]
		return key.Curve.Params().BitSize == size
	case *rsa.PublicKey:
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && key.N.BitLen() >= minRSA
	}
	return false
}

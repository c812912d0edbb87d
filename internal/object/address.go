package object

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Digest is the SHA-256 of the content of an object.
type Digest [sha256.Size]byte

// String is the digest in lower hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads a digest as String writes it, in lower letters: an object has one
// name.
func ParseDigest(text string) (Digest, error) {
	var digest Digest
	raw, err := hex.DecodeString(text)
	if err != nil || copy(digest[:], raw) != len(digest) || digest.String() != text {
		return Digest{}, problem.New(problem.Invalid, "OBJECT_DIGEST_INVALID", "a SHA-256 has 64 digits of 0-9 and a-f").Because(err)
	}
	return digest, nil
}

// Address says where an object stands. It has no text that comes from outside, so no
// address leads out of the store or into another organization.
type Address struct {
	Organization uuid.UUID
	Digest       Digest
}

// String is the address as a key: the organization, two digits that spread the
// objects over folders, the digest.
func (a Address) String() string {
	digest := a.Digest.String()
	return a.Organization.String() + "/" + digest[:2] + "/" + digest
}

// parseAddress reads a key. What is not written as String writes it is none of ours.
func parseAddress(key string) (Address, bool) {
	organization, rest, _ := strings.Cut(key, "/")
	_, name, _ := strings.Cut(rest, "/")
	id, err := uuid.Parse(organization)
	if err != nil {
		return Address{}, false
	}
	digest, err := ParseDigest(name)
	a := Address{Organization: id, Digest: digest}
	return a, err == nil && a.String() == key
}

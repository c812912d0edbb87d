package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Hash is a SHA-256. The zero hash stands before the first entry.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a hash in hexadecimal.
func (h *Hash) UnmarshalText(text []byte) error {
	read, err := ParseHash(string(text))
	if err == nil {
		*h = read
	}
	return err
}

// ParseHash reads a hash in hexadecimal, in small letters.
func ParseHash(text string) (Hash, error) {
	var h Hash
	if len(text) != hex.EncodedLen(len(h)) {
		return Hash{}, fmt.Errorf("%q is no hash of 64 hexadecimal digits", text)
	}
	if _, err := hex.Decode(h[:], []byte(text)); err != nil || h.String() != text {
		return Hash{}, fmt.Errorf("%q is no hash of 64 hexadecimal digits", text)
	}
	return h, nil
}

// Link is the hash of an entry: of a tag, the hash of the entry before it, and
// its body.
func Link(previous Hash, body []byte) Hash {
	digest := sha256.New()
	digest.Write([]byte(Format + "\x00"))
	digest.Write(previous[:])
	digest.Write(body)
	return Hash(digest.Sum(nil))
}

// Stored is an entry as a store keeps it.
type Stored struct {
	Seq      int64
	Previous Hash
	Hash     Hash
	Body     []byte
}

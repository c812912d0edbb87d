package account

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	scheme = "pbkdf2-sha256"

	// rounds make guessing slow; those of OWASP for this function.
	rounds    = 600_000
	minRounds = 100_000
	maxRounds = 5_000_000

	saltBytes = 16
	hashBytes = 32

	// The bytes of a secret. One that is shorter is guessed, however slow that is.
	minSecret = 20
	maxSecret = 256
)

// hash recognises a secret.
type hash struct {
	rounds int
	salt   []byte
	sum    []byte
}

// NewSecret makes a secret that nobody guesses.
func NewSecret() string {
	return rand.Text() + rand.Text()
}

// Hash makes what the file holds of a secret.
func Hash(secret string) (string, error) {
	if len(secret) < minSecret || len(secret) > maxSecret {
		return "", problem.New(problem.Invalid, "SECRET_WEAK", "a secret has %d to %d bytes; without one on its input this command makes one", minSecret, maxSecret).On("secret")
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // it never fails
	h := hash{rounds: rounds, salt: salt}
	sum, err := h.of(secret)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d$%s$%s", scheme, rounds, encode(salt), encode(sum)), nil
}

func (h hash) of(secret string) ([]byte, error) {
	return pbkdf2.Key(sha256.New, secret, h.salt, h.rounds, hashBytes)
}

// matches takes as long for a wrong secret as for the right one.
func (h hash) matches(secret string) bool {
	sum, err := h.of(secret)
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// parseHash reads what Hash made. Its error does not repeat the text, which may be a
// secret that was put there by mistake.
func parseHash(text string) (hash, error) {
	fault := fmt.Errorf("it is no hash of a secret; make one with `exposuregraph token hash-secret`")
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != scheme {
		return hash{}, fault
	}
	count, err := strconv.Atoi(parts[1])
	if err != nil || count < minRounds || count > maxRounds {
		return hash{}, fault
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil || len(salt) < saltBytes {
		return hash{}, fault
	}
	sum, err := base64.RawStdEncoding.DecodeString(parts[3])
	if err != nil || len(sum) != hashBytes {
		return hash{}, fault
	}
	return hash{rounds: count, salt: salt, sum: sum}, nil
}

package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Checkpoint says what a ledger was when it had Size entries. Its text is a
// checkpoint of C2SP (tlog-checkpoint) with two lines of ours, and stands in a
// signed note.
type Checkpoint struct {
	Origin string // see Origin
	Size   int64
	Root   Hash      // of the tree over the entries
	Head   Hash      // of the last of them
	At     time.Time // when that one occurred
}

// Origin names the ledger of an organization in a checkpoint.
func Origin(organization id.ID) string { return "exposuregraph/" + organization.String() }

// Text is what is signed.
func (c *Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) +
		"\nhead " + c.Head.String() + "\nat " + instant(c.At).String() + "\n"
}

// Sign writes the checkpoint as a signed note.
func (c *Checkpoint) Sign(signers ...note.Signer) (string, error) {
	if _, err := parseCheckpoint(c.Text()); err != nil {
		return "", err
	}
	if len(signers) == 0 {
		return "", badCheckpoint("nobody signs it")
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	return string(signed), err
}

// OpenCheckpoint reads a signed note that at least one of these keys has signed.
func OpenCheckpoint(text string, keys note.Verifiers) (*Checkpoint, error) {
	if _, err := ReadCheckpoint(text); err != nil {
		return nil, err
	}
	opened, err := note.Open([]byte(text), keys)
	if err != nil {
		return nil, problem.New(problem.Invalid, "CHECKPOINT_SIGNATURE", "none of the keys at hand has signed it, or the signature is wrong: %s", err).Because(err)
	}
	return parseCheckpoint(opened.Text)
}

// ReadCheckpoint reads a signed note whoever signed it: it proves nothing.
func ReadCheckpoint(text string) (*Checkpoint, error) {
	_, err := note.Open([]byte(text), nil)
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return nil, badCheckpoint("%s", err).Because(err)
	}
	for _, signature := range unverified.Note.UnverifiedSigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(signature.Base64); err != nil {
			return nil, badCheckpoint("the signature of %s has more than one spelling", signature.Name)
		}
	}
	return parseCheckpoint(unverified.Note.Text)
}

func parseCheckpoint(text string) (*Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 || lines[5] != "" {
		return nil, badCheckpoint("it has the lines origin, size, root, head and at, and no others")
	}
	c := &Checkpoint{Origin: lines[0]}
	if c.Origin == "" {
		return nil, badCheckpoint("it has no origin")
	}
	var err error
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 1 || c.Size > MaxSize || strconv.FormatInt(c.Size, 10) != lines[1] {
		return nil, badCheckpoint("%q is no size", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return nil, badCheckpoint("%q is no root", lines[2])
	}
	c.Root = Hash(root)
	head, ok := strings.CutPrefix(lines[3], "head ")
	if c.Head, err = ParseHash(head); err != nil || !ok {
		return nil, badCheckpoint("%q is no line with the head", lines[3])
	}
	at, ok := strings.CutPrefix(lines[4], "at ")
	var when instant
	if err = when.parse(at); err != nil || !ok {
		return nil, badCheckpoint("%q is no line with the instant", lines[4])
	}
	c.At = time.Time(when)
	return c, nil
}

func badCheckpoint(format string, args ...any) *problem.Error {
	p := problem.New(problem.Invalid, "CHECKPOINT_INVALID", format, args...)
	p.Message = "this is no checkpoint: " + p.Message
	return p
}

// NewSigner signs checkpoints with an Ed25519 key, under the name that stands
// before the signature.
func NewSigner(name string, key ed25519.PrivateKey) (note.Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("no Ed25519 key")
	}
	public, err := NewVerifier(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &signer{public, key}, nil
}

// NewVerifier checks what NewSigner signs.
func NewVerifier(name string, key ed25519.PublicKey) (note.Verifier, error) {
	text, err := VerifierKey(name, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// VerifierKey is the name and the public key in the text form that programs for
// signed notes read.
func VerifierKey(name string, key ed25519.PublicKey) (string, error) {
	text, err := note.NewEd25519VerifierKey(name, key)
	if err != nil {
		return "", err
	}
	_, err = note.NewVerifier(text) // which looks at the name as well
	return text, err
}

// signer is a verifier with its private key.
type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

// Sign signs the text of a note.
func (s *signer) Sign(text []byte) ([]byte, error) { return ed25519.Sign(s.key, text), nil }

package book

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// KeyName stands before the signatures of keys that the program makes.
const KeyName = "exposuregraph"

// Key signs checkpoints. It lives in a file and never in the database: who can
// write there must not be able to sign.
type Key struct {
	signer note.Signer
	public string
}

// PublicKey is what checks the signatures, in the text form of signed notes.
func (k *Key) PublicKey() string { return k.public }

// Verifier checks the signatures.
func (k *Key) Verifier() (note.Verifier, error) { return note.NewVerifier(k.public) }

// ParseKey reads the private key of a signer of notes, as a line of text.
func ParseKey(text string) (*Key, error) {
	text = strings.TrimSpace(text)
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, errors.New("it is no private key of signed notes (PRIVATE+KEY+NAME+…)")
	}
	// NewSigner has looked at the form: PRIVATE, KEY, a name, a hash, and in base64 a
	// byte for the algorithm before the seed.
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(text, "+", 5)[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errors.New("it is no Ed25519 key")
	}
	public, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("it is no Ed25519 key")
	}
	verifier, err := ledger.VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, err
	}
	return &Key{signer: signer, public: verifier}, nil
}

// ReadKey reads a key from its file.
func ReadKey(file string) (*Key, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, problem.New(problem.Invalid, "LEDGER_KEY_UNREADABLE", "the key of the ledger cannot be read: %s", pathCause(err)).At(file, 0).On("ledger-key").Because(err)
	}
	key, err := ParseKey(string(content))
	if err != nil {
		return nil, problem.New(problem.Invalid, "LEDGER_KEY_UNREADABLE", "the key of the ledger cannot be read: %s", err).At(file, 0).On("ledger-key")
	}
	return key, nil
}

// MakeKey reads a key from its file. Where there is none, it makes one that only
// the owner of the file can read.
func MakeKey(file string) (key *Key, made bool, err error) {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		key, err := ReadKey(file)
		return key, false, err
	}
	private, _, err := note.GenerateKey(rand.Reader, KeyName)
	if err != nil {
		return nil, false, err
	}
	err = os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = writeNew(file, private+"\n", 0o600)
	}
	switch {
	case errors.Is(err, fs.ErrExist): // another process made one in between
	case err != nil:
		return nil, false, problem.New(problem.Invalid, "LEDGER_KEY_UNWRITABLE", "the key of the ledger cannot be written: %s", pathCause(err)).At(file, 0).Because(err)
	default:
		made = true
	}
	key, err = ReadKey(file)
	return key, made, err
}

// writeNew writes a file that is not there yet, whole or not at all.
func writeNew(file, content string, mode fs.FileMode) (err error) {
	part, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part.Name()) }() // the name that stays is another
	if _, err = part.WriteString(content); err == nil {
		err = part.Chmod(mode)
	}
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return err
	}
	// A link never takes the place of a file that is there.
	if err = os.Link(part.Name(), file); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, there := os.Lstat(file); there == nil {
		return fmt.Errorf("%s: %w", file, fs.ErrExist)
	}
	return os.Rename(part.Name(), file) // of a file system without links
}

func pathCause(err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return cause.Err
	}
	return err
}

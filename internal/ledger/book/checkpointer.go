package book

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// ending is that of an exported checkpoint.
const ending = ".checkpoint"

// CheckpointerConfig is what a Checkpointer stands on. Numbers have defaults.
type CheckpointerConfig struct {
	DB     *db.DB
	Key    *Key
	Folder string // what is exported goes to <Folder>/<slug>/<size>.checkpoint
	Logger *slog.Logger
	Now    func() time.Time

	Entries int64         // that a ledger grows by until it is signed; 1,000
	After   time.Duration // since the last checkpoint, until any growth is signed; 1 h
}

// Checkpointer signs ledgers and exports what it signed. A ledger that is no
// continuation of what was signed before is not signed again.
type Checkpointer struct{ config CheckpointerConfig }

// NewCheckpointer makes a checkpointer.
func NewCheckpointer(config CheckpointerConfig) *Checkpointer {
	if config.Entries == 0 {
		config.Entries = 1000
	}
	if config.After == 0 {
		config.After = time.Hour
	}
	return &Checkpointer{config}
}

// PublicKey is what checks the signatures.
func (c *Checkpointer) PublicKey() string { return c.config.Key.PublicKey() }

// Look signs the ledger of an organization if it is time to, and says how many
// entries it signed; 0 if it did not. What is stored and was not exported, it
// exports. Any number of replicas may look.
func (c *Checkpointer) Look(ctx context.Context, organization *org.Organization) (int64, error) {
	if err := access.Require(ctx, organization.ID, access.Audit); err != nil {
		return 0, err
	}
	signed, last, err := c.sign(ctx, organization.ID, organization.Slug)
	if err != nil {
		return 0, err
	}
	if signed == nil {
		if last == nil {
			return 0, nil
		}
		return 0, c.export(organization.Slug, last.Size, last.Note)
	}
	count := int64(0)
	err = c.config.DB.Tenant(ctx, organization.ID, func(tx *db.Tx) error {
		count, err = db.Exec(ctx, tx, queries.Get("add_checkpoint"), pgx.StrictNamedArgs{
			"size": signed.Size, "root": signed.Root[:], "note": signed.Note, "signer": signed.Signer, "recorded_at": signed.RecordedAt})
		return err
	})
	if err != nil {
		return 0, err
	}
	if count == 0 { // another replica was first, and exports what it wrote
		return 0, nil
	}
	c.config.Logger.InfoContext(ctx, "ledger checkpoint", "organization", organization.ID, "size", signed.Size)
	return signed.Size, c.export(organization.Slug, signed.Size, signed.Note)
}

// sign gives the checkpoint that is due, if one is, and the last one that is
// stored, if there is one.
func (c *Checkpointer) sign(ctx context.Context, organization id.ID, slug string) (signed, last *Checkpoint, err error) {
	snapshot := c.config.DB.Snapshot()
	defer snapshot.Close(ctx)
	q := snapshot.Of(organization)
	end, err := readHead(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if last, err = lastCheckpoint(ctx, q); err != nil {
		return nil, nil, err
	}
	now := c.config.Now().UTC().Truncate(time.Microsecond)
	if !c.due(end, last, now) {
		return nil, last, nil
	}
	t := &tree{q: q}
	if err := c.continues(ctx, t, organization, slug, end.Size, last); err != nil {
		return nil, nil, err
	}
	statement := ledger.Checkpoint{Origin: ledger.Origin(organization), Size: end.Size, Head: end.Hash}
	if statement.Root, err = ledger.Root(ctx, t, end.Size); err != nil {
		return nil, nil, broken(err)
	}
	rows, err := db.Select[entryRow](ctx, q, queries.Get("entries_by_seqs"), pgx.StrictNamedArgs{"seqs": []int64{end.Size}})
	entries, err := entriesOf(rows, err)
	if err != nil {
		return nil, nil, err
	}
	if len(entries) == 0 || entries[0].Hash != end.Hash {
		return nil, nil, broken(errors.New("the head is not the last entry"))
	}
	statement.At = entries[0].OccurredAt
	text, err := statement.Sign(c.config.Key.signer)
	if err != nil {
		return nil, nil, err
	}
	return &Checkpoint{Size: end.Size, Root: statement.Root, Note: text, Signer: c.config.Key.PublicKey(), RecordedAt: now}, last, nil
}

// due says whether the ledger has grown enough, or long enough ago.
func (c *Checkpointer) due(end Head, last *Checkpoint, now time.Time) bool {
	switch {
	case end.Size == 0:
		return false
	case last == nil:
		return true
	case end.Size == last.Size:
		return false
	}
	// A ledger that is shorter than what was signed is looked at, and not signed.
	grown := end.Size - last.Size
	return grown < 0 || grown >= c.config.Entries || now.Sub(last.RecordedAt) >= c.config.After
}

// continues holds the ledger against the last checkpoint that is stored, and
// against the last one that was exported: the database may have been rewritten
// with its checkpoints.
func (c *Checkpointer) continues(ctx context.Context, t *tree, organization id.ID, slug string, size int64, last *Checkpoint) error {
	notes := []string{}
	if last != nil {
		notes = append(notes, last.Note)
	}
	exported, err := c.lastExported(slug)
	if err != nil {
		return err
	}
	if exported != "" {
		notes = append(notes, exported)
	}
	for _, text := range notes {
		former, err := ledger.ReadCheckpoint(text)
		if err != nil {
			return err
		}
		if former.Origin != ledger.Origin(organization) {
			return rewritten("a former checkpoint is of another ledger, %s", former.Origin)
		}
		if former.Size > size {
			return rewritten("the ledger has %d entries, and once had %d", size, former.Size)
		}
		root, err := ledger.Root(ctx, t, former.Size)
		if err != nil {
			return broken(err)
		}
		if root != former.Root {
			return rewritten("the first %d entries are not those of a former checkpoint", former.Size)
		}
	}
	return nil
}

func rewritten(format string, args ...any) error {
	p := problem.New(problem.Conflict, "LEDGER_REWRITTEN", format, args...)
	p.Message += "; it is not signed. Run `exposuregraph ledger verify` with the exported checkpoints"
	return p
}

// export writes a checkpoint to its file. One that is there is left alone: it may
// say what the database no longer does.
func (c *Checkpointer) export(slug string, size int64, text string) error {
	file := filepath.Join(c.config.Folder, slug, strconv.FormatInt(size, 10)+ending)
	there, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(file), 0o755); err == nil {
			err = writeNew(file, text, 0o644)
		}
		if errors.Is(err, fs.ErrExist) {
			there, err = os.ReadFile(file)
		} else if err == nil {
			return nil
		}
	}
	if err != nil {
		return problem.New(problem.Unavailable, "CHECKPOINT_UNWRITABLE", "a checkpoint of the ledger cannot be exported: %s", pathCause(err)).At(file, 0).Because(err)
	}
	if string(there) == text {
		return nil
	}
	old, oldErr := ledger.ReadCheckpoint(string(there))
	same, newErr := ledger.ReadCheckpoint(text)
	if oldErr == nil && newErr == nil && old.Root == same.Root && old.Head == same.Head {
		return nil // signed with another key
	}
	return rewritten("the exported checkpoint of %d entries is of another ledger than the stored one", size)
}

// lastExported is the greatest checkpoint of the folder; empty without one.
func (c *Checkpointer) lastExported(slug string) (string, error) {
	folder := filepath.Join(c.config.Folder, slug)
	files, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	greatest := int64(0)
	for _, file := range files {
		name, ours := strings.CutSuffix(file.Name(), ending)
		if size, parseErr := strconv.ParseInt(name, 10, 64); ours && parseErr == nil {
			greatest = max(greatest, size)
		}
	}
	if err != nil || greatest == 0 {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(folder, strconv.FormatInt(greatest, 10)+ending))
	return string(content), err
}

// verifiers are keys to open notes with; nil for none.
func verifiers(keys []note.Verifier) note.Verifiers {
	if len(keys) == 0 {
		return nil
	}
	return note.VerifierList(keys...)
}

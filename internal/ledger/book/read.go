package book

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Entry is an entry of the ledger with the bytes that were hashed.
type Entry struct {
	*ledger.Entry

	Hash ledger.Hash
	Body []byte
}

// entryRow is an entry as it is stored.
type entryRow struct {
	Seq  int64
	Hash []byte
	Body []byte
}

func (r *entryRow) entry() (*Entry, error) {
	entry, err := ledger.Parse(r.Body)
	if err == nil && entry.Seq != r.Seq {
		err = problem.New(problem.Invalid, "LEDGER_ENTRY_INVALID", "the body is that of entry %d", entry.Seq)
	}
	if err != nil {
		return nil, damaged(r.Seq, err)
	}
	return &Entry{Entry: entry, Hash: hashOf(r.Hash), Body: r.Body}, nil
}

func entriesOf(rows []*entryRow, err error) ([]*Entry, error) {
	if err != nil {
		return nil, err
	}
	entries := make([]*Entry, len(rows))
	for i, row := range rows {
		if entries[i], err = row.entry(); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func damaged(seq int64, cause error) error {
	return problem.New(problem.Conflict, "LEDGER_DAMAGED", "the entry %d of the ledger is not what was written; run `exposuregraph ledger verify`", seq).Because(cause)
}

// view is the ledger of an organization for a caller with the scope.
func view(ctx context.Context, snapshot *db.Snapshot, organization id.ID, scope access.Scope) (db.Querier, error) {
	if err := access.Require(ctx, organization, scope); err != nil {
		return nil, err
	}
	return snapshot.Of(organization), nil
}

// About names the subject of entries: a path, an identity or a workload, or one
// exposure of a path.
type About struct {
	ID      id.ID
	Type    int16 // 0: whatever concerns the path
	Ordinal int   // 0: every interval
}

// Filter narrows a list of entries. Conditions join with AND, the values of one
// condition with OR; an empty condition narrows nothing.
type Filter struct {
	Kinds   []ledger.Kind
	Actors  []string
	About   *About
	BatchID *id.ID
	From    *time.Time // occurred then or later
	To      *time.Time // occurred before
}

// check names conditions as the API does.
func (f Filter) check() error {
	for field, length := range map[string]int{"kind": len(f.Kinds), "actor": len(f.Actors)} {
		if err := page.Bounded(field, length); err != nil {
			return err
		}
	}
	for _, actor := range f.Actors {
		if _, err := page.TextKey(actor); err != nil {
			return problem.New(problem.Invalid, "INVALID_TEXT", "an actor of the filter is not readable text").On("actor")
		}
	}
	for _, kind := range f.Kinds {
		if _, err := page.TextKey(string(kind)); err != nil {
			return problem.New(problem.Invalid, "INVALID_TEXT", "a kind of the filter is not readable text").On("kind")
		}
	}
	if f.From != nil && f.To != nil && f.To.Before(*f.From) {
		return problem.New(problem.Invalid, "INTERVAL_EMPTY", "the interval ends before it begins; swap occurredAfter and occurredBefore").On("filter")
	}
	return nil
}

func (f Filter) where() (w db.Where) {
	kinds := make([]string, len(f.Kinds))
	for i, kind := range f.Kinds {
		kinds[i] = string(kind)
	}
	page.OneOf(&w, "e.kind = ANY (@kinds)", "kinds", kinds)
	page.OneOf(&w, "e.actor = ANY (@actors)", "actors", f.Actors)
	if f.About != nil {
		w.And("e.subject_id = @about", "about", f.About.ID)
		if f.About.Type != 0 {
			w.And("e.type = @type", "type", f.About.Type)
		}
		if f.About.Ordinal != 0 {
			w.And("e.ordinal = @ordinal", "ordinal", f.About.Ordinal)
		}
	}
	if f.BatchID != nil {
		w.And("e.batch_id = @batch", "batch", *f.BatchID)
	}
	if f.From != nil {
		w.And("e.at >= @from_at", "from_at", *f.From)
	}
	if f.To != nil {
		w.And("e.at < @to_at", "to_at", *f.To)
	}
	return w
}

// EntryPage is a page of entries with the cursors of its rows.
type EntryPage struct {
	page.Slice[*Entry]
	Cursor func(*Entry) string
}

// Entries lists entries by their places in the ledger.
func (*Book) Entries(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter, newestFirst bool, request page.Request) (EntryPage, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return EntryPage{}, err
	}
	if err := filter.check(); err != nil {
		return EntryPage{}, err
	}
	bound := page.BindingOf("ledger entries", organization, filter)
	if newestFirst {
		bound = bound.Text("newest first")
	}
	binding := bound.Short()
	p, err := request.Resolve(binding, 1)
	if err != nil {
		return EntryPage{}, err
	}
	list := page.Listing{Page: p, Keys: []page.Key{{Column: "e.seq", Parse: page.NumberKey}}, Descending: newestFirst}
	query, args, err := list.Query(queries.Get("entries_page"), filter.where())
	if err != nil {
		return EntryPage{}, err
	}
	entries, err := entriesOf(db.Select[entryRow](ctx, q, query, args))
	return EntryPage{Slice: page.Cut(p, entries), Cursor: func(e *Entry) string { return page.Cursor(binding, strconv.FormatInt(e.Seq, 10)) }}, err
}

// CountEntries counts what Entries lists.
func (*Book) CountEntries(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter) (int, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return 0, err
	}
	if err := filter.check(); err != nil {
		return 0, err
	}
	where := filter.where()
	counts, err := db.Column[int64](ctx, q, queries.Get("count_entries").Where(where), where.Args())
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

// EntriesBySeqs gives those of the entries that there are, by their places.
// Whoever sees an exposure sees who decided on it.
func (*Book) EntriesBySeqs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, seqs []int64) ([]*Entry, error) {
	q, err := view(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	return entriesOf(db.Select[entryRow](ctx, q, queries.Get("entries_by_seqs"), pgx.StrictNamedArgs{"seqs": seqs}))
}

// Head is the end of a ledger.
type Head struct {
	Size int64       // the place of the last entry; 0 for none
	Hash ledger.Hash // of the last entry
	At   time.Time   // the greatest instant of all entries; zero for none
}

// Head is the end of the organization's ledger.
func (*Book) Head(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (Head, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return Head{}, err
	}
	return readHead(ctx, q)
}

func readHead(ctx context.Context, q db.Querier) (Head, error) {
	type row struct {
		Seq  int64
		Hash []byte
		At   time.Time
	}
	end, err := db.First[row](ctx, q, queries.Get("head"), nil)
	if err != nil || end == nil {
		return Head{}, err
	}
	return Head{Size: end.Seq, Hash: hashOf(end.Hash), At: end.At.UTC()}, nil
}

// Checkpoint is a signed statement of what the ledger was at a size.
type Checkpoint struct {
	Size       int64
	Root       ledger.Hash
	Note       string // as it was signed and exported
	Signer     string // the public key that signed it
	RecordedAt time.Time
}

type checkpointRow struct {
	Size       int64
	Root       []byte
	Note       string
	Signer     string
	RecordedAt time.Time
}

func (r *checkpointRow) checkpoint() *Checkpoint {
	return &Checkpoint{Size: r.Size, Root: hashOf(r.Root), Note: r.Note, Signer: r.Signer, RecordedAt: r.RecordedAt.UTC()}
}

// CheckpointPage is a page of checkpoints with the cursors of its rows.
type CheckpointPage struct {
	page.Slice[*Checkpoint]
	Cursor func(*Checkpoint) string
}

// Checkpoints lists checkpoints, the newest first.
func (*Book) Checkpoints(ctx context.Context, snapshot *db.Snapshot, organization id.ID, request page.Request) (CheckpointPage, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return CheckpointPage{}, err
	}
	binding := page.BindingOf("ledger checkpoints", organization, nil).Short()
	p, err := request.Resolve(binding, 1)
	if err != nil {
		return CheckpointPage{}, err
	}
	list := page.Listing{Page: p, Keys: []page.Key{{Column: "k.size", Parse: page.NumberKey}}, Descending: true}
	query, args, err := list.Query(queries.Get("checkpoints_page"), db.Where{})
	if err != nil {
		return CheckpointPage{}, err
	}
	rows, err := db.Select[checkpointRow](ctx, q, query, args)
	checkpoints := make([]*Checkpoint, len(rows))
	for i, row := range rows {
		checkpoints[i] = row.checkpoint()
	}
	return CheckpointPage{Slice: page.Cut(p, checkpoints), Cursor: func(c *Checkpoint) string { return page.Cursor(binding, strconv.FormatInt(c.Size, 10)) }}, err
}

// CountCheckpoints counts what Checkpoints lists.
func (*Book) CountCheckpoints(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (int, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return 0, err
	}
	counts, err := db.Column[int64](ctx, q, queries.Get("count_checkpoints"), nil)
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

// LastCheckpoint is the newest checkpoint; nil without one.
func (*Book) LastCheckpoint(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (*Checkpoint, error) {
	q, err := view(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return nil, err
	}
	return lastCheckpoint(ctx, q)
}

func lastCheckpoint(ctx context.Context, q db.Querier) (*Checkpoint, error) {
	row, err := db.First[checkpointRow](ctx, q, queries.Get("last_checkpoint"), nil)
	if err != nil || row == nil {
		return nil, err
	}
	return row.checkpoint(), nil
}

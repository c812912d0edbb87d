package book

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var queriesSQL string

var queries = db.Parse("book", queriesSQL)

// chunk is how many entries one statement writes.
const chunk = 1000

// Book writes and reads the ledgers of organizations.
type Book struct{ now func() time.Time }

// New makes a book; the clock says when an entry was written down.
func New(now func() time.Time) *Book { return &Book{now: now} }

// Draft is an entry that is yet to have its place in the ledger. Who acts stands
// in the context.
type Draft struct {
	Kind       ledger.Kind
	Subject    ledger.Subject
	Class      int
	OccurredAt time.Time // on the organization's clock
	Batch      *id.ID
	Payload    any             // written as a JSON object; nil: an empty one
	Envelope   json.RawMessage // the DSSE envelope that the actor signed; nil for none
}

// Posted is an entry in its place.
type Posted struct {
	Seq   int64
	Hash  ledger.Hash
	Entry *ledger.Entry
}

// head is the end of a ledger.
type head struct {
	OrganizationID id.ID
	Seq            int64
	Hash           []byte
	At             time.Time
}

func (h *head) hash() ledger.Hash { return hashOf(h.Hash) }

// Append writes entries at the end of the ledger of the transaction's
// organization, in this order. The first ones bring in what was on record before
// there was a ledger. Whether the caller may is the caller's to check.
//
// An entry does not occur before one that is there. Of a text that cannot be kept
// nothing is written.
func (b *Book) Append(ctx context.Context, tx *db.Tx, drafts ...Draft) ([]Posted, error) {
	p := tx.Pipeline()
	end := b.Lock(p)
	if err := p.Send(ctx); err != nil {
		return nil, err
	}
	posted, err := b.Post(ctx, tx, p, end, drafts...)
	if err != nil {
		return nil, err
	}
	return posted, p.Send(ctx)
}

// End is where a ledger ends, once the pipeline that locks it is sent.
type End struct{ found *[]*head }

// Lock adds to a pipeline that the ledger is kept from everybody else, and where
// it ends is read.
func (b *Book) Lock(p *db.Pipeline) End {
	return End{db.Queue[head](p, queries.Get("lock_head"), nil)}
}

// Post is Append where the ledger is locked: the pipeline writes the entries when
// it is sent. It is called once for each lock.
func (b *Book) Post(ctx context.Context, tx *db.Tx, p *db.Pipeline, locked End, drafts ...Draft) ([]Posted, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	actor, err := access.Current(ctx)
	if err != nil {
		return nil, err
	}
	recorded := b.now().UTC().Truncate(time.Microsecond)
	entries := make([]*ledger.Entry, len(drafts))
	for i, draft := range drafts {
		if entries[i], err = draft.entry(actor.Chain(), recorded); err != nil {
			return nil, err
		}
	}
	if len(*locked.found) > 0 {
		return write(ctx, tx, p, (*locked.found)[0], entries)
	}
	end, err := b.begin(ctx, tx, entries, recorded)
	if err != nil {
		return nil, err
	}
	return write(ctx, tx, p, end, entries)
}

func (d Draft) entry(chain []string, recorded time.Time) (*ledger.Entry, error) {
	actors := make([]ledger.Actor, len(chain))
	for i, subject := range chain {
		actors[i].Subject = subject
	}
	payload, err := encode(d.Payload)
	if err != nil {
		return nil, err
	}
	return &ledger.Entry{
		Kind: d.Kind, Actors: actors, Class: d.Class, OccurredAt: d.OccurredAt.UTC().Truncate(time.Microsecond),
		RecordedAt: recorded, Subject: d.Subject, Batch: d.Batch, Payload: payload, Envelope: d.Envelope,
	}, nil
}

func encode(payload any) (json.RawMessage, error) {
	if payload == nil {
		return json.RawMessage("{}"), nil
	}
	form, err := canonical.Marshal(payload)
	if errors.Is(err, canonical.ErrText) {
		return nil, problem.New(problem.Invalid, "INVALID_TEXT", "the ledger cannot keep this text: %s", err).Because(err)
	}
	return form, err
}

// begin makes the head of a ledger that has none, and brings in what was on
// record before the first of the entries.
func (b *Book) begin(ctx context.Context, tx *db.Tx, entries []*ledger.Entry, recorded time.Time) (*head, error) {
	// What cannot be written must not leave a ledger behind that only began.
	trial := &head{OrganizationID: id.Organization("trial")}
	if _, _, err := link(trial, entries); err != nil {
		return nil, err
	}
	if _, err := db.Exec(ctx, tx, queries.Get("begin_head"), pgx.StrictNamedArgs{"hash": make([]byte, len(ledger.Hash{})), "at": time.Unix(0, 0).UTC()}); err != nil {
		return nil, err
	}
	end, err := db.First[head](ctx, tx, queries.Get("lock_head"), nil)
	if err != nil || end.Seq > 0 { // somebody else began in between
		return end, err
	}
	return end, bringIn(ctx, tx, end, entries[0].OccurredAt, recorded)
}

// write gives entries their places behind the end, which moves with them. The
// pipeline writes them.
func write(ctx context.Context, tx *db.Tx, p *db.Pipeline, end *head, entries []*ledger.Entry) ([]Posted, error) {
	posted, rows, err := link(end, entries)
	if err != nil {
		return nil, err
	}
	for from := 0; from < len(posted); from += chunk {
		to := min(from+chunk, len(posted))
		indexes, roots, err := fill(ctx, tx, end.Seq, posted[from:to])
		if err != nil {
			return nil, err
		}
		for _, one := range posted[from:to] {
			end.Seq, end.Hash = one.Seq, one.Hash[:]
			if one.Entry.OccurredAt.After(end.At) {
				end.At = one.Entry.OccurredAt
			}
		}
		args := rows.args(from, to)
		args["recorded_at"], args["tiles"], args["roots"] = entries[from].RecordedAt, indexes, roots
		args["seq"], args["hash"], args["at"] = end.Seq, end.Hash, end.At
		p.Exec(queries.Get("append"), args)
		if to == len(posted) {
			break
		}
		if err := p.Send(ctx); err != nil { // the next tile is filled from what is written
			return nil, err
		}
	}
	return posted, nil
}

// link chains entries behind the end, and writes nothing.
func link(end *head, entries []*ledger.Entry) ([]Posted, *columns, error) {
	posted, rows := make([]Posted, 0, len(entries)), newColumns(len(entries))
	at, hash := end.At.UTC(), end.hash()
	for i, entry := range entries {
		entry.Organization, entry.Seq = end.OrganizationID, end.Seq+int64(i)+1
		if entry.OccurredAt.Before(at) && !entry.Imported {
			return nil, nil, problem.New(problem.Conflict, "CLOCK_BACKWARDS",
				"the ledger has come to %s, and cannot be told now of what occurred at %s", at.Format(time.RFC3339Nano), entry.OccurredAt.Format(time.RFC3339Nano))
		}
		if entry.OccurredAt.After(at) {
			at = entry.OccurredAt
		}
		body, err := entry.Body()
		if err != nil {
			return nil, nil, err
		}
		previous := hash
		hash = ledger.Link(previous, body)
		if err := rows.add(entry, previous, hash, body); err != nil {
			return nil, nil, err
		}
		posted = append(posted, Posted{Seq: entry.Seq, Hash: hash, Entry: entry})
	}
	return posted, rows, nil
}

// fill computes the tiles that entries behind seq complete.
func fill(ctx context.Context, tx *db.Tx, seq int64, posted []Posted) (indexes []int64, roots [][]byte, err error) {
	indexes, roots = []int64{}, [][]byte{}
	first, last := seq/ledger.TileSize, (seq+int64(len(posted)))/ledger.TileSize
	if first == last {
		return indexes, roots, nil
	}
	var leaves []ledger.Hash
	if seq%ledger.TileSize > 0 {
		if leaves, err = hashes(ctx, tx, "leaves", pgx.StrictNamedArgs{"from": first * ledger.TileSize, "to": seq}); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range posted {
		leaves = append(leaves, p.Hash)
	}
	for index := first; index < last; index++ {
		root, err := ledger.TileRoot(leaves[:min(ledger.TileSize, len(leaves))])
		if err != nil {
			return nil, nil, err
		}
		indexes, roots, leaves = append(indexes, index), append(roots, root[:]), leaves[ledger.TileSize:]
	}
	return indexes, roots, nil
}

// hashes runs a statement of one column of hashes.
func hashes(ctx context.Context, q db.Querier, name string, args pgx.StrictNamedArgs) ([]ledger.Hash, error) {
	rows, err := db.Column[[]byte](ctx, q, queries.Get(name), args)
	list := make([]ledger.Hash, len(rows))
	for i, row := range rows {
		list[i] = hashOf(row)
	}
	return list, err
}

// hashOf is a hash as it is stored. Of what is none it is the zero hash, which
// nothing has: a table whose checks somebody took away must not stop a look at it.
func hashOf(stored []byte) (hash ledger.Hash) {
	if len(stored) == len(hash) {
		copy(hash[:], stored)
	}
	return hash
}

// columns are entries on their way into the table.
type columns struct {
	seqs                     []int64
	previous, hashes, bodies [][]byte
	kinds, actors            []string
	classes                  []int32
	ats                      []time.Time
	repeated                 []repeated
}

// repeated is what columns of the table repeat of an entry's subject and batch.
type repeated struct {
	subject *id.ID
	typ     *int16
	ordinal *int32
	batch   *id.ID
}

func newColumns(n int) *columns {
	return &columns{
		seqs: make([]int64, 0, n), previous: make([][]byte, 0, n), hashes: make([][]byte, 0, n), bodies: make([][]byte, 0, n),
		kinds: make([]string, 0, n), actors: make([]string, 0, n), classes: make([]int32, 0, n), ats: make([]time.Time, 0, n),
		repeated: make([]repeated, 0, n),
	}
}

func (c *columns) add(entry *ledger.Entry, previous, hash ledger.Hash, body []byte) error {
	r, known := repeat(entry)
	if !known {
		return problem.New(problem.Internal, "LEDGER_ENTRY_INVALID", "there is no type of exposure %q", entry.Subject.Type)
	}
	c.seqs, c.bodies = append(c.seqs, entry.Seq), append(c.bodies, body)
	c.previous, c.hashes = append(c.previous, previous[:]), append(c.hashes, hash[:])
	c.kinds, c.actors = append(c.kinds, string(entry.Kind)), append(c.actors, entry.Actors[0].Subject)
	c.classes, c.ats = append(c.classes, int32(entry.Class)), append(c.ats, entry.OccurredAt) //nolint:gosec // Body bounds it
	c.repeated = append(c.repeated, r)
	return nil
}

// repeat is false for a type of exposure that this program does not know.
func repeat(entry *ledger.Entry) (r repeated, known bool) {
	r.subject, r.batch = entry.Subject.ID, entry.Batch
	if entry.Subject.Kind != ledger.SubjectExposure {
		return r, true
	}
	number, known := ledger.TypeNumber(entry.Subject.Type)
	ordinal := int32(entry.Subject.Ordinal) //nolint:gosec // Body bounds it
	r.subject, r.typ, r.ordinal = entry.Subject.Path, &number, &ordinal
	return r, known
}

// args are the entries from and before to.
func (c *columns) args(from, to int) pgx.StrictNamedArgs {
	n := to - from
	subjects, batches, types, ordinals := make([]*id.ID, n), make([]*id.ID, n), make([]*int16, n), make([]*int32, n)
	for i, r := range c.repeated[from:to] {
		subjects[i], types[i], ordinals[i], batches[i] = r.subject, r.typ, r.ordinal, r.batch
	}
	return pgx.StrictNamedArgs{
		"seqs": c.seqs[from:to], "previous": c.previous[from:to], "hashes": c.hashes[from:to], "bodies": c.bodies[from:to], "kinds": c.kinds[from:to],
		"classes": c.classes[from:to], "actors": c.actors[from:to], "ats": c.ats[from:to],
		"subjects": subjects, "types": types, "ordinals": ordinals, "batches": batches,
	}
}

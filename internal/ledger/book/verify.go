package book

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// What is wrong with a ledger in the database, besides what can be wrong with
// every ledger.
const (
	ColumnMismatch      ledger.Code = "COLUMN_MISMATCH"      // a column says otherwise than the body
	HeadMismatch        ledger.Code = "HEAD_MISMATCH"        // the row of the head does not name the last entry
	CheckpointMismatch  ledger.Code = "CHECKPOINT_MISMATCH"  // columns of a stored checkpoint say otherwise than what was signed
	DispositionMismatch ledger.Code = "DISPOSITION_MISMATCH" // an exposure is not what was decided of it
	RowMismatch         ledger.Code = "ROW_MISMATCH"         // a row says otherwise than its entry
	RowMissing          ledger.Code = "ROW_MISSING"          // there is an entry and no row
	EntryMissing        ledger.Code = "ENTRY_MISSING"        // there is a row and no entry
)

// Trust is what a stored ledger is compared with.
type Trust struct {
	Keys  []note.Verifier // of which one has signed each checkpoint; none: signatures are not looked at
	Kept  []ledger.Kept   // checkpoints from outside of the database
	Limit int             // of faults that are told one by one; 100
}

// Fault is something that is wrong, with its position: an entry, a row, or both.
type Fault struct {
	Code    ledger.Code `json:"code"`
	Seq     int64       `json:"seq,omitempty"`
	Row     string      `json:"row,omitempty"`
	Message string      `json:"message"`
}

// Position says where it is in words: at an entry, in a row, or both.
func (f Fault) Position() string {
	entry := fmt.Sprintf("entry %d", f.Seq)
	switch {
	case f.Row == "":
		return entry
	case f.Seq == 0:
		return f.Row
	}
	return entry + ", " + f.Row
}

// Report is what was found in an organization.
type Report struct {
	Organization string      `json:"organization"` // its slug
	Size         int64       `json:"size"`
	Head         ledger.Hash `json:"head"`
	Root         ledger.Hash `json:"root"`
	Tiles        int         `json:"tiles"`            // that are stored
	Checkpoints  int         `json:"checkpoints"`      // stored ones that agree
	Kept         int         `json:"kept"`             // others that agree
	Signatures   bool        `json:"signatures"`       // were looked at
	Rows         int64       `json:"rows"`             // of tables that were compared with entries
	Exposures    int64       `json:"exposures"`        // of which somebody decided something
	Projection   ledger.Hash `json:"projectionDigest"` // of what follows from the ledger about them
	Tables       ledger.Hash `json:"tablesDigest"`     // of what the tables say about them
	Faults       []Fault     `json:"faults"`
	More         int         `json:"more"` // faults beyond the limit
}

// Holds says whether nothing was found.
func (r *Report) Holds() bool { return len(r.Faults) == 0 && r.More == 0 }

// Verify holds the stored ledger of an organization against itself and against
// what is kept elsewhere, and the tables that follow from it against its entries.
//
// It is the operator's tool on the database itself and asks nobody for scopes.
func (*Book) Verify(ctx context.Context, snapshot *db.Snapshot, organization *org.Organization, trust Trust) (*Report, error) {
	if trust.Limit <= 0 {
		trust.Limit = 100
	}
	if _, err := db.Column[string](ctx, snapshot.Shared(), queries.Get("plan_by_key"), pgx.StrictNamedArgs{}); err != nil {
		return nil, err
	}
	v := &verification{
		ctx: ctx, q: snapshot.Of(organization.ID), trust: trust, decisions: decisions{}, records: records{},
		check: ledger.NewCheck(ledger.Expect{Organization: organization.ID, Keys: verifiers(trust.Keys), Kept: trust.Kept, Limit: trust.Limit}),
	}
	if err := v.entries(); err != nil {
		return nil, err
	}
	found := v.check.End()
	v.report = Report{
		Organization: organization.Slug, Size: found.Size, Head: found.Head, Root: found.Root, Tiles: v.tiles.count, Checkpoints: found.Checkpoints,
		Kept: found.Kept, Signatures: found.Signatures, Faults: []Fault{}, More: found.More,
	}
	for _, fault := range found.Faults {
		v.report.Faults = append(v.report.Faults, Fault{Code: fault.Code, Seq: fault.Seq, Message: fault.Message})
	}
	if err := v.exposures(); err != nil {
		return nil, err
	}
	return &v.report, v.rows()
}

// verification is one Verify under way.
type verification struct {
	ctx   context.Context
	q     db.Querier
	trust Trust
	check *ledger.Check

	tiles       stored[tileRow]
	checkpoints stored[checkpointRow]
	last        int64
	hash        ledger.Hash
	clock       time.Time
	decisions   decisions
	records     records

	report Report
}

// fault adds one of the tables that follow from the ledger.
func (v *verification) fault(code ledger.Code, seq int64, row, format string, args ...any) {
	if len(v.report.Faults) >= v.trust.Limit {
		v.report.More++
		return
	}
	v.report.Faults = append(v.report.Faults, Fault{Code: code, Seq: seq, Row: row, Message: fmt.Sprintf(format, args...)})
}

type storedEntry struct {
	Seq          int64
	PreviousHash []byte
	Hash         []byte
	Body         []byte
	Kind         string
	Class        int
	Actor        string
	At           time.Time
	RecordedAt   time.Time
	SubjectID    *id.ID
	Type         *int16
	Ordinal      *int32
	BatchID      *id.ID
}

type tileRow struct {
	Index int64
	Root  []byte
}

// stored are rows that stand beside the entries, one page at a time.
type stored[T any] struct {
	name  string
	key   func(*T) pgx.StrictNamedArgs
	rows  []*T
	last  *T
	ended bool
	count int
}

// next is the row that comes next; nil behind the last.
func (s *stored[T]) next(ctx context.Context, q db.Querier) (*T, error) {
	if len(s.rows) == 0 && !s.ended {
		args := s.key(s.last)
		args["rows"] = pageRows
		var err error
		if s.rows, err = db.Select[T](ctx, q, queries.Get(s.name), args); err != nil {
			return nil, err
		}
		s.ended = len(s.rows) < pageRows
	}
	if len(s.rows) == 0 {
		return nil, nil
	}
	return s.rows[0], nil
}

func (s *stored[T]) take() {
	s.last, s.rows = s.rows[0], s.rows[1:]
	s.count++
}

// entries goes through the chain, with the tiles and the checkpoints beside it.
func (v *verification) entries() error {
	v.tiles = stored[tileRow]{name: "tiles_from", last: &tileRow{Index: -1},
		key: func(last *tileRow) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"index": last.Index} }}
	v.checkpoints = stored[checkpointRow]{name: "checkpoints_from", last: &checkpointRow{},
		key: func(last *checkpointRow) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"size": last.Size} }}
	if err := walk(v.ctx, v.q, "verified_entries", bodyRows, func(last *storedEntry) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"seq": last.Seq}
	}, v.entry); err != nil {
		return err
	}
	return v.ends()
}

func (v *verification) entry(row *storedEntry) error {
	v.check.Entry(ledger.Stored{Seq: row.Seq, Previous: hashOf(row.PreviousHash), Hash: hashOf(row.Hash), Body: row.Body})
	v.last, v.hash = row.Seq, hashOf(row.Hash)
	if entry, err := ledger.Parse(row.Body); err == nil { // what cannot be read was said
		v.columns(row, entry)
		if entry.OccurredAt.After(v.clock) {
			v.clock = entry.OccurredAt
		}
		if err := v.decisions.add(entry); err != nil {
			v.check.Fault(ledger.BodyNotCanonical, row.Seq, "what it decides cannot be read: %s", err)
		}
		v.records.add(entry)
	}
	if err := v.beside(row.Seq); err != nil {
		return err
	}
	return v.signed(row.Seq)
}

// columns holds what the table repeats against the body.
func (v *verification) columns(row *storedEntry, entry *ledger.Entry) {
	about, known := repeat(entry)
	if !known {
		v.check.Fault(ColumnMismatch, row.Seq, "the body is about a type of exposure %q, which this program does not know", entry.Subject.Type)
	}
	for _, column := range []struct {
		name   string
		agrees bool
	}{
		{"kind", row.Kind == string(entry.Kind)},
		{"class", row.Class == entry.Class},
		{"actor", row.Actor == entry.Actors[0].Subject},
		{"at", row.At.Equal(entry.OccurredAt)},
		{"recorded_at", row.RecordedAt.Equal(entry.RecordedAt)},
		{"subject_id", same(row.SubjectID, about.subject)},
		{"type", same(row.Type, about.typ)},
		{"ordinal", same(row.Ordinal, about.ordinal)},
		{"batch_id", same(row.BatchID, about.batch)},
	} {
		if !column.agrees {
			v.check.Fault(ColumnMismatch, row.Seq, "the column %s says otherwise than the body", column.name)
		}
	}
}

func same[T comparable](a, b *T) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// beside holds the tiles that end with this entry against the tree. Where entries
// are missing, which was said, others end before.
func (v *verification) beside(seq int64) error {
	found := false
	for {
		tile, err := v.tiles.next(v.ctx, v.q)
		if err != nil {
			return err
		}
		if tile == nil || (tile.Index+1)*ledger.TileSize > seq {
			break
		}
		if (tile.Index+1)*ledger.TileSize == seq {
			found = true
			v.check.Tile(tile.Index, hashOf(tile.Root))
		}
		v.tiles.take()
	}
	if seq%ledger.TileSize == 0 && !found {
		v.check.Fault(ledger.TileMismatch, seq, "the tile %d is missing", seq/ledger.TileSize-1)
	}
	return nil
}

// signed holds the checkpoints of this size against the tree.
func (v *verification) signed(seq int64) error {
	for {
		row, err := v.checkpoints.next(v.ctx, v.q)
		if err != nil || row == nil || row.Size > seq {
			return err
		}
		if row.Size == seq {
			v.statement(row)
		}
		v.checkpoints.take()
	}
}

// statement holds a checkpoint against its columns and the ledger.
func (v *verification) statement(row *checkpointRow) {
	checkpoint, err := ledger.ReadCheckpoint(row.Note)
	if err == nil && (checkpoint.Size != row.Size || checkpoint.Root != hashOf(row.Root)) {
		v.check.Fault(CheckpointMismatch, row.Size, "the columns of the checkpoint of %d entries say otherwise than what was signed", row.Size)
	}
	if err != nil || checkpoint.Size == row.Size { // else it belongs elsewhere
		v.check.Checkpoint(row.Note)
	}
	key, err := note.NewVerifier(row.Signer)
	if err == nil {
		_, err = note.Open([]byte(row.Note), note.VerifierList(key))
	}
	if err != nil {
		v.check.Fault(ledger.CheckpointSignature, row.Size, "the checkpoint of %d entries is not signed with the key that it names: %s", row.Size, err)
	}
}

// ends looks at what stands beside entries that are not there, and at the head.
func (v *verification) ends() error {
	for {
		tile, err := v.tiles.next(v.ctx, v.q)
		if err != nil {
			return err
		}
		if tile == nil {
			break
		}
		v.check.Fault(ledger.TileMismatch, v.last, "the tile %d is of entries behind the last, to %d", tile.Index, (tile.Index+1)*ledger.TileSize)
		v.tiles.take()
	}
	for {
		row, err := v.checkpoints.next(v.ctx, v.q)
		if err != nil {
			return err
		}
		if row == nil {
			break
		}
		v.statement(row)
		v.checkpoints.take()
	}
	end, err := readHead(v.ctx, v.q)
	if err != nil {
		return err
	}
	switch {
	case end.Size != v.last:
		v.check.Fault(HeadMismatch, v.last, "the head says that there are %d entries; the last is %d", end.Size, v.last)
	case end.Size > 0 && end.Hash != v.hash:
		v.check.Fault(HeadMismatch, v.last, "the head has the hash %s; the last entry has %s", end.Hash, v.hash)
	case end.Size > 0 && !end.At.Equal(v.clock):
		v.check.Fault(HeadMismatch, v.last, "the head is at %s; the entries come to %s", end.At.Format(time.RFC3339Nano), v.clock.Format(time.RFC3339Nano))
	}
	return nil
}

// exposures holds what people decided against what the tables say.
func (v *verification) exposures() error {
	p, err := v.decisions.project(v.ctx, v.q)
	if err != nil {
		return err
	}
	v.report.Exposures, v.report.Projection, v.report.Tables = p.Rows, p.Ledger, p.Tables
	for _, d := range p.Differences {
		seq := d.Want.DecidedSeq
		if seq == 0 {
			seq = d.Have.DecidedSeq
		}
		have := "it is " + d.Have.String()
		if d.Absent {
			have = "there is no such exposure"
		}
		v.fault(DispositionMismatch, seq, d.Row(), "it has to be %s; %s", d.Want, have)
	}
	return nil
}

// record is an entry that a row of another table repeats.
type record struct {
	seq    int64
	digest [sha256.Size]byte // of what both say
	known  bool              // a row was found
}

// recordKey is what such an entry and its row have in common.
type recordKey struct {
	kind  ledger.Kind
	about id.ID // nil: the organization
	at    int64 // in microseconds
}

func keyOf(kind ledger.Kind, about id.ID, at time.Time) recordKey {
	return recordKey{kind, about, at.UnixMicro()}
}

type records map[recordKey]*record

// add takes in an entry that a row repeats.
func (r records) add(entry *ledger.Entry) {
	about := id.Nil
	var words []string
	switch entry.Kind {
	case ledger.BaselineAttested:
		about, words = *entry.Subject.ID, attestation(entry.Payload)
	case ledger.JustificationRecorded:
		about, words = *entry.Subject.ID, justification(entry.Payload)
	case ledger.JustificationWithdrawn:
		about = *entry.Subject.ID
	case ledger.PostureSnapshotted:
		words = []string{measured(entry.Payload)}
	case ledger.SigningKeyRegistered, ledger.SigningKeyRevoked:
		about, words = aboutKey(entry.Subject.Name), signer(entry.Payload)
	default:
		return
	}
	// Who acted is in no row of a snapshot.
	if entry.Kind != ledger.PostureSnapshotted {
		words = append(words, entry.Actors[0].Subject)
	}
	r[keyOf(entry.Kind, about, entry.OccurredAt)] = &record{seq: entry.Seq, digest: digestOf(words)}
}

func digestOf(words []string) [sha256.Size]byte {
	return id.New("ledger-row/1").Texts(words).Sum()
}

func attestation(payload []byte) []string {
	var p struct{ Note string }
	_ = json.Unmarshal(payload, &p) // what is no note is no note of the row either
	return []string{p.Note}
}

func justification(payload []byte) []string {
	var p struct {
		Text     string
		Actions  []string
		Replaces bool
	}
	_ = json.Unmarshal(payload, &p)
	return justified(p.Text, p.Actions, p.Replaces)
}

func justified(text string, actions []string, replaces bool) []string {
	return append([]string{text, fmt.Sprint(replaces)}, actions...)
}

// aboutKey stands for the name of a key.
func aboutKey(name string) id.ID { return id.New("ledger-key/1").Text(name).Short() }

func signer(payload []byte) []string {
	var p struct{ Subject, PublicKey string }
	_ = json.Unmarshal(payload, &p)
	return []string{p.Subject, p.PublicKey}
}

// measured are the numbers of a snapshot without those that nobody measured: a
// later version of the program has columns that an entry does not know.
func measured(payload []byte) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(payload, &members); err != nil {
		return string(payload)
	}
	for name, value := range members {
		if bytes.Equal(value, []byte("null")) {
			delete(members, name)
		}
	}
	form, err := canonical.Marshal(members)
	if err != nil {
		return string(payload)
	}
	return string(form)
}

// row holds a row against its entry.
func (v *verification) row(key recordKey, row string, words []string) {
	v.report.Rows++
	entry := v.records[key]
	switch {
	case entry == nil:
		v.fault(EntryMissing, 0, row, "the ledger has no entry %s of it", key.kind)
		return
	case entry.digest != digestOf(words):
		v.fault(RowMismatch, entry.seq, row, "the row says otherwise than the entry")
	}
	entry.known = true
}

// rows holds attested baselines, justifications, snapshots and keys against their
// entries. What was on record before there is a ledger waits for its first entry.
func (v *verification) rows() error {
	if v.last == 0 {
		return nil
	}
	type baseline struct {
		IdentityID  id.ID
		At          time.Time
		Actor, Note *string
	}
	if err := walk(v.ctx, v.q, "baselines", pageRows, func(last *baseline) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"identity_id": last.IdentityID, "at": last.At}
	}, func(b *baseline) error {
		note := ""
		if b.Note != nil {
			note = *b.Note
		}
		v.row(keyOf(ledger.BaselineAttested, b.IdentityID, b.At), fmt.Sprintf("scope_baseline %s %s", b.IdentityID, stamp(b.At)), []string{note, actorOf(b.Actor)})
		return nil
	}); err != nil {
		return err
	}
	if err := v.justifications(); err != nil {
		return err
	}
	type snapshot struct {
		At      time.Time
		Payload json.RawMessage
	}
	if err := walk(v.ctx, v.q, "snapshots", bodyRows, func(last *snapshot) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"at": last.At}
	}, func(s *snapshot) error {
		v.row(keyOf(ledger.PostureSnapshotted, id.Nil, s.At), "posture_snapshot "+stamp(s.At), []string{measured(s.Payload)})
		return nil
	}); err != nil {
		return err
	}
	if err := v.keys(); err != nil {
		return err
	}
	v.missing()
	return nil
}

func (v *verification) keys() error {
	type key struct {
		ID        string
		Subject   string
		PublicKey []byte
		FromAt    time.Time
		ToAt      *time.Time
		AddedBy   string
		EndedBy   *string
	}
	return walk(v.ctx, v.q, "signing_keys", pageRows, func(last *key) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"id": last.ID}
	}, func(k *key) error {
		v.row(keyOf(ledger.SigningKeyRegistered, aboutKey(k.ID), k.FromAt), "signing_key "+k.ID,
			[]string{k.Subject, base64.StdEncoding.EncodeToString(k.PublicKey), k.AddedBy})
		if k.ToAt != nil {
			v.row(keyOf(ledger.SigningKeyRevoked, aboutKey(k.ID), *k.ToAt), "signing_key "+k.ID, []string{k.Subject, "", actorOf(k.EndedBy)})
		}
		return nil
	})
}

func (v *verification) justifications() error {
	type row struct {
		PathID        id.ID
		FromAt        time.Time
		ToAt          *time.Time
		Actor         string
		Justification string
		Actions       []string
		WithdrawnBy   *string
	}
	// Whether one was withdrawn or replaced shows in the one behind it.
	var last *row
	ended := func(next *row) {
		if last != nil && last.ToAt != nil && (next == nil || next.PathID != last.PathID || !next.FromAt.Equal(*last.ToAt)) {
			v.row(keyOf(ledger.JustificationWithdrawn, last.PathID, *last.ToAt), fmt.Sprintf("privilege_justification %s %s", last.PathID, stamp(last.FromAt)),
				[]string{actorOf(last.WithdrawnBy)})
		}
	}
	err := walk(v.ctx, v.q, "justifications", pageRows, func(last *row) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"path_id": last.PathID, "from_at": last.FromAt}
	}, func(j *row) error {
		ended(j)
		replaces := last != nil && last.PathID == j.PathID && last.ToAt != nil && last.ToAt.Equal(j.FromAt)
		v.row(keyOf(ledger.JustificationRecorded, j.PathID, j.FromAt), fmt.Sprintf("privilege_justification %s %s", j.PathID, stamp(j.FromAt)),
			append(justified(j.Justification, j.Actions, replaces), actorOf(&j.Actor)))
		last = j
		return nil
	})
	ended(nil)
	return err
}

// missing names the entries of which no row was found.
func (v *verification) missing() {
	type entry struct {
		kind ledger.Kind
		*record
	}
	var entries []entry
	for key, r := range v.records {
		if !r.known {
			entries = append(entries, entry{key.kind, r})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return int(a.seq - b.seq) })
	for _, e := range entries {
		v.fault(RowMissing, e.seq, "", "there is no row of what it says, %s", strings.ReplaceAll(string(e.kind), "_", " "))
	}
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

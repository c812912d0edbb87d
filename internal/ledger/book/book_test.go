package book_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	batch := named("batch")
	posted := d.post(t, book.Draft{
		Kind: ledger.Acknowledged, Subject: exposed("path", rule.LLMEgressing, 2), Class: 5, OccurredAt: at(1).Add(999 * time.Nanosecond), Batch: &batch,
		Payload: struct {
			Text string `json:"text"`
		}{"<ok> \u2028"}, Envelope: json.RawMessage(`{"payloadType": "a", "payload": "b"}`),
	}, noted(1, "at the same instant"))
	require.Len(t, posted, 2)
	require.Equal(t, int64(1), posted[0].Seq)

	type row struct {
		Seq                                     int64
		PreviousHash, Hash, Body                []byte
		Kind, Actor                             string
		Class                                   int
		At, RecordedAt                          time.Time
		SubjectID                               *id.ID
		Type, Ordinal                           *int
		BatchID                                 *id.ID
		HeadSeq                                 int64
		HeadHash                                []byte
		HeadAt                                  time.Time
		OrganizationID, HeadOrganization, Other id.ID `db:"-"`
	}
	rows, err := d.super.Query(context.Background(), `SELECT e.seq, previous_hash, e.hash, body, kind, actor, class, e.at, recorded_at, subject_id, type, ordinal, batch_id,
		h.seq AS head_seq, h.hash AS head_hash, h.at AS head_at FROM ledger_entry e JOIN ledger_head h USING (organization_id) ORDER BY 1`)
	require.NoError(t, err)
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	require.NoError(t, err)
	require.Len(t, stored, 2)
	first, second := stored[0], stored[1]
	require.Equal(t, make([]byte, 32), first.PreviousHash)
	require.Equal(t, first.Hash, second.PreviousHash)
	require.Equal(t, ledger.Link(ledger.Hash{}, first.Body), ledger.Hash(first.Hash))
	require.Equal(t, ledger.Link(ledger.Hash(first.Hash), second.Body), ledger.Hash(second.Hash))
	require.Equal(t, posted[1].Hash, ledger.Hash(second.Hash))
	require.Equal(t, int64(2), first.HeadSeq)
	require.Equal(t, second.Hash, first.HeadHash)
	require.True(t, first.HeadAt.Equal(at(1)))
	require.Equal(t, []any{"exposure.acknowledged", "ann", 5, named("path"), 12, 2, batch}, []any{first.Kind, first.Actor, first.Class, *first.SubjectID, *first.Type, *first.Ordinal, *first.BatchID})
	require.True(t, first.At.Equal(at(1)), "cut to the microsecond")
	require.True(t, first.RecordedAt.Equal(written))
	require.Equal(t, named("identity"), *second.SubjectID)
	require.Nil(t, second.Type)
	require.Nil(t, second.BatchID)

	entry, err := ledger.Parse(first.Body)
	require.NoError(t, err)
	require.Equal(t, posted[0].Entry.Payload, entry.Payload)
	require.Equal(t, acme, entry.Organization)
	require.Equal(t, []ledger.Actor{{Subject: "ann"}}, entry.Actors)
	require.JSONEq(t, `{"payloadType": "a", "payload": "b"}`, string(entry.Envelope))
	require.False(t, entry.Imported)
}

// TestAppendStatements: a decision pays two round trips, and one more where a
// tile is full.
func TestAppendStatements(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	statements := func(drafts ...book.Draft) []string {
		d.Statements.Reset()
		d.post(t, drafts...)
		return d.Statements.Sent()
	}
	require.Equal(t, []string{"book.lock_head", "book.begin_head", "book.lock_head", "book.on_record", "book.append"}, statements(noted(1, "first")))
	require.Equal(t, []string{"book.lock_head", "book.append"}, statements(noted(1, "one")))
	var many []book.Draft
	for range 253 {
		many = append(many, noted(1, "many"))
	}
	require.Equal(t, []string{"book.lock_head", "book.append"}, statements(many...))
	require.Equal(t, []string{"book.lock_head", "book.leaves", "book.append"}, statements(noted(1, "the last of a tile")))
	require.Equal(t, []string{"book.lock_head", "book.append"}, statements(append(many, noted(1, "a"), noted(1, "b"), noted(1, "c"))...), "a whole tile at once")
	for range 4 {
		many = append(many, many...)
	}
	require.Equal(t, []string{"book.lock_head", "book.append", "book.leaves", "book.append", "book.leaves", "book.append", "book.leaves", "book.append", "book.append"},
		statements(many...), "4,048 at once")
	posted, err := d.append(d.ctx, "acme")
	require.NoError(t, err)
	require.Empty(t, posted)
	size := int64(2 + 253 + 1 + 256 + len(many))
	require.Equal(t, []int64{size}, column[int64](t, d, `SELECT seq FROM ledger_head`))
	require.Equal(t, []int64{size / 256}, column[int64](t, d, `SELECT count(*) FROM ledger_tile`))
	for _, fault := range d.verify(t, "acme", book.Trust{Limit: 100_000}).Faults {
		require.Equal(t, book.RowMissing, fault.Code, "these entries say what no row does; %v", fault)
	}
}

// TestBringIn holds what a ledger begins with.
func TestBringIn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	path := named("path")
	d.exec(t, `INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
		composition_hash, class, sensitivity, ownership_status, egress_category, version, from_at, sync_version, first_seen_at)
		VALUES ($1, $2, $2, $2, $2, $2, 'active', true, '{}', '{}', 0, sha256(''), 9, 1, 'valid', 'none', 1, $3, 1, $3)`, acme, path, epoch)
	d.exec(t, `INSERT INTO scope_baseline VALUES ($1, $2, $3, 'attested', 'bob', NULL), ($1, $2, $4, 'observed', NULL, NULL), ($1, $2, $5, 'attested', 'bob', 'later')`,
		acme, named("identity"), at(4), at(1), at(11))
	d.exec(t, `INSERT INTO privilege_justification VALUES ($1, $2, $3, $4, 'bob', 'one', '{a,b}', 'ann'), ($1, $2, $4, $5, 'ann', 'two', '{c}', 'eve'), ($1, $2, $6, $7, 'ann', 'three', '{c}', 'eve')`,
		acme, path, at(1), at(2), at(3), at(5), at(10))
	d.exec(t, `INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, content_digest, outcome, complete, records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
		SELECT $1, $2, $2, 1, $3, $3, $3, 'importer', $2, 'applied', true, 0, 0, 0, 0, 0, 0, '[]', '[]'`, acme, named("sync"), at(2))
	d.exec(t, `INSERT INTO evaluation VALUES ($1, $2, $2, 'time', 'system:schedule', 0, 0, 0)`, acme, at(4))
	for _, seconds := range []int{2, 4, 6} {
		d.snapshotted(t, seconds)
	}
	d.exec(t, `UPDATE posture_snapshot SET sync_id = $2 WHERE at = $1`, at(2), named("sync"))
	d.exec(t, `INSERT INTO scope_baseline SELECT $1, $2, $3, 'attested', 'eve', 'of another organization'`, id.Organization("rival"), named("identity"), at(2))

	// The first entry is written with the row that it says, and so is what it ends.
	posted := d.post(t, book.Draft{Kind: ledger.JustificationWithdrawn, Subject: ledger.Subject{Kind: ledger.SubjectPath, ID: &path}, OccurredAt: at(10)})
	require.Equal(t, int64(9), posted[0].Seq)
	type brought struct {
		at       int
		kind     ledger.Kind
		actor    string
		class    int
		imported bool
		payload  string
	}
	var got []brought
	for _, body := range column[[]byte](t, d, `SELECT body FROM ledger_entry ORDER BY seq`) {
		e, err := ledger.Parse(body)
		require.NoError(t, err)
		require.Equal(t, written, e.RecordedAt)
		payload := string(e.Payload)
		if e.Kind == ledger.PostureSnapshotted {
			payload = ""
		}
		got = append(got, brought{int(e.OccurredAt.Sub(epoch) / time.Second), e.Kind, e.Actors[0].Subject, e.Class, e.Imported, payload})
	}
	require.Equal(t, []brought{
		{1, ledger.JustificationRecorded, "bob", 9, true, `{"actions":["a","b"],"replaces":false,"text":"one"}`},
		{2, ledger.JustificationRecorded, "ann", 9, true, `{"actions":["c"],"replaces":true,"text":"two"}`},
		{2, ledger.PostureSnapshotted, "importer", 0, true, ""},
		{3, ledger.JustificationWithdrawn, "eve", 9, true, `{}`},
		{4, ledger.BaselineAttested, "bob", 0, true, `{"note":""}`},
		{4, ledger.PostureSnapshotted, "system:schedule", 0, true, ""},
		{5, ledger.JustificationRecorded, "ann", 9, true, `{"actions":["c"],"replaces":false,"text":"three"}`},
		{6, ledger.PostureSnapshotted, "unknown", 0, true, ""},
		{10, ledger.JustificationWithdrawn, "ann", 0, false, `{}`},
	}, got)
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(t, `INSERT INTO scope_baseline VALUES ($1, $2, $3, 'attested', 'bob', NULL)`, acme, named("identity"), at(-1))
	bad := map[string]book.Draft{
		"NUL":                       noted(1, "a\x00b"),
		"no UTF-8":                  noted(1, "a\xffb"),
		"half a pair":               {Kind: ledger.PostureSnapshotted, Subject: ledger.Subject{Kind: ledger.SubjectOrganization}, OccurredAt: at(1), Payload: rawJSON(`{"a":"\ud800"}`)},
		"NUL in an escape":          {Kind: ledger.PostureSnapshotted, Subject: ledger.Subject{Kind: ledger.SubjectOrganization}, OccurredAt: at(1), Payload: rawJSON(`{"a":"\u0000"}`)},
		"half a pair in a raw text": {Kind: ledger.PostureSnapshotted, Subject: ledger.Subject{Kind: ledger.SubjectOrganization}, OccurredAt: at(1), Payload: json.RawMessage(`{"a":"\udc00"}`)},
		"NUL in an envelope":        {Kind: ledger.PostureSnapshotted, Subject: ledger.Subject{Kind: ledger.SubjectOrganization}, OccurredAt: at(1), Envelope: json.RawMessage(`{"a":"\u0000"}`)},
	}
	try := func(drafts ...book.Draft) error {
		var refused error
		// The transaction commits in spite of the refusal.
		require.NoError(t, d.Tenant(d.ctx, acme, func(tx *db.Tx) error {
			_, refused = d.book.Append(d.ctx, tx, drafts...)
			return nil
		}))
		return refused
	}
	for _, begun := range []bool{false, true} {
		for name, draft := range bad {
			require.Equal(t, "INVALID_TEXT", codeOf(t, try(noted(1, "good"), draft)), name)
		}
		require.Equal(t, "LEDGER_ENTRY_INVALID", codeOf(t, try(book.Draft{Kind: ledger.Acknowledged, Subject: ledger.Subject{Kind: ledger.SubjectOrganization}, OccurredAt: at(1)})))
		require.Equal(t, "LEDGER_ENTRY_INVALID", codeOf(t, try(noted(1, "good"), book.Draft{Kind: ledger.Acknowledged,
			Subject: ledger.Subject{Kind: ledger.SubjectExposure, Path: ptr(named("p")), Type: "no_such_type", Ordinal: 1}, OccurredAt: at(1)})))
		require.Equal(t, "LEDGER_ENTRY_TOO_LARGE", codeOf(t, try(noted(1, strings.Repeat("x", 2<<20)))))
		require.Equal(t, "CLOCK_BACKWARDS", codeOf(t, try(noted(7, "good"), noted(6, "before the other"))))
		require.Equal(t, "TOKEN_MISSING", codeOf(t, d.Tenant(d.ctx, acme, func(tx *db.Tx) error {
			_, err := d.book.Append(context.Background(), tx, noted(1, "nobody"))
			return err
		})))
		if !begun {
			require.Empty(t, column[int64](t, d, `SELECT seq FROM ledger_head UNION ALL SELECT seq FROM ledger_entry`), "nothing half written")
			d.post(t, noted(1, "begun"))
		}
	}
	require.Equal(t, []int64{2}, column[int64](t, d, `SELECT max(seq) FROM ledger_entry`))
	require.Equal(t, "CLOCK_BACKWARDS", codeOf(t, try(noted(0, "before the last"))))
	require.NoError(t, try(noted(1, "at the same instant")))
	require.Equal(t, []int64{3}, column[int64](t, d, `SELECT seq FROM ledger_head`))
}

// TestAppendAtOnce has many writers who have not locked anything else: the first
// of them begin the ledger.
func TestAppendAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(t, `INSERT INTO scope_baseline VALUES ($1, $2, $3, 'attested', 'bob', NULL)`, acme, named("identity"), at(-1))
	const writers, each = 8, 40
	errs := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for range each {
				_, err := d.append(d.ctx, "acme", noted(1, "a"), noted(1, "b"))
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, []int64{1 + writers*each*2}, column[int64](t, d, `SELECT seq FROM ledger_head`))
	report := d.verify(t, "acme", book.Trust{Limit: 1000})
	require.Equal(t, int64(1+writers*each*2), report.Size)
	for _, fault := range report.Faults {
		require.Equal(t, book.RowMissing, fault.Code, "%v", fault)
	}
}

// TestAppendOnly holds both walls: what the role that serves was granted, and
// the trigger, which stands before everybody else.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.post(t, noted(1, "one"))
	d.exec(t, `SET session_replication_role = origin`)
	for _, statement := range []string{`UPDATE ledger_entry SET actor = 'eve'`, `DELETE FROM ledger_entry`, `TRUNCATE ledger_entry`,
		`UPDATE ledger_tile SET root = root`, `DELETE FROM ledger_checkpoint`, `UPDATE ledger_request SET key = key`} {
		for name, want := range map[string]string{"super": "23001", "runtime": "42501"} {
			conn := d.super
			if name == "runtime" {
				conn = d.Runtime(t)
			}
			_, err := conn.Exec(context.Background(), statement)
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr, "%s: %s", name, statement)
			require.Equal(t, want, pgErr.Code, "%s: %s", name, statement)
		}
	}
}

// TestTypeWords holds the words to those of the API.
func TestTypeWords(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("../../../schema.graphqls")
	require.NoError(t, err)
	_, enum, found := strings.Cut(string(schema), "\nenum ExposureType {")
	require.True(t, found)
	enum, _, _ = strings.Cut(enum, "\n}")
	for _, definition := range rule.Definitions {
		word := ledger.TypeWord(definition.Type)
		require.Contains(t, enum, "\n  "+strings.ToUpper(word))
		back, known := ledger.TypeNumber(word)
		require.True(t, known)
		require.Equal(t, definition.Type, rule.Type(back))
	}
	_, known := ledger.TypeNumber("no_such_type")
	require.False(t, known)
}

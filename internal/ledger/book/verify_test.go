package book_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

// places names where faults were found: the code, and the entry, the row or both.
func places(report *book.Report) (list []string) {
	for _, fault := range report.Faults {
		text := string(fault.Code)
		if fault.Seq > 0 || fault.Row == "" {
			text += fmt.Sprint(" ", fault.Seq)
		}
		if fault.Row != "" {
			text += " " + fault.Row
		}
		list = append(list, text)
	}
	return list
}

func TestVerifyHolds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	report := d.verify(t, "acme", book.Trust{})
	require.True(t, report.Holds(), "an empty one: %v", report.Faults)
	require.Zero(t, report.Size)
	story(t, d)
	c, key := d.checkpointer(t, t.TempDir())
	_, err := c.Look(d.ctx, organization("acme"))
	require.NoError(t, err)
	report = d.verify(t, "acme", book.Trust{Keys: verifiersOf(t, key)})
	require.Empty(t, places(report))
	require.True(t, report.Holds())
	require.Equal(t, int64(272), report.Size)
	require.Equal(t, 1, report.Tiles)
	require.Equal(t, 1, report.Checkpoints)
	require.EqualValues(t, 4, report.Exposures, "a, both intervals of b, and the first of c")
	require.EqualValues(t, 1+3+261+2, report.Rows)
	require.Equal(t, report.Projection, report.Tables)
	require.NotZero(t, report.Projection)
}

// backup copies tables, and gives back those that a statement names.
func (d *desk) backup(t testing.TB) (restore func(statement string)) {
	t.Helper()
	tables := []string{"ledger_entry", "ledger_head", "ledger_tile", "ledger_checkpoint", "exposure", "exposure_version", "scope_baseline", "privilege_justification", "posture_snapshot", "signing_key"}
	d.exec(t, `CREATE SCHEMA backup`)
	for _, table := range tables {
		d.exec(t, `CREATE TABLE backup.`+table+` AS TABLE `+table)
	}
	return func(statement string) {
		for _, table := range tables {
			if strings.Contains(statement, table) || statement == all {
				d.exec(t, `DELETE FROM `+table+`; INSERT INTO `+table+` SELECT * FROM backup.`+table)
			}
		}
	}
}

// all stands for every table.
const all = "all"

// TestTamper has somebody who may do everything in the database change what was
// written: each time the position is named, and what followed from it.
func TestTamper(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "rival")
	story(t, d)
	folder := t.TempDir()
	c, key := d.checkpointer(t, folder)
	_, err := c.Look(d.ctx, organization("acme"))
	require.NoError(t, err)
	restore := d.backup(t)

	exposure := func(path string, typ rule.Type, ordinal int) string {
		return book.ExposureKey{PathID: named(path), Type: int16(typ), Ordinal: ordinal}.String()
	}
	a, b1, b2, c1, c2 := exposure("a", rule.OrphanedPath, 1), exposure("b", rule.SensitiveReach, 1), exposure("b", rule.SensitiveReach, 2),
		exposure("c", rule.DegradedOwnership, 1), exposure("c", rule.DegradedOwnership, 2)
	baseline := "scope_baseline " + named("identity").String() + " 2026-03-01T11:59:40Z"
	first := "privilege_justification " + named("a").String() + " 2026-03-01T11:59:50Z"
	second := "privilege_justification " + named("a").String() + " 2026-03-01T12:00:01Z"
	snapshot := "posture_snapshot 2026-03-01T12:01:40Z" // entry 93
	flip := `set_byte(%[1]s, 9, get_byte(%[1]s, 9) # 1)`

	for _, test := range []struct {
		name, statement string
		want            []string
	}{
		// Every column of an entry.
		{"body", `UPDATE ledger_entry SET body = ` + fmt.Sprintf(flip, "body") + ` WHERE seq = 6`, []string{"BODY_NOT_CANONICAL 6", "HASH_MISMATCH 6", "DISPOSITION_MISMATCH 6 " + a + " version 2"}},
		{"text of a body", `UPDATE ledger_entry SET body = replace(convert_from(body, 'UTF8'), 'because 4', 'because 5')::bytea WHERE seq = 7`, []string{"HASH_MISMATCH 7"}},
		{"hash", `UPDATE ledger_entry SET hash = ` + fmt.Sprintf(flip, "hash") + ` WHERE seq = 7`, []string{"HASH_MISMATCH 7", "TILE_MISMATCH 256", "CHECKPOINT_ROOT 272"}},
		{"previous hash", `UPDATE ledger_entry SET previous_hash = ` + fmt.Sprintf(flip, "previous_hash") + ` WHERE seq = 7`, []string{"HASH_MISMATCH 7", "CHAIN_BROKEN 7"}},
		{"kind", `UPDATE ledger_entry SET kind = 'exposure.resolved' WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"class", `UPDATE ledger_entry SET class = 4 WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"actor", `UPDATE ledger_entry SET actor = 'bob' WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"at", `UPDATE ledger_entry SET at = at + interval '1 us' WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"recorded at", `UPDATE ledger_entry SET recorded_at = recorded_at - interval '1 us' WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"subject", `UPDATE ledger_entry SET subject_id = gen_random_uuid() WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"no subject", `UPDATE ledger_entry SET subject_id = NULL WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"type", `UPDATE ledger_entry SET type = 2 WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"ordinal", `UPDATE ledger_entry SET ordinal = 2 WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"batch", `UPDATE ledger_entry SET batch_id = gen_random_uuid() WHERE seq = 7`, []string{"COLUMN_MISMATCH 7"}},
		{"seq", `UPDATE ledger_entry SET seq = 1000 WHERE seq = 272`, []string{"SEQ_GAP 1000", "HEAD_MISMATCH 1000"}},
		{"organization", `UPDATE ledger_entry SET organization_id = (SELECT id FROM organization WHERE slug = 'rival') WHERE seq = 272`,
			[]string{"TRUNCATED 271", "HEAD_MISMATCH 271", "ENTRY_MISSING posture_snapshot 2026-03-01T12:04:39Z"}},

		// Whole entries.
		{"delete", `DELETE FROM ledger_entry WHERE seq = 100`, []string{"SEQ_GAP 101", "ENTRY_MISSING posture_snapshot 2026-03-01T12:01:47Z"}},
		{"delete the first", `DELETE FROM ledger_entry WHERE seq = 1`, []string{"SEQ_GAP 2", "ENTRY_MISSING posture_snapshot 2026-03-01T11:59:30Z"}},
		{"delete the last", `DELETE FROM ledger_entry WHERE seq = 272`, []string{"TRUNCATED 271", "HEAD_MISMATCH 271", "ENTRY_MISSING posture_snapshot 2026-03-01T12:04:39Z"}},
		{"swap", `UPDATE ledger_entry e SET body = o.body FROM ledger_entry o WHERE e.seq IN (6, 8) AND o.seq = 14 - e.seq`,
			[]string{"SEQ_GAP 6", "HASH_MISMATCH 6", "COLUMN_MISMATCH 6", "SEQ_GAP 8", "HASH_MISMATCH 8", "COLUMN_MISMATCH 8", "DISPOSITION_MISMATCH 6 " + a, "DISPOSITION_MISMATCH 6 " + a + " version 3"}},
		{"insert", `INSERT INTO ledger_entry SELECT organization_id, 273, hash, sha256(body), body, kind, class, actor, at, recorded_at, subject_id, type, ordinal, batch_id FROM ledger_entry WHERE seq = 272`,
			[]string{"SEQ_GAP 273", "HASH_MISMATCH 273", "HEAD_MISMATCH 273"}},
		{"all", `DELETE FROM ledger_entry`, []string{"TILE_MISMATCH 0", "TRUNCATED 0", "HEAD_MISMATCH 0",
			"DISPOSITION_MISMATCH 9 " + b1, "DISPOSITION_MISMATCH 9 " + b2, "DISPOSITION_MISMATCH 8 " + a, "DISPOSITION_MISMATCH 10 " + c1,
			"DISPOSITION_MISMATCH 9 " + b2 + " version 1", "DISPOSITION_MISMATCH 6 " + a + " version 2", "DISPOSITION_MISMATCH 7 " + a + " version 3"}},

		// What stands beside them.
		{"head's seq", `UPDATE ledger_head SET seq = 271`, []string{"HEAD_MISMATCH 272"}},
		{"head's hash", `UPDATE ledger_head SET hash = sha256('')`, []string{"HEAD_MISMATCH 272"}},
		{"head's time", `UPDATE ledger_head SET at = at - interval '1 us'`, []string{"HEAD_MISMATCH 272"}},
		{"no head", `DELETE FROM ledger_head`, []string{"HEAD_MISMATCH 272"}},
		{"tile", `UPDATE ledger_tile SET root = sha256('')`, []string{"TILE_MISMATCH 256"}},
		{"no tile", `DELETE FROM ledger_tile`, []string{"TILE_MISMATCH 256"}},
		{"tile of nothing", `INSERT INTO ledger_tile SELECT organization_id, 1, root FROM ledger_tile`, []string{"TILE_MISMATCH 272"}},
		{"checkpoint's root", `UPDATE ledger_checkpoint SET root = sha256('')`, []string{"CHECKPOINT_MISMATCH 272"}},
		{"checkpoint's size", `UPDATE ledger_checkpoint SET size = 200`, []string{"CHECKPOINT_MISMATCH 200"}},
		{"checkpoint's note", `UPDATE ledger_checkpoint SET note = replace(note, E'\n272\n', E'\n271\n')`, []string{"CHECKPOINT_MISMATCH 272", "CHECKPOINT_SIGNATURE 272"}},
		{"checkpoint's signature", `UPDATE ledger_checkpoint SET note = replace(note, E'\nhead', E'\nHead')`, []string{"CHECKPOINT_SIGNATURE 272", "CHECKPOINT_SIGNATURE 272"}},
		{"checkpoint's signer", `UPDATE ledger_checkpoint SET signer = 'nobody'`, []string{"CHECKPOINT_SIGNATURE 272"}},

		// What follows from them.
		{"disposition", `UPDATE exposure SET disposition = 4 WHERE explanation = 'x' AND type = 1`, []string{"DISPOSITION_MISMATCH 8 " + a}},
		{"disposition that nobody decided", `UPDATE exposure SET disposition = 2 WHERE type = 5`, []string{"DISPOSITION_MISMATCH " + exposure("d", rule.DormantPath, 1)}},
		{"decided seq", `UPDATE exposure SET decided_seq = 6 WHERE type = 1`, []string{"DISPOSITION_MISMATCH 8 " + a}},
		{"decided by nobody", `UPDATE exposure SET disposition = 1, decided_seq = NULL WHERE type = 1`, []string{"DISPOSITION_MISMATCH 8 " + a}},
		{"no row", `DELETE FROM exposure WHERE type = 1`, []string{"DISPOSITION_MISMATCH 8 " + a}},
		{"not inherited", `UPDATE exposure SET disposition = 1, decided_seq = NULL WHERE type = 6 AND ordinal = 2`, []string{"DISPOSITION_MISMATCH 9 " + b2}},
		{"inherited without its seq", `UPDATE exposure SET decided_seq = NULL WHERE type = 6 AND ordinal = 2`, []string{"DISPOSITION_MISMATCH 9 " + b2}},
		{"inherited of other evidence", `UPDATE exposure_version SET evidence_digest = gen_random_uuid() WHERE type = 6 AND ordinal = 2`, []string{"DISPOSITION_MISMATCH 9 " + b2, "DISPOSITION_MISMATCH 9 " + b2 + " version 1"}},
		{"not false any longer", `UPDATE exposure SET disposition = 1, decided_seq = NULL WHERE type = 6`, []string{"DISPOSITION_MISMATCH 9 " + b1, "DISPOSITION_MISMATCH 9 " + b2}},
		{"former version", `UPDATE exposure_version SET disposition = 1 WHERE type = 1 AND version = 2`, []string{"DISPOSITION_MISMATCH 6 " + a + " version 2"}},
		{"former version by nobody", `UPDATE exposure_version SET disposition = 1, decided_seq = NULL WHERE type = 1 AND version = 3`, []string{"DISPOSITION_MISMATCH 7 " + a + " version 3"}},
		{"former version that was inherited", `UPDATE exposure_version SET decided_seq = 8 WHERE type = 6 AND ordinal = 2`, []string{"DISPOSITION_MISMATCH 9 " + b2 + " version 1"}},
		{"resolved by somebody else", `UPDATE exposure SET resolution_reason = 'owner_assigned' WHERE type = 2 AND ordinal = 1`, []string{"DISPOSITION_MISMATCH 10 " + c1}},
		{"resolved at another time", `UPDATE exposure SET to_at = to_at + interval '1 us' WHERE type = 2 AND ordinal = 1`, []string{"DISPOSITION_MISMATCH 10 " + c1}},
		{"not resolved", `DELETE FROM exposure WHERE type = 2 AND ordinal = 2; UPDATE exposure SET to_at = NULL, resolution_reason = NULL WHERE type = 2 AND ordinal = 1`, []string{"DISPOSITION_MISMATCH 10 " + c1}},
		{"resolved by nobody", `UPDATE exposure SET to_at = now(), resolution_reason = 'manual' WHERE type = 2 AND ordinal = 2`, []string{"DISPOSITION_MISMATCH " + c2}},
		{"baseline's note", `UPDATE scope_baseline SET note = 'Renewed.' WHERE basis = 'attested'`, []string{"ROW_MISMATCH 2 " + baseline}},
		{"baseline's actor", `UPDATE scope_baseline SET actor = 'eve' WHERE basis = 'attested'`, []string{"ROW_MISMATCH 2 " + baseline}},
		{"baseline's time", `UPDATE scope_baseline SET at = at + interval '1 us' WHERE basis = 'attested'`, []string{"ENTRY_MISSING scope_baseline " + named("identity").String() + " 2026-03-01T11:59:40.000001Z", "ROW_MISSING 2"}},
		{"baseline that was observed", `UPDATE scope_baseline SET basis = 'observed'`, []string{"ROW_MISSING 2"}},
		{"baseline that was not", `UPDATE scope_baseline SET basis = 'attested'`, []string{"ENTRY_MISSING scope_baseline " + named("identity").String() + " 2026-03-01T11:59:35Z"}},
		{"justification's text", `UPDATE privilege_justification SET justification = 'Why not.' WHERE actor = 'bob'`, []string{"ROW_MISMATCH 3 " + first}},
		{"justification's actions", `UPDATE privilege_justification SET actions = '{put,delete}' WHERE actor = 'ann'`, []string{"ROW_MISMATCH 4 " + second}},
		{"justification's actor", `UPDATE privilege_justification SET actor = 'eve' WHERE actor = 'ann'`, []string{"ROW_MISMATCH 4 " + second}},
		{"justification not withdrawn", `UPDATE privilege_justification SET to_at = NULL, withdrawn_by = NULL WHERE actor = 'ann'`, []string{"ROW_MISSING 5"}},
		{"withdrawn by another", `UPDATE privilege_justification SET withdrawn_by = 'eve' WHERE actor = 'ann'`, []string{"ROW_MISMATCH 5 " + second}},
		{"withdrawn and not replaced", `UPDATE privilege_justification SET to_at = to_at - interval '1 us' WHERE actor = 'bob'`, []string{"ENTRY_MISSING " + first, "ROW_MISMATCH 4 " + second}},
		{"no justification", `DELETE FROM privilege_justification WHERE actor = 'bob'`, []string{"ROW_MISMATCH 4 " + second, "ROW_MISSING 3"}},
		{"snapshot", `UPDATE posture_snapshot SET paths = paths + 1 WHERE paths = 100`, []string{"ROW_MISMATCH 93 " + snapshot}},
		{"snapshot's clusters", `UPDATE posture_snapshot SET clusters = '{}' WHERE paths = 100`, []string{"ROW_MISMATCH 93 " + snapshot}},
		{"what a snapshot did not measure", `UPDATE posture_snapshot SET identities = 0 WHERE paths = 100`, []string{"ROW_MISMATCH 93 " + snapshot}},
		{"what a snapshot measured", `UPDATE posture_snapshot SET workloads = NULL WHERE paths = 100`, []string{"ROW_MISMATCH 93 " + snapshot}},
		{"no snapshot", `DELETE FROM posture_snapshot WHERE paths = 100`, []string{"ROW_MISSING 93"}},
		{"key", `UPDATE signing_key SET public_key = sha256('')`, []string{"ROW_MISMATCH 11 signing_key key"}},
		{"key's subject", `UPDATE signing_key SET subject = 'eve'`, []string{"ROW_MISMATCH 11 signing_key key", "ROW_MISMATCH 12 signing_key key"}},
		{"key not revoked", `UPDATE signing_key SET to_at = NULL, ended_by = NULL`, []string{"ROW_MISSING 12"}},
		{"key revoked by another", `UPDATE signing_key SET ended_by = 'eve'`, []string{"ROW_MISMATCH 12 signing_key key"}},
		{"key that nobody registered", `INSERT INTO signing_key SELECT organization_id, 'other', subject, public_key, from_at, NULL, added_by, NULL FROM signing_key`, []string{"ENTRY_MISSING signing_key other"}},
	} {
		t.Run(test.name, func(t *testing.T) { // one after the other: they share the tables
			defer restore(test.statement)
			d.exec(t, test.statement)
			report := d.verify(t, "acme", book.Trust{Keys: verifiersOf(t, key)})
			require.Equal(t, test.want, places(report))
			require.False(t, report.Holds())
			if slices.ContainsFunc(test.want, func(place string) bool {
				return strings.HasPrefix(place, "DISPOSITION") && !strings.Contains(place, "version")
			}) {
				require.NotEqual(t, report.Projection, report.Tables)
			}
		})
	}
	require.Empty(t, places(d.verify(t, "acme", book.Trust{Keys: verifiersOf(t, key)})))

	// A bound is told of.
	d.exec(t, `UPDATE ledger_entry SET actor = 'eve'`)
	report := d.verify(t, "acme", book.Trust{Limit: 7})
	require.Len(t, report.Faults, 7)
	require.Equal(t, 265, report.More)
	restore(all)

	// Another key signed.
	report = d.verify(t, "acme", book.Trust{Keys: verifiersOf(t, newKey(t))})
	require.Equal(t, []string{"CHECKPOINT_SIGNATURE 272"}, places(report))
	require.True(t, report.Signatures)
	require.False(t, d.verify(t, "acme", book.Trust{}).Signatures)
}

// rewrite writes the ledger anew from an entry on, in every place: hashes, the
// head, the tiles, and without the checkpoints that would say otherwise.
func (d *desk) rewrite(t testing.TB, from int64, to int64, change func(body string) string) {
	t.Helper()
	previous := ledger.Hash{}
	var hashes []ledger.Hash
	d.exec(t, `DELETE FROM ledger_entry WHERE seq > $1`, to)
	d.exec(t, `DELETE FROM ledger_checkpoint`)
	d.exec(t, `DELETE FROM ledger_tile`)
	for i, body := range column[[]byte](t, d, `SELECT body FROM ledger_entry ORDER BY seq`) {
		seq := int64(i + 1)
		if seq >= from {
			body = []byte(change(string(body)))
		}
		hash := ledger.Link(previous, body)
		d.exec(t, `UPDATE ledger_entry SET body = $2, hash = $3, previous_hash = $4 WHERE seq = $1`, seq, body, hash[:], previous[:])
		hashes, previous = append(hashes, hash), hash
	}
	d.exec(t, `UPDATE ledger_head SET seq = $1, hash = $2, at = (SELECT max(at) FROM ledger_entry)`, to, previous[:])
	for i := 0; (i+1)*ledger.TileSize <= len(hashes); i++ {
		root, err := ledger.TileRoot(hashes[i*ledger.TileSize : (i+1)*ledger.TileSize])
		require.NoError(t, err)
		d.exec(t, `INSERT INTO ledger_tile VALUES ($1, $2, $3)`, acme, i, root[:])
	}
}

// TestRewritten has somebody rewrite the database so that it agrees with itself.
// Only what left it before can tell.
func TestRewritten(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	folder := t.TempDir()
	key := newKey(t)
	var drafts []book.Draft
	for i := range 300 {
		drafts = append(drafts, d.snapshotted(t, i))
	}
	var kept []ledger.Kept
	written := 0
	for _, size := range []int{100, 150, 300} {
		d.post(t, drafts[written:size]...)
		kept, written = append(kept, d.keep(t, folder, key)), size
	}
	require.Len(t, kept, 3)
	trust := book.Trust{Keys: verifiersOf(t, key), Kept: kept}
	require.Empty(t, places(d.verify(t, "acme", trust)))
	require.Equal(t, 3, d.verify(t, "acme", trust).Kept)
	restore := d.backup(t)

	// The tail is gone, and the head says so; and so are the rows that it told of.
	d.rewrite(t, 300, 280, func(body string) string { return body })
	d.exec(t, `DELETE FROM posture_snapshot WHERE at > (SELECT at FROM ledger_head)`)
	require.Empty(t, places(d.verify(t, "acme", book.Trust{Keys: trust.Keys})), "the database agrees with itself")
	require.Equal(t, []string{"TRUNCATED 280"}, places(d.verify(t, "acme", trust)))
	restore(all)

	// Another story from entry 120 on: it agrees with the first checkpoint.
	d.rewrite(t, 120, 300, func(body string) string { return strings.Replace(body, `"subject":"ann"`, `"subject":"eve"`, 1) })
	d.exec(t, `UPDATE ledger_entry SET actor = 'eve' WHERE seq >= 120`)
	require.Empty(t, places(d.verify(t, "acme", book.Trust{Keys: trust.Keys})), "the database agrees with itself")
	report := d.verify(t, "acme", trust)
	require.Equal(t, []string{"CHECKPOINT_ROOT 150", "CHECKPOINT_HEAD 150", "CHECKPOINT_ROOT 300", "CHECKPOINT_HEAD 300"}, places(report))
	require.Contains(t, report.Faults[0].Message, "up to entry 100")
	require.Equal(t, 1, report.Kept)
	restore(all)

	// A checkpoint of another ledger, and one that was changed.
	foreign := kept[0]
	foreign.Note = strings.Replace(foreign.Note, acme.String(), id.Organization("rival").String(), 1)
	require.Equal(t, []string{"CHECKPOINT_SIGNATURE 0"}, places(d.verify(t, "acme", book.Trust{Keys: trust.Keys, Kept: []ledger.Kept{foreign}})))
	require.Equal(t, []string{"FOREIGN_ENTRY 100"}, places(d.verify(t, "acme", book.Trust{Kept: []ledger.Kept{foreign}})))
}

// keep signs the ledger as it is and gives what was exported.
func (d *desk) keep(t testing.TB, folder string, key *book.Key) ledger.Kept {
	t.Helper()
	c := book.NewCheckpointer(book.CheckpointerConfig{DB: d.DB, Key: key, Folder: folder, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return written }, Entries: 1})
	size, err := c.Look(d.ctx, organization("acme"))
	require.NoError(t, err)
	require.Positive(t, size)
	file := filepath.Join(folder, "acme", fmt.Sprint(size, ".checkpoint"))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return ledger.Kept{Name: file, Note: string(content)}
}

// TestRebuild gives what has to be written, and writing it is enough.
func TestRebuild(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	story(t, d)
	rebuild := func() (p *book.Projection) {
		t.Helper()
		require.NoError(t, d.Tenant(d.ctx, acme, func(tx *db.Tx) (err error) {
			p, err = d.book.Rebuild(d.ctx, tx)
			return err
		}))
		return p
	}
	p := rebuild()
	require.Empty(t, p.Differences)
	require.EqualValues(t, 4, p.Rows)
	require.Equal(t, p.Ledger, p.Tables)
	report := d.verify(t, "acme", book.Trust{})
	require.Equal(t, []ledger.Hash{p.Ledger, p.Tables}, []ledger.Hash{report.Projection, report.Tables})

	d.exec(t, `UPDATE exposure SET disposition = 1, decided_seq = NULL; UPDATE exposure_version SET disposition = 1, decided_seq = NULL`)
	d.exec(t, `UPDATE exposure SET disposition = 3, decided_seq = 4 WHERE type = 5`)
	broken := rebuild()
	require.Equal(t, p.Ledger, broken.Ledger, "the ledger says what it said")
	require.NotEqual(t, p.Tables, broken.Tables)
	require.Len(t, broken.Differences, 5+3)
	var wrong []string
	for _, diff := range broken.Differences {
		require.False(t, diff.Absent)
		wrong = append(wrong, diff.Row()+": "+diff.Want.String())
		table := "exposure"
		if diff.Version > 0 {
			table = "exposure_version"
		}
		var seq *int64
		if diff.Want.DecidedSeq > 0 {
			seq = &diff.Want.DecidedSeq
		}
		d.exec(t, `UPDATE `+table+` SET disposition = $4, decided_seq = $5 WHERE path_id = $1 AND type = $2 AND ordinal = $3 AND ($6 = 0 OR version = $6)`,
			diff.PathID, diff.Type, diff.Ordinal, diff.Want.Disposition, seq, diff.Version)
	}
	require.Empty(t, rebuild().Differences, "%v", wrong)
	require.Equal(t, p, rebuild())
	require.Empty(t, places(d.verify(t, "acme", book.Trust{})))

	// The digest is what another program would compute from the same rows.
	var lines bytes.Buffer
	for _, line := range column[string](t, d, `SELECT '{"decidedSeq":' || decided_seq || ',"disposition":"' || (ARRAY['open','acknowledged','risk_accepted','false_positive'])[disposition]
		|| '","ordinal":' || ordinal || ',"path":"' || path_id || '"'
		|| CASE WHEN resolution_reason = 'manual' THEN ',"resolvedAt":"' || to_char(to_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"' ELSE '' END
		|| ',"type":"' || (ARRAY['orphaned_path','degraded_ownership','','','','sensitive_reach'])[type] || '"}' || E'\n'
		FROM exposure WHERE decided_seq IS NOT NULL ORDER BY path_id, type, ordinal`) {
		lines.WriteString(line)
	}
	require.Equal(t, []string{p.Tables.String()}, []string{hex.EncodeToString(column[[]byte](t, d, `SELECT sha256($1)`, lines.Bytes())[0])})

	d.exec(t, `UPDATE ledger_entry SET body = 'no entry' WHERE seq = 7`)
	err := d.Tenant(d.ctx, acme, func(tx *db.Tx) error {
		_, err := d.book.Rebuild(d.ctx, tx)
		return err
	})
	require.Equal(t, "LEDGER_DAMAGED", codeOf(t, err))
}

// A fault says where it is, whatever there is of it.
func TestPosition(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]book.Fault{
		"entry 7":               {Seq: 7},
		"entry 0":               {},
		"entry 7, exposure x":   {Seq: 7, Row: "exposure x"},
		"scope_baseline i then": {Row: "scope_baseline i then"},
	} {
		require.Equal(t, want, fault.Position())
	}
}

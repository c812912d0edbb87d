package book_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// TestLedgersApart has two organizations write at once: each ledger has a
// sequence, a chain and checkpoints of its own.
func TestLedgersApart(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "rival")
	c, key := d.checkpointer(t, t.TempDir())
	for i := range 5 {
		d.post(t, noted(i, "ours"))
		_, err := d.append(d.ctx, "rival", noted(i, "theirs"), noted(i, "theirs"))
		require.NoError(t, err)
	}
	for slug, size := range map[string]int64{"acme": 5, "rival": 10} {
		signed, err := c.Look(d.ctx, organization(slug))
		require.NoError(t, err)
		require.Equal(t, size, signed)
		report := d.verify(t, slug, book.Trust{Keys: verifiersOf(t, key)})
		require.Equal(t, size, report.Size)
		require.Equal(t, 1, report.Checkpoints)
		entries := look(t, d, func(s *db.Snapshot) (book.EntryPage, error) {
			return d.book.Entries(d.ctx, s, id.Organization(slug), book.Filter{}, false, page.Request{})
		})
		require.Len(t, entries.Rows, int(size))
		for _, entry := range entries.Rows {
			require.Equal(t, id.Organization(slug), entry.Organization)
		}
	}
	theirs := d.verify(t, "rival", book.Trust{})
	ours := d.verify(t, "acme", book.Trust{})
	require.NotEqual(t, theirs.Head, ours.Head)
}

// TestReadPredicatesAlone asks every statement before and after a rival with the
// same ids moved in, with row level security off; and writes.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	story(t, d)
	c, key := d.checkpointer(t, t.TempDir())
	_, err := c.Look(d.ctx, organization("acme"))
	require.NoError(t, err)
	d.exec(t, `INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, content_digest, outcome, complete, records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
		SELECT $1, $2, $2, 1, $3, $3, $3, 'importer', $2, 'applied', true, 0, 0, 0, 0, 0, 0, '[]', '[]'`, acme, named("sync"), at(30))
	d.exec(t, `UPDATE posture_snapshot SET sync_id = $2 WHERE at = $1`, at(30), named("sync"))
	d.exec(t, `INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
		composition_hash, class, sensitivity, ownership_status, egress_category, version, from_at, sync_version, first_seen_at)
		VALUES ($1, $2, $2, $2, $2, $2, 'active', true, '{}', '{}', 0, sha256(''), 9, 1, 'valid', 'none', 1, $3, 1, $3)`, acme, named("a"), epoch)
	tables := []string{"ledger_entry", "ledger_head", "ledger_tile", "ledger_checkpoint", "exposure", "exposure_version", "scope_baseline", "privilege_justification",
		"posture_snapshot", "signing_key", "sync", "evaluation", "authority_path"}
	for _, table := range tables {
		d.exec(t, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
	writing := []string{"lock_head", "begin_head", "append", "add_checkpoint", "plan_by_key"}
	with := func(more pgx.StrictNamedArgs) pgx.StrictNamedArgs {
		more["rows"] = 1000
		return more
	}
	samples := map[string]pgx.StrictNamedArgs{
		"on_record": with(pgx.StrictNamedArgs{"before": at(1000), "nil": id.Nil, "at": at(-1000), "turn": 0, "about": id.Nil}),
		"leaves":    {"from": 0, "to": 300}, "tiles": {"from": 0, "to": 10}, "head": {}, "entries_page": {"limit": 1000}, "count_entries": {},
		"entries_by_seqs": {"seqs": []int64{1, 6, 7}}, "entries_from": with(pgx.StrictNamedArgs{"seq": 0}), "checkpoints_page": {"limit": 100}, "count_checkpoints": {},
		"last_checkpoint": {}, "organization": {}, "verified_entries": with(pgx.StrictNamedArgs{"seq": 0}), "tiles_from": with(pgx.StrictNamedArgs{"index": -1}),
		"checkpoints_from": with(pgx.StrictNamedArgs{"size": 0}), "decisions": with(pgx.StrictNamedArgs{"seq": 0}),
		"decided_exposures": with(pgx.StrictNamedArgs{"path_id": id.Nil, "type": 0, "ordinal": 0}),
		"decided_versions":  with(pgx.StrictNamedArgs{"path_id": id.Nil, "type": 0, "ordinal": 0, "version": 0}),
		"baselines":         with(pgx.StrictNamedArgs{"identity_id": id.Nil, "at": at(-1000)}), "justifications": with(pgx.StrictNamedArgs{"path_id": id.Nil, "from_at": at(-1000)}),
		"snapshots": with(pgx.StrictNamedArgs{"at": at(-1000)}), "signing_keys": with(pgx.StrictNamedArgs{"id": ""}),
	}
	ask := func() map[string]any {
		answers := map[string]any{}
		snapshot := d.Snapshot()
		defer snapshot.Close(d.ctx)
		for _, query := range book.ReadQueries.All() {
			name := strings.TrimPrefix(query.Name, "book.")
			if slices.Contains(writing, name) {
				continue
			}
			args, ok := samples[name]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			found, err := db.Column[string](d.ctx, snapshot.Of(acme), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, found, "%s: no answer proves nothing", query.Name)
			answers[query.Name] = found
		}
		report, err := d.book.Verify(d.ctx, snapshot, organization("acme"), book.Trust{Keys: verifiersOf(t, key)})
		require.NoError(t, err)
		answers["report"] = report
		proof, err := d.book.InclusionProof(d.ctx, snapshot, acme, 5, 0)
		require.NoError(t, err)
		answers["proof"] = proof
		return answers
	}
	before := ask()
	rival := id.Organization("rival")
	d.exec(t, `INSERT INTO organization VALUES ($1, 'rival', 'rival', $2)`, rival, epoch)
	for _, table := range tables {
		d.exec(t, `INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, acme)
	}
	// What a missing predicate would find beside the rows or in their place.
	for _, statement := range []string{
		`UPDATE ledger_entry SET seq = seq + 300, hash = sha256(hash)`, `UPDATE ledger_head SET seq = 99`, `UPDATE ledger_tile SET index = 1`, `UPDATE ledger_checkpoint SET size = 999, note = 'rival'`,
		`UPDATE exposure SET disposition = 3, evidence_digest = gen_random_uuid() WHERE disposition <> 1`, `UPDATE exposure SET disposition = 4, decided_seq = 4`,
		`UPDATE exposure_version SET disposition = 3, evidence_digest = gen_random_uuid()`, `UPDATE scope_baseline SET note = 'rival'`,
		`UPDATE privilege_justification SET from_at = to_at - interval '1 ms', justification = 'rival' WHERE to_at IS NOT NULL`,
		`UPDATE posture_snapshot SET paths = paths + 7, at = at + interval '1 ms'`, `UPDATE sync SET actor = 'rival'`, `UPDATE evaluation SET actor = 'rival'`,
		`UPDATE authority_path SET class = 77`, `UPDATE signing_key SET id = 'rival'`,
	} {
		where := ` WHERE organization_id = $1`
		if strings.Contains(statement, " WHERE ") {
			where = ` AND organization_id = $1`
		}
		d.exec(t, statement+where, rival)
	}
	require.Equal(t, before, ask())

	// Writing: the rival's rows stay as they are, and ours go on from ours.
	state := func(organization id.ID) string {
		var parts []string
		for _, table := range tables {
			parts = append(parts, column[string](t, d, `SELECT coalesce(string_agg(to_jsonb(x)::text, ',' ORDER BY to_jsonb(x)::text), '') FROM `+table+` x WHERE organization_id = $1`, organization)...)
		}
		return strings.Join(parts, "\n")
	}
	theirs := state(rival)
	posted := d.post(t, book.Draft{Kind: ledger.Acknowledged, Subject: exposed("d", rule.DormantPath, 1), OccurredAt: at(1000), Payload: json.RawMessage(`{"version":2,"to":"acknowledged"}`)})
	require.Equal(t, int64(273), posted[0].Seq)
	var drafts []book.Draft
	for range 300 {
		drafts = append(drafts, noted(1000, "x"))
	}
	d.post(t, drafts...)
	d.exec(t, `UPDATE ledger_checkpoint SET recorded_at = recorded_at - interval '2 hours' WHERE organization_id = $1`, acme)
	signed, err := c.Look(d.ctx, organization("acme"))
	require.NoError(t, err)
	require.Equal(t, int64(573), signed)
	require.Equal(t, theirs, state(rival))
	d.exec(t, `DELETE FROM ledger_entry WHERE organization_id = $1`, acme)
	d.exec(t, `DELETE FROM ledger_head WHERE organization_id = $1`, acme)
	d.exec(t, `DELETE FROM ledger_tile WHERE organization_id = $1`, acme)
	d.post(t, noted(2000, "a ledger begins"))
	require.Equal(t, theirs, state(rival))
}

// TestStatementsHaveTheirPredicate counts, because an answer cannot prove every
// predicate.
func TestStatementsHaveTheirPredicate(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\b(?:FROM|JOIN)\s+(ledger_[a-z]+|exposure|exposure_version|scope_baseline|privilege_justification|posture_snapshot|signing_key|sync|evaluation|authority_path)\s+([a-z]+)\b`)
	found := 0
	for _, query := range book.ReadQueries.All() {
		for _, m := range mention.FindAllStringSubmatch(query.SQL, -1) {
			found++
			require.Contains(t, query.SQL, m[2]+".organization_id = @organization", "%s reads %s", query.Name, m[1])
		}
	}
	require.Greater(t, found, 25)
}

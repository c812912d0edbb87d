package change_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// texts reads one column.
func (r *newsroom) texts(sql string, args ...any) []string {
	r.t.Helper()
	rows, err := r.super.Query(context.Background(), sql, args...)
	require.NoError(r.t, err, sql)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(r.t, err, sql)
	return list
}

// TestFeedPredicatesAlone sends every statement of the feed before and after a rival
// moved in who has the same ids and instants, more of them published and more of
// them waiting. Row level security is off: the predicates alone keep them apart.
func TestFeedPredicatesAlone(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	rival := id.Organization("rival")
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"), grants("vault", "internal", "get"))...)
	r.judge(r.path("w1", "i1", "ledger"), rule.OrphanedPath, triage.Acknowledge, 1)
	r.judge(r.path("w1", "i1", "ledger"), rule.SensitiveReach, triage.Resolve, 1)
	r.say(world(runs("w1", "i2"), runs("w2", "i1"), grants("ledger", "internal", "delete", "get"), grants("vault", "internal", "get"))...)
	r.say(world(runs("w2", "i1"), grants("ledger", "internal", "get"))...)
	r.judge(r.path("w2", "i1", "ledger"), rule.OrphanedPath, triage.Resolve, 1)
	r.advance(200 * 24 * time.Hour)
	_, err := r.paths.Reevaluate(r.ctx, organization, authority.ByTime, nil)
	require.NoError(t, err)
	newOutside(r).live(func() {})
	r.drain()

	// The rival is what acme is here, and has everything waiting and missing besides.
	tables := slices.DeleteFunc(r.texts(`SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`),
		func(table string) bool { return db.Untenanted[table] != "" })
	r.exec(`SET session_replication_role = replica`)
	for _, table := range tables {
		r.exec(`CREATE TEMPORARY TABLE "rival_` + table + `" AS SELECT * FROM ` + table)
		r.exec(`ALTER TABLE ` + table + ` DISABLE ROW LEVEL SECURITY`)
	}
	const notes = ` SELECT organization_id, at, 'sync' AS cause FROM sync UNION SELECT organization_id, at, 'evaluation' FROM evaluation
		UNION SELECT organization_id, at, 'decision' FROM ledger_entry WHERE type IS NOT NULL`
	note := `INSERT INTO %outbox% (organization_id, at, cause, urgent, size, stage, after_type, after_ordinal, attempts, after_id, recorded_at)
		SELECT organization_id, at, cause, cause = 'decision', 5, 0, 0, 0, 0, gen_random_uuid(), now() FROM (` + notes + `) n WHERE `
	gap := `INSERT INTO %gap% (organization_id, at, cause, reason, recorded_at) SELECT organization_id, at, cause, 'lost', now() FROM (` + notes + `) n WHERE `
	r.exec(strings.Replace(note, "%outbox%", "rival_change_outbox", 1) + `true`)
	r.exec(strings.Replace(gap, "%gap%", "rival_change_gap", 1) + `true`)

	// Of acme, a part is published, a part waits, a part is a gap and a part is lost.
	r.exec(`DELETE FROM exposure_changes WHERE at > (SELECT min(at) FROM sync)`)
	r.exec(strings.Replace(note, "%outbox%", "change_outbox", 1) + `at IN (SELECT at FROM ledger_entry WHERE type IS NOT NULL ORDER BY at LIMIT 1) OR at = (SELECT max(at) FROM sync)`)
	r.exec(strings.Replace(gap, "%gap%", "change_gap", 1) + `at = (SELECT max(at) FROM evaluation)`)

	samples := r.samples()
	runtime := r.Runtime(t)
	queries := slices.Concat(change.ExpandQueries.All(), change.SequenceQueries.All(), change.RepairQueries.All(), change.ReplayQueries.All(), change.ReadQueries.All())
	answers := func() map[string][]any {
		all := map[string][]any{}
		for _, query := range queries {
			all[query.Name] = r.ask(runtime, query, samples, tables, rival)
		}
		return all
	}
	before := answers()
	r.exec(`INSERT INTO organization VALUES ($1, 'rival', 'rival', now())`, rival)
	r.exec(`INSERT INTO change_head VALUES ($1, 1000)`, rival)
	for _, table := range tables {
		r.exec(`UPDATE "rival_`+table+`" SET organization_id = $1`, rival)
		r.exec(`INSERT INTO ` + table + ` SELECT * FROM "rival_` + table + `"`)
	}
	after := answers()
	for _, query := range queries {
		require.ElementsMatch(t, before[query.Name], after[query.Name], query.Name)
		if query.Name == "change.sequence.begin_head" { // there is one
			continue
		}
		require.NotEmpty(t, before[query.Name], "%s finds nothing: it proves nothing", query.Name)
	}
}

// samples are arguments for every statement, by their names, drawn from what is there.
func (r *newsroom) samples() pgx.NamedArgs {
	r.t.Helper()
	ats := func(sql string) (list []time.Time) {
		rows, err := r.super.Query(context.Background(), sql)
		require.NoError(r.t, err)
		list, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		require.NoError(r.t, err)
		return list
	}
	ids := func(sql string) (list []id.ID) {
		for _, text := range r.texts(sql) {
			parsed, err := id.Parse(text)
			require.NoError(r.t, err)
			list = append(list, parsed)
		}
		return list
	}
	const moments = ` (SELECT at FROM sync UNION SELECT at FROM evaluation UNION SELECT at FROM ledger_entry WHERE type IS NOT NULL) m(at) `
	waiting := ats(`SELECT max(at) FROM change_outbox`)[0]
	return pgx.NamedArgs{
		"organization": organization, "ats": ats(`SELECT at FROM` + moments + `ORDER BY at`), "limit": 1000, "behind": start.Add(-time.Hour),
		"after_id": id.Nil, "after_type": 0, "after_ordinal": 0, "stage": 3, "at": waiting, "cause": "sync", "reason": "none", "recorded_at": r.now(),
		"head": 1000, "seq": 7, "created_at": r.now(), "size": 9,
		"first": start.AddDate(-1, 0, 0), "last": start.AddDate(1, 0, 0),
		"after": 0, "up_to": 1000, "organizations": []id.ID{organization},
		"subjects": ids(`SELECT subject_id::text FROM exposure_changes ORDER BY seq`), "known": ids(`SELECT id::text FROM exposure_changes ORDER BY seq`),
		"names": ids(`SELECT e.id::text FROM entity e CROSS JOIN` + moments + `ORDER BY e.id, m.at`), "names at": ats(`SELECT m.at FROM entity e CROSS JOIN` + moments + `ORDER BY e.id, m.at`),
		"paths": ids(`SELECT p.id::text FROM authority_path p CROSS JOIN` + moments + `ORDER BY p.id, m.at`), "paths at": ats(`SELECT m.at FROM authority_path p CROSS JOIN` + moments + `ORDER BY p.id, m.at`),
		"assets": ids(`SELECT id::text FROM asset_version ORDER BY id, version`), "assets at": ats(`SELECT to_at FROM asset_version ORDER BY id, version`),
		"outbox at": ats(`SELECT at FROM change_outbox ORDER BY at`), "outbox cause": r.texts(`SELECT cause FROM change_outbox ORDER BY at`),
		"gap at": ats(`SELECT at FROM change_gap ORDER BY at`), "gap cause": r.texts(`SELECT cause FROM change_gap ORDER BY at`),
	}
}

// ask sends a statement for acme and takes it back; it gives what was found and how
// many rows were touched. Nothing of the rival's is written.
func (r *newsroom) ask(conn *pgx.Conn, query db.Query, samples pgx.NamedArgs, tables []string, rival id.ID) []any {
	r.t.Helper()
	ctx := context.Background()
	args := pgx.NamedArgs{}
	for name, value := range samples {
		args[name] = value
	}
	switch query.Name {
	case "change.expand.names":
		args["ids"], args["ats"] = samples["names"], samples["names at"]
	case "change.expand.seen":
		args["ids"], args["ats"] = samples["assets"], samples["assets at"]
		args["lost"] = slices.Repeat([]bool{true}, len(samples["assets"].([]id.ID)))
	case "change.expand.beside":
		args["ats"] = samples["paths at"]
	case "change.read.changes_under", "change.read.count_changes_under":
		lineages := samples["subjects"].([]id.ID)
		args["of_lineages"], args["of_workloads"], args["of_paths"] = lineages, lineages, make([]*id.ID, len(lineages))
		args["of_types"], args["of_ordinals"] = make([]*int16, len(lineages)), make([]*int, len(lineages))
	case "change.read.changes_by_keys":
		args["ids"] = samples["known"]
	case "change.sequence.known":
		args["ids"] = samples["known"]
	case "change.sequence.finish":
		args["ats"], args["causes"] = samples["outbox at"], samples["outbox cause"]
	case "change.repair.gaps", "change.repair.missing":
		args["at"] = start.Add(-time.Hour)
	case "change.repair.mark_filled", "change.repair.refill":
		args["ats"], args["causes"] = samples["gap at"], samples["gap cause"]
	case "change.sequence.append":
		for name, value := range map[string]any{
			"ids": []id.ID{organization}, "change_types": []string{"sync_late"}, "entity_types": []string{"sync"}, "entity_ids": []id.ID{organization},
			"subject_ids": []id.ID{organization}, "workload_ids": []*id.ID{nil}, "asset_ids": []*id.ID{nil}, "exposure_types": []*int16{nil}, "exposure_ordinals": []*int{nil},
			"scan_ids": []*id.ID{nil}, "scan_job_ids": []*id.ID{nil}, "ledger_seqs": []*int64{nil}, "causes": []*id.ID{nil}, "classes": []int{-1},
			"titles": []string{"title"}, "descriptions": []*string{nil}, "severities": []*int16{nil}, "old_values": []*string{nil}, "new_values": []*string{nil},
			"metadata": []string{"{}"}, "ats": []time.Time{start},
		} {
			args[name] = value
		}
	case "change.sequence.tally":
		args["days"], args["change_types"], args["severities"], args["classes"], args["events"] = []time.Time{start}, []string{"sync_applied"}, []int16{0}, []int{-1}, []int64{1}
	}
	tx, err := conn.Begin(ctx)
	require.NoError(r.t, err)
	defer func() { require.NoError(r.t, tx.Rollback(ctx)) }()
	foreign := func() (digests []string) {
		for _, table := range tables {
			var digest string
			require.NoError(r.t, tx.QueryRow(ctx, `SELECT count(*) || coalesce(md5(string_agg(x::text || x.ctid::text || x.xmin::text, ' ' ORDER BY x.ctid)), '') FROM `+table+` x WHERE organization_id = $1`, rival).Scan(&digest))
			digests = append(digests, digest)
		}
		return digests
	}
	untouched := foreign()
	rows, err := tx.Query(ctx, query.SQL, args)
	require.NoError(r.t, err, query.Name)
	found, err := pgx.CollectRows(rows, pgx.RowToMap)
	require.NoError(r.t, err, query.Name)
	require.Equal(r.t, untouched, foreign(), query.Name)
	answer := []any{}
	for _, row := range found {
		answer = append(answer, row)
	}
	if touched := rows.CommandTag(); !touched.Select() && touched.RowsAffected() > 0 {
		answer = append(answer, touched.RowsAffected())
	}
	return answer
}

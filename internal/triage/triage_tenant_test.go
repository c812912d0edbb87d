package triage_test

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

var rival = id.Organization("rival")

// What belongs to another organization is not there, in the same words.
func TestForeign(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	b := d.many(selection(keys[0]), d.command(triage.Acknowledge, 0))
	mine := newPair(t)
	_, err := d.triage.RegisterKey(d.ctx, organization, "", mine.public)
	require.NoError(t, err)
	_, err = d.trySay("rival", path("restricted")...)
	require.NoError(t, err)
	eve := access.With(context.Background(), access.Actor{Subject: "eve", Role: access.Admin, Scopes: access.Scopes, Organizations: []string{"rival"}})
	before := d.rows()

	nowhere := exposure.Key{PathID: id.New("nowhere").Short(), Type: rule.SensitiveReach, Ordinal: 1}
	text := func(err error, key exposure.Key) string {
		require.Error(t, err)
		return strings.ReplaceAll(err.Error(), key.PathID.String(), "PATH")
	}
	var said []string
	for _, key := range []exposure.Key{keys[0], nowhere} {
		_, err := d.triage.Judge(eve, rival, key, d.command(triage.Unacknowledge, 2))
		require.Equal(t, "EXPOSURE_NOT_FOUND", codeOf(t, err))
		many, errMany := d.triage.JudgeMany(eve, rival, selection(key), d.command(triage.Unacknowledge, 0), true)
		require.NoError(t, errMany)
		require.Equal(t, "EXPOSURE_NOT_FOUND", many.Items[0].Code)
		require.Empty(t, many.Items[0].State)
		said = append(said, text(err, key))
	}
	require.Equal(t, said[0], said[1])
	_, err = d.triage.Undo(eve, rival, b.ID, "Back.", "undo")
	require.Equal(t, "BATCH_NOT_FOUND", codeOf(t, err))
	_, err = d.triage.RevokeKey(eve, rival, mine.id())
	require.Equal(t, "KEY_NOT_FOUND", codeOf(t, err))
	snapshot := d.Snapshot()
	defer snapshot.Close(eve)
	found, err := d.reader.BatchByID(eve, snapshot, rival, b.ID)
	require.NoError(t, err)
	require.Nil(t, found)
	decisions, err := d.reader.Decisions(eve, snapshot, rival, keys, 10)
	require.NoError(t, err)
	require.Empty(t, decisions)
	current, err := d.reader.CurrentDecisions(eve, snapshot, rival, keys)
	require.NoError(t, err)
	require.Empty(t, current)
	signing, err := d.reader.Keys(eve, snapshot, rival, "")
	require.NoError(t, err)
	require.Empty(t, signing)
	require.Equal(t, before, d.rows())

	// The key of one organization is free in another.
	_, err = d.triage.RegisterKey(eve, rival, "", mine.public)
	require.NoError(t, err)
}

// shadowed are what the statements of this package name.
var shadowed = []string{"exposure", "exposure_version", "ledger_entry", "ledger_request", "ledger_head", "ledger_tile", "signing_key"}

// shadow gives a rival the same rows under the same ids, with other values.
func shadow(t testing.TB, d *desk) {
	t.Helper()
	exec := func(sql string, args ...any) {
		_, err := d.super.Exec(context.Background(), sql, args...)
		require.NoError(t, err, sql)
	}
	exec(`SET session_replication_role = replica`)
	exec(`INSERT INTO organization SELECT $1, 'rival', 'rival', created_at FROM organization WHERE id = $2 ON CONFLICT DO NOTHING`, rival, organization)
	for _, table := range shadowed {
		exec(`INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, organization)
	}
	for _, statement := range []string{
		`UPDATE exposure SET disposition = 3, version = version + 50, decided_seq = 1, class = 7`, `UPDATE exposure_version SET decided_seq = 1, severity = 1`,
		`UPDATE ledger_entry SET body = '{}', actor = 'eve', at = at + interval '1 year'`,
		`UPDATE ledger_request SET digest = sha256('rival'), actor = actor, recorded_at = recorded_at + interval '1 year', refused = '{}'`,
		`UPDATE signing_key SET public_key = sha256('rival'), from_at = from_at + interval '1 year', subject = 'eve'`,
	} {
		exec(statement+` WHERE organization_id = $1`, rival)
	}
}

// TestReadPredicatesAlone reads everything, as it is and as it was, before and after
// another organization moved in with the same ids, with row level security off.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	b := d.many(selection(keys...), d.command(triage.Acknowledge, 0))
	_, err := d.triage.RegisterKey(d.ctx, organization, "", newPair(t).public)
	require.NoError(t, err)
	replacedAt := d.now().Add(2 * time.Hour)
	dbtest.Outdate(t, d.super, organization, replacedAt)
	for _, table := range shadowed {
		_, err := d.super.Exec(context.Background(), `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
		require.NoError(t, err)
	}
	paths, types, ordinals := make([]id.ID, len(keys)), make([]int16, len(keys)), make([]int, len(keys))
	for i, key := range keys {
		paths[i], types[i], ordinals[i] = key.PathID, int16(key.Type), key.Ordinal
	}
	named := pgx.StrictNamedArgs{"paths": paths, "types": types, "ordinals": ordinals}
	samples := map[string]pgx.StrictNamedArgs{
		"decisions":         {"paths": paths, "types": types, "ordinals": ordinals, "kinds": triage.DecisionKinds(), "limit": 10},
		"current_decisions": named, "request_of_batch": {"batch": b.ID}, "entries_of_batch": {"batch": b.ID}, "signing_keys": {},
		"organization_known": {},
	}
	ask := func() map[string]any {
		answers := map[string]any{}
		snapshot := d.Snapshot()
		defer snapshot.Close(d.ctx)
		for _, query := range triage.ReadQueries.All() {
			args, ok := samples[strings.TrimPrefix(query.Name, "triage.read.")]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			found, err := db.Column[string](d.ctx, snapshot.Of(organization), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, found, "%s: no answer proves nothing", query.Name)
			slices.Sort(found)
			answers[query.Name] = found
			if query.Past == "" {
				continue
			}
			whole.Past = "SELECT to_jsonb(q)::text FROM (" + query.Past + ") q"
			for when, at := range map[string]time.Time{"@before": replacedAt.Add(-time.Hour), "@after": replacedAt.AddDate(50, 0, 0)} {
				found, err := db.Column[string](d.ctx, snapshot.At(at).Of(organization), whole, args)
				require.NoError(t, err, query.Name)
				require.NotEmpty(t, found, "%s%s: no past proves nothing", query.Name, when)
				slices.Sort(found)
				answers[query.Name+when] = found
			}
		}
		stored, err := d.reader.BatchByID(d.ctx, snapshot, organization, b.ID)
		require.NoError(t, err)
		form, err := json.Marshal(stored)
		require.NoError(t, err)
		answers["batch"] = string(form)
		return answers
	}
	before := ask()
	shadow(t, d)
	require.Equal(t, before, ask())
}

// TestDecidePredicatesAlone does the same with all that a decision reads and
// writes: the rival's rows stay as they are, and change nothing.
func TestDecidePredicatesAlone(t *testing.T) {
	t.Parallel()
	play := func(shadowing bool) (outcome []string) {
		d, keys := pile(t)
		mine := newPair(t)
		d.judge(keys[3], triage.Acknowledge, 1)
		marked := d.many(selection(keys[0], keys[1]), d.command(triage.MarkFalsePositive, 0))
		empty := d.many(selection(exposure.Key{PathID: organization, Type: 1, Ordinal: 1}), d.command(triage.Acknowledge, 0))
		_, err := d.triage.RegisterKey(d.ctx, organization, "", mine.public)
		require.NoError(t, err)
		foreign := func() (marks []string) {
			for _, table := range shadowed {
				rows, err := d.super.Query(context.Background(), `SELECT $2 || x::text FROM `+table+` x WHERE organization_id = $1 ORDER BY x::text`, rival, table)
				require.NoError(t, err)
				list, err := pgx.CollectRows(rows, pgx.RowTo[string])
				require.NoError(t, err)
				marks = append(marks, list...)
			}
			return marks
		}
		if shadowing {
			for _, table := range shadowed {
				_, err := d.super.Exec(context.Background(), `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
				require.NoError(t, err)
			}
			shadow(t, d)
		}
		before := foreign()
		require.Equal(t, shadowing, len(before) > 0)
		note := func(value any, err error) {
			form, _ := json.Marshal(value)
			outcome = append(outcome, string(form))
			if err != nil {
				outcome = append(outcome, err.Error())
			}
		}
		d.Statements.Reset()
		signed := mine.signed(t, keys[3], d.command(triage.Unacknowledge, 2))
		first, err := d.triage.Judge(d.ctx, organization, keys[3], signed)
		require.NoError(t, err)
		again, err := d.triage.Judge(d.ctx, organization, keys[3], signed)
		require.NoError(t, err)
		require.Equal(t, first.Decision, again.Decision)
		_, err = d.triage.Judge(d.ctx, organization, keys[2], d.command(triage.Acknowledge, 9))
		note(nil, err)
		rehearsed, err := d.triage.JudgeMany(d.ctx, organization, triage.Selection{Filter: &exposure.Filter{Types: []rule.Type{rule.SensitiveReach}}},
			d.command(triage.Acknowledge, 0), true)
		require.NoError(t, err)
		note(fared(rehearsed), nil)
		unmarked := d.many(triage.Selection{Filter: &exposure.Filter{Types: []rule.Type{rule.SensitiveReach}, Statuses: []exposure.Status{exposure.StatusFalsePositive}}},
			d.command(triage.UnmarkFalsePositive, 0))
		note(fared(unmarked), nil)
		undone, err := d.triage.Undo(d.ctx, organization, unmarked.ID, "Back.", "undo-1")
		require.NoError(t, err)
		note(fared(undone), nil)
		_, err = d.triage.Undo(d.ctx, organization, marked.ID, "Back.", "undo-2")
		note(nil, err)
		_, err = d.triage.Undo(d.ctx, organization, empty.ID, "Back.", "undo-3")
		require.Equal(t, "NOTHING_TO_UNDO", codeOf(t, err))
		d.judge(keys[2], triage.Resolve, 1)
		second := newPair(t)
		_, err = d.triage.RegisterKey(d.ctx, organization, "", second.public)
		require.NoError(t, err)
		_, err = d.triage.RevokeKey(d.ctx, organization, mine.id())
		require.NoError(t, err)
		_, err = d.super.Exec(context.Background(), `UPDATE exposure SET disposition = 1, decided_seq = NULL WHERE organization_id = $1 AND path_id = $2 AND type = $3`, organization, keys[3].PathID, keys[3].Type)
		require.NoError(t, err)
		mended, left, err := d.triage.Rebuild(d.ctx, organization)
		require.NoError(t, err)
		require.Len(t, mended.Differences, 1)
		require.Empty(t, left.Differences)
		outcome = append(outcome, mended.Ledger.String(), left.Tables.String())
		sent := d.Statements.Sent()
		for _, query := range triage.DecideQueries.All() {
			require.Contains(t, sent, query.Name, "every statement is played")
		}
		require.Equal(t, before, foreign(), "what is the rival's stays")
		return outcome
	}
	// Instants and sequences are the same, because the clock is the test's.
	require.Equal(t, play(false), play(true))
}

// fared are how the exposures of a batch fared, in their order.
func fared(b *triage.Batch) (list []string) {
	for _, item := range b.Items {
		text := string(item.State) + " " + item.Code
		if item.Decision != nil {
			text += string(item.Decision.Reason) + " " + string(item.Decision.To)
		}
		list = append(list, text)
	}
	return list
}

// TestTablesHaveTheirPredicate counts, because an answer cannot prove every
// predicate.
func TestTablesHaveTheirPredicate(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\b(?:FROM|JOIN|UPDATE)\s+(` + strings.Join(shadowed, "|") + `)\s+([a-z]+)\b`)
	mentions := 0
	for _, query := range append(triage.ReadQueries.All(), triage.DecideQueries.All()...) {
		for _, m := range mention.FindAllStringSubmatch(query.SQL, -1) {
			mentions++
			require.Contains(t, query.SQL, m[2]+".organization_id = @organization", "%s: %s", query.Name, m[1])
		}
	}
	require.Equal(t, 25, mentions)
}

// The role of the server cannot edit what was decided.
func TestDecisionsStay(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	d.judge(keys[0], triage.Acknowledge, 1)
	runtime := d.Runtime(t)
	_, err := runtime.Exec(context.Background(), `SELECT set_config('app.organization', $1, false)`, organization.String())
	require.NoError(t, err)
	for _, statement := range []string{
		`UPDATE ledger_request SET actor = 'forged'`, `DELETE FROM ledger_request`, `TRUNCATE ledger_request`, `DELETE FROM signing_key`, `DELETE FROM exposure`,
	} {
		_, err := runtime.Exec(context.Background(), statement)
		require.ErrorContains(t, err, "42501", statement)
	}
}

package book_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The tests have few rows, and every boundary of a page must be crossed all the
// same.
func TestMain(m *testing.M) {
	book.SetPageRows(3, 50)
	dbtest.Main(m)
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// written is the server's wall clock, which is not that of an organization.
var written = time.Date(2026, 3, 2, 8, 30, 0, 123456000, time.UTC)

// desk is a database with organizations that a test writes to.
type desk struct {
	*dbtest.Database

	book  *book.Book
	super *pgx.Conn
	ctx   context.Context
}

func newDesk(t testing.TB, slugs ...string) *desk {
	t.Helper()
	d := &desk{Database: dbtest.New(t), book: book.New(func() time.Time { return written })}
	d.super = d.Super(t)
	d.ctx = as("ann", access.Scopes...)
	d.exec(t, `SET session_replication_role = replica`)
	for _, slug := range append([]string{"acme"}, slugs...) {
		d.exec(t, `INSERT INTO organization VALUES ($1, $2, $2, $3)`, id.Organization(slug), slug, epoch)
	}
	return d
}

func as(subject string, scopes ...access.Scope) context.Context {
	return access.With(context.Background(), access.Actor{Subject: subject, Role: access.Client, Scopes: scopes, Organizations: []string{"acme", "rival"}})
}

var acme = id.Organization("acme")

func organization(slug string) *org.Organization {
	return &org.Organization{ID: id.Organization(slug), Slug: slug, Name: slug}
}

func (d *desk) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := d.super.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

func column[T any](t testing.TB, d *desk, sql string, args ...any) []T {
	t.Helper()
	rows, err := d.super.Query(context.Background(), sql, args...)
	require.NoError(t, err, sql)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return list
}

func (d *desk) append(ctx context.Context, slug string, drafts ...book.Draft) (posted []book.Posted, err error) {
	err = d.Tenant(ctx, id.Organization(slug), func(tx *db.Tx) error {
		posted, err = d.book.Append(ctx, tx, drafts...)
		return err
	})
	return posted, err
}

func (d *desk) post(t testing.TB, drafts ...book.Draft) []book.Posted {
	t.Helper()
	posted, err := d.append(d.ctx, "acme", drafts...)
	require.NoError(t, err)
	return posted
}

func (d *desk) verify(t testing.TB, slug string, trust book.Trust) *book.Report {
	t.Helper()
	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	report, err := d.book.Verify(d.ctx, snapshot, organization(slug), trust)
	require.NoError(t, err)
	return report
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

// named is an id for a name.
func named(name string) id.ID { return id.New("test").Text(name).Short() }

func ptr[T any](v T) *T { return &v }

// at is an instant so many seconds after the epoch.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// snapshotted is the draft of a snapshot, with its row.
func (d *desk) snapshotted(t testing.TB, seconds int) book.Draft {
	t.Helper()
	d.exec(t, `INSERT INTO posture_snapshot (organization_id, at, paths, dormant_paths, executions, invalid_paths, executed_invalid_paths, workloads, clusters)
		VALUES ($1, $2, $3, 0, 0, 0, 0, 7, '{"llm-egress": {"paths": 2, "executions": 9}}')`, acme, at(seconds), seconds)
	payload := column[[]byte](t, d, `SELECT to_jsonb(s) - 'organization_id' - 'at' FROM posture_snapshot s WHERE organization_id = $1 AND at = $2`, acme, at(seconds))[0]
	return book.Draft{Kind: ledger.PostureSnapshotted, Subject: ledger.Subject{Kind: ledger.SubjectOrganization}, OccurredAt: at(seconds), Payload: rawJSON(payload)}
}

type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// noted is the draft of an attested baseline, which needs no other row than its own.
func noted(seconds int, note string) book.Draft {
	return book.Draft{Kind: ledger.BaselineAttested, Subject: ledger.Subject{Kind: ledger.SubjectIdentity, ID: ptr(named("identity"))},
		OccurredAt: at(seconds), Payload: map[string]any{"note": note}}
}

// exposed is the subject of an exposure.
func exposed(path string, t rule.Type, ordinal int) ledger.Subject {
	return ledger.Subject{Kind: ledger.SubjectExposure, Path: ptr(named(path)), Type: ledger.TypeWord(t), Ordinal: ordinal}
}

// exposure writes the row of one that was opened.
func (d *desk) exposure(t testing.TB, path string, typ rule.Type, ordinal, from int, evidence string) {
	t.Helper()
	d.exec(t, `INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition,
		effective_from, effective_basis, lineage_from, version, version_from, from_at)
		VALUES ($1, $2, $3, $4, $5, 0, 2, 0, 'x', $6, 1, $7, 'detected', $7, 1, $7, $7)`, acme, named(path), typ, ordinal, named("workload"), named(evidence), at(from))
}

// revise keeps the version that an exposure has and begins another.
func (d *desk) revise(t testing.TB, path string, typ rule.Type, ordinal, seconds int) (version int) {
	t.Helper()
	d.exec(t, `INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest, disposition, decided_seq)
		SELECT organization_id, path_id, type, ordinal, version, version_from, $5, class, severity, factors, explanation, evidence_digest, disposition, decided_seq
		FROM exposure WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND ordinal = $4`, acme, named(path), typ, ordinal, at(seconds))
	return column[int](t, d, `UPDATE exposure SET version = version + 1, version_from = $5 WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND ordinal = $4 RETURNING version`,
		acme, named(path), typ, ordinal, at(seconds))[0]
}

var words = map[int16]string{1: "open", 2: "acknowledged", 4: "false_positive"}

// decide does what a person's decision does to the row of an exposure.
func (d *desk) decide(t testing.TB, path string, typ rule.Type, ordinal, seconds int, kind ledger.Kind, disposition int16) int64 {
	t.Helper()
	version := d.revise(t, path, typ, ordinal, seconds)
	seq := d.post(t, book.Draft{Kind: kind, Subject: exposed(path, typ, ordinal), OccurredAt: at(seconds), Class: 3,
		Payload: map[string]any{"expectedVersion": version - 1, "version": version, "to": words[disposition], "justification": fmt.Sprint("because ", seconds)}})[0].Seq
	d.exec(t, `UPDATE exposure SET disposition = $5, decided_seq = $6 WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND ordinal = $4`,
		acme, named(path), typ, ordinal, disposition, seq)
	return seq
}

// resolve ends the interval of an exposure: by hand where no reason is given.
func (d *desk) resolve(t testing.TB, path string, typ rule.Type, ordinal, seconds int, reason rule.Reason) {
	t.Helper()
	if reason != "" {
		d.exec(t, `UPDATE exposure SET to_at = $5, resolution_reason = $6 WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND ordinal = $4`,
			acme, named(path), typ, ordinal, at(seconds), reason)
		return
	}
	seq := d.post(t, book.Draft{Kind: ledger.Resolved, Subject: exposed(path, typ, ordinal), OccurredAt: at(seconds),
		Payload: map[string]any{"expectedVersion": 1, "version": 1, "to": "resolved", "justification": "gone"}})[0].Seq
	d.exec(t, `UPDATE exposure SET to_at = $5, resolution_reason = 'manual', decided_seq = $6 WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND ordinal = $4`,
		acme, named(path), typ, ordinal, at(seconds), seq)
}

// story is a ledger of more than a tile, with every row that follows from it:
//
//	1–3      imported: a snapshot, a baseline, a justification
//	4        the justification is replaced, 5 and withdrawn
//	6–8      a is acknowledged, reopened, acknowledged again
//	9        b is called false; its second interval inherits that
//	10       c is resolved by hand, and opens again
//	11–12    a key is registered and revoked
//	13–272   snapshots
func story(t testing.TB, d *desk) {
	t.Helper()
	d.snapshotted(t, -30)
	d.exec(t, `INSERT INTO evaluation VALUES ($1, $2, $2, 'request', 'bob', 0, 0, 0)`, acme, at(-30))
	d.exec(t, `INSERT INTO scope_baseline VALUES ($1, $2, $3, 'observed', NULL, NULL), ($1, $2, $4, 'attested', 'bob', 'Reviewed.')`, acme, named("identity"), at(-25), at(-20))
	d.exec(t, `INSERT INTO privilege_justification (organization_id, path_id, from_at, actor, justification, actions) VALUES ($1, $2, $3, 'bob', 'For the audit.', '{get,list}')`, acme, named("a"), at(-10))

	justify := func(seconds int, text string) {
		d.exec(t, `UPDATE privilege_justification SET to_at = $2, withdrawn_by = 'ann' WHERE organization_id = $1 AND to_at IS NULL`, acme, at(seconds))
		if text == "" {
			d.post(t, book.Draft{Kind: ledger.JustificationWithdrawn, Subject: ledger.Subject{Kind: ledger.SubjectPath, ID: ptr(named("a"))}, OccurredAt: at(seconds)})
			return
		}
		d.exec(t, `INSERT INTO privilege_justification (organization_id, path_id, from_at, actor, justification, actions) VALUES ($1, $2, $3, 'ann', $4, '{put}')`, acme, named("a"), at(seconds), text)
		d.post(t, book.Draft{Kind: ledger.JustificationRecorded, Subject: ledger.Subject{Kind: ledger.SubjectPath, ID: ptr(named("a"))}, OccurredAt: at(seconds),
			Payload: map[string]any{"text": text, "actions": []string{"put"}, "replaces": true}})
	}
	justify(1, "For the migration.")
	justify(2, "")

	d.exposure(t, "a", rule.OrphanedPath, 1, -5, "evidence")
	d.decide(t, "a", rule.OrphanedPath, 1, 3, ledger.Acknowledged, 2)
	d.decide(t, "a", rule.OrphanedPath, 1, 4, ledger.Unacknowledged, 1)
	d.decide(t, "a", rule.OrphanedPath, 1, 5, ledger.Acknowledged, 2)

	d.exposure(t, "b", rule.SensitiveReach, 1, -5, "evidence")
	seq := d.decide(t, "b", rule.SensitiveReach, 1, 6, ledger.MarkedFalsePositive, 4)
	d.resolve(t, "b", rule.SensitiveReach, 1, 7, rule.OwnerAssigned)
	d.exposure(t, "b", rule.SensitiveReach, 2, 8, "evidence")
	d.exec(t, `UPDATE exposure SET disposition = 4, decided_seq = $3 WHERE organization_id = $1 AND path_id = $2 AND ordinal = 2`, acme, named("b"), seq)
	d.revise(t, "b", rule.SensitiveReach, 2, 9)
	d.exec(t, `UPDATE exposure SET evidence_digest = $3 WHERE organization_id = $1 AND path_id = $2 AND ordinal = 2`, acme, named("b"), named("other evidence"))

	d.exposure(t, "c", rule.DegradedOwnership, 1, -5, "evidence")
	d.resolve(t, "c", rule.DegradedOwnership, 1, 10, "")
	d.exposure(t, "c", rule.DegradedOwnership, 2, 11, "evidence")
	d.exposure(t, "d", rule.DormantPath, 1, -5, "evidence")

	public := named("public key")
	d.exec(t, `INSERT INTO signing_key (organization_id, id, subject, public_key, from_at, added_by) VALUES ($1, 'key', 'ann', $2::bytea || $2, $3, 'ann')`, acme, public[:], at(12))
	d.post(t, book.Draft{Kind: ledger.SigningKeyRegistered, Subject: ledger.Subject{Kind: ledger.SubjectKey, Name: "key"}, OccurredAt: at(12),
		Payload: map[string]any{"subject": "ann", "publicKey": base64.StdEncoding.EncodeToString(append(public[:], public[:]...))}})
	d.exec(t, `UPDATE signing_key SET to_at = $2, ended_by = 'ann' WHERE organization_id = $1`, acme, at(13))
	d.post(t, book.Draft{Kind: ledger.SigningKeyRevoked, Subject: ledger.Subject{Kind: ledger.SubjectKey, Name: "key"}, OccurredAt: at(13), Payload: map[string]any{"subject": "ann"}})

	var drafts []book.Draft
	for i := range 260 {
		drafts = append(drafts, d.snapshotted(t, 20+i))
	}
	d.post(t, drafts...)
}

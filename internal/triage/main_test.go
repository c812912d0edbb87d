package triage_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// histories are the checks of a property unless -rapid.checks says otherwise.
const histories = 70

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", strconv.Itoa(histories)); err != nil {
		panic(err)
	}
	dbtest.Main(m)
}

// epoch is when the tests' clocks begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const slug = "acme"

var organization = id.Organization(slug)

// desk is an organization whose facts a test says and whose exposures it judges.
type desk struct {
	*dbtest.Database
	t      testing.TB
	paths  *authority.Service
	triage *triage.Service
	reader triage.Reader
	super  *pgx.Conn
	ctx    context.Context // of ann, who may do everything
	clock  atomic.Int64
	keys   atomic.Int64 // idempotency keys so far
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{Database: dbtest.New(t), t: t}
	d.clock.Store(epoch.UnixMicro())
	d.paths = authority.New(d.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), d.now, slog.New(slog.DiscardHandler))
	d.triage = triage.New(d.DB, d.paths, d.now)
	d.super = d.Super(t)
	d.ctx = d.as("ann", access.Scopes...)
	return d
}

func (d *desk) now() time.Time { return time.UnixMicro(d.clock.Load()).UTC() }

func (d *desk) advance(by time.Duration) { d.clock.Add(by.Microseconds()) }

func (d *desk) as(subject string, scopes ...access.Scope) context.Context {
	return access.With(context.Background(), access.Actor{Subject: subject, Role: access.Client, Organizations: []string{slug}, Scopes: scopes})
}

// say makes facts the whole of what the source says.
func (d *desk) say(facts ...record.Fact) *authority.SyncReport {
	d.t.Helper()
	d.advance(time.Hour)
	report, err := d.trySay(slug, facts...)
	require.NoError(d.t, err)
	return report
}

func (d *desk) trySay(slug string, facts ...record.Fact) (*authority.SyncReport, error) {
	ctx := access.With(context.Background(), access.Actor{Subject: "feed", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return d.paths.Sync(ctx, authority.SyncRequest{
		Organization: slug, Format: "snapshot", CreateOrganization: true, Strict: true, ObservedAt: d.now(),
	}, func(out record.Emitter) error {
		for i, fact := range facts {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	})
}

// wait lets time pass and judges by it.
func (d *desk) wait(by time.Duration) *authority.Evaluation {
	d.t.Helper()
	d.advance(by)
	evaluation, err := d.paths.Reevaluate(d.ctx, organization, authority.ByTime, nil)
	require.NoError(d.t, err)
	return evaluation
}

func (d *desk) number(sql string, args ...any) (n int) {
	d.t.Helper()
	require.NoError(d.t, d.super.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

// path finds the path of a workload to a resource.
func (d *desk) path(workload, resource string) (found id.ID) {
	d.t.Helper()
	require.NoError(d.t, d.super.QueryRow(context.Background(), `SELECT p.id FROM authority_path p
		JOIN entity w ON w.organization_id = p.organization_id AND w.id = p.workload_id
		JOIN entity r ON r.organization_id = p.organization_id AND r.id = p.resource_id
		WHERE p.organization_id = $1 AND w.external_id = $2 AND r.external_id = $3`, organization, workload, resource).Scan(&found))
	return found
}

// key names the exposure of w1's path to the ledger.
func (d *desk) key(t rule.Type, ordinal int) exposure.Key {
	d.t.Helper()
	return exposure.Key{PathID: d.path("w1", "ledger"), Type: t, Ordinal: ordinal}
}

// command is one with a justification and a key of its own.
func (d *desk) command(action triage.Action, expected int) triage.Command {
	c := triage.Command{Action: action, ExpectedVersion: expected, Justification: "Looked at it.", IdempotencyKey: fmt.Sprintf("key-%d", d.keys.Add(1))}
	if action == triage.MarkFalsePositive {
		c.Reason = triage.WrongData
	}
	return c
}

// judge expects that it can be done.
func (d *desk) judge(key exposure.Key, action triage.Action, expected int) *triage.Outcome {
	d.t.Helper()
	d.advance(time.Minute)
	outcome, err := d.triage.Judge(d.ctx, organization, key, d.command(action, expected))
	require.NoError(d.t, err)
	return outcome
}

// refused expects that it cannot, and gives the code and the message.
func (d *desk) refused(key exposure.Key, c triage.Command) (code, message string) {
	d.t.Helper()
	before := d.rows()
	_, err := d.triage.Judge(d.ctx, organization, key, c)
	require.Equal(d.t, before, d.rows(), "what is refused writes nothing")
	return codeOf(d.t, err), err.Error()
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

// rows counts what decisions write.
func (d *desk) rows() map[string]int {
	counts := map[string]int{}
	for _, table := range []string{"ledger_entry", "ledger_request", "ledger_tile", "exposure", "exposure_version", "signing_key", "evaluation", "sync",
		"cluster_member", "cluster_counter_version", "posture_counter_version", "posture_snapshot"} {
		counts[table] = d.number(`SELECT count(*) FROM ` + table)
	}
	counts["versions"] = d.number(`SELECT coalesce(sum(version * (1 + disposition)), 0) FROM exposure`)
	counts["resolved"] = d.number(`SELECT count(*) FROM exposure WHERE to_at IS NOT NULL`)
	return counts
}

// row is the exposure as it stands: state, version and the entry that it follows from.
func (d *desk) row(key exposure.Key) (state triage.State, version int, seq int64) {
	d.t.Helper()
	var disposition exposure.Disposition
	var to *time.Time
	var decided *int64
	require.NoError(d.t, d.super.QueryRow(context.Background(), `SELECT disposition, version, to_at, decided_seq FROM exposure
		WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND ordinal = $4`, organization, key.PathID, key.Type, key.Ordinal).
		Scan(&disposition, &version, &to, &decided))
	if decided != nil {
		seq = *decided
	}
	return triage.StateOf(disposition, to != nil), version, seq
}

// holds counts everything again by other code.
func (d *desk) holds(slug string) {
	d.t.Helper()
	found, err := d.broken(slug)
	require.NoError(d.t, err)
	require.Empty(d.t, found)
}

func (d *desk) broken(slug string) (found []invariant.Finding, err error) {
	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	report, err := invariant.Check(d.ctx, snapshot, &org.Organization{ID: id.Organization(slug), Slug: slug}, posture.Definitions)
	for _, check := range report.Checks {
		found = append(found, check.First...)
	}
	return found, err
}

// Facts -------------------------------------------------------------------------

func ref(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, SourceID: name}
}

func edge(kind record.EdgeKind, from, to record.Ref, scope string, actions ...string) record.Edge {
	return record.Edge{Kind: kind, From: from, To: to, Scope: scope, Actions: actions}
}

// path is what it takes for "w1" to reach "ledger" through "i1", and for nobody to
// own it: sensitive_reach and orphaned_path.
func path(sensitivity string) []record.Fact {
	return []record.Fact{
		record.Entity{Ref: ref(record.Workload, "w1")}, record.Entity{Ref: ref(record.Identity, "i1")}, record.Entity{Ref: ref(record.Role, "reader")},
		record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: sensitivity, DataDomain: "finance"},
		edge(record.RunsAs, ref(record.Workload, "w1"), ref(record.Identity, "i1"), ""),
		edge(record.HasRole, ref(record.Identity, "i1"), ref(record.Role, "reader"), "*"),
		edge(record.Grants, ref(record.Role, "reader"), ref(record.Resource, "ledger"), "*", "get"),
		record.Coverage{Kind: record.Ownership}, record.Coverage{Kind: record.EgressObs},
	}
}

// owned gives w1 an owner.
func owned() []record.Fact {
	return []record.Fact{
		record.Entity{Ref: ref(record.Owner, "olga"), OwnerType: record.Individual, Status: record.Active},
		edge(record.OwnedBy, ref(record.Workload, "w1"), ref(record.Owner, "olga"), ""),
	}
}

// wide is a workload with as many paths, all of them orphaned and sensitive.
func wide(resources int) []record.Fact {
	facts := path("restricted")
	for i := range resources - 1 {
		resource := ref(record.Resource, fmt.Sprintf("vault-%d", i))
		facts = append(facts, record.Entity{Ref: resource, Sensitivity: "restricted"},
			edge(record.Grants, ref(record.Role, "reader"), resource, "*", "get"))
	}
	return facts
}

func with(facts []record.Fact, more ...[]record.Fact) []record.Fact {
	all := append([]record.Fact(nil), facts...)
	for _, m := range more {
		all = append(all, m...)
	}
	return all
}

package change_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// start is when the tests' clocks begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const slug = "acme"

var organization = id.Organization(slug)

var discard = slog.New(slog.DiscardHandler)

// newsroom is an organization whose facts a test says, and whose feed it reads.
type newsroom struct {
	*dbtest.Database
	t         testing.TB
	paths     *authority.Service
	triage    *triage.Service
	sequencer *change.Sequencer
	repairer  *change.Repairer
	super     *pgx.Conn
	ctx       context.Context
	clock     atomic.Int64
	keys      int
}

func newRoom(t testing.TB) *newsroom {
	t.Helper()
	r := &newsroom{Database: dbtest.New(t), t: t}
	r.clock.Store(start.UnixMicro())
	r.paths = r.service()
	r.triage = triage.New(r.DB, r.paths, r.now)
	r.sequencer = change.NewSequencer(r.DB, r.now, discard)
	r.repairer = change.NewRepairer(r.DB, r.now, discard)
	r.super = r.Super(t)
	r.ctx = access.With(context.Background(), access.Actor{Subject: "ann", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return r
}

func (r *newsroom) service() *authority.Service {
	return authority.New(r.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), r.now, discard).
		WithSurface(asset.NewSurface(asset.DefaultThresholds()))
}

func (r *newsroom) now() time.Time { return time.UnixMicro(r.clock.Load()).UTC() }

func (r *newsroom) advance(by time.Duration) { r.clock.Add(by.Microseconds()) }

// say makes facts the whole of what the source says.
func (r *newsroom) say(facts ...record.Fact) *authority.SyncReport {
	r.t.Helper()
	r.advance(time.Hour)
	return r.sayAt(r.now(), facts...)
}

func (r *newsroom) sayAt(observed time.Time, facts ...record.Fact) *authority.SyncReport {
	r.t.Helper()
	report, err := r.paths.Sync(r.ctx, authority.SyncRequest{
		Organization: slug, Format: "snapshot", Source: "cmdb", System: "prod", CreateOrganization: true, Strict: true, ObservedAt: observed,
	}, func(out record.Emitter) error {
		for i, fact := range facts {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(r.t, err)
	return report
}

// judge expects that it can be done.
func (r *newsroom) judge(path id.ID, t rule.Type, action triage.Action, expected int) *triage.Outcome {
	r.t.Helper()
	r.advance(time.Minute)
	r.keys++
	c := triage.Command{Action: action, ExpectedVersion: expected, Justification: "Looked at it.", IdempotencyKey: fmt.Sprintf("key-%d", r.keys)}
	if action == triage.MarkFalsePositive {
		c.Reason = triage.WrongData
	}
	outcome, err := r.triage.Judge(r.ctx, organization, exposure.Key{PathID: path, Type: t, Ordinal: 1}, c)
	require.NoError(r.t, err)
	return outcome
}

// path finds the path of a workload through an identity to a resource.
func (r *newsroom) path(workload, identity, resource string) (found id.ID) {
	r.t.Helper()
	require.NoError(r.t, r.super.QueryRow(context.Background(), `SELECT p.id FROM authority_path p
		JOIN entity w ON w.organization_id = p.organization_id AND w.id = p.workload_id
		JOIN entity i ON i.organization_id = p.organization_id AND i.id = p.identity_id
		JOIN entity r ON r.organization_id = p.organization_id AND r.id = p.resource_id
		WHERE p.organization_id = $1 AND w.external_id = $2 AND i.external_id = $3 AND r.external_id = $4`, organization, workload, identity, resource).Scan(&found))
	return found
}

// drain publishes everything, and holds the feed to what it promises.
func (r *newsroom) drain() []*told {
	r.t.Helper()
	rows, err := r.super.Query(r.ctx, `SELECT at, size FROM change_outbox`)
	require.NoError(r.t, err)
	type note struct {
		At   time.Time
		Size int
	}
	notes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[note])
	require.NoError(r.t, err)
	head, err := r.sequencer.Drain(r.ctx, organization)
	require.NoError(r.t, err)
	list := r.feed()
	require.Len(r.t, list, int(head))
	for _, n := range notes {
		events := slices.DeleteFunc(slices.Clone(list), func(e *told) bool { return !e.At.Equal(n.At) })
		require.LessOrEqual(r.t, len(events), n.Size, "what is not noted is not looked for: %s", n.At)
	}
	require.Zero(r.t, r.number(`SELECT count(*) FROM change_outbox`))
	return list
}

// recount holds the feed against the history by code that knows nothing of how it
// was made.
func (r *newsroom) recount() []invariant.Finding {
	r.t.Helper()
	snapshot := r.Snapshot()
	defer snapshot.Close(r.ctx)
	report, err := invariant.Check(r.ctx, snapshot, &org.Organization{ID: organization, Slug: slug}, posture.Definitions)
	require.NoError(r.t, err)
	for _, check := range report.Checks {
		if check.Check == invariant.Feed {
			return check.First
		}
	}
	return nil
}

// told is a row of the feed.
type told struct {
	Seq             int64
	ID              id.ID
	ChangeType      change.Kind
	EntityType      change.EntityType
	EntityID        id.ID
	SubjectID       id.ID
	WorkloadID      *id.ID
	AssetID         *id.ID
	ExposureType    *rule.Type
	ExposureOrdinal *int
	ScanID          *id.ID
	ScanJobID       *id.ID
	LedgerSeq       *int64
	CausedBy        *id.ID
	Class           int
	Title           string
	Description     *string
	Severity        *rule.Severity
	OldValue        map[string]any
	NewValue        map[string]any
	Metadata        map[string]any
	At              time.Time
	CreatedAt       time.Time
}

// feed reads the whole feed, and holds it to its numbers, its ids, its causes and
// its days.
func (r *newsroom) feed() []*told {
	r.t.Helper()
	rows, err := r.super.Query(context.Background(), `SELECT seq, id, change_type, entity_type, entity_id, subject_id, workload_id, asset_id, exposure_type, exposure_ordinal,
		scan_id, scan_job_id, ledger_seq, caused_by, class, title, description, severity, old_value, new_value, metadata, at, created_at
		FROM exposure_changes WHERE organization_id = $1 ORDER BY seq`, organization)
	require.NoError(r.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[told])
	require.NoError(r.t, err)
	byID := map[id.ID]*told{}
	for i, e := range list {
		require.Equal(r.t, int64(i+1), e.Seq, "the numbers have no gap")
		require.NotContains(r.t, byID, e.ID)
		require.Contains(r.t, e.ChangeType.EntityTypes(), e.EntityType)
		byID[e.ID] = e
	}
	for _, e := range list {
		if e.CausedBy != nil {
			cause := byID[*e.CausedBy]
			require.NotNil(r.t, cause, "%s follows from what is in the feed", e.Title)
			require.True(r.t, cause.At.Equal(e.At))
		}
	}
	require.Equal(r.t, len(list), r.number(`SELECT coalesce(sum(events), 0) FROM exposure_change_day WHERE organization_id = $1`, organization))
	require.Zero(r.t, r.number(`SELECT count(*) FROM (SELECT (at AT TIME ZONE 'UTC')::date, change_type, coalesce(severity, 0)::smallint, class, count(*) FROM exposure_changes GROUP BY 1, 2, 3, 4
		EXCEPT SELECT day, change_type, severity, class, events FROM exposure_change_day) AS x`), "the days are those of the events")
	return list
}

func (r *newsroom) number(sql string, args ...any) (n int) {
	r.t.Helper()
	require.NoError(r.t, r.super.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

func (r *newsroom) exec(sql string, args ...any) {
	r.t.Helper()
	_, err := r.super.Exec(context.Background(), sql, args...)
	require.NoError(r.t, err, sql)
}

// lines are events as a test says them: their kinds and titles.
func lines(list []*told) []string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = string(e.ChangeType) + ": " + e.Title
	}
	return texts
}

// plain is an event without what publishing adds.
func plain(t testing.TB, list []*told) []string {
	t.Helper()
	texts := make([]string, len(list))
	for i, e := range list {
		bare := *e
		bare.Seq, bare.CreatedAt = 0, time.Time{}
		text, err := json.Marshal(bare)
		require.NoError(t, err)
		texts[i] = string(text)
	}
	return texts
}

// Facts -------------------------------------------------------------------------

func ref(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, SourceID: name}
}

func edge(kind record.EdgeKind, from, to record.Ref, scope string, actions ...string) record.Edge {
	return record.Edge{Kind: kind, From: from, To: to, Scope: scope, Actions: actions}
}

// runs is a workload that runs as an identity which holds the role.
func runs(workload, identity string) []record.Fact {
	return []record.Fact{
		record.Entity{Ref: ref(record.Workload, workload)}, record.Entity{Ref: ref(record.Identity, identity)},
		edge(record.RunsAs, ref(record.Workload, workload), ref(record.Identity, identity), ""),
		edge(record.HasRole, ref(record.Identity, identity), ref(record.Role, "reader"), "*"),
	}
}

// grants is what the role gives on a resource.
func grants(resource, sensitivity string, actions ...string) []record.Fact {
	return []record.Fact{
		record.Entity{Ref: ref(record.Resource, resource), Sensitivity: sensitivity, DataDomain: "finance"},
		edge(record.Grants, ref(record.Role, "reader"), ref(record.Resource, resource), "*", actions...),
	}
}

// world is facts together, with the role and the claim that owners and egress are
// known completely.
func world(parts ...[]record.Fact) []record.Fact {
	all := []record.Fact{record.Entity{Ref: ref(record.Role, "reader")}, record.Coverage{Kind: record.Ownership}, record.Coverage{Kind: record.EgressObs}}
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// wide is a workload that reaches many resources.
func wide(n int) []record.Fact { return wideAs("i1", n) }

// wideAs is the same workload, running as an identity.
func wideAs(identity string, n int) []record.Fact {
	parts := [][]record.Fact{runs("w1", identity)}
	for i := range n {
		parts = append(parts, grants(fmt.Sprintf("vault-%03d", i), "restricted", "get"))
	}
	return world(parts...)
}

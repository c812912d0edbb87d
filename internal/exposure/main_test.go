package exposure_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
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
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// epoch is when the tests' clocks begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const slug = "acme"

var organization = id.Organization(slug)

// scene is an organization whose facts a test says and whose exposures it reads.
type scene struct {
	*dbtest.Database
	t     testing.TB
	paths *authority.Service
	tuner *exposure.Tuner
	super *pgx.Conn
	ctx   context.Context
	clock atomic.Int64
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{Database: dbtest.New(t), t: t}
	s.clock.Store(epoch.UnixMicro())
	s.paths = s.service(rule.Definitions)
	s.tuner = exposure.NewTuner(s.paths)
	s.super = s.Super(t)
	s.ctx = access.With(context.Background(), access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return s
}

func (s *scene) service(rules []rule.Definition) *authority.Service {
	return authority.New(s.DB, exposure.NewAssessor(rules, posture.New(posture.Definitions)), s.now, slog.New(slog.DiscardHandler))
}

func (s *scene) now() time.Time { return time.UnixMicro(s.clock.Load()).UTC() }

func (s *scene) advance(d time.Duration) { s.clock.Add(d.Microseconds()) }

// say makes facts the whole of what the source says.
func (s *scene) say(facts ...record.Fact) *authority.SyncReport {
	s.t.Helper()
	s.advance(time.Hour)
	report, err := s.paths.Sync(s.ctx, authority.SyncRequest{
		Organization: slug, Format: "snapshot", CreateOrganization: true, Strict: true, ObservedAt: s.now(),
	}, func(out record.Emitter) error {
		for i, fact := range facts {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(s.t, err)
	return report
}

// wait lets time pass and judges by it.
func (s *scene) wait(d time.Duration) *authority.Evaluation {
	s.t.Helper()
	s.advance(d)
	evaluation, err := s.paths.Reevaluate(s.ctx, organization, authority.ByTime, nil)
	require.NoError(s.t, err)
	return evaluation
}

// exposures lists every interval of a type, the oldest first, as
// "ordinal severity" with the reason of those that have resolved.
func (s *scene) exposures(t rule.Type) []string {
	s.t.Helper()
	rows, err := s.super.Query(s.ctx, `SELECT x.ordinal, x.severity, coalesce(x.resolution_reason, ''), x.to_at IS NULL AND coalesce(x.indeterminate_since, c.indeterminate_since) IS NOT NULL
		FROM exposure x JOIN authority_path p ON p.organization_id = x.organization_id AND p.id = x.path_id
		LEFT JOIN condition c ON c.organization_id = x.organization_id AND c.rule = x.type AND c.to_at IS NULL AND x.to_at IS NULL AND c.subject_id IN (p.workload_id, p.identity_id)
		WHERE x.type = $1 ORDER BY x.from_at, x.path_id, x.ordinal`, t)
	require.NoError(s.t, err)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var ordinal, severity int
		var reason string
		var doubted bool
		if err := row.Scan(&ordinal, &severity, &reason, &doubted); err != nil {
			return "", err
		}
		text := fmt.Sprintf("%d %s", ordinal, []string{"", "low", "medium", "high", "critical"}[severity])
		if reason != "" {
			text += " " + reason
		}
		if doubted {
			text += " doubted"
		}
		return text, nil
	})
	require.NoError(s.t, err)
	return list
}

// explanations lists the texts of the open exposures of a type.
func (s *scene) explanations(t rule.Type) []string {
	s.t.Helper()
	rows, err := s.super.Query(s.ctx, `SELECT explanation FROM exposure WHERE type = $1 AND to_at IS NULL ORDER BY explanation`, t)
	require.NoError(s.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.t, err)
	return list
}

// Facts -------------------------------------------------------------------------

func ref(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, SourceID: name}
}

func workload(name string) record.Entity { return record.Entity{Ref: ref(record.Workload, name)} }

func owner(name string, status record.Status) record.Entity {
	return record.Entity{Ref: ref(record.Owner, name), OwnerType: record.Individual, Status: status}
}

func group(name string) record.Entity {
	return record.Entity{Ref: ref(record.Owner, name), OwnerType: record.Group}
}

func edge(kind record.EdgeKind, from, to record.Ref, scope string, actions ...string) record.Edge {
	return record.Edge{Kind: kind, From: from, To: to, Scope: scope, Actions: actions}
}

func ownedBy(w, o string) record.Edge {
	return edge(record.OwnedBy, ref(record.Workload, w), ref(record.Owner, o), "")
}

func runsAs(w, i string) record.Edge {
	return edge(record.RunsAs, ref(record.Workload, w), ref(record.Identity, i), "")
}

func egress(w, host string, category record.EgressCategory) record.Egress {
	return record.Egress{Workload: ref(record.Workload, w), Host: host, Category: category}
}

func covered(kinds ...record.EvidenceKind) []record.Fact {
	facts := make([]record.Fact, len(kinds))
	for i, kind := range kinds {
		facts[i] = record.Coverage{Kind: kind}
	}
	return facts
}

// path is what it takes for "w1" to reach "ledger" through "i1".
func path(sensitivity string, actions ...string) []record.Fact {
	return []record.Fact{
		workload("w1"), record.Entity{Ref: ref(record.Identity, "i1")}, record.Entity{Ref: ref(record.Role, "reader")},
		record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: sensitivity, DataDomain: "finance"},
		runsAs("w1", "i1"),
		edge(record.HasRole, ref(record.Identity, "i1"), ref(record.Role, "reader"), "*"),
		edge(record.Grants, ref(record.Role, "reader"), ref(record.Resource, "ledger"), "*", actions...),
	}
}

func with(facts []record.Fact, more ...any) []record.Fact {
	all := append([]record.Fact(nil), facts...)
	for _, m := range more {
		switch m := m.(type) {
		case []record.Fact:
			all = append(all, m...)
		case record.Fact:
			all = append(all, m)
		}
	}
	return all
}

func ran(day time.Time, named string, action string) record.Evidence {
	e := record.Evidence{Day: day.Truncate(24 * time.Hour), Action: action, Count: 1}
	w, i, r := ref(record.Workload, "w1"), ref(record.Identity, "i1"), ref(record.Resource, "ledger")
	if strings.Contains(named, "w") {
		e.Workload = &w
	}
	if strings.Contains(named, "i") {
		e.Identity = &i
	}
	if strings.Contains(named, "r") {
		e.Resource = &r
	}
	return e
}

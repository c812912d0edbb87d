package evidencepack_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/evidencepack"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// epoch is when the tests' clocks begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	slug = "acme"
	day  = 24 * time.Hour
)

var organization = id.Organization(slug)

// scene is an organization whose facts a test says and whose packs it reads.
type scene struct {
	*dbtest.Database
	t        testing.TB
	paths    *authority.Service
	recorder *exposure.Recorder
	tuner    *exposure.Tuner
	reader   evidencepack.Reader
	super    *pgx.Conn
	ctx      context.Context
	clock    atomic.Int64
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{Database: dbtest.New(t), t: t}
	s.clock.Store(epoch.UnixMicro())
	s.paths = authority.New(s.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), s.now, slog.New(slog.DiscardHandler))
	s.recorder, s.tuner = exposure.NewRecorder(s.paths), exposure.NewTuner(s.paths)
	s.super = s.Super(t)
	s.ctx = access.With(context.Background(), access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return s
}

func (s *scene) now() time.Time { return time.UnixMicro(s.clock.Load()).UTC() }

func (s *scene) advance(d time.Duration) { s.clock.Add(d.Microseconds()) }

func (s *scene) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.super.Exec(context.Background(), sql, args...)
	require.NoError(s.t, err, sql)
}

// say makes facts the whole of what the source says, a day later.
func (s *scene) say(facts ...[]record.Fact) *authority.SyncReport {
	s.t.Helper()
	s.advance(day)
	return s.deliver("main", facts...)
}

func (s *scene) deliver(source string, facts ...[]record.Fact) *authority.SyncReport {
	s.t.Helper()
	report, err := s.paths.Sync(s.ctx, authority.SyncRequest{
		Organization: slug, Source: source, System: "cluster", Format: "snapshot", CreateOrganization: true, Strict: true, ObservedAt: s.now(),
	}, func(out record.Emitter) error {
		line := 0
		for _, list := range facts {
			for _, fact := range list {
				line++
				if err := out.Record(record.Record{Position: record.Position{Line: line}, Fact: fact}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	require.NoError(s.t, err)
	require.Empty(s.t, report.Rejections)
	return report
}

func (s *scene) wait(d time.Duration) {
	s.t.Helper()
	s.advance(d)
	_, err := s.paths.Reevaluate(s.ctx, organization, authority.ByTime, nil)
	require.NoError(s.t, err)
}

// ask reads a pack and gives it with its document, decoded.
func (s *scene) ask(read func(*evidencepack.Reader) (*evidencepack.Pack, error)) (*evidencepack.Pack, *doc) {
	s.t.Helper()
	pack, err := read(&s.reader)
	require.NoError(s.t, err)
	require.NotNil(s.t, pack)
	var d doc
	require.NoError(s.t, json.Unmarshal(pack.Document, &d))
	return pack, &d
}

func (s *scene) workload(name string) (*evidencepack.Pack, *doc) {
	s.t.Helper()
	return s.ask(func(r *evidencepack.Reader) (*evidencepack.Pack, error) {
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		return r.Workload(s.ctx, snapshot, organization, entity(record.Workload, name))
	})
}

func (s *scene) path(path id.ID) (*evidencepack.Pack, *doc) {
	s.t.Helper()
	return s.ask(func(r *evidencepack.Reader) (*evidencepack.Pack, error) {
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		return r.Path(s.ctx, snapshot, organization, path)
	})
}

func (s *scene) exposure(path id.ID, typ rule.Type, ordinal int) (*evidencepack.Pack, *doc) {
	s.t.Helper()
	return s.ask(func(r *evidencepack.Reader) (*evidencepack.Pack, error) {
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		return r.Exposure(s.ctx, snapshot, organization, path, typ, ordinal)
	})
}

// doc is a document as a reader who knows nothing but the page about it reads it.
type doc struct {
	Format       string
	Organization struct{ ID, Slug string }
	Subject      map[string]any
	AsOf         struct {
		At, WindowEnd string
		LastSeen      []struct{ Path, At string }
		Coverage      []map[string]any
		Sources       []struct {
			Source       string
			LastComplete *struct{ Sync, At, ObservedAt string }
		}
	}
	State struct {
		Entities []struct {
			ID, Kind, SourceID, Name, Status string
			AssertedBy                       []struct{ Source, Basis string }
		}
		Sources []struct{ ID, Name, System, Format string }
		Paths   []struct {
			ID, Workload, Resource, Status string
			Identity                       *string
			Roles, Actions                 []string
			CompositionHash                string
			Version                        int
			Execution                      struct {
				Count *int64
				Basis *string
			}
			Former []struct {
				Version  int
				From, To string
				Actions  []string
			}
		}
		Exposures  []exposed
		Conditions []struct {
			Subject, Finding, Explanation string
			Ordinal                       int
			ResolvedAt                    *string
		}
		Ties []struct {
			Kind, From, To, Scope, Source string
			Actions                       []string
		}
		Egress   []struct{ Host, Category string }
		Evidence []struct {
			Workload, Identity, Resource *string
			Action, Day, Basis           string
			Count                        int64
			Related, Counted             bool
		}
		Coverage       []map[string]any
		Baselines      []struct{ Identity, Basis string }
		Justifications []struct{ Path, Text string }
		Rotations      []struct{ From, To string }
		Successions    []struct{ Predecessor, Successor string }
	}
}

type exposed struct {
	Path, Type, Status, Severity, Disposition, Explanation string
	Ordinal, Version                                       int
	Rule                                                   struct {
		Finding         string
		Version         *int
		SettingsVersion int
		Thresholds      map[string]int
	}
	Predicates []struct {
		Name, Requires string
		Found          any
	}
	Factors                      []string
	Evidence                     *rule.Evidence
	EvidenceDigest, DetectedAt   string
	EffectiveFrom                string
	ResolvedAt, ResolutionReason *string
	IndeterminateSince           *string
	Predecessor, Successor       *struct {
		Path, Type string
		Ordinal    int
	}
	Former []struct {
		Version            int
		From, To           string
		IndeterminateSince *string
	}
}

func (d *doc) exposures(typ string) (list []exposed) {
	for _, x := range d.State.Exposures {
		if x.Type == typ {
			list = append(list, x)
		}
	}
	return list
}

func (x exposed) found(t testing.TB, name string) any {
	t.Helper()
	for _, p := range x.Predicates {
		if p.Name == name {
			return p.Found
		}
	}
	require.Failf(t, "no predicate", "%s of %s", name, x.Type)
	return nil
}

// Facts -------------------------------------------------------------------------

func entity(kind record.EntityKind, name string) id.ID {
	return id.Entity(organization, string(kind), "cluster", name)
}

func pathOf(w, i, r string) id.ID {
	if i == "" {
		return id.AuthorityPath(organization, entity(record.Workload, w), nil, entity(record.Resource, r))
	}
	identity := entity(record.Identity, i)
	return id.AuthorityPath(organization, entity(record.Workload, w), &identity, entity(record.Resource, r))
}

func ref(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, SourceID: name}
}

func edge(kind record.EdgeKind, from, to record.Ref, scope string, actions ...string) record.Edge {
	return record.Edge{Kind: kind, From: from, To: to, Scope: scope, Actions: actions}
}

// world is what the source says; a test changes it and says it again.
type world struct {
	identity, sensitivity, title, neighbour, egress string
	ada                                             record.Status
	actions                                         []string
	ran                                             []record.Evidence
	watched                                         time.Time // until when executions were
	lost                                            []record.EvidenceKind
}

func fresh() *world {
	return &world{identity: "svc-invoice", sensitivity: "restricted", egress: "api.payments.example", ada: record.Active, actions: []string{"read", "update"}, watched: epoch}
}

func (w *world) facts() []record.Fact {
	invoice, export, idle := ref(record.Workload, "invoice-sync"), ref(record.Workload, "export"), ref(record.Workload, "idle")
	identity, role, ledger, shared := ref(record.Identity, w.identity), ref(record.Role, "ledger-writer"), ref(record.Resource, "ledger"), ref(record.Resource, "shared")
	facts := []record.Fact{
		record.Entity{Ref: invoice, Name: "Invoice <sync> & \u2028 more", Environment: "production", ExecutionMode: record.Autonomous},
		record.Entity{Ref: export, Environment: w.neighbour}, record.Entity{Ref: idle},
		record.Entity{Ref: identity}, record.Entity{Ref: role, Name: "Ledger writer"},
		record.Entity{Ref: ledger, Name: "Ledger", Sensitivity: w.sensitivity, DataDomain: "finance"}, record.Entity{Ref: shared, Name: "Shared 100%"},
		record.Entity{Ref: ref(record.Owner, "ada"), Name: "Ada Moreau", OwnerType: record.Individual, Status: w.ada, Title: w.title},
		edge(record.RunsAs, invoice, identity, ""),
		edge(record.HasRole, identity, role, "finance"), edge(record.Grants, role, ledger, "finance", w.actions...),
		edge(record.Grants, role, shared, "elsewhere", "read"), // held nowhere
		edge(record.OwnedBy, invoice, ref(record.Owner, "ada"), ""),
		edge(record.Declares, export, shared, "", "write"),
	}
	if w.egress != "" {
		facts = append(facts, record.Egress{Workload: invoice, Host: w.egress, Category: record.EgressExternal})
	}
	for _, kind := range []record.EvidenceKind{record.Ownership, record.Binding, record.Roles, record.EgressObs} {
		c := record.Coverage{Kind: kind}
		for _, lost := range w.lost {
			c.Partial = c.Partial || lost == kind
		}
		facts = append(facts, c)
	}
	facts = append(facts, record.Coverage{Kind: record.Execution, From: epoch.Add(-200 * day), To: w.watched, MaxAge: 7 * day})
	for _, e := range w.ran {
		facts = append(facts, e)
	}
	return facts
}

func ran(at time.Time, action string, count int, names ...record.Ref) record.Evidence {
	e := record.Evidence{Day: at.Truncate(day), LastAt: at, Action: action, Count: count}
	for _, name := range names {
		switch name.Kind {
		case record.Workload:
			e.Workload = &name
		case record.Identity:
			e.Identity = &name
		default:
			e.Resource = &name
		}
	}
	return e
}

// tell plays the story that the tests ask about: an owner leaves, returns and
// leaves again, a privilege is used in part and justified in part, an identity
// gains an action and is rotated.
func (s *scene) tell() *world {
	w := fresh()
	invoice, identity, ledger := ref(record.Workload, "invoice-sync"), ref(record.Identity, "svc-invoice"), ref(record.Resource, "ledger")
	w.ran = []record.Evidence{
		ran(epoch.Add(-3*day), "read", 96, invoice, ledger),
		ran(epoch.Add(-2*day), "read", 4, identity, ledger),
		ran(epoch.Add(-2*day), "", 7, identity),
		ran(epoch.Add(-50*day), "read", 5, invoice, identity, ledger),
	}
	s.say(w.facts())
	w.ada = record.Disabled
	s.say(w.facts())
	w.ada = record.Active
	s.say(w.facts())
	w.ada, w.actions, w.watched = record.Disabled, []string{"delete", "read", "update"}, s.now()
	s.say(w.facts())
	s.advance(time.Hour)
	_, err := s.recorder.RecordJustification(s.ctx, organization, pathOf("invoice-sync", "svc-invoice", "ledger"), exposure.Justification{Text: "month-end closing", Actions: []string{"delete"}})
	require.NoError(s.t, err)
	return w
}

// rotate has the workload run as another identity from now on.
func (s *scene) rotate(w *world) {
	w.identity = "svc-invoice-2"
	kept := w.ran[:0:0]
	for _, e := range w.ran {
		if e.Identity == nil {
			kept = append(kept, e)
		}
	}
	w.ran = kept
	s.say(w.facts())
}

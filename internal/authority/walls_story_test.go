package authority_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// step is one event of the story: what a source delivers, or what people and the
// clock do.
type step struct {
	name     string
	wait     time.Duration // before it
	rules    []rule.Definition
	clusters []posture.Definition // with rules: who judges from here on
	request  authority.SyncRequest
	facts    []record.Fact
	outcome  authority.Outcome
	check    func(*testing.T, *authority.SyncReport)
	act      func(*testing.T, *bench, id.ID) *authority.Evaluation // instead of a delivery
}

func with(kind record.EntityKind, name string, set func(*record.Entity)) record.Entity {
	entity := record.Entity{Ref: ref(kind, name)}
	set(&entity)
	return entity
}

func authenticates(from, to record.Ref) record.Edge {
	return record.Edge{Kind: record.Authenticates, From: from, To: to, Protocol: "oauth2", TargetSystem: "cloud"}
}

func pointer[T any](value T) *T { return &value }

// mainFacts is what the main source of the story says; account is what the
// checkout runs as.
func mainFacts(account string, extra ...record.Fact) []record.Fact {
	day := epoch.Truncate(24*time.Hour).AddDate(0, 0, -3)
	checkout, reports := ref(record.Workload, "checkout"), ref(record.Workload, "reports")
	return append([]record.Fact{
		with(record.Workload, "checkout", func(e *record.Entity) {
			e.Name, e.Environment, e.OwnerTeam, e.BusinessTier, e.ExecutionMode = "Checkout", "production", "shop", "1", record.Autonomous
			e.Labels, e.ArtifactIdentifier = map[string]string{"app": "checkout"}, "shop:1"
		}),
		workload("reports"), workload("legacy"), workload("bridge"),
		identity("sa-shop"), identity("sa-next"), identity("sa-reports"), identity("sa-cloud"),
		role("reader"), role("writer"), role("cloud"),
		resource("ledger", "restricted"), resource("mail", "internal"), resource("bucket", "confidential"), resource("api", "public"),
		owner("ada"), owner("bob"),
		runsAs("checkout", account), runsAs("reports", "sa-reports"), runsAs("legacy", "sa-reports"),
		hasRole("sa-shop", "reader", "*"), hasRole("sa-next", "reader", "*"), hasRole("sa-next", "writer", "eu"), hasRole("sa-reports", "reader", "*"),
		hasRole("sa-cloud", "cloud", "*"),
		grants("reader", "*", "ledger", "get", "list"), grants("reader", "*", "mail", "get"), grants("writer", "eu", "ledger", "update"),
		grants("cloud", "*", "bucket", "read"),
		authenticates(ref(record.Identity, "sa-shop"), ref(record.Identity, "sa-cloud")),
		authenticates(ref(record.Workload, "bridge"), ref(record.Identity, "sa-cloud")),
		ownedBy("checkout", "ada"), ownedBy("reports", "bob"), declares("reports", "api", "call"), declares("bridge", "api", "call"),
		record.Edge{Kind: record.CreatedBy, From: checkout, To: ref(record.Owner, "ada")},
		record.Egress{Workload: checkout, Host: "llm.example", Category: record.EgressLLM},
		record.Egress{Workload: reports, Host: "files.example", Category: record.EgressExternal},
		record.Evidence{Workload: &checkout, Identity: pointer(ref(record.Identity, "sa-shop")), Resource: pointer(ref(record.Resource, "ledger")), Action: "get", Day: day, Count: 3},
		record.Evidence{Workload: &checkout, Day: day, Count: 7},
		record.Evidence{Identity: pointer(ref(record.Identity, "sa-reports")), Day: day, Count: 11},
		record.Coverage{Kind: record.Binding}, record.Coverage{Kind: record.Roles}, record.Coverage{Kind: record.Ownership, MaxAge: 20 * 24 * time.Hour},
		record.Coverage{Kind: record.Execution, Entity: &reports},
	}, extra...)
}

// judgedFacts are facts by which every rule finds something, in time: owners who
// left, groups, nobody; identities that are shared and idle; evidence that names
// the path, the workload and the identity. Today is what the evidence follows.
func judgedFacts(account string, today time.Time, execution record.Coverage, extra ...record.Fact) []record.Fact {
	facts := slices.DeleteFunc(mainFacts(account), func(f record.Fact) bool {
		_, isCoverage := f.(record.Coverage)
		evidence, isEvidence := f.(record.Evidence)
		return isCoverage || isEvidence && evidence.Identity != nil && evidence.Workload == nil
	})
	day := today.Truncate(24*time.Hour).AddDate(0, 0, -1)
	checkout, ledger := pointer(ref(record.Workload, "checkout")), pointer(ref(record.Resource, "ledger"))
	used := pointer(ref(record.Identity, account))
	return append(append(facts,
		workload("queue"), workload("cron"), workload("stray"), workload("loose"),
		runsAs("queue", "sa-reports"), runsAs("cron", "sa-reports"), runsAs("stray", "sa-reports"),
		record.Entity{Ref: ref(record.Owner, "ops"), OwnerType: record.Group},
		ownedBy("queue", "ada"), ownedBy("queue", "bob"), ownedBy("cron", "ops"),
		declares("loose", "ledger", "call"), declares("loose", "bucket", "call"),
		hasRole("sa-shop", "writer", "eu"), // what it is never seen to use
		record.Egress{Workload: ref(record.Workload, "legacy"), Host: "backup.example", Category: record.EgressExternal},
		record.Evidence{Workload: checkout, Resource: ledger, Action: "get", Day: day, Count: 5},
		record.Evidence{Workload: checkout, Identity: used, Resource: ledger, Action: "get", Day: day, Count: 2},
		record.Evidence{Identity: used, Resource: ledger, Action: "get", Day: day, Count: 1},
		record.Evidence{Workload: checkout, Identity: used, Day: day, Count: 4},
		record.Evidence{Identity: used, Day: day, Count: 9},
		record.Evidence{Workload: pointer(ref(record.Workload, "bridge")), Resource: pointer(ref(record.Resource, "api")), Day: day, Count: 6, Related: true},
		record.Coverage{Kind: record.Ownership, Entity: pointer(ref(record.Workload, "stray")), Partial: true},
		execution, record.Coverage{Kind: record.Binding}, record.Coverage{Kind: record.Roles}, record.Coverage{Kind: record.Ownership},
		record.Coverage{Kind: record.EgressObs},
	), extra...)
}

// evaluate judges everything anew. When time has passed, something must differ.
func evaluate(cause authority.Cause) func(*testing.T, *bench, id.ID) *authority.Evaluation {
	return func(t *testing.T, b *bench, organization id.ID) *authority.Evaluation {
		t.Helper()
		evaluation, err := b.service.Reevaluate(b.ctx, organization, cause, nil)
		require.NoError(t, err)
		if cause == authority.ByTime {
			require.NotZero(t, evaluation.Paths.Changed+evaluation.Exposures.Opened+evaluation.Exposures.Resolved)
		}
		return evaluation
	}
}

// judgements is the part of the story in which authority hardly changes and what
// is said of it does.
func judgements(now time.Time) (steps []step) {
	const hour, day = time.Hour, 24 * time.Hour
	main := authority.SyncRequest{Source: "main", System: "shop"}
	watched := record.Coverage{Kind: record.Execution, From: epoch.AddDate(-1, 0, 0)}
	unwatched := watched
	unwatched.Partial = true
	drift := hasRole("sa-reports", "writer", "eu")
	sync := func(name string, facts func() []record.Fact) {
		now = now.Add(hour)
		steps = append(steps, step{name: name, wait: hour, request: main, facts: facts(), outcome: authority.Applied})
	}
	act := func(name string, wait time.Duration, act func(*testing.T, *bench, id.ID) *authority.Evaluation) {
		now = now.Add(wait)
		steps = append(steps, step{name: name, wait: wait, act: act})
	}
	settle := func(expected int, settings rule.Settings) func(*testing.T, *bench, id.ID) *authority.Evaluation {
		return func(t *testing.T, b *bench, organization id.ID) *authority.Evaluation {
			t.Helper()
			_, evaluation, err := exposure.NewTuner(b.service).Change(b.ctx, organization, expected, settings)
			require.NoError(t, err)
			return evaluation
		}
	}
	drifted := func() []record.Fact { return judgedFacts("sa-shop", now, watched, drift) }

	sync("watched", func() []record.Fact { return judgedFacts("sa-shop", now, watched) })
	act("a season passes", 100*day, evaluate(authority.ByTime))
	sync("drift", drifted)
	act("people take a stand", hour, func(t *testing.T, b *bench, organization id.ID) *authority.Evaluation {
		t.Helper()
		for workload, dispositions := range map[string]string{
			"checkout": `{"6": 2, "1": 3, "12": 2}`, "reports": `{"6": 3}`, "legacy": `{"11": 4, "8": 2}`, "loose": `{"7": 2}`,
		} {
			require.Positive(t, exec(t, b.Super(t), `UPDATE exposure SET disposition = coalesce(($3::jsonb ->> type::text)::smallint, disposition)
				WHERE organization_id = $1 AND workload_id = $2 AND to_at IS NULL`, organization, id.Entity(organization, "workload", "shop", workload), dispositions))
		}
		return evaluate(authority.ByRequest)(t, b, organization)
	})
	shorter := rule.Settings{DormantAfter: 20 * day, ProofGrace: 200 * day, PrivilegeWindow: 60 * day, SharedWorkloads: 9, DisabledRules: []rule.Rule{rule.ExternalEgress}}
	act("thresholds are moved", hour, settle(0, shorter))
	act("and moved back", hour, settle(1, rule.Defaults()))
	sync("a resource alone", func() []record.Fact {
		facts := drifted()
		for i, f := range facts {
			if e, ok := f.(record.Entity); ok && e.SourceID == "bucket" {
				e.DataDomain = "archive"
				facts[i] = e
			}
		}
		return facts
	})

	sync("other judges", func() []record.Fact {
		return append(drifted(), workload("spare"), runsAs("spare", "sa-shop"))
	})
	last := &steps[len(steps)-1]
	last.rules, last.clusters = slices.Clone(rule.Definitions), slices.Clone(posture.Definitions[:len(posture.Definitions)-1])
	for _, r := range []rule.Rule{rule.OrphanedOwnership, rule.SensitiveDomain, rule.PrivilegeGap} {
		last.rules[r-1].Version++
	}
	last.clusters[0].Version++
	last.clusters[0].All = last.clusters[0].All[:1]
	last.clusters = append(last.clusters, posture.Definition{Cluster: 40, Version: 1, Key: "other", Severity: rule.Low, Grain: posture.OfWorkload,
		All: []rule.Type{rule.SensitiveReach}, Any: []rule.Type{rule.SharedIdentity, rule.ScopeExpansion}})
	sync("the first judges again", drifted)
	last = &steps[len(steps)-1]
	last.rules, last.clusters = rule.Definitions, posture.Definitions

	sync("in doubt", func() []record.Fact { return judgedFacts("sa-shop", now, unwatched, drift) })
	sync("sure again, and less grave", func() []record.Fact {
		facts := drifted()
		for i, f := range facts {
			if e, ok := f.(record.Entity); ok && e.SourceID == "ledger" {
				facts[i] = resource("ledger", "confidential")
			}
		}
		return facts
	})
	recorder := func(record func(*testing.T, *exposure.Recorder, *bench, id.ID) (*authority.Evaluation, error)) func(*testing.T, *bench, id.ID) *authority.Evaluation {
		return func(t *testing.T, b *bench, organization id.ID) *authority.Evaluation {
			t.Helper()
			evaluation, err := record(t, exposure.NewRecorder(b.service), b, organization)
			require.NoError(t, err)
			return evaluation
		}
	}
	privileged := func(organization id.ID) id.ID {
		identity := id.Entity(organization, "identity", "shop", "sa-shop")
		return id.AuthorityPath(organization, id.Entity(organization, "workload", "shop", "checkout"), &identity, id.Entity(organization, "resource", "shop", "ledger"))
	}
	act("an analyst decides", hour, func(t *testing.T, b *bench, organization id.ID) *authority.Evaluation {
		t.Helper()
		decided := &authority.Evaluation{}
		dormant := column[id.ID](t, b.Super(t), `SELECT path_id FROM exposure WHERE organization_id = $1 AND type = `+strconv.Itoa(int(rule.DormantPath))+` AND to_at IS NULL ORDER BY path_id LIMIT 1`, organization)
		require.NotEmpty(t, dormant)
		for i, disposition := range []int{4, 1, 4, 1} { // the second one finds the work tables of the first
			paths := [][]id.ID{{privileged(organization)}, dormant}[i/2] // the second of which shows in its identity
			require.NoError(t, b.service.Decide(b.ctx, organization, nil, func(tx *db.Tx, d *authority.Decision) error {
				decided.At = d.At
				require.Positive(t, exec(t, b.Super(t), `UPDATE exposure SET disposition = $3 WHERE organization_id = $1 AND path_id = ANY ($2) AND to_at IS NULL AND disposition IN (1, 4)`,
					organization, paths, disposition))
				return d.Follow(b.ctx, tx.Pipeline(), paths)
			}))
		}
		return decided
	})
	for name, actions := range [][]string{nil, {"update"}} {
		act([]string{"a privilege is justified", "and again, by its name"}[name], hour, recorder(
			func(_ *testing.T, r *exposure.Recorder, b *bench, organization id.ID) (*authority.Evaluation, error) {
				recorded, err := r.RecordJustification(b.ctx, organization, privileged(organization), exposure.Justification{Text: "month end", Actions: actions})
				if err != nil {
					return nil, err
				}
				return recorded.Evaluation, nil
			}))
	}
	act("the justification is withdrawn", hour, recorder(
		func(t *testing.T, r *exposure.Recorder, b *bench, organization id.ID) (*authority.Evaluation, error) {
			withdrawn, err := r.WithdrawJustification(b.ctx, organization, privileged(organization))
			if err != nil {
				return nil, err
			}
			require.Equal(t, 1, withdrawn.Evaluation.Exposures.Opened)
			return withdrawn.Evaluation, nil
		}))
	sync("a judged path is taken over, and people clean up", func() []record.Fact {
		facts := judgedFacts("sa-next", now, watched, drift, ownedBy("stray", "bob"), ownedBy("cron", "bob"), runsAs("loose", "sa-next"))
		return slices.DeleteFunc(facts, func(f record.Fact) bool {
			edge, isEdge := f.(record.Edge)
			return isEdge && edge.From.SourceID == "queue" && edge.To.SourceID == "ada"
		})
	})
	sync("and given back", drifted)
	act("what it holds is vouched for", hour, recorder(
		func(t *testing.T, r *exposure.Recorder, b *bench, organization id.ID) (*authority.Evaluation, error) {
			attested, err := r.AttestBaseline(b.ctx, organization, id.Entity(organization, "identity", "shop", "sa-reports"), "reviewed")
			if err != nil {
				return nil, err
			}
			require.Positive(t, attested.Evaluation.Exposures.Resolved)
			return attested.Evaluation, nil
		}))
	act("justified for good", hour, recorder(
		func(_ *testing.T, r *exposure.Recorder, b *bench, organization id.ID) (*authority.Evaluation, error) {
			recorded, err := r.RecordJustification(b.ctx, organization, privileged(organization), exposure.Justification{Text: "year end"})
			if err != nil {
				return nil, err
			}
			return recorded.Evaluation, nil
		}))
	dim := ref(record.Workload, "dim")
	return append(steps, step{name: "an annex that nobody watches", wait: hour, request: authority.SyncRequest{Source: "annex", System: "annex"}, facts: []record.Fact{
		workload("idle"), owner("eve"), ownedBy("idle", "eve"), // of which there is nothing to say
		workload("vague"), workload("dim"), resource("notes", "internal"), declares("dim", "notes", "read"),
		record.Egress{Workload: dim, Host: "intra", Category: record.EgressInternal}}, outcome: authority.Applied})
}

// story is a life of an organization that goes through every statement of a sync.
func story() []step {
	main := authority.SyncRequest{Source: "main", System: "shop"}
	cmdb := authority.SyncRequest{Source: "cmdb", System: "shop"}
	at := func(request authority.SyncRequest, observed time.Time) authority.SyncRequest {
		request.ObservedAt = observed
		return request
	}
	partial := main
	partial.Partial = true
	inventory := []record.Fact{
		with(record.Workload, "checkout", func(e *record.Entity) { e.Basis, e.Environment, e.OwnerTeam = record.Mapping, "staging", "payments" }),
		with(record.Workload, "mailer", func(e *record.Entity) { e.Environment = "production" }),
		with(record.Owner, "ada", func(e *record.Entity) { e.OwnerType, e.Status = record.Individual, record.Disabled }),
		identity("sa-reports"), resource("ledger", "restricted"), role("reader"),
		runsAs("mailer", "sa-reports"), hasRole("sa-reports", "reader", "*"), grants("reader", "*", "ledger", "get", "watch"),
		ownedBy("checkout", "ada"),
		record.Coverage{Kind: record.EgressObs},
	}
	changed := mainFacts("sa-shop",
		with(record.Workload, "nightly", func(e *record.Entity) { e.BusinessTier = "2" }), runsAs("nightly", "sa-next"),
		grants("reader", "*", "api", "get"), record.Egress{Workload: ref(record.Workload, "legacy"), Host: "intra", Category: record.EgressInternal})
	changed = slices.DeleteFunc(changed, func(f record.Fact) bool {
		egress, isEgress := f.(record.Egress)
		edge, isEdge := f.(record.Edge)
		return isEgress && egress.Host == "files.example" || isEdge && edge.Kind == record.Grants && edge.To.SourceID == "mail"
	})
	for i, f := range changed {
		if e, ok := f.(record.Entity); ok && e.SourceID == "ledger" {
			changed[i] = resource("ledger", "confidential")
		}
		if e, ok := f.(record.Evidence); ok && e.Count == 7 {
			e.Count = 8
			changed[i] = e
		}
	}
	// Its edges stay, so that only the entity's own row says that it is gone.
	gone := mainFacts("sa-shop", workload("nightly"), runsAs("nightly", "sa-next"))
	for i, f := range gone {
		if e, ok := f.(record.Entity); ok && slices.Contains([]string{"legacy", "sa-cloud", "writer", "mail", "api"}, e.SourceID) {
			e.Status = record.Removed
			gone[i] = e
		}
	}
	rotated := mainFacts("sa-next")
	broken := append(mainFacts("sa-next"),
		workload("reports"), grants("reader", "*", "nowhere", "get"), runsAs("legacy", "nobody"),
		record.Egress{Workload: ref(record.Workload, "ghost"), Host: "h", Category: record.EgressExternal})
	steps := []step{
		{name: "first", rules: rule.Definitions, clusters: posture.Definitions, request: at(main, epoch), facts: mainFacts("sa-shop"), outcome: authority.Applied},
		{name: "a second source", wait: time.Hour, request: cmdb, facts: inventory, outcome: authority.Applied},
		{name: "changed", wait: time.Hour, request: main, facts: changed, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Positive(t, r.Paths.Changed)
			require.Positive(t, r.Paths.Removed)
			require.Positive(t, r.Paths.Added)
		}},
		{name: "stated as removed", wait: time.Hour, request: main, facts: gone, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Positive(t, r.Paths.Removed)
		}},
		{name: "rotation", wait: time.Hour, request: main, facts: rotated, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Equal(t, 1, r.Rotations)
		}},
		{name: "partial", wait: time.Hour, request: partial, facts: []record.Fact{workload("extra"), runsAs("extra", "sa-shop")}, outcome: authority.Applied},
		{name: "rejections", wait: time.Hour, request: main, facts: broken, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Equal(t, 4, r.Records.Rejected)
		}},
		{name: "a rejection without a subject", wait: time.Hour, request: main, facts: append(rotated, record.Entity{}), outcome: authority.Applied},
		{name: "repeated", request: at(main, epoch), facts: mainFacts("sa-shop"), outcome: authority.Repeated},
		{name: "late", request: at(main, epoch.Add(-time.Hour)), facts: mainFacts("sa-next"), outcome: authority.Late},
		{name: "whole again", wait: time.Hour, request: main, facts: rotated, outcome: authority.Applied},
		{name: "unchanged", wait: time.Hour, request: main, facts: rotated, outcome: authority.Unchanged},
		{name: "a month passes", wait: 30 * 24 * time.Hour, act: evaluate(authority.ByTime)},
		{name: "expired coverage renewed", wait: time.Hour, request: main, facts: rotated, check: func(t *testing.T, r *authority.SyncReport) {
			require.NotEqual(t, authority.Repeated, r.Outcome)
		}},
		{name: "removal", wait: time.Hour, request: main, facts: mainFacts("sa-next")[:1], outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Positive(t, r.Paths.Removed)
			require.Equal(t, "REMOVES_MOST", r.Warnings[0].Code)
		}},
		{name: "revival", wait: time.Hour, request: main, facts: mainFacts("sa-shop"), outcome: authority.Applied},
	}
	steps = append(steps, outsideStory()...)
	now := epoch
	for _, s := range steps {
		now = now.Add(s.wait)
	}
	return append(append(steps, judgements(now)...),
		step{name: "bulk", wait: time.Hour, request: authority.SyncRequest{Source: "fleet", System: "shop"}, facts: bulk(), outcome: authority.Applied})
}

// bulk is so much that statistics are worth their time.
func bulk() []record.Fact {
	facts := []record.Fact{identity("sa-reports")}
	for i := range 5_100 {
		name := fmt.Sprintf("w%04d", i)
		facts = append(facts, workload(name), runsAs(name, "sa-reports"))
	}
	return facts
}

// greatBeginning is another story: of an organization that begins with a mass.
func greatBeginning() []step {
	facts := mainFacts("sa-shop")
	return []step{{name: "a great beginning", request: authority.SyncRequest{Source: "main", System: "shop"}, outcome: authority.Applied,
		facts: append(facts, slices.DeleteFunc(bulk(), func(f record.Fact) bool {
			e, isEntity := f.(record.Entity)
			return isEntity && e.Kind == record.Identity
		})...)}}
}

// quiet is the story without its bulk, for tests that need rows and no mass.
func quiet() []step { return story()[:len(story())-1] }

// play goes one step and answers with the report of the delivery or the judgement.
func (b *bench) play(t *testing.T, organization string, s step) any {
	t.Helper()
	b.advance(s.wait)
	if s.rules != nil {
		b.service = authority.New(b.DB, exposure.NewAssessor(s.rules, posture.New(s.clusters)),
			func() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }, slog.New(slog.DiscardHandler)).WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	}
	if s.act != nil {
		return s.act(t, b, id.Organization(organization))
	}
	s.request.Organization = organization
	report := b.sync(t, s.request, s.facts...)
	if s.outcome != "" {
		require.Equal(t, s.outcome, report.Outcome, s.name)
	}
	if s.check != nil {
		s.check(t, report)
	}
	return report
}

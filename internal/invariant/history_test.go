package invariant_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// dispose gives exposures a disposition as people would, one that they cannot give
// yet, too; the judgement that follows counts it.
const dispose = `-- name: dispose
UPDATE exposure SET disposition = 1 + (hashtext(path_id::text || type || @salt::text) & 3)::smallint, version = version + 1, version_from = @at
WHERE organization_id = @organization AND to_at IS NULL AND hashtext(type || path_id::text || @salt::text) & 1 = 0
RETURNING path_id, type, ordinal, version, disposition;
-- name: keep
INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest, disposition, decided_seq)
SELECT organization_id, path_id, type, ordinal, version, version_from, @at, class, severity, factors, explanation, evidence_digest, disposition, decided_seq
FROM exposure
WHERE organization_id = @organization AND to_at IS NULL AND hashtext(type || path_id::text || @salt::text) & 1 = 0;
-- name: follow
UPDATE exposure SET decided_seq = @seq
WHERE organization_id = @organization AND path_id = @path_id AND type = @type AND ordinal = @ordinal;
`

// decided is an exposure that was given a disposition.
type decided struct {
	PathID      id.ID
	Type        int16
	Ordinal     int
	Version     int
	Disposition int16
}

// draft is the entry that the disposition follows from.
func (x *decided) draft(at time.Time) book.Draft {
	return book.Draft{Kind: ledger.Acknowledged, OccurredAt: at, Payload: map[string]any{"version": x.Version, "to": words[x.Disposition]},
		Subject: ledger.Subject{Kind: ledger.SubjectExposure, Path: &x.PathID, Type: ledger.TypeWord(x.Type), Ordinal: x.Ordinal}}
}

// judge disposes, and records that.
func judge(ctx context.Context, tx *db.Tx, at time.Time, ledgers *book.Book, salt string) error {
	statements := db.Parse("test", dispose)
	args := map[string]any{"at": at, "salt": salt}
	if _, err := db.Exec(ctx, tx, statements.Get("keep"), args); err != nil {
		return err
	}
	exposures, err := db.Select[decided](ctx, tx, statements.Get("dispose"), args)
	if err != nil {
		return err
	}
	drafts := make([]book.Draft, len(exposures))
	for i, x := range exposures {
		drafts[i] = x.draft(at)
	}
	posted, err := ledgers.Append(ctx, tx, drafts...)
	if err != nil {
		return err
	}
	for i, x := range exposures {
		if _, err := db.Exec(ctx, tx, statements.Get("follow"), map[string]any{
			"path_id": x.PathID, "type": x.Type, "ordinal": x.Ordinal, "seq": posted[i].Seq}); err != nil {
			return err
		}
	}
	return nil
}

// TestHoldsThroughHistories lets two sources say random things, time pass and
// people decide, and expects that everything holds after each step.
func TestHoldsThroughHistories(t *testing.T) {
	t.Parallel()
	histories := 3
	if text := os.Getenv("INVARIANT_HISTORIES"); text != "" {
		var err error
		histories, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	database := dbtest.New(t)
	for seed := range histories {
		play(t, database, uint64(seed)) //nolint:gosec // it counts from zero
	}
}

func play(t *testing.T, database *dbtest.Database, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))  //nolint:gosec // chance, not secrecy
	outside := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // likewise, so that scans do not change what else is drawn
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	service := authority.New(database.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)),
		func() time.Time { return now }, slog.New(slog.DiscardHandler)).WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	ctx := access.With(context.Background(), access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	slug := fmt.Sprintf("history-%d", seed)
	o := &org.Organization{ID: id.Organization(slug), Slug: slug}
	sequencer := change.NewSequencer(database.DB, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	var sums [19]int64
	for step := range 8 {
		now = now.Add(time.Duration(1+random.IntN(20)) * 24 * time.Hour)
		what := "sync"
		var err error
		if step > 0 && random.IntN(3) == 0 {
			what = "evaluation"
			_, err = service.Reevaluate(ctx, o.ID, authority.Cause("request"), func(tx *db.Tx, at time.Time) error {
				return judge(ctx, tx, at, service.Ledger(), strconv.Itoa(step))
			})
		} else {
			request := authority.SyncRequest{Organization: slug, CreateOrganization: true, Format: "snapshot", System: "prod",
				Source: fmt.Sprintf("source-%d", random.IntN(2)), Partial: random.IntN(4) == 0}
			facts := append(drawFacts(random, now), drawEndpoints(outside)...)
			_, err = service.Sync(ctx, request, told(facts))
		}
		require.NoError(t, err)
		now = now.Add(time.Duration(outside.IntN(5)) * 24 * time.Hour)
		_, err = service.Sync(ctx, authority.SyncRequest{Organization: slug, CreateOrganization: true, Format: "nmap", System: "dmz", Scan: true,
			Source: fmt.Sprintf("scanner-%d", outside.IntN(2)), Partial: outside.IntN(4) == 0}, told(drawScan(outside)))
		require.NoError(t, err)
		if step%3 > 0 { // or it waits for the next time
			_, err = sequencer.Drain(ctx, o.ID)
			require.NoError(t, err)
		}
		snapshot := database.Snapshot()
		report, err := invariant.Check(ctx, snapshot, o, posture.Definitions)
		snapshot.Close(ctx)
		require.NoError(t, err)
		require.Empty(t, found(report), "history %d, step %d: %s", seed, step, what)
		for i, check := range report.Checks {
			sums[i] += check.Compared
		}
	}
	for i, sum := range sums {
		require.NotZero(t, sum, "history %d never came to check %d", seed, i)
	}
}

// told says facts one after another.
func told(facts []record.Fact) func(record.Emitter) error {
	return func(out record.Emitter) error {
		for i, fact := range facts {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	}
}

// drawFacts is a world of few names, of which about two in three are said.
func drawFacts(random *rand.Rand, now time.Time) (facts []record.Fact) {
	ref := func(kind record.EntityKind, n int) record.Ref {
		return record.Ref{Kind: kind, SourceID: fmt.Sprintf("%s-%d", kind, n)}
	}
	said := func() bool { return random.IntN(3) > 0 }
	of := func(list ...string) string { return list[random.IntN(len(list))] }
	const n = 4
	for i := range n {
		for _, kind := range []record.EntityKind{record.Workload, record.Identity, record.Resource, record.Role, record.Owner} {
			e := record.Entity{Ref: ref(kind, i)}
			switch kind {
			case record.Workload:
				e.Environment, e.ExecutionMode = of("", "prod", "test"), record.ExecutionMode(of("", "autonomous", "operator_assisted", "human_triggered"))
				if random.IntN(6) == 0 {
					e.Status = record.Removed
				}
			case record.Identity:
				e.Status = record.Status(of("", "", "disabled"))
			case record.Resource:
				e.Sensitivity, e.DataDomain = of("", "public", "confidential", "restricted"), of("", "finance", "health")
			case record.Owner:
				e.OwnerType, e.Status = record.OwnerType(of("individual", "group")), record.Status(of("active", "disabled"))
			case record.Role:
			}
			facts = append(facts, e)
		}
	}
	edge := func(kind record.EdgeKind, from, to record.EntityKind) {
		for i := range n {
			j := random.IntN(n)
			if said() {
				facts = append(facts, record.Edge{Kind: kind, From: ref(from, i), To: ref(to, j), Ineffective: kind == record.Grants && random.IntN(6) == 0,
					Scope:   map[bool]string{true: "*"}[kind == record.Grants || kind == record.HasRole],
					Actions: map[bool][]string{true: {"get", of("list", "delete", "update")}}[kind == record.Grants || kind == record.Declares]})
			}
		}
	}
	edge(record.RunsAs, record.Workload, record.Identity)
	edge(record.Authenticates, record.Identity, record.Identity)
	edge(record.HasRole, record.Identity, record.Role)
	edge(record.Grants, record.Role, record.Resource)
	edge(record.Declares, record.Workload, record.Resource)
	edge(record.OwnedBy, record.Workload, record.Owner)
	for i := range n {
		if said() {
			category := record.EgressCategory(of("internal", "external", "llm"))
			facts = append(facts, record.Egress{Workload: ref(record.Workload, i), Host: string(category) + ".example", Category: category})
		}
		evidence := record.Evidence{Action: "get", Day: now.Truncate(24*time.Hour).AddDate(0, 0, -random.IntN(50)), Count: 1 + random.IntN(5)}
		workload, identity, resource := ref(record.Workload, i), ref(record.Identity, random.IntN(n)), ref(record.Resource, random.IntN(n))
		switch random.IntN(6) {
		case 0:
			evidence.Workload = &workload
		case 1:
			evidence.Identity = &identity
		case 2:
			evidence.Workload, evidence.Identity = &workload, &identity
		case 3:
			evidence.Workload, evidence.Resource = &workload, &resource
		case 4:
			evidence.Identity, evidence.Resource = &identity, &resource
		case 5:
			evidence.Workload, evidence.Identity, evidence.Resource = &workload, &identity, &resource
		}
		facts = append(facts, evidence)
	}
	for _, kind := range []record.EvidenceKind{record.Ownership, record.Execution, record.EgressObs, record.Binding, record.Roles} {
		if said() {
			facts = append(facts, record.Coverage{Kind: kind, Partial: random.IntN(4) == 0})
		}
	}
	return facts
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// drawEndpoints is where workloads answer: at what scans show, or beside it.
func drawEndpoints(random *rand.Rand) (facts []record.Fact) {
	values := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "h0.example.com", "h1.example.com", "*.example.com", "*.com"}
	ports := []int{0, 0, 22, 443}
	for i := range 4 {
		for _, kind := range []record.EndpointKind{record.MappedEndpoint, record.IngressEndpoint, record.HostnameEndpoint, record.AddressEndpoint} {
			value, port := values[random.IntN(len(values))], ports[random.IntN(len(ports))]
			if random.IntN(3) == 0 {
				facts = append(facts, record.Endpoint{Workload: record.Ref{Kind: record.Workload, SourceID: fmt.Sprintf("workload-%d", i)}, Kind: kind, Value: value, Port: port})
			}
		}
	}
	return facts
}

// drawScan is what a scanner shows of three hosts, of which it looks at about two.
func drawScan(random *rand.Rand) (facts []record.Fact) {
	some := func() bool { return random.IntN(3) > 0 }
	for i := range 3 {
		if !some() {
			continue
		}
		host := must(surface.Host(fmt.Sprintf("10.0.0.%d", i+1)))
		address := surface.Address(host)
		seen := record.Sighting{Assets: []record.Asset{{AssetRef: host, Confidence: random.IntN(3) * 30, Host: &record.HostDetail{OS: []string{"", "Linux", "BSD"}[random.IntN(3)]}}}}
		add := func(a record.Asset) { seen.Assets = append(seen.Assets, a) }
		tie := func(kind record.TieKind, from, to record.AssetRef) {
			seen.Ties = append(seen.Ties, record.Tie{Kind: kind, From: from, To: to})
		}
		asked := func(of record.AssetKind, subject record.AssetRef) {
			if some() {
				seen.Covers = append(seen.Covers, record.Cover{Of: of, Subject: subject})
			}
		}
		if name := must(surface.Domain(fmt.Sprintf("h%d.example.com", random.IntN(2)))); some() {
			add(record.Asset{AssetRef: name, Plugin: "ptr"})
			tie(record.Resolves, name, host)
		}
		for _, port := range []int{22, 80, 443} {
			service := must(surface.Service(host, record.TCP, port))
			state := []record.PortState{"", record.PortOpen, record.PortOpen, record.PortClosed, record.PortFiltered, record.PortUnclear}[random.IntN(6)]
			if state == "" {
				continue
			}
			add(record.Asset{AssetRef: service, Parent: host, State: state, Service: &record.ServiceDetail{Name: "http", Guessed: !some()}})
			if state != record.PortOpen {
				continue
			}
			if asked(record.TechnologyAsset, service); some() {
				name := []string{"nginx", "Apache"}[random.IntN(2)]
				add(record.Asset{AssetRef: must(surface.Technology(service, name)), Parent: service, Technology: &record.TechnologyDetail{Name: name, Version: []string{"", "1", "2"}[random.IntN(3)]}})
			}
			if asked(record.CertificateAsset, service); port == 443 {
				certificate := must(surface.Certificate(fmt.Sprintf("%064x", 1+random.IntN(2)), ""))
				add(record.Asset{AssetRef: certificate, Certificate: &record.CertificateDetail{SHA256: certificate.Value}})
				tie(record.Presents, service, certificate)
			}
		}
		if some() {
			seen.Covers = append(seen.Covers, record.Cover{Of: record.HostAsset, From: address, To: address}, record.Cover{
				Of: record.ServiceAsset, From: address, To: address, Protocol: record.TCP, Answered: some(), Ports: []record.PortRange{{First: uint16(random.IntN(100)), Last: 1023}}}) //nolint:gosec // small
		}
		facts = append(facts, seen)
	}
	return facts
}

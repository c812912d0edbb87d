package authority_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// shards run side by side, each rapid.checks histories (100 unless told).
const shards = 3

// rounds is how often a shard repeats its checks. EXPOSUREGRAPH_SOAK is the
// least number of histories over all shards.
func rounds(t *testing.T) int {
	t.Helper()
	wanted := os.Getenv("EXPOSUREGRAPH_SOAK")
	if wanted == "" {
		return 1
	}
	n, err := strconv.Atoi(wanted)
	require.NoError(t, err, "EXPOSUREGRAPH_SOAK is a number of histories")
	return max(1, (n+100*shards-1)/(100*shards))
}

// TestHistoryAgainstModel delivers random histories of three sources about two systems to
// the server and to the model, and compares all they know after every delivery.
func TestHistoryAgainstModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.advance(365 * 24 * time.Hour) // no delivery comes from the future
	seen := &tally{counts: map[string]int{}}
	t.Cleanup(func() {
		t.Log(seen)
		if t.Failed() || seen.counts["histories"] < 100*shards {
			return
		}
		// Histories in which little happens prove little.
		for _, what := range []string{"applied", "unchanged", "repeated", "late", "incomplete", "complete", "added", "changed", "removed", "revived",
			"unbound", "deep", "ineffective", "rotated", "by path", "by workload", "counted none", "many voices",
			"valid", "degraded", "orphaned", "egress none", "dead between"} {
			require.NotZero(t, seen.counts[what], "no history shows: %s", what)
		}
	})
	for shard := range shards {
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			conn := b.Super(t)
			for range rounds(t) {
				rapid.Check(t, func(rt *rapid.T) {
					play(rt, newTheatre(b, conn), seen, rapid.SliceOfN(rapid.Custom(drawMove), 2, 8).Draw(rt, "moves"))
				})
			}
		})
	}
}

// tally counts what the histories show.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what] += n
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, c.counts[what]))
	}
	return strings.Join(parts, ", ")
}

// checker is what histories need of a test.
type checker interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
}

// theatre is an organization of its own, on the server and in the model.
type theatre struct {
	*bench
	conn         *pgx.Conn
	slug         string
	organization id.ID
	world        *world
}

var organizations atomic.Int64

func newTheatre(b *bench, conn *pgx.Conn) *theatre {
	slug := fmt.Sprintf("history-%d", organizations.Add(1))
	return &theatre{bench: b, conn: conn, slug: slug, organization: id.Organization(slug), world: newWorld(
		&voice{name: "scan", system: "s1"}, &voice{name: "inventory", system: "s1"}, &voice{name: "cloud", system: "s2"})}
}

// deliver tells the server and the model the same and compares.
func (h *theatre) deliver(t checker, d told) outcome {
	t.Helper()
	v := h.world.voices[d.voice]
	t.Logf("%s", d.text(v))
	expected := h.world.deliver(d)
	var before map[string]string
	if expected.Outcome != authority.Applied {
		before = h.fingerprint(t)
	}
	report, err := h.service.Sync(h.ctx, authority.SyncRequest{
		Organization: h.slug, CreateOrganization: true, Source: v.name, System: v.system, Format: "snapshot",
		ObservedAt: d.observedAt, Partial: d.partial,
	}, func(out record.Emitter) error {
		for _, l := range d.lines {
			at := record.Position{File: "feed", Line: l.number}
			if l.fact == nil {
				l.reject.Position = at
				if err := out.Reject(l.reject); err != nil {
					return err
				}
				continue
			}
			if err := out.Record(record.Record{Position: at, Fact: l.fact}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, expected.Outcome, report.Outcome)
	if !expected.Silent {
		require.Equal(t, expected.At, report.At.UTC())
		require.Equal(t, expected.Version, report.Version)
		require.Equal(t, expected.Complete, report.Complete)
		require.Equal(t, authority.RecordCounts{Read: expected.Read, Accepted: expected.Read - expected.Rejected, Rejected: expected.Rejected}, report.Records)
		require.Equal(t, expected.Rotations, report.Rotations)
	}
	h.compare(t)
	require.Equal(t, expected.Paths, report.Paths, "counts of the report")
	if before != nil {
		after := h.fingerprint(t)
		if !expected.Silent { // its own row, and that the source spoke
			delete(before, "sync")
			delete(after, "sync")
			if expected.Outcome == authority.Unchanged {
				delete(before, "source")
				delete(after, "source")
			}
		}
		require.Equal(t, before, after, "a delivery without news writes nothing")
	}
	return expected
}

// fingerprint is a digest of every row of the organization, with its place and
// its writer, table by table.
func (h *theatre) fingerprint(t checker) map[string]string {
	t.Helper()
	const tables = `
		SELECT string_agg(format('SELECT %L AS name, coalesce(md5(string_agg(t.ctid::text || t.xmin::text || t::text, chr(10) ORDER BY t.ctid)), $$$$) AS digest
			FROM %s t WHERE organization_id = $1', c.relname, c.oid::regclass), ' UNION ALL ')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace`
	var query string
	require.NoError(t, h.conn.QueryRow(context.Background(), tables).Scan(&query))
	type row struct{ Name, Digest string }
	digests := map[string]string{}
	for _, r := range rowsOf[row](t, h, query) {
		digests[r.Name] = r.Digest
	}
	require.Contains(t, digests, "authority_path_version")
	return digests
}

// rowsOf reads rows about the organization as the superuser.
func rowsOf[T any](t checker, h *theatre, sql string) []T {
	t.Helper()
	rows, err := h.conn.Query(context.Background(), sql, h.organization)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	require.NoError(t, err)
	return list
}

// compare holds everything that the server keeps of the organization against
// the model.
func (h *theatre) compare(t checker) {
	t.Helper()
	refs := map[id.ID]record.Ref{}
	classes := map[int]class{}
	type entity struct {
		ID                     id.ID
		Kind, System, External string
	}
	for _, e := range rowsOf[entity](t, h, `SELECT id, kind, system, external_id FROM entity WHERE organization_id = $1`) {
		refs[e.ID] = record.Ref{Kind: record.EntityKind(e.Kind), System: e.System, SourceID: e.External}
		require.Equal(t, id.Entity(h.organization, e.Kind, e.System, e.External), e.ID)
	}
	type combination struct {
		Class                            int
		Environment, Owner, BusinessTier string
	}
	for _, c := range rowsOf[combination](t, h, `SELECT class, environment, owner, business_tier FROM access_class WHERE organization_id = $1`) {
		classes[c.Class] = class{c.Environment, c.Owner, c.BusinessTier}
	}
	h.compareEntities(t, refs, classes)
	h.comparePaths(t, refs, classes)

	type rotated struct {
		Workload, From, To id.ID
		At                 time.Time
	}
	rotations := []rotation{}
	for _, r := range rowsOf[rotated](t, h, `SELECT workload_id, from_identity, to_identity, at FROM identity_rotation WHERE organization_id = $1`) {
		rotations = append(rotations, rotation{refs[r.Workload], refs[r.From], refs[r.To], r.At.UTC()})
	}
	require.ElementsMatch(t, h.world.rotations, rotations, "rotations")
}

func (h *theatre) compareEntities(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		ID                                                             id.ID
		Version                                                        int
		From, Seen                                                     time.Time
		To                                                             *time.Time
		Name, Status, Environment, OwnerTeam, BusinessTier, Mode, Type string
		Domain, DomainStated                                           string
		Level                                                          int
		Sensitivity                                                    string
		Class                                                          int
		Ownership, Egress                                              string
	}
	const columns = `name, status, coalesce(environment, ''), coalesce(owner_team, ''), coalesce(business_tier, ''), coalesce(execution_mode, ''),
		coalesce(owner_type, ''), coalesce(data_domain, ''), coalesce(data_domain_stated, ''), sensitivity, coalesce(sensitivity_stated, ''),
		class, ownership_status, egress_category`
	rows := rowsOf[row](t, h, `
		SELECT id, version, from_at, first_seen_at, NULL::timestamptz AS to_at, `+columns+` FROM entity WHERE organization_id = $1
		UNION ALL
		SELECT v.id, v.version, v.from_at, v.from_at, v.to_at, `+columns+` FROM entity_version v WHERE v.organization_id = $1
		ORDER BY 1, 2`)
	found := map[record.Ref][]version[entityState]{}
	ends := map[record.Ref]*time.Time{}
	for _, r := range rows {
		e := refs[r.ID]
		checkInterval(t, e, r.Version, len(found[e])+1, r.From, ends[e])
		ends[e] = r.To
		found[e] = append(found[e], version[entityState]{From: r.From.UTC(), State: entityState{
			entityValue: entityValue{Name: r.Name, Environment: r.Environment, OwnerTeam: r.OwnerTeam, BusinessTier: r.BusinessTier,
				DataDomain: r.DomainStated, Sensitivity: r.Sensitivity, Status: record.Status(r.Status), Mode: record.ExecutionMode(r.Mode),
				OwnerType: record.OwnerType(r.Type)},
			Domain: r.Domain, Level: authority.Sensitivity(r.Level), Class: classes[r.Class], Ownership: r.Ownership, Egress: r.Egress}}) //nolint:gosec // 0 to 4
		if r.To == nil {
			require.Equal(t, found[e][0].From, r.Seen.UTC(), "%v was first seen when its first version began", e)
		}
	}
	equalChronicles(t, h.world.entities, found)
	checkEnds(t, ends)
}

func (h *theatre) comparePaths(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		ID                id.ID
		Version           int
		From              time.Time
		To                *time.Time
		Sync              int64
		Status            string
		Effective         bool
		Roles             []id.ID
		Actions           []string
		Depth             int
		Hash              []byte
		Class             int
		Domain            string
		Sensitivity       int
		Ownership, Egress string
		Execution         int64
		Basis             string
	}
	const columns = `sync_version, status, effective, role_ids, actions, auth_chain_depth, composition_hash, class, coalesce(data_domain, ''), sensitivity,
		ownership_status, egress_category, coalesce(execution_30d, -1), coalesce(execution_basis, '')`
	type subject struct {
		ID, Lineage, Workload id.ID
		Identity              *id.ID
		Resource              id.ID
		From, Seen            time.Time
		Removed               *time.Time
	}
	keys := map[id.ID]pathKey{}
	subjects := map[id.ID]subject{}
	for _, s := range rowsOf[subject](t, h, `SELECT id, lineage_id, workload_id, identity_id, resource_id, from_at, first_seen_at, removed_at
		FROM authority_path WHERE organization_id = $1`) {
		key := pathKey{Workload: refs[s.Workload], Resource: refs[s.Resource]}
		if s.Identity != nil {
			key.Identity = refs[*s.Identity]
		}
		require.Equal(t, id.AuthorityPath(h.organization, s.Workload, s.Identity, s.Resource), s.ID)
		require.Equal(t, id.Lineage(h.organization, s.Workload, s.Resource), s.Lineage)
		keys[s.ID], subjects[s.ID] = key, s
	}
	rows := rowsOf[row](t, h, `
		SELECT id, version, from_at, NULL::timestamptz AS to_at, `+columns+` FROM authority_path WHERE organization_id = $1
		UNION ALL
		SELECT id, version, from_at, to_at, `+columns+` FROM authority_path_version WHERE organization_id = $1
		ORDER BY 1, 2`)
	found := map[pathKey][]version[pathState]{}
	ends := map[pathKey]*time.Time{}
	for _, r := range rows {
		require.Contains(t, keys, r.ID, "a version of a path that there is not")
		key, s := keys[r.ID], subjects[r.ID]
		checkInterval(t, key, r.Version, len(found[key])+1, r.From, ends[key])
		ends[key] = r.To
		roles := map[string]bool{}
		for _, role := range r.Roles {
			roles[fmt.Sprint(refs[role])] = true
		}
		require.Len(t, roles, len(r.Roles), "roles of %v", key)
		require.True(t, slices.IsSorted(r.Actions), "actions of %v", key)
		hash := id.Composition(s.Workload, s.Identity, s.Resource, r.Roles, r.Actions)
		require.Equal(t, hash[:], r.Hash, "composition of %v", key)
		found[key] = append(found[key], version[pathState]{From: r.From.UTC(), Sync: r.Sync, State: pathState{
			Removed: r.Status == "removed", Effective: r.Effective, Roles: joined(roles), Actions: strings.Join(r.Actions, " "), Depth: r.Depth,
			Class: classes[r.Class], DataDomain: r.Domain, Sensitivity: authority.Sensitivity(r.Sensitivity), //nolint:gosec // 0 to 4
			Ownership: r.Ownership, Egress: r.Egress, Execution: r.Execution, Basis: r.Basis}})
		if r.To == nil {
			require.Equal(t, found[key][0].From, s.Seen.UTC(), "%v was first seen when its first version began", key)
			require.Equal(t, r.Status == "removed", s.Removed != nil && s.Removed.Equal(r.From), "%v was removed when its last version began", key)
		}
	}
	equalChronicles(t, h.world.paths, found)
	checkEnds(t, ends)

	type succeeded struct {
		Predecessor, Successor id.ID
		At                     time.Time
	}
	successions := []succession{}
	for _, s := range rowsOf[succeeded](t, h, `SELECT predecessor_id, successor_id, at FROM path_succession WHERE organization_id = $1`) {
		successions = append(successions, succession{keys[s.Predecessor], keys[s.Successor], s.At.UTC()})
	}
	require.ElementsMatch(t, h.world.successions, successions, "successions")
}

// checkInterval holds a version against the one before it: it begins where that
// one ends, so that together they leave no gap and never overlap.
func checkInterval(t checker, of any, number, expected int, from time.Time, previousEnd *time.Time) {
	t.Helper()
	require.Equal(t, expected, number, "versions of %v", of)
	require.Equal(t, expected > 1, previousEnd != nil, "only the last version of %v is open", of)
	if previousEnd != nil {
		require.True(t, previousEnd.Equal(from), "version %d of %v begins at %v, and the one before it ended at %v", number, of, from, *previousEnd)
	}
}

// checkEnds makes sure that the last version of everything is open.
func checkEnds[K comparable](t checker, ends map[K]*time.Time) {
	t.Helper()
	for of, end := range ends {
		require.Nil(t, end, "the last version of %v", of)
	}
}

// equalChronicles compares the histories of things, one by one: what differs is
// easier to read than all that there is.
func equalChronicles[K, S comparable](t checker, expected map[K]*chronicle[S], found map[K][]version[S]) {
	t.Helper()
	for key, c := range expected {
		require.Equal(t, c.versions, found[key], "versions of %v", key)
	}
	for key, versions := range found {
		_, both := expected[key]
		require.True(t, both, "the model has no %v, the server %v", key, versions)
	}
}

// Examples of what is easily got wrong. Each delivery is also compared with the model.

const (
	scan = iota
	inventory
	cloud
)

func (h *theatre) say(t checker, voice int, after time.Duration, facts ...record.Fact) outcome {
	t.Helper()
	d := told{voice: voice, observedAt: epoch.Add(after)}
	for i, fact := range facts {
		d.lines = append(d.lines, line{number: i + 1, fact: fact})
	}
	return h.deliver(t, d)
}

func example(t *testing.T) *theatre {
	t.Helper()
	t.Parallel()
	b := setup(t)
	b.advance(365 * 24 * time.Hour)
	return newTheatre(b, b.Super(t))
}

// path is the current state of a path within s1.
func (h *theatre) path(workload, identity, resource string) pathState {
	key := pathKey{Workload: record.Ref{Kind: record.Workload, System: "s1", SourceID: workload},
		Resource: record.Ref{Kind: record.Resource, System: "s1", SourceID: resource}}
	if identity != "" {
		key.Identity = record.Ref{Kind: record.Identity, System: "s1", SourceID: identity}
	}
	return h.world.paths[key].now()
}

// A window begins at an instant, not with that day: coverage that begins at the
// very instant has watched it, a second later it has not.
func TestHistoryWindowBeginsAtAnInstant(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, workload("w1"), resource("d1", ""), declares("w1", "d1"),
		record.Coverage{Kind: record.Execution, From: epoch.Add(-authority.Window), To: epoch})
	require.EqualValues(t, 0, h.path("w1", "", "d1").Execution)
	h.say(t, scan, time.Hour, workload("w1"), resource("d1", ""), declares("w1", "d1"),
		record.Coverage{Kind: record.Execution, From: epoch.Add(time.Second - authority.Window), To: epoch})
	require.EqualValues(t, unknownExecutions, h.path("w1", "", "d1").Execution)
}

// A source that says the same again renews its coverage. What is derived from
// that alone counts in the same window as everything else.
func TestHistoryRenewedCoverageKeepsTheWindow(t *testing.T) {
	h := example(t)
	w1 := ref(record.Workload, "w1")
	facts := []record.Fact{workload("w1"), resource("d1", ""), declares("w1", "d1"),
		record.Coverage{Kind: record.Ownership, MaxAge: time.Hour},
		record.Coverage{Kind: record.Execution, From: epoch.Add(-authority.Window)},
		record.Evidence{Workload: &w1, Day: day(-60), Count: 5}}
	h.say(t, scan, 0, facts...)
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership)
	h.say(t, inventory, 2*time.Hour, record.Entity{Ref: w1, Environment: "prod"})
	require.Equal(t, "unknown", h.path("w1", "", "d1").Ownership, "nobody has looked for two hours")
	require.Equal(t, authority.Applied, h.say(t, scan, 3*time.Hour, facts...).Outcome)
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership)
	require.EqualValues(t, 0, h.path("w1", "", "d1").Execution, "five runs two months ago are outside the window")
	require.Equal(t, authority.Unchanged, h.say(t, scan, 3*time.Hour+time.Minute, facts...).Outcome, "nothing to renew yet")
}

// A declared destination is a path of its own until an identity reaches it, and
// again when none does any more.
func TestHistoryDeclaredPathYieldsToBound(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, workload("w1"), resource("d1", ""), declares("w1", "d1", "get"), identity("i1"), runsAs("w1", "i1"))
	r1 := []record.Fact{role("r1"), hasRole("i1", "r1", "*"), grants("r1", "*", "d1", "list")}
	h.say(t, inventory, time.Hour, r1...)
	require.True(t, h.path("w1", "", "d1").Removed)
	require.False(t, h.path("w1", "i1", "d1").Removed)
	h.say(t, inventory, 2*time.Hour)
	require.False(t, h.path("w1", "", "d1").Removed)
	require.True(t, h.path("w1", "i1", "d1").Removed)
	require.Equal(t, 1, h.say(t, inventory, 3*time.Hour, r1...).Revived)
}

// A chain of authentications breaks where an identity does not live, and only
// there: what is reached on another way stays, over more systems.
func TestHistoryDeadIdentityBreaksChain(t *testing.T) {
	h := example(t)
	authenticates := func(from, to record.Ref) record.Edge {
		return record.Edge{Kind: record.Authenticates, From: from, To: to, Protocol: "oauth2"}
	}
	i1, i2, i3 := ref(record.Identity, "i1"), ref(record.Identity, "i2"), ref(record.Identity, "i3")
	h.say(t, scan, 0, workload("w1"), identity("i1"), identity("i2"), identity("i3"), role("r1"), resource("d1", ""),
		runsAs("w1", "i1"), authenticates(i1, i2), authenticates(i2, i3), authenticates(ref(record.Workload, "w1"), i2), authenticates(i3, i1),
		hasRole("i3", "r1", "*"), grants("r1", "*", "d1", "get"))
	require.Equal(t, 2, h.path("w1", "i3", "d1").Depth)
	dead := record.Entity{Ref: i1, Basis: record.Mapping, Status: record.Removed}
	h.say(t, inventory, time.Hour, dead)
	require.False(t, h.path("w1", "i3", "d1").Removed)
	dead.Ref = i2
	h.say(t, inventory, 2*time.Hour, dead)
	require.True(t, h.path("w1", "i3", "d1").Removed)
	require.Equal(t, 1, h.say(t, inventory, 3*time.Hour).Revived)
}

// An identity is exchanged only when no source says any more that the workload
// runs as it.
func TestHistoryRotationNeedsAllSources(t *testing.T) {
	h := example(t)
	common := []record.Fact{identity("i1"), identity("i2"), role("r1"), resource("d1", ""),
		hasRole("i1", "r1", "*"), hasRole("i2", "r1", "*"), grants("r1", "*", "d1", "get")}
	h.say(t, inventory, 0, append(common, workload("w1"), runsAs("w1", "i1"))...)
	h.say(t, scan, time.Hour, workload("w1"), runsAs("w1", "i1"))
	require.Zero(t, h.say(t, scan, 2*time.Hour, workload("w1"), runsAs("w1", "i2")).Rotations)
	require.Zero(t, h.say(t, inventory, 3*time.Hour, common...).Rotations, "lost one, gained none")
	require.Equal(t, 1, h.say(t, scan, 4*time.Hour, workload("w1"), runsAs("w1", "i1")).Rotations)
	require.Len(t, h.world.successions, 1, "the path of i1 was there before, and took over")
}

// What a source says stands, though another one has taken back the entity that
// it names: an unchanged delivery is not compared again.
func TestHistoryUnchangedWithLostReference(t *testing.T) {
	h := example(t)
	h.say(t, inventory, 0, identity("i1"))
	facts := []record.Fact{workload("w1"), runsAs("w1", "i1"), record.Coverage{Kind: record.Ownership}}
	h.say(t, scan, time.Hour, facts...)
	h.say(t, inventory, 2*time.Hour)
	require.Equal(t, authority.Unchanged, h.say(t, scan, 3*time.Hour, facts...).Outcome)
	// With one more word it is compared, and then the reference leads nowhere.
	again := h.say(t, scan, 4*time.Hour, append(facts, workload("w2"))...)
	require.Equal(t, 1, again.Rejected)
	require.False(t, again.Complete)
}

// A system that is named and the same one that is meant make one record: the
// second is a duplicate, the delivery incomplete, and what it leaves out stays.
func TestHistoryDuplicateKeepsWhatIsLeftOut(t *testing.T) {
	h := example(t)
	facts := []record.Fact{workload("w1"), resource("d1", ""), resource("d2", ""), declares("w1", "d1", "get"), declares("w1", "d2"),
		record.Coverage{Kind: record.Ownership}}
	h.say(t, scan, 0, facts...)
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership)
	twice := declares("w1", "d1", "delete")
	twice.From.System = "s1"
	result := h.say(t, scan, time.Hour, append(slices.Delete(slices.Clone(facts), 4, 5), twice)...)
	require.Equal(t, 1, result.Rejected)
	require.Equal(t, "get", h.path("w1", "", "d1").Actions, "the first stands")
	require.False(t, h.path("w1", "", "d2").Removed)
	require.Equal(t, "unknown", h.path("w1", "", "d1").Ownership, "a refused record puts the coverage of its workload in doubt")
}

// Histories ------------------------------------------------------------------

// move is a delivery as it is drawn: what changes against the source's one
// before. It knows nothing of the state, so that it shrinks well.
type move struct {
	voice   int
	mode    mode
	pause   time.Duration // after the latest observation so far
	partial bool
	drops   []int // which lines of the one before are left out
	rotate  turn
	adds    [][]line
	unclean int // 0: no duplicates, no refused records, no dangling references
	which   int // for again and restore: which of the deliveries so far
}

// mode is what a delivery builds on.
type mode int

const (
	evolve  mode = iota // the source's one before, with changes
	fresh               // nothing
	restore             // one of the source's former ones, observed now
	again               // a former delivery as it was
	later               // the source's one before as it was, observed later
)

// What an unclean delivery may have.
const (
	dangles = 1
	doubles = 2
)

func drawMove(t *rapid.T) move {
	return move{
		voice:   rapid.IntRange(0, 2).Draw(t, "voice"),
		mode:    rapid.SampledFrom([]mode{evolve, evolve, restore, evolve, evolve, restore, evolve, fresh, again, later, restore, evolve}).Draw(t, "mode"),
		pause:   rapid.SampledFrom(pauses).Draw(t, "pause"),
		partial: rapid.IntRange(0, 9).Draw(t, "partial") > 7,
		drops:   rapid.SliceOfN(rapid.IntRange(0, 24), 0, 6).Draw(t, "drops"),
		rotate:  one(t, "rotate", keep, keep, keep, turnWorkload, turnIdentity, turnIdentity),
		adds:    rapid.SliceOfN(rapid.Custom(drawLines), 0, 12).Draw(t, "adds"),
		unclean: rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 0, dangles, doubles, dangles | doubles}).Draw(t, "unclean"),
		which:   rapid.IntRange(0, 7).Draw(t, "which"),
	}
}

var pauses = []time.Duration{
	time.Hour, time.Second, 0, 400 * time.Millisecond, time.Minute, 26 * time.Hour, 5 * 24 * time.Hour, -time.Second, -2 * time.Hour, -30 * time.Hour,
}

// play turns moves into deliveries and makes them.
func play(t *rapid.T, h *theatre, seen *tally, moves []move) {
	seen.add("histories", 1)
	var made []told
	latest := epoch
	for _, s := range moves {
		d, is := h.compose(s, made, latest)
		if !is {
			continue
		}
		if d.observedAt.After(latest) {
			latest = d.observedAt
		}
		made = append(made, d)
		seen.note(h.world, h.deliver(t, d))
	}
	if len(made) == 0 {
		return
	}
	last := made[len(made)-1] // whatever it did, it is known now, in any order
	last.lines = slices.Clone(last.lines)
	slices.Reverse(last.lines)
	h.deliver(t, last)
}

// compose makes a delivery of a move. It fails where there is nothing to repeat.
func (h *theatre) compose(s move, before []told, latest time.Time) (told, bool) {
	d := told{voice: s.voice, partial: s.partial, observedAt: latest.Add(s.pause)}
	var own [][]line
	for _, earlier := range before {
		if earlier.voice == s.voice {
			own = append(own, earlier.lines)
		}
	}
	if len(own) == 0 {
		own = [][]line{nil}
	}
	switch s.mode {
	case again:
		if len(before) == 0 {
			return d, false
		}
		return before[s.which%len(before)], true
	case later:
		d.lines = slices.Clone(own[len(own)-1])
		slices.Reverse(d.lines)
		return d, true
	case restore:
		d.lines = slices.Clone(own[s.which%len(own)])
	case fresh:
	case evolve:
		for i, l := range own[len(own)-1] {
			if !slices.Contains(s.drops, i) {
				d.lines = append(d.lines, l)
			}
		}
		s.rotate.apply(d.lines)
	}
	d.lines = append(d.lines, slices.Concat(s.adds...)...)
	v := h.world.voices[s.voice]
	if s.unclean&doubles == 0 {
		d.lines = v.once(d.lines)
	}
	if s.unclean&dangles == 0 {
		d.lines = v.closed(d.lines)
	}
	for i := range d.lines {
		d.lines[i].number = i + 1
	}
	return d, true
}

// turn is how a delivery exchanges an identity for the next one.
type turn int

const (
	keep         turn = iota
	turnWorkload      // the first workload that runs as something runs as another
	turnIdentity      // whatever speaks of that identity speaks of another
)

func (how turn) apply(lines []line) {
	first := slices.IndexFunc(lines, func(l line) bool { e, is := l.fact.(record.Edge); return is && e.Kind == record.RunsAs })
	if how == keep || first < 0 {
		return
	}
	from := lines[first].fact.(record.Edge).To
	to := from
	to.SourceID = map[string]string{"i1": "i2", "i2": "i3", "i3": "i1"}[from.SourceID]
	for i, l := range lines {
		e, is := l.fact.(record.Edge)
		if !is || how == turnWorkload && i != first {
			continue
		}
		if e.From == from {
			e.From = to
		}
		if e.To == from {
			e.To = to
		}
		lines[i].fact = e
	}
}

// once leaves out refused records, and of those that speak of the same thing
// all but the last.
func (v *voice) once(lines []line) []line {
	at := map[any]int{}
	var kept []line
	for _, l := range lines {
		key, _, bad := v.read(l)
		if bad != nil {
			continue
		}
		if i, twice := at[key]; twice {
			kept[i] = l
			continue
		}
		at[key] = len(kept)
		kept = append(kept, l)
	}
	return kept
}

// closed puts an entity before the records that need one.
func (v *voice) closed(lines []line) []line {
	asserted := map[record.Ref]bool{}
	for _, l := range lines {
		if e, is := l.fact.(record.Entity); is {
			asserted[record.Ref{Kind: e.Kind, System: cmp.Or(e.System, v.system), SourceID: e.SourceID}] = true
		}
	}
	var missing []line
	for _, l := range lines {
		key, _, _ := v.read(l)
		needs, _ := names(key)
		for _, r := range needs {
			if !asserted[r] {
				asserted[r] = true
				missing = append(missing, line{fact: record.Entity{Ref: r}})
			}
		}
	}
	return append(missing, lines...)
}

func (c *tally) note(w *world, o outcome) {
	c.add(string(o.Outcome), 1)
	if o.Silent || o.Outcome == authority.Late {
		return
	}
	c.add(map[bool]string{true: "complete", false: "incomplete"}[o.Complete], 1)
	c.add("added", o.Paths.Added)
	c.add("changed", o.Paths.Changed)
	c.add("removed", o.Paths.Removed)
	c.add("revived", o.Revived)
	c.add("rotated", o.Rotations)
	for _, s := range w.successions {
		if s.At.Equal(o.At) {
			c.add("succeeded", 1)
		}
	}
	for key, history := range w.paths {
		if !history.begun(o.At) || history.now().Removed {
			continue
		}
		p := history.now()
		c.add(p.Ownership, 1)
		c.add("egress "+p.Egress, 1)
		switch {
		case p.Basis != "":
			c.add("by "+p.Basis, 1)
		case p.Execution == 0:
			c.add("counted none", 1)
		}
		if key.Identity == unnamed {
			c.add("unbound", 1)
		}
		if p.Depth > 0 {
			c.add("deep", 1)
		}
		if !p.Effective {
			c.add("ineffective", 1)
		}
		if key.Workload.System != key.Resource.System {
			c.add("across systems", 1)
		}
	}
	for r := range w.entities {
		voices := 0
		for _, v := range w.voices {
			for key := range v.said {
				if k, is := key.(entityKey); is && k.Ref == r {
					voices++
				}
			}
		}
		if voices > 1 {
			c.add("many voices", 1)
		}
		if r.Kind == record.Identity && !w.alive(r) && len(w.targets(record.Authenticates, r)) > 0 {
			c.add("dead between", 1)
		}
	}
}

// Records --------------------------------------------------------------------

func one[T any](t *rapid.T, label string, from ...T) T {
	return rapid.SampledFrom(from).Draw(t, label)
}

// The pools are small, so that records meet.
func drawRef(t *rapid.T, kind record.EntityKind, system string) record.Ref {
	pool := map[record.EntityKind][]string{
		record.Workload: {"w1", "w1", "w1", "w2", "w2", "w3"}, record.Identity: {"i1", "i1", "i2", "i2", "i3"}, record.Role: {"r1", "r1", "r2", "r3"},
		record.Resource: {"d1", "d1", "d1", "d2", "d3", "d4"}, record.Owner: {"o1", "o2"},
	}
	return record.Ref{Kind: kind, System: system, SourceID: rapid.SampledFrom(pool[kind]).Draw(t, string(kind))}
}

// drawSystem is most often the source's own, or the one that two sources share.
func drawSystem(t *rapid.T) string { return one(t, "system", "", "", "", "s1", "s1", "s1", "s1", "s2") }

func drawLines(t *rapid.T) []line {
	// By chance alone the edges of a path, and of its ownership, meet too seldom.
	kind := one(t, "lines", "one", "one", "chain", "owner", "link", "one", "one")
	system := drawSystem(t)
	switch kind {
	case "one":
		return []line{drawLine(t)}
	case "owner":
		owner := record.Entity{Ref: drawRef(t, record.Owner, system), OwnerType: one(t, "type", "", record.Individual, record.Group),
			Status: one(t, "status", "", record.Disabled, record.Active)}
		return []line{{fact: owner}, {fact: record.Edge{Kind: record.OwnedBy, From: drawRef(t, record.Workload, system), To: owner.Ref}}}
	case "link":
		between := record.Entity{Ref: drawRef(t, record.Identity, system), Status: one(t, "status", "", record.Removed, record.Disabled)}
		from, to := drawEdge(t, record.Authenticates, system), drawEdge(t, record.Authenticates, system)
		from.To, to.From = between.Ref, between.Ref
		return []line{{fact: between}, {fact: from}, {fact: to}}
	}
	runsAs, hasRole, grants := drawEdge(t, record.RunsAs, system), drawEdge(t, record.HasRole, system), drawEdge(t, record.Grants, system)
	if one(t, "met", true, true, true, false) {
		hasRole.From, grants.From, grants.Scope = runsAs.To, hasRole.To, hasRole.Scope
	}
	return []line{{fact: runsAs}, {fact: hasRole}, {fact: grants}}
}

func drawLine(t *rapid.T) line {
	kind := one(t, "kind",
		record.RunsAs, record.RunsAs, record.RunsAs, record.HasRole, record.HasRole, record.HasRole, record.Grants, record.Grants, record.Grants, record.Grants,
		record.Declares, record.Declares, record.Authenticates, record.Authenticates, record.OwnedBy, record.OwnedBy, record.CreatedBy,
		"entity", "entity", "entity", "egress", "evidence", "evidence", "evidence", "coverage", "coverage", "coverage", "reject")
	system := drawSystem(t)
	switch kind {
	case "entity":
		return line{fact: drawEntity(t, system)}
	case "egress":
		return line{fact: record.Egress{Workload: drawRef(t, record.Workload, system), Host: one(t, "host", "a", "b"),
			Category: one(t, "category", record.EgressInternal, record.EgressExternal, record.EgressLLM)}}
	case "evidence":
		return line{fact: drawEvidence(t, system)}
	case "coverage":
		return line{fact: drawCoverage(t, system)}
	case "reject":
		l := line{reject: record.Rejection{Code: "BROKEN", Reason: "broken"}}
		if about := one(t, "about", "", record.Workload, record.Identity); about != "" {
			entity := drawRef(t, about, system)
			l.reject.Entity, l.reject.Reason = &entity, fmt.Sprintf("broken %v", entity)
		}
		return l
	}
	return line{fact: drawEdge(t, kind, system)}
}

func drawEdge(t *rapid.T, kind record.EdgeKind, system string) record.Edge {
	e := record.Edge{Kind: kind}
	other := system
	if kind == record.Authenticates || one(t, "crossing", false, false, false, false, false, false, true) {
		other = drawSystem(t)
	}
	either := func(kinds ...record.EntityKind) record.EntityKind { return rapid.SampledFrom(kinds).Draw(t, "end") }
	ends := map[record.EdgeKind]func() (from, to record.EntityKind){
		record.RunsAs:        func() (from, to record.EntityKind) { return record.Workload, record.Identity },
		record.HasRole:       func() (from, to record.EntityKind) { return record.Identity, record.Role },
		record.Grants:        func() (from, to record.EntityKind) { return record.Role, record.Resource },
		record.Declares:      func() (from, to record.EntityKind) { return record.Workload, record.Resource },
		record.Authenticates: func() (from, to record.EntityKind) { return either(record.Workload, record.Identity), record.Identity },
		record.OwnedBy: func() (from, to record.EntityKind) {
			return either(record.Workload, record.Workload, record.Resource), record.Owner
		},
		record.CreatedBy: func() (from, to record.EntityKind) { return record.Workload, either(record.Owner, record.Identity) },
	}
	from, to := ends[kind]()
	e.From, e.To = drawRef(t, from, system), drawRef(t, to, other)
	actions := rapid.SliceOfN(rapid.SampledFrom([]string{"get", "list", "delete"}), 0, 3)
	switch kind {
	case record.HasRole:
		e.Scope = one(t, "scope", "*", "*", "eu")
	case record.Grants:
		e.Scope = one(t, "scope", "*", "*", "eu")
		e.Ineffective = one(t, "ineffective", false, false, false, true)
		e.Actions = append(actions.Draw(t, "actions"), "get") // twice now and then
		if one(t, "without", false, false, false, false, false, false, false, false, false, true) {
			e.Actions = nil // which is refused
		}
	case record.Declares:
		e.Actions = actions.Draw(t, "actions")
	case record.Authenticates:
		e.Protocol = one(t, "protocol", "oauth2", "saml")
	default:
	}
	return e
}

func drawEntity(t *rapid.T, system string) record.Entity {
	kind := one(t, "of", record.Workload, record.Workload, record.Identity, record.Role, record.Resource, record.Owner)
	e := record.Entity{
		Ref:    drawRef(t, kind, system),
		Basis:  one(t, "basis", 0, 0, record.Mapping, record.Inventory, record.Manifest, record.Inferred),
		Status: one(t, "status", "", "", "", record.Active, record.Disabled, record.Removed),
		Name:   one(t, "name", "", "", "", "n1"),
	}
	switch kind {
	case record.Workload:
		e.Environment = one(t, "environment", "", "prod", "dev")
		e.OwnerTeam = one(t, "team", "", "", "t1")
		e.BusinessTier = one(t, "tier", "", "", "gold")
		e.ExecutionMode = one(t, "execution", "", "", record.Autonomous)
	case record.Resource:
		e.DataDomain = one(t, "domain", "", "finance", "Accounting", "hr") // two words for one domain
		e.Sensitivity = one(t, "sensitivity", "", "high", "public", "unheard of")
	case record.Owner:
		e.OwnerType = one(t, "type", "", record.Individual, record.Group)
	case record.Identity:
		e.Environment = one(t, "environment", "", "prod") // of no consequence for a class
	default:
	}
	return e
}

// day counts from the day on which the window ends, more or less.
func day(n int) time.Time { return epoch.Truncate(24*time.Hour).AddDate(0, 0, n) }

func drawEvidence(t *rapid.T, system string) record.Evidence {
	e := record.Evidence{
		Day:     day(one(t, "day", -1, 0, 1, -10, -28, -29, -30, -31, -60)),
		Count:   one(t, "count", 1, 2, 3, 1, 2, 3, 1, 2, 3, 0), // zero is refused
		Action:  one(t, "action", "", "", "get"),
		Related: one(t, "related", false, false, true),
	}
	e.LastAt = one(t, "last", time.Time{}, time.Time{}, e.Day.Add(time.Hour))
	named := one(t, "named", "w", "wi", "wid", "wd", "id", "i")
	add := func(letter string, kind record.EntityKind) *record.Ref {
		if !strings.Contains(named, letter) {
			return nil
		}
		r := drawRef(t, kind, system)
		return &r
	}
	e.Workload, e.Identity, e.Resource = add("w", record.Workload), add("i", record.Identity), add("d", record.Resource)
	return e
}

func drawCoverage(t *rapid.T, system string) record.Coverage {
	c := record.Coverage{
		Kind:    one(t, "of", record.Execution, record.Ownership, record.EgressObs, record.Execution, record.Ownership, record.Roles),
		Partial: one(t, "partial", false, false, false, true),
	}
	if one(t, "particular", false, false, false, true) {
		r := drawRef(t, one(t, "entity", record.Workload, record.Workload, record.Identity), system)
		c.Entity = &r
	}
	if c.Kind == record.Execution && one(t, "windowed", false, true) {
		c.From, c.To = one(t, "from", day(-40), epoch.Add(-authority.Window), day(-20)), one(t, "to", day(3), epoch.Add(-24*time.Hour), day(-3))
	}
	return c
}

// text makes a delivery readable in the output of a failed test.
func (d told) text(v *voice) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s, observed at %s", v.name, v.system, d.observedAt.Format("01-02 15:04:05.000"))
	if d.partial {
		b.WriteString(", partial")
	}
	for _, l := range d.lines {
		key, value, bad := v.read(l)
		fmt.Fprintf(&b, "\n  %d: ", l.number)
		if bad != nil {
			b.WriteString("refused: ")
		}
		switch k := key.(type) {
		case nil:
			b.WriteString(l.reject.Reason)
		case entityKey:
			fmt.Fprintf(&b, "%s, basis %d", short(k.Ref), k.Basis)
			if value != (entityValue{}) {
				fmt.Fprintf(&b, " %+v", value)
			}
		case edgeKey:
			fmt.Fprintf(&b, "%s %s %s %s %+v", short(k.From), k.Kind, short(k.To), k.Scope, value)
		case egressKey:
			fmt.Fprintf(&b, "%s sends to %s (%s)", short(k.Workload), k.Host, value)
		case evidenceKey:
			fmt.Fprintf(&b, "evidence %s %s %s %q on %s, related %v: %d", short(k.Workload), short(k.Identity), short(k.Resource), k.Action,
				k.Day.Format(time.DateOnly), k.Related, value.(evidenceValue).Count)
		case coverageKey:
			fmt.Fprintf(&b, "coverage of %s %s %+v", k.Kind, short(k.Entity), value)
		}
	}
	return b.String()
}

func short(r record.Ref) string {
	if r == unnamed {
		return "-"
	}
	return r.System + "/" + r.SourceID
}

// A source may name its own system or leave it out: it says the same.
func TestHistoryOwnSystemNamedOrMeant(t *testing.T) {
	h := example(t)
	meant, named := workload("w1"), workload("w1")
	named.System = "s1"
	h.say(t, scan, 0, meant)
	require.Equal(t, authority.Unchanged, h.say(t, scan, time.Hour, named).Outcome)
}

package authority_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
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
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// shards run side by side, each rapid.checks histories (see TestMain).
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
	return max(1, (n+histories*shards-1)/(histories*shards))
}

// TestHistoryAgainstModel lives through random histories of three sources about two
// systems: deliveries, time, settings, other rules and clusters, and what people say
// of exposures. After every step it compares all that the server and the model know.
func TestHistoryAgainstModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	seen := &tally{counts: map[string]int{}}
	t.Cleanup(func() {
		t.Log(seen)
		if t.Failed() || seen.counts["histories"] < histories*shards {
			return
		}
		// Histories in which little happens prove little.
		for _, what := range expected(seen.counts["histories"]) {
			if seen.counts[what] == 0 { // not require: what ends a cleanup early is not reported
				t.Errorf("no history shows: %s", what)
			}
		}
	})
	for shard := range shards {
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			conn := b.Super(t)
			for range rounds(t) {
				rapid.Check(t, func(rt *rapid.T) {
					play(rt, newTheatre(b, conn), seen, rapid.SliceOfN(rapid.Custom(drawMove), 4, 10).Draw(rt, "moves"))
				})
			}
		})
	}
}

// expected is what as many histories have to show: what is rarer needs more of
// them. Manual is a reason that only people give; the rarest have examples.
func expected(number int) []string {
	list := []string{"applied", "unchanged", "repeated", "late", "incomplete", "complete", "added", "changed", "removed",
		"deep", "ineffective", "counted none", "many voices", "valid", "orphaned", "egress none", "dead between",
		"basis detected", "severity 2", "severity 3", "severity 4", "level 1",
		"exposure changed", "member gone", "member of a class", "counter changed", "counted executions", "exposure path_removed",
		"type 1 opened", "type 4 opened", "type 6 opened", "type 11 opened", "type 12 opened", "type 13 opened",
		"cluster 1", "cluster 4", "cluster 9", "cluster 12"}
	list = append(list, expectedOfPosture(number)...)
	if number < 1000 {
		return list
	}
	list = append(list, "revived", "rotated", "unbound", "by path", "degraded", "basis path_first_seen", "severity 1",
		"cluster 2", "cluster 5", "cluster 7", "cluster 8", "cluster 11")
	list = append(list, "by workload", "renewed", "level 2", "level 3", "lineage continued", "succeeded", "basis entity_event",
		"cluster 3", "cluster 6", "cluster 10", "cluster 20", "rule 1 doubted", "rule 11 doubted", "rule 12 doubted", "rule 13 doubted",
		"rule 5 doubted", "rule 7 doubted", "rule 8 doubted", "type 6 doubted")
	for r := 1; r <= 13; r++ {
		list = append(list, fmt.Sprintf("type %d opened", r), fmt.Sprintf("type %d resolved", r))
	}
	for _, r := range []rule.Type{rule.OrphanedPath, rule.UnknownOwnership, rule.SensitiveReach, rule.SharedIdentity} {
		list = append(list, fmt.Sprintf("type %d again", r))
	}
	for _, reason := range []rule.Reason{
		rule.OwnerAssigned, rule.OwnerReactivated, rule.IndividualOwnerAssigned, rule.OwnershipReceived, rule.OwnershipChanged, rule.ActivityResumed,
		rule.IdentityBound, rule.EvidenceAppeared, rule.ScopeReduced, rule.BaselineAttested, rule.EgressRemoved, rule.HostReclassified,
		rule.IdentityDedicated, rule.IdentityRemoved, rule.WorkloadRemoved, rule.RuleRetired, rule.RuleChanged, rule.SettingChanged} {
		list = append(list, "condition "+string(reason))
	}
	for _, reason := range []rule.Reason{rule.PathIneffective, rule.WorkloadRemoved, rule.RotatedToSuccessor} {
		list = append(list, "exposure "+string(reason))
	}
	if number < 4000 {
		return list
	}
	list = append(list, "type 10 doubted", "false positive inherited", "rule 2 doubted", "rule 3 doubted", "rule 9 doubted")
	for r := 1; r <= 13; r++ {
		list = append(list, fmt.Sprintf("type %d again", r))
	}
	for _, reason := range []rule.Reason{rule.OwnerRecordCleaned, rule.IdentityDisabled} {
		list = append(list, "condition "+string(reason))
	}
	for _, reason := range []rule.Reason{rule.JustificationRecorded, rule.SensitivityReclassified, rule.PrivilegeReduced, rule.PrivilegeExercised, rule.ExecutionCeased} {
		list = append(list, "exposure "+string(reason))
	}
	return list
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
	now          time.Time // of whoever asks for a judgement
	clock        time.Time // the server's
	services     []*authority.Service
	which        int // of the services
}

// castings are who judges: the rules and clusters of the program, later versions
// of some rules, and besides these other clusters.
var castings = []struct {
	rules    []rule.Definition
	clusters []posture.Definition
}{
	{rule.Definitions, posture.Definitions},
	{revised(), posture.Definitions},
	{revised(), redefined()},
}

func revised() []rule.Definition {
	list := slices.Clone(rule.Definitions)
	for i := range list {
		if list[i].Rule%3 != 0 || list[i].Rule == rule.SensitiveDomain {
			list[i].Version++
		}
	}
	return list
}

func redefined() []posture.Definition {
	list := slices.Clone(posture.Definitions)
	list = slices.DeleteFunc(list, func(d posture.Definition) bool { return d.Cluster == 4 })
	for i := range list {
		switch list[i].Cluster {
		case 1: // the same members by another version
			list[i].Version++
		case 3:
			list[i].Version, list[i].Grain = 2, posture.OfPath
		case 8:
			list[i].Version, list[i].Any = 2, []rule.Type{rule.UnprovenPath}
		case 12:
			list[i].Version, list[i].Grain = 2, posture.OfWorkload
		}
	}
	return append(list, posture.Definition{Cluster: 20, Version: 1, Key: "alternatives", Severity: rule.Low, Grain: posture.OfWorkload,
		Any: []rule.Type{rule.UnboundPath, rule.ExcessPrivilege}})
}

// cast lets others judge from now on.
func (h *theatre) cast(which int) {
	h.which = which
	h.world.definitions, h.world.versions = castings[which].clusters, map[rule.Rule]int{}
	for _, d := range castings[which].rules {
		h.world.versions[d.Rule] = d.Version
	}
}

var organizations atomic.Int64

func newTheatre(b *bench, conn *pgx.Conn) *theatre {
	return staged(b, conn, fmt.Sprintf("history-%d", organizations.Add(1)))
}

// staged is a theatre whose organization has a name of one's own.
func staged(b *bench, conn *pgx.Conn, slug string) *theatre {
	organization := id.Organization(slug)
	h := &theatre{bench: b, conn: conn, slug: slug, organization: organization, now: epoch, world: newWorld(organization,
		&voice{name: "scan", system: "s1"}, &voice{name: "inventory", system: "s1"}, &voice{name: "cloud", system: "s2"})}
	for _, c := range castings {
		h.services = append(h.services, authority.New(b.DB, exposure.NewAssessor(c.rules, posture.New(c.clusters)),
			func() time.Time { return h.clock }, slog.New(slog.DiscardHandler)))
	}
	h.cast(0)
	return h
}

// deliver tells the server and the model the same and compares.
func (h *theatre) deliver(t checker, d told) outcome {
	t.Helper()
	v := h.world.voices[d.voice]
	t.Logf("%s", d.text(v))
	if d.observedAt.After(h.now) {
		h.now = d.observedAt
	}
	h.clock = h.now.AddDate(0, 1, 0) // no delivery comes from the future
	expected := h.world.deliver(d)
	var before map[string]string
	if expected.Outcome != authority.Applied && !expected.Renewed {
		before = h.fingerprint(t)
	}
	report, err := h.send(h.ctx, d, func() {})
	require.NoError(t, err)
	expected.check(t, report)
	h.compare(t)
	expected.checkCounts(t, report)
	if before != nil {
		after := h.fingerprint(t)
		var own []string // its own row, and that the source spoke
		switch {
		case expected.Silent:
		case expected.Outcome == authority.Unchanged:
			own = []string{"sync", "source", "posture_snapshot", "ledger_entry", "ledger_head"}
		default:
			own = []string{"sync"}
		}
		for _, table := range own {
			delete(before, table)
			delete(after, table)
		}
		require.Equal(t, before, after, "a delivery without news writes nothing")
	}
	return expected
}

// send delivers to the server; arrived is called when all of it was received.
func (h *theatre) send(ctx context.Context, d told, arrived func()) (*authority.SyncReport, error) {
	v := h.world.voices[d.voice]
	return h.services[h.which].Sync(ctx, authority.SyncRequest{
		Organization: h.slug, CreateOrganization: true, Source: v.name, System: v.system, Format: "snapshot",
		ObservedAt: d.observedAt, Partial: d.partial,
	}, func(out record.Emitter) error {
		defer arrived()
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
}

func (expected outcome) check(t checker, report *authority.SyncReport) {
	t.Helper()
	require.Equal(t, expected.Outcome, report.Outcome)
	if expected.Silent {
		return
	}
	require.Equal(t, expected.At, report.At.UTC())
	require.Equal(t, expected.Version, report.Version)
	require.Equal(t, expected.Complete, report.Complete)
	require.Equal(t, authority.RecordCounts{Read: expected.Read, Accepted: expected.Read - expected.Rejected, Rejected: expected.Rejected}, report.Records)
	require.Equal(t, expected.Rotations, report.Rotations)
}

// checkCounts comes after everything was compared, which says more.
func (expected outcome) checkCounts(t checker, report *authority.SyncReport) {
	t.Helper()
	require.Equal(t, expected.Paths, report.Paths, "counts of paths")
	require.Equal(t, expected.Exposures, report.Exposures, "counts of exposures")
}

// reevaluate has the server and the model judge anew and compares.
func (h *theatre) reevaluate(t checker, cause authority.Cause, settings *rule.Settings) outcome {
	t.Helper()
	h.clock = h.now
	if settings != nil {
		settings.Version = h.world.settings.Version + 1
		h.world.settings = *settings
	}
	expected := h.world.reevaluate(h.now, cause)
	var evaluation *authority.Evaluation
	var err error
	if settings != nil {
		_, evaluation, err = exposure.NewTuner(h.services[h.which]).Change(h.ctx, h.organization, settings.Version-1, *settings)
	} else {
		evaluation, err = h.services[h.which].Reevaluate(h.ctx, h.organization, cause, nil)
	}
	require.NoError(t, err)
	h.checkJudged(t, expected, evaluation)
	return expected
}

// dispose says something of an open exposure, as a person will, and leaves the
// masks to the next judgement.
func (h *theatre) dispose(t checker, which, disposition int) {
	t.Helper()
	var open []place
	for p := range h.world.exposures {
		if h.world.exposure(p) != nil {
			open = append(open, p)
		}
	}
	if len(open) == 0 {
		return
	}
	slices.SortFunc(open, func(a, b place) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	p := open[which%len(open)]
	latest(h.world.exposure(p).Versions).State.Disposition = disposition
	t.Logf("%v on %s %s %s is %d", p.Type, short(p.Path.Workload), short(p.Path.Identity), short(p.Path.Resource), disposition)
	tag, err := h.conn.Exec(context.Background(), `UPDATE exposure SET disposition = $4 WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND to_at IS NULL`,
		h.organization, h.world.pathID(p.Path), p.Type, disposition)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
}

// vouch attests the scope that an identity has now.
func (h *theatre) vouch(t checker, which int) {
	t.Helper()
	known := h.world.living(record.Identity)
	if len(known) == 0 {
		return
	}
	slices.SortFunc(known, func(a, b record.Ref) int { return cmp.Compare(short(a), short(b)) })
	r := known[which%len(known)]
	h.clock = h.now
	t.Logf("the scope of %s is attested", short(r))
	expected := h.world.rejudge(h.now, func(at time.Time) {
		h.world.baselines[r] = append(h.world.baselines[r], baseline{at, true, "test", "seen"})
	})
	attested, err := exposure.NewRecorder(h.services[h.which]).AttestBaseline(h.ctx, h.organization, h.world.id(r), "seen")
	require.NoError(t, err)
	h.checkJudged(t, expected, attested.Evaluation)
}

// justify justifies a privilege of a path, or withdraws that.
func (h *theatre) justify(t checker, which, how int) {
	t.Helper()
	var may []pathKey
	for key, history := range h.world.paths {
		if p := history.now(); !p.Removed && key.Identity != unnamed && len(leftOver(p.Actions, nil)) > 0 {
			may = append(may, key)
		}
	}
	if len(may) == 0 {
		return
	}
	slices.SortFunc(may, func(a, b pathKey) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	key := may[which%len(may)]
	j, path := h.world.justification(key), h.world.pathID(key)
	recorder := exposure.NewRecorder(h.services[h.which])
	h.clock = h.now
	if how == 0 && j != nil {
		t.Logf("the justification of %v is withdrawn", key)
		expected := h.world.rejudge(h.now, func(at time.Time) { j.To, j.Withdrawn = at, "test" })
		withdrawn, err := recorder.WithdrawJustification(h.ctx, h.organization, path)
		require.NoError(t, err)
		h.checkJudged(t, expected, withdrawn.Evaluation)
		return
	}
	p := h.world.paths[key].now()
	used, _, _ := h.world.used(key)
	actions := leftOver(p.Actions, used)
	if len(actions) == 0 {
		actions = leftOver(p.Actions, nil)
	}
	asked := []string(nil)
	if how == 1 {
		actions = leftOver(p.Actions, nil)[:1]
		asked = actions
	}
	t.Logf("%v of %v is justified", actions, key)
	expected := h.world.rejudge(h.now, func(at time.Time) {
		if j != nil {
			j.To, j.Withdrawn = at, "test"
		}
		h.world.justifications[key] = append(h.world.justifications[key], justification{From: at, Actor: "test", Text: "needed", Actions: strings.Join(actions, " ")})
	})
	recorded, err := recorder.RecordJustification(h.ctx, h.organization, path, exposure.Justification{Text: "needed", Actions: asked})
	require.NoError(t, err)
	h.checkJudged(t, expected, recorded.Evaluation)
}

// checkJudged compares what judging anew did.
func (h *theatre) checkJudged(t checker, expected outcome, evaluation *authority.Evaluation) {
	t.Helper()
	require.Equal(t, expected.At, evaluation.At.UTC())
	h.compare(t)
	require.Equal(t, expected.Paths, evaluation.Paths, "counts of paths")
	require.Equal(t, expected.Exposures, evaluation.Exposures, "counts of exposures")
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
	refs := map[id.ID]record.Ref{id.Nil: unnamed}
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
	keys := h.comparePaths(t, refs, classes)
	h.compareJudgement(t, refs, keys, classes)
	h.compareClusters(t, refs, keys, classes)
	h.comparePosture(t, refs, classes)

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
		LastActive                                                     *time.Time
	}
	const columns = `name, status, coalesce(environment, ''), coalesce(owner_team, ''), coalesce(business_tier, ''), coalesce(execution_mode, ''),
		coalesce(owner_type, ''), coalesce(data_domain, ''), coalesce(data_domain_stated, ''), sensitivity, coalesce(sensitivity_stated, ''),
		class, ownership_status, egress_category, last_active_at`
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
				OwnerType: record.OwnerType(r.Type), LastActiveAt: utc(r.LastActive)},
			Domain: r.Domain, Level: authority.Sensitivity(r.Level), Class: classes[r.Class], Ownership: r.Ownership, Egress: r.Egress}}) //nolint:gosec // 0 to 4
		if r.To == nil {
			require.Equal(t, found[e][0].From, r.Seen.UTC(), "%v was first seen when its first version began", e)
		}
	}
	equalChronicles(t, h.world.entities, found)
	checkEnds(t, ends)
}

func (h *theatre) comparePaths(t checker, refs map[id.ID]record.Ref, classes map[int]class) map[id.ID]pathKey {
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
			roles[short(refs[role])] = true
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
	return keys
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
	require.Equal(t, "orphaned", h.path("w1", "", "d1").Ownership, "in the window somebody had looked just now")
	h.now = epoch.Add(150 * time.Minute)
	h.reevaluate(t, authority.ByTime, nil)
	require.Equal(t, "unknown", h.path("w1", "", "d1").Ownership, "nobody has looked for two hours and a half")
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

// move is a step as it is drawn; of a delivery, what changes against the source's
// one before. It knows nothing of the state, so that it shrinks well.
type move struct {
	act     act
	voice   int
	mode    mode
	pause   time.Duration // after the latest observation so far
	partial bool
	drops   []int // which lines of the one before are left out
	rotate  turn
	adds    [][]line
	watches []record.EvidenceKind // what the source claims to know all of
	unclean int                   // 0: no duplicates, no refused records, no dangling references
	which   int                   // for again and restore: which of the deliveries so far
	cast    int                   // who judges from now on; -1: who did

	wait     time.Duration
	settings rule.Settings
	picks    []pick
}

// act is what is done.
type act int

const (
	delivers  act = iota
	passes        // time does
	tunes         // somebody changes the settings
	disposes      // somebody says what they think of exposures
	vouches       // somebody attests a scope
	justifies     // somebody justifies privileges
	blinks        // a source says nothing, and then what it said
)

// pick is an exposure and what is said of it.
type pick struct{ which, disposition int }

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
		act:     one(t, "act", delivers, delivers, delivers, delivers, passes, delivers, delivers, tunes, disposes, delivers, passes, vouches, justifies, blinks),
		voice:   rapid.IntRange(0, 2).Draw(t, "voice"),
		mode:    rapid.SampledFrom([]mode{evolve, evolve, restore, evolve, evolve, restore, evolve, fresh, again, later, restore, evolve}).Draw(t, "mode"),
		pause:   rapid.SampledFrom(pauses).Draw(t, "pause"),
		partial: rapid.IntRange(0, 9).Draw(t, "partial") > 7,
		drops:   rapid.SliceOfN(rapid.IntRange(0, 24), 0, 6).Draw(t, "drops"),
		rotate:  one(t, "rotate", keep, keep, keep, turnWorkload, turnIdentity, turnIdentity),
		adds:    rapid.SliceOfN(rapid.Custom(drawLines), 0, 12).Draw(t, "adds"),
		unclean: rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 0, dangles, doubles, dangles | doubles}).Draw(t, "unclean"),
		watches: rapid.SliceOfNDistinct(one0(record.Ownership, record.Execution, record.Roles, record.Binding, record.EgressObs), 0, 5, rapid.ID[record.EvidenceKind]).Draw(t, "watches"),
		which:   rapid.IntRange(0, 7).Draw(t, "which"),
		cast:    one(t, "cast", -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 2),
		wait:    one(t, "wait", 100*day24, 3*time.Hour, 26*time.Hour, 8*day24, 35*day24, 100*day24),
		settings: rule.Settings{
			DormantAfter: day24 * time.Duration(one(t, "dormant", 90, 1, 30, 365)), ProofGrace: day24 * time.Duration(one(t, "grace", 7, 0, 60, 400)),
			PrivilegeWindow: day24 * time.Duration(one(t, "privilege", 90, 2, 365)), SharedWorkloads: one(t, "shared", 3, 2, 4),
			DisabledRules: slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(1, 13), func(n int) rule.Rule { return rule.Rule(n) }), 0,
				one(t, "disabled", 0, 0, 2, 6), rapid.ID[rule.Rule]).Draw(t, "rules"))),
		},
		picks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pick {
			return pick{rapid.IntRange(0, 99).Draw(t, "exposure"), one(t, "disposition", 4, 2, 3, 4, 1)}
		}), 1, 8).Draw(t, "picks"),
	}
}

const day24 = 24 * time.Hour

func one0[T any](from ...T) *rapid.Generator[T] { return rapid.SampledFrom(from) }

var pauses = []time.Duration{
	time.Hour, time.Second, 0, 400 * time.Millisecond, time.Minute, 26 * time.Hour, 5 * 24 * time.Hour, -time.Second, -2 * time.Hour, -30 * time.Hour,
}

// play turns moves into steps and makes them.
func play(t *rapid.T, h *theatre, seen *tally, moves []move) {
	seen.add("histories", 1)
	var made []told
	for _, s := range moves {
		if s.cast >= 0 {
			h.cast(s.cast)
			t.Logf("casting %d judges", s.cast)
		}
		if s.act == delivers {
			if d, is := h.compose(s, made, h.now); is {
				made = append(made, d)
				seen.note(h.world, h.deliver(t, d))
			}
			continue
		}
		if h.world.windowAt.IsZero() {
			continue
		}
		if s.act == blinks {
			made = append(made, h.blink(t, s.voice, made, seen)...)
			continue
		}
		switch s.act {
		case passes:
			h.now = h.now.Add(s.wait)
			t.Logf("%s pass", s.wait)
			seen.judged(h.world, h.reevaluate(t, authority.ByTime, nil).At)
			continue
		case tunes:
			t.Logf("settings %+v", s.settings)
			seen.judged(h.world, h.reevaluate(t, authority.BySettings, &s.settings).At)
			continue
		case disposes:
			for _, p := range s.picks {
				h.dispose(t, p.which, p.disposition)
			}
		case vouches:
			h.vouch(t, s.which)
			seen.judged(h.world, h.world.clock)
			continue
		case justifies:
			for _, p := range s.picks {
				h.justify(t, p.which, p.disposition%3)
			}
			seen.judged(h.world, h.world.clock)
			continue
		case delivers, blinks:
		}
		seen.judged(h.world, h.reevaluate(t, authority.ByRequest, nil).At)
	}
	if len(made) == 0 {
		return
	}
	last := made[len(made)-1] // whatever it did, it is known now, in any order
	last.lines = slices.Clone(last.lines)
	slices.Reverse(last.lines)
	h.deliver(t, last)
}

// blink lets a source forget everything and remember.
func (h *theatre) blink(t checker, voice int, before []told, seen *tally) []told {
	for _, d := range slices.Backward(before) {
		if d.voice != voice {
			continue
		}
		d.partial = false
		silent, again := told{voice: voice, observedAt: h.now.Add(time.Hour)}, d
		again.observedAt = silent.observedAt.Add(time.Hour)
		seen.note(h.world, h.deliver(t, silent))
		seen.note(h.world, h.deliver(t, again))
		return []told{silent, again}
	}
	return nil
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
	for _, kind := range s.watches {
		d.lines = append(d.lines, line{fact: record.Coverage{Kind: kind}})
	}
	past := h.now.Truncate(day24).Sub(epoch.Truncate(day24))
	for _, l := range slices.Concat(s.adds...) {
		d.lines = append(d.lines, l.shifted(past))
	}
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

// shifted puts what a line says of former days that much later.
func (l line) shifted(by time.Duration) line {
	shift := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(by)
	}
	switch f := l.fact.(type) {
	case record.Evidence:
		f.Day, f.LastAt = shift(f.Day), shift(f.LastAt)
		l.fact = f
	case record.Coverage:
		f.From, f.To = shift(f.From), shift(f.To)
		l.fact = f
	case record.Entity:
		f.LastActiveAt = shift(f.LastActiveAt)
		l.fact = f
	}
	return l
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
	if o.Renewed {
		c.add("renewed", 1)
	}
	c.judged(w, o.At)
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

// judged notes what a step did to conditions, exposures and clusters.
func (c *tally) judged(w *world, at time.Time) {
	c.add("judged", 1)
	for s, list := range w.conditions {
		for i, x := range list {
			if x.From.Equal(at) {
				c.add(fmt.Sprintf("rule %d fired", s.Rule), 1)
				c.add("basis "+string(x.Basis), 1)
				if i > 0 {
					c.add(fmt.Sprintf("rule %d again", s.Rule), 1)
				}
			}
			if x.To.Equal(at) {
				c.add(fmt.Sprintf("rule %d resolved", s.Rule), 1)
				c.add(fmt.Sprintf("condition %s", x.Reason), 1)
			}
			if v := latest(x.Versions); v.From.Equal(at) && !v.State.Since.IsZero() {
				c.add(fmt.Sprintf("rule %d doubted", s.Rule), 1)
			}
		}
	}
	for p, list := range w.exposures {
		for i, x := range list {
			if x.From.Equal(at) {
				c.add(fmt.Sprintf("type %d opened", p.Type), 1)
				c.add(fmt.Sprintf("severity %d", x.Versions[0].State.Severity), 1)
				if i > 0 {
					c.add(fmt.Sprintf("type %d again", p.Type), 1)
				}
				if x.Versions[0].State.Disposition == 4 {
					c.add("false positive inherited", 1)
				}
				if !x.Lineage.Equal(x.Effective) {
					c.add("lineage continued", 1)
				}
			}
			if x.To.Equal(at) {
				c.add(fmt.Sprintf("type %d resolved", p.Type), 1)
				c.add("exposure "+string(x.Reason), 1)
			}
			if v := latest(x.Versions); v.From.Equal(at) && !v.State.Since.IsZero() {
				c.add(fmt.Sprintf("type %d doubted", p.Type), 1)
			}
			if len(x.Versions) > 1 && latest(x.Versions).From.Equal(at) {
				c.add("exposure changed", 1)
			}
		}
	}
	for s, list := range w.members {
		m := latest(list)
		if m.From.Equal(at) {
			c.add(fmt.Sprintf("cluster %d", s.Cluster), 1)
			c.add(fmt.Sprintf("level %d", m.Level), 1)
			if m.Class != (class{}) {
				c.add("member of a class", 1)
			}
		}
		if m.To.Equal(at) {
			c.add("member gone", 1)
		}
	}
	for cell, history := range w.counters {
		if history.begun(at) {
			c.add("counter changed", 1)
			if n := history.now(); n.Executions > 0 && cell.All {
				c.add("counted executions", 1)
			}
		}
	}
	c.summed(w, at)
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
	kind := one(t, "lines", "one", "one", "chain", "owner", "estate", "link", "one", "share", "estate", "use", "one")
	system := drawSystem(t)
	switch kind {
	case "one":
		return []line{drawLine(t)}
	case "owner":
		owner := record.Entity{Ref: drawRef(t, record.Owner, system), OwnerType: one(t, "type", "", record.Individual, record.Group),
			Status: one(t, "status", "", record.Disabled, record.Active), Name: drawName(t), LastActiveAt: drawLastActive(t)}
		owned := record.Edge{Kind: record.OwnedBy, From: drawRef(t, record.Workload, system), To: owner.Ref}
		if one(t, "alone", true, true, false) {
			return []line{{fact: owner}, {fact: owned}}
		}
		former := owned // one who answers, and one who has left
		owner.OwnerType, owner.Status = record.Individual, record.Active
		former.To.SourceID = map[string]string{"o1": "o2", "o2": "o1"}[owned.To.SourceID]
		return []line{{fact: owner}, {fact: owned}, {fact: record.Entity{Ref: former.To, Status: record.Disabled}}, {fact: former}}
	case "link":
		between := record.Entity{Ref: drawRef(t, record.Identity, system), Status: one(t, "status", "", record.Removed, record.Disabled)}
		from, to := drawEdge(t, record.Authenticates, system), drawEdge(t, record.Authenticates, system)
		from.To, to.From = between.Ref, between.Ref
		return []line{{fact: between}, {fact: from}, {fact: to}}
	}
	if kind == "share" { // two workloads with one identity
		first, second := drawEdge(t, record.RunsAs, system), drawEdge(t, record.RunsAs, system)
		second.To = first.To
		return []line{{fact: first}, {fact: second}}
	}
	if kind == "use" { // somebody uses a path by name
		evidence := drawEvidence(t, system)
		w, d := drawRef(t, record.Workload, system), drawRef(t, record.Resource, system)
		evidence.Workload, evidence.Resource, evidence.Action = &w, &d, one(t, "action", "get", "list", "delete")
		return []line{{fact: evidence}}
	}
	runsAs, hasRole, grants := drawEdge(t, record.RunsAs, system), drawEdge(t, record.HasRole, system), drawEdge(t, record.Grants, system)
	if one(t, "met", true, true, true, false) {
		hasRole.From, grants.From, grants.Scope = runsAs.To, hasRole.To, hasRole.Scope
	}
	lines := []line{{fact: runsAs}, {fact: hasRole}, {fact: grants}}
	if kind == "estate" { // a path to what is sensitive, of a workload that sends data somewhere
		resource := record.Entity{Ref: grants.To, Sensitivity: one(t, "sensitivity", "restricted", "high"), DataDomain: one(t, "domain", "finance", ""), Name: drawName(t)}
		lines = append(lines, line{fact: resource}, line{fact: record.Egress{Workload: runsAs.From, Host: one(t, "host", "a", "b"),
			Category: one(t, "category", record.EgressExternal, record.EgressLLM)}})
		if mode := one(t, "mode", record.Autonomous, "", record.Autonomous, "", record.HumanTriggered, record.OperatorAssisted); mode != "" { // which runs
			evidence := drawEvidence(t, system)
			evidence.Workload, evidence.Identity, evidence.Resource = &runsAs.From, nil, &grants.To
			if one(t, "alone", false, false, true) {
				evidence.Workload, evidence.Identity = nil, &runsAs.To
			}
			lines = append(lines, line{fact: record.Entity{Ref: runsAs.From, ExecutionMode: mode}}, line{fact: evidence})
		}
	}
	return lines
}

// A name is no part of a template.
func drawName(t *rapid.T) string { return one(t, "name", "", "", "", "n1", "100%", "%1$s") }

func drawLastActive(t *rapid.T) time.Time {
	return one(t, "active", time.Time{}, time.Time{}, day(-1), day(-5), day(-40).Add(time.Hour), day(-100))
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
		return line{fact: record.Egress{Workload: drawRef(t, record.Workload, system), Host: one(t, "host", "a", "b", "50%"),
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
	actions := rapid.SliceOfN(rapid.SampledFrom([]string{"get", "list", "delete", "update", "*"}), 0, 3)
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
		Name:   drawName(t),
	}
	switch kind {
	case record.Workload:
		e.Environment = one(t, "environment", "", "prod", "dev")
		e.OwnerTeam = one(t, "team", "", "", "t1")
		e.BusinessTier = one(t, "tier", "", "", "gold")
		e.ExecutionMode = one(t, "execution", "", record.Autonomous, record.Autonomous, record.OperatorAssisted, record.HumanTriggered, record.Triggered)
	case record.Resource:
		e.DataDomain = one(t, "domain", "", "finance", "Accounting", "hr") // two words for one domain
		e.Sensitivity = one(t, "sensitivity", "", "high", "public", "restricted", "internal", "unheard of")
	case record.Owner:
		e.OwnerType = one(t, "type", "", record.Individual, record.Group)
		e.LastActiveAt = drawLastActive(t)
	case record.Identity:
		e.LastActiveAt = drawLastActive(t)
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
		Action:  one(t, "action", "", "get", "get", "delete", "update"),
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
		Kind:    one(t, "of", record.Execution, record.Ownership, record.EgressObs, record.Execution, record.Ownership, record.Roles, record.Binding, record.Roles),
		Partial: one(t, "partial", false, false, false, true),
		MaxAge:  one(t, "age", 0, 0, 0, time.Hour, 20*day24),
	}
	if one(t, "particular", false, false, false, true) {
		r := drawRef(t, one(t, "entity", record.Workload, record.Workload, record.Identity, record.Identity), system)
		c.Entity = &r
	}
	if c.Kind == record.Execution && one(t, "windowed", false, true) {
		c.From, c.To = one(t, "from", day(-40), epoch.Add(-authority.Window), day(-20), day(-400)), one(t, "to", day(3), epoch.Add(-24*time.Hour), day(-3))
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

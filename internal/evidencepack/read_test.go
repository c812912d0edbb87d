package evidencepack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
	"github.com/exposuregraph/exposuregraph/internal/evidencepack"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(digest[:])
}

// withoutAsOf cuts the member out of the bytes, as somebody does who has neither
// this program nor its form: it is the first one, because its name sorts first.
func withoutAsOf(t testing.TB, document []byte) []byte {
	t.Helper()
	const head = `{"asOf":`
	require.True(t, bytes.HasPrefix(document, []byte(head)))
	decoder := json.NewDecoder(bytes.NewReader(document[len(head):]))
	var skipped json.RawMessage
	require.NoError(t, decoder.Decode(&skipped))
	rest := document[len(head)+len(skipped):]
	require.Equal(t, byte(','), rest[0])
	return append([]byte("{"), rest[1:]...)
}

// TestGolden: a fixed story gives the same bytes in every database, and digests
// that anybody can compute of the file.
func TestGolden(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.rotate(s.tell())
	before, after := pathOf("invoice-sync", "svc-invoice", "ledger"), pathOf("invoice-sync", "svc-invoice-2", "ledger")
	workload, _ := s.workload("invoice-sync")
	path, _ := s.path(before)
	exposure, _ := s.exposure(after, rule.OrphanedPath, 1)
	for name, pack := range map[string]*evidencepack.Pack{"workload": workload, "path": path, "exposure": exposure} {
		file := filepath.Join("testdata", name+".json")
		if *update {
			require.NoError(t, os.WriteFile(file, pack.Document, 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), string(pack.Document), "if this is meant to change, run the test with -update")
		require.Equal(t, sum(want), pack.Digest)
		require.Equal(t, sum(withoutAsOf(t, want)), pack.StateDigest)
		require.NotEqual(t, pack.Digest, pack.StateDigest)
		requireLists(t, name, want)
	}
	again, _ := s.workload("invoice-sync")
	require.Equal(t, workload, again)
}

// requireLists: what can be a list is never null, so that a reader asks once.
func requireLists(t testing.TB, name string, document []byte) {
	t.Helper()
	lists := strings.Fields(`lastSeen sources entities paths exposures conditions ties egress evidence baselines justifications rotations successions
		roles actions factors former predicates assertedBy`)
	var walk func(value any, of string)
	walk = func(value any, of string) {
		switch value := value.(type) {
		case map[string]any:
			for key, member := range value {
				if key == "evidence" && of != "state" { // of a condition, as it was stored; a rule that judges paths has none
					continue
				}
				if _, word := member.(string); slices.Contains(lists, key) && !word { // the egress of a path is a word
					require.IsType(t, []any{}, member, "%s of %s in %s", key, of, name)
				}
				walk(member, key)
			}
		case []any:
			for _, element := range value {
				walk(element, of)
			}
		}
	}
	var tree any
	require.NoError(t, json.Unmarshal(document, &tree))
	walk(tree, "")
}

// TestWhatAPackSays reads the story out of the documents.
func TestWhatAPackSays(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.tell()
	before, after := pathOf("invoice-sync", "svc-invoice", "ledger"), pathOf("invoice-sync", "svc-invoice-2", "ledger")

	pack, d := s.path(before)
	require.Equal(t, evidencepack.Format, d.Format)
	require.Equal(t, slug, d.Organization.Slug)
	require.Equal(t, map[string]any{"kind": "path", "path": before.String()}, d.Subject)
	require.Len(t, d.State.Paths, 1)
	p := d.State.Paths[0]
	require.Equal(t, []string{"delete", "read", "update"}, p.Actions)
	require.EqualValues(t, 100, *p.Execution.Count)
	require.Equal(t, "path", *p.Execution.Basis)
	require.Len(t, p.CompositionHash, 64)
	require.GreaterOrEqual(t, len(p.Former), 3, "each change of owner and actions was a version")
	for i, v := range p.Former {
		require.Equal(t, i+1, v.Version)
		if i > 0 {
			require.Equal(t, p.Former[i-1].To, v.From, "versions cover every instant once")
		}
	}
	require.Equal(t, []string{"read", "update"}, p.Former[0].Actions)

	var kinds []string
	for _, tie := range d.State.Ties {
		kinds = append(kinds, tie.Kind)
		require.NotEqual(t, "elsewhere", tie.Scope, "a role that is held nowhere grants nothing here")
	}
	require.ElementsMatch(t, []string{"runs_as", "has_role", "grants", "owned_by"}, kinds)
	for _, e := range d.State.Entities {
		if e.Kind == "owner" {
			require.Equal(t, "disabled", e.Status)
			require.Equal(t, "inventory", e.AssertedBy[0].Basis)
		}
	}
	require.Equal(t, "main", d.State.Sources[0].Name)
	require.Equal(t, s.now().Add(-time.Hour).Format(time.RFC3339), d.AsOf.Sources[0].LastComplete.ObservedAt)
	require.Equal(t, s.now().Format(time.RFC3339), d.AsOf.At, "the recorded justification is the last that happened")
	require.Len(t, d.State.Coverage, 5)
	require.Len(t, d.AsOf.Coverage, 5)
	require.Equal(t, "month-end closing", d.State.Justifications[0].Text)
	require.Equal(t, "observed", d.State.Baselines[0].Basis)

	require.Len(t, d.State.Evidence, 4)
	var counted int64
	for _, e := range d.State.Evidence {
		if e.Counted {
			counted += e.Count
		}
	}
	require.Equal(t, *p.Execution.Count, counted, "the rows that count come to what the path says")

	owned := d.exposures("orphaned_path")
	require.Len(t, owned, 2)
	require.Equal(t, []string{"resolved", "active"}, []string{owned[0].Status, owned[1].Status})
	require.Equal(t, "owner_reactivated", *owned[0].ResolutionReason)
	require.EqualValues(t, 0, owned[1].found(t, "active_owners"))
	require.Equal(t, "complete", owned[1].found(t, "ownership_coverage"))
	require.Equal(t, []string{"base_high", "sensitive"}, owned[1].Factors)
	require.Equal(t, "critical", owned[1].Severity)
	excess := d.exposures("excess_privilege")[0]
	require.Equal(t, map[string]int{"privilegeWindowDays": 90}, excess.Rule.Thresholds)
	require.Equal(t, []any{"read"}, excess.found(t, "used_actions"))
	require.Equal(t, []any{"delete"}, excess.found(t, "justified_actions"))
	require.Equal(t, []any{"update"}, excess.found(t, "unused_unjustified_actions"))
	require.NotEmpty(t, excess.Former)
	require.Equal(t, []any{"delete"}, d.exposures("scope_expansion")[0].found(t, "actions_added"))

	only, e := s.exposure(before, rule.OrphanedPath, 1)
	require.Len(t, e.State.Exposures, 2, "every interval of its type")
	require.Equal(t, d.State.Paths, e.State.Paths)
	require.NotEqual(t, pack.StateDigest, only.StateDigest)
	for _, c := range e.State.Conditions {
		require.Equal(t, "orphaned_ownership", c.Finding)
	}

	s.rotate(w)
	_, d = s.workload("invoice-sync")
	require.Len(t, d.State.Paths, 2)
	require.Len(t, d.State.Rotations, 1)
	require.Equal(t, before.String(), d.State.Successions[0].Predecessor)
	owned = d.exposures("orphaned_path")
	require.Len(t, owned, 3)
	for _, x := range owned {
		if x.Path == after.String() {
			require.Equal(t, before.String(), x.Predecessor.Path)
			require.Equal(t, 2, x.Predecessor.Ordinal)
		} else if x.Ordinal == 2 {
			require.Equal(t, "rotated_to_successor", *x.ResolutionReason)
			require.Equal(t, after.String(), x.Successor.Path)
		}
	}
}

// TestSameAsTheAPI holds what the pack finds by statements of its own to what the
// reader of exposures finds.
func TestSameAsTheAPI(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.tell()
	settings := rule.Defaults()
	settings.SharedWorkloads = 2
	_, _, err := s.tuner.Change(s.ctx, organization, 0, settings)
	require.NoError(t, err)
	w.lost = []record.EvidenceKind{record.Ownership} // whether nobody owns it can no longer be told
	s.say(w.facts())
	s.rotate(w)
	s.wait(100 * day)
	_, d := s.workload("invoice-sync")
	require.Greater(t, len(d.State.Exposures), 8)

	words := map[string]rule.Type{}
	for i, word := range evidencepack.Words()["ExposureType"] {
		words[word] = rule.Definitions[i].Type
	}
	keys := make([]exposure.Key, len(d.State.Exposures))
	ours := map[exposure.Key]exposed{}
	for i, x := range d.State.Exposures {
		path, err := id.Parse(x.Path)
		require.NoError(t, err)
		keys[i] = exposure.Key{PathID: path, Type: words[x.Type], Ordinal: x.Ordinal}
		ours[keys[i]] = x
	}
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	var reader exposure.Reader
	rows, err := reader.ExposuresByKeys(s.ctx, snapshot, organization, keys)
	require.NoError(t, err)
	require.Len(t, rows, len(keys))
	for _, want := range rows {
		got := ours[want.Key]
		require.Equal(t, want.Explanation, got.Explanation)
		require.Equal(t, string(want.Status()), got.Status)
		require.Equal(t, want.EvidenceDigest.String(), got.EvidenceDigest)
		require.Equal(t, want.Version, got.Version)
		require.Len(t, got.Former, want.Version-1)
		require.Equal(t, want.EffectiveFrom.UTC().Format(time.RFC3339Nano), got.EffectiveFrom)
	}
	standings, err := reader.StandingsByExposures(s.ctx, snapshot, organization, keys)
	require.NoError(t, err)
	require.Len(t, standings, len(keys))
	versions, doubts := map[int]bool{}, 0
	for _, want := range standings {
		got := ours[want.Key]
		require.Equal(t, want.RuleVersion, got.Rule.Version)
		require.Equal(t, want.SettingVersion, got.Rule.SettingsVersion)
		require.Equal(t, want.Evidence, got.Evidence, got.Type)
		if want.IndeterminateSince != nil {
			doubts++
			require.Equal(t, want.IndeterminateSince.UTC().Format(time.RFC3339Nano), *got.IndeterminateSince)
		}
		versions[want.SettingVersion] = true
	}
	require.Equal(t, map[int]bool{0: true, 1: true}, versions, "some were judged by the defaults, some by what was set")
	require.Positive(t, doubts)
	neighbours, err := reader.NeighboursOfExposures(s.ctx, snapshot, organization, keys)
	require.NoError(t, err)
	linked := 0
	for _, key := range keys {
		before, after := neighbours[key].Predecessor, neighbours[key].Successor
		require.Equal(t, before == nil, ours[key].Predecessor == nil)
		require.Equal(t, after == nil, ours[key].Successor == nil)
		if before != nil {
			linked++
			require.Equal(t, before.PathID.String(), ours[key].Predecessor.Path)
			require.Equal(t, before.Ordinal, ours[key].Predecessor.Ordinal)
		}
	}
	require.Positive(t, linked)
}

// TestDigestsMove: what an exposure rests on moves both digests; that time passes
// and sources look again moves only that of the whole; a neighbour moves none of
// the state.
func TestDigestsMove(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.tell()
	ledger := pathOf("invoice-sync", "svc-invoice", "ledger")
	for _, c := range []struct {
		name   string
		keeps  bool
		change func()
	}{
		{"the same again", true, func() { s.say(w.facts()) }},
		{"executions were watched on", true, func() { w.watched = s.now().Add(day); s.say(w.facts()) }},
		{"a day passes", true, func() { s.wait(day) }},
		{"another source says another's", true, func() { s.deliver("other", []record.Fact{record.Entity{Ref: ref(record.Workload, "stranger")}}) }},
		{"a neighbour", true, func() { w.neighbour = "next"; s.say(w.facts()) }},
		{"a source confirms the workload", false, func() { s.deliver("second", []record.Fact{record.Entity{Ref: ref(record.Workload, "invoice-sync")}}) }},
		{"a title", false, func() { w.title = "Accounting"; s.say(w.facts()) }},
		{"somebody acknowledges", false, func() { s.exec(`UPDATE exposure SET disposition = 2 WHERE path_id = $1 AND to_at IS NULL`, ledger) }},
		{"a justification is withdrawn", false, func() { s.withdraw(ledger) }},
		{"somebody attests the scope", false, s.attest},
		{"one more run", false, func() { w.ran[0].Count++; s.say(w.facts()) }},
		{"a host is added", false, func() { w.egress = "b.example"; s.say(w.facts()) }},
		{"another sensitivity", false, func() { w.sensitivity = "confidential"; s.say(w.facts()) }},
		{"a threshold", false, func() { s.tune(func(x *rule.Settings) { x.PrivilegeWindow = 60 * day }) }},
		{"a coverage is incomplete", false, func() { w.lost = []record.EvidenceKind{record.Roles}; s.say(w.facts()) }},
		{"an owner returns", false, func() { w.ada = record.Active; s.say(w.facts()) }},
		{"an action is gone", false, func() { w.actions = []string{"read"}; s.say(w.facts()) }},
		{"evidence leaves the window", false, func() { s.wait(60 * day) }},
	} {
		before, _ := s.path(ledger)
		c.change()
		after, _ := s.path(ledger)
		if c.keeps {
			require.Equal(t, before.StateDigest, after.StateDigest, c.name)
		} else {
			require.NotEqual(t, before.StateDigest, after.StateDigest, c.name)
		}
		require.NotEqual(t, before.Digest, after.Digest, c.name)
	}
}

func (s *scene) attest() {
	s.t.Helper()
	s.advance(time.Hour)
	_, err := s.recorder.AttestBaseline(s.ctx, organization, entity(record.Identity, "svc-invoice"), "as agreed")
	require.NoError(s.t, err)
}

func (s *scene) withdraw(path id.ID) {
	s.t.Helper()
	s.advance(time.Hour)
	_, err := s.recorder.WithdrawJustification(s.ctx, organization, path)
	require.NoError(s.t, err)
}

func (s *scene) tune(amend func(*rule.Settings)) {
	s.t.Helper()
	s.advance(time.Hour)
	_, _, err := s.tuner.Amend(s.ctx, organization, 0, amend)
	require.NoError(s.t, err)
}

// TestWorkloadsWithoutPaths have their conditions in the pack.
func TestWorkloadsWithoutPaths(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.tell()
	_, d := s.workload("idle")
	require.Empty(t, d.State.Paths)
	require.Empty(t, d.State.Exposures)
	var findings []string
	for _, c := range d.State.Conditions {
		findings = append(findings, c.Finding)
		require.Equal(t, entity(record.Workload, "idle").String(), c.Subject)
	}
	require.Equal(t, []string{"orphaned_ownership", "unknown_identity_binding"}, findings)
	require.Len(t, d.State.Coverage, 5)

	_, d = s.workload("export")
	require.Len(t, d.State.Paths, 1)
	require.Nil(t, d.State.Paths[0].Identity)
	require.Nil(t, d.exposures("unbound_path")[0].found(t, "identity_of_path"))
	require.Equal(t, "declares", d.State.Ties[0].Kind)
}

// TestPathsKeepToTheirRoute: what another identity of the workload is bound to is
// nothing to a path that does not lead through it.
func TestPathsKeepToTheirRoute(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.tell()
	ledger := pathOf("invoice-sync", "svc-invoice", "ledger")
	invoice, hop, far := ref(record.Workload, "invoice-sync"), ref(record.Identity, "hop"), ref(record.Identity, "far")
	aside := []record.Fact{
		record.Entity{Ref: hop}, record.Entity{Ref: far}, record.Entity{Ref: ref(record.Resource, "vault")}, record.Entity{Ref: ref(record.Role, "keeper")},
		edge(record.RunsAs, invoice, hop, ""), record.Edge{Kind: record.Authenticates, From: hop, To: far, Protocol: "oauth2"},
		edge(record.HasRole, far, ref(record.Role, "keeper"), "*"), edge(record.Grants, ref(record.Role, "keeper"), ref(record.Resource, "vault"), "*", "open"),
	}
	s.say(w.facts(), aside)
	bindings := func(d *doc) (list []string) {
		for _, tie := range d.State.Ties {
			if tie.Kind == "runs_as" || tie.Kind == "authenticates" {
				list = append(list, tie.To)
			}
		}
		return list
	}
	svc, middle, end := entity(record.Identity, "svc-invoice").String(), entity(record.Identity, "hop").String(), entity(record.Identity, "far").String()
	_, d := s.path(ledger)
	require.Equal(t, []string{svc}, bindings(d))
	_, d = s.path(pathOf("invoice-sync", "far", "vault"))
	require.ElementsMatch(t, []string{middle, end}, bindings(d))
	_, d = s.workload("invoice-sync")
	require.ElementsMatch(t, []string{svc, middle, end}, bindings(d))
}

// TestNobody: what does not exist, or belongs to somebody else, has no pack.
func TestNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.tell()
	ledger := pathOf("invoice-sync", "svc-invoice", "ledger")
	rival := id.Organization("rival")
	s.exec(`INSERT INTO organization VALUES ($1, 'rival', 'rival', $2)`, rival, epoch)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	packs := map[string]func(context.Context) (*evidencepack.Pack, error){
		"an unknown path": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Path(ctx, snapshot, organization, id.Nil)
		},
		"an unknown workload": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Workload(ctx, snapshot, organization, ledger)
		},
		"an identity": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Workload(ctx, snapshot, organization, entity(record.Identity, "svc-invoice"))
		},
		"an ordinal too many": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Exposure(ctx, snapshot, organization, ledger, rule.OrphanedPath, 3)
		},
		"a type that is not open": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Exposure(ctx, snapshot, organization, ledger, rule.UnboundPath, 1)
		},
		"no type": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Exposure(ctx, snapshot, organization, ledger, 99, 1)
		},
		"a path of another's": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Path(ctx, snapshot, rival, ledger)
		},
		"a workload of another's": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Workload(ctx, snapshot, rival, entity(record.Workload, "invoice-sync"))
		},
		"an exposure of another's": func(ctx context.Context) (*evidencepack.Pack, error) {
			return s.reader.Exposure(ctx, snapshot, rival, ledger, rule.OrphanedPath, 1)
		},
	}
	for name, read := range packs {
		pack, err := read(s.ctx)
		require.NoError(t, err, name)
		require.Nil(t, pack, name)
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		code string
	}{
		"nobody":        {context.Background(), "TOKEN_MISSING"},
		"a stranger":    {access.With(context.Background(), access.Actor{Subject: "x", Scopes: access.Scopes}), "ORGANIZATION_NOT_FOUND"},
		"without scope": {access.With(context.Background(), access.Actor{Subject: "x", AllOrganizations: true}), "SCOPE_MISSING"},
	} {
		s.Statements.Reset()
		for what, read := range packs {
			_, err := read(c.ctx)
			var typed *problem.Error
			require.ErrorAs(t, err, &typed, "%s, %s", name, what)
			require.Equal(t, c.code, typed.Code)
		}
		require.Empty(t, s.Statements.Sent(), "who may not ask is not looked up")
	}
}

// TestBounds: eight statements whatever the size, and an error instead of a part.
func TestBounds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.tell()
	var many []record.Fact
	for n := range 200 {
		r := ref(record.Resource, fmt.Sprintf("store-%03d", n))
		many = append(many, record.Entity{Ref: r, Sensitivity: "restricted"}, edge(record.Grants, ref(record.Role, "ledger-writer"), r, "finance", "read"))
	}
	s.say(w.facts(), many)
	s.Statements.Reset()
	_, d := s.workload("invoice-sync")
	require.Len(t, d.State.Paths, 201)
	require.Greater(t, len(d.State.Exposures), 800)
	require.Len(t, s.Statements.Sent(), 8)
	s.Statements.Reset()
	ledger := pathOf("invoice-sync", "svc-invoice", "ledger")
	_, one := s.exposure(ledger, rule.OrphanedPath, 2)
	require.Len(t, s.Statements.Sent(), 8)

	records := len(one.State.Ties) + len(one.State.Egress) + len(one.State.Coverage) + len(one.State.Conditions) + len(one.State.Baselines) + len(one.State.Justifications)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	ask := func(r *evidencepack.Reader) error {
		_, err := r.Exposure(s.ctx, snapshot, organization, ledger, rule.OrphanedPath, 2)
		return err
	}
	require.NoError(t, ask(evidencepack.Narrow(1, len(one.State.Exposures), len(one.State.Evidence), records)), "as much as fits is given whole")
	for what, r := range map[string]*evidencepack.Reader{
		"0 authority paths": evidencepack.Narrow(0, 100, 100, 100),
		"1 exposures":       evidencepack.Narrow(100, 1, 100, 100),
		"days of evidence":  evidencepack.Narrow(100, 100, len(one.State.Evidence)-1, 100),
		"records around":    evidencepack.Narrow(100, 100, 100, records-1),
	} {
		err := ask(r)
		require.ErrorContains(t, err, what)
		var typed *problem.Error
		require.ErrorAs(t, err, &typed)
		require.Equal(t, "EVIDENCE_PACK_TOO_LARGE", typed.Code)
		require.Equal(t, problem.Limit, typed.Kind)
	}
	_, err := evidencepack.Narrow(200, 10, 10, 10).Workload(s.ctx, snapshot, organization, entity(record.Workload, "invoice-sync"))
	require.ErrorContains(t, err, "more than 200 authority paths, and a pack is never cut: ask for the pack of one of its paths")
	_, err = evidencepack.Narrow(200, 1, 10, 10).Path(s.ctx, snapshot, organization, ledger)
	require.ErrorContains(t, err, "ask for the pack of one of its exposures")
}

// TestWords: a word of a pack is a word of the API.
func TestWords(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile(filepath.Join("..", "..", "schema.graphqls"))
	require.NoError(t, err)
	for enum, words := range evidencepack.Words() {
		_, body, found := strings.Cut(string(schema), "\nenum "+enum+" {\n")
		require.True(t, found, enum)
		body, _, _ = strings.Cut(body, "\n}")
		var values []string
		for _, value := range regexp.MustCompile(`(?m)^  ([A-Z_]+)\b`).FindAllStringSubmatch(body, -1) {
			values = append(values, strings.ToLower(value[1]))
		}
		require.ElementsMatch(t, values, words, enum)
	}
}

// Walls -------------------------------------------------------------------------

// TestReadPredicatesAlone asks before and after another organization moved in
// with the same ids, with row level security off: what still keeps them apart is
// the predicates of the statements.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.tell()
	s.rotate(w)
	rival := id.Organization("rival")
	rows, err := s.super.Query(context.Background(), `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	s.exec(`SET session_replication_role = replica`)
	for _, table := range tables {
		s.exec(`ALTER TABLE ` + table + ` DISABLE ROW LEVEL SECURITY`)
	}
	entities := func(kind string) []id.ID {
		rows, err := s.super.Query(context.Background(), `SELECT id FROM entity WHERE organization_id = $1 AND kind = $2 ORDER BY id`, organization, kind)
		require.NoError(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
		require.NoError(t, err)
		return list
	}
	invoice, ledger := entity(record.Workload, "invoice-sync"), entity(record.Resource, "ledger")
	paths := []id.ID{pathOf("invoice-sync", "svc-invoice", "ledger"), pathOf("invoice-sync", "svc-invoice-2", "ledger")}
	types := []int16{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
	samples := map[string]pgx.StrictNamedArgs{
		"head": {"dormant": 90, "privilege": 90}, "paths": {"path": paths[0], "workload": invoice, "limit": 100}, "path_versions": {"paths": paths, "limit": 100},
		"exposures":         {"paths": paths, "types": types, "of_identity": []int16{5, 9, 13}, "limit": 100},
		"exposure_versions": {"paths": paths, "types": types, "limit": 100},
		"evidence":          {"workloads": []id.ID{invoice}, "identities": []id.ID{id.Nil}, "resources": []id.ID{ledger}, "since": epoch.Add(-100 * day), "limit": 100},
		"surroundings": {"workloads": entities("workload"), "identities": entities("identity"), "resources": entities("resource"), "roles": entities("role"),
			"declared": entities("resource"), "paths": paths, "types": types, "bound": true, "nil": id.Nil, "max_depth": 8, "limit": 1000},
		"entities": {"ids": append(entities("workload"), entities("role")...)},
	}
	packs := func() []*evidencepack.Pack {
		workload, _ := s.workload("invoice-sync")
		path, _ := s.path(paths[0])
		exposure, _ := s.exposure(paths[1], rule.ExcessPrivilege, 1)
		return []*evidencepack.Pack{workload, path, exposure}
	}
	ask := func() map[string]any {
		answers := map[string]any{"packs": packs()}
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		for _, query := range evidencepack.ReadQueries.All() {
			args, ok := samples[strings.TrimPrefix(query.Name, "evidencepack.")]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			found, err := db.Column[string](s.ctx, snapshot.Of(organization), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, found, "%s: no answer proves nothing", query.Name)
			slices.Sort(found)
			answers[query.Name] = found
		}
		return answers
	}
	before := ask()
	for _, kind := range []string{"tie", "egress", "coverage", "condition", "baseline", "justification", "rotation", "succession"} {
		require.Contains(t, strings.Join(before["evidencepack.surroundings"].([]string), "\n"), `"kind": "`+kind+`"`)
	}
	s.exec(`INSERT INTO organization VALUES ($1, 'rival', 'rival', $2)`, rival, epoch)
	for _, table := range tables {
		s.exec(`INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, organization)
	}
	for _, statement := range []string{
		`UPDATE exposure SET explanation = 'foreign', severity = 1`, `UPDATE exposure_version SET explanation = 'foreign'`,
		`UPDATE condition SET explanation = 'foreign', ordinal = ordinal + 5`, `UPDATE authority_path SET data_domain = 'foreign', sensitivity = 0`,
		`UPDATE authority_path_version SET data_domain = 'foreign'`, `UPDATE sync SET at = at + interval '1 year'`, `UPDATE evaluation SET at = at + interval '1 year'`,
		`UPDATE scope_baseline SET note = 'foreign'`, `UPDATE privilege_justification SET justification = 'foreign'`, `UPDATE rule_version SET version = 99`,
		`UPDATE organization_window SET window_at = window_at + interval '1 year'`, `UPDATE entity SET name = 'foreign', system = 'foreign', status = 'active', removed_at = NULL`,
		`UPDATE edge SET protocol = 'foreign'`, `UPDATE egress SET host = 'foreign'`, `UPDATE evidence SET count = 999`, `UPDATE coverage SET complete = false`,
		`UPDATE source SET name = 'foreign'`, `UPDATE entity_assertion SET basis = 4`, `UPDATE path_succession SET at = at + interval '1 year'`,
		`UPDATE identity_rotation SET at = at + interval '1 year'`,
	} {
		s.exec(statement+` WHERE organization_id = $1`, rival)
	}
	require.Equal(t, before, ask())
}

// TestTablesHaveTheirPredicate counts, because an answer cannot prove every
// predicate.
func TestTablesHaveTheirPredicate(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\b(?:FROM|JOIN)\s+(exposure|exposure_version|condition|condition_version|authority_path|authority_path_version|path_succession|rule_version|setting|evaluation|sync|organization_window|scope_baseline|privilege_justification|edge|egress|evidence|coverage|entity|entity_assertion|source|identity_rotation)\s+([a-z]+)\b`)
	mentions := 0
	for _, query := range evidencepack.ReadQueries.All() {
		byAlias := map[string]int{}
		for _, m := range mention.FindAllStringSubmatch(query.SQL, -1) {
			byAlias[m[2]]++
			mentions++
		}
		for alias, want := range byAlias {
			predicate := regexp.MustCompile(`\b` + alias + `\.organization_id = @organization\b`)
			require.Len(t, predicate.FindAllString(query.SQL, -1), want, "%s: predicates of %q", query.Name, alias)
		}
	}
	require.Greater(t, mentions, 30)
}

func TestEveryReadStatementCanBeSeen(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementCanBeSeen(t, evidencepack.ReadQueries.All())
}

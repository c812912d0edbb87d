package graph_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/sign"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

var (
	operator = access.Actor{Subject: "olga", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View, access.Investigate, access.Operate}}
	auditor  = access.Actor{Subject: "aude", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View, access.Audit}}
)

const (
	judgedFields = `replayed userErrors { code field message }
		exposure { id status disposition version legalActions resolvedAt resolutionReason decision { seq hash } }
		decision { action from to version actor at recordedAt justification reason batch compensates inherited signed seq hash }`
	batchFields = `userErrors { code field } batch { id action undoes actor at justification reason dryRun replayed asked done refused
		counts { state code count } outcomes { exposure state done code message seq } }`
)

// judge sends a mutation of one exposure.
func (b *bench) judge(t tester, actor access.Actor, mutation string, input map[string]any) answer {
	t.Helper()
	kind := "JudgeExposureInput"
	if mutation == "markFalsePositive" {
		kind = "MarkFalsePositiveInput"
	}
	return b.query(t, actor, fmt.Sprintf(`mutation($input: %s!) { judged: %s(input: $input) { %s } }`, kind, mutation, judgedFields), map[string]any{"input": input})
}

// judged is what it answers where nothing is refused.
func (b *bench) judged(t tester, actor access.Actor, mutation string, input map[string]any) map[string]any {
	t.Helper()
	a := b.judge(t, actor, mutation, input)
	require.Empty(t, a.Errors)
	require.Empty(t, at[[]any](t, a.Data, "judged", "userErrors"))
	return at[map[string]any](t, a.Data, "judged")
}

// refusedAs is the one thing that is wrong with the input.
func refusedAs(t testing.TB, a answer) (code, field string) {
	t.Helper()
	require.Empty(t, a.Errors)
	wrong := at[[]any](t, a.Data, "judged", "userErrors")
	require.Len(t, wrong, 1)
	field, _ = at[map[string]any](t, wrong[0])["field"].(string)
	return at[string](t, wrong[0], "code"), field
}

// many sends a mutation of many exposures.
func (b *bench) many(t testing.TB, actor access.Actor, mutation string, input map[string]any) answer {
	t.Helper()
	return b.query(t, actor, fmt.Sprintf(`mutation($input: %sInput!) { judged: %s(input: $input) { %s } }`,
		strings.ToUpper(mutation[:1])+mutation[1:], mutation, batchFields), map[string]any{"input": input})
}

// exposureIDs are the ids of the gravest exposures of an organization.
func (b *bench) exposureIDs(t testing.TB, slug string, first int) []string {
	t.Helper()
	a := b.query(t, root, `query($slug: String!, $first: Int) { organization(slug: $slug) { exposures(first: $first) { nodes { id } } } }`,
		map[string]any{"slug": slug, "first": first})
	require.Empty(t, a.Errors)
	var ids []string
	for _, x := range at[[]any](t, a.Data, "organization", "exposures", "nodes") {
		ids = append(ids, at[string](t, x, "id"))
	}
	require.Len(t, ids, first)
	return ids
}

func onExposure(x string, version int, key string) map[string]any {
	return map[string]any{"exposure": x, "expectedVersion": version, "justification": "because " + key, "idempotencyKey": key}
}

func falsePositive(x string, version int, key, reason string) map[string]any {
	input := onExposure(x, version, key)
	input["reason"] = reason
	return input
}

// From open to acknowledged, back, to a false positive, back, and resolved: each
// step says what it did, and what can be done next.
func TestJudgeExposure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(4)...)
	x := b.exposureIDs(t, "acme", 1)[0]
	b.clock.Add(int64(time.Hour))

	done := b.judged(t, investigator, "acknowledgeExposure", onExposure(x, 1, "k1"))
	require.Equal(t, false, done["replayed"])
	shown := at[map[string]any](t, done, "exposure")
	hash := at[string](t, done, "decision", "hash")
	require.Len(t, hash, 64)
	require.Equal(t, map[string]any{
		"id": x, "status": "ACKNOWLEDGED", "disposition": "ACKNOWLEDGED", "version": 2.0, "resolvedAt": nil, "resolutionReason": nil,
		"legalActions": []any{"UNACKNOWLEDGE", "MARK_FALSE_POSITIVE", "RESOLVE"},
		"decision":     map[string]any{"seq": at[float64](t, done, "decision", "seq"), "hash": hash}}, shown)
	instant := epoch.Add(time.Hour).Format(time.RFC3339)
	require.Equal(t, map[string]any{
		"action": "ACKNOWLEDGE", "from": "OPEN", "to": "ACKNOWLEDGED", "version": 2.0, "actor": "ida", "at": instant, "recordedAt": instant,
		"justification": "because k1", "reason": nil, "batch": nil, "compensates": nil, "inherited": false, "signed": false,
		"seq": at[float64](t, shown, "decision", "seq"), "hash": hash}, done["decision"])

	again := b.judged(t, investigator, "acknowledgeExposure", onExposure(x, 1, "k1"))
	require.Equal(t, true, again["replayed"])
	require.Equal(t, done["decision"], again["decision"], "the answer of then")
	code, field := refusedAs(t, b.judge(t, investigator, "acknowledgeExposure", onExposure(x, 2, "k1")))
	require.Equal(t, []string{"IDEMPOTENCY_KEY_REUSED", "idempotencyKey"}, []string{code, field})
	stale := b.judge(t, operator, "acknowledgeExposure", onExposure(x, 1, "k1"))
	code, field = refusedAs(t, stale)
	require.Equal(t, []string{"VERSION_CONFLICT", "expectedVersion"}, []string{code, field}, "another caller's key is another key")
	require.Nil(t, at[map[string]any](t, stale.Data, "judged")["exposure"])
	code, field = refusedAs(t, b.judge(t, investigator, "acknowledgeExposure", onExposure(x, 2, "k2")))
	require.Equal(t, []string{"ILLEGAL_MOVE", "action"}, []string{code, field})

	require.Equal(t, "OPEN", at[string](t, b.judged(t, investigator, "unacknowledgeExposure", onExposure(x, 2, "k3")), "exposure", "disposition"))
	marked := b.judged(t, investigator, "markFalsePositive", falsePositive(x, 3, "k4", "WRONG_DATA"))
	require.Equal(t, "FALSE_POSITIVE", at[string](t, marked, "exposure", "status"))
	require.Equal(t, []any{"UNMARK_FALSE_POSITIVE"}, at[[]any](t, marked, "exposure", "legalActions"))
	require.Equal(t, "WRONG_DATA", at[string](t, marked, "decision", "reason"))
	b.judged(t, investigator, "unmarkFalsePositive", onExposure(x, 4, "k5"))
	require.Equal(t, "SCOPE_MISSING", b.judge(t, investigator, "resolveExposure", onExposure(x, 5, "k6")).code())
	resolved := b.judged(t, operator, "resolveExposure", onExposure(x, 5, "k6"))
	require.Equal(t, "RESOLVED", at[string](t, resolved, "decision", "to"))
	require.Equal(t, "MANUAL", at[string](t, resolved, "exposure", "resolutionReason"))
	require.Empty(t, at[[]any](t, resolved, "exposure", "legalActions"))
	code, _ = refusedAs(t, b.judge(t, investigator, "acknowledgeExposure", onExposure(x, 5, "k7")))
	require.Equal(t, "EXPOSURE_RESOLVED", code)

	const history = `query($id: ID!) { organization(slug: "acme") { exposure(id: $id) {
		decision { action } versions { nodes { version disposition decision { action seq } } } decisions(first: 3) { action actor to seq } } } }`
	a := b.query(t, auditor, history, map[string]any{"id": x})
	require.Empty(t, a.Errors)
	seen := at[map[string]any](t, a.Data, "organization", "exposure")
	require.Equal(t, "RESOLVE", at[string](t, seen, "decision", "action"))
	var actions []any
	for _, v := range at[[]any](t, seen, "versions", "nodes") {
		if decision, decided := at[map[string]any](t, v)["decision"].(map[string]any); decided {
			actions = append(actions, decision["action"])
		} else {
			actions = append(actions, nil)
		}
	}
	require.Equal(t, []any{"RESOLVE", "MARK_FALSE_POSITIVE", "UNACKNOWLEDGE", "ACKNOWLEDGE", nil}, actions)
	require.Equal(t, []any{"RESOLVE", "UNMARK_FALSE_POSITIVE", "MARK_FALSE_POSITIVE"},
		[]any{at[string](t, seen, "decisions", 0, "action"), at[string](t, seen, "decisions", 1, "action"), at[string](t, seen, "decisions", 2, "action")})
	blind := b.query(t, viewer, history, map[string]any{"id": x})
	require.Equal(t, "SCOPE_MISSING", blind.code())
	require.Nil(t, at[map[string]any](t, blind.Data, "organization", "exposure")["decisions"])
	require.Equal(t, seen["versions"], at[map[string]any](t, blind.Data, "organization", "exposure")["versions"], "the rest is there")
	require.Equal(t, "PAGE_SIZE", b.query(t, auditor, strings.Replace(history, "first: 3", "first: 101", 1), map[string]any{"id": x}).code())
}

// A false positive that comes back with the same evidence is one still, by the
// decision of then.
func TestInheritedDecision(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", smallEstate().facts()...)
	a := b.query(t, viewer, `{ organization(slug: "acme") { exposures(filter: {type: [SENSITIVE_REACH]}) { nodes { id version path { workload { sourceId } } } } } }`, nil)
	x := at[string](t, a.Data, "organization", "exposures", "nodes", 0, "id")
	marked := b.judged(t, investigator, "markFalsePositive", falsePositive(x, 1, "k", "TEST_ENVIRONMENT"))
	harmless := smallEstate()
	entityIs("ledger", func(e *record.Entity) { e.Sensitivity = "public" })(harmless)
	b.clock.Add(int64(time.Hour))
	b.sync(t, "acme", harmless.facts()...)
	b.clock.Add(int64(time.Hour))
	b.sync(t, "acme", smallEstate().facts()...)
	opened, _ := model.ParseID(x)
	key, _ := opened.ExposureKey()
	key.Ordinal = 2
	now := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { exposure(id: $id) { status decision { inherited seq actor reason } } } }`,
		map[string]any{"id": model.ExposureID(id.Organization("acme"), key)})
	require.Empty(t, now.Errors)
	require.Equal(t, map[string]any{"status": "FALSE_POSITIVE", "decision": map[string]any{
		"inherited": true, "seq": at[float64](t, marked, "decision", "seq"), "actor": "ida", "reason": "TEST_ENVIRONMENT"}}, at[map[string]any](t, now.Data, "organization", "exposure"))
}

// What is of another organization answers as what does not exist, and who may only
// look decides nothing.
func TestWhoMayJudge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(4)...)
	b.sync(t, "rival", town(4)...)
	own, foreign := b.exposureIDs(t, "acme", 1)[0], b.exposureIDs(t, "rival", 1)[0]
	opened, _ := model.ParseID(own)
	key, _ := opened.ExposureKey()
	key.Ordinal = 9
	absent := []string{"nothing", model.ExposureID(id.Organization("acme"), key), model.ID{Type: model.TypeBatch, Organization: opened.Organization, Parts: opened.Parts}.String(), ""}
	for _, mutation := range []string{"acknowledgeExposure", "unacknowledgeExposure", "markFalsePositive", "unmarkFalsePositive", "resolveExposure"} {
		input := func(x string) map[string]any {
			if mutation == "markFalsePositive" {
				return falsePositive(x, 1, "k", "OTHER")
			}
			return onExposure(x, 1, "k")
		}
		require.Equal(t, "SCOPE_MISSING", b.judge(t, viewer, mutation, input(own)).code())
		require.Equal(t, "SCOPE_MISSING", b.judge(t, auditor, mutation, input(own)).code())
		strange := b.judge(t, operator, mutation, input(foreign))
		require.Equal(t, "EXPOSURE_NOT_FOUND", strange.code())
		for _, x := range absent {
			require.Equal(t, strange, b.judge(t, operator, mutation, input(x)), x)
		}
	}

	all := map[string]any{"organization": "acme", "action": "ACKNOWLEDGE", "filter": map[string]any{}, "justification": "all", "idempotencyKey": "all"}
	require.Equal(t, "SCOPE_MISSING", b.many(t, viewer, "judgeExposures", all).code())
	all["organization"] = "rival"
	elsewhere := b.many(t, investigator, "judgeExposures", all)
	all["organization"] = "nobody"
	require.Equal(t, "ORGANIZATION_NOT_FOUND", elsewhere.code())
	require.Equal(t, elsewhere, b.many(t, investigator, "judgeExposures", all))
	all["organization"] = "rival"
	batch := at[string](t, b.many(t, root, "judgeExposures", all).Data, "judged", "batch", "id")
	undo := func(batch string) answer {
		return b.many(t, investigator, "undoBatch", map[string]any{"batch": batch, "justification": "undo", "idempotencyKey": "undo"})
	}
	require.Equal(t, "BATCH_NOT_FOUND", undo(batch).code())
	require.Equal(t, undo(batch), undo("nothing"))
	require.Equal(t, undo(batch), undo(model.ID{Type: model.TypeBatch, Organization: id.Organization("acme"), Parts: [2]id.ID{id.Organization("x")}}.String()))
	look := func(actor access.Actor, batch string) answer {
		return b.query(t, actor, `query($id: ID!) { organization(slug: "acme") { batch(id: $id) { asked } } }`, map[string]any{"id": batch})
	}
	require.Equal(t, look(investigator, "nothing"), look(investigator, batch))
	require.Nil(t, at[map[string]any](t, look(investigator, batch).Data, "organization")["batch"])
	node := func(text string) answer {
		return b.query(t, root, `query($id: ID!) { node(id: $id) { id } }`, map[string]any{"id": text})
	}
	require.Equal(t, node("nothing"), node(batch), "a batch is no node")
}

// Many at once: each fares by itself, the counts are of the outcomes, and undoing
// takes back what nobody touched since.
func TestBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(8)...)
	b.sync(t, "rival", town(8)...)
	ids, foreign := b.exposureIDs(t, "acme", 4), b.exposureIDs(t, "rival", 1)[0]
	b.judged(t, investigator, "acknowledgeExposure", onExposure(ids[0], 1, "before"))
	opened, _ := model.ParseID(ids[0])
	key, _ := opened.ExposureKey()
	key.Ordinal = 9
	absent := model.ExposureID(id.Organization("acme"), key)
	input := map[string]any{"organization": "acme", "action": "ACKNOWLEDGE", "justification": "taken on", "idempotencyKey": "b1", "exposures": []any{
		map[string]any{"exposure": ids[0]}, map[string]any{"exposure": ids[1]}, map[string]any{"exposure": ids[2], "expectedVersion": 7},
		map[string]any{"exposure": ids[3], "expectedVersion": 1}, map[string]any{"exposure": foreign}, map[string]any{"exposure": "nothing"}, map[string]any{"exposure": absent},
	}}
	with := func(name string, value any) map[string]any {
		changed := map[string]any{}
		for n, v := range input {
			changed[n] = v
		}
		if changed[name] = value; value == nil {
			delete(changed, name)
		}
		return changed
	}
	read := func(a answer) map[string]any {
		require.Empty(t, a.Errors)
		require.Empty(t, at[[]any](t, a.Data, "judged", "userErrors"))
		return at[map[string]any](t, a.Data, "judged", "batch")
	}
	outcomes := func(batch map[string]any) map[string]map[string]any {
		all := map[string]map[string]any{}
		for _, o := range at[[]any](t, batch, "outcomes") {
			all[at[string](t, o, "exposure")] = at[map[string]any](t, o)
		}
		return all
	}

	dry := with("dryRun", true)
	delete(dry, "justification")
	delete(dry, "idempotencyKey")
	would := read(b.many(t, investigator, "judgeExposures", dry))
	require.Nil(t, would["id"])
	require.Equal(t, []any{true, 7.0, 2.0, 5.0}, []any{would["dryRun"], would["asked"], would["done"], would["refused"]})
	did := read(b.many(t, investigator, "judgeExposures", input))
	require.Equal(t, []any{false, 7.0, 2.0, 5.0}, []any{did["dryRun"], did["asked"], did["done"], did["refused"]})
	require.Equal(t, would["counts"], did["counts"], "what it said it would do")
	require.Equal(t, []any{
		map[string]any{"state": "OPEN", "code": nil, "count": 2.0},
		map[string]any{"state": nil, "code": "EXPOSURE_NOT_FOUND", "count": 3.0},
		map[string]any{"state": "ACKNOWLEDGED", "code": "ILLEGAL_MOVE", "count": 1.0},
		map[string]any{"state": "OPEN", "code": "VERSION_CONFLICT", "count": 1.0}}, did["counts"])
	found := outcomes(did)
	require.Len(t, found, 7, "each by the id that it was asked by")
	for _, x := range []string{foreign, "nothing", absent} {
		require.Equal(t, map[string]any{"exposure": x, "state": nil, "done": false, "code": "EXPOSURE_NOT_FOUND",
			"message": "there is no exposure of this id; read one from a list", "seq": nil}, found[x])
	}
	require.Equal(t, true, found[ids[1]]["done"])
	require.NotNil(t, found[ids[1]]["seq"])
	require.Nil(t, outcomes(would)[ids[1]]["seq"])

	again := read(b.many(t, investigator, "judgeExposures", input))
	require.Equal(t, true, again["replayed"])
	again["replayed"] = false
	require.Equal(t, did, again)
	code, field := refusedAs(t, b.many(t, investigator, "judgeExposures", with("justification", "something else")))
	require.Equal(t, []string{"IDEMPOTENCY_KEY_REUSED", "idempotencyKey"}, []string{code, field})

	batch := at[string](t, did, "id")
	a := b.query(t, investigator, `query($id: ID!) { organization(slug: "acme") { batch(id: $id) { id done refused justification
		done1: outcomes(first: 1, done: true) { done } left: outcomes(done: false) { exposure code } } } }`, map[string]any{"id": batch})
	require.Empty(t, a.Errors)
	kept := at[map[string]any](t, a.Data, "organization", "batch")
	require.Equal(t, []any{batch, 2.0, 5.0, "taken on"}, []any{kept["id"], kept["done"], kept["refused"], kept["justification"]})
	require.Len(t, kept["done1"], 1)
	require.Len(t, kept["left"], 5)
	x := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { exposure(id: $id) { decision { batch } } } }`, map[string]any{"id": ids[1]})
	require.Equal(t, batch, at[string](t, x.Data, "organization", "exposure", "decision", "batch"))

	b.judged(t, operator, "markFalsePositive", falsePositive(ids[3], 2, "since", "DUPLICATE"))
	undo := map[string]any{"batch": batch, "justification": "a mistake", "idempotencyKey": "u1"}
	undone := read(b.many(t, investigator, "undoBatch", undo))
	require.Equal(t, []any{batch, "ACKNOWLEDGE", 2.0, 1.0}, []any{undone["undoes"], undone["action"], undone["asked"], undone["done"]})
	require.Equal(t, "VERSION_CONFLICT", outcomes(undone)[ids[3]]["code"])
	undo["idempotencyKey"] = "u2"
	code, field = refusedAs(t, b.many(t, investigator, "undoBatch", undo))
	require.Equal(t, []string{"ALREADY_UNDONE", "batch"}, []string{code, field})
	back := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { exposure(id: $id) { status decision { action compensates } } } }`, map[string]any{"id": ids[1]})
	require.Equal(t, map[string]any{"status": "ACTIVE", "decision": map[string]any{"action": "UNACKNOWLEDGE", "compensates": found[ids[1]]["seq"]}},
		at[map[string]any](t, back.Data, "organization", "exposure"))

	filtered := with("filter", map[string]any{"type": []string{"LLM_EGRESS"}, "status": []string{"ACTIVE"}})
	delete(filtered, "exposures")
	filtered["idempotencyKey"] = "f1"
	matched := read(b.many(t, investigator, "judgeExposures", filtered))
	require.Positive(t, matched["done"])
	require.Zero(t, matched["refused"])
	filtered["filter"] = map[string]any{"path": []string{"nothing"}}
	filtered["idempotencyKey"] = "f2"
	require.Zero(t, read(b.many(t, investigator, "judgeExposures", filtered))["asked"])

	long := make([]any, triage.MaxItems+1)
	for i := range long {
		long[i] = map[string]any{"exposure": fmt.Sprint("x", i)}
	}
	for name, test := range map[string]struct {
		input map[string]any
		wrong []string
	}{
		"neither":        {with("exposures", nil), []string{"SELECTION_NEEDED", "exposures"}},
		"both":           {with("filter", map[string]any{}), []string{"SELECTION_NEEDED", "exposures"}},
		"too many":       {with("exposures", long), []string{"TOO_MANY_EXPOSURES", "exposures"}},
		"twice":          {with("exposures", []any{map[string]any{"exposure": ids[1]}, map[string]any{"exposure": ids[1]}}), []string{"EXPOSURE_TWICE", "exposures"}},
		"a reason":       {with("reason", "OTHER"), []string{"REASON_UNEXPECTED", "reason"}},
		"no reason":      {with("action", "MARK_FALSE_POSITIVE"), []string{"REASON_UNKNOWN", "reason"}},
		"no word":        {with("justification", nil), []string{"INVALID_TEXT", "justification"}},
		"no key":         {with("idempotencyKey", nil), []string{"INVALID_IDEMPOTENCY_KEY", "idempotencyKey"}},
		"version zero":   {with("exposures", []any{map[string]any{"exposure": ids[1], "expectedVersion": 0}}), []string{"INVALID_VERSION", "expectedVersion"}},
		"without a word": {with("justification", " "), []string{"INVALID_TEXT", "justification"}},
	} {
		code, field := refusedAs(t, b.many(t, investigator, "judgeExposures", test.input))
		require.Equal(t, test.wrong, []string{code, field}, name)
	}
	require.Equal(t, "PAGE_SIZE", b.query(t, investigator, `query($id: ID!) { organization(slug: "acme") { batch(id: $id) { outcomes(first: 0) { done } } } }`, map[string]any{"id": batch}).code())
}

// What nobody could read again is refused with a code, and so is a number that is
// none.
func TestBadJudgements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(4)...)
	x := b.exposureIDs(t, "acme", 1)[0]
	const document = `mutation($input: JudgeExposureInput!) { judged: acknowledgeExposure(input: $input) { userErrors { code field } } }`
	send := func(justification, key, version string) answer {
		query, err := json.Marshal(document)
		require.NoError(t, err)
		_, a := b.post(t, investigator, fmt.Sprintf(`{"query":%s,"variables":{"input":{"exposure":%q,"justification":%s,"idempotencyKey":%s,"expectedVersion":%s}}}`,
			query, x, justification, key, version))
		return a
	}
	for name, test := range map[string]struct{ justification, key, version, code string }{
		"NUL":                      {`"a\u0000b"`, `"k"`, `1`, "BAD_USER_INPUT"},
		"a lone surrogate":         {`"a\ud800b"`, `"k"`, `1`, "BAD_USER_INPUT"},
		"no UTF-8":                 {"\"a\xff\"", `"k"`, `1`, "BAD_USER_INPUT"},
		"NUL in the key":           {`"a"`, `"k\u0000"`, `1`, "BAD_USER_INPUT"},
		"a lone surrogate in it":   {`"a"`, `"k\udc00"`, `1`, "BAD_USER_INPUT"},
		"a version beyond 2^31":    {`"a"`, `"k"`, `2147483648`, "BAD_USER_INPUT"},
		"a version beyond 2^53":    {`"a"`, `"k"`, `9007199254740993`, "BAD_USER_INPUT"},
		"a version beyond 2^64":    {`"a"`, `"k"`, `36893488147419103232`, "GRAPHQL_VALIDATION_FAILED"},
		"a version with a comma":   {`"a"`, `"k"`, `1.5`, "GRAPHQL_VALIDATION_FAILED"},
		"a version that is a word": {`"a"`, `"k"`, `"one"`, "GRAPHQL_VALIDATION_FAILED"},
	} {
		require.Equal(t, test.code, send(test.justification, test.key, test.version).code(), name)
	}
	for version, code := range map[string]string{
		"2147483648": "BAD_USER_INPUT", "-2147483649": "BAD_USER_INPUT", "36893488147419103232": "GRAPHQL_VALIDATION_FAILED", "1.5": "GRAPHQL_VALIDATION_FAILED"} {
		a := b.query(t, investigator, fmt.Sprintf(`mutation { acknowledgeExposure(input: {exposure: %q, expectedVersion: %s, justification: "a", idempotencyKey: "k"}) { replayed } }`, x, version), nil)
		require.Equal(t, code, a.code(), "%s: %v", version, a.Errors)
	}
	for name, test := range map[string]struct {
		justification, key, version string
		wrong                       []string
	}{
		"nothing":             {`""`, `"k"`, `1`, []string{"INVALID_TEXT", "justification"}},
		"2,001 characters":    {`"` + strings.Repeat("ä", 2001) + `"`, `"k"`, `1`, []string{"INVALID_TEXT", "justification"}},
		"no key":              {`"a"`, `""`, `1`, []string{"INVALID_IDEMPOTENCY_KEY", "idempotencyKey"}},
		"a key with a blank":  {`"a"`, `"k k"`, `1`, []string{"INVALID_IDEMPOTENCY_KEY", "idempotencyKey"}},
		"a key of 201":        {`"a"`, `"` + strings.Repeat("k", 201) + `"`, `1`, []string{"INVALID_IDEMPOTENCY_KEY", "idempotencyKey"}},
		"a replacement in it": {`"a"`, `"k` + "\uFFFD" + `"`, `1`, []string{"INVALID_IDEMPOTENCY_KEY", "idempotencyKey"}},
		"version zero":        {`"a"`, `"k"`, `0`, []string{"INVALID_VERSION", "expectedVersion"}},
		"a negative version":  {`"a"`, `"k"`, `-1`, []string{"INVALID_VERSION", "expectedVersion"}},
	} {
		code, field := refusedAs(t, send(test.justification, test.key, test.version))
		require.Equal(t, test.wrong, []string{code, field}, name)
	}
	// 2,000 characters of four bytes each, and the one for what could not be read.
	longest := strings.Repeat("𝄞", 1999) + "\uFFFD"
	a := send(`"`+longest+`"`, `"k"`, `1`)
	require.Empty(t, at[[]any](t, a.Data, "judged", "userErrors"))
	kept := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { exposure(id: $id) { decision { justification } } } }`, map[string]any{"id": x})
	require.Equal(t, longest, at[string](t, kept.Data, "organization", "exposure", "decision", "justification"))
}

// Each mutation of a document answers with what it left, not with what the one
// before it did.
func TestMutationsReadAfterThemselves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(4)...)
	x := b.exposureIDs(t, "acme", 1)[0]
	a := b.query(t, investigator, `mutation($x: ID!) {
		a: acknowledgeExposure(input: {exposure: $x, expectedVersion: 1, justification: "a", idempotencyKey: "a"}) { exposure { version status decision { action } } }
		b: unacknowledgeExposure(input: {exposure: $x, expectedVersion: 2, justification: "b", idempotencyKey: "b"}) { exposure { version status decision { action } } }
	}`, map[string]any{"x": x})
	require.Empty(t, a.Errors)
	for alias, want := range map[string][]any{"a": {2.0, "ACKNOWLEDGED", "ACKNOWLEDGE"}, "b": {3.0, "ACTIVE", "UNACKNOWLEDGE"}} {
		shown := at[map[string]any](t, a.Data, alias, "exposure")
		require.Equal(t, want, []any{shown["version"], shown["status"], at[string](t, shown, "decision", "action")})
	}
}

// A page of exposures with their decisions costs the same number of statements at
// any size, and so does one with every decision and every version.
func TestDecisionsInConstantStatements(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", town(120)...)
	for n, action := range []string{"ACKNOWLEDGE", "UNACKNOWLEDGE", "ACKNOWLEDGE"} {
		a := b.many(t, investigator, "judgeExposures", map[string]any{
			"organization": "acme", "action": action, "filter": map[string]any{}, "justification": "all", "idempotencyKey": fmt.Sprint(n)})
		require.Empty(t, a.Errors)
		require.GreaterOrEqual(t, at[float64](t, a.Data, "judged", "batch", "done"), 100.0)
	}
	for document, most := range map[string]int{
		`id version legalActions decision { actor at justification seq hash }`: 2,
		`id version legalActions decision { actor at justification seq hash } decisions(first: 2) { action seq hash }
			versions(first: 3) { nodes { version decision { action actor hash } } }`: 6,
	} {
		sent := map[int][]string{}
		for _, first := range []int{10, 100} {
			b.Statements.Reset()
			a := b.query(t, auditor, `query($first: Int!) { organization(slug: "acme") { exposures(first: $first) { nodes { `+document+` } } } }`, map[string]any{"first": first})
			sent[first] = b.Statements.Sent()
			require.Empty(t, a.Errors)
			nodes := at[[]any](t, a.Data, "organization", "exposures", "nodes")
			require.Len(t, nodes, first)
			for _, x := range nodes {
				require.Equal(t, "ida", at[string](t, x, "decision", "actor"))
				require.Equal(t, 4.0, at[float64](t, x, "version"))
				if most > 2 {
					require.Len(t, at[[]any](t, x, "decisions"), 2)
					require.Equal(t, at[string](t, x, "decision", "hash"), at[string](t, x, "decisions", 0, "hash"))
					require.Equal(t, "UNACKNOWLEDGE", at[string](t, x, "versions", "nodes", 1, "decision", "action"))
				}
			}
		}
		require.ElementsMatch(t, sent[10], sent[100])
		require.LessOrEqual(t, len(sent[100]), most+1, sent[100])
	}
}

// A key is registered, signs a decision, and is revoked.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(4)...)
	ids := b.exposureIDs(t, "acme", 2)
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	const fields = `key { keyId subject publicKey validFrom validTo registeredBy revokedBy } userErrors { code field }`
	register := func(actor access.Actor, input map[string]any) answer {
		input["organization"] = "acme"
		return b.query(t, actor, `mutation($input: RegisterSigningKeyInput!) { judged: registerSigningKey(input: $input) { `+fields+` } }`, map[string]any{"input": input})
	}
	revoke := func(actor access.Actor, slug, key string) answer {
		return b.query(t, actor, `mutation($input: RevokeSigningKeyInput!) { judged: revokeSigningKey(input: $input) { `+fields+` } }`,
			map[string]any{"input": map[string]any{"organization": slug, "key": key}})
	}
	code, _ := refusedAs(t, register(investigator, map[string]any{"publicKey": "nothing"}))
	require.NotEmpty(t, code)
	require.Equal(t, "SCOPE_MISSING", register(viewer, map[string]any{"publicKey": text}).code())
	require.Equal(t, "ADMIN_REQUIRED", register(investigator, map[string]any{"publicKey": text, "subject": "olga"}).code())
	b.clock.Add(int64(time.Hour))
	a := register(investigator, map[string]any{"publicKey": text})
	require.Empty(t, a.Errors)
	key := at[map[string]any](t, a.Data, "judged", "key")
	require.Equal(t, sign.KeyID(public), key["keyId"])
	require.Equal(t, []any{"ida", "ida", nil, nil}, []any{key["subject"], key["registeredBy"], key["validTo"], key["revokedBy"]})

	opened, _ := model.ParseID(ids[0])
	exposure, _ := opened.ExposureKey()
	statement, err := (&triage.Command{Action: triage.Acknowledge, ExpectedVersion: 1, Justification: "because s1", IdempotencyKey: "s1"}).Statement(opened.Organization, exposure)
	require.NoError(t, err)
	envelope, err := sign.Sign(sign.DecisionType, statement, private)
	require.NoError(t, err)
	form, err := envelope.JSON()
	require.NoError(t, err)
	input := onExposure(ids[0], 1, "s1")
	input["envelope"] = string(form)
	b.clock.Add(int64(time.Hour))
	require.Equal(t, true, at[map[string]any](t, b.judged(t, investigator, "acknowledgeExposure", input), "decision")["signed"])
	input["exposure"] = ids[1]
	input["idempotencyKey"] = "s2"
	code, field := refusedAs(t, b.judge(t, investigator, "acknowledgeExposure", input))
	require.Equal(t, []string{"ENVELOPE_INVALID", "envelope"}, []string{code, field}, "it signs another request")

	require.Equal(t, "KEY_NOT_FOUND", revoke(operator, "acme", sign.KeyID(public)).code(), "it is another's")
	require.Equal(t, revoke(operator, "acme", sign.KeyID(public)), revoke(operator, "acme", "nothing"))
	require.Equal(t, "ORGANIZATION_NOT_FOUND", revoke(operator, "rival", sign.KeyID(public)).code())
	b.clock.Add(int64(time.Hour))
	a = revoke(investigator, "acme", sign.KeyID(public))
	require.Equal(t, "ida", at[string](t, a.Data, "judged", "key", "revokedBy"))
	code, field = refusedAs(t, revoke(investigator, "acme", sign.KeyID(public)))
	require.Equal(t, []string{"KEY_REVOKED", "key"}, []string{code, field})
	listed := b.query(t, viewer, `{ organization(slug: "acme") { signingKeys { keyId } none: signingKeys(subject: "olga") { keyId } } }`, nil)
	require.Empty(t, listed.Errors)
	require.Equal(t, []any{map[string]any{"keyId": key["keyId"]}}, at[[]any](t, listed.Data, "organization", "signingKeys"))
	require.Empty(t, at[[]any](t, listed.Data, "organization", "none"))
}

// The schema has every word of the domain.
func TestWordsOfTriage(t *testing.T) {
	t.Parallel()
	types := schema(t).Types
	words := func(enum string) (list []string) {
		for _, value := range types[enum].EnumValues {
			list = append(list, strings.ToLower(value.Name))
		}
		return list
	}
	require.ElementsMatch(t, triage.Actions, convert[triage.Action](words("ExposureAction")))
	require.ElementsMatch(t, triage.States, convert[triage.State](words("ExposureState")))
	require.ElementsMatch(t, triage.FalsePositiveReasons, convert[triage.FalsePositiveReason](words("FalsePositiveReason")))
}

func convert[W ~string](words []string) (list []W) {
	for _, word := range words {
		list = append(list, W(word))
	}
	return list
}

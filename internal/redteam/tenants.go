package redteam

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

const nonesuch = "nonesuch" // the slug of no organization

// tenantRows are attempts of a member of rival to learn anything of acme.
func tenantRows() []Row {
	return []Row{
		{Number: "22", Name: "objects of another organization", Checks: []Check{
			{Request: "node and nodes, an id of each type", Run: foreignNodes},
			{Request: "an id of another organization as an argument", Once: true, Run: foreignArguments},
			{Request: "cursors of another organization, of each list", Run: foreignCursors},
			{Request: "the organization itself, and what hangs on it", Run: foreignOrganization},
			{Request: "files, ledgers, logs, imports and the other doors", Run: foreignDoors},
			{Request: "streams of another organization", Run: foreignStreams},
		}},
		{Number: "23", Name: "oracles of counts, errors and times", Checks: []Check{
			{Request: "totalCount under filters of foreign ids", Run: foreignCounts},
			{Request: "errors and userErrors of mutations", Once: true, Run: foreignMutations},
			{Request: "how long the answers take", Once: true, Run: foreignTimes},
		}},
	}
}

// found is an object of acme with what is no object in its place.
type found struct {
	typename string
	id       string
	twins    []string // ids of the same type, of nothing
}

// objects are one of acme of each type that has an id.
func (a *Attack) objects(ctx context.Context) (list []found, err error) {
	var answer struct{ Organization json.RawMessage }
	err = a.admin.read(ctx, &answer, `{ organization(slug: "acme") { __typename id
		authorityPaths(first: 1) { nodes { __typename id lineage { __typename id } roles { __typename id } workload { __typename id } identity { __typename id } destination { __typename id } } }
		exposures(first: 1) { nodes { __typename id } }
		riskClusters(first: 1, filter: {nonEmpty: true}) { nodes { __typename id } }
		exposureChanges(first: 1) { nodes { __typename id } }
		auditLog(first: 1) { nodes { __typename id } }
		owners(first: 1) { nodes { __typename id } } assets(first: 1) { nodes { __typename id } }
		sources { __typename id } syncs(first: 1) { nodes { __typename id } } } }`)
	if err != nil {
		return nil, err
	}
	for _, match := range regexp.MustCompile(`"__typename":"(\w+)","id":"([^"]+)"`).FindAllSubmatch(answer.Organization, -1) {
		one := found{typename: string(match[1]), id: string(match[2])}
		if slices.ContainsFunc(list, func(other found) bool { return other.typename == one.typename }) {
			continue
		}
		opened, ok := model.ParseID(one.id)
		if !ok {
			return nil, fmt.Errorf("the id of a %s cannot be opened", one.typename)
		}
		for _, organization := range []id.ID{opened.Organization, id.Organization(nonesuch)} {
			twin := opened
			twin.Organization = organization
			if opened.Parts[0] == id.Nil {
				twin.Organization = random()
			} else {
				twin.Parts[0] = random()
			}
			one.twins = append(one.twins, twin.String())
		}
		list = append(list, one)
	}
	var known struct {
		Type struct{ PossibleTypes []struct{ Name string } } `json:"__type"`
	}
	if err := a.admin.read(ctx, &known, `{ __type(name: "Node") { possibleTypes { name } } }`); err != nil {
		return nil, err
	}
	for _, possible := range known.Type.PossibleTypes {
		if !slices.ContainsFunc(list, func(f found) bool { return f.typename == possible.Name }) {
			return nil, fmt.Errorf("acme has no %s that could be asked for", possible.Name)
		}
	}
	return list, nil
}

func random() (i id.ID) {
	_, _ = rand.Read(i[:]) // it never fails
	return i
}

// of is the object of a type.
func of(list []found, typename string) found {
	return list[slices.IndexFunc(list, func(f found) bool { return f.typename == typename })]
}

// varying is what two answers to one question may differ in: the id of the request, and
// what the caller has left to spend.
var varying = regexp.MustCompile(`"requestId":"[^"]*"|"budget":\{[^}]*\},?`)

// alike asks a question about something foreign and about nothing, and holds that the
// answers are the same, but for the text that was asked about.
func alike(ask func(about string) (*answer, error), foreign string, nothing ...string) (*answer, error) {
	same := func(about string) (*answer, []byte, error) {
		got, err := ask(about)
		if err != nil {
			return nil, nil, err
		}
		if err := noFault(got); err != nil {
			return nil, nil, err
		}
		body := bytes.ReplaceAll(got.body, []byte(about), []byte("IT"))
		return got, varying.ReplaceAll(body, nil), nil
	}
	first, body, err := same(foreign)
	if err != nil {
		return nil, err
	}
	for _, other := range nothing {
		second, otherBody, err := same(other)
		if err != nil {
			return nil, err
		}
		if second.status != first.status || !bytes.Equal(body, otherBody) {
			return nil, fmt.Errorf("of what is foreign the answer is %d %.300s, and of nothing %d %.300s", first.status, body, second.status, otherBody)
		}
	}
	return first, nil
}

// asking is a question of the attacker with the variable it.
func (a *Attack) asking(ctx context.Context, document string) func(string) (*answer, error) {
	return func(about string) (*answer, error) { return a.attacker.ask(ctx, document, "it", about) }
}

func foreignNodes(ctx context.Context, a *Attack) (string, error) {
	list, err := a.objects(ctx)
	if err != nil {
		return "", err
	}
	for _, one := range list {
		var visible struct{ Node *struct{ ID string } }
		if err := a.admin.read(ctx, &visible, `query($it: ID!) { node(id: $it) { id } }`, "it", one.id); err != nil || visible.Node == nil {
			return "", errors.Join(err, fmt.Errorf("not even an administrator sees the %s", one.typename))
		}
		for _, document := range []string{
			`query($it: ID!) { node(id: $it) { __typename id } }`, `query($it: ID!) { nodes(ids: [$it, $it]) { __typename id } }`,
		} {
			got, err := alike(a.asking(ctx, document), one.id, one.twins...)
			if err != nil {
				return one.typename, fmt.Errorf("%s: %w", one.typename, err)
			}
			if bytes.Contains(got.body, []byte("__typename")) {
				return one.typename, fmt.Errorf("%s: %.300s", one.typename, got.body)
			}
		}
	}
	return fmt.Sprintf("%d types, each as not found", len(list)), nil
}

// foreignArguments gives ids of acme to the fields of rival that take one.
func foreignArguments(ctx context.Context, a *Attack) (string, error) {
	list, err := a.objects(ctx)
	if err != nil {
		return "", err
	}
	fields := 0
	for field, typename := range map[string]string{
		"authorityPath(id: $it) { id }": "AuthorityPath", "exposure(id: $it) { id }": "Exposure", "exposureChange(id: $it) { id }": "ExposureChange",
		"workloadExposure(id: $it) { id }": "Workload", "asset(id: $it) { id }": "Asset", "evidencePack(exposure: $it) { digest }": "Exposure",
		"evidencePack(workload: $it) { digest }": "Workload", "evidencePack(path: $it) { digest }": "AuthorityPath", "batch(id: $it) { id }": "Exposure",
	} {
		one := of(list, typename)
		got, err := alike(a.asking(ctx, `query($it: ID) { organization(slug: "rival") { id `+field+` } }`), one.id, one.twins...)
		if err != nil {
			return field, fmt.Errorf("%s: %w", field, err)
		}
		if slices.Contains(got.codes(), validation) { // a variable that may be null is not for an argument that may not
			if got, err = alike(a.asking(ctx, `query($it: ID!) { organization(slug: "rival") { id `+field+` } }`), one.id, one.twins...); err != nil {
				return field, fmt.Errorf("%s: %w", field, err)
			}
		}
		if slices.Contains(got.codes(), validation) {
			return field, fmt.Errorf("%s is no question: %.300s", field, got.body)
		}
		fields++
	}
	return fmt.Sprintf("%d fields, each as not found", fields), nil
}

// lists are the connections of an organization, by what the schema says.
func (a *Attack) lists(ctx context.Context) (names []string, err error) {
	var schema struct {
		Type struct {
			Fields []struct {
				Name string
				Args []struct{ Name string }
			}
		} `json:"__type"`
	}
	if err := a.admin.read(ctx, &schema, `{ __type(name: "Organization") { fields { name args { name } } } }`); err != nil {
		return nil, err
	}
	for _, field := range schema.Type.Fields {
		for _, arg := range field.Args {
			if arg.Name == "after" {
				names = append(names, field.Name)
			}
		}
	}
	return names, nil
}

// foreignCursors gives cursors of acme to the lists of rival. A twin of a cursor is
// the same of a list that there is not.
func foreignCursors(ctx context.Context, a *Attack) (string, error) {
	lists, err := a.lists(ctx)
	if err != nil {
		return "", err
	}
	tried := 0
	for _, list := range lists {
		var page struct {
			Organization map[string]struct{ PageInfo struct{ EndCursor *string } }
		}
		if err := a.admin.read(ctx, &page, `{ organization(slug: "acme") { `+list+`(first: 1) { pageInfo { endCursor } } } }`); err != nil {
			return list, err
		}
		cursor := page.Organization[list].PageInfo.EndCursor
		if cursor == nil {
			continue // acme has nothing there
		}
		twin, err := elsewhere(*cursor)
		if err != nil {
			return list, err
		}
		got, err := alike(a.asking(ctx, `query($it: String) { organization(slug: "rival") { `+list+`(first: 1, after: $it) { pageInfo { endCursor } } } }`), *cursor, twin)
		if err != nil {
			return list, fmt.Errorf("%s: %w", list, err)
		}
		if len(got.codes()) == 0 {
			return list, fmt.Errorf("%s takes a cursor of another organization: %.300s", list, got.body)
		}
		tried++
	}
	if tried < 8 {
		return "", fmt.Errorf("of the lists %q only %d have a cursor", lists, tried)
	}
	return fmt.Sprintf("%d lists, each refused", tried), nil
}

// elsewhere binds a cursor to another list.
func elsewhere(cursor string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", err
	}
	var parts map[string]any
	if err := json.Unmarshal(text, &parts); err != nil {
		return "", err
	}
	parts["b"] = random().String()
	return base64.RawURLEncoding.EncodeToString(marshal(parts)), nil
}

func foreignOrganization(ctx context.Context, a *Attack) (string, error) {
	for _, inside := range []string{
		"id", "authorityPaths(first: 1) { totalCount nodes { workload { name } } }", "exposures(first: 1) { totalCount }", "ledger { __typename }",
		"auditLog(first: 1) { nodes { id } }", "exposureChangeFeed { seq }", "signingKeys { keyId }", "posture { __typename }",
	} {
		got, err := alike(a.asking(ctx, `query($it: String!) { organization(slug: $it) { `+inside+` } }`), acme, nonesuch)
		if err != nil {
			return inside, err
		}
		if !bytes.Contains(got.body, []byte(`"organization":null`)) {
			return inside, fmt.Errorf("organization { %s } is answered %.300s", inside, got.body)
		}
	}
	var seen struct {
		Organizations struct{ Nodes []struct{ Slug string } }
	}
	if err := a.attacker.read(ctx, &seen, `{ organizations(first: 100) { nodes { slug } } }`); err != nil {
		return "", err
	}
	for _, one := range seen.Organizations.Nodes {
		if one.Slug != rival && one.Slug != broken {
			return one.Slug, fmt.Errorf("a member of %s sees %s", rival, one.Slug)
		}
	}
	return "null, as of none", nil
}

func foreignDoors(ctx context.Context, a *Attack) (string, error) {
	doors := []request{
		{method: http.MethodGet, path: "/ledgers/IT"}, {method: http.MethodGet, path: "/ledgers/IT/checkpoint"}, {method: http.MethodGet, path: "/organizations/IT/audit.jsonl"},
		{method: http.MethodGet, path: "/api/v1/organizations/IT/changes"}, {method: http.MethodGet, path: "/api/v1/organizations/IT/changes/summary"},
		{path: "/imports/naabu?org=IT", body: []byte(`{"ip":"203.0.113.7","port":443}` + "\n")},
		{path: "/imports/naabu?create=true&org=IT", body: []byte(`{"ip":"203.0.113.7","port":443}` + "\n")},
		{path: "/files?org=IT", body: []byte("text"), header: http.Header{"Content-Type": {"text/plain"}}},
		{method: http.MethodGet, path: "/files/" + strings.Repeat("0", 64) + "?org=IT"},
	}
	var statuses []string
	for _, door := range doors {
		got, err := alike(func(about string) (*answer, error) {
			sent := door
			sent.path = strings.ReplaceAll(door.path, "IT", about)
			return a.attacker.send(ctx, sent)
		}, acme, nonesuch)
		if err != nil {
			return door.path, fmt.Errorf("%s: %w", door.path, err)
		}
		if got.status < 400 {
			return door.path, fmt.Errorf("%s is answered %d %.300s", door.path, got.status, got.body)
		}
		statuses = append(statuses, fmt.Sprint(got.status))
	}
	slices.Sort(statuses)
	return fmt.Sprintf("%d doors: %s", len(doors), strings.Join(slices.Compact(statuses), ", ")), nil
}

// foreignStreams follows what is foreign and what is not, over a WebSocket and over
// server-sent events.
func foreignStreams(ctx context.Context, a *Attack) (string, error) {
	for _, document := range []string{
		`subscription($it: String!) { exposureChanges(organization: $it) { seq } }`,
		`subscription($it: String!) { syncProgress(organization: $it, id: "00000000-0000-4000-8000-000000000000") { __typename } }`,
	} {
		if _, err := alike(func(about string) (*answer, error) {
			got, err := a.attacker.send(ctx, request{
				body: bodyOf(document, "it", about), header: http.Header{"Content-Type": {plainJSON}, "Accept": {"text/event-stream"}},
			})
			if err == nil && !bytes.Contains(got.body, []byte("ORGANIZATION_NOT_FOUND")) {
				err = fmt.Errorf("%s: %.300s", document, got.body)
			}
			return got, err
		}, acme, nonesuch); err != nil {
			return "", err
		}
		if _, err := alike(func(about string) (*answer, error) {
			s, err := a.attacker.greeted(ctx)
			if err != nil {
				return nil, err
			}
			defer s.drop()
			text := marshal(map[string]any{"type": "subscribe", "id": "1", "payload": map[string]any{"query": document, "variables": map[string]any{"it": about}}})
			if err := s.say(ctx, string(text)); err != nil {
				return nil, err
			}
			m, err := s.hear(ctx)
			if err == nil && m.Type != "error" {
				err = fmt.Errorf("it is answered by %s %s", m.Type, m.Payload)
			}
			return &answer{status: http.StatusOK, body: marshal(m)}, err
		}, acme, nonesuch); err != nil {
			return "", err
		}
	}
	return "ORGANIZATION_NOT_FOUND", nil
}

func foreignCounts(ctx context.Context, a *Attack) (string, error) {
	list, err := a.objects(ctx)
	if err != nil {
		return "", err
	}
	questions := 0
	for filter, typename := range map[string]string{
		"authorityPaths(filter: {workload: [$it]})": "Workload", "authorityPaths(filter: {identity: [$it]})": "Identity", "authorityPaths(filter: {destination: [$it]})": "Resource",
		"exposures(filter: {workload: [$it]})": "Workload", "exposures(filter: {path: [$it]})": "AuthorityPath",
		"exposureChanges(filter: {path: [$it]})": "AuthorityPath", "exposureChanges(filter: {exposure: [$it]})": "Exposure", "exposureChanges(filter: {workload: [$it]})": "Workload",
		"exposureChanges(filter: {asset: [$it]})": "Asset", "assets(filter: {host: [$it]})": "Asset", "assets(filter: {source: [$it]})": "Source", "syncs(filter: {source: [$it]})": "Source",
	} {
		one := of(list, typename)
		got, err := alike(a.asking(ctx, `query($it: ID!) { organization(slug: "rival") { `+filter+` { pageInfo { endCursor } nodes { id } } } }`), one.id, one.twins...)
		if err == nil && slices.Contains(got.codes(), validation) {
			err = fmt.Errorf("it is no question: %.300s", got.body)
		}
		if err != nil {
			return filter, fmt.Errorf("%s: %w", filter, err)
		}
		questions++
	}
	for _, field := range []string{"authorityPaths", "exposures", "workloads"} {
		var visible struct {
			Organization map[string]struct{ TotalCount int }
		}
		if err := a.attacker.read(ctx, &visible, `{ organization(slug: "rival") { `+field+` { totalCount } } }`); err != nil {
			return field, err
		}
	}
	return fmt.Sprintf("%d questions, answers identical", questions), nil
}

func foreignMutations(ctx context.Context, a *Attack) (string, error) {
	list, err := a.objects(ctx)
	if err != nil {
		return "", err
	}
	before, err := a.decided(ctx)
	if err != nil {
		return "", err
	}
	judge := `expectedVersion: 1, justification: "x", idempotencyKey: "x"`
	mutations := 0
	for mutation, typename := range map[string]string{
		"acknowledgeExposure(input: {exposure: $it, " + judge + "})":                  "Exposure",
		"unacknowledgeExposure(input: {exposure: $it, " + judge + "})":                "Exposure",
		"markFalsePositive(input: {exposure: $it, reason: OTHER, " + judge + "})":     "Exposure",
		"unmarkFalsePositive(input: {exposure: $it, " + judge + "})":                  "Exposure",
		"resolveExposure(input: {exposure: $it, " + judge + "})":                      "Exposure",
		"recordJustification(input: {path: $it, justification: \"x\"})":               "AuthorityPath",
		"withdrawJustification(input: {path: $it})":                                   "AuthorityPath",
		"attestBaseline(input: {identity: $it})":                                      "Identity",
		"sealEvidencePack(input: {subject: $it})":                                     "Exposure",
		"undoBatch(input: {batch: $it, justification: \"x\", idempotencyKey: \"x\"})": "Exposure",
		"judgeExposures(input: {organization: \"rival\", exposures: [{exposure: $it}], action: ACKNOWLEDGE, justification: \"x\", idempotencyKey: \"KEY\"})": "Exposure",
	} {
		one := of(list, typename)
		ask := func(about string) (*answer, error) {
			keyed := strings.ReplaceAll(mutation, "KEY", fmt.Sprint(now().UnixNano()))
			return a.attacker.ask(ctx, `mutation($it: ID!) { `+keyed+` { userErrors { code field message } } }`, "it", about)
		}
		got, err := alike(ask, one.id, one.twins...)
		if err == nil && slices.Contains(got.codes(), validation) {
			err = fmt.Errorf("it is no mutation: %.300s", got.body)
		}
		if err != nil {
			return cut(mutation, answerWidth), fmt.Errorf("%s: %w", mutation, err)
		}
		mutations++
	}
	for _, mutation := range []string{
		"evaluateOrganization(input: {organization: $it})", "changeEvaluationSettings(input: {organization: $it, expectedVersion: 1, dormantAfterDays: 5})",
		"revokeSigningKey(input: {organization: $it, key: \"x\"})", "registerSigningKey(input: {organization: $it, publicKey: \"x\"})",
		"judgeExposures(input: {organization: $it, filter: {}, action: ACKNOWLEDGE, dryRun: true})",
	} {
		ask := func(about string) (*answer, error) {
			return a.attacker.ask(ctx, `mutation($it: String!) { `+mutation+` { userErrors { code field message } } }`, "it", about)
		}
		got, err := alike(ask, acme, nonesuch)
		if err == nil && (slices.Contains(got.codes(), validation) || got.hasData() && !bytes.Contains(got.body, []byte("code"))) {
			err = fmt.Errorf("it is no mutation, or it is done: %.300s", got.body)
		}
		if err != nil {
			return cut(mutation, answerWidth), fmt.Errorf("%s: %w", mutation, err)
		}
		mutations++
	}
	return unchangedIn(ctx, a, acme, fmt.Sprintf("%d mutations, errors identical", mutations), before)
}

// unchangedIn holds that nothing was decided that is not the attacker's own.
func unchangedIn(ctx context.Context, a *Attack, slug, short string, before int64) (string, error) {
	after, err := a.count(ctx, `SELECT count(*) FROM ledger_entry WHERE organization_id = $1`, id.Organization(slug))
	if err == nil && after > before {
		err = fmt.Errorf("the ledger of %s has grown to %d entries", slug, after)
	}
	return short, err
}

// foreignTimes compares how long it takes to find nothing with how long it takes to
// find what is foreign, in turns.
func foreignTimes(ctx context.Context, a *Attack) (string, error) {
	list, err := a.objects(ctx)
	if err != nil {
		return "", err
	}
	one := of(list, "Exposure")
	questions := a.asking(ctx, `query($it: ID!) { node(id: $it) { id } }`)
	var times [2][]time.Duration
	for range a.Pairs {
		for i, about := range []string{one.id, one.twins[0]} {
			got, err := questions(about)
			if err != nil {
				return "", err
			}
			times[i] = append(times[i], got.took)
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	foreign, nothing := times[0][a.Pairs/2], times[1][a.Pairs/2]
	apart := (foreign - nothing).Abs()
	short := fmt.Sprintf("medians %.2f and %.2f ms", foreign.Seconds()*1000, nothing.Seconds()*1000)
	// Less than a network hides, and less than the spread of either.
	if bound := max(500*time.Microsecond, nothing/4) * time.Duration(a.Patience); apart > bound {
		return short, fmt.Errorf("what is foreign takes %s, and nothing %s: more than %s apart", foreign, nothing, bound)
	}
	return short, nil
}

package isolation_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

const day = 24 * time.Hour

// world is a story that two servers are told, and who asks them about it.
type world struct {
	slug    string         // of the organization that the callers ask about
	callers []access.Actor // who may see only a part
	other   access.Actor   // who sees the rest
	rest    string         // slug of the organization with the rest
	steps   []step
	after   time.Duration // the end of the story
	signed  []string      // organizations whose ledgers are signed, the callers' first
	key     string        // of a file, that signs them

	// meanwhile happens to the rest alone, while the callers ask.
	meanwhile func(s *stage, n int)

	// unlike names what has another id on each server, such as a delivery, which is
	// called after its content; nil: nothing has.
	unlike func(s *stage) map[string]string

	// survey goes on behind a difference, and looks for others in other fields.
	survey bool
	blind  map[string]bool // "Type.field" that may differ, because it says how much there is
}

// step is what happens at a time after the beginning. On a server that is told the
// whole story the rest happens with it.
type step struct {
	name string
	at   time.Duration
	tell func(s *stage)
}

// begin tells the story to a server.
func (w *world) begin(t testing.TB, whole bool) *stage {
	t.Helper()
	s := newStage(t, whole)
	s.looked()
	for _, step := range w.steps {
		s.at(step.at)
		step.tell(s)
		s.quiet()
	}
	s.at(w.after)
	signed := w.signed
	if !whole {
		signed = signed[:1]
	}
	for _, slug := range signed {
		s.sign(w.key, slug)
	}
	s.again(w.key)
	s.quiet()
	return s
}

func ledgerKey(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ledger.key")
	_, _, err := book.MakeKey(file)
	require.NoError(t, err)
	return file
}

// record is a line of a snapshot: a kind, and the rest of the object.
func record(kind, format string, args ...any) string {
	return fmt.Sprintf(`{"kind":%q,`, kind) + fmt.Sprintf(format, args...) + "}"
}

func instantOf(after time.Duration) string { return beginning.Add(after).Format(time.RFC3339) }

func dateOf(after time.Duration) string { return beginning.Add(after).Format(time.DateOnly) }

// platform is what the first source says: workloads, what they run as, what that
// reaches, and who answers for them. Some of it changes.
func platform(now time.Duration, later bool) (records []string) {
	add := func(kind, format string, args ...any) { records = append(records, record(kind, format, args...)) }
	left := "active"
	if later {
		left = "disabled"
	}
	add("owner", `"id":"ada","name":"Ada Moreau","ownerType":"individual","title":"Lead","lastActiveAt":%q`, instantOf(now-day))
	add("owner", `"id":"bob","name":"Bob Chen","ownerType":"individual","status":%q`, left)
	add("owner", `"id":"team","name":"Platform","ownerType":"group"`)
	for _, name := range []string{"view", "edit", "admin"} {
		add("role", `"id":%q,"name":"%[1]s of the platform"`, name)
	}
	add("resource", `"id":"ledger","name":"General ledger","sourceType":"Database","dataDomain":"finance","sensitivity":"restricted"`)
	add("resource", `"id":"mail","name":"Mailboxes","dataDomain":"mail","sensitivity":"internal"`)
	sensitivity := "confidential"
	if later {
		sensitivity = "restricted"
	}
	add("resource", `"id":"people","name":"Employees","dataDomain":"hr","sensitivity":%q`, sensitivity)
	add("resource", `"id":"exports","name":"Exports"`)
	grants := func(role, resource, actions string) {
		add("grants", `"role":%q,"scope":"*","resource":%q,"actions":[%s]`, role, resource, actions)
	}
	grants("view", "ledger", `"get"`)
	grants("view", "mail", `"get"`)
	grants("edit", "ledger", `"get","update"`)
	grants("edit", "people", `"update","delete"`)
	grants("admin", "people", `"*"`)
	add("grants", `"role":"view","scope":"*","resource":"exports","actions":["get"],"effective":false`)
	for i, w := range []struct{ name, mode, owners, identity, roles string }{
		{"billing", "autonomous", "ada", "sa-billing", "view edit"},
		{"reports", "human_triggered", "bob", "sa-shared", "view"},
		{"export", "triggered", "bob ada", "sa-shared", ""},
		{"kiosk", "operator_assisted", "team", "sa-kiosk", "view admin"},
		{"orphan", "autonomous", "", "sa-orphan", "edit"},
		{"unbound", "", "ada", "", ""},
	} {
		mode := ""
		if w.mode != "" {
			mode = fmt.Sprintf(`,"executionMode":%q`, w.mode)
		}
		add("workload", `"id":%[1]q,"name":"Service %[1]s","environment":%[2]q,"ownerTeam":%[3]q,"businessTier":%[4]q,"artifactIdentifier":"registry.example/%[1]s:1","sourceType":"ScheduledJob","createdAt":%[5]q,"labels":{"cost-center":"4711"}%[6]s`,
			w.name, []string{"production", "staging", "test"}[i%3], []string{"payments", "people"}[i%2], fmt.Sprintf("tier-%d", 1+i%3), instantOf(-400*day), mode)
		for owner := range strings.FieldsSeq(w.owners) {
			add("owned_by", `"subject":{"kind":"workload","id":%q},"owner":%q`, w.name, owner)
		}
		if w.identity == "" {
			continue
		}
		if w.name != "export" {
			add("identity", `"id":%q,"name":"Account %[1]s","lastActiveAt":%q`, w.identity, instantOf(now-2*day))
		}
		identity := w.identity
		if later && w.name == "billing" { // it rotates
			identity = "sa-billing-2"
			add("identity", `"id":%q,"lastActiveAt":%q`, identity, instantOf(now-day))
			add("has_role", `"identity":%q,"role":"view","scope":"*"`, identity)
		}
		add("runs_as", `"workload":%q,"identity":%q`, w.name, identity)
		for role := range strings.FieldsSeq(w.roles) {
			if !later || role != "admin" {
				add("has_role", `"identity":%q,"role":%q,"scope":"*"`, w.identity, role)
			}
		}
	}
	if later {
		add("has_role", `"identity":"sa-shared","role":"edit","scope":"*"`)
	}
	add("created_by", `"subject":{"kind":"workload","id":"billing"},"creator":{"kind":"owner","id":"bob"}`)
	add("identity", `"id":"crm-reader","system":"crm"`)
	add("authenticates", `"from":{"kind":"workload","id":"kiosk"},"identity":{"system":"crm","id":"crm-reader"},"protocol":"oauth2","targetSystem":"crm"`)
	add("declares", `"workload":"unbound","resource":"people","actions":["get"]`)
	add("egress", `"workload":"reports","host":"api.model.example","category":"llm"`)
	add("egress", `"workload":"kiosk","host":"paste.example","category":"external"`)
	add("endpoint", `"workload":"billing","basis":"hostname","value":"shop.example.com"`)
	add("endpoint", `"workload":"kiosk","basis":"address","value":"203.0.113.7"`)
	add("endpoint", `"workload":"kiosk","basis":"mapping","value":"10.0.0.1"`)
	add("evidence", `"workload":"billing","identity":"sa-billing","resource":"ledger","action":"update","day":%q,"count":96`, dateOf(now-3*day))
	add("evidence", `"workload":"reports","day":%q,"count":4`, dateOf(now-2*day))
	add("evidence", `"identity":"sa-kiosk","day":%q,"count":7,"related":true`, dateOf(now-40*day))
	add("coverage", `"evidence":"execution","completeness":"complete","from":%q,"to":%q`, instantOf(now-200*day), instantOf(now))
	for _, kind := range []string{"ownership", "binding", "roles", "egress"} {
		add("coverage", `"evidence":%q,"completeness":"complete"`, kind)
	}
	return records
}

// inventory is what the second source knows better.
func inventory(team string) []string {
	return []string{
		record("workload", `"id":"reports","basis":"mapping","ownerTeam":%q,"businessTier":"gold","environment":"production"`, team),
		record("resource", `"id":"mail","basis":"mapping","sensitivity":"confidential"`),
	}
}

// shop is what a scanner of ports sees: some ports open, looked at all of them.
func shop(ports ...int) string {
	text := `<nmaprun scanner="nmap" args="nmap -sS -sV -p 22,80,443,8443 203.0.113.0/29" version="7.95"><scaninfo type="syn" protocol="tcp" numservices="4" services="22,80,443,8443"/>`
	text += `<host><status state="up" reason="echo-reply"/><address addr="203.0.113.7" addrtype="ipv4"/><hostnames><hostname name="shop.example.com" type="PTR"/></hostnames><ports>`
	for _, port := range []int{22, 80, 443, 8443} {
		state := "closed"
		for _, open := range ports {
			if open == port {
				state = "open"
			}
		}
		text += fmt.Sprintf(`<port protocol="tcp" portid="%d"><state state=%q reason="syn-ack"/><service name="http" product="nginx" version="1.%d" method="probed" conf="10"/></port>`, port, state, 24+len(ports))
	}
	return text + `</ports></host><runstats><finished/><hosts up="1" down="0" total="1"/></runstats></nmaprun>`
}

// findings are the exposures that stand, in an order that stays.
func (s *stage) findings(slug string) (list []map[string]any) {
	s.t.Helper()
	for _, one := range s.nodes(fmt.Sprintf(`{ organization(slug: %q) { exposures(first: 100, orderBy: {field: DETECTED_AT, direction: ASC}) { nodes { id version status path { id actions identity { id } workload { id sourceId } } } } } }`, slug), "exposures") {
		if one["status"] == "ACTIVE" {
			list = append(list, one)
		}
	}
	return list
}

func (s *stage) nodes(document, field string) (list []map[string]any) {
	s.t.Helper()
	organization, _ := s.ask(root, document, nil)["organization"].(map[string]any)
	page, _ := organization[field].(map[string]any)
	nodes, _ := page["nodes"].([]any)
	for _, node := range nodes {
		object, _ := node.(map[string]any)
		list = append(list, object)
	}
	return list
}

// judge decides about an exposure.
func (s *stage) judge(actor access.Actor, mutation string, x map[string]any, key string, version int) {
	s.t.Helper()
	input := map[string]any{"exposure": x["id"], "expectedVersion": version, "justification": "agreed with the owner", "idempotencyKey": key}
	kind := "JudgeExposureInput"
	if mutation == "markFalsePositive" {
		kind, input["reason"] = "MarkFalsePositiveInput", "WRONG_DATA"
	}
	s.does(actor, mutation, kind, "replayed", input)
}

func versionOf(x map[string]any) int {
	version, _ := x["version"].(float64)
	return int(version)
}

// publicKey is one that somebody signs with.
func publicKey(of byte) string {
	key, _ := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{of}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	raw, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: raw}))
}

// decide has people do everything that people can do in an organization.
func (s *stage) decide(actor access.Actor, slug string) {
	s.t.Helper()
	found := s.findings(slug)
	require.Greater(s.t, len(found), 12)
	s.judge(actor, "acknowledgeExposure", found[0], "k-1", versionOf(found[0]))
	s.judge(actor, "acknowledgeExposure", found[1], "k-2", versionOf(found[1]))
	s.judge(actor, "unacknowledgeExposure", found[1], "k-3", versionOf(found[1])+1)
	s.judge(actor, "markFalsePositive", found[2], "k-4", versionOf(found[2]))
	s.judge(actor, "markFalsePositive", found[3], "k-5", versionOf(found[3]))
	s.judge(actor, "unmarkFalsePositive", found[3], "k-6", versionOf(found[3])+1)
	s.judge(actor, "resolveExposure", found[4], "k-7", versionOf(found[4]))
	var many []any
	for _, x := range found[5:9] {
		many = append(many, map[string]any{"exposure": x["id"]})
	}
	batch := s.does(actor, "judgeExposures", "JudgeExposuresInput", "batch { id done }",
		map[string]any{"organization": slug, "exposures": many, "action": "ACKNOWLEDGE", "justification": "all of them", "idempotencyKey": "b-1"})
	s.does(actor, "judgeExposures", "JudgeExposuresInput", "batch { id }",
		map[string]any{"organization": slug, "filter": map[string]any{"type": []string{"SENSITIVE_REACH"}}, "action": "MARK_FALSE_POSITIVE", "reason": "OTHER", "justification": "none of them", "idempotencyKey": "b-2"})
	done, _ := batch["batch"].(map[string]any)
	s.does(actor, "undoBatch", "UndoBatchInput", "batch { id }", map[string]any{"batch": done["id"], "justification": "too early", "idempotencyKey": "b-3"})
	key, _ := s.does(actor, "registerSigningKey", "RegisterSigningKeyInput", "key { keyId }", map[string]any{"organization": slug, "publicKey": publicKey(1)})["key"].(map[string]any)
	require.NotNil(s.t, key)

	paths := s.nodes(fmt.Sprintf(`{ organization(slug: %q) { authorityPaths(first: 100) { nodes { id actions identity { id } workload { id } } } } }`, slug), "authorityPaths")
	for i, path := range paths[:3] {
		s.does(actor, "recordJustification", "RecordJustificationInput", "justification { actor }", map[string]any{"path": path["id"], "justification": "it has to", "actions": path["actions"]})
		if i == 0 {
			s.does(actor, "withdrawJustification", "WithdrawJustificationInput", "justification { actor }", map[string]any{"path": path["id"]})
		}
	}
	if identity, there := paths[0]["identity"].(map[string]any); there {
		s.does(actor, "attestBaseline", "AttestBaselineInput", "baseline { at }", map[string]any{"identity": identity["id"], "note": "agreed"})
	}
	workload, _ := paths[1]["workload"].(map[string]any)
	s.does(actor, "sealEvidencePack", "SealEvidencePackInput", "evidencePack { digest }", map[string]any{"subject": workload["id"]})
	s.does(actor, "changeEvaluationSettings", "ChangeEvaluationSettingsInput", "settings { version }", map[string]any{"organization": slug, "expectedVersion": 0, "dormantAfterDays": 60})
}

func text(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

package isolation_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

// workload is one of an organization, with what a filter asks it for.
type workload struct{ name, environment, owner, tier string }

// estate is what an organization runs: each filter below shows a part of it. The last
// one has no attributes.
var estate = []workload{
	{"pay-api", "production", "payments", "gold"},
	{"pay-job", "production", "payments", "silver"},
	{"hr-sync", "production", "people", "gold"},
	{"hr-old", "production", "people", "silver"},
	{"lab-api", "staging", "payments", "gold"},
	{"lab-job", "staging", "people", "silver"},
	{"try-it", "test", "payments", "gold"},
	{"bare", "", "", ""},
}

// doors are hosts at which several workloads answer, at first and later: on both sides of
// each filter, some of whom come or leave.
var doors = []struct{ first, later string }{
	{"pay-api hr-sync lab-api bare", "pay-api hr-sync lab-api bare"},
	{"pay-api", "pay-api lab-job hr-old"},
	{"pay-api hr-old try-it", "pay-api"},
	{"lab-job hr-old try-it", "lab-job hr-old try-it pay-api"},
	{"pay-api lab-job try-it", "lab-job try-it"},
	{"pay-api bare", "pay-api"},
	{"pay-api lab-job", "pay-api lab-job"}, // of whom the second has other attributes later
}

// images are what a file was collected of, and who is made of it at first and later.
var images = []struct{ name, first, later string }{
	{"shop:1", "pay-api lab-job hr-old", "pay-api lab-job hr-old"},
	{"mail:2", "lab-job bare", "lab-job bare pay-api hr-sync"},
	{"base:3", "pay-api hr-old", "hr-old"},
}

func moment(later bool, first, then string) []string {
	if later {
		return strings.Fields(then)
	}
	return strings.Fields(first)
}

// seen says whether attributes let a workload through.
func seen(a access.Attributes, w workload) bool {
	lets := func(values []string, value string) bool { return len(values) == 0 || slices.Contains(values, value) }
	return lets(a.Environment, w.environment) && lets(a.Owner, w.owner) && lets(a.BusinessTier, w.tier)
}

// filters are the parts in which the organization is looked at.
var filters = map[string]access.Attributes{
	"environment":          {Environment: []string{"production"}},
	"owner":                {Owner: []string{"payments"}},
	"tier and environment": {BusinessTier: []string{"gold"}, Environment: []string{"production"}},
}

// part tells the stories of some workloads. What hangs on several is told where one of
// them is.
type part struct {
	shows   func(name string) bool
	records []string
}

func (p *part) say(of, kind, format string, args ...any) {
	if slices.ContainsFunc(strings.Fields(of), p.shows) {
		p.records = append(p.records, record(kind, format, args...))
	}
}

// everybody are all workloads.
func everybody() string {
	var names []string
	for _, w := range estate {
		names = append(names, w.name)
	}
	return strings.Join(names, " ")
}

// said is what the source says of them. Two workloads on each side of every filter, or
// more, share an identity; every one reaches the ledger.
func (p *part) said(now time.Duration, later bool) []string {
	p.records = nil
	all := everybody()
	p.say(all, "resource", `"id":"ledger","name":"General ledger","dataDomain":"finance","sensitivity":"restricted"`)
	p.say(all, "role", `"id":"view"`)
	p.say(all, "grants", `"role":"view","scope":"*","resource":"ledger","actions":["get","update"]`)
	const sharing = "pay-api hr-sync lab-api"
	p.say(sharing, "identity", `"id":"sa-common","lastActiveAt":%q`, instantOf(now-day))
	p.say(sharing, "has_role", `"identity":"sa-common","role":"common","scope":"*"`)
	p.say(sharing, "role", `"id":"common"`)
	p.say(sharing, "resource", `"id":"mail","dataDomain":"mail","sensitivity":"confidential"`)
	p.say(sharing, "grants", `"role":"common","scope":"*","resource":"mail","actions":["send"]`)
	for i, w := range estate {
		left := "active"
		if later && i%3 == 1 {
			left = "disabled"
		}
		if later && w.name == "lab-job" {
			w.tier = "gold" // on the same side of every filter
		}
		attributes, made := "", []string{}
		for _, image := range images {
			if slices.Contains(moment(later, image.first, image.later), w.name) {
				made = append(made, image.name)
			}
		}
		if w.environment != "" {
			attributes = fmt.Sprintf(`,"environment":%q,"ownerTeam":%q,"businessTier":%q`, w.environment, w.owner, w.tier)
		}
		if len(made) > 0 {
			attributes += fmt.Sprintf(`,"artifactIdentifier":%q`, strings.Join(made, ", "))
		}
		p.say(w.name, "workload", `"id":%[1]q,"name":"Service %[1]s","executionMode":%[2]q,"createdAt":%[3]q%[4]s`,
			w.name, []string{"autonomous", "human_triggered", "triggered"}[i%3], instantOf(-400*day), attributes)
		p.say(w.name, "owner", `"id":"owner of %[1]s","ownerType":"individual","status":%[2]q`, w.name, left)
		p.say(w.name, "owned_by", `"subject":{"kind":"workload","id":%[1]q},"owner":"owner of %[1]s"`, w.name)
		p.say(w.name, "identity", `"id":"sa-%s","lastActiveAt":%q`, w.name, instantOf(now-2*day))
		p.say(w.name, "runs_as", `"workload":%[1]q,"identity":"sa-%[1]s"`, w.name)
		p.say(w.name, "has_role", `"identity":"sa-%s","role":"view","scope":"*"`, w.name)
		p.say(w.name, "role", `"id":"own-%s"`, w.name)
		p.say(w.name, "resource", `"id":"store-%s","dataDomain":"crm","sensitivity":%q`, w.name, []string{"confidential", "internal"}[i%2])
		p.say(w.name, "grants", `"role":"own-%[1]s","scope":"*","resource":"store-%[1]s","actions":["get","delete"]`, w.name)
		if !later || i%4 != 0 {
			p.say(w.name, "has_role", `"identity":"sa-%[1]s","role":"own-%[1]s","scope":"*"`, w.name)
		}
		if strings.Contains(sharing, w.name) {
			p.say(w.name, "authenticates", `"from":{"kind":"workload","id":%q},"identity":"sa-common","protocol":"oauth2"`, w.name)
		}
		if i%2 == 0 {
			p.say(w.name, "egress", `"workload":%q,"host":"api.model.example","category":"llm"`, w.name)
			p.say(w.name, "evidence", `"workload":%[1]q,"identity":"sa-%[1]s","resource":"ledger","action":"get","day":%[2]q,"count":%[3]d`, w.name, dateOf(now-3*day), 10+i)
		}
		p.say(w.name, "endpoint", `"workload":%q,"basis":"address","value":"203.0.113.%d"`, w.name, 10+i)
		for door, d := range doors {
			if slices.Contains(moment(later, d.first, d.later), w.name) {
				p.say(w.name, "endpoint", `"workload":%q,"basis":"address","value":"203.0.113.%d"`, w.name, 100+door)
			}
		}
	}
	p.records = append(p.records, record("coverage", `"evidence":"execution","completeness":"complete","from":%q,"to":%q`, instantOf(now-200*day), instantOf(now)))
	for _, kind := range []string{"ownership", "binding", "roles", "egress"} {
		p.records = append(p.records, record("coverage", `"evidence":%q,"completeness":"complete"`, kind))
	}
	return p.records
}

// scanned are the hosts that workloads answer at, and one that nobody answers at.
func (p *part) scanned(whole bool, ports ...int) (lines string) {
	add := func(host int) {
		for _, port := range ports {
			lines += fmt.Sprintf(`{"ip":"203.0.113.%d","port":%d}`, host, port) + "\n"
		}
	}
	for i, w := range estate {
		if p.shows(w.name) {
			add(10 + i)
		}
	}
	for door, d := range doors {
		if slices.ContainsFunc(strings.Fields(d.first+" "+d.later), p.shows) {
			add(100 + door)
		}
	}
	if whole { // that it leads to nobody shows it to nobody who sees a part
		add(200)
	}
	return lines
}

// classes are one organization of which the callers see a part; on the other server
// that part is all there is. What ADR 26 says is told of the rest does not happen here:
// nobody judges how many share an identity, and nothing is evaluated for the sake of
// what is not seen.
func classes(t testing.TB, attributes access.Attributes) *world {
	t.Helper()
	caller := member(mine)
	caller.Attributes = attributes
	w := &world{slug: mine, rest: mine, other: member(mine), key: ledgerKey(t), callers: []access.Actor{caller}, after: 31 * day, signed: []string{mine}}
	// All who follow an organization share the numbers of its feed and of its ledger, and
	// who sees a part sees gaps.
	w.blind = map[string]bool{}
	for _, field := range []string{"ExposureChange.seq", "ExposureChange.cursor", "ExposureChange.ledgerSeq", "ExposureChangeEdge.cursor", "ExposureChangeFeed.seq", "ExposureChangeFeed.cursor",
		"ExposureChangeFrame.seq", "ExposureChangeFrame.cursor", "ExposureChangeFrame.ledgerSeq", "PageInfo.startCursor", "PageInfo.endCursor", "Decision.seq", "Decision.hash", "Decision.compensates", "BatchOutcome.seq",
		"ExposureChange.createdAt", "ExposureChangeFrame.createdAt", // when it was published, behind whatever else was
		"EvidencePack.digest", "EvidencePack.stateDigest", "EvidencePack.document", // which names deliveries by what all of them held
	} {
		w.blind[field] = true
	}
	told := func(s *stage) *part {
		return &part{shows: func(name string) bool {
			i := slices.IndexFunc(estate, func(w workload) bool { return w.name == name })
			return s.whole || i >= 0 && seen(attributes, estate[i])
		}}
	}
	turn := 0
	add := func(name string, at time.Duration, tell func(s *stage, p *part)) {
		turn++
		first := 1000 * turn
		w.steps = append(w.steps, step{name, at, func(s *stage) {
			s.asked = first
			tell(s, told(s))
		}})
	}
	add("a source that knows nobody", 0, func(s *stage, _ *part) {
		s.deliver(mine, "snapshot", "", said("prelude", beginning, "", record("coverage", `"evidence":"ownership","completeness":"partial"`)))
	})
	add("settings", time.Hour, func(s *stage, _ *part) {
		s.does(root, "changeEvaluationSettings", "ChangeEvaluationSettingsInput", "settings { version }",
			map[string]any{"organization": mine, "expectedVersion": 0, "disabledRules": []string{"IDENTITY_REUSE"}})
	})
	add("the first delivery", 2*time.Hour, func(s *stage, p *part) {
		s.deliver(mine, "snapshot", "", said("platform", beginning.Add(2*time.Hour), "", p.said(2*time.Hour, false)...))
	})
	add("a scan", day, func(s *stage, p *part) {
		s.deliver(mine, "naabu", "&observedAt="+instantOf(day), p.scanned(s.whole, 80, 443))
	})
	add("files", 30*time.Hour, func(s *stage, p *part) {
		for _, image := range images {
			if slices.ContainsFunc(strings.Fields(image.first+" "+image.later), p.shows) {
				s.collect(mine, "&name=parts.txt&artifact="+image.name, "what is in "+image.name)
			}
		}
	})
	add("decisions", 2*day, func(s *stage, p *part) { s.decideOnEach(p) })
	add("the same later", 9*day, func(s *stage, p *part) {
		s.deliver(mine, "snapshot", "", said("platform", beginning.Add(9*day), "", p.said(9*day, true)...))
	})
	add("another scan", 10*day, func(s *stage, p *part) {
		s.deliver(mine, "naabu", "&observedAt="+instantOf(10*day), p.scanned(s.whole, 443, 8443))
	})
	add("the last evaluation", 31*day, func(s *stage, _ *part) {
		s.does(root, "evaluateOrganization", "EvaluateOrganizationInput", "evaluation { at }", map[string]any{"organization": mine})
	})
	w.unlike = func(s *stage) map[string]string {
		names := map[string]string{}
		for _, sync := range s.nodes(fmt.Sprintf(`{ organization(slug: %q) { syncs(first: 100) { nodes { id version } } } }`, mine), "syncs") {
			id, _ := sync["id"].(string)
			names[id] = fmt.Sprintf("(sync %v)", sync["version"])
			names[raw(id)] = fmt.Sprintf("(raw sync %v)", sync["version"])
		}
		return names
	}
	return w
}

// decideOnEach has somebody decide on two exposures of each workload, and on all of some
// by one request.
func (s *stage) decideOnEach(p *part) {
	s.t.Helper()
	of := map[string][]map[string]any{}
	for _, x := range s.findings(mine) {
		path, _ := x["path"].(map[string]any)
		workload, _ := path["workload"].(map[string]any)
		name := fmt.Sprint(workload["sourceId"])
		of[name] = append(of[name], x)
	}
	for i, w := range estate {
		s.at(2*day + time.Duration(i)*time.Hour) // whose decision it is moves no other's instant
		if !p.shows(w.name) {
			continue
		}
		list := of[w.name]
		slices.SortFunc(list, func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a["id"]), fmt.Sprint(b["id"])) })
		s.judge(root, "acknowledgeExposure", list[0], "a-"+w.name, versionOf(list[0]))
		s.judge(root, []string{"markFalsePositive", "resolveExposure"}[i%2], list[1], "b-"+w.name, versionOf(list[1]))
		if path, _ := list[0]["path"].(map[string]any); i == 0 { // of one that everybody here sees: see classes
			s.does(root, "recordJustification", "RecordJustificationInput", "justification { actor }",
				map[string]any{"path": path["id"], "justification": "it has to", "actions": path["actions"]})
		}
		s.does(root, "judgeExposures", "JudgeExposuresInput", "batch { id }", map[string]any{"organization": mine, "exposures": []any{map[string]any{"exposure": list[2]["id"]}},
			"action": "ACKNOWLEDGE", "justification": "it as well", "idempotencyKey": "c-" + w.name})
	}
}

// TestFilteredCallersAreApart: whoever sees a part of an organization is answered as if
// that were all of it.
func TestFilteredCallersAreApart(t *testing.T) {
	t.Parallel()
	for name, attributes := range filters {
		t.Run(name, func(t *testing.T) {
			w := classes(t, attributes)
			w.survey = os.Getenv("EXPOSUREGRAPH_SURVEY") != "" // list everything that differs
			newTwins(t, w).fuzz(count(t) / len(filters))
		})
	}
}

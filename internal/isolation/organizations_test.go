package isolation_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

const (
	mine   = "acme"
	theirs = "rival"
)

// member has every scope in one organization.
func member(slug string) access.Actor {
	return access.Actor{Subject: "ann", Role: access.Client, Organizations: []string{slug}, Scopes: access.Scopes}
}

// organizations are two with the same names and the same ids in their sources, of which
// the second has more; whoever asks is a member of the first.
func organizations(t testing.TB) *world {
	t.Helper()
	// both tells of the first organization and, where everything is told, of the second
	// one at the same instant: now before, now after.
	turn := 0
	both := func(tell func(s *stage, slug string)) func(*stage) {
		turn++
		first, order := 1000*turn, []string{mine, theirs}
		if turn%2 == 0 {
			slices.Reverse(order)
		}
		return func(s *stage) {
			for _, slug := range order {
				if s.whole || slug == mine {
					s.asked = first // entries of the audit log name requests
					tell(s, slug)
				}
			}
		}
	}
	first := func(s *stage, slug string) {
		records := platform(0, false)
		if slug == theirs {
			records = append(records, more()...)
		}
		s.deliver(slug, "snapshot", "", said("platform", beginning, "", records...))
	}
	cluster := testdata(t, "kubernetes", "testdata", "descheduler", "rbac.yaml") + "\n---\n" + testdata(t, "kubernetes", "testdata", "descheduler", "cronjob.yaml")
	scans := []struct{ format, body string }{
		{"nmap", testdata(t, "nmap", "testdata", "office.xml")},
		{"httpx", testdata(t, "httpx", "testdata", "named.jsonl")},
		{"naabu", testdata(t, "naabu", "testdata", "named.jsonl")},
		{"masscan", testdata(t, "masscan", "testdata", "old.json")},
		{"subfinder", testdata(t, "subfinder", "testdata", "named.jsonl")},
		{"sslyze", testdata(t, "sslyze", "testdata", "three.json")},
		{"zap", testdata(t, "zap", "testdata", "shop.json")},
		{"testssl", "id,fqdn/ip,port,severity,finding\nservice,a/10.0.0.1,443,INFO,HTTP\n"},
	}
	w := &world{
		slug: mine, rest: theirs, key: ledgerKey(t), other: member(theirs), after: 52 * day, signed: []string{mine, theirs},
		callers: []access.Actor{member(mine), {Subject: "vic", Role: access.Client, Organizations: []string{mine}, Scopes: []access.Scope{access.View}}},
	}
	add := func(name string, at time.Duration, tell func(s *stage, slug string)) {
		w.steps = append(w.steps, step{name, at, both(tell)})
	}
	add("the first delivery", 0, first)
	add("an inventory", time.Hour, func(s *stage, slug string) {
		s.deliver(slug, "snapshot", "", said("inventory", beginning.Add(time.Hour), "", inventory("payments")...))
	})
	add("a cluster", 2*time.Hour, func(s *stage, slug string) {
		s.deliver(slug, "kubernetes", "&system=prod", cluster)
		s.deliver(slug, "kubernetes-audit", "&system=prod", fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","verb":"get",`+
			`"user":{"username":"system:serviceaccount:kube-system:descheduler-sa"},"objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"},"responseStatus":{"code":200},`+
			`"requestReceivedTimestamp":%q,"stageTimestamp":%[1]q}`+"\n", instantOf(time.Hour)))
	})
	add("owners", 3*time.Hour, func(s *stage, slug string) {
		s.deliver(slug, "owners", "&system=prod", "owners:\n  - id: zoe@example.com\n    type: individual\n    status: active\nworkloads:\n  - workload: CronJob/kube-system/descheduler-cronjob\n    owners: [zoe@example.com]\n    environment: production\n    businessTier: tier-1\n")
	})
	add("scans", day, func(s *stage, slug string) {
		for _, scan := range scans {
			s.deliver(slug, scan.format, "", scan.body)
		}
		s.deliver(slug, "nmap", "&source=outside", shop(80, 443))
		if slug == theirs {
			s.deliver(slug, "naabu", "&source=mine", `{"ip":"198.51.100.1","port":80}`+"\n"+`{"ip":"198.51.100.2","port":443}`)
		}
	})
	add("files", 30*time.Hour, func(s *stage, slug string) {
		s.collect(slug, "&name=plan.txt&artifact=registry.example/billing:1", "how to bill")
		s.collect(slug, "&name=notes.txt", "what was seen")
		if slug == theirs {
			s.collect(slug, "&name=secret.txt", "what nobody else has")
		}
	})
	add("decisions", 2*day, func(s *stage, slug string) { s.decide(member(slug), slug) })
	add("the first platform again, and later", 9*day, func(s *stage, slug string) {
		s.deliver(slug, "snapshot", "", said("platform", beginning.Add(9*day), "", platform(9*day, true)...))
	})
	add("an unchanged delivery, and a late one", 10*day, func(s *stage, slug string) {
		s.deliver(slug, "snapshot", "", said("inventory", beginning.Add(10*day), "", inventory("payments")...))
		s.deliver(slug, "snapshot", "", said("platform", beginning.Add(3*day), "", platform(3*day, false)...))
		s.deliver(slug, "snapshot", "", said("odd", beginning.Add(3*day), `,"partial":true`, record("workload", `"id":"odd","nonsense":true`), record("egress", `"workload":"billing","host":"x.example","category":"external"`)))
	})
	add("ports close", 12*day, func(s *stage, slug string) { s.deliver(slug, "nmap", "&source=outside", shop(443, 8443)) })
	add("more decisions", 13*day, func(s *stage, slug string) {
		found := s.findings(slug)
		s.judge(member(slug), "acknowledgeExposure", found[0], "k-8", versionOf(found[0]))
		key, _ := s.does(root, "registerSigningKey", "RegisterSigningKeyInput", "key { keyId }", map[string]any{"organization": slug, "publicKey": publicKey(2), "subject": "ben"})["key"].(map[string]any)
		s.does(root, "revokeSigningKey", "RevokeSigningKeyInput", "key { keyId }", map[string]any{"organization": slug, "key": key["keyId"]})
		if slug == theirs {
			for i, x := range found[1:6] {
				s.judge(member(slug), "acknowledgeExposure", x, fmt.Sprintf("more-%d", i), versionOf(x))
			}
		}
		s.sign(w.key, slug)
	})
	add("time goes by", 50*day, func(s *stage, slug string) {
		s.does(root, "evaluateOrganization", "EvaluateOrganizationInput", "evaluation { at }", map[string]any{"organization": slug})
	})
	add("what was seen long ago", 51*day, func(s *stage, slug string) {
		s.deliver(slug, "nmap", "&source=outside", shop(443))
		s.deliver(slug, "snapshot", "", said("platform", beginning.Add(51*day), "", platform(51*day, true)...))
	})
	add("the last evaluation", 52*day, func(s *stage, slug string) {
		s.does(member(slug), "evaluateOrganization", "EvaluateOrganizationInput", "evaluation { at }", map[string]any{"organization": slug})
	})
	w.meanwhile = func(s *stage, n int) {
		s.deliver(theirs, "snapshot", "", said(fmt.Sprintf("meanwhile-%d", n%3), beginning.Add(52*day), `,"partial":true`, append(more(), record("workload", `"id":"more-%d"`, n))...))
	}
	return w
}

// more is what only the second organization has.
func more() (records []string) {
	for i := range 4 {
		name := fmt.Sprintf("secret-%d", i)
		records = append(records,
			record("workload", `"id":%q,"environment":"secret","businessTier":"secret"`, name),
			record("identity", `"id":%q`, name), record("role", `"id":%q`, name),
			record("resource", `"id":%q,"dataDomain":"finance","sensitivity":"restricted"`, name),
			record("runs_as", `"workload":%q,"identity":%[1]q`, name), record("has_role", `"identity":%q,"role":%[1]q,"scope":"*"`, name),
			record("grants", `"role":%q,"scope":"*","resource":%[1]q,"actions":["delete"]`, name),
			record("has_role", `"identity":%q,"role":"secret-0","scope":"elsewhere"`, name))
	}
	return records
}

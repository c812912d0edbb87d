package authority_test

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

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
	kind := one(t, "lines", "one", "one", "chain", "owner", "estate", "link", "one", "share", "estate", "use", "one", "endpoint")
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
	if kind == "endpoint" {
		return []line{{fact: drawEndpoint(t, drawRef(t, record.Workload, system))}}
	}
	if kind == "share" { // two workloads with one identity
		first, second := drawEdge(t, record.RunsAs, system), drawEdge(t, record.RunsAs, system)
		second.To = first.To
		return []line{{fact: first}, {fact: second}, {fact: record.Entity{Ref: second.From, Environment: drawEnvironment(t)}}}
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
		if one(t, "outside", false, true) {
			lines = append(lines, line{fact: drawEndpoint(t, runsAs.From)})
		}
		if mode := one(t, "mode", record.Autonomous, "", record.Autonomous, "", record.HumanTriggered, record.OperatorAssisted); mode != "" { // which runs
			evidence := drawEvidence(t, system)
			evidence.Workload, evidence.Identity, evidence.Resource = &runsAs.From, nil, &grants.To
			if one(t, "alone", false, false, true) {
				evidence.Workload, evidence.Identity = nil, &runsAs.To
			}
			lines = append(lines, line{fact: record.Entity{Ref: runsAs.From, ExecutionMode: mode, Environment: drawEnvironment(t)}}, line{fact: evidence})
		}
	}
	return lines
}

// A name is no part of a template.
func drawName(t *rapid.T) string { return one(t, "name", "", "", "", "n1", "100%", "%1$s") }

// An environment puts a workload, and all that is its, into another class.
func drawEnvironment(t *rapid.T) string { return one(t, "environment", "", "prod", "dev") }

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
		e.Environment = drawEnvironment(t)
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
		case endpointKey:
			fmt.Fprintf(&b, "%s answers at %s (%s), port %d", short(k.Workload), k.Value, k.Kind, k.Port)
		case sightingKey:
			s := l.fact.(record.Sighting)
			for _, a := range s.Assets {
				fmt.Fprintf(&b, "%s %s, ", a.Kind, a.Value)
			}
			fmt.Fprintf(&b, "ties %v, looked at %v", s.Ties, s.Covers)
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

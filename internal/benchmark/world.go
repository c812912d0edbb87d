package benchmark

import (
	"fmt"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// World is a made-up enterprise of teams. Each team has twenty workloads and a
// hundred authority paths, fourteen identities of which two are shared, six
// roles of its own that its identities share, and one role each of the platform,
// which all teams share. Some bindings meet no grant because their scopes
// differ, some workloads have no owner, one has no identity, one authenticates
// as a second one, and one declares destinations.
//
// The same world says the same records in the same order.
type World struct {
	Paths   int // rounded up to whole teams
	Seed    uint64
	Now     time.Time
	Changed bool // one edge in a hundred differs
}

// The size of a team. pathsPerTeam follows from the others.
const (
	workloadsPerTeam  = 20
	identitiesPerTeam = 14
	rolesPerTeam      = 6
	resourcesPerTeam  = 12
	ownersPerTeam     = 4
	pathsPerTeam      = 100

	platformRoles     = 40
	platformResources = 80
)

// changeOneIn is how many edges stay for one that changes.
const changeOneIn = 100

// The words of the world. finance is never public, and no workload that talks to
// a model is orphaned: two filters with an empty answer.
var (
	environments  = []string{"production", "production", "staging", "development"}
	tiers         = []string{"tier-1", "tier-2", "tier-3"}
	types         = []string{"Deployment", "CronJob", "StatefulSet", "Function"}
	purposes      = []string{"invoice", "checkout", "report", "search", "ingest", "export", "notify", "reconcile"}
	domains       = []string{"finance", "customer", "hr", "identity_platform", "source_code", "observability", "network", "finance"}
	sensitivities = []string{"restricted", "confidential", "internal", "public", "internal", "confidential"}
	verbs         = [][]string{{"get"}, {"get", "list"}, {"get", "list", "watch"}, {"create", "delete", "get", "update"}, {"*"}}
	changedVerbs  = []string{"get", "patch"}
)

// Teams is the number of teams.
func (w World) Teams() int { return (w.Paths + pathsPerTeam - 1) / pathsPerTeam }

// Records gives every record to yield, until it fails.
func (w World) Records(yield func(record.Fact) error) error {
	t := teller{world: w, yield: yield}
	t.platform()
	for team := range w.Teams() {
		t.team(team)
		if t.err != nil {
			break
		}
	}
	return t.err
}

// teller says the records of a world; after an error it is silent.
type teller struct {
	world World
	yield func(record.Fact) error
	err   error
}

func (t *teller) say(fact record.Fact) {
	if t.err == nil {
		t.err = t.yield(fact)
	}
}

// dice is a number that depends on the seed and the place only.
func (t *teller) dice(place ...int) uint64 {
	x := t.world.Seed
	for _, p := range place {
		x += uint64(p)*0xBF58476D1CE4E5B9 + 0x9E3779B97F4A7C15
		x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
		x = (x ^ x>>27) * 0x94D049BB133111EB
		x ^= x >> 31
	}
	return x
}

func pick[T any](list []T, dice uint64) T { return list[dice%uint64(len(list))] }

func reference(kind record.EntityKind, format string, args ...any) record.Ref {
	return record.Ref{Kind: kind, SourceID: fmt.Sprintf(format, args...)}
}

func platformRole(n int) record.Ref { return reference(record.Role, "platform/role-%02d", n) }
func platformResource(n int) record.Ref {
	return reference(record.Resource, "platform/service-%02d", n)
}

// platform says what all teams share, and what is known of everything.
func (t *teller) platform() {
	now := t.world.Now
	for _, kind := range []record.EvidenceKind{record.Ownership, record.Execution, record.EgressObs, record.Binding, record.Roles} {
		coverage := record.Coverage{Kind: kind, MaxAge: 7 * 24 * time.Hour}
		if kind == record.Execution {
			coverage.From, coverage.To = now.AddDate(0, 0, -31), now
		}
		t.say(coverage)
	}
	for n := range platformResources {
		t.say(record.Entity{Ref: platformResource(n), SourceType: "Service", DataDomain: pick(domains[1:7], t.dice(1, n)), Sensitivity: pick(sensitivities, t.dice(2, n))})
	}
	for n := range platformRoles {
		t.say(record.Entity{Ref: platformRole(n), Name: fmt.Sprintf("Platform role %d", n), SourceType: "ClusterRole"})
		for _, resource := range []int{2 * n, 2*n + 1} {
			t.say(record.Edge{Kind: record.Grants, From: platformRole(n), To: platformResource(resource), Scope: "*", Actions: pick(verbs, t.dice(3, n, resource))})
		}
	}
}

// team says a team's records.
func (t *teller) team(team int) {
	for n := range ownersPerTeam {
		t.owner(team, n)
	}
	for n := range resourcesPerTeam {
		domain := pick(domains, t.dice(4, team, n))
		sensitivity := pick(sensitivities, t.dice(5, team, n))
		if domain == "finance" && sensitivity == "public" {
			sensitivity = "restricted"
		}
		t.say(record.Entity{Ref: ownResource(team, n), SourceType: "Database", DataDomain: domain, Sensitivity: sensitivity})
	}
	for n := range rolesPerTeam {
		t.role(team, n)
	}
	for n := range identitiesPerTeam {
		t.identity(team, n)
	}
	for n := range workloadsPerTeam {
		t.workload(team, n)
	}
}

func scopeOf(team int) string { return fmt.Sprintf("team-%05d", team) }

func ownOwner(team, n int) record.Ref {
	return reference(record.Owner, "team-%05d/person-%d@example.com", team, n)
}
func ownResource(team, n int) record.Ref {
	return reference(record.Resource, "team-%05d/database-%02d", team, n)
}
func ownRole(team, n int) record.Ref { return reference(record.Role, "team-%05d/role-%d", team, n) }
func ownIdentity(team, n int) record.Ref {
	return reference(record.Identity, "serviceaccount/team-%05d/account-%02d", team, n)
}

func ownWorkload(team, n int) record.Ref {
	return reference(record.Workload, "%s/team-%05d/%s-%02d", types[n%len(types)], team, purposes[n%len(purposes)], n)
}

// group is the owner of a team that is no person.
const group = ownersPerTeam - 1

// owner: some people have left; a group does not leave.
func (t *teller) owner(team, n int) {
	owner := record.Entity{Ref: ownOwner(team, n), Name: fmt.Sprintf("Person %d of team %d", n, team), Status: record.Active, OwnerType: record.Individual, Title: "Engineer"}
	switch {
	case n == group:
		owner.OwnerType = record.Group
	case t.dice(6, team, n)%10 == 0:
		owner.Status = record.Disabled
	}
	t.say(owner)
}

// role grants two resources in the team's scope, where its bindings are, and one
// everywhere, where none is. A role and the next one meet in a resource.
func (t *teller) role(team, n int) {
	role := ownRole(team, n)
	t.say(record.Entity{Ref: role, Name: fmt.Sprintf("Role %d of team %d", n, team), SourceType: "Role"})
	for i, resource := range []int{n, n + 1} {
		t.edge(record.Edge{Kind: record.Grants, From: role, To: ownResource(team, resource), Scope: scopeOf(team), Actions: pick(verbs, t.dice(7, team, n, i))},
			ownResource(team, resourcesPerTeam-1-i), team, n, i)
	}
	t.say(record.Edge{Kind: record.Grants, From: role, To: ownResource(team, 7), Scope: "*", Actions: []string{"get"}})
}

// identity holds two neighbouring roles of the team and one of the platform:
// five resources.
func (t *teller) identity(team, n int) {
	identity := ownIdentity(team, n)
	entity := record.Entity{Ref: identity, SourceType: "ServiceAccount"}
	if t.dice(8, team, n)%2 == 0 {
		entity.LastActiveAt = t.world.Now.Add(-time.Duration(t.dice(9, team, n)%2000) * time.Hour)
	}
	t.say(entity)
	for i, role := range []int{n % (rolesPerTeam - 1), n%(rolesPerTeam-1) + 1} {
		t.edge(record.Edge{Kind: record.HasRole, From: identity, To: ownRole(team, role), Scope: scopeOf(team)},
			platformRole((team+n+2+i)%platformRoles), team, 100+n, i)
	}
	t.say(record.Edge{Kind: record.HasRole, From: identity, To: platformRole((team + n + 1) % platformRoles), Scope: "*"})
}

// edge says an edge and, in a changed world, at one place in a hundred something
// else: other actions, another end, or nothing.
func (t *teller) edge(edge record.Edge, elsewhere record.Ref, place ...int) {
	change := t.dice(append([]int{10}, place...)...)
	if t.world.Changed && change%changeOneIn == 0 {
		switch kind := change / changeOneIn % 3; {
		case kind == 0:
			return
		case kind == 1 && edge.Kind == record.Grants:
			edge.Actions = changedVerbs
		default:
			edge.To = elsewhere
			if edge.Kind == record.HasRole {
				edge.Scope = "*"
			}
		}
	}
	t.say(edge)
}

// workload 0 has a second identity in another system, 1 declares five
// destinations, 2 has no authority; the others run as one identity each, two of
// them shared by four.
func (t *teller) workload(team, n int) {
	workload := ownWorkload(team, n)
	llm, owned := t.dice(11, team, n)%5 == 0, t.dice(12, team, n)%4 != 0
	t.say(record.Entity{
		Ref: workload, Name: fmt.Sprintf("%s %d", purposes[n%len(purposes)], n), SourceType: types[n%len(types)],
		Environment: pick(environments, t.dice(13, team, n)), OwnerTeam: fmt.Sprintf("group-%03d", team%200), BusinessTier: pick(tiers, t.dice(14, team)),
		ExecutionMode: record.Autonomous, ArtifactIdentifier: fmt.Sprintf("sha256:%016x", t.dice(15, team, n)),
		Labels: map[string]string{"app": purposes[n%len(purposes)], "team": scopeOf(team)},
	})
	identity := ownIdentity(team, boundTo(n))
	switch n {
	case 0:
		t.say(record.Edge{Kind: record.RunsAs, From: workload, To: identity})
		t.say(record.Edge{Kind: record.Authenticates, From: workload, To: ownIdentity(team, identitiesPerTeam-1), Protocol: "oauth2", TargetSystem: "platform"})
	case 1:
		for i := range 5 {
			t.say(record.Edge{Kind: record.Declares, From: workload, To: ownResource(team, resourcesPerTeam-1-i), Actions: []string{"write"}})
		}
	case 2:
	default:
		t.say(record.Edge{Kind: record.RunsAs, From: workload, To: identity})
	}
	if owned || llm {
		second := (n + 1) % group
		if llm || n%2 == 0 {
			second = group
		}
		t.say(record.Edge{Kind: record.OwnedBy, From: workload, To: ownOwner(team, n%group)})
		t.say(record.Edge{Kind: record.OwnedBy, From: workload, To: ownOwner(team, second)})
	}
	switch {
	case llm:
		t.say(record.Egress{Workload: workload, Host: "api.model.example", Category: record.EgressLLM})
	case t.dice(16, team, n)%3 == 0:
		t.say(record.Egress{Workload: workload, Host: "api.partner.example", Category: record.EgressExternal})
	}
	if n > 2 && n%3 == 0 {
		t.evidence(workload, identity, ownResource(team, boundTo(n)%(rolesPerTeam-1)), n)
	}
}

// boundTo is the identity of a workload: 12 to 15 and 16 to 19 share one.
func boundTo(n int) int {
	if n >= 12 {
		return (n - 12) / 4
	}
	return n
}

// evidence: three days of what one workload did, on a path, as a workload or as
// an identity.
func (t *teller) evidence(workload, identity, resource record.Ref, n int) {
	today := t.world.Now.Truncate(24 * time.Hour)
	for day := range 3 {
		e := record.Evidence{Day: today.AddDate(0, 0, -2*day-1), Count: 10*n + day + 1}
		switch n % 9 {
		case 0:
			e.Workload, e.Identity, e.Resource, e.Action = &workload, &identity, &resource, "get"
		case 3:
			e.Workload = &workload
		default:
			e.Identity = &identity
		}
		t.say(e)
	}
}

package awsiam

import (
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// destination is what a statement reaches.
type destination struct {
	id      string // the pattern, or service|* for everything of a service
	pattern string
	service string
}

// pair is one action that a statement allows on one destination.
type pair struct {
	destination
	action string
	lower  string
	plain  string // the pattern with a star in the place of each variable
	at     record.Position
}

// everything is the destination of an action whose resource is a star. It stays
// with the service of the action: "*" alone would make one destination of all
// that anybody may do.
func everything(action string) destination {
	name := service(action)
	return destination{id: name + "|*", pattern: anything, service: name}
}

// named is the destination of a pattern.
func named(pattern string) destination {
	d := destination{id: pattern, pattern: pattern, service: anything}
	if parts := strings.SplitN(pattern, ":", 4); len(parts) > 2 && parts[2] != "" {
		d.service = strings.ToLower(parts[2])
	}
	return d
}

// guests are services whose actions are allowed on resources of another one.
var guests = map[string]string{
	"sts": "iam", "ssm": "ec2", "ec2-instance-connect": "ec2", "rds-data": "rds", "kafka-cluster": "kafka",
}

// acts says whether an action of one service can be meant for a resource of
// another.
func acts(action, resource string) bool {
	return overlap(action, resource) || guests[action] == resource
}

// allows are the pairs that an Allow statement multiplies to. An action goes with
// the resources of its service. Where the services of a statement do not fit each
// other, AWS has an exception that nobody wrote down here, and all pairs are kept.
func (s *statement) allows() (pairs []pair) {
	actions, resources := s.actions, s.resources
	if s.notActions != nil {
		actions = []string{anything}
	}
	if s.notResources != nil {
		resources = []string{anything}
	}
	starred := slices.ContainsFunc(resources, isAnything)
	add := func(to destination, action string) {
		plain, _ := generalise(to.pattern)
		pairs = append(pairs, pair{destination: to, action: action, lower: strings.ToLower(action), plain: plain, at: s.at})
	}
	placed := map[string]bool{}
	for _, resource := range resources {
		if isAnything(resource) {
			for _, action := range actions {
				add(everything(action), action)
			}
			continue
		}
		to := named(resource)
		fits := false
		for _, action := range actions {
			if acts(service(action), to.service) {
				fits = true
				placed[action] = true
				add(to, action)
			}
		}
		if !fits {
			for _, action := range actions {
				add(to, action)
			}
		}
	}
	for _, action := range actions {
		if starred || placed[action] {
			continue
		}
		for _, resource := range resources {
			if to := named(resource); !acts(service(action), to.service) {
				add(to, action)
			}
		}
	}
	return pairs
}

func isAnything(pattern string) bool { return strings.Trim(pattern, "*") == "" }

// takes says how much of a pair a Deny statement is about, its condition left
// out.
func (s *statement) takes(p pair) extent {
	actions := extentOf(s.lower, p.lower, covers)
	if s.notActions != nil {
		actions = actions.other()
	}
	if actions == none {
		return none
	}
	resources := none
	for i, pattern := range s.general {
		if !s.variables[i] && coversResource(pattern, p.plain) {
			resources = whole
			break
		}
		if overlap(pattern, p.plain) {
			resources = part
		}
	}
	if s.notResources != nil {
		resources = resources.other()
	}
	return min(actions, resources)
}

// reaches says how much a statement, its condition left out, is about a resource
// without wildcards: a part where that hangs on a variable.
func (s *statement) reaches(resource string) extent {
	hit := none
	for i, pattern := range s.general {
		if !matches(pattern, resource) {
			continue
		}
		if !s.variables[i] {
			hit = whole
			break
		}
		hit = part
	}
	if s.notResources != nil {
		return hit.other()
	}
	return hit
}

// holding is a policy that a principal has, by itself or through a group.
type holding struct {
	policy *policy
	at     record.Position
}

// denial is a Deny statement of some policy.
type denial struct {
	policy    *policy
	statement *statement
}

// grant is what a policy lets a holder do with one destination.
type grant struct {
	destination
	actions []string
	at      record.Position
}

// evaluated is a policy with its own Deny statements applied.
type evaluated struct {
	pairs   []pair // allowed, before any Deny
	left    []pair // after its own
	partly  []denial
	denials []denial
}

// bundle is a policy in a scope: that of the account, or of one identity that
// other policies deny a part of it.
type bundle struct {
	policy *policy
	scope  string
}

// evaluation is the account with its policies resolved.
type evaluation struct {
	*Account
	scope    string
	assuming map[*principal][]*statement // those of its policies that are about becoming a role
	policyOf map[*policy]*evaluated
	cuts     map[string]evaluated // policies under the denials of others
	grants   map[bundle][]grant
	bundles  []bundle // the keys of grants, in the order in which they were found
	holds    []hold
	trusts   map[*principal]*trust
	becomes  []become
	unlisted map[string]int // services, with the number of roles that let them in
	noted    map[note]bool
	work     int
}

// hold ties a principal to a policy, or to a group, in a scope.
type hold struct {
	from  *principal
	to    record.Ref
	scope string
	at    record.Position
}

// note is a warning that is given once, however many identities it is about.
type note struct {
	code, policy string
	statement    int
}

// maxWork bounds the comparisons of denials with what is allowed. An account of
// a thousand roles with twenty denials of their own stays below half of it.
const maxWork = 20_000_000

func (e *evaluation) spend(work int) error {
	if e.work += work; e.work > maxWork {
		return problem.New(problem.Invalid, codePrefix+"_TOO_LARGE",
			"The policies of this account multiply to more comparisons than are made: import its parts one by one.").At(e.dump, 0)
	}
	return nil
}

// once warns of a statement, unless that was done.
func (e *evaluation) once(code string, p *policy, s *statement, text string) {
	key := note{code: code, policy: p.id, statement: s.number}
	if e.noted[key] {
		return
	}
	e.noted[key] = true
	e.warn(s.at, code, "%s: %s", p.where(s), text)
}

// evaluatePolicy resolves what can be said of a policy whoever holds it.
func (e *evaluation) evaluatePolicy(p *policy) (*evaluated, error) {
	if done := e.policyOf[p]; done != nil {
		return done, nil
	}
	done := &evaluated{}
	for i := range p.statements {
		s := &p.statements[i]
		if s.deny {
			done.denials = append(done.denials, denial{p, s})
		} else {
			done.pairs = append(done.pairs, s.allows()...)
		}
	}
	var err error
	done.left, done.partly, err = e.cut(done.pairs, done.denials)
	e.policyOf[p] = done
	return done, err
}

// cut takes away the pairs that denials cover, and says which of them are about a
// part of what is left, or only under a condition.
func (e *evaluation) cut(pairs []pair, denials []denial) (left []pair, partly []denial, err error) {
	if len(denials) == 0 {
		return pairs, nil, nil
	}
	doubtful := make([]bool, len(denials))
	for _, p := range pairs {
		gone := false
		var doubts []int
		for n, d := range denials {
			work := 1
			for _, pattern := range d.statement.lower {
				work += weight(pattern, p.lower)
			}
			for _, pattern := range d.statement.general {
				work += weight(pattern, p.plain)
			}
			if err := e.spend(work); err != nil {
				return nil, nil, err
			}
			switch extent := d.statement.takes(p); {
			case extent == whole && !d.statement.conditional:
				gone = true
			case extent != none:
				doubts = append(doubts, n)
			}
			if gone {
				break
			}
		}
		if gone {
			continue
		}
		left = append(left, p)
		for _, n := range doubts {
			doubtful[n] = true
		}
	}
	for n, d := range denials {
		if doubtful[n] {
			partly = append(partly, d)
		}
	}
	return left, partly, nil
}

// cutFor is cut for a policy under the denials of others. Identities that hold the
// same guards share the result.
func (e *evaluation) cutFor(p *policy, pairs []pair, denials []denial, under string) ([]pair, []denial, error) {
	key := p.id + "\n" + under
	if done, known := e.cuts[key]; known {
		return done.left, done.partly, nil
	}
	left, partly, err := e.cut(pairs, denials)
	e.cuts[key] = evaluated{left: left, partly: partly}
	return left, partly, err
}

// evaluate resolves what each principal may do.
func (e *evaluation) evaluate() error {
	for _, p := range e.principals {
		if err := e.evaluatePrincipal(p); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) evaluatePrincipal(p *principal) error {
	if p.boundary.name != "" {
		p.partial = true
		e.warn(p.boundary.at, "BOUNDARY_NOT_EVALUATED", "%s has the permissions boundary %s. What the boundary forbids is shown as allowed.", p.arn, p.boundary.name)
	}
	held := e.collect(p)
	var denials []denial
	under := "" // the policies that deny something
	for _, h := range held {
		one, err := e.evaluatePolicy(h.policy)
		if err != nil {
			return err
		}
		denials = append(denials, one.denials...)
		if len(one.denials) > 0 {
			under += "\n" + h.policy.id
		}
	}
	for _, h := range held {
		e.nameUnevaluated(p, h.policy)
		for i := range h.policy.statements {
			if s := &h.policy.statements[i]; s.isAbout(assumeRole) {
				e.assuming[p] = append(e.assuming[p], s)
			}
		}
		one := e.policyOf[h.policy]
		left, partly, scope := one.left, one.partly, e.scope
		if len(denials) > len(one.denials) {
			var err error
			if left, partly, err = e.cutFor(h.policy, one.pairs, denials, under); err != nil {
				return err
			}
			if len(left) < len(one.left) {
				scope = p.arn // what this identity has of the policy is its own
			}
		}
		for _, d := range partly {
			p.partial = true
			if d.statement.conditional {
				e.once("DENY_NOT_EVALUATED", d.policy, d.statement, "a Deny with a condition. What it forbids is shown as allowed.")
			} else {
				e.once("DENY_IN_PART", d.policy, d.statement, "a Deny of a part of what is allowed. The part is shown as allowed.")
			}
		}
		e.holds = append(e.holds, hold{from: p, to: h.policy.ref(), scope: scope, at: h.at})
		key := bundle{h.policy, scope}
		if _, done := e.grants[key]; !done {
			e.grants[key] = gather(left)
			e.bundles = append(e.bundles, key)
		}
	}
	return nil
}

// gather unites pairs by their destination, in the order by id.
func gather(pairs []pair) []grant {
	byID := map[string]*grant{}
	var all []*grant
	for _, p := range pairs {
		g := byID[p.id]
		if g == nil {
			g = &grant{destination: p.destination, at: p.at}
			byID[p.id] = g
			all = append(all, g)
		}
		g.actions = append(g.actions, p.action)
	}
	slices.SortFunc(all, func(a, b *grant) int { return strings.Compare(a.id, b.id) })
	grants := make([]grant, len(all))
	for i, g := range all {
		slices.Sort(g.actions)
		g.actions = slices.Compact(g.actions)
		grants[i] = *g
	}
	return grants
}

// collect finds the policies of a principal, each once.
func (e *evaluation) collect(p *principal) (held []holding) {
	seen := map[string]bool{}
	add := func(found *policy, at record.Position) {
		if seen[found.id] {
			return
		}
		seen[found.id] = true
		held = append(held, holding{found, at})
		p.partial = p.partial || found.unread
	}
	attach := func(holder string, list []attachment) {
		for _, one := range list {
			add(e.attached(holder, one), one.at)
		}
	}
	for _, one := range p.inline {
		add(one, one.at)
	}
	attach(p.arn, p.attached)
	for _, mention := range p.groups {
		g := e.groupByName[mention.name]
		if g == nil {
			p.partial = true
			e.warn(mention.at, "GROUP_MISSING", "%s is in the group %s, which is not in the dump; what the group grants is not known.", p.arn, quoted(mention.name))
			continue
		}
		e.holds = append(e.holds, hold{from: p, to: g.ref(), scope: e.scope, at: mention.at})
		for _, one := range g.inline {
			add(one, mention.at)
		}
		attach(g.arn, g.attached)
	}
	return held
}

// attached is a managed policy. One that the dump does not have is known by its
// name only.
func (e *evaluation) attached(holder string, one attachment) *policy {
	found := e.policyByARN[one.arn]
	if found == nil {
		found = &policy{id: one.arn, name: one.name, sourceType: typeManaged, at: one.at, unread: true, absent: true}
		e.policies = append(e.policies, found)
		e.policyByARN[one.arn] = found
		if !e.broken[found.ref()] {
			e.warn(one.at, "POLICY_MISSING", "%s holds the policy %s, which is not in the dump; what it grants is not known.", holder, one.arn)
		}
	} else if found.unread && found.fault == nil && !found.absent && !e.noted[note{code: "POLICY_MISSING", policy: found.id}] {
		e.noted[note{code: "POLICY_MISSING", policy: found.id}] = true
		e.warn(found.at, "POLICY_MISSING", "The dump has no version of %s that is in force; what it grants is not known.", found.id)
	}
	return found
}

// nameUnevaluated names what of the Allow statements of a policy is not known.
func (e *evaluation) nameUnevaluated(p *principal, held *policy) {
	for i := range held.statements {
		s := &held.statements[i]
		if s.deny {
			continue
		}
		if s.conditional {
			p.partial = true
			e.once("CONDITION_NOT_EVALUATED", held, s, "it has a condition. What it allows is shown as if the condition held.")
		}
		if s.notActions != nil {
			p.partial = true
			e.once("NOT_ACTION_NOT_EVALUATED", held, s, "it allows everything but some actions (NotAction). They are shown as allowed, too.")
		}
		if s.notResources != nil {
			p.partial = true
			e.once("NOT_RESOURCE_NOT_EVALUATED", held, s, "it is about everything but some resources (NotResource). They are shown as reached, too.")
		}
		if slices.Contains(s.variables, true) {
			p.partial = true
			e.once("VARIABLE_NOT_EVALUATED", held, s, "its resource has a variable, whose value only a request has. The resource is shown as it is written.")
		}
	}
}

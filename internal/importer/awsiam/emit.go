package awsiam

import (
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// maxEdges bounds what an import may emit. Identities multiply with the policies
// that are cut for them, and with the roles that they can become.
const maxEdges = 2_000_000

// Emit resolves the account and says what it is. It is called once.
func (a *Account) Emit(out record.Emitter) error {
	e := &evaluation{
		Account: a, scope: a.id, assuming: map[*principal][]*statement{}, policyOf: map[*policy]*evaluated{}, cuts: map[string]evaluated{},
		grants: map[bundle][]grant{}, trusts: map[*principal]*trust{}, unlisted: map[string]int{}, noted: map[note]bool{},
	}
	if e.scope == "" {
		e.scope = anything
	}
	e.warnLists()
	e.bind()
	if err := e.evaluate(); err != nil {
		return err
	}
	if err := e.resolveTrust(); err != nil {
		return err
	}
	e.warnUnlisted()
	e.warnUntrusted()
	s := &speaker{evaluation: e, out: out, said: map[string]bool{}}
	for _, step := range []func() error{
		s.emitWorkloads, s.emitIdentities, s.emitRoles, s.emitResources, s.emitGrants, s.emitTies, s.emitCoverage, s.emitFaults,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// warnLists names what the delivery leaves open as a whole.
func (e *evaluation) warnLists() {
	for _, l := range lists {
		if list := e.pages[l.key]; list != nil && list.last == 0 {
			e.warn(list.first, "PAGE_MISSING", "The list of %s goes on in a page that is not here: what is missing counts as unknown, not as gone.", list.what)
		}
	}
	if e.dump == "" {
		e.warn(record.Position{File: e.first}, "DUMP_MISSING",
			"No file is the answer of aws iam get-account-authorization-details: what any role may do is not known.")
		return
	}
	e.guards = slices.DeleteFunc(e.guards, func(g *guard) bool { return g.id == "p-FullAWSAccess" })
	for _, g := range e.guards {
		e.warn(g.at, "SCP_NOT_EVALUATED", "The service control policy %s (%s) may forbid what is shown as allowed.", g.id, quoted(g.name))
	}
	if len(e.guards) == 0 {
		e.warn(record.Position{File: e.dump}, "OUTSIDE_NOT_KNOWN",
			"A dump has no service control policies, session policies and policies of resources. What they forbid or allow is not in the result.")
	}
}

// bind finds the roles that workloads run as. A role that the dump does not have
// is an identity all the same.
func (e *evaluation) bind() {
	for _, f := range e.functions {
		for _, role := range f.roles {
			e.mentioned(role, f.arn, f.at)
		}
	}
	for _, i := range e.instances {
		if i.profile == "" || i.status == record.Removed {
			continue
		}
		found := e.profileByARN[i.profile]
		if found == nil || len(found.roles) == 0 {
			i.loose = true
			e.warn(i.at, "PROFILE_MISSING", "%s has the instance profile %s, whose role no list names: what it runs as is not known.", i.id, i.profile)
			continue
		}
		i.roles = found.roles
		for _, role := range i.roles {
			e.mentioned(role, i.id, i.at)
		}
	}
}

// mentioned is the identity of a role that a workload runs as.
func (e *evaluation) mentioned(role, by string, at record.Position) {
	if e.principalByARN[role] != nil {
		return
	}
	name := role[strings.LastIndex(role, "/")+1:]
	p := &principal{arn: role, name: name, at: at, partial: true, loose: true}
	e.principals = append(e.principals, p)
	e.principalByARN[role] = p
	if e.dump != "" && !e.broken[p.ref()] {
		e.warn(at, "ROLE_MISSING", "%s runs as %s, which is not in the dump: its policies are not known.", by, role)
	}
}

// warnUntrusted tells of workloads whose role does not let their service in.
func (e *evaluation) warnUntrusted() {
	check := func(id, role, service string, at record.Position) {
		if !e.runs(e.principalByARN[role], service) {
			e.warn(at, "TRUST_MISSING", "%s runs as %s, whose trust policy does not let in %s. Its paths are kept.", id, role, service)
		}
	}
	for _, f := range e.functions {
		for _, role := range f.roles {
			check(f.arn, role, lambdaService, f.at)
		}
	}
	for _, i := range e.instances {
		for _, role := range i.roles {
			check(i.id, role, ec2Service, i.at)
		}
	}
}

// speaker emits an evaluation.
type speaker struct {
	*evaluation
	out   record.Emitter
	said  map[string]bool // resources
	edges int
}

func (s *speaker) say(at record.Position, fact record.Fact) error {
	if _, tie := fact.(record.Edge); tie {
		if s.edges++; s.edges > maxEdges {
			return problem.New(problem.Invalid, codePrefix+"_TOO_LARGE",
				"The policies of this account multiply to more than %d ties.", maxEdges).At(at.File, at.Line)
		}
	}
	return s.out.Record(record.Record{Position: at, Fact: fact})
}

// past leaves out a moment that has not come: the clock that wrote it was wrong.
func (e *evaluation) past(moment time.Time) time.Time {
	if !e.options.Now.IsZero() && moment.After(e.options.Now) {
		return time.Time{}
	}
	return moment
}

// described adds what tags say.
func (e *evaluation) described(entity record.Entity, tags map[string]string) record.Entity {
	entity.Labels = tags
	entity.Environment = first(e.options.Policy.environmentTags, tags)
	entity.OwnerTeam = first(e.options.Policy.ownerTags, tags)
	entity.BusinessTier = first(e.options.Policy.tierTags, tags)
	return entity
}

// first is the value of the first key that is there, whatever the case of its
// letters. Of tags that differ in it only the one that sorts first counts.
func first(keys []string, tags map[string]string) string {
	for _, key := range keys {
		best := ""
		for tag, value := range tags {
			if value != "" && strings.EqualFold(tag, key) && (best == "" || tag < best) {
				best = tag
			}
		}
		if best != "" {
			return tags[best]
		}
	}
	return ""
}

func (s *speaker) emitWorkloads() error {
	for _, f := range s.functions {
		entity := record.Entity{Ref: f.ref(), Basis: record.Inventory, Name: f.name, Status: record.Active, SourceType: typeFunction,
			ArtifactIdentifier: f.code}
		if err := s.say(f.at, entity); err != nil {
			return err
		}
	}
	for _, i := range s.instances {
		entity := record.Entity{Ref: i.ref(), Basis: record.Inventory, Name: i.name, Status: i.status, SourceType: typeInstance,
			ArtifactIdentifier: i.image}
		if err := s.say(i.at, s.described(entity, i.tags)); err != nil {
			return err
		}
	}
	return nil
}

// emitIdentities says who is there, and as evidence that a role was used: at least
// once, on the day of its last use.
func (s *speaker) emitIdentities() error {
	for _, p := range s.principals {
		used := s.past(p.lastUsed)
		entity := record.Entity{Ref: p.ref(), Basis: record.Inventory, Name: p.name, Status: record.Active, SourceType: typeRole,
			CreatedAt: s.past(p.created), LastActiveAt: used}
		switch {
		case p.user:
			entity.SourceType, entity.LastActiveAt = typeUser, s.past(p.signedIn)
		case !p.declared:
			entity.Basis, entity.Status = record.Inferred, ""
		}
		if err := s.say(p.at, s.described(entity, p.tags)); err != nil {
			return err
		}
		if used.IsZero() {
			continue
		}
		ref := p.ref()
		evidence := record.Evidence{Identity: &ref, Day: used.Truncate(24 * time.Hour), LastAt: used, Count: 1}
		if err := s.say(p.at, evidence); err != nil {
			return err
		}
	}
	return nil
}

// emitRoles emits policies and groups. A group is there to show who is in it; what
// it grants are its policies.
func (s *speaker) emitRoles() error {
	for _, g := range s.groups {
		entity := record.Entity{Ref: g.ref(), Basis: record.Inventory, Name: g.name, Status: record.Active, SourceType: typeGroup, CreatedAt: s.past(g.created)}
		if err := s.say(g.at, entity); err != nil {
			return err
		}
	}
	for _, p := range s.policies {
		entity := record.Entity{Ref: p.ref(), Basis: record.Inventory, Name: p.name, Status: record.Active, SourceType: p.sourceType,
			CreatedAt: s.past(p.created), Labels: p.tags}
		if p.absent {
			entity.Basis, entity.Status = record.Inferred, ""
		}
		if err := s.say(p.at, entity); err != nil {
			return err
		}
	}
	return nil
}

// emitResources emits what the lists name. How sensitive it is was concluded, so
// that an inventory that knows it wins.
func (s *speaker) emitResources() error {
	for _, r := range s.resources {
		to := named(r.arn)
		s.said[to.id] = true
		ref := record.Ref{Kind: record.Resource, SourceID: to.id}
		entity := record.Entity{Ref: ref, Basis: record.Inventory, Name: r.name, Status: record.Active, SourceType: r.sourceType, CreatedAt: s.past(r.created)}
		if err := s.say(r.at, s.described(entity, r.tags)); err != nil {
			return err
		}
		class := s.options.Policy.Classify(to.service, to.pattern)
		if err := s.say(r.at, record.Entity{Ref: ref, Basis: record.Inferred, DataDomain: class.DataDomain, Sensitivity: class.Sensitivity}); err != nil {
			return err
		}
	}
	return nil
}

// emitGrants emits what each policy reaches in each scope in which somebody has
// it.
func (s *speaker) emitGrants() error {
	for _, b := range s.bundles {
		for _, g := range s.grants[b] {
			to := record.Ref{Kind: record.Resource, SourceID: g.id}
			if !s.said[g.id] {
				s.said[g.id] = true
				class := s.options.Policy.Classify(g.service, g.pattern)
				entity := record.Entity{Ref: to, Basis: record.Inferred, Name: g.title(), SourceType: "aws/" + g.service,
					DataDomain: class.DataDomain, Sensitivity: class.Sensitivity}
				if err := s.say(g.at, entity); err != nil {
					return err
				}
			}
			edge := record.Edge{Kind: record.Grants, From: b.policy.ref(), To: to, Scope: b.scope, Actions: g.actions}
			if err := s.say(g.at, edge); err != nil {
				return err
			}
		}
	}
	return nil
}

// title is a destination in words.
func (d destination) title() string {
	switch {
	case d.pattern != anything:
		return d.pattern
	case d.service == anything:
		return "everything in the account"
	}
	return "everything in " + d.service
}

func (s *speaker) emitTies() error {
	tie := func(at record.Position, edge record.Edge) error { return s.say(at, edge) }
	for _, f := range s.functions {
		for _, role := range f.roles {
			if err := tie(f.at, record.Edge{Kind: record.RunsAs, From: f.ref(), To: s.principalByARN[role].ref()}); err != nil {
				return err
			}
		}
	}
	for _, i := range s.instances {
		for _, role := range i.roles {
			if err := tie(i.at, record.Edge{Kind: record.RunsAs, From: i.ref(), To: s.principalByARN[role].ref()}); err != nil {
				return err
			}
		}
	}
	held := map[hold]bool{}
	for _, h := range s.holds {
		key := h
		key.at = record.Position{}
		if held[key] {
			continue
		}
		held[key] = true
		if err := tie(h.at, record.Edge{Kind: record.HasRole, From: h.from.ref(), To: h.to, Scope: h.scope}); err != nil {
			return err
		}
	}
	for _, b := range s.becomes {
		edge := record.Edge{Kind: record.Authenticates, From: b.from.ref(), To: b.to.ref(), Protocol: "sts"}
		if err := tie(b.at, edge); err != nil {
			return err
		}
	}
	return nil
}

// emitCoverage claims what the lists know. Nothing is said of owners, egress and
// executions: those stay unknown. When a role was last used is evidence that it
// was, and none that it was not before.
func (s *speaker) emitCoverage() error {
	claim := func(kind record.EvidenceKind, ref record.Ref, at record.Position, partial bool) error {
		return s.say(at, record.Coverage{Kind: kind, Entity: &ref, Partial: partial})
	}
	for _, f := range s.functions {
		if err := claim(record.Binding, f.ref(), f.at, false); err != nil {
			return err
		}
	}
	for _, i := range s.instances {
		if err := claim(record.Binding, i.ref(), i.at, i.loose); err != nil {
			return err
		}
	}
	if s.dump == "" {
		return nil
	}
	partial := s.rolesPartial || len(s.guards) > 0
	for _, key := range []string{"UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"} {
		partial = partial || s.pages[key] != nil && s.pages[key].last == 0
	}
	if err := s.say(record.Position{File: s.dump}, record.Coverage{Kind: record.Roles, Partial: partial}); err != nil {
		return err
	}
	for _, p := range s.principals {
		if p.partial {
			if err := claim(record.Roles, p.ref(), p.at, true); err != nil {
				return err
			}
		}
		if p.declared && !p.user { // who has the keys of a user no list says
			if err := claim(record.Binding, p.ref(), p.at, p.loose); err != nil {
				return err
			}
		}
	}
	return nil
}

// emitFaults gives what was rejected and what the reader should know.
func (s *speaker) emitFaults() error {
	for _, r := range s.rejections {
		if err := s.out.Reject(r); err != nil {
			return err
		}
	}
	for _, w := range s.warnings {
		if err := s.out.Warn(w); err != nil {
			return err
		}
	}
	return nil
}

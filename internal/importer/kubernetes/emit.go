package kubernetes

import (
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// emit says everything, entities before the edges that need them.
func (r *resolution) emit() error {
	for _, step := range []func() error{r.emitWorkloads, r.emitIdentities, r.emitRoles, r.emitGrants, r.emitTies, r.emitEndpoints, r.emitCoverage} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolution) say(at record.Position, fact record.Fact) error {
	return r.set.out.Record(record.Record{Position: at, Fact: fact})
}

func (r *resolution) emitWorkloads() error {
	policy := r.set.options.Policy
	for _, w := range r.set.workloads {
		err := r.say(w.at, record.Entity{
			Ref: *w.ref(), Basis: record.Manifest, Status: record.Active,
			Name: w.name, SourceType: w.kind,
			Environment:        policy.environment(w.labels),
			ExecutionMode:      policy.executionModes[w.kind],
			ArtifactIdentifier: strings.Join(w.images, ", "),
			Labels:             w.labels,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *resolution) emitIdentities() error {
	for _, i := range r.identities {
		entity := record.Entity{Ref: i.ref(), Basis: record.Inferred, Name: i.name, SourceType: "ServiceAccount"}
		if i.account != nil {
			entity.Basis, entity.Status = record.Manifest, record.Active
			entity.Environment, entity.Labels = r.set.options.Policy.environment(i.account.labels), i.account.labels
		}
		if err := r.say(i.at, entity); err != nil {
			return err
		}
	}
	return nil
}

func (i *identity) ref() record.Ref { return record.Ref{Kind: record.Identity, SourceID: i.id()} }

// emitRoles emits every role that is declared, and those of Kubernetes that are
// bound, at the place of their first binding.
func (r *resolution) emitRoles() error {
	emit := func(declared *role, at record.Position, basis record.Basis) error {
		return r.say(at, record.Entity{Ref: *declared.ref(), Basis: basis, Status: record.Active,
			Name: declared.name, SourceType: declared.kind, Labels: declared.labels})
	}
	for _, declared := range r.set.roles {
		if err := emit(declared, declared.at, record.Manifest); err != nil {
			return err
		}
	}
	for _, builtin := range r.used {
		if err := emit(builtin, r.reaches[builtin][0].at, record.Inferred); err != nil {
			return err
		}
	}
	return nil
}

// emitGrants emits what each role reaches in each scope in which a service
// account has it.
func (r *resolution) emitGrants() error {
	resources := map[string]bool{}
	edges := 0
	bound := append(append([]*role{}, r.set.roles...), r.used...)
	for _, granting := range bound {
		reaches := r.reaches[granting]
		if len(reaches) == 0 {
			continue
		}
		rules, err := r.set.rulesOf(granting)
		if err != nil {
			return err
		}
		all := grants(rules)
		for _, in := range reaches {
			for _, g := range all {
				if edges++; edges > maxEdges {
					return problem.New(problem.Invalid, codePrefix+"_TOO_LARGE",
						"The roles of this input grant more than %d destinations.", maxEdges).At(in.at.File, in.at.Line)
				}
				at := g.at
				if granting.builtin {
					at = in.at
				}
				to := record.Ref{Kind: record.Resource, SourceID: g.id(in.scope)}
				if !resources[to.SourceID] {
					resources[to.SourceID] = true
					if err := r.emitResource(at, to, g.destination, in.scope); err != nil {
						return err
					}
				}
				err := r.say(at, record.Edge{Kind: record.Grants, From: *granting.ref(), To: to, Scope: in.scope,
					Actions: g.verbs, Ineffective: !r.set.effective(g.destination, in.scope, g.verbs)})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *resolution) emitResource(at record.Position, ref record.Ref, d destination, scope string) error {
	class := r.set.options.Policy.Classify(Request{URL: d.url, APIGroup: d.group, Resource: d.resource, Name: d.name, Scope: scope})
	return r.say(at, record.Entity{Ref: ref, Basis: record.Manifest, Name: r.set.title(d, scope),
		SourceType: d.sourceType(), DataDomain: class.DataDomain, Sensitivity: class.Sensitivity})
}

// emitTies emits who runs as whom, and who has which role.
func (r *resolution) emitTies() error {
	for _, w := range r.set.workloads {
		edge := record.Edge{Kind: record.RunsAs, From: *w.ref(), To: r.byID[w.identity()].ref()}
		if err := r.say(w.at, edge); err != nil {
			return err
		}
	}
	for _, h := range r.holdings {
		edge := record.Edge{Kind: record.HasRole, From: h.identity.ref(), To: *h.role.ref(), Scope: h.scope}
		if err := r.say(h.at, edge); err != nil {
			return err
		}
	}
	return nil
}

// emitCoverage claims what manifests know. Nothing is said of owners, egress
// and executions: those stay unknown. A claim about the whole set stands at its
// first file.
func (r *resolution) emitCoverage() error {
	claims := []record.Coverage{
		{Kind: record.Binding, Partial: r.set.bindingsPartial},
		{Kind: record.Roles, Partial: r.set.rolesPartial},
	}
	for _, claim := range claims {
		if err := r.say(record.Position{File: r.set.first}, claim); err != nil {
			return err
		}
	}
	for _, i := range r.identities {
		if !i.partial {
			continue
		}
		ref := i.ref()
		if err := r.say(i.at, record.Coverage{Kind: record.Roles, Entity: &ref, Partial: true}); err != nil {
			return err
		}
	}
	return nil
}

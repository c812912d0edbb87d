package kubernetes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// identity is a service account of the set, declared or only named.
type identity struct {
	namespace, name string
	account         *serviceAccount // nil if it is not declared
	workloads       []*workload
	at              record.Position // where it is declared, or named first
	hasRole         bool
	partial         bool // one of its bindings names a role that is not there
}

func (i *identity) id() string { return i.namespace + "/" + i.name }

// holding is a role that an identity has in a scope.
type holding struct {
	identity *identity
	role     *role
	scope    string
	at       record.Position
}

// reach is a scope in which a role is bound, and by what.
type reach struct {
	scope string
	at    record.Position
}

// resolution is the set with its names resolved.
type resolution struct {
	set        *set
	identities []*identity // declared ones in the order of the input, then the others by name
	byID       map[string]*identity
	holdings   []holding
	reaches    map[*role][]reach
	used       []*role // roles of Kubernetes that are bound, by name
}

// maxEdges bounds what an import may emit. Bindings of groups multiply with
// accounts and scopes with rules; real clusters stay below a hundred thousand.
const maxEdges = 5_000_000

func (s *set) resolve() error {
	if err := s.warnUnknown(); err != nil {
		return err
	}
	s.dropReplicas()
	r := &resolution{set: s, byID: map[string]*identity{}, reaches: map[*role][]reach{}}
	r.findIdentities()
	if err := r.bind(); err != nil {
		return err
	}
	if err := r.warnUnmounted(); err != nil {
		return err
	}
	return r.emit()
}

// findIdentities collects the service accounts that are declared, used or named.
func (r *resolution) findIdentities() {
	for _, account := range r.set.accounts {
		r.identity(account.namespace, account.name, account.at).account = account
	}
	declared := len(r.identities)
	for _, w := range r.set.workloads {
		i := r.identity(w.namespace, w.serviceAccount, w.at)
		i.workloads = append(i.workloads, w)
	}
	for _, b := range r.set.bindings {
		for _, sub := range b.subjects {
			if namespace, name, ok := sub.serviceAccount(); ok {
				r.identity(namespace, name, sub.at)
			}
		}
	}
	slices.SortFunc(r.identities[declared:], func(a, b *identity) int { return strings.Compare(a.id(), b.id()) })
}

func (r *resolution) identity(namespace, name string, at record.Position) *identity {
	id := namespace + "/" + name
	if r.byID[id] == nil {
		r.byID[id] = &identity{namespace: namespace, name: name, at: at}
		r.identities = append(r.identities, r.byID[id])
	}
	return r.byID[id]
}

// serviceAccount is the account that a subject names by itself, in either of
// the two ways to do so.
func (s subject) serviceAccount() (namespace, name string, ok bool) {
	switch s.kind {
	case "ServiceAccount":
		return s.namespace, s.name, s.namespace != ""
	case "User":
		if rest, found := strings.CutPrefix(s.name, "system:serviceaccount:"); found {
			namespace, name, found = strings.Cut(rest, ":")
			return namespace, name, found && isLabel(namespace) && isSubdomain(name)
		}
	}
	return "", "", false
}

// members are the identities that a group of service accounts stands for. ok is
// false for a group that has other members, or that nothing is known about.
func (r *resolution) members(group string) (members []*identity, ok bool) {
	switch namespace, inNamespace := strings.CutPrefix(group, "system:serviceaccounts:"); {
	case group == "system:serviceaccounts" || group == "system:authenticated":
		return r.identities, true
	case inNamespace:
		for _, i := range r.identities {
			if i.namespace == namespace {
				members = append(members, i)
			}
		}
		return members, true
	}
	return nil, false
}

// bind follows each binding to its role and its subjects.
func (r *resolution) bind() error {
	type held struct {
		identity *identity
		role     *role
		scope    string
	}
	seen := map[held]bool{}
	reached := map[*role]map[string]bool{}
	edges := 0
	for _, b := range r.set.bindings {
		found, err := r.role(b)
		if err != nil {
			return err
		}
		for _, sub := range b.subjects {
			identities, err := r.subjects(b, sub)
			if err != nil {
				return err
			}
			for _, i := range identities {
				i.hasRole = true
				if found == nil {
					i.partial = true
					continue
				}
				if edges++; edges > maxEdges {
					return problem.New(problem.Invalid, codePrefix+"_TOO_LARGE",
						"The bindings of this input give roles to more than %d subjects.", maxEdges).At(b.at.File, b.at.Line)
				}
				key := held{i, found, b.scope()}
				if seen[key] {
					continue
				}
				seen[key] = true
				r.holdings = append(r.holdings, holding{identity: i, role: found, scope: b.scope(), at: sub.at})
				if reached[found] == nil {
					reached[found] = map[string]bool{}
				}
				if !reached[found][b.scope()] {
					reached[found][b.scope()] = true
					r.reaches[found] = append(r.reaches[found], reach{scope: b.scope(), at: b.at})
				}
			}
		}
	}
	for bound, reaches := range r.reaches {
		slices.SortFunc(reaches, func(a, b reach) int { return strings.Compare(a.scope, b.scope) })
		if bound.builtin {
			r.used = append(r.used, bound)
		}
	}
	slices.SortFunc(r.used, func(a, b *role) int { return strings.Compare(a.id(), b.id()) })
	return nil
}

// role is the role that a binding names, nil with a warning if it is neither in
// the set nor a part of Kubernetes.
func (r *resolution) role(b *binding) (*role, error) {
	if found := r.set.rolesByID[b.role]; found != nil {
		return found, nil
	}
	if found := r.set.builtins.byID[b.role]; found != nil {
		return found, nil
	}
	return nil, r.set.out.Warn(record.Warning{Position: b.at, Code: "ROLE_MISSING", Message: fmt.Sprintf(
		"%s binds %s, which no manifest declares; what it grants is not known.", b.id(), b.role)})
}

// subjects are the identities that a subject of a binding stands for, with a
// warning if that is doubtful.
func (r *resolution) subjects(b *binding, sub subject) ([]*identity, error) {
	if namespace, name, ok := sub.serviceAccount(); ok {
		i := r.byID[namespace+"/"+name]
		// Every namespace has an account "default" that nobody declares.
		if i.account != nil || len(i.workloads) > 0 || i.name == "default" {
			return []*identity{i}, nil
		}
		return []*identity{i}, r.warnSubject(sub, "SUBJECT_UNMATCHED", fmt.Sprintf(
			"%s binds the service account %s, which no manifest declares or uses.%s", b.id(), i.id(), r.hint(i)))
	}
	if sub.kind == "ServiceAccount" {
		return nil, r.warnSubject(sub, "SUBJECT_UNMATCHED", fmt.Sprintf(
			"%s binds the service account %s without its namespace: it grants nothing.", b.id(), quoted(sub.name)))
	}
	if sub.kind == "Group" {
		if r.set.builtins.isDefault(b, sub.name) {
			return nil, nil
		}
		if members, ok := r.members(sub.name); ok {
			return members, nil
		}
	}
	return nil, r.warnSubject(sub, "SUBJECT_NOT_FOLLOWED", fmt.Sprintf(
		"%s binds the %s %s, which is no service account and is not followed.", b.id(), strings.ToLower(sub.kind), quoted(sub.name)))
}

func (r *resolution) warnSubject(sub subject, code, message string) error {
	return r.set.out.Warn(record.Warning{Position: sub.at, Code: code, Message: message})
}

// hint tells of an account of the same name that is where it is only because
// its manifest left the namespace out.
func (r *resolution) hint(i *identity) string {
	other := r.byID[r.set.options.Namespace+"/"+i.name]
	if other == nil || other == i || other.account == nil || !other.account.defaulted {
		return ""
	}
	return fmt.Sprintf(" %s is declared without a namespace: was --namespace %s meant?", other.id(), i.namespace)
}

// warnUnmounted tells of workloads that hold authority and mount no token.
func (r *resolution) warnUnmounted() error {
	for _, w := range r.set.workloads {
		i := r.byID[w.identity()]
		if !i.hasRole || w.mountsToken(i.account) {
			continue
		}
		err := r.set.out.Warn(record.Warning{Position: w.at, Code: "TOKEN_NOT_MOUNTED", Message: fmt.Sprintf(
			"%s runs as %s and mounts no token of it. Its paths are kept: a manifest cannot show that no token reaches it otherwise.",
			w.id(), i.id())})
		if err != nil {
			return err
		}
	}
	return nil
}

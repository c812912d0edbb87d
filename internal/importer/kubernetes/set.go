package kubernetes

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// set is everything that the files of one import declare.
type set struct {
	options  Options
	out      record.Emitter
	builtins *builtins

	first     string // the name of the first file
	documents int
	seen      map[string]sighting
	unknown   map[unknownKind]*tally

	workloads        []*workload
	workloadsByID    map[string]*workload
	accounts         []*serviceAccount
	accountsByID     map[string]*serviceAccount
	roles            []*role
	rolesByID        map[string]*role
	bindings         []*binding
	clusterResources map[resourceKey]bool // resources that definitions of the set put in the cluster
	services         []*service
	servicesByID     map[string]*service
	ingresses        []*ingress

	rolesPartial    bool // an object that may hold roles was rejected
	bindingsPartial bool // an object that may be a workload was rejected

	aggregable  []*role
	comparisons int
}

// sighting is where an object was declared first.
type sighting struct {
	digest [sha256.Size]byte
	at     record.Position
}

type unknownKind struct{ apiVersion, kind string }

type tally struct {
	count int
	first record.Position
}

func newSet(options Options, out record.Emitter) *set {
	return &set{
		options: options, out: out, builtins: defaultBuiltins(),
		seen: map[string]sighting{}, unknown: map[unknownKind]*tally{},
		workloadsByID: map[string]*workload{}, accountsByID: map[string]*serviceAccount{}, rolesByID: map[string]*role{},
		clusterResources: map[resourceKey]bool{}, servicesByID: map[string]*service{},
	}
}

func (s *set) addWorkload(w *workload) {
	s.workloads = append(s.workloads, w)
	s.workloadsByID[w.id()] = w
}

func (s *set) addServiceAccount(a *serviceAccount) {
	s.accounts = append(s.accounts, a)
	s.accountsByID[a.namespace+"/"+a.name] = a
}

func (s *set) addService(v *service) {
	s.services = append(s.services, v)
	s.servicesByID[v.namespace+"/"+v.name] = v
}

func (s *set) addRole(r *role) {
	s.roles = append(s.roles, r)
	s.rolesByID[r.id()] = r
}

// pass goes by an object of a kind that says nothing about authority.
func (s *set) pass(kind, group, apiVersion string, at record.Position) {
	if slices.Contains(ignoredKinds[group], kind) {
		return
	}
	key := unknownKind{apiVersion, kind}
	if s.unknown[key] == nil {
		s.unknown[key] = &tally{first: at}
	}
	s.unknown[key].count++
}

// blame notes which knowledge a rejected object leaves incomplete. An object
// whose kind could not be read may have been anything.
func (s *set) blame(kind string) {
	switch {
	case kind == "":
		s.rolesPartial, s.bindingsPartial = true, true
	case podTemplates[kind] != nil:
		s.bindingsPartial = true
	case readKinds[kind] != nil && readKinds[kind][0] == rbacGroup:
		s.rolesPartial = true
	}
}

// warnUnknown reports the kinds that nothing is known about, each once.
func (s *set) warnUnknown() error {
	kinds := make([]unknownKind, 0, len(s.unknown))
	for kind := range s.unknown {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b unknownKind) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.apiVersion, b.apiVersion))
	})
	for _, kind := range kinds {
		seen := s.unknown[kind]
		objects := "1 object"
		if seen.count > 1 {
			objects = fmt.Sprintf("%d objects", seen.count)
		}
		err := s.out.Warn(record.Warning{Position: seen.first, Code: "UNKNOWN_KIND", Message: fmt.Sprintf(
			"%s (%s) is no kind that is read; %s passed over, the first here.", quoted(kind.kind), kind.apiVersion, objects)})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropReplicas takes out what a controller of the set made. A replica of a
// replica goes too: its owner was declared, whether or not it was dropped.
func (s *set) dropReplicas() {
	s.workloads = slices.DeleteFunc(s.workloads, func(w *workload) bool {
		return slices.ContainsFunc(w.owners, func(owner string) bool { return s.workloadsByID[owner] != nil && owner != w.id() })
	})
}

package kubernetes

import (
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// matches says whether labels meet every requirement; none are met by all.
func (s selector) matches(labels map[string]string) bool {
	for _, r := range s {
		value, present := labels[r.key]
		switch r.operator {
		case "In":
			if !present || !slices.Contains(r.values, value) {
				return false
			}
		case "NotIn":
			if present && slices.Contains(r.values, value) {
				return false
			}
		case "Exists":
			if !present {
				return false
			}
		case "DoesNotExist":
			if present {
				return false
			}
		}
	}
	return true
}

// maxComparisons bounds the work of aggregation, which is a comparison of each
// aggregated role with each other role. A thousand of one and ten thousand of
// the other are far beyond any cluster.
const maxComparisons = 10_000_000

// rulesOf are the rules that a role has in a cluster. An aggregated role may
// match another aggregated one, as admin does edit and edit does view; the
// controller settles on the union of everything that can be reached.
func (s *set) rulesOf(r *role) ([]rule, error) {
	if !r.aggregates {
		return r.rules, nil
	}
	var rules []rule
	reach := 0
	visited := map[*role]bool{r: true}
	for queue := []*role{r}; len(queue) > 0; queue = queue[1:] {
		for _, candidate := range s.clusterRoles() {
			if visited[candidate] {
				continue
			}
			if s.comparisons++; s.comparisons > maxComparisons {
				return nil, tooLarge(r, "The aggregated roles of this input match too many others.")
			}
			if !slices.ContainsFunc(queue[0].selectors, func(sel selector) bool { return sel.matches(candidate.labels) }) {
				continue
			}
			visited[candidate] = true
			if candidate.aggregates {
				queue = append(queue, candidate)
				continue
			}
			for _, ru := range candidate.rules {
				if reach += ru.reach(); reach > maxReach {
					return nil, tooLarge(r, "%s aggregates more than %d destinations and verbs.", r.id(), maxReach)
				}
				if candidate.builtin {
					ru.at = r.at
				}
				rules = append(rules, ru)
			}
		}
	}
	return rules, nil
}

// clusterRoles are the roles that can be aggregated: those of the set in its
// order, then those of Kubernetes that the set does not declare.
func (s *set) clusterRoles() []*role {
	if s.aggregable == nil {
		s.aggregable = []*role{}
		for _, r := range s.roles {
			if r.namespace == "" {
				s.aggregable = append(s.aggregable, r)
			}
		}
		for _, r := range s.builtins.roles {
			if r.namespace == "" && s.rolesByID[r.id()] == nil {
				s.aggregable = append(s.aggregable, r)
			}
		}
	}
	return s.aggregable
}

func tooLarge(r *role, format string, args ...any) error {
	return problem.New(problem.Invalid, codePrefix+"_TOO_LARGE", format, args...).At(r.at.File, r.at.Line)
}

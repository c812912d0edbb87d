package kubernetes

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// destination is what a rule reaches, apart from the scope. Groups, resources
// and names are as they are written; a wildcard is a star.
type destination struct {
	url                   string // of a non-resource URL; the rest is empty then
	group, resource, name string
}

// grant is a destination with the verbs of all rules of a role that reach it.
type grant struct {
	destination
	verbs []string
	at    record.Position // of the first rule that reaches it
}

// grants multiplies rules into destinations, in their order by name.
func grants(rules []rule) []grant {
	byDestination := map[destination]*grant{}
	add := func(d destination, ru *rule) {
		g := byDestination[d]
		if g == nil {
			g = &grant{destination: d, at: ru.at}
			byDestination[d] = g
		}
		g.verbs = append(g.verbs, ru.verbs...)
	}
	for i := range rules {
		ru := &rules[i]
		names := ru.names
		if len(names) == 0 {
			names = []string{anywhere}
		}
		for _, group := range ru.groups {
			for _, resource := range ru.resources {
				for _, name := range names {
					add(destination{group: group, resource: resource, name: name}, ru)
				}
			}
		}
		for _, url := range ru.urls {
			add(destination{url: url}, ru)
		}
	}
	all := make([]grant, 0, len(byDestination))
	for _, g := range byDestination {
		slices.Sort(g.verbs)
		g.verbs = slices.Compact(g.verbs)
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b grant) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.resource, b.resource),
			strings.Compare(a.name, b.name), strings.Compare(a.url, b.url))
	})
	return all
}

// id is the source id of a destination in a scope.
func (d destination) id(scope string) string {
	if d.url != "" {
		return scope + "||url:" + d.url + "|*"
	}
	return scope + "|" + d.group + "|" + d.resource + "|" + d.name
}

// sourceType is the resource as kubectl writes it: deployments.apps.
func (d destination) sourceType() string {
	switch {
	case d.url != "":
		return "kubernetes/nonResourceURL"
	case d.group == "":
		return "kubernetes/" + d.resource
	}
	return "kubernetes/" + d.resource + "." + d.group
}

// title is the destination in words: secrets "tls" in argocd.
func (s *set) title(d destination, scope string) string {
	var title strings.Builder
	if d.url != "" {
		title.WriteString("URL " + d.url)
		if scope != anywhere {
			title.WriteString(" in " + scope)
		}
		return title.String()
	}
	switch resource, sub, found := strings.Cut(d.resource, "/"); {
	case d.resource == anywhere:
		title.WriteString("all resources")
	case found && resource == anywhere:
		title.WriteString(sub + " of all resources")
	default:
		title.WriteString(d.resource)
	}
	if d.name != anywhere {
		title.WriteString(" " + strconv.Quote(d.name))
	}
	switch {
	case scope != anywhere:
		title.WriteString(" in " + scope)
	case s.isClusterResource(d.group, d.resource):
		title.WriteString(" of the cluster")
	default:
		title.WriteString(" in all namespaces")
	}
	switch d.group {
	case "":
	case anywhere:
		title.WriteString(" (all API groups)")
	default:
		title.WriteString(" (" + d.group + ")")
	}
	return title.String()
}

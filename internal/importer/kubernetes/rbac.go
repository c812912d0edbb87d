package kubernetes

import (
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
)

// role is a Role or a ClusterRole.
type role struct {
	object
	rules      []rule
	aggregates bool // the rules are those of the roles that a selector matches
	selectors  []selector
	builtin    bool
}

// rule is one rule of a role. Its lists multiply.
type rule struct {
	at        record.Position
	groups    []string
	resources []string
	names     []string // none: every name
	urls      []string
	verbs     []string
}

// selector matches labels.
type selector []requirement

type requirement struct {
	key, operator string
	values        []string
}

// binding is a RoleBinding or a ClusterRoleBinding.
type binding struct {
	object
	role     string // the source id of the role
	subjects []subject
}

// scope is where a binding gives its role.
func (b *binding) scope() string {
	if b.namespace == "" {
		return anywhere
	}
	return b.namespace
}

// anywhere is the scope of the whole cluster, and any name of a resource.
const anywhere = "*"

type subject struct {
	at              record.Position
	kind            string
	namespace, name string
}

// maxReach bounds what one role may multiply to. Ten lines of aliases could
// otherwise ask for a billion destinations.
const maxReach = 100_000

func readRole(o *object, root yamldoc.Value) *role {
	r := &role{object: *o}
	reach := 0
	for _, item := range root.Get("rules").Items() {
		if !item.Present() {
			continue
		}
		ru := rule{
			at:        record.Position{File: o.at.File, Line: item.Line()},
			groups:    plain(item.Get("apiGroups"), "|"),
			resources: plain(item.Get("resources"), "|"),
			names:     plain(item.Get("resourceNames"), ""),
			urls:      plain(item.Get("nonResourceURLs"), ""),
			verbs:     plain(item.Get("verbs"), ""),
		}
		if len(ru.verbs) == 0 {
			item.Fail("grants nothing: it has no verbs")
		}
		if len(ru.urls) == 0 && (len(ru.groups) == 0 || len(ru.resources) == 0) {
			item.Fail("grants nothing: it needs apiGroups with resources, or nonResourceURLs")
		}
		for _, url := range ru.urls {
			if url != "*" && !strings.HasPrefix(url, "/") {
				item.Get("nonResourceURLs").Fail("must be paths that begin with a slash, or *")
			}
		}
		reach += ru.reach()
		if reach > maxReach {
			item.Fail("multiply to more than %d destinations and verbs", maxReach)
			break
		}
		r.rules = append(r.rules, ru)
	}
	if aggregation := root.Get("aggregationRule"); aggregation.Present() && o.kind == "ClusterRole" {
		r.aggregates = true
		for _, item := range aggregation.Get("clusterRoleSelectors").Items() {
			r.selectors = append(r.selectors, readSelector(item))
		}
	}
	return r
}

// reach is how many pairs of destination and verb the rule multiplies to. Each
// list has fewer elements than a document has parts, so that the product of
// three fits.
func (r *rule) reach() int {
	destinations := min(len(r.groups)*len(r.resources), maxReach+1) * max(len(r.names), 1)
	return min(destinations+len(r.urls), maxReach+1) * max(len(r.verbs), 1)
}

// plain reads a list of texts that become part of an identifier.
func plain(list yamldoc.Value, forbidden string) []string {
	texts := list.Texts()
	for _, text := range texts {
		if !isPlain(text) || len(text) > maxText || (forbidden != "" && strings.Contains(text, forbidden)) {
			list.Fail("holds %s, which no API serves", quoted(text))
		}
	}
	return texts
}

func readSelector(item yamldoc.Value) selector {
	s := selector{}
	for _, label := range item.Get("matchLabels").Fields() {
		s = append(s, requirement{key: label.Key, operator: "In", values: []string{label.Value.Text()}})
	}
	for _, expression := range item.Get("matchExpressions").Items() {
		operator := expression.Get("operator")
		switch operator.Text() {
		case "In", "NotIn", "Exists", "DoesNotExist":
		default:
			operator.Fail("must be In, NotIn, Exists or DoesNotExist")
		}
		s = append(s, requirement{key: expression.Get("key").Text(), operator: operator.Text(),
			values: expression.Get("values").Texts()})
	}
	return s
}

func readBinding(o *object, root yamldoc.Value) *binding {
	b := &binding{object: *o}
	roleRef := root.Get("roleRef")
	kind, name := roleRef.Get("kind"), roleRef.Get("name")
	switch {
	case !roleRef.Present():
		roleRef.Fail("is missing")
	case !isSegment(name.Text()):
		name.Fail("%s is no name of a role", quoted(name.Text()))
	case kind.Text() == "ClusterRole":
		b.role = "ClusterRole/" + name.Text()
	case kind.Text() == "Role" && o.namespace != "":
		b.role = "Role/" + o.namespace + "/" + name.Text()
	case kind.Text() == "Role":
		kind.Fail("must be ClusterRole in a ClusterRoleBinding")
	default:
		kind.Fail("must be Role or ClusterRole")
	}
	for _, item := range root.Get("subjects").Items() {
		kind, name, namespace := item.Get("kind"), item.Get("name"), item.Get("namespace")
		s := subject{at: record.Position{File: o.at.File, Line: item.Line()},
			kind: kind.Text(), name: name.Text(), namespace: namespace.Text()}
		switch s.kind {
		case "User", "Group":
			if s.name == "" || len(s.name) > maxText || !isPlain(s.name) {
				name.Fail("%s is no name of a %s", quoted(s.name), strings.ToLower(s.kind))
			}
		case "ServiceAccount":
			if !isSubdomain(s.name) {
				name.Fail("%s is no name of a service account", quoted(s.name))
			}
			if s.namespace == "" {
				// The authorizer looks in the namespace of the binding. A cluster
				// role binding has none, and then the subject is nobody.
				s.namespace = o.namespace
			} else if !isLabel(s.namespace) {
				namespace.Fail("%s is no name of a namespace", quoted(s.namespace))
			}
		default:
			kind.Fail("must be ServiceAccount, User or Group")
		}
		b.subjects = append(b.subjects, s)
	}
	return b
}

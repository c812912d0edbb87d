package kubernetes

import (
	"bytes"
	_ "embed" // the policy table
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
)

//go:embed policy.yaml
var policyTable []byte

// defaultPolicy is the table that comes with the product.
var defaultPolicy = sync.OnceValues(func() (*Policy, error) {
	return LoadPolicy(bytes.NewReader(policyTable), "policy.yaml")
})

// Policy says what manifests leave open: how sensitive a resource is and to
// which domain it belongs, who makes a kind of workload run, and which label
// names its environment. The format is described in policy.yaml.
type Policy struct {
	environmentLabels []string
	executionModes    map[string]record.ExecutionMode
	rules             []policyRule
	otherwise         Class
}

// Class is what a policy says about a resource.
type Class struct {
	DataDomain  string
	Sensitivity string
}

// Request is what a grant reaches: a URL, or a resource in a scope. A star
// stands for everything.
type Request struct {
	URL                             string
	APIGroup, Resource, Name, Scope string
}

// policyRule classifies what its patterns match. No pattern matches everything;
// a rule is either about resources or about URLs.
type policyRule struct {
	groups, resources, names, scopes, urls []string
	class                                  Class
}

// sensitivities from the least to the most.
var sensitivities = []string{"public", "internal", "confidential", "restricted"}

// executionModes that a policy may name.
var executionModes = []record.ExecutionMode{record.Autonomous, record.OperatorAssisted, record.HumanTriggered, record.Triggered}

// Classify judges a request as the most sensitive thing that it covers: rules
// are asked in order, each takes its share of what is left, and the first that
// takes the rest ends it. Of equals the one that takes the rest wins, which is
// the most of it, or else the first.
func (p *Policy) Classify(request Request) Class {
	var worst *Class
	for i := range p.rules {
		overlaps, covers := p.rules[i].matches(request)
		if !overlaps {
			continue
		}
		class := &p.rules[i].class
		if worst == nil || rank(*class) > rank(*worst) || covers && rank(*class) == rank(*worst) {
			worst = class
		}
		if covers {
			return *worst
		}
	}
	if worst == nil || rank(p.otherwise) >= rank(*worst) {
		worst = &p.otherwise
	}
	return *worst
}

func rank(class Class) int { return slices.Index(sensitivities, class.Sensitivity) }

// matches says whether a rule takes a part of a request, and whether it takes
// all of it.
func (r *policyRule) matches(request Request) (overlaps, covers bool) {
	if (request.URL != "") != (len(r.urls) > 0) {
		return false, false
	}
	overlaps, covers = true, true
	match := func(patterns []string, text string) {
		if len(patterns) == 0 || !overlaps {
			return
		}
		some, whole := false, false
		for _, pattern := range patterns {
			some = some || overlap(pattern, text)
			whole = whole || covered(pattern, text)
		}
		overlaps, covers = some, covers && whole
	}
	if request.URL != "" {
		match(r.urls, request.URL)
		return overlaps, overlaps && covers
	}
	match(r.groups, request.APIGroup)
	match(r.resources, request.Resource)
	match(r.names, request.Name)
	match(r.scopes, request.Scope)
	return overlaps, overlaps && covers
}

// overlap says whether two patterns have a text in common. A star is any text.
func overlap(a, b string) bool {
	// reach[j]: the part of a that was read can be the part b[:j].
	reach := make([]bool, len(b)+1)
	next := make([]bool, len(b)+1)
	reach[0] = true
	for j := 0; j < len(b) && b[j] == '*'; j++ {
		reach[j+1] = true
	}
	for i := 0; i < len(a); i++ {
		next[0] = reach[0] && a[i] == '*'
		for j := 1; j <= len(b); j++ {
			switch {
			case a[i] == '*':
				next[j] = reach[j] || next[j-1]
			case b[j-1] == '*':
				next[j] = next[j-1] || reach[j]
			default:
				next[j] = reach[j-1] && a[i] == b[j-1]
			}
		}
		reach, next = next, reach
	}
	return reach[len(b)]
}

// covered says whether every text that b matches is matched by a. If a matches
// the stars of b taken as characters of no text, its own stars take them up, and
// with them whatever they may stand for.
func covered(a, b string) bool {
	if !strings.Contains(a, "*") {
		return a == b
	}
	return overlap(a, strings.ReplaceAll(b, "*", "\x00"))
}

// environment is the value of the first label that names one.
func (p *Policy) environment(labels map[string]string) string {
	for _, key := range p.environmentLabels {
		if labels[key] != "" {
			return labels[key]
		}
	}
	return ""
}

// LoadPolicy reads a policy table. The name stands in errors.
func LoadPolicy(r io.Reader, name string) (*Policy, error) {
	return yamldoc.ReadPolicy(r, name, readPolicy)
}

func readPolicy(root yamldoc.Value) *Policy {
	root.Known("environmentLabels", "executionModes", "rules", "default")
	p := &Policy{environmentLabels: root.Get("environmentLabels").Texts(), executionModes: map[string]record.ExecutionMode{}}
	for _, field := range root.Get("executionModes").Fields() {
		mode := record.ExecutionMode(field.Value.Text())
		if podTemplates[field.Key] == nil {
			field.Value.Fail("is no kind of workload")
		}
		if !slices.Contains(executionModes, mode) {
			field.Value.Fail("must be autonomous, operator_assisted, human_triggered or triggered")
		}
		p.executionModes[field.Key] = mode
	}
	for _, item := range root.Get("rules").Items() {
		item.Known("apiGroups", "resources", "resourceNames", "scopes", "nonResourceURLs", "dataDomain", "sensitivity")
		r := policyRule{
			groups:    item.Get("apiGroups").Texts(),
			resources: item.Get("resources").Texts(),
			names:     item.Get("resourceNames").Texts(),
			scopes:    item.Get("scopes").Texts(),
			urls:      item.Get("nonResourceURLs").Texts(),
			class:     readClass(item),
		}
		if len(r.urls) > 0 && len(r.groups)+len(r.resources)+len(r.names)+len(r.scopes) > 0 {
			item.Fail("is about resources and about URLs: make it two rules")
		}
		p.rules = append(p.rules, r)
	}
	otherwise := root.Get("default")
	if !otherwise.Present() {
		otherwise.Fail("is missing: it classifies what no rule matches")
	} else {
		otherwise.Known("dataDomain", "sensitivity")
	}
	p.otherwise = readClass(otherwise)
	return p
}

func readClass(from yamldoc.Value) Class {
	domain, sensitivity := from.Get("dataDomain"), from.Get("sensitivity")
	if domain.Text() == "" {
		domain.Fail("is missing")
	}
	if !slices.Contains(sensitivities, sensitivity.Text()) {
		sensitivity.Fail("must be restricted, confidential, internal or public")
	}
	return Class{DataDomain: domain.Text(), Sensitivity: sensitivity.Text()}
}

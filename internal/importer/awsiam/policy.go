package awsiam

import (
	"bytes"
	_ "embed" // the policy table
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
)

//go:embed policy.yaml
var policyTable []byte

// defaultPolicy is the table that comes with the product.
var defaultPolicy = sync.OnceValues(func() (*Policy, error) {
	return LoadPolicy(bytes.NewReader(policyTable), "policy.yaml")
})

// Policy says what the lists of an account leave open: how sensitive a resource is
// and to which domain it belongs, and which tags name environment, owner and tier.
// The format is described in policy.yaml.
type Policy struct {
	environmentTags, ownerTags, tierTags []string
	rules                                []policyRule
	otherwise                            Class
}

// Class is what a policy table says about a resource.
type Class struct {
	DataDomain  string
	Sensitivity string
}

// policyRule classifies what its patterns match. A list that is empty matches
// everything.
type policyRule struct {
	services, resources []string
	class               Class
}

// sensitivities from the least to the most.
var sensitivities = []string{"public", "internal", "confidential", "restricted"}

// Classify judges a destination as the most sensitive thing that it covers: rules
// are asked in order, each takes its share of what is left, and the first that
// takes the rest ends it. Of equals the one that takes the rest wins, or else the
// first.
func (p *Policy) Classify(service, pattern string) Class {
	general, _ := generalise(pattern)
	var worst *Class
	for i := range p.rules {
		share := p.rules[i].takes(service, general)
		if share == none {
			continue
		}
		class := &p.rules[i].class
		if worst == nil || rank(*class) > rank(*worst) || share == whole && rank(*class) == rank(*worst) {
			worst = class
		}
		if share == whole {
			return *worst
		}
	}
	if worst == nil || rank(p.otherwise) >= rank(*worst) {
		worst = &p.otherwise
	}
	return *worst
}

func rank(class Class) int { return slices.Index(sensitivities, class.Sensitivity) }

// takes says how much of a destination a rule is about.
func (r *policyRule) takes(service, pattern string) extent {
	share := whole
	if len(r.services) > 0 {
		share = extentOf(r.services, service, covers)
	}
	if len(r.resources) > 0 && share != none {
		share = min(share, extentOf(r.resources, pattern, covers))
	}
	return share
}

// LoadPolicy reads a policy table. The name stands in errors.
func LoadPolicy(r io.Reader, name string) (*Policy, error) {
	return yamldoc.ReadPolicy(r, name, readTable)
}

func readTable(root yamldoc.Value) *Policy {
	root.Known("environmentTags", "ownerTags", "tierTags", "rules", "default")
	p := &Policy{environmentTags: root.Get("environmentTags").Texts(), ownerTags: root.Get("ownerTags").Texts(), tierTags: root.Get("tierTags").Texts()}
	for _, item := range root.Get("rules").Items() {
		item.Known("services", "resources", "dataDomain", "sensitivity")
		rule := policyRule{resources: item.Get("resources").Texts(), class: readClass(item)}
		for _, service := range item.Get("services").Texts() {
			rule.services = append(rule.services, strings.ToLower(service))
		}
		p.rules = append(p.rules, rule)
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

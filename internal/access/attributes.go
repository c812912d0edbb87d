package access

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// DefaultPrefix is what the names of the claims with attributes begin with.
const DefaultPrefix = "stellaops:"

// The attributes by which a bearer can be limited, as accounts and the command line
// name them. In requests and claims they begin with vuln_.
const (
	Environment  = "env"
	Owner        = "owner"
	BusinessTier = "business_tier"
)

// AttributeNames are all attributes.
var AttributeNames = []string{Environment, Owner, BusinessTier}

const (
	// maxValues bounds the values of one attribute, and maxValue the bytes of each.
	maxValues = 64
	maxValue  = 128
)

// Attributes limit what an actor is shown: to rows whose attribute is one of the
// values. An attribute without values limits nothing.
type Attributes struct {
	Environment  []string
	Owner        []string
	BusinessTier []string
}

// Of gives the values of an attribute by its name, to read or to set.
func (a *Attributes) Of(name string) *[]string {
	switch name {
	case Environment:
		return &a.Environment
	case Owner:
		return &a.Owner
	case BusinessTier:
		return &a.BusinessTier
	}
	return nil
}

// Limited says whether anything is kept from the actor by its attributes.
func (a Attributes) Limited() bool {
	return len(a.Environment)+len(a.Owner)+len(a.BusinessTier) > 0
}

// Filter is the same as statements take it.
func (a Attributes) Filter() db.Attributes {
	return db.Attributes{Environments: a.Environment, Owners: a.Owner, BusinessTiers: a.BusinessTier}
}

// rights names the attributes, whatever the order of their values.
func (a Attributes) rights() string {
	sorted := func(values []string) []string { return slices.Sorted(slices.Values(values)) }
	return fmt.Sprintf("%q %q %q", sorted(a.Environment), sorted(a.Owner), sorted(a.BusinessTier))
}

func (a Attributes) check() error {
	for _, name := range AttributeNames {
		values := *a.Of(name)
		if len(values) > maxValues {
			return attributeInvalid(name, "%d values; it can have %d", len(values), maxValues)
		}
		for _, value := range values {
			if err := CheckAttribute(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckAttribute holds a value against what can be one. It has no white space,
// because requests separate values by it.
func CheckAttribute(name, value string) error {
	odd := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	switch {
	case !slices.Contains(AttributeNames, name):
		return problem.New(problem.Invalid, "ATTRIBUTE_UNKNOWN", "there is no attribute %.80q; there are %s", name, strings.Join(AttributeNames, ", ")).On("attribute")
	case value == "":
		return attributeInvalid(name, "an empty value; leave the attribute out to limit nothing by it")
	case len(value) > maxValue:
		return attributeInvalid(name, "a value of %d bytes; it can have %d", len(value), maxValue)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, odd):
		return attributeInvalid(name, "the value %.80q; a value is a text without white space", value)
	}
	return nil
}

func attributeInvalid(name, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, "ATTRIBUTE_INVALID", "the attribute %s has "+format, append([]any{name}, args...)...).On(name)
}

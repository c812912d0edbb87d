package authority

import "strings"

// Sensitivity of a resource, ordered: a greater one is more sensitive.
type Sensitivity int16

// The sensitivities.
const (
	SensitivityUnknown Sensitivity = iota
	Public
	Internal
	Confidential
	Restricted
)

// sensitivityWords maps the words that sources use to the four levels. The
// word a source used is kept beside the level.
var sensitivityWords = map[string]Sensitivity{
	"public": Public, "none": Public, "open": Public, "unclassified": Public,
	"internal": Internal, "low": Internal, "general": Internal, "private": Internal,
	"confidential": Confidential, "medium": Confidential, "moderate": Confidential, "high": Confidential, "sensitive": Confidential,
	"restricted": Restricted, "critical": Restricted, "secret": Restricted, "highly_confidential": Restricted, "top_secret": Restricted,
}

// ParseSensitivity finds the level that a source's word means; an unknown word
// is an unknown sensitivity, not a guess.
func ParseSensitivity(word string) Sensitivity { return sensitivityWords[normal(word)] }

// domainWords maps the words that sources use for the same domain to one.
var domainWords = map[string]string{
	"financial": "finance", "accounting": "finance", "billing": "finance", "payments": "finance",
	"iam": "identity_platform", "identity": "identity_platform", "directory": "identity_platform", "identity_provider": "identity_platform",
	"human_resources": "hr", "people": "hr",
	"customer_data": "customer", "crm": "customer", "pii": "customer",
	"source_control": "source_code", "code": "source_code",
	"logging": "observability", "monitoring": "observability", "logs": "observability", "metrics": "observability",
	"networking": "network",
}

// CanonicalDomain is the one word for a data domain; a word without a synonym
// stands for itself.
func CanonicalDomain(word string) string {
	word = normal(word)
	if canonical, ok := domainWords[word]; ok {
		return canonical
	}
	return word
}

func normal(word string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return '_'
		}
		return r
	}, word)
}

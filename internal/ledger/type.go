package ledger

import (
	"slices"
	"strconv"
)

// exposureTypes are the types of exposures as entries name them, in the order of
// their numbers: an entry must be readable without this program, whose columns
// have numbers. The words are those of the API, in lower case; a test of the
// package book holds them to the rules and the schema.
var exposureTypes = []string{
	"orphaned_path", "degraded_ownership", "ambiguous_ownership", "unknown_ownership", "dormant_path", "sensitive_reach", "unbound_path",
	"unproven_path", "scope_expansion", "excess_privilege", "external_egress", "llm_egress", "shared_identity",
	"", "", "internet_facing", // the numbers between are set aside
}

// TypeWord is how entries name a type of exposure.
func TypeWord[N ~int16](number N) string {
	if number < 1 || int(number) > len(exposureTypes) || exposureTypes[number-1] == "" {
		return "type_" + strconv.Itoa(int(number))
	}
	return exposureTypes[number-1]
}

// TypeNumber is the type that entries name by this word.
func TypeNumber(word string) (number int16, known bool) {
	at := slices.Index(exposureTypes, word)
	if word == "" {
		at = -1
	}
	return int16(at + 1), at >= 0 //nolint:gosec // there are a dozen
}

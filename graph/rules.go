package graph

import (
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// discreetRules are the rules of validation that name a fault and not what would be
// right: suggestions spell the schema out to who may not ask for it. What gqlgen
// switches off by itself are those about fields alone.
func discreetRules() *rules.Rules {
	list := rules.NewDefaultRules()
	list.ReplaceRule(rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
	list.ReplaceRule(rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	list.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	return list
}

package evidencepack

import (
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// What is stored as a number stands in a pack as the word that the API has for
// it, in lower case: a test holds them to the schema. The types of exposures are
// those of package ledger.

var severityWords = map[rule.Severity]string{rule.Low: "low", rule.Medium: "medium", rule.High: "high", rule.Critical: "critical"}

var dispositionWords = map[exposure.Disposition]string{
	exposure.DispositionOpen:          "open",
	exposure.DispositionAcknowledged:  "acknowledged",
	exposure.DispositionRiskAccepted:  "risk_accepted",
	exposure.DispositionFalsePositive: "false_positive",
}

var sensitivityWords = map[authority.Sensitivity]string{
	authority.SensitivityUnknown: "unknown",
	authority.Public:             "public",
	authority.Internal:           "internal",
	authority.Confidential:       "confidential",
	authority.Restricted:         "restricted",
}

var basisWords = map[record.Basis]string{
	record.Mapping:   "mapping",
	record.Inventory: "inventory",
	record.Manifest:  "manifest",
	record.Inferred:  "inferred",
}

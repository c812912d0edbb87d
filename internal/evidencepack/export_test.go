package evidencepack

import (
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// ReadQueries are the statements that read.
var ReadQueries = readQueries

// SealQueries are the statements of sealing besides.
var SealQueries = sealQueries

// Narrow is a reader whose packs hold no more than this.
func Narrow(paths, exposures, evidence, records int) *Reader {
	return &Reader{limits: &limits{paths, exposures, evidence, records}}
}

// Words are the words of each enumeration of the API that stands in a pack.
func Words() map[string][]string {
	words := map[string][]string{}
	for _, d := range rule.Definitions {
		words["ExposureType"] = append(words["ExposureType"], ledger.TypeWord(d.Type))
		words["FindingType"] = append(words["FindingType"], d.Key)
	}
	for s := rule.Low; s <= rule.Critical; s++ {
		words["Severity"] = append(words["Severity"], severityWords[s])
	}
	for d := exposure.DispositionOpen; d <= exposure.DispositionFalsePositive; d++ {
		words["Disposition"] = append(words["Disposition"], dispositionWords[d])
	}
	for s := authority.SensitivityUnknown; s <= authority.Restricted; s++ {
		words["Sensitivity"] = append(words["Sensitivity"], sensitivityWords[s])
	}
	for b := record.Mapping; b <= record.Inferred; b++ {
		words["AssertionBasis"] = append(words["AssertionBasis"], basisWords[b])
	}
	return words
}

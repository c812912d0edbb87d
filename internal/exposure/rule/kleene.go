package rule

import (
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Retired says whether the organization switched the rule off.
func Retired(r Rule, s Settings) bool { return slices.Contains(s.DisabledRules, r) }

// exists says whether there is something: what was seen is there, and what was
// not is absent only if somebody looked completely.
func exists(seen bool, c Coverage) Outcome {
	switch {
	case seen:
		return True
	case c == Complete:
		return False
	}
	return Unknown
}

func not(o Outcome) Outcome {
	switch o {
	case True:
		return False
	case False:
		return True
	}
	return Unknown
}

func and(a, b Outcome) Outcome {
	switch {
	case a == False || b == False:
		return False
	case a == True && b == True:
		return True
	}
	return Unknown
}

// found is the verdict True, detected now.
func found(r Rule, subject id.ID, explanation string, e Evidence) Verdict {
	return Verdict{
		Rule: r, Outcome: True, Explanation: explanation,
		Evidence: e, EvidenceDigest: e.Digest(r, subject), Basis: Detected,
	}
}

// gone is the verdict False.
func gone(r Rule, reason Reason) Verdict { return Verdict{Rule: r, Outcome: False, Reason: reason} }

// unknown is the verdict Unknown.
func unknown(r Rule) Verdict { return Verdict{Rule: r, Outcome: Unknown} }

// since gives a verdict a beginning that is known.
func (v Verdict) since(from time.Time, basis Basis) Verdict {
	v.EffectiveFrom, v.Basis = from, basis
	return v
}

package rule

import "bytes"

// ChangeKind is what a verdict does to a condition.
type ChangeKind int16

// The kinds of changes.
const (
	ChangeNone   ChangeKind = iota // none is open, and none opens
	ChangeOpen                     // one opens
	ChangeKeep                     // the open one stays as it is, for what its rule knows of it
	ChangeUpdate                   // it stays, and its evidence or the version of its rule differs
	ChangeClose                    // it resolves, for a reason
	ChangeDoubt                    // it stays, but nobody can say whether it still holds
)

// Change is what follows from a verdict for the condition of its rule and
// subject.
type Change struct {
	Kind   ChangeKind
	Reason Reason // of ChangeClose
}

// Decide says what follows from a verdict, given the open condition, if there
// is one, and the version of the rule that judged.
//
// A text may differ where the evidence does not, because a name in it changed:
// who stored the text compares it when told to keep. A doubt that was recorded
// ends with ChangeKeep, ChangeUpdate and ChangeClose.
//
// A condition that another version of the rule opened, and this one does not
// find, resolves because the rule changed: that its facts changed, too, cannot
// be told apart. Only a subject that is gone remains the reason itself.
func Decide(open *Open, v Verdict, ruleVersion int) Change {
	switch {
	case open == nil && v.Outcome == True:
		return Change{Kind: ChangeOpen}
	case open == nil:
		return Change{Kind: ChangeNone}
	case v.Outcome == Unknown:
		return Change{Kind: ChangeDoubt}
	case v.Outcome == False:
		reason := v.Reason
		if open.RuleVersion != ruleVersion && reason != WorkloadRemoved && reason != IdentityRemoved {
			reason = RuleChanged
		}
		return Change{Kind: ChangeClose, Reason: reason}
	case open.RuleVersion != ruleVersion || !bytes.Equal(open.Evidence.JSON(), v.Evidence.JSON()):
		return Change{Kind: ChangeUpdate}
	}
	return Change{Kind: ChangeKeep}
}

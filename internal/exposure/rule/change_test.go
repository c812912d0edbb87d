package rule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	open := &rule.Open{RuleVersion: 1, Evidence: rule.Evidence{Hosts: []string{"a"}}}
	same := rule.Evidence{Hosts: []string{"a"}}
	for name, c := range map[string]struct {
		open    *rule.Open
		verdict rule.Verdict
		version int
		want    rule.Change
	}{
		"nothing":                      {nil, rule.Verdict{Outcome: rule.False, Reason: rule.EgressRemoved}, 1, rule.Change{Kind: rule.ChangeNone}},
		"nobody knows, and none":       {nil, rule.Verdict{Outcome: rule.Unknown}, 1, rule.Change{Kind: rule.ChangeNone}},
		"opens":                        {nil, rule.Verdict{Outcome: rule.True}, 1, rule.Change{Kind: rule.ChangeOpen}},
		"stays":                        {open, rule.Verdict{Outcome: rule.True, Evidence: same}, 1, rule.Change{Kind: rule.ChangeKeep}},
		"other evidence":               {open, rule.Verdict{Outcome: rule.True}, 1, rule.Change{Kind: rule.ChangeUpdate}},
		"another version finds it too": {open, rule.Verdict{Outcome: rule.True, Evidence: same}, 2, rule.Change{Kind: rule.ChangeUpdate}},
		"doubt":                        {open, rule.Verdict{Outcome: rule.Unknown}, 1, rule.Change{Kind: rule.ChangeDoubt}},
		"doubt of another version":     {open, rule.Verdict{Outcome: rule.Unknown}, 2, rule.Change{Kind: rule.ChangeDoubt}},
		"resolves": {open, rule.Verdict{Outcome: rule.False, Reason: rule.EgressRemoved}, 1,
			rule.Change{Kind: rule.ChangeClose, Reason: rule.EgressRemoved}},
		"another version finds it no more": {open, rule.Verdict{Outcome: rule.False, Reason: rule.EgressRemoved}, 2,
			rule.Change{Kind: rule.ChangeClose, Reason: rule.RuleChanged}},
		"gone, whatever the version": {open, rule.Verdict{Outcome: rule.False, Reason: rule.WorkloadRemoved}, 2,
			rule.Change{Kind: rule.ChangeClose, Reason: rule.WorkloadRemoved}},
	} {
		require.Equal(t, c.want, rule.Decide(c.open, c.verdict, c.version), name)
	}
}

// What the database gives back of a time, in whatever zone, is the same
// evidence.
func TestDecideComparesInstants(t *testing.T) {
	t.Parallel()
	utc := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	there := utc.In(time.FixedZone("there", 3600))
	open := &rule.Open{RuleVersion: 1, Evidence: rule.Evidence{LastActiveAt: &there}}
	verdict := rule.Verdict{Outcome: rule.True, Evidence: rule.Evidence{LastActiveAt: &utc}}
	require.Equal(t, rule.Change{Kind: rule.ChangeKeep}, rule.Decide(open, verdict, 1))
	require.Equal(t, there.Location(), open.Evidence.LastActiveAt.Location(), "the caller's time is left alone")
}

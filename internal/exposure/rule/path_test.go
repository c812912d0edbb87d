package rule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// places are what fills the texts of a path.
func places(resource, sensitivity, domain, actions, roles, workload, identity string) []string {
	return []string{resource, sensitivity, domain, actions, roles, workload, identity}
}

func TestPrivilegeGap(t *testing.T) {
	t.Parallel()
	fields := strings.Fields
	for name, c := range map[string]struct {
		facts   rule.Privilege
		outcome rule.Outcome
		reason  rule.Reason
		text    string
		unused  []string
	}{
		"a gap": {rule.Privilege{Granted: fields("delete get write"), Used: fields("get list"), Proven: true, Execution: rule.Complete}, rule.True, "",
			"%7$s may delete, write on %1$s; only get, list observed in 90 days.", fields("delete write")},
		"a percent sign": {rule.Privilege{Granted: fields("delete:50%"), Used: fields("read:%1$s"), Proven: true, Execution: rule.Complete}, rule.True, "",
			"%7$s may delete:50%% on %1$s; only read:%%1$s observed in 90 days.", fields("delete:50%")},
		"an asterisk that only reads": {rule.Privilege{Granted: fields("*"), Used: fields("get"), Proven: true, Execution: rule.Complete}, rule.True, "",
			"%7$s may * on %1$s; only get observed in 90 days.", fields("*")},
		"an asterisk that writes": {rule.Privilege{Granted: fields("*"), Used: fields("get patch"), Proven: true, Execution: rule.Complete}, rule.False, "", "", nil},
		"patterns": {rule.Privilege{Granted: fields("iam:* s3:* s3:Put*Acl"), Used: fields("s3:PutObject"), Proven: true, Execution: rule.Complete}, rule.True, "",
			"%7$s may iam:*, s3:Put*Acl on %1$s; only s3:PutObject observed in 90 days.", fields("iam:* s3:Put*Acl")},
		"only reading":                     {rule.Privilege{Granted: fields("get list"), Used: fields("get"), Proven: true, Execution: rule.Complete}, rule.False, "", "", nil},
		"only reading, and nobody watches": {rule.Privilege{Granted: fields("get list"), Execution: rule.NotCollected}, rule.False, "", "", nil},
		"exercised, as far as is known":    {rule.Privilege{Granted: fields("Delete"), Used: fields("delete"), Proven: true, Opaque: true, Execution: rule.Incomplete}, rule.False, "", "", nil},
		"some evidence names no action":    {rule.Privilege{Granted: fields("delete"), Used: fields("get"), Proven: true, Opaque: true, Execution: rule.Complete}, rule.Unknown, "", "", nil},
		"no evidence names an action":      {rule.Privilege{Granted: fields("delete"), Proven: true, Execution: rule.Complete}, rule.Unknown, "", "", nil},
		"not watched all the time":         {rule.Privilege{Granted: fields("delete"), Used: fields("get"), Proven: true, Execution: rule.Expired}, rule.Unknown, "", "", nil},
		"nothing is proven any longer":     {rule.Privilege{Granted: fields("delete"), Execution: rule.Complete}, rule.False, rule.ExecutionCeased, "", nil},
		"what is unused is justified": {rule.Privilege{Granted: fields("delete get write"), Used: fields("get write"), Justified: fields("delete"), Proven: true,
			Execution: rule.Complete}, rule.False, rule.JustificationRecorded, "", nil},
		"justified, whoever looks": {rule.Privilege{Granted: fields("delete"), Justified: fields("delete"), Opaque: true}, rule.False, rule.JustificationRecorded, "", nil},
		"another action is justified": {rule.Privilege{Granted: fields("delete get write"), Used: fields("get"), Justified: fields("delete get"), Proven: true,
			Execution: rule.Complete}, rule.True, "", "%7$s may write on %1$s; only get observed in 90 days.", fields("write")},
		"a pattern is more than an action of it": {rule.Privilege{Granted: fields("*"), Used: fields("get"), Justified: fields("delete"), Proven: true,
			Execution: rule.Complete}, rule.True, "", "%7$s may * on %1$s; only get observed in 90 days.", fields("*")},
		"used and justified":                   {rule.Privilege{Granted: fields("delete"), Used: fields("delete"), Justified: fields("delete"), Proven: true}, rule.False, "", "", nil},
		"partly justified, and nobody watches": {rule.Privilege{Granted: fields("delete write"), Used: fields("get"), Justified: fields("delete"), Proven: true}, rule.Unknown, "", "", nil},
		"nothing is known":                     {rule.Privilege{Granted: fields("delete"), Execution: rule.Incomplete}, rule.Unknown, "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := rule.JudgePrivilege(c.facts, rule.Defaults())
			require.Equal(t, rule.PrivilegeGap, v.Rule)
			require.Equal(t, c.outcome, v.Outcome)
			require.Equal(t, c.reason, v.Reason)
			require.Equal(t, c.text, v.PathExplanation)
			require.Equal(t, c.unused, v.Evidence.ActionsUnused)
			require.Equal(t, v.Reason == rule.JustificationRecorded, len(c.facts.Excused()) > 0 && c.unused == nil && c.outcome == rule.False)
			require.Equal(t, v.Outcome == rule.True, v.EvidenceDigest != [16]byte{})
			if c.text != "" {
				require.NotContains(t, rule.Format(c.text, places("vault", "", "", "", "", "", "sp-1")...), "%%")
			}
		})
	}
	facts := rule.Privilege{Granted: fields("delete"), Used: fields("get"), Proven: true, Execution: rule.Complete}
	s := rule.Defaults()
	s.PrivilegeWindow = 24 * time.Hour
	day, quarter := rule.JudgePrivilege(facts, s), rule.JudgePrivilege(facts, rule.Defaults())
	require.Equal(t, "%7$s may delete on %1$s; only get observed in 1 day.", day.PathExplanation)
	require.Equal(t, quarter.EvidenceDigest, day.EvidenceDigest)
	facts.Granted = fields("delete write")
	both := rule.JudgePrivilege(facts, rule.Defaults())
	require.NotEqual(t, quarter.EvidenceDigest, both.EvidenceDigest)
	facts.Justified = fields("write")
	require.NotEqual(t, both.EvidenceDigest, rule.JudgePrivilege(facts, rule.Defaults()).EvidenceDigest, "what is left unjustified is another finding")
}

func TestReachableSensitiveDomain(t *testing.T) {
	t.Parallel()
	for code := range rule.Traits {
		trait := rule.TraitOf(code)
		v := rule.JudgeReach(trait)
		switch trait.Sensitivity {
		case authority.Confidential, authority.Restricted:
			require.Equal(t, rule.True, v.Outcome)
			require.Equal(t, "%6$s can %4$s %1$s in %3$s (%2$s) via %5$s.", v.PathExplanation)
			require.Equal(t, v.EvidenceDigest, rule.JudgeReach(rule.Trait{Sensitivity: trait.Sensitivity, Writes: trait.Writes}).EvidenceDigest)
			require.NotEqual(t, v.EvidenceDigest, rule.JudgeReach(rule.Trait{Sensitivity: trait.Sensitivity, Writes: !trait.Writes}).EvidenceDigest)
		case authority.Public, authority.Internal:
			require.Equal(t, rule.Verdict{Rule: rule.SensitiveDomain, Outcome: rule.False, Reason: rule.SensitivityReclassified}, v)
		default:
			require.Equal(t, rule.Verdict{Rule: rule.SensitiveDomain, Outcome: rule.Unknown}, v)
		}
	}
	require.NotEqual(t, rule.JudgeReach(rule.Trait{Sensitivity: authority.Restricted}).EvidenceDigest,
		rule.JudgeReach(rule.Trait{Sensitivity: authority.Confidential}).EvidenceDigest)
}

package awsiam

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// FuzzParse holds that whatever the files are, the answer is a typed fault or
// records that a sync can take: each tie between entities that were named, each
// said once.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		dump, `{}`, `[]`, ``, `{"Policies":[{"Arn":"arn:aws:iam::aws:policy/P","PolicyName":"P"}]}`,
		`{"Functions":[{"FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f:7","FunctionName":"f","Role":"arn:aws:iam::123456789012:role/r"}]}`,
		`{"Reservations":[{"OwnerId":"123456789012","Instances":[{"InstanceId":"i-1","Tags":[{"Key":"Name","Value":"a"}]}]}]}`,
	} {
		f.Add(seed, seed)
	}
	f.Add(account{policies: map[string]string{"P": "[" + allow("s3:*", "*") + "," + deny("s3:Put*", "*") + "]"}, roles: [][2]string{
		{"a", attached("P", "Q") + trusts(lets(`{"AWS":"*"}`))},
		{"b", attached("P") + inline(deny("s3:Get*", "*")) + `,"RoleLastUsed":{"LastUsedDate":"2026-01-02 00:00:00+00:00"}`},
	}}.dump(), functions)
	f.Fuzz(func(t *testing.T, one, other string) {
		var got recordtest.Collector
		err := Parse(texts(one, other), Options{}, &got)
		if err != nil {
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.True(t, strings.HasPrefix(fault.Code, "AWS_"), fault.Code)
			return
		}
		requireConsistent(t, &got)
	})
}

// requireConsistent holds what every sync asks of a delivery.
func requireConsistent(t testing.TB, got *recordtest.Collector) {
	t.Helper()
	type said struct {
		ref   record.Ref
		basis record.Basis
	}
	entities, known := map[said]bool{}, map[record.Ref]bool{}
	type tie struct {
		kind     record.EdgeKind
		from, to record.Ref
		scope    string
	}
	ties := map[tie]bool{}
	for _, r := range got.Records {
		switch fact := r.Fact.(type) {
		case record.Entity:
			require.NotEmpty(t, fact.SourceID)
			require.True(t, utf8.ValidString(fact.SourceID+fact.Name))
			require.LessOrEqual(t, len(fact.SourceID), 1024)
			require.NotContains(t, fact.SourceID+fact.Name, "\x00")
			require.False(t, entities[said{fact.Ref, fact.Basis}], "%v is said twice", fact.Ref)
			entities[said{fact.Ref, fact.Basis}], known[fact.Ref] = true, true
		case record.Edge:
			key := tie{fact.Kind, fact.From, fact.To, fact.Scope}
			require.False(t, ties[key], "%v is said twice", key)
			ties[key] = true
			require.True(t, known[fact.From], "%v of %s", fact.From, fact.Kind)
			require.True(t, known[fact.To], "%v of %s", fact.To, fact.Kind)
			if fact.Kind == record.Grants {
				require.NotEmpty(t, fact.Actions)
			}
		case record.Coverage:
			require.True(t, fact.Entity == nil || known[*fact.Entity])
		case record.Evidence:
			require.True(t, known[*fact.Identity])
			require.Positive(t, fact.Count)
		}
	}
	for _, r := range got.Rejections {
		require.NotEmpty(t, r.Code)
		require.NotEmpty(t, r.Reason)
		require.NotEmpty(t, r.File)
	}
}

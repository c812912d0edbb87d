package awsiam

import (
	"fmt"
	"iter"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

const (
	acme = "123456789012"
	iam  = "arn:aws:iam::" + acme + ":"

	trustsLambda = `{"Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	trustsEC2    = `{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	dump         = `{"UserDetailList":[{"UserName":"ada","Arn":"arn:aws:iam::123456789012:user/ada","GroupList":["g"],"AttachedManagedPolicies":[]}],
 "GroupDetailList":[{"GroupName":"g","Arn":"arn:aws:iam::123456789012:group/g","GroupPolicyList":[],"AttachedManagedPolicies":[{"PolicyName":"P","PolicyArn":"arn:aws:iam::aws:policy/P"}]}],
 "RoleDetailList":[{"RoleName":"r","Arn":"arn:aws:iam::123456789012:role/r","AssumeRolePolicyDocument":` + trustsLambda + `,
  "RolePolicyList":[{"PolicyName":"in","PolicyDocument":{"Statement":[{"Sid":"One","Effect":"Allow","Action":"s3:*","Resource":"*"}]}}],
  "AttachedManagedPolicies":[],"InstanceProfileList":[]}],
 "Policies":[{"PolicyName":"P","Arn":"arn:aws:iam::aws:policy/P","DefaultVersionId":"v1","PolicyVersionList":[{"VersionId":"v1","IsDefaultVersion":true,
  "Document":{"Statement":{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["*"]}}}]}]}`
	functions = `{"Functions":[{"FunctionName":"f","FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f","Role":"arn:aws:iam::123456789012:role/r","CodeSha256":"abc="}]}`
)

// texts are files called a.json, b.json and so on.
func texts(contents ...string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for i, content := range contents {
			if !yield(File{Name: string(rune('a'+i)) + ".json", Content: strings.NewReader(content)}, nil) {
				return
			}
		}
	}
}

func parsed(t testing.TB, contents ...string) *recordtest.Collector {
	t.Helper()
	var got recordtest.Collector
	require.NoError(t, Parse(texts(contents...), Options{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, &got))
	requireConsistent(t, &got)
	return &got
}

// account is a dump of roles, each written as fields beside its name.
type account struct {
	roles    [][2]string // name, fields
	users    [][2]string
	policies map[string]string // name of a managed policy, its statements
}

func (a account) dump() string {
	list := func(kind string, items [][2]string) string {
		var parts []string
		for _, item := range items {
			fields := item[1]
			if kind == "Role" && !strings.Contains(fields, "AssumeRolePolicyDocument") {
				fields += `,"AssumeRolePolicyDocument":` + trustsLambda
			}
			parts = append(parts, fmt.Sprintf(`{"%sName":%q,"Arn":"%s%s/%s"%s}`, kind, item[0], iam, strings.ToLower(kind), item[0], fields))
		}
		return "[" + strings.Join(parts, ",\n") + "]"
	}
	var policies []string
	for _, name := range slices.Sorted(maps.Keys(a.policies)) {
		policies = append(policies, fmt.Sprintf(`{"PolicyName":%q,"Arn":"%spolicy/%s","DefaultVersionId":"v2","PolicyVersionList":[
			{"VersionId":"v1","IsDefaultVersion":false,"Document":{"Statement":{"Effect":"Allow","Action":"old:Thing","Resource":"*"}}},
			{"VersionId":"v2","IsDefaultVersion":true,"Document":{"Version":"2012-10-17","Statement":%s}}]}`, name, iam, name, a.policies[name]))
	}
	return `{"UserDetailList":` + list("User", a.users) + `,"GroupDetailList":[],"RoleDetailList":` + list("Role", a.roles) +
		`,"Policies":[` + strings.Join(policies, ",") + `]}`
}

func inline(statements ...string) string {
	return `,"RolePolicyList":[{"PolicyName":"in","PolicyDocument":{"Statement":[` + strings.Join(statements, ",") + `]}}]`
}

func attached(names ...string) string {
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf(`{"PolicyName":%q,"PolicyArn":"%spolicy/%s"}`, name, iam, name))
	}
	return `,"AttachedManagedPolicies":[` + strings.Join(parts, ",") + `]`
}

func allow(action, resource string) string { return rule("Allow", action, resource) }
func deny(action, resource string) string  { return rule("Deny", action, resource) }
func rule(effect, action, resource string) string {
	return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q}`, effect, action, resource)
}

// reach is what an identity may do: destination to actions, through the policies
// that it holds in the scope in which they grant.
func reach(got *recordtest.Collector, identity string) map[string][]string {
	all := map[string][]string{}
	for _, h := range got.Edges(record.HasRole) {
		if h.From.SourceID != identity {
			continue
		}
		for _, g := range got.Edges(record.Grants) {
			if g.From == h.To && g.Scope == h.Scope {
				list := append(all[g.To.SourceID], g.Actions...)
				slices.Sort(list)
				all[g.To.SourceID] = slices.Compact(list)
			}
		}
	}
	return all
}

func codes(got *recordtest.Collector) []string {
	var list []string
	for _, w := range got.Warnings {
		if w.Code != "OUTSIDE_NOT_KNOWN" && w.Code != "SERVICE_NOT_LISTED" {
			list = append(list, w.Code)
		}
	}
	slices.Sort(list)
	return list
}

// partial says whether what is known of an entity is claimed to be partial.
func partial(got *recordtest.Collector, kind record.EvidenceKind, id string) bool {
	all := false
	for _, claim := range got.Coverage() {
		if claim.Kind != kind {
			continue
		}
		if claim.Entity == nil {
			all = claim.Partial
		} else if claim.Entity.SourceID == id {
			return claim.Partial
		}
	}
	return all
}

func becomes(got *recordtest.Collector) (list []string) {
	for _, edge := range got.Edges(record.Authenticates) {
		list = append(list, strings.TrimPrefix(edge.From.SourceID, iam)+" "+strings.TrimPrefix(edge.To.SourceID, iam))
	}
	slices.Sort(list)
	return list
}

func TestParse(t *testing.T) {
	t.Parallel()
	got := parsed(t, dump, functions)
	require.Empty(t, got.Rejections)
	require.Equal(t, []recordtest.Path{{
		Workload: "arn:aws:lambda:eu-west-1:123456789012:function:f", Identity: iam + "role/r", Resource: "s3|*",
		Roles: []string{iam + "role/r|in"}, Actions: []string{"s3:*"}, Effective: true,
	}}, got.Paths())
	f := got.Entities(record.Workload)["arn:aws:lambda:eu-west-1:123456789012:function:f"]
	require.Equal(t, "sha256:abc=", f.ArtifactIdentifier)
	require.Equal(t, "AWS::Lambda::Function", f.SourceType)
	require.Empty(t, f.ExecutionMode, "no list says what makes a function run")
	require.Equal(t, map[string][]string{"kms|*": {"kms:Decrypt"}}, reach(got, iam+"user/ada"), "through the group")
	require.Equal(t, "AWS::IAM::Group", got.Entities(record.Role)[iam+"group/g"].SourceType)
	resource := got.Entities(record.Resource)["kms|*"]
	require.Equal(t, "everything in kms", resource.Name)
	require.Equal(t, "restricted", resource.Sensitivity)
	require.Equal(t, record.Inferred, resource.Basis)

	// The order of the files means nothing.
	other := parsed(t, functions, dump)
	require.Equal(t, got.Paths(), other.Paths())
}

// TestShared counts what the dumps hold against what their sources say of them.
func TestShared(t *testing.T) {
	t.Parallel()
	root := recordtest.SharedData(t, "aws-iam")
	for name, c := range map[string]struct {
		files  string
		counts Counts
		id     string
	}{
		"cloudsplaining":    {"cloudsplaining/example-authz-details.json", Counts{Users: 3, Groups: 2, Roles: 3, Policies: 32, InstanceProfiles: 1}, "012345678901"},
		"cloudsplaining v2": {"cloudsplaining/example_authz_v2.json", Counts{Users: 1, Groups: 1, Roles: 2, Policies: 2}, "012345678901"},
		"cloudmapper": {"cloudmapper-demo/*.json", Counts{Users: 2, Groups: 1, Roles: 4, Policies: 2,
			Functions: 1, Instances: 3, Buckets: 1, Databases: 1, Secrets: 1}, acme},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paths, err := filepath.Glob(filepath.Join(root, c.files))
			require.NoError(t, err)
			var contents []string
			for _, path := range paths {
				content, err := os.ReadFile(path)
				require.NoError(t, err)
				contents = append(contents, string(content))
			}
			read, err := Read(texts(contents...), Options{})
			require.NoError(t, err)
			require.Equal(t, c.counts, read.Counts())
			require.Equal(t, c.id, read.ID())
			require.False(t, read.Cut())

			got := parsed(t, contents...)
			require.Empty(t, got.Rejections)
			byType := map[string]int{}
			for _, kind := range []record.EntityKind{record.Workload, record.Identity, record.Role, record.Resource} {
				for _, entity := range got.Entities(kind) {
					if entity.Basis == record.Inventory || kind == record.Resource {
						byType[entity.SourceType]++
					}
				}
			}
			require.Equal(t, c.counts.Users, byType[typeUser])
			require.Equal(t, c.counts.Roles, byType[typeRole])
			require.Equal(t, c.counts.Groups, byType[typeGroup])
			require.Equal(t, c.counts.Policies, byType[typeManaged])
			require.Equal(t, c.counts.Functions, byType[typeFunction])
			require.Equal(t, c.counts.Instances, byType[typeInstance])
			listed := map[string]bool{}
			for _, r := range got.Records {
				if entity, ok := r.Fact.(record.Entity); ok && entity.Kind == record.Resource && entity.Basis == record.Inventory {
					listed[entity.SourceType+" "+entity.Name] = true
				}
			}
			require.Len(t, listed, c.counts.Buckets+c.counts.Databases+c.counts.Secrets)
			if name == "cloudmapper" {
				require.Equal(t, map[string]bool{"AWS::S3::Bucket cloudmapper_demo": true, "AWS::RDS::DBInstance database": true,
					"AWS::SecretsManager::Secret demo-secret": true}, listed)
			}
			if name == "cloudsplaining" { // RoleLastUsed of OverprivilegedEC2
				require.Equal(t, []record.Evidence{{Identity: &record.Ref{Kind: record.Identity, SourceID: "arn:aws:iam::012345678901:role/OverprivilegedEC2"},
					Day: time.Date(2019, 1, 20, 0, 0, 0, 0, time.UTC), LastAt: time.Date(2019, 1, 20, 18, 48, 0, 0, time.UTC), Count: 1}}, evidence(got))
			} else {
				require.Empty(t, evidence(got))
			}
		})
	}
}

func evidence(got *recordtest.Collector) (list []record.Evidence) {
	for _, r := range got.Records {
		if e, ok := r.Fact.(record.Evidence); ok {
			list = append(list, e)
		}
	}
	return list
}

// TestStatements takes one statement after the other through the evaluation.
func TestStatements(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statements []string
		want       map[string][]string
		warned     []string
		partial    bool
	}{
		"a star is one destination of each service": {
			statements: []string{`{"Effect":"Allow","Action":["s3:Get*","S3:PutObject","ec2:Describe*"],"Resource":"*"}`},
			want:       map[string][]string{"s3|*": {"S3:PutObject", "s3:Get*"}, "ec2|*": {"ec2:Describe*"}},
		},
		"everything":       {statements: []string{allow("*", "*")}, want: map[string][]string{"*|*": {"*"}}},
		"everything twice": {statements: []string{allow("*:*", "**")}, want: map[string][]string{"*|*": {"*:*"}}},
		"an action goes with the resources of its service": {
			statements: []string{`{"Effect":"Allow","Action":["s3:GetObject","kms:Decrypt"],"Resource":["arn:aws:s3:::b/*","arn:aws:kms:*:*:key/k"]}`},
			want:       map[string][]string{"arn:aws:s3:::b/*": {"s3:GetObject"}, "arn:aws:kms:*:*:key/k": {"kms:Decrypt"}},
		},
		"every action goes with every resource": {
			statements: []string{`{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::b/*","arn:aws:kms:*:*:key/k"]}`},
			want:       map[string][]string{"arn:aws:s3:::b/*": {"*"}, "arn:aws:kms:*:*:key/k": {"*"}},
		},
		"services that act on resources of another": {
			statements: []string{`{"Effect":"Allow","Action":["sts:AssumeRole","s3:GetObject"],"Resource":["arn:aws:iam::1:role/x","arn:aws:s3:::b/*"]}`},
			want:       map[string][]string{"arn:aws:iam::1:role/x": {"sts:AssumeRole"}, "arn:aws:s3:::b/*": {"s3:GetObject"}},
		},
		"services that nobody knows to fit are kept": {
			statements: []string{`{"Effect":"Allow","Action":["wafv2:AssociateWebACL","s3:GetObject"],"Resource":["arn:aws:elasticloadbalancing:*:*:loadbalancer/*","arn:aws:s3:::b/*"]}`},
			want: map[string][]string{"arn:aws:elasticloadbalancing:*:*:loadbalancer/*": {"s3:GetObject", "wafv2:AssociateWebACL"},
				"arn:aws:s3:::b/*": {"s3:GetObject", "wafv2:AssociateWebACL"}},
		},
		"a deny takes away what it covers": {
			statements: []string{allow("s3:GetObject", "*"), allow("s3:PutObject", "*"), deny("s3:get*", "*")},
			want:       map[string][]string{"s3|*": {"s3:PutObject"}},
		},
		"a deny of everything":         {statements: []string{allow("s3:*", "arn:aws:s3:::b/*"), deny("*", "*")}, want: map[string][]string{}},
		"a deny of what is larger":     {statements: []string{allow("s3:*", "arn:aws:s3:::b/c/*"), deny("s3:*", "arn:aws:s3:::b/*")}, want: map[string][]string{}},
		"a deny of something else":     {statements: []string{allow("s3:GetObject", "*"), deny("ec2:*", "*")}, want: map[string][]string{"s3|*": {"s3:GetObject"}}},
		"a deny of other resources":    {statements: []string{allow("s3:Get*", "arn:aws:s3:::a/*"), deny("s3:*", "arn:aws:s3:::b/*")}, want: map[string][]string{"arn:aws:s3:::a/*": {"s3:Get*"}}},
		"a deny with question marks":   {statements: []string{allow("s3:GetObject", "arn:aws:s3:::b1"), deny("s3:GetObjec?", "arn:aws:s3:::b?")}, want: map[string][]string{}},
		"a deny of some actions":       {statements: []string{allow("s3:*", "*"), deny("s3:Delete*", "*")}, want: map[string][]string{"s3|*": {"s3:*"}}, warned: []string{"DENY_IN_PART"}, partial: true},
		"a deny of some resources":     {statements: []string{allow("s3:GetObject", "*"), deny("s3:GetObject", "arn:aws:s3:::b/*")}, want: map[string][]string{"s3|*": {"s3:GetObject"}}, warned: []string{"DENY_IN_PART"}, partial: true},
		"a deny whose star spans":      {statements: []string{allow("s3:GetObject", "arn:aws:s3:::b"), deny("s3:*", "arn:aws:s3*")}, want: map[string][]string{"arn:aws:s3:::b": {"s3:GetObject"}}, warned: []string{"DENY_IN_PART"}, partial: true},
		"a deny of all actions but":    {statements: []string{allow("s3:GetObject", "*"), allow("ec2:RunInstances", "*"), `{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}`}, want: map[string][]string{"s3|*": {"s3:GetObject"}}},
		"a deny of all resources but":  {statements: []string{allow("s3:GetObject", "arn:aws:s3:::a/*"), allow("s3:GetObject", "arn:aws:s3:::b/*"), `{"Effect":"Deny","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}`}, want: map[string][]string{"arn:aws:s3:::b/*": {"s3:GetObject"}}},
		"a deny with a variable":       {statements: []string{allow("s3:GetObject", "arn:aws:s3:::b/x"), deny("s3:*", "arn:aws:s3:::b/${aws:username}")}, want: map[string][]string{"arn:aws:s3:::b/x": {"s3:GetObject"}}, warned: []string{"DENY_IN_PART"}, partial: true},
		"a deny with a condition":      {statements: []string{allow("s3:GetObject", "*"), `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`}, want: map[string][]string{"s3|*": {"s3:GetObject"}}, warned: []string{"DENY_NOT_EVALUATED"}, partial: true},
		"a deny beside the point":      {statements: []string{allow("s3:GetObject", "*"), `{"Effect":"Deny","Action":"ec2:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`}, want: map[string][]string{"s3|*": {"s3:GetObject"}}},
		"an empty condition":           {statements: []string{`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{}}`}, want: map[string][]string{"s3|*": {"s3:GetObject"}}},
		"a condition":                  {statements: []string{`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}`}, want: map[string][]string{"s3|*": {"s3:GetObject"}}, warned: []string{"CONDITION_NOT_EVALUATED"}, partial: true},
		"every action but":             {statements: []string{`{"Effect":"Allow","NotAction":["iam:*"],"Resource":"*"}`}, want: map[string][]string{"*|*": {"*"}}, warned: []string{"NOT_ACTION_NOT_EVALUATED"}, partial: true},
		"every resource but":           {statements: []string{`{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}`}, want: map[string][]string{"s3|*": {"s3:*"}}, warned: []string{"NOT_RESOURCE_NOT_EVALUATED"}, partial: true},
		"a variable":                   {statements: []string{allow("iam:*", "arn:aws:iam::1:user/${aws:username}")}, want: map[string][]string{"arn:aws:iam::1:user/${aws:username}": {"iam:*"}}, warned: []string{"VARIABLE_NOT_EVALUATED"}, partial: true},
		"a deny covers a variable too": {statements: []string{allow("iam:*", "arn:aws:iam::1:user/${aws:username}"), deny("iam:*", "arn:aws:iam::1:user/*")}, want: map[string][]string{}, warned: []string{"VARIABLE_NOT_EVALUATED"}, partial: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parsed(t, account{roles: [][2]string{{"r", inline(c.statements...)}}}.dump())
			require.Empty(t, got.Rejections)
			require.Equal(t, c.want, reach(got, iam+"role/r"))
			require.Equal(t, c.warned, codes(got))
			require.Equal(t, c.partial, partial(got, record.Roles, iam+"role/r"))
		})
	}
}

// TestDenyOfAnotherPolicy: what one policy denies it denies of all that the
// identity holds, and of nobody else.
func TestDenyOfAnotherPolicy(t *testing.T) {
	t.Parallel()
	policies := map[string]string{"P": "[" + allow("s3:Get*", "*") + "," + allow("s3:Put*", "*") + "]", "guard": deny("s3:Put*", "*")}
	got := parsed(t, account{policies: policies, roles: [][2]string{
		{"free", attached("P")}, {"bound", attached("P", "guard")}, {"inline", attached("P") + inline(deny("s3:Get*", "*"))},
		{"idle", attached("P") + inline(deny("ec2:*", "*"))},
	}}.dump())
	require.Equal(t, map[string][]string{"s3|*": {"s3:Get*", "s3:Put*"}}, reach(got, iam+"role/free"))
	require.Equal(t, map[string][]string{"s3|*": {"s3:Get*"}}, reach(got, iam+"role/bound"))
	require.Equal(t, map[string][]string{"s3|*": {"s3:Put*"}}, reach(got, iam+"role/inline"))
	require.Equal(t, map[string][]string{"s3|*": {"s3:Get*", "s3:Put*"}}, reach(got, iam+"role/idle"))
	scopes := map[string]string{}
	for _, h := range got.Edges(record.HasRole) {
		if h.To.SourceID == iam+"policy/P" {
			scopes[h.From.SourceID] = h.Scope
		}
	}
	require.Equal(t, map[string]string{iam + "role/free": acme, iam + "role/idle": acme,
		iam + "role/bound": iam + "role/bound", iam + "role/inline": iam + "role/inline"}, scopes)
	for _, role := range []string{"free", "bound", "inline", "idle"} {
		require.False(t, partial(got, record.Roles, iam+"role/"+role), "all of it was evaluated")
	}
}

// TestWarnsByName: what was not evaluated has its policy and statement in the
// warning, once, however many hold it.
func TestWarnsByName(t *testing.T) {
	t.Parallel()
	policies := map[string]string{"P": `[` + allow("s3:Get*", "*") + `,{"Sid":"OnlyAtHome","Effect":"Allow","Action":"s3:Put*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]`}
	got := parsed(t, account{policies: policies, roles: [][2]string{{"a", attached("P")}, {"b", attached("P")}}}.dump())
	require.Equal(t, []string{"CONDITION_NOT_EVALUATED"}, codes(got))
	message := got.Warnings[slices.IndexFunc(got.Warnings, func(w record.Warning) bool { return w.Code == "CONDITION_NOT_EVALUATED" })]
	require.Contains(t, message.Message, iam+"policy/P")
	require.Contains(t, message.Message, `"OnlyAtHome"`)
	require.NotZero(t, message.Line)
	require.True(t, partial(got, record.Roles, iam+"role/a"))
	require.True(t, partial(got, record.Roles, iam+"role/b"))

	got = parsed(t, account{policies: policies, roles: [][2]string{{"a", ""}}}.dump())
	require.Empty(t, codes(got), "nobody holds it")
	require.False(t, partial(got, record.Roles, iam+"role/a"))
}

func TestBoundaryAndWhatIsMissing(t *testing.T) {
	t.Parallel()
	got := parsed(t, account{roles: [][2]string{
		{"bounded", `,"PermissionsBoundary":{"PermissionsBoundaryType":"Policy","PermissionsBoundaryArn":"arn:aws:iam::aws:policy/B"}` + inline(allow("s3:*", "*"))},
		{"absent", attached("Gone")}, {"fine", ""},
	}, users: [][2]string{{"ada", `,"GroupList":["nowhere"]`}}}.dump())
	require.Equal(t, []string{"BOUNDARY_NOT_EVALUATED", "GROUP_MISSING", "POLICY_MISSING"}, codes(got))
	require.Equal(t, map[string][]string{"s3|*": {"s3:*"}}, reach(got, iam+"role/bounded"))
	require.True(t, partial(got, record.Roles, iam+"role/bounded"))
	require.True(t, partial(got, record.Roles, iam+"role/absent"))
	require.True(t, partial(got, record.Roles, iam+"user/ada"))
	require.False(t, partial(got, record.Roles, iam+"role/fine"))
	require.Equal(t, record.Inferred, got.Entities(record.Role)[iam+"policy/Gone"].Basis)
	require.True(t, got.Warned("OUTSIDE_NOT_KNOWN"))

	got = parsed(t, account{roles: [][2]string{{"fine", ""}}}.dump(),
		`{"Policies":[{"Id":"p-FullAWSAccess","Name":"FullAWSAccess","Type":"SERVICE_CONTROL_POLICY"}]}`)
	require.False(t, partial(got, record.Roles, iam+"role/fine"), "this one forbids nothing")
	got = parsed(t, account{roles: [][2]string{{"fine", ""}}}.dump(),
		`{"Policies":[{"Id":"p-region","Name":"only-eu","Type":"SERVICE_CONTROL_POLICY"}]}`)
	require.Equal(t, []string{"SCP_NOT_EVALUATED"}, codes(got))
	require.True(t, partial(got, record.Roles, iam+"role/fine"))
}

func trusts(statements ...string) string {
	return `,"AssumeRolePolicyDocument":{"Statement":[` + strings.Join(statements, ",") + `]}`
}

func lets(principal string, more ...string) string {
	return `{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"` + strings.Join(more, "") + `}`
}

func TestTrust(t *testing.T) {
	t.Parallel()
	root := `{"AWS":"` + iam + `root"}`
	conditional := `,"Condition":{"StringEquals":{"sts:ExternalId":"x"}}`
	for name, c := range map[string]struct {
		trust  string // of the role "to"
		from   string // of the role "from"
		want   []string
		warned []string
		loose  bool
	}{
		"a named role":                 {trust: lets(`{"AWS":"` + iam + `role/from"}`), want: []string{"role/from role/to"}},
		"a named role that is denied":  {trust: lets(`{"AWS":"` + iam + `role/from"}`), from: inline(deny("sts:*", "*"))},
		"a list":                       {trust: lets(`{"AWS":["` + iam + `role/from","` + iam + `user/ada"]}`), want: []string{"role/from role/to", "user/ada role/to"}},
		"the account without a policy": {trust: lets(root)},
		"the account with a policy":    {trust: lets(root), from: inline(allow("sts:AssumeRole", iam+"role/t?")), want: []string{"role/from role/to"}},
		"the account by its number":    {trust: lets(`{"AWS":"` + acme + `"}`), from: inline(allow("sts:Assume*", "*")), want: []string{"role/from role/to"}},
		"the account, another role":    {trust: lets(root), from: inline(allow("sts:AssumeRole", iam+"role/other"))},
		"the account, then denied":     {trust: lets(root), from: inline(allow("*", "*"), deny("sts:AssumeRole", iam+"role/to")), warned: []string{"DENY_IN_PART"}},
		"the account, all but it":      {trust: lets(root), from: inline(`{"Effect":"Allow","Action":"sts:AssumeRole","NotResource":"` + iam + `role/to"}`), warned: []string{"NOT_RESOURCE_NOT_EVALUATED"}},
		"the account, denied at times": {trust: lets(root), from: inline(allow("sts:AssumeRole", iam+"role/to"), `{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"`+iam+`role/to","Condition":{"Bool":{"a":"b"}}}`), want: []string{"role/from role/to"}, warned: []string{"DENY_NOT_EVALUATED"}},
		"anybody":                      {trust: lets(`"*"`), want: []string{"role/from role/to", "user/ada role/to"}, warned: []string{"TRUST_ANYONE"}, loose: true},
		"anybody in AWS":               {trust: lets(`{"AWS":"*"}`), want: []string{"role/from role/to", "user/ada role/to"}, warned: []string{"TRUST_ANYONE"}, loose: true},
		"anybody but one":              {trust: lets(`{"AWS":"*"}`) + `,{"Effect":"Deny","Principal":{"AWS":"` + iam + `user/ada"},"Action":"sts:AssumeRole"}`, want: []string{"role/from role/to"}, warned: []string{"TRUST_ANYONE"}, loose: true},
		"nobody after all":             {trust: lets(`{"AWS":"*"}`) + `,{"Effect":"Deny","Principal":"*","Action":"sts:*"}`, warned: []string{"TRUST_ANYONE"}, loose: true},
		"a condition":                  {trust: lets(`{"AWS":"`+iam+`role/from"}`, conditional), want: []string{"role/from role/to"}, warned: []string{"CONDITION_NOT_EVALUATED"}, loose: true},
		"another account":              {trust: lets(`{"AWS":"arn:aws:iam::210987654321:root"}`), warned: []string{"TRUST_FOREIGN"}, loose: true},
		"a role of another account":    {trust: lets(`{"AWS":"arn:aws:iam::210987654321:role/x"}`), warned: []string{"TRUST_FOREIGN"}, loose: true},
		"one that is gone":             {trust: lets(`{"AWS":"AROAEXAMPLE"}`), warned: []string{"TRUST_NOT_FOLLOWED"}, loose: true},
		"a session":                    {trust: lets(`{"AWS":"arn:aws:sts::` + acme + `:assumed-role/from/s"}`), warned: []string{"TRUST_NOT_FOLLOWED"}, loose: true},
		"a provider":                   {trust: `{"Effect":"Allow","Principal":{"Federated":"` + iam + `oidc-provider/o"},"Action":"sts:AssumeRoleWithWebIdentity"}`, warned: []string{"TRUST_FEDERATED"}, loose: true},
		"a service of the lists":       {trust: lets(`{"Service":["lambda.amazonaws.com","ec2.amazonaws.com"]}`)},
		"a service of no list":         {trust: lets(`{"Service":"ecs-tasks.amazonaws.com"}`), loose: true},
		"tags only":                    {trust: `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:TagSession"}`},
		"NotPrincipal":                 {trust: `{"Effect":"Allow","NotPrincipal":{"AWS":"` + iam + `user/ada"},"Action":"sts:AssumeRole"}`, want: []string{"role/from role/to", "user/ada role/to"}, warned: []string{"NOT_PRINCIPAL_NOT_EVALUATED"}, loose: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parsed(t, account{roles: [][2]string{{"from", c.from}, {"to", trusts(c.trust)}}, users: [][2]string{{"ada", ""}}}.dump(),
				`{"Functions":[]}`, `{"Reservations":[]}`)
			require.Empty(t, got.Rejections)
			require.Equal(t, c.want, becomes(got))
			require.Equal(t, c.warned, codes(got))
			require.Equal(t, c.loose, partial(got, record.Binding, iam+"role/to"))
		})
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	profile := `,"InstanceProfileList":[{"Arn":"` + iam + `instance-profile/p","Roles":[]}],"AssumeRolePolicyDocument":` + trustsEC2
	got := parsed(t, account{roles: [][2]string{{"r", profile + inline(allow("s3:*", "arn:aws:s3:::b"))}, {"q", ""}}}.dump(),
		`{"Reservations":[{"OwnerId":"123456789012","Instances":[
{"InstanceId":"i-01","ImageId":"ami-1","State":{"Name":"running"},"IamInstanceProfile":{"Arn":"`+iam+`instance-profile/p"},
 "Tags":[{"Key":"Name","Value":"web"},{"Key":"Environment","Value":"prod"},{"Key":"Team","Value":"shop"},{"Key":"tier","Value":"1"}]},
{"InstanceId":"i-02","State":{"Name":"stopped"},"IamInstanceProfile":{"Arn":"`+iam+`instance-profile/q"}},
{"InstanceId":"i-03","State":{"Name":"terminated"},"IamInstanceProfile":{"Arn":"`+iam+`instance-profile/p"}},
{"InstanceId":"i-04","IamInstanceProfile":{"Arn":"`+iam+`instance-profile/none"}},
{"InstanceId":"i-05"}]}]}`,
		`{"InstanceProfiles":[{"Arn":"`+iam+`instance-profile/q","Roles":[{"Arn":"`+iam+`role/q"}]}]}`,
		`{"Buckets":[{"Name":"b"}]}`)
	require.Equal(t, record.Entity{Ref: record.Ref{Kind: record.Workload, SourceID: "i-01"}, Basis: record.Inventory, Name: "web", Status: record.Active,
		SourceType: typeInstance, ArtifactIdentifier: "ami-1", Environment: "prod", OwnerTeam: "shop", BusinessTier: "1",
		Labels: map[string]string{"Name": "web", "Environment": "prod", "Team": "shop", "tier": "1"}}, got.Entities(record.Workload)["i-01"])
	require.Equal(t, record.Disabled, got.Entities(record.Workload)["i-02"].Status)
	require.Equal(t, record.Removed, got.Entities(record.Workload)["i-03"].Status)
	require.Equal(t, []recordtest.Path{{Workload: "i-01", Identity: iam + "role/r", Resource: "arn:aws:s3:::b",
		Roles: []string{iam + "role/r|in"}, Actions: []string{"s3:*"}, Effective: true}}, got.Paths())
	require.Equal(t, []string{"PROFILE_MISSING", "TRUST_MISSING"}, codes(got), "role q lets in lambda only")
	require.False(t, partial(got, record.Binding, "i-01"))
	require.True(t, partial(got, record.Binding, "i-04"))
	require.False(t, partial(got, record.Binding, "i-05"), "that it runs as nobody is known")
	require.Len(t, got.Edges(record.RunsAs), 2)
}

func TestFunctionVersions(t *testing.T) {
	t.Parallel()
	got := parsed(t, account{roles: [][2]string{{"r", ""}, {"old", ""}}}.dump(), `{"Functions":[
{"FunctionName":"f","FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f:1","Version":"1","Role":"`+iam+`role/old","CodeSha256":"one"},
{"FunctionName":"f","FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST","Version":"$LATEST","Role":"`+iam+`role/r","CodeSha256":"two"},
{"FunctionName":"g","FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:g","Role":"`+iam+`role/gone"}]}`)
	const f = "arn:aws:lambda:eu-west-1:123456789012:function:f"
	require.Len(t, got.Entities(record.Workload), 2)
	require.Equal(t, "sha256:two", got.Entities(record.Workload)[f].ArtifactIdentifier)
	var ties []string
	for _, edge := range got.Edges(record.RunsAs) {
		ties = append(ties, edge.From.SourceID+" "+edge.To.SourceID)
	}
	require.ElementsMatch(t, []string{f + " " + iam + "role/old", f + " " + iam + "role/r",
		"arn:aws:lambda:eu-west-1:123456789012:function:g " + iam + "role/gone"}, ties)
	require.Equal(t, []string{"ROLE_MISSING"}, codes(got))
	require.Equal(t, record.Inferred, got.Entities(record.Identity)[iam+"role/gone"].Basis)
	require.True(t, partial(got, record.Roles, iam+"role/gone"))
}

// TestDocumentForms: a policy may be an object, a text, or a text that is
// percent-encoded, as the API answers.
func TestDocumentForms(t *testing.T) {
	t.Parallel()
	const document = `{"Version":"2012-10-17","Statement":[{"Sid":"50% of it","Effect":"Allow","Action":["s3:Get*"],"Resource":["arn:aws:s3:::b+c/*"]}]}`
	for name, form := range map[string]string{
		"object": document, "text": fmt.Sprintf("%q", document), "encoded": fmt.Sprintf("%q", url.PathEscape(document)),
	} {
		got := parsed(t, account{roles: [][2]string{{"r", `,"RolePolicyList":[{"PolicyName":"in","PolicyDocument":` + form + `}]`}}}.dump())
		require.Empty(t, got.Rejections, name)
		require.Equal(t, map[string][]string{"arn:aws:s3:::b+c/*": {"s3:Get*"}}, reach(got, iam+"role/r"), name)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		`"2021-03-13T18:40:54+00:00"`:        time.Date(2021, 3, 13, 18, 40, 54, 0, time.UTC),
		`"2019-12-18 19:10:08+00:00"`:        time.Date(2019, 12, 18, 19, 10, 8, 0, time.UTC),
		`"2019-10-17T15:47:00.587000-06:00"`: time.Date(2019, 10, 17, 21, 47, 0, 587000000, time.UTC),
		`"2019-04-30T16:26:38.618+0000"`:     time.Date(2019, 4, 30, 16, 26, 38, 618000000, time.UTC),
		`1576696208.0`:                       time.Unix(1576696208, 0).UTC(),
		`"yesterday"`:                        {},
		`"0001-01-01T00:00:00Z"`:             {},
		`"2026-03-02T00:00:00Z"`:             {}, // it has not come
	} {
		got := parsed(t, account{roles: [][2]string{{"r", `,"CreateDate":` + text + `,"RoleLastUsed":{"LastUsedDate":` + text + `}`}}}.dump())
		require.Empty(t, got.Rejections, text)
		r := got.Entities(record.Identity)[iam+"role/r"]
		require.Equal(t, want, r.CreatedAt, text)
		require.Equal(t, want, r.LastActiveAt, text)
		if want.IsZero() {
			require.Empty(t, evidence(got))
			continue
		}
		require.Equal(t, []record.Evidence{{Identity: &record.Ref{Kind: record.Identity, SourceID: iam + "role/r"},
			Day: want.Truncate(24 * time.Hour), LastAt: want, Count: 1}}, evidence(got))
	}
	got := parsed(t, account{users: [][2]string{{"ada", `,"PasswordLastUsed":"2026-01-02T00:00:00Z"`}}}.dump())
	require.Equal(t, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), got.Entities(record.Identity)[iam+"user/ada"].LastActiveAt)
	require.Empty(t, evidence(got), "a person who signs in is no execution")
}

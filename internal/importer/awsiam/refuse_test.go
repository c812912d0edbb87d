package awsiam

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// TestRejections: a fault rejects what it stands in and nothing else.
func TestRejections(t *testing.T) {
	t.Parallel()
	role := func(fields string) string {
		return `{"RoleDetailList":[
{"RoleName":"good","Arn":"` + iam + `role/good","AssumeRolePolicyDocument":` + trustsLambda + `},
{"RoleName":"bad","Arn":"` + iam + `role/bad",` + fields + `}
]}`
	}
	trusted := `"AssumeRolePolicyDocument":` + trustsLambda
	policy := func(document string) string {
		return role(trusted + `,"RolePolicyList":[{"PolicyName":"ok","PolicyDocument":{"Statement":` + allow("s3:*", "*") + `}},
{"PolicyName":"p","PolicyDocument":` + document + `}]`)
	}
	bad := record.Ref{Kind: record.Identity, SourceID: iam + "role/bad"}
	p := record.Ref{Kind: record.Role, SourceID: iam + "role/bad|p"}
	for name, c := range map[string]struct {
		text, code, reason string
		line               int
		entity             *record.Ref
		kept               bool // the role is there all the same
	}{
		"a key twice":               {role(trusted + `,"Path":"/","Path":"/x"`), codeDuplicateKey, "RoleDetailList[1].Path stands there twice, first in line 3", 3, &bad, false},
		"a wrong type":              {role(trusted + `,"RolePolicyList":{}`), codeInvalid, "RolePolicyList must be a list and is an object", 3, &bad, false},
		"a NUL":                     {role(trusted + `,"Description":"a\u0000b"`), codeInvalid, "Description contains a control character", 3, &bad, false},
		"half a pair":               {role(trusted + `,"Description":"\ud83d"`), codeInvalid, "cannot be read", 3, &bad, false},
		"no ARN":                    {`{"RoleDetailList":[{"RoleName":"x"}]}`, codeInvalid, "Arn is missing", 1, nil, false},
		"no role":                   {`{"RoleDetailList":["x"]}`, codeInvalid, "must be an object and is a text", 1, nil, false},
		"no list":                   {`{"RoleDetailList":{}}`, codeInvalid, "RoleDetailList must be a list", 1, nil, false},
		"a trust policy":            {role(`"AssumeRolePolicyDocument":{"Statement":{"Effect":"Allow"}}`), codeInvalid, "Action is missing", 3, &bad, true},
		"an effect":                 {policy(`{"Statement":{"Effect":"allow","Action":"s3:*","Resource":"*"}}`), codeInvalid, "Effect must be Allow or Deny", 4, &p, true},
		"no resource":               {policy(`{"Statement":{"Effect":"Allow","Action":"s3:*"}}`), codeInvalid, "Resource is missing", 4, &p, true},
		"both":                      {policy(`{"Statement":{"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"}}`), codeInvalid, "NotAction stands beside Action", 4, &p, true},
		"an action":                 {policy(`{"Statement":{"Effect":"Allow","Action":"everything","Resource":"*"}}`), codeInvalid, `"everything" is no action`, 4, &p, true},
		"a number as an action":     {policy(`{"Statement":{"Effect":"Allow","Action":[7],"Resource":"*"}}`), codeInvalid, "Action[0] must be a text and is a number", 4, &p, true},
		"a long resource":           {policy(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("x", 2000) + `"}}`), codeInvalid, "longer than 1000 bytes", 4, &p, true},
		"a key twice in a policy":   {policy(`{"Statement":{"Effect":"Allow","Action":"s3:*","Effect":"Deny","Resource":"*"}}`), codeDuplicateKey, "Effect stands there twice", 4, &p, true},
		"a policy that is cut off":  {policy(`"{\"Statement\":["`), codeInvalid, "is no policy: The JSON ends in the middle", 4, &p, true},
		"a policy that is no JSON":  {policy(`"%zz"`), codeInvalid, "is a text and no policy", 4, &p, true},
		"no statement":              {policy(`{}`), codeInvalid, "Statement is missing", 4, &p, true},
		"more than one document":    {policy(`"{}{}"`), codeInvalid, "followed by more text", 4, &p, true},
		"deep in a text":            {policy(`"` + strings.Repeat(`{\"a\":`, 70) + `"`), codeInvalid, "nested deeper", 4, &p, true},
		"an unknown document":       {`{"Volumes":[]}`, codeUnknown, `"Volumes"`, 1, nil, false},
		"a list of everything":      {`[]`, codeUnknown, "is a list", 1, nil, false},
		"an empty file":             {``, codeUnknown, "empty", 0, nil, false},
		"a role in two ways":        {`{"RoleDetailList":[{"RoleName":"bad","Arn":"` + iam + `role/bad",` + trusted + `},` + "\n" + `{"RoleName":"bad","Arn":"` + iam + `role/bad",` + trusted + `,"Path":"/"}]}`, codeDuplicate, "the first, at b.json:1, holds", 2, &bad, true},
		"an instance":               {`{"Reservations":[{"Instances":[{"InstanceId":"x"},{"InstanceId":"i-1"}]}]}`, codeInvalid, `"x" is no id of an instance`, 1, &record.Ref{Kind: record.Workload, SourceID: "x"}, false},
		"a reservation":             {`{"Reservations":[{"OwnerId":1,"Instances":[{"InstanceId":"i-1"}]}]}`, codeInvalid, "OwnerId must be a text", 1, nil, false},
		"a function of somebody":    {strings.ReplaceAll(functions, acme, "210987654321"), codeForeign, "is of the account 210987654321; this import is of 123456789012", 1, &record.Ref{Kind: record.Workload, SourceID: "arn:aws:lambda:eu-west-1:210987654321:function:f"}, false},
		"an instance of somebody":   {`{"Reservations":[{"OwnerId":"210987654321","Instances":[{"InstanceId":"i-1"}]}]}`, codeForeign, "runs in the account 210987654321", 1, &record.Ref{Kind: record.Workload, SourceID: "i-1"}, false},
		"a secret of somebody":      {`{"SecretList":[{"Name":"s","ARN":"arn:aws:secretsmanager:eu-west-1:210987654321:secret:s"}]}`, codeForeign, "210987654321", 1, &record.Ref{Kind: record.Resource, SourceID: "arn:aws:secretsmanager:eu-west-1:210987654321:secret:s"}, false},
		"the tags of a function":    {`{"Functions":[{"FunctionArn":"no"}]}`, codeInvalid, `"no" is no ARN`, 1, &record.Ref{Kind: record.Workload, SourceID: "no"}, false},
		"the same key of a tag":     {role(trusted + `,"Tags":[{"Key":"a","Value":"1"},{"Key":"a","Value":"2"}]`), codeInvalid, "stands there twice", 3, &bad, false},
		"the same name of a policy": {role(trusted + `,"RolePolicyList":[{"PolicyName":"a","PolicyDocument":{}},{"PolicyName":"a","PolicyDocument":{}}]`), codeInvalid, "stands there twice", 3, &bad, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parsed(t, dump, c.text)
			require.Len(t, got.Rejections, 1)
			r := got.Rejections[0]
			require.Equal(t, c.code, r.Code, r.Reason)
			require.Contains(t, r.Reason, c.reason)
			require.Equal(t, record.Position{File: "b.json", Line: c.line}, r.Position)
			require.Equal(t, c.entity, r.Entity)
			identities := got.Entities(record.Identity)
			require.Contains(t, identities, iam+"role/r", "what the other file says is there")
			if strings.Contains(c.text, `"good"`) {
				require.Contains(t, identities, iam+"role/good")
			}
			_, there := identities[iam+"role/bad"]
			require.Equal(t, c.kept, there)
			if c.entity == &p {
				require.Equal(t, map[string][]string{"s3|*": {"s3:*"}}, reach(got, iam+"role/bad"), "the other policy stands")
				require.True(t, partial(got, record.Roles, iam+"role/bad"))
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files []string
		code  string
		file  string
		line  int
	}{
		"no files":             {nil, "AWS_EMPTY", "", 0},
		"nothing known":        {[]string{`{"Volumes":[]}`}, "AWS_EMPTY", "a.json", 0},
		"cut off":              {[]string{functions, dump[:len(dump)-40]}, "AWS_TRUNCATED", "b.json", 7},
		"cut off in a text":    {[]string{`{"Functions":[{"Func`}, "AWS_TRUNCATED", "a.json", 1},
		"no JSON":              {[]string{"{\n\"Functions\": [,]}"}, "AWS_NOT_JSON", "a.json", 2},
		"YAML":                 {[]string{"Functions: []"}, "AWS_NOT_JSON", "a.json", 1},
		"not text":             {[]string{"{\n\"Functions\":\"\xff\"}"}, "AWS_NOT_JSON", "a.json", 2},
		"deep":                 {[]string{strings.Repeat(`{"a":`, 70)}, "AWS_TOO_DEEP", "a.json", 1},
		"deep lists":           {[]string{strings.Repeat(`[`, 1_000_000)}, "AWS_TOO_DEEP", "a.json", 1},
		"many values":          {[]string{`[` + strings.Repeat(`0,`, maxNodes) + `0]`}, "AWS_TOO_LARGE", "a.json", 1},
		"two accounts":         {[]string{dump, "\n" + strings.ReplaceAll(dump, acme, "210987654321")}, "AWS_ACCOUNTS_MIXED", "b.json", 2},
		"functions of several": {[]string{functions, strings.ReplaceAll(functions, acme, "210987654321")}, "AWS_ACCOUNTS_MIXED", "b.json", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var fault *problem.Error
			require.ErrorAs(t, Parse(texts(c.files...), Options{}, &recordtest.Collector{}), &fault)
			require.Equal(t, c.code, fault.Code, fault.Message)
			require.Equal(t, problem.Invalid, fault.Kind)
			require.Equal(t, c.file, fault.File)
			require.Equal(t, c.line, fault.Line)
		})
	}
}

// TestTooMuchWork: denials and what they could deny multiply, and a megabyte of
// policies must not cost minutes.
func TestTooMuchWork(t *testing.T) {
	t.Parallel()
	list := func(prefix string, n int) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`"s3:*%s%d*%s"`, prefix, i, strings.Repeat("a*", 20)))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	statements := []string{`{"Effect":"Allow","Action":` + list("Get", 9000) + `,"Resource":"*"}`, `{"Effect":"Deny","Action":` + list("Put", 9000) + `,"Resource":"*"}`}
	var fault *problem.Error
	require.ErrorAs(t, Parse(texts(account{roles: [][2]string{{"r", inline(statements...)}}}.dump()), Options{}, &recordtest.Collector{}), &fault)
	require.Equal(t, "AWS_TOO_LARGE", fault.Code)
}

func TestFileTooLarge(t *testing.T) {
	t.Parallel()
	files := func(yield func(File, error) bool) {
		yield(File{Name: "big.json", Content: io.LimitReader(blanks{}, maxFile+1)}, nil)
	}
	var fault *problem.Error
	require.ErrorAs(t, Parse(files, Options{}, &recordtest.Collector{}), &fault)
	require.Equal(t, "AWS_TOO_LARGE", fault.Code)
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestPages(t *testing.T) {
	t.Parallel()
	page := func(more string, roles ...[2]string) string {
		return strings.Replace(account{roles: roles}.dump(), "{", "{"+more, 1)
	}
	first, last := page(`"IsTruncated":true,"Marker":"x",`, [2]string{"a", ""}), page(`"IsTruncated":false,`, [2]string{"b", ""})
	read, err := Read(texts(first, last), Options{})
	require.NoError(t, err)
	require.False(t, read.Cut())
	require.Equal(t, 2, read.Counts().Roles)
	read, err = Read(texts(first+"\n"+last), Options{})
	require.NoError(t, err, "pages may follow each other in one file")
	require.False(t, read.Cut())
	require.Equal(t, 2, read.Counts().Roles)

	read, err = Read(texts(first), Options{})
	require.NoError(t, err)
	require.True(t, read.Cut())
	got := parsed(t, first)
	require.True(t, got.Warned("PAGE_MISSING"))
	require.True(t, partial(got, record.Roles, iam+"role/a"))
	read, err = Read(texts(last, `{"Functions":[],"NextMarker":"y"}`), Options{})
	require.NoError(t, err)
	require.True(t, read.Cut())

	got = parsed(t, last, last)
	require.Empty(t, got.Rejections, "the same file twice says nothing new")
	require.True(t, got.Warned(codeDuplicate))
}

func TestWithoutDump(t *testing.T) {
	t.Parallel()
	got := parsed(t, functions)
	require.Equal(t, []string{"DUMP_MISSING"}, codes(got))
	require.Len(t, got.Edges(record.RunsAs), 1)
	for _, claim := range got.Coverage() {
		require.NotEqual(t, record.Roles, claim.Kind)
	}
}

// refusing is an emitter that takes a number of things and then no more.
type refusing struct {
	recordtest.Collector
	left int
}

var errRefused = errors.New("refused")

func (r *refusing) count() error {
	if r.left--; r.left < 0 {
		return errRefused
	}
	return nil
}
func (r *refusing) Record(record.Record) error    { return r.count() }
func (r *refusing) Reject(record.Rejection) error { return r.count() }
func (r *refusing) Warn(record.Warning) error     { return r.count() }

func TestEmitterEndsIt(t *testing.T) {
	t.Parallel()
	for calls := 0; ; calls++ {
		err := Parse(texts(dump, functions, `{"Volumes":[]}`, `{"Buckets":[{"Name":"b"}]}`), Options{}, &refusing{left: calls})
		if err == nil {
			require.Greater(t, calls, 20)
			break
		}
		require.ErrorIs(t, err, errRefused)
	}
	cut := errors.New("cut off")
	err := Parse(func(yield func(File, error) bool) {
		yield(File{Name: "a", Content: io.MultiReader(strings.NewReader(dump), iotest.ErrReader(cut))}, nil)
	}, Options{}, &recordtest.Collector{})
	require.ErrorIs(t, err, cut)
}

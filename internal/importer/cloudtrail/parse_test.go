package cloudtrail

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	home  = "123456789012"
	other = "210987654321"
	role  = "arn:aws:iam::123456789012:role/shop/web"
	user  = "arn:aws:iam::123456789012:user/ada"
	fun   = "arn:aws:lambda:eu-west-1:123456789012:function:report"
)

// texts are files with the contents.
func texts(contents ...string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for i, content := range contents {
			if !yield(File{Name: fmt.Sprintf("log%d", i+1), Content: strings.NewReader(content)}, nil) {
				return
			}
		}
	}
}

// parse reads a log that has no fault as a whole.
func parse(t testing.TB, options Options, contents ...string) (Summary, *recordtest.Collector) {
	t.Helper()
	var got recordtest.Collector
	summary, err := Parse(texts(contents...), options, &got)
	require.NoError(t, err)
	return summary, &got
}

// event is an event of a call by somebody; what is given more stands in it.
func event(id, source, name, identity string, more ...string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","eventID":%q,"eventTime":"2026-02-27T10:00:00Z","eventSource":%q,"eventName":%q,"eventType":"AwsApiCall",`+
		`"eventCategory":"Management","recipientAccountId":%q,"userIdentity":%s%s}`, id, source, name, home, identity, strings.Join(append([]string{""}, more...), ","))
}

func byUser() string { return fmt.Sprintf(`{"type":"IAMUser","accountId":%q,"arn":%q}`, home, user) }

// byRole is somebody who assumed the role under a name.
func byRole(session string, more ...string) string {
	return inSession(session, "", more...)
}

func inSession(session, context string, more ...string) string {
	return fmt.Sprintf(`{"type":"AssumedRole","accountId":%q,"arn":"arn:aws:sts::123456789012:assumed-role/web/%s",`+
		`"sessionContext":{"sessionIssuer":{"type":"Role","arn":%q}%s}%s}`, home, session, role, context, strings.Join(append([]string{""}, more...), ","))
}

// onInstance is an instance with the credentials that its role has for it.
var onInstance = inSession("i-0123456789abcdef0", `,"ec2RoleDelivery":"2.0"`)

func atLambda(arn string) string {
	return fmt.Sprintf(`"inScopeOf":{"issuerType":"AWS::Lambda::Function","credentialsIssuedTo":%q}`, arn)
}

func evidence(got *recordtest.Collector) (list []string) {
	for _, r := range got.Records {
		if e, ok := r.Fact.(record.Evidence); ok {
			who := "- "
			if e.Workload != nil {
				who = e.Workload.System + "=" + e.Workload.SourceID + " "
			}
			list = append(list, fmt.Sprintf("%s%s=%s %s %s %d %s", who, e.Identity.System, e.Identity.SourceID, e.Action, e.Day.Format(time.DateOnly), e.Count, e.LastAt.Format(time.TimeOnly)))
		}
	}
	return list
}

func warnings(got *recordtest.Collector) map[string]string {
	found := map[string]string{}
	for _, w := range got.Warnings {
		found[w.Code] += w.Message
	}
	return found
}

// TestShared holds the counts of the shared data, which SOURCES.md names and
// which were counted again by their fields.
func TestShared(t *testing.T) {
	t.Parallel()
	folder := recordtest.SharedData(t, "cloudtrail")
	for name, want := range map[string]struct {
		summary  Summary
		evidence []string
	}{
		"aws.credential-access.secretsmanager-retrieve-secrets.json": {Summary{Events: 21, Counted: 21}, []string{
			"- 903144391865=arn:aws:iam::903144391865:user/christophe secretsmanager:GetSecretValue 2024-07-31 20 12:36:52",
			"- 903144391865=arn:aws:iam::903144391865:user/christophe secretsmanager:ListSecrets 2024-07-31 1 12:36:48",
		}},
		"aws.persistence.lambda-overwrite-code.json": {Summary{Events: 1, Counted: 1}, []string{
			"- 266106314375=arn:aws:iam::266106314375:user/christophe lambda:UpdateFunctionCode 2024-08-01 1 13:52:02",
		}},
		// All calls of the role, and two of the four with which it was taken, were denied.
		"aws.discovery.ec2-download-user-data.json": {Summary{Events: 19, Denied: 17, Counted: 2}, []string{
			"- 321848314756=arn:aws:iam::321848314756:user/christophe sts:AssumeRole 2024-07-31 2 19:52:33",
		}},
	} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		summary, got := parse(t, Options{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, string(content))
		require.Equal(t, want.summary, summary, name)
		require.Equal(t, want.evidence, evidence(got), name)
		require.Empty(t, got.Rejections)
		require.Len(t, got.Coverage(), 1)
		require.Equal(t, record.Execution, got.Coverage()[0].Kind)
		require.True(t, got.Coverage()[0].Partial)

		// The same again in the other shapes of a log, and twice in one delivery.
		_, wrapped := parse(t, Options{}, `{"Records":`+string(content)+`}`)
		require.Equal(t, want.evidence, evidence(wrapped))
		twice, double := parse(t, Options{}, string(content), string(content))
		require.Equal(t, want.evidence, evidence(double))
		require.Equal(t, want.summary.Events, twice.Repeated)
	}
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	_, got := parse(t, Options{}, strings.Join([]string{
		strings.Replace(event("1", "s3.amazonaws.com", "GetObject", byRole("x")), "T10", "T09", 1),
		event("2", "s3.amazonaws.com", "GetObject", byUser(), `"errorCode":"AccessDenied"`),
		strings.Replace(event("3", "s3.amazonaws.com", "GetObject", byRole("x")), "27T10:00:00Z", "28T23:59:59.9Z", 1),
		strings.Replace(event("4", "s3.amazonaws.com", "GetObject", `{"type":"Root"}`), "2026-02-27", "2026-03-01", 1),
	}, "\n"))
	require.Equal(t, []string{
		"- 123456789012=" + role + " s3:GetObject 2026-02-27 1 09:00:00",
		"- 123456789012=" + role + " s3:GetObject 2026-02-28 1 23:59:59",
	}, evidence(got))
	require.Equal(t, []record.Coverage{{Kind: record.Execution, Partial: true,
		Entity: &record.Ref{Kind: record.Identity, System: home, SourceID: role},
		From:   time.Date(2026, 2, 27, 9, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}}, got.Coverage(), "nobody that did nothing is watched")
}

func TestActions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, name, want string }{
		{"secretsmanager.amazonaws.com", "GetSecretValue", "secretsmanager:GetSecretValue"},
		{"lambda.amazonaws.com", "UpdateFunctionCode20150331v2", "lambda:UpdateFunctionCode"},
		{"lambda.amazonaws.com", "ListFunctions20150331", "lambda:ListFunctions"},
		{"lambda.amazonaws.com", "Invoke", "lambda:InvokeFunction"},
		{"dynamodb.amazonaws.com", "Odd20150331", "dynamodb:Odd20150331"}, // Lambda alone dates its calls
		{"s3.amazonaws.com", "ListBuckets", "s3:ListAllMyBuckets"},
		{"s3.amazonaws.com", "CompleteMultipartUpload", "s3:PutObject"},
		{"monitoring.amazonaws.com", "PutMetricData", "cloudwatch:PutMetricData"},
		{"bedrock-runtime.amazonaws.com", "Converse", "bedrock:InvokeModel"},
		{"bedrock.amazonaws.com", "ConverseStream", "bedrock:InvokeModelWithResponseStream"},
		{"ec2.amazonaws.com.cn", "RunInstances", "ec2:RunInstances"},
	} {
		_, got := parse(t, Options{}, event("1", c.source, c.name, byUser()))
		require.Equal(t, []string{"- 123456789012=" + user + " " + c.want + " 2026-02-27 1 10:00:00"}, evidence(got))
	}
}

// TestErrors: what was denied, or did not come as far as being asked, is no
// evidence; what was allowed and failed is.
func TestErrors(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]Summary{
		"AccessDenied":                  {Events: 1, Denied: 1},
		"AccessDeniedException":         {Events: 1, Denied: 1},
		"Client.UnauthorizedOperation":  {Events: 1, Denied: 1},
		"UnauthorizedOperation":         {Events: 1, Denied: 1},
		"KMS.AccessDeniedException":     {Events: 1, Denied: 1},
		"NotAuthorizedException":        {Events: 1, Denied: 1},
		"Client.AuthFailure":            {Events: 1, Denied: 1},
		"AuthorizationErrorException":   {Events: 1, Denied: 1},
		"InvalidClientTokenId":          {Events: 1, Denied: 1},
		"Client.RequestExpired":         {Events: 1, Denied: 1},
		"ExpiredTokenException":         {Events: 1, Denied: 1},
		"ThrottlingException":           {Events: 1, Untold: 1},
		"Client.RequestLimitExceeded":   {Events: 1, Untold: 1},
		"Server.InternalError":          {Events: 1, Untold: 1},
		"InternalServerException":       {Events: 1, Untold: 1},
		"ResourceNotFoundException":     {Events: 1, Failed: 1, Counted: 1},
		"NoSuchBucketPolicy":            {Events: 1, Failed: 1, Counted: 1},
		"Client.InvalidInstanceID.None": {Events: 1, Failed: 1, Counted: 1},
		"Client.DryRunOperation":        {Events: 1, Failed: 1, Counted: 1},
	} {
		summary, got := parse(t, Options{}, event("1", "s3.amazonaws.com", "GetObject", byUser(), fmt.Sprintf(`"errorCode":%q`, code)))
		require.Equal(t, want, summary, code)
		require.Len(t, evidence(got), want.Counted, code)
		require.Equal(t, want.Denied == 1, got.Warned("CALLS_DENIED"), code)
		require.Equal(t, want.Untold == 1, got.Warned("CALLS_UNTOLD"), code)
	}
}

// TestOthers: callers that are neither a user nor a role are left out, and each
// kind of them is said once.
func TestOthers(t *testing.T) {
	t.Parallel()
	lines := []string{event("0", "s3.amazonaws.com", "GetObject", byUser())}
	for i, identity := range []string{
		`{"type":"Root","arn":"arn:aws:iam::123456789012:root"}`,
		`{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}`,
		`{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}`,
		`{"type":"FederatedUser","arn":"arn:aws:sts::123456789012:federated-user/ada","sessionContext":{"sessionIssuer":{"type":"IAMUser","arn":"` + user + `"}}}`,
		`{"type":"SAMLUser","userName":"ada"}`,
		`{"type":"WebIdentityUser","userName":"ada"}`,
		`{"type":"AWSAccount","accountId":"210987654321"}`,
		`{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/web/x"}`, // whose role, nobody says
		`{"type":"AssumedRole","sessionContext":{"sessionIssuer":{"type":"Role","arn":"` + user + `"}}}`,
		`{"type":"IAMUser","arn":"` + role + `"}`,
		`{"invokedBy":"a.service"}`, `{"type":"of tomorrow"}`,
	} {
		lines = append(lines, event(fmt.Sprint("x", i), "s3.amazonaws.com", "GetObject", identity))
	}
	summary, got := parse(t, Options{}, lines...)
	require.Equal(t, Summary{Events: 13, Others: 12, Counted: 1}, summary)
	require.Len(t, evidence(got), 1)
	var said []string
	for _, w := range got.Warnings {
		require.Equal(t, "CALLER_NOT_FOLLOWED", w.Code)
		_, rest, _ := strings.Cut(w.Message, "13 events ")
		count, _, _ := strings.Cut(rest, " ")
		_, rest, _ = strings.Cut(w.Message, `of type "`)
		kind, _, _ := strings.Cut(rest, `"`)
		said = append(said, kind+" "+count)
	}
	require.Equal(t, []string{"AWSAccount 1", "AWSService 2", "AssumedRole 2", "FederatedUser 1", "IAMUser 1", "Root 1", "SAMLUser 1", "Unknown 2", "WebIdentityUser 1"}, said)
}

func TestNoCalls(t *testing.T) {
	t.Parallel()
	call := event("1", "s3.amazonaws.com", "GetObject", byUser())
	for _, no := range []string{
		strings.Replace(call, "AwsApiCall", "AwsConsoleSignIn", 1), strings.Replace(call, "AwsApiCall", "AwsServiceEvent", 1),
		strings.Replace(call, "AwsApiCall", "AwsVpceEvent", 1), strings.Replace(call, `"Management"`, `"Insight"`, 1),
	} {
		summary, got := parse(t, Options{}, no)
		require.Equal(t, Summary{Events: 1, NoCalls: 1}, summary)
		require.Empty(t, evidence(got))
		require.Contains(t, warnings(got)["EVENTS_NO_CALL"], "Of 1 events 1 tell of no call")
	}
	for _, yes := range []string{
		call, strings.Replace(call, "AwsApiCall", "AwsConsoleAction", 1), strings.Replace(call, `"Management"`, `"Data"`, 1),
		strings.Replace(call, `"eventType":"AwsApiCall",`, "", 1),
	} {
		summary, _ := parse(t, Options{}, yes)
		require.Equal(t, 1, summary.Counted)
	}
}

// TestWorkloads: only what AWS itself says of whom the credentials were issued to
// names a workload; the name of a session is the choice of whoever opens it.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	const function = home + "=" + fun
	for name, c := range map[string]struct{ identity, want string }{
		"a function":                        {inSession("report", "", atLambda(fun)), function},
		"a version of a function":           {inSession("report", "", atLambda(fun+":7")), function},
		"a function of another account":     {inSession("report", "", atLambda(strings.Replace(fun, home, other, 1))), "-"},
		"no ARN of a function":              {inSession("report", "", atLambda("report")), "-"},
		"another scope":                     {inSession("report", "", strings.Replace(atLambda(fun), "Lambda::Function", "ECS::Task", 1)), "-"},
		"a session called like a function":  {byRole("report"), "-"},
		"an instance":                       {onInstance, "-"}, // which is certain, and may be gone before any list has it
		"a session called like an instance": {byRole("i-0123456789abcdef0"), "-"},
	} {
		summary, got := parse(t, Options{}, event("1", "s3.amazonaws.com", "GetObject", c.identity))
		require.Equal(t, []string{c.want + " " + home + "=" + role + " s3:GetObject 2026-02-27 1 10:00:00"}, evidence(got), name)
		require.Equal(t, c.want != "-", summary.Named == 1, name)
	}
}

func TestEgress(t *testing.T) {
	t.Parallel()
	of := func(got *recordtest.Collector) (list []record.Egress) {
		for _, r := range got.Records {
			if e, ok := r.Fact.(record.Egress); ok {
				list = append(list, e)
			}
		}
		return list
	}
	function := inSession("report", "", atLambda(fun))
	const tls = `"tlsDetails":{"clientProvidedHostHeader":"Bedrock-Runtime.eu-west-1.amazonaws.com:443"}`
	_, got := parse(t, Options{},
		event("1", "bedrock.amazonaws.com", "InvokeModel", function, tls), event("2", "bedrock.amazonaws.com", "Converse", function, tls),
		event("3", "bedrock-runtime.amazonaws.com", "InvokeModel", function))
	ref := record.Ref{Kind: record.Workload, System: home, SourceID: fun}
	require.Equal(t, []record.Egress{
		{Workload: ref, Host: "bedrock-runtime.amazonaws.com", Category: record.EgressLLM},
		{Workload: ref, Host: "bedrock-runtime.eu-west-1.amazonaws.com", Category: record.EgressLLM},
	}, of(got))
	require.Contains(t, got.Coverage(), record.Coverage{Kind: record.EgressObs, Entity: &ref, Partial: true})
	_, got = parse(t, Options{}, event("1", "bedrock.amazonaws.com", "InvokeModel", onInstance))
	require.Equal(t, []record.Egress{{Workload: record.Ref{Kind: record.Workload, System: home, SourceID: "i-0123456789abcdef0"},
		Host: "bedrock.amazonaws.com", Category: record.EgressLLM}}, of(got))
	for name, no := range map[string]string{
		"a name of an instance": event("1", "bedrock.amazonaws.com", "InvokeModel", byRole("i-0123456789abcdef0"), tls),
		"a delivery to another": event("1", "bedrock.amazonaws.com", "InvokeModel", inSession("ada", `,"ec2RoleDelivery":"2.0"`), tls),
		"nobody in particular":  event("1", "bedrock.amazonaws.com", "InvokeModel", byRole("x"), tls),
		"denied":                event("1", "bedrock.amazonaws.com", "InvokeModel", function, `"errorCode":"AccessDenied"`),
		"failed":                event("1", "bedrock.amazonaws.com", "InvokeModel", function, `"errorCode":"ValidationException"`),
		"another call":          event("1", "bedrock.amazonaws.com", "ListFoundationModels", function),
		"another service":       event("1", "s3.amazonaws.com", "InvokeModel", function),
	} {
		_, got := parse(t, Options{}, no)
		require.Empty(t, of(got), name)
	}
}

// TestAccounts: an identity belongs to its account, whosever log it stands in.
func TestAccounts(t *testing.T) {
	t.Parallel()
	ours := event("1", "s3.amazonaws.com", "GetObject", byUser())
	guest := strings.ReplaceAll(event("2", "s3.amazonaws.com", "GetObject", byRole("x")), role, strings.Replace(role, home, other, 1))
	theirs := strings.ReplaceAll(event("3", "s3.amazonaws.com", "GetObject", byUser()), home, other)
	systems := func(system string, contents ...string) (list []string) {
		_, got := parse(t, Options{System: system}, contents...)
		for _, one := range evidence(got) {
			_, rest, _ := strings.Cut(one, " ")
			of, _, _ := strings.Cut(rest, "=")
			list = append(list, of)
		}
		return list
	}
	require.Equal(t, []string{home, other}, systems("", ours, guest))
	require.Equal(t, []string{home, other}, systems(home, ours, guest))
	require.Equal(t, []string{"", other}, systems("shop-production", ours, guest), "the account of the log has a name, the guest's has none")
	require.Equal(t, []string{home, other}, systems("", ours, theirs))
	require.Equal(t, []string{home, other}, systems(home, ours, theirs))
	for system, want := range map[string]string{other: "CLOUDTRAIL_ACCOUNT_DIFFERS", "shop": "CLOUDTRAIL_ACCOUNTS_MIXED"} {
		contents := []string{ours, guest}
		if system == "shop" {
			contents = append(contents, theirs)
		}
		_, err := Parse(texts(contents...), Options{System: system}, &recordtest.Collector{})
		require.Equal(t, want, faultOf(t, err).Code)
	}
	log, err := Read(texts(ours, guest), Options{})
	require.NoError(t, err)
	require.Equal(t, home, log.Account())
	log, err = Read(texts(ours, theirs), Options{})
	require.NoError(t, err)
	require.Empty(t, log.Account())
}

// TestIdentities: whoever AWS let in is there, once, before what it did; of another
// account only that account's log can say so.
func TestIdentities(t *testing.T) {
	t.Parallel()
	guest := strings.ReplaceAll(event("2", "s3.amazonaws.com", "GetObject", byRole("x")), role, strings.Replace(role, home, other, 1))
	for _, system := range []string{home, "shop"} {
		_, got := parse(t, Options{System: system}, event("1", "s3.amazonaws.com", "GetObject", byRole("x"))+"\n"+event("3", "s3.amazonaws.com", "PutObject", byRole("x"))+"\n"+
			event("4", "s3.amazonaws.com", "GetObject", byUser())+"\n"+guest+"\n"+
			event("5", "s3.amazonaws.com", "GetObject", strings.Replace(byUser(), "ada", "denied", 1), `"errorCode":"AccessDenied"`))
		of := home
		if system == "shop" {
			of = ""
		}
		require.Equal(t, map[string]record.Entity{
			role: {Ref: record.Ref{Kind: record.Identity, System: of, SourceID: role}, Basis: record.Inferred, Name: "web", SourceType: "AWS::IAM::Role"},
			user: {Ref: record.Ref{Kind: record.Identity, System: of, SourceID: user}, Basis: record.Inferred, Name: "ada", SourceType: "AWS::IAM::User"},
		}, got.Entities(record.Identity))
		require.Len(t, got.Records, 2+4+3)
		_, first := got.Records[0].Fact.(record.Entity)
		require.True(t, first)
	}
}

// TestOneCallOnce counts the copies that several accounts have of one call once.
func TestOneCallOnce(t *testing.T) {
	t.Parallel()
	copies := event("1", "s3.amazonaws.com", "GetObject", byUser(), `"sharedEventID":"s"`) + "\n" +
		event("2", "s3.amazonaws.com", "GetObject", byUser(), `"sharedEventID":"s"`) + "\n" + event("3", "s3.amazonaws.com", "GetObject", byUser())
	summary, got := parse(t, Options{}, copies)
	require.Equal(t, Summary{Events: 3, Repeated: 1, Counted: 2}, summary)
	require.Equal(t, []string{"- 123456789012=" + user + " s3:GetObject 2026-02-27 2 10:00:00"}, evidence(got))
	require.True(t, got.Warned("EVENTS_REPEATED"))
}

// TestRejections: an event with a fault is rejected by its line, and the others
// count.
func TestRejections(t *testing.T) {
	t.Parallel()
	good := event("good", "s3.amazonaws.com", "GetObject", byUser())
	for name, c := range map[string]struct{ code, line string }{
		"no JSON":            {"NOT_JSON", good[:len(good)-9]},
		"a number":           {"NOT_AN_EVENT", `7`},
		"no id":              {"MISSING_FIELD", strings.Replace(good, `"eventID":"good",`, "", 1)},
		"no time":            {"MISSING_FIELD", strings.Replace(good, `"eventTime":"2026-02-27T10:00:00Z",`, "", 1)},
		"another time":       {"BAD_TIME", strings.Replace(good, "2026-02-27T10:00:00Z", "yesterday", 1)},
		"a time far off":     {"BAD_TIME", strings.Replace(good, "2026-02-27T", "9999-02-27T", 1)},
		"the future":         {"TIME_IN_FUTURE", strings.Replace(good, "2026-02-27T", "2026-03-27T", 1)},
		"no service":         {"ILLEGAL_VALUE", strings.Replace(good, "s3.amazonaws.com", "s3.example.com", 1)},
		"no name":            {"MISSING_FIELD", strings.Replace(good, "GetObject", "", 1)},
		"a name with spaces": {"ILLEGAL_VALUE", strings.Replace(good, "GetObject", "Get Object", 1)},
		"another type":       {"WRONG_TYPE", strings.Replace(good, `"eventName":"GetObject"`, `"eventName":["GetObject"]`, 1)},
		"a caller of a type": {"WRONG_TYPE", strings.Replace(good, byUser(), `"ada"`, 1)},
		"an ARN of a type":   {"WRONG_TYPE", strings.Replace(good, `"`+user+`"`, `{}`, 1)},
		"a NUL":              {"ILLEGAL_VALUE", strings.Replace(good, "user/ada", `user/\u0000`, 1)},
		"half a pair":        {"ILLEGAL_VALUE", strings.Replace(good, "user/ada", `user/\ud800`, 1)},
		"a key twice":        {"DUPLICATE_KEY", strings.Replace(good, `"eventCategory"`, `"eventName":"x","eventCategory"`, 1)},
		"deep nesting":       {"NOT_JSON", strings.Replace(good, byUser(), strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000), 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := event("first", "s3.amazonaws.com", "GetObject", byUser())
			summary, got := parse(t, Options{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, first+"\n"+c.line+"\n"+event("last", "s3.amazonaws.com", "GetObject", byUser()))
			require.Len(t, got.Rejections, 1)
			require.Equal(t, c.code, got.Rejections[0].Code, got.Rejections[0].Reason)
			require.Equal(t, record.Position{File: "log1", Line: 2}, got.Rejections[0].Position)
			require.Equal(t, Summary{Events: 2, Counted: 2}, summary)
		})
	}
}

func faultOf(t testing.TB, err error) *problem.Error {
	t.Helper()
	var fault *problem.Error
	require.ErrorAs(t, err, &fault)
	return fault
}

// TestFaults: a file of which nothing can be told is refused as a whole.
func TestFaults(t *testing.T) {
	t.Parallel()
	list := "[\n" + event("1", "s3.amazonaws.com", "GetObject", byUser()) + ",\n" + event("2", "s3.amazonaws.com", "GetObject", byUser()) + "\n]"
	for name, c := range map[string]struct{ content, code string }{
		"nothing":         {"", "CLOUDTRAIL_EMPTY"},
		"cut off":         {list[:len(list)-40], "CLOUDTRAIL_TRUNCATED"},
		"cut off records": {`{"Records":` + list, "CLOUDTRAIL_TRUNCATED"},
		"no list":         {`{"Records":7}`, "CLOUDTRAIL_NOT_EVENTS"},
		"compressed":      {"\x1f\x8b\x08\x00", "CLOUDTRAIL_NOT_TEXT"},
		"too many faults": {strings.Repeat("7\n", maxFaults+1), "CLOUDTRAIL_TOO_MANY_FAULTS"},
	} {
		var got recordtest.Collector
		_, err := Parse(texts(c.content), Options{}, &got)
		require.Equal(t, c.code, faultOf(t, err).Code, name)
		require.Equal(t, "log1", faultOf(t, err).File, name)
		require.Empty(t, got.Records, name)
	}
	broken := errors.New("broken")
	_, err := Read(func(yield func(File, error) bool) { yield(File{}, broken) }, Options{})
	require.ErrorIs(t, err, broken)
	_, err = Read(func(yield func(File, error) bool) {
		yield(File{Content: io.MultiReader(strings.NewReader("{"), failing{broken})}, nil)
	}, Options{})
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestLongLine: what a call was told and answered may be large, and is not read.
func TestLongLine(t *testing.T) {
	t.Parallel()
	long := event("1", "s3.amazonaws.com", "GetObject", byUser(), `"responseElements":{"x":"`+strings.Repeat("x", 10<<20)+`"}`)
	summary, got := parse(t, Options{}, long+"\n"+event("2", "s3.amazonaws.com", "GetObject", byUser()))
	require.Equal(t, Summary{Events: 2, Counted: 2}, summary)
	require.Empty(t, got.Rejections)
	summary, got = parse(t, Options{}, event("1", "s3.amazonaws.com", "GetObject", byUser())+"\n"+strings.Repeat("x", 10<<20)+"\n"+event("2", "s3.amazonaws.com", "GetObject", byUser()))
	require.Equal(t, Summary{Events: 2, Counted: 2}, summary)
	require.Len(t, got.Rejections, 1)
	require.Less(t, len(got.Rejections[0].Reason), 200)
}

// TestEmitterEndsIt: what an emitter returns ends it, wherever that is.
func TestEmitterEndsIt(t *testing.T) {
	t.Parallel()
	log, err := Read(texts(strings.Join([]string{
		event("1", "bedrock.amazonaws.com", "InvokeModel", inSession("report", "", atLambda(fun))),
		event("2", "s3.amazonaws.com", "GetObject", byUser(), `"errorCode":"AccessDenied"`), "7", "",
	}, "\n")), Options{})
	require.NoError(t, err)
	for left := 0; ; left++ {
		if err := log.Emit(&refusing{left: left}); err == nil {
			require.Equal(t, 8, left) // a rejection, an identity, evidence, two coverages, egress and its coverage, a warning
			return
		} else {
			require.ErrorIs(t, err, errRefused)
		}
	}
}

var errRefused = errors.New("refused")

type refusing struct{ left int }

func (r *refusing) count() error {
	if r.left--; r.left < 0 {
		return errRefused
	}
	return nil
}
func (r *refusing) Record(record.Record) error    { return r.count() }
func (r *refusing) Reject(record.Rejection) error { return r.count() }
func (r *refusing) Warn(record.Warning) error     { return r.count() }

// FuzzParse holds that whatever the log is, the answer is a typed fault or
// records that a sync can take, each said once.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "[]", `{"Records":[]}`, `{"Records":null}`, "[[1]]", event("1", "s3.amazonaws.com", "GetObject", byUser()),
		`{"Records":[` + event("1", "bedrock.amazonaws.com", "InvokeModel", inSession("report", "", atLambda(fun))) + "," +
			event("2", "s3.amazonaws.com", "GetObject", inSession("i-0123456789abcdef0", `,"ec2RoleDelivery":"2.0"`)) + `]}`,
		event("1", "lambda.amazonaws.com", "UpdateFunctionCode20150331v2", byUser(), `"errorCode":"AccessDenied"`) + "\n" +
			event("1", "lambda.amazonaws.com", "UpdateFunctionCode20150331v2", byUser()) + "\n7\n",
	} {
		f.Add(seed, "")
		f.Add(seed, "shop")
		f.Add(seed, home)
	}
	f.Fuzz(func(t *testing.T, content, system string) {
		var got recordtest.Collector
		summary, err := Parse(texts(content), Options{System: system, Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, &got)
		if err != nil {
			require.True(t, strings.HasPrefix(faultOf(t, err).Code, "CLOUDTRAIL_"))
			return
		}
		require.Equal(t, summary.Events, summary.Repeated+summary.NoCalls+summary.Denied+summary.Untold+summary.Others+summary.Counted)
		type said struct {
			workload, identity record.Ref
			action             string
			day                time.Time
		}
		once, known, count := map[said]bool{}, map[record.Ref]bool{}, 0
		for _, r := range got.Records {
			require.Equal(t, "log1", r.File)
			if e, ok := r.Fact.(record.Entity); ok {
				require.False(t, known[e.Ref])
				known[e.Ref] = true
			}
			if e, ok := r.Fact.(record.Evidence); ok {
				key := said{identity: *e.Identity, action: e.Action, day: e.Day}
				if e.Workload != nil {
					key.workload = *e.Workload
				}
				require.False(t, once[key])
				once[key] = true
				require.Positive(t, e.Count)
				require.LessOrEqual(t, len(e.Identity.SourceID), 1024)
				require.Equal(t, e.Day, e.LastAt.Truncate(24*time.Hour))
				count += e.Count
			}
		}
		require.Equal(t, summary.Counted, count)
	})
}

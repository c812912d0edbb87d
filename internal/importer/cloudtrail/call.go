package cloudtrail

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// caller is who made a call; the identity names nobody if that is neither a user
// nor a role, the workload if it is not certain.
type caller struct {
	kind               string
	identity, workload record.Ref
	instance           bool // the workload is one that comes and goes
}

// lasting is the workload if evidence may name it. Instances come and go between
// two lists of them, and evidence that names one that no list has is rejected,
// also as evidence of the role: so their calls are those of the role.
func (c caller) lasting() record.Ref {
	if c.instance {
		return record.Ref{}
	}
	return c.workload
}

// callers are the types that CloudTrail knows.
var callers = map[string]bool{
	"Root": true, "IAMUser": true, "AssumedRole": true, "Role": true, "FederatedUser": true, "Directory": true, "AWSAccount": true, "AWSService": true,
	"IdentityCenterUser": true, "SAMLUser": true, "WebIdentityUser": true,
}

var (
	principal = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(\d{12}):(user|role)/[!-~]{1,900}$`)
	function  = regexp.MustCompile(`^(arn:aws[a-z-]*:lambda:[a-z0-9-]+:(\d{12}):function:[A-Za-z0-9_-]{1,140})(?::[A-Za-z0-9_$-]{1,140})?$`)
	instance  = regexp.MustCompile(`^arn:aws[a-z-]*:sts::\d{12}:assumed-role/[^/]+/(i-[0-9a-f]{1,64})$`)
)

func readCaller(o *eventlog.Object) (by caller) {
	user := o.Object("userIdentity")
	if by.kind = user.Text("type"); !callers[by.kind] {
		by.kind = "Unknown" // as some services call on their own behalf
	}
	session := user.Object("sessionContext")
	var arn string
	switch by.kind {
	case "IAMUser":
		arn = user.Text("arn")
	case "AssumedRole":
		issuer := session.Object("sessionIssuer")
		if kind := issuer.Text("type"); kind == "" || kind == "Role" {
			arn = issuer.Text("arn")
		}
	}
	parts := principal.FindStringSubmatch(arn)
	if parts == nil || (parts[2] == "role") != (by.kind == "AssumedRole") {
		return by
	}
	by.identity = record.Ref{Kind: record.Identity, System: parts[1], SourceID: arn}
	if by.kind == "AssumedRole" {
		by.workload, by.instance = readWorkload(user, session, parts[1])
	}
	return by
}

// readWorkload is the function or the instance that the credentials of a session
// were issued to, as AWS says it. Both run in the account of their role.
func readWorkload(user, session *eventlog.Object, account string) (ref record.Ref, isInstance bool) {
	scope := user.Object("inScopeOf")
	if scope.Text("issuerType") == "AWS::Lambda::Function" {
		if parts := function.FindStringSubmatch(scope.Text("credentialsIssuedTo")); parts != nil && parts[2] == account {
			return record.Ref{Kind: record.Workload, System: account, SourceID: parts[1]}, false
		}
	}
	if session.Text("ec2RoleDelivery") != "" {
		if parts := instance.FindStringSubmatch(user.Text("arn")); parts != nil {
			return record.Ref{Kind: record.Workload, System: account, SourceID: parts[1]}, true
		}
	}
	return record.Ref{}, false
}

var (
	service = regexp.MustCompile(`^([a-z0-9][a-z0-9.-]{0,100})\.(?:amazonaws\.com(?:\.cn)?|amazon\.com|aws)$`)
	word    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,127}$`)
	dated   = regexp.MustCompile(`20\d{6}(?:v\d+)?$`)
)

// prefixes are those of services whose policies call them otherwise than their
// hosts.
var prefixes = map[string]string{
	"bedrock-agent": "bedrock", "bedrock-agent-runtime": "bedrock", "bedrock-runtime": "bedrock", "email": "ses", "monitoring": "cloudwatch", "tagging": "tag",
}

// actions are those of calls that are allowed by an action of another name.
var actions = map[string]string{
	"bedrock:Converse": "bedrock:InvokeModel", "bedrock:ConverseStream": "bedrock:InvokeModelWithResponseStream", "bedrock:StartAsyncInvoke": "bedrock:InvokeModel",
	"lambda:Invoke": "lambda:InvokeFunction",
	"s3:CopyObject": "s3:PutObject", "s3:CreateMultipartUpload": "s3:PutObject", "s3:UploadPart": "s3:PutObject",
	"s3:UploadPartCopy": "s3:PutObject", "s3:CompleteMultipartUpload": "s3:PutObject", "s3:DeleteObjects": "s3:DeleteObject",
	"s3:HeadObject": "s3:GetObject", "s3:HeadBucket": "s3:ListBucket", "s3:ListObjects": "s3:ListBucket", "s3:ListBuckets": "s3:ListAllMyBuckets",
}

// actionOf is the action as a policy writes it: secretsmanager:GetSecretValue.
// Lambda tells the version of its interface with the name of a call.
func actionOf(o *eventlog.Object, source, name string) string {
	parts := service.FindStringSubmatch(source)
	switch {
	case parts == nil:
		o.Fail("eventSource", "is %s, which is no service", eventlog.Quote(source))
		return ""
	case !word.MatchString(name):
		o.Fail("eventName", "is %s, which is no name of a call", eventlog.Quote(name))
		return ""
	}
	prefix := parts[1]
	if other, known := prefixes[prefix]; known {
		prefix = other
	}
	if prefix == "lambda" {
		name = dated.ReplaceAllString(name, "")
	}
	action := prefix + ":" + name
	return cmp.Or(actions[action], action)
}

// isDenied says whether an error means that the caller was not allowed to, or was
// not who it said. Services write it in many ways (AccessDenied,
// AccessDeniedException, Client.UnauthorizedOperation, KMS.AccessDenied…).
func isDenied(code string) bool {
	code = strings.ToLower(code)
	for _, part := range []string{"accessdenied", "unauthorized", "notauthorized", "authorizationerror", "authfailure", "forbidden"} {
		if strings.Contains(code, part) {
			return true
		}
	}
	_, last, _ := strings.Cut(code, ".")
	return credentialFaults[code] || credentialFaults[last]
}

// credentialFaults are the errors of calls whose credentials were no good.
var credentialFaults = map[string]bool{
	"expiredtoken": true, "expiredtokenexception": true, "requestexpired": true, "invalidclienttokenid": true, "invalidaccesskeyid": true,
	"invalidtoken": true, "unrecognizedclientexception": true, "signaturedoesnotmatch": true, "invalidsignatureexception": true,
	"incompletesignature": true, "missingauthenticationtoken": true, "missingauthenticationtokenexception": true,
	"optinrequired": true, "explicitdeny": true,
}

// isUntold says whether an error leaves open if the call was allowed: the service
// was too busy to look, or failed over it.
func isUntold(code string) bool {
	code = strings.ToLower(code)
	for _, part := range []string{"throttl", "toomanyrequests", "requestlimitexceeded", "slowdown", "internalerror", "internalfailure",
		"internalserver", "serviceunavailable", "serviceexception", "serverexception", "server."} {
		if strings.Contains(code, part) {
			return true
		}
	}
	return false
}

// asksModel says whether a call sends data to a language model of Bedrock.
func asksModel(source, name string) bool {
	parts := service.FindStringSubmatch(source)
	return parts != nil && (parts[1] == "bedrock" || parts[1] == "bedrock-runtime") && modelCalls[name]
}

var modelCalls = map[string]bool{
	"InvokeModel": true, "InvokeModelWithResponseStream": true, "InvokeModelWithBidirectionalStream": true,
	"Converse": true, "ConverseStream": true, "StartAsyncInvoke": true,
}

var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// hostOf is the host that a call went to, as the caller named it, else the name
// of the service.
func hostOf(o *eventlog.Object, source string) string {
	host, _, _ := strings.Cut(strings.ToLower(o.Object("tlsDetails").Text("clientProvidedHostHeader")), ":")
	if hostname.MatchString(host) {
		return host
	}
	return source
}

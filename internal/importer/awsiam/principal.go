package awsiam

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// principal is a role or a user of the account.
type principal struct {
	arn, name string
	user      bool
	declared  bool // the dump has it; else something only names it
	at        record.Position
	created   time.Time
	lastUsed  time.Time // a role: when a session of it last asked for anything
	signedIn  time.Time // a user: when a person last did
	tags      map[string]string
	inline    []*policy
	attached  []attachment
	groups    []mention
	boundary  mention
	trust     []statement
	mistrust  bool // its trust policy could not be read

	partial bool // not all of its authority was evaluated
	loose   bool // not all that may run as it is known
}

// mention is a name of something, where it stands.
type mention struct {
	name string
	at   record.Position
}

// attachment is a managed policy that something holds.
type attachment struct {
	arn, name string
	at        record.Position
}

// group gives its policies to its users.
type group struct {
	arn, name string
	at        record.Position
	created   time.Time
	inline    []*policy
	attached  []attachment
}

// policy is a managed policy, or an inline one of a principal or a group.
type policy struct {
	id         string
	name       string
	sourceType string
	at         record.Position
	created    time.Time
	tags       map[string]string
	statements []statement
	unread     bool // its document could not be read, or is not there
	absent     bool // only an attachment names it
	fault      *shapeError
}

// profile is an instance profile, which hands its role to an instance.
type profile struct {
	arn   string
	at    record.Position
	roles []string
}

// guard is a service control policy. What it says is not in its list.
type guard struct {
	id, name string
	at       record.Position
}

// The types of entities, by the names that AWS gives them in its templates.
const (
	typeRole     = "AWS::IAM::Role"
	typeUser     = "AWS::IAM::User"
	typeGroup    = "AWS::IAM::Group"
	typeManaged  = "AWS::IAM::ManagedPolicy"
	typeInline   = "AWS::IAM::Policy"
	typeFunction = "AWS::Lambda::Function"
	typeInstance = "AWS::EC2::Instance"
	typeBucket   = "AWS::S3::Bucket"
	typeDatabase = "AWS::RDS::DBInstance"
	typeSecret   = "AWS::SecretsManager::Secret"
)

func (p *principal) ref() record.Ref { return record.Ref{Kind: record.Identity, SourceID: p.arn} }

func (p *policy) ref() record.Ref { return record.Ref{Kind: record.Role, SourceID: p.id} }

func (g *group) ref() record.Ref { return record.Ref{Kind: record.Role, SourceID: g.arn} }

// refOf is the entity of an id, nil where there is no id that could be stored.
func refOf(kind record.EntityKind, id string) *record.Ref {
	if id == "" || len(id) > maxName || strings.ContainsFunc(id, unreadable) {
		return nil
	}
	return &record.Ref{Kind: kind, SourceID: id}
}

// arnIn reads the ARN of a record.
func arnIn(item value, key string) string {
	field := item.get(key)
	text := field.name()
	if _, ok := parseARN(text); !ok && text != "" {
		field.fail("%s is no ARN", quoted(text))
	}
	return text
}

func readUser(at record.Position, item value) []reading {
	p := readPrincipal(at, item, "User")
	p.user = true
	p.signedIn = item.get("PasswordLastUsed").moment()
	for _, name := range item.get("GroupList").items() {
		p.groups = append(p.groups, mention{name: name.name(), at: record.Position{File: at.File, Line: name.line}})
	}
	return p.reading()
}

func readRole(at record.Position, item value) []reading {
	p := readPrincipal(at, item, "Role")
	p.lastUsed = item.get("RoleLastUsed").get("LastUsedDate").moment()
	trust := item.get("AssumeRolePolicyDocument")
	statements, fault := readPolicyDocument(at.File, trust, true)
	p.trust, p.mistrust = statements, fault != nil || !trust.present()
	var profiles []*profile
	for _, one := range item.get("InstanceProfileList").items() {
		profiles = append(profiles, &profile{arn: arnIn(one, "Arn"), at: record.Position{File: at.File, Line: one.line}, roles: []string{p.arn}})
	}
	add := func(a *Account) {
		if fault != nil {
			ref := p.ref()
			a.rejectShape(at.File, fault, &ref)
		}
		for _, one := range profiles {
			a.addProfile(one)
		}
	}
	return p.reading(add)
}

func readPrincipal(at record.Position, item value, prefix string) *principal {
	p := &principal{arn: arnIn(item, "Arn"), name: item.get(prefix + "Name").name(), declared: true, at: at,
		created: item.get("CreateDate").moment(), tags: readTags(item.get("Tags"))}
	p.inline = readInline(at.File, item.get(prefix+"PolicyList"), p.arn)
	p.attached = readAttached(at.File, item.get("AttachedManagedPolicies"))
	if boundary := item.get("PermissionsBoundary"); boundary.present() {
		p.boundary = mention{name: boundary.get("PermissionsBoundaryArn").name(), at: record.Position{File: at.File, Line: boundary.line}}
	}
	return p
}

func (p *principal) reading(more ...func(*Account)) []reading {
	return []reading{{ref: refOf(record.Identity, p.arn), key: p.arn, add: func(a *Account) {
		a.principals = append(a.principals, p)
		a.principalByARN[p.arn] = p
		for _, one := range more {
			one(a)
		}
		a.addInline(p.inline)
	}}}
}

func readGroup(at record.Position, item value) []reading {
	g := &group{arn: arnIn(item, "Arn"), name: item.get("GroupName").name(), at: at, created: item.get("CreateDate").moment()}
	g.inline = readInline(at.File, item.get("GroupPolicyList"), g.arn)
	g.attached = readAttached(at.File, item.get("AttachedManagedPolicies"))
	return []reading{{ref: refOf(record.Role, g.arn), key: g.arn, add: func(a *Account) {
		a.groups = append(a.groups, g)
		a.groupByName[g.name] = g
		a.addInline(g.inline)
	}}}
}

// addInline adds inline policies to those of the account.
func (a *Account) addInline(policies []*policy) {
	for _, p := range policies {
		a.addPolicy(p)
	}
}

func (a *Account) addPolicy(p *policy) {
	if p.fault != nil {
		ref := p.ref()
		a.rejectShape(p.at.File, p.fault, &ref)
	}
	a.policies = append(a.policies, p)
	a.policyByARN[p.id] = p
}

// readInline reads the policies that stand in their holder. No name of a policy
// has a bar in it, so that its id is that of one policy only.
func readInline(file string, list value, holder string) (policies []*policy) {
	names := map[string]bool{}
	for _, item := range list.items() {
		name := item.get("PolicyName")
		p := &policy{id: holder + "|" + name.name(), name: name.text(), sourceType: typeInline, at: record.Position{File: file, Line: item.line}}
		switch {
		case strings.Contains(p.name, "|"):
			name.fail("%s is no name of a policy", quoted(p.name))
		case len(p.id) > maxName:
			name.fail("is too long")
		case names[p.name]:
			name.fail("%s stands there twice", quoted(p.name))
		}
		names[p.name] = true
		p.statements, p.fault = readPolicyDocument(file, item.get("PolicyDocument"), false)
		p.unread = p.fault != nil
		policies = append(policies, p)
	}
	return policies
}

func readAttached(file string, list value) (attached []attachment) {
	for _, item := range list.items() {
		attached = append(attached, attachment{arn: arnIn(item, "PolicyArn"), name: item.get("PolicyName").name(),
			at: record.Position{File: file, Line: item.line}})
	}
	return attached
}

// readManaged reads a managed policy with the version that is in force. A service
// control policy stands in a list of the same name.
func readManaged(at record.Position, item value) []reading {
	if item.get("Type").text() == "SERVICE_CONTROL_POLICY" {
		g := &guard{id: item.get("Id").name(), name: item.get("Name").text(), at: at}
		return []reading{{key: "service control policy " + g.id, add: func(a *Account) { a.guards = append(a.guards, g) }}}
	}
	p := &policy{id: arnIn(item, "Arn"), name: item.get("PolicyName").name(), sourceType: typeManaged, at: at,
		created: item.get("CreateDate").moment(), tags: readTags(item.get("Tags")), unread: true}
	valid := item.get("DefaultVersionId").text()
	for _, version := range item.get("PolicyVersionList").items() {
		if !version.get("IsDefaultVersion").bool() && (valid == "" || version.get("VersionId").text() != valid) {
			continue
		}
		p.statements, p.fault = readPolicyDocument(at.File, version.get("Document"), false)
		p.unread = p.fault != nil
		break
	}
	return []reading{{ref: refOf(record.Role, p.id), key: p.id, add: func(a *Account) { a.addPolicy(p) }}}
}

// readProfile reads a profile of aws iam list-instance-profiles.
func readProfile(at record.Position, item value) []reading {
	p := &profile{arn: arnIn(item, "Arn"), at: at}
	for _, role := range item.get("Roles").items() {
		p.roles = append(p.roles, arnIn(role, "Arn"))
	}
	return []reading{{key: p.arn + " of the list", add: func(a *Account) { a.addProfile(p) }}}
}

// addProfile unites what the roles and the list say about a profile.
func (a *Account) addProfile(p *profile) {
	before := a.profileByARN[p.arn]
	if before == nil {
		a.profiles = append(a.profiles, p)
		a.profileByARN[p.arn] = p
		return
	}
	for _, role := range p.roles {
		if !slices.Contains(before.roles, role) {
			before.roles = append(before.roles, role)
		}
	}
}

// readTags reads tags. AWS has each key once.
func readTags(list value) map[string]string {
	items := list.items()
	if len(items) == 0 {
		return nil
	}
	if len(items) > maxTags {
		list.fail("has more than %d tags", maxTags)
		return nil
	}
	tags := make(map[string]string, len(items))
	for _, item := range items {
		key := item.get("Key").text()
		if _, double := tags[key]; double || key == "" {
			item.get("Key").fail("%s is no key, or stands there twice", quoted(key))
		}
		value := item.get("Value")
		if len(key) > maxName || len(value.text()) > maxName {
			value.fail("is longer than %d bytes", maxName)
		}
		tags[key] = value.text()
	}
	return tags
}

// maxTags is a little more than AWS allows.
const maxTags = 64

// where names a statement of a policy in a warning.
func (p *policy) where(s *statement) string { return fmt.Sprintf("%s, statement %s", p.id, s.title()) }

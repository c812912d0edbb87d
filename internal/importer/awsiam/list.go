package awsiam

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// function is a Lambda function with all its versions that are listed.
type function struct {
	arn, name string
	at        record.Position
	code      string
	latest    bool // the attributes are those of $LATEST
	roles     []string
}

// instance is an EC2 instance.
type instance struct {
	id, name string
	at       record.Position
	owner    string // the account that it runs in
	image    string
	status   record.Status
	tags     map[string]string
	profile  string

	roles []string
	loose bool // the role of its profile is not known
}

// resource is something that a list names.
type resource struct {
	arn, name, sourceType string
	at                    record.Position
	bucket                bool // its ARN names no account
	created               time.Time
	tags                  map[string]string
}

func (f *function) ref() record.Ref { return record.Ref{Kind: record.Workload, SourceID: f.arn} }

func (i *instance) ref() record.Ref { return record.Ref{Kind: record.Workload, SourceID: i.id} }

func readFunction(at record.Position, item value) []reading {
	full := arnIn(item, "FunctionArn")
	f := &function{arn: unversioned(full), name: item.get("FunctionName").name(), at: at}
	if code := item.get("CodeSha256").text(); code != "" {
		f.code = "sha256:" + code
	}
	version := item.get("Version").text()
	f.latest = version == "" || version == "$LATEST"
	if role := item.get("Role"); role.text() != "" {
		f.roles = []string{arnIn(item, "Role")}
	}
	return []reading{{ref: refOf(record.Workload, f.arn), key: f.arn + " in version " + quoted(version), add: func(a *Account) { a.addFunction(f) }}}
}

// addFunction unites the versions of a function: each may run as another role.
func (a *Account) addFunction(f *function) {
	before := a.functionByARN[f.arn]
	if before == nil {
		a.functions = append(a.functions, f)
		a.functionByARN[f.arn] = f
		return
	}
	roles := before.roles
	if f.latest && !before.latest {
		*before, f = *f, before
	}
	for _, role := range append(roles, f.roles...) {
		if !slices.Contains(before.roles, role) {
			before.roles = append(before.roles, role)
		}
	}
}

// unversioned cuts a version or an alias from the ARN of a function.
func unversioned(full string) string {
	parts := strings.SplitN(full, ":", 8)
	if len(parts) < 8 || parts[5] != "function" {
		return full
	}
	return strings.Join(parts[:7], ":")
}

// statuses are what the states of an instance mean. One that is being started is
// there; one that has stopped may be started again with its role.
var statuses = map[string]record.Status{
	"": record.Active, "pending": record.Active, "running": record.Active,
	"stopping": record.Disabled, "stopped": record.Disabled, "shutting-down": record.Disabled,
	"terminated": record.Removed,
}

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{1,64}$`)

func readReservation(at record.Position, item value) (readings []reading) {
	owner := item.get("OwnerId").text()
	list := item.get("Instances")
	for _, one := range list.items() {
		if one.present() {
			readings = append(readings, readInstance(record.Position{File: at.File, Line: one.line}, one, owner))
		}
	}
	return readings
}

func readInstance(at record.Position, from value, owner string) reading {
	item, check := open(from.node)
	item.path = from.path
	r := reading{at: at, node: from.node, chk: check}
	if !item.is(objectNode) {
		item.fail("must be an object and is %s", from.node.kind)
		return r
	}
	check.err = sound(from.node, from.path, nil)
	id := item.get("InstanceId")
	i := &instance{id: id.name(), at: at, owner: owner, image: item.get("ImageId").text(), tags: readTags(item.get("Tags"))}
	if !instanceID.MatchString(i.id) {
		id.fail("%s is no id of an instance", quoted(i.id))
	}
	i.name = i.tags["Name"]
	if i.name == "" {
		i.name = i.id
	}
	state := item.get("State").get("Name")
	status, known := statuses[state.text()]
	if !known {
		state.fail("%s is no state of an instance", quoted(state.text()))
	}
	i.status = status
	if held := item.get("IamInstanceProfile"); held.present() {
		i.profile = arnIn(held, "Arn")
	}
	r.ref, r.key = refOf(record.Workload, i.id), i.id
	r.add = func(a *Account) { a.instances = append(a.instances, i) }
	return r
}

func readBucket(at record.Position, item value) []reading {
	r := &resource{name: item.get("Name").name(), sourceType: typeBucket, at: at, bucket: true, created: item.get("CreationDate").moment()}
	r.arn = "arn:aws:s3:::" + r.name
	return r.reading()
}

func readDatabase(at record.Position, item value) []reading {
	r := &resource{arn: arnIn(item, "DBInstanceArn"), name: item.get("DBInstanceIdentifier").name(), sourceType: typeDatabase, at: at,
		created: item.get("InstanceCreateTime").moment(), tags: readTags(item.get("TagList"))}
	return r.reading()
}

func readSecret(at record.Position, item value) []reading {
	r := &resource{arn: arnIn(item, "ARN"), name: item.get("Name").name(), sourceType: typeSecret, at: at,
		created: item.get("CreatedDate").moment(), tags: readTags(item.get("Tags"))}
	return r.reading()
}

func (r *resource) reading() []reading {
	return []reading{{ref: refOf(record.Resource, r.arn), key: r.arn, add: func(a *Account) { a.resources = append(a.resources, r) }}}
}

// Counts are how many things of each kind were read.
type Counts struct {
	Users, Groups, Roles, Policies, InstanceProfiles, Functions, Instances, Buckets, Databases, Secrets int
}

// Counts says what was read. Policies are the managed ones.
func (a *Account) Counts() (c Counts) {
	for _, p := range a.principals {
		switch {
		case p.user:
			c.Users++
		case p.declared:
			c.Roles++
		}
	}
	for _, p := range a.policies {
		if p.sourceType == typeManaged && !p.absent {
			c.Policies++
		}
	}
	for _, r := range a.resources {
		switch r.sourceType {
		case typeBucket:
			c.Buckets++
		case typeDatabase:
			c.Databases++
		case typeSecret:
			c.Secrets++
		}
	}
	c.Groups, c.InstanceProfiles, c.Functions, c.Instances = len(a.groups), len(a.profiles), len(a.functions), len(a.instances)
	return c
}

package awsiam

import (
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// File is one list of an account.
type File struct {
	Name    string
	Content io.Reader
}

// Options adjust a reading. The zero value is useful.
type Options struct {
	Policy *Policy   // nil: the table that comes with the product
	Now    time.Time // a use that lies after it is left out; zero: none is
}

// The bounds of an import.
const (
	maxFile  = 64 << 20
	maxTotal = 256 << 20
)

// codePrefix begins the codes of faults of the input as a whole.
const codePrefix = "AWS"

// The codes of rejections.
const (
	codeInvalid      = "INVALID_OBJECT"
	codeDuplicateKey = "DUPLICATE_KEY"
	codeDuplicate    = "DUPLICATE_OBJECT"
	codeUnknown      = "UNKNOWN_DOCUMENT"
	codeForeign      = "FOREIGN_ACCOUNT"
)

// Account is what the files of one import say about an account.
type Account struct {
	options   Options
	id        string // empty if nothing names it
	partition string
	first     string // the name of the first file
	dump      string // the name of the first file with identities, empty if there is none

	rejections []record.Rejection
	warnings   []record.Warning
	seen       map[string]sighting
	pages      map[string]*pages // by kind of list

	principals []*principal
	groups     []*group
	policies   []*policy
	functions  []*function
	instances  []*instance
	resources  []*resource
	profiles   []*profile
	guards     []*guard

	principalByARN map[string]*principal
	groupByName    map[string]*group
	policyByARN    map[string]*policy
	functionByARN  map[string]*function
	profileByARN   map[string]*profile

	broken       map[record.Ref]bool // what was rejected
	rolesPartial bool                // what was rejected may have held authority of anybody
}

// sighting is where an object was read first.
type sighting struct {
	digest [sha256.Size]byte
	at     record.Position
}

// pages counts the documents of a kind of list.
type pages struct {
	what  string
	last  int // that were the end of a list
	first record.Position
}

// Parse reads the lists of an account and emits what they say. An error is a
// fault of the input as a whole (*problem.Error), or what the iterator, a reader
// or the emitter returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[File, error], options Options, out record.Emitter) error {
	account, err := Read(files, options)
	if err != nil {
		return err
	}
	return account.Emit(out)
}

// Read takes in the lists of an account, so that it can be asked which account
// that is before anything is emitted.
func Read(files iter.Seq2[File, error], options Options) (*Account, error) {
	if options.Policy == nil {
		policy, err := defaultPolicy()
		if err != nil {
			return nil, err
		}
		options.Policy = policy
	}
	a := &Account{
		options: options, seen: map[string]sighting{}, pages: map[string]*pages{}, broken: map[record.Ref]bool{},
		principalByARN: map[string]*principal{}, groupByName: map[string]*group{}, policyByARN: map[string]*policy{},
		functionByARN: map[string]*function{}, profileByARN: map[string]*profile{},
	}
	left := maxTotal
	for file, err := range files {
		if err != nil {
			return nil, err
		}
		if a.first == "" {
			a.first = file.Name
		}
		size, err := a.readFile(file, min(left, maxFile))
		if err != nil {
			return nil, err
		}
		left -= size
	}
	if len(a.pages) == 0 {
		return nil, problem.New(problem.Invalid, codePrefix+"_EMPTY",
			"No file is a list that is read: begin with the answer of aws iam get-account-authorization-details.").At(a.first, 0)
	}
	if err := a.identify(); err != nil {
		return nil, err
	}
	return a, nil
}

// ID is the number of the account, empty if nothing names it.
func (a *Account) ID() string { return a.id }

// Cut says that a list of the account is missing its end, so that nothing is gone
// because it is not there.
func (a *Account) Cut() bool {
	for _, list := range a.pages {
		if list.last == 0 {
			return true
		}
	}
	return false
}

func (a *Account) readFile(file File, limit int) (size int, err error) {
	content, err := io.ReadAll(io.LimitReader(file.Content, int64(limit)+1))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", file.Name, err)
	}
	if len(content) > limit {
		return 0, fileFault(file.Name, 0, "TOO_LARGE", fmt.Sprintf(
			"A file may have %d MiB, the files of one import %d MiB.", maxFile>>20, maxTotal>>20))
	}
	text := trimMark(content)
	if line := notText(text); line > 0 {
		return 0, fileFault(file.Name, line, "NOT_JSON", "The file contains bytes that are not UTF-8.")
	}
	values := newReader(text, 0)
	found := false
	for {
		root, fault := values.next()
		if fault != nil {
			return 0, fileFault(file.Name, fault.line, fault.code, fault.reason)
		}
		if root == nil {
			break
		}
		found = true
		a.readDocument(file.Name, root)
	}
	if !found {
		a.reject(record.Position{File: file.Name}, codeUnknown, "The file is empty.", nil)
	}
	return len(content), nil
}

func fileFault(file string, line int, code, reason string) error {
	return problem.New(problem.Invalid, codePrefix+"_"+code, "%s", reason).At(file, line)
}

// list is one kind of list, told by the key that it stands under. One without a
// reader is recognised, so that a folder can be given whole, and not used.
type list struct {
	key, what string
	read      func(at record.Position, item value) []reading
}

var lists = []list{
	{"UserDetailList", "users", readUser},
	{"GroupDetailList", "groups", readGroup},
	{"RoleDetailList", "roles", readRole},
	{"Policies", "policies", readManaged},
	{"InstanceProfiles", "instance profiles", readProfile},
	{"Functions", "functions", readFunction},
	{"Reservations", "instances", readReservation},
	{"Buckets", "buckets", readBucket},
	{"DBInstances", "databases", readDatabase},
	{"SecretList", "secrets", readSecret},
	{"clusterArns", "clusters of containers", nil},
	{"SecurityGroups", "security groups", nil},
}

func isListKey(key string) bool {
	return slices.ContainsFunc(lists, func(l list) bool { return l.key == key })
}

// reading is a record that was read, and what adds it to the account if nothing
// in it was wrong.
type reading struct {
	ref  *record.Ref // the entity that it is, where that much was readable
	key  string      // what it may be only once
	at   record.Position
	node *node
	chk  *check
	add  func(*Account)
}

// readDocument tells a document by its keys and reads its lists.
func (a *Account) readDocument(file string, root *node) {
	at := record.Position{File: file, Line: int(root.line)}
	doc, check := open(root)
	if !doc.is(objectNode) {
		a.reject(at, codeUnknown, "The document is "+root.kind.String()+" and no answer of the AWS command line.", nil)
		return
	}
	if shape := sound(root, "", isListKey); shape != nil {
		a.rolesPartial = true
		a.rejectShape(file, shape, nil)
		return
	}
	known := false
	for _, list := range lists {
		items := doc.get(list.key)
		if !items.present() {
			continue
		}
		known = true
		if list.read == nil {
			a.warn(record.Position{File: file, Line: items.line}, "LIST_UNUSED",
				"A list of %s (%s) is recognised; it says nothing about authority and is not used.", list.what, list.key)
			continue
		}
		elements := items.items() // fails if it is no list
		a.notePage(list, doc, record.Position{File: file, Line: items.line})
		for _, item := range elements {
			a.readItem(list, file, item)
		}
	}
	switch {
	case check.err != nil:
		a.rolesPartial = true
		a.rejectShape(file, check.err, nil)
	case !known:
		a.reject(at, codeUnknown, "No list is known by the keys of this document ("+keysOf(root)+"); known are "+strings.Join(Keys(), ", ")+".", nil)
	case a.dump == "" && (doc.get("UserDetailList").present() || doc.get("RoleDetailList").present()):
		a.dump = file
	}
}

// Keys are the keys under which lists stand.
func Keys() []string {
	keys := make([]string, len(lists))
	for i := range lists {
		keys[i] = lists[i].key
	}
	return keys
}

func keysOf(root *node) string {
	var keys []string
	for i := range root.children {
		if i == 6 {
			keys = append(keys, "…")
			break
		}
		keys = append(keys, quoted(root.children[i].key))
	}
	if len(keys) == 0 {
		return "none"
	}
	return strings.Join(keys, ", ")
}

// notePage notes whether a list ends here. Its pages may be files of their own;
// one of them has to be the last.
func (a *Account) notePage(l list, doc value, at record.Position) {
	if a.pages[l.key] == nil {
		a.pages[l.key] = &pages{what: l.what, first: at}
	}
	more := doc.get("IsTruncated").bool()
	for _, marker := range []string{"NextToken", "NextMarker", "Marker", "ContinuationToken"} {
		more = more || doc.get(marker).text() != ""
	}
	if !more {
		a.pages[l.key].last++
	}
}

// readItem reads one item of a list. A fault in a record rejects it alone.
func (a *Account) readItem(l list, file string, item value) {
	if !item.present() {
		return
	}
	root, check := open(item.node)
	root.path = item.path
	at := record.Position{File: file, Line: root.line}
	if !root.is(objectNode) {
		root.fail("must be an object and is %s", root.node.kind)
		a.refuse(l.key, reading{at: at, chk: check})
		return
	}
	check.err = sound(root.node, root.path, isOwnRecord)
	readings := l.read(at, root)
	if check.err != nil {
		// Of a record that was read as one its entity may be known; what is wrong
		// around several others leaves all of them in doubt.
		broken := reading{at: at, chk: check}
		if len(readings) == 1 && readings[0].node == nil {
			broken.ref = readings[0].ref
		}
		a.refuse(l.key, broken)
		return
	}
	for _, r := range readings {
		if r.node == nil {
			r.node, r.chk, r.at = root.node, check, at
		}
		a.take(l.key, r)
	}
}

// isOwnRecord holds for fields whose faults reject less than what they stand in.
func isOwnRecord(key string) bool {
	return key == "PolicyDocument" || key == "AssumeRolePolicyDocument" || key == "Document" || key == "Instances"
}

// take adds what was read, unless it is wrong or there already.
func (a *Account) take(list string, r reading) {
	for _, unread := range r.chk.times {
		a.warn(record.Position{File: r.at.File, Line: unread.line}, "TIME_UNREADABLE", "%s", yamldoc.Sentence(unread.Error()))
	}
	if r.chk.err != nil {
		a.refuse(list, r)
		return
	}
	sum := digest(r.node)
	if before, double := a.seen[r.key]; double {
		if before.digest == sum {
			a.warn(r.at, codeDuplicate, "%s stands there twice with the same content, first at %s.", r.key, before.at)
			return
		}
		a.blame(list, r.ref)
		a.reject(r.at, codeDuplicate, fmt.Sprintf("%s stands there twice with different content; the first, at %s, holds.", r.key, before.at), r.ref)
		return
	}
	a.seen[r.key] = sighting{digest: sum, at: r.at}
	r.add(a)
}

// refuse rejects a record with a fault.
func (a *Account) refuse(list string, r reading) {
	a.blame(list, r.ref)
	a.rejectShape(r.at.File, r.chk.err, r.ref)
}

// blame notes which knowledge a rejected record leaves incomplete.
func (a *Account) blame(list string, ref *record.Ref) {
	switch list {
	case "GroupDetailList":
		a.rolesPartial = true
	case "UserDetailList", "RoleDetailList", "Policies", "InstanceProfiles":
		if ref == nil {
			a.rolesPartial = true
		}
	}
	if ref != nil {
		a.broken[*ref] = true
	}
}

func (a *Account) reject(at record.Position, code, reason string, ref *record.Ref) {
	a.rejections = append(a.rejections, record.Rejection{Position: at, Code: code, Reason: reason, Entity: ref})
}

func (a *Account) rejectShape(file string, shape *shapeError, ref *record.Ref) {
	code := codeInvalid
	if shape.duplicate {
		code = codeDuplicateKey
	}
	a.reject(record.Position{File: file, Line: shape.line}, code, yamldoc.Sentence(shape.Error()), ref)
}

func (a *Account) warn(at record.Position, code, format string, args ...any) {
	a.warnings = append(a.warnings, record.Warning{Position: at, Code: code, Message: fmt.Sprintf(format, args...)})
}

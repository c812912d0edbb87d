package cloudtrail

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Options adjust a parse. The zero value is useful.
type Options struct {
	// Now is what times are compared with: an event more than five minutes after
	// it is refused. Zero: none is.
	Now time.Time

	// System is the name that the import gives the account of the log, if it gives
	// one. With a name that is no number the identities of that account are emitted
	// without a system, which is the source's. Without one, and of other accounts,
	// the system is the number of the account.
	System string
}

// File is one file of a log.
type File struct {
	Name    string
	Content io.Reader
}

// Summary is what was in a log.
type Summary struct {
	Events   int // that were read and accepted
	Repeated int // that were there before
	NoCalls  int // that tell of no call of the interface: sign-ins, services' own events, insights
	Denied   int
	Untold   int // that failed in a way that does not say whether they were allowed
	Failed   int // that failed for another reason
	Others   int // calls of nobody that is a user or a role of an account
	Counted  int // calls that are evidence
	Named    int // of them, those that name a workload
}

// codePrefix begins the codes of faults of a file.
const codePrefix = "CLOUDTRAIL"

// clockSkew is how far ahead of us AWS's clock may be.
const clockSkew = 5 * time.Minute

// maxFaults bounds the records that are held because they are at fault.
const maxFaults = 100_000

// Log is what a log says.
type Log struct {
	options    Options
	first      string // the name of the first file
	runs       eventlog.Runs
	egress     map[egress]record.Position
	accounts   map[string]record.Position // whose log this is
	rejections []record.Rejection
	summary    Summary
	others     map[string]int // calls that were left out, by the kind of caller
}

// Parse reads a log and emits what it proves. An error is a fault of the input
// as a whole (*problem.Error), or what the iterator, a reader or the emitter
// returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[File, error], options Options, out record.Emitter) (Summary, error) {
	log, err := Read(files, options)
	if err != nil {
		return Summary{}, err
	}
	return log.summary, log.Emit(out)
}

// Read takes in a log, so that it can be asked whose it is before anything is
// emitted. What is held is what is counted, not the events.
func Read(files iter.Seq2[File, error], options Options) (*Log, error) {
	l := &Log{options: options, runs: eventlog.Runs{Prefix: codePrefix}, egress: map[egress]record.Position{},
		accounts: map[string]record.Position{}, others: map[string]int{}}
	reader := &eventlog.Reader{Prefix: codePrefix, List: "Records", Out: faults{l}, Each: l.event}
	for file, err := range files {
		if err != nil {
			return nil, err
		}
		if l.first == "" {
			l.first = file.Name
		}
		if err := reader.Read(file.Name, file.Content); err != nil {
			return nil, err
		}
	}
	if reader.Values() == 0 {
		return nil, problem.New(problem.Invalid, codePrefix+"_EMPTY", "The input holds no event.").At(l.first, 0)
	}
	return l, l.identify()
}

// faults holds what is no event until the log is emitted.
type faults struct{ *Log }

// Reject holds a rejection.
func (f faults) Reject(r record.Rejection) error {
	if len(f.rejections) == maxFaults {
		return problem.New(problem.Invalid, codePrefix+"_TOO_MANY_FAULTS",
			"More than %d records are no events of CloudTrail. Is this its log?", maxFaults).At(r.File, r.Line)
	}
	f.rejections = append(f.rejections, r)
	return nil
}

// Record is not called by who reads a log.
func (f faults) Record(record.Record) error { return nil }

// Warn is not called by who reads a log.
func (f faults) Warn(record.Warning) error { return nil }

// egress is a host that a workload sent data to.
type egress struct {
	workload record.Ref
	host     string
}

// call is what an event says of a call.
type call struct {
	id, code, action string
	at               time.Time
	account          string // whose log it is in
	by               caller
	model            string // the host of the model that was asked
	isCall           bool
}

// read reads an event. What is wrong with it is kept by the object.
func (l *Log) read(o *eventlog.Object) call {
	c := call{at: o.Time("eventTime"), code: o.Text("errorCode"), account: o.Text("recipientAccountId")}
	if now := l.options.Now; !now.IsZero() && c.at.After(now.Add(clockSkew)) {
		o.FailWith("TIME_IN_FUTURE", fmt.Sprintf("The call was made at %s, which is in the future.", c.at.Format(time.RFC3339)))
	}
	// Copies of one event, for each account that it concerns, share an id.
	if c.id = cmp.Or(o.Text("sharedEventID"), o.Text("eventID")); c.id == "" {
		o.Required("eventID")
	}
	source, name := o.Required("eventSource"), o.Required("eventName")
	category := o.Text("eventCategory")
	c.isCall = (!o.Has("eventType") || calls[o.Text("eventType")]) && (category == "" || category == "Management" || category == "Data")
	if !c.isCall || !o.Sound() {
		return c
	}
	c.by, c.action = readCaller(o), actionOf(o, source, name)
	if c.code == "" && asksModel(source, name) {
		c.model = hostOf(o, source)
	}
	c.account = cmp.Or(c.account, c.by.identity.System)
	return c
}

func (l *Log) event(at record.Position, o *eventlog.Object) error {
	c := l.read(o)
	if !o.Sound() {
		return nil
	}
	l.summary.Events++
	l.runs.Note(c.at)
	if _, known := l.accounts[c.account]; !known && isAccount(c.account) {
		l.accounts[c.account] = at
	}
	isNew, err := l.runs.New(c.id, at)
	if err != nil {
		return err
	}
	switch {
	case !isNew:
		l.summary.Repeated++
		return nil
	case !c.isCall:
		l.summary.NoCalls++
		return nil
	case isDenied(c.code):
		l.summary.Denied++
		return nil
	case isUntold(c.code):
		l.summary.Untold++
		return nil
	case c.by.identity.SourceID == "":
		l.summary.Others++
		l.others[c.by.kind]++
		return nil
	}
	if c.code != "" {
		l.summary.Failed++
	}
	l.summary.Counted++
	if c.by.lasting().SourceID != "" {
		l.summary.Named++
	}
	if c.model != "" && c.by.workload.SourceID != "" {
		found := egress{c.by.workload, c.model}
		if _, known := l.egress[found]; !known {
			l.egress[found] = at
		}
	}
	return l.runs.Add(eventlog.Run{Workload: c.by.lasting(), Identity: c.by.identity, Action: c.action}, c.at, at)
}

// calls are the types of events that tell of a call. Signing in uses no
// authority, and what a service does by itself nobody's; what passes an endpoint
// of a network is told of a second time.
var calls = map[string]bool{"AwsApiCall": true, "AwsConsoleAction": true}

// Account is the account of the log: empty if it is of several, or of none that
// it names.
func (l *Log) Account() string {
	if len(l.accounts) == 1 {
		for id := range l.accounts {
			return id
		}
	}
	return ""
}

// isAccount says whether a system is the number of an account.
var isAccount = regexp.MustCompile(`^\d{12}$`).MatchString

// identify holds whose log it is against the name that the import gives it.
func (l *Log) identify() error {
	ids := slices.Sorted(maps.Keys(l.accounts))
	system := l.options.System
	if system == "" || len(ids) == 0 {
		return nil
	}
	_, ours := l.accounts[system]
	switch {
	case isAccount(system) && !ours:
		at := l.accounts[ids[0]]
		return problem.New(problem.Invalid, codePrefix+"_ACCOUNT_DIFFERS",
			"The import is of the account %s, but the log is of %s.", system, strings.Join(ids[:min(len(ids), 5)], ", ")).At(at.File, at.Line)
	case !isAccount(system) && len(ids) > 1:
		at := l.accounts[ids[1]]
		return problem.New(problem.Invalid, codePrefix+"_ACCOUNTS_MIXED",
			"The log is of several accounts (%s), which cannot all be the system %s. Name none: then each identity belongs to its account.",
			strings.Join(ids[:min(len(ids), 5)], ", "), eventlog.Quote(system)).At(at.File, at.Line)
	}
	return nil
}

// Emit says what the log proves.
func (l *Log) Emit(out record.Emitter) error {
	for _, r := range l.rejections {
		if err := out.Reject(r); err != nil {
			return err
		}
	}
	own := &speaker{Emitter: out, accounts: l.accounts, said: map[record.Ref]bool{}}
	if l.options.System != "" && !isAccount(l.options.System) {
		own.home = l.Account()
	}
	if err := l.runs.Emit(own); err != nil {
		return err
	}
	if err := l.emitEgress(own); err != nil {
		return err
	}
	return l.warn(out)
}

func (l *Log) emitEgress(out record.Emitter) error {
	found := slices.Collect(maps.Keys(l.egress))
	slices.SortFunc(found, func(a, b egress) int {
		return cmp.Or(strings.Compare(a.workload.System, b.workload.System), strings.Compare(a.workload.SourceID, b.workload.SourceID), strings.Compare(a.host, b.host))
	})
	for i, one := range found {
		at := l.egress[one]
		if err := out.Record(record.Record{Position: at, Fact: record.Egress{Workload: one.workload, Host: one.host, Category: record.EgressLLM}}); err != nil {
			return err
		}
		if i > 0 && found[i-1].workload == one.workload {
			continue
		}
		ref := one.workload
		if err := out.Record(record.Record{Position: at, Fact: record.Coverage{Kind: record.EgressObs, Entity: &ref, Partial: true}}); err != nil {
			return err
		}
	}
	return nil
}

// speaker is an emitter that says of each identity of the accounts of the log,
// before what it did, that it is there: AWS let it in, so it is, and evidence that
// comes before the lists of the account is not lost. What those say of it outranks
// this. Of an identity of another account only its own account can say that.
//
// It leaves out the system of what belongs to the account that has a name.
type speaker struct {
	record.Emitter
	accounts map[string]record.Position
	home     string
	said     map[record.Ref]bool
}

// Record settles the systems of a record and passes it on.
func (s *speaker) Record(r record.Record) error {
	switch fact := r.Fact.(type) {
	case record.Evidence:
		if err := s.introduce(r.Position, *fact.Identity); err != nil {
			return err
		}
		fact.Workload, fact.Identity = s.settle(fact.Workload), s.settle(fact.Identity)
		r.Fact = fact
	case record.Coverage:
		fact.Entity = s.settle(fact.Entity)
		r.Fact = fact
	case record.Egress:
		fact.Workload = *s.settle(&fact.Workload)
		r.Fact = fact
	}
	return s.Emitter.Record(r)
}

func (s *speaker) introduce(at record.Position, ref record.Ref) error {
	if _, ours := s.accounts[ref.System]; !ours || s.said[ref] {
		return nil
	}
	s.said[ref] = true
	entity := record.Entity{Ref: *s.settle(&ref), Basis: record.Inferred, SourceType: "AWS::IAM::User", Name: ref.SourceID[strings.LastIndex(ref.SourceID, "/")+1:]}
	if strings.Contains(ref.SourceID, ":role/") {
		entity.SourceType = "AWS::IAM::Role"
	}
	return s.Emitter.Record(record.Record{Position: at, Fact: entity})
}

func (s *speaker) settle(ref *record.Ref) *record.Ref {
	if ref == nil || ref.System != s.home {
		return ref
	}
	local := *ref
	local.System = ""
	return &local
}

// warn says once of each kind what was left out.
func (l *Log) warn(out record.Emitter) error {
	s := l.summary
	type kind struct {
		count      int
		code, text string
	}
	left := []kind{
		{s.Denied, "CALLS_DENIED", "were denied"},
		{s.Untold, "CALLS_UNTOLD", "failed in a way that does not say whether they were allowed"},
		{s.NoCalls, "EVENTS_NO_CALL", "tell of no call (sign-ins, what services do on their own, insights)"},
		{s.Repeated, "EVENTS_REPEATED", "stand there a second time"},
	}
	for _, name := range slices.Sorted(maps.Keys(l.others)) {
		left = append(left, kind{l.others[name], "CALLER_NOT_FOLLOWED", "are calls of a caller of type " + eventlog.Quote(name) + ", who is neither a user nor a role"})
	}
	for _, k := range left {
		if k.count == 0 {
			continue
		}
		err := out.Warn(record.Warning{Position: record.Position{File: l.first}, Code: k.code,
			Message: fmt.Sprintf("Of %d events %d %s: they are no evidence.", s.Events, k.count, k.text)})
		if err != nil {
			return err
		}
	}
	return nil
}

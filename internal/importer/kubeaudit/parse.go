package kubeaudit

import (
	"fmt"
	"io"
	"iter"
	"regexp"
	"strconv"
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
}

// File is one file of a log.
type File struct {
	Name    string
	Content io.Reader
}

// Summary is what was in a log.
type Summary struct {
	Events   int // that were read and accepted
	Stages   int // of them, those that are no answer to a call
	Repeated int // answers to calls that were counted already
	Denied   int
	Untold   int // answers that do not say whether the call was allowed
	Others   int // allowed calls of and for nobody but people, nodes and the control plane
	Accounts int // calls of a service account or in its name, denied ones too
	Counted  int // calls that are evidence
}

// codePrefix begins the codes of faults of a file.
const codePrefix = "AUDIT"

// clockSkew is how far ahead of us a server's clock may be.
const clockSkew = 5 * time.Minute

// Parse reads a log and emits what it proves. An error is a fault of the input
// as a whole (*problem.Error), or what the iterator, a reader or the emitter
// returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[File, error], options Options, out record.Emitter) (Summary, error) {
	p := &parser{options: options, runs: eventlog.Runs{Prefix: codePrefix}}
	reader := &eventlog.Reader{Prefix: codePrefix, List: "items", Out: out, Each: p.event}
	first := ""
	for file, err := range files {
		if err != nil {
			return p.summary, err
		}
		if first == "" {
			first = file.Name
		}
		if err := reader.Read(file.Name, file.Content); err != nil {
			return p.summary, err
		}
	}
	if reader.Values() == 0 {
		return p.summary, problem.New(problem.Invalid, codePrefix+"_EMPTY", "The input holds no audit event.").At(first, 0)
	}
	if err := p.runs.Emit(&accounts{Emitter: out, said: map[string]bool{}}); err != nil {
		return p.summary, err
	}
	return p.summary, p.warn(first, out)
}

type parser struct {
	options Options
	runs    eventlog.Runs
	summary Summary
	other   string // the first of those whose calls were left out
}

// call is what an event says of a call.
type call struct {
	id, verb string
	at       time.Time
	user     string
	as       string // in whose name, if not in the user's own
	outcome  outcome
}

type outcome int

const (
	allowed outcome = iota
	denied
	untold
)

// The stages in which the server has answered. Of a call that lasts (a watch, an
// exec) the answer begins long before it ends.
var answers = map[string]bool{"ResponseStarted": true, "ResponseComplete": true, "RequestReceived": false, "Panic": false}

func (p *parser) event(at record.Position, o *eventlog.Object) error {
	c, answer := p.read(o)
	if !o.Sound() {
		return nil
	}
	p.summary.Events++
	p.runs.Note(c.at)
	if !answer {
		p.summary.Stages++
		return nil
	}
	identity, related, ours := c.identity(o)
	if !o.Sound() {
		p.summary.Events--
		return nil
	}
	if ours {
		p.summary.Accounts++
	}
	switch c.outcome {
	case denied:
		p.summary.Denied++
		return nil
	case untold:
		p.summary.Untold++
		return nil
	}
	if !ours {
		if p.summary.Others++; p.other == "" {
			p.other = c.user
		}
		return nil
	}
	isNew, err := p.runs.New(c.id, at)
	if err != nil {
		return err
	}
	if !isNew {
		p.summary.Repeated++
		return nil
	}
	p.summary.Counted++
	run := eventlog.Run{Identity: identity, Action: c.verb, Related: related}
	if c.as != "" && !related { // the account acted, in the name of another
		run.Action = "impersonate"
	}
	return p.runs.Add(run, c.at, at)
}

// read reads an event and says whether it is an answer.
func (p *parser) read(o *eventlog.Object) (c call, answer bool) {
	if kind := o.Text("kind"); kind != "" && kind != "Event" {
		o.Fail("kind", "is %s; an audit event is an Event", eventlog.Quote(kind))
	}
	// The events of a namespace are of the same kind and another API.
	if version := o.Text("apiVersion"); version != "" && !strings.HasPrefix(version, "audit.k8s.io/") {
		o.Fail("apiVersion", "is %s; that of an audit event begins with audit.k8s.io/", eventlog.Quote(version))
	}
	c.id = o.Required("auditID")
	stage := o.Required("stage")
	answer, known := answers[stage]
	if !known && stage != "" {
		o.Fail("stage", "is %s, which is no stage of a call", eventlog.Quote(stage))
	}
	// The first versions had one time for all stages.
	if o.Has("requestReceivedTimestamp") || o.Has("timestamp") || o.Has("stageTimestamp") {
		c.at = o.Time("requestReceivedTimestamp", "timestamp", "stageTimestamp")
	} else {
		c.at = o.Object("metadata").Time("creationTimestamp")
	}
	if now := p.options.Now; !now.IsZero() && c.at.After(now.Add(clockSkew)) {
		o.FailWith("TIME_IN_FUTURE", fmt.Sprintf("The call was made at %s, which is in the future.", c.at.Format(time.RFC3339)))
	}
	c.verb = o.Required("verb")
	if c.verb != "" && !verb.MatchString(c.verb) {
		o.Fail("verb", "is %s, which is no verb", eventlog.Quote(c.verb))
	}
	c.user = o.Object("user").Text("username")
	c.as = o.Object("impersonatedUser").Text("username")
	c.outcome = readOutcome(o)
	return c, answer
}

// verb is a word such as get or deletecollection.
var verb = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`)

// readOutcome reads whether the call was allowed. The authorizer's own word is
// the best. Without it the status tells: a call that found nothing, or something
// in its way, had been allowed; one that the server was too busy for, or failed
// over, may not have come as far.
func readOutcome(o *eventlog.Object) outcome {
	code := o.Object("responseStatus").Int("code")
	decision := o.Object("annotations").Text("authorization.k8s.io/decision")
	switch {
	case code == 401, code == 403, decision == "forbid":
		return denied
	case decision == "allow":
		return allowed
	case code >= 100 && code < 500 && code != 429:
		return allowed
	}
	return untold
}

// identity is the service account that acted, or else the one in whose name
// somebody did.
func (c call) identity(o *eventlog.Object) (ref record.Ref, related, ours bool) {
	if ref, ours = account(o, c.user); ours || c.as == "" {
		return ref, false, ours
	}
	ref, ours = account(o, c.as)
	return ref, ours, ours
}

const accountPrefix = "system:serviceaccount:"

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

func account(o *eventlog.Object, user string) (record.Ref, bool) {
	rest, ours := strings.CutPrefix(user, accountPrefix)
	if !ours {
		return record.Ref{}, false
	}
	namespace, name, _ := strings.Cut(rest, ":")
	if !label.MatchString(namespace) || !label.MatchString(name) {
		o.Fail("username", "is %s, which names no service account", eventlog.Quote(user))
		return record.Ref{}, false
	}
	return record.Ref{Kind: record.Identity, SourceID: namespace + "/" + name}, true
}

// warn says once what was left out.
func (p *parser) warn(file string, out record.Emitter) error {
	s := p.summary
	var parts []string
	for _, part := range []struct {
		count int
		text  string
	}{
		{s.Denied, " were denied"},
		{s.Others, " are of somebody who is no service account, such as " + eventlog.Quote(p.other)},
		{s.Untold, " do not say whether they were allowed"},
	} {
		if part.count > 0 {
			parts = append(parts, strconv.Itoa(part.count)+part.text)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return out.Warn(record.Warning{Position: record.Position{File: file}, Code: "CALLS_LEFT_OUT",
		Message: fmt.Sprintf("Of %d events, %s: they are no evidence.", s.Events, strings.Join(parts, ", "))})
}

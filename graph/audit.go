package graph

import (
	"context"
	"reflect"
	"strconv"
	"sync"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

func (r organizationResolver) AuditLog(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string, input *generated.AuditFilter) (*model.AuditEntryConnection, error) {
	snapshot, filter := loader.From(ctx).Snapshot, auditFilter(input)
	list, err := r.entries.Entries(ctx, snapshot, o.Organization.ID, filter, pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, model.NewAuditEntry, list.Cursor, func(ctx context.Context) (int, error) {
		return r.entries.Count(ctx, snapshot, o.Organization.ID, filter)
	}), nil
}

func (r queryResolver) ServerAuditLog(ctx context.Context, first *int32, after *string, last *int32, before *string, input *generated.AuditFilter) (*model.AuditEntryConnection, error) {
	snapshot, filter := loader.From(ctx).Snapshot, auditFilter(input)
	list, err := r.entries.Shared(ctx, snapshot, filter, pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, model.NewAuditEntry, list.Cursor, func(ctx context.Context) (int, error) {
		return r.entries.CountShared(ctx, snapshot, filter)
	}), nil
}

func auditFilter(input *generated.AuditFilter) audit.Filter {
	if input == nil {
		return audit.Filter{}
	}
	return audit.Filter{Actions: input.Action, Subjects: input.Subject, Outcomes: input.Outcome, Since: input.Since, Until: input.Until}
}

// auditEntry is the entry of an id, of an organization or of none.
func (r queryResolver) auditEntry(ctx context.Context, i model.ID) (model.Node, error) {
	read := r.entries.ByID
	if i.Organization == id.Nil {
		read = func(ctx context.Context, snapshot *db.Snapshot, _, entry id.ID) (*audit.Entry, error) {
			return r.entries.SharedByID(ctx, snapshot, entry)
		}
	}
	e, err := read(ctx, loader.From(ctx).Snapshot, i.Organization, i.Parts[0])
	if err != nil || e == nil {
		return nil, err
	}
	return model.NewAuditEntry(e), nil
}

// Recorder keeps what somebody did or tried.
type Recorder interface {
	Record(ctx context.Context, event audit.Event)
}

// witness has a recorder told of what is done through the API.
type witness struct {
	recorder  Recorder
	requestID func(context.Context) string
}

func (w witness) record(ctx context.Context, event audit.Event) {
	if w.recorder == nil {
		return
	}
	event.Door, event.RequestID = audit.GraphQL, w.requestID(ctx)
	w.recorder.Record(ctx, event)
}

// deed is a mutation while it runs.
type deed struct {
	begun, ended bool
	event        audit.Event
}

type deedKey struct{}

// mutation records a root field of a mutation once it has run, whatever came of it.
func (w witness) mutation(ctx context.Context, run func(context.Context) graphql.Marshaler) graphql.Marshaler {
	d := &deed{event: audit.Event{Action: audit.Mutation(graphql.GetRootFieldContext(ctx).Field.Name)}}
	defer func() {
		switch {
		case !d.begun:
			d.event.Outcome = inputRefused // before anybody knew what it is about
		case !d.ended:
			d.event.Outcome = audit.Internal // it panicked
		}
		w.record(ctx, d.event)
	}()
	return run(context.WithValue(ctx, deedKey{}, d))
}

const inputRefused = "INPUT_REFUSED"

// field notes what a mutation is about and what it answers.
func (witness) field(ctx context.Context, next graphql.Resolver) (any, error) {
	field := graphql.GetFieldContext(ctx)
	if field.Object != "Mutation" {
		return next(ctx)
	}
	d, ok := ctx.Value(deedKey{}).(*deed)
	if !ok {
		return next(ctx)
	}
	d.begun = true
	d.about(field.Args["input"])
	payload, err := next(ctx)
	d.ended = true
	d.event.Outcome = audit.OutcomeOf(err)
	if err == nil {
		d.answered(payload)
	}
	return payload, err
}

// subjects are the fields of inputs that hold the id of what a mutation is about.
var subjects = []string{"Exposure", "Path", "Identity", "Batch", "Subject"}

// aboutTypes are the types of ids that are taken into an entry.
var aboutTypes = map[model.Type]bool{
	model.TypeExposure: true, model.TypeAuthorityPath: true, model.TypeIdentity: true, model.TypeWorkload: true, model.TypeBatch: true,
}

// about reads off an input whose it is and what it is about, and of all else only what
// has few values: what a caller writes is not for the log.
func (d *deed) about(input any) {
	value := reflect.ValueOf(input)
	if value.Kind() != reflect.Struct {
		return
	}
	if slug := value.FieldByName("Organization"); slug.Kind() == reflect.String {
		d.event.Organization = id.Organization(slug.String())
	} else {
		for _, name := range subjects {
			if text := value.FieldByName(name); text.Kind() == reflect.String {
				d.touch(text.String())
			}
		}
	}
	if many, ok := input.(generated.JudgeExposuresInput); ok {
		d.say("action", string(many.Action))
		d.say("dryRun", strconv.FormatBool(many.DryRun))
		if many.Exposures != nil {
			d.say("exposures", strconv.Itoa(len(many.Exposures)))
		}
		for _, x := range many.Exposures[:min(len(many.Exposures), audit.MaxTouched)] {
			d.touch(x.Exposure)
		}
	}
}

func (d *deed) say(name, value string) {
	d.event.Properties = append(d.event.Properties, audit.Property{Name: name, Value: value})
}

// touch takes an id that names something of the organization, or says whose it is.
func (d *deed) touch(text string) {
	opened, ok := model.ParseID(text)
	if !ok || !aboutTypes[opened.Type] {
		return
	}
	if d.event.Organization == id.Nil {
		d.event.Organization = opened.Organization
	}
	if opened.Organization == d.event.Organization {
		d.event.Touched = append(d.event.Touched, opened.String())
	}
}

// answered reads off a payload what was wrong, or what was made.
func (d *deed) answered(payload any) {
	value := reflect.Indirect(reflect.ValueOf(payload))
	if value.Kind() != reflect.Struct {
		return
	}
	if wrong := value.FieldByName("UserErrors"); wrong.IsValid() {
		if list, ok := wrong.Interface().([]*generated.UserError); ok && len(list) > 0 {
			d.event.Outcome = list[0].Code
			return
		}
	}
	switch answer := payload.(type) {
	case *generated.JudgeExposurePayload:
		if answer.Replayed {
			d.say("replayed", "true")
		}
	case *generated.JudgeExposuresPayload:
		if batch := answer.Batch.ID(); batch != nil { // none of a dry run
			d.event.Touched = append([]string{*batch}, d.event.Touched...)
		}
	}
}

// handedOut are the documents that a response hands out. They are told of when it has
// given its connection back: telling takes one.
type handedOut struct {
	mu     sync.Mutex
	events []audit.Event
}

type handedOutKey struct{}

func (h *handedOut) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, handedOutKey{}, h)
}

// handOut notes that somebody asked for a document.
func handOut(ctx context.Context, event audit.Event) {
	if h, ok := ctx.Value(handedOutKey{}).(*handedOut); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, event)
	}
}

func (w witness) handedOut(ctx context.Context, h *handedOut) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, event := range h.events {
		w.record(ctx, event)
	}
}

package loader

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Response is what one response reads with: a snapshot, and a scope for what is and
// for each instant that its fields ask for. They are made when a field needs them.
type Response struct {
	snapshot *db.Snapshot
	stores   Stores
	wait     time.Duration

	mu       sync.Mutex
	now      *Scope
	then     map[int64]*Scope // by microseconds
	reaching map[reach]*answer
}

// NewResponse begins a response. Whoever begins it closes it.
func NewResponse(database *db.DB, stores Stores, wait time.Duration) *Response {
	return &Response{snapshot: database.Snapshot(), stores: stores, wait: wait}
}

// Close ends the response. What was made for it reads nothing any more.
func (r *Response) Close(ctx context.Context) { r.snapshot.Close(ctx) }

func (r *Response) scope(instant *time.Time) *Scope {
	r.mu.Lock()
	defer r.mu.Unlock()
	if instant == nil {
		if r.now == nil {
			r.now = newScope(r.snapshot, r.stores, r.wait)
		}
		return r.now
	}
	key := instant.UnixMicro()
	if r.then[key] == nil {
		if r.then == nil {
			r.then = map[int64]*Scope{}
		}
		r.then[key] = newScope(r.snapshot.At(*instant), r.stores, r.wait)
	}
	return r.then[key]
}

// reach asks whether the history of an organization reaches to an instant.
type reach struct {
	organization id.ID
	instant      int64
}

type answer struct {
	once sync.Once
	err  error
}

// Reaches refuses an instant that the history of the organization does not have:
// one before it began, or one to come. It is asked once in a response.
func Reaches(ctx context.Context, organization id.ID, instant time.Time) error {
	r := of(ctx)
	k := reach{organization, instant.UnixMicro()}
	r.mu.Lock()
	if r.reaching == nil {
		r.reaching = map[reach]*answer{}
	}
	if r.reaching[k] == nil {
		r.reaching[k] = &answer{}
	}
	a := r.reaching[k]
	r.mu.Unlock()
	a.once.Do(func() { a.err = r.stores.Paths.Reaches(ctx, r.snapshot, organization, instant) })
	return a.err
}

type contextKey struct{}

// With puts what a response reads with into its context.
func With(ctx context.Context, response *Response) context.Context {
	return context.WithValue(ctx, contextKey{}, response)
}

func of(ctx context.Context) *Response {
	response, ok := ctx.Value(contextKey{}).(*Response)
	if !ok {
		panic("no loader response: the handler begins one for each response")
	}
	return response
}

// From is the scope that the field reads with which is being made.
func From(ctx context.Context) *Scope { return of(ctx).scope(instant(ctx)) }

// AsOf is the argument by which a field asks for the past.
const AsOf = "asOf"

// instant is what a field is asked as of: by its own argument, or by that of the
// field that it hangs under.
func instant(ctx context.Context) *time.Time {
	for field := graphql.GetFieldContext(ctx); field != nil; field = field.Parent {
		if at, _ := field.Args[AsOf].(*time.Time); at != nil {
			return at
		}
	}
	return nil
}

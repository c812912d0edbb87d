package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/graph/persisted"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// aside is what a subscription tells its transport beside its responses.
type aside struct {
	mu   sync.Mutex
	err  error
	more bool
}

type asideKey struct{}

// Fail ends the subscription of the context with an error: whoever gives its
// responses calls it before they end.
func Fail(ctx context.Context, err error) {
	if a, ok := ctx.Value(asideKey{}).(*aside); ok {
		a.mu.Lock()
		a.err = err
		a.mu.Unlock()
	}
}

// More says whether the response that is about to be given is followed by another
// at once. Such ones travel together: a write each would be what a stream costs most.
func More(ctx context.Context, more bool) {
	if a, ok := ctx.Value(asideKey{}).(*aside); ok {
		a.mu.Lock()
		a.more = more
		a.mu.Unlock()
	}
}

func (a *aside) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *aside) follows() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.more
}

// lanes are how many operations of one client begin at the same time; without any,
// there is no bound.
type lanes chan struct{}

// enter waits for a free lane, as long as the context lasts.
func (l lanes) enter(ctx context.Context) (leave func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	select {
	case l <- struct{}{}:
		return sync.OnceFunc(func() { <-l }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run executes an operation and hands each response to send, with whether another
// follows at once, until there are no more or send fails. What it gives are the
// errors that ended the operation.
func run(ctx context.Context, exec graphql.GraphExecutor, params *graphql.RawParams, beginning lanes, send func(payload []byte, more bool) error) (failed gqlerror.List) {
	leave, err := beginning.enter(ctx)
	if err != nil {
		return nil // the client has ended it
	}
	defer leave()
	operation, errs := exec.CreateOperationContext(ctx, params)
	ctx = graphql.WithOperationContext(ctx, operation)
	defer func() {
		if fault := recover(); fault != nil {
			failed = present(ctx, exec, operation.Recover(ctx, fault))
		}
	}()
	if len(errs) > 0 {
		return exec.DispatchError(ctx, errs).Errors
	}
	told := &aside{}
	ctx = context.WithValue(ctx, asideKey{}, told)
	responses, ctx := exec.DispatchOperation(ctx, operation)
	leave()
	for response := responses(ctx); response != nil; response = responses(ctx) {
		if len(response.Data) == 0 && len(response.Errors) > 0 { // refused before it was executed
			return response.Errors
		}
		payload, err := encode(response)
		if err != nil {
			return present(ctx, exec, err)
		}
		if send(payload, told.follows()) != nil {
			return nil
		}
	}
	if err := told.failure(); err != nil && ctx.Err() == nil {
		return present(ctx, exec, err)
	}
	return nil
}

// present shows an error as every other of the schema is shown.
func present(ctx context.Context, exec graphql.GraphExecutor, err error) gqlerror.List {
	return exec.DispatchError(ctx, gqlerror.List{gqlerror.Wrap(err)}).Errors
}

// encode is a response as JSON on one line. Most have data and nothing else, and
// data is JSON already.
func encode(response *graphql.Response) ([]byte, error) {
	if len(response.Errors) > 0 || len(response.Extensions) > 0 || response.HasNext != nil ||
		bytes.IndexByte(response.Data, '\n') >= 0 || bytes.IndexByte(response.Data, '\r') >= 0 {
		return json.Marshal(response)
	}
	payload := make([]byte, 0, len(response.Data)+len(`{"data":}`))
	payload = append(payload, `{"data":`...)
	payload = append(payload, response.Data...)
	return append(payload, '}'), nil
}

// parameters reads what an operation is asked with.
func parameters(payload []byte) (*graphql.RawParams, error) {
	var asked struct {
		graphql.RawParams
		DocumentID *string `json:"documentId"`
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber() // as for plain requests: large numbers keep their digits
	err := decoder.Decode(&asked)
	if err != nil || asked.Query == "" && asked.DocumentID == nil && len(asked.Extensions) == 0 {
		return nil, problem.New(problem.Invalid, "BAD_REQUEST", "the operation must be an object with a query, or the name of one, and may have operationName, variables and extensions").Because(err)
	}
	if asked.DocumentID != nil {
		persisted.Name(&asked.RawParams, *asked.DocumentID)
	}
	return &asked.RawParams, nil
}

// errorBody is an answer of one typed error.
func errorBody(err error) []byte {
	var typed *problem.Error
	if !errors.As(err, &typed) {
		typed = problem.New(problem.Internal, "INTERNAL", "internal error")
	}
	body, err := json.Marshal(graphqlErrors{gqlerror.List{{Message: typed.Message, Extensions: map[string]any{"code": typed.Code, "kind": string(typed.Kind)}}}})
	if err != nil {
		panic(fmt.Errorf("strings are always written: %w", err))
	}
	return body
}

// graphqlErrors is an answer without data.
type graphqlErrors struct {
	Errors gqlerror.List `json:"errors"`
}

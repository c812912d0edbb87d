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

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// ending is where a resolver leaves the error that ended its subscription.
type ending struct {
	mu  sync.Mutex
	err error
}

type endingKey struct{}

// Fail ends the subscription of the context with an error: the resolver calls it
// before it closes its channel.
func Fail(ctx context.Context, err error) {
	if e, ok := ctx.Value(endingKey{}).(*ending); ok {
		e.mu.Lock()
		e.err = err
		e.mu.Unlock()
	}
}

func (e *ending) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// run executes an operation and hands each response to send until there are no
// more or send fails. What it gives are the errors that ended the operation.
func run(ctx context.Context, exec graphql.GraphExecutor, params *graphql.RawParams, send func(payload []byte) error) (failed gqlerror.List) {
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
	end := &ending{}
	ctx = context.WithValue(ctx, endingKey{}, end)
	responses, ctx := exec.DispatchOperation(ctx, operation)
	for response := responses(ctx); response != nil; response = responses(ctx) {
		if len(response.Data) == 0 && len(response.Errors) > 0 { // refused before it was executed
			return response.Errors
		}
		payload, err := encode(response)
		if err != nil {
			return present(ctx, exec, err)
		}
		if send(payload) != nil {
			return nil
		}
	}
	if err := end.failure(); err != nil && ctx.Err() == nil {
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
	if len(response.Errors) > 0 || len(response.Extensions) > 0 || response.HasNext != nil || bytes.ContainsAny(response.Data, "\r\n") {
		return json.Marshal(response)
	}
	payload := make([]byte, 0, len(response.Data)+len(`{"data":}`))
	payload = append(payload, `{"data":`...)
	payload = append(payload, response.Data...)
	return append(payload, '}'), nil
}

// parameters reads what an operation is asked with.
func parameters(payload []byte) (*graphql.RawParams, error) {
	params := &graphql.RawParams{}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber() // as for plain requests: large numbers keep their digits
	if err := decoder.Decode(params); err != nil || params.Query == "" {
		return nil, problem.New(problem.Invalid, "BAD_REQUEST", "the operation must be an object with a query, and may have operationName, variables and extensions").Because(err)
	}
	return params, nil
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

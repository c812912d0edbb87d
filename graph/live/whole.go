package live

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Whole goes around a transport that answers once. Such a transport would answer a
// subscription with its first event, whenever that comes: Whole refuses it.
type Whole struct{ graphql.Transport }

// Do answers a request.
func (t Whole) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	refused := false
	t.Transport.Do(&answerOf{w, &refused}, r, &single{exec, &refused})
	if refused {
		refuse(w, http.StatusNotAcceptable, needsStream())
	}
}

func needsStream() error {
	return problem.New(problem.Invalid, "SUBSCRIPTION_NEEDS_STREAM",
		"a subscription is answered by a stream: POST it with Accept: text/event-stream, or open a WebSocket with the protocol %s", protocol)
}

// single is an executor of everything but subscriptions.
type single struct {
	graphql.GraphExecutor
	refused *bool
}

func (e *single) CreateOperationContext(ctx context.Context, params *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	operation, errs := e.GraphExecutor.CreateOperationContext(ctx, params)
	if len(errs) == 0 && operation.Operation.Operation == ast.Subscription {
		*e.refused = true
		errs = gqlerror.List{gqlerror.Wrap(needsStream())}
	}
	return operation, errs
}

// answerOf drops what the transport says of what was refused.
type answerOf struct {
	http.ResponseWriter
	refused *bool
}

func (w *answerOf) WriteHeader(status int) {
	if !*w.refused {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *answerOf) Write(p []byte) (int, error) {
	if *w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *answerOf) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"golang.org/x/time/rate"
)

// Extension is the gqlgen handler extension of this package.
type Extension struct {
	limits  Limits
	known   graphql.Cache[*ast.QueryDocument]
	budgets *budgets // nil: callers are not told apart
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationContextMutator
	graphql.ResponseInterceptor
} = (*Extension)(nil)

// New makes the extension. known is the cache given to SetQueryCache, or nil: it
// holds only documents that were measured and found valid, so a hit spares the
// second parse. Use the extension after persisted queries, which supply the text,
// and before any other extension that walks the document.
func New(limits Limits, known graphql.Cache[*ast.QueryDocument]) *Extension {
	return &Extension{limits: limits.orDefault(), known: known}
}

// For has each caller spend from a budget of its own. The caller is who the context
// says is asking.
func (e *Extension) For(caller func(context.Context) string, now func() time.Time) *Extension {
	e.budgets = &budgets{caller: caller, now: now, size: e.limits.Budget, perSecond: e.limits.BudgetPerSecond, held: map[string]*rate.Limiter{}}
	return e
}

// name is the extension's in gqlgen, and the key of its figures there.
const name = "Limit"

// budgetName is the key of what is left.
const budgetName = "Budget"

// ExtensionName is for gqlgen.
func (*Extension) ExtensionName() string { return name }

// Validate is for gqlgen; the limits hold for every schema.
func (*Extension) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters refuses a document by its tokens and shape, before
// gqlgen parses and validates it: gqlgen has no hook between the two.
func (e *Extension) MutateOperationParameters(ctx context.Context, request *graphql.RawParams) *gqlerror.Error {
	if hasNUL(request.Variables) {
		return badInput("a variable holds the character NUL: leave it out")
	}
	if e.known != nil {
		if _, ok := e.known.Get(ctx, request.Query); ok {
			return nil
		}
	}
	if !utf8.ValidString(request.Query) {
		return badInput("the document is not UTF-8: encode it as UTF-8")
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: request.Query}, e.limits.Tokens)
	if err != nil {
		return e.parseError(err)
	}
	shape := Measure(doc)
	if shape.NUL {
		return badInput("a string in the document holds the character NUL: leave it out")
	}
	// The parser reads an escaped lone surrogate as U+FFFD. A document that
	// writes U+FFFD itself means it.
	if shape.Marks && !strings.ContainsRune(request.Query, '\uFFFD') &&
		!strings.Contains(strings.ToLower(request.Query), `fffd`) {
		return badInput(`a string in the document holds half of a surrogate pair, such as \ud800: write both halves`)
	}
	if shape.Huge { // of which the validation knows only where the type is Int
		err := gqlerror.Errorf("a number in the document takes more than 64 bits: write a smaller one")
		errcode.Set(err, errcode.ValidationFailed)
		return err
	}
	return e.limits.Check(shape)
}

// parseError gives the parser's error, and its token limit a code of ours.
func (e *Extension) parseError(err error) *gqlerror.Error {
	var typed *gqlerror.Error
	if !errors.As(err, &typed) {
		typed = gqlerror.Wrap(err)
	}
	if typed.Message == fmt.Sprintf("exceeded token limit of %d", e.limits.Tokens) {
		refused := gqlerror.Errorf("the document has more than %d tokens, which is the limit: split it into several requests", e.limits.Tokens)
		refused.Extensions = map[string]any{"code": CodeTokens, "limit": e.limits.Tokens}
		return refused
	}
	errcode.Set(typed, errcode.ParseFailed)
	return typed
}

// MutateOperationContext refuses a valid operation by its cost, or because the
// caller has nothing left.
func (e *Extension) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	cost := e.limits.CostOf(operation.Operation, operation.Variables)
	operation.Stats.SetExtension(name, &Cost{Requested: cost, Limit: e.limits.Cost})
	if err := e.limits.checkCost(cost); err != nil || e.budgets == nil {
		return err
	}
	left, err := e.budgets.spend(ctx, cost)
	if left.Left < left.Size/2 {
		operation.Stats.SetExtension(budgetName, &left)
	}
	return err
}

// FromContext is the cost of the operation under way, for logs and metrics; nil if
// it was refused before its cost was known.
func FromContext(ctx context.Context) *Cost {
	if !graphql.HasOperationContext(ctx) {
		return nil
	}
	cost, _ := graphql.GetOperationContext(ctx).Stats.GetExtension(name).(*Cost)
	return cost
}

// InterceptResponse puts the cost in extensions.cost, and keeps the answer to a
// refused document small: validation reports each fault and quotes the document,
// which makes 146 kB of 2 kB.
func (e *Extension) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	// Each event of a subscription passes here, and the cost is not the event's.
	if cost := FromContext(ctx); cost != nil &&
		graphql.GetOperationContext(ctx).Operation.Operation != ast.Subscription {
		graphql.RegisterExtension(ctx, "cost", cost)
		if left, low := graphql.GetOperationContext(ctx).Stats.GetExtension(budgetName).(*Budget); low {
			graphql.RegisterExtension(ctx, "budget", left)
		}
	}
	response := next(ctx)
	if response == nil || len(response.Data) > 0 {
		return response
	}
	if len(response.Errors) > e.limits.Errors {
		response.Errors = response.Errors[:e.limits.Errors]
	}
	for _, err := range response.Errors {
		err.Message = shorten(err.Message)
	}
	return response
}

// message is how many bytes an error about a document may have.
const message = 500

func shorten(text string) string {
	if len(text) <= message {
		return text
	}
	end := message
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func badInput(text string) *gqlerror.Error {
	err := gqlerror.Errorf("%s", text)
	errcode.Set(err, CodeBadInput)
	return err
}

// hasNUL looks for a NUL in the strings of a decoded JSON value, which no column of
// text can hold.
func hasNUL(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.ContainsRune(value, 0)
	case []any:
		for _, item := range value {
			if hasNUL(item) {
				return true
			}
		}
	case map[string]any:
		for key, item := range value {
			if strings.ContainsRune(key, 0) || hasNUL(item) {
				return true
			}
		}
	}
	return false
}

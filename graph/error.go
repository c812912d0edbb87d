package graph

import (
	"context"
	"errors"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// presenter shows an error to the caller: a problem with its code and words, a
// fault of the document as the parser states it, and anything else only as an
// internal error with the request's id. The cause goes to the log.
func presenter(log *slog.Logger, requestID func(context.Context) string) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		shown := graphql.DefaultErrorPresenter(ctx, err)
		if ctx.Err() != nil && !faultOfDocument(err) { // whatever came of it
			err = ctx.Err()
		}
		var typed *problem.Error
		if errors.As(err, &typed) && typed.Kind != problem.Internal {
			if cause := errors.Unwrap(typed); cause != nil {
				log.WarnContext(ctx, "refused", "code", typed.Code, "request_id", requestID(ctx), "cause", cause)
			}
			shown.Message = typed.Error()
			shown.Err = nil
			shown.Extensions = map[string]any{"code": typed.Code, "kind": string(typed.Kind)}
			if typed.Field != "" {
				shown.Extensions["field"] = typed.Field
			}
			return shown
		}
		if faultOfDocument(err) {
			return shown
		}
		var number *graphql.IntegerError
		if errors.As(err, &number) { // beyond the 32 bits of Int
			shown.Message = number.Message
			shown.Extensions = map[string]any{"code": limit.CodeBadInput, "kind": string(problem.Invalid)}
			return shown
		}
		if code, message := ended(err); code != "" {
			shown.Message, shown.Err = message, nil
			shown.Extensions = map[string]any{"code": code, "kind": string(problem.Limit)}
			return shown
		}
		log.ErrorContext(ctx, "internal error", "request_id", requestID(ctx), "path", shown.Path.String(), "error", err)
		return &gqlerror.Error{
			Message: "internal error", Path: shown.Path, Locations: shown.Locations,
			Extensions: map[string]any{"code": "INTERNAL", "kind": string(problem.Internal), "requestId": requestID(ctx)},
		}
	}
}

// ended is the code and the words for what ended before it was answered: its time was
// over, or whoever asked is gone. Neither is a fault of ours.
func ended(err error) (code, message string) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return limit.CodeTime, "the operation took too long and was ended: ask for fewer rows, or narrow it by a filter"
	case errors.Is(err, context.Canceled):
		return "CANCELLED", "the request was cancelled"
	}
	return "", ""
}

// faultOfDocument tells the parser's and the limits' own errors, which wrap
// nothing, from an error that a resolver returned.
func faultOfDocument(err error) bool {
	var parsed *gqlerror.Error
	return errors.As(err, &parsed) && parsed.Err == nil
}

package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// statusOf is the status of each kind of error.
var statusOf = map[problem.Kind]int{
	problem.Invalid:     http.StatusBadRequest,
	problem.Unauthentic: http.StatusUnauthorized,
	problem.Denied:      http.StatusForbidden,
	problem.NotFound:    http.StatusNotFound,
	problem.Conflict:    http.StatusConflict,
	problem.Limit:       http.StatusRequestEntityTooLarge,
	problem.Unavailable: http.StatusServiceUnavailable,
}

// errorBody is what a client reads of an error.
type errorBody struct {
	Kind      problem.Kind `json:"kind"`
	Code      string       `json:"code"`
	Message   string       `json:"message"`
	Field     string       `json:"field,omitempty"`
	File      string       `json:"file,omitempty"`
	Line      int          `json:"line,omitempty"`
	RequestID string       `json:"requestId,omitempty"`
}

// refuse answers with an error. What has no type is a fault of ours: it goes to
// the log and the client learns the request id.
func refuse(w http.ResponseWriter, r *http.Request, logger *slog.Logger, err error) {
	var typed *problem.Error
	if !errors.As(err, &typed) || typed.Kind == problem.Internal {
		if r.Context().Err() == nil {
			logger.ErrorContext(r.Context(), "internal error", "request_id", RequestID(r.Context()), "error", err)
		}
		refuseInternal(w, r)
		return
	}
	status, known := statusOf[typed.Kind]
	if !known {
		status = http.StatusInternalServerError
	}
	switch {
	case typed.Code == codeTooSlow:
		status = http.StatusRequestTimeout
	case typed.Code == file.CodeType:
		status = http.StatusUnsupportedMediaType
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
		// Why a part is down is for the operator and not for the caller.
		logger.WarnContext(r.Context(), "unavailable", "request_id", RequestID(r.Context()), "code", typed.Code, "error", err, "cause", errors.Unwrap(typed))
	}
	answerError(w, status, errorBody{
		Kind: typed.Kind, Code: typed.Code, Message: typed.Message, Field: typed.Field,
		File: typed.File, Line: typed.Line, RequestID: RequestID(r.Context()),
	})
}

func refuseInternal(w http.ResponseWriter, r *http.Request) {
	answerError(w, http.StatusInternalServerError, errorBody{
		Kind: problem.Internal, Code: "INTERNAL", RequestID: RequestID(r.Context()),
		Message: "internal error; the server's log has it under this request id",
	})
}

func answerError(w http.ResponseWriter, status int, body errorBody) {
	answer(w, status, map[string]errorBody{"error": body})
}

func answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, `{"error":{"kind":"internal","code":"INTERNAL","message":"the answer cannot be written"}}`, http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // the client went away
}

func unknownPath(w http.ResponseWriter, r *http.Request) {
	answerError(w, http.StatusNotFound, errorBody{
		Kind: problem.NotFound, Code: "PATH_UNKNOWN", RequestID: RequestID(r.Context()),
		Message: "there is nothing at this path; known are /graphql, /graphiql, /imports/{format}, /files, /files/{sha256}, /api/v1/organizations/{slug}/changes, /api/v1/organizations/{slug}/changes/summary, /ledgers/{slug}, /ledgers/{slug}/checkpoint, /ledger-key, /oauth/token, /oauth/revoke, /oauth/jwks, /.well-known/openid-configuration, /organizations/{slug}/audit.jsonl, /healthz, /readyz and /metrics",
	})
}

// methods lets only these methods pass. The mux could, but answers in plain text.
func methods(next http.HandlerFunc, allowed ...string) http.Handler {
	list := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(allowed, r.Method) {
			next(w, r)
			return
		}
		w.Header().Set("Allow", list)
		answerError(w, http.StatusMethodNotAllowed, errorBody{
			Kind: problem.Invalid, Code: "METHOD_NOT_ALLOWED", RequestID: RequestID(r.Context()),
			Message: "this path takes " + list,
		})
	})
}

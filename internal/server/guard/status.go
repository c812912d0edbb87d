package guard

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The media types of answers.
const (
	mediaJSON     = "application/json"
	mediaResponse = "application/graphql-response+json"
)

// Status corrects what gqlgen answers to an operation it refuses: no null data in
// either media type, and for application/json the status 200 in place of 422, as
// the GraphQL-over-HTTP specification has it, except that a document refused by a
// limit or for its text stays a 400, which proxies and dashboards can see, one of
// a caller whose budget is spent is a 429 that says when to come again, and what the
// caller may not ask at all is a 403. Answers with any other status, streams among
// them, pass as they are written.
func Status(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isWebSocket(r) {
			next.ServeHTTP(w, r) // which takes the connection over
			return
		}
		held := &writer{ResponseWriter: w}
		next.ServeHTTP(held, r)
		held.finish()
	})
}

// writer holds back the answers that are corrected.
type writer struct {
	http.ResponseWriter
	status int // of an answer held back
	body   bytes.Buffer
}

// WriteHeader holds a refusal back and passes any other status on.
func (w *writer) WriteHeader(status int) {
	if status == http.StatusBadRequest || status == http.StatusUnprocessableEntity {
		if w.status == 0 {
			w.status = status
		}
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write keeps the body of a refusal.
func (w *writer) Write(p []byte) (int, error) {
	if w.status != 0 {
		return w.body.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// Flush is what gqlgen's streaming transports ask for by its interface.
func (w *writer) Flush() {
	if w.status == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // as http.Flusher, which reports nothing
	}
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish writes a refusal that was held back.
func (w *writer) finish() {
	if w.status == 0 {
		return
	}
	status, body := w.status, w.body.Bytes()
	media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	var answer struct {
		Errors     json.RawMessage `json:"errors,omitempty"`
		Data       json.RawMessage `json:"data,omitempty"`
		Extensions json.RawMessage `json:"extensions,omitempty"`
	}
	if (media == mediaJSON || media == mediaResponse) && json.Unmarshal(body, &answer) == nil && len(answer.Errors) > 0 {
		limited, denied, wait := refusedBy(answer.Errors)
		switch {
		case wait > 0:
			status = http.StatusTooManyRequests
			w.Header().Set("Retry-After", strconv.FormatInt(wait, 10))
		case denied:
			status = http.StatusForbidden
		case status == http.StatusUnprocessableEntity && media == mediaJSON && limited:
			status = http.StatusBadRequest
		case status == http.StatusUnprocessableEntity && media == mediaJSON:
			status = http.StatusOK
		}
		if string(answer.Data) == "null" {
			answer.Data = nil
			if shorter, err := json.Marshal(answer); err == nil {
				body = shorter
			}
		}
	}
	w.Header().Del("Content-Length") // of the longer body
	w.ResponseWriter.WriteHeader(status)
	_, _ = w.ResponseWriter.Write(body) // the client may be gone
}

// refusedBy tells refusals by package limit, and of what the caller may not ask, from
// faults that validation finds, and after how many seconds the same may be sent again;
// 0 where time does not help.
func refusedBy(list json.RawMessage) (limited, denied bool, wait int64) {
	var errs []struct {
		Extensions struct {
			Code       string `json:"code"`
			Kind       string `json:"kind"`
			RetryAfter int64  `json:"retryAfter"`
		} `json:"extensions"`
	}
	if json.Unmarshal(list, &errs) != nil {
		return false, false, 0
	}
	for _, err := range errs {
		if strings.HasPrefix(err.Extensions.Code, "LIMIT_") || err.Extensions.Code == CodeBadInput || err.Extensions.Kind == string(problem.Invalid) {
			return true, false, err.Extensions.RetryAfter
		}
		if err.Extensions.Kind == string(problem.Denied) {
			return false, true, 0
		}
	}
	return false, false, 0
}

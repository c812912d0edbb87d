package server

import (
	"context"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// request is what the middleware knows of a request and fills in on the way.
type request struct {
	id      string
	subject string
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	if known, ok := ctx.Value(requestKey{}).(*request); ok {
		return known
	}
	return &request{}
}

// RequestID is the id of the request that the context belongs to, or empty.
func RequestID(ctx context.Context) string { return requestOf(ctx).id }

// saneID is what is taken over from a proxy: it goes to logs and answers.
var saneID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// identify gives the request an id, its own if it came with one.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := &request{id: r.Header.Get("X-Request-Id")}
		if !saneID.MatchString(known.id) {
			known.id = uuid.NewString()
		}
		w.Header().Set("X-Request-Id", known.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, known)))
	})
}

// log writes one line for each request. The query of the address stays out of
// it: people put tokens there.
func (s *Server) log(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.Now()
		recorder := &recorder{ResponseWriter: w, control: http.NewResponseController(w), now: s.Now, patience: s.Limits.AnswerTime}
		defer func() {
			known := requestOf(r.Context())
			s.Logger.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", recorder.status,
				"duration", s.Now().Sub(start), "request_id", known.id, "subject", known.subject)
		}()
		next.ServeHTTP(recorder, r)
		if recorder.status != http.StatusSwitchingProtocols {
			recorder.extend() // the server still sends what was buffered
		}
	})
}

// recorder notes the status of an answer, and gives the client a time to take
// each part of it, so that one that does not read holds nothing for long while
// streams may last. It has Unwrap for http.ResponseController, and Flush for
// those that ask for a Flusher.
type recorder struct {
	http.ResponseWriter

	control  *http.ResponseController
	now      func() time.Time
	patience time.Duration
	status   int
}

func (w *recorder) WriteHeader(status int) {
	// 1xx come before the answer, except for 101, which is one.
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	return w.ResponseWriter.Write(p)
}

func (w *recorder) extend() {
	_ = w.control.SetWriteDeadline(w.now().Add(w.patience)) // see limitBody
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what was written.
func (w *recorder) Flush() {
	_ = w.control.Flush() // a writer that cannot sends at the end
}

// recover turns a panic into an answer, if there was none yet.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // it is panicked as it is
				panic(cause)
			}
			s.Logger.ErrorContext(r.Context(), "panic", "request_id", RequestID(r.Context()), "panic", cause, "stack", string(debug.Stack()))
			if noted, ok := w.(*recorder); ok && noted.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			refuseInternal(w, r)
		}()
		next.ServeHTTP(w, r)
	})
}

// authenticate makes the bearer of a token the actor of the context.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values("Authorization")
		if len(values) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			refuse(w, r, s.Logger, problem.New(problem.Unauthentic, "TOKEN_MALFORMED",
				"the Authorization header must be `Bearer TOKEN`, once"))
			return
		}
		actor, err := s.Verifier.Verify(r.Context(), strings.TrimSpace(token))
		if err != nil {
			refuse(w, r, s.Logger, err)
			return
		}
		requestOf(r.Context()).subject = actor.Subject
		next.ServeHTTP(w, r.WithContext(access.With(r.Context(), actor)))
	})
}

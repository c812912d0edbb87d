package live

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

// events is the transport of server-sent events: a response each, named next, and
// complete at the end. What cannot be answered ends with a next that has errors. A
// stream that ends without complete was broken off, and its client comes again.
type events struct{ *Streams }

// Supports a POST of JSON that asks for a stream.
func (events) Supports(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && r.Method == http.MethodPost && media == "application/json" && strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// errStopping breaks a stream off without a word: its client comes again.
var errStopping = errors.New("the server is stopping")

// Do streams until the operation, the right to it or the connection ends.
func (s events) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // there is no request to answer
	}
	params, err := parameters(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	params.Headers = r.Header
	actor, _ := access.From(r.Context()) // callers without a token were turned away before
	seat, err := s.enter(actor.Subject)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusTooManyRequests, err)
		return
	}
	defer seat.leave()

	ctx, cancel := context.WithCancelCause(graphql.StartOperationTrace(r.Context()))
	defer cancel(nil)
	params.ReadTime = graphql.TraceTiming{Start: graphql.GetStartTime(ctx), End: graphql.Now()}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(ctx, cancel, s.license(actor, tokenOfRequest(r)))
	}()
	out := s.write(w, cancel)
	failed := run(ctx, exec, params, nil, func(payload []byte, more bool) error { return out.next(ctx, payload, more) })
	cause := context.Cause(ctx)
	cancel(nil)
	<-watched
	switch {
	case r.Context().Err() != nil || errors.Is(cause, errStopping) || errors.Is(cause, errSlow):
		return
	case cause != nil: // the right to it
		failed = present(r.Context(), exec, cause)
	}
	out.end(failed)
}

// watch cancels a stream when its time has come.
func (s events) watch(ctx context.Context, cancel context.CancelCauseFunc, right *license) {
	defer right.end()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.stopping:
			cancel(errStopping)
		case <-right.expired:
			cancel(tokenExpired())
		case <-right.glimpse:
			if err := right.look(ctx); err != nil {
				cancel(err)
			}
		case <-right.due:
			if err := right.verify(ctx); err != nil {
				cancel(err)
			}
		}
	}
}

// errSlow is why a client was cut.
var errSlow = errors.New("the client does not read")

// eventWriter writes events, each within its time.
type eventWriter struct {
	writer  http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
	late    *time.Timer // has the client cut when it is due
	held    []byte
}

func (s events) write(w http.ResponseWriter, cancel context.CancelCauseFunc) *eventWriter {
	o := &eventWriter{writer: w, control: http.NewResponseController(w), limit: s.Limits.WriteTime}
	// That the client is gone is told by the request's context; that it does not read
	// is found here, as a deadline in the past ends the waiting.
	o.late = time.AfterFunc(o.limit, func() {
		s.cut.Add(1)
		cancel(errSlow)
		_ = o.control.SetWriteDeadline(time.Unix(1, 0)) // writers of tests have none
	})
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // a proxy that collects would hold events back
	o.held = append(o.held, ":\n\n"...)
	o.send()
	return o
}

// next writes a response. One that another follows at once is sent with it.
func (o *eventWriter) next(ctx context.Context, payload []byte, more bool) error {
	o.add(payload)
	if !more || len(o.held) >= keep {
		o.send()
	}
	return ctx.Err()
}

func (o *eventWriter) end(failed gqlerror.List) {
	if len(failed) > 0 {
		if payload, err := json.Marshal(graphqlErrors{failed}); err == nil {
			o.add(payload)
		}
	}
	o.held = append(o.held, "event: complete\ndata:\n\n"...)
	o.send()
}

func (o *eventWriter) add(payload []byte) {
	o.held = append(append(append(o.held, "event: next\ndata: "...), payload...), "\n\n"...)
}

func (o *eventWriter) send() {
	o.late.Reset(o.limit)
	defer o.late.Stop()
	_, _ = o.writer.Write(o.held)
	_ = o.control.Flush()
	if o.held = o.held[:0]; cap(o.held) > 2*keep {
		o.held = nil
	}
}

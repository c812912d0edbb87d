package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	codeTooSlow  = "UPLOAD_TOO_SLOW"
	codeTooLarge = "UPLOAD_TOO_LARGE"

	// pacePortion is what an upload has to bring in each UploadPace of waiting,
	// about 1 kB/s: a real client does, one that drips bytes does not.
	pacePortion = 32 << 10

	// lingerTime is how long a refused upload is still read, so that its client
	// sees the answer and not a broken connection.
	lingerTime = 3 * time.Second
)

// limitBody gives every body a time to arrive. It starts before the handler, as
// the server itself reads what a handler leaves.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			// Not every writer has deadlines; those of tests have none.
			_ = control.SetReadDeadline(s.Now().Add(s.Limits.BodyTime))
			r.Body = &timedBody{ReadCloser: r.Body, control: control}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody lifts the deadline when the body has ended. Otherwise it would hit
// the connection while the handler still works or streams, and the server would
// take that for a client that went away.
type timedBody struct {
	io.ReadCloser

	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // see limitBody
	}
	return n, err
}

// pacedBody is the body of an upload, which has no deadline but a pace. Only
// waiting for the client counts.
type pacedBody struct {
	io.ReadCloser

	control *http.ResponseController
	now     func() time.Time
	pace    time.Duration
	left    time.Duration // of this portion's time
	portion int           // what it brought so far
	begun   bool
	ended   bool
}

// paced puts a body that has a pace in the place of that of a request.
func (s *Server) paced(w http.ResponseWriter, r *http.Request, content io.ReadCloser) *pacedBody {
	body := &pacedBody{ReadCloser: content, control: http.NewResponseController(w), now: s.Now, pace: s.Limits.UploadPace, left: s.Limits.UploadPace}
	r.Body = body
	return body
}

// refuseUpload refuses what may still be on its way.
func (s *Server) refuseUpload(w http.ResponseWriter, r *http.Request, body *pacedBody, err error) {
	if !body.ended {
		// The refusal is sent while the client still uploads. net/http cannot
		// use a connection again after that.
		_ = body.control.EnableFullDuplex()
		w.Header().Set("Connection", "close")
	}
	refuse(w, r, s.Logger, err)
	body.linger()
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF // and no new deadline
	}
	b.begun = true
	start := b.now()
	_ = b.control.SetReadDeadline(start.Add(b.left)) // see limitBody
	n, err := b.ReadCloser.Read(p)
	b.left -= b.now().Sub(start)
	if b.portion += n; b.portion >= pacePortion {
		b.portion, b.left = 0, b.pace
	}
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, bodyFault(err)
}

// linger reads on for a moment after the answer was sent.
func (b *pacedBody) linger() {
	if !b.begun || b.ended {
		return
	}
	_ = b.control.Flush()
	_ = b.control.SetReadDeadline(b.now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, b.ReadCloser) // what comes is of no interest
}

// bodyFault gives the ways in which a body fails their types.
func bodyFault(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem.New(problem.Limit, codeTooLarge, "the upload has more than %d bytes; split it into several imports with --partial", tooLarge.Limit).Because(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.Limit, codeTooSlow, "the upload came to a standstill; nothing of it was applied, send it again").Because(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem.New(problem.Invalid, "UPLOAD_CUT_OFF", "the upload ended before its end; nothing of it was applied, send it again").Because(err)
	}
	return err
}

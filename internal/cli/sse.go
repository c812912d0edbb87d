package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// maxEvent bounds an event that is read into memory.
const maxEvent = 8 << 20

// eventReader reads server-sent events.
type eventReader struct{ lines *bufio.Reader }

// next is the name and the data of the following event, and the error of the
// connection at its end. Comments keep a connection alive and are no events.
func (r eventReader) next() (name string, data []byte, err error) {
	begun := false
	for {
		line, err := r.line()
		if err != nil {
			return "", nil, err
		}
		if len(line) == 0 {
			if begun {
				return name, data, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name, begun = string(value), true
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data, begun = append(data, value...), true
			if len(data) > maxEvent {
				return "", nil, errEventTooLarge
			}
		}
	}
}

var errEventTooLarge = problem.New(problem.Limit, "EVENT_TOO_LARGE", "the server sent an event of more than %d bytes", maxEvent)

func (r eventReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxEvent:
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, errEventTooLarge
		default:
			return nil, err // also of a line that was cut off
		}
	}
}

// follow sends a subscription and gives what comes of it to take, until the stream
// completes, which is no error, or breaks. A stream in which nothing comes for the
// given time is taken to be broken.
func (c *client) follow(ctx context.Context, document string, variables map[string]any, silence time.Duration, take func(data json.RawMessage) error) error {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return err
	}
	address, err := c.address("/graphql", nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errSilence) })
	defer watch.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return usageError{err}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	response, err := c.do(request)
	if err != nil {
		return brokenBy(ctx, err)
	}
	defer response.Body.Close()
	if media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || media != "text/event-stream" {
		_, answer, err := readGraph(response, io.LimitReader(response.Body, maxReport))
		if err == nil && len(answer.Errors) > 0 {
			return answer.Errors[0].problem()
		}
		return errors.Join(err, refusal(response))
	}
	events := eventReader{bufio.NewReader(response.Body)}
	for {
		name, data, err := events.next()
		if err != nil {
			return brokenBy(ctx, problem.New(problem.Unavailable, "STREAM_BROKEN", "the stream of the server broke off").Because(err))
		}
		watch.Reset(silence)
		switch name {
		case "complete":
			return nil
		case "next":
			var answer graphAnswer
			if err := json.Unmarshal(data, &answer); err != nil {
				return problem.New(problem.Internal, "ANSWER_UNKNOWN", "the server sent an event that is none of GraphQL").Because(err)
			}
			if len(answer.Errors) > 0 {
				return answer.Errors[0].problem()
			}
			if err := take(answer.Data); err != nil {
				return err
			}
		}
	}
}

var errSilence = problem.New(problem.Unavailable, "STREAM_SILENT", "nothing came from the server for a while")

// brokenBy is the error of a connection, unless it was ended from here.
func brokenBy(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

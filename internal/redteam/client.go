package redteam

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client sends requests as somebody.
type client struct {
	url   string
	token string // empty: nobody
	http  *http.Client
}

func newClient(url, token string) *client {
	return &client{url, token, &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

// codes are those of all errors in the answer.
func (a *answer) codes() (codes []string) {
	var body struct {
		Error  struct{ Code string }
		Errors []struct {
			Extensions struct{ Code string }
		}
	}
	if json.Unmarshal(a.body, &body) != nil {
		return nil
	}
	if body.Error.Code != "" {
		codes = append(codes, body.Error.Code)
	}
	for _, e := range body.Errors {
		codes = append(codes, e.Extensions.Code)
	}
	return codes
}

// hasData says whether something was answered.
func (a *answer) hasData() bool {
	var body struct{ Data json.RawMessage }
	return json.Unmarshal(a.body, &body) == nil && len(body.Data) > 0 && string(body.Data) != "null"
}

// String is the answer in short.
func (a *answer) String() string {
	text := fmt.Sprint(a.status)
	switch codes := a.codes(); len(codes) {
	case 0:
	case 1:
		text += " " + codes[0]
	default:
		text += fmt.Sprintf(" %s and %d more", codes[0], len(codes)-1)
	}
	return text
}

// request is one to be sent; its fields beyond the body have defaults.
type request struct {
	method string // POST
	path   string // /graphql
	header http.Header
	body   []byte
}

// send sends a request with the token, and reads the answer.
func (c *client) send(ctx context.Context, r request) (*answer, error) {
	if r.method == "" {
		r.method = http.MethodPost
	}
	if r.path == "" {
		r.path = "/graphql"
	}
	sent, err := http.NewRequestWithContext(ctx, r.method, c.url+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		sent.Header[name] = values
	}
	if c.token != "" && sent.Header.Get("Authorization") == "" {
		sent.Header.Set("Authorization", "Bearer "+c.token)
	}
	begun := now()
	response, err := c.http.Do(sent) //nolint:bodyclose // received closes it
	if err != nil {
		return nil, err
	}
	return received(response, begun)
}

func received(response *http.Response, begun time.Time) (*answer, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &answer{response.StatusCode, response.Header, body, now().Sub(begun)}, nil
}

// The media types in which answers are asked for.
const (
	plainJSON   = "application/json"
	graphqlJSON = "application/graphql-response+json"
)

// post sends the body of a GraphQL request.
func (c *client) post(ctx context.Context, body []byte, accept string) (*answer, error) {
	return c.send(ctx, request{body: body, header: http.Header{"Content-Type": {plainJSON}, "Accept": {accept}}})
}

// ask sends a document, with variables as pairs of name and value.
func (c *client) ask(ctx context.Context, document string, variables ...any) (*answer, error) {
	return c.post(ctx, bodyOf(document, variables...), plainJSON)
}

// get sends a document in the address, with the header that no page of another origin
// can send.
func (c *client) get(ctx context.Context, document string) (*answer, error) {
	return c.send(ctx, request{
		method: http.MethodGet, path: "/graphql?query=" + url.QueryEscape(document), header: http.Header{"Graphql-Require-Preflight": {"1"}},
	})
}

// read asks, and reads the data into a value.
func (c *client) read(ctx context.Context, into any, document string, variables ...any) error {
	got, err := c.ask(ctx, document, variables...)
	if err != nil {
		return err
	}
	body := struct{ Data any }{into}
	if err := json.Unmarshal(got.body, &body); err != nil {
		return fmt.Errorf("%s: %w: %.300s", document, err, got.body)
	}
	if len(got.codes()) > 0 {
		return fmt.Errorf("%.200s: %s: %.300s", document, got, got.body)
	}
	return nil
}

func bodyOf(document string, variables ...any) []byte {
	body := map[string]any{"query": document}
	if len(variables) > 0 {
		named := map[string]any{}
		for i := 0; i+1 < len(variables); i += 2 {
			named[fmt.Sprint(variables[i])] = variables[i+1]
		}
		body["variables"] = named
	}
	return marshal(body)
}

func marshal(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // checks make plain values
	}
	return text
}

func quoted(text string) string { return string(marshal(text)) }

// headOf is the head of a POST, for those who write it themselves.
func (c *client) headOf(extra ...string) string {
	return "POST /graphql HTTP/1.1\r\nHost: " + c.host() + "\r\nContent-Type: application/json\r\nAuthorization: Bearer " + c.token + "\r\n" + strings.Join(extra, "\r\n") + "\r\n\r\n"
}

func (c *client) host() string { return strings.TrimPrefix(c.url, "http://") }

func (c *client) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", c.host())
}

// pour sends a body without end or measure, whether or not the server still reads,
// and gives what it answered.
func (c *client) pour(ctx context.Context, head string, chunk []byte, times int) (*answer, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(now().Add(30 * time.Second))
	begun := now()
	go func() {
		_, err := io.WriteString(conn, head)
		for range times {
			if err != nil {
				return // it does not want the rest
			}
			_, err = conn.Write(chunk)
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // as above
	if err != nil {
		return nil, err
	}
	return received(response, begun)
}

// drip sends one byte a second, and gives after how long the server cuts it off.
func (c *client) drip(ctx context.Context, head string, patience time.Duration) (time.Duration, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	begun := now()
	if _, err := io.WriteString(conn, head); err != nil {
		return 0, err
	}
	dripping, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-dripping.Done():
				return
			case <-ticker.C:
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			}
		}
	}()
	_ = conn.SetReadDeadline(begun.Add(patience))
	_, err = io.Copy(io.Discard, conn) // the answer, if there is one, and the end
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return 0, fmt.Errorf("it is not cut within %s", patience)
	}
	return now().Sub(begun), nil
}

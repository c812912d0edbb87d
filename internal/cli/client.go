package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// defaultServer is where `exposuregraph serve` listens by default.
const defaultServer = "http://127.0.0.1:8080"

// maxReport bounds an answer that is read into memory, apart from those that are
// only passed on.
const maxReport = 64 << 20

// client talks to a server.
type client struct {
	server string
	token  string
}

func addClient(cmd *cobra.Command) *client {
	c := &client{}
	cmd.Flags().StringVar(&c.server, "server", defaultServer, "`URL` of the server")
	cmd.Flags().StringVar(&c.token, "token", "", "access `token`; better in EXPOSUREGRAPH_TOKEN, where no process list shows it")
	return c
}

// transport asks before it sends a body, so that a refusal costs no upload.
func transport() *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	t = t.Clone()
	t.ExpectContinueTimeout = 10 * time.Second
	return t
}

func (c *client) post(ctx context.Context, path string, query url.Values, contentType string, body io.Reader) (*http.Response, error) {
	address, err := c.address(path, query)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return nil, usageError{err}
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Expect", "100-continue")
	return c.do(request)
}

func (c *client) address(path string, query url.Values) (string, error) {
	base, err := url.Parse(c.server)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return "", usagef("--server %q is no address such as %s", c.server, defaultServer)
	}
	base = base.JoinPath(path)
	base.RawQuery = query.Encode()
	return base.String(), nil
}

func (c *client) do(request *http.Request) (*http.Response, error) {
	if token := strings.TrimSpace(c.token); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("User-Agent", "exposuregraph/"+build().Version)
	// A redirect would turn the POST into a GET; whoever sends one has another
	// address in mind for --server.
	client := &http.Client{Transport: transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		if cause := request.Context().Err(); cause != nil {
			return nil, cause
		}
		return nil, problem.New(problem.Unavailable, "SERVER_UNREACHABLE",
			"no server answers at %s (%s); start one with `exposuregraph serve`, or name another with --server", c.server, rootCause(err)).Because(err)
	}
	return response, nil
}

// rootCause leaves out what net/http says around an error.
func rootCause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// refusal is the error that an answer other than 200 stands for.
func refusal(response *http.Response) error {
	var body struct {
		Error struct {
			Kind      problem.Kind
			Code      string
			Message   string
			Field     string
			File      string
			Line      int
			RequestID string
		}
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && isJSON(response) {
		err = json.Unmarshal(content, &body)
	}
	if err != nil || body.Error.Code == "" {
		kind := problem.Invalid
		if response.StatusCode >= http.StatusInternalServerError {
			kind = problem.Unavailable
		}
		return problem.New(kind, "ANSWER_UNKNOWN", "the server answered %s and not as exposuregraph does; is --server right?", response.Status).Because(err)
	}
	e := body.Error
	if e.Kind == problem.Internal && e.RequestID != "" {
		e.Message = fmt.Sprintf("%s: %s", e.Message, e.RequestID)
	}
	return problem.New(e.Kind, e.Code, "%s", e.Message).On(e.Field).At(e.File, e.Line)
}

func isJSON(response *http.Response) bool {
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

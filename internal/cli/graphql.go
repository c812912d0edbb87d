package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// sendGraph sends a document with its variables.
func (c *client) sendGraph(ctx context.Context, request map[string]any) (*http.Response, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return c.post(ctx, "/graphql", nil, "application/json", bytes.NewReader(body))
}

// graphAnswer is an answer of GraphQL.
type graphAnswer struct {
	Data   json.RawMessage
	Errors []graphError
	Error  json.RawMessage // of a server that did not come to read the document
}

// readGraph reads an answer out of a body; one that is none is the refusal that it
// stands for. The response can be read again.
func readGraph(response *http.Response, body io.Reader) (content []byte, answer graphAnswer, err error) {
	if !isJSON(response) {
		return nil, answer, refusal(response)
	}
	content, err = io.ReadAll(body)
	if err != nil {
		return nil, answer, problem.New(problem.Unavailable, "ANSWER_CUT_OFF", "the answer of the server broke off; try again").Because(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(content))
	if err := json.Unmarshal(content, &answer); err != nil || answer.Error != nil {
		return nil, answer, refusal(response)
	}
	return content, answer, nil
}

// ask sends a document and reads what the server answers into data.
func (c *client) ask(ctx context.Context, document string, variables map[string]any, data any) error {
	response, err := c.sendGraph(ctx, map[string]any{"query": document, "variables": variables})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, answer, err := readGraph(response, io.LimitReader(response.Body, maxReport))
	switch {
	case err != nil:
		return err
	case len(answer.Errors) > 0:
		return answer.Errors[0].problem()
	case answer.Data == nil:
		return refusal(response)
	}
	return json.Unmarshal(answer.Data, data)
}

// graphError is an error of a GraphQL answer.
type graphError struct {
	Message    string `json:"message"`
	Extensions struct {
		Kind problem.Kind `json:"kind"`
		Code string       `json:"code"`
	} `json:"extensions"`
}

// exitCode tells from the kind of an error or, without one, from its code
// whether it is more than a failure.
func (e graphError) exitCode() int {
	if e.Extensions.Kind != "" {
		return exitCodeOf(problem.Kind(strings.ToLower(string(e.Extensions.Kind))))
	}
	code := e.Extensions.Code
	switch {
	case strings.HasPrefix(code, "TOKEN_"), code == "SCOPE_MISSING", code == "ADMIN_REQUIRED",
		code == "UNAUTHENTIC", code == "DENIED", code == "UNAUTHENTICATED", code == "FORBIDDEN":
		return exitDenied
	case strings.HasSuffix(code, "NOT_FOUND"):
		return exitNotFound
	case strings.HasSuffix(code, "UNAVAILABLE"), strings.HasSuffix(code, "UNREACHABLE"):
		return exitUnavailable
	}
	return exitFailure
}

// problem is the error with its kind.
func (e graphError) problem() error {
	kind := problem.Kind(strings.ToLower(string(e.Extensions.Kind)))
	if kind == "" {
		kind = map[int]problem.Kind{exitDenied: problem.Denied, exitNotFound: problem.NotFound, exitUnavailable: problem.Unavailable}[e.exitCode()]
	}
	return problem.New(kind, e.Extensions.Code, "%s", e.Message)
}

// wrong is what a mutation says was wrong with its input.
type wrong struct {
	Code    string
	Field   *string
	Message string
}

// conflicts are the codes that say that the state has moved on.
var conflicts = map[string]bool{
	"VERSION_CONFLICT": true, "EXPOSURE_RESOLVED": true, "ILLEGAL_MOVE": true, "IDEMPOTENCY_KEY_REUSED": true,
	"ALREADY_UNDONE": true, "BATCH_IS_UNDO": true, "NOTHING_TO_UNDO": true, "KEY_REVOKED": true, "KEY_OF_ANOTHER": true,
}

// firstOf is the error that the first of them stands for.
func firstOf(list []wrong) error {
	if len(list) == 0 {
		return nil
	}
	w := list[0]
	kind := problem.Invalid
	switch {
	case conflicts[w.Code]:
		kind = problem.Conflict
	case strings.HasSuffix(w.Code, "NOT_FOUND"):
		kind = problem.NotFound
	}
	e := problem.New(kind, w.Code, "%s", w.Message)
	if w.Field != nil {
		e.Field = *w.Field
	}
	return e
}

// inputs are the types of the input of the mutations.
var inputs = map[string]string{
	"acknowledgeExposure": "JudgeExposureInput", "unacknowledgeExposure": "JudgeExposureInput", "markFalsePositive": "MarkFalsePositiveInput",
	"unmarkFalsePositive": "JudgeExposureInput", "resolveExposure": "JudgeExposureInput", "judgeExposures": "JudgeExposuresInput", "undoBatch": "UndoBatchInput",
	"registerSigningKey": "RegisterSigningKeyInput", "revokeSigningKey": "RevokeSigningKeyInput",
}

// Documents are those that the commands send: a server that runs only documents which it
// trusts runs these as well. What `query` sends is its caller's.
func Documents() []string {
	documents := []string{auditDocument, exposuresDocument, exposureDocument, keysDocument, progressDocument, tailDocument, fromNowDocument}
	for mutation := range inputs {
		switch {
		case strings.HasSuffix(mutation, "SigningKey"):
			documents = append(documents, keyDocument(mutation))
		case mutation == "judgeExposures" || mutation == "undoBatch":
			documents = append(documents, batchDocument(mutation))
		default:
			documents = append(documents, moveDocument(mutation))
		}
	}
	return documents
}

// pages reads a list of an organization page after page, up to so many, or all with 0.
// The document calls it list and takes its page.
func pages[T any](ctx context.Context, c *client, slug, document string, filter map[string]any, most int) ([]T, error) {
	list := []T{}
	var after *string
	for {
		first := 100
		if most > 0 {
			first = min(first, most-len(list))
		}
		var answer struct {
			Organization *struct {
				List struct {
					Nodes    []T
					PageInfo struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
			}
		}
		if err := c.ask(ctx, document, map[string]any{"slug": slug, "filter": filter, "first": first, "after": after}, &answer); err != nil {
			return nil, err
		}
		if answer.Organization == nil {
			return nil, noOrganization(slug)
		}
		page := answer.Organization.List
		list = append(list, page.Nodes...)
		if after = page.PageInfo.EndCursor; !page.PageInfo.HasNextPage || len(list) == most {
			return list, nil
		}
	}
}

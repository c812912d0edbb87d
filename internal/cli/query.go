package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// maxDocument is far above what the server takes.
const maxDocument = 16 << 20

func newQuery(p Process) *cobra.Command {
	var variables string
	cmd := &cobra.Command{
		Use:   "query FILE|-",
		Short: "Send a GraphQL document and print the JSON of the answer",
		Args:  usageArgs(cobra.ExactArgs(1)),
	}
	server := addClient(cmd)
	cmd.Flags().StringVar(&variables, "variables", "", "variables of the operation, a `JSON` object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request := map[string]any{}
		if variables != "" {
			var object map[string]json.RawMessage
			if err := json.Unmarshal([]byte(variables), &object); err != nil {
				return usagef("--variables is no JSON object: %w", err)
			}
			request["variables"] = object
		}
		document, err := readDocument(p, args[0])
		if err != nil {
			return err
		}
		request["query"] = string(document)
		body, err := json.Marshal(request)
		if err != nil {
			return err
		}
		response, err := server.post(cmd.Context(), "/graphql", nil, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return p.printAnswer(response)
	}
	return cmd
}

func readDocument(p Process, name string) ([]byte, error) {
	file, err := p.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxDocument))
	if err != nil {
		return nil, unreadable(name, err)
	}
	return content, nil
}

// graphError is an error of a GraphQL answer.
type graphError struct {
	Message    string `json:"message"`
	Extensions struct {
		Kind problem.Kind `json:"kind"`
		Code string       `json:"code"`
	} `json:"extensions"`
}

// printAnswer prints what the server answered, also when it is an error.
func (p Process) printAnswer(response *http.Response) error {
	if !isJSON(response) {
		return refusal(response)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return problem.New(problem.Unavailable, "ANSWER_CUT_OFF", "the answer of the server broke off; try again").Because(err)
	}
	var answer struct {
		Errors []graphError    `json:"errors"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(content, &answer); err != nil || answer.Error != nil {
		response.Body = io.NopCloser(bytes.NewReader(content))
		return refusal(response)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, content, "", "  "); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(p.Stdout, strings.TrimSpace(indented.String())); err != nil {
		return err
	}
	if len(answer.Errors) == 0 {
		return nil
	}
	code := exitFailure
	for _, e := range answer.Errors {
		_, _ = fmt.Fprintf(p.Stderr, "exposuregraph: %s [%s]\n", e.Message, e.Extensions.Code)
		code = max(code, e.exitCode())
	}
	return exitError(code)
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

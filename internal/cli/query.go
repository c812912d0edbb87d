package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
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
		response, err := server.sendGraph(cmd.Context(), request)
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

// printAnswer prints what the server answered, also when it is an error.
func (p Process) printAnswer(response *http.Response) error {
	content, answer, err := readGraph(response, response.Body)
	if err != nil {
		return err
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

package cli

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The forms of output.
const (
	asTable = "table"
	asJSON  = "json"
)

// addOutput adds -o with the forms that the command has, the first by default.
func addOutput(cmd *cobra.Command, forms ...string) func() (string, error) {
	form := cmd.Flags().StringP("output", "o", forms[0], "form of the output: "+strings.Join(forms, " or "))
	return func() (string, error) {
		if !slices.Contains(forms, *form) {
			return "", usagef("%s has no output as %q; it has %s", cmd.CommandPath(), *form, strings.Join(forms, " and "))
		}
		return *form, nil
	}
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

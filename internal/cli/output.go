package cli

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// The forms of output.
const (
	asTable  = "table"
	asJSON   = "json"
	asNDJSON = "ndjson"
	asCSV    = "csv"
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

// table aligns columns on stdout. Flush tells the error of what was printed.
func (p Process) table() *tabwriter.Writer {
	return tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
}

func lower(name string) string { return strings.ToLower(name) }

// oneLine keeps what somebody else wrote from writing on the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// addOrganization adds --org, without which the command only says what it needs to
// know.
func addOrganization(cmd *cobra.Command, need string) func() (string, error) {
	slug := cmd.Flags().String("org", "", "`slug` of the organization")
	return func() (string, error) {
		if *slug == "" {
			return "", usagef("%s: --org SLUG", need)
		}
		return *slug, nil
	}
}

func noOrganization(slug string) error {
	return problem.New(problem.NotFound, "ORGANIZATION_NOT_FOUND", "there is no organization %s for this caller", slug)
}

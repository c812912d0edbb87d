package org

import (
	"regexp"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Organization is one customer, tenant or team.
type Organization struct {
	ID        id.ID
	Slug      string
	Name      string
	CreatedAt time.Time
}

// slugRule is also a check of the table.
var slugRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckSlug says what is wrong with the slug of a new organization.
func CheckSlug(slug string) error {
	if slugRule.MatchString(slug) {
		return nil
	}
	return problem.New(problem.Invalid, "SLUG_INVALID",
		"%.80q is no name for an organization: it has 1 to 63 lower case letters, digits and hyphens, and a hyphen neither first nor last", slug).On("slug")
}

package model

import (
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// Organization is an organization as the schema shows it.
type Organization struct{ org.Organization }

// IsNode marks a node.
func (*Organization) IsNode() {}

// ID is the organization's global id.
func (o *Organization) ID() string { return globalID(TypeOrganization, o.Organization.ID, id.Nil) }

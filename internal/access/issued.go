package access

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Record is what is kept of a token: everything but the token.
type Record struct {
	ID               string
	Subject          string
	ServiceAccount   string // whose credentials it was made for; empty for the owner of the installation
	Delegates        []string
	Role             Role
	Scopes           []Scope
	Organizations    []string
	AllOrganizations bool
	Environment      []string
	Owner            []string
	BusinessTier     []string
	IssuedAt         time.Time
	ExpiresAt        time.Time
	RevokedAt        *time.Time
	RevokedBy        string
}

// Attributes are those that the bearer is limited to.
func (r *Record) Attributes() Attributes {
	return Attributes{Environment: r.Environment, Owner: r.Owner, BusinessTier: r.BusinessTier}
}

// TokenEvent is what happened to a token.
type TokenEvent string

// The events.
const (
	TokenIssued  TokenEvent = "token.issued"
	TokenRevoked TokenEvent = "token.revoked"
)

// Issued is that a token was issued or revoked.
type Issued struct {
	Event TokenEvent
	At    time.Time
	By    string // who had it done
	Token Record
}

// Hook is told of a token before it is issued or revoked for good. Where it fails
// neither happens, so nothing happens untold; what was told may still fail.
type Hook func(ctx context.Context, issued Issued) error

// Property is one of an audit record.
type Property struct{ Name, Value string }

// Properties are those of the audit record, in this order. The values of an attribute
// are separated by spaces; one without values is not among them.
func (i Issued) Properties() []Property {
	scopes := "none"
	if len(i.Token.Scopes) > 0 {
		scopes = joined(i.Token.Scopes)
	}
	organizations := "*"
	if !i.Token.AllOrganizations {
		organizations = strings.Join(i.Token.Organizations, " ")
	}
	list := []Property{
		{"authority.token.id", i.Token.ID}, {"authority.token.subject", i.Token.Subject}, {"authority.token.role", string(i.Token.Role)},
		{"authority.token.scope", scopes}, {"authority.token.organizations", organizations},
		{"authority.token.expires", i.Token.ExpiresAt.UTC().Format(time.RFC3339)},
	}
	for _, attribute := range []struct {
		name   string
		values []string
	}{{"environment", i.Token.Environment}, {"owner", i.Token.Owner}, {"business_tier", i.Token.BusinessTier}} {
		if len(attribute.values) > 0 {
			list = append(list, Property{"authority.vuln_attr." + attribute.name, strings.Join(attribute.values, " ")})
		}
	}
	if i.Token.ServiceAccount != "" {
		list = append(list, Property{"delegation.service_account", i.Token.ServiceAccount})
	}
	for n, delegate := range i.Token.Delegates {
		list = append(list, Property{fmt.Sprintf("delegation.actor[%d]", n), delegate})
	}
	return list
}

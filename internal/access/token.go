package access

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// tokenParty is issuer and audience: we make tokens for ourselves.
	tokenParty = "exposuregraph"

	// maxToken bounds what is parsed before anybody was authenticated, and with
	// it the list of organizations.
	maxToken = 8 << 10

	// maxTTL bounds how long a leaked token works: there is no revocation
	// short of removing its key.
	maxTTL = 366 * 24 * time.Hour

	maxSubject = 256
)

// algorithm is the only one there is, for signing and for verifying. (Its name
// in RFC 9864 is Ed25519; EdDSA is what other tools still expect.)
var algorithm = jwa.EdDSA()

// Key signs tokens.
type Key struct {
	ID      string
	Private ed25519.PrivateKey
}

// claims of a token.
type claims struct {
	Issuer    string   `json:"iss"`
	Audience  audience `json:"aud"`
	Subject   string   `json:"sub"`
	ID        string   `json:"jti"`
	IssuedAt  *int64   `json:"iat"`
	NotBefore *int64   `json:"nbf"`
	ExpiresAt *int64   `json:"exp"`

	Role             Role     `json:"role"`
	Scope            string   `json:"scope"` // separated by spaces
	Organizations    []string `json:"organizations,omitempty"`
	AllOrganizations bool     `json:"all_organizations,omitempty"`
}

// audience is one name or a list of names.
type audience []string

func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if err := json.Unmarshal(raw, &one); err == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// Issue signs a token that makes its bearer the actor from now on, for the time
// to live. The actor's own ExpiresAt does not matter.
func Issue(key Key, actor Actor, ttl time.Duration, now time.Time) (string, error) {
	if err := checkActor(actor); err != nil {
		return "", err
	}
	if ttl < time.Second || ttl > maxTTL {
		return "", problem.New(problem.Invalid, "TOKEN_TTL", "a token lives between one second and 366 days, not %s", ttl).On("ttl")
	}
	issued, expires := now.Unix(), now.Add(ttl).Unix()
	scopes := make([]string, 0, len(actor.Scopes))
	for _, scope := range actor.Scopes {
		scopes = append(scopes, string(scope))
	}
	payload, err := json.Marshal(claims{
		Issuer:    tokenParty,
		Audience:  audience{tokenParty},
		Subject:   actor.Subject,
		ID:        uuid.NewString(),
		IssuedAt:  &issued,
		NotBefore: &issued,
		ExpiresAt: &expires,

		Role:             actor.Role,
		Scope:            strings.Join(scopes, " "),
		Organizations:    actor.Organizations,
		AllOrganizations: actor.AllOrganizations,
	})
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	token, err := sign(key, payload)
	if err != nil {
		return "", err
	}
	if len(token) > maxToken {
		return "", problem.New(problem.Invalid, "TOKEN_TOO_LONG",
			"%d organizations do not fit into a token; give it all organizations, or make several", len(actor.Organizations)).On("organizations")
	}
	return token, nil
}

func sign(key Key, payload []byte) (string, error) {
	headers := jws.NewHeaders()
	for name, value := range map[string]string{jws.KeyIDKey: key.ID, jws.TypeKey: "JWT"} {
		if err := headers.Set(name, value); err != nil {
			return "", fmt.Errorf("token header %s: %w", name, err)
		}
	}
	token, err := jws.Sign(payload, jws.WithKey(algorithm, key.Private, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return string(token), nil
}

// checkActor refuses to issue what the verifier would refuse, or what would
// grant less than its reader thinks.
func checkActor(actor Actor) error {
	invalid := func(field, format string, args ...any) error {
		return problem.New(problem.Invalid, "TOKEN_CLAIM_INVALID", format, args...).On(field)
	}
	if actor.Subject == "" || len(actor.Subject) > maxSubject {
		return invalid("subject", "the subject of a token has between 1 and %d bytes", maxSubject)
	}
	if !slices.Contains(Roles, actor.Role) {
		return invalid("role", "there is no role %q; known are client and admin", actor.Role)
	}
	for _, scope := range actor.Scopes {
		if !slices.Contains(Scopes, scope) {
			return invalid("scope", "there is no scope %q; known are vuln:view, vuln:investigate, vuln:operate, vuln:audit and vuln:approve", scope)
		}
	}
	if actor.AllOrganizations == (len(actor.Organizations) > 0) {
		return invalid("organizations", "a token is for a list of organizations or for all of them: give one of the two")
	}
	if slices.Contains(actor.Organizations, "") {
		return invalid("organizations", "the name of an organization is empty")
	}
	return nil
}

package access

import (
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
	// TokenParty is issuer and audience: we make tokens for ourselves.
	TokenParty = "exposuregraph"

	// maxToken bounds what is parsed before anybody was authenticated, and with
	// it the list of organizations.
	maxToken = 8 << 10

	// maxTTL bounds how long a leaked token works that nobody revokes.
	maxTTL = 366 * 24 * time.Hour
)

// Mint is how our tokens are written. The zero value is as the command line does it.
type Mint struct {
	Issuer string // the claim iss; empty: exposuregraph
	Prefix string // of the claims with attributes; empty: DefaultPrefix
}

// Token is one that was made.
type Token struct {
	Text      string // what the bearer sends; it is kept nowhere
	ID        string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Issue signs a token that makes its bearer the actor from now on, for the time
// to live. The actor's own ExpiresAt and TokenID do not matter. The token is
// recorded nowhere, so it cannot be revoked: see Registry.
func Issue(key Key, actor Actor, ttl time.Duration, now time.Time) (string, error) {
	token, err := Mint{}.Issue(key, actor, ttl, now)
	return token.Text, err
}

// Issue is Issue of the package with other names.
func (m Mint) Issue(key Key, actor Actor, ttl time.Duration, now time.Time) (Token, error) {
	if err := checkActor(actor); err != nil {
		return Token{}, err
	}
	if ttl < time.Second || ttl > maxTTL {
		return Token{}, problem.New(problem.Invalid, "TOKEN_TTL", "a token lives between one second and 366 days, not %s", ttl).On("ttl")
	}
	token := Token{ID: uuid.NewString(), IssuedAt: now.UTC().Truncate(time.Second), ExpiresAt: now.Add(ttl).UTC().Truncate(time.Second)}
	payload, err := json.Marshal(m.claims(actor, token))
	if err != nil {
		return Token{}, fmt.Errorf("write claims: %w", err)
	}
	if token.Text, err = sign(key, payload); err != nil {
		return Token{}, err
	}
	if len(token.Text) > maxToken {
		return Token{}, problem.New(problem.Invalid, "TOKEN_TOO_LONG",
			"%d organizations do not fit into a token; give it all organizations, or make several", len(actor.Organizations)).On("organizations")
	}
	return token, nil
}

func (m Mint) claims(actor Actor, token Token) map[string]any {
	issuer, prefix := m.Issuer, m.Prefix
	if issuer == "" {
		issuer = TokenParty
	}
	if prefix == "" {
		prefix = DefaultPrefix
	}
	all := map[string]any{
		"iss": issuer, "aud": []string{TokenParty}, "sub": actor.Subject, "jti": token.ID,
		"iat": token.IssuedAt.Unix(), "nbf": token.IssuedAt.Unix(), "exp": token.ExpiresAt.Unix(),
		"role": actor.Role, "scope": joined(actor.Scopes),
	}
	if actor.AllOrganizations {
		all["all_organizations"] = true
	} else {
		all["organizations"] = actor.Organizations
	}
	if chain := actOf(actor.Delegates); chain != nil {
		all["act"] = chain
	}
	for _, name := range AttributeNames {
		if values := *actor.Attributes.Of(name); len(values) > 0 {
			all[prefix+"vuln_"+name] = values
		}
	}
	return all
}

func joined(scopes []Scope) string {
	list := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		list = append(list, string(scope))
	}
	return strings.Join(list, " ")
}

func sign(key Key, payload []byte) (string, error) {
	headers := jws.NewHeaders()
	for name, value := range map[string]string{jws.KeyIDKey: key.ID, jws.TypeKey: "JWT"} {
		if err := headers.Set(name, value); err != nil {
			return "", fmt.Errorf("token header %s: %w", name, err)
		}
	}
	token, err := jws.Sign(payload, jws.WithKey(jwa.EdDSA(), key.Private, jws.WithProtectedHeaders(headers)))
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
	if len(actor.Delegates) > maxDelegates {
		return invalid("act", "more than %d act on behalf of the subject, one for another", maxDelegates)
	}
	for _, delegate := range actor.Delegates {
		if delegate == "" || len(delegate) > maxSubject {
			return invalid("act", "the name of who acts on behalf of the subject has between 1 and %d bytes", maxSubject)
		}
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
	return actor.Attributes.check()
}

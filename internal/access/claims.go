package access

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const (
	maxSubject = 256

	// maxDelegates bounds a chain of actors.
	maxDelegates = 8
)

// registered are the claims of RFC 7519 and of RFC 8693.
type registered struct {
	Issuer    string `json:"iss"`
	Audience  words  `json:"aud"`
	Subject   string `json:"sub"`
	ID        string `json:"jti"`
	IssuedAt  *int64 `json:"iat"`
	NotBefore *int64 `json:"nbf"`
	ExpiresAt *int64 `json:"exp"`
	Act       *act   `json:"act"`
}

// act is who acts on behalf of the subject, and before it who acted on behalf of
// the same.
type act struct {
	Subject string `json:"sub"`
	Act     *act   `json:"act,omitempty"`
}

func actOf(delegates []string) *act {
	if len(delegates) == 0 {
		return nil
	}
	return &act{Subject: delegates[0], Act: actOf(delegates[1:])}
}

func (a *act) delegates() (chain []string) {
	for ; a != nil && len(chain) <= maxDelegates; a = a.Act {
		chain = append(chain, a.Subject)
	}
	return chain
}

// words is a list of texts, or one text.
type words []string

func (w *words) UnmarshalJSON(raw []byte) error {
	var one string
	if err := json.Unmarshal(raw, &one); err == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(w))
}

// fields are texts that are separated by spaces, or by being in a list.
func (w words) fields() []string { return strings.Fields(strings.Join(w, " ")) }

// claims are those of a token, read by the names that its issuer gives them.
type claims struct {
	registered
	all map[string]json.RawMessage
}

func parseClaims(payload []byte) (*claims, error) {
	c := &claims{}
	if err := json.Unmarshal(payload, &c.registered); err != nil {
		return nil, malformed("its claims cannot be read").Because(err)
	}
	if err := json.Unmarshal(payload, &c.all); err != nil || c.all == nil {
		return nil, malformed("its claims cannot be read").Because(err)
	}
	return c, nil
}

// lookup finds a claim by its name, or by its path where it is within others, such
// as realm_access.roles.
func (c *claims) lookup(name string) json.RawMessage {
	if raw, there := c.all[name]; there {
		return raw
	}
	within, parts := c.all, strings.Split(name, ".")
	for i, part := range parts {
		raw := within[part]
		if i == len(parts)-1 {
			return raw
		}
		within = nil
		if json.Unmarshal(raw, &within) != nil {
			return nil
		}
	}
	return nil
}

func (c *claims) words(name string) (words, error) {
	raw := c.lookup(name)
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	var list words
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, malformed("its claim %s is neither a text nor a list of texts", name).Because(err)
	}
	return list, nil
}

// times holds the instants against the clock.
func (c *claims) times(own bool, now time.Time) error {
	from := c.NotBefore
	if !own && from == nil {
		from = c.IssuedAt
	}
	switch {
	case own && (c.ExpiresAt == nil || from == nil || c.IssuedAt == nil || c.ID == ""):
		return malformed("it lacks one of the claims exp, nbf, iat and jti")
	case c.ExpiresAt == nil:
		return malformed("it lacks the claim exp")
	case !now.Before(time.Unix(*c.ExpiresAt, 0)):
		return refused("TOKEN_EXPIRED", "the access token expired at %s; get another one", time.Unix(*c.ExpiresAt, 0).UTC().Format(time.RFC3339))
	case from != nil && now.Add(clockSkew).Before(time.Unix(*from, 0)):
		return refused("TOKEN_NOT_YET_VALID", "the access token is not valid before %s; compare the clocks of the machines",
			time.Unix(*from, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

// actor reads who the bearer is.
func (c *claims) actor(from *issuer, prefix string) (Actor, error) {
	actor := Actor{Subject: c.Subject, Delegates: c.Act.delegates(), ExpiresAt: time.Unix(*c.ExpiresAt, 0).UTC()}
	if from.own {
		actor.TokenID = c.ID
	}
	for _, read := range []func(*Actor, *issuer) error{c.role, c.scopes, c.organizations} {
		if err := read(&actor, from); err != nil {
			return Actor{}, err
		}
	}
	attributes, err := c.attributes(prefix)
	if err != nil {
		return Actor{}, err
	}
	actor.Attributes = attributes
	if err := checkActor(actor); err != nil {
		return Actor{}, malformed("%s", err.Error()).Because(err)
	}
	return actor, nil
}

// role of a token of ours is said by it; of another's, admin is whoever is called so
// and everybody else a client.
func (c *claims) role(actor *Actor, from *issuer) error {
	list, err := c.words(from.RoleClaim)
	if err != nil {
		return err
	}
	switch {
	case from.own:
		actor.Role = Role(strings.Join(list, " "))
	case slices.Contains(list, string(Admin)):
		actor.Role = Admin
	default:
		actor.Role = Client
	}
	return nil
}

// scopes come as a text (scope, RFC 9068) or as a list (scp, of some issuers).
func (c *claims) scopes(actor *Actor, _ *issuer) error {
	for _, name := range []string{"scope", "scp"} {
		list, err := c.words(name)
		if err != nil {
			return err
		}
		for _, word := range list.fields() {
			scope := Scope(word)
			if scope == legacyView {
				scope, actor.Deprecated = View, true
			}
			// A scope of a later version, or of another program, grants nothing here and harms nothing.
			if slices.Contains(Scopes, scope) && !actor.May(scope) {
				actor.Scopes = append(actor.Scopes, scope)
			}
		}
	}
	return nil
}

func (c *claims) organizations(actor *Actor, from *issuer) error {
	list, err := c.words(from.OrganizationsClaim)
	if err != nil {
		return err
	}
	if from.own {
		actor.Organizations = list
		if raw := c.all["all_organizations"]; raw != nil {
			if err := json.Unmarshal(raw, &actor.AllOrganizations); err != nil {
				return malformed("its claim all_organizations is not true or false").Because(err)
			}
		}
		return nil
	}
	actor.Organizations = list.fields()
	if slices.Contains(actor.Organizations, "*") {
		actor.Organizations, actor.AllOrganizations = nil, true
	}
	return nil
}

// attributes reads what limits the bearer. What looks like a limit and is none that
// is known is refused: to leave it out would show more than the token allows.
func (c *claims) attributes(prefix string) (Attributes, error) {
	var a Attributes
	for name := range c.all {
		attribute, known := strings.CutPrefix(name, prefix+"vuln_")
		if known && a.Of(attribute) != nil {
			values, err := c.words(name)
			if err != nil {
				return a, err
			}
			if len(values) == 0 {
				return a, malformed("its claim %s has no value, which would show nothing", name)
			}
			*a.Of(attribute) = values
			continue
		}
		if limits(strings.ToLower(name), strings.ToLower(prefix)) {
			return a, refused(codeAttributes, "the access token limits its bearer by %.80q, which is no attribute here; it is refused rather than widened", name)
		}
	}
	return a, nil
}

func limits(name, prefix string) bool {
	if name == "attributes" || strings.HasPrefix(name, prefix+"vuln_") || strings.HasPrefix(name, DefaultPrefix+"vuln_") {
		return true
	}
	return slices.ContainsFunc(AttributeNames, func(attribute string) bool { return strings.HasSuffix(name, "vuln_"+attribute) })
}

package access

import (
	"slices"
	"time"
)

const (
	// reloadPause is how often at most an unknown key id reads the keys again:
	// anybody can invent key ids.
	reloadPause = 5 * time.Second

	// keysMaxAge is how long a key that was removed still verifies.
	keysMaxAge = time.Minute

	// outage is how long the keys of another issuer verify while it does not answer.
	outage = time.Hour
)

// Trust is another issuer whose tokens are accepted, and how they are read.
type Trust struct {
	Issuer             string // the claim iss, to the byte
	Audience           string // that a token must be for
	RoleClaim          string // has admin, as a text or in a list; empty: role
	OrganizationsClaim string // lists slugs, or * for all organizations; empty: organizations
	Keys               PublicKeys
}

// issuer is where tokens come from.
type issuer struct {
	Trust
	names      []string // of the claim iss
	algorithms []string
	own        bool
	keys       *cached[PublicKey]
}

func ownIssuer(load PublicKeys, now func() time.Time) *issuer {
	return &issuer{
		Trust: Trust{Audience: TokenParty, RoleClaim: "role", OrganizationsClaim: "organizations"},
		names: []string{TokenParty}, algorithms: ours, own: true,
		keys: &cached[PublicKey]{read: load, now: now, usable: keysMaxAge},
	}
}

func otherIssuer(trust Trust, now func() time.Time) *issuer {
	if trust.RoleClaim == "" {
		trust.RoleClaim = "role"
	}
	if trust.OrganizationsClaim == "" {
		trust.OrganizationsClaim = "organizations"
	}
	return &issuer{
		Trust: trust, names: []string{trust.Issuer}, algorithms: theirs,
		keys: &cached[PublicKey]{read: trust.Keys, now: now, usable: outage, pause: reloadPause},
	}
}

// suitable is the key with the id, or the only key that suits where a token of
// another issuer names none.
func suitable(keys map[string]PublicKey, kid, algorithm string, own bool) (PublicKey, bool) {
	if kid != "" || own {
		key, known := keys[kid]
		return key, known
	}
	var found []PublicKey
	for _, key := range keys {
		if key.suits(algorithm) {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		return PublicKey{}, false
	}
	return found[0], true
}

func (i *issuer) accepts(algorithm string) bool { return slices.Contains(i.algorithms, algorithm) }

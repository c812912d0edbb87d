package access

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// reloadPause is how often at most an unknown key id reads the keys again:
	// anybody can invent key ids.
	reloadPause = 5 * time.Second

	// keysMaxAge is how long a key that was removed still verifies.
	keysMaxAge = time.Minute

	// clockSkew is how far the clock of the machine that made a token may be
	// ahead of this one. It shortens nothing: an expired token is expired.
	clockSkew = 30 * time.Second
)

// PublicKeys gives every key that may sign tokens, by its id.
type PublicKeys func(ctx context.Context) (map[string]ed25519.PublicKey, error)

// Verifier turns a token into an actor. It is safe for concurrent use.
type Verifier struct {
	load PublicKeys
	now  func() time.Time

	mu     sync.Mutex
	keys   map[string]ed25519.PublicKey
	loaded time.Time // when keys were read, or reading them last failed
}

// NewVerifier makes a verifier that reads the public keys when it needs them.
func NewVerifier(load PublicKeys, now func() time.Time) *Verifier {
	return &Verifier{load: load, now: now}
}

// Verify gives the actor of a token. Errors are Unauthentic with a code that
// says what is wrong, or Unavailable when the keys cannot be read.
func (v *Verifier) Verify(ctx context.Context, token string) (Actor, error) {
	if len(token) > maxToken {
		return Actor{}, malformed("it is longer than %d bytes", maxToken)
	}
	message, err := jws.Parse([]byte(token), jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return Actor{}, malformed("it is not a signed JWT").Because(err)
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if alg, _ := header.Algorithm(); alg != algorithm {
		return Actor{}, refused("TOKEN_SIGNATURE", "the access token is signed with %q; only EdDSA is accepted", alg.String())
	}
	kid, _ := header.KeyID()
	key, err := v.key(ctx, kid)
	if err != nil {
		return Actor{}, err
	}
	if key == nil {
		return Actor{}, refused("TOKEN_SIGNATURE", "the access token is signed with a key that this server does not know")
	}
	payload, err := jws.Verify([]byte(token), jws.WithKey(algorithm, key), jws.WithCompact(), jws.WithCritValidation(true))
	if err != nil {
		return Actor{}, refused("TOKEN_SIGNATURE", "the signature of the access token is wrong").Because(err)
	}
	return actorOf(payload, v.now())
}

// actorOf reads claims that a signature has proven to be ours.
func actorOf(payload []byte, now time.Time) (Actor, error) {
	var c claims
	var names map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(payload, &c), json.Unmarshal(payload, &names)); err != nil {
		return Actor{}, malformed("its claims cannot be read").Because(err)
	}
	switch {
	case c.Issuer != tokenParty || !slices.Contains(c.Audience, tokenParty):
		return Actor{}, refused("TOKEN_AUDIENCE", "the access token was not made by exposuregraph for exposuregraph")
	case c.ExpiresAt == nil || c.NotBefore == nil || c.IssuedAt == nil || c.ID == "":
		return Actor{}, malformed("it lacks one of the claims exp, nbf, iat and jti")
	case !now.Before(time.Unix(*c.ExpiresAt, 0)):
		return Actor{}, refused("TOKEN_EXPIRED", "the access token expired at %s; make another with `exposuregraph token create`",
			time.Unix(*c.ExpiresAt, 0).UTC().Format(time.RFC3339))
	case now.Add(clockSkew).Before(time.Unix(*c.NotBefore, 0)):
		return Actor{}, refused("TOKEN_NOT_YET_VALID", "the access token is not valid before %s; compare the clocks of the machines",
			time.Unix(*c.NotBefore, 0).UTC().Format(time.RFC3339))
	}
	for name := range names {
		name = strings.ToLower(name)
		if name == "attributes" || strings.HasPrefix(name, "stellaops:vuln_") {
			return Actor{}, refused("TOKEN_ATTRIBUTES",
				"the access token limits its bearer by attributes, which this version cannot enforce; it is refused rather than widened")
		}
	}
	actor := Actor{
		Subject:          c.Subject,
		Role:             c.Role,
		Organizations:    c.Organizations,
		AllOrganizations: c.AllOrganizations,
		ExpiresAt:        time.Unix(*c.ExpiresAt, 0).UTC(),
	}
	for _, scope := range strings.Fields(c.Scope) {
		// A scope of a later version grants nothing here and harms nothing.
		if slices.Contains(Scopes, Scope(scope)) {
			actor.Scopes = append(actor.Scopes, Scope(scope))
		}
	}
	if err := checkActor(actor); err != nil {
		return Actor{}, malformed("%s", err.Error()).Because(err)
	}
	return actor, nil
}

// key is the public key with this id, or nil. One caller reads the keys for all
// that wait.
func (v *Verifier) key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	age := v.now().Sub(v.loaded)
	key := v.keys[kid]
	if key != nil && age < keysMaxAge {
		return key, nil
	}
	if v.keys != nil && age < reloadPause {
		return key, nil
	}
	keys, err := v.load(ctx)
	if err != nil {
		return nil, err
	}
	v.keys, v.loaded = keys, v.now()
	return keys[kid], nil
}

func refused(code, format string, args ...any) *problem.Error {
	return problem.New(problem.Unauthentic, code, format, args...)
}

func malformed(format string, args ...any) *problem.Error {
	return refused("TOKEN_MALFORMED", "the access token cannot be used: "+format, args...)
}

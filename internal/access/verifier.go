package access

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// clockSkew is how far the clock of the machine that made a token may be
	// ahead of this one. It shortens nothing: an expired token is expired.
	clockSkew = 30 * time.Second

	// revokedMaxAge is how long a token works at most after it was revoked.
	revokedMaxAge = 1500 * time.Millisecond

	codeAttributes = "TOKEN_ATTRIBUTES"
)

// Revocations gives the ids of the tokens that were revoked and have not expired.
type Revocations func(ctx context.Context) (map[string]struct{}, error)

// Verifier turns a token into an actor. It is safe for concurrent use once it is
// made.
type Verifier struct {
	now     func() time.Time
	issuers []*issuer // ours first
	revoked *cached[struct{}]
	prefix  string
}

// NewVerifier makes a verifier of our own tokens. It reads the public keys when it
// needs them.
func NewVerifier(load PublicKeys, now func() time.Time) *Verifier {
	return &Verifier{now: now, issuers: []*issuer{ownIssuer(load, now)}, prefix: DefaultPrefix}
}

// Called adds a name under which our own tokens are issued.
func (v *Verifier) Called(name string) *Verifier {
	if name != "" {
		v.issuers[0].names = append(v.issuers[0].names, name)
	}
	return v
}

// Trusting has the verifier accept the tokens of another issuer as well.
func (v *Verifier) Trusting(trust Trust) *Verifier {
	v.issuers = append(v.issuers, otherIssuer(trust, v.now))
	return v
}

// Revoking has the verifier refuse tokens of ours that were revoked.
func (v *Verifier) Revoking(read Revocations) *Verifier {
	v.revoked = &cached[struct{}]{read: read, now: v.now, usable: keysMaxAge}
	return v
}

// Prefixed says what the names of the claims with attributes begin with.
func (v *Verifier) Prefixed(prefix string) *Verifier {
	v.prefix = prefix
	return v
}

// Verify gives the actor of a token. Errors are Unauthentic with a code that
// says what is wrong, or Unavailable when that cannot be found out.
func (v *Verifier) Verify(ctx context.Context, token string) (Actor, error) {
	payload, from, err := v.verified(ctx, token)
	if err != nil {
		return Actor{}, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return Actor{}, err
	}
	if !slices.Contains(c.Audience, from.Audience) {
		return Actor{}, refused("TOKEN_AUDIENCE", "the access token is not for %s", from.Audience)
	}
	if err := c.times(from.own, v.now()); err != nil {
		return Actor{}, err
	}
	actor, err := c.actor(from, v.prefix)
	if err != nil {
		return Actor{}, err
	}
	if err := v.Holds(ctx, actor); err != nil {
		return Actor{}, err
	}
	return actor, nil
}

// Holds says whether the token of an actor that was verified before is still good:
// Unauthentic if it was revoked. It costs next to nothing.
func (v *Verifier) Holds(ctx context.Context, actor Actor) error {
	if v.revoked == nil || actor.TokenID == "" {
		return nil
	}
	revoked, err := v.revoked.get(ctx, revokedMaxAge)
	if revoked == nil {
		return err
	}
	if _, is := revoked[actor.TokenID]; is {
		return refused("TOKEN_REVOKED", "the access token was revoked; get another one")
	}
	return nil
}

// verified gives the claims that the signature has proven to be the issuer's.
func (v *Verifier) verified(ctx context.Context, token string) ([]byte, *issuer, error) {
	if len(token) > maxToken {
		return nil, nil, refused("TOKEN_TOO_LONG", "the access token has %d bytes; it can have %d", len(token), maxToken)
	}
	message, err := jws.Parse([]byte(token), jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 || !strict(token) {
		return nil, nil, malformed("it is not a signed JWT").Because(err)
	}
	from, err := v.issuerOf(message.Payload())
	if err != nil {
		return nil, nil, err
	}
	header := message.Signatures()[0].ProtectedHeaders()
	algorithm, _ := header.Algorithm()
	if !from.accepts(algorithm.String()) {
		return nil, nil, refused("TOKEN_ALGORITHM", "the access token is signed with %.40q; accepted are %v", algorithm.String(), from.algorithms)
	}
	if kind, _ := header.Type(); !from.own && !slices.Contains([]string{"", "JWT", "jwt", "at+jwt", "application/at+jwt"}, kind) {
		return nil, nil, malformed("it is of the type %.40q and no access token", kind)
	}
	kid, _ := header.KeyID()
	key, err := from.key(ctx, kid, algorithm.String())
	if err != nil {
		return nil, nil, err
	}
	payload, err := jws.Verify([]byte(token), jws.WithKey(algorithm, key.Key), jws.WithCompact(), jws.WithCritValidation(true))
	if err != nil {
		return nil, nil, refused("TOKEN_SIGNATURE", "the signature of the access token is wrong").Because(err)
	}
	return payload, from, nil
}

// strict says whether a token has its one form, by which it was recorded: decoders
// pass over the last bits of a signature and over the ends of lines.
func strict(token string) bool {
	_, err := base64.RawURLEncoding.Strict().DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	return err == nil && !strings.ContainsAny(token, " \t\r\n")
}

// issuerOf reads who claims to have made a token, to know whose key it takes to
// prove it.
func (v *Verifier) issuerOf(payload []byte) (*issuer, error) {
	c, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	for _, known := range v.issuers {
		if slices.Contains(known.names, c.Issuer) {
			return known, nil
		}
	}
	return nil, refused("TOKEN_ISSUER", "the access token was made by %.200q, whose tokens are not accepted here", c.Issuer)
}

// key finds what verifies a token. Keys are read again for an id that is unknown,
// but not at each: anybody can invent ids.
func (i *issuer) key(ctx context.Context, kid, algorithm string) (PublicKey, error) {
	for _, age := range []time.Duration{keysMaxAge, reloadPause} {
		keys, err := i.keys.get(ctx, age)
		key, known := suitable(keys, kid, algorithm, i.own)
		switch {
		case known && !key.suits(algorithm):
			return PublicKey{}, refused("TOKEN_ALGORITHM", "the access token is signed with %.40q, which its key is not for", algorithm)
		case known:
			return key, nil
		case err != nil: // it may be a new one
			return PublicKey{}, err
		}
	}
	return PublicKey{}, refused("TOKEN_KEY_UNKNOWN", "the access token is signed with a key that its issuer does not have, or not any more")
}

func refused(code, format string, args ...any) *problem.Error {
	return problem.New(problem.Unauthentic, code, format, args...)
}

func malformed(format string, args ...any) *problem.Error {
	return refused("TOKEN_MALFORMED", "the access token cannot be used: "+format, args...)
}

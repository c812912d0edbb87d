package access

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }

func knows(keys ...Key) PublicKeys {
	return func(context.Context) (map[string]PublicKey, error) {
		all := map[string]PublicKey{}
		for _, key := range keys {
			all[key.ID] = PublicKey{Key: key.Private.Public(), Algorithm: "EdDSA"}
		}
		return all, nil
	}
}

func analyst() Actor {
	return Actor{
		Subject: "ada", Role: Client, Scopes: []Scope{View, Operate}, Organizations: []string{"acme", "demo"},
		ExpiresAt: noon.Add(time.Hour),
	}
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	key, err := newKey()
	require.NoError(t, err)
	admin := Actor{Subject: "root", Role: Admin, Scopes: Scopes, AllOrganizations: true, ExpiresAt: noon.Add(time.Hour)}
	delegated := analyst()
	delegated.Delegates = []string{"bot", "pipeline"}
	for _, actor := range []Actor{analyst(), admin, delegated} {
		for _, mint := range []Mint{{}, {Issuer: "https://exposures.example", Prefix: "acme:"}} {
			token, err := mint.Issue(key, actor, time.Hour, noon)
			require.NoError(t, err)
			got, err := NewVerifier(knows(key), fixed(noon)).Called("https://exposures.example").Verify(t.Context(), token.Text)
			require.NoError(t, err)
			actor.TokenID = token.ID
			require.Equal(t, actor, got)
			require.Equal(t, noon.Add(time.Hour), token.ExpiresAt)
		}
	}
}

// TestTokenRefused signs what the verifier must refuse although the key is right.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	key, err := newKey()
	require.NoError(t, err)
	good := map[string]any{
		"iss": "exposuregraph", "aud": []string{"exposuregraph"}, "sub": "ada", "jti": "1",
		"iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
		"role": "client", "scope": "vuln:view", "organizations": []string{"acme"},
	}
	verifier := NewVerifier(knows(key), fixed(noon)).Prefixed("acme:")
	verify := func(t *testing.T, change func(map[string]any)) error {
		c := maps.Clone(good)
		change(c)
		payload, err := json.Marshal(c)
		require.NoError(t, err)
		token, err := sign(key, payload)
		require.NoError(t, err)
		_, err = verifier.Verify(t.Context(), token)
		return err
	}
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	without := func(name string) func(map[string]any) {
		return func(c map[string]any) { delete(c, name) }
	}

	accepted := map[string]func(map[string]any){
		"as it is":              func(map[string]any) {},
		"audience a string":     set("aud", "exposuregraph"),
		"one of two audiences":  set("aud", []string{"other", "exposuregraph"}),
		"a scope of the future": set("scope", "vuln:view vuln:teleport"),
		"no scope":              without("scope"),
		"a clock ahead":         set("nbf", noon.Add(20*time.Second).Unix()),
		"an unknown claim":      set("colour", "red"),
		"an attribute":          set("acme:vuln_env", []string{"prod"}),
		"an attribute in text":  set("acme:vuln_owner", "team-a"),
	}
	for name, change := range accepted {
		require.NoError(t, verify(t, change), name)
	}

	refused := map[string]struct {
		code   string
		change func(map[string]any)
	}{
		"expired":                 {"TOKEN_EXPIRED", set("exp", noon.Unix())},
		"long expired":            {"TOKEN_EXPIRED", set("exp", noon.Add(-time.Hour).Unix())},
		"not yet valid":           {"TOKEN_NOT_YET_VALID", set("nbf", noon.Add(time.Minute).Unix())},
		"other audience":          {"TOKEN_AUDIENCE", set("aud", "elsewhere")},
		"no audience":             {"TOKEN_AUDIENCE", without("aud")},
		"other issuer":            {"TOKEN_ISSUER", set("iss", "elsewhere")},
		"no issuer":               {"TOKEN_ISSUER", without("iss")},
		"attributes":              {"TOKEN_ATTRIBUTES", set("attributes", map[string]string{})},
		"attributes in capitals":  {"TOKEN_ATTRIBUTES", set("Attributes", map[string]string{"env": "prod"})},
		"attributes of stellaops": {"TOKEN_ATTRIBUTES", set("stellaops:vuln_env", "prod")},
		"an unknown attribute":    {"TOKEN_ATTRIBUTES", set("acme:vuln_region", "eu")},
		"a prefix in capitals":    {"TOKEN_ATTRIBUTES", set("ACME:vuln_env", "prod")},
		"an unknown prefix":       {"TOKEN_ATTRIBUTES", set("other:vuln_business_tier", "1")},
		"no prefix":               {"TOKEN_ATTRIBUTES", set("vuln_env", "prod")},
		"an attribute of nothing": {"TOKEN_MALFORMED", set("acme:vuln_env", []string{})},
		"an attribute of null":    {"TOKEN_MALFORMED", set("acme:vuln_env", nil)},
		"an attribute of numbers": {"TOKEN_MALFORMED", set("acme:vuln_env", 7)},
		"an attribute with space": {"TOKEN_MALFORMED", set("acme:vuln_env", "prod test")},
		"nobody acts":             {"TOKEN_MALFORMED", set("act", map[string]any{})},
		"a long chain":            {"TOKEN_MALFORMED", set("act", actOf(strings.Split("a b c d e f g h i", " ")))},
		"an actor of text":        {"TOKEN_MALFORMED", set("act", "bot")},
		"no expiry":               {"TOKEN_MALFORMED", without("exp")},
		"null expiry":             {"TOKEN_MALFORMED", set("exp", nil)},
		"no start":                {"TOKEN_MALFORMED", without("nbf")},
		"no id":                   {"TOKEN_MALFORMED", without("jti")},
		"no subject":              {"TOKEN_MALFORMED", without("sub")},
		"no role":                 {"TOKEN_MALFORMED", without("role")},
		"unknown role":            {"TOKEN_MALFORMED", set("role", "root")},
		"no organization":         {"TOKEN_MALFORMED", without("organizations")},
		"all and some":            {"TOKEN_MALFORMED", set("all_organizations", true)},
		"wrong type":              {"TOKEN_MALFORMED", set("all_organizations", "true")},
		"fraction":                {"TOKEN_MALFORMED", set("exp", 1.5e9+0.5)},
	}
	for name, test := range refused {
		err := verify(t, test.change)
		requireProblem(t, err, problem.Unauthentic, test.code, name)
	}
}

// TestTokenForged knows the claims and not the key.
func TestTokenForged(t *testing.T) {
	t.Parallel()
	key, err := newKey()
	require.NoError(t, err)
	other, err := newKey()
	require.NoError(t, err)
	token, err := Issue(key, analyst(), time.Hour, noon)
	require.NoError(t, err)
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)

	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	header := func(text string) string { return encode(strings.ReplaceAll(text, "KID", key.ID)) }
	signedWith := func(alg jwa.SignatureAlgorithm, secret any) string {
		headers := jws.NewHeaders()
		require.NoError(t, headers.Set(jws.KeyIDKey, key.ID))
		token, err := jws.Sign(payload, jws.WithKey(alg, secret, jws.WithProtectedHeaders(headers)))
		require.NoError(t, err)
		return string(token)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	impostor, err := sign(Key{ID: key.ID, Private: other.Private}, payload)
	require.NoError(t, err)
	unknown, err := sign(other, payload)
	require.NoError(t, err)
	critical := header(`{"alg":"EdDSA","kid":"KID","crit":["exp"],"exp":1}`) + "." + parts[1]
	critical += "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key.Private, []byte(critical)))
	public := key.Private.Public().(ed25519.PublicKey)
	confused := header(`{"alg":"HS256","kid":"KID"}`) + "." + parts[1]
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(confused))
	confused += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	whole, err := json.Marshal(map[string]any{
		"payload": parts[1], "protected": parts[0], "signature": parts[2],
	})
	require.NoError(t, err)

	verifier := NewVerifier(knows(key), fixed(noon))
	for name, test := range map[string]struct{ code, token string }{
		"empty":               {"TOKEN_MALFORMED", ""},
		"not a token":         {"TOKEN_MALFORMED", "letmein"},
		"two parts":           {"TOKEN_MALFORMED", parts[0] + "." + parts[1]},
		"JSON serialization":  {"TOKEN_MALFORMED", string(whole)},
		"claims alone":        {"TOKEN_MALFORMED", string(payload)},
		"too long":            {"TOKEN_TOO_LONG", token + strings.Repeat("A", maxToken)},
		"no algorithm":        {"TOKEN_ALGORITHM", header(`{"kid":"KID"}`) + "." + parts[1] + "." + parts[2]},
		"algorithm none":      {"TOKEN_ALGORITHM", header(`{"alg":"none","kid":"KID"}`) + "." + parts[1] + "."},
		"public key as HMAC":  {"TOKEN_ALGORITHM", confused},
		"RSA":                 {"TOKEN_ALGORITHM", signedWith(jwa.RS256(), rsaKey)},
		"RFC 9864's name":     {"TOKEN_ALGORITHM", signedWith(jwa.EdDSAEd25519(), key.Private)},
		"another's key":       {"TOKEN_SIGNATURE", impostor},
		"unknown key":         {"TOKEN_KEY_UNKNOWN", unknown},
		"changed claims":      {"TOKEN_SIGNATURE", parts[0] + "." + encode(strings.Replace(string(payload), "acme", "evil", 1)) + "." + parts[2]},
		"no signature":        {"TOKEN_MALFORMED", parts[0] + "." + parts[1] + "."},
		"a critical header":   {"TOKEN_SIGNATURE", critical},
		"key id in the jwk":   {"TOKEN_KEY_UNKNOWN", header(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+base64.RawURLEncoding.EncodeToString(public)+`"}}`) + "." + parts[1] + "." + parts[2]},
		"trailing characters": {"TOKEN_SIGNATURE", token + "AAAA"},
		"a line's end":        {"TOKEN_MALFORMED", token + "\n"},
		"another form":        {"TOKEN_MALFORMED", token[:len(token)-1] + string(token[len(token)-1]+1)},
	} {
		_, err := verifier.Verify(t.Context(), test.token)
		requireProblem(t, err, problem.Unauthentic, test.code, name)
	}
}

func TestVerifierReadsKeysRarely(t *testing.T) {
	t.Parallel()
	first, err := newKey()
	require.NoError(t, err)
	second, err := newKey()
	require.NoError(t, err)
	now, loads, known, down := noon, 0, []Key{first}, false
	verifier := NewVerifier(func(ctx context.Context) (map[string]PublicKey, error) {
		loads++
		if down {
			return nil, problem.New(problem.Unavailable, "DATABASE_UNREACHABLE", "down")
		}
		return knows(known...)(ctx)
	}, func() time.Time { return now })
	verify := func(key Key) error {
		token, err := Issue(key, analyst(), time.Hour, noon)
		require.NoError(t, err)
		_, err = verifier.Verify(t.Context(), token)
		return err
	}

	require.NoError(t, verify(first))
	require.NoError(t, verify(first))
	require.Equal(t, 1, loads)

	known = []Key{first, second}
	for range 10 {
		requireProblem(t, verify(second), problem.Unauthentic, "TOKEN_KEY_UNKNOWN")
	}
	require.Equal(t, 1, loads, "an unknown key id reads the keys again at once")
	now = now.Add(reloadPause)
	require.NoError(t, verify(second))
	require.Equal(t, 2, loads)

	known = []Key{second}
	require.NoError(t, verify(first))
	now = now.Add(keysMaxAge)
	requireProblem(t, verify(first), problem.Unauthentic, "TOKEN_KEY_UNKNOWN", "a key that was removed")

	now, down = now.Add(keysMaxAge), true
	requireProblem(t, verify(second), problem.Unavailable, "DATABASE_UNREACHABLE")
	down = false
	require.NoError(t, verify(second))
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	key, err := newKey()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		code   string
		change func(*Actor)
		ttl    time.Duration
	}{
		"no subject":       {"TOKEN_CLAIM_INVALID", func(a *Actor) { a.Subject = "" }, time.Hour},
		"a long subject":   {"TOKEN_CLAIM_INVALID", func(a *Actor) { a.Subject = strings.Repeat("a", 300) }, time.Hour},
		"unknown role":     {"TOKEN_CLAIM_INVALID", func(a *Actor) { a.Role = "root" }, time.Hour},
		"unknown scope":    {"TOKEN_CLAIM_INVALID", func(a *Actor) { a.Scopes = []Scope{"vuln:veiw"} }, time.Hour},
		"no organization":  {"TOKEN_CLAIM_INVALID", func(a *Actor) { a.Organizations = nil }, time.Hour},
		"an empty one":     {"TOKEN_CLAIM_INVALID", func(a *Actor) { a.Organizations = []string{""} }, time.Hour},
		"all and some":     {"TOKEN_CLAIM_INVALID", func(a *Actor) { a.AllOrganizations = true }, time.Hour},
		"no time":          {"TOKEN_TTL", func(*Actor) {}, 0},
		"negative time":    {"TOKEN_TTL", func(*Actor) {}, -time.Hour},
		"for ever":         {"TOKEN_TTL", func(*Actor) {}, 1000 * 24 * time.Hour},
		"too many to hold": {"TOKEN_TOO_LONG", func(a *Actor) { a.Organizations = strings.Split(strings.Repeat("organization ", 1000)+"x", " ") }, time.Hour},
	} {
		actor := analyst()
		test.change(&actor)
		_, err := Issue(key, actor, test.ttl, noon)
		requireProblem(t, err, problem.Invalid, test.code, name)
	}
}

// FuzzVerify holds that no input but our own token passes and none panics.
func FuzzVerify(f *testing.F) {
	key, err := newKey()
	require.NoError(f, err)
	token, err := Issue(key, analyst(), time.Hour, noon)
	require.NoError(f, err)
	f.Add(token)
	f.Add("a.b.c")
	f.Add(`{"payload":"","signatures":[]}`)
	verifier := NewVerifier(knows(key), fixed(noon))
	f.Fuzz(func(t *testing.T, input string) {
		if _, err := verifier.Verify(t.Context(), input); err == nil {
			require.Equal(t, token, input, "a token has one form")
		}
	})
}

func requireProblem(t *testing.T, err error, kind problem.Kind, code string, about ...any) {
	t.Helper()
	var typed *problem.Error
	require.True(t, errors.As(err, &typed), "%v: %v", err, about)
	require.Equal(t, code, typed.Code, about...)
	require.Equal(t, kind, typed.Kind, about...)
}

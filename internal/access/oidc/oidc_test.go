package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/access/oidc"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fake is an issuer, with a clock that it shares with the verifier.
type fake struct {
	*httptest.Server
	t        *testing.T
	verifier *access.Verifier

	mu    sync.Mutex
	now   time.Time
	keys  []map[string]any
	down  bool
	named string // what it calls itself; empty: its address
	reads int
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, now: noon}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		f.answer(w, func() any {
			name := f.named
			if name == "" {
				name = f.URL
			}
			return map[string]string{"issuer": name, "jwks_uri": f.URL + "/keys"}
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		f.answer(w, func() any { f.reads++; return map[string]any{"keys": f.keys} })
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	issuer, err := oidc.New(f.URL)
	require.NoError(t, err)
	f.verifier = access.NewVerifier(func(context.Context) (map[string]access.PublicKey, error) { return map[string]access.PublicKey{}, nil }, f.clock).
		Trusting(access.Trust{Issuer: f.URL, Audience: "exposures", RoleClaim: "realm_access.roles", OrganizationsClaim: "orgs", Keys: issuer.Keys})
	return f
}

func (f *fake) answer(w http.ResponseWriter, body func() any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	_ = json.NewEncoder(w).Encode(body())
}

func (f *fake) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) pass(d time.Duration) { f.set(func() { f.now = f.now.Add(d) }) }

// publish has the set hold these keys.
func (f *fake) publish(pairs ...pair) {
	var keys []map[string]any
	for _, p := range pairs {
		keys = append(keys, p.jwk(f.t))
	}
	f.set(func() { f.keys = keys })
}

// pair signs as an issuer does.
type pair struct {
	kid     string
	alg     jwa.SignatureAlgorithm
	private crypto.Signer
	members map[string]any // of the JWK, besides its own
}

func (p pair) jwk(t *testing.T) map[string]any {
	t.Helper()
	key, err := jwk.Import(p.private.Public())
	require.NoError(t, err)
	raw, err := json.Marshal(key)
	require.NoError(t, err)
	all := map[string]any{}
	require.NoError(t, json.Unmarshal(raw, &all))
	if p.kid != "" {
		all["kid"] = p.kid
	}
	maps.Copy(all, p.members)
	return all
}

func (p pair) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	headers := jws.NewHeaders()
	if p.kid != "" {
		require.NoError(t, headers.Set(jws.KeyIDKey, p.kid))
	}
	require.NoError(t, headers.Set(jws.TypeKey, "at+jwt"))
	token, err := jws.Sign(payload, jws.WithKey(p.alg, p.private, jws.WithProtectedHeaders(headers)))
	require.NoError(t, err)
	return string(token)
}

func (f *fake) claims() map[string]any {
	return map[string]any{
		"iss": f.URL, "aud": "exposures", "sub": "ada", "exp": f.clock().Add(24 * time.Hour).Unix(), "iat": f.clock().Unix(),
		"scope": "openid vuln:view", "orgs": []string{"acme"},
	}
}

func (f *fake) verify(token string) (access.Actor, error) {
	return f.verifier.Verify(f.t.Context(), token)
}

func rsaPair(t *testing.T, kid string) pair {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return pair{kid: kid, alg: jwa.RS256(), private: key}
}

func edPair(t *testing.T, kid string) pair {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return pair{kid: kid, alg: jwa.EdDSA(), private: key}
}

func ecPair(t *testing.T, kid string) pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return pair{kid: kid, alg: jwa.ES256(), private: key}
}

func requireCode(t *testing.T, err error, kind problem.Kind, code string, about ...any) {
	t.Helper()
	var typed *problem.Error
	require.True(t, errors.As(err, &typed), "%v: %v", err, about)
	require.Equal(t, code, typed.Code, about...)
	require.Equal(t, kind, typed.Kind, about...)
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r, e, p := rsaPair(t, "r"), edPair(t, "e"), ecPair(t, "p")
	ps := r
	ps.alg = jwa.PS256()
	f.publish(r, e, p)
	want := access.Actor{Subject: "ada", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: []string{"acme"}, ExpiresAt: noon.Add(24 * time.Hour)}
	for _, key := range []pair{r, e, p, ps} {
		got, err := f.verify(key.sign(t, f.claims()))
		require.NoError(t, err, key.alg)
		require.Equal(t, want, got)
	}
	for name, row := range map[string]struct {
		claim string
		value any
		want  func(*access.Actor)
	}{
		"scp":                   {"scp", []string{"vuln:operate", "vuln:view"}, func(a *access.Actor) { a.Scopes = []access.Scope{access.View, access.Operate} }},
		"scp as a text":         {"scp", "vuln:audit", func(a *access.Actor) { a.Scopes = []access.Scope{access.View, access.Audit} }},
		"the older name":        {"scope", "vuln:read", func(a *access.Actor) { a.Deprecated = true }},
		"both names":            {"scope", "vuln:read vuln:view", func(a *access.Actor) { a.Deprecated = true }},
		"an admin":              {"realm_access", map[string]any{"roles": []string{"user", "admin"}}, func(a *access.Actor) { a.Role = access.Admin }},
		"no admin":              {"realm_access", map[string]any{"roles": []string{"administrator"}}, func(*access.Actor) {}},
		"an admin in a text":    {"realm_access.roles", "admin", func(a *access.Actor) { a.Role = access.Admin }},
		"all organizations":     {"orgs", "*", func(a *access.Actor) { a.Organizations, a.AllOrganizations = nil, true }},
		"two in a text":         {"orgs", "acme demo", func(a *access.Actor) { a.Organizations = []string{"acme", "demo"} }},
		"what is ours":          {"all_organizations", true, func(*access.Actor) {}},
		"two audiences":         {"aud", []string{"other", "exposures"}, func(*access.Actor) {}},
		"a clock ahead":         {"nbf", noon.Add(20 * time.Second).Unix(), func(*access.Actor) {}},
		"an id like ours":       {"jti", "x", func(*access.Actor) {}},
		"somebody acts for her": {"act", map[string]any{"sub": "bot", "iss": "elsewhere", "act": map[string]any{"sub": "pipeline"}}, func(a *access.Actor) { a.Delegates = []string{"bot", "pipeline"} }},
	} {
		claims := f.claims()
		claims[row.claim] = row.value
		expected := want
		row.want(&expected)
		got, err := f.verify(r.sign(t, claims))
		require.NoError(t, err, name)
		require.Equal(t, expected, got, name)
	}
}

// TestDefects: each has its code.
func TestDefects(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r, e, p, stranger := rsaPair(t, "r"), edPair(t, "e"), ecPair(t, "p"), rsaPair(t, "stranger")
	forEncryption, onlyPS := rsaPair(t, "enc"), rsaPair(t, "ps")
	forEncryption.members = map[string]any{"use": "enc"}
	onlyPS.members = map[string]any{"alg": "PS256"}
	f.publish(r, e, p, forEncryption, onlyPS, rsaPair(t, "other"))
	secret := []byte("a secret that was published by mistake")
	f.set(func() {
		weak := base64.RawURLEncoding.EncodeToString(append([]byte{0x81}, make([]byte, 127)...)) // 1024 bits
		f.keys = append(f.keys, map[string]any{"kty": "RSA", "kid": "short", "n": weak, "e": "AQAB"}, map[string]any{"kty": "FUTURE", "kid": "f"}, map[string]any{"kty": "oct", "kid": "oct", "k": base64.RawURLEncoding.EncodeToString(secret)})
	})

	with := func(name string, value any) string {
		claims := f.claims()
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return r.sign(t, claims)
	}
	encode := func(value any) string {
		raw, err := json.Marshal(value)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	hs := func(kid string, secret []byte) string {
		signed := encode(map[string]string{"alg": "HS256", "kid": kid, "typ": "JWT"}) + "." + encode(f.claims())
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	public, err := x509.MarshalPKIXPublicKey(r.private.Public())
	require.NoError(t, err)
	as := func(p pair, kid string, alg jwa.SignatureAlgorithm) string {
		p.kid, p.alg = kid, alg
		return p.sign(t, f.claims())
	}
	good := r.sign(t, f.claims())
	parts := strings.Split(good, ".")
	idToken := func() string {
		headers := jws.NewHeaders()
		require.NoError(t, headers.Set(jws.KeyIDKey, "r"))
		require.NoError(t, headers.Set(jws.TypeKey, "logout+jwt"))
		payload, _ := json.Marshal(f.claims())
		token, err := jws.Sign(payload, jws.WithKey(jwa.RS256(), r.private, jws.WithProtectedHeaders(headers)))
		require.NoError(t, err)
		return string(token)
	}

	for name, row := range map[string]struct{ code, token string }{
		"expired":                      {"TOKEN_EXPIRED", with("exp", noon.Unix())},
		"not yet valid":                {"TOKEN_NOT_YET_VALID", with("nbf", noon.Add(time.Minute).Unix())},
		"made in the future":           {"TOKEN_NOT_YET_VALID", with("iat", noon.Add(time.Hour).Unix())},
		"without an end":               {"TOKEN_MALFORMED", with("exp", nil)},
		"another audience":             {"TOKEN_AUDIENCE", with("aud", "elsewhere")},
		"our own audience":             {"TOKEN_AUDIENCE", with("aud", "exposuregraph")},
		"no audience":                  {"TOKEN_AUDIENCE", with("aud", nil)},
		"another issuer":               {"TOKEN_ISSUER", with("iss", "https://elsewhere.example")},
		"the issuer with a slash":      {"TOKEN_ISSUER", with("iss", f.URL+"/")},
		"ourselves":                    {"TOKEN_ALGORITHM", with("iss", "exposuregraph")},
		"ourselves, with our alg":      {"TOKEN_KEY_UNKNOWN", func() string { c := f.claims(); c["iss"] = "exposuregraph"; return e.sign(t, c) }()},
		"algorithm none":               {"TOKEN_ALGORITHM", encode(map[string]string{"alg": "none", "kid": "r"}) + "." + parts[1] + "." + parts[2]},
		"algorithm none, unsigned":     {"TOKEN_ALGORITHM", encode(map[string]string{"alg": "none", "kid": "r"}) + "." + parts[1] + "."},
		"the public key as a secret":   {"TOKEN_ALGORITHM", hs("r", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))},
		"its DER as a secret":          {"TOKEN_ALGORITHM", hs("r", public)},
		"a published secret":           {"TOKEN_ALGORITHM", hs("oct", secret)},
		"RSA's key id on another type": {"TOKEN_ALGORITHM", as(p, "r", jwa.ES256())},
		"EC's key id on another type":  {"TOKEN_ALGORITHM", as(r, "p", jwa.RS256())},
		"another algorithm of the key": {"TOKEN_ALGORITHM", as(onlyPS, "ps", jwa.RS256())},
		"a short key":                  {"TOKEN_KEY_UNKNOWN", as(r, "short", jwa.RS256())},
		"a key for encryption":         {"TOKEN_KEY_UNKNOWN", forEncryption.sign(t, f.claims())},
		"unknown key id":               {"TOKEN_KEY_UNKNOWN", stranger.sign(t, f.claims())},
		"no key id":                    {"TOKEN_KEY_UNKNOWN", as(r, "", jwa.RS256())}, // two would suit
		"another's key":                {"TOKEN_SIGNATURE", as(stranger, "r", jwa.RS256())},
		"changed claims":               {"TOKEN_SIGNATURE", parts[0] + "." + encode(func() any { c := f.claims(); c["sub"] = "eve"; return c }()) + "." + parts[2]},
		"over-long":                    {"TOKEN_TOO_LONG", with("sub", strings.Repeat("a", 9000))},
		"another kind of token":        {"TOKEN_MALFORMED", idToken()},
		"no JWT":                       {"TOKEN_MALFORMED", "letmein"},
		"nobody":                       {"TOKEN_MALFORMED", with("sub", nil)},
		"of no organization":           {"TOKEN_MALFORMED", with("orgs", nil)},
		"a number for scopes":          {"TOKEN_MALFORMED", with("scope", 7)},
		"an attribute there is not":    {"TOKEN_ATTRIBUTES", with("stellaops:vuln_region", []string{"eu"})},
	} {
		f.pass(10 * time.Millisecond)
		_, err := f.verify(row.token)
		requireCode(t, err, problem.Unauthentic, row.code, name)
	}
	_, err = f.verify(good)
	require.NoError(t, err, "the healthy one beside them")
}

func TestNoKeyIDs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r, e := rsaPair(t, ""), edPair(t, "")
	f.publish(r, e)
	for _, key := range []pair{r, e} {
		_, err := f.verify(key.sign(t, f.claims()))
		require.NoError(t, err, "the only one that suits")
	}
}

// TestRotation: a new key is found when it is used, at most every few seconds
// whatever key ids are invented, and a removed one stops.
func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	first, second := edPair(t, "1"), edPair(t, "2")
	f.publish(first)
	claims := f.claims()
	_, err := f.verify(first.sign(t, claims))
	require.NoError(t, err)

	f.publish(first, second)
	for n := range 50 {
		invented := second
		invented.kid = fmt.Sprint("x", n)
		_, err = f.verify(invented.sign(t, claims))
		requireCode(t, err, problem.Unauthentic, "TOKEN_KEY_UNKNOWN")
	}
	require.Equal(t, 1, f.reads, "inventing key ids reads nothing")
	f.pass(5 * time.Second)
	_, err = f.verify(second.sign(t, claims))
	require.NoError(t, err)
	require.Equal(t, 2, f.reads)

	f.publish(second)
	_, err = f.verify(first.sign(t, claims))
	require.NoError(t, err, "within the bound")
	f.pass(time.Minute)
	_, err = f.verify(first.sign(t, claims))
	requireCode(t, err, problem.Unauthentic, "TOKEN_KEY_UNKNOWN", "a key that was removed")
}

// TestOutage: keys that are known work on for an hour, and no longer.
func TestOutage(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	known, unknown := edPair(t, "1"), edPair(t, "2")
	f.publish(known)
	f.set(func() { f.down = true })
	claims := f.claims()
	_, err := f.verify(known.sign(t, claims))
	requireCode(t, err, problem.Unavailable, "TOKEN_ISSUER_UNAVAILABLE", "down from the start")
	require.NotContains(t, err.Error(), "127.0.0.1", "where it is stays in the log")

	f.set(func() { f.down = false })
	_, err = f.verify(known.sign(t, claims))
	requireCode(t, err, problem.Unavailable, "TOKEN_ISSUER_UNAVAILABLE", "it is not asked again at once")
	f.pass(5 * time.Second)
	_, err = f.verify(known.sign(t, claims))
	require.NoError(t, err)

	f.set(func() { f.down = true })
	for range 11 {
		f.pass(5 * time.Minute)
		_, err = f.verify(known.sign(t, claims))
		require.NoError(t, err)
		_, err = f.verify(unknown.sign(t, claims))
		requireCode(t, err, problem.Unavailable, "TOKEN_ISSUER_UNAVAILABLE", "it may be a new one")
	}
	f.pass(6 * time.Minute)
	_, err = f.verify(known.sign(t, claims))
	requireCode(t, err, problem.Unavailable, "TOKEN_ISSUER_UNAVAILABLE")
	f.set(func() { f.down = false })
	require.Eventually(t, func() bool {
		f.pass(5 * time.Second)
		_, err = f.verify(known.sign(t, claims))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}

// TestImpostors: an issuer that cannot be the one is none.
func TestImpostors(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	key := edPair(t, "1")
	f.publish(key)
	f.set(func() { f.named = "https://elsewhere.example" })
	_, err := f.verify(key.sign(t, f.claims()))
	requireCode(t, err, problem.Unavailable, "TOKEN_ISSUER_UNAVAILABLE")
	require.ErrorContains(t, errors.Unwrap(err), "calls itself")

	// One that sends its callers elsewhere, one that talks without end, one that hangs.
	hanging := make(chan struct{})
	t.Cleanup(func() { close(hanging) })
	for name, answer := range map[string]http.HandlerFunc{
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, f.URL+r.URL.Path, http.StatusFound)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, `{"issuer":"`, strings.Repeat("a", 2<<20), `"}`)
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hanging:
			case <-r.Context().Done():
			}
		},
		"http elsewhere": func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "http://" + r.Host, "jwks_uri": "http://keys.example/keys"})
		},
		"no keys": func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "http://" + r.Host, "jwks_uri": "http://" + r.Host + "/keys"})
		},
	} {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		issuer, err := oidc.New(server.URL)
		require.NoError(t, err)
		started := time.Now()
		keys, err := issuer.Keys(t.Context())
		if name == "no keys" { // a set without the member keys
			require.Empty(t, keys)
		}
		requireCode(t, err, problem.Unavailable, "TOKEN_ISSUER_UNAVAILABLE", name)
		require.Less(t, time.Since(started), 5*time.Second, name)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://login.example.com", "https://login.example.com/realms/a/", "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"} {
		_, err := oidc.New(good)
		require.NoError(t, err, good)
	}
	for _, bad := range []string{"", "login.example.com", "http://login.example.com", "ftp://127.0.0.1", "https://", "https://a@b", "https://a?b", "https://a#b", "http://127.0.0.1.example.com"} {
		_, err := oidc.New(bad)
		requireCode(t, err, problem.Invalid, "OIDC_ISSUER_INVALID", bad)
	}
}

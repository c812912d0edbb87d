package sign_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/sign"
)

func newKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func keysOf(keys ...ed25519.PrivateKey) map[string]ed25519.PublicKey {
	out := map[string]ed25519.PublicKey{}
	for _, key := range keys {
		public := key.Public().(ed25519.PublicKey)
		out[sign.KeyID(public)] = public
	}
	return out
}

func requireCode(t require.TestingT, err error, code string, about ...any) {
	var p *problem.Error
	require.ErrorAs(t, err, &p, about...)
	require.Equal(t, code, p.Code, about...)
	require.Equal(t, problem.Invalid, p.Kind, about...)
}

// TestSigned: what is signed opens with the key and with no other, after the
// definition of DSSE and not only after our own reader.
func TestSigned(t *testing.T) {
	t.Parallel()
	ada, bob := newKey("ada"), newKey("bob")
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		kind := rapid.SampledFrom([]string{sign.DecisionType, "text/plain", "größe"}).Draw(t, "kind")
		signed, err := sign.Sign(kind, payload, ada)
		require.NoError(t, err)
		form, err := signed.JSON()
		require.NoError(t, err)
		read, err := sign.Parse(form)
		require.NoError(t, err)
		require.Equal(t, signed, read)
		got, keyID, err := sign.Verify(read, keysOf(bob, ada))
		require.NoError(t, err)
		require.Equal(t, string(payload), string(got))
		require.Equal(t, sign.KeyID(ada.Public().(ed25519.PublicKey)), keyID)

		pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
		sig, err := base64.StdEncoding.DecodeString(read.Signatures[0].Sig)
		require.NoError(t, err)
		require.True(t, ed25519.Verify(ada.Public().(ed25519.PublicKey), []byte(pae), sig))

		_, _, err = sign.Verify(read, keysOf(bob))
		requireCode(t, err, "ENVELOPE_INVALID")
		_, _, err = sign.Verify(read, nil)
		requireCode(t, err, "ENVELOPE_INVALID")
		read.PayloadType += "x"
		_, _, err = sign.Verify(read, keysOf(ada))
		requireCode(t, err, "ENVELOPE_INVALID")
		read.PayloadType = kind
		read.Payload = base64.StdEncoding.EncodeToString(append(payload, 0))
		_, _, err = sign.Verify(read, keysOf(ada))
		requireCode(t, err, "ENVELOPE_INVALID")
	})
}

// TestForms: the base64 may have either alphabet, the key id may be missing, and
// one of several signatures is enough. A signature does not pass under the id of
// another key.
func TestForms(t *testing.T) {
	t.Parallel()
	ada, bob := newKey("ada"), newKey("bob")
	payload := []byte("\xfb\xff\xfe the decision")
	signed, err := sign.Sign(sign.DecisionType, payload, ada)
	require.NoError(t, err)
	adaID, bobID := sign.KeyID(ada.Public().(ed25519.PublicKey)), sign.KeyID(bob.Public().(ed25519.PublicKey))
	sig := signed.Signatures[0].Sig
	raw, err := base64.StdEncoding.DecodeString(sig)
	require.NoError(t, err)
	open := func(signatures string) (string, error) {
		e, err := sign.Parse([]byte(`{"payloadType":"` + sign.DecisionType + `","payload":"` + base64.URLEncoding.EncodeToString(payload) + `","signatures":[` + signatures + `]}`))
		require.NoError(t, err)
		got, keyID, err := sign.Verify(e, keysOf(ada, bob))
		if err == nil {
			require.Equal(t, payload, got)
		}
		return keyID, err
	}
	for _, signatures := range []string{
		`{"keyid":"` + adaID + `","sig":"` + sig + `"}`,
		`{"sig":"` + sig + `"}`,
		`{"keyid":"","sig":"` + base64.URLEncoding.EncodeToString(raw) + `"}`,
		`{"sig":"` + strings.Repeat("A", 86) + `=="},{"keyid":"somebody","sig":"` + strings.Repeat("A", 86) + `=="},{"keyid":"` + adaID + `","sig":"` + sig + `"}`,
	} {
		keyID, err := open(signatures)
		require.NoError(t, err, signatures)
		require.Equal(t, adaID, keyID)
	}
	for _, signatures := range []string{
		`{"keyid":"` + bobID + `","sig":"` + sig + `"}`,
		`{"keyid":"somebody","sig":"` + sig + `"}`,
		`{"keyid":"` + adaID + `","sig":"` + strings.Repeat("A", 86) + `=="}`,
	} {
		_, err := open(signatures)
		requireCode(t, err, "ENVELOPE_INVALID", signatures)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	sig := strings.Repeat("A", 86) + "=="
	signature := `{"keyid":"k","sig":"` + sig + `"}`
	sound := `{"payload":"e30=","payloadType":"t","signatures":[` + signature + `]}`
	_, err := sign.Parse([]byte(" " + sound + "\n"))
	require.NoError(t, err)
	replace := func(old, new string) string {
		require.Contains(t, sound, old)
		return strings.Replace(sound, old, new, 1)
	}
	for name, text := range map[string]string{
		"nothing":                   ``,
		"null":                      `null`,
		"a list":                    `[]`,
		"an empty object":           `{}`,
		"two":                       sound + sound,
		"no payload":                replace(`"payload":"e30=",`, ``),
		"a payload of null":         replace(`"e30="`, `null`),
		"a payload of a number":     replace(`"e30="`, `1`),
		"no base64":                 replace(`e30=`, `e3*=`),
		"base64 without padding":    replace(`e30=`, `e30`),
		"base64 of more forms":      replace(`e30=`, `e31=`),
		"base64 with newlines":      replace(`e30=`, `e3\n0=`),
		"both alphabets":            replace(`e30=`, `-_+/`),
		"no type":                   replace(`"payloadType":"t",`, ``),
		"an empty type":             replace(`"payloadType":"t"`, `"payloadType":""`),
		"no signatures":             replace(signature, ``),
		"signatures of null":        replace(`[`+signature+`]`, `null`),
		"too many":                  replace(signature, strings.Repeat(signature+",", sign.MaxSignatures)+signature),
		"a short signature":         replace(sig, `AAAA`),
		"a signature without sig":   replace(`,"sig":"`+sig+`"`, ``),
		"a key id of null":          replace(`"keyid":"k"`, `"keyid":null`),
		"a key id of a number":      replace(`"keyid":"k"`, `"keyid":1`),
		"a member more":             replace(`"payload":`, `"color":"red","payload":`),
		"a member of a signature":   replace(`"keyid":"k"`, `"keyid":"k","color":"red"`),
		"a member twice":            replace(`"payload":`, `"payload":"","payload":`),
		"a member in capitals":      replace(`"payload":`, `"Payload":`),
		"a key id in capitals":      replace(`"keyid":`, `"keyID":`),
		"no UTF-8":                  replace(`"t"`, "\"\xff\""),
		"a half":                    replace(`"t"`, `"\ud800"`),
		"longer than an envelope":   replace(`"t"`, `"`+strings.Repeat("t", sign.MaxEnvelope)+`"`),
		"a float, wherever":         replace(`"t"`, `1.5`),
		"the form of another world": `<envelope/>`,
	} {
		_, err := sign.Parse([]byte(text))
		requireCode(t, err, "ENVELOPE_INVALID", name)
	}
	_, err = sign.Sign("", nil, newKey("ada"))
	require.Error(t, err)
	_, err = sign.Sign("t", nil, nil)
	require.Error(t, err)
	e, err := sign.Parse([]byte(sound))
	require.NoError(t, err)
	_, _, err = sign.Verify(e, map[string]ed25519.PublicKey{"k": []byte("short")})
	requireCode(t, err, "ENVELOPE_INVALID")
}

// TestKeys reads what openssl writes.
func TestKeys(t *testing.T) {
	t.Parallel()
	// openssl genpkey -algorithm ed25519, openssl pkey -pubout: the first test key of RFC 8032.
	private, err := sign.ReadPrivateKey([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"))
	require.NoError(t, err)
	require.Equal(t, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", hex.EncodeToString(private.Seed()))
	public, err := sign.ReadPublicKey([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"))
	require.NoError(t, err)
	require.Equal(t, private.Public(), public)
	require.Equal(t, "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9", sign.KeyID(public))

	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	otherPrivate, err := x509.MarshalPKCS8PrivateKey(curve)
	require.NoError(t, err)
	otherPublic, err := x509.MarshalPKIXPublicKey(curve.Public())
	require.NoError(t, err)
	ownPrivate, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	ownPublic, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"nothing":          "",
		"no PEM":           "hello",
		"a certificate":    block("CERTIFICATE", ownPublic),
		"another private":  block("PRIVATE KEY", otherPrivate),
		"another public":   block("PUBLIC KEY", otherPublic),
		"no key":           block("PUBLIC KEY", []byte("hello")),
		"no private key":   block("PRIVATE KEY", []byte("hello")),
		"two public ones":  block("PUBLIC KEY", ownPublic) + block("PUBLIC KEY", ownPublic),
		"two private ones": block("PRIVATE KEY", ownPrivate) + "trailing",
	} {
		_, err := sign.ReadPrivateKey([]byte(text))
		requireCode(t, err, "KEY_INVALID", name)
		_, err = sign.ReadPublicKey([]byte(text))
		requireCode(t, err, "KEY_INVALID", name)
	}
	_, err = sign.ReadPublicKey([]byte(block("PRIVATE KEY", ownPrivate)))
	requireCode(t, err, "KEY_INVALID")
	_, err = sign.ReadPrivateKey([]byte(block("PUBLIC KEY", ownPublic)))
	requireCode(t, err, "KEY_INVALID")
}

// FuzzParse: what is read is written so that it is read as the same.
func FuzzParse(f *testing.F) {
	signed, err := sign.Sign(sign.DecisionType, []byte("{}"), newKey("ada"))
	require.NoError(f, err)
	form, err := signed.JSON()
	require.NoError(f, err)
	f.Add(form)
	f.Add([]byte(`{"payload":"","payloadType":"t","signatures":[{"sig":""}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := sign.Parse(raw)
		if err != nil {
			return
		}
		form, err := e.JSON()
		require.NoError(t, err)
		again, err := sign.Parse(form)
		require.NoError(t, err)
		require.Equal(t, e, again)
		require.True(t, json.Valid(form))
		_, _, _ = sign.Verify(e, keysOf(newKey("ada")))
	})
}

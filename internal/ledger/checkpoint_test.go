package ledger_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The test key is the first one of RFC 8032, whose secret half everybody knows.
const (
	testSeed   = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
	testSigner = "exposuregraph-test"
)

func testKey(tb testing.TB) ed25519.PrivateKey {
	tb.Helper()
	seed, err := hex.DecodeString(testSeed)
	require.NoError(tb, err)
	return ed25519.NewKeyFromSeed(seed)
}

func signerOf(tb testing.TB, key ed25519.PrivateKey) note.Signer {
	tb.Helper()
	signer, err := ledger.NewSigner(testSigner, key)
	require.NoError(tb, err)
	return signer
}

// testKeys has the public half of the test key.
func testKeys(tb testing.TB) note.Verifiers {
	tb.Helper()
	verifier, err := ledger.NewVerifier(testSigner, testKey(tb).Public().(ed25519.PublicKey))
	require.NoError(tb, err)
	return note.VerifierList(verifier)
}

func anotherKey() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("another key"))
	return ed25519.NewKeyFromSeed(seed[:])
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	c := &ledger.Checkpoint{Origin: ledger.Origin(acme), Size: 300, Root: ledger.Hash{1, 2}, Head: ledger.Hash{3}, At: start.Add(7 * time.Microsecond)}
	text, err := c.Sign(signerOf(t, testKey(t)))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, "exposuregraph/"+acme.String()+"\n300\nAQIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"+
		"head 03"+strings.Repeat("0", 62)+"\nat 2026-03-06T13:00:00.000007Z\n\n— "+testSigner+" "), text)
	opened, err := ledger.OpenCheckpoint(text, testKeys(t))
	require.NoError(t, err)
	require.Equal(t, c, opened)
	read, err := ledger.ReadCheckpoint(text)
	require.NoError(t, err)
	require.Equal(t, c, read)

	// A second signature, of a key that is not at hand, is no fault.
	other, err := ledger.NewSigner("somebody", anotherKey())
	require.NoError(t, err)
	both, err := c.Sign(other, signerOf(t, testKey(t)))
	require.NoError(t, err)
	_, err = ledger.OpenCheckpoint(both, testKeys(t))
	require.NoError(t, err)

	var p *problem.Error
	alone, err := c.Sign(other)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"nobody's":     alone,
		"another size": strings.Replace(text, "\n300\n", "\n301\n", 1),
		"another name": strings.Replace(text, "— "+testSigner, "— "+testSigner+"2", 1),
	} {
		_, err = ledger.OpenCheckpoint(text, testKeys(t))
		require.ErrorAs(t, err, &p, name)
		require.Equal(t, "CHECKPOINT_SIGNATURE", p.Code, name)
		_, err = ledger.ReadCheckpoint(text)
		require.NoError(t, err, name)
	}
	replace := func(old, new string) string {
		require.Contains(t, text, old)
		return strings.Replace(text, old, new, 1)
	}
	for name, text := range map[string]string{
		"nothing":               "",
		"no signature":          c.Text(),
		"no checkpoint":         "hello\n\n" + text[strings.Index(text, "— "):],
		"no origin":             replace("exposuregraph/"+acme.String(), ""),
		"size 0":                replace("\n300\n", "\n0\n"),
		"a size below":          replace("\n300\n", "\n-1\n"),
		"a size with a plus":    replace("\n300\n", "\n+300\n"),
		"a size with zeros":     replace("\n300\n", "\n0300\n"),
		"a size beyond":         replace("\n300\n", "\n9223372036854775807\n"),
		"a root too short":      replace("AQIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AQI="),
		"a root of more forms":  replace("AQIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AQIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="),
		"no head":               replace("head 03", "heads 03"),
		"a head in capitals":    replace("head 03", "head A3"),
		"a head too short":      replace("head 03", "head 3"),
		"no instant":            replace("\nat ", "\n"),
		"another instant":       replace(".000007Z", "Z"),
		"a line more":           replace(".000007Z\n", ".000007Z\nmore\n"),
		"a line less":           replace("\nat 2026-03-06T13:00:00.000007Z", ""),
		"a signature of blanks": replace("— "+testSigner+" ", "— "+testSigner+"  "),
	} {
		_, err := ledger.ReadCheckpoint(text)
		require.ErrorAs(t, err, &p, name)
		require.Equal(t, "CHECKPOINT_INVALID", p.Code, name)
		_, err = ledger.OpenCheckpoint(text, testKeys(t))
		require.Error(t, err, name)
	}

	for name, change := range map[string]func(*ledger.Checkpoint){
		"no origin":            func(c *ledger.Checkpoint) { c.Origin = "" },
		"an origin of 2 lines": func(c *ledger.Checkpoint) { c.Origin = "a\nb" },
		"size 0":               func(c *ledger.Checkpoint) { c.Size = 0 },
	} {
		wrong := *c
		change(&wrong)
		_, err := wrong.Sign(signerOf(t, testKey(t)))
		require.Error(t, err, name)
	}
	_, err = c.Sign()
	require.Error(t, err)
}

func TestSignerNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a b", "a+b", "a\nb", "\xff"} {
		_, err := ledger.NewSigner(name, testKey(t))
		require.Error(t, err, "%q", name)
		_, err = ledger.VerifierKey(name, testKey(t).Public().(ed25519.PublicKey))
		require.Error(t, err, "%q", name)
	}
	_, err := ledger.NewSigner("a", nil)
	require.Error(t, err)
	_, err = ledger.NewVerifier("a", nil)
	require.Error(t, err)
	text, err := ledger.VerifierKey(testSigner, testKey(t).Public().(ed25519.PublicKey))
	require.NoError(t, err)
	verifier, err := note.NewVerifier(text)
	require.NoError(t, err)
	require.Equal(t, testSigner, verifier.Name())
}

package sign_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/sign"
)

// smallOrder are the encodings of the eight points of small order: each in its own
// form, and six more that the library reads as one of them.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",

	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func point(t require.TestingT, text string) ed25519.PublicKey {
	raw, err := hex.DecodeString(text)
	require.NoError(t, err)
	return raw
}

func publicPEM(t require.TestingT, public ed25519.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// forged counts the texts of many under which a signature verifies that nobody made:
// one of the eight points, and zero.
func forged(t require.TestingT, public ed25519.PublicKey) (count int) {
	for i := range 64 {
		text := fmt.Appendf(nil, "text %d", i)
		for _, r := range smallOrder[:8] {
			if ed25519.Verify(public, text, append(point(t, r), make([]byte, 32)...)) {
				count++
				break
			}
		}
	}
	return count
}

// TestWeakKeys: what the library takes for signatures of these keys nobody signed, so
// they are no keys here, in whichever of their forms.
func TestWeakKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, text := range smallOrder {
		public := point(t, text)
		require.False(t, seen[text])
		seen[text] = true
		require.Positive(t, forged(t, public), "%s is of small order", text)
		requireCode(t, sign.CheckPublicKey(public), "KEY_WEAK", text)
		_, err := sign.ReadPublicKey(publicPEM(t, public))
		requireCode(t, err, "KEY_WEAK", text)
	}
	for _, name := range []string{"ada", "bob"} {
		public := newKey(name).Public().(ed25519.PublicKey)
		require.Zero(t, forged(t, public), "a key signs by itself")
		require.NoError(t, sign.CheckPublicKey(public))
	}

	// One that was registered all the same is none.
	weak := point(t, smallOrder[0])
	forgery := append(point(t, smallOrder[0]), make([]byte, 32)...)
	require.True(t, ed25519.Verify(weak, []byte("DSSEv1 1 t 2 {}"), forgery))
	e := &sign.Envelope{PayloadType: "t", Payload: "e30=", Signatures: []sign.Signature{{Sig: base64.StdEncoding.EncodeToString(forgery)}}}
	_, _, err := sign.Verify(e, map[string]ed25519.PublicKey{"k": weak})
	requireCode(t, err, "ENVELOPE_INVALID")
	ada := newKey("ada")
	e, err = sign.Sign("t", []byte("{}"), ada)
	require.NoError(t, err)
	keys := keysOf(ada)
	keys["k"] = weak
	_, _, err = sign.Verify(e, keys)
	require.NoError(t, err, "it is not in the way of others")
}

// TestOtherForms: a key has one form, so that it has one id.
func TestOtherForms(t *testing.T) {
	t.Parallel()
	for low := range 19 { // the numbers from 2^255 - 19 on that fit into the form
		for _, top := range []byte{0x7f, 0xff} {
			public := make(ed25519.PublicKey, 32)
			for i := range public {
				public[i] = 0xff
			}
			public[0], public[31] = byte(0xed+low), top
			code := "KEY_INVALID"
			if low < 2 { // they are read as 0 and 1
				code = "KEY_WEAK"
			}
			requireCode(t, sign.CheckPublicKey(public), code, low)
			_, err := sign.ReadPublicKey(publicPEM(t, public))
			requireCode(t, err, code, low)
		}
	}
	requireCode(t, sign.CheckPublicKey(make([]byte, 31)), "KEY_INVALID")
	requireCode(t, sign.CheckPublicKey(nil), "KEY_INVALID")
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")
		public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		require.NoError(t, sign.CheckPublicKey(public))
		read, err := sign.ReadPublicKey(publicPEM(t, public))
		require.NoError(t, err)
		require.Equal(t, public, read)
	})
}

package object

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A key is read as it is written and no other way.
func TestAddresses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := Address{
			Organization: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "organization")),
			Digest:       Digest(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest")),
		}
		key := a.String()
		require.Regexp(t, `^[0-9a-f-]{36}/[0-9a-f]{2}/[0-9a-f]{64}$`, key)
		again, ours := parseAddress(key)
		require.True(t, ours)
		require.Equal(t, a, again)
		digest, err := ParseDigest(a.Digest.String())
		require.NoError(t, err)
		require.Equal(t, a.Digest, digest)
	})
	sum := strings.Repeat("ab", 32)
	for _, text := range []string{"", "ab", sum[1:], sum + "ab", strings.ToUpper(sum), "../../" + sum, sum[:62] + "zz", sum[:63] + "\n"} {
		_, err := ParseDigest(text)
		requireCode(t, "OBJECT_DIGEST_INVALID", err)
	}
	for _, key := range []string{"", "/", sum, acme.String() + "/ab/../" + sum, acme.String() + "/cd/" + sum, acme.String() + "/" + sum,
		"{" + acme.String() + "}/ab/" + sum, "urn:uuid:" + acme.String() + "/ab/" + sum, acme.String() + "/ab/" + sum + "/"} {
		_, ours := parseAddress(key)
		require.False(t, ours, key)
	}
}

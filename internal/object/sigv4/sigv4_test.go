package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/object/sigv4"
)

// The token of AWS's test suite.
const suiteToken = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// What AWS publishes: the cases of its signature test suite that hold for a service
// that cleans no paths, and the four examples of the S3 documentation.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	suite := sigv4.Signer{Region: "us-east-1", Service: "service",
		Credentials: sigv4.Credentials{AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}}
	temporary := suite
	temporary.Credentials.SessionToken = suiteToken
	storage := sigv4.Signer{Region: "us-east-1", Service: "s3",
		Credentials: sigv4.Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}}
	type headers = http.Header
	const plain = "host;x-amz-date"

	for _, c := range []struct {
		name      string
		signer    sigv4.Signer
		method    string
		target    string
		headers   headers
		body      string
		signed    string
		signature string
	}{
		{"get-vanilla", suite, "GET", "/", nil, "", plain, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-empty-query-key", suite, "GET", "/?Param1=value1", nil, "", plain, "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		{"get-vanilla-query-order-key-case", suite, "GET", "/?Param2=value2&Param1=value1", nil, "", plain, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-utf8", suite, "GET", "/ሴ", nil, "", plain, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{"get-header-key-duplicate", suite, "GET", "/", headers{"My-Header1": {"value2", "value2", "value1"}}, "",
			"host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"get-header-value-order", suite, "GET", "/", headers{"My-Header1": {"value4", "value1", "value3", "value2"}}, "",
			"host;my-header1;x-amz-date", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
		{"get-header-value-trim", suite, "GET", "/", headers{"My-Header1": {" value1"}, "My-Header2": {` "a   b   c"`}}, "",
			"host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-vanilla", suite, "POST", "/", nil, "", plain, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-vanilla-query", suite, "POST", "/?Param1=value1", nil, "", plain, "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
		{"post-header-key-sort", suite, "POST", "/", headers{"My-Header1": {"value1"}}, "",
			"host;my-header1;x-amz-date", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
		{"post-header-value-case", suite, "POST", "/", headers{"My-Header1": {"VALUE1"}}, "",
			"host;my-header1;x-amz-date", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
		{"post-x-www-form-urlencoded", suite, "POST", "/", headers{"Content-Type": {"application/x-www-form-urlencoded"}}, "Param1=value1",
			"content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"post-sts-header-before", temporary, "POST", "/", nil, "",
			"host;x-amz-date;x-amz-security-token", "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
		{"S3 GET object", storage, "GET", "/test.txt", headers{"Range": {"bytes=0-9"}}, "",
			"host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"S3 PUT object", storage, "PUT", "/test$file.text",
			headers{"Date": {"Fri, 24 May 2013 00:00:00 GMT"}, "X-Amz-Storage-Class": {"REDUCED_REDUNDANCY"}}, "Welcome to Amazon S3.",
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"S3 GET lifecycle", storage, "GET", "/?lifecycle", nil, "",
			"host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"S3 list objects", storage, "GET", "/?max-keys=2&prefix=J", nil, "",
			"host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host, at := "example.amazonaws.com", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
			if c.signer.Service == "s3" {
				host, at = "examplebucket.s3.amazonaws.com", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
			}
			request, err := http.NewRequest(c.method, "https://"+host+c.target, nil)
			require.NoError(t, err)
			for name, values := range c.headers {
				request.Header[name] = values
			}
			if c.signer.Service == "s3" {
				request.Header.Set("X-Amz-Content-Sha256", digest(c.body))
			}
			// A zone of its own: the signature is of the time, not of how it is told.
			c.signer.Sign(request, digest(c.body), at.In(time.FixedZone("somewhere", 7200)))
			require.Equal(t, fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/%s/aws4_request, SignedHeaders=%s, Signature=%s",
				c.signer.Credentials.AccessKey, at.Format("20060102"), c.signer.Service, c.signed, c.signature),
				request.Header.Get("Authorization"))
		})
	}
}

// What is signed is what travels: a plus for a space would be another signature.
func TestSignedIsSent(t *testing.T) {
	t.Parallel()
	request, err := http.NewRequest("GET", "https://host/a$b/c d?token=a%2Bb%2F%3D&token=%20&z", nil)
	require.NoError(t, err)
	sigv4.Signer{}.Sign(request, digest(""), time.Unix(0, 0))
	require.Equal(t, "/a%24b/c%20d?token=%20&token=a%2Bb%2F%3D&z=", request.URL.RequestURI())

	// Signed again, as a second try is, it is the same but for the time.
	first := request.Header.Get("Authorization")
	sigv4.Signer{}.Sign(request, digest(""), time.Unix(0, 0))
	require.Equal(t, first, request.Header.Get("Authorization"))
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	credentials := sigv4.Credentials{AccessKey: "who", SecretKey: "swordfish", SessionToken: "swordfish"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("opened", "with", credentials, "key", credentials.SecretKey)
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "with", &credentials, "key", credentials.SecretKey)
	document, err := json.Marshal(credentials)
	require.NoError(t, err)
	shown := log.String() + string(document) + fmt.Sprintf("%v %+v %#v %s %q", credentials, credentials, credentials, credentials, credentials.SecretKey) + fmt.Sprintln(&credentials)
	require.Contains(t, shown, "who")
	require.NotContains(t, shown, "swordfish")
	require.Equal(t, "[secret] [secret]", fmt.Sprintf("%x %d", credentials.SecretKey, credentials.SecretKey))
}

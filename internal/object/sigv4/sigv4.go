// Package sigv4 signs requests as S3 and what is compatible with it want them:
// Signature Version 4 in the Authorization header. It knows no other service's
// ways: a path is encoded once and never cleaned.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	ending    = "aws4_request"
)

// Signer signs for one holder of credentials, in one region, for one service.
type Signer struct {
	Credentials Credentials
	Region      string
	Service     string
}

// Sign dates and signs a request. Every header that it has is signed; what is
// added afterwards is not. The payload is the SHA-256 of its body in hexadecimal.
// The path and the query are put into the form that is signed, so that what
// travels is what the other side computes with.
func (s Signer) Sign(request *http.Request, payload string, at time.Time) {
	at = at.UTC()
	request.Header.Set("X-Amz-Date", at.Format("20060102T150405Z"))
	if s.Credentials.SessionToken != "" {
		request.Header.Set("X-Amz-Security-Token", string(s.Credentials.SessionToken))
	}
	request.Header.Del("Authorization")
	normalize(request)

	names, headers := canonicalHeaders(request)
	canonical := sum(strings.Join([]string{
		request.Method, request.URL.EscapedPath(), request.URL.RawQuery, headers, names, payload,
	}, "\n"))
	scope := strings.Join([]string{at.Format("20060102"), s.Region, s.Service, ending}, "/")
	text := strings.Join([]string{algorithm, at.Format("20060102T150405Z"), scope, canonical}, "\n")
	request.Header.Set("Authorization", algorithm+
		" Credential="+s.Credentials.AccessKey+"/"+scope+
		", SignedHeaders="+names+
		", Signature="+hex.EncodeToString(mac(s.key(at), text)))
}

// key is good for one day, region and service.
func (s Signer) key(at time.Time) []byte {
	key := mac([]byte("AWS4"+string(s.Credentials.SecretKey)), at.Format("20060102"))
	key = mac(key, s.Region)
	key = mac(key, s.Service)
	return mac(key, ending)
}

// normalize writes the path and the query of a request as they are signed.
func normalize(request *http.Request) {
	target := request.URL
	if target.Path == "" {
		target.Path = "/"
	}
	target.RawPath = escape(target.Path, "/")
	var pairs []string
	for name, values := range target.Query() {
		for _, value := range values {
			pairs = append(pairs, escape(name, "")+"="+escape(value, ""))
		}
	}
	slices.Sort(pairs)
	target.RawQuery = strings.Join(pairs, "&")
}

// canonicalHeaders gives the names of the signed headers and their lines, each
// with its end.
func canonicalHeaders(request *http.Request) (names, lines string) {
	host := request.Host
	if host == "" {
		host = request.URL.Host
	}
	values := map[string]string{"host": host}
	for name, given := range request.Header {
		clean := make([]string, len(given))
		for i, value := range given {
			clean[i] = strings.Join(strings.Fields(value), " ")
		}
		values[strings.ToLower(name)] = strings.Join(clean, ",")
	}
	var order []string
	for name := range values {
		order = append(order, name)
	}
	slices.Sort(order)
	var text strings.Builder
	for _, name := range order {
		text.WriteString(name + ":" + values[name] + "\n")
	}
	return strings.Join(order, ";"), text.String()
}

// escape writes every byte but the unreserved ones, and those that are kept, as
// %XX. The standard library escapes otherwise: a space of a query as a plus.
func escape(text, kept string) string {
	const hexadecimal = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-._~", c) >= 0, strings.IndexByte(kept, c) >= 0:
			out.WriteByte(c)
		default:
			out.Write([]byte{'%', hexadecimal[c>>4], hexadecimal[c&15]})
		}
	}
	return out.String()
}

func mac(key []byte, text string) []byte {
	hash := hmac.New(sha256.New, key)
	hash.Write([]byte(text))
	return hash.Sum(nil)
}

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

package surface

import (
	"crypto/sha1" //nolint:gosec // scanners and people name certificates by it; nothing is trusted for it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Certificate is the asset of a certificate, by its SHA-256 or else by its SHA-1,
// in hex with any separators or in base64.
func Certificate(sha256, sha1 string) (record.AssetRef, error) {
	for _, stated := range []struct {
		text string
		size int
	}{{sha256, 64}, {sha1, 40}} {
		if strings.TrimSpace(stated.text) == "" {
			continue
		}
		digest, ok := Digest(stated.text)
		if !ok || len(digest) != stated.size {
			return record.AssetRef{}, fault(ErrDigest.Code, "%s is no digest of a certificate.", Quote(stated.text))
		}
		return record.AssetRef{Kind: record.CertificateAsset, Value: digest}, nil
	}
	return record.AssetRef{}, fault(ErrMissing.Code, "A certificate has no digest.")
}

// Digest reads a SHA-256 or a SHA-1, in hex with colons or blanks between or in
// base64, as lower case hex of 64 or 40 letters.
func Digest(text string) (digest string, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) > maxText {
		return "", false
	}
	plain := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	if raw, err := hex.DecodeString(plain); err == nil && isDigest(raw) {
		return plain, true
	}
	if raw, err := base64.StdEncoding.Strict().DecodeString(text); err == nil && isDigest(raw) {
		return hex.EncodeToString(raw), true
	}
	return "", false
}

func isDigest(raw []byte) bool { return len(raw) == sha256.Size || len(raw) == sha1.Size }

// The lines around a certificate.
const (
	beginPEM = "-----BEGIN CERTIFICATE-----"
	endPEM   = "-----END CERTIFICATE-----"
)

// PEM is the digests of the first certificate in a text, whose lines may be
// apart by newlines or by blanks. The certificate itself is not looked into: a
// server may present one that no library would read.
func PEM(text string) (sha256Hex, sha1Hex string, ok bool) {
	_, rest, ok := strings.Cut(text, beginPEM)
	if !ok {
		return "", "", false
	}
	body, _, ok := strings.Cut(rest, endPEM)
	if !ok {
		return "", "", false
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil || len(der) == 0 {
		return "", "", false
	}
	long, short := sha256.Sum256(der), sha1.Sum(der) //nolint:gosec // as above
	return hex.EncodeToString(long[:]), hex.EncodeToString(short[:]), true
}

package surface

import (
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Certificate adds a certificate that a service presents, by its digests, and
// says whether they are any.
func (d *Draft) Certificate(service record.AssetRef, plugin string, detail record.CertificateDetail) bool {
	detail.SHA256, _ = Digest(detail.SHA256)
	detail.SHA1, _ = Digest(detail.SHA1)
	ref, err := Certificate(detail.SHA256, detail.SHA1)
	if err != nil || service.Value == "" {
		return false
	}
	for i, name := range detail.Names {
		detail.Names[i] = strings.ToLower(name)
	}
	slices.Sort(detail.Names)
	detail.Names = slices.Compact(detail.Names)
	if !detail.NotBefore.IsZero() && !detail.NotAfter.IsZero() && detail.NotAfter.Before(detail.NotBefore) {
		d.Note("CERTIFICATE_NEVER_VALID")
	}
	d.Asset(record.Asset{AssetRef: ref, Plugin: plugin, Certificate: &detail})
	d.Tie(record.Presents, service, ref)
	return true
}

// CommonName is a distinguished name of nothing but a common name.
func CommonName(name string) string {
	if name == "" {
		return ""
	}
	return "CN=" + name
}

// KeyType is what a kind of public key is called: rsa, ec.
func KeyType(name string) string {
	name = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(name, "_"), "PublicKey"))
	if name == "ellipticcurve" || name == "ecdsa" {
		return "ec"
	}
	return name
}

// KeyBits is the size of a public key, if it is one.
func KeyBits(bits int64) int {
	if bits < 0 || bits > 1<<20 {
		return 0
	}
	return int(bits)
}

// Detail is the time of a detail; one that cannot be read is left out.
func (d *Draft) Detail(text string, layouts ...string) time.Time {
	if text == "" {
		return time.Time{}
	}
	at, ok := ParseTime(text, layouts...)
	if !ok {
		d.Note("TEXT_UNREADABLE")
	}
	return at
}

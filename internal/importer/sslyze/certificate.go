package sslyze

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// layouts are how times are written; those without a zone are in UTC.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05"}

// certificate reads a certificate. Up to version 4 the keys are other ones.
func certificate(d *surface.Draft, o *eventlog.Object) record.CertificateDetail {
	key := o.Object(either(o, "public_key", "publicKey"))
	bits, _ := key.Number(either(key, "key_size", "size"))
	detail := record.CertificateDetail{
		SHA256: o.Loose("fingerprint_sha256"), SHA1: o.Loose("fingerprint_sha1"),
		Subject: o.Object("subject").Loose("rfc4514_string"), Issuer: o.Object("issuer").Loose("rfc4514_string"),
		Serial: serial(o.Raw(either(o, "serial_number", "serialNumber"))),
		Names:  names(o.Object(either(o, "subject_alternative_name", "subjectAlternativeName"))),

		NotBefore: d.Detail(o.Loose(either(o, "not_valid_before", "notBefore")), layouts...),
		NotAfter:  d.Detail(o.Loose(either(o, "not_valid_after", "notAfter")), layouts...),
		KeyType:   surface.KeyType(key.Loose("algorithm")), KeyBits: surface.KeyBits(bits),
	}
	if detail.SHA256 == "" && detail.SHA1 == "" {
		detail.SHA256, detail.SHA1, _ = surface.PEM(strings.ReplaceAll(o.Raw("as_pem"), `\n`, "\n"))
	}
	switch {
	case o.Has("signature_algorithm_oid"):
		detail.SignatureAlgorithm = o.Object("signature_algorithm_oid").Loose("name")
	case o.Has("signature_hash_algorithm"):
		detail.SignatureAlgorithm = o.Object("signature_hash_algorithm").Loose("name")
	default:
		detail.SignatureAlgorithm = o.Loose("signatureAlgorithm")
	}
	return detail
}

// either is the key that an object has, of what a field is and was called.
func either(o *eventlog.Object, key, former string) string {
	if o.Has(key) {
		return key
	}
	return former
}

// names are those that a certificate is for, by the keys of all versions.
func names(o *eventlog.Object) []string {
	return slices.Concat(o.Texts("dns"), o.Texts("dns_names"), o.Texts("DNS"), o.Texts("ip_addresses"))
}

var number = regexp.MustCompile(`^-?[0-9A-Fa-f:]{1,128}$`)

// serial is a serial number, which is too long for a number and so is taken as it
// is written.
func serial(raw string) string {
	if !number.MatchString(raw) {
		return ""
	}
	return raw
}

package nmap

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// certificate reads the answer of ssl-cert. Since version 6.2 it is written twice,
// as tables and as a text; before, as a text alone.
func (s *scan) certificate(on record.AssetRef, script *scriptElement, givenUp bool, seen *sighting) {
	answer := certificateAnswer{script.tableElement, lines(script.Output)}
	detail := s.certificateDetail(answer)
	pem := script.value("pem")
	if pem == "" {
		pem = script.Output
	}
	if sha256, sha1, ok := surface.PEM(pem); ok {
		if detail.SHA256 != "" && detail.SHA256 != sha256 || detail.SHA1 != "" && detail.SHA1 != sha1 {
			s.warnings.Add("DIGEST_DIFFERS", "certificate has another digest than the scan says; that of the certificate stands",
				"certificates have other digests than the scan says; those of the certificates stand")
		}
		detail.SHA256, detail.SHA1 = sha256, sha1
	}
	ref, err := surface.Certificate(detail.SHA256, detail.SHA1)
	if err != nil {
		s.warnings.Add("CERTIFICATE_UNREADABLE", "certificate has no digest and was left out", "certificates have no digest and were left out")
		return
	}
	if !detail.NotBefore.IsZero() && !detail.NotAfter.IsZero() && detail.NotAfter.Before(detail.NotBefore) {
		s.warnings.Add("CERTIFICATE_NEVER_VALID", "certificate ends before it begins", "certificates end before they begin")
	}
	seen.add(record.Asset{AssetRef: ref, Plugin: "ssl-cert", Certificate: detail})
	seen.tie(record.Presents, on, ref)
	if !givenUp {
		seen.Covers = append(seen.Covers, record.Cover{Of: record.CertificateAsset, Subject: on})
	}
}

// certificateAnswer is an answer in both of its forms.
type certificateAnswer struct {
	tables tableElement
	lines  map[string]string
}

// lines are the lines of a text that have a colon, by what stands before it.
func lines(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(line, ":")
		if key = strings.TrimSpace(key); ok && found[key] == "" {
			found[key] = strings.TrimSpace(value)
		}
	}
	return found
}

// or is the first text that is not empty.
func or(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func (s *scan) certificateDetail(a certificateAnswer) *record.CertificateDetail {
	key, validity := a.tables.table("pubkey"), a.tables.table("validity")
	detail := &record.CertificateDetail{
		Subject:            s.warnings.Text(or(distinguished(a.tables.table("subject")), a.lines["Subject"])),
		Issuer:             s.warnings.Text(or(distinguished(a.tables.table("issuer")), a.lines["Issuer"])),
		Serial:             s.warnings.Text(or(a.tables.value("serial"), a.lines["Serial Number"])),
		Names:              s.alternatives(a),
		NotBefore:          s.validity(or(validity.value("notBefore"), a.lines["Not valid before"])),
		NotAfter:           s.validity(or(validity.value("notAfter"), a.lines["Not valid after"])),
		KeyType:            s.warnings.Text(or(key.value("type"), a.lines["Public Key type"])),
		SignatureAlgorithm: s.warnings.Text(or(a.tables.value("sig_algo"), a.lines["Signature Algorithm"])),
	}
	if bits, err := strconv.Atoi(or(key.value("bits"), a.lines["Public Key bits"])); err == nil && bits > 0 && bits <= 1<<20 {
		detail.KeyBits = bits
	}
	detail.SHA256 = digest(64, a.tables.value("sha256"), a.lines["SHA-256"])
	detail.SHA1 = digest(40, a.tables.value("sha1"), a.lines["SHA-1"])
	return detail
}

// digest is the first text that is a digest of some length.
func digest(size int, texts ...string) string {
	for _, text := range texts {
		if digest, ok := surface.Digest(text); ok && len(digest) == size {
			return digest
		}
	}
	return ""
}

// distinguished writes a name as nmap's text has it.
func distinguished(name tableElement) string {
	var parts []string
	for _, v := range name.Values {
		parts = append(parts, v.Key+"="+v.Text)
	}
	return strings.Join(parts, "/")
}

// alternatives are the names that a certificate is for besides its subject.
func (s *scan) alternatives(a certificateAnswer) []string {
	text := a.lines["Subject Alternative Name"]
	for _, extension := range a.tables.table("extensions").Tables {
		if extension.value("name") == "X509v3 Subject Alternative Name" {
			text = extension.value("value")
		}
	}
	var names []string
	for part := range strings.SplitSeq(text, ",") {
		kind, name, _ := strings.Cut(strings.TrimSpace(part), ":")
		if kind != "DNS" && kind != "IP Address" {
			continue
		}
		if name = s.warnings.Text(strings.ToLower(strings.TrimSpace(name))); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// layouts are how nmap wrote times over the years. Without a zone they are UTC.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05"}

func (s *scan) validity(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	for _, layout := range layouts {
		at, err := time.Parse(layout, text)
		if at = at.UTC(); err == nil && at.Year() >= 1 && at.Year() <= 9999 {
			return at.Truncate(time.Microsecond)
		}
	}
	s.warnings.Add("BAD_TIME", "time cannot be read", "times cannot be read")
	return time.Time{}
}

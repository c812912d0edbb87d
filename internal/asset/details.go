package asset

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// details are the attributes of an asset, as they are kept: what a scan does not
// say is not there, so that what another says of it stands.
type details struct {
	// Of hosts.
	Addresses []string `json:"addresses,omitempty"`
	MAC       string   `json:"mac,omitempty"`
	Vendor    string   `json:"vendor,omitempty"`
	OS        string   `json:"os,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	// Of services and technologies.
	Name    string   `json:"name,omitempty"`
	Guessed *bool    `json:"guessed,omitempty"` // said with every name of a service: both come from one voice then
	Tunnel  string   `json:"tunnel,omitempty"`
	Banner  string   `json:"banner,omitempty"`
	TLS     []string `json:"tls,omitempty"`
	Version string   `json:"version,omitempty"`
	CPE     []string `json:"cpe,omitempty"`
	// Of pages.
	Status      int    `json:"status,omitempty"`
	Title       string `json:"title,omitempty"`
	Server      string `json:"server,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Method      string `json:"method,omitempty"`
	// Of certificates.
	SHA256             string     `json:"sha256,omitempty"`
	SHA1               string     `json:"sha1,omitempty"`
	Subject            string     `json:"subject,omitempty"`
	Issuer             string     `json:"issuer,omitempty"`
	Serial             string     `json:"serial,omitempty"`
	Names              []string   `json:"names,omitempty"`
	NotBefore          *time.Time `json:"notBefore,omitempty"`
	NotAfter           *time.Time `json:"notAfter,omitempty"`
	KeyType            string     `json:"keyType,omitempty"`
	KeyBits            int        `json:"keyBits,omitempty"`
	SignatureAlgorithm string     `json:"signatureAlgorithm,omitempty"`
}

func (d details) texts() []string {
	texts := []string{d.MAC, d.Vendor, d.OS, d.Reason, d.Name, d.Tunnel, d.Banner, d.Version, d.Title, d.Server, d.ContentType, d.Method,
		d.SHA256, d.SHA1, d.Subject, d.Issuer, d.Serial, d.KeyType, d.SignatureAlgorithm}
	for _, list := range [][]string{d.Addresses, d.TLS, d.CPE, d.Names} {
		texts = append(texts, list...)
	}
	return texts
}

func detailsOf(a record.Asset) details {
	switch {
	case a.Kind == record.HostAsset && a.Host != nil:
		d := a.Host
		return details{Addresses: d.Addresses, MAC: d.MAC, Vendor: d.Vendor, OS: d.OS, Reason: d.Reason}
	case a.Kind == record.ServiceAsset && a.Service != nil:
		d := a.Service
		said := details{Name: d.Name, Tunnel: d.Tunnel, Banner: d.Banner, TLS: d.TLS}
		if d.Name != "" {
			said.Guessed = &d.Guessed
		}
		return said
	case a.Kind == record.URLAsset && a.URL != nil:
		d := a.URL
		return details{Status: d.Status, Title: d.Title, Server: d.Server, ContentType: d.ContentType, Method: d.Method}
	case a.Kind == record.CertificateAsset && a.Certificate != nil:
		d := a.Certificate
		return details{SHA256: d.SHA256, SHA1: d.SHA1, Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial, Names: d.Names,
			NotBefore: moment(d.NotBefore), NotAfter: moment(d.NotAfter), KeyType: d.KeyType, KeyBits: d.KeyBits, SignatureAlgorithm: d.SignatureAlgorithm}
	case a.Kind == record.TechnologyAsset && a.Technology != nil:
		d := a.Technology
		return details{Name: d.Name, Version: d.Version, CPE: d.CPE}
	}
	return details{}
}

func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Microsecond)
	return &at
}

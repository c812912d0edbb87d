package httpx

import (
	"cmp"
	"iter"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// Parse reads a scan and emits what it shows. An error is a fault of the input as
// a whole (*problem.Error), or what the iterator, a reader or the emitter
// returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[surface.File, error], options surface.Options, out record.Emitter) (surface.Summary, error) {
	return surface.JSON{Prefix: "HTTPX", Tool: "httpx", Known: []string{"url", "input"}}.Parse(files, options, out, page)
}

// page reads what one page answered.
func page(d *surface.Draft, o *eventlog.Object) {
	d.Time(o, "timestamp")
	if o.True("failed") {
		return
	}
	raw := address(o)
	names, hosts := places(d, o)
	url := d.URL(raw, &record.URLDetail{
		Status: status(o), Title: o.Loose("title"), Server: o.Loose("webserver"), ContentType: either(o, "content_type", "content-type"), Method: o.Loose("method"),
	})
	on, port, tls := url.On, url.Port, url.TLS
	if on.Kind == record.DomainAsset {
		names = append(names, on)
	}
	if o.Has("port") {
		port = d.Port(o, "port")
	}
	if scheme := o.Key("scheme"); scheme != "" {
		tls = strings.EqualFold(scheme, "https")
	}
	for _, name := range names {
		for _, host := range hosts.all {
			d.Tie(record.Resolves, name, host)
		}
	}
	service := d.Service(hosts.answered(on), "", port, record.Asset{Service: &record.ServiceDetail{Name: "http", Tunnel: surface.Tunnel(tls)}})
	subject := service
	if subject.Value == "" {
		subject = url.URL
	}
	technologies(d, o, subject)
	certificate(d, o.Object("tls"), service)
}

// address is the URL that was asked for. Where the record has none it is what the
// scanner was given, with the path that it asked for.
func address(o *eventlog.Object) string {
	if url := o.Key("url"); url != "" {
		return url
	}
	input := o.RequiredKey("input")
	scheme, rest, whole := strings.Cut(input, "://")
	if !whole {
		scheme, rest = cmp.Or(o.Key("scheme"), "http"), input
	}
	if !strings.Contains(rest, "/") {
		rest += o.Key("path")
	}
	return scheme + "://" + rest
}

// addresses are those of a record: the one that answered, if it says so, and all
// that its name has.
type addresses struct {
	named record.AssetRef // host, where it is an address, or else host_ip
	all   []record.AssetRef
}

// answered is the address that answered: the one that is named, that of the URL,
// or the only one there is.
func (a addresses) answered(on record.AssetRef) record.AssetRef {
	switch {
	case a.named.Value != "":
		return a.named
	case on.Kind == record.HostAsset:
		return on
	case len(a.all) == 1:
		return a.all[0]
	}
	return record.AssetRef{}
}

// places are the names and addresses that a record gives. In some versions host
// is the address that answered, in others the name that was asked for.
func places(d *surface.Draft, o *eventlog.Object) (names []record.AssetRef, hosts addresses) {
	add := func(host record.AssetRef) record.AssetRef {
		for _, known := range hosts.all {
			if known == host {
				return host
			}
		}
		if host.Value != "" {
			hosts.all = append(hosts.all, host)
		}
		return host
	}
	if text := o.Key("host"); text != "" {
		switch place := d.Place(text); place.Kind {
		case record.HostAsset:
			hosts.named = add(place)
		case record.DomainAsset:
			names = append(names, place)
		}
	}
	if text := o.Key("host_ip"); text != "" {
		if host := add(d.Host(text, nil)); hosts.named.Value == "" {
			hosts.named = host
		}
	}
	for _, key := range []string{"a", "aaaa"} {
		for _, text := range o.Texts(key) {
			add(d.Host(text, nil))
		}
	}
	return names, hosts
}

// either is a detail under the name that it has or the one that it had.
func either(o *eventlog.Object, key, former string) string {
	return cmp.Or(o.Loose(key), o.Loose(former))
}

// status is the status of the answer, if it is one.
func status(o *eventlog.Object) int {
	for _, key := range []string{"status_code", "status-code"} {
		if status := o.Int(key); status >= 100 && status <= 999 {
			return status
		}
	}
	return 0
}

// technologies reads what was recognized. Only a record that has the list was
// asked for it.
func technologies(d *surface.Draft, o *eventlog.Object, subject record.AssetRef) {
	for _, key := range []string{"tech", "technologies"} {
		if !o.Has(key) {
			continue
		}
		for _, text := range o.Texts(key) {
			name, version := split(text)
			d.Technology(subject, record.Asset{Technology: &record.TechnologyDetail{Name: name, Version: version}})
		}
		d.Cover(record.TechnologyAsset, subject)
	}
}

// split parts Nginx:1.31.3. A colon may also be part of a name.
func split(text string) (name, version string) {
	i := strings.LastIndexByte(text, ':')
	if i <= 0 {
		return text, ""
	}
	name, version = text[:i], text[i+1:]
	if digits := strings.TrimPrefix(version, "v"); digits == "" || digits[0] < '0' || digits[0] > '9' {
		return text, ""
	}
	return name, version
}

// certificate reads the certificate that the service presented.
func certificate(d *surface.Draft, tls *eventlog.Object, service record.AssetRef) {
	digests := tls.Object("fingerprint_hash")
	detail := record.CertificateDetail{
		SHA256: digests.Loose("sha256"), SHA1: digests.Loose("sha1"),
		Subject: tls.Loose("subject_dn"), Issuer: tls.Loose("issuer_dn"), Serial: tls.Loose("serial"), Names: tls.Texts("subject_an"),
		NotBefore: d.Detail(tls.Loose("not_before"), time.RFC3339), NotAfter: d.Detail(tls.Loose("not_after"), time.RFC3339),
	}
	detail.Subject = cmp.Or(detail.Subject, surface.CommonName(tls.Loose("subject_cn")))
	detail.Issuer = cmp.Or(detail.Issuer, surface.CommonName(tls.Loose("issuer_cn")))
	if d.Certificate(service, "", detail) {
		d.Cover(record.CertificateAsset, service)
	}
}

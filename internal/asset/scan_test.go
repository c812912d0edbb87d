package asset_test

import (
	"net/netip"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// drawn is a sighting that tests put together.
type drawn struct{ record.Sighting }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func host(address string) record.AssetRef { return must(surface.Host(address)) }

func service(address string, port int) record.AssetRef {
	return must(surface.Service(host(address), record.TCP, port))
}

func technology(subject record.AssetRef, name string) record.AssetRef {
	return must(surface.Technology(subject, name))
}

func (d *drawn) add(a record.Asset) *drawn {
	for _, known := range d.Assets {
		if known.AssetRef == a.AssetRef {
			return d
		}
	}
	d.Assets = append(d.Assets, a)
	return d
}

// up shows a host, with these ports open.
func up(address string, ports ...int) *drawn {
	d := &drawn{}
	d.add(record.Asset{AssetRef: host(address)})
	for _, port := range ports {
		d.port(address, port, record.PortOpen)
	}
	return d
}

func (d *drawn) port(address string, port int, state record.PortState) *drawn {
	return d.add(record.Asset{AssetRef: service(address, port), Parent: host(address), State: state, Service: &record.ServiceDetail{Name: "http"}})
}

func (d *drawn) runs(subject record.AssetRef, name, version string) *drawn {
	return d.add(record.Asset{AssetRef: technology(subject, name), Parent: subject, Technology: &record.TechnologyDetail{Name: name, Version: version}})
}

func (d *drawn) presents(subject record.AssetRef, sha256, sha1 string) *drawn {
	ref := must(surface.Certificate(sha256, sha1))
	d.add(record.Asset{AssetRef: ref, Certificate: &record.CertificateDetail{SHA256: sha256, SHA1: sha1}})
	d.Ties = append(d.Ties, record.Tie{Kind: record.Presents, From: subject, To: ref})
	return d
}

func (d *drawn) resolves(name, address string) *drawn {
	domain := must(surface.Domain(name))
	d.add(record.Asset{AssetRef: domain}).add(record.Asset{AssetRef: host(address)})
	d.Ties = append(d.Ties, record.Tie{Kind: record.Resolves, From: domain, To: host(address)})
	return d
}

func (d *drawn) page(url string) *drawn {
	page, path, origin, err := surface.URL(url)
	if err != nil {
		panic(err)
	}
	on, port, _, err := surface.Location(origin)
	if err != nil {
		panic(err)
	}
	d.add(record.Asset{AssetRef: on})
	parent := on
	if on.Kind == record.HostAsset {
		parent = service(on.Value, port)
		d.port(on.Value, port, record.PortOpen)
	}
	return d.add(record.Asset{AssetRef: page, Parent: parent, URL: &record.URLDetail{Status: 200}}).add(record.Asset{AssetRef: path, Parent: parent})
}

// probed says that hosts were probed, and these ports of those that are up.
func (d *drawn) probed(from, to string, first, last uint16) *drawn {
	low, high := netip.MustParseAddr(from), netip.MustParseAddr(to)
	d.Covers = append(d.Covers, record.Cover{Of: record.HostAsset, From: low, To: high},
		record.Cover{Of: record.ServiceAsset, From: low, To: high, Protocol: record.TCP, Ports: []record.PortRange{{First: first, Last: last}}, Answered: true})
	return d
}

// asked says that a subject was asked for what is of a kind.
func (d *drawn) asked(of record.AssetKind, subject record.AssetRef) *drawn {
	d.Covers = append(d.Covers, record.Cover{Of: of, Subject: subject})
	return d
}

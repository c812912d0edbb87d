package surfacetest

import (
	"net/netip"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// Must gives a name that a test knows to be one.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Host names a host by its address.
func Host(address string) record.AssetRef { return Must(surface.Host(address)) }

// Service names a port of a host.
func Service(address string, port int) record.AssetRef {
	return Must(surface.Service(Host(address), record.TCP, port))
}

// Technology names a product that runs on a service or a page.
func Technology(subject record.AssetRef, name string) record.AssetRef {
	return Must(surface.Technology(subject, name))
}

// Shown is a sighting that a test puts together.
type Shown struct{ record.Sighting }

// Up shows a host, with these ports open.
func Up(address string, ports ...int) *Shown {
	d := new(Shown).Add(record.Asset{AssetRef: Host(address)})
	for _, port := range ports {
		d.Port(address, port, record.PortOpen)
	}
	return d
}

// Add shows an asset once, however often it follows from others.
func (d *Shown) Add(a record.Asset) *Shown {
	for _, known := range d.Assets {
		if known.AssetRef == a.AssetRef {
			return d
		}
	}
	d.Assets = append(d.Assets, a)
	return d
}

// Port shows a port of a host that was shown.
func (d *Shown) Port(address string, port int, state record.PortState) *Shown {
	return d.Add(record.Asset{AssetRef: Service(address, port), Parent: Host(address), State: state, Service: &record.ServiceDetail{Name: "http"}})
}

// Runs shows a product on what was shown.
func (d *Shown) Runs(subject record.AssetRef, name, version string) *Shown {
	return d.Add(record.Asset{AssetRef: Technology(subject, name), Parent: subject, Technology: &record.TechnologyDetail{Name: name, Version: version}})
}

// Presents shows a certificate of a service that was shown.
func (d *Shown) Presents(subject record.AssetRef, sha256, sha1 string) *Shown {
	ref := Must(surface.Certificate(sha256, sha1))
	d.Add(record.Asset{AssetRef: ref, Certificate: &record.CertificateDetail{SHA256: sha256, SHA1: sha1}})
	d.Ties = append(d.Ties, record.Tie{Kind: record.Presents, From: subject, To: ref})
	return d
}

// Resolves shows a name of a host.
func (d *Shown) Resolves(name, address string) *Shown {
	domain := Must(surface.Domain(name))
	d.Add(record.Asset{AssetRef: domain}).Add(record.Asset{AssetRef: Host(address)})
	d.Ties = append(d.Ties, record.Tie{Kind: record.Resolves, From: domain, To: Host(address)})
	return d
}

// Page shows a page, its path and what serves them.
func (d *Shown) Page(url string) *Shown {
	page, path, origin, err := surface.URL(url)
	if err != nil {
		panic(err)
	}
	on, port, _, err := surface.Location(origin)
	if err != nil {
		panic(err)
	}
	d.Add(record.Asset{AssetRef: on})
	parent := on
	if on.Kind == record.HostAsset {
		parent = Service(on.Value, port)
		d.Port(on.Value, port, record.PortOpen)
	}
	return d.Add(record.Asset{AssetRef: page, Parent: parent, URL: &record.URLDetail{Status: 200}}).Add(record.Asset{AssetRef: path, Parent: parent})
}

// Probed says that hosts were probed, and these ports of those that are up.
func (d *Shown) Probed(from, to string, first, last uint16) *Shown {
	low, high := netip.MustParseAddr(from), netip.MustParseAddr(to)
	d.Covers = append(d.Covers, record.Cover{Of: record.HostAsset, From: low, To: high},
		record.Cover{Of: record.ServiceAsset, From: low, To: high, Protocol: record.TCP, Ports: []record.PortRange{{First: first, Last: last}}, Answered: true})
	return d
}

// Asked says that a subject was asked for what is of a kind.
func (d *Shown) Asked(of record.AssetKind, subject record.AssetRef) *Shown {
	d.Covers = append(d.Covers, record.Cover{Of: of, Subject: subject})
	return d
}

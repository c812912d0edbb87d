package asset

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// place is what follows from the value of an asset: none of it ever changes.
type place struct {
	parent   record.AssetRef // none: no value
	root     record.AssetRef // the host or domain at the top; none: no value
	address  netip.Addr      // of a root that is a host
	protocol record.Protocol // of services
	port     int
	origin   string // of urls and url paths
}

// locate takes a name apart, and refuses one that package surface does not make.
// Two scanners mean one asset because both write its name so.
func locate(ref record.AssetRef) (place, error) {
	var p place
	var again record.AssetRef
	var err error
	switch ref.Kind {
	case record.HostAsset:
		again, err = surface.Host(ref.Value)
		p.root = again
	case record.DomainAsset:
		again, err = surface.Domain(ref.Value)
		p.root = again
	case record.ServiceAsset:
		again, p, err = locateService(ref.Value)
	case record.URLAsset, record.URLPathAsset:
		again, p, err = locatePage(ref)
	case record.CertificateAsset:
		again, err = certificate(ref.Value)
	case record.TechnologyAsset:
		again, p, err = locateTechnology(ref.Value)
	default:
		return p, fmt.Errorf("no scan shows a %q", ref.Kind)
	}
	if err == nil && again != ref {
		err = fmt.Errorf("%s is not how %s is written", surface.Quote(ref.Value), surface.Quote(again.Value))
	}
	p.address = surface.Address(p.root)
	return p, err
}

func locateService(value string) (record.AssetRef, place, error) {
	var p place
	on, where, _ := strings.Cut(value, " ")
	protocol, number, _ := strings.Cut(where, "/")
	root, err := surface.Place(on)
	if err != nil {
		return record.AssetRef{}, p, err
	}
	port, err := surface.Port(number)
	if err != nil {
		return record.AssetRef{}, p, err
	}
	p = place{parent: root, root: root, protocol: record.Protocol(protocol), port: port}
	again, err := surface.Service(root, p.protocol, port)
	return again, p, err
}

// locatePage finds what a url or a url path is served by: the service of its host
// and port, or the domain, whose address is not known.
func locatePage(ref record.AssetRef) (again record.AssetRef, p place, err error) {
	url, path, origin, err := surface.URL(ref.Value)
	if err != nil {
		return again, p, err
	}
	if again = url; ref.Kind == record.URLPathAsset {
		again = path
	}
	on, port, _, err := surface.Location(origin)
	if err != nil {
		return again, p, err
	}
	p = place{parent: on, root: on, origin: origin.Value}
	if on.Kind == record.HostAsset {
		p.parent, err = surface.Service(on, record.TCP, port)
	}
	return again, p, err
}

func locateTechnology(value string) (record.AssetRef, place, error) {
	var subject record.AssetRef
	var name string
	if strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://") {
		subject.Kind = record.URLAsset
		subject.Value, name, _ = strings.Cut(value, " ")
	} else {
		words := strings.SplitN(value, " ", 3)
		if len(words) < 3 {
			return record.AssetRef{}, place{}, fmt.Errorf("%s names no service and what it runs", surface.Quote(value))
		}
		subject, name = record.AssetRef{Kind: record.ServiceAsset, Value: words[0] + " " + words[1]}, words[2]
	}
	at, err := locate(subject)
	if err != nil {
		return record.AssetRef{}, place{}, err
	}
	again, err := surface.Technology(subject, name)
	return again, place{parent: subject, root: at.root}, err
}

// The length of a digest in hex tells which it is.
const (
	sha1Length   = 40
	sha256Length = 64
)

func certificate(value string) (record.AssetRef, error) {
	if len(value) == sha1Length {
		return surface.Certificate("", value)
	}
	return surface.Certificate(value, "")
}

// whereabouts is the host or domain that an asset, or the origin of pages, is on.
func whereabouts(ref record.AssetRef) (record.AssetRef, error) {
	p, err := locate(ref)
	return p.root, err
}

package naabu

import (
	"iter"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/eventlog"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// Parse reads a scan and emits what it shows. An error is a fault of the input as
// a whole (*problem.Error), or what the iterator, a reader or the emitter
// returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[surface.File, error], options surface.Options, out record.Emitter) (surface.Summary, error) {
	return surface.JSON{Prefix: "NAABU", Tool: "naabu", Known: []string{"ip", "host", "port"}}.Parse(files, options, out, openPort)
}

// openPort reads an open port of a host.
func openPort(d *surface.Draft, o *eventlog.Object) {
	d.Time(o, "timestamp")
	host := place(d, o)
	p := read(d, o)
	if p.none || host.Kind != record.HostAsset {
		return
	}
	detail := record.ServiceDetail{Name: o.Loose("name"), Tunnel: surface.Tunnel(p.tls || o.Loose("tunnel") == "ssl")}
	detail.Guessed = detail.Name != "" && o.Loose("method") == "table"
	product, version := o.Loose("product"), o.Loose("version")
	detail.Banner = surface.Banner(product, version, o.Loose("extra_info"))
	service := d.Service(host, p.protocol, p.number, record.Asset{Service: &detail})
	if product != "" && !detail.Guessed {
		d.Technology(service, record.Asset{Plugin: surface.VersionDetection,
			Technology: &record.TechnologyDetail{Name: product, Version: version, CPE: surface.Applications(o.Texts("cpes"))}})
	}
}

// place is the host of a record, or the domain where no address is known.
func place(d *surface.Draft, o *eventlog.Object) record.AssetRef {
	address, name := o.Key("ip"), o.Key("host")
	if address == "" {
		if name == "" {
			o.Missing("ip")
			return record.AssetRef{}
		}
		return d.Place(name)
	}
	host := d.Host(address, &record.HostDetail{MAC: o.Loose("mac_address")})
	if name != "" {
		if named := d.Place(name); named.Kind == record.DomainAsset {
			d.Tie(record.Resolves, named, host)
		}
	}
	return host
}

type port struct {
	number   int
	protocol string
	tls      bool
	none     bool // the host was found and no port was asked for
}

// protocols are the numbers of those that some versions write.
var protocols = map[string]string{"0": "tcp", "1": "udp"}

// read reads a port, which in some versions is an object of its own.
func read(d *surface.Draft, o *eventlog.Object) port {
	if strings.HasPrefix(o.Raw("port"), "{") {
		inner := o.Object("port")
		number, protocol, tls := "port", "protocol", "tls"
		if inner.Has("Port") {
			number, protocol, tls = "Port", "Protocol", "TLS"
		}
		p := port{number: d.Port(inner, number), protocol: inner.Raw(protocol), tls: inner.True(tls)}
		if name, numbered := protocols[p.protocol]; numbered {
			p.protocol = name
		}
		return p
	}
	p := port{number: d.Port(o, "port"), protocol: o.Key("protocol"), tls: o.True("tls")}
	p.none = p.number == 0 && p.protocol == "" && o.Has("protocol")
	return p
}

package masscan

import (
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
	return surface.JSON{Prefix: "MASSCAN", Tool: "masscan", Known: []string{"ip", "ports"}, Filter: mended}.Parse(files, options, out, address)
}

// address reads what was seen of an address.
func address(d *surface.Draft, o *eventlog.Object) {
	seenAt(d, o)
	host := d.Host(o.RequiredKey("ip"), nil)
	list := o.Objects("ports")
	if o.Has("port") && !o.Has("ports") { // -oD, where a record is one port
		list = []*eventlog.Object{o}
	} else if !o.Has("ports") {
		o.Missing("ports")
	}
	for _, p := range list {
		port(d, p, host)
	}
}

// pings are what is no port of a host and shows that the host is there.
var pings = map[string]bool{"icmp": true, "arp": true, "none": true}

// states are the words for the state of a port; a banner has none, and only what
// is open sends one.
var states = map[string]record.PortState{"": record.PortOpen, "open": record.PortOpen, "closed": record.PortClosed}

func port(d *surface.Draft, p *eventlog.Object, host record.AssetRef) {
	number, protocol := d.Port(p, "port"), strings.ToLower(p.Key("proto"))
	if pings[protocol] {
		return
	}
	state, known := states[p.Loose("status")]
	if !known {
		state = record.PortUnclear
	}
	asset := record.Asset{State: state}
	if said := p.Object("service"); said.Has("name") {
		asset.Service = detail(said)
	}
	d.Service(host, protocol, number, asset)
}

// findings are the names of banners that are none of a protocol.
var findings = map[string]bool{
	"title": true, "html": true, "http.server": true, "x509": true, "x509ca": true, "vuln": true, "heartbleed": true, "ticketbleed": true, "poodle": true,
	"safe": true, "unknown": true,
}

func detail(said *eventlog.Object) *record.ServiceDetail {
	name := strings.ToLower(said.Loose("name"))
	if findings[name] {
		return nil
	}
	if name == "ssl" || name == "ssl3" || name == "tls" {
		return &record.ServiceDetail{Tunnel: surface.Tunnel(true)}
	}
	return &record.ServiceDetail{Name: name, Banner: strings.Join(strings.Fields(said.Loose("banner")), " ")}
}

// seenAt takes in the time of a record, in seconds.
func seenAt(d *surface.Draft, o *eventlog.Object) {
	if !o.Has("timestamp") {
		return
	}
	seconds, ok := o.Number("timestamp")
	if !ok || seconds < 0 || seconds > maxSeconds {
		d.Fail("BAD_TIME", "The time is %s; it has to be the seconds since 1970.", surface.Quote(o.Raw("timestamp")))
		return
	}
	d.SeenAt(time.Unix(seconds, 0).UTC())
}

// maxSeconds is the end of the year 9998.
const maxSeconds = 253_370_764_799

package surface

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Draft gathers what one record of a scan shows: each asset, tie and cover once.
// What makes the record unacceptable is kept, the first of it, so that a parser
// asks for all that it wants and once whether that was there.
type Draft struct {
	At record.Position

	run    *Run
	assets []record.Asset
	ties   []record.Tie
	covers []record.Cover
	seen   map[record.AssetRef]int // index in assets
	fault  *Fault
}

// Draft begins a record.
func (r *Run) Draft(at record.Position) *Draft {
	return &Draft{At: at, run: r, seen: map[record.AssetRef]int{}}
}

// Fail says why the record is not accepted.
func (d *Draft) Fail(code, format string, args ...any) { d.keep(fault(code, format, args...)) }

func (d *Draft) keep(err error) {
	if d.fault == nil {
		errors.As(err, &d.fault)
	}
}

// Note remembers something to be warned of.
func (d *Draft) Note(code string) { d.run.Note(code, 1) }

// Asset adds an asset. What is there already stays as it was said first.
func (d *Draft) Asset(asset record.Asset) record.AssetRef {
	if _, double := d.seen[asset.AssetRef]; !double && asset.Value != "" {
		d.seen[asset.AssetRef] = len(d.assets)
		d.assets = append(d.assets, asset)
	}
	return asset.AssetRef
}

// Tie adds a tie between two assets, if there are two.
func (d *Draft) Tie(kind record.TieKind, from, to record.AssetRef) {
	tie := record.Tie{Kind: kind, From: from, To: to}
	if from.Value != "" && to.Value != "" && !slices.Contains(d.ties, tie) {
		d.ties = append(d.ties, tie)
	}
}

// Cover says that an asset was asked for what is of a kind.
func (d *Draft) Cover(of record.AssetKind, subject record.AssetRef) {
	asked := func(c record.Cover) bool { return c.Of == of && c.Subject == subject }
	if subject.Value != "" && !slices.ContainsFunc(d.covers, asked) {
		d.covers = append(d.covers, record.Cover{Of: of, Subject: subject})
	}
}

// CoverDomain says that names below a domain were looked for, if it is one.
func (d *Draft) CoverDomain(name string) {
	if name == "" {
		return
	}
	domain, err := Domain(name)
	if err != nil {
		d.Note("NAME_UNREADABLE")
		return
	}
	d.Cover(record.DomainAsset, domain)
}

// made adds an asset of a ref that was made, or keeps why it was not.
func (d *Draft) made(ref record.AssetRef, err error, asset record.Asset) record.AssetRef {
	switch {
	case errors.Is(err, ErrWildcard):
		d.Note(ErrWildcard.Code)
		return record.AssetRef{}
	case err != nil:
		d.keep(err)
		return record.AssetRef{}
	}
	asset.AssetRef = ref
	return d.Asset(asset)
}

// Host adds the host of an address.
func (d *Draft) Host(address string, detail *record.HostDetail) record.AssetRef {
	ref, err := Host(address)
	return d.made(ref, err, record.Asset{Host: detail})
}

// Domain adds a domain. A name that stands for many is none, which is no fault.
func (d *Draft) Domain(name, plugin string) record.AssetRef {
	ref, err := Domain(name)
	return d.made(ref, err, record.Asset{Plugin: plugin})
}

// Place adds the host or the domain that a text names.
func (d *Draft) Place(text string) record.AssetRef {
	ref, err := Place(text)
	return d.made(ref, err, record.Asset{})
}

// Service adds a service; without a state it is open, without a protocol tcp.
// Nothing is a service of nothing.
func (d *Draft) Service(on record.AssetRef, protocol string, port int, asset record.Asset) record.AssetRef {
	if on.Value == "" {
		return record.AssetRef{}
	}
	known, err := Protocol(cmp.Or(protocol, string(record.TCP)))
	if err != nil {
		d.keep(err)
		return record.AssetRef{}
	}
	asset.Parent, asset.State = on, cmp.Or(asset.State, record.PortOpen)
	ref, err := Service(on, known, port)
	return d.made(ref, err, asset)
}

// ParsePort reads the number of a port.
func (d *Draft) ParsePort(text string) int {
	port, err := Port(text)
	d.keep(err)
	return port
}

// Page is a URL that was added.
type Page struct {
	URL  record.AssetRef
	On   record.AssetRef // the host or domain that serves it
	Port int
	TLS  bool
}

// URL adds a URL, its path, and the domain or the host and service that serve it.
func (d *Draft) URL(raw string, detail *record.URLDetail) Page {
	url, path, origin, err := URL(raw)
	if err != nil {
		d.keep(err)
		return Page{}
	}
	if Credentials(raw) {
		d.Note("CREDENTIALS_DROPPED")
	}
	on, port, tls, err := Location(origin)
	parent := d.made(on, err, record.Asset{})
	if on.Kind == record.HostAsset {
		parent = d.Service(on, "", port, record.Asset{Service: &record.ServiceDetail{Name: "http", Tunnel: Tunnel(tls)}})
	}
	d.Asset(record.Asset{AssetRef: url, Parent: parent, URL: detail})
	d.Asset(record.Asset{AssetRef: path, Parent: parent})
	return Page{URL: url, On: on, Port: port, TLS: tls}
}

// Tunnel is how a service says that it speaks TLS.
func Tunnel(tls bool) string {
	if tls {
		return "ssl"
	}
	return ""
}

// Technology adds what runs on a service or answers at a URL. A name that cannot
// be kept costs itself.
func (d *Draft) Technology(subject record.AssetRef, asset record.Asset) {
	if subject.Value == "" {
		return
	}
	ref, err := Technology(subject, asset.Technology.Name)
	if err != nil {
		d.Note("TEXT_UNREADABLE")
		return
	}
	asset.Technology.Name = strings.TrimSpace(asset.Technology.Name)
	slices.Sort(asset.Technology.CPE)
	asset.AssetRef, asset.Parent = ref, subject
	d.Asset(asset)
}

// about is the service, host or domain that a record would have spoken about.
func (d *Draft) about() *record.AssetRef {
	for _, kind := range []record.AssetKind{record.HostAsset, record.DomainAsset} {
		for _, asset := range d.assets {
			if asset.Kind == kind {
				return &asset.AssetRef
			}
		}
	}
	return nil
}

// ranks is the order of assets in a record: whatever is named before who names it.
var ranks = map[record.AssetKind]int{
	record.HostAsset: 0, record.DomainAsset: 0, record.ServiceAsset: 1, record.URLAsset: 2, record.URLPathAsset: 2, record.TechnologyAsset: 3, record.CertificateAsset: 4,
}

func (d *Draft) sighting() record.Sighting {
	slices.SortStableFunc(d.assets, func(a, b record.Asset) int { return cmp.Compare(ranks[a.Kind], ranks[b.Kind]) })
	return record.Sighting{Assets: d.assets, Ties: d.ties, Covers: d.covers}
}

// VersionDetection is the part of a scanner that asks a service what it is.
const VersionDetection = "version-detection"

// Applications are the names of the CPE dictionary that are those of programs,
// not of systems and devices.
func Applications(cpes []string) []string {
	var programs []string
	for _, cpe := range cpes {
		if strings.HasPrefix(cpe, "cpe:/a") || strings.HasPrefix(cpe, "cpe:2.3:a") {
			programs = append(programs, cpe)
		}
	}
	return programs
}

package record

import (
	"net/netip"
	"time"
)

// Sighting is what one record of a scan shows of the outer surface, and what was
// looked at to see it.
type Sighting struct {
	Assets []Asset // an asset stands before those that name it as parent or in a tie
	Ties   []Tie
	Covers []Cover
}

func (Sighting) fact() {}

// AssetKind is what an asset is.
type AssetKind string

// The kinds of assets.
const (
	DomainAsset      AssetKind = "domain"
	HostAsset        AssetKind = "host"
	ServiceAsset     AssetKind = "service"
	URLAsset         AssetKind = "url"
	URLPathAsset     AssetKind = "url_path"
	CertificateAsset AssetKind = "certificate"
	TechnologyAsset  AssetKind = "technology"
	FileAsset        AssetKind = "file" // never from a parser
)

// AssetRef names an asset by its kind and normal value. Package surface makes
// them, and nobody else: two scanners that saw one asset must say one value.
type AssetRef struct {
	Kind  AssetKind
	Value string
}

// Asset is one thing that was seen. Empty details are those that the scan says
// nothing about.
type Asset struct {
	AssetRef
	// Parent follows from the value: of a service its host (or domain), of a url
	// and a url path the service of their own host and port if that host is an
	// address and else the domain, of a technology its service or url. Others
	// have none.
	Parent     AssetRef
	State      PortState // services only
	Confidence int       // percent, 1 to 100; 0: not said
	Plugin     string    // the part of the scanner that saw it; empty: the scanner itself

	// At most one of these, of the asset's kind.
	Host        *HostDetail
	Service     *ServiceDetail
	URL         *URLDetail
	Certificate *CertificateDetail
	Technology  *TechnologyDetail
}

// PortState is how a port answered.
type PortState string

// The states of a port.
const (
	PortOpen     PortState = "open"
	PortClosed   PortState = "closed"
	PortFiltered PortState = "filtered"
	PortUnclear  PortState = "unclear" // the scanner could not tell: open|filtered, unfiltered, unknown
)

// HostDetail is what a scan says of a host.
type HostDetail struct {
	Addresses []string // all but the value, sorted
	MAC       string
	Vendor    string // who made the network card
	OS        string // the best guess
	Reason    string // why the scanner holds that it is up
}

// ServiceDetail is what a scan says of a service.
type ServiceDetail struct {
	Name    string   // http, ssh; empty if nobody said
	Guessed bool     // the name is that of the port number alone: no technology, never a change of one
	Tunnel  string   // ssl, or empty
	Banner  string   // "product version (more)", absent parts left out
	TLS     []string // the protocol versions that it offers, sorted: "TLS 1.2"
}

// URLDetail is what a scan says of a page. Lengths, times and hashes are left
// out: they vary between two looks at the same page.
type URLDetail struct {
	Status      int
	Title       string
	Server      string
	ContentType string
	Method      string
}

// CertificateDetail is what a scan says of a certificate.
type CertificateDetail struct {
	SHA256, SHA1            string    // lower case hex without separators
	Subject, Issuer, Serial string    // as the scanner writes them
	Names                   []string  // subject alternative names, sorted, lower case; the common name is none
	NotBefore, NotAfter     time.Time // zero if not said
	KeyType                 string
	KeyBits                 int
	SignatureAlgorithm      string
}

// TechnologyDetail is what a scan says of a product that runs somewhere.
type TechnologyDetail struct {
	Name, Version string
	CPE           []string // sorted
}

// TieKind is how two assets are tied, besides a part to its parent.
type TieKind string

// The kinds of ties, From -> To.
const (
	Resolves TieKind = "resolves" // domain -> host
	Presents TieKind = "presents" // service -> certificate
)

// Tie is a relation that was seen.
type Tie struct {
	Kind     TieKind
	From, To AssetRef
}

// Cover says what was looked at: what lies in it and was not seen was not there.
// It is of one kind:
//
//   - host: every address from From to To was probed.
//   - service: on each of these addresses every port of Ports was probed.
//   - certificate: the service Subject was asked for its certificate, and answered.
//   - technology: the service or url Subject was asked what it runs.
//   - domain: names at and below Subject were looked for.
//   - url: pages of the origin Subject (scheme://host:port) were looked for.
type Cover struct {
	Of       AssetKind
	From, To netip.Addr
	Protocol Protocol
	Ports    []PortRange
	Answered bool // of services: the host is up, so that what is not open is closed
	Subject  AssetRef
}

// Protocol is what a port is a port of.
type Protocol string

// The protocols. The port of IP is the number of an IP protocol.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
	IP   Protocol = "ip"
)

// PortRange is the ports from First to Last.
type PortRange struct{ First, Last uint16 }

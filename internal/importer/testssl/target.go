package testssl

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// row is one thing that is said of a target.
type row struct {
	at                        record.Position
	id, target, port, finding string
}

// grouper joins the rows that follow each other about one target.
type grouper struct {
	run          *surface.Run
	at           record.Position
	target, port string
	open         bool
	said         map[string]map[string]string // by certificate ("" for all else) and id
	kept         int                          // bytes
}

// certificateInFull is the id of the row that has the certificate itself.
const certificateInFull = "cert"

// versions are the ids of rows that say whether a version is offered.
var versions = map[string]string{"SSLv2": "SSL 2.0", "SSLv3": "SSL 3.0", "TLS1": "TLS 1.0", "TLS1_1": "TLS 1.1", "TLS1_2": "TLS 1.2", "TLS1_3": "TLS 1.3"}

// details are the ids of other rows that are read.
var details = map[string]bool{
	"service": true, "scanProblem": true, certificateInFull: true, "cert_fingerprintSHA256": true, "cert_fingerprintSHA1": true, "cert_commonName": true,
	"cert_caIssuers": true, "cert_subjectAltName": true, "cert_notBefore": true, "cert_notAfter": true, "cert_serialNumber": true, "cert_keySize": true,
	"cert_signatureAlgorithm": true,
}

// take takes in a row. What is not read of it is not held.
func (g *grouper) take(r row) error {
	g.run.Row()
	if r.target == "" || r.target == "/" {
		return nil // about the scan and no target
	}
	if !g.open || r.target != g.target || r.port != g.port {
		if err := g.flush(); err != nil {
			return err
		}
		*g = grouper{run: g.run, at: r.at, target: r.target, port: r.port, open: true, said: map[string]map[string]string{"": {}}, kept: 0}
	}
	id, which, _ := strings.Cut(r.id, " <")
	if versions[id] == "" && !details[id] {
		return nil
	}
	if !strings.HasPrefix(id, certificateInFull) {
		which = ""
	}
	if g.said[which] == nil {
		g.said[which] = map[string]string{}
	}
	if _, double := g.said[which][id]; double {
		return nil
	}
	if g.kept += len(r.id) + len(r.finding); g.kept > maxRow {
		return g.run.Fault("TOO_LARGE", r.at, "What is said of one target is longer than %d bytes.", maxRow)
	}
	g.said[which][id] = r.finding
	return nil
}

// flush hands on a target whose rows are all there.
func (g *grouper) flush() error {
	if !g.open {
		return nil
	}
	g.open = false
	d := g.run.Draft(g.at)
	g.read(d)
	return g.run.Emit(d)
}

// word is the name of a service; other texts say that there is none.
var word = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

func (g *grouper) read(d *surface.Draft) {
	var offered []string
	tried := false
	for id, version := range versions {
		finding, said := g.said[""][id]
		tried = tried || said
		if strings.HasPrefix(finding, "offered") {
			offered = append(offered, version)
		}
	}
	if _, problem := g.said[""]["scanProblem"]; problem && !tried {
		d.Note("TARGET_UNREACHABLE")
		return
	}
	slices.Sort(offered)
	detail := record.ServiceDetail{Tunnel: surface.Tunnel(true), TLS: offered}
	if name := g.said[""]["service"]; word.MatchString(name) {
		detail.Name = strings.ToLower(name)
	}
	on, port := locate(d, g.target)
	if g.port != "" || port == "" {
		port = g.port
	}
	service := d.Service(on, "", d.ParsePort(port), record.Asset{Service: &detail})
	which := make([]string, 0, len(g.said))
	for name := range g.said {
		which = append(which, name)
	}
	slices.Sort(which)
	for _, name := range which {
		if d.Certificate(service, "", certificate(d, g.said[name])) {
			d.Cover(record.CertificateAsset, service)
		}
	}
}

// locate reads a target: "name/address", in former versions "name/address:port".
// Either may be missing, and the name may be the address.
func locate(d *surface.Draft, target string) (on record.AssetRef, port string) {
	name, address, _ := strings.Cut(target, "/")
	var named record.AssetRef
	if name != "" {
		named = d.Place(name)
	}
	if address == "" {
		return named, ""
	}
	if both, err := netip.ParseAddrPort(address); err == nil {
		address, port = both.Addr().String(), strconv.Itoa(int(both.Port()))
	}
	on = d.Host(strings.Trim(address, "[]"), nil)
	if named.Kind == record.DomainAsset {
		d.Tie(record.Resolves, named, on)
	}
	return on, port
}

// key is how the key of a certificate is described.
var key = regexp.MustCompile(`^([A-Za-z0-9]+) (\d{1,6}) bits?`)

// layout is how times are written, in UTC.
const layout = "2006-01-02 15:04"

func certificate(d *surface.Draft, said map[string]string) record.CertificateDetail {
	detail := record.CertificateDetail{
		SHA256: said["cert_fingerprintSHA256"], SHA1: said["cert_fingerprintSHA1"],
		Subject: surface.CommonName(stated(d, said["cert_commonName"])), Issuer: stated(d, said["cert_caIssuers"]),
		Serial: stated(d, said["cert_serialNumber"]), SignatureAlgorithm: stated(d, said["cert_signatureAlgorithm"]),
		NotBefore: d.Detail(said["cert_notBefore"], layout), NotAfter: d.Detail(said["cert_notAfter"], layout),
	}
	if parts := key.FindStringSubmatch(said["cert_keySize"]); parts != nil {
		detail.KeyType = surface.KeyType(parts[1])
		detail.KeyBits, _ = strconv.Atoi(parts[2]) // of at most six digits
	}
	for name := range strings.FieldsSeq(stated(d, said["cert_subjectAltName"])) {
		if _, err := surface.Place(strings.TrimPrefix(name, "*.")); err == nil {
			detail.Names = append(detail.Names, name)
		}
	}
	long, short, ok := surface.PEM(said[certificateInFull])
	if !ok {
		return detail
	}
	for _, pair := range [][2]string{{detail.SHA256, long}, {detail.SHA1, short}} {
		if digest, given := surface.Digest(pair[0]); pair[0] != "" && (!given || digest != pair[1]) {
			d.Note("DIGEST_DIFFERS")
			break
		}
	}
	detail.SHA256, detail.SHA1 = long, short
	return detail
}

// stated is what a finding says, if it says that anything is there and that can
// be kept.
func stated(d *surface.Draft, finding string) string {
	for _, none := range []string{"no ", "missing", "--"} {
		if strings.HasPrefix(finding, none) {
			return ""
		}
	}
	if surface.Unfit(finding) != "" {
		d.Note("TEXT_UNREADABLE")
		return ""
	}
	return finding
}

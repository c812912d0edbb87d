package change_test

import (
	"fmt"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// outside writes what scans leave behind, row by row, as a merge would: what is told
// of it is held here against rows alone.
type outside struct {
	*newsroom
	sources map[string]id.ID
	version int64
	at      time.Time // of what happens now
	scanner string
	last    id.ID // the scan that happens now
}

func newOutside(r *newsroom) *outside {
	r.exec(`INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, $3) ON CONFLICT DO NOTHING`, organization, slug, start)
	return &outside{newsroom: r, sources: map[string]id.ID{}, version: int64(r.number(`SELECT coalesce(max(version), 0) FROM sync`))}
}

// scan is a delivery of a scanner.
func (o *outside) scan(scanner string, after time.Duration) {
	o.t.Helper()
	o.advance(after)
	o.at, o.scanner = o.now(), scanner
	source := id.Source(organization, scanner, "lan")
	o.sources[scanner] = source
	o.version++
	o.last = id.New("scan").Text(fmt.Sprint(o.version)).Short()
	o.exec(`INSERT INTO source (organization_id, id, name, system, format, created_at, scans) VALUES ($1, $2, $3, 'lan', $3, $4, true) ON CONFLICT DO NOTHING`,
		organization, source, scanner, o.at)
	o.exec(`INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest,
			records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings, assets_added, assets_changed, assets_gone)
		VALUES ($1, $2, $3, $4, $5, $5, $5, 'test', 'applied', true, $2, 9, 0, 0, 0, 0, 0, '[]', '[]', 3, 2, 1)`, organization, o.last, source, o.version, o.at)
	o.note("sync")
}

// age is a daily judgement.
func (o *outside) age(after time.Duration) {
	o.t.Helper()
	o.advance(after)
	o.at = o.now()
	o.exec(`INSERT INTO evaluation (organization_id, at, recorded_at, cause, actor, paths_changed, exposures_opened, exposures_resolved, assets_stale)
		VALUES ($1, $2, $2, 'time', 'test', 0, 0, 0, 1)`, organization, o.at)
	o.note("evaluation")
}

func (o *outside) note(cause string) {
	o.exec(`INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at) VALUES ($1, $2, $3, false, 20, $2)`, organization, o.at, cause)
}

// thing is what a test says of an asset.
type thing struct {
	kind       record.AssetKind
	value      string
	parent     id.ID
	root       id.ID
	address    string
	protocol   string
	port       int
	origin     string
	attributes string
	technology string
	confidence int
	plugin     string
	class      int
}

// see is an asset that nobody saw before.
func (o *outside) see(a thing) id.ID {
	o.t.Helper()
	self := id.Asset(organization, string(a.kind), a.value)
	if a.attributes == "" {
		a.attributes = "{}"
	}
	null := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	var parent, root *id.ID
	var state *string
	var port, confidence *int
	switch a.kind {
	case record.HostAsset, record.DomainAsset:
		root = &self
	case record.ServiceAsset:
		state, port = new("open"), &a.port
	}
	if a.parent != id.Nil {
		parent = &a.parent
	}
	if a.root != id.Nil {
		root = &a.root
	}
	if a.confidence > 0 {
		confidence = &a.confidence
	}
	o.exec(`INSERT INTO asset (organization_id, id, kind, value, parent_id, root_id, address, protocol, port, origin, first_seen_at, status, state, attributes, technology,
			confidence, plugin, class, from_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7::inet, $8, $9, $10, $11, 'active', $12, $13, $14, $15, $16, $17, $11)`, organization, self, string(a.kind), a.value, parent, root,
		null(a.address), null(a.protocol), port, null(a.origin), o.at, state, a.attributes, null(a.technology), confidence, null(a.plugin), a.class)
	if a.kind != record.FileAsset {
		o.sight(self)
	}
	return self
}

// sight is that the scanner sees an asset from now on, blind that nobody does.
func (o *outside) sight(asset id.ID) {
	o.exec(`INSERT INTO asset_sighting (organization_id, asset_id, source_id, from_at, stated_at, attributes, digest) VALUES ($1, $2, $3, $4, $4, '{}', $2)`,
		organization, asset, o.sources[o.scanner], o.at)
}

func (o *outside) blind(asset id.ID) {
	o.exec(`UPDATE asset_sighting SET to_at = $2 WHERE asset_id = $1 AND to_at IS NULL`, asset, o.at)
}

// turn has an asset be otherwise from now on.
func (o *outside) turn(asset id.ID, set string) {
	o.t.Helper()
	o.exec(`INSERT INTO asset_version SELECT organization_id, id, version, from_at, $2, status, state, attributes, technology, confidence, plugin, class FROM asset WHERE id = $1`, asset, o.at)
	o.exec(`UPDATE asset SET version = version + 1, from_at = $2, `+set+` WHERE id = $1`, asset, o.at)
}

func (o *outside) cover(covers, low, high, protocol, ports, subject string) {
	o.exec(`INSERT INTO asset_cover (organization_id, source_id, id, covers, low, high, protocol, ports, subject, from_at)
		VALUES ($1, $2, md5($3 || $8)::uuid, $3, nullif($4, '')::inet, nullif($5, '')::inet, nullif($6, ''), nullif($7, '')::int4multirange, nullif($8, ''), $9)`,
		organization, o.sources[o.scanner], covers, low, high, protocol, ports, subject, o.at)
}

func (o *outside) presents(service, certificate id.ID) {
	o.exec(`INSERT INTO asset_tie (organization_id, kind, from_id, to_id, source_id, from_at) VALUES ($1, 'presents', $2, $3, $4, $5)`,
		organization, service, certificate, o.sources[o.scanner], o.at)
}

// collect is that a file is uploaded, of the scan that was last.
func (o *outside) collect(content, name string, after time.Duration) id.ID {
	o.t.Helper()
	o.advance(after)
	o.at = o.now()
	file := o.see(thing{kind: record.FileAsset, value: content, attributes: fmt.Sprintf(`{"name": %q}`, name)})
	o.exec(`INSERT INTO file (organization_id, id, sha256, size, media_type, name, sync_id, actor, at, recorded_at)
		VALUES ($1, $2, sha256(convert_to($3, 'UTF8')), 1234, 'application/pdf', $4, $5, 'ann', $6, $6)`, organization, file, content, name, o.last, o.at)
	o.note("decision")
	return file
}

// sights are what is seen in the tests.
type sights struct {
	host, web, tls, ssh, domain, page, path, certificate, nginx, other, file id.ID
}

// The values of the assets of sights.
const (
	webValue = "10.0.0.5 tcp/80"
	tlsValue = "10.0.0.5 tcp/443"
	sshValue = "10.0.0.5 tcp/22"
	origin   = "http://10.0.0.5:80"
)

// live has the outside go through everything that can be told of it.
func (o *outside) live(after func()) (s sights) {
	o.scan("nmap", time.Hour)
	s.host = o.see(thing{kind: record.HostAsset, value: "10.0.0.5", address: "10.0.0.5", attributes: `{"reason": "echo-reply"}`, class: 1})
	service := func(value string, port int, more thing) id.ID {
		more.kind, more.value, more.parent, more.root, more.address, more.protocol, more.port = record.ServiceAsset, value, s.host, s.host, "10.0.0.5", "tcp", port
		return o.see(more)
	}
	s.web = service(webValue, 80, thing{attributes: `{"name": "http", "guessed": false}`, confidence: 100, plugin: "version-detection", class: 2,
		technology: `[{"name": "http", "service": true}, {"name": "nginx", "version": "1.24"}]`})
	s.tls = service(tlsValue, 443, thing{})
	s.nginx = o.see(thing{kind: record.TechnologyAsset, value: webValue + " nginx", parent: s.web, root: s.host, address: "10.0.0.5", attributes: `{"name": "nginx", "version": "1.24"}`})
	s.domain = o.see(thing{kind: record.DomainAsset, value: "shop.example.com"})
	s.page = o.see(thing{kind: record.URLAsset, value: origin + "/cart?id=1", parent: s.web, root: s.host, address: "10.0.0.5", origin: origin})
	s.path = o.see(thing{kind: record.URLPathAsset, value: origin + "/cart", parent: s.web, root: s.host, address: "10.0.0.5", origin: origin})
	s.certificate = o.see(thing{kind: record.CertificateAsset, value: "90db98", attributes: `{"subject": "CN=shop.example.com", "names": ["shop.example.com"]}`})
	o.presents(s.tls, s.certificate)
	o.cover("host", "10.0.0.0", "10.0.0.255", "", "", "")
	o.cover("service", "10.0.0.5", "10.0.0.5", "tcp", "{[1,1000]}", "")
	after()

	// A port of what was known, one that nobody had looked at, and another product.
	o.scan("nmap", time.Hour)
	s.ssh = service(sshValue, 22, thing{attributes: `{"name": "ssh"}`})
	s.other = service("10.0.0.5 tcp/8443", 8443, thing{technology: `[{"name": "Jetty"}]`})
	o.turn(s.web, `technology = '[{"name": "http", "service": true}, {"name": "NGINX", "version": "1.25"}]', class = 3`)
	o.turn(s.nginx, `attributes = '{"name": "NGINX", "version": "1.25"}'`)
	o.turn(s.tls, `status = 'closed', state = 'filtered'`)
	o.turn(s.certificate, `status = 'closed'`)
	after()

	// What was closed is open, more is known of something, and a scanner says nothing new.
	o.scan("nmap", time.Hour)
	o.turn(s.tls, `status = 'active', state = 'open', attributes = '{"name": "https"}', technology = '[{"name": "https", "service": true}]'`)
	o.turn(s.certificate, `status = 'active'`)
	o.turn(s.other, `technology = '[{"name": "Jetty", "version": "9"}, {"name": "java"}]'`)
	after()
	o.scan("httpx", time.Hour)
	o.turn(s.ssh, `attributes = '{"name": "ssh", "banner": "OpenSSH"}', confidence = 90`)
	after()

	// Nobody sees the host any more, though somebody looks; then it is there again.
	o.scan("nmap", 15*24*time.Hour)
	for _, asset := range []id.ID{s.host, s.web, s.nginx, s.domain, s.page} {
		o.blind(asset)
	}
	after()
	o.age(time.Hour)
	for _, asset := range []id.ID{s.host, s.web, s.domain, s.page} {
		o.turn(asset, `status = 'stale'`)
	}
	after()
	o.scan("nmap", time.Hour)
	for _, asset := range []id.ID{s.host, s.page} {
		o.turn(asset, `status = 'active'`)
		o.sight(asset)
	}
	o.turn(s.web, `status = 'closed', state = 'closed'`)
	after()
	s.file = o.collect("content", "report.pdf", time.Hour)
	after()
	return s
}

package sslyze

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
	return surface.JSON{Prefix: "SSLYZE", Tool: "sslyze", List: "server_scan_results",
		Known: []string{"server_location", "server_info"}, Holder: scan}.Parse(files, options, out, server)
}

// completed is what a scan, or a part of one, is that did all of its work.
const completed = "COMPLETED"

// scan reads when the scan was, and whom it did not reach.
func scan(run *surface.Run, o *eventlog.Object) {
	for _, key := range []string{"date_scans_started", "date_scans_completed"} {
		if text := o.Loose(key); text != "" {
			run.TimeText(text, time.RFC3339Nano, "2006-01-02T15:04:05.999999999")
		}
	}
	for _, key := range []string{"invalid_server_strings", "server_connectivity_errors"} {
		run.Note("TARGET_UNREACHABLE", len(o.Objects(key)))
	}
	run.Note("TEXT_UNREADABLE", o.LeftOut())
}

// server reads one server. Up to version 4 its place and its answers are under
// other keys, and nothing says how far the scan came but that it is there.
func server(d *surface.Draft, o *eventlog.Object) {
	place, answers, former := o, o.Object("scan_result"), false
	if !o.Has("server_location") {
		place, answers, former = o.Object("server_info"), o.Object("scan_commands_results"), true
	}
	if !former && o.Loose("connectivity_status") != completed {
		d.Note("TARGET_UNREACHABLE")
		return
	}
	detail := record.ServiceDetail{Tunnel: surface.Tunnel(true), TLS: versions(answers)}
	if upgraded := place.Object("network_configuration").Loose("tls_opportunistic_encryption"); upgraded != "" {
		detail.Name, detail.Tunnel = strings.ToLower(upgraded), "" // it begins in the clear
	}
	location := place.Object("server_location")
	service := d.Service(locate(d, location), "", d.Port(location, "port"), record.Asset{Service: &detail})

	asked := answers.Object("certificate_info")
	whole := former && !o.Object("scan_commands_errors").Has("certificate_info")
	if !former {
		whole = o.Loose("scan_status") == completed && asked.Loose("status") == completed
		asked = asked.Object("result")
	}
	if presents(d, asked, service) && whole {
		d.Cover(record.CertificateAsset, service)
	}
}

// locate is the host of a server, or the domain where no address is known.
func locate(d *surface.Draft, o *eventlog.Object) record.AssetRef {
	var named record.AssetRef
	if name := o.RequiredKey("hostname"); name != "" {
		named = d.Place(name)
	}
	address := o.Key("ip_address")
	if address == "" {
		return named
	}
	host := d.Host(address, nil)
	if named.Kind == record.DomainAsset {
		d.Tie(record.Resolves, named, host)
	}
	return host
}

// suites are the parts of a scan that try a version, in the order of versions.
var suites = []struct{ key, version string }{
	{"ssl_2_0_cipher_suites", "SSL 2.0"}, {"ssl_3_0_cipher_suites", "SSL 3.0"}, {"tls_1_0_cipher_suites", "TLS 1.0"},
	{"tls_1_1_cipher_suites", "TLS 1.1"}, {"tls_1_2_cipher_suites", "TLS 1.2"}, {"tls_1_3_cipher_suites", "TLS 1.3"},
}

// versions are those that a server speaks.
func versions(answers *eventlog.Object) (offered []string) {
	for _, suite := range suites {
		tried := answers.Object(suite.key)
		if tried.Has("result") {
			tried = tried.Object("result")
		}
		if tried.True("is_tls_version_supported") || !tried.Has("is_tls_version_supported") && len(tried.Objects("accepted_cipher_suites")) > 0 {
			offered = append(offered, suite.version)
		}
	}
	return offered
}

// presents reads the certificates of a server, one for each kind of key, and says
// whether all of them could be read.
func presents(d *surface.Draft, asked *eventlog.Object, service record.AssetRef) bool {
	all := true
	deployments := asked.Objects("certificate_deployments")
	for _, deployment := range deployments {
		chain := deployment.Objects("received_certificate_chain")
		if len(chain) == 0 {
			all = false
			continue
		}
		detail := certificate(d, chain[0])
		all = d.Certificate(service, "certificate_info", detail) && all
	}
	return all && len(deployments) > 0
}

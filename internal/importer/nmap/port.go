package nmap

import (
	"slices"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// states are those that say whether a port is open. The others (open|filtered,
// unfiltered) say that nmap could not tell.
var states = map[string]record.PortState{"open": record.PortOpen, "closed": record.PortClosed, "filtered": record.PortFiltered}

// port reads one port. A port that cannot be read costs the port and not its
// host, whose ports are then not covered. Of a host that nmap gave up nothing is
// covered either.
func (s *scan) port(at record.Position, on record.AssetRef, port *portElement, givenUp bool, seen *sighting) error {
	service, err := s.service(on, port)
	if err != nil {
		return s.reject(at, &on, err)
	}
	state, known := states[port.State.State]
	if !known {
		state = record.PortUnclear
	}
	asset := record.Asset{AssetRef: service, Parent: on, State: state}
	if state == record.PortOpen && port.Service != nil {
		asset.Service, asset.Confidence = s.detail(port.Service), confidence(port.Service)
	}
	if !seen.add(asset) {
		return s.reject(at, &on, &surface.Fault{Code: "DUPLICATE_KEY", Reason: "The port " + service.Value + " is listed twice."})
	}
	if state != record.PortOpen {
		return nil
	}
	if port.Service != nil {
		s.technology(service, port.Service, givenUp, seen)
	}
	for i := range port.Scripts {
		if port.Scripts[i].ID == "ssl-cert" {
			s.certificate(service, &port.Scripts[i], givenUp, seen)
		}
	}
	return nil
}

func (s *scan) service(on record.AssetRef, port *portElement) (record.AssetRef, error) {
	protocol, err := surface.Protocol(port.Protocol)
	if err != nil {
		return record.AssetRef{}, err
	}
	if port.Number == "" {
		return record.AssetRef{}, &surface.Fault{Code: surface.ErrMissing.Code, Reason: "A port has no number."}
	}
	number, err := surface.Port(port.Number)
	if err != nil {
		return record.AssetRef{}, err
	}
	return surface.Service(on, protocol, number)
}

func (s *scan) detail(service *serviceElement) *record.ServiceDetail {
	return &record.ServiceDetail{
		Name: s.warnings.Text(service.Name), Guessed: service.Method != "probed", Tunnel: s.warnings.Text(service.Tunnel),
		Banner: s.warnings.Text(surface.Banner(service.Product, service.Version, service.More)),
	}
}

// confidence is nmap's of 0 to 10 in percent.
func confidence(service *serviceElement) int {
	n, err := strconv.Atoi(service.Confidence)
	if err != nil || n < 0 || n > 10 {
		return 0
	}
	return n * 10
}

// technology reads what a service runs. One that was asked and did not say has
// been looked at all the same.
func (s *scan) technology(on record.AssetRef, service *serviceElement, givenUp bool, seen *sighting) {
	if service.Method == "probed" && !givenUp {
		seen.Covers = append(seen.Covers, record.Cover{Of: record.TechnologyAsset, Subject: on})
	}
	product := s.warnings.Text(strings.TrimSpace(service.Product))
	if product == "" {
		return
	}
	ref, err := surface.Technology(on, product)
	if err != nil { // it is too long beside its service
		s.warnings.Text(service.Product)
		return
	}
	detail := &record.TechnologyDetail{Name: product, Version: s.warnings.Text(service.Version)}
	for _, cpe := range service.CPE {
		if cpe = strings.TrimSpace(cpe); strings.HasPrefix(cpe, "cpe:/a") {
			if cpe = s.warnings.Text(cpe); cpe != "" {
				detail.CPE = append(detail.CPE, cpe)
			}
		}
	}
	slices.Sort(detail.CPE)
	detail.CPE = slices.Compact(detail.CPE)
	seen.add(record.Asset{AssetRef: ref, Parent: on, Confidence: confidence(service), Plugin: "version-detection", Technology: detail})
}

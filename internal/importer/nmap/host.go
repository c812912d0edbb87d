package nmap

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// host reads one host. Of one that is down, or that nobody looked at, nothing is
// there.
func (s *scan) host(at record.Position, host *hostElement) error {
	on, detail, err := s.place(host)
	if err != nil {
		return s.reject(at, nil, err)
	}
	address := surface.Address(on)
	switch host.Status.State {
	case "up":
	case "down":
		s.probed.Add(address)
		return s.emit(record.Record{Position: at, Fact: record.Sighting{}})
	default: // skipped and unknown: nobody looked
		return s.emit(record.Record{Position: at, Fact: record.Sighting{}})
	}
	s.up++
	s.probed.Add(address)
	asset := record.Asset{AssetRef: on}
	if on.Kind == record.HostAsset {
		asset.Host = detail
	} else {
		s.warnings.Say("ADDRESS_IS_NAME", "The address of a host is a name; its services stand on that name.")
	}
	seen := &sighting{Sighting: record.Sighting{Assets: []record.Asset{asset}}, known: map[record.AssetRef]bool{on: true}}
	s.names(host, on, seen)
	for i := range host.Ports {
		if err := s.port(at, on, &host.Ports[i], host.Timedout == "true", seen); err != nil {
			return err
		}
	}
	if host.Timedout != "true" { // else nmap gave up before it had probed them all
		if answers(host) {
			s.answered.Add(address)
		} else {
			s.silent.Add(address)
		}
	}
	return s.emit(record.Record{Position: at, Fact: seen.Sighting})
}

// sighting is what is said of one host, each asset once.
type sighting struct {
	record.Sighting
	known map[record.AssetRef]bool
}

// add adds an asset and says whether it is new.
func (s *sighting) add(a record.Asset) bool {
	if s.known[a.AssetRef] {
		return false
	}
	s.known[a.AssetRef] = true
	s.Assets = append(s.Assets, a)
	return true
}

func (s *sighting) tie(kind record.TieKind, from, to record.AssetRef) {
	tie := record.Tie{Kind: kind, From: from, To: to}
	if !slices.Contains(s.Ties, tie) {
		s.Ties = append(s.Ties, tie)
	}
}

// place is what a host is called: its first IPv4 address, else its first IPv6
// address. The others, and that of its network card, are details.
func (s *scan) place(host *hostElement) (record.AssetRef, *record.HostDetail, error) {
	detail := &record.HostDetail{Reason: s.warnings.Text(host.Status.Reason), OS: s.system(host)}
	var on record.AssetRef
	var others []record.AssetRef
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, address := range host.Addresses {
			if address.Type != family && (address.Type != "" || family != "ipv4") {
				continue
			}
			ref, err := surface.Place(address.Text)
			switch {
			case errors.Is(err, surface.ErrName), errors.Is(err, surface.ErrWildcard):
				return on, nil, &surface.Fault{Code: surface.ErrAddress.Code, Reason: surface.Quote(address.Text) + " is no address."}
			case err != nil:
				return on, nil, err
			}
			if on.Value == "" {
				on = ref
			} else if ref != on {
				others = append(others, ref)
			}
		}
	}
	if on.Value == "" {
		return on, nil, &surface.Fault{Code: surface.ErrMissing.Code, Reason: "The host has no address."}
	}
	for _, other := range others {
		detail.Addresses = append(detail.Addresses, other.Value)
	}
	slices.Sort(detail.Addresses)
	detail.Addresses = slices.Compact(detail.Addresses)
	for _, address := range host.Addresses {
		if address.Type == "mac" && detail.MAC == "" {
			detail.MAC, detail.Vendor = s.warnings.Text(address.Text), s.warnings.Text(address.Vendor)
		}
	}
	return on, detail, nil
}

// system is the best guess of the operating system, the first of equal ones.
func (s *scan) system(host *hostElement) string {
	best, name := -1, ""
	for _, match := range host.Systems {
		if accuracy, err := strconv.Atoi(match.Accuracy); err == nil && accuracy > best {
			best, name = accuracy, match.Name
		}
	}
	return s.warnings.Text(name)
}

// names reads what a host is called. One that is not in the form of a name costs
// the name and not the host.
func (s *scan) names(host *hostElement, on record.AssetRef, seen *sighting) {
	for _, name := range host.Names {
		domain, err := surface.Domain(name.Text)
		if err != nil {
			s.warnings.Add("NAME_UNREADABLE", "name of a host is not in the form of a name and was left out",
				"names of hosts are not in the form of a name and were left out")
			continue
		}
		seen.add(record.Asset{AssetRef: domain, Plugin: s.warnings.Text(strings.ToLower(name.Type))})
		if on.Kind == record.HostAsset {
			seen.tie(record.Resolves, domain, on)
		}
	}
}

// answers says whether a host is there. With -Pn every host is up by the word of
// whoever scanned; one of whose ports none said anything may not exist.
func answers(host *hostElement) bool {
	if host.Status.Reason != "user-set" {
		return true
	}
	for _, port := range host.Ports {
		if said(port.State.State) {
			return true
		}
	}
	for _, extra := range host.Extra {
		if said(extra.State) {
			return true
		}
	}
	return false
}

// said says whether a state is an answer of the port itself.
func said(state string) bool { return state == "open" || state == "closed" }

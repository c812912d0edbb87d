package nmap

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// covers are what the scan looked at. Hosts that were not there are listed only
// if nmap was asked to say more, so what it was told to scan counts too; but not
// where the file lists fewer hosts than were up, for those that it leaves out
// were not gone.
func (s *scan) covers() []record.Cover {
	if up, err := strconv.Atoi(s.statedUp); err == nil && up == s.up {
		addTargets(s.arguments, &s.probed)
	}
	var covers []record.Cover
	each := func(ranges *surface.Ranges, cover record.Cover) {
		_ = ranges.Each(func(from, to netip.Addr) error {
			cover.From, cover.To = from, to
			covers = append(covers, cover)
			return nil
		})
	}
	each(&s.probed, record.Cover{Of: record.HostAsset})
	for _, protocol := range []record.Protocol{record.TCP, record.UDP, record.SCTP, record.IP} {
		ports := slices.Clip(s.protocols[protocol])
		if len(ports) == 0 {
			continue
		}
		each(&s.answered, record.Cover{Of: record.ServiceAsset, Protocol: protocol, Ports: ports, Answered: true})
		each(&s.silent, record.Cover{Of: record.ServiceAsset, Protocol: protocol, Ports: ports})
	}
	return covers
}

package surface

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Host is the asset of an address: its zone is dropped, an IPv4 address in the
// form of an IPv6 one is an IPv4 address.
func Host(address string) (record.AssetRef, error) {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return record.AssetRef{}, fault(ErrAddress.Code, "%s is no address.", Quote(address))
	}
	return HostAt(parsed), nil
}

// HostAt is the asset of an address that was read already.
func HostAt(address netip.Addr) record.AssetRef {
	return record.AssetRef{Kind: record.HostAsset, Value: address.WithZone("").Unmap().String()}
}

// Address is the address of a host's asset; of others it is not valid.
func Address(host record.AssetRef) netip.Addr {
	if host.Kind != record.HostAsset {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(host.Value)
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// Domain is the asset of a name, in lower case and without a final dot. Letters
// outside ASCII stay as they were sent: two spellings of one name are not folded
// here. A name that ends in a number is an address that somebody mistyped.
func Domain(name string) (record.AssetRef, error) {
	if err := unfit(name); err != nil {
		return record.AssetRef{}, err
	}
	if strings.HasPrefix(name, "*.") {
		return record.AssetRef{}, ErrWildcard
	}
	normal := strings.TrimSuffix(lower(name), ".")
	bad := fault(ErrName.Code, "%s is no name of a host.", Quote(name))
	if len(normal) < 1 || len(normal) > 253 {
		return record.AssetRef{}, bad
	}
	last := ""
	for label := range strings.SplitSeq(normal, ".") {
		if len(label) < 1 || len(label) > 63 || strings.ContainsFunc(label, notInName) {
			return record.AssetRef{}, bad
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return record.AssetRef{}, bad
	}
	return record.AssetRef{Kind: record.DomainAsset, Value: normal}, nil
}

// lower folds A to Z only.
func lower(text string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}

// notInName holds for what no label has. Scripts that write vowels as marks need
// those as much as letters.
func notInName(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		return false
	case c <= unicode.MaxASCII:
		return true
	}
	return !unicode.IsLetter(c) && !unicode.IsMark(c) && !unicode.IsDigit(c)
}

// Place is the host of an address, in brackets or not, or else the domain of a
// name. A name needs no dot.
func Place(hostOrName string) (record.AssetRef, error) {
	text := hostOrName
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok {
			return record.AssetRef{}, fault(ErrAddress.Code, "%s is no address.", Quote(hostOrName))
		}
		return Host(inner)
	}
	if host, err := Host(text); err == nil {
		return host, nil
	}
	return Domain(text)
}

// protocols are those that a port can be of.
var protocols = map[record.Protocol]bool{record.TCP: true, record.UDP: true, record.SCTP: true, record.IP: true}

// Protocol reads the name of a protocol, in capitals or not.
func Protocol(name string) (record.Protocol, error) {
	p := record.Protocol(lower(name))
	if !protocols[p] {
		return "", fault(ErrProtocol.Code, "%s is no protocol; known are tcp, udp, sctp and ip.", Quote(name))
	}
	return p, nil
}

// Port reads the number of a port.
func Port(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return 0, fault(ErrPort.Code, "%s is no port; a port is a number from 0 to 65535.", Quote(text))
	}
	return port, nil
}

// Service is the asset of a port of a host, or of a domain whose address is not
// known.
func Service(on record.AssetRef, p record.Protocol, port int) (record.AssetRef, error) {
	switch {
	case on.Value == "" || on.Kind != record.HostAsset && on.Kind != record.DomainAsset:
		return record.AssetRef{}, fault(ErrAddress.Code, "A service is on a host or a domain, not on a %s.", on.Kind)
	case !protocols[p]:
		return record.AssetRef{}, fault(ErrProtocol.Code, "%s is no protocol; known are tcp, udp, sctp and ip.", Quote(string(p)))
	case port < 0 || port > 65535:
		return record.AssetRef{}, fault(ErrPort.Code, "%d is no port; a port is a number from 0 to 65535.", port)
	}
	return record.AssetRef{Kind: record.ServiceAsset, Value: on.Value + " " + string(p) + "/" + strconv.Itoa(port)}, nil
}

// Technology is the asset of a product that a service or url runs.
func Technology(subject record.AssetRef, name string) (record.AssetRef, error) {
	if subject.Value == "" || subject.Kind != record.ServiceAsset && subject.Kind != record.URLAsset {
		return record.AssetRef{}, fault(ErrMissing.Code, "A technology is that of a service or a url, not of a %s.", subject.Kind)
	}
	if err := unfit(name); err != nil {
		return record.AssetRef{}, err
	}
	if name = strings.TrimSpace(name); name == "" {
		return record.AssetRef{}, fault(ErrMissing.Code, "A technology has no name.")
	}
	value := subject.Value + " " + strings.ToLower(name)
	if err := unfit(value); err != nil {
		return record.AssetRef{}, err
	}
	return record.AssetRef{Kind: record.TechnologyAsset, Value: value}, nil
}

package surface

import (
	"strconv"
	"strings"
)

// wildcard begins a name that stands for any one label before it.
const wildcard = "*."

// Endpoint is the normal form of where a workload answers: that of the address
// or the name which a scan would see, or of a name behind "*.".
func Endpoint(place string) (string, error) {
	name, wild := strings.CutPrefix(place, wildcard)
	if wild {
		domain, err := Domain(name)
		if err != nil {
			return "", err
		}
		return wildcard + domain.Value, nil
	}
	ref, err := Place(place)
	return ref.Value, err
}

// EndpointAt is Endpoint of a place that may have a port after it. An address
// with colons of its own stands in brackets then.
func EndpointAt(text string) (place string, port int, err error) {
	end := strings.LastIndexByte(text, ':')
	if end < 0 || strings.Contains(text[:end], ":") && !strings.HasSuffix(text[:end], "]") || strings.HasSuffix(text, "]") {
		place, err = Endpoint(text)
		return place, 0, err
	}
	if place, err = Endpoint(text[:end]); err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text[end+1:])
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fault(ErrPort.Code, "%s is no port; here a port is a number from 1 to 65535.", Quote(text[end+1:]))
	}
	return place, port, nil
}

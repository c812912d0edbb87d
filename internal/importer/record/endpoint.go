package record

// EndpointKind says how it is known that a workload answers somewhere.
type EndpointKind string

// The kinds of endpoints.
const (
	MappedEndpoint   EndpointKind = "mapping"  // a person wrote it down
	IngressEndpoint  EndpointKind = "ingress"  // requests for a name are routed to it
	HostnameEndpoint EndpointKind = "hostname" // a name is its own
	AddressEndpoint  EndpointKind = "address"  // an address is its own
)

// Endpoint asserts that a workload answers at an address or a name. It ties the
// workload to what scanners see there; by itself it opens no way to anything.
type Endpoint struct {
	Workload Ref
	Kind     EndpointKind
	Value    string // an address, a name, or "*." and a name for any one label before it
	Port     int    // 0: not said
}

func (Endpoint) fact() {}

package kubernetes

import (
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// service gives pods places to answer at.
type service struct {
	object
	selector map[string]string
	places   []place // given from outside
	ports    []int
}

// ingress leads requests for hosts to services.
type ingress struct {
	object
	routes []route
	places []place // of the ingress itself, as its status says
}

// route is one way of an ingress to a service of its namespace.
type route struct {
	host    string // empty: whatever host is asked for
	service string
}

// place is an address or a name from outside.
type place struct {
	kind  record.EndpointKind
	value string
}

// webPorts are those that an ingress answers on.
var webPorts = []int{80, 443}

func readService(o *object, root yamldoc.Value) *service {
	s := &service{object: *o}
	spec := root.Get("spec")
	s.selector = spec.Get("selector").TextMap()
	for _, item := range spec.Get("externalIPs").Items() {
		s.places = append(s.places, readPlace(item)...)
	}
	if spec.Get("type").Text() == "LoadBalancer" {
		s.places = append(s.places, readPlace(spec.Get("loadBalancerIP"))...)
		s.places = append(s.places, readBalancer(root)...)
	}
	for _, item := range spec.Get("ports").Items() {
		port := item.Get("port")
		number := port.Int()
		switch {
		case number == nil:
		case *number < 1 || *number > 65535:
			port.Fail("is no port; a port is a number from 1 to 65535")
		default:
			s.ports = append(s.ports, *number)
		}
	}
	return s
}

func readIngress(o *object, root yamldoc.Value) *ingress {
	i := &ingress{object: *o, places: readBalancer(root)}
	spec := root.Get("spec")
	add := func(host string, backend yamldoc.Value) {
		name := backend.Get("service").Get("name").Text()
		if name == "" {
			name = backend.Get("serviceName").Text() // the form it had in the beta versions
		}
		if name != "" {
			i.routes = append(i.routes, route{host: host, service: name})
		}
	}
	add("", spec.Get("defaultBackend"))
	add("", spec.Get("backend"))
	for _, rule := range spec.Get("rules").Items() {
		host := readHost(rule.Get("host"))
		for _, path := range rule.Get("http").Get("paths").Items() {
			add(host, path.Get("backend"))
		}
	}
	return i
}

// readBalancer reads what a load balancer was given, as the status of an exported
// object says.
func readBalancer(root yamldoc.Value) (places []place) {
	for _, item := range root.Get("status").Get("loadBalancer").Get("ingress").Items() {
		places = append(places, readPlace(item.Get("ip"))...)
		places = append(places, readPlace(item.Get("hostname"))...)
	}
	return places
}

func readPlace(item yamldoc.Value) []place {
	value := readHost(item)
	if value == "" {
		return nil
	}
	if _, err := surface.Host(value); err != nil {
		return []place{{record.HostnameEndpoint, value}}
	}
	return []place{{record.AddressEndpoint, value}}
}

func readHost(item yamldoc.Value) string {
	if item.Text() == "" {
		return ""
	}
	value, err := surface.Endpoint(item.Text())
	if err != nil {
		item.Fail("%s is no address and no name of a host", quoted(item.Text()))
	}
	return value
}

// emitEndpoints says where workloads answer, each place once, as the first object
// that leads there says it.
func (r *resolution) emitEndpoints() error {
	e := endpoints{resolution: r, said: map[record.Endpoint]bool{}, labelled: map[labelled][]*workload{}}
	for _, w := range r.set.workloads {
		for key, value := range w.podLabels {
			at := labelled{w.namespace, key, value}
			e.labelled[at] = append(e.labelled[at], w)
		}
	}
	for _, s := range r.set.services {
		if err := e.emit(s.at, s, "", s.places, s.ports); err != nil {
			return err
		}
	}
	for _, i := range r.set.ingresses {
		for _, way := range i.routes {
			to, places, ports := r.set.servicesByID[i.namespace+"/"+way.service], i.places, webPorts
			if way.host != "" {
				places, ports = []place{{value: way.host}}, []int{0}
			}
			if err := e.emit(i.at, to, record.IngressEndpoint, places, ports); err != nil {
				return err
			}
		}
	}
	return nil
}

// endpoints are said while they are found.
type endpoints struct {
	*resolution
	said     map[record.Endpoint]bool
	labelled map[labelled][]*workload
}

// labelled is a label of pods in a namespace.
type labelled struct{ namespace, key, value string }

// emit says that what a service selects answers at places on ports. An empty kind
// is that of each place.
func (e *endpoints) emit(at record.Position, to *service, kind record.EndpointKind, places []place, ports []int) error {
	if to == nil || len(places) == 0 || len(ports) == 0 {
		return nil
	}
	for _, w := range e.selected(to) {
		for _, p := range places {
			for _, port := range ports {
				endpoint := record.Endpoint{Workload: *w.ref(), Kind: kind, Value: p.value, Port: port}
				if kind == "" {
					endpoint.Kind = p.kind
				}
				if e.said[endpoint] {
					continue
				}
				if e.said[endpoint] = true; len(e.said) > maxEdges {
					return problem.New(problem.Invalid, codePrefix+"_TOO_LARGE",
						"The workloads of this input answer at more than %d places.", maxEdges).At(at.File, at.Line)
				}
				if err := e.say(at, endpoint); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// selected are the workloads whose pods have every label of a service's selector,
// looked for among those with the label that the fewest have.
func (e *endpoints) selected(s *service) (found []*workload) {
	var fewest []*workload
	first := true
	for key, value := range s.selector {
		if have := e.labelled[labelled{s.namespace, key, value}]; first || len(have) < len(fewest) {
			fewest, first = have, false
		}
	}
	for _, w := range fewest {
		if selects(s.selector, w.podLabels) {
			found = append(found, w)
		}
	}
	return found
}

// selects says whether labels have all that a selector asks for.
func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

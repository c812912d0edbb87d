package authority

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// What each kind of record has to say to be staged, and what is then said.

// about is whom a rejected record speaks about. It is a copy, so that a record which
// is not rejected stays on the stack.
func about(ref record.Ref) *record.Ref { return &ref }

// maxActions bounds the actions of one edge.
const maxActions = 1024

var entityKinds = []record.EntityKind{record.Workload, record.Identity, record.Resource, record.Role, record.Owner}

func (s *stage) entity(at record.Position, e record.Entity) error {
	if !slices.Contains(entityKinds, e.Kind) || e.SourceID == "" {
		return s.reject(at, nil, "INVALID_REFERENCE", "an entity needs a kind (workload, identity, resource, role, owner) and an id")
	}
	if bad := badKey(e.SourceID, e.System, e.Name); bad != "" {
		return s.reject(at, nil, "INVALID_TEXT", "%s %q has an id, a system or a name that %s", e.Kind, clean(e.SourceID), bad)
	}
	texts := []string{e.SourceID, s.systemOf(e.Ref), e.Name, e.Environment, e.OwnerTeam, e.BusinessTier, e.ArtifactIdentifier, e.SourceType,
		e.DataDomain, e.Sensitivity, e.Title}
	if len(e.Labels) > 0 {
		for _, key := range slices.Sorted(maps.Keys(e.Labels)) {
			texts = append(texts, key, e.Labels[key])
		}
	}
	if bad := badText(texts...); bad != "" {
		return s.reject(at, about(e.Ref), "INVALID_TEXT", "%s %q has text that %s", e.Kind, clean(e.SourceID), bad)
	}
	for _, moment := range []time.Time{e.LastActiveAt, e.CreatedAt} {
		if s.future(moment) {
			return s.reject(at, about(e.Ref), "TIME_IN_FUTURE", "%s %q names the time %s, which is in the future", e.Kind, e.SourceID, moment.Format(time.RFC3339))
		}
	}
	basis := e.Basis
	if basis == 0 {
		basis = record.Inventory
	}
	var labels any
	if len(e.Labels) > 0 {
		bytes, err := json.Marshal(e.Labels) // sorts its keys
		if err != nil {
			return fmt.Errorf("labels of %s: %w", e.SourceID, err)
		}
		labels = json.RawMessage(bytes)
	}
	entity := s.entityID(e.Ref)
	digest := s.said.Restart("assertion/1").ID(entity).Text(string(byte('0' + basis)))
	digest.Text(string(e.Status)).Text(string(e.ExecutionMode)).Text(string(e.OwnerType))
	digest.Text(stamp(e.LastActiveAt)).Text(stamp(e.CreatedAt)).Texts(texts)
	sum := digest.Short()
	s.digest.add(sum)

	var sensitivity any
	if e.Sensitivity != "" {
		sensitivity = int16(ParseSensitivity(e.Sensitivity))
	}
	domain := ""
	if e.DataDomain != "" {
		domain = CanonicalDomain(e.DataDomain)
	}
	return s.put(entityTable, at, entity, int16(basis), sum, string(e.Kind), s.systemOf(e.Ref), e.SourceID,
		stated(e.Name), stated(string(e.Status)), stated(e.Environment), stated(e.OwnerTeam), stated(e.BusinessTier),
		stated(string(e.ExecutionMode)), stated(e.ArtifactIdentifier), stated(e.SourceType), stated(domain), stated(e.DataDomain),
		sensitivity, stated(e.Sensitivity), stated(string(e.OwnerType)), stated(e.Title), moment(e.LastActiveAt), moment(e.CreatedAt), labels)
}

// edgeEnds are the kinds of entities that an edge may tie.
var edgeEnds = map[record.EdgeKind][2][]record.EntityKind{
	record.RunsAs:        {{record.Workload}, {record.Identity}},
	record.HasRole:       {{record.Identity}, {record.Role}},
	record.Grants:        {{record.Role}, {record.Resource}},
	record.OwnedBy:       {{record.Workload, record.Identity, record.Resource}, {record.Owner}},
	record.CreatedBy:     {{record.Workload, record.Identity}, {record.Owner, record.Identity}},
	record.Authenticates: {{record.Workload, record.Identity}, {record.Identity}},
	record.Declares:      {{record.Workload}, {record.Resource}},
}

func (s *stage) edge(at record.Position, e record.Edge) error {
	ends, known := edgeEnds[e.Kind]
	if !known {
		return s.reject(at, about(e.From), "UNKNOWN_KIND", "there is no edge of kind %q", e.Kind)
	}
	if !slices.Contains(ends[0], e.From.Kind) || !slices.Contains(ends[1], e.To.Kind) || e.From.SourceID == "" || e.To.SourceID == "" {
		return s.reject(at, about(e.From), "INVALID_REFERENCE", "an edge %s cannot tie %s %q to %s %q", e.Kind, e.From.Kind, clean(e.From.SourceID), e.To.Kind, clean(e.To.SourceID))
	}
	if bad := cmp.Or(badKey(e.From.SourceID, e.From.System, e.To.SourceID, e.To.System, e.Scope, e.Protocol, e.TargetSystem), badKey(e.Actions...)); bad != "" {
		return s.reject(at, about(e.From), "INVALID_TEXT", "an edge %s has text that %s", e.Kind, bad)
	}
	scoped := e.Kind == record.HasRole || e.Kind == record.Grants
	if scoped == (e.Scope == "") {
		return s.reject(at, about(e.From), "INVALID_SCOPE", "an edge %s %s a scope; write \"*\" for everywhere", e.Kind, map[bool]string{true: "needs", false: "has no place for"}[scoped])
	}
	actions := ordered(e.Actions)
	if e.Kind == record.Grants && len(actions) == 0 || len(actions) > maxActions {
		return s.reject(at, about(e.From), "INVALID_ACTIONS", "an edge %s takes 1 to %d actions, not %d", e.Kind, maxActions, len(actions))
	}
	from, to := s.entityID(e.From), s.entityID(e.To)
	effective := "effective"
	if e.Ineffective {
		effective = "ineffective"
	}
	s.digest.add(s.said.Restart("edge/1").Text(string(e.Kind)).ID(from).Text(e.Scope).ID(to).Text(effective).Text(e.Protocol).Text(e.TargetSystem).Texts(actions).Short())
	return s.put(edgeTable, at, string(e.Kind), from, e.Scope, to, actions, !e.Ineffective, e.Protocol, e.TargetSystem)
}

// ordered gives a list in its order, each once, and never nil. Most lists stand in
// it, and are not made again.
func ordered(list []string) []string {
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			return slices.Compact(slices.Sorted(slices.Values(list)))
		}
	}
	if list == nil {
		return []string{}
	}
	return list
}

func (s *stage) egress(at record.Position, e record.Egress) error {
	if e.Workload.Kind != record.Workload || e.Workload.SourceID == "" || e.Host == "" {
		return s.reject(at, nil, "INVALID_REFERENCE", "egress needs a workload and a host")
	}
	if e.Category != record.EgressInternal && e.Category != record.EgressExternal && e.Category != record.EgressLLM {
		return s.reject(at, about(e.Workload), "INVALID_VALUE", "egress of %q has category %q; it is internal, external or llm", e.Workload.SourceID, clean(string(e.Category)))
	}
	if bad := badKey(e.Workload.SourceID, e.Workload.System, e.Host); bad != "" {
		return s.reject(at, about(e.Workload), "INVALID_TEXT", "egress has text that %s", bad)
	}
	workload := s.entityID(e.Workload)
	s.digest.add(s.said.Restart("egress/1").ID(workload).Text(e.Host).Text(string(e.Category)).Short())
	return s.put(egressTable, at, workload, e.Host, string(e.Category))
}

var endpointKinds = []record.EndpointKind{record.MappedEndpoint, record.IngressEndpoint, record.HostnameEndpoint, record.AddressEndpoint}

func (s *stage) endpoint(at record.Position, e record.Endpoint) error {
	if e.Workload.Kind != record.Workload || e.Workload.SourceID == "" || badKey(e.Workload.SourceID, e.Workload.System) != "" {
		return s.reject(at, nil, "INVALID_REFERENCE", "an endpoint needs a workload")
	}
	if !slices.Contains(endpointKinds, e.Kind) {
		return s.reject(at, about(e.Workload), "INVALID_VALUE", "an endpoint of %q is of kind %q; it is mapping, ingress, hostname or address", e.Workload.SourceID, clean(string(e.Kind)))
	}
	value, err := surface.Endpoint(e.Value)
	if err != nil {
		return s.reject(at, about(e.Workload), "INVALID_VALUE", "an endpoint of %q is no address and no name of a host: %s", e.Workload.SourceID, clean(err.Error()))
	}
	if e.Port < 0 || e.Port > 65535 {
		return s.reject(at, about(e.Workload), "INVALID_VALUE", "an endpoint of %q has port %d; a port is a number from 1 to 65535", e.Workload.SourceID, e.Port)
	}
	workload := s.entityID(e.Workload)
	s.digest.add(s.said.Restart("endpoint/1").ID(workload).Text(string(e.Kind)).Text(value).Text(strconv.Itoa(e.Port)).Short())
	return s.put(endpointTable, at, workload, string(e.Kind), value, int32(e.Port)) //nolint:gosec // below 65536
}

func (s *stage) evidence(at record.Position, e record.Evidence) error {
	var ids [3]id.ID
	kinds := [3]record.EntityKind{record.Workload, record.Identity, record.Resource}
	var of *record.Ref
	for i, ref := range []*record.Ref{e.Workload, e.Identity, e.Resource} {
		if ref == nil {
			continue
		}
		if ref.Kind != kinds[i] || ref.SourceID == "" || badKey(ref.SourceID, ref.System, e.Action) != "" {
			return s.reject(at, of, "INVALID_REFERENCE", "evidence names %s %q where a %s stands", ref.Kind, clean(ref.SourceID), kinds[i])
		}
		ids[i] = s.entityID(*ref)
		if of == nil {
			of = ref
		}
	}
	var basis string
	switch {
	case e.Resource != nil && (e.Workload != nil || e.Identity != nil):
		basis = "path"
	case e.Resource == nil && e.Workload != nil:
		basis = "workload"
	case e.Resource == nil && e.Identity != nil:
		basis = "identity"
	default:
		return s.reject(at, nil, "INVALID_REFERENCE", "evidence needs a workload or an identity")
	}
	switch {
	case e.Count <= 0:
		return s.reject(at, of, "INVALID_VALUE", "evidence counts %d executions; a day without any is left out", e.Count)
	case e.Day.IsZero():
		return s.reject(at, of, "INVALID_VALUE", "evidence needs a day")
	case s.future(e.Day), s.future(e.LastAt):
		return s.reject(at, of, "TIME_IN_FUTURE", "evidence of %s is in the future", e.Day.Format(time.DateOnly))
	}
	related := "direct"
	if e.Related {
		related = "related"
	}
	s.digest.add(s.said.Restart("evidence/1").ID(ids[0]).ID(ids[1]).ID(ids[2]).Text(e.Action).Text(e.Day.Format(time.DateOnly)).Text(related).Text(strconv.Itoa(e.Count)).Text(stamp(e.LastAt)).Short())
	return s.put(evidenceTable, at, ids[0], ids[1], ids[2], e.Action, db.Day(e.Day), e.Related, basis, int64(e.Count), moment(e.LastAt))
}

var evidenceKinds = []record.EvidenceKind{record.Ownership, record.Execution, record.EgressObs, record.Binding, record.Roles}

func (s *stage) coverage(at record.Position, c record.Coverage) error {
	if !slices.Contains(evidenceKinds, c.Kind) {
		return s.reject(at, c.Entity, "INVALID_VALUE", "there is no coverage of %q", clean(string(c.Kind)))
	}
	if !c.From.IsZero() && !c.To.IsZero() && c.To.Before(c.From) {
		return s.reject(at, c.Entity, "INVALID_VALUE", "the coverage window ends before it begins")
	}
	if s.future(c.From) || s.future(c.To) {
		return s.reject(at, c.Entity, "TIME_IN_FUTURE", "the coverage window lies in the future")
	}
	entity, system := id.Nil, s.system
	if c.Entity != nil {
		if c.Entity.SourceID == "" || badKey(c.Entity.SourceID, c.Entity.System) != "" {
			return s.reject(at, nil, "INVALID_REFERENCE", "coverage names an entity without a readable id")
		}
		entity, system = s.entityID(*c.Entity), s.systemOf(*c.Entity)
	}
	complete := "complete"
	if c.Partial {
		complete = "partial"
	}
	s.digest.add(s.said.Restart("coverage/1").Text(string(c.Kind)).ID(entity).Text(system).Text(complete).Text(stamp(c.From)).Text(stamp(c.To)).Text(c.MaxAge.String()).Short())
	var maxAge any
	if c.MaxAge > 0 {
		maxAge = c.MaxAge
	}
	return s.put(coverageTable, at, string(c.Kind), entity, system, !c.Partial, moment(c.From), moment(c.To), maxAge)
}

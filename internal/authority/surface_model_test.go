package authority_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// The model of the outer surface, as far as paths depend on it: what is there, and
// which workload it leads to. What an asset is besides, the model of package asset
// knows. Links are found anew after every step, of all endpoints and all assets.

// outside is what scanners have shown so far.
type outside struct {
	things map[record.AssetRef]*thing
	names  map[naming]bool // that stand
	looks  []look
	links  map[leading][]link
}

// thing is an asset.
type thing struct {
	chronicle[thingState]
	record.AssetRef
	root record.AssetRef // the host or domain that it is on
	port int             // 0: it has none
	by   map[*voice]bool // who shows it
	seen time.Time       // by anybody, last
	is   string          // active, closed or stale by now
}

type thingState struct {
	Status  string
	Classes string // of the workloads that it leads to, as together writes them
}

// together writes classes in one form. Workloads without attributes have none.
func together(classes iter.Seq[class]) string {
	var words []string
	for c := range classes {
		if c != (class{}) {
			words = append(words, fmt.Sprintf("%q", c))
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// naming is a scanner's word that a name leads to a host.
type naming struct {
	by   *voice
	name record.AssetRef
	host record.AssetRef
}

// look is where a delivery looked.
type look struct {
	at     time.Time
	covers []record.Cover
}

// leading is what may be linked, and by what.
type leading struct {
	Asset    record.AssetRef
	Workload record.Ref
	Basis    record.EndpointKind
}

type link struct {
	From, To time.Time
	Detail   string
}

// What a source says besides the statements of voice_model_test.go.
type (
	endpointKey struct {
		Workload record.Ref
		Kind     record.EndpointKind
		Value    string
		Port     int
	}
	sightingKey string
)

func newOutside() *outside {
	return &outside{things: map[record.AssetRef]*thing{}, names: map[naming]bool{}, links: map[leading][]link{}}
}

func newThing(ref record.AssetRef) *thing {
	t := &thing{AssetRef: ref, root: ref, by: map[*voice]bool{}}
	switch ref.Kind {
	case record.ServiceAsset:
		on, port, _ := strings.Cut(ref.Value, " tcp/")
		t.root = surfacetest.Host(on)
		for _, digit := range port {
			t.port = t.port*10 + int(digit-'0')
		}
	case record.URLAsset, record.URLPathAsset:
		t.root, t.port = record.AssetRef{Kind: record.DomainAsset, Value: shopName}, 443
	}
	return t
}

// in says whether a look at a cover would have found a thing.
func (t *thing) in(c record.Cover) bool {
	among := func() bool {
		address := netip.MustParseAddr(t.root.Value)
		return c.From.Compare(address) <= 0 && address.Compare(c.To) <= 0
	}
	switch t.Kind {
	case record.HostAsset:
		return c.Of == record.HostAsset && among()
	case record.ServiceAsset:
		return c.Of == record.ServiceAsset && among() && slices.ContainsFunc(c.Ports, func(p record.PortRange) bool { return int(p.First) <= t.port && t.port <= int(p.Last) })
	case record.DomainAsset:
		return c.Of == record.DomainAsset
	}
	return c.Of == record.URLAsset
}

// scan makes what a scanner shows its word, and says whether that is another one.
func (w *world) scan(v *voice, d told, at time.Time) (changed bool) {
	o := w.outside
	shown, named, covers := map[record.AssetRef]bool{}, map[naming]bool{}, map[string]record.Cover{}
	for _, l := range d.lines {
		s := l.fact.(record.Sighting)
		for _, a := range s.Assets {
			shown[a.AssetRef] = true
		}
		for _, tie := range s.Ties {
			named[naming{v, tie.From, tie.To}] = true
		}
		for _, c := range s.Covers {
			if !d.partial {
				covers[text(c)] = c
			}
		}
	}
	for ref := range shown {
		if o.things[ref] == nil {
			o.things[ref] = newThing(ref)
		}
		t := o.things[ref]
		changed = changed || !t.by[v]
		t.by[v], t.seen = true, at
	}
	for ref, t := range o.things {
		if t.by[v] && !shown[ref] {
			delete(t.by, v)
			changed = true
		}
	}
	for n := range o.names {
		moved := slices.ContainsFunc(slices.Collect(maps.Keys(named)), func(other naming) bool { return other.name == n.name })
		if n.by == v && !named[n] && moved {
			delete(o.names, n)
			changed = true
		}
	}
	for n := range named {
		changed = changed || !o.names[n]
		o.names[n] = true
	}
	said := joined(keysOf(covers))
	changed = changed || v.looked != said
	v.looked = said
	o.looks = append(o.looks, look{at, slices.Collect(maps.Values(covers))})

	next := map[record.AssetRef]string{}
	for ref := range shown {
		next[ref] = "active"
	}
	for ref, t := range o.things {
		probed := slices.ContainsFunc(slices.Collect(maps.Values(covers)), t.in)
		if ref.Kind == record.ServiceAsset && !shown[ref] && probed && t.is != "closed" {
			next[ref] = "closed"
			changed = true
		}
	}
	o.become(next)
	return changed
}

// become says what things are from now on. Who showed what is gone, and what it was
// tied to, is told otherwise.
func (o *outside) become(status map[record.AssetRef]string) {
	for ref, is := range status {
		t := o.things[ref]
		t.is = is
		if is == "active" {
			continue
		}
		clear(t.by)
		maps.DeleteFunc(o.names, func(n naming, _ bool) bool { return n.name == ref || n.host == ref })
	}
}

// age finds what was looked for and not seen in a long time.
func (o *outside) age(at time.Time) int {
	old, next := map[record.AssetRef]*thing{}, map[record.AssetRef]string{}
	for ref, t := range o.things {
		if after := asset.DefaultThresholds()[ref.Kind]; t.is == "active" && !t.seen.Add(after).After(at) {
			old[ref] = t
		}
	}
	for ref, t := range old {
		for _, l := range o.looks {
			if l.at.After(t.seen) && slices.ContainsFunc(l.covers, t.in) {
				next[ref] = "stale"
			}
		}
	}
	for ref, t := range old {
		if t.root != ref && (next[t.root] == "stale" || o.things[t.root].is == "stale") {
			next[ref] = "stale"
		}
	}
	o.become(next)
	return len(next)
}

// leads says whether an endpoint leads to an asset.
func (o *outside) leads(e endpointKey, t *thing) bool {
	means := func(root record.AssetRef) bool {
		if below, wild := strings.CutPrefix(e.Value, "*."); wild {
			_, rest, _ := strings.Cut(root.Value, ".")
			return root.Kind == record.DomainAsset && rest == below
		}
		return root.Value == e.Value
	}
	open := func(webOnly bool) bool {
		web := t.port == 80 || t.port == 443
		return t.port == 0 || t.port == e.Port || e.Port == 0 && (web || !webOnly)
	}
	if means(t.root) && open(e.Kind == record.IngressEndpoint) {
		return true
	}
	for n := range o.names {
		if n.host == t.root && means(n.name) && open(e.Kind == record.IngressEndpoint || e.Kind == record.HostnameEndpoint) {
			return true
		}
	}
	return false
}

// link finds what leads where, and who may see it for that.
func (w *world) link(at time.Time) {
	o := w.outside
	next, classes := map[leading]string{}, map[record.AssetRef]map[class]bool{}
	all(w, func(_ *voice, e endpointKey, _ bool) {
		for ref, t := range o.things {
			if !w.alive(e.Workload) || !o.leads(e, t) {
				continue
			}
			key := leading{ref, e.Workload, e.Kind}
			if detail, is := next[key]; !is || e.Value < detail {
				next[key] = e.Value
			}
			if classes[ref] == nil {
				classes[ref] = map[class]bool{}
			}
			classes[ref][w.entities[e.Workload].now().Class] = true
		}
	})
	for key, list := range o.links {
		if last := latest(list); last.To.IsZero() && last.Detail != next[key] {
			last.To = at
		}
	}
	for key, detail := range next {
		if list := o.links[key]; len(list) == 0 || !latest(list).To.IsZero() {
			o.links[key] = append(list, link{From: at, Detail: detail})
		}
	}
	for ref, t := range o.things {
		t.write(at, 0, thingState{t.is, together(maps.Keys(classes[ref]))})
	}
}

// facing is what is there and leads to a workload.
func (w *world) facing(r record.Ref) map[record.AssetRef]bool {
	found := map[record.AssetRef]bool{}
	for key, list := range w.outside.links {
		page := key.Asset.Kind == record.ServiceAsset || key.Asset.Kind == record.URLAsset
		if key.Workload == r && page && latest(list).To.IsZero() && w.outside.things[key.Asset].is == "active" {
			found[key.Asset] = true
		}
	}
	return found
}

// judgeFacing judges whether a workload answers from outside. It no longer does because
// one of the places where it did is gone, or else because nothing leads there.
func (w *world) judgeFacing(r record.Ref, before memory) finding {
	f := finding{rule: rule.InternetFacing, outcome: rule.False, reason: rule.LinkRemoved, memory: memory{assets: w.facing(r)}}
	if len(f.memory.assets) > 0 {
		f.outcome = rule.True
	}
	for ref := range before.assets {
		if w.outside.things[ref].is != "active" {
			f.reason = rule.AssetGone
		}
	}
	return f
}

func keysOf[V any](of map[string]V) map[string]bool {
	keys := map[string]bool{}
	for key := range of {
		keys[key] = true
	}
	return keys
}

func text(of any) string {
	form, err := json.Marshal(of)
	if err != nil {
		panic(err)
	}
	return string(form)
}

// Comparison -------------------------------------------------------------------

func (h *theatre) compareSurface(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		Kind, Value string
		Version     int
		From        time.Time
		To          *time.Time
		Status      string
		Class       int
	}
	standing := map[int]string{0: ""}
	for number, c := range classes {
		standing[number] = together(slices.Values([]class{c}))
	}
	type set struct {
		Class   int
		Members []int
	}
	for _, s := range rowsOf[set](t, h, `SELECT class, members FROM access_class_set WHERE organization_id = $1`) {
		require.NotContains(t, standing, s.Class, "a number is given once")
		var members []class
		for _, member := range s.Members {
			require.Contains(t, classes, member)
			members = append(members, classes[member])
		}
		standing[s.Class] = together(slices.Values(members))
	}
	found, ends := map[record.AssetRef][]version[thingState]{}, map[record.AssetRef]*time.Time{}
	for _, r := range rowsOf[row](t, h, `
		SELECT kind, value, version, from_at, NULL::timestamptz AS to_at, status, class FROM asset WHERE organization_id = $1
		UNION ALL
		SELECT a.kind, a.value, v.version, v.from_at, v.to_at, v.status, v.class
		FROM asset_version v JOIN asset a ON a.organization_id = $1 AND a.id = v.id WHERE v.organization_id = $1
		ORDER BY 1, 2, 3`) {
		ref := record.AssetRef{Kind: record.AssetKind(r.Kind), Value: r.Value}
		checkInterval(t, ref, r.Version, len(found[ref])+1, r.From, ends[ref])
		require.Contains(t, standing, r.Class)
		found[ref], ends[ref] = append(found[ref], version[thingState]{From: r.From.UTC(), State: thingState{r.Status, standing[r.Class]}}), r.To
	}
	expected := map[record.AssetRef]*chronicle[thingState]{}
	for ref, thing := range h.world.outside.things {
		expected[ref] = &thing.chronicle
	}
	equalChronicles(t, "versions", expected, found)
	checkEnds(t, ends)

	type linked struct {
		Kind, Value   string
		Workload      id.ID
		Basis, Detail string
		From          time.Time
		To            *time.Time
	}
	links := map[leading][]link{}
	for _, r := range rowsOf[linked](t, h, `
		SELECT a.kind, a.value, l.workload_id, l.basis, l.detail, l.from_at, l.to_at
		FROM asset_link l JOIN asset a ON a.organization_id = $1 AND a.id = l.asset_id
		WHERE l.organization_id = $1 ORDER BY l.from_at`) {
		key := leading{record.AssetRef{Kind: record.AssetKind(r.Kind), Value: r.Value}, refs[r.Workload], record.EndpointKind(r.Basis)}
		links[key] = append(links[key], link{r.From.UTC(), utc(r.To), r.Detail})
	}
	equalRows(t, "links", h.world.outside.links, links)
}

// Deliveries -------------------------------------------------------------------

// The universe is tiny, so that endpoints and what scanners see meet.
const (
	shopName = "shop.example.com"
	shopPage = "https://shop.example.com/cart"
)

var addresses = []string{"203.0.113.7", "203.0.113.8"}

func drawEndpoint(t *rapid.T, workload record.Ref) record.Endpoint {
	e := record.Endpoint{Workload: workload, Kind: one(t, "basis", record.IngressEndpoint, record.HostnameEndpoint, record.AddressEndpoint, record.MappedEndpoint),
		Port: one(t, "port", 0, 0, 443, 8443)}
	e.Value = one(t, "at", shopName, "*.example.com", addresses[1])
	if e.Kind == record.AddressEndpoint {
		e.Value = rapid.SampledFrom(addresses).Draw(t, "address")
	}
	return e
}

// drawSights is what a scanner shows: hosts with some ports, a name and a page of it,
// and where it looked.
func drawSights(t *rapid.T) []line {
	whole := &surfacetest.Shown{}
	for _, address := range addresses {
		if ports := one(t, "ports", []int{443}, nil, []int{443, 8443}, []int{8443}, []int{}); ports != nil {
			up := surfacetest.Up(address, ports...)
			whole.Assets = append(whole.Assets, up.Assets...)
		}
	}
	if address := one(t, "named", addresses[0], "", addresses[1]); address != "" {
		whole.Resolves(shopName, address)
	}
	if one(t, "page", false, false, true) {
		whole.Page(shopPage)
	}
	if one(t, "looked", true, true, false) {
		whole.Probed(addresses[0], addresses[1], 1, one(t, "until", uint16(9000), 9000, 1000))
	}
	if one(t, "asked", true, false) {
		_, _, origin, err := surface.URL(shopPage)
		require.NoError(t, err)
		whole.Asked(record.DomainAsset, surfacetest.Must(surface.Domain("example.com"))).Asked(record.URLAsset, origin)
	}
	return sights(whole)
}

func sights(shown ...*surfacetest.Shown) (lines []line) {
	for i, s := range shown {
		lines = append(lines, line{number: i + 1, fact: s.Sighting})
	}
	return lines
}

// behold makes a delivery of a scanner of a move.
func (h *theatre) behold(s move, before []told) told {
	d := told{voice: firstScanner + s.voice%scanners, partial: s.partial, observedAt: h.now.Add(s.pause), lines: s.sights}
	for _, earlier := range slices.Backward(before) {
		if repeats := s.mode == restore || s.mode == later; repeats && earlier.voice == d.voice {
			d.lines = earlier.lines
			break
		}
	}
	return d
}

// fade lets a scanner see all there is, and then find the ports closed, or nobody for
// so long that it is stale. Where nobody looks it never is.
func (h *theatre) fade(t checker, how int, seen *tally) []told {
	all := surfacetest.Up(addresses[0], 443).Resolves(shopName, addresses[0])
	all.Assets = append(all.Assets, surfacetest.Up(addresses[1], 443).Assets...)
	then := surfacetest.Up(addresses[0]).Probed(addresses[0], addresses[1], 1, 1000)
	if how%3 > 0 {
		then.Assets = nil
		then.Covers = then.Covers[:how%3-1] // of hosts alone, or none
	}
	made := []told{
		{voice: firstScanner, observedAt: h.now.Add(time.Hour), lines: sights(all)},
		{voice: firstScanner, observedAt: h.now.Add(40 * day24), lines: sights(then)},
	}
	for _, d := range made {
		seen.note(h.world, h.deliver(t, d))
	}
	if how%3 > 0 {
		seen.judged(h.world, h.reevaluate(t, authority.ByTime, nil).At)
	}
	return made
}

// Of the voices, those that scan.
const (
	firstScanner = 3
	scanners     = 2
)

package asset_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// The reference model: what ADR 21 and 22 say, as loops over everything that was
// ever said. Nothing in it is compared with what was before, and nothing is saved.

// outside is the outer surface of an organization, as the model has it.
type outside struct {
	things   map[record.AssetRef]*thing
	ties     map[heldTie][]*span
	looks    []look
	speeches map[string][]time.Time // when each source delivered
}

type heldTie struct {
	source string
	record.Tie
}

// span is an interval; without an end it lasts.
type span struct{ from, to time.Time }

func (s span) open() bool { return s.to.IsZero() }

// thing is an asset.
type thing struct {
	record.Asset
	first     time.Time
	now       condition
	past      []condition
	sightings map[string][]*said // by source, in their order
}

// condition is what may change about an asset.
type condition struct {
	From, To                              time.Time
	Status, State, Attributes, Technology string
	Plugin                                string
	Confidence                            int
}

// said is a sighting.
type said struct {
	span
	stated     time.Time
	attributes map[string]any
	confidence int
	plugin     string
}

// look is where a delivery looked.
type look struct {
	source  string
	at      time.Time
	covers  []record.Cover
	doubted []record.AssetRef // hosts and domains that it does not cover after all
}

// told is a delivery.
type told struct {
	source   string
	records  []record.Sighting
	partial  bool
	blind    bool              // a rejected record did not say whom it was about
	rejected []record.AssetRef // whom the others were about
}

func newOutside() *outside {
	return &outside{things: map[record.AssetRef]*thing{}, ties: map[heldTie][]*span{}, speeches: map[string][]time.Time{}}
}

// said gives the words of a record about an asset.
func wordsOf(a record.Asset) map[string]any {
	words := map[string]any{}
	put := func(key, value string) {
		if value != "" {
			words[key] = value
		}
	}
	if d := a.Host; d != nil {
		put("vendor", d.Vendor)
	}
	if d := a.Service; d != nil {
		put("name", d.Name)
		if d.Name != "" {
			words["guessed"] = d.Guessed
		}
	}
	if d := a.URL; d != nil && d.Status != 0 {
		words["status"] = float64(d.Status)
	}
	if d := a.Certificate; d != nil {
		put("sha256", d.SHA256)
		put("sha1", d.SHA1)
	}
	if d := a.Technology; d != nil {
		put("name", d.Name)
		put("version", d.Version)
	}
	return words
}

func sureness(confidence int) int {
	if confidence == 0 {
		return 50
	}
	return confidence
}

// gather is what a delivery shows: each asset once, and the ports that are not open.
func gather(d told) (seen map[record.AssetRef]*said, assets map[record.AssetRef]record.Asset, shown map[record.AssetRef]record.PortState, ties map[record.Tie]bool) {
	seen, assets, shown, ties = map[record.AssetRef]*said{}, map[record.AssetRef]record.Asset{}, map[record.AssetRef]record.PortState{}, map[record.Tie]bool{}
	all := map[record.AssetRef][]record.Asset{}
	for _, r := range d.records {
		there := map[record.AssetRef]bool{}
		for _, a := range r.Assets {
			if a.Parent.Value != "" && !there[a.Parent] {
				continue
			}
			there[a.AssetRef] = a.State == "" || a.State == record.PortOpen
			all[a.AssetRef] = append(all[a.AssetRef], a)
		}
		for _, tie := range r.Ties {
			if there[tie.From] && there[tie.To] {
				ties[tie] = true
			}
		}
	}
	ranks := []record.PortState{"", record.PortOpen, record.PortUnclear, record.PortFiltered, record.PortClosed}
	for ref, list := range all {
		best := slices.Clone(list)
		sort.SliceStable(best, func(i, j int) bool {
			x, y := slices.Index(ranks, best[i].State), slices.Index(ranks, best[j].State)
			return x < y || x == y && sureness(best[i].Confidence) > sureness(best[j].Confidence)
		})
		if best[0].State != "" && best[0].State != record.PortOpen {
			shown[ref] = best[0].State
			continue
		}
		words := map[string]any{}
		bySureness := slices.Clone(list)
		sort.SliceStable(bySureness, func(i, j int) bool { return sureness(bySureness[i].Confidence) > sureness(bySureness[j].Confidence) })
		for _, a := range bySureness {
			for key, value := range wordsOf(a) {
				if _, has := words[key]; !has {
					words[key] = value
				}
			}
		}
		assets[ref] = best[0]
		seen[ref] = &said{attributes: words, confidence: best[0].Confidence, plugin: best[0].Plugin}
	}
	return seen, assets, shown, ties
}

func text(words map[string]any) string {
	form, err := json.Marshal(words)
	if err != nil {
		panic(err)
	}
	return string(form)
}

func (s *said) same(o *said) bool {
	return text(s.attributes) == text(o.attributes) && s.confidence == o.confidence && s.plugin == o.plugin
}

// latest is the last thing that a source said of an asset.
func (t *thing) latest(source string) *said {
	list := t.sightings[source]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

func (t *thing) anybody() bool {
	for source := range t.sightings {
		if t.latest(source).open() {
			return true
		}
	}
	return false
}

// hostOf is the address or name that an asset is on.
func hostOf(ref record.AssetRef) string {
	value := strings.TrimPrefix(strings.TrimPrefix(ref.Value, "http://"), "https://")
	value, _, _ = strings.Cut(value, " ")
	value, _, _ = strings.Cut(value, "/")
	value, _, _ = strings.Cut(value, ":")
	return value
}

func originOf(ref record.AssetRef) string {
	parts := strings.SplitN(ref.Value, "/", 4)
	return strings.Join(parts[:3], "/")
}

// has says whether a look was where an asset would have been; sure also that what
// was not seen there is not there.
func (l look) has(t *thing, of record.AssetKind, parents []record.AssetRef) (has, sure bool) {
	for _, c := range l.covers {
		if c.Of != of || slices.ContainsFunc(l.doubted, func(d record.AssetRef) bool {
			return hostOf(t.AssetRef) == d.Value || c.Subject.Value != "" && (hostOf(c.Subject) == d.Value || c.Of == record.DomainAsset && strings.HasSuffix(d.Value, "."+c.Subject.Value))
		}) {
			continue
		}
		var in bool
		switch c.Of {
		case record.HostAsset, record.ServiceAsset:
			address, err := netip.ParseAddr(hostOf(t.AssetRef))
			in = err == nil && c.From.Compare(address) <= 0 && address.Compare(c.To) <= 0
			if c.Of == record.ServiceAsset {
				in = in && slices.ContainsFunc(c.Ports, func(p record.PortRange) bool { return within(t.AssetRef, p) })
			}
		case record.DomainAsset:
			in = t.Value == c.Subject.Value || strings.HasSuffix(t.Value, "."+c.Subject.Value)
		case record.URLAsset:
			in = originOf(t.AssetRef) == c.Subject.Value
		default:
			in = slices.Contains(parents, c.Subject)
		}
		has, sure = has || in, sure || in && c.Answered
	}
	return has, sure
}

func within(service record.AssetRef, ports record.PortRange) bool {
	_, port, _ := strings.Cut(service.Value, " tcp/")
	number := 0
	for _, digit := range port {
		number = number*10 + int(digit-'0')
	}
	return int(ports.First) <= number && number <= int(ports.Last)
}

// deliver makes a scan its source's word, at an instant.
func (w *outside) deliver(d told, at time.Time) {
	w.speeches[d.source] = append(w.speeches[d.source], at)
	seen, assets, shown, ties := gather(d)
	l := look{source: d.source, at: at, doubted: d.rejected}
	if !d.partial && !d.blind {
		for _, r := range d.records {
			l.covers = append(l.covers, r.Covers...)
		}
	}
	w.looks = append(w.looks, l)

	for ref, a := range assets {
		if w.things[ref] == nil {
			w.things[ref] = &thing{Asset: a, first: at, sightings: map[string][]*said{}}
		}
	}
	for ref, t := range w.things {
		last, now := t.latest(d.source), seen[ref]
		if last != nil && last.open() && (now == nil || !last.same(now)) {
			last.to = at
		}
		if now == nil || last != nil && last.open() {
			continue
		}
		now.from, now.stated = at, at
		if last != nil && last.same(now) {
			now.stated = last.stated
		}
		t.sightings[d.source] = append(t.sightings[d.source], now)
	}
	ended := w.tie(d.source, at, ties, l)
	gone := map[record.AssetRef]condition{}
	w.close(d.source, l, seen, shown, ended, gone)
	w.settle(at, seen, gone)
}

// tie renews the ties of a source, and says which certificates lost one.
func (w *outside) tie(source string, at time.Time, ties map[record.Tie]bool, l look) (ended map[record.AssetRef]bool) {
	ended = map[record.AssetRef]bool{}
	resolved := map[record.AssetRef]bool{}
	for tie := range ties {
		resolved[tie.From] = resolved[tie.From] || tie.Kind == record.Resolves
		key := heldTie{source, tie}
		if list := w.ties[key]; len(list) == 0 || !list[len(list)-1].open() {
			w.ties[key] = append(list, &span{from: at})
		}
	}
	for key, list := range w.ties {
		last := list[len(list)-1]
		if key.source != source || ties[key.Tie] || !last.open() {
			continue
		}
		again := resolved[key.From]
		if key.Kind == record.Presents {
			again, _ = l.has(w.things[key.To], record.CertificateAsset, []record.AssetRef{key.From})
		}
		if again {
			last.to = at
			ended[key.To] = ended[key.To] || key.Kind == record.Presents
		}
	}
	return ended
}

// presenting are the services that present a certificate as somebody sees it now, or
// ever did.
func (w *outside) presenting(certificate record.AssetRef, ever bool) (services []record.AssetRef) {
	for key, list := range w.ties {
		if key.Kind == record.Presents && key.To == certificate && (ever || list[len(list)-1].open()) {
			services = append(services, key.From)
		}
	}
	return services
}

// close finds what a delivery takes away.
func (w *outside) close(source string, l look, seen map[record.AssetRef]*said, shown map[record.AssetRef]record.PortState, ended map[record.AssetRef]bool, gone map[record.AssetRef]condition) {
	for ref, t := range w.things {
		if t.now.Status == "closed" || seen[ref] != nil {
			continue
		}
		switch ref.Kind {
		case record.ServiceAsset:
			state := shown[ref]
			if _, sure := l.has(t, record.ServiceAsset, nil); sure && state == "" {
				state = record.PortClosed
			}
			if state != "" && state != record.PortUnclear {
				gone[ref] = condition{Status: "closed", State: string(state)}
			}
		case record.TechnologyAsset:
			if asked, _ := l.has(t, record.TechnologyAsset, []record.AssetRef{t.Parent}); asked && t.latest(source) != nil && !t.anybody() {
				gone[ref] = condition{Status: "closed"}
			}
		case record.CertificateAsset:
			if ended[ref] && len(w.presenting(ref, false)) == 0 && !t.anybody() {
				gone[ref] = condition{Status: "closed"}
			}
		}
	}
	for range 3 { // parts of parts
		for ref, t := range w.things {
			if _, below := gone[t.Parent]; below && t.Parent.Value != "" && t.now.Status != "closed" && (t.Parent.Kind == record.ServiceAsset || t.Parent.Kind == record.URLAsset) {
				if _, already := gone[ref]; !already {
					gone[ref] = condition{Status: "closed"}
				}
			}
		}
	}
	for ref, t := range w.things {
		if ref.Kind != record.CertificateAsset || t.now.Status == "closed" || seen[ref] != nil {
			continue
		}
		services := w.presenting(ref, false)
		if len(services) > 0 && !slices.ContainsFunc(services, func(s record.AssetRef) bool { _, closed := gone[s]; return !closed }) {
			gone[ref] = condition{Status: "closed"}
		}
	}
}

// settle ends what is said of what is gone, and says anew what every asset is.
func (w *outside) settle(at time.Time, seen map[record.AssetRef]*said, gone map[record.AssetRef]condition) {
	for key, list := range w.ties {
		last := list[len(list)-1]
		_, from := gone[key.From]
		_, to := gone[key.To]
		if (from || to) && last.open() {
			last.to = at
		}
	}
	next := map[record.AssetRef]condition{}
	for ref, t := range w.things {
		c := w.words(t)
		c.Status, c.State = t.now.Status, t.now.State
		if seen[ref] != nil {
			c.Status, c.State = "active", string(t.State)
		}
		if g, is := gone[ref]; is {
			c.Status, c.State = g.Status, g.State
			for source := range t.sightings {
				if last := t.latest(source); last.open() {
					last.to = at
				}
			}
		}
		next[ref] = c
	}
	for ref, t := range w.things {
		c := next[ref]
		c.Technology = w.technology(ref, next)
		c.From, c.To = t.now.From, t.now.To
		if c == t.now {
			continue
		}
		if t.first.Before(at) {
			old := t.now
			old.To = at
			t.past = append(t.past, old)
		}
		c.From = at
		t.now = c
	}
}

// words are what all sources together say of an asset.
func (w *outside) words(t *thing) condition {
	sources := slices.Collect(maps.Keys(t.sightings))
	sort.Slice(sources, func(i, j int) bool {
		x, y := t.latest(sources[i]), t.latest(sources[j])
		if sureness(x.confidence) != sureness(y.confidence) {
			return sureness(x.confidence) > sureness(y.confidence)
		}
		if !x.stated.Equal(y.stated) {
			return x.stated.After(y.stated)
		}
		return sourceID(sources[i]) < sourceID(sources[j])
	})
	words := map[string]any{}
	for _, source := range sources {
		for key, value := range t.latest(source).attributes {
			if _, has := words[key]; !has {
				words[key] = value
			}
		}
	}
	first := t.latest(sources[0])
	return condition{Attributes: text(words), Confidence: first.confidence, Plugin: first.plugin}
}

// technology is what a service or a page runs.
func (w *outside) technology(ref record.AssetRef, next map[record.AssetRef]condition) string {
	if ref.Kind != record.ServiceAsset && ref.Kind != record.URLAsset {
		return ""
	}
	var list []string
	parts := slices.Collect(maps.Keys(w.things))
	slices.SortFunc(parts, func(a, b record.AssetRef) int { return strings.Compare(a.Value, b.Value) })
	words := func(ref record.AssetRef) (words map[string]any) {
		if err := json.Unmarshal([]byte(next[ref].Attributes), &words); err != nil {
			panic(err)
		}
		return words
	}
	for _, part := range parts {
		if part.Kind == record.TechnologyAsset && w.things[part].Parent == ref && next[part].Status != "closed" {
			list = append(list, text(words(part)))
		}
	}
	if own := words(ref); ref.Kind == record.ServiceAsset && own["name"] != nil && own["guessed"] == false {
		list = append(list, text(map[string]any{"name": own["name"], "service": true}))
	}
	if len(list) == 0 {
		return ""
	}
	return "[" + strings.Join(list, ",") + "]"
}

// lastSeen is when an asset was last in what somebody delivered.
func (w *outside) lastSeen(t *thing) (last time.Time) {
	for source, list := range t.sightings {
		for _, s := range list {
			for _, at := range w.speeches[source] {
				if !at.Before(s.from) && (s.open() || at.Before(s.to)) && at.After(last) {
					last = at
				}
			}
		}
	}
	return last
}

// age finds what is stale at an instant, and says how many assets are.
func (w *outside) age(at time.Time, thresholds asset.Thresholds) int {
	gone := map[record.AssetRef]condition{}
	old := map[record.AssetRef]*thing{}
	for ref, t := range w.things {
		after, ages := thresholds[ref.Kind]
		if t.now.Status == "active" && ages && !w.lastSeen(t).Add(after).After(at) {
			old[ref] = t
		}
	}
	stale := func(ref record.AssetRef) bool {
		_, now := gone[ref]
		return now || w.things[ref] != nil && w.things[ref].now.Status == "stale"
	}
	for ref, t := range old {
		of, parents := ref.Kind, []record.AssetRef{t.Parent}
		switch ref.Kind {
		case record.URLPathAsset:
			of = record.URLAsset
		case record.CertificateAsset:
			parents = w.presenting(ref, true)
		}
		for _, l := range w.looks {
			if looked, _ := l.has(t, of, parents); looked && l.at.After(w.lastSeen(t)) {
				gone[ref] = condition{Status: "stale", State: t.now.State}
			}
		}
	}
	for ref, t := range old {
		root := record.AssetRef{Kind: record.HostAsset, Value: hostOf(ref)}
		if w.things[root] == nil {
			root.Kind = record.DomainAsset
		}
		if root != ref && ref.Kind != record.CertificateAsset && stale(root) {
			gone[ref] = condition{Status: "stale", State: t.now.State}
		}
	}
	for ref := range old {
		presented := w.presenting(ref, false)
		if ref.Kind == record.CertificateAsset && slices.ContainsFunc(w.presenting(ref, true), stale) &&
			!slices.ContainsFunc(presented, func(s record.AssetRef) bool { _, is := gone[s]; return !is }) {
			gone[ref] = condition{Status: "stale"}
		}
	}
	w.settle(at, nil, gone)
	return len(gone)
}

// sourceID is how sources are told apart that are as sure and as new.
func sourceID(name string) string {
	return id.Source(id.Organization("acme"), name, "nmap").String()
}

package invariant

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// unsaid is how sure a source is that does not say.
const unsaid = 50

// voice is the last word of a source on an asset.
type voice struct {
	source     id.ID
	stated     int64 // microseconds
	confidence *int16
	plugin     *string
	attributes map[string]json.RawMessage
}

func (v voice) sure() int16 {
	if v.confidence == nil {
		return unsaid
	}
	return *v.confidence
}

// witnessed is what the sightings of an asset come to.
type witnessed struct {
	first  int64 // microseconds
	open   bool  // a source sees it now
	voices []voice
}

// thing is what others need of an asset.
type thing struct {
	kind, status, value string
	parent, root        *id.ID
	attributes          map[string]json.RawMessage
	technology          []product
	class               int32
	first               time.Time
}

// product is one of the technologies of a service or a page.
type product struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Service bool   `json:"service"`
}

type assetRow struct {
	ID          id.ID
	Kind        string
	Value       string
	ParentID    *id.ID
	RootID      *id.ID
	FirstSeenAt time.Time
	Status      string
	State       *string
	Attributes  string
	Technology  []product
	Confidence  *int16
	Plugin      *string
	Class       int32
	Version     int32
	FromAt      time.Time
}

// outside is everything that is known of the outer surface.
type outside struct {
	world  *world
	result *Result
	seen   map[id.ID]*witnessed
	spans  map[id.ID]span
	things map[id.ID]thing
	names  map[id.ID][]id.ID // that resolve to a host now
}

// checkAssets holds assets against what sources said of them.
func (w *world) checkAssets(ctx context.Context) error {
	o := &outside{world: w, result: w.report.of(Assets), seen: map[id.ID]*witnessed{}, spans: map[id.ID]span{}, things: map[id.ID]thing{}, names: map[id.ID][]id.ID{}}
	for _, step := range []func(context.Context) error{o.readSightings, o.readVersions, o.readAssets, o.readTies} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	o.checkPlaces()
	o.checkTechnology()
	return o.checkLinks(ctx)
}

// readSightings gathers what each source last said of each asset.
func (o *outside) readSightings(ctx context.Context) error {
	type row struct {
		AssetID, SourceID id.ID
		FromAt            time.Time
		ToAt              *time.Time
		StatedAt          time.Time
		Attributes        string
		Confidence        *int16
		Plugin            *string
	}
	var last *row
	return walk(ctx, o.world.reader, "asset_sightings", nil,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"asset_id": r.AssetID, "source_id": r.SourceID, "from_at": r.FromAt}
		},
		func(r *row) {
			o.result.Compared++
			subject := func() string { return fmt.Sprintf("sighting of %s by %s", r.AssetID, r.SourceID) }
			again := last != nil && last.AssetID == r.AssetID && last.SourceID == r.SourceID
			if again {
				o.follow(subject, last.ToAt, r.FromAt)
			}
			o.interval(subject, r.FromAt, r.ToAt)
			if r.StatedAt.After(r.FromAt) {
				o.result.found(subject(), "it is stated since later than it is said", instant(r.FromAt.UnixMicro()), instant(r.StatedAt.UnixMicro()))
			}
			s := o.seen[r.AssetID]
			if s == nil {
				s = &witnessed{first: r.FromAt.UnixMicro()}
				o.seen[r.AssetID] = s
			}
			s.first, s.open = min(s.first, r.FromAt.UnixMicro()), s.open || r.ToAt == nil
			if again {
				s.voices = s.voices[:len(s.voices)-1] // a source's last word counts
			}
			s.voices = append(s.voices, voice{r.SourceID, r.StatedAt.UnixMicro(), r.Confidence, r.Plugin, o.fields(subject, r.Attributes)})
			last = r
		})
}

// follow holds the beginning of an interval against the end of the one before.
func (o *outside) follow(subject func() string, ended *time.Time, from time.Time) {
	switch {
	case ended == nil:
		o.result.found(subject(), "an interval follows one that is open", "", instant(from.UnixMicro()))
	case from.Before(*ended):
		o.result.found(subject(), "two of its intervals overlap", "from "+instant(ended.UnixMicro())+" on", instant(from.UnixMicro()))
	}
}

// interval holds an interval against the clock.
func (o *outside) interval(subject func() string, from time.Time, to *time.Time) {
	late := func(at time.Time) bool {
		return o.world.history.Clock == nil || at.After(*o.world.history.Clock)
	}
	switch {
	case to != nil && !from.Before(*to):
		o.result.found(subject(), "it ends before it begins", "", instant(to.UnixMicro()))
	case late(from) || to != nil && late(*to):
		o.result.found(subject(), "it is dated later than anything that happened", "", instant(from.UnixMicro()))
	}
}

func (o *outside) fields(subject func() string, text string) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		o.result.found(subject(), "its attributes cannot be read", "", text)
	}
	return fields
}

func assetName(of id.ID) string { return fmt.Sprintf("asset %s", of) }

func (o *outside) readVersions(ctx context.Context) error {
	type row struct {
		ID           id.ID
		Version      int32
		FromAt, ToAt time.Time
	}
	return walk(ctx, o.world.reader, "asset_versions", nil,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID, "version": r.Version} },
		func(r *row) {
			fold(o.result, o.spans, r.ID, func() string { return assetName(r.ID) }, r.Version, r.FromAt, r.ToAt)
		})
}

func (o *outside) readAssets(ctx context.Context) error {
	err := walk(ctx, o.world.reader, "assets", nil,
		func(r *assetRow) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID} },
		func(r *assetRow) {
			o.result.Compared++
			subject := func() string { return fmt.Sprintf("%s %s (%s)", r.Kind, r.Value, r.ID) }
			closeSpan(o.result, o.spans, r.ID, subject, r.Version, r.FirstSeenAt, r.FromAt)
			o.interval(subject, r.FromAt, nil)
			attributes := o.fields(subject, r.Attributes)
			if r.Kind != "file" { // nobody sees one: a person brought it
				o.checkWitnessed(subject, r, attributes)
			}
			o.things[r.ID] = thing{r.Kind, r.Status, r.Value, r.ParentID, r.RootID, attributes, r.Technology, r.Class, r.FirstSeenAt}
		})
	if err != nil {
		return err
	}
	orphans(o.result, o.spans, assetName)
	strangers := map[id.ID]bool{}
	for of := range o.seen {
		if _, there := o.things[of]; !there {
			strangers[of] = true
		}
	}
	for _, of := range sortedIDs(strangers) {
		o.result.found(assetName(of), "it is seen and does not exist", "", "")
	}
	return nil
}

func sortedIDs[V any](set map[id.ID]V) []id.ID {
	list := make([]id.ID, 0, len(set))
	for of := range set {
		list = append(list, of)
	}
	slices.SortFunc(list, func(a, b id.ID) int { return bytes.Compare(a[:], b[:]) })
	return list
}

// checkWitnessed holds an asset against what its sources say.
func (o *outside) checkWitnessed(subject func() string, r *assetRow, attributes map[string]json.RawMessage) {
	s := o.seen[r.ID]
	if s == nil {
		o.result.found(subject(), "nobody ever saw it", "", "")
		return
	}
	differ(o.result, subject(), "when it was first seen", instant(s.first), instant(r.FirstSeenAt.UnixMicro()))
	if r.Status != "active" && s.open {
		o.result.found(subject(), "it is "+r.Status+", and a source sees it", "", "")
	}
	if r.Kind == "service" && (r.Status == "active") != (r.State != nil && *r.State == "open") && r.Status != "stale" {
		o.result.found(subject(), "its port is not as its status says", r.Status, said(r.State))
	}
	voices := slices.SortedFunc(slices.Values(s.voices), func(a, b voice) int {
		return cmp.Or(cmp.Compare(b.sure(), a.sure()), cmp.Compare(b.stated, a.stated), bytes.Compare(a.source[:], b.source[:]))
	})
	want := map[string]json.RawMessage{}
	for _, v := range slices.Backward(voices) { // who is heard first writes last
		for name, value := range v.attributes {
			want[name] = value
		}
	}
	differ(o.result, subject(), "what is known of it", written(want), written(attributes))
	differ(o.result, subject(), "how sure that is", said(voices[0].confidence), said(r.Confidence))
	differ(o.result, subject(), "which part of a scanner saw it", said(voices[0].plugin), said(r.Plugin))
}

func said[T any](value *T) string {
	if value == nil {
		return "null"
	}
	return fmt.Sprint(*value)
}

// written are fields in one form.
func written(fields map[string]json.RawMessage) string {
	words := make([]string, 0, len(fields))
	for name, value := range fields {
		words = append(words, name+"="+string(value))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// readTies holds the intervals of ties against each other and their ends.
func (o *outside) readTies(ctx context.Context) error {
	type row struct {
		Kind                   string
		FromID, ToID, SourceID id.ID
		FromAt                 time.Time
		ToAt                   *time.Time
	}
	ends := map[string][2]string{"resolves": {"domain", "host"}, "presents": {"service", "certificate"}}
	var last *row
	return walk(ctx, o.world.reader, "asset_ties", nil,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"kind": r.Kind, "from_id": r.FromID, "to_id": r.ToID, "source_id": r.SourceID, "from_at": r.FromAt}
		},
		func(r *row) {
			o.result.Compared++
			subject := func() string { return fmt.Sprintf("%s %s %s by %s", r.FromID, r.Kind, r.ToID, r.SourceID) }
			if last != nil && last.Kind == r.Kind && last.FromID == r.FromID && last.ToID == r.ToID && last.SourceID == r.SourceID {
				o.follow(subject, last.ToAt, r.FromAt)
			}
			o.interval(subject, r.FromAt, r.ToAt)
			if want, have := ends[r.Kind], [2]string{o.things[r.FromID].kind, o.things[r.ToID].kind}; want != have {
				o.result.found(subject(), "it joins what it cannot", strings.Join(want[:], " to "), strings.Join(have[:], " to "))
			}
			if r.Kind == "resolves" && r.ToAt == nil {
				o.names[r.ToID] = append(o.names[r.ToID], r.FromID)
			}
			last = r
		})
}

// parentKinds are what an asset of a kind can be on. Others are on nothing.
var parentKinds = map[string][]string{
	"service": {"host", "domain"}, "url": {"service", "domain"}, "url_path": {"service", "domain"}, "technology": {"service", "url"},
}

// checkPlaces holds what assets are on against those.
func (o *outside) checkPlaces() {
	for of, t := range o.things {
		subject := func() string { return fmt.Sprintf("%s %s (%s)", t.kind, t.value, of) }
		root := t.root
		switch {
		case t.kind == "host" || t.kind == "domain":
			if root = &of; t.parent != nil {
				o.result.found(subject(), "it is on something", "null", t.parent.String())
			}
		case parentKinds[t.kind] == nil:
			if root = nil; t.parent != nil {
				o.result.found(subject(), "it is on something", "null", t.parent.String())
			}
		case t.parent == nil || !slices.Contains(parentKinds[t.kind], o.things[*t.parent].kind):
			o.result.found(subject(), "it is on what it cannot be on", strings.Join(parentKinds[t.kind], " or "), said(t.parent))
		default:
			root = o.things[*t.parent].root
		}
		if said(root) != said(t.root) {
			o.result.found(subject(), "it is on another host", said(root), said(t.root))
		}
	}
}

// checkTechnology counts again what services and pages run.
func (o *outside) checkTechnology() {
	runs := map[id.ID][]string{}
	text := func(t thing, field string) string {
		var value string
		_ = json.Unmarshal(t.attributes[field], &value) // what is not there is empty
		return value
	}
	for of, t := range o.things {
		if t.kind == "technology" && t.status != "closed" && t.parent != nil {
			runs[*t.parent] = append(runs[*t.parent], fmt.Sprint(product{Name: text(t, "name"), Version: text(t, "version")}))
		}
		if t.kind == "service" && text(t, "name") != "" && string(t.attributes["guessed"]) != "true" {
			runs[of] = append(runs[of], fmt.Sprint(product{Name: text(t, "name"), Service: true}))
		}
	}
	for of, t := range o.things {
		have := make([]string, 0, len(t.technology))
		for _, p := range t.technology {
			have = append(have, fmt.Sprint(p))
		}
		want := runs[of]
		slices.Sort(want)
		slices.Sort(have)
		differ(o.result, fmt.Sprintf("%s %s (%s)", t.kind, t.value, of), "what runs there", strings.Join(want, ", "), strings.Join(have, ", "))
	}
}

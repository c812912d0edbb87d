package change

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// What is told of assets: their discovery, and what became of them.

// Whether an asset is there, as it is stored. active is as for paths.
const (
	closed = "closed"
	stale  = "stale"
)

// The rows of the stages of assets, and when assets were seen last.
type (
	// assetRow is what both stages have in common: the asset as of the instant.
	assetRow struct {
		At         time.Time
		ID         id.ID
		Kind       record.AssetKind
		Value      string
		Protocol   *string
		Port       *int
		Origin     *string
		ParentID   *id.ID
		ParentKind *record.AssetKind
		Parent     *string
		State      *string
		Attributes json.RawMessage
		Technology json.RawMessage
		Confidence *int
		Plugin     *string
		Class      int
	}

	foundRow struct {
		assetRow
		ParentSeenAt *time.Time
		Looked       *bool  // of a service on what was known before: whether somebody had looked at the port
		PresentedBy  *id.ID // of a certificate: a service that was discovered with it
		FileName     *string
		FileSize     *int64
		MediaType    *string
		SyncID       *id.ID // of a file: what it came with
		SourceID     *id.ID
	}

	alteredRow struct {
		assetRow
		Status        string
		OldStatus     string
		OldState      *string
		OldAttributes json.RawMessage
		OldTechnology json.RawMessage
		ParentStale   bool // since the same instant
	}

	seenRow struct {
		ID       id.ID
		At       time.Time
		SeenAt   *time.Time
		LookedAt *time.Time // of what turned stale: when somebody looked for it in vain
		LookedBy *string
	}
)

// found is what is told when an asset is seen for the first time.
var found = map[record.AssetKind]struct {
	kind Kind
	of   EntityType
}{
	record.DomainAsset: {AssetDiscovered, OfAsset}, record.HostAsset: {AssetDiscovered, OfAsset}, record.TechnologyAsset: {AssetDiscovered, OfAsset},
	record.ServiceAsset: {ServiceDiscovered, OfService}, record.URLAsset: {URLDiscovered, OfURL}, record.URLPathAsset: {WebPathDiscovered, OfURLPath},
	record.CertificateAsset: {CertificateDiscovered, OfCertificate}, record.FileAsset: {FileCollected, OfFile},
}

// lookUpSeen has it read when assets were seen last that turned stale or came back.
func (t *telling) lookUpSeen(p *db.Pipeline) *[]*seenRow {
	which, lost := &moments{seen: map[moment]bool{}}, []bool{}
	for _, row := range *t.altered {
		if row.turned() || row.returned() {
			which.add(row.ID, row.At) // one version of an asset ends at an instant
			lost = append(lost, row.turned())
		}
	}
	if len(which.ids) == 0 {
		return new([]*seenRow)
	}
	return db.Queue[seenRow](p, expandQueries.Get("seen"), pgx.StrictNamedArgs{"ids": which.ids, "ats": which.ats, "lost": lost})
}

func assetKey(kind Kind, asset id.ID, at time.Time) key {
	return key{kind: kind, subject: asset, entity: asset, at: at}
}

// event is what events of an asset have in common, but for what they follow from.
func (row *assetRow) event(title string) Event {
	return Event{EntityType: found[row.Kind].of, AssetID: &row.ID, Class: row.Class, Title: title}
}

// metadata says which part of the scanner saw the asset.
func (row *assetRow) metadata() values {
	if row.Plugin == nil {
		return values{}
	}
	return values{"plugin": *row.Plugin}
}

// follows has an event follow from one of another asset. In whose history that one
// stands is said with it, for Event.Causes to find it by.
func (t *telling) follows(e *Event, metadata values, kind Kind, asset id.ID, at time.Time) {
	cause := assetKey(kind, asset, at).id(t.organization)
	e.CausedBy, metadata[causedIn] = &cause, asset
}

// causedIn is where the metadata of an event say in which history its cause stands.
const causedIn = "causedIn"

// find gives the event of an asset that is seen for the first time, and beside it
// that of a port that opened, where what it is on was known.
func (t *telling) find(row *foundRow) {
	e, metadata := row.event(foundTitle(row)), row.metadata()
	e.CausedBy = t.root(row.At)
	switch {
	case row.ParentSeenAt != nil && row.ParentSeenAt.Equal(row.At):
		t.follows(&e, metadata, found[*row.ParentKind].kind, *row.ParentID, row.At)
	case row.PresentedBy != nil:
		t.follows(&e, metadata, ServiceDiscovered, *row.PresentedBy, row.At)
	}
	after := values{
		"kind": row.Kind, "value": row.Value, "parent": row.Parent, "confidence": row.Confidence, "plugin": row.Plugin, "attributes": details(row.Attributes),
	}
	if row.Kind == record.FileAsset {
		e.ScanID, e.ScanJobID = row.SyncID, row.SourceID
		after = values{"name": row.FileName, "size": row.FileSize, "mediaType": row.MediaType, "sha256": row.Value}
	}
	t.say(assetKey(found[row.Kind].kind, row.ID, row.At), e, nil, after, metadata)
	if row.Looked != nil {
		state := values{"state": nil}
		if *row.Looked {
			state["state"] = closed
		}
		t.openPort(&row.assetRow, state)
	}
}

func (t *telling) openPort(row *assetRow, before values) {
	e := row.event(portTitle(row, "opened"))
	e.CausedBy = t.root(row.At)
	t.say(assetKey(PortOpened, row.ID, row.At), e, before, answering(row.State, row.Attributes, row.Technology), row.metadata())
}

// turned says whether the asset is stale since the instant, returned whether it is
// seen again.
func (row *alteredRow) turned() bool   { return row.OldStatus == active && row.Status == stale }
func (row *alteredRow) returned() bool { return row.OldStatus == stale && row.Status == active }

// alter gives the event of a version of an asset that ended: none, or one.
func (t *telling) alter(row *alteredRow) {
	service := row.Kind == record.ServiceAsset
	switch {
	case row.turned():
		t.lose(row)
	case row.returned():
		t.reappear(row)
	case service && row.Status == closed && row.OldStatus != closed:
		e := row.event(portTitle(&row.assetRow, "closed"))
		e.CausedBy = t.root(row.At)
		t.say(assetKey(PortClosed, row.ID, row.At), e, answering(row.OldState, row.OldAttributes, row.OldTechnology), values{"state": row.State}, row.metadata())
	case service && row.OldStatus == closed && row.Status == active:
		t.openPort(&row.assetRow, values{"state": row.OldState})
	case row.OldStatus == active && row.Status == active:
		t.replace(row)
	}
}

func (t *telling) lose(row *alteredRow) {
	before, after, unseen := values{"lastSeenAt": nil}, values{"unseenSeconds": nil, "lookedAt": nil, "lookedBy": nil}, time.Duration(0)
	if seen := t.seen[moment{row.ID, tick(row.At)}]; seen != nil && seen.SeenAt != nil {
		unseen = row.At.Sub(*seen.SeenAt)
		before["lastSeenAt"], after["unseenSeconds"] = stamp(*seen.SeenAt), seconds(*seen.SeenAt, row.At)
		if seen.LookedAt != nil {
			after["lookedAt"], after["lookedBy"] = stamp(*seen.LookedAt), seen.LookedBy
		}
	}
	e, metadata := row.event(staleTitle(&row.assetRow, unseen)), row.metadata()
	e.CausedBy = t.root(row.At)
	if row.ParentStale {
		t.follows(&e, metadata, AssetStale, *row.ParentID, row.At)
	}
	t.say(assetKey(AssetStale, row.ID, row.At), e, before, after, metadata)
}

func (t *telling) reappear(row *alteredRow) {
	before, after, gone := values{"lastSeenAt": nil}, values{"goneSeconds": nil}, time.Duration(0)
	if seen := t.seen[moment{row.ID, tick(row.At)}]; seen != nil && seen.SeenAt != nil {
		gone = row.At.Sub(*seen.SeenAt)
		before["lastSeenAt"], after["goneSeconds"] = stamp(*seen.SeenAt), seconds(*seen.SeenAt, row.At)
	}
	e := row.event(seenAgainTitle(&row.assetRow, gone))
	e.CausedBy = t.root(row.At)
	t.say(assetKey(AssetReappeared, row.ID, row.At), e, before, after, row.metadata())
}

// replace tells what a service or a page runs instead of what it ran. That more is
// known of it is no change: the discovery of a technology says so.
func (t *telling) replace(row *alteredRow) {
	before, after := runningOf(row.OldTechnology), runningOf(row.Technology)
	if !before.lost(after) {
		return
	}
	e := row.event(technologyTitle(&row.assetRow, before.beyond(after), after.beyond(before)))
	e.CausedBy = t.root(row.At)
	service := row.Kind == record.ServiceAsset
	t.say(assetKey(TechnologyChanged, row.ID, row.At), e, before.values(service), after.values(service), row.metadata())
}

// answering is how a port answers, and who does.
func answering(state *string, attributes, technology json.RawMessage) values {
	v := runningOf(technology).values(false)
	v["state"], v["name"] = state, attribute(attributes, "name")
	return v
}

// running is what a service or a page runs.
type running struct {
	products []product
	name     string // of the service itself: what it speaks. Empty: nobody knows.
}

// product is a technology, as the column has it.
type product struct {
	Name    string  `json:"name"`
	Version *string `json:"version"`
	Service bool    `json:"service,omitempty"`
}

func (p product) text() string {
	if p.Version == nil {
		return p.Name
	}
	return p.Name + " " + *p.Version
}

func runningOf(stored json.RawMessage) (r running) {
	var all []product
	if len(stored) > 0 {
		_ = json.Unmarshal(stored, &all) // what is stored is a list; nothing is known otherwise
	}
	for _, p := range all {
		if p.Service {
			r.name = p.Name
			continue
		}
		r.products = append(r.products, p)
	}
	return r
}

// lost says whether something is gone: a product, a version of it in favour of
// another one, or what the service speaks in favour of something else.
func (r running) lost(after running) bool {
	if r.name != "" && after.name != "" && !same(r.name, after.name) {
		return true
	}
	for _, p := range r.products {
		if !after.has(p) {
			return true
		}
	}
	return false
}

// has says whether a product is there, if not known to be of another version.
func (r running) has(p product) bool {
	for _, other := range r.products {
		if same(other.Name, p.Name) {
			return other.Version == nil || p.Version == nil || *other.Version == *p.Version
		}
	}
	return false
}

// beyond are the words for what the other does not have.
func (r running) beyond(other running) (words []string) {
	if r.name != "" && other.name != "" && !same(r.name, other.name) {
		words = append(words, r.name)
	}
	for _, p := range r.products {
		if !other.has(p) {
			words = append(words, p.text())
		}
	}
	return words
}

func (r running) values(service bool) values {
	v := values{}
	put(v, "technology", append([]product{}, r.products...))
	if service {
		v["name"] = unless(r.name)
	}
	return v
}

// same says whether two names mean one thing. Only the letters of ASCII have a small
// and a large form here, as in the statements that count what is told.
func same(a, b string) bool { return lower(a) == lower(b) }

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// details are the attributes of an asset, long lists cut.
func details(attributes json.RawMessage) values {
	stored := map[string]json.RawMessage{}
	_ = json.Unmarshal(attributes, &stored) // an object, by the schema's writer
	v := values{}
	for name, value := range stored {
		var items []json.RawMessage
		if bytes.HasPrefix(value, []byte("[")) && json.Unmarshal(value, &items) == nil {
			put(v, name, items)
			continue
		}
		v[name] = value
	}
	return v
}

// attribute is one of them, if it is a word.
func attribute(attributes json.RawMessage, name string) *string {
	stored := map[string]json.RawMessage{}
	var word string
	if json.Unmarshal(attributes, &stored) != nil || json.Unmarshal(stored[name], &word) != nil || word == "" {
		return nil
	}
	return &word
}

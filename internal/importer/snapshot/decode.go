package snapshot

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// Limits of values, in bytes unless they count something.
const (
	maxID         = 1024 // ids and scopes
	maxName       = 512  // names and every other short text
	maxArtifact   = 4096 // a workload of many containers lists a digest for each
	maxLabels     = 64
	maxActions    = 1024
	maxCount      = 1 << 53 // the largest integer that every JSON reader takes exactly
	maxMaxAgeDays = 36500
)

// skew is how far clocks may disagree before a time counts as the future.
const skew = 5 * time.Minute

const day = 24 * time.Hour

// The values of the enumerations, in the order in which reasons list them.
var (
	recordKinds = []string{
		"workload", "identity", "resource", "role", "owner",
		"runs_as", "has_role", "grants", "owned_by", "created_by", "authenticates", "declares",
		"egress", "endpoint", "evidence", "coverage",
	}
	entityKinds    = []record.EntityKind{record.Workload, record.Identity, record.Resource, record.Role, record.Owner}
	basisNames     = []string{"mapping", "inventory", "manifest", "inferred"} // of the bases 1 to 4
	statuses       = []record.Status{record.Active, record.Disabled, record.Removed}
	executionModes = []record.ExecutionMode{record.Autonomous, record.OperatorAssisted, record.HumanTriggered, record.Triggered}
	ownerTypes     = []record.OwnerType{record.Individual, record.Group}
	categories     = []record.EgressCategory{record.EgressInternal, record.EgressExternal, record.EgressLLM}
	endpointKinds  = []record.EndpointKind{record.MappedEndpoint, record.IngressEndpoint, record.HostnameEndpoint, record.AddressEndpoint}
	evidenceKinds  = []record.EvidenceKind{record.Ownership, record.Execution, record.EgressObs, record.Binding, record.Roles}
	completeness   = []string{"complete", "partial"}
)

// tie is how an edge is written: its two ends as fields with the kinds of
// entities that each may name. Where there is one kind, a reference need not
// say it.
type tie struct {
	from, to         string
	fromKind, toKind []record.EntityKind
}

var ties = map[record.EdgeKind]*tie{
	record.RunsAs:        {"workload", "identity", onlyWorkload, onlyIdentity},
	record.HasRole:       {"identity", "role", onlyIdentity, onlyRole},
	record.Grants:        {"role", "resource", onlyRole, onlyResource},
	record.OwnedBy:       {"subject", "owner", []record.EntityKind{record.Workload, record.Identity, record.Resource}, onlyOwner},
	record.CreatedBy:     {"subject", "creator", actors, []record.EntityKind{record.Owner, record.Identity}},
	record.Authenticates: {"from", "identity", actors, onlyIdentity},
	record.Declares:      {"workload", "resource", onlyWorkload, onlyResource},
}

var (
	onlyWorkload = []record.EntityKind{record.Workload}
	onlyIdentity = []record.EntityKind{record.Identity}
	onlyResource = []record.EntityKind{record.Resource}
	onlyRole     = []record.EntityKind{record.Role}
	onlyOwner    = []record.EntityKind{record.Owner}
	actors       = []record.EntityKind{record.Workload, record.Identity}
)

// decoder turns lines into facts. It goes on after a fault, with zero values,
// and keeps the first.
type decoder struct {
	document
	latest time.Time // what lies after it is the future; zero: nothing does
}

func newDecoder(now time.Time) decoder {
	if now.IsZero() {
		return decoder{}
	}
	return decoder{latest: now.Add(skew)}
}

// kind is the kind of the line, folded to lower case, or "" if it has none that
// can be read.
func (d *decoder) kind() string {
	f := d.field("kind")
	if f == nil || f.kind != textNode || f.spoiled {
		return ""
	}
	for _, kind := range recordKinds {
		if string(f.text) == kind {
			return kind
		}
	}
	return fold(f.text)
}

// fact decodes a record. Without a fault the result is complete and legal.
func (d *decoder) fact(kind string) record.Fact {
	switch kind {
	case "workload", "identity", "resource", "role", "owner":
		return d.entity(record.EntityKind(kind))
	case "egress":
		return d.egress()
	case "endpoint":
		return d.endpoint()
	case "evidence":
		return d.evidence()
	case "coverage":
		return d.coverage()
	case "":
		f := d.field("kind")
		if f == nil || f.kind == nullNode {
			d.fail("kind", codeMissingField, "The record has no kind.")
		} else {
			d.string(f, maxName)
			d.fail("kind", codeMissingField, "The kind of the record is empty.")
		}
		return nil
	}
	if t := ties[record.EdgeKind(kind)]; t != nil {
		return d.edge(record.EdgeKind(kind), t)
	}
	d.fail("kind", codeUnknownKind, "There is no kind %s of records; the kinds are %s.", quote(kind), list(recordKinds))
	return nil
}

func (d *decoder) entity(kind record.EntityKind) record.Fact {
	e := record.Entity{Ref: record.Ref{Kind: kind}, Basis: record.Inventory}
	for f := d.first(0); f != nil; f = d.after(f) {
		switch string(f.key) {
		case "kind":
		case "id":
			e.SourceID = d.string(f, maxID)
		case "system":
			e.System = d.string(f, maxName)
		case "basis":
			if i := choice(d, f, basisNames); i >= 0 {
				e.Basis = record.Basis(i + 1) //nolint:gosec // one of four
			}
		case "name":
			e.Name = d.string(f, maxName)
		case "status":
			e.Status = enum(d, f, statuses)
		case "environment":
			e.Environment = d.string(f, maxName)
		case "ownerTeam":
			e.OwnerTeam = d.string(f, maxName)
		case "businessTier":
			e.BusinessTier = d.string(f, maxName)
		case "sourceType":
			e.SourceType = d.string(f, maxName)
		case "createdAt":
			e.CreatedAt = d.time(f)
		case "labels":
			e.Labels = d.labels(f)
		default:
			d.attribute(&e, f)
		}
	}
	d.require(e.SourceID != "", "id")
	return e
}

// attribute decodes what only one or two kinds of entities have.
func (d *decoder) attribute(e *record.Entity, f *node) {
	switch key := string(f.key); {
	case e.Kind == record.Workload && key == "executionMode":
		e.ExecutionMode = enum(d, f, executionModes)
	case e.Kind == record.Workload && key == "artifactIdentifier":
		e.ArtifactIdentifier = d.string(f, maxArtifact)
	case e.Kind == record.Resource && key == "dataDomain":
		e.DataDomain = d.string(f, maxName)
	case e.Kind == record.Resource && key == "sensitivity":
		e.Sensitivity = d.string(f, maxName)
	case e.Kind == record.Owner && key == "ownerType":
		e.OwnerType = enum(d, f, ownerTypes)
	case e.Kind == record.Owner && key == "title":
		e.Title = d.string(f, maxName)
	case (e.Kind == record.Owner || e.Kind == record.Identity) && key == "lastActiveAt":
		e.LastActiveAt = d.time(f)
	default:
		d.unknown(f)
	}
}

func (d *decoder) edge(kind record.EdgeKind, t *tie) record.Fact {
	e := record.Edge{Kind: kind}
	scoped := kind == record.HasRole || kind == record.Grants
	for f := d.first(0); f != nil; f = d.after(f) {
		switch key := string(f.key); {
		case key == "kind":
		case key == t.from:
			e.From = d.ref(f, t.fromKind)
		case key == t.to:
			e.To = d.ref(f, t.toKind)
		case key == "scope" && scoped:
			e.Scope = d.string(f, maxID)
		case key == "actions" && (kind == record.Grants || kind == record.Declares):
			e.Actions = d.actions(f)
		case key == "effective" && kind == record.Grants:
			e.Ineffective = !d.bool(f, true)
		case key == "protocol" && kind == record.Authenticates:
			e.Protocol = d.string(f, maxName)
		case key == "targetSystem" && kind == record.Authenticates:
			e.TargetSystem = d.string(f, maxName)
		default:
			d.unknown(f)
		}
	}
	d.require(e.From.SourceID != "", t.from)
	d.require(e.To.SourceID != "", t.to)
	d.require(e.Scope != "" || !scoped, "scope")
	if kind == record.Grants && len(e.Actions) == 0 {
		d.fail("actions", codeNoActions, "A grant without actions grants nothing; actions needs at least one.")
	}
	return e
}

func (d *decoder) egress() record.Fact {
	var e record.Egress
	for f := d.first(0); f != nil; f = d.after(f) {
		switch string(f.key) {
		case "kind":
		case "workload":
			e.Workload = d.ref(f, onlyWorkload)
		case "host":
			e.Host = d.string(f, maxName)
		case "category":
			e.Category = enum(d, f, categories)
		default:
			d.unknown(f)
		}
	}
	d.require(e.Workload.SourceID != "", "workload")
	d.require(e.Host != "", "host")
	d.require(e.Category != "", "category")
	return e
}

func (d *decoder) endpoint() record.Fact {
	var e record.Endpoint
	for f := d.first(0); f != nil; f = d.after(f) {
		switch string(f.key) {
		case "kind":
		case "workload":
			e.Workload = d.ref(f, onlyWorkload)
		case "basis":
			e.Kind = enum(d, f, endpointKinds)
		case "value":
			e.Value = d.place(f)
		case "port":
			e.Port = d.integer(f, 1, 65535)
		default:
			d.unknown(f)
		}
	}
	d.require(e.Workload.SourceID != "", "workload")
	d.require(e.Kind != "", "basis")
	d.require(e.Value != "", "value")
	return e
}

// place is an address or a name in its normal form.
func (d *decoder) place(f *node) string {
	text := d.string(f, maxName)
	if text == "" {
		return ""
	}
	value, err := surface.Endpoint(text)
	if err != nil {
		d.fail(string(f.key), codeIllegalValue, "%s is no address and no name of a host: %s", quote(f.key), quote(f.text))
	}
	return value
}

func (d *decoder) evidence() record.Fact {
	var e record.Evidence
	for f := d.first(0); f != nil; f = d.after(f) {
		switch string(f.key) {
		case "kind":
		case "workload":
			e.Workload = d.optional(f, onlyWorkload)
		case "identity":
			e.Identity = d.optional(f, onlyIdentity)
		case "resource":
			e.Resource = d.optional(f, onlyResource)
		case "action":
			e.Action = d.string(f, maxName)
		case "day":
			e.Day = d.day(f)
		case "lastAt":
			e.LastAt = d.time(f)
		case "count":
			e.Count = d.integer(f, 1, maxCount)
		case "related":
			e.Related = d.bool(f, false)
		default:
			d.unknown(f)
		}
	}
	d.require(!e.Day.IsZero(), "day")
	d.require(e.Count > 0, "count")
	if e.Workload == nil && e.Identity == nil {
		d.fail("workload", codeNoSubject, "Evidence names a workload, an identity or both; a resource alone does not run.")
	}
	if !e.LastAt.IsZero() && !e.LastAt.Truncate(day).Equal(e.Day) {
		d.fail("lastAt", codeLastAtOffDay, "lastAt %s does not lie on day %s (UTC).",
			e.LastAt.Format(time.RFC3339), e.Day.Format(time.DateOnly))
	}
	return e
}

func (d *decoder) coverage() record.Fact {
	var c record.Coverage
	said := -1
	for f := d.first(0); f != nil; f = d.after(f) {
		switch string(f.key) {
		case "kind":
		case "evidence":
			c.Kind = enum(d, f, evidenceKinds)
		case "entity":
			c.Entity = d.optional(f, entityKinds)
		case "completeness":
			said = choice(d, f, completeness)
			c.Partial = said == 1
		case "from":
			c.From = d.time(f)
		case "to":
			c.To = d.time(f)
		case "maxAgeDays":
			c.MaxAge = time.Duration(d.integer(f, 1, maxMaxAgeDays)) * day
		default:
			d.unknown(f)
		}
	}
	d.require(c.Kind != "", "evidence")
	d.require(said >= 0, "completeness")
	if !c.From.IsZero() && !c.To.IsZero() && c.To.Before(c.From) {
		d.fail("to", codeWindowReversed, "The window ends at %s, before it begins at %s.",
			c.To.Format(time.RFC3339), c.From.Format(time.RFC3339))
	}
	return c
}

// subject is the entity that a rejected record would have spoken about, nil if
// the line does not say it clearly. It leaves the fault as it is.
func (d *decoder) subject(kind string) *record.Ref {
	defer func(found *fault) { d.fault = found }(d.fault)
	read := func(key string, kinds []record.EntityKind) *record.Ref {
		f := d.field(key)
		if f == nil {
			return nil
		}
		d.fault = nil
		if ref := d.optional(f, kinds); ref != nil && d.fault == nil {
			return ref
		}
		return nil
	}
	switch kind {
	case "workload", "identity", "resource", "role", "owner":
		id, system := d.field("id"), d.field("system")
		if id == nil {
			return nil
		}
		d.fault = nil
		ref := &record.Ref{Kind: record.EntityKind(kind), SourceID: d.string(id, maxID)}
		if system != nil {
			ref.System = d.string(system, maxName)
		}
		if d.fault != nil || ref.SourceID == "" {
			return nil
		}
		return ref
	case "egress", "endpoint":
		return read("workload", onlyWorkload)
	case "evidence":
		if d.field("workload") != nil {
			return read("workload", onlyWorkload)
		}
		return read("identity", onlyIdentity)
	case "coverage":
		return read("entity", entityKinds)
	}
	if t := ties[record.EdgeKind(kind)]; t != nil {
		return read(t.from, t.fromKind)
	}
	return nil
}

// The fields of an object are walked in the order in which they were written.

func (d *decoder) first(object int32) *node { return d.node(d.nodes[object].first) }
func (d *decoder) after(f *node) *node      { return d.node(f.next) }

func (d *decoder) node(index int32) *node {
	if index == 0 {
		return nil
	}
	return &d.nodes[index]
}

func (d *decoder) field(key string) *node {
	for f := d.first(0); f != nil; f = d.after(f) {
		if string(f.key) == key {
			return f
		}
	}
	return nil
}

// Values. A null says what a field that is left out says.

func (d *decoder) fail(field, code, format string, args ...any) {
	if d.fault == nil {
		d.fault = &fault{code: code, reason: fmt.Sprintf(format, args...), field: field}
	}
}

func (d *decoder) require(said bool, field string) {
	if !said {
		d.fail(field, codeMissingField, "The record has no %s.", field)
	}
}

func (d *decoder) unknown(f *node) {
	d.fail(quote(f.key), codeUnknownField, "Records of this kind have no field %s.", quote(f.key))
}

// is tells whether there is a value to decode, and refuses one of another type.
func (d *decoder) is(f *node, want nodeKind) bool {
	if f.spoiled {
		d.fail(string(f.key), codeDuplicateKey, "The value of %s cannot be relied on.", quote(f.key))
		return false
	}
	if f.kind == nullNode {
		return false
	}
	if f.kind != want {
		d.fail(string(f.key), codeWrongType, "%s is %s; it must be %s.", quote(f.key), f.kind, want)
		return false
	}
	return true
}

func (d *decoder) string(f *node, limit int) string {
	if !d.is(f, textNode) {
		return ""
	}
	if len(f.text) > limit {
		d.fail(string(f.key), codeTooLong, "%s has %d bytes; the limit is %d.", quote(f.key), len(f.text), limit)
		return ""
	}
	return d.keep(f)
}

func (d *decoder) bool(f *node, otherwise bool) bool {
	if !d.is(f, boolNode) {
		return otherwise
	}
	return f.text[0] == 't'
}

func (d *decoder) integer(f *node, least, most int64) int {
	if !d.is(f, numberNode) {
		return 0
	}
	if bytes.ContainsAny(f.text, ".eE") {
		d.fail(string(f.key), codeWrongType, "%s is %s; it must be a whole number, written as digits.", quote(f.key), quote(f.text))
		return 0
	}
	n, err := strconv.ParseInt(string(f.text), 10, 64)
	if err != nil || n < least || n > most || int64(int(n)) != n {
		d.fail(string(f.key), codeOutOfRange, "%s is %s; it must lie between %d and %d.", quote(f.key), cut(f.text), least, most)
		return 0
	}
	return int(n)
}

// cut shortens a number for a reason.
func cut(digits []byte) string {
	if len(digits) > 24 {
		return string(digits[:24]) + "…"
	}
	return string(digits)
}

// choice is the index of a value among the legal ones, -1 for none. Upper case
// is accepted because GraphQL answers in upper case.
func choice[T ~string](d *decoder, f *node, legal []T) int {
	if !d.is(f, textNode) || len(f.text) == 0 {
		return -1
	}
	for i, word := range legal {
		if string(f.text) == string(word) {
			return i
		}
	}
	folded := fold(f.text)
	for i, word := range legal {
		if folded == string(word) {
			return i
		}
	}
	d.fail(string(f.key), codeIllegalValue, "%s is %s; it must be one of %s.", quote(f.key), quote(f.text), list(legal))
	return -1
}

func enum[T ~string](d *decoder, f *node, legal []T) T {
	if i := choice(d, f, legal); i >= 0 {
		return legal[i]
	}
	return ""
}

// fold lowers ASCII only: full case folding would take a Kelvin sign for a k.
func fold(text []byte) string {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			lower := bytes.Clone(text)
			for j := i; j < len(lower); j++ {
				if c := lower[j]; 'A' <= c && c <= 'Z' {
					lower[j] = c + 'a' - 'A'
				}
			}
			return string(lower)
		}
	}
	return string(text)
}

// earliest refuses the zero times of Go, Unix and Windows, which exports write
// where they mean that nothing is known.
var earliest = time.Unix(0, 0).UTC()

func (d *decoder) time(f *node) time.Time {
	if !d.is(f, textNode) || len(f.text) == 0 {
		return time.Time{}
	}
	var at time.Time
	if err := at.UnmarshalText(f.text); err != nil {
		d.fail(string(f.key), codeBadTime, "%s is %s; it must be a time of RFC 3339 such as 2026-01-31T08:30:00Z.", quote(f.key), quote(f.text))
		return time.Time{}
	}
	return d.plausible(f, at.UTC(), codeBadTime)
}

func (d *decoder) day(f *node) time.Time {
	if !d.is(f, textNode) || len(f.text) == 0 {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, string(f.text))
	if err != nil {
		d.fail(string(f.key), codeBadDay, "%s is %s; it must be a day such as 2026-01-31.", quote(f.key), quote(f.text))
		return time.Time{}
	}
	return d.plausible(f, at, codeBadDay)
}

func (d *decoder) plausible(f *node, at time.Time, code string) time.Time {
	switch {
	case !at.After(earliest) || at.Year() > 9999:
		d.fail(string(f.key), code, "%s is %s, which no system has seen; leave the field out if it is not known.", quote(f.key), quote(f.text))
	case !d.latest.IsZero() && at.After(d.latest):
		d.fail(string(f.key), codeTimeInFuture, "%s is %s, which lies in the future.", quote(f.key), quote(f.text))
	default:
		return at
	}
	return time.Time{}
}

// ref reads a reference: the id as a plain string, or an object.
func (d *decoder) ref(f *node, kinds []record.EntityKind) record.Ref {
	var ref record.Ref
	if len(kinds) == 1 {
		ref.Kind = kinds[0]
		if f.kind == textNode {
			ref.SourceID = d.string(f, maxID)
			return ref
		}
	}
	if f.kind != objectNode && f.kind != nullNode && !f.spoiled {
		if len(kinds) == 1 {
			d.fail(string(f.key), codeWrongType, `%s is %s; it must be an id or an object {"system", "id"}.`, quote(f.key), f.kind)
		} else {
			d.fail(string(f.key), codeWrongType, `%s is %s; it must be an object {"kind", "id"}, its kind one of %s.`, quote(f.key), f.kind, list(kinds))
		}
		return record.Ref{}
	}
	if !d.is(f, objectNode) {
		return record.Ref{}
	}
	for part := d.node(f.first); part != nil; part = d.after(part) {
		switch string(part.key) {
		case "id":
			ref.SourceID = d.string(part, maxID)
		case "system":
			ref.System = d.string(part, maxName)
		case "kind":
			if kind := enum(d, part, entityKinds); kind != "" {
				ref.Kind = kind
			}
		default:
			d.fail(string(f.key), codeUnknownField, "%s has no field %s; a reference has kind, system and id.", quote(f.key), quote(part.key))
		}
	}
	if ref.Kind == "" {
		d.fail(string(f.key), codeMissingField, "%s has no kind; it must be one of %s.", quote(f.key), list(kinds))
	} else if !slices.Contains(kinds, ref.Kind) {
		d.fail(string(f.key), codeWrongKind, "%s names an entity of kind %s; it must be one of %s.", quote(f.key), ref.Kind, list(kinds))
	}
	if ref.SourceID == "" {
		d.fail(string(f.key), codeMissingField, "%s has no id.", quote(f.key))
	}
	return ref
}

// optional reads a reference that may be left out.
func (d *decoder) optional(f *node, kinds []record.EntityKind) *record.Ref {
	ref := d.ref(f, kinds)
	if ref.SourceID == "" {
		return nil
	}
	return &ref
}

func (d *decoder) actions(f *node) []string {
	if !d.is(f, listNode) || f.size == 0 {
		return nil
	}
	if f.size > maxActions {
		d.fail(string(f.key), codeTooMany, "%s has %d entries; the limit is %d.", quote(f.key), f.size, maxActions)
		return nil
	}
	actions := make([]string, 0, f.size)
	for item := d.node(f.first); item != nil; item = d.after(item) {
		switch {
		case item.kind != textNode:
			d.fail(string(f.key), codeWrongType, "An entry of %s is %s; it must be a string.", quote(f.key), item.kind)
		case item.spoiled || len(item.text) == 0:
			d.fail(string(f.key), codeIllegalValue, "An entry of %s is empty.", quote(f.key))
		case len(item.text) > maxName:
			d.fail(string(f.key), codeTooLong, "An entry of %s has %d bytes; the limit is %d.", quote(f.key), len(item.text), maxName)
		default:
			actions = append(actions, d.keep(item))
		}
	}
	return actions
}

func (d *decoder) labels(f *node) map[string]string {
	if !d.is(f, objectNode) || f.size == 0 {
		return nil
	}
	if f.size > maxLabels {
		d.fail(string(f.key), codeTooMany, "%s has %d entries; the limit is %d.", quote(f.key), f.size, maxLabels)
		return nil
	}
	labels := make(map[string]string, f.size)
	for item := d.node(f.first); item != nil; item = d.after(item) {
		switch {
		case item.kind != textNode:
			d.fail(string(f.key), codeWrongType, "The label %s is %s; it must be a string.", quote(item.key), item.kind)
		case len(item.key) == 0:
			d.fail(string(f.key), codeIllegalValue, "A label has an empty key.")
		case len(item.key) > maxName || len(item.text) > maxName:
			d.fail(string(f.key), codeTooLong, "The label %s is longer than %d bytes.", quote(item.key), maxName)
		default:
			labels[string(item.key)] = d.keep(item)
		}
	}
	return labels
}

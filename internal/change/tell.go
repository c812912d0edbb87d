package change

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// shownItems is how many items of a list an event names; beyond that it says how
// many there are.
const shownItems = 64

// telling makes events of what was found.
type telling struct {
	*expansion
	scansAt       map[int64]*scanRow
	evaluationsAt map[int64]string
	names         map[moment]*nameRow
	beside        map[moment]*besideRow
	seen          map[moment]*seenRow
	stage         int16 // what is said now was found in it
	events        []staged
}

// The words of what is stored as a number.
var (
	severityWords    = map[rule.Severity]string{rule.Low: "low", rule.Medium: "medium", rule.High: "high", rule.Critical: "critical"}
	sensitivityWords = []string{"unknown", "public", "internal", "confidential", "restricted"}
	dispositionWords = map[exposure.Disposition]string{
		exposure.DispositionOpen: "open", exposure.DispositionAcknowledged: "acknowledged",
		exposure.DispositionRiskAccepted: "risk_accepted", exposure.DispositionFalsePositive: "false_positive",
	}
)

// lookUp reads what everything is called, what else happened to the paths of
// exposures, and when assets were seen last, in one round trip.
func (t *telling) lookUp(ctx context.Context, tx *db.Tx) error {
	things, paths := &moments{seen: map[moment]bool{}}, &moments{seen: map[moment]bool{}}
	for _, row := range *t.rotated {
		things.add(row.WorkloadID, row.At)
		things.add(row.FromIdentity, row.At)
		things.add(row.ToIdentity, row.At)
	}
	for _, row := range *t.discovered {
		things.route(&row.route, row.At)
		things.roles(row.RoleIDs, row.At)
	}
	for _, row := range *t.changed {
		things.route(&row.route, row.At)
		things.roles(row.RoleIDs, row.At)
		things.roles(row.OldRoleIDs, row.At)
		things.roles(without(row.RoleIDs, row.OldRoleIDs), row.At)
		things.roles(without(row.OldRoleIDs, row.RoleIDs), row.At)
	}
	for _, row := range *t.opened {
		things.route(&row.route, row.At)
		paths.add(row.PathID, row.At)
	}
	for _, row := range *t.resolved {
		things.route(&row.route, row.At)
		paths.add(row.PathID, row.At)
	}
	for _, row := range *t.disposed {
		things.route(&row.route, row.At)
	}
	p := tx.Pipeline()
	names, beside, seen := new([]*nameRow), new([]*besideRow), t.lookUpSeen(p)
	if len(things.ids) > 0 {
		names = db.Queue[nameRow](p, expandQueries.Get("names"), pgx.StrictNamedArgs{"ids": things.ids, "ats": things.ats})
	}
	if len(paths.ids) > 0 {
		beside = db.Queue[besideRow](p, expandQueries.Get("beside"), pgx.StrictNamedArgs{"paths": paths.ids, "ats": paths.ats})
	}
	if err := p.Send(ctx); err != nil {
		return err
	}
	for _, row := range *names {
		t.names[moment{row.ID, tick(row.At)}] = row
	}
	for _, row := range *beside {
		t.beside[moment{row.PathID, tick(row.At)}] = row
	}
	for _, row := range *seen {
		t.seen[moment{row.ID, tick(row.At)}] = row
	}
	return nil
}

// without are those of a list that the other does not have, in their order.
func without[T comparable](list, other []T) []T {
	rest := []T{}
	for _, item := range list {
		if !slices.Contains(other, item) {
			rest = append(rest, item)
		}
	}
	return rest
}

// tell gives the events of everything that was found.
func (t *telling) tell() []staged {
	if t.told {
		each(t, stageSync, *t.scans, t.synced)
	}
	each(t, stageRotation, *t.rotated, t.rotate)
	each(t, stageDiscovered, *t.discovered, t.discover)
	each(t, stageChanged, *t.changed, t.change)
	each(t, stageOpened, *t.opened, t.open)
	each(t, stageResolved, *t.resolved, t.resolve)
	each(t, stageDisposed, *t.disposed, t.dispose)
	each(t, stageAssetDiscovered, *t.found, t.find)
	each(t, stageAssetChanged, *t.altered, t.alter)
	return t.events
}

// each says the rows of a stage.
func each[T any](t *telling, stage int16, rows []T, say func(T)) {
	t.stage = stage
	for _, row := range rows {
		say(row)
	}
}

// values are an object as it is stored.
type values map[string]any

func (v values) json() json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // words, numbers and lists of words
	}
	return text
}

// list adds a list of words, cut where it is long.
func (v values) list(name string, items []string) { put(v, name, items) }

// put adds a list of anything, cut where it is long.
func put[T any](v values, name string, items []T) {
	v[name] = items[:min(len(items), shownItems)]
	if len(items) > shownItems {
		v[name+"Total"] = len(items)
	}
}

// say adds an event. What all events of an instant share is added here.
func (t *telling) say(k key, e Event, before, after, metadata values) {
	cause := t.causes[tick(k.at)]
	if metadata == nil {
		metadata = values{}
	}
	metadata["schema"], metadata["cause"] = 1, string(cause)
	if e.EntityType == "" { // most kinds are about one type of thing
		e.EntityType = k.kind.EntityTypes()[0]
	}
	if scan := t.scansAt[tick(k.at)]; scan != nil {
		e.ScanID, e.ScanJobID = &scan.ID, &scan.SourceID
		metadata["source"], metadata["system"] = scan.Source, scan.System
	}
	if word := t.evaluationsAt[tick(k.at)]; word != "" {
		metadata["evaluation"] = word
	}
	e.OrganizationID, e.ID, e.ChangeType = t.organization, k.id(t.organization), k.kind
	e.EntityID, e.SubjectID, e.At = k.entity, k.subject, k.at.UTC()
	if k.exposure != 0 {
		e.ExposureType, e.ExposureOrdinal = &k.exposure, &k.ordinal
	}
	e.OldValue, e.NewValue, e.Metadata = before.json(), after.json(), metadata.json()
	t.events = append(t.events, staged{&e, t.stage})
}

// root is the event that everything at an instant follows from; null where no sync
// brought it.
func (t *telling) root(at time.Time) *id.ID {
	scan := t.scansAt[tick(at)]
	if scan == nil {
		return nil
	}
	root := scan.key().id(t.organization)
	return &root
}

func (t *telling) name(of id.ID, at time.Time) string {
	if row := t.names[moment{of, tick(at)}]; row != nil {
		return row.Name
	}
	return of.String()
}

func (t *telling) identity(r *route, at time.Time) *string {
	if r.IdentityID == nil {
		return nil
	}
	name := t.name(*r.IdentityID, at)
	return &name
}

// sourceIDs are the names by which sources know entities.
func (t *telling) sourceIDs(list []id.ID, at time.Time) []string {
	words := make([]string, len(list))
	for i, entity := range list {
		words[i] = entity.String() // beyond what is shown it counts only
		if row := t.names[moment{entity, tick(at)}]; row != nil {
			words[i] = row.ExternalID
		}
	}
	return words
}

func seconds(from, to time.Time) int64 { return int64(to.Sub(from) / time.Second) }

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

func (row *scanRow) key() key {
	kind := SyncApplied
	if row.Outcome == "late" {
		kind = SyncLate
	}
	return key{kind: kind, subject: row.ID, entity: row.ID, at: row.At}
}

func (t *telling) synced(row *scanRow) {
	k := row.key()
	if k.kind == SyncLate {
		t.say(k, Event{Class: AllClasses, Title: lateTitle(row)}, nil, values{"observedAt": stamp(row.ObservedAt)}, nil)
		return
	}
	after := values{
		"outcome": row.Outcome, "complete": row.Complete, "version": row.Version, "observedAt": stamp(row.ObservedAt),
		"records":   values{"read": row.RecordsRead, "rejected": row.RecordsRejected},
		"paths":     values{"added": row.PathsAdded, "changed": row.PathsChanged, "removed": row.PathsRemoved},
		"exposures": values{"opened": row.ExposuresOpened, "resolved": row.ExposuresResolved},
	}
	if row.Scans {
		after["assets"] = values{"added": row.AssetsAdded, "changed": row.AssetsChanged, "gone": row.AssetsGone}
	}
	t.say(k, Event{Class: AllClasses, Title: syncTitle(row)}, nil, after, nil)
}

func rotationKey(workload id.ID, at time.Time) key {
	return key{kind: IdentityRotated, subject: workload, entity: workload, at: at}
}

func (t *telling) rotate(row *rotatedRow) {
	workload, from, to := t.name(row.WorkloadID, row.At), t.name(row.FromIdentity, row.At), t.name(row.ToIdentity, row.At)
	t.say(rotationKey(row.WorkloadID, row.At), Event{
		WorkloadID: &row.WorkloadID, Class: row.Class, CausedBy: t.root(row.At), Title: rotationTitle(workload, from, to),
	}, values{"identity": from, "sourceId": t.sourceIDs([]id.ID{row.FromIdentity}, row.At)[0]}, values{"identity": to, "sourceId": t.sourceIDs([]id.ID{row.ToIdentity}, row.At)[0]},
		values{"lineagesKept": row.LineagesKept})
}

// standing is what a path stands for at an instant.
func (t *telling) standing(row *discoveredRow) values {
	v := values{
		"workload": t.name(row.WorkloadID, row.At), "identity": t.identity(&row.route, row.At), "destination": t.name(row.ResourceID, row.At),
		"sensitivity": sensitivityWords[row.Sensitivity], "dataDomain": row.DataDomain, "effective": row.Effective,
	}
	v.list("actions", row.Actions)
	v.list("roles", t.sourceIDs(row.RoleIDs, row.At))
	return v
}

// pathEvent is what events of a path have in common.
func (t *telling) pathEvent(row *discoveredRow, title string) Event {
	return Event{WorkloadID: &row.WorkloadID, Class: row.Class, CausedBy: t.root(row.At), Title: title}
}

// handed has a path follow from the rotation in which it took over or handed over.
func (t *telling) handed(e *Event, row *discoveredRow, neighbour *id.ID) {
	if neighbour != nil {
		rotation := rotationKey(row.WorkloadID, row.At).id(t.organization)
		e.CausedBy = &rotation
	}
}

// ends are what a path connects, and through whom.
func (t *telling) ends(row *discoveredRow) (workload, destination string, identity *string) {
	return t.name(row.WorkloadID, row.At), t.name(row.ResourceID, row.At), t.identity(&row.route, row.At)
}

func pathKey(kind Kind, lineage, path id.ID, at time.Time) key {
	return key{kind: kind, subject: lineage, entity: path, at: at}
}

func (t *telling) discover(row *discoveredRow) {
	workload, destination, identity := t.ends(row)
	e := t.pathEvent(row, discoveredTitle(workload, destination, identity))
	t.handed(&e, row, row.PredecessorID)
	after := t.standing(row)
	if row.PredecessorID != nil {
		after["predecessor"] = row.PredecessorID
	}
	t.say(pathKey(PathDiscovered, row.LineageID, row.ID, row.At), e, nil, after, nil)
}

// former is the path as it stood until the change.
func (row *changedRow) former() *discoveredRow {
	former := row.discoveredRow
	former.Class, former.Status, former.Effective, former.RoleIDs, former.Actions = row.OldClass, row.OldStatus, row.OldEffective, row.OldRoleIDs, row.OldActions
	former.Sensitivity, former.DataDomain = row.OldSensitivity, row.OldDataDomain
	return &former
}

const (
	active  = "active"
	removed = "removed"
)

// change gives the events of a version of a path that ended: none, one, or two.
func (t *telling) change(row *changedRow) {
	workload, destination, identity := t.ends(&row.discoveredRow)
	k := func(kind Kind) key { return pathKey(kind, row.LineageID, row.ID, row.At) }
	switch {
	case row.OldStatus == active && row.Status == removed:
		e := t.pathEvent(&row.discoveredRow, removedTitle(workload, destination, identity))
		t.handed(&e, &row.discoveredRow, row.SuccessorID)
		after := values{"status": removed}
		if row.SuccessorID != nil {
			after["successor"] = row.SuccessorID
		}
		t.say(k(PathRemoved), e, t.standing(row.former()), after, nil)
		return
	case row.OldStatus == removed && row.Status == active:
		gone := row.At.Sub(row.OldFrom)
		e := t.pathEvent(&row.discoveredRow, reappearedTitle(workload, destination, identity, gone))
		t.handed(&e, &row.discoveredRow, row.PredecessorID)
		after := t.standing(&row.discoveredRow)
		after["goneSeconds"] = seconds(row.OldFrom, row.At)
		if row.PredecessorID != nil {
			after["predecessor"] = row.PredecessorID
		}
		t.say(k(PathReappeared), e, values{"removedAt": stamp(row.OldFrom)}, after, nil)
		return
	case row.Status != active:
		return
	}
	if row.Effective != row.OldEffective || !bytes.Equal(row.CompositionHash, row.OldCompositionHash) {
		t.rescope(row, k(PathScopeChanged), workload, destination)
	}
	if row.Sensitivity != row.OldSensitivity {
		word, former := sensitivityWords[row.Sensitivity], sensitivityWords[row.OldSensitivity]
		t.say(k(PathSensitivityChanged), t.pathEvent(&row.discoveredRow, sensitivityTitle(workload, destination, former, word)),
			values{"sensitivity": former, "dataDomain": row.OldDataDomain}, values{"sensitivity": word, "dataDomain": row.DataDomain}, nil)
	}
}

func (t *telling) rescope(row *changedRow, k key, workload, destination string) {
	gained, lost := without(row.Actions, row.OldActions), without(row.OldActions, row.Actions)
	before, after, metadata := values{"effective": row.OldEffective}, values{"effective": row.Effective}, values{}
	before.list("roles", t.sourceIDs(row.OldRoleIDs, row.At))
	before.list("actions", row.OldActions)
	after.list("roles", t.sourceIDs(row.RoleIDs, row.At))
	after.list("actions", row.Actions)
	metadata.list("rolesGained", t.sourceIDs(without(row.RoleIDs, row.OldRoleIDs), row.At))
	metadata.list("rolesLost", t.sourceIDs(without(row.OldRoleIDs, row.RoleIDs), row.At))
	metadata.list("actionsGained", gained)
	metadata.list("actionsLost", lost)
	title := scopeTitle(workload, destination, gained, lost, row.OldEffective, row.Effective)
	t.say(k, t.pathEvent(&row.discoveredRow, title), before, after, metadata)
}

// exposed is what events of an exposure have in common.
func (t *telling) exposed(row *exposedRow, title string) Event {
	return Event{
		WorkloadID: &row.WorkloadID, Class: row.Class, Severity: &row.Severity, CausedBy: t.because(row), Title: title,
		Description: described(row.Explanation),
	}
}

func described(explanation string) *string {
	if explanation == "" {
		return nil
	}
	return &explanation
}

func (row *exposedRow) key(kind Kind) key {
	return key{kind: kind, subject: row.LineageID, entity: row.PathID, exposure: row.Type, ordinal: row.Ordinal, at: row.At}
}

// because is what an exposure follows from: what happened to its path at the same
// instant, else whatever everything follows from then.
func (t *telling) because(row *exposedRow) *id.ID {
	beside := t.beside[moment{row.PathID, tick(row.At)}]
	kind := beside.kind(row.Type)
	if kind == "" {
		return t.root(row.At)
	}
	cause := pathKey(kind, row.LineageID, row.PathID, row.At).id(t.organization)
	return &cause
}

// kind is the event of the path; empty for none. Where there are two, a type that
// minds the destination follows from the change of that.
func (row *besideRow) kind(exposed rule.Type) Kind {
	switch {
	case row == nil:
		return ""
	case row.Discovered:
		return PathDiscovered
	case row.OldStatus == nil || row.Status == nil:
		return ""
	case *row.OldStatus == active && *row.Status == removed:
		return PathRemoved
	case *row.OldStatus == removed && *row.Status == active:
		return PathReappeared
	case *row.Status != active:
		return ""
	case row.Sensitivity && (!row.Scope || exposed == rule.SensitiveReach):
		return PathSensitivityChanged
	case row.Scope:
		return PathScopeChanged
	}
	return ""
}

func (t *telling) open(row *openedRow) {
	e := t.exposed(&row.exposedRow, openedTitle(row.Type, row.Severity, t.name(row.WorkloadID, row.At), t.name(row.ResourceID, row.At)))
	t.say(row.key(ExposureOpened), e, nil, values{
		"type": ledger.TypeWord(row.Type), "severity": severityWords[row.Severity], "ordinal": row.Ordinal,
		"effectiveFrom": stamp(row.EffectiveFrom), "effectiveFromBasis": string(row.EffectiveBasis),
		"lineageEffectiveFrom": stamp(row.LineageFrom), "disposition": dispositionWords[row.Disposition],
	}, nil)
}

func (t *telling) resolve(row *resolvedRow) {
	e := t.exposed(&row.exposedRow, resolvedTitle(row.Type, string(row.ResolutionReason), t.name(row.WorkloadID, row.At), t.name(row.ResourceID, row.At)))
	if row.ResolutionReason == rule.Manual {
		e.LedgerSeq = row.DecidedSeq
	}
	t.say(row.key(ExposureResolved), e,
		values{"severity": severityWords[row.Severity], "disposition": dispositionWords[row.Disposition]},
		values{"reason": string(row.ResolutionReason), "effectiveFrom": stamp(row.EffectiveFrom), "seconds": seconds(row.EffectiveFrom, row.At)}, nil)
}

func (t *telling) dispose(row *disposedRow) {
	if row.Disposition == row.OldDisposition || t.causes[tick(row.At)] != outbox.Decision {
		return
	}
	from, to := dispositionWords[row.OldDisposition], dispositionWords[row.Disposition]
	e := t.exposed(&row.exposedRow, disposedTitle(row.Type, from, to, t.name(row.WorkloadID, row.At), t.name(row.ResourceID, row.At)))
	e.LedgerSeq = row.DecidedSeq
	after := values{"disposition": to, "version": row.Version, "actor": row.Actor}
	if reason := reasonOf(row.Body); reason != "" {
		after["reason"] = reason
	}
	if row.BatchID != nil {
		after["batch"] = row.BatchID
	}
	t.say(row.key(DispositionChanged), e, values{"disposition": from, "version": row.OldVersion}, after, nil)
}

// reasonOf is why an exposure was called none. The words that go with it stay in the
// ledger.
func reasonOf(body []byte) string {
	var entry struct{ Payload struct{ Reason string } }
	if len(body) == 0 || json.Unmarshal(body, &entry) != nil {
		return ""
	}
	return entry.Payload.Reason
}

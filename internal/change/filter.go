package change

import (
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// Filter narrows a feed. Conditions join with AND, the values of one condition with
// OR; an empty condition narrows nothing. It is said twice, for events at hand and
// as SQL, and both say the same.
type Filter struct {
	Types       []Kind
	EntityTypes []EntityType
	Severities  []rule.Severity
	Scans       []id.ID
	Assets      []id.ID
	Paths       []id.ID // what is about a path, or about an exposure of it
	Lineages    []id.ID
	Workloads   []id.ID
	Exposures   []exposure.Key
	After       *time.Time // what happened then or later
	Before      *time.Time // what happened before then
	AsOf        *time.Time // what had happened by then
	Classes     []int      // of what the caller may see; nil: of all
}

// Check refuses a filter that names too much.
func (f Filter) Check() error {
	for _, condition := range []struct {
		field  string
		length int
	}{
		{"scan", len(f.Scans)}, {"asset", len(f.Assets)}, {"path", len(f.Paths)}, {"lineage", len(f.Lineages)},
		{"workload", len(f.Workloads)}, {"exposure", len(f.Exposures)},
	} {
		if err := page.Bounded(condition.field, condition.length); err != nil {
			return err
		}
	}
	return nil
}

// Matches says whether an event passes.
func (f Filter) Matches(e *Event) bool {
	return oneOf(f.Types, e.ChangeType) && oneOf(f.EntityTypes, e.EntityType) && maybeOneOf(f.Severities, e.Severity) &&
		maybeOneOf(f.Scans, e.ScanID) && maybeOneOf(f.Assets, e.AssetID) && maybeOneOf(f.Paths, e.path()) &&
		oneOf(f.Lineages, e.SubjectID) && maybeOneOf(f.Workloads, e.WorkloadID) && maybeOneOf(f.Exposures, e.exposure()) &&
		f.covers(e.At) && (f.Classes == nil || slices.Contains(f.Classes, e.Class))
}

// covers says whether what happened at an instant is within the times. The database
// knows microseconds.
func (f Filter) covers(at time.Time) bool {
	return (f.After == nil || !at.Before(f.After.Truncate(time.Microsecond))) &&
		(f.Before == nil || at.Before(f.Before.Truncate(time.Microsecond))) &&
		(f.AsOf == nil || !at.After(f.AsOf.Truncate(time.Microsecond)))
}

func oneOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

func maybeOneOf[T comparable](list []T, v *T) bool {
	return len(list) == 0 || v != nil && slices.Contains(list, *v)
}

// path is the one that the event is about, or that the exposure is of.
func (e *Event) path() *id.ID {
	if e.EntityType != OfAuthorityPath && e.EntityType != OfExposure {
		return nil
	}
	return &e.EntityID
}

// exposure is which one the event is about, if it is about one.
func (e *Event) exposure() *exposure.Key {
	if e.ExposureType == nil || e.ExposureOrdinal == nil {
		return nil
	}
	return &exposure.Key{PathID: e.EntityID, Type: *e.ExposureType, Ordinal: *e.ExposureOrdinal}
}

// Where are the conditions for a statement that reads the rows e of exposure_changes.
func (f Filter) Where() (db.Where, error) {
	if err := f.Check(); err != nil {
		return db.Where{}, err
	}
	return f.where(), nil
}

func (f Filter) where() (w db.Where) {
	page.OneOf(&w, "e.change_type = ANY (@types)", "types", f.Types)
	page.OneOf(&w, "e.entity_type = ANY (@entity_types)", "entity_types", f.EntityTypes)
	page.OneOf(&w, "e.severity = ANY (@severities)", "severities", f.Severities)
	page.OneOf(&w, "e.scan_id = ANY (@scans)", "scans", f.Scans)
	page.OneOf(&w, "e.asset_id = ANY (@assets)", "assets", f.Assets)
	page.OneOf(&w, "e.subject_id = ANY (@lineages)", "lineages", f.Lineages)
	page.OneOf(&w, "e.workload_id = ANY (@workloads)", "workloads", f.Workloads)
	f.paths(&w)
	f.exposures(&w)
	for _, bound := range []struct {
		condition, name string
		at              *time.Time
	}{
		{"e.at >= @occurred_after", "occurred_after", f.After},
		{"e.at < @occurred_before", "occurred_before", f.Before},
		{"e.at <= @occurred_by", "occurred_by", f.AsOf},
	} {
		if bound.at != nil {
			w.And(bound.condition, bound.name, *bound.at)
		}
	}
	if f.Classes != nil { // none at all is no condition left out
		w.And("e.class = ANY (@classes)", "classes", f.Classes)
	}
	return w
}

// lineagesOf finds the events of paths by the index of subjects, in which they stand
// under their lineages.
const lineagesOf = `e.subject_id = ANY (ARRAY (
	SELECT p.lineage_id FROM authority_path p WHERE p.organization_id = @organization AND p.id = ANY (`

func (f Filter) paths(w *db.Where) {
	if len(f.Paths) > 0 {
		w.And(lineagesOf+"@paths)))", "paths", f.Paths)
		w.Plain("e.entity_id = ANY (@paths)")
	}
}

func (f Filter) exposures(w *db.Where) {
	if len(f.Exposures) == 0 {
		return
	}
	paths, types, ordinals := make([]id.ID, len(f.Exposures)), make([]int16, len(f.Exposures)), make([]int, len(f.Exposures))
	for i, key := range f.Exposures {
		paths[i], types[i], ordinals[i] = key.PathID, int16(key.Type), key.Ordinal
	}
	w.And(lineagesOf+"@exposure_paths)))", "exposure_paths", paths)
	w.Plain(`(e.entity_id, e.exposure_type, e.exposure_ordinal) IN
		(SELECT k.path_id, k.type, k.ordinal FROM unnest(@exposure_paths::uuid[], @exposure_types::smallint[], @exposure_ordinals::integer[]) AS k(path_id, type, ordinal))`)
	w.Arg("exposure_types", types)
	w.Arg("exposure_ordinals", ordinals)
}

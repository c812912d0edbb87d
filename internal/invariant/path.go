package invariant

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// window is how far back executions count.
const window = 30 * 24 * time.Hour

// none is the index of what is not named.
const none int32 = -1

// world is what has been read so far. Identifiers are replaced by their index,
// because a million paths name each of theirs four times over.
type world struct {
	report Report
	reader *reader

	index    map[id.ID]int32
	ids      []id.ID
	entities []entity
	texts    map[string]string
	known    map[int32]bool // the entities that exist

	paths []path // by id
	runs  map[triple]int64
	open  []exposure // by path
	lasts map[conditionKey]bool

	// What only workloads, identities and the posture need.
	organization  id.ID
	runsAs        map[int32][]int32
	authenticates map[int32][]int32
	categories    map[int32]int16
	lived         map[int32]bool // of entities that are removed, at least
	seen          seen
	clustersOf    map[int32]int32 // bits, by workload
	acknowledged  map[string]pictured
	moves         map[move]change
	workers       map[int32]worker
	usages        map[account]usage
	sums          map[int32]totals // by class
	course        []value          // of the counter of all classes

	// What only the past needs.
	history     history
	clusters    []*cluster
	memberships map[int16]steps // how many members clusters had, acknowledged exposures counting
	pictures    []picture
}

type entity struct {
	kind, status, name, mode, domain, ownership, egress string
	class                                               int32
	sensitivity                                         int16
}

// path is a path with what is stored of it and what it comes to.
type path struct {
	id                           id.ID
	workload, identity, resource int32
	class                        int32
	domain, ownership            string
	firstSeen                    int32 // day
	sensitivity                  int16
	active, effective            bool

	stored, counted standing
	begin, end      int32 // its open exposures in world.open

	executions int64 // -1: nobody watched
	basis      string
}

// standing is what a path's row says of its exposures.
type standing struct {
	masks    [3]int32 // by level
	count    int16
	severity int16 // 0: none
}

func (s standing) String() string {
	return fmt.Sprintf("masks %b/%b/%b, count %d, severity %d", s.masks[0], s.masks[1], s.masks[2], s.count, s.severity)
}

// triple is whom evidence names.
type triple struct{ workload, identity, resource int32 }

func newWorld(report Report, reader *reader, organization id.ID) *world {
	return &world{
		organization: organization, runsAs: map[int32][]int32{}, authenticates: map[int32][]int32{}, categories: map[int32]int16{},
		lived: map[int32]bool{}, seen: seen{map[int32]int64{}, map[int32]int64{}}, clustersOf: map[int32]int32{},
		acknowledged: map[string]pictured{}, moves: map[move]change{},
		report: report, reader: reader, index: map[id.ID]int32{}, texts: map[string]string{}, known: map[int32]bool{},
		runs: map[triple]int64{}, lasts: map[conditionKey]bool{}, memberships: map[int16]steps{},
	}
}

// indexOf numbers an identifier; the nil one is nobody.
func (w *world) indexOf(of id.ID) int32 {
	if of == id.Nil {
		return none
	}
	i, ok := w.index[of]
	if !ok {
		i = int32(len(w.ids)) //nolint:gosec // no memory holds more of them
		w.index[of] = i
		w.ids = append(w.ids, of)
		w.entities = append(w.entities, entity{})
	}
	return i
}

func (w *world) indexOfOptional(of *id.ID) int32 {
	if of == nil {
		return none
	}
	return w.indexOf(*of)
}

func (w *world) idOf(i int32) id.ID {
	if i == none {
		return id.Nil
	}
	return w.ids[i]
}

// text is one copy of a text that many rows repeat.
func (w *world) text(of string) string {
	if kept, ok := w.texts[of]; ok {
		return kept
	}
	w.texts[of] = of
	return of
}

func (w *world) optional(of *string) string {
	if of == nil {
		return ""
	}
	return w.text(*of)
}

func (w *world) readEntities(ctx context.Context) error {
	type row struct {
		ID              id.ID
		Kind            string
		Status          string
		Name            string
		Class           int32
		ExecutionMode   *string
		DataDomain      *string
		Sensitivity     int16
		OwnershipStatus string
		EgressCategory  string
	}
	return walk(ctx, w.reader, "entities", nil,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID} },
		func(r *row) {
			i := w.indexOf(r.ID)
			w.known[i] = true
			w.entities[i] = entity{w.text(r.Kind), w.text(r.Status), "", w.optional(r.ExecutionMode), w.optional(r.DataDomain),
				w.text(r.OwnershipStatus), w.text(r.EgressCategory), r.Class, r.Sensitivity}
			if r.Kind == "identity" { // of the others nobody asks
				w.entities[i].name = r.Name
			}
		})
}

func (w *world) readPaths(ctx context.Context) error {
	result := w.report.of(Paths)
	type version struct {
		ID         id.ID
		Version    int32
		FromAt     time.Time
		ToAt       time.Time
		Status     string
		Class      int32
		LastSeenAt *time.Time
	}
	spans, stood := map[id.ID]span{}, map[id.ID]stood{}
	if err := walk(ctx, w.reader, "path_versions", nil,
		func(v *version) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": v.ID, "version": v.Version} },
		func(v *version) {
			fold(result, spans, v.ID, func() string { return pathName(v.ID) }, v.Version, v.FromAt, v.ToAt)
			stood[v.ID] = w.move(stood[v.ID], v.Status == "active", v.Class, v.FromAt)
			if w.history.kept(v.ToAt) && (v.Status == "removed") != (v.LastSeenAt != nil) {
				w.report.of(Past).found(pathName(v.ID), "the status of a former version and its last_seen_at contradict each other", "", v.Status)
			}
		}); err != nil {
		return err
	}

	type row struct {
		ID                  id.ID
		WorkloadID          id.ID
		IdentityID          *id.ID
		ResourceID          id.ID
		Status              string
		Effective           bool
		Class               int32
		DataDomain          *string
		Sensitivity         int16
		OwnershipStatus     string
		EgressCategory      string
		Execution30d        *int64 `db:"execution_30d"`
		ExecutionBasis      *string
		OpenMask            int32
		AcknowledgedMask    int32
		AcceptedMask        int32
		ActiveExposureCount int16
		MaxExposureSeverity *int16
		Version             int32
		FromAt              time.Time
		FirstSeenAt         time.Time
		RemovedAt           *time.Time
	}
	err := walk(ctx, w.reader, "paths", nil,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID} },
		func(r *row) {
			p := path{
				id: r.ID, workload: w.indexOf(r.WorkloadID), identity: w.indexOfOptional(r.IdentityID), resource: w.indexOf(r.ResourceID),
				class: r.Class, domain: w.optional(r.DataDomain), ownership: w.text(r.OwnershipStatus), firstSeen: dayOf(r.FirstSeenAt),
				sensitivity: r.Sensitivity, active: r.Status == "active", effective: r.Effective,
				stored:     standing{masks: [3]int32{r.OpenMask, r.AcknowledgedMask, r.AcceptedMask}, count: r.ActiveExposureCount},
				executions: -1, basis: w.optional(r.ExecutionBasis),
			}
			if r.MaxExposureSeverity != nil {
				p.stored.severity = *r.MaxExposureSeverity
			}
			if r.Execution30d != nil {
				p.executions = *r.Execution30d
			}
			result.Compared++
			subject := func() string { return pathName(r.ID) }
			closeSpan(result, spans, r.ID, subject, r.Version, r.FirstSeenAt, r.FromAt)
			w.move(stood[r.ID], p.active, w.entityOf(p.workload).class, r.FromAt)
			delete(stood, r.ID)
			if p.active == (r.RemovedAt != nil) {
				result.found(subject(), "its status and removed_at contradict each other", "", r.Status)
			}
			w.checkEnds(result, &p, subject, w.text(r.EgressCategory))
			w.paths = append(w.paths, p)
		})
	orphans(result, spans, pathName)
	return err
}

// checkEnds is what foreign keys would prove, and that an active path says of
// its ends what they say of themselves.
func (w *world) checkEnds(r *Result, p *path, subject func() string, egress string) {
	whole := true
	for _, end := range []struct {
		kind string
		of   int32
	}{{"workload", p.workload}, {"identity", p.identity}, {"resource", p.resource}} {
		switch {
		case end.of == none && end.kind == "identity":
		case end.of == none || !w.known[end.of]:
			r.found(subject(), "its "+end.kind+" does not exist", w.idOf(end.of).String(), "")
			whole = false
		case w.entities[end.of].kind != end.kind:
			r.found(subject(), "its "+end.kind+" is something else", end.kind, w.entities[end.of].kind)
			whole = false
		}
	}
	if !whole || !p.active {
		return
	}
	workload, resource := w.entities[p.workload], w.entities[p.resource]
	differ(r, subject(), "its access class", workload.class, p.class)
	differ(r, subject(), "its ownership", workload.ownership, p.ownership)
	differ(r, subject(), "its egress", workload.egress, egress)
	differ(r, subject(), "its domain", resource.domain, p.domain)
	differ(r, subject(), "its sensitivity", resource.sensitivity, p.sensitivity)
}

// readEvidence counts the executions of the window and then those of each path.
func (w *world) readEvidence(ctx context.Context) error {
	result := w.report.of(Execution)
	ends, err := db.Column[time.Time](ctx, w.reader.querier, queries.Get("window_at"), pgx.StrictNamedArgs{})
	if err != nil {
		return err
	}
	if len(ends) == 0 {
		if len(w.paths) > 0 {
			result.found("organization", "it has paths and no window", "", "")
		}
		return nil
	}
	type row struct {
		WorkloadID id.ID
		IdentityID id.ID
		ResourceID id.ID
		Action     string
		Day        time.Time
		Related    bool
		SourceID   id.ID
		Basis      string
		Count      int64
		LastAt     *time.Time
		RecordedAt time.Time
		FirstAt    time.Time
	}
	after := ends[0].UTC().Add(-window).Truncate(24 * time.Hour)
	err = walk(ctx, w.reader, "evidence", nil,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"workload_id": r.WorkloadID, "identity_id": r.IdentityID, "resource_id": r.ResourceID,
				"action": r.Action, "day": r.Day, "related": r.Related, "source_id": r.SourceID}
		},
		func(r *row) {
			whom := triple{w.indexOf(r.WorkloadID), w.indexOf(r.IdentityID), w.indexOf(r.ResourceID)}
			acted := r.Day
			if r.LastAt != nil {
				acted = *r.LastAt
			}
			w.seen.note(whom, acted.UnixMicro())
			w.checkFirst(whom, r.FirstAt, r.RecordedAt)
			if !r.Day.After(after) {
				return
			}
			w.runs[whom] += r.Count
			result.Compared++
			if basis := basisOf(whom); r.Basis != basis {
				result.found("evidence of "+w.tripleName(whom), "its basis is not what it names", basis, r.Basis)
			}
		})
	if err != nil {
		return err
	}
	for i := range w.paths {
		if p := &w.paths[i]; p.active {
			w.checkExecution(result, p)
		}
	}
	return nil
}

// checkFirst holds since when evidence is known.
func (w *world) checkFirst(of triple, first, recorded time.Time) {
	result := w.report.of(Past)
	result.Compared++
	subject := func() string { return "evidence of " + w.tripleName(of) }
	w.checkInstant(subject, first)
	if first.After(recorded) {
		result.found(subject(), "it was recorded before it came to be", instant(recorded.UnixMicro()), instant(first.UnixMicro()))
	}
}

func (w *world) checkExecution(r *Result, p *path) {
	r.Compared++
	basis, sum := w.mostSpecific(p)
	switch {
	case sum > 0 && (p.basis != basis || p.executions != sum):
		r.found(pathName(p.id), "its executions are wrong", fmt.Sprintf("%d by %s", sum, basis), execution(p))
	case sum == 0 && (p.basis != "" || p.executions > 0):
		r.found(pathName(p.id), "it has executions without evidence", "0 or unknown", execution(p))
	}
	// What follows goes by the evidence: whether somebody watched is not counted again.
	switch {
	case sum > 0:
		p.executions = sum
	case p.executions > 0:
		p.executions = -1
	}
	p.basis = basis
}

func execution(p *path) string {
	if p.executions < 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d by %s", p.executions, p.basis)
}

// mostSpecific is the basis of the most specific evidence of a path, and how
// many executions that counts.
func (w *world) mostSpecific(p *path) (basis string, sum int64) {
	for _, basis := range []string{"path", "workload", "identity"} {
		for _, whom := range subjects(p, basis) {
			sum += w.runs[whom.triple]
		}
		if sum > 0 {
			return basis, sum
		}
	}
	return "", 0
}

// subject is whom evidence of a path may name, with its bit in
// cluster_member.evidence.
type subject struct {
	triple
	bit int16
}

func subjects(p *path, basis string) []subject {
	bound := p.identity != none
	switch {
	case basis == "path" && bound:
		return []subject{{triple{p.workload, none, p.resource}, 1}, {triple{p.workload, p.identity, p.resource}, 2}, {triple{none, p.identity, p.resource}, 4}}
	case basis == "path":
		return []subject{{triple{p.workload, none, p.resource}, 1}}
	case basis == "workload" && bound:
		return []subject{{triple{p.workload, none, none}, 8}, {triple{p.workload, p.identity, none}, 16}}
	case basis == "workload":
		return []subject{{triple{p.workload, none, none}, 8}}
	case basis == "identity" && bound:
		return []subject{{triple{none, p.identity, none}, 32}}
	}
	return nil
}

func basisOf(whom triple) string {
	switch {
	case whom.resource != none:
		return "path"
	case whom.workload != none:
		return "workload"
	}
	return "identity"
}

func (w *world) tripleName(of triple) string {
	return fmt.Sprintf("workload %s, identity %s, resource %s", w.idOf(of.workload), w.idOf(of.identity), w.idOf(of.resource))
}

func pathName(of id.ID) string { return "path " + of.String() }

// dayOf counts days since 1970, in UTC.
func dayOf(at time.Time) int32 {
	seconds := at.Unix()
	day := seconds / 86400
	if seconds%86400 < 0 {
		day--
	}
	return int32(day) //nolint:gosec // six million years
}

func dayName(day int32) string { return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly) }

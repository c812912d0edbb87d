package invariant

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// history is what is known of an organization's past as a whole.
type history struct {
	HistoryFrom *time.Time // since when everything has a past; null: from the first thing that happened
	Clock       *time.Time // when the last thing happened
}

// readHistory comes first: everything else is held against it.
func (w *world) readHistory(ctx context.Context) error {
	rows, err := db.Select[history](ctx, w.reader.querier, queries.Get("history"), pgx.StrictNamedArgs{})
	if err != nil {
		return err
	}
	w.history = *rows[0]
	return nil
}

// kept says whether everything that ended then left its past behind.
func (h history) kept(ended time.Time) bool {
	return h.HistoryFrom == nil || ended.After(*h.HistoryFrom)
}

// since is the first instant of which everything is known, in microseconds.
func (h history) since() int64 {
	if h.HistoryFrom == nil {
		return time.Time{}.UnixMicro()
	}
	return h.HistoryFrom.UnixMicro()
}

// checkInstant holds a beginning or an end against the clock. What the history says
// as of the last instant is what stands only if nothing begins or ends behind it.
// The zero instant is that of rows that were there before their past was kept.
func (w *world) checkInstant(subject func() string, at time.Time) {
	result := w.report.of(Past)
	switch {
	case at.IsZero() && w.history.HistoryFrom == nil:
		result.found(subject(), "it does not say when it began", "", "")
	case w.history.Clock == nil || at.After(*w.history.Clock):
		result.found(subject(), "it is dated later than anything that happened", "", instant(at.UnixMicro()))
	}
}

// life is when a row began and, of a former one, ended.
type life struct {
	FromAt time.Time
	ToAt   *time.Time
}

// rowsWithPast is a table with its former rows.
type rowsWithPast[T any, K comparable] struct {
	name             string
	former, standing string // statements
	key              func(*T) pgx.StrictNamedArgs
	of               func(*T) K
	life             func(*T) life
	whole            bool // what was once there stands, and was something at every instant since
}

// checkRows holds the former rows of a table against each other and against those
// that stand, and visits them all.
func checkRows[T any, K comparable](ctx context.Context, w *world, t rowsWithPast[T, K], visit func(*T)) error {
	result := w.report.of(Past)
	name := func(of K) string { return fmt.Sprintf("%s %v", t.name, of) }
	ends := map[K]int64{}
	begin := func(r *T) (of K, subject func() string, lived life) {
		result.Compared++
		of, lived = t.of(r), t.life(r)
		subject = func() string { return name(of) }
		w.checkInstant(subject, lived.FromAt)
		from := lived.FromAt.UnixMicro()
		switch end, followed := ends[of]; {
		case followed && from < end:
			result.found(subject(), "two of its intervals overlap", "from "+instant(end)+" on", instant(from))
		case followed && t.whole && from > end:
			result.found(subject(), "nobody knows what it was for a while", "from "+instant(end)+" on", instant(from))
		}
		visit(r)
		return of, subject, lived
	}
	dated := func(r *T) pgx.StrictNamedArgs {
		key := t.key(r)
		key["from_at"] = t.life(r).FromAt
		return key
	}
	err := walk(ctx, w.reader, t.former, nil, dated, func(r *T) {
		of, subject, lived := begin(r)
		if !lived.FromAt.Before(*lived.ToAt) {
			result.found(subject(), "an interval ends before it begins", "", instant(lived.ToAt.UnixMicro()))
		}
		w.checkInstant(subject, *lived.ToAt)
		ends[of] = lived.ToAt.UnixMicro()
	})
	if err != nil {
		return err
	}
	err = walk(ctx, w.reader, t.standing, nil, t.key, func(r *T) {
		of, _, _ := begin(r)
		delete(ends, of)
	})
	if t.whole {
		orphans(result, ends, name)
	}
	return err
}

// checkPast holds the history that stands beside the rows. It comes last: rows that
// are wrong are found by the check of their own table.
func (w *world) checkPast(ctx context.Context) error {
	w.checkMemberships()
	for _, step := range []func(context.Context) error{
		w.checkFormerEntities, w.checkFormerAssertions, w.checkFormerEdges, w.checkFormerCoverages, w.checkFormerTallies, w.checkFormerWorkloads,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) checkFormerEntities(ctx context.Context) error {
	type row struct {
		ID id.ID
		life
		Status    string
		RemovedAt *time.Time
	}
	result := w.report.of(Past)
	return checkRows(ctx, w, rowsWithPast[row, id.ID]{
		name: "entity", former: "former_entities", standing: "entity_lives", whole: true,
		key:  func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID} },
		of:   func(r *row) id.ID { return r.ID },
		life: func(r *row) life { return r.life },
	}, func(r *row) {
		if r.ToAt != nil && w.history.kept(*r.ToAt) && (r.Status == "removed") != (r.RemovedAt != nil) {
			result.found("entity "+r.ID.String(), "the status of a former version and its removed_at contradict each other", "", r.Status)
		}
	})
}

func (w *world) checkFormerAssertions(ctx context.Context) error {
	type key struct {
		EntityID id.ID
		SourceID id.ID
		Basis    int16
	}
	type row struct {
		key
		life
	}
	return checkRows(ctx, w, rowsWithPast[row, key]{
		name: "assertion", former: "former_assertions", standing: "assertions",
		key: func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"entity_id": r.EntityID, "source_id": r.SourceID, "basis": r.Basis}
		},
		of:   func(r *row) key { return r.key },
		life: func(r *row) life { return r.life },
	}, func(*row) {})
}

func (w *world) checkFormerEdges(ctx context.Context) error {
	type key struct {
		Kind     string
		FromID   id.ID
		Scope    string
		ToID     id.ID
		SourceID id.ID
	}
	type row struct {
		key
		life
	}
	return checkRows(ctx, w, rowsWithPast[row, key]{
		name: "edge", former: "former_edges", standing: "edge_lives",
		key: func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"kind": r.Kind, "from_id": r.FromID, "scope": r.Scope, "to_id": r.ToID, "source_id": r.SourceID}
		},
		of:   func(r *row) key { return r.key },
		life: func(r *row) life { return r.life },
	}, func(*row) {})
}

func (w *world) checkFormerCoverages(ctx context.Context) error {
	type key struct {
		SourceID id.ID
		Kind     string
		EntityID id.ID
	}
	type row struct {
		key
		life
	}
	return checkRows(ctx, w, rowsWithPast[row, key]{
		name: "coverage", former: "former_coverages", standing: "coverages",
		key: func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"source_id": r.SourceID, "kind": r.Kind, "entity_id": r.EntityID}
		},
		of:   func(r *row) key { return r.key },
		life: func(r *row) life { return r.life },
	}, func(*row) {})
}

// checkFormerTallies also holds how many members the days of first sight come to at
// any time: all of them have one.
func (w *world) checkFormerTallies(ctx context.Context) error {
	type key struct {
		Class            int32
		Level, Cluster   int16
		Dimension, Value string
	}
	type row struct {
		key
		life
		Members int64
	}
	members := map[int16]steps{}
	err := checkRows(ctx, w, rowsWithPast[row, key]{
		name: "tally", former: "former_tallies", standing: "tally_lives",
		key: func(r *row) pgx.StrictNamedArgs {
			class := r.Class
			if r.Dimension == "" { // before the first there is no class
				class = allClasses - 1
			}
			return pgx.StrictNamedArgs{"class": class, "level": r.Level, "cluster": r.Cluster, "dimension": r.Dimension, "value": r.Value}
		},
		of:   func(r *row) key { return r.key },
		life: func(r *row) life { return r.life },
	}, func(r *row) {
		if r.Dimension == "first_seen" && r.Class == allClasses && r.Level == acknowledged {
			note(members, r.Cluster, r.life, r.Members)
		}
	})
	if err != nil || w.report.of(Tallies).Findings > 0 {
		return err
	}
	w.comparePictures("its days of first sight", members)
	return nil
}

// checkMemberships holds how many members a cluster had when snapshots were taken.
func (w *world) checkMemberships() {
	if w.report.of(Members).Findings == 0 {
		w.comparePictures("its members", w.memberships)
	}
}

// comparePictures holds what clusters came to against the snapshots, since their
// definitions are those of now.
func (w *world) comparePictures(what string, clusters map[int16]steps) {
	result := w.report.of(Past)
	if w.report.of(Snapshots).Findings > 0 {
		return
	}
	for _, c := range w.clusters {
		course := clusters[c.number].course()
		for _, p := range w.pictures {
			if p.at < w.history.since() || p.at < c.since {
				continue
			}
			result.Compared++
			if want, have := p.clusters[c.Key].Paths, course.until(p.at); want != have {
				result.found(c.name()+", "+instant(p.at), what+" come to something else", fmt.Sprint(want), fmt.Sprint(have))
			}
		}
	}
}

// checkFormerWorkloads also holds what the rows of workloads come to at any time
// against the counter of all classes.
func (w *world) checkFormerWorkloads(ctx context.Context) error {
	for _, check := range []string{Workloads, Codes, Posture} { // then these say more
		if w.report.of(check).Findings > 0 {
			return nil
		}
	}
	type row struct {
		WorkloadID id.ID
		life
		Live, Listed bool
		Paths        int64
	}
	sums := map[string]steps{}
	err := checkRows(ctx, w, rowsWithPast[row, id.ID]{
		name: "workload", former: "former_workloads", standing: "workload_lives", whole: true,
		key:  func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"workload_id": r.WorkloadID} },
		of:   func(r *row) id.ID { return r.WorkloadID },
		life: func(r *row) life { return r.life },
	}, func(r *row) {
		if r.Live {
			note(sums, "workloads", r.life, 1)
			note(sums, "paths", r.life, r.Paths)
		}
		if r.Listed {
			note(sums, "listed", r.life, 1)
		}
	})
	if err != nil {
		return err
	}
	w.compareRows(sums)
	return nil
}

func (w *world) compareRows(sums map[string]steps) {
	result := w.report.of(Past)
	instants := map[int64]bool{}
	for _, v := range w.course {
		instants[v.from] = true
	}
	for _, s := range sums {
		for at := range s {
			instants[at] = true
		}
	}
	courses := map[string]*course{"workloads": sums["workloads"].course(), "paths": sums["paths"].course(), "listed": sums["listed"].course()}
	next := 0
	for _, at := range slices.Sorted(maps.Keys(instants)) {
		for next < len(w.course) && w.course[next].from <= at {
			next++
		}
		if next == 0 || at < w.history.since() {
			continue
		}
		counted := w.course[next-1]
		for _, column := range []struct {
			name string
			want int64
		}{{"workloads", counted.Workloads}, {"listed", counted.Listed}, {"paths", counted.Paths}} {
			result.Compared++
			if have := courses[column.name].until(at); have != column.want {
				result.found("rows of workloads, "+instant(at), "their "+column.name+" come to something else", fmt.Sprint(column.want), fmt.Sprint(have))
			}
		}
	}
}

// steps are by how much a sum changes, by instants.
type steps map[int64]int64

// note adds what counts during a life.
func note[K comparable](sums map[K]steps, of K, lived life, number int64) {
	if sums[of] == nil {
		sums[of] = steps{}
	}
	sums[of][lived.FromAt.UnixMicro()] += number
	if lived.ToAt != nil {
		sums[of][lived.ToAt.UnixMicro()] -= number
	}
}

// course is a sum on its way through time.
type course struct {
	instants []int64
	steps    steps
	sum      int64
}

func (s steps) course() *course {
	return &course{instants: slices.SortedFunc(maps.Keys(s), cmp.Compare[int64]), steps: s}
}

// until is the sum as of an instant, not before that of the last call.
func (c *course) until(at int64) int64 {
	for len(c.instants) > 0 && c.instants[0] <= at {
		c.sum += c.steps[c.instants[0]]
		c.instants = c.instants[1:]
	}
	return c.sum
}

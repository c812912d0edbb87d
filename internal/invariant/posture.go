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

// account is an identity and a class.
type account struct{ identity, class int32 }

// usage is the row of an identity.
type usage struct {
	Paths          int64
	EffectivePaths int64
	DormantPaths   int64
	ExecutedPaths  int64
	Autonomous     bool
	Executions     int64
}

func (u usage) fields() []field {
	return []field{
		{"paths", u.Paths}, {"effective_paths", u.EffectivePaths}, {"dormant_paths", u.DormantPaths}, {"executed_paths", u.ExecutedPaths},
		{"autonomous", u.Autonomous}, {"executions", u.Executions},
	}
}

// totals are the columns of a counter of the posture.
type totals struct {
	Paths                int64
	SensitivePaths       int64
	DormantPaths         int64
	ExecutedPaths        int64
	UnwatchedPaths       int64
	InvalidPaths         int64
	ExecutedInvalidPaths int64
	Executions           int64
	Workloads            int64
	Autonomous           int64
	OperatorAssisted     int64
	HumanTriggered       int64
	Unclassified         int64
	Listed               int64
	Critical             int64
	High                 int64
	Medium               int64
	Low                  int64
	Identities           int64
	ActiveIdentities     int64
	ActiveAutonomous     int64
	DormantIdentities    int64
	happened
}

// happened counts on.
type happened struct {
	PathsAdded       int64
	PathsRemoved     int64
	PathsOrphaned    int64
	PathsInvalidated int64
	AutonomousGained int64
}

func (n totals) fields() []field {
	return append([]field{
		{"paths", n.Paths}, {"sensitive_paths", n.SensitivePaths}, {"dormant_paths", n.DormantPaths}, {"executed_paths", n.ExecutedPaths},
		{"unwatched_paths", n.UnwatchedPaths}, {"invalid_paths", n.InvalidPaths}, {"executed_invalid_paths", n.ExecutedInvalidPaths},
		{"executions", n.Executions}, {"workloads", n.Workloads}, {"autonomous", n.Autonomous}, {"operator_assisted", n.OperatorAssisted},
		{"human_triggered", n.HumanTriggered}, {"unclassified", n.Unclassified}, {"listed", n.Listed}, {"critical", n.Critical}, {"high", n.High},
		{"medium", n.Medium}, {"low", n.Low}, {"identities", n.Identities}, {"active_identities", n.ActiveIdentities},
		{"active_autonomous", n.ActiveAutonomous}, {"dormant_identities", n.DormantIdentities},
	}, n.happened.fields()...)
}

func (n happened) fields() []field {
	return []field{
		{"paths_added", n.PathsAdded}, {"paths_removed", n.PathsRemoved}, {"paths_orphaned", n.PathsOrphaned},
		{"paths_invalidated", n.PathsInvalidated}, {"autonomous_gained", n.AutonomousGained},
	}
}

// value is one of a counter, true until the next one begins.
type value struct {
	from int64 // microseconds
	totals
}

// move is when the paths of a class became more or less, in microseconds.
type move struct {
	class int32
	at    int64
}

// change is by how many, and how many of them began or ceased to stand.
type change struct{ by, added, removed int64 }

// stood is what the version before says of a path.
type stood struct {
	active bool
	class  int32
}

// move notes what a version of a path changes.
func (w *world) move(before stood, active bool, class int32, from time.Time) stood {
	note := func(class int32, what change) {
		key := move{class, from.UnixMicro()}
		c := w.moves[key]
		w.moves[key] = change{c.by + what.by, c.added + what.added, c.removed + what.removed}
	}
	switch {
	case active && !before.active:
		note(class, change{1, 1, 0})
		note(allClasses, change{1, 1, 0})
	case before.active && !active:
		note(before.class, change{-1, 0, 1})
		note(allClasses, change{-1, 0, 1})
	case active && class != before.class:
		note(before.class, change{-1, 0, 0})
		note(class, change{1, 0, 0})
	}
	return stood{active, class}
}

// checkPosture holds what stands on top of everything else. Before anything was
// summed up, in an organization of an older version, there is nothing to hold.
func (w *world) checkPosture(ctx context.Context) error {
	summed, err := db.Column[bool](ctx, w.reader.querier, queries.Get("summed"), pgx.StrictNamedArgs{})
	if err != nil || !summed[0] {
		return err
	}
	w.sumWorkloads()
	w.sumIdentities()
	w.add()
	for _, step := range []func(context.Context) error{w.checkWorkloads, w.checkIdentities, w.checkTotals, w.checkSnapshots} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) sumIdentities() {
	w.usages = map[account]usage{}
	type once struct {
		account
		of triple
	}
	counted := map[once]bool{}
	for i := range w.paths {
		p := &w.paths[i]
		if !p.active || p.identity == none {
			continue
		}
		workload := w.entityOf(p.workload)
		for _, class := range []int32{allClasses, workload.class} {
			of := account{p.identity, class}
			u := w.usages[of]
			u.Paths++
			if p.effective {
				u.EffectivePaths++
			}
			if p.dormant() {
				u.DormantPaths++
			}
			if p.executions > 0 {
				u.ExecutedPaths++
				u.Autonomous = u.Autonomous || workload.mode == "autonomous"
			}
			for _, whom := range subjects(p, p.basis) {
				if key := (once{of, whom.triple}); whom.workload == none && !counted[key] {
					counted[key] = true
					u.Executions += w.runs[whom.triple]
				}
			}
			w.usages[of] = u
		}
	}
}

// add adds workloads and identities up.
func (w *world) add() {
	w.sums = map[int32]totals{}
	for _, row := range w.workers {
		if !row.live {
			continue
		}
		for _, class := range []int32{allClasses, row.class} {
			n := w.sums[class]
			n.add(row)
			w.sums[class] = n
		}
	}
	for of, u := range w.usages {
		n := w.sums[of.class]
		n.Executions += u.Executions
		n.Identities++
		if u.ExecutedPaths > 0 {
			n.ActiveIdentities++
		}
		if u.Autonomous {
			n.ActiveAutonomous++
		}
		if u.EffectivePaths > 0 && u.DormantPaths == u.EffectivePaths {
			n.DormantIdentities++
		}
		w.sums[of.class] = n
	}
}

func (n *totals) add(row worker) {
	n.Paths += row.paths
	n.SensitivePaths += row.sensitive
	n.DormantPaths += row.dormant
	n.ExecutedPaths += row.executed
	n.UnwatchedPaths += row.unwatched
	if row.ownership == "orphaned" || row.ownership == "degraded" {
		n.InvalidPaths += row.paths
		n.ExecutedInvalidPaths += row.executed
	}
	n.Executions += row.own
	n.Workloads++
	switch row.mode {
	case "autonomous":
		n.Autonomous++
	case "operator_assisted":
		n.OperatorAssisted++
	case "human_triggered":
		n.HumanTriggered++
	default:
		n.Unclassified++
	}
	if !row.listed {
		return
	}
	n.Listed++
	switch row.severity {
	case 4:
		n.Critical++
	case 3:
		n.High++
	case 2:
		n.Medium++
	case 1:
		n.Low++
	}
}

func (a account) name(w *world) string {
	return fmt.Sprintf("identity %s, %s", w.idOf(a.identity), className(a.class))
}

func className(class int32) string {
	if class == allClasses {
		return "all classes"
	}
	return fmt.Sprintf("class %d", class)
}

func (w *world) checkIdentities(ctx context.Context) error {
	result := w.report.of(Identities)
	type row struct {
		IdentityID id.ID
		Class      int32
		usage
	}
	compare := func(of account, want, have usage) {
		result.Compared++
		if want != have {
			should, is := difference(want.fields(), have.fields())
			result.found(of.name(w), "its row is wrong", should, is)
		}
	}
	rest := map[account]usage{}
	for of, u := range w.usages {
		rest[of] = u
	}
	err := walk(ctx, w.reader, "identity_rows", pgx.StrictNamedArgs{},
		func(r *row) pgx.StrictNamedArgs {
			if r.IdentityID == id.Nil { // before the first there is no class
				return pgx.StrictNamedArgs{"identity_id": id.Nil, "class": allClasses - 1}
			}
			return pgx.StrictNamedArgs{"identity_id": r.IdentityID, "class": r.Class}
		},
		func(r *row) {
			of := account{w.indexOf(r.IdentityID), r.Class}
			compare(of, rest[of], r.usage)
			delete(rest, of)
		})
	missing := make([]account, 0, len(rest))
	for of := range rest {
		missing = append(missing, of)
	}
	slices.SortFunc(missing, func(a, b account) int { return cmp.Compare(a.name(w), b.name(w)) })
	for _, of := range missing {
		compare(of, rest[of], usage{})
	}
	return err
}

// courses are the values of all counters, each in its order.
func (w *world) courses(ctx context.Context) (map[int32][]value, error) {
	result := w.report.of(Posture)
	type version struct {
		Class  int32
		FromAt time.Time
		ToAt   time.Time
		totals
	}
	all, ends := map[int32][]value{}, map[int32]int64{}
	first := func(class int32) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"class": class} }
	err := walk(ctx, w.reader, "posture_versions", nil,
		func(v *version) pgx.StrictNamedArgs {
			if v.FromAt.IsZero() {
				return pgx.StrictNamedArgs{"class": int32(allClasses - 1), "from_at": v.FromAt}
			}
			return pgx.StrictNamedArgs{"class": v.Class, "from_at": v.FromAt}
		},
		func(v *version) {
			result.Compared++
			if end, ok := ends[v.Class]; ok && end != v.FromAt.UnixMicro() {
				result.found(className(v.Class), "a former value does not begin where the one before ends", instant(end), instant(v.FromAt.UnixMicro()))
			}
			if !v.FromAt.Before(v.ToAt) {
				result.found(className(v.Class), "a former value ends before it begins", "", instant(v.ToAt.UnixMicro()))
			}
			ends[v.Class] = v.ToAt.UnixMicro()
			all[v.Class] = append(all[v.Class], value{v.FromAt.UnixMicro(), v.totals})
		})
	if err != nil {
		return nil, err
	}
	type row struct {
		Class  int32
		FromAt time.Time
		totals
	}
	err = walk(ctx, w.reader, "posture", nil,
		func(r *row) pgx.StrictNamedArgs {
			if r.FromAt.IsZero() {
				return first(allClasses - 1)
			}
			return first(r.Class)
		},
		func(r *row) {
			if end, ok := ends[r.Class]; ok && end != r.FromAt.UnixMicro() {
				result.found(className(r.Class), "its value does not begin where the one before ends", instant(end), instant(r.FromAt.UnixMicro()))
			}
			delete(ends, r.Class)
			all[r.Class] = append(all[r.Class], value{r.FromAt.UnixMicro(), r.totals})
		})
	for class := range ends {
		delete(all, class)
	}
	orphans(result, ends, className)
	return all, err
}

// checkTotals holds the counters of the posture. What came and went is added up
// from the versions of the paths, since there are counters; of what else has
// happened it can only be said that the classes come to what all of them do, that
// it never falls, and that it is enough for what stands.
func (w *world) checkTotals(ctx context.Context) error {
	result := w.report.of(Posture)
	courses, err := w.courses(ctx)
	if err != nil {
		return err
	}
	w.course = courses[allClasses]
	classes := map[int32]bool{}
	for class := range courses {
		classes[class] = true
	}
	for class := range w.sums {
		classes[class] = true
	}
	var sum, all happened
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		result.Compared++
		var now totals
		if course := courses[class]; len(course) > 0 {
			now = course[len(course)-1].totals
			w.checkCourse(class, course)
		}
		want := w.sums[class]
		want.happened = now.happened
		want.AutonomousGained = max(want.AutonomousGained, want.ActiveAutonomous)
		if class == allClasses {
			all = now.happened
			want.PathsInvalidated = max(want.PathsInvalidated, want.InvalidPaths)
		} else {
			sum.add(now.happened)
		}
		w.tell(class, "its value is wrong", want.fields(), now.fields())
	}
	sum.AutonomousGained = min(sum.AutonomousGained, all.AutonomousGained) // what several classes gain may be one identity
	w.tell(allClasses, "it is not what all classes come to", sum.fields(), all.fields())
	return nil
}

func (n *happened) add(more happened) {
	n.PathsAdded += more.PathsAdded
	n.PathsRemoved += more.PathsRemoved
	n.PathsOrphaned += more.PathsOrphaned
	n.PathsInvalidated += more.PathsInvalidated
	n.AutonomousGained += more.AutonomousGained
}

func (w *world) tell(class int32, message string, want, have []field) {
	if should, is := difference(want, have); should != "" {
		w.report.of(Posture).found(className(class), message, should, is)
	}
}

// dated says whether the versions of the paths can be relied on.
func (w *world) dated() bool { return w.report.of(Paths).Findings == 0 }

// checkCourse holds each value of a counter against the versions of the paths and
// against the value before.
func (w *world) checkCourse(class int32, course []value) {
	result := w.report.of(Posture)
	timeline := w.timeline(class)
	for i, v := range course {
		subject := className(class) + ", " + instant(v.from)
		if i > 0 {
			before := course[i-1].happened.fields()
			for f, now := range v.happened.fields() {
				if now.value.(int64) < before[f].value.(int64) {
					result.found(subject, now.name+" has fallen", fmt.Sprint(before[f].value, " or more"), fmt.Sprint(now.value))
				}
			}
		}
		if !w.dated() {
			continue
		}
		timeline.advance(v.from)
		if i < len(course)-1 { // the current one is held against what stands
			result.Compared++
			differ(result, subject, "how many paths there were", timeline.stand, v.Paths)
		}
		differ(result, subject, "how many paths came so far", timeline.added, v.PathsAdded)
		if class == allClasses { // a workload that goes may take its paths to another class first
			differ(result, subject, "how many paths went so far", timeline.removed, v.PathsRemoved)
		}
		if at, changes := timeline.peek(); changes && (i == len(course)-1 || at < course[i+1].from) {
			result.found(subject, "paths came or went, and it went on", "", instant(at))
		}
	}
}

// timeline walks along what became of the paths of a class.
type timeline struct {
	instants              []int64
	changes               []change
	begin                 int64 // of what has happened so far
	next                  int
	stand, added, removed int64
}

func (w *world) timeline(class int32) *timeline {
	t := &timeline{}
	if len(w.course) > 0 {
		t.begin = w.course[0].from
	}
	for key, c := range w.moves {
		if key.class == class && (c.by != 0 || c.added != 0 || class == allClasses) {
			t.instants = append(t.instants, key.at)
		}
	}
	slices.Sort(t.instants)
	for _, at := range t.instants {
		t.changes = append(t.changes, w.moves[move{class, at}])
	}
	return t
}

// advance adds up what happened until an instant, and at it.
func (t *timeline) advance(until int64) {
	for ; t.next < len(t.instants) && t.instants[t.next] <= until; t.next++ {
		c := t.changes[t.next]
		t.stand += c.by
		if t.instants[t.next] >= t.begin {
			t.added += c.added
			t.removed += c.removed
		}
	}
}

// peek is when something happens next.
func (t *timeline) peek() (at int64, changes bool) {
	if t.next == len(t.instants) {
		return 0, false
	}
	return t.instants[t.next], true
}

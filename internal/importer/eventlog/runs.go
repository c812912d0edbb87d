package eventlog

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Bounds of what is held: an id takes about forty bytes.
const (
	maxIDs  = 4_000_000
	maxRuns = 1_000_000
)

// Run is what somebody did on a day. A ref without a source id names nobody.
type Run struct {
	Workload, Identity record.Ref
	Action             string
	Day                time.Time
	Related            bool
}

type tally struct {
	at    record.Position // of the first
	count int
	last  time.Time
}

// Runs counts the calls of a log by the day, each once.
type Runs struct {
	Prefix string // begins the codes of its faults

	seen        map[[16]byte]struct{}
	tallies     map[Run]*tally
	first, last time.Time // of all events that were noted
	maxIDs      int       // 0: the usual one
}

// Note widens the window of the log by an event.
func (r *Runs) Note(at time.Time) {
	if r.first.IsZero() || at.Before(r.first) {
		r.first = at
	}
	if at.After(r.last) {
		r.last = at
	}
}

// New says whether an id of a call has not been there yet.
func (r *Runs) New(id string, at record.Position) (bool, error) {
	if r.seen == nil {
		r.seen = map[[16]byte]struct{}{}
	}
	sum := sha256.Sum256([]byte(id))
	key := [16]byte(sum[:16])
	if _, double := r.seen[key]; double {
		return false, nil
	}
	if limit := cmp.Or(r.maxIDs, maxIDs); len(r.seen) == limit {
		return false, r.tooLarge(at, "more than %d calls that count", limit)
	}
	r.seen[key] = struct{}{}
	return true, nil
}

// Add counts a call.
func (r *Runs) Add(run Run, when time.Time, at record.Position) error {
	if r.tallies == nil {
		r.tallies = map[Run]*tally{}
	}
	run.Day = when.UTC().Truncate(24 * time.Hour)
	t := r.tallies[run]
	if t == nil {
		if len(r.tallies) == maxRuns {
			return r.tooLarge(at, "calls of more than %d kinds", maxRuns)
		}
		t = &tally{at: at}
		r.tallies[run] = t
	}
	t.count++
	if when.After(t.last) {
		t.last = when
	}
	return nil
}

func (r *Runs) tooLarge(at record.Position, format string, limit int) error {
	return problem.New(problem.Invalid, r.Prefix+"_TOO_LARGE",
		"The log has "+format+". Send it day by day.", limit).At(at.File, at.Line)
}

// Emit says how often each run was seen, and that this is not all there was: a
// log proves that something happened, never that something did not.
func (r *Runs) Emit(out record.Emitter) error {
	runs := make([]Run, 0, len(r.tallies))
	about := map[record.Ref]record.Position{}
	for run, t := range r.tallies {
		runs = append(runs, run)
		for _, ref := range []record.Ref{run.Workload, run.Identity} {
			if at, known := about[ref]; ref.SourceID != "" && (!known || before(t.at, at)) {
				about[ref] = t.at
			}
		}
	}
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(compare(a.Identity, b.Identity), compare(a.Workload, b.Workload), a.Day.Compare(b.Day),
			strings.Compare(a.Action, b.Action), cmp.Compare(ordinal(a.Related), ordinal(b.Related)))
	})
	for _, run := range runs {
		t := r.tallies[run]
		fact := record.Evidence{Workload: named(run.Workload), Identity: named(run.Identity), Action: run.Action,
			Day: run.Day, LastAt: t.last, Count: t.count, Related: run.Related}
		if err := out.Record(record.Record{Position: t.at, Fact: fact}); err != nil {
			return err
		}
	}
	refs := make([]record.Ref, 0, len(about))
	for ref := range about {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, compare)
	for _, ref := range refs {
		fact := record.Coverage{Kind: record.Execution, Entity: named(ref), Partial: true, From: r.first, To: r.last}
		if err := out.Record(record.Record{Position: about[ref], Fact: fact}); err != nil {
			return err
		}
	}
	return nil
}

func named(ref record.Ref) *record.Ref {
	if ref.SourceID == "" {
		return nil
	}
	return &ref
}

func compare(a, b record.Ref) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.System, b.System), strings.Compare(a.SourceID, b.SourceID))
}

func before(a, b record.Position) bool {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) < 0
}

func ordinal(b bool) int {
	if b {
		return 1
	}
	return 0
}

package rule

import (
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Predicate is one of the things that a rule asks. Its names are stable: programs
// compare them, and evidence packs have them. docs/explain.md lists them.
//
// A rule is true of a path when every one of its predicates holds, where of those
// that share OneOf one is enough. The logic is that of the rules: a predicate that
// claims an absence is Unknown without somebody who looked completely.
type Predicate struct {
	Name      string
	Requires  string // in words
	OneOf     string // the alternatives that it is one of; empty: it stands alone
	Holds     Outcome
	Found     Value
	Threshold *Threshold          // what is compared with; nil: what is found is compared with nothing
	Rests     record.EvidenceKind // whose coverage decides where nothing is found; empty: no source need have looked
}

// Threshold is a setting, or a number that the rule has fixed.
type Threshold struct {
	Number int
	Unit   Unit
}

// Unit is what a threshold counts.
type Unit string

// The units.
const (
	Things    Unit = "things"
	WholeDays Unit = "days"
)

// Value is what was found: at most one of the fields, and none where nothing was.
type Value struct {
	Number *int
	Text   *string
	At     *time.Time
	List   []string // not nil: a list, which may be empty
}

// Facts are what the predicates of a rule are about on one path: what the rule
// kept when it found them, or what is known of a subject that it judges now.
type Facts struct {
	Evidence    Evidence
	Settings    Settings
	WindowAt    time.Time // where thresholds look back from; zero: it is not known any more, and what was found had passed them
	Doubted     bool      // what was found is not known to hold any longer
	Sensitivity authority.Sensitivity
	Actions     []string // that the path grants
	Identity    *id.ID
	FirstSeen   time.Time // of the path
	Use         *Use      // nil: what was used at the time is not known any more

	// What keeps a rule from being true of a path although its condition may be.
	LastExecuted time.Time // UnprovenExecution: somebody saw the workload run
	Disabled     bool      // DormantAuthority: the identity cannot act
	RouteUsed    bool      // DormantAuthority: the workload used the route itself
	Bound        int       // UnknownBinding: identities that the workload runs as or authenticates as
	Owned        bool      // OwnershipUnknown: one of the rules before it has the word
	NotAdded     bool      // ScopeDrift: the path leads to nothing that was added
}

// Use is what is known of the use of a path in the window of its privilege.
type Use struct {
	Used      []string
	Justified []string
	Opaque    bool // some of the evidence does not say which action
	Execution Coverage
}

// Holding adds predicates up to the outcome of their rule.
func Holding(predicates []Predicate) Outcome {
	all, groups := True, map[string]Outcome{}
	for _, p := range predicates {
		if p.OneOf == "" {
			all = and(all, p.Holds)
			continue
		}
		one, known := groups[p.OneOf]
		if !known {
			one = False
		}
		groups[p.OneOf] = not(and(not(one), not(p.Holds)))
	}
	for _, one := range groups {
		all = and(all, one)
	}
	return all
}

// Predicates are what a rule asks of a path, and what is found. Rules that judge
// paths keep no evidence: theirs is the path itself.
func Predicates(r Rule, f Facts) []Predicate {
	a := asker{f}
	switch r {
	case OrphanedOwnership:
		return []Predicate{a.noOwners("active", ""), a.covered(record.Ownership, looked)}
	case OwnershipDegraded:
		return []Predicate{a.someOwners("active", "individual"), a.someOwners("inactive", "")}
	case OwnershipAmbiguous:
		return []Predicate{a.someOwners("active", "group"), a.noOwners("active", "individual"), a.covered(record.Ownership, looked)}
	case OwnershipUnknown:
		return a.unknownOwnership()
	case DormantAuthority:
		return a.dormancy()
	case SensitiveDomain:
		return []Predicate{{Name: "sensitivity", Requires: "confidential or restricted", Holds: JudgeReach(Trait{Sensitivity: f.Sensitivity}).Outcome, Found: text(levels[f.Sensitivity])}}
	case UnknownBinding:
		return a.binding()
	case UnprovenExecution:
		return a.proof()
	case ScopeDrift:
		return a.drift()
	case PrivilegeGap:
		return a.privilege()
	case ExternalEgress:
		return []Predicate{a.hosts("external_hosts")}
	case LLMEgress:
		return []Predicate{a.hosts("language_model_hosts")}
	case IdentityReuse:
		return a.reuse()
	case InternetFacing:
		return []Predicate{{Name: "reachable_assets", Requires: "one or more", Holds: holds(len(a.Evidence.Assets) > 0), Found: items(a.Evidence.Assets),
			Threshold: &Threshold{1, Things}}}
	}
	panic("no predicates of rule " + Define(r).Key)
}

const looked = "complete"

// levels are the sensitivities in words.
var levels = map[authority.Sensitivity]string{
	authority.SensitivityUnknown: "unknown", authority.Public: "public", authority.Internal: "internal",
	authority.Confidential: "confidential", authority.Restricted: "restricted",
}

// asker asks the facts of a path.
type asker struct{ Facts }

// coverage is how completely a kind of evidence was known.
func (a asker) coverage(kind record.EvidenceKind) Coverage {
	return CoverageOf(a.Evidence.Completeness[string(kind)])
}

// CoverageOf reads what Coverage writes into evidence.
func CoverageOf(text string) Coverage {
	for _, c := range []Coverage{Complete, Expired, Incomplete} {
		if c.String() == text {
			return c
		}
	}
	return NotCollected
}

// seen says whether something that a source of this kind tells of is there.
func (a asker) seen(is bool, kind record.EvidenceKind) Outcome {
	if a.Doubted {
		return Unknown
	}
	return exists(is, a.coverage(kind))
}

func (a asker) owners(status, kind string) int {
	n := 0
	for _, o := range a.Evidence.Owners {
		if o.Status == status && (kind == "" || o.Type == kind) {
			n++
		}
	}
	return n
}

func ownersName(status, kind string) string {
	if kind == "" {
		return status + "_owners"
	}
	return status + "_" + kind + "_owners"
}

func (a asker) someOwners(status, kind string) Predicate {
	n := a.owners(status, kind)
	return Predicate{Name: ownersName(status, kind), Requires: "one or more", Holds: a.seen(n > 0, record.Ownership),
		Found: amount(n), Threshold: &Threshold{1, Things}, Rests: record.Ownership}
}

func (a asker) noOwners(status, kind string) Predicate {
	n := a.owners(status, kind)
	return Predicate{Name: ownersName(status, kind), Requires: "none", Holds: not(a.seen(n > 0, record.Ownership)),
		Found: amount(n), Threshold: &Threshold{0, Things}, Rests: record.Ownership}
}

// covered asks whether somebody looked completely. Where nobody did, it is not
// false that something is absent: nobody can say.
func (a asker) covered(kind record.EvidenceKind, requires string) Predicate {
	p := Predicate{Name: string(kind) + "_coverage", Requires: requires, Holds: Unknown, Rests: kind}
	if c := a.Evidence.Completeness[string(kind)]; c != "" {
		p.Found = text(c)
	}
	if a.coverage(kind) == Complete && !a.Doubted {
		p.Holds = True
	}
	return p
}

func (a asker) unknownOwnership() []Predicate {
	n := a.owners("active", "")
	cover := a.covered(record.Ownership, "anything but complete")
	cover.Holds = holds(a.coverage(record.Ownership) != Complete)
	asked := []Predicate{
		{Name: "active_owners", Requires: "none", Holds: holds(n == 0), Found: amount(n), Threshold: &Threshold{0, Things}, Rests: record.Ownership},
		cover,
	}
	if a.Owned {
		asked = append(asked, Predicate{Name: "ownership_exposures", Requires: "none of the other three", Holds: False})
	}
	return asked
}

// passed says whether an instant lies a threshold or more before the end of the
// window.
func (a asker) passed(t time.Time, threshold time.Duration) Outcome {
	return holds(a.WindowAt.IsZero() || !t.Add(threshold).After(a.WindowAt))
}

func (a asker) dormancy() []Predicate {
	threshold := &Threshold{int(a.Settings.DormantAfter / day), WholeDays}
	before := dayCount(a.Settings.DormantAfter) + " or more before the end of the window"
	acted := a.seen(false, record.Execution) // since then
	if last := a.Evidence.LastActiveAt; last != nil && a.passed(*last, a.Settings.DormantAfter) == False {
		acted = True
	}
	since := func(name string, t *time.Time) Predicate {
		p := Predicate{Name: name, Requires: before, Holds: True, Found: instant(t), Threshold: threshold}
		if t != nil {
			p.Holds = a.passed(*t, a.Settings.DormantAfter)
		}
		return p
	}
	asked := []Predicate{
		{Name: "identity_last_active_at", Requires: "none, or " + before, Holds: not(acted), Found: instant(a.Evidence.LastActiveAt), Threshold: threshold, Rests: record.Execution},
		since("identity_first_seen_at", a.Evidence.FirstSeenAt), since("path_first_seen_at", &a.FirstSeen),
		a.covered(record.Execution, looked),
	}
	if a.Disabled {
		asked = append(asked, Predicate{Name: "identity_status", Requires: "active", Holds: False, Found: text("disabled")})
	}
	if a.RouteUsed {
		asked = append(asked, Predicate{Name: "route_used", Requires: "not since the threshold, by the workload itself", Holds: False, Threshold: threshold})
	}
	return asked
}

func (a asker) binding() []Predicate {
	const either = "bindings"
	unbound := Predicate{Name: "identity_of_path", Requires: "none", Holds: holds(a.Identity == nil), Rests: record.Binding}
	if a.Identity != nil {
		unbound.Found = text(a.Identity.String())
	}
	unresolved := Predicate{Name: "unresolved_bindings", Requires: "one or more, unless bindings were collected completely", OneOf: either,
		Holds: holds(a.Evidence.Unresolved > 0), Found: amount(a.Evidence.Unresolved), Threshold: &Threshold{1, Things}, Rests: record.Binding}
	if a.Doubted {
		unresolved.Holds = Unknown
	}
	complete := a.covered(record.Binding, "complete, unless a binding is unresolved")
	complete.OneOf = either
	asked := []Predicate{unbound, unresolved, complete}
	if a.Bound > 0 {
		asked = append(asked, Predicate{Name: "bound_identities", Requires: "none", Holds: False, Found: amount(a.Bound), Threshold: &Threshold{0, Things}, Rests: record.Binding})
	}
	return asked
}

func (a asker) proof() []Predicate {
	ran := Predicate{Name: "executions_of_workload", Requires: "none, ever", Holds: not(a.seen(!a.LastExecuted.IsZero(), record.Execution)),
		Found: amount(0), Threshold: &Threshold{0, Things}, Rests: record.Execution}
	if !a.LastExecuted.IsZero() {
		ran.Found = instant(&a.LastExecuted) // the last one; how many there were nobody counts
	}
	seen := Predicate{Name: "workload_first_seen_at", Requires: dayCount(a.Settings.ProofGrace) + " or more before the end of the window", Holds: True,
		Found: instant(a.Evidence.FirstSeenAt), Threshold: &Threshold{int(a.Settings.ProofGrace / day), WholeDays}}
	if first := a.Evidence.FirstSeenAt; first != nil {
		seen.Holds = a.passed(*first, a.Settings.ProofGrace)
	}
	return []Predicate{ran, seen, a.covered(record.Execution, looked)}
}

func (a asker) drift() []Predicate {
	const grown, either = "anything, in one of the three", "growth"
	e := a.Evidence
	added := func(name string, n int, found Value) Predicate {
		return Predicate{Name: name, Requires: grown, OneOf: either, Holds: a.seen(n > 0, record.Roles), Found: found, Rests: record.Roles}
	}
	asked := []Predicate{
		{Name: "baseline_at", Requires: "before the scope that is compared", Holds: True, Found: instant(e.BaselineAt), Rests: record.Roles},
		added("roles_added", len(e.RolesAdded), items(e.RolesAdded)), added("actions_added", len(e.ActionsAdded), items(e.ActionsAdded)),
		added("destinations_added", e.Newly, amount(e.Newly)),
	}
	if e.BaselineAt == nil {
		asked[0].Holds = a.seen(false, record.Roles) // there is nothing to compare with
	}
	if a.NotAdded {
		asked = append(asked, Predicate{Name: "path_added", Requires: "the path leads to what was added", Holds: not(a.seen(true, record.Roles))})
	}
	return asked
}

func (a asker) privilege() []Predicate {
	granted := Unused(a.Actions, nil)
	asked := []Predicate{{Name: "granted_actions_that_change_something", Requires: "one or more", Holds: holds(len(granted) > 0), Found: items(granted), Threshold: &Threshold{1, Things}}}
	if a.Use == nil {
		return asked // the explanation says the rest
	}
	u := *a.Use
	left := Unused(a.Actions, u.Used)
	unused := slices.DeleteFunc(slices.Clone(left), func(action string) bool { return slices.Contains(u.Justified, action) })
	window := Threshold{int(a.Settings.PrivilegeWindow / day), WholeDays}
	used := Predicate{Name: "used_actions", Requires: "one or more in " + dayCount(a.Settings.PrivilegeWindow), Found: items(u.Used), Threshold: &window, Rests: record.Execution}
	switch {
	case len(u.Used) > 0:
		used.Holds = True
	case u.Opaque || u.Execution != Complete:
		used.Holds = Unknown
	}
	idle := Predicate{Name: "unused_unjustified_actions", Requires: "one or more", Holds: holds(len(unused) > 0), Found: items(unused), Threshold: &Threshold{1, Things}, Rests: record.Execution}
	if len(unused) > 0 && (u.Opaque || u.Execution != Complete) {
		idle.Holds = Unknown
	}
	return append(asked, used,
		Predicate{Name: "justified_actions", Requires: "not all of those that are unused", Holds: holds(len(left) == 0 || len(unused) > 0), Found: items(u.Justified)}, idle)
}

func (a asker) hosts(name string) Predicate {
	return Predicate{Name: name, Requires: "one or more", Holds: a.seen(len(a.Evidence.Hosts) > 0, record.EgressObs), Found: items(a.Evidence.Hosts),
		Threshold: &Threshold{1, Things}, Rests: record.EgressObs}
}

func (a asker) reuse() []Predicate {
	const either = "shared"
	e, enough := a.Evidence, a.Settings.SharedWorkloads
	several := e.Workloads >= 2
	workloads := Predicate{Name: "workloads", Requires: strconv.Itoa(enough) + " or more, or two whose owners are known to differ", OneOf: either,
		Holds: a.seen(e.Workloads >= enough, record.Binding), Found: amount(e.Workloads), Threshold: &Threshold{enough, Things}, Rests: record.Binding}
	sets := Predicate{Name: "owner_sets", Requires: "two or more, unless the workloads are enough", OneOf: either,
		Found: amount(e.OwnerSets), Threshold: &Threshold{2, Things}, Rests: record.Ownership}
	owned := a.covered(record.Ownership, "complete, unless the workloads are enough")
	switch {
	case !several: // one workload has the owners that it has
		owned.Holds = True
	case a.Doubted || a.coverage(record.Ownership) != Complete:
		sets.Holds = Unknown
	default:
		sets.Holds = holds(e.OwnerSets >= 2)
	}
	if workloads.Holds == True {
		owned.Holds = True
	}
	return []Predicate{workloads, sets, owned}
}

func holds(is bool) Outcome {
	if is {
		return True
	}
	return False
}

func amount(n int) Value { return Value{Number: &n} }

func text(s string) Value { return Value{Text: &s} }

func instant(t *time.Time) Value {
	if t == nil || t.IsZero() {
		return Value{}
	}
	return Value{At: t}
}

func items(list []string) Value {
	if list == nil {
		list = []string{}
	}
	return Value{List: list}
}

// dayCount is a threshold in a requirement, whatever its number.
func dayCount(d time.Duration) string { return strconv.Itoa(int(d/day)) + " days" }

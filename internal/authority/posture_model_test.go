package authority_test

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// The model of the posture: what paths, conditions and exposures come to for each
// workload, each identity and all of them is added up anew after every change.
// Only codes, and how often something has happened so far, are remembered.

// worker is the row of a workload.
type worker struct {
	Code                                         string
	Class                                        class
	Live, Listed                                 bool
	Mode, Ownership, Egress                      string
	Categories                                   int
	Identities                                   string // in their order
	Paths, Sensitive, Dormant, Executed, Unknown int64
	Findings                                     int64
	Rules, Severity                              int
	Domains, SensitiveDomains                    string
	Clusters                                     int
	Executions                                   int64 // unknownExecutions for null
	Own                                          int64
	LastExecution                                time.Time
}

// circle is whom a counter counts: a class, or all there are.
type circle struct {
	All   bool
	Class class
}

// around are the circles of a class.
func around(c class) []circle { return []circle{{All: true}, {Class: c}} }

// account is where the row of an identity stands.
type account struct {
	Identity record.Ref
	circle
}

// usage is the row of an identity.
type usage struct {
	Paths, Effective, Dormant, Executed int64
	Autonomous                          bool
	Executions                          int64
}

// totals are the columns of a counter.
type totals struct {
	Paths, Sensitive, Dormant, Executed, Unwatched                         int64
	Invalid, ExecutedInvalid, Executions                                   int64
	Workloads, Autonomous, OperatorAssisted, HumanTriggered, Unclassified  int64
	Listed, Critical, High, Medium, Low                                    int64
	Identities, ActiveIdentities, ActiveAutonomous, DormantIdentities      int64
	PathsAdded, PathsRemoved, PathsOrphaned, PathsInvalidated, ModesGained int64 // so far
}

// past leaves of totals what counts on.
func (n totals) past() totals {
	return totals{PathsAdded: n.PathsAdded, PathsRemoved: n.PathsRemoved, PathsOrphaned: n.PathsOrphaned, PathsInvalidated: n.PathsInvalidated, ModesGained: n.ModesGained}
}

// photograph is a snapshot.
type photograph struct {
	At       time.Time
	Sync     int64 // the version of the sync; 0 for an evaluation
	Totals   totals
	Clusters string
}

// sum works out all rows and adds them up.
func (w *world) sum(at time.Time) {
	before, used := w.workers, w.usages
	w.workers, w.usages = w.sumWorkloads(), w.sumIdentities()
	next := map[circle]totals{}
	for c, history := range w.totals {
		next[c] = history.now().past()
	}
	in := func(c class, change func(n *totals)) {
		for _, c := range around(c) {
			n := next[c]
			change(&n)
			next[c] = n
		}
	}
	for r, row := range w.workers {
		in(row.Class, func(n *totals) {
			n.add(row)
			w.happen(n, r, before[r], at)
		})
	}
	for a, u := range w.usages {
		n := next[a.circle]
		n.Executions += u.Executions
		n.Identities++
		n.ActiveIdentities += when(u.Executed > 0)
		n.ActiveAutonomous += when(u.Autonomous)
		n.DormantIdentities += when(u.Effective > 0 && u.Dormant == u.Effective)
		n.ModesGained += when(u.Autonomous && !used[a].Autonomous)
		next[a.circle] = n
	}
	for c, n := range next {
		if w.totals[c] == nil {
			if n == (totals{}) {
				continue // nothing was ever counted
			}
			w.totals[c] = &chronicle[totals]{}
		}
		w.totals[c].write(at, 0, n)
	}
}

func when(holds bool) int64 {
	if holds {
		return 1
	}
	return 0
}

// add adds a living workload.
func (n *totals) add(row worker) {
	if !row.Live {
		return
	}
	n.Paths += row.Paths
	n.Sensitive += row.Sensitive
	n.Dormant += row.Dormant
	n.Executed += row.Executed
	n.Unwatched += row.Unknown
	if row.Ownership == "orphaned" || row.Ownership == "degraded" {
		n.Invalid += row.Paths
		n.ExecutedInvalid += row.Executed
	}
	n.Executions += row.Own
	n.Workloads++
	switch record.ExecutionMode(row.Mode) {
	case record.Autonomous:
		n.Autonomous++
	case record.OperatorAssisted:
		n.OperatorAssisted++
	case record.HumanTriggered:
		n.HumanTriggered++
	default:
		n.Unclassified++
	}
	if !row.Listed {
		return
	}
	n.Listed++
	switch row.Severity {
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

// happen counts what this instant did to the paths of a workload.
func (w *world) happen(n *totals, r record.Ref, before worker, at time.Time) {
	var came, went int64
	for key, history := range w.paths {
		if key.Workload != r || !history.begun(at) {
			continue
		}
		last := len(history.versions) - 1
		stood := last > 0 && !history.versions[last-1].State.Removed
		stands := !history.now().Removed
		came += when(stands && !stood)
		went += when(stood && !stands)
	}
	n.PathsAdded += came
	n.PathsRemoved += went
	now := w.workers[r]
	if !now.Live {
		return
	}
	of := func(count *int64, which ...string) {
		switch is, was := slices.Contains(which, now.Ownership), before.Live && slices.Contains(which, before.Ownership); {
		case is && was:
			*count += came
		case is:
			*count += now.Paths
		}
	}
	of(&n.PathsOrphaned, "orphaned")
	of(&n.PathsInvalidated, "orphaned", "degraded")
}

// sumWorkloads works out the row of every workload that ever lived.
func (w *world) sumWorkloads() map[record.Ref]worker {
	rows, runs := map[record.Ref]worker{}, w.runs()
	var ever []record.Ref
	for r, history := range w.entities {
		if r.Kind == record.Workload && slices.ContainsFunc(history.versions, func(v version[entityState]) bool { return v.State.alive() }) {
			ever = append(ever, r)
		}
	}
	slices.SortFunc(ever, func(a, b record.Ref) int { x, y := w.id(a), w.id(b); return slices.Compare(x[:], y[:]) })
	taken := map[string]bool{}
	for _, row := range w.workers {
		taken[row.Code] = true
	}
	for _, r := range ever {
		code := w.workers[r].Code
		if code == "" {
			code = w.code(r, taken)
			taken[code] = true
		}
		e := w.entities[r].now()
		row := worker{Code: code, Class: e.Class, Live: e.alive(), Mode: string(e.Mode), Ownership: e.Ownership, Egress: e.Egress,
			Executions: unknownExecutions}
		if row.Live {
			w.describeWorkload(&row, r, runs)
		}
		rows[r] = row
	}
	return rows
}

// code is the shortest beginning of a workload's digest that no other has.
func (w *world) code(r record.Ref, taken map[string]bool) string {
	for digits := 8; ; digits++ {
		if code := "EXP-" + w.digits(r)[:digits]; !taken[code] {
			return code
		}
	}
}

func (w *world) digits(r record.Ref) string {
	sum := id.New("workload-exposure/1").ID(w.organization).ID(w.id(r)).Sum()
	return hex.EncodeToString(sum[:])
}

func (w *world) categories(workload record.Ref) (bits int) {
	all(w, func(_ *voice, k egressKey, category record.EgressCategory) {
		if k.Workload == workload {
			bits |= map[record.EgressCategory]int{record.EgressInternal: 1, record.EgressExternal: 2, record.EgressLLM: 4}[category]
		}
	})
	return bits
}

// describeWorkload fills the row of a living workload.
func (w *world) describeWorkload(row *worker, r record.Ref, runs map[triple]int64) {
	bound := w.bindings(r)
	identities := slices.SortedFunc(maps.Keys(bound), func(a, b record.Ref) int {
		x, y := w.id(a), w.id(b)
		return cmp.Or(cmp.Compare(bound[a], bound[b]), cmp.Compare(w.entities[a].now().Name, w.entities[b].now().Name), slices.Compare(x[:], y[:]))
	})
	var names []string
	for _, i := range identities {
		names = append(names, short(i))
	}
	row.Identities, row.Categories = strings.Join(names, " "), w.categories(r)

	domains, sensitiveDomains, subjects := map[string]bool{}, map[string]bool{}, map[triple]bool{}
	effective, watched := false, true
	for key, history := range w.paths {
		p := history.now()
		if key.Workload != r || p.Removed {
			continue
		}
		row.Paths++
		m := w.mask(key)
		row.Severity = max(row.Severity, m.Severity)
		row.Dormant += when(m.Accepted&(1<<(rule.DormantPath-1)) != 0)
		row.Sensitive += when(p.Sensitivity >= 3)
		row.Executed += when(p.Execution > 0)
		row.Unknown += when(p.Execution == unknownExecutions)
		effective = effective || p.Effective
		watched = watched && p.Execution == 0
		if p.DataDomain != "" {
			domains[p.DataDomain] = true
			if p.Sensitivity >= 3 {
				sensitiveDomains[p.DataDomain] = true
			}
		}
		for t := range w.counted(key, runs) {
			subjects[t] = true
		}
	}
	row.Domains, row.SensitiveDomains = joined(domains), joined(sensitiveDomains)
	w.find(row, r, bound, effective)

	if row.Paths == 0 { // nothing says what it did, but that it did something
		for t := range runs {
			if t.Workload == r && t.Resource == unnamed {
				subjects[t] = true
			}
		}
	}
	switch {
	case len(subjects) > 0:
		row.Executions = 0
		for t := range subjects {
			row.Executions += runs[t]
			if t.Workload == r {
				row.Own += runs[t]
			}
		}
	case row.Paths > 0 && watched:
		row.Executions = 0
	}
	row.LastExecution = w.lastExecution(r, bound)
	row.Listed = row.Paths > 0 || row.Findings > 0
	for s, list := range w.members {
		if m := latest(list); s.Path.Workload == r && m.To.IsZero() && m.Level <= 2 {
			row.Clusters |= 1 << (s.Cluster - 1)
		}
	}
}

// find counts the findings of a workload.
func (w *world) find(row *worker, r record.Ref, bound map[record.Ref]int, effective bool) {
	for s := range w.conditions {
		_, through := bound[s.Subject]
		if w.condition(s) == nil || s.Subject != r && !through {
			continue
		}
		row.Findings++
		row.Rules |= 1 << (s.Rule - 1)
		if s.Subject == r && !effective {
			severity, _ := w.weigh(s.Rule, pathState{}, growth{})
			row.Severity = max(row.Severity, severity)
		}
	}
	for p := range w.exposures {
		x := w.exposure(p)
		if p.Path.Workload != r || x == nil || w.paths[p.Path].now().Removed || x.now().Disposition == 4 {
			continue
		}
		if p.Type == rule.SensitiveReach || p.Type == rule.ExcessPrivilege {
			row.Findings++
			row.Rules |= 1 << (p.Type - 1)
		}
	}
}

// lastExecution is when a workload was last seen to act or, where nothing names
// it, one of its identities.
func (w *world) lastExecution(r record.Ref, bound map[record.Ref]int) time.Time {
	var own, borrowed time.Time
	all(w, func(_ *voice, k evidenceKey, value evidenceValue) {
		acted := value.LastAt
		if acted.IsZero() {
			acted = k.Day
		}
		_, through := bound[k.Identity]
		switch {
		case k.Workload == r && acted.After(own):
			own = acted
		case k.Workload == unnamed && through && acted.After(borrowed):
			borrowed = acted
		}
	})
	if own.IsZero() {
		return borrowed
	}
	return own
}

// sumIdentities works out the rows of every identity that a path goes through.
func (w *world) sumIdentities() map[account]usage {
	rows, runs := map[account]usage{}, w.runs()
	subjects := map[account]map[triple]bool{}
	for key, history := range w.paths {
		p := history.now()
		if p.Removed || key.Identity == unnamed {
			continue
		}
		for _, c := range around(p.Class) {
			a := account{key.Identity, c}
			u := rows[a]
			u.Paths++
			u.Effective += when(p.Effective)
			u.Dormant += when(w.mask(key).Accepted&(1<<(rule.DormantPath-1)) != 0)
			u.Executed += when(p.Execution > 0)
			u.Autonomous = u.Autonomous || p.Execution > 0 && w.entities[key.Workload].now().Mode == record.Autonomous
			for t := range w.counted(key, runs) {
				if t.Workload != unnamed || subjects[a][t] {
					continue
				}
				if subjects[a] == nil {
					subjects[a] = map[triple]bool{}
				}
				subjects[a][t] = true
				u.Executions += runs[t]
			}
			rows[a] = u
		}
	}
	return rows
}

// picture keeps what everything comes to when a sync or an evaluation has ended.
func (w *world) picture(at time.Time, sync int64) {
	p := photograph{At: at, Sync: sync}
	if history := w.totals[circle{All: true}]; history != nil {
		p.Totals = history.now().pictured()
	}
	found := map[string]pictured{}
	for _, d := range w.defined {
		if history := w.counters[cell{Cluster: d.Cluster, Level: 2, All: true}]; history != nil && history.now().Paths > 0 {
			found[d.Key] = pictured{history.now().Paths, history.now().Executions}
		}
	}
	p.Clusters = telling(found)
	w.pictures = append(w.pictures, p)
}

// pictured is what a snapshot says of a cluster.
type pictured struct {
	Paths      int64 `json:"paths"`
	Executions int64 `json:"executions"`
}

// pictured leaves of totals what a snapshot has columns for.
func (n totals) pictured() totals {
	n.Executed, n.Unwatched, n.Listed, n.Critical, n.High, n.Medium, n.Low = 0, 0, 0, 0, 0, 0, 0
	return n
}

func telling(clusters map[string]pictured) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(clusters)) {
		parts = append(parts, fmt.Sprintf("%s %+v", key, clusters[key]))
	}
	return strings.Join(parts, ", ")
}

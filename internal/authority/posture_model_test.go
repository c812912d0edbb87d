package authority_test

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
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

// summed notes what a step did to the posture.
func (c *tally) summed(w *world, at time.Time) {
	note := func(what string, holds bool) {
		if holds {
			c.add(what, 1)
		}
	}
	for r, row := range w.workers {
		history := w.entities[r].versions
		note("workload without a row in the list", row.Live && !row.Listed)
		note("row of a removed workload", !row.Live)
		note("workload came back", row.Live && len(history) > 1 && w.entities[r].begun(at) && !history[len(history)-2].State.alive())
		note("findings without a path", row.Listed && row.Paths == 0)
		note("findings of a workload without an effective path", row.Severity > 0 && row.Paths == 0)
		note("several egress categories", row.Categories&(row.Categories-1) != 0)
		note("no known executions", row.Listed && row.Executions == unknownExecutions)
		note("no executions", row.Executions == 0)
		note("executions", row.Executions > 0)
		note("executions of others", row.Executions > row.Own)
		note("executions without a path", row.Executions > 0 && row.Paths == 0)
		note("last execution by an identity", !row.LastExecution.IsZero() && row.Own == 0 && row.Executions > 0)
		note("severity of a workload "+fmt.Sprint(row.Severity), row.Listed)
		note("mode "+row.Mode, row.Live)
		note("several identities", strings.Contains(row.Identities, " "))
	}
	circles := map[record.Ref]int{}
	for a, u := range w.usages {
		circles[a.Identity]++
		note("evidence of an identity alone", u.Executions > 0)
		note("autonomous identity", u.Autonomous)
	}
	for _, n := range circles {
		note("identity of several classes", n > 2)
	}
	for ring, history := range w.totals {
		if !ring.All || !history.begun(at) {
			continue
		}
		n, last := history.now(), len(history.versions)-1
		var before totals
		if last > 0 {
			before = history.versions[last-1].State
		}
		note("dormant identity", n.DormantIdentities > 0)
		note("autonomous gained", n.ModesGained > before.ModesGained)
		note("autonomous gained twice", n.ModesGained > before.ModesGained && n.ModesGained > 1)
		note("autonomous gained again", n.ModesGained > before.ModesGained && before.ModesGained > 0)
		note("autonomous lost", n.ActiveAutonomous < before.ActiveAutonomous)
		note("orphaned event", n.PathsOrphaned > before.PathsOrphaned)
		note("invalidated event", n.PathsInvalidated-n.PathsOrphaned > before.PathsInvalidated-before.PathsOrphaned)
		note("invalid paths executed", n.ExecutedInvalid > 0)
	}
	if last := len(w.pictures) - 1; last > 0 {
		note("snapshot with other values", w.pictures[last].Totals != w.pictures[last-1].Totals)
		note("snapshot with clusters", w.pictures[last].Clusters != "")
	}
}

// expectedOfPosture is what histories have to show of the posture.
func expectedOfPosture(number int) []string {
	list := []string{"workload without a row in the list", "row of a removed workload", "workload came back", "findings without a path",
		"findings of a workload without an effective path", "several egress categories", "no known executions", "no executions", "executions",
		"executions of others", "several identities", "evidence of an identity alone", "autonomous identity", "identity of several classes",
		"autonomous gained", "autonomous gained twice", "orphaned event", "invalidated event",
		"snapshot with other values", "snapshot with clusters", "mode autonomous", "mode operator_assisted", "mode human_triggered", "mode "}
	if number < 1000 {
		return list
	}
	list = append(list, "executions without a path", "last execution by an identity", "dormant identity", "mode triggered", "autonomous gained again", "autonomous lost", "invalid paths executed")
	for severity := range 5 {
		list = append(list, fmt.Sprint("severity of a workload ", severity))
	}
	return list
}

// Comparison ----------------------------------------------------------------------

// comparePosture holds workloads, identities, counters and snapshots against the model.
func (h *theatre) comparePosture(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	h.compareWorkers(t, refs, classes)
	h.compareUsages(t, refs, classes)
	h.compareTotals(t, classes)
	h.comparePictures(t)
}

func (h *theatre) compareWorkers(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		Workload                                     id.ID
		Code                                         string
		Class                                        int
		Live, Listed                                 bool
		Mode, Ownership, Egress                      string
		Categories                                   int
		Identities                                   []id.ID
		Paths, Sensitive, Dormant, Executed, Unknown int64
		Findings                                     int64
		Rules, Severity                              int
		Domains, SensitiveDomains                    []string
		Clusters                                     int
		Executions, Own                              int64
		LastExecution                                *time.Time
	}
	found := map[record.Ref]worker{}
	for _, r := range rowsOf[row](t, h, `
		SELECT workload_id, code, class, live, listed, coalesce(execution_mode, ''), ownership_status, egress_category, egress_categories, identity_ids,
		  paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, findings, finding_rules, max_severity, data_domains, sensitive_domains,
		  clusters, coalesce(executions, -1), own_executions, last_execution_at
		FROM workload_exposure WHERE organization_id = $1`) {
		var names []string
		for _, i := range r.Identities {
			names = append(names, short(refs[i]))
		}
		found[refs[r.Workload]] = worker{
			Code: r.Code, Class: classes[r.Class], Live: r.Live, Listed: r.Listed, Mode: r.Mode, Ownership: r.Ownership, Egress: r.Egress,
			Categories: r.Categories, Identities: strings.Join(names, " "), Paths: r.Paths, Sensitive: r.Sensitive, Dormant: r.Dormant,
			Executed: r.Executed, Unknown: r.Unknown, Findings: r.Findings, Rules: r.Rules, Severity: r.Severity,
			Domains: strings.Join(r.Domains, " "), SensitiveDomains: strings.Join(r.SensitiveDomains, " "), Clusters: r.Clusters,
			Executions: r.Executions, Own: r.Own, LastExecution: utc(r.LastExecution)}
	}
	equalRows(t, "workload", h.world.workers, found)
}

// equalRows compares one by one, so that the difference is told by its column.
func equalRows[K comparable, V any](t checker, what string, expected, found map[K]V) {
	t.Helper()
	for key, row := range expected {
		require.Contains(t, found, key, "the server has no row of %s %+v", what, key)
		require.Equal(t, row, found[key], "the row of %s %+v", what, key)
	}
	for key, row := range found {
		_, both := expected[key]
		require.True(t, both, "the model has no row of %s %+v, the server %+v", what, key, row)
	}
}

// circleOf is the circle of a class as it is stored.
func circleOf(stored int, classes map[int]class) circle {
	if stored == posture.AllClasses {
		return circle{All: true}
	}
	return circle{Class: classes[stored]}
}

func (h *theatre) compareUsages(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		Identity id.ID
		Class    int
		usage
	}
	found := map[account]usage{}
	for _, r := range rowsOf[row](t, h, `SELECT identity_id, class, paths, effective_paths, dormant_paths, executed_paths, autonomous, executions
		FROM identity_posture WHERE organization_id = $1`) {
		found[account{refs[r.Identity], circleOf(r.Class, classes)}] = r.usage
	}
	equalRows(t, "identity", h.world.usages, found)
}

func (h *theatre) compareTotals(t checker, classes map[int]class) {
	t.Helper()
	type row struct {
		Class int
		From  time.Time
		To    *time.Time
		totals
	}
	const columns = `paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, invalid_paths, executed_invalid_paths, executions,
		workloads, autonomous, operator_assisted, human_triggered, unclassified, listed, critical, high, medium, low,
		identities, active_identities, active_autonomous, dormant_identities, paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained`
	found := map[circle][]version[totals]{}
	ends := map[circle]*time.Time{}
	for _, r := range rowsOf[row](t, h, `
		SELECT class, from_at, NULL::timestamptz AS to_at, `+columns+` FROM posture_counter WHERE organization_id = $1
		UNION ALL
		SELECT class, from_at, to_at, `+columns+` FROM posture_counter_version WHERE organization_id = $1
		ORDER BY 1, 2`) {
		c := circleOf(r.Class, classes)
		checkInterval(t, c, len(found[c])+1, len(found[c])+1, r.From, ends[c])
		ends[c] = r.To
		found[c] = append(found[c], version[totals]{From: r.From.UTC(), State: r.totals})
	}
	checkEnds(t, ends)
	if len(h.world.workers) > 0 {
		require.Contains(t, found, circle{All: true}, "workloads and no counter")
	}
	for c, versions := range found { // that nothing was counted yet says as much as no row
		for i := 1; i < len(versions); i++ {
			require.NotEqual(t, versions[i-1].State, versions[i].State, "a value of %+v that is none", c)
		}
		if versions[0].State == (totals{}) {
			versions = versions[1:]
		}
		if found[c] = versions; len(versions) == 0 {
			delete(found, c)
		}
	}
	for c, history := range h.world.totals {
		require.Equal(t, history.versions, found[c], "posture of %+v", c)
	}
	for c, versions := range found {
		require.Contains(t, h.world.totals, c, "the model has no posture of %+v, the server %+v", c, versions)
	}
}

func (h *theatre) comparePictures(t checker) {
	t.Helper()
	type row struct {
		At       time.Time
		Sync     int64
		SyncAt   *time.Time
		Clusters []byte
		totals
	}
	found := []photograph(nil)
	for _, r := range rowsOf[row](t, h, `
		SELECT p.at, coalesce(s.version, 0), s.at, p.clusters, p.paths, p.sensitive_paths, p.dormant_paths, 0, 0, p.invalid_paths, p.executed_invalid_paths, p.executions,
		  p.workloads, p.autonomous, p.operator_assisted, p.human_triggered, p.unclassified, 0, 0, 0, 0, 0,
		  p.identities, p.active_identities, p.active_autonomous, p.dormant_identities, p.paths_added, p.paths_removed, p.paths_orphaned, p.paths_invalidated, p.autonomous_gained
		FROM posture_snapshot p LEFT JOIN sync s ON s.organization_id = $1 AND s.id = p.sync_id
		WHERE p.organization_id = $1 ORDER BY p.at`) {
		clusters := map[string]pictured{}
		require.NoError(t, json.Unmarshal(r.Clusters, &clusters))
		require.Equal(t, r.Sync > 0, r.SyncAt != nil)
		if r.SyncAt != nil {
			require.Equal(t, r.At.UTC(), r.SyncAt.UTC(), "a snapshot is taken when its sync ends")
		}
		found = append(found, photograph{r.At.UTC(), r.Sync, r.totals, telling(clusters)})
	}
	require.Equal(t, h.world.pictures, found, "snapshots")
}

// Examples -------------------------------------------------------------------------

// in1 is an entity of s1.
func in1(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, System: "s1", SourceID: name}
}

// worker is the row of a workload of s1. The server's was compared with it.
func (h *theatre) worker(name string) worker { return h.world.workers[in1(record.Workload, name)] }

// total is what a circle comes to.
func (h *theatre) total(c circle) totals {
	if history := h.world.totals[c]; history != nil {
		return history.now()
	}
	return totals{}
}

// twins are two names of workloads whose codes begin with the same eight digits,
// the one with the smaller id first. A few ten thousand names have such a pair.
func (h *theatre) twins(t checker) (small, great string) {
	t.Helper()
	names := map[string]string{}
	for i := 0; ; i++ {
		require.Less(t, i, 2_000_000, "no two names of so many meet")
		name := fmt.Sprintf("w-%d", i)
		digits := h.world.digits(in1(record.Workload, name))[:8]
		other, met := names[digits]
		if !met {
			names[digits] = name
			continue
		}
		a, b := h.world.id(in1(record.Workload, name)), h.world.id(in1(record.Workload, other))
		if slices.Compare(a[:], b[:]) < 0 {
			return name, other
		}
		return other, name
	}
}

// A code is as short as it can be when it is given, and stays what it is.
func TestHistoryCodesGrowWhereTheyMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	digits := func(h *theatre, name string) int { return len(strings.TrimPrefix(h.worker(name).Code, "EXP-")) }

	t.Run("one after the other", func(t *testing.T) {
		h := staged(b, b.Super(t), "codes-in-turn")
		small, great := h.twins(t)
		h.say(t, scan, 0, workload(great))
		require.Equal(t, 8, digits(h, great), "who comes first")
		h.say(t, scan, time.Hour, workload(great), workload(small))
		require.Equal(t, []int{8, 9}, []int{digits(h, great), digits(h, small)}, "whose id is smaller")
		require.Equal(t, h.worker(great).Code, h.worker(small).Code[:len("EXP-")+8])
		codes := []string{h.worker(small).Code, h.worker(great).Code}
		h.say(t, scan, 2*time.Hour, workload(small))
		require.False(t, h.worker(great).Live)
		h.say(t, scan, 3*time.Hour)
		h.say(t, scan, 4*time.Hour, workload(small))
		h.say(t, scan, 5*time.Hour, workload(small), workload(great))
		require.Equal(t, codes, []string{h.worker(small).Code, h.worker(great).Code})
		require.True(t, h.worker(great).Live)
	})
	t.Run("at once", func(t *testing.T) {
		h := staged(b, b.Super(t), "codes-at-once")
		small, great := h.twins(t)
		h.say(t, scan, 0, workload(great), workload(small))
		require.Equal(t, []int{8, 9}, []int{digits(h, small), digits(h, great)})
		h.say(t, scan, time.Hour)
		h.say(t, scan, 2*time.Hour, workload(great))
		require.Equal(t, 9, digits(h, great), "though the other one is gone")
	})
}

// A workload that was never seen alive has no row, and so takes nobody's code.
func TestHistoryNeverAlive(t *testing.T) {
	h := example(t)
	gone := workload("w1")
	gone.Status = record.Removed
	h.say(t, scan, 0, gone)
	require.Empty(t, h.world.workers)
	h.say(t, scan, time.Hour, workload("w1"))
	require.True(t, h.worker("w1").Live)
}

// An exposure keeps its code whatever becomes of the identities of its workload.
func TestDataPipelineKeepsItsCodeWhenAnIdentityIsRemovedAndReadded(t *testing.T) {
	h := example(t)
	const pipeline = "wl-data-pipeline"
	both := []record.Fact{workload(pipeline), identity("id-svc-etl"), identity("id-svc-etl-staging"), role("r1"), resource("d1", "restricted"),
		runsAs(pipeline, "id-svc-etl"), hasRole("id-svc-etl", "r1", "*"), hasRole("id-svc-etl-staging", "r1", "*"), grants("r1", "*", "d1", "get")}
	staging := runsAs(pipeline, "id-svc-etl-staging")
	h.say(t, scan, 0, append(both, staging)...)
	first := h.worker(pipeline)
	require.Equal(t, "s1/id-svc-etl s1/id-svc-etl-staging", first.Identities)
	require.EqualValues(t, 2, first.Paths)

	h.say(t, scan, time.Hour, both...)
	require.Equal(t, "s1/id-svc-etl", h.worker(pipeline).Identities)
	require.Equal(t, first.Code, h.worker(pipeline).Code)
	h.say(t, scan, 2*time.Hour, append(both, staging)...)
	require.Equal(t, first.Identities, h.worker(pipeline).Identities)
	require.Equal(t, first.Code, h.worker(pipeline).Code)

	// Nor when nobody knows any identity of it, or it itself, for a while.
	h.say(t, scan, 3*time.Hour, workload(pipeline))
	require.Equal(t, first.Code, h.worker(pipeline).Code)
	h.say(t, scan, 4*time.Hour)
	require.False(t, h.worker(pipeline).Live)
	h.say(t, scan, 5*time.Hour, append(both, staging)...)
	require.Equal(t, first, h.worker(pipeline))
}

// A workload that moves to another class takes along all that it counts for. What
// has happened stays where it happened.
func TestHistoryCountsMoveWithTheClass(t *testing.T) {
	h := example(t)
	in := func(environment string) []record.Fact {
		facts := slices.Clone(estate("restricted", "get"))
		facts[0] = record.Entity{Ref: ref(record.Workload, "w1"), Environment: environment, ExecutionMode: record.Autonomous}
		i1 := ref(record.Identity, "i1")
		return append(facts, use("get", day(-1)), record.Evidence{Identity: &i1, Day: day(-1), Count: 5},
			record.Entity{Ref: ref(record.Workload, "w2"), Environment: "prod"}, runsAs("w2", "i1"))
	}
	prod, dev := circle{Class: class{Environment: "prod"}}, circle{Class: class{Environment: "dev"}}
	h.say(t, scan, 0, in("prod")...)
	before := h.total(prod)
	require.EqualValues(t, 2, before.Paths)
	require.EqualValues(t, 2, before.Executed)
	require.EqualValues(t, 6, before.Executions, "one of the path's own, five that the other path counts")
	require.EqualValues(t, 2, before.PathsOrphaned)
	require.EqualValues(t, 1, before.ModesGained)
	require.Equal(t, before, h.total(circle{All: true}))

	h.say(t, scan, time.Hour, in("dev")...)
	left, moved := h.total(prod), h.total(dev)
	require.EqualValues(t, []int64{1, 1, 5, 1, 0}, []int64{left.Paths, left.Executed, left.Executions, left.Workloads, left.ActiveAutonomous})
	require.EqualValues(t, []int64{1, 1, 1, 1, 1}, []int64{moved.Paths, moved.Executed, moved.Executions, moved.Workloads, moved.ActiveAutonomous})
	require.Equal(t, before.past(), left.past())
	require.Equal(t, totals{ModesGained: 1}, moved.past(), "its path came to nobody, and was orphaned before")
	require.Equal(t, before, h.total(circle{All: true}), "over all classes nothing has changed")
	h.say(t, scan, 2*time.Hour, in("prod")...)
	require.Equal(t, totals{ModesGained: 1}, h.total(dev))
	require.EqualValues(t, 2, h.total(prod).ModesGained, "it was counted there anew")
}

// An identity is dormant when all that it can do is, and until somebody acts as it.
func TestHistoryDormantIdentity(t *testing.T) {
	h := example(t)
	everywhere, prod := circle{All: true}, circle{Class: class{Environment: "prod"}}
	facts := append(estate("restricted", "get"), resource("d2", "public"), grants("r1", "*", "d2", "get"))
	facts[0] = record.Entity{Ref: ref(record.Workload, "w1"), Environment: "prod"}
	h.say(t, scan, 0, facts...)
	h.now = epoch.AddDate(0, 0, 100)
	h.reevaluate(t, authority.ByTime, nil)
	require.Equal(t, usage{Paths: 2, Effective: 2, Dormant: 2}, h.world.usages[account{in1(record.Identity, "i1"), prod}])
	require.EqualValues(t, []int64{1, 1, 2}, []int64{h.total(everywhere).DormantIdentities, h.total(prod).DormantIdentities, h.total(prod).Dormant})
	w1, d2 := ref(record.Workload, "w1"), ref(record.Resource, "d2")
	h.say(t, scan, 101*day24, append(facts, record.Evidence{Workload: &w1, Resource: &d2, Day: day(100), Count: 1})...)
	require.EqualValues(t, []int64{0, 1}, []int64{h.total(prod).DormantIdentities, h.total(prod).Dormant}, "one of its paths is travelled")
}

// Executions are null, none or some, and whose they are is told apart.
func TestHistoryExecutionsOfWorkloads(t *testing.T) {
	h := example(t)
	w1, i1 := ref(record.Workload, "w1"), ref(record.Identity, "i1")
	common := []record.Fact{workload("w1"), workload("w2"), identity("i1"), role("r1"), resource("d1", ""), runsAs("w1", "i1"), runsAs("w2", "i1"),
		hasRole("i1", "r1", "*"), grants("r1", "*", "d1", "get")}
	h.say(t, scan, 0, common...)
	require.EqualValues(t, unknownExecutions, h.worker("w1").Executions)
	h.say(t, scan, time.Hour, append(common, record.Coverage{Kind: record.Execution})...)
	require.EqualValues(t, 0, h.worker("w1").Executions)
	evidence := []record.Fact{
		record.Evidence{Workload: &w1, Day: day(-1), Count: 3}, record.Evidence{Workload: &w1, Identity: &i1, Day: day(-2), Count: 4},
		record.Evidence{Identity: &i1, Day: day(-1), Count: 50, LastAt: day(-1).Add(time.Hour)}}
	h.say(t, scan, 2*time.Hour, append(common, evidence...)...)
	one, two := h.worker("w1"), h.worker("w2")
	require.Equal(t, []int64{7, 7, 50, 0}, []int64{one.Executions, one.Own, two.Executions, two.Own})
	require.Equal(t, []time.Time{day(-1), day(-1).Add(time.Hour)}, []time.Time{one.LastExecution, two.LastExecution})
	require.EqualValues(t, 57, h.total(circle{All: true}).Executions, "fifty of an identity are counted once")
	// A workload that has no paths left was active all the same.
	h.say(t, scan, 3*time.Hour, append(evidence, workload("w1"), workload("w2"), identity("i1"), runsAs("w2", "i1"))...)
	one, two = h.worker("w1"), h.worker("w2")
	require.Equal(t, []int64{7, 7, unknownExecutions, 0}, []int64{one.Executions, one.Own, two.Executions, two.Own})
	require.False(t, two.LastExecution.IsZero())
}

package authority_test

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// The model of the clusters: who is a member is found among all paths, and what
// the members come to is counted anew, after every change.

// stand is where a member stands.
type stand struct {
	Cluster int16
	Path    pathKey
}

// member is one interval of a path in a cluster.
type member struct {
	From, To time.Time
	memberState
}

type memberState struct {
	Level, Version int
	Class          class
	Rank           int
	FirstSeen      string
	ExposedSince   string
	Sensitivity    int
	Ownership      string
	Domain         string
	Executed       string // yes, no, unknown
	Evidence       int
}

// cell is where a counter stands.
type cell struct {
	Cluster int16
	Level   int
	All     bool // over all classes
	Class   class
}

// counts are the columns of a counter.
type counts struct {
	Paths, Identities, Workloads, Executions, Executed, ExecutedSensitive, Unwatched int64
	Valid, Degraded, Ambiguous, Orphaned, Unknown                                    int64
	Sensitivity                                                                      [5]int64
}

// triple is whom evidence names.
type triple struct{ Workload, Identity, Resource record.Ref }

// reference is what members refer to, per exact level and class.
type reference struct {
	Cluster int16
	Level   int
	Class   class
	Thing   any // the identity's or the workload's ref, or a triple
}

type tallied struct {
	cell
	Dimension, Value string
}

// referred says how often members refer to a thing; executions only of triples.
type referred struct{ Members, Executions int64 }

// runs are the executions in the window by whom their evidence names.
func (w *world) runs() map[triple]int64 {
	found := map[triple]int64{}
	all(w, func(_ *voice, k evidenceKey, value evidenceValue) {
		if k.Day.After(w.windowAt.Add(-authority.Window)) {
			found[triple{k.Workload, k.Identity, k.Resource}] += int64(value.Count)
		}
	})
	return found
}

// counted lists the evidence that a path counts: of all that fits it, what names
// as much as its basis says. The number is the one that its member row adds up.
func (w *world) counted(key pathKey, runs map[triple]int64) map[triple]int {
	found := map[triple]int{}
	for number, t := range map[int]triple{
		1: {key.Workload, unnamed, key.Resource}, 2: {key.Workload, key.Identity, key.Resource}, 4: {unnamed, key.Identity, key.Resource},
		8: {key.Workload, unnamed, unnamed}, 16: {key.Workload, key.Identity, unnamed}, 32: {unnamed, key.Identity, unnamed},
	} {
		basis := "path"
		switch {
		case number >= 32:
			basis = "identity"
		case number >= 8:
			basis = "workload"
		}
		if (key.Identity != unnamed || number == 1 || number == 8) && runs[t] > 0 && w.paths[key].now().Basis == basis {
			found[t] = number
		}
	}
	return found
}

// bits are the exposure types that count on a path up to a level.
func (w *world) bits(key pathKey, level int) int {
	m := w.mask(key)
	return []int{m.Open, m.Acknowledged, m.Accepted}[level-1]
}

// terms are the bits of a definition.
func terms(d posture.Definition) (every, any int) {
	for _, t := range d.All {
		every |= 1 << (t - 1)
	}
	for _, t := range d.Any {
		any |= 1 << (t - 1)
	}
	return every, any
}

// level is the smallest at which a path, or its workload, satisfies a cluster,
// and the path carries a part of it; 0 if there is none.
func (w *world) level(d posture.Definition, key pathKey) int {
	every, any := terms(d)
	for level := 1; level <= 3; level++ {
		bits := w.bits(key, level)
		if d.Grain == posture.OfWorkload {
			for other := range w.paths {
				if other.Workload == key.Workload {
					bits |= w.bits(other, level)
				}
			}
		}
		if bits&every == every && (any == 0 || bits&any != 0) && w.bits(key, level)&(every|any) != 0 {
			return level
		}
	}
	return 0
}

// count finds the members and counts them.
func (w *world) count(at time.Time) {
	runs := w.runs()
	next := map[stand]memberState{}
	for _, d := range w.definitions {
		for key, history := range w.paths {
			if level := w.level(d, key); level > 0 && !history.now().Removed {
				next[stand{d.Cluster, key}] = w.describe(d, key, level, runs)
			}
		}
	}
	for s, list := range w.members {
		now, still := next[s]
		m := latest(list)
		switch {
		case !m.To.IsZero():
		case !still || now.Level != m.Level || now.Version != m.Version || now.Class != m.Class || now.Rank != m.Rank:
			m.To = at
		default:
			m.memberState = now
			delete(next, s)
		}
	}
	for s, state := range next {
		w.members[s] = append(w.members[s], member{From: at, memberState: state})
	}
	w.addUp(at, runs)
}

func (w *world) describe(d posture.Definition, key pathKey, level int, runs map[triple]int64) memberState {
	p := w.paths[key].now()
	m := memberState{
		Level: level, Version: d.Version, Class: p.Class, Rank: w.mask(key).Severity*8 + int(p.Sensitivity),
		FirstSeen: w.paths[key].versions[0].From.Format(time.DateOnly), Sensitivity: int(p.Sensitivity), Ownership: p.Ownership, Executed: "unknown",
	}
	every, any := terms(d)
	for t := range rule.OutwardFacing + 1 {
		x := w.exposure(place{key, t})
		if t == 0 || x == nil || (every|any)&(1<<(t-1)) == 0 || x.now().Disposition > level {
			continue
		}
		if since := x.Effective.Format(time.DateOnly); m.ExposedSince == "" || since < m.ExposedSince {
			m.ExposedSince = since
		}
	}
	if p.Sensitivity >= 3 {
		m.Domain = p.DataDomain
	}
	switch {
	case p.Execution > 0:
		m.Executed = "yes"
	case p.Execution == 0:
		m.Executed = "no"
	}
	for _, number := range w.counted(key, runs) {
		m.Evidence |= number
	}
	return m
}

// addUp counts the members: references per exact level and class, everything
// else up to each level, and over all classes besides.
func (w *world) addUp(at time.Time, runs map[triple]int64) {
	w.references, w.tallies = map[reference]referred{}, map[tallied]int64{}
	totals := map[cell]*counts{}
	once := map[any]bool{}
	for s, list := range w.members {
		m := latest(list)
		if !m.To.IsZero() {
			continue
		}
		refer := func(thing any, executions int64) {
			r := reference{s.Cluster, m.Level, m.Class, thing}
			w.references[r] = referred{w.references[r].Members + 1, executions}
		}
		refer(s.Path.Workload, 0)
		if s.Path.Identity != unnamed {
			refer(s.Path.Identity, 0)
		}
		evidence := w.counted(s.Path, runs)
		for t := range evidence {
			refer(t, runs[t])
		}
		for level := m.Level; level <= 3; level++ {
			for _, c := range []cell{{s.Cluster, level, false, m.Class}, {s.Cluster, level, true, class{}}} {
				if totals[c] == nil {
					totals[c] = &counts{}
				}
				n := totals[c]
				first := func(thing any) int64 {
					key := struct {
						cell
						thing any
					}{c, thing}
					if once[key] {
						return 0
					}
					once[key] = true
					return 1
				}
				n.Paths++
				n.Workloads += first(s.Path.Workload)
				if s.Path.Identity != unnamed {
					n.Identities += first(s.Path.Identity)
				}
				for t := range evidence {
					n.Executions += first(t) * runs[t]
				}
				switch m.Executed {
				case "yes":
					n.Executed++
					if m.Sensitivity >= 3 {
						n.ExecutedSensitive++
					}
				case "unknown":
					n.Unwatched++
				}
				*map[string]*int64{"valid": &n.Valid, "degraded": &n.Degraded, "ambiguous": &n.Ambiguous, "orphaned": &n.Orphaned, "unknown": &n.Unknown}[m.Ownership]++
				n.Sensitivity[m.Sensitivity]++
				w.tallies[tallied{c, "first_seen", m.FirstSeen}]++
				w.tallies[tallied{c, "exposed_since", m.ExposedSince}]++
				if m.Domain != "" {
					w.tallies[tallied{c, "sensitive_domain", m.Domain}]++
				}
			}
		}
	}
	for c, n := range totals {
		if w.counters[c] == nil {
			w.counters[c] = &chronicle[counts]{}
		}
		w.counters[c].write(at, 0, *n)
	}
	for c, history := range w.counters {
		if totals[c] == nil {
			history.write(at, 0, counts{})
		}
	}
}

// Comparison -------------------------------------------------------------------

func (h *theatre) compareClusters(t checker, refs map[id.ID]record.Ref, keys map[id.ID]pathKey, classes map[int]class) {
	t.Helper()
	type definition struct {
		Cluster          int16
		Version          int
		Key, Grain       string
		Severity         rule.Severity
		AllMask, AnyMask int
	}
	expected := []definition{}
	if !h.world.windowAt.IsZero() {
		for _, d := range h.world.defined {
			every, any := terms(d)
			expected = append(expected, definition{d.Cluster, d.Version, d.Key, string(d.Grain), d.Severity, every, any})
		}
	}
	require.ElementsMatch(t, expected, rowsOf[definition](t, h, `SELECT cluster, version, key, grain, severity, all_mask, any_mask
		FROM cluster_definition WHERE organization_id = $1 AND to_at IS NULL`), "definitions of clusters")
	h.compareMembers(t, refs, keys, classes)
	h.compareCounters(t, classes)
	h.compareReferences(t, refs, classes)
}

func (h *theatre) compareMembers(t checker, refs map[id.ID]record.Ref, keys map[id.ID]pathKey, classes map[int]class) {
	t.Helper()
	type row struct {
		Cluster                     int16
		Path                        id.ID
		From                        time.Time
		To                          *time.Time
		Level, Version, Class, Rank int
		FirstSeen, ExposedSince     string
		Sensitivity                 int
		Ownership, Domain, Executed string
		Evidence                    int
		Workload                    id.ID
		Identity                    *id.ID
		Resource                    id.ID
	}
	found := map[stand][]member{}
	for _, r := range rowsOf[row](t, h, `
		SELECT cluster, path_id, from_at, to_at, level, version, class, rank, first_seen::text, exposed_since::text, sensitivity, ownership_status,
		  coalesce(sensitive_domain, ''), CASE executed WHEN true THEN 'yes' WHEN false THEN 'no' ELSE 'unknown' END, evidence, workload_id, identity_id, resource_id
		FROM cluster_member WHERE organization_id = $1 ORDER BY from_at`) {
		require.Contains(t, keys, r.Path, "a member that is no path")
		key := keys[r.Path]
		identity := unnamed
		if r.Identity != nil {
			identity = refs[*r.Identity]
		}
		require.Equal(t, key, pathKey{refs[r.Workload], identity, refs[r.Resource]})
		found[stand{r.Cluster, key}] = append(found[stand{r.Cluster, key}], member{r.From.UTC(), utc(r.To), memberState{
			Level: r.Level, Version: r.Version, Class: classes[r.Class], Rank: r.Rank, FirstSeen: r.FirstSeen, ExposedSince: r.ExposedSince,
			Sensitivity: r.Sensitivity, Ownership: r.Ownership, Domain: r.Domain, Executed: r.Executed, Evidence: r.Evidence}})
	}
	equalRows(t, "membership", h.world.members, found)
}

// cellOf is the cell of a class as it is stored.
func cellOf(cluster int16, level, stored int, classes map[int]class) cell {
	if stored == posture.AllClasses {
		return cell{Cluster: cluster, Level: level, All: true}
	}
	return cell{Cluster: cluster, Level: level, Class: classes[stored]}
}

func (h *theatre) compareCounters(t checker, classes map[int]class) {
	t.Helper()
	type row struct {
		Cluster      int16
		Level, Class int
		From         time.Time
		To           *time.Time
		Counts       []int64
	}
	const columns = `ARRAY[paths, identities, workloads, executions, executed, executed_sensitive, unwatched,
		ownership_valid, ownership_degraded, ownership_ambiguous, ownership_orphaned, ownership_unknown,
		sensitivity_unknown, sensitivity_public, sensitivity_internal, sensitivity_confidential, sensitivity_restricted]`
	found := map[cell][]version[counts]{}
	ends := map[cell]*time.Time{}
	for _, r := range rowsOf[row](t, h, `
		SELECT cluster, level, class, from_at, NULL::timestamptz, `+columns+` FROM cluster_counter WHERE organization_id = $1
		UNION ALL
		SELECT cluster, level, class, from_at, to_at, `+columns+` FROM cluster_counter_version WHERE organization_id = $1
		ORDER BY 1, 2, 3, 4`) {
		c, n := cellOf(r.Cluster, r.Level, r.Class, classes), r.Counts
		checkInterval(t, c, len(found[c])+1, len(found[c])+1, r.From, ends[c])
		ends[c] = r.To
		found[c] = append(found[c], version[counts]{From: r.From.UTC(), State: counts{
			n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], [5]int64(n[12:])}})
	}
	equalChronicles(t, "the counter", h.world.counters, found)
	checkEnds(t, ends)

	type value struct {
		Cluster          int16
		Level, Class     int
		Dimension, Value string
		Members          int64
	}
	tallies := map[tallied]int64{}
	for _, r := range rowsOf[value](t, h, `SELECT cluster, level, class, dimension, value, members FROM cluster_tally WHERE organization_id = $1`) {
		tallies[tallied{cellOf(r.Cluster, r.Level, r.Class, classes), r.Dimension, r.Value}] = r.Members
	}
	equalMaps(t, "tally", h.world.tallies, tallies)
}

func (h *theatre) compareReferences(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		What                         string
		Cluster                      int16
		Level, Class                 int
		Workload, Identity, Resource id.ID
		Members, Executions          int64
	}
	found := map[reference]referred{}
	for _, r := range rowsOf[row](t, h, `
		SELECT 'evidence', cluster, level, class, workload_id, identity_id, resource_id, members, executions FROM cluster_evidence WHERE organization_id = $1
		UNION ALL
		SELECT 'workload', cluster, level, class, workload_id, workload_id, workload_id, members, 0 FROM cluster_workload WHERE organization_id = $1
		UNION ALL
		SELECT 'identity', cluster, level, class, identity_id, identity_id, identity_id, members, 0 FROM cluster_identity WHERE organization_id = $1`) {
		key := reference{Cluster: r.Cluster, Level: r.Level, Class: classes[r.Class], Thing: refs[r.Workload]}
		if r.What == "evidence" {
			key.Thing = triple{refs[r.Workload], refs[r.Identity], refs[r.Resource]}
		}
		found[key] = referred{r.Members, r.Executions}
	}
	equalMaps(t, "reference", h.world.references, found)
}

func equalMaps[K, V comparable](t checker, what string, expected, found map[K]V) {
	t.Helper()
	var differing []string
	for key, value := range expected {
		if found[key] != value {
			differing = append(differing, fmt.Sprintf("%s %+v: the model has %v, the server %v", what, key, value, found[key]))
		}
	}
	for key, value := range found {
		if _, both := expected[key]; !both {
			differing = append(differing, fmt.Sprintf("%s %+v: the model has none, the server %v", what, key, value))
		}
	}
	require.Empty(t, differing)
}

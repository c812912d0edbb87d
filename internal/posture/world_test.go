package posture_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// What the clusters of a world come to, counted from its paths, exposures and
// evidence alone, in maps and loops: nothing here knows a difference, a
// reference or a former state.

type openExposure struct {
	disposition int
	effective   time.Time
}

type path struct {
	workload, resource string
	identity           string // empty: unbound
	class              int
	domain             string // empty: null
	sensitivity        int
	ownership          string
	execution          *int64
	basis              string
	severity           int // of its gravest exposure; 0 is null
	firstSeen          time.Time
	exposures          map[rule.Type]openExposure
}

func thing(name string) id.ID {
	if name == "" {
		return id.Nil
	}
	return id.New("thing/1").Text(name).Short()
}

func (p *path) key() string { return p.workload + "/" + p.identity + "/" + p.resource }
func (p *path) id() id.ID   { return id.New("path/1").Text(p.key()).Short() }

// mask has the types whose disposition counts at a level.
func (p *path) mask(level int) (bits int32) {
	for t, e := range p.exposures {
		if e.disposition <= level {
			bits |= t.Bit()
		}
	}
	return bits
}

// triple is whom evidence names, by their names.
type triple struct{ workload, identity, resource string }

// subjects are whom the evidence names that a path of this basis counts.
func (p *path) subjects() []triple {
	bound := p.identity != ""
	switch {
	case p.basis == "path" && bound:
		return []triple{{p.workload, "", p.resource}, {p.workload, p.identity, p.resource}, {"", p.identity, p.resource}}
	case p.basis == "path":
		return []triple{{p.workload, "", p.resource}}
	case p.basis == "workload" && bound:
		return []triple{{p.workload, "", ""}, {p.workload, p.identity, ""}}
	case p.basis == "workload":
		return []triple{{p.workload, "", ""}}
	case p.basis == "identity" && bound:
		return []triple{{"", p.identity, ""}}
	}
	return nil
}

type observation struct {
	triple
	action string
	day    time.Time
	count  int64
}

type world struct {
	definitions []posture.Definition
	paths       map[string]*path // the active ones
	evidence    []observation
	window      time.Time
}

// runs are the executions of everybody named within the window.
func (w *world) runs() map[triple]int64 {
	counts := map[triple]int64{}
	first := w.window.Add(-30 * 24 * time.Hour).Truncate(24 * time.Hour)
	for _, o := range w.evidence {
		if o.day.After(first) {
			counts[o.triple] += o.count
		}
	}
	return counts
}

// member is a row of cluster_member, but for its interval.
type member struct {
	Cluster      int16
	Path         id.ID
	Level        int16
	Class        int32
	Version      int32
	Rank         int16
	FirstSeen    string
	ExposedSince string
	Sensitivity  int16
	Ownership    string
	Domain       *string
	Executed     *bool
	Workload     id.ID
	Identity     *id.ID
	Resource     id.ID

	path *path
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func (w *world) members() []member {
	var list []member
	for _, d := range w.definitions {
		terms := d.AllMask() | d.AnyMask()
		for _, p := range w.paths {
			level := 0
			for l := 3; l >= 1; l-- {
				bits := p.mask(l)
				if d.Grain == posture.OfWorkload {
					bits = 0
					for _, other := range w.paths {
						if other.workload == p.workload {
							bits |= other.mask(l)
						}
					}
				}
				if d.Holds(bits) && p.mask(l)&terms != 0 {
					level = l
				}
			}
			if level == 0 {
				continue
			}
			m := member{Cluster: d.Cluster, Path: p.id(), Level: int16(level), Class: int32(p.class), Version: int32(d.Version),
				Rank: int16(p.severity*8 + p.sensitivity), FirstSeen: day(p.firstSeen), Sensitivity: int16(p.sensitivity), Ownership: p.ownership,
				Workload: thing(p.workload), Resource: thing(p.resource), path: p}
			for t, e := range p.exposures {
				if since := day(e.effective); t.Bit()&terms != 0 && e.disposition <= level && (m.ExposedSince == "" || since < m.ExposedSince) {
					m.ExposedSince = since
				}
			}
			if p.identity != "" {
				identity := thing(p.identity)
				m.Identity = &identity
			}
			if p.domain != "" && p.sensitivity >= 3 {
				m.Domain = &p.domain
			}
			if p.execution != nil {
				executed := *p.execution > 0
				m.Executed = &executed
			}
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), slices.Compare(a.Path[:], b.Path[:]))
	})
	return list
}

// cell is where a counter stands.
type cell struct {
	cluster int16
	level   int
	class   int
}

// counts are the columns of a counter by name; what is 0 is left out.
type counts map[string]int64

// counted is what a world comes to. References are per exact level and class,
// counters and tallies up to a level and, under class -1, over all classes.
type counted struct {
	references map[string]int64
	counters   map[cell]counts
	tallies    map[string]int64
}

func (w *world) count(members []member) counted {
	out := counted{references: map[string]int64{}, counters: map[cell]counts{}, tallies: map[string]int64{}}
	runs := w.runs()
	seen := map[string]bool{}
	for _, m := range members {
		if m.Identity != nil {
			out.references[fmt.Sprint("identity ", m.Cluster, m.Level, m.Class, *m.Identity)]++
		}
		out.references[fmt.Sprint("workload ", m.Cluster, m.Level, m.Class, m.Workload)]++
		for _, s := range m.path.subjects() {
			if runs[s] > 0 {
				key := fmt.Sprint(m.Cluster, m.Level, m.Class, thing(s.workload), thing(s.identity), thing(s.resource))
				out.references["evidence "+key]++
				out.references["executions "+key] = runs[s]
			}
		}
		for level := int(m.Level); level <= 3; level++ {
			for _, class := range []int{int(m.Class), posture.AllClasses} {
				at := cell{m.Cluster, level, class}
				if out.counters[at] == nil {
					out.counters[at] = counts{}
				}
				c := out.counters[at]
				once := func(name, what string, n int64) {
					if key := fmt.Sprint(at, name, what); !seen[key] {
						seen[key] = true
						c[name] += n
					}
				}
				c["paths"]++
				if m.Identity != nil {
					once("identities", m.path.identity, 1)
				}
				once("workloads", m.path.workload, 1)
				for _, s := range m.path.subjects() {
					if runs[s] > 0 {
						once("executions", fmt.Sprint(s), runs[s])
					}
				}
				switch {
				case m.Executed == nil:
					c["unwatched"]++
				case *m.Executed:
					c["executed"]++
					if m.Sensitivity >= 3 {
						c["executed_sensitive"]++
					}
				}
				c["ownership_"+m.Ownership]++
				c["sensitivity_"+[]string{"unknown", "public", "internal", "confidential", "restricted"}[m.Sensitivity]]++
				out.tallies[fmt.Sprint(at, " first_seen ", m.FirstSeen)]++
				out.tallies[fmt.Sprint(at, " exposed_since ", m.ExposedSince)]++
				if m.Domain != nil {
					out.tallies[fmt.Sprint(at, " sensitive_domain ", *m.Domain)]++
				}
			}
		}
	}
	return out
}

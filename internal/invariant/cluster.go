package invariant

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

const (
	topLevel   = 3 // accepted
	allClasses = -1
	sensitive  = 3 // confidential, and what is above
)

// expression is how a cluster finds its members.
type expression struct {
	Version  int32
	Key      string
	Grain    string
	Severity int16
	AllMask  int32
	AnyMask  int32
}

func (e expression) holds(mask int32) bool {
	return mask&e.AllMask == e.AllMask && (e.AnyMask == 0 || mask&e.AnyMask != 0)
}

func (e expression) terms() int32 { return e.AllMask | e.AnyMask }

// cluster is a cluster with its members, in the order of the paths.
type cluster struct {
	expression
	number  int16
	defined bool
	since   int64 // its definition, in microseconds
	members []member
}

func (c *cluster) name() string {
	if c.Key == "" {
		return "cluster " + strconv.Itoa(int(c.number))
	}
	return c.Key
}

type member struct {
	path     int32
	level    int16
	since    int32 // day
	evidence int16 // bits
}

// field is a column with its value, for telling rows apart.
type field struct {
	name  string
	value any
}

// difference writes the fields that differ.
func difference(want, have []field) (string, string) {
	var wanted, had []string
	for i := range want {
		if want[i].value != have[i].value {
			wanted = append(wanted, fmt.Sprintf("%s=%v", want[i].name, want[i].value))
			had = append(had, fmt.Sprintf("%s=%v", have[i].name, have[i].value))
		}
	}
	return strings.Join(wanted, " "), strings.Join(had, " ")
}

// checkClusters counts cluster by cluster, so that no more than one is held.
func (w *world) checkClusters(ctx context.Context, definitions []posture.Definition) error {
	clusters, err := w.findClusters(ctx, definitions)
	if err != nil {
		return err
	}
	unions := w.unite()
	for _, c := range clusters {
		w.findMembers(c, unions)
		for _, m := range c.members {
			if m.level <= acknowledged {
				w.clustersOf[w.paths[m.path].workload] |= 1 << (c.number - 1)
			}
		}
		for _, step := range []func(context.Context, *cluster) error{w.checkMembers, w.checkCounts} {
			if err := step(ctx, c); err != nil {
				return err
			}
		}
		c.members = nil
	}
	return nil
}

// findClusters gives every cluster that a row names. One whose definition is
// stored in the program's version is found by the program's expression, one in
// another version by the stored one. One without a definition has no members.
func (w *world) findClusters(ctx context.Context, definitions []posture.Definition) ([]*cluster, error) {
	result := w.report.of(Members)
	type row struct {
		Cluster int16
		expression
		FromAt time.Time
	}
	rows, err := db.Select[row](ctx, w.reader.querier, queries.Get("definitions"), pgx.StrictNamedArgs{})
	if err != nil {
		return nil, err
	}
	numbers, err := db.Column[int16](ctx, w.reader.querier, queries.Get("clusters"), pgx.StrictNamedArgs{})
	if err != nil {
		return nil, err
	}
	clusters := map[int16]*cluster{}
	for _, number := range numbers {
		clusters[number] = &cluster{number: number, since: math.MaxInt64}
	}
	for _, r := range rows {
		c := clusters[r.Cluster]
		c.expression, c.defined, c.since = r.expression, true, r.FromAt.UnixMicro()
	}
	for _, d := range definitions {
		own := expression{int32(d.Version), d.Key, string(d.Grain), int16(d.Severity), d.AllMask(), d.AnyMask()} //nolint:gosec // versions are small
		c := clusters[d.Cluster]
		switch {
		case len(rows) == 0 && len(w.open) > 0: // it was judged, and no definition was written
			clusters[d.Cluster] = &cluster{expression: own, number: d.Cluster, defined: true, since: math.MaxInt64}
		case c == nil:
		case c.defined && c.Version == own.Version:
			result.Compared++
			differ(result, "definition of "+own.Key, "its expression in this version", fmt.Sprintf("%+v", own), fmt.Sprintf("%+v", c.expression))
			c.expression = own
		}
	}
	list := make([]*cluster, 0, len(clusters))
	for _, number := range slices.Sorted(maps.Keys(clusters)) {
		list = append(list, clusters[number])
	}
	w.clusters = list
	return list, nil
}

// unite gives the masks of each workload over all of its paths.
func (w *world) unite() [][topLevel]int32 {
	unions := make([][topLevel]int32, len(w.ids))
	for i := range w.paths {
		if p := &w.paths[i]; p.workload != none {
			for level, mask := range p.counted.masks {
				unions[p.workload][level] |= mask
			}
		}
	}
	return unions
}

func (w *world) findMembers(c *cluster, unions [][topLevel]int32) {
	if !c.defined {
		return
	}
	for i := range w.paths {
		p := &w.paths[i]
		if p.end == p.begin {
			continue
		}
		for level := range topLevel {
			mask := p.counted.masks[level]
			if c.Grain == string(posture.OfPath) && !c.holds(mask) {
				continue
			}
			if c.Grain == string(posture.OfWorkload) && (mask&c.terms() == 0 || !c.holds(unions[p.workload][level])) {
				continue
			}
			m := member{path: int32(i), level: int16(level + 1)} //nolint:gosec // no memory holds more of them
			m.since = w.exposedSince(p, c.terms(), m.level)
			for _, whom := range subjects(p, p.basis) {
				if w.runs[whom.triple] > 0 {
					m.evidence |= whom.bit
				}
			}
			c.members = append(c.members, m)
			break
		}
	}
}

// exposedSince is the earliest day of the exposures that make a path a member.
func (w *world) exposedSince(p *path, terms int32, level int16) (day int32) {
	first := true
	for _, e := range w.open[p.begin:p.end] {
		if e.disposition <= level && terms&(1<<(e.typ-1)) != 0 && (first || e.since < day) {
			day, first = e.since, false
		}
	}
	return day
}

// measured is what a member's row says.
type measured struct {
	level, class, version, rank  int32
	firstSeen, exposedSince      int32
	sensitivity, evidence        int16
	executed                     string
	workload, identity, resource id.ID
	ownership, domain            string
}

func (m measured) fields() []field {
	return []field{
		{"level", m.level}, {"class", m.class}, {"version", m.version}, {"rank", m.rank},
		{"first_seen", dayName(m.firstSeen)}, {"exposed_since", dayName(m.exposedSince)},
		{"sensitivity", m.sensitivity}, {"evidence", m.evidence}, {"executed", m.executed},
		{"workload_id", m.workload}, {"identity_id", m.identity}, {"resource_id", m.resource},
		{"ownership_status", m.ownership}, {"sensitive_domain", m.domain},
	}
}

// measure is what a member's row should say.
func (w *world) measure(c *cluster, m member) measured {
	p := &w.paths[m.path]
	want := measured{
		level: int32(m.level), class: p.class, version: c.Version, rank: int32(p.counted.severity)*8 + int32(p.sensitivity),
		firstSeen: p.firstSeen, exposedSince: m.since, sensitivity: p.sensitivity, evidence: m.evidence, executed: "unknown",
		workload: w.idOf(p.workload), identity: w.idOf(p.identity), resource: w.idOf(p.resource), ownership: p.ownership, domain: w.sensitiveDomain(p),
	}
	if p.executions >= 0 {
		want.executed = strconv.FormatBool(p.executions > 0)
	}
	return want
}

func (w *world) sensitiveDomain(p *path) string {
	if p.sensitivity < sensitive {
		return ""
	}
	return p.domain
}

func (w *world) checkMembers(ctx context.Context, c *cluster) error {
	result := w.report.of(Members)
	type row struct {
		PathID          id.ID
		FromAt          time.Time
		ToAt            *time.Time
		Version         int32
		Level           int16
		Class           int32
		Rank            int16
		FirstSeen       time.Time
		ExposedSince    time.Time
		Sensitivity     int16
		OwnershipStatus string
		SensitiveDomain *string
		Executed        *bool
		Evidence        int16
		WorkloadID      id.ID
		IdentityID      *id.ID
		ResourceID      id.ID
	}
	subject := func(path id.ID) string { return c.name() + ", " + pathName(path) }
	at := 0 // in members, which come in the same order
	absent := func(until func(id.ID) bool) {
		for ; at < len(c.members) && until(w.paths[c.members[at].path].id); at++ {
			result.Compared++
			result.found(subject(w.paths[c.members[at].path].id), "it is a member and no row says so", "level "+strconv.Itoa(int(c.members[at].level)), "")
		}
	}
	var last *row
	err := walk(ctx, w.reader, "members", pgx.StrictNamedArgs{"cluster": c.number},
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"path_id": r.PathID, "from_at": r.FromAt} },
		func(r *row) {
			result.Compared++
			if last != nil && last.PathID == r.PathID && (last.ToAt == nil || r.FromAt.Before(*last.ToAt)) {
				result.found(subject(r.PathID), "two intervals overlap", "", instant(r.FromAt.UnixMicro()))
			}
			if r.ToAt != nil && !r.FromAt.Before(*r.ToAt) {
				result.found(subject(r.PathID), "an interval ends before it begins", "", instant(r.ToAt.UnixMicro()))
			}
			last = r
			w.checkInstant(func() string { return subject(r.PathID) }, r.FromAt)
			if r.Level <= acknowledged {
				note(w.memberships, c.number, life{r.FromAt, r.ToAt}, 1)
			}
			if r.ToAt != nil {
				w.checkInstant(func() string { return subject(r.PathID) }, *r.ToAt)
				return
			}
			absent(func(next id.ID) bool { return bytes.Compare(next[:], r.PathID[:]) < 0 })
			if at == len(c.members) || w.paths[c.members[at].path].id != r.PathID {
				result.found(subject(r.PathID), "it is no member and a row says so", "", "level "+strconv.Itoa(int(r.Level)))
				return
			}
			have := measured{
				level: int32(r.Level), class: r.Class, version: r.Version, rank: int32(r.Rank), firstSeen: dayOf(r.FirstSeen), exposedSince: dayOf(r.ExposedSince),
				sensitivity: r.Sensitivity, evidence: r.Evidence, executed: "unknown", workload: r.WorkloadID, resource: r.ResourceID,
				ownership: r.OwnershipStatus, domain: w.optional(r.SensitiveDomain),
			}
			if r.IdentityID != nil {
				have.identity = *r.IdentityID
			}
			if r.Executed != nil {
				have.executed = strconv.FormatBool(*r.Executed)
			}
			if want := w.measure(c, c.members[at]); want != have {
				should, is := difference(want.fields(), have.fields())
				result.found(subject(r.PathID), "its row is wrong", should, is)
			}
			at++
		})
	absent(func(id.ID) bool { return true })
	return err
}

package invariant

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// group is a level and an access class.
type group struct {
	level int16
	class int32
}

// reference is a thing that members of a group refer to.
type reference[K comparable] struct {
	group
	of K
}

// runs are how often evidence is referred to, and the executions that it holds.
type runs struct{ members, executions int64 }

type tally struct{ dimension, value string }

// counts are the columns of a counter.
type counts struct {
	Paths                   int64
	Identities              int64
	Workloads               int64
	Executions              int64
	Executed                int64
	ExecutedSensitive       int64
	Unwatched               int64
	OwnershipValid          int64
	OwnershipDegraded       int64
	OwnershipAmbiguous      int64
	OwnershipOrphaned       int64
	OwnershipUnknown        int64
	SensitivityUnknown      int64
	SensitivityPublic       int64
	SensitivityInternal     int64
	SensitivityConfidential int64
	SensitivityRestricted   int64
}

func (c counts) fields() []field {
	return []field{
		{"paths", c.Paths}, {"identities", c.Identities}, {"workloads", c.Workloads}, {"executions", c.Executions},
		{"executed", c.Executed}, {"executed_sensitive", c.ExecutedSensitive}, {"unwatched", c.Unwatched},
		{"ownership_valid", c.OwnershipValid}, {"ownership_degraded", c.OwnershipDegraded}, {"ownership_ambiguous", c.OwnershipAmbiguous},
		{"ownership_orphaned", c.OwnershipOrphaned}, {"ownership_unknown", c.OwnershipUnknown},
		{"sensitivity_unknown", c.SensitivityUnknown}, {"sensitivity_public", c.SensitivityPublic}, {"sensitivity_internal", c.SensitivityInternal},
		{"sensitivity_confidential", c.SensitivityConfidential}, {"sensitivity_restricted", c.SensitivityRestricted},
	}
}

// add counts a member, but for the things that it shares with others.
func (c *counts) add(p *path) {
	c.Paths++
	switch {
	case p.executions < 0:
		c.Unwatched++
	case p.executions > 0:
		c.Executed++
		if p.sensitivity >= sensitive {
			c.ExecutedSensitive++
		}
	}
	switch p.ownership {
	case "valid":
		c.OwnershipValid++
	case "degraded":
		c.OwnershipDegraded++
	case "ambiguous":
		c.OwnershipAmbiguous++
	case "orphaned":
		c.OwnershipOrphaned++
	case "unknown":
		c.OwnershipUnknown++
	}
	switch p.sensitivity {
	case 0:
		c.SensitivityUnknown++
	case 1:
		c.SensitivityPublic++
	case 2:
		c.SensitivityInternal++
	case 3:
		c.SensitivityConfidential++
	case 4:
		c.SensitivityRestricted++
	}
}

// balance is what a cluster comes to.
type balance struct {
	identities map[reference[int32]]int64
	workloads  map[reference[int32]]int64
	evidence   map[reference[triple]]runs
	tallies    map[reference[tally]]int64 // up to a level, for a class or all
	counters   map[group]counts           // likewise
}

// upTo visits the groups in which a member of a group counts.
func upTo(of group, visit func(group)) {
	for level := of.level; level <= topLevel; level++ {
		visit(group{level, of.class})
		visit(group{level, allClasses})
	}
}

func (w *world) count(c *cluster) balance {
	b := balance{map[reference[int32]]int64{}, map[reference[int32]]int64{}, map[reference[triple]]runs{}, map[reference[tally]]int64{}, map[group]counts{}}
	type day struct {
		group
		dimension string
		day       int32
	}
	days, domains := map[day]int64{}, map[reference[string]]int64{}
	for _, m := range c.members {
		p := &w.paths[m.path]
		of := group{m.level, p.class}
		if p.identity != none {
			b.identities[reference[int32]{of, p.identity}]++
		}
		b.workloads[reference[int32]{of, p.workload}]++
		for _, whom := range subjects(p, p.basis) {
			if m.evidence&whom.bit != 0 {
				r := b.evidence[reference[triple]{of, whom.triple}]
				b.evidence[reference[triple]{of, whom.triple}] = runs{r.members + 1, w.runs[whom.triple]}
			}
		}
		days[day{of, "first_seen", p.firstSeen}]++
		days[day{of, "exposed_since", m.since}]++
		if domain := w.sensitiveDomain(p); domain != "" {
			domains[reference[string]{of, domain}]++
		}
		upTo(of, func(in group) {
			sum := b.counters[in]
			sum.add(p)
			b.counters[in] = sum
		})
	}
	for of, members := range days {
		upTo(of.group, func(in group) { b.tallies[reference[tally]{in, tally{of.dimension, dayName(of.day)}}] += members })
	}
	for of, members := range domains {
		upTo(of.group, func(in group) { b.tallies[reference[tally]{in, tally{"sensitive_domain", of.of}}] += members })
	}
	distinct(b.identities, func(in group, _ int32) { b.bump(in, func(c *counts) { c.Identities++ }) })
	distinct(b.workloads, func(in group, _ int32) { b.bump(in, func(c *counts) { c.Workloads++ }) })
	distinct(b.evidence, func(in group, of triple) { b.bump(in, func(c *counts) { c.Executions += w.runs[of] }) })
	return b
}

func (b balance) bump(in group, change func(*counts)) {
	sum := b.counters[in]
	change(&sum)
	b.counters[in] = sum
}

// distinct visits each group once for every thing that counts in it.
func distinct[K comparable, V any](references map[reference[K]]V, visit func(group, K)) {
	seen := make(map[reference[K]]struct{}, len(references))
	for r := range references {
		upTo(r.group, func(in group) {
			once := reference[K]{in, r.of}
			if _, ok := seen[once]; !ok {
				seen[once] = struct{}{}
				visit(in, r.of)
			}
		})
	}
}

// reconcile holds the rows of a table against what they should be. A row that
// is not there says zero.
func reconcile[T any, K, V comparable](ctx context.Context, w *world, check, statement string, c *cluster, want map[K]V,
	key func(*T) pgx.StrictNamedArgs, split func(*T) (K, V), subject func(K) string, tell func(want, have V) (string, string)) error {
	result := w.report.of(check)
	var zero V
	compare := func(of K, should, is V) {
		if should != is {
			wanted, had := tell(should, is)
			result.found(c.name()+", "+subject(of), statement+" differ", wanted, had)
		}
	}
	err := walk(ctx, w.reader, statement, pgx.StrictNamedArgs{"cluster": c.number}, key, func(row *T) {
		result.Compared++
		of, have := split(row)
		compare(of, want[of], have)
		delete(want, of)
	})
	if err != nil {
		return err
	}
	type left struct {
		name string
		of   K
	}
	var missing []left
	for of, should := range want {
		result.Compared++
		if should != zero {
			missing = append(missing, left{subject(of), of})
		}
	}
	slices.SortFunc(missing, func(a, b left) int { return cmp.Compare(a.name, b.name) })
	for _, m := range missing {
		compare(m.of, want[m.of], zero)
	}
	return nil
}

func (g group) String() string {
	if g.class == allClasses {
		return fmt.Sprintf("level %d, all classes", g.level)
	}
	return fmt.Sprintf("level %d, class %d", g.level, g.class)
}

func plain[V any](want, have V) (string, string) { return fmt.Sprint(want), fmt.Sprint(have) }

func (w *world) checkCounts(ctx context.Context, c *cluster) error {
	b := w.count(c)
	if sum := b.counters[group{acknowledged, allClasses}]; sum.Paths > 0 {
		w.acknowledged[c.name()] = pictured{sum.Paths, sum.Executions}
	}
	for _, step := range []func(context.Context, *cluster, balance) error{w.checkReferences, w.checkCounters, w.checkTallies} {
		if err := step(ctx, c, b); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) checkReferences(ctx context.Context, c *cluster, b balance) error {
	type identity struct {
		IdentityID id.ID
		Level      int16
		Class      int32
		Members    int64
	}
	type workload struct {
		WorkloadID id.ID
		Level      int16
		Class      int32
		Members    int64
	}
	type evidence struct {
		WorkloadID id.ID
		IdentityID id.ID
		ResourceID id.ID
		Level      int16
		Class      int32
		Members    int64
		Executions int64
	}
	one := func(r reference[int32]) string { return fmt.Sprintf("%s, %s", r.group, w.idOf(r.of)) }
	if err := reconcile(ctx, w, References, "identities", c, b.identities,
		func(r *identity) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"identity_id": r.IdentityID, "level": r.Level, "class": r.Class}
		},
		func(r *identity) (reference[int32], int64) {
			return reference[int32]{group{r.Level, r.Class}, w.indexOf(r.IdentityID)}, r.Members
		}, one, plain); err != nil {
		return err
	}
	if err := reconcile(ctx, w, References, "workloads", c, b.workloads,
		func(r *workload) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"workload_id": r.WorkloadID, "level": r.Level, "class": r.Class}
		},
		func(r *workload) (reference[int32], int64) {
			return reference[int32]{group{r.Level, r.Class}, w.indexOf(r.WorkloadID)}, r.Members
		}, one, plain); err != nil {
		return err
	}
	return reconcile(ctx, w, References, "cluster_evidence", c, b.evidence,
		func(r *evidence) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"workload_id": r.WorkloadID, "identity_id": r.IdentityID, "resource_id": r.ResourceID, "level": r.Level, "class": r.Class}
		},
		func(r *evidence) (reference[triple], runs) {
			return reference[triple]{group{r.Level, r.Class}, triple{w.indexOf(r.WorkloadID), w.indexOf(r.IdentityID), w.indexOf(r.ResourceID)}}, runs{r.Members, r.Executions}
		},
		func(r reference[triple]) string { return fmt.Sprintf("%s, %s", r.group, w.tripleName(r.of)) },
		func(want, have runs) (string, string) {
			return difference([]field{{"members", want.members}, {"executions", want.executions}}, []field{{"members", have.members}, {"executions", have.executions}})
		})
}

func (w *world) checkCounters(ctx context.Context, c *cluster, b balance) error {
	result := w.report.of(Counters)
	type version struct {
		Level  int16
		Class  int32
		FromAt time.Time
		ToAt   time.Time
	}
	ends := map[group]int64{}
	if err := walk(ctx, w.reader, "counter_versions", pgx.StrictNamedArgs{"cluster": c.number},
		func(v *version) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"level": v.Level, "class": v.Class, "from_at": v.FromAt}
		},
		func(v *version) {
			result.Compared++
			of := group{v.Level, v.Class}
			if end, ok := ends[of]; ok && end != v.FromAt.UnixMicro() {
				result.found(c.name()+", "+of.String(), "a former value does not begin where the one before ends", instant(end), instant(v.FromAt.UnixMicro()))
			}
			ends[of] = v.ToAt.UnixMicro()
		}); err != nil {
		return err
	}
	type row struct {
		Level  int16
		Class  int32
		FromAt time.Time
		counts
	}
	err := reconcile(ctx, w, Counters, "counters", c, b.counters,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"level": r.Level, "class": r.Class} },
		func(r *row) (group, counts) {
			of := group{r.Level, r.Class}
			if end, ok := ends[of]; ok && end != r.FromAt.UnixMicro() {
				result.found(c.name()+", "+of.String(), "its value does not begin where the one before ends", instant(end), instant(r.FromAt.UnixMicro()))
			}
			delete(ends, of)
			return of, r.counts
		}, group.String,
		func(want, have counts) (string, string) { return difference(want.fields(), have.fields()) })
	orphans(result, ends, func(of group) string { return c.name() + ", " + of.String() })
	return err
}

func (w *world) checkTallies(ctx context.Context, c *cluster, b balance) error {
	type row struct {
		Level     int16
		Class     int32
		Dimension string
		Value     string
		Members   int64
	}
	return reconcile(ctx, w, Tallies, "tallies", c, b.tallies,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"level": r.Level, "class": r.Class, "dimension": r.Dimension, "value": r.Value}
		},
		func(r *row) (reference[tally], int64) {
			return reference[tally]{group{r.Level, r.Class}, tally{r.Dimension, r.Value}}, r.Members
		},
		func(r reference[tally]) string { return fmt.Sprintf("%s, %s %s", r.group, r.of.dimension, r.of.value) }, plain)
}

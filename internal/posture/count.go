package posture

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed count.sql
var countSQL string

var countQueries = db.Parse("posture", countSQL)

// Keeper keeps the clusters of an organization: who is a member, and the
// counters over the members.
type Keeper struct {
	definitions []Definition
	clusters    []int16 // all of them
	ofWorkload  []int16 // those whose grain is the workload
	terms       int32   // the types that those are made of
}

// New is a keeper of the given clusters; the program's are Definitions.
func New(definitions []Definition) *Keeper {
	k := &Keeper{definitions: definitions}
	for _, d := range definitions {
		k.clusters = append(k.clusters, d.Cluster)
		if d.Grain == OfWorkload {
			k.ofWorkload = append(k.ofWorkload, d.Cluster)
			k.terms |= d.AllMask() | d.AnyMask()
		}
	}
	return k
}

// storedDefinition is a row of cluster_definition.
type storedDefinition struct {
	Cluster  int16
	Version  int
	Key      string
	Grain    string
	Severity int16
	AllMask  int32
	AnyMask  int32
}

func (d Definition) stored() storedDefinition {
	return storedDefinition{
		Cluster: d.Cluster, Version: d.Version, Key: d.Key, Grain: string(d.Grain), Severity: int16(d.Severity),
		AllMask: d.AllMask(), AnyMask: d.AnyMask()}
}

// Prepare makes the organization's definitions the keeper's. Where others found
// who is a member, Count has to be told of Everything.
func (k *Keeper) Prepare(p *db.Pipeline) authority.Prepared {
	current := db.Queue[storedDefinition](p, countQueries.Get("current_definitions"), nil)
	knowns := db.Queue[known](p, countQueries.Get("known"), nil)
	return func(ctx context.Context, at time.Time) (recount bool, err error) {
		superseded := make(map[int16]storedDefinition, len(*current))
		for _, row := range *current {
			superseded[row.Cluster] = *row
		}
		var added []storedDefinition
		for _, definition := range k.definitions {
			next := definition.stored()
			if current, known := superseded[next.Cluster]; known && current == next {
				delete(superseded, next.Cluster)
				continue
			}
			added = append(added, next)
		}
		known := (*knowns)[0]
		if len(superseded)+len(added) == 0 {
			return known.Paths && !known.Posture, nil // an earlier version of the program left it without
		}
		define(p, at, superseded, added)
		return known.Paths, p.Send(ctx) // without paths there are no members either
	}
}

// define ends the definitions that were superseded and begins those that are new.
func define(p *db.Pipeline, at time.Time, superseded map[int16]storedDefinition, added []storedDefinition) {
	if len(superseded) > 0 {
		p.Exec(countQueries.Get("close_definitions"), pgx.StrictNamedArgs{"at": at, "clusters": slices.Collect(maps.Keys(superseded))})
	}
	if len(added) == 0 {
		return
	}
	p.Exec(countQueries.Get("add_definitions"), pgx.StrictNamedArgs{
		"at":         at,
		"clusters":   column(added, func(d storedDefinition) int16 { return d.Cluster }),
		"versions":   column(added, func(d storedDefinition) int { return d.Version }),
		"keys":       column(added, func(d storedDefinition) string { return d.Key }),
		"grains":     column(added, func(d storedDefinition) string { return d.Grain }),
		"severities": column(added, func(d storedDefinition) int16 { return d.Severity }),
		"all_masks":  column(added, func(d storedDefinition) int32 { return d.AllMask }),
		"any_masks":  column(added, func(d storedDefinition) int32 { return d.AnyMask }),
	})
}

func column[R, V any](rows []R, value func(R) V) []V {
	values := make([]V, len(rows))
	for i, row := range rows {
		values[i] = value(row)
	}
	return values
}

// known says what the organization had before the change.
type known struct{ Paths, Posture bool }

// CreateWork makes the temporary tables to count and to sum up in.
func (k *Keeper) CreateWork(ctx context.Context, tx *db.Tx) error {
	for _, script := range []db.Query{countQueries.Get("create_work"), summaryQueries.Get("create_summary")} {
		if err := tx.Script(ctx, script); err != nil {
			return err
		}
	}
	p := tx.Pipeline()
	k.fillTerms(p)
	return p.Send(ctx)
}

// ClearWork empties the temporary tables that CreateWork made.
func (k *Keeper) ClearWork(p *db.Pipeline) {
	p.Local().Exec(countQueries.Get("clear_terms"), nil)
	p.Local().Exec(countQueries.Get("clear_count"), nil)
	k.fillTerms(p)
}

// fillTerms writes down what the clusters are made of.
func (k *Keeper) fillTerms(p *db.Pipeline) {
	p.Local().Exec(countQueries.Get("fill_terms"), pgx.StrictNamedArgs{
		"clusters":    k.clusters,
		"versions":    column(k.definitions, func(d Definition) int { return d.Version }),
		"of_workload": column(k.definitions, func(d Definition) bool { return d.Grain == OfWorkload }),
		"all_masks":   column(k.definitions, Definition.AllMask),
		"any_masks":   column(k.definitions, Definition.AnyMask),
	})
}

// Count brings members, references, counters and tallies to the state that
// belongs to the paths that are about to be written. It finds them in temporary
// tables: desired holds the active paths that may differ, path_mask the masks of
// each, path_diff which paths are removed. authority_path still has the former
// rows; exposure and evidence have the new ones.
//
// What was comes from the rows of the members themselves, what is from the
// paths. Only the difference is worked out further, each side with its sign:
// a member whose path was reclassified is taken away with its old values and
// added with its new ones.
func (k *Keeper) Count(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) error {
	c := &count{assessment, k, tx.Pipeline()}
	c.preferHashJoins()
	found := c.remember()
	if assessment.Few { // a workload may have any number of paths beside those that are judged
		if err := c.p.Send(ctx); err != nil {
			return err
		}
		for _, r := range *found {
			if err := assessment.Filled(ctx, tx, &r.Members, &r.Bystanders); err != nil {
				return err
			}
		}
	}
	c.find()
	c.write(true) // evidence may have grown under members that stay what they are
	return c.p.Send(ctx)
}

// Follow counts and sums up after decisions: nothing but the masks of the paths
// differs. Often that makes no member of a cluster another, and what a workload or
// an identity comes to differs less often still: an exposure that somebody
// acknowledged counts as before.
func (k *Keeper) Follow(ctx context.Context, p *db.Pipeline, assessment authority.Assessment, again bool, write func()) error {
	if again {
		p.Local().Exec(countQueries.Get("clear_count"), nil)
	}
	c, s := &count{&assessment, k, p}, &summary{&assessment, k, p}
	c.preferHashJoins()
	c.remember()
	c.find()
	weighed := s.weigh()
	write()
	if err := p.Send(ctx); err != nil {
		return err
	}
	w := (*weighed)[0]
	if w.Members > 0 {
		c.write(w.Proven > 0)
	}
	switch {
	case w.Identities > 0:
		s.sumDecided()
		s.sumIdentities()
		s.diff()
		s.write()
	case w.Workloads > 0:
		s.moveWorkloads()
	}
	return nil
}

// count is one count on its way through the statements of count.sql. Each runs,
// whether those before it found anything or not: a statement on empty tables takes
// less than the way to the server by which one would learn that they are.
type count struct {
	*authority.Assessment

	keeper *Keeper
	p      *db.Pipeline
}

func (c *count) preferHashJoins() {
	if c.Large {
		c.local("prefer_hash_joins", nil)
	}
}

// find finds what becomes true of members, and what ceases to be.
func (c *count) find() {
	c.analyze("analyze_before")
	c.measure()
	c.exec("diff_members", c.at())
	c.analyze("analyze_delta")
}

// remember takes down the members that the change may concern, as they are.
func (c *count) remember() (found *[]*remembered) {
	switch {
	case c.First: // there are none
	case c.Everything:
		c.exec("remember_all_members", nil)
	default:
		return db.Queue[remembered](c.p, countQueries.Get("remember_members"),
			pgx.StrictNamedArgs{"clusters": c.keeper.clusters, "of_workload": c.keeper.ofWorkload, "terms": c.keeper.terms})
	}
	return new([]*remembered)
}

// remembered is how much there is beside what is judged.
type remembered struct{ Members, Bystanders int64 }

// measure finds who is a member now, since when, and by what evidence.
func (c *count) measure() {
	c.local("hit_members", pgx.StrictNamedArgs{"terms": c.keeper.terms})
	c.analyze("analyze_hit")
	c.exec("find_parts", pgx.StrictNamedArgs{"nil": id.Nil, "window_start": c.WindowAt.Add(-authority.Window)})
	c.analyze("analyze_parts")
}

// write writes the intervals of members, and what their difference comes to.
func (c *count) write(evidence bool) {
	c.exec("write_members", c.at())
	c.exec("write_references", nil)
	if evidence {
		c.exec("write_evidence", pgx.StrictNamedArgs{"nil": id.Nil, "clusters": c.keeper.clusters})
	}
	c.exec("write_tallies", pgx.StrictNamedArgs{"at": c.At, "all_classes": AllClasses})
	c.local("diff_counters", pgx.StrictNamedArgs{"all_classes": AllClasses})
	c.exec("write_counters", c.at())
	if c.Large {
		c.local("analyze_clusters", nil)
	}
}

func (c *count) at() pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"at": c.At} }

func (c *count) exec(name string, args pgx.StrictNamedArgs) (touched *int64) {
	return c.p.Exec(countQueries.Get(name), args)
}

// local is exec for a statement on temporary tables alone.
func (c *count) local(name string, args pgx.StrictNamedArgs) {
	c.p.Local().Exec(countQueries.Get(name), args)
}

// analyze gives the planner the statistics of what the count has just filled.
// Without them it takes a work table for one with a few rows.
func (c *count) analyze(name string) {
	if !c.Few {
		c.local(name, nil)
	}
}

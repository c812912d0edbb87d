package posture

import (
	"context"
	_ "embed"
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

// Prepare makes the organization's definitions the keeper's. With recount, who
// is a member was found by others: Count has to be told of Everything.
func (k *Keeper) Prepare(ctx context.Context, tx *db.Tx, at time.Time) (recount bool, err error) {
	rows, err := db.Select[storedDefinition](ctx, tx, countQueries.Get("current_definitions"), nil)
	if err != nil {
		return false, err
	}
	superseded := make(map[int16]storedDefinition, len(rows))
	for _, row := range rows {
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
	known, err := k.known(ctx, tx)
	if err != nil {
		return false, err
	}
	unsummed := known.Paths && !known.Posture // an earlier version of the program left it without
	if len(superseded)+len(added) == 0 {
		return unsummed, nil
	}
	if err := k.define(ctx, tx, at, superseded, added); err != nil {
		return false, err
	}
	return known.Paths, nil // without paths there are no members either
}

func (k *Keeper) define(ctx context.Context, tx *db.Tx, at time.Time, superseded map[int16]storedDefinition, added []storedDefinition) error {
	if len(superseded) > 0 {
		var clusters []int16
		for cluster := range superseded {
			clusters = append(clusters, cluster)
		}
		args := pgx.StrictNamedArgs{"at": at, "clusters": clusters}
		if _, err := db.Exec(ctx, tx, countQueries.Get("close_definitions"), args); err != nil {
			return err
		}
	}
	if len(added) == 0 {
		return nil
	}
	_, err := db.Exec(ctx, tx, countQueries.Get("add_definitions"), pgx.StrictNamedArgs{
		"at":         at,
		"clusters":   column(added, func(d storedDefinition) int16 { return d.Cluster }),
		"versions":   column(added, func(d storedDefinition) int { return d.Version }),
		"keys":       column(added, func(d storedDefinition) string { return d.Key }),
		"grains":     column(added, func(d storedDefinition) string { return d.Grain }),
		"severities": column(added, func(d storedDefinition) int16 { return d.Severity }),
		"all_masks":  column(added, func(d storedDefinition) int32 { return d.AllMask }),
		"any_masks":  column(added, func(d storedDefinition) int32 { return d.AnyMask }),
	})
	return err
}

func column[R, V any](rows []R, value func(R) V) []V {
	values := make([]V, len(rows))
	for i, row := range rows {
		values[i] = value(row)
	}
	return values
}

// known says what the organization had before the change.
type known struct{ Paths, Members, Posture bool }

func (k *Keeper) known(ctx context.Context, tx *db.Tx) (*known, error) {
	return db.First[known](ctx, tx, countQueries.Get("known"), nil)
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
func (k *Keeper) Count(ctx context.Context, tx *db.Tx, assessment authority.Assessment) error {
	known, err := k.known(ctx, tx)
	if err != nil {
		return err
	}
	c := &count{Assessment: assessment, keeper: k, tx: tx, known: *known}
	for _, step := range []func(context.Context) error{c.begin, c.remember, c.find, c.diff, c.writeMembers, c.diffCounts, c.writeCounts} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// count is one Count on its way through the statements of count.sql.
type count struct {
	authority.Assessment
	keeper  *Keeper
	tx      *db.Tx
	known   known
	before  int64 // members that the change may concern
	hits    int64 // of clusters by paths
	members struct{ Opened, Closed, Following int64 }
	tallies bool // counters or tallies may differ
}

// begin makes the temporary tables.
func (c *count) begin(ctx context.Context) error {
	if err := c.script(ctx, "create_work"); err != nil {
		return err
	}
	if c.Large {
		if err := c.script(ctx, "prefer_hash_joins"); err != nil {
			return err
		}
	}
	all := c.keeper.definitions
	_, err := c.local(ctx, "fill_terms", pgx.StrictNamedArgs{
		"clusters":    c.keeper.clusters,
		"versions":    column(all, func(d Definition) int { return d.Version }),
		"of_workload": column(all, func(d Definition) bool { return d.Grain == OfWorkload }),
		"all_masks":   column(all, Definition.AllMask),
		"any_masks":   column(all, Definition.AnyMask),
	})
	return err
}

// remember takes down the members that the change may concern, as they are.
func (c *count) remember(ctx context.Context) (err error) {
	if c.known.Members {
		if c.Everything {
			c.before, err = c.exec(ctx, "remember_all_members", nil)
		} else {
			c.before, err = c.exec(ctx, "remember_members", pgx.StrictNamedArgs{"clusters": c.keeper.clusters})
		}
		if err != nil {
			return err
		}
	}
	if c.known.Paths && !c.Everything && c.keeper.terms != 0 {
		bystanders, err := c.exec(ctx, "find_bystanders", pgx.StrictNamedArgs{"terms": c.keeper.terms, "clusters": c.keeper.ofWorkload})
		if err != nil {
			return err
		}
		if bystanders > 0 && c.known.Members {
			more, err := c.exec(ctx, "remember_bystanders", pgx.StrictNamedArgs{"clusters": c.keeper.ofWorkload})
			if err != nil {
				return err
			}
			c.before += more
		}
	}
	return c.analyze(ctx, "analyze_before", c.before)
}

// find finds who is a member now, since when, and by what evidence.
func (c *count) find(ctx context.Context) (err error) {
	if c.hits, err = c.local(ctx, "hit_paths", nil); err != nil {
		return err
	}
	if c.keeper.terms != 0 {
		more, err := c.local(ctx, "hit_workloads", pgx.StrictNamedArgs{"terms": c.keeper.terms})
		if err != nil {
			return err
		}
		c.hits += more
	}
	if c.hits == 0 {
		return nil
	}
	if err := c.analyze(ctx, "analyze_hit", c.hits); err != nil {
		return err
	}
	if _, err := c.exec(ctx, "date_members", nil); err != nil {
		return err
	}
	subjects, err := c.local(ctx, "find_subjects", pgx.StrictNamedArgs{"nil": id.Nil})
	if err != nil {
		return err
	}
	if subjects > 0 {
		start := c.WindowAt.Add(-authority.Window)
		if _, err := c.exec(ctx, "count_runs", pgx.StrictNamedArgs{"window_start": start}); err != nil {
			return err
		}
	}
	return c.analyze(ctx, "analyze_parts", c.hits)
}

// diff works out what differs.
func (c *count) diff(ctx context.Context) error {
	var rows int64
	if c.hits > 0 {
		added, err := c.exec(ctx, "diff_members", pgx.StrictNamedArgs{"at": c.At})
		if err != nil {
			return err
		}
		rows += added
	}
	if c.before > 0 {
		taken, err := c.local(ctx, "diff_members_before", nil)
		if err != nil {
			return err
		}
		rows += taken
	}
	return c.analyze(ctx, "analyze_delta", rows)
}

// writeMembers writes the intervals of members.
func (c *count) writeMembers(ctx context.Context) error {
	counted, err := db.First[struct{ Opened, Closed, Following int64 }](ctx, c.tx.Local(), countQueries.Get("count_members"), nil)
	if err != nil {
		return err
	}
	c.members = *counted
	for _, write := range []struct {
		name string
		rows int64
		args pgx.StrictNamedArgs
	}{
		{"close_members", c.members.Closed, pgx.StrictNamedArgs{"at": c.At}},
		{"follow_members", c.members.Following, nil},
		{"open_members", c.members.Opened, pgx.StrictNamedArgs{"at": c.At}},
	} {
		if write.rows == 0 {
			continue
		}
		if _, err := c.exec(ctx, write.name, write.args); err != nil {
			return err
		}
	}
	return nil
}

// diffCounts works out what the difference of members comes to. Evidence may
// have grown under members that stay what they are.
func (c *count) diffCounts(ctx context.Context) error {
	if c.hits+c.before == 0 {
		return nil
	}
	if err := c.script(ctx, "create_counts"); err != nil {
		return err
	}
	subjects, err := c.exec(ctx, "diff_evidence", pgx.StrictNamedArgs{"nil": id.Nil, "clusters": c.keeper.clusters})
	if err != nil {
		return err
	}
	differ := c.members.Opened+c.members.Closed+c.members.Following > 0
	if differ {
		if _, err := c.local(ctx, "sum_members", nil); err != nil {
			return err
		}
		if _, err := c.exec(ctx, "diff_references", nil); err != nil {
			return err
		}
		if _, err := c.exec(ctx, "diff_tallies", pgx.StrictNamedArgs{"all_classes": AllClasses}); err != nil {
			return err
		}
	}
	c.tallies = differ || subjects > 0
	return nil
}

// writeCounts writes references, tallies and counters.
func (c *count) writeCounts(ctx context.Context) error {
	if !c.tallies {
		return nil
	}
	type difference struct {
		Kind                 string
		Added, Changed, Gone int64
	}
	differences, err := db.Select[difference](ctx, c.tx.Local(), countQueries.Get("count_differences"), nil)
	if err != nil {
		return err
	}
	for _, d := range differences {
		for _, write := range []struct {
			verb string
			rows int64
		}{{"remove_", d.Gone}, {"update_", d.Changed}, {"add_", d.Added}} {
			if write.rows == 0 {
				continue
			}
			if _, err := c.exec(ctx, write.verb+d.Kind, nil); err != nil {
				return err
			}
		}
	}
	if err := c.writeCounters(ctx); err != nil {
		return err
	}
	if !c.Large {
		return nil
	}
	_, err = c.local(ctx, "analyze_clusters", nil)
	return err
}

func (c *count) writeCounters(ctx context.Context) error {
	differing, err := c.local(ctx, "diff_counters", pgx.StrictNamedArgs{"all_classes": AllClasses})
	if err != nil || differing == 0 {
		return err
	}
	at := pgx.StrictNamedArgs{"at": c.At}
	if _, err := c.exec(ctx, "keep_counter_versions", at); err != nil {
		return err
	}
	updated, err := c.exec(ctx, "update_counters", at)
	if err != nil || updated == differing {
		return err
	}
	_, err = c.exec(ctx, "add_counters", at)
	return err
}

func (c *count) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, c.tx, countQueries.Get(name), args)
}

// local runs a statement on temporary tables alone.
func (c *count) local(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, c.tx.Local(), countQueries.Get(name), args)
}

func (c *count) script(ctx context.Context, name string) error {
	return c.tx.Script(ctx, countQueries.Get(name))
}

// analyze gives the planner the statistics of temporary tables that the count
// has just filled.
func (c *count) analyze(ctx context.Context, name string, rows int64) error {
	if !c.Large || rows == 0 {
		return nil
	}
	return c.script(ctx, name)
}

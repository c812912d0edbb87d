package posture

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed summary.sql
var summarySQL string

var summaryQueries = db.Parse("posture", summarySQL)

// The digits of the code of a workload's row: of a digest of 32 bytes.
const (
	fewestDigits = 8
	mostDigits   = 64
)

// Summarize brings the rows of workloads and identities, and the posture, to
// the state that belongs to the paths as they now stand.
//
// The rows of what the change concerns are worked out anew, whole; the counters
// follow by the difference between those rows and the ones that stood. A
// workload has a few dozen paths, so that this is cheaper to get right than to
// follow each path, and no dearer.
func (k *Keeper) Summarize(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) error {
	s := &summary{assessment, k, tx.Pipeline()}
	found := s.find()
	if assessment.Few { // many may end up with an identity of which little is judged
		if err := s.p.Send(ctx); err != nil {
			return err
		}
		if err := assessment.Filled(ctx, tx, found...); err != nil {
			return err
		}
	}
	s.sum()
	if err := s.name(ctx); err != nil {
		return err
	}
	s.diff()
	s.write()
	return s.p.Send(ctx)
}

// Snapshot keeps what the organization comes to now. A sync leaves one behind,
// and so does an evaluation, which no sync caused. The JSON is the row, without
// whose and when.
func (k *Keeper) Snapshot(ctx context.Context, tx *db.Tx, at time.Time, sync *id.ID) (json.RawMessage, error) {
	rows, err := db.Column[[]byte](ctx, tx, summaryQueries.Get("add_snapshot"),
		pgx.StrictNamedArgs{"at": at, "sync": sync, "all_classes": AllClasses, "level": Acknowledged})
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// summary is one Summarize on its way through the statements of summary.sql.
type summary struct {
	*authority.Assessment

	keeper *Keeper
	p      *db.Pipeline
}

// find finds whose rows may differ, and counts them.
func (s *summary) find() []*int64 {
	workloads := "find_summed_workloads"
	if s.First {
		workloads = "find_first_workloads"
	}
	return []*int64{s.exec(workloads, nil), s.exec("find_summed_identities", nil)}
}

// weight is how much differs after decisions.
type weight struct{ Workloads, Identities, Members, Proven int64 }

// weigh finds what differs where nothing but the masks of paths does.
func (s *summary) weigh() *[]*weight {
	return db.Queue[weight](s.p, summaryQueries.Get("weigh_decisions"), pgx.StrictNamedArgs{
		"dormant": bit(rule.DormantPath), "reach": bit(rule.SensitiveReach), "privilege": bit(rule.ExcessPrivilege)})
}

// sumDecided works out the rows of workloads that weigh found.
func (s *summary) sumDecided() { s.exec("sum_decided", s.decided()) }

// moveWorkloads writes what weigh found, where that is workloads alone.
func (s *summary) moveWorkloads() {
	args := s.decided()
	args["at"], args["all_classes"] = s.At, AllClasses
	s.exec("move_workloads", args)
}

func (s *summary) decided() pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"reach": bit(rule.SensitiveReach), "privilege": bit(rule.ExcessPrivilege), "clusters": s.keeper.clusters, "level": Acknowledged}
}

// sum works their next rows out.
func (s *summary) sum() {
	s.analyze("analyze_summed")
	s.exec("sum_workloads", pgx.StrictNamedArgs{
		"nil": id.Nil, "dormant": bit(rule.DormantPath), "window_start": s.windowStart(),
		"reach": bit(rule.SensitiveReach), "privilege": bit(rule.ExcessPrivilege), "severities": baseSeverities(),
		"clusters": s.keeper.clusters, "level": Acknowledged, "max_depth": authority.MaxAuthDepth})
	s.sumIdentities()
	s.analyze("analyze_next")
}

func (s *summary) sumIdentities() {
	s.exec("sum_identities", pgx.StrictNamedArgs{
		"nil": id.Nil, "dormant": bit(rule.DormantPath), "window_start": s.windowStart(), "all_classes": AllClasses})
}

func (s *summary) windowStart() time.Time { return s.WindowAt.Add(-authority.Window) }

// bit is the place of a type in a mask.
func bit(t rule.Type) int32 { return mask([]rule.Type{t}) }

// baseSeverities are what each rule weighs where nothing adds to it, in the
// order of the rules' numbers, of which some are not taken.
func baseSeverities() []int16 {
	last := slices.MaxFunc(rule.Definitions, func(a, b rule.Definition) int { return cmp.Compare(a.Rule, b.Rule) })
	severities := make([]int16, last.Rule)
	for _, d := range rule.Definitions {
		severity, _ := rule.SeverityOn(d.Rule, rule.Trait{})
		severities[d.Rule-1] = int16(severity)
	}
	return severities
}

// name gives a code to each workload that has none. Two that share the first
// digits of their digests are told apart by more of them.
func (s *summary) name(ctx context.Context) error {
	unnamed := s.exec("digest_codes", nil)
	if err := s.p.Send(ctx); err != nil {
		return err
	}
	for digits, left := fewestDigits, *unnamed; left > 0 && digits <= mostDigits; digits++ {
		named := s.exec("assign_codes", pgx.StrictNamedArgs{"digits": digits})
		if err := s.p.Send(ctx); err != nil {
			return err
		}
		left -= *named
	}
	return nil
}

// diff works out by how much the posture differs, while the rows still stand.
func (s *summary) diff() {
	s.exec("diff_posture", pgx.StrictNamedArgs{"all_classes": AllClasses})
}

// write writes the rows, and the posture.
func (s *summary) write() {
	s.exec("write_workloads", pgx.StrictNamedArgs{"at": s.At})
	s.exec("write_identities", nil)
	s.exec("write_posture", pgx.StrictNamedArgs{"at": s.At})
	if s.Large {
		s.local("analyze_posture")
	}
}

func (s *summary) exec(name string, args pgx.StrictNamedArgs) (touched *int64) {
	return s.p.Exec(summaryQueries.Get(name), args)
}

func (s *summary) local(name string) { s.p.Local().Exec(summaryQueries.Get(name), nil) }

// analyze gives the planner the statistics of what was just filled, unless it has
// so few rows that it goes without.
func (s *summary) analyze(name string) {
	if !s.Few {
		s.local(name)
	}
}

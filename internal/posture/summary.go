package posture

import (
	"context"
	_ "embed"
	"encoding/json"
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
func (k *Keeper) Summarize(ctx context.Context, tx *db.Tx, assessment authority.Assessment) error {
	s := &summary{Assessment: assessment, keeper: k, tx: tx}
	for _, step := range []func(context.Context) error{s.find, s.sum, s.name, s.diff, s.write} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
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
	authority.Assessment
	keeper     *Keeper
	tx         *db.Tx
	workloads  int64
	identities int64
	added      int64 // rows of workloads that never had one
}

// find finds whose rows may differ.
func (s *summary) find(ctx context.Context) (err error) {
	if err := s.script(ctx, "create_summary"); err != nil {
		return err
	}
	if s.workloads, err = s.exec(ctx, "find_summed_workloads", nil); err != nil {
		return err
	}
	if s.identities, err = s.exec(ctx, "find_summed_identities", nil); err != nil {
		return err
	}
	// However few: without statistics the planner takes them for a thousand, and
	// reads the tables beside them whole.
	return s.script(ctx, "analyze_summed")
}

// sum works their next rows out.
func (s *summary) sum(ctx context.Context) error {
	args := func(more pgx.StrictNamedArgs) pgx.StrictNamedArgs {
		more["nil"], more["dormant"], more["window_start"] = id.Nil, bit(rule.DormantPath), s.WindowAt.Add(-authority.Window)
		return more
	}
	if s.workloads > 0 {
		_, err := s.exec(ctx, "sum_workloads", args(pgx.StrictNamedArgs{
			"reach": bit(rule.SensitiveReach), "privilege": bit(rule.ExcessPrivilege), "severities": baseSeverities(),
			"clusters": s.keeper.clusters, "level": Acknowledged, "max_depth": authority.MaxAuthDepth}))
		if err != nil {
			return err
		}
	}
	if s.identities > 0 {
		if _, err := s.exec(ctx, "sum_identities", args(pgx.StrictNamedArgs{"all_classes": AllClasses})); err != nil {
			return err
		}
	}
	return s.analyze(ctx, "analyze_next")
}

// bit is the place of a type in a mask.
func bit(t rule.Type) int32 { return mask([]rule.Type{t}) }

// baseSeverities are what each rule weighs where nothing adds to it, in the
// order of the rules' numbers.
func baseSeverities() []int16 {
	severities := make([]int16, len(rule.Definitions))
	for _, d := range rule.Definitions {
		severity, _ := rule.SeverityOn(d.Rule, rule.Trait{})
		severities[d.Rule-1] = int16(severity)
	}
	return severities
}

// name gives a code to each workload that has none. Two that share the first
// digits of their digests are told apart by more of them.
func (s *summary) name(ctx context.Context) (err error) {
	if s.workloads == 0 {
		return nil
	}
	if s.added, err = s.exec(ctx, "digest_codes", nil); err != nil {
		return err
	}
	for digits, unnamed := fewestDigits, s.added; unnamed > 0 && digits <= mostDigits; digits++ {
		named, err := s.exec(ctx, "assign_codes", pgx.StrictNamedArgs{"digits": digits})
		if err != nil {
			return err
		}
		unnamed -= named
	}
	return nil
}

// diff works out by how much the posture differs, while the rows still stand.
func (s *summary) diff(ctx context.Context) error {
	_, err := s.exec(ctx, "diff_posture", pgx.StrictNamedArgs{"all_classes": AllClasses})
	return err
}

// write writes the rows, and the posture.
func (s *summary) write(ctx context.Context) error {
	steps := []struct {
		run  bool
		name string
	}{
		{s.workloads > s.added, "update_workloads"},
		{s.added > 0, "add_workloads"},
		{s.identities > 0, "remove_identities"},
		{s.identities > 0, "update_identities"},
		{s.identities > 0, "add_identities"},
	}
	for _, step := range steps {
		if !step.run {
			continue
		}
		if _, err := s.exec(ctx, step.name, nil); err != nil {
			return err
		}
	}
	if err := s.writePosture(ctx); err != nil || !s.Large {
		return err
	}
	_, err := db.Exec(ctx, s.tx.Local(), summaryQueries.Get("analyze_posture"), nil)
	return err
}

func (s *summary) writePosture(ctx context.Context) error {
	at := pgx.StrictNamedArgs{"at": s.At}
	for _, name := range []string{"keep_posture_versions", "update_posture", "add_posture"} {
		if _, err := s.exec(ctx, name, at); err != nil {
			return err
		}
	}
	return nil
}

func (s *summary) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, s.tx, summaryQueries.Get(name), args)
}

func (s *summary) script(ctx context.Context, name string) error {
	return s.tx.Script(ctx, summaryQueries.Get(name))
}

func (s *summary) analyze(ctx context.Context, name string) error {
	if !s.Large {
		return nil
	}
	return s.script(ctx, name)
}

package exposure

import (
	"context"
	_ "embed"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed assess.sql
var assessSQL string

var assessQueries = db.Parse("exposure", assessSQL)

// Counter counts what exposures come to: posture.Keeper.
type Counter interface {
	// Prepare is authority.Assessor's, for what is counted.
	Prepare(p *db.Pipeline) authority.Prepared
	// CreateWork is authority.Assessor's, for what is counted in.
	CreateWork(ctx context.Context, tx *db.Tx) error
	// ClearWork is authority.Assessor's, for what is counted in.
	ClearWork(p *db.Pipeline)
	// Count follows an assessment: exposures and path_mask hold what it left,
	// the paths are still as they were.
	Count(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) error
	// Summarize and Snapshot are authority.Assessor's.
	Summarize(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) error
	// Follow is authority.Assessor's: it counts by the masks that are in path_mask
	// when what the pipeline holds has run.
	Follow(ctx context.Context, p *db.Pipeline, assessment authority.Assessment, again bool, write func()) error
	Snapshot(ctx context.Context, tx *db.Tx, at time.Time, sync *id.ID) (json.RawMessage, error)
}

// Assessor judges what a change of authority means and keeps conditions,
// exposures, and through the counter the clusters, in step with it.
type Assessor struct {
	rules   []rule.Definition
	counter Counter
}

// NewAssessor makes an assessor of these rules.
func NewAssessor(rules []rule.Definition, counter Counter) *Assessor {
	return &Assessor{rules: rules, counter: counter}
}

var _ authority.Assessor = (*Assessor)(nil)

// Prepare notes which version of each rule judges from now on.
func (a *Assessor) Prepare(p *db.Pipeline) authority.Prepared {
	settings := db.Queue[setting](p, assessQueries.Get("setting_current"), nil)
	current := db.Queue[ruleVersion](p, assessQueries.Get("rule_versions_current"), nil)
	counter := a.counter.Prepare(p)
	return func(ctx context.Context, at time.Time) (everything bool, err error) {
		if everything, err = a.version(ctx, p, settingsOf(*settings), *current, at); err != nil {
			return false, err
		}
		recount, err := counter(ctx, at)
		return everything || recount, err
	}
}

// ruleVersion is a row of rule_version.
type ruleVersion struct {
	Rule    rule.Rule
	Version int
	Enabled bool
}

// version begins the versions of rules that are not the current ones.
func (a *Assessor) version(ctx context.Context, p *db.Pipeline, settings rule.Settings, current []*ruleVersion, at time.Time) (everything bool, err error) {
	known := make(map[rule.Rule]ruleVersion, len(current))
	for _, r := range current {
		known[r.Rule] = *r
	}
	for _, d := range a.rules {
		next := ruleVersion{d.Rule, d.Version, !rule.Retired(d.Rule, settings)}
		was, before := known[d.Rule]
		if was == next {
			continue
		}
		if before {
			p.Exec(assessQueries.Get("end_rule_version"), pgx.StrictNamedArgs{"rule": d.Rule, "at": at})
		}
		everything = everything || len(current) > 0
		p.Exec(assessQueries.Get("begin_rule_version"), pgx.StrictNamedArgs{"rule": next.Rule, "version": next.Version, "enabled": next.Enabled, "at": at})
	}
	return everything, p.Send(ctx)
}

// judgement is one assessment on its way through the statements of assess.sql.
type judgement struct {
	*authority.Assessment

	tx       *db.Tx
	rules    []rule.Definition
	settings rule.Settings
	changed  []rule.Rule // rules of which another version judges from now on
	known    known
	weights  weights
}

// known says what an organization has had so far.
type known struct{ Conditions, Exposures, Baselines, Proofs bool }

// CreateWork makes the tables to judge and to count in.
func (a *Assessor) CreateWork(ctx context.Context, tx *db.Tx) error {
	if err := tx.Script(ctx, assessQueries.Get("create_judgement")); err != nil {
		return err
	}
	return a.counter.CreateWork(ctx, tx)
}

// ClearWork empties the tables to judge and to count in.
func (a *Assessor) ClearWork(p *db.Pipeline) {
	p.Local().Exec(assessQueries.Get("clear_judgement"), nil)
	a.counter.ClearWork(p)
}

// Assess judges the subjects of a change, fans their conditions out to the
// paths, and has the clusters counted.
func (a *Assessor) Assess(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) (authority.ExposureCounts, error) {
	var none authority.ExposureCounts
	j := &judgement{Assessment: assessment, tx: tx, rules: a.rules}
	if err := j.prepare(ctx); err != nil {
		return none, err
	}
	if err := j.judge(ctx); err != nil {
		return none, err
	}
	if err := j.fanOut(ctx); err != nil {
		return none, err
	}
	counts, err := j.write(ctx)
	if err != nil {
		return none, err
	}
	return counts, a.counter.Count(ctx, tx, assessment)
}

// Summarize has what the paths come to summed up.
func (a *Assessor) Summarize(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) error {
	return a.counter.Summarize(ctx, tx, assessment)
}

// Follow has everything counted by the dispositions as they are now.
func (a *Assessor) Follow(ctx context.Context, p *db.Pipeline, assessment authority.Assessment, again bool, write func()) error {
	p.Exec(assessQueries.Get("mask_standing_paths"), nil)
	if !assessment.Few {
		p.Local().Exec(assessQueries.Get("analyze_path_masks"), nil)
	}
	return a.counter.Follow(ctx, p, assessment, again, write)
}

// Snapshot has the posture kept.
func (a *Assessor) Snapshot(ctx context.Context, tx *db.Tx, at time.Time, sync *id.ID) (json.RawMessage, error) {
	return a.counter.Snapshot(ctx, tx, at, sync)
}

func (j *judgement) prepare(ctx context.Context) error {
	p := j.tx.Pipeline()
	knowns := db.Queue[known](p, assessQueries.Get("known"), nil)
	settings := db.Queue[setting](p, assessQueries.Get("setting_current"), nil)
	type changed struct{ Rule rule.Rule }
	rules := db.Queue[changed](p, assessQueries.Get("rules_changed"), j.at())
	if err := p.Send(ctx); err != nil {
		return err
	}
	j.known, j.settings = *(*knowns)[0], settingsOf(*settings)
	for _, r := range *rules {
		j.changed = append(j.changed, r.Rule)
	}
	j.weights = weigh(j.rules, j.settings)
	return nil
}

// weights say what each rule's severity is on each trait of a path, and what the
// rule of sensitive reach says of it.
type weights struct {
	rules, traits, severities, outcomes []int16
	factors                             []int32
}

func weigh(rules []rule.Definition, settings rule.Settings) (w weights) {
	for _, d := range rules {
		if rule.Retired(d.Rule, settings) {
			continue
		}
		for code := range rule.Traits {
			trait := rule.TraitOf(code)
			severity, factors := rule.SeverityOn(d.Rule, trait)
			outcome := rule.True
			if d.Rule == rule.SensitiveDomain {
				outcome = rule.JudgeReach(trait).Outcome
			}
			w.rules, w.traits, w.severities = append(w.rules, int16(d.Rule)), append(w.traits, int16(code)), append(w.severities, int16(severity))
			w.factors, w.outcomes = append(w.factors, int32(factors)), append(w.outcomes, int16(outcome))
		}
	}
	return w
}

// with adds the weights to the arguments of a statement that fans out.
func (w *weights) with(args pgx.StrictNamedArgs) pgx.StrictNamedArgs {
	maps.Copy(args, pgx.StrictNamedArgs{
		"rules": w.rules, "traits": w.traits, "severities": w.severities, "factors": w.factors, "outcomes": w.outcomes})
	return args
}

// judge lets the rules judge workloads and identities, and brings the
// conditions up to their verdicts.
func (j *judgement) judge(ctx context.Context) error {
	subjects, err := j.exec(ctx, "find_subjects", nil)
	if err != nil || subjects == 0 {
		return err
	}
	if err := j.statistics(ctx, "analyze_subjects"); err != nil {
		return err
	}
	p := j.tx.Pipeline()
	exec := func(name string, args pgx.StrictNamedArgs) { p.Exec(assessQueries.Get(name), args) }
	exec("find_workload_facts", pgx.StrictNamedArgs{"nil": id.Nil, "window_at": j.WindowAt})
	if j.known.Baselines {
		exec("find_growth", nil)
	}
	exec("find_identity_facts", pgx.StrictNamedArgs{"nil": id.Nil, "window_at": j.WindowAt, "dormant_before": j.dormantBefore()})
	if j.known.Conditions {
		exec("recall_workload_conditions", nil)
		exec("recall_identity_conditions", nil)
	}
	if err := p.Send(ctx); err != nil {
		return err
	}
	changes := newChanges(j)
	if err := changes.workloads(ctx); err != nil {
		return err
	}
	if err := changes.identities(ctx); err != nil {
		return err
	}
	if _, err := j.exec(ctx, "add_baselines", j.at()); err != nil {
		return err
	}
	return j.writeConditions(ctx, changes)
}

func (j *judgement) writeConditions(ctx context.Context, changes *changes) error {
	if changes.total() == 0 {
		return nil
	}
	if err := j.statistics(ctx, "analyze_condition_changes"); err != nil {
		return err
	}
	steps := []struct {
		run  bool
		name string
	}{
		{changes.count["update"]+changes.count["doubt"] > 0, "keep_condition_versions"},
		{changes.count["update"] > 0, "update_conditions"},
		{changes.count["doubt"] > 0, "doubt_conditions"},
		{changes.count["close"] > 0, "close_conditions"},
		{changes.count["open"] > 0, "open_conditions"},
	}
	p := j.tx.Pipeline()
	for _, step := range steps {
		if step.run {
			p.Exec(assessQueries.Get(step.name), j.at())
		}
	}
	if err := p.Send(ctx); err != nil {
		return err
	}
	return j.analyze(ctx, "analyze_conditions")
}

// fanOut finds what is exposed on the paths of desired.
func (j *judgement) fanOut(ctx context.Context) error {
	if err := j.word(ctx); err != nil {
		return err
	}
	if err := j.statistics(ctx, "analyze_words"); err != nil {
		return err
	}
	facts, err := j.exec(ctx, "find_path_facts", j.at())
	if err != nil || facts == 0 {
		return err
	}
	if err := j.statistics(ctx, "analyze_path_facts"); err != nil {
		return err
	}
	p := j.tx.Pipeline()
	p.Exec(assessQueries.Get("fan_out_workloads"), j.weights.with(pgx.StrictNamedArgs{"unbound": rule.UnknownBinding}))
	p.Exec(assessQueries.Get("fan_out_identities"), j.weights.with(pgx.StrictNamedArgs{
		"nil": id.Nil, "drift": rule.ScopeDrift, "dormant": rule.DormantAuthority, "dormant_before": j.dormantBefore()}))
	if !rule.Retired(rule.SensitiveDomain, j.settings) {
		p.Local().Exec(assessQueries.Get("fan_out_reach"), j.weights.with(pgx.StrictNamedArgs{
			"type": rule.SensitiveReach, "at": j.At, "explanation": rule.JudgeReach(rule.Trait{Sensitivity: authority.Restricted}).PathExplanation}))
	}
	if err := p.Send(ctx); err != nil {
		return err
	}
	if !rule.Retired(rule.PrivilegeGap, j.settings) && (j.known.Proofs || j.known.Exposures) {
		if err := j.fanOutPrivileges(ctx); err != nil {
			return err
		}
	}
	return j.statistics(ctx, "analyze_exposure_next")
}

// word puts the lists that explanations name into words, each distinct list once.
func (j *judgement) word(ctx context.Context) error {
	actions, err := db.Column[[]string](ctx, j.tx.Local(), assessQueries.Get("distinct_actions"), nil)
	if err != nil {
		return err
	}
	var rows db.Rows
	for _, list := range actions {
		words := rule.List(list)
		if len(list) == 0 { // a destination that is declared without saying what for
			words = "reach"
		}
		rows.Add(list, words, rule.WritesAny(list))
	}
	if _, err := j.tx.CopyRows(ctx, "action_word", []string{"actions", "words", "writes"}, &rows); err != nil {
		return err
	}
	type role struct {
		ID   id.ID
		Name string
	}
	roles, err := db.Select[role](ctx, j.tx, assessQueries.Get("role_names"), nil)
	if err != nil {
		return err
	}
	names := make(map[id.ID]string, len(roles))
	for _, r := range roles {
		names[r.ID] = r.Name
	}
	lists, err := db.Column[[]id.ID](ctx, j.tx.Local(), assessQueries.Get("distinct_roles"), nil)
	if err != nil {
		return err
	}
	for _, list := range lists {
		words := "no known role"
		if len(list) > 0 {
			named := make([]string, len(list))
			for i, role := range list {
				named[i] = names[role]
			}
			slices.Sort(named)
			words = rule.List(named)
		}
		rows.Add(list, words)
	}
	_, err = j.tx.CopyRows(ctx, "role_word", []string{"role_ids", "words"}, &rows)
	return err
}

func (j *judgement) fanOutPrivileges(ctx context.Context) error {
	found, err := j.exec(ctx, "find_privileges", pgx.StrictNamedArgs{
		"nil": id.Nil, "at": j.At, "type": rule.ExcessPrivilege, "window_at": j.WindowAt, "privilege_start": j.WindowAt.Add(-j.settings.PrivilegeWindow)})
	if err != nil || found == 0 {
		return err
	}
	distinct, err := db.Select[rule.Privilege](ctx, j.tx.Local(), assessQueries.Get("distinct_privileges"), nil)
	if err != nil {
		return err
	}
	var rows db.Rows
	for _, p := range distinct {
		v := rule.JudgePrivilege(*p, j.settings)
		rows.Add(p.Granted, p.Used, p.Justified, p.Proven, p.Opaque, int16(p.Execution), int16(v.Outcome), v.PathExplanation, string(v.Reason), p.Excused())
	}
	if _, err := j.tx.CopyRows(ctx, "privilege_verdict",
		[]string{"granted", "used", "justified", "proven", "opaque", "execution", "outcome", "explanation", "reason", "excused"}, &rows); err != nil {
		return err
	}
	_, err = db.Exec(ctx, j.tx.Local(), assessQueries.Get("fan_out_privileges"), j.weights.with(pgx.StrictNamedArgs{"type": rule.ExcessPrivilege, "at": j.At}))
	return err
}

// write brings the exposures up to what was found, and leaves the masks.
func (j *judgement) write(ctx context.Context) (authority.ExposureCounts, error) {
	if !j.known.Exposures {
		return j.writeFirst(ctx)
	}
	var counts authority.ExposureCounts
	if _, err := j.exec(ctx, "diff_exposures", nil); err != nil {
		return counts, err
	}
	if err := j.statistics(ctx, "analyze_exposure_diff"); err != nil {
		return counts, err
	}
	type diff struct{ Opened, Closed, Changed int }
	found, err := db.First[diff](ctx, j.tx.Local(), assessQueries.Get("count_exposure_diff"), nil)
	if err != nil {
		return counts, err
	}
	counts = authority.ExposureCounts{Opened: found.Opened, Resolved: found.Closed}
	steps := []struct {
		run  bool
		name string
		args pgx.StrictNamedArgs
	}{
		{found.Changed > 0, "keep_exposure_versions", j.at()},
		{found.Changed > 0, "change_exposures", j.at()},
		{found.Changed > 0, "doubt_exposures", j.at()},
		{found.Closed > 0, "close_exposures", j.closing()},
		{found.Opened > 0, "open_exposures", j.at()},
		{found.Opened > 0, "inherit_dispositions", nil},
	}
	p := j.tx.Pipeline()
	for _, step := range steps {
		if step.run {
			p.Exec(assessQueries.Get(step.name), step.args)
		}
	}
	p.Local().Exec(assessQueries.Get("mask_paths"), nil)
	if err := p.Send(ctx); err != nil {
		return counts, err
	}
	return counts, j.statistics(ctx, "analyze_path_masks")
}

// writeFirst is write for an organization that never had an exposure.
func (j *judgement) writeFirst(ctx context.Context) (authority.ExposureCounts, error) {
	opened, err := j.exec(ctx, "open_all_exposures", j.at())
	if err != nil {
		return authority.ExposureCounts{}, err
	}
	if _, err := db.Exec(ctx, j.tx.Local(), assessQueries.Get("mask_first_paths"), nil); err != nil {
		return authority.ExposureCounts{}, err
	}
	if err := j.analyze(ctx, "analyze_exposures"); err != nil {
		return authority.ExposureCounts{}, err
	}
	return authority.ExposureCounts{Opened: int(opened)}, j.statistics(ctx, "analyze_path_masks")
}

// closing are the arguments by which the reasons of closed exposures are found.
func (j *judgement) closing() pgx.StrictNamedArgs {
	retired := []int16{}
	for _, d := range j.rules {
		if rule.Retired(d.Rule, j.settings) {
			retired = append(retired, int16(d.Rule))
		}
	}
	return pgx.StrictNamedArgs{
		"at": j.At, "retired": retired, "resettled": j.Resettled,
		"reach": rule.SensitiveReach, "reach_changed": j.ruleChanged(rule.SensitiveDomain),
		"privilege": rule.ExcessPrivilege, "privilege_changed": j.ruleChanged(rule.PrivilegeGap), "justified": rule.JustificationRecorded,
		"dormant": rule.DormantPath,
	}
}

func (j *judgement) ruleChanged(r rule.Rule) bool {
	return slices.Contains(j.changed, r)
}

func (j *judgement) dormantBefore() time.Time { return j.WindowAt.Add(-j.settings.DormantAfter) }

func (j *judgement) at() pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"at": j.At} }

// analyze renews the planner's knowledge of what a large judgement has filled.
func (j *judgement) analyze(ctx context.Context, name string) error {
	if !j.Large {
		return nil
	}
	_, err := db.Exec(ctx, j.tx.Local(), assessQueries.Get(name), nil)
	return err
}

// statistics runs what gives the planner statistics of a work table that was just
// filled, unless it has so few rows that it goes without.
func (j *judgement) statistics(ctx context.Context, name string) error {
	if j.Few {
		return nil
	}
	return j.tx.Script(ctx, assessQueries.Get(name))
}

func (j *judgement) exec(ctx context.Context, name string, args pgx.StrictNamedArgs) (int64, error) {
	return db.Exec(ctx, j.tx, assessQueries.Get(name), args)
}

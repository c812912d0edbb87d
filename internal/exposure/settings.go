package exposure

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Day is what thresholds are counted in.
const Day = 24 * time.Hour

// CurrentSettings are the thresholds that hold for an organization now.
func CurrentSettings(ctx context.Context, q db.Querier) (rule.Settings, error) {
	rows, err := db.Select[setting](ctx, q, assessQueries.Get("setting_current"), nil)
	return settingsOf(rows), err
}

// setting is the current row of the table, if there is one.
type setting struct {
	Version             int
	DormantAfterDays    int
	ProofGraceDays      int
	PrivilegeWindowDays int
	SharedWorkloads     int
	DisabledRules       []rule.Rule
}

func settingsOf(rows []*setting) rule.Settings {
	if len(rows) == 0 {
		return rule.Defaults()
	}
	r := rows[0]
	return rule.Settings{
		Version: r.Version, DormantAfter: time.Duration(r.DormantAfterDays) * Day, ProofGrace: time.Duration(r.ProofGraceDays) * Day,
		PrivilegeWindow: time.Duration(r.PrivilegeWindowDays) * Day, SharedWorkloads: r.SharedWorkloads, DisabledRules: r.DisabledRules,
	}
}

// Tuner changes the settings by which an organization is judged.
type Tuner struct{ paths *authority.Service }

// NewTuner makes a tuner; a change is judged through the service.
func NewTuner(paths *authority.Service) *Tuner { return &Tuner{paths: paths} }

// Change makes settings the current ones and judges the organization by them.
// Expected is the version that the caller read: a change in between is a
// conflict, so that nobody overwrites what they have not seen.
func (t *Tuner) Change(ctx context.Context, organization id.ID, expected int, settings rule.Settings) (rule.Settings, *authority.Evaluation, error) {
	return t.Amend(ctx, organization, expected, func(current *rule.Settings) { *current = settings })
}

// Amend is Change for a caller who knows only what should be different.
func (t *Tuner) Amend(ctx context.Context, organization id.ID, expected int, amend func(*rule.Settings)) (settings rule.Settings, evaluation *authority.Evaluation, err error) {
	if err := access.Require(ctx, organization, access.Operate); err != nil {
		return settings, nil, err
	}
	actor, _ := access.From(ctx)
	evaluation, err = t.paths.Reevaluate(ctx, organization, authority.BySettings, func(tx *db.Tx, at time.Time) error {
		if settings, err = CurrentSettings(ctx, tx); err != nil {
			return err
		}
		if settings.Version != expected {
			return problem.New(problem.Conflict, "SETTINGS_CHANGED",
				"the settings are at version %d, not %d: read them again and repeat the change", settings.Version, expected).On("expectedVersion")
		}
		amend(&settings)
		settings.Version = expected + 1
		settings.DisabledRules = slices.Compact(slices.Sorted(slices.Values(settings.DisabledRules)))
		if err := check(settings); err != nil {
			return err
		}
		return begin(ctx, tx, at, actor.Subject, settings)
	})
	return settings, evaluation, err
}

// begin ends the settings that held and begins others.
func begin(ctx context.Context, tx *db.Tx, at time.Time, actor string, settings rule.Settings) error {
	if _, err := db.Exec(ctx, tx, assessQueries.Get("end_setting"), pgx.StrictNamedArgs{"at": at}); err != nil {
		return err
	}
	disabled := make([]int16, len(settings.DisabledRules))
	for i, r := range settings.DisabledRules {
		disabled[i] = int16(r)
	}
	_, err := db.Exec(ctx, tx, assessQueries.Get("begin_setting"), pgx.StrictNamedArgs{
		"version": settings.Version, "at": at, "actor": actor, "dormant_after_days": Days(settings.DormantAfter),
		"proof_grace_days": Days(settings.ProofGrace), "privilege_window_days": Days(settings.PrivilegeWindow),
		"shared_workloads": settings.SharedWorkloads, "disabled_rules": disabled})
	return err
}

// Settings gives the thresholds that hold for an organization.
func (r *Reader) Settings(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (rule.Settings, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return rule.Settings{}, err
	}
	return CurrentSettings(ctx, q)
}

// Days is a threshold in whole days.
func Days(d time.Duration) int { return int(d / Day) }

// check holds settings against what the database takes.
func check(s rule.Settings) error {
	for _, bound := range []struct {
		field           string
		value, from, to int
	}{
		{"dormantAfterDays", Days(s.DormantAfter), 1, 3650},
		{"proofGraceDays", Days(s.ProofGrace), 0, 3650},
		{"privilegeWindowDays", Days(s.PrivilegeWindow), 1, 3650},
		{"sharedWorkloads", s.SharedWorkloads, 2, 1_000_000},
	} {
		if bound.value < bound.from || bound.value > bound.to {
			return problem.New(problem.Invalid, "SETTING_OUT_OF_RANGE", "%s is %d; it takes %d to %d",
				bound.field, bound.value, bound.from, bound.to).On(bound.field)
		}
	}
	return nil
}

package graph

import (
	"context"
	"errors"
	"time"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func (r organizationResolver) EvaluationSettings(ctx context.Context, o *model.Organization, asOf *time.Time) (*generated.EvaluationSettings, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	settings, err := r.exposures.Settings(ctx, loader.From(ctx).Snapshot, o.Organization.ID)
	return showSettings(settings), err
}

func showSettings(s rule.Settings) *generated.EvaluationSettings {
	return &generated.EvaluationSettings{
		Version: int32(s.Version), SharedWorkloads: int32(s.SharedWorkloads), //nolint:gosec // bounded by the table
		DormantAfterDays: wholeDays(s.DormantAfter), ProofGraceDays: wholeDays(s.ProofGrace), PrivilegeWindowDays: wholeDays(s.PrivilegeWindow),
		DisabledRules: append([]rule.Rule{}, s.DisabledRules...),
	}
}

func wholeDays(d time.Duration) int32 { return int32(exposure.Days(d)) } //nolint:gosec // at most ten years

func (r mutationResolver) ChangeEvaluationSettings(ctx context.Context, input generated.ChangeEvaluationSettingsInput) (*generated.ChangeEvaluationSettingsPayload, error) {
	settings, evaluation, err := r.tuner.Amend(ctx, id.Organization(input.Organization), int(input.ExpectedVersion), func(s *rule.Settings) {
		amendDays(&s.DormantAfter, input.DormantAfterDays)
		amendDays(&s.ProofGrace, input.ProofGraceDays)
		amendDays(&s.PrivilegeWindow, input.PrivilegeWindowDays)
		if input.SharedWorkloads != nil {
			s.SharedWorkloads = int(*input.SharedWorkloads)
		}
		if input.DisabledRules != nil {
			s.DisabledRules = input.DisabledRules
		}
	})
	wrong, err := userErrors(err)
	if err != nil || len(wrong) > 0 {
		return &generated.ChangeEvaluationSettingsPayload{UserErrors: wrong}, err
	}
	return &generated.ChangeEvaluationSettingsPayload{
		Settings: showSettings(settings), Evaluation: showEvaluation(evaluation), UserErrors: wrong}, nil
}

func amendDays(threshold *time.Duration, days *int32) {
	if days != nil { // what is out of all bounds is refused as such, and must not overflow before
		*threshold = time.Duration(min(max(*days, -1), 100_000)) * exposure.Day
	}
}

func (r mutationResolver) EvaluateOrganization(ctx context.Context, input generated.EvaluateOrganizationInput) (*generated.EvaluateOrganizationPayload, error) {
	evaluation, err := r.paths.Reevaluate(ctx, id.Organization(input.Organization), authority.ByRequest, nil)
	wrong, err := userErrors(err)
	if err != nil || len(wrong) > 0 {
		return &generated.EvaluateOrganizationPayload{UserErrors: wrong}, err
	}
	return &generated.EvaluateOrganizationPayload{Evaluation: showEvaluation(evaluation), UserErrors: wrong}, nil
}

func showEvaluation(e *authority.Evaluation) *generated.Evaluation {
	shown := &generated.Evaluation{
		ExposuresOpened: int32(e.Exposures.Opened), ExposuresResolved: int32(e.Exposures.Resolved), //nolint:gosec // fewer than 2^31 exposures
	}
	if !e.At.IsZero() {
		shown.At = &e.At
	}
	return shown
}

// userErrors turns what the caller can mend in the input of a mutation into its
// answer, and leaves every other error an error.
func userErrors(err error) ([]*generated.UserError, error) {
	var typed *problem.Error
	if !errors.As(err, &typed) || typed.Kind != problem.Invalid && typed.Kind != problem.Conflict && typed.Kind != problem.Limit {
		return []*generated.UserError{}, err
	}
	return []*generated.UserError{{Code: typed.Code, Field: unlessEmpty(typed.Field), Message: typed.Message}}, nil
}

package graph

import (
	"context"
	"errors"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func (r identityResolver) Baselines(ctx context.Context, i *model.Identity) ([]*generated.ScopeBaseline, error) {
	list, err := loader.From(ctx).Baselines.Load(ctx, i.OrganizationID, i.Entity.ID)
	return collect(list, showBaseline), err
}

func showBaseline(b exposure.Baseline) *generated.ScopeBaseline {
	basis := generated.BaselineBasisObserved
	if b.Basis == "attested" {
		basis = generated.BaselineBasisAttested
	}
	return &generated.ScopeBaseline{At: b.At, Basis: basis, Actor: b.Actor, Note: unlessEmpty(b.Note)}
}

func (r authorityPathResolver) Justifications(ctx context.Context, p *model.AuthorityPath) ([]*generated.PrivilegeJustification, error) {
	list, err := loader.From(ctx).Justifications.Load(ctx, p.OrganizationID, p.Path.ID)
	return collect(list, showJustification), err
}

func showJustification(j exposure.Justified) *generated.PrivilegeJustification {
	return &generated.PrivilegeJustification{
		EffectiveFrom: j.FromAt, EffectiveTo: j.ToAt, Actor: j.Actor, Justification: j.Text, Actions: j.Actions, WithdrawnBy: j.WithdrawnBy,
	}
}

func (r mutationResolver) AttestBaseline(ctx context.Context, input generated.AttestBaselineInput) (*generated.AttestBaselinePayload, error) {
	identity, err := named(model.TypeIdentity, "identity", input.Identity)
	if err != nil {
		return nil, err
	}
	attested, err := r.recorder.AttestBaseline(ctx, identity.Organization, identity.Parts[0], deref(input.Note))
	wrong, err := recordErrors(model.TypeIdentity, "identity", err)
	if err != nil || len(wrong) > 0 {
		return &generated.AttestBaselinePayload{UserErrors: wrong}, err
	}
	return &generated.AttestBaselinePayload{
		Baseline: showBaseline(attested.Baseline), Evaluation: showEvaluation(attested.Evaluation), UserErrors: wrong}, nil
}

func (r mutationResolver) RecordJustification(ctx context.Context, input generated.RecordJustificationInput) (*generated.RecordJustificationPayload, error) {
	path, err := named(model.TypeAuthorityPath, "path", input.Path)
	if err != nil {
		return nil, err
	}
	recorded, err := r.recorder.RecordJustification(ctx, path.Organization, path.Parts[0], exposure.Justification{Text: input.Justification, Actions: input.Actions})
	wrong, err := recordErrors(model.TypeAuthorityPath, "path", err)
	if err != nil || len(wrong) > 0 {
		return &generated.RecordJustificationPayload{UserErrors: wrong}, err
	}
	payload := &generated.RecordJustificationPayload{
		Justification: showJustification(recorded.Justified), Evaluation: showEvaluation(recorded.Evaluation), UserErrors: wrong}
	if recorded.Replaced != nil {
		payload.Replaced = showJustification(*recorded.Replaced)
	}
	return payload, nil
}

func (r mutationResolver) WithdrawJustification(ctx context.Context, input generated.WithdrawJustificationInput) (*generated.WithdrawJustificationPayload, error) {
	path, err := named(model.TypeAuthorityPath, "path", input.Path)
	if err != nil {
		return nil, err
	}
	withdrawn, err := r.recorder.WithdrawJustification(ctx, path.Organization, path.Parts[0])
	wrong, err := recordErrors(model.TypeAuthorityPath, "path", err)
	if err != nil || len(wrong) > 0 {
		return &generated.WithdrawJustificationPayload{UserErrors: wrong}, err
	}
	return &generated.WithdrawJustificationPayload{
		Justification: showJustification(withdrawn.Justified), Evaluation: showEvaluation(withdrawn.Evaluation), UserErrors: wrong}, nil
}

// codesOfNone are what is said of an id that names nothing.
var codesOfNone = map[model.Type]string{
	model.TypeIdentity: "IDENTITY_NOT_FOUND", model.TypeAuthorityPath: "PATH_NOT_FOUND", model.TypeExposure: "EXPOSURE_NOT_FOUND",
	model.TypeBatch: "BATCH_NOT_FOUND", typeSubject: "SUBJECT_NOT_FOUND",
}

// named is what a global id in an input names.
func named(t model.Type, field, text string) (model.ID, error) {
	opened, ok := model.ParseID(text)
	if !ok || opened.Type != t {
		return model.ID{}, noSuch(t, field)
	}
	return opened, nil
}

func noSuch(t model.Type, field string) error {
	return problem.New(problem.NotFound, codesOfNone[t], "there is no %s of this id; read one from a list", field).On(field)
}

// recordErrors is userErrors for what analysts put on record. What belongs to
// another organization answers as what does not exist.
func recordErrors(t model.Type, field string, err error) ([]*generated.UserError, error) {
	var typed *problem.Error
	if errors.As(err, &typed) {
		switch {
		case typed.Code == "JUSTIFICATION_NOT_FOUND": // the path is there, and the caller's
			return []*generated.UserError{{Code: typed.Code, Field: unlessEmpty(typed.Field), Message: typed.Message}}, nil
		case typed.Kind == problem.NotFound:
			return []*generated.UserError{}, noSuch(t, field)
		}
	}
	wrong, err := userErrors(err)
	for _, i := range wrong {
		if i.Field != nil && *i.Field == "text" { // as the domain calls it
			name := "justification"
			i.Field = &name
		}
	}
	return wrong, err
}

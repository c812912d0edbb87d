package graph

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

func (r exposureResolver) Decision(ctx context.Context, x *model.Exposure) (*model.Decision, error) {
	return decisionAt(ctx, x.OrganizationID, x.Key, x.DecidedSeq)
}

func (r exposureVersionResolver) Decision(ctx context.Context, v *model.ExposureVersion) (*model.Decision, error) {
	return decisionAt(ctx, v.OrganizationID, v.Of, v.DecidedSeq)
}

// decisionAt is the decision that stands at a place of the ledger; nil for none.
func decisionAt(ctx context.Context, organization id.ID, of exposure.Key, seq *int64) (*model.Decision, error) {
	if seq == nil {
		return nil, nil
	}
	entry, err := loader.From(ctx).LedgerEntries.Load(ctx, organization, *seq)
	if err != nil || entry == nil {
		return nil, err
	}
	return model.NewDecision(of, entry.Entry)
}

func (r exposureResolver) Decisions(ctx context.Context, x *model.Exposure, first *int32) ([]*model.Decision, error) {
	most, err := listSize(first)
	if err != nil {
		return nil, err
	}
	list, err := loader.From(ctx).Decisions.Load(ctx, x.OrganizationID, loader.DecisionKey{Exposure: x.Key, Most: most})
	if err != nil {
		return nil, err
	}
	shown := make([]*model.Decision, len(list))
	for i, d := range list {
		if shown[i], err = model.NewDecision(x.Key, d.Entry); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// listSize is how many rows a list without cursors is asked for.
func listSize(first *int32) (int, error) {
	asked, err := pageRequest(first, nil, nil, nil).Resolve(id.Nil, 1)
	return asked.Size, err
}

func (r decisionResolver) Hash(ctx context.Context, d *model.Decision) (string, error) {
	return hashAt(ctx, d.OrganizationID, d.Seq)
}

func (r organizationResolver) Batch(ctx context.Context, o *model.Organization, text string) (*model.Batch, error) {
	opened, ok := model.ParseID(text)
	if !ok || opened.Type != model.TypeBatch || opened.Organization != o.Organization.ID {
		return nil, nil
	}
	b, err := r.decisions.BatchByID(ctx, loader.From(ctx).Snapshot, opened.Organization, opened.Parts[0])
	if err != nil || b == nil {
		return nil, err
	}
	return model.NewBatch(opened.Organization, b, nil), nil
}

func (r organizationResolver) SigningKeys(ctx context.Context, o *model.Organization, subject *string, asOf *time.Time) ([]*generated.SigningKey, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	keys, err := r.decisions.Keys(ctx, loader.From(ctx).Snapshot, o.Organization.ID, deref(subject))
	return collect(keys, showKey), err
}

func showKey(k *triage.Key) *generated.SigningKey {
	return &generated.SigningKey{
		KeyID: k.ID, Subject: k.Subject, PublicKey: base64.StdEncoding.EncodeToString(k.PublicKey),
		ValidFrom: k.From, ValidTo: k.To, RegisteredBy: k.AddedBy, RevokedBy: k.EndedBy,
	}
}

func (r mutationResolver) AcknowledgeExposure(ctx context.Context, input generated.JudgeExposureInput) (*generated.JudgeExposurePayload, error) {
	return r.judge(ctx, input.Exposure, command(triage.Acknowledge, input))
}

func (r mutationResolver) UnacknowledgeExposure(ctx context.Context, input generated.JudgeExposureInput) (*generated.JudgeExposurePayload, error) {
	return r.judge(ctx, input.Exposure, command(triage.Unacknowledge, input))
}

func (r mutationResolver) MarkFalsePositive(ctx context.Context, input generated.MarkFalsePositiveInput) (*generated.JudgeExposurePayload, error) {
	c := command(triage.MarkFalsePositive, generated.JudgeExposureInput{
		Exposure: input.Exposure, ExpectedVersion: input.ExpectedVersion, Justification: input.Justification,
		IdempotencyKey: input.IdempotencyKey, Envelope: input.Envelope})
	c.Reason = input.Reason
	return r.judge(ctx, input.Exposure, c)
}

func (r mutationResolver) UnmarkFalsePositive(ctx context.Context, input generated.JudgeExposureInput) (*generated.JudgeExposurePayload, error) {
	return r.judge(ctx, input.Exposure, command(triage.UnmarkFalsePositive, input))
}

func (r mutationResolver) ResolveExposure(ctx context.Context, input generated.JudgeExposureInput) (*generated.JudgeExposurePayload, error) {
	return r.judge(ctx, input.Exposure, command(triage.Resolve, input))
}

func command(action triage.Action, input generated.JudgeExposureInput) triage.Command {
	return triage.Command{
		Action: action, ExpectedVersion: int(input.ExpectedVersion), Justification: input.Justification,
		IdempotencyKey: input.IdempotencyKey, Envelope: []byte(deref(input.Envelope)),
	}
}

func (r mutationResolver) judge(ctx context.Context, text string, c triage.Command) (*generated.JudgeExposurePayload, error) {
	named, err := named(model.TypeExposure, "exposure", text)
	if err != nil {
		return nil, err
	}
	key, ok := named.ExposureKey()
	if !ok {
		return nil, noSuch(model.TypeExposure, "exposure")
	}
	outcome, err := r.triage.Judge(ctx, named.Organization, key, c)
	wrong, err := recordErrors(model.TypeExposure, "exposure", err)
	if err != nil || len(wrong) > 0 {
		return &generated.JudgeExposurePayload{UserErrors: wrong}, err
	}
	payload := &generated.JudgeExposurePayload{Replayed: outcome.Replayed, UserErrors: wrong}
	if payload.Decision, err = model.NewDecision(key, outcome.Entry); err != nil {
		return nil, err
	}
	payload.Exposure, err = exposureOf(ctx, named)
	return payload, err
}

func (r mutationResolver) JudgeExposures(ctx context.Context, input generated.JudgeExposuresInput) (*generated.JudgeExposuresPayload, error) {
	organization := id.Organization(input.Organization)
	selection, asked, err := chosen(organization, input)
	var batch *triage.Batch
	if err == nil {
		batch, err = r.triage.JudgeMany(ctx, organization, selection, triage.Command{
			Action: input.Action, Reason: deref(input.Reason), Justification: deref(input.Justification), IdempotencyKey: deref(input.IdempotencyKey),
		}, input.DryRun)
	}
	wrong, err := userErrors(err)
	if err != nil || len(wrong) > 0 {
		return &generated.JudgeExposuresPayload{UserErrors: wrong}, err
	}
	return &generated.JudgeExposuresPayload{Batch: model.NewBatch(organization, batch, asked), UserErrors: wrong}, nil
}

// chosen is what a request on many exposures is about, and by which ids it names
// them. An id that names none of the organization's is that of nothing, and fares
// as such.
func chosen(organization id.ID, input generated.JudgeExposuresInput) (s triage.Selection, asked map[exposure.Key]string, err error) {
	if input.Filter != nil {
		filter, err := exposureFilter(organization, input.Filter, nil)
		if err != nil {
			return s, nil, err
		}
		s.Filter = &filter
	}
	asked = make(map[exposure.Key]string, len(input.Exposures))
	for _, x := range input.Exposures {
		opened, _ := model.ParseID(x.Exposure)
		key, ok := opened.ExposureKey()
		if !ok || opened.Organization != organization {
			key = model.StrangeKey(x.Exposure)
		}
		asked[key] = x.Exposure
		s.Items = append(s.Items, triage.Item{Key: key, ExpectedVersion: widen(x.ExpectedVersion)})
	}
	return s, asked, nil
}

func (r mutationResolver) UndoBatch(ctx context.Context, input generated.UndoBatchInput) (*generated.JudgeExposuresPayload, error) {
	named, err := named(model.TypeBatch, "batch", input.Batch)
	if err != nil {
		return nil, err
	}
	batch, err := r.triage.Undo(ctx, named.Organization, named.Parts[0], input.Justification, input.IdempotencyKey)
	wrong, err := recordErrors(model.TypeBatch, "batch", err)
	if err != nil || len(wrong) > 0 {
		return &generated.JudgeExposuresPayload{UserErrors: wrong}, err
	}
	return &generated.JudgeExposuresPayload{Batch: model.NewBatch(named.Organization, batch, nil), UserErrors: wrong}, nil
}

func (r mutationResolver) RegisterSigningKey(ctx context.Context, input generated.RegisterSigningKeyInput) (*generated.SigningKeyPayload, error) {
	return keyPayload(r.triage.RegisterKey(ctx, id.Organization(input.Organization), deref(input.Subject), []byte(input.PublicKey)))
}

func (r mutationResolver) RevokeSigningKey(ctx context.Context, input generated.RevokeSigningKeyInput) (*generated.SigningKeyPayload, error) {
	return keyPayload(r.triage.RevokeKey(ctx, id.Organization(input.Organization), input.Key))
}

func keyPayload(key *triage.Key, err error) (*generated.SigningKeyPayload, error) {
	wrong, err := userErrors(err)
	if err != nil || len(wrong) > 0 {
		return &generated.SigningKeyPayload{UserErrors: wrong}, err
	}
	return &generated.SigningKeyPayload{Key: showKey(key), UserErrors: wrong}, nil
}

// decision reads what exposures, or versions of them, follow from.
func (p *prefetcher) decision(seqs []*int64) error {
	var wanted []int64
	for _, seq := range seqs {
		if seq != nil {
			wanted = append(wanted, *seq)
		}
	}
	_, err := p.scope.LedgerEntries.Prefetch(p.ctx, p.organization, wanted)
	return err
}

// decided reads what was decided on exposures. That the caller may not see it is
// said by the fields themselves.
func (p *prefetcher) decided(exposures []*exposure.Exposure, field selected) error {
	opened := p.open(field)
	if opened == nil {
		return nil
	}
	most, err := listSize(argument[*int32](opened, "first"))
	if err != nil {
		return nil //nolint:nilerr // said by the field's own resolver
	}
	lists, err := p.scope.Decisions.Prefetch(p.ctx, p.organization, collect(exposures, func(x *exposure.Exposure) loader.DecisionKey {
		return loader.DecisionKey{Exposure: x.Key, Most: most}
	}))
	if problem.KindOf(err) == problem.Denied {
		return nil
	}
	if err != nil {
		return err
	}
	for _, child := range p.children(field, "Decision") {
		if child.Name != "hash" {
			continue
		}
		var seqs []int64
		for _, list := range lists {
			each(list, func(d *triage.Decision) { seqs = append(seqs, d.Seq) })
		}
		_, err = p.scope.LedgerEntries.Prefetch(p.ctx, p.organization, seqs)
		return err
	}
	return nil
}

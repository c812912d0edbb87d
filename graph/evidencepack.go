package graph

import (
	"context"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/evidencepack"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func (r organizationResolver) EvidencePack(ctx context.Context, o *model.Organization, exposure, path, workload *string) (*generated.EvidencePack, error) {
	found, err := r.pack(ctx, o.Organization.ID, exposure, path, workload)
	event := packEvent(o.Organization.ID, found, err)
	for _, subject := range []*string{exposure, path, workload} {
		if i, ok := model.ParseID(deref(subject)); ok && found != nil { // a row may be named by its code
			event.Touched = append(event.Touched, i.String())
		}
	}
	handOut(ctx, event)
	if err != nil || found == nil {
		return nil, err
	}
	return showPack(found), nil
}

// packEvent is what the audit log says of a pack that was asked for.
func packEvent(organization id.ID, found *evidencepack.Pack, err error) audit.Event {
	event := audit.Event{Organization: organization, Action: audit.ExportEvidencePack, Outcome: audit.OutcomeOf(err)}
	switch {
	case err != nil:
	case found == nil:
		event.Outcome = codesOfNone[typeSubject]
	default:
		event.Properties = []audit.Property{{Name: "digest", Value: found.Digest}}
	}
	return event
}

func showPack(p *evidencepack.Pack) *generated.EvidencePack {
	return &generated.EvidencePack{Digest: p.Digest, StateDigest: p.StateDigest, MediaType: "application/json", Document: string(p.Document)}
}

// pack is the pack of the one subject that is named; nil if there is none of this
// id in the organization.
func (r organizationResolver) pack(ctx context.Context, organization id.ID, exposure, path, workload *string) (*evidencepack.Pack, error) {
	named := 0
	for _, subject := range []*string{exposure, path, workload} {
		if subject != nil {
			named++
		}
	}
	if named != 1 {
		return nil, problem.New(problem.Invalid, "ONE_SUBJECT", "%d subjects are named; name an exposure, a path or a workload", named)
	}
	snapshot := loader.From(ctx).Snapshot
	opened := func(text string) (model.ID, bool) {
		i, ok := model.ParseID(text)
		return i, ok && i.Organization == organization
	}
	switch {
	case exposure != nil:
		i, ok := opened(*exposure)
		key, named := i.ExposureKey()
		if !ok || !named {
			return nil, nil
		}
		return r.packs.Exposure(ctx, snapshot, organization, key.PathID, key.Type, key.Ordinal)
	case path != nil:
		i, ok := opened(*path)
		if !ok || i.Type != model.TypeAuthorityPath {
			return nil, nil
		}
		return r.packs.Path(ctx, snapshot, organization, i.Parts[0])
	}
	code, entity, ok := rowKey(organization, *workload)
	if !ok {
		return nil, nil
	}
	if code != "" {
		row, err := r.posture.WorkloadExposure(ctx, snapshot, organization, code, id.Nil)
		if err != nil || row == nil {
			return nil, err
		}
		entity = row.WorkloadID
	}
	return r.packs.Workload(ctx, snapshot, organization, entity)
}

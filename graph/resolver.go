// Package graph is the GraphQL surface: hand-written resolvers, a file per
// area, and the handler that puts limits before them and one snapshot under
// each response. A resolver decodes its arguments, makes one domain call and
// shows what comes back.
package graph

import (
	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/evidencepack"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/progress"
	"github.com/exposuregraph/exposuregraph/internal/stream"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// Resolver is the root of all resolvers.
type Resolver struct {
	organizations *org.Store
	paths         *authority.Service
	exposures     *exposure.Reader
	posture       *posture.Reader
	tuner         *exposure.Tuner
	recorder      *exposure.Recorder
	packs         *evidencepack.Reader
	sealer        *evidencepack.Sealer
	triage        *triage.Service
	decisions     *triage.Reader
	book          *book.Book
	changes       *change.Reader
	assets        *asset.Reader
	entries       *audit.Reader
	board         *progress.Board // nil: nobody is shown how far imports have come
	stream        *stream.Stream  // nil: nothing is followed live
	readers       *db.DB          // what is looked up before a stream begins
	ledgerKey     string          // that verifies checkpoints; empty: nothing is signed
}

var _ generated.ResolverRoot = (*Resolver)(nil)

// The areas, each with its fields that are more than a value of their object.
type (
	queryResolver                struct{ *Resolver }
	mutationResolver             struct{ *Resolver }
	organizationResolver         struct{ *Resolver }
	authorityPathResolver        struct{ *Resolver }
	authorityPathVersionResolver struct{ *Resolver }
	lineageResolver              struct{ *Resolver }
	identityRotationResolver     struct{ *Resolver }
	exposureResolver             struct{ *Resolver }
	exposureVersionResolver      struct{ *Resolver }
	exposureEvidenceResolver     struct{ *Resolver }
	ownerEvidenceResolver        struct{ *Resolver }
	exposureExplanationResolver  struct{ *Resolver }
	missingExposureResolver      struct{ *Resolver }
	riskClusterResolver          struct{ *Resolver }
	workloadExposureResolver     struct{ *Resolver }
	postureSnapshotResolver      struct{ *Resolver }
	postureRowResolver           struct{ *Resolver }

	exposureChangeResolver          struct{ *Resolver }
	postureCauseResolver            struct{ *Resolver }
	decisionResolver                struct{ *Resolver }
	ledgerResolver                  struct{ *Resolver }
	ledgerEntryResolver             struct{ *Resolver }
	postureCountExplanationResolver struct{ *Resolver }
	postureDeltaResolver            struct{ *Resolver }
	workloadResolver                struct{ *Resolver }
	identityResolver                struct{ *Resolver }
	resourceResolver                struct{ *Resolver }
	accessRoleResolver              struct{ *Resolver }
	ownerResolver                   struct{ *Resolver }
	identityBindingResolver         struct{ *Resolver }
	roleBindingResolver             struct{ *Resolver }
	attributeResolver               struct{ *Resolver }
	syncResolver                    struct{ *Resolver }
	assetResolver                   struct{ *Resolver }
	assetSightingResolver           struct{ *Resolver }
	assetWorkloadConnectionResolver struct{ *Resolver }
	assetWorkloadEdgeResolver       struct{ *Resolver }
)

// Query resolves the fields of Query.
func (r *Resolver) Query() generated.QueryResolver { return queryResolver{r} }

// Mutation resolves the fields of Mutation.
func (r *Resolver) Mutation() generated.MutationResolver { return mutationResolver{r} }

// Organization resolves the fields of Organization.
func (r *Resolver) Organization() generated.OrganizationResolver { return organizationResolver{r} }

// AuthorityPath resolves the fields of AuthorityPath.
func (r *Resolver) AuthorityPath() generated.AuthorityPathResolver { return authorityPathResolver{r} }

// AuthorityPathVersion resolves the fields of AuthorityPathVersion.
func (r *Resolver) AuthorityPathVersion() generated.AuthorityPathVersionResolver {
	return authorityPathVersionResolver{r}
}

// Lineage resolves the fields of Lineage.
func (r *Resolver) Lineage() generated.LineageResolver { return lineageResolver{r} }

// IdentityRotation resolves the fields of IdentityRotation.
func (r *Resolver) IdentityRotation() generated.IdentityRotationResolver {
	return identityRotationResolver{r}
}

// Exposure resolves the fields of Exposure.
func (r *Resolver) Exposure() generated.ExposureResolver { return exposureResolver{r} }

// ExposureVersion resolves the fields of ExposureVersion.
func (r *Resolver) ExposureVersion() generated.ExposureVersionResolver {
	return exposureVersionResolver{r}
}

// PostureCause resolves the fields of PostureCause.
func (r *Resolver) PostureCause() generated.PostureCauseResolver { return postureCauseResolver{r} }

// ExposureChange resolves the fields of ExposureChange.
func (r *Resolver) ExposureChange() generated.ExposureChangeResolver {
	return exposureChangeResolver{r}
}

// Decision resolves the fields of Decision.
func (r *Resolver) Decision() generated.DecisionResolver { return decisionResolver{r} }

// Ledger resolves the fields of Ledger.
func (r *Resolver) Ledger() generated.LedgerResolver { return ledgerResolver{r} }

// LedgerEntry resolves the fields of LedgerEntry.
func (r *Resolver) LedgerEntry() generated.LedgerEntryResolver { return ledgerEntryResolver{r} }

// ExposureEvidence resolves the fields of ExposureEvidence.
func (r *Resolver) ExposureEvidence() generated.ExposureEvidenceResolver {
	return exposureEvidenceResolver{r}
}

// OwnerEvidence resolves the fields of OwnerEvidence.
func (r *Resolver) OwnerEvidence() generated.OwnerEvidenceResolver { return ownerEvidenceResolver{r} }

// ExposureExplanation resolves the fields of ExposureExplanation.
func (r *Resolver) ExposureExplanation() generated.ExposureExplanationResolver {
	return exposureExplanationResolver{r}
}

// MissingExposure resolves the fields of MissingExposure.
func (r *Resolver) MissingExposure() generated.MissingExposureResolver {
	return missingExposureResolver{r}
}

// PostureCountExplanation resolves the fields of PostureCountExplanation.
func (r *Resolver) PostureCountExplanation() generated.PostureCountExplanationResolver {
	return postureCountExplanationResolver{r}
}

// PostureDelta resolves the fields of PostureDelta.
func (r *Resolver) PostureDelta() generated.PostureDeltaResolver { return postureDeltaResolver{r} }

// PostureRow resolves the fields of PostureRow.
func (r *Resolver) PostureRow() generated.PostureRowResolver { return postureRowResolver{r} }

// RiskCluster resolves the fields of RiskCluster.
func (r *Resolver) RiskCluster() generated.RiskClusterResolver { return riskClusterResolver{r} }

// WorkloadExposure resolves the fields of WorkloadExposure.
func (r *Resolver) WorkloadExposure() generated.WorkloadExposureResolver {
	return workloadExposureResolver{r}
}

// PostureSnapshot resolves the fields of PostureSnapshot.
func (r *Resolver) PostureSnapshot() generated.PostureSnapshotResolver {
	return postureSnapshotResolver{r}
}

// Workload resolves the fields of Workload.
func (r *Resolver) Workload() generated.WorkloadResolver { return workloadResolver{r} }

// Identity resolves the fields of Identity.
func (r *Resolver) Identity() generated.IdentityResolver { return identityResolver{r} }

// Resource resolves the fields of Resource.
func (r *Resolver) Resource() generated.ResourceResolver { return resourceResolver{r} }

// AccessRole resolves the fields of AccessRole.
func (r *Resolver) AccessRole() generated.AccessRoleResolver { return accessRoleResolver{r} }

// Owner resolves the fields of Owner.
func (r *Resolver) Owner() generated.OwnerResolver { return ownerResolver{r} }

// IdentityBinding resolves the fields of IdentityBinding.
func (r *Resolver) IdentityBinding() generated.IdentityBindingResolver {
	return identityBindingResolver{r}
}

// RoleBinding resolves the fields of RoleBinding.
func (r *Resolver) RoleBinding() generated.RoleBindingResolver { return roleBindingResolver{r} }

// Attribute resolves the fields of Attribute.
func (r *Resolver) Attribute() generated.AttributeResolver { return attributeResolver{r} }

// Sync resolves the fields of Sync.
func (r *Resolver) Sync() generated.SyncResolver { return syncResolver{r} }

// Asset resolves the fields of Asset.
func (r *Resolver) Asset() generated.AssetResolver { return assetResolver{r} }

// AssetSighting resolves the fields of AssetSighting.
func (r *Resolver) AssetSighting() generated.AssetSightingResolver { return assetSightingResolver{r} }

// AssetWorkloadConnection resolves the fields of AssetWorkloadConnection.
func (r *Resolver) AssetWorkloadConnection() generated.AssetWorkloadConnectionResolver {
	return assetWorkloadConnectionResolver{r}
}

// AssetWorkloadEdge resolves the fields of AssetWorkloadEdge.
func (r *Resolver) AssetWorkloadEdge() generated.AssetWorkloadEdgeResolver {
	return assetWorkloadEdgeResolver{r}
}

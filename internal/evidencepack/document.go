package evidencepack

import (
	"encoding/json"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Format names the shape of the document. A reader who finds another number
// knows that it does not know this one.
const Format = "exposuregraph/evidence-pack/1"

// document is the whole of a pack. What moves by itself, because time passes and
// sources look again, is apart from what the exposures rest on.
type document struct {
	Format       string       `json:"format"`
	Organization organization `json:"organization"`
	Subject      subject      `json:"subject"`
	AsOf         asOf         `json:"asOf"`
	State        state        `json:"state"`
}

type organization struct {
	ID   id.ID  `json:"id"`
	Slug string `json:"slug"`
}

// subject is what was asked for.
type subject struct {
	Kind     string `json:"kind"` // exposure, path, workload
	Workload *id.ID `json:"workload,omitempty"`
	Path     *id.ID `json:"path,omitempty"`
	Type     string `json:"type,omitempty"`
	Ordinal  int    `json:"ordinal,omitempty"`
}

// asOf says how far everything is known.
type asOf struct {
	At        *moment        `json:"at"`        // the organization's clock
	WindowEnd *moment        `json:"windowEnd"` // where windows and thresholds end
	LastSeen  []lastSeen     `json:"lastSeen"`
	Coverage  []coverageSpan `json:"coverage"`
	Sources   []sourceSync   `json:"sources"`
}

type lastSeen struct {
	Path id.ID  `json:"path"`
	At   moment `json:"at"`
}

type coverageSpan struct {
	Kind       record.EvidenceKind `json:"kind"`
	Source     id.ID               `json:"source"`
	Entity     *id.ID              `json:"entity"`
	From       *moment             `json:"from"`
	To         *moment             `json:"to"`
	RecordedAt moment              `json:"recordedAt"`
}

type sourceSync struct {
	Source       id.ID         `json:"source"`
	LastComplete *lastComplete `json:"lastComplete"`
}

type lastComplete struct {
	Sync       id.ID  `json:"sync"`
	At         moment `json:"at"`
	ObservedAt moment `json:"observedAt"`
}

// state is what the exposures rest on.
type state struct {
	Entities       []entity        `json:"entities"`
	Sources        []source        `json:"sources"`
	Paths          []path          `json:"paths"`
	Exposures      []exposed       `json:"exposures"`
	Conditions     []condition     `json:"conditions"`
	Ties           []tie           `json:"ties"`
	Egress         []egress        `json:"egress"`
	Evidence       []evidence      `json:"evidence"`
	Coverage       []coverage      `json:"coverage"`
	Baselines      []baseline      `json:"baselines"`
	Justifications []justification `json:"justifications"`
	Rotations      []rotation      `json:"rotations"`
	Successions    []succession    `json:"successions"`
}

type entity struct {
	ID                 id.ID                 `json:"id"`
	Kind               record.EntityKind     `json:"kind"`
	System             string                `json:"system"`
	SourceID           string                `json:"sourceId"`
	Name               string                `json:"name"`
	Status             record.Status         `json:"status"`
	Environment        *string               `json:"environment,omitempty"`
	OwnerTeam          *string               `json:"ownerTeam,omitempty"`
	BusinessTier       *string               `json:"businessTier,omitempty"`
	ExecutionMode      *record.ExecutionMode `json:"executionMode,omitempty"`
	ArtifactIdentifier *string               `json:"artifactIdentifier,omitempty"`
	SourceType         *string               `json:"sourceType,omitempty"`
	DataDomain         *string               `json:"dataDomain,omitempty"`
	DataDomainStated   *string               `json:"dataDomainStated,omitempty"`
	Sensitivity        string                `json:"sensitivity,omitempty"` // of resources
	SensitivityStated  *string               `json:"sensitivityStated,omitempty"`
	OwnerType          *record.OwnerType     `json:"ownerType,omitempty"`
	Title              *string               `json:"title,omitempty"`
	LastActiveAt       *moment               `json:"lastActiveAt,omitempty"`
	CreatedInSourceAt  *moment               `json:"createdInSourceAt,omitempty"`
	FirstSeenAt        moment                `json:"firstSeenAt"`
	RemovedAt          *moment               `json:"removedAt,omitempty"`
	AssertedBy         []voice               `json:"assertedBy"`
}

type voice struct {
	Source id.ID  `json:"source"`
	Basis  string `json:"basis"`
}

type source struct {
	ID     id.ID  `json:"id"`
	Name   string `json:"name"`
	System string `json:"system"`
	Format string `json:"format"`
}

// path is an authority path with its current version; former are those before,
// the oldest first.
type path struct {
	ID          id.ID   `json:"id"`
	Lineage     id.ID   `json:"lineage"`
	Workload    id.ID   `json:"workload"`
	Identity    *id.ID  `json:"identity"` // null: none is known
	Resource    id.ID   `json:"resource"`
	FirstSeenAt moment  `json:"firstSeenAt"`
	RemovedAt   *moment `json:"removedAt"`
	pathVersion
	Former []pathVersion `json:"former"`
}

type pathVersion struct {
	Version         int                       `json:"version"`
	From            moment                    `json:"from"`
	To              *moment                   `json:"to,omitempty"` // of former versions
	SyncVersion     canonical.Integer         `json:"syncVersion"`
	Status          authority.PathStatus      `json:"status"`
	Effective       bool                      `json:"effective"`
	Roles           []id.ID                   `json:"roles"`
	Actions         []string                  `json:"actions"`
	AuthChainDepth  int                       `json:"authChainDepth"`
	CompositionHash string                    `json:"compositionHash"`
	DataDomain      *string                   `json:"dataDomain"`
	Sensitivity     string                    `json:"sensitivity"`
	Ownership       authority.OwnershipStatus `json:"ownership"`
	Egress          authority.EgressCategory  `json:"egress"`
	Execution       execution                 `json:"execution"`
}

type execution struct {
	Count *canonical.Integer        `json:"count"` // null: nobody watched, and nothing was observed
	Basis *authority.ExecutionBasis `json:"basis"` // null: nothing was observed
}

// exposed is an interval of an exposure.
type exposed struct {
	Path                 id.ID           `json:"path"`
	Type                 string          `json:"type"`
	Ordinal              int             `json:"ordinal"`
	Status               exposure.Status `json:"status"`
	Rule                 ruleUsed        `json:"rule"`
	Predicates           []predicate     `json:"predicates"`
	Condition            *conditionRef   `json:"condition"` // null: the rule judges paths, and this is the condition
	Evidence             json.RawMessage `json:"evidence"`  // of the condition
	EffectiveFrom        moment          `json:"effectiveFrom"`
	EffectiveFromBasis   rule.Basis      `json:"effectiveFromBasis"`
	LineageEffectiveFrom moment          `json:"lineageEffectiveFrom"`
	DetectedAt           moment          `json:"detectedAt"`
	ResolvedAt           *moment         `json:"resolvedAt"`
	ResolutionReason     *rule.Reason    `json:"resolutionReason"`
	Predecessor          *exposureRef    `json:"predecessor"`
	Successor            *exposureRef    `json:"successor"`
	exposureVersion
	Former []exposureVersion `json:"former"`
}

type exposureVersion struct {
	Version            int           `json:"version"`
	From               moment        `json:"from"`
	To                 *moment       `json:"to,omitempty"` // of former versions
	Severity           string        `json:"severity"`
	Factors            []rule.Factor `json:"factors"`
	Explanation        string        `json:"explanation"`
	EvidenceDigest     id.ID         `json:"evidenceDigest"`
	Disposition        string        `json:"disposition"`
	IndeterminateSince *moment       `json:"indeterminateSince"`
}

// ruleUsed is the rule that judged, and the thresholds that it looked at.
type ruleUsed struct {
	Finding         string         `json:"finding"`
	Version         *int           `json:"version"`         // null: nobody recorded which
	SettingsVersion int            `json:"settingsVersion"` // 0: the defaults
	Thresholds      map[string]int `json:"thresholds"`
}

type conditionRef struct {
	Subject id.ID `json:"subject"`
	Ordinal int   `json:"ordinal"`
	Version int   `json:"version"`
}

type exposureRef struct {
	Path    id.ID  `json:"path"`
	Type    string `json:"type"`
	Ordinal int    `json:"ordinal"`
}

// condition is an interval in which a rule found something true of a workload or
// an identity, whether or not a path carries it.
type condition struct {
	Subject            id.ID        `json:"subject"`
	Finding            string       `json:"finding"`
	Ordinal            int          `json:"ordinal"`
	EffectiveFrom      moment       `json:"effectiveFrom"`
	EffectiveFromBasis rule.Basis   `json:"effectiveFromBasis"`
	DetectedAt         moment       `json:"detectedAt"`
	ResolvedAt         *moment      `json:"resolvedAt"`
	ResolutionReason   *rule.Reason `json:"resolutionReason"`
	conditionVersion
	Former []conditionVersion `json:"former"`
}

type conditionVersion struct {
	Version            int             `json:"version"`
	From               moment          `json:"from"`
	To                 *moment         `json:"to,omitempty"` // of former versions
	RuleVersion        int             `json:"ruleVersion"`
	Explanation        string          `json:"explanation"`
	Evidence           json.RawMessage `json:"evidence"`
	EvidenceDigest     id.ID           `json:"evidenceDigest"`
	IndeterminateSince *moment         `json:"indeterminateSince"`
}

// tie is what one source says ties two entities.
type tie struct {
	Kind         record.EdgeKind `json:"kind"`
	From         id.ID           `json:"from"`
	To           id.ID           `json:"to"`
	Scope        string          `json:"scope"`
	Source       id.ID           `json:"source"`
	Actions      []string        `json:"actions"`
	Effective    bool            `json:"effective"`
	Protocol     string          `json:"protocol"`
	TargetSystem string          `json:"targetSystem"`
}

type egress struct {
	Workload id.ID                    `json:"workload"`
	Host     string                   `json:"host"`
	Category authority.EgressCategory `json:"category"`
	Source   id.ID                    `json:"source"`
}

// evidence is a count of executions on a day. Whom it does not name is null.
type evidence struct {
	Workload *id.ID                   `json:"workload"`
	Identity *id.ID                   `json:"identity"`
	Resource *id.ID                   `json:"resource"`
	Action   string                   `json:"action"` // empty: the source does not say
	Day      string                   `json:"day"`
	Related  bool                     `json:"related"`
	Source   id.ID                    `json:"source"`
	Basis    authority.ExecutionBasis `json:"basis"`
	Count    canonical.Integer        `json:"count"`
	LastAt   *moment                  `json:"lastAt"`
	Counted  bool                     `json:"counted"` // an active path here counts it now
}

type coverage struct {
	Kind          record.EvidenceKind `json:"kind"`
	Source        id.ID               `json:"source"`
	Entity        *id.ID              `json:"entity"` // null: every entity of the system
	System        string              `json:"system"`
	Complete      bool                `json:"complete"`
	MaxAgeSeconds *canonical.Integer  `json:"maxAgeSeconds"` // null: it does not age
}

type baseline struct {
	Identity id.ID   `json:"identity"`
	At       moment  `json:"at"`
	Basis    string  `json:"basis"` // observed, attested
	Actor    *string `json:"actor"`
	Note     *string `json:"note"`
}

type justification struct {
	Path        id.ID    `json:"path"`
	From        moment   `json:"from"`
	To          *moment  `json:"to"`
	Actor       string   `json:"actor"`
	Text        string   `json:"text"`
	Actions     []string `json:"actions"`
	WithdrawnBy *string  `json:"withdrawnBy"`
}

type rotation struct {
	Workload id.ID  `json:"workload"`
	At       moment `json:"at"`
	From     id.ID  `json:"from"`
	To       id.ID  `json:"to"`
}

type succession struct {
	Predecessor id.ID  `json:"predecessor"`
	Successor   id.ID  `json:"successor"`
	At          moment `json:"at"`
}

// moment is an instant, written in UTC whatever zone it was read in.
type moment struct{ time.Time }

// MarshalJSON writes RFC 3339 in UTC.
func (m moment) MarshalJSON() ([]byte, error) { return m.UTC().MarshalJSON() }

func instant(t *time.Time) *moment {
	if t == nil {
		return nil
	}
	return &moment{*t}
}

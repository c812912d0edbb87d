package rule

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Outcome of a rule: Kleene's three values.
type Outcome int16

// The outcomes.
const (
	False Outcome = iota
	True
	Unknown
)

// Verdict is what a rule says of a subject. Explanations, evidence and its
// digest, the beginning and its basis belong to True; False has a reason, and
// Unknown nothing.
type Verdict struct {
	Rule    Rule
	Outcome Outcome

	// Explanation is the text of the condition. PathExplanation is the text on
	// one of its paths where that says more; it is a text for format() with the
	// positions below, and a Go name in it has its % doubled.
	Explanation     string
	PathExplanation string

	Evidence       Evidence
	EvidenceDigest id.ID // of the evidence without its times and counts

	EffectiveFrom time.Time // zero: when it is detected
	Basis         Basis

	Reason Reason // of an outcome False: why an open condition resolves
}

// The positions of a PathExplanation: %1$s is the path's resource, and so on.
const (
	PlaceResource    = 1 // name of the destination
	PlaceSensitivity = 2 // its sensitivity, in lower case
	PlaceDomain      = 3 // its data domain, or "an unnamed domain"
	PlaceActions     = 4 // the path's actions, see List, or "reach" where none is known
	PlaceRoles       = 5 // the names of its roles, see List, or "no known role"
	PlaceWorkload    = 6 // name of the workload
	PlaceIdentity    = 7 // name of the identity, or "an unknown identity"
)

// Evidence is what a verdict rests on: references and values that explain it,
// written as canonical JSON (sorted keys, no blanks). The fields stand in the
// order of their keys.
type Evidence struct {
	ActionsAdded  []string          `json:"actionsAdded,omitempty"`
	ActionsUnused []string          `json:"actionsUnused,omitempty"`
	ActionsUsed   []string          `json:"actionsUsed,omitempty"`
	Assets        []string          `json:"assets,omitempty"`
	BaselineAt    *time.Time        `json:"baselineAt,omitempty"`
	Completeness  map[string]string `json:"completeness,omitempty"` // kind of evidence to the state of its coverage
	FirstSeenAt   *time.Time        `json:"firstSeenAt,omitempty"`
	Hosts         []string          `json:"hosts,omitempty"`
	LastActiveAt  *time.Time        `json:"lastActiveAt,omitempty"`
	Newly         int               `json:"newly,omitempty"`
	OwnerSets     int               `json:"ownerSets,omitempty"`
	Owners        []OwnerEvidence   `json:"owners,omitempty"`
	RolesAdded    []string          `json:"rolesAdded,omitempty"`
	Sensitivity   string            `json:"sensitivity,omitempty"`
	Unbound       int               `json:"unbound,omitempty"`
	Unresolved    int               `json:"unresolved,omitempty"`
	Workloads     int               `json:"workloads,omitempty"`
	Writes        bool              `json:"writes,omitempty"`
}

// OwnerEvidence is an owner as the verdict found it.
type OwnerEvidence struct {
	ID     id.ID  `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // active, inactive
	Type   string `json:"type"`   // individual, group
}

// Open is an open condition, as far as its rule wants to know.
type Open struct {
	RuleVersion int
	Evidence    Evidence
}

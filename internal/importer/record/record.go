// Package record is the neutral language between formats and the model: what a
// parser of any format says, and what a sync understands. Parsers are pure;
// they turn bytes into records, rejections and warnings.
package record

import (
	"fmt"
	"time"
)

// Position says where in the input something stands.
type Position struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // counted from 1; 0 where the format has no lines
}

// String is file:line.
func (p Position) String() string {
	switch {
	case p.File == "":
		return fmt.Sprintf("line %d", p.Line)
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Record is one statement of a source and where it was made.
type Record struct {
	Position
	Fact Fact
}

// Fact is one of Entity, Edge, Egress, Endpoint, Evidence and Coverage, or of a scan a
// Sighting.
type Fact interface{ fact() }

func (Entity) fact()   {}
func (Edge) fact()     {}
func (Egress) fact()   {}
func (Evidence) fact() {}
func (Coverage) fact() {}

// EntityKind is what an entity is.
type EntityKind string

// The kinds of entities.
const (
	Workload EntityKind = "workload" // what runs: a deployment, a function, a business rule
	Identity EntityKind = "identity" // what it runs as: a service account, a principal
	Resource EntityKind = "resource" // what can be reached: the destination of a path
	Role     EntityKind = "role"     // what grants: a role, a policy
	Owner    EntityKind = "owner"    // who answers for it: a person or a group
)

// Ref names an entity. An empty System means the system of the source that
// speaks.
type Ref struct {
	Kind     EntityKind
	System   string
	SourceID string
}

// Basis says how a source knows an attribute. Where sources disagree the lower
// basis wins, attribute by attribute.
type Basis int16

// The bases, strongest first.
const (
	Mapping   Basis = 1 // a person wrote it down in a mapping file
	Inventory Basis = 2 // an inventory (CMDB, cloud account) says so
	Manifest  Basis = 3 // a manifest declares it
	Inferred  Basis = 4 // it was concluded from something else
)

// Status of an entity in its own system.
type Status string

// The statuses.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
	Removed  Status = "removed"
)

// ExecutionMode says who makes a workload run.
type ExecutionMode string

// The execution modes.
const (
	Autonomous       ExecutionMode = "autonomous"        // nobody: it runs by itself or by schedule
	OperatorAssisted ExecutionMode = "operator_assisted" // an operator supervises it
	HumanTriggered   ExecutionMode = "human_triggered"   // a person starts it
	Triggered        ExecutionMode = "triggered"         // an event starts it; no person is proven
)

// OwnerType tells a person from a group.
type OwnerType string

// The owner types.
const (
	Individual OwnerType = "individual"
	Group      OwnerType = "group"
)

// Entity asserts that an entity exists and what it is like. An empty attribute
// is one the source says nothing about.
type Entity struct {
	Ref
	Basis              Basis
	Name               string
	Status             Status
	Environment        string
	OwnerTeam          string
	BusinessTier       string
	ExecutionMode      ExecutionMode // workloads
	ArtifactIdentifier string        // workloads: image digests, a function's code hash
	SourceType         string        // the system's own word: Deployment, ServiceAccount, AppRole
	DataDomain         string        // resources; the source's own word
	Sensitivity        string        // resources; the source's own word
	OwnerType          OwnerType     // owners
	Title              string        // owners: their role
	LastActiveAt       time.Time     // owners and identities; zero if not said
	CreatedAt          time.Time     // in its own system; zero if not said
	Labels             map[string]string
}

// EdgeKind is how two entities are tied.
type EdgeKind string

// The kinds of edges, From -> To.
const (
	RunsAs        EdgeKind = "runs_as"       // workload -> identity
	HasRole       EdgeKind = "has_role"      // identity -> role, in a scope
	Grants        EdgeKind = "grants"        // role -> resource, in a scope, with actions
	OwnedBy       EdgeKind = "owned_by"      // workload, identity or resource -> owner
	CreatedBy     EdgeKind = "created_by"    // workload or identity -> owner or identity
	Authenticates EdgeKind = "authenticates" // workload or identity -> identity in another system, by a protocol
	Declares      EdgeKind = "declares"      // workload -> resource that it reaches through no known identity
)

// Edge asserts a tie between two entities.
//
// A path follows HasRole and Grants only where their scopes are equal: a role
// bound in a namespace never reaches "*".
type Edge struct {
	Kind         EdgeKind
	From, To     Ref
	Scope        string   // HasRole and Grants: a namespace, an account, or "*"
	Actions      []string // Grants and Declares: the verbs, as the system writes them
	Ineffective  bool     // Grants: the target system ignores this grant
	Protocol     string   // Authenticates: oauth2, saml, api_key, …
	TargetSystem string   // Authenticates: the system on the other side
}

// EgressCategory classifies the first outbound boundary of a workload.
type EgressCategory string

// The egress categories. "none" is never asserted: it is what complete
// coverage without any observation means.
const (
	EgressInternal EgressCategory = "internal"
	EgressExternal EgressCategory = "external"
	EgressLLM      EgressCategory = "llm"
)

// Egress asserts that a workload sends data to a host.
type Egress struct {
	Workload Ref
	Host     string
	Category EgressCategory
}

// Evidence is the count of executions on one day. The fields that are named
// are its basis: with a Resource it is evidence of a path, with a Workload of
// the workload, with an Identity alone of the identity. Denied calls are no
// evidence.
type Evidence struct {
	Workload *Ref
	Identity *Ref
	Resource *Ref
	Action   string
	Day      time.Time // midnight UTC of the day
	LastAt   time.Time // the last execution of that day; zero if not said
	Count    int
	Related  bool // linked to the subject, but not observed on it
}

// EvidenceKind is a kind of knowledge that coverage speaks about.
type EvidenceKind string

// The kinds of coverage.
const (
	Ownership EvidenceKind = "ownership"
	Execution EvidenceKind = "execution"
	EgressObs EvidenceKind = "egress"
	Binding   EvidenceKind = "binding" // RunsAs, Authenticates
	Roles     EvidenceKind = "roles"   // HasRole, Grants
)

// Coverage says how completely a source knows a kind of evidence. Only a claim
// of absence needs it: what is present decides alone.
type Coverage struct {
	Kind     EvidenceKind
	Entity   *Ref      // the entity it speaks about; nil: every entity of the source's system
	Partial  bool      // known, but not to be trusted for absence
	From, To time.Time // the window observed; zero if the kind has none
	MaxAge   time.Duration
}

// Rejection is a record that was not accepted, and why.
type Rejection struct {
	Position
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Entity *Ref   `json:"-"` // the entity it would have spoken about, where that much was readable

	// Asset is whom a rejected record of a scan was about, where that much was
	// readable: the delivery does not cover that asset's host. Nil: it covers
	// nothing at all.
	Asset *AssetRef `json:"-"`
}

// Warning is something that the reader of a report should know and that
// rejected nothing.
type Warning struct {
	Position
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Emitter takes what a parser finds. An error from it ends the parse.
type Emitter interface {
	Record(Record) error
	Reject(Rejection) error
	Warn(Warning) error
}

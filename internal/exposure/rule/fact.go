package rule

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Coverage says how completely one kind of evidence is known of a subject.
type Coverage int16

// The states of coverage, the best last. Of several sources the best counts.
const (
	NotCollected Coverage = iota // nobody looks
	Incomplete                   // somebody looked, but not at all of it or not for the whole window
	Expired                      // somebody looked completely, too long ago
	Complete
)

// Settings are the thresholds of an organization.
type Settings struct {
	Version         int           // 0: the defaults
	DormantAfter    time.Duration // an identity without activity for so long is dormant
	ProofGrace      time.Duration // a workload has so long to prove that it runs
	PrivilegeWindow time.Duration // a privilege not used for so long is in excess
	SharedWorkloads int           // an identity of so many workloads is shared
	DisabledRules   []Rule
}

// Defaults hold for an organization that set nothing.
func Defaults() Settings {
	const day = 24 * time.Hour
	return Settings{DormantAfter: 90 * day, ProofGrace: 7 * day, PrivilegeWindow: 90 * day, SharedWorkloads: 3}
}

// Owner is who a workload is on record as owned by.
type Owner struct {
	ID         id.ID
	Name       string
	Group      bool
	Active     bool
	LastActive time.Time // zero: not said
}

// Host is a boundary that a workload sends data to.
type Host struct {
	Name     string
	Category authority.EgressCategory // internal, external or llm
}

// Workload is what is known of a workload.
type Workload struct {
	ID        id.ID
	Name      string
	Removed   bool
	FirstSeen time.Time

	Ownership Coverage
	Owners    []Owner // by name, then id

	Binding    Coverage
	Bound      int // living identities that it runs as or authenticates as
	Unresolved int // recorded bindings that lead to no living identity
	Unbound    int // its active, effective paths without an identity

	Execution    Coverage  // from FirstSeen to the end of the window
	LastExecuted time.Time // the day of the last evidence of it, or of an identity that only it runs as; zero: none

	Egress Coverage
	Hosts  []Host // by name, then category

	Assets     []string // services and urls that are there and lead to it, by value
	AssetsGone []string // those that are there no longer
}

// Identity is what is known of an identity.
type Identity struct {
	ID        id.ID
	Name      string
	Removed   bool
	Disabled  bool
	FirstSeen time.Time

	Execution  Coverage  // over Settings.DormantAfter up to the end of the window
	LastActive time.Time // the last activity that any source knows of; zero: none

	Roles Coverage
	Scope *Scope // null: never completely observed, so there is nothing to compare with

	Binding   Coverage
	Workloads int      // living workloads that run as it or authenticate as it
	Ownership Coverage // the worst of those workloads
	OwnerSets int      // distinct sets of active owners among them; the empty set is one
	Owners    int      // distinct active owners of all of them
}

// Scope is how the authority of an identity differs from its baseline.
type Scope struct {
	BaselineAt   time.Time
	Attested     bool // a person vouched for the baseline
	RolesThen    int
	RolesNow     int
	RolesAdded   []string // by name
	ActionsAdded []string // sorted; on resources that it reached before, too
	Newly        int      // resources that it did not reach before
}

// Grown says whether anything was added.
func (s *Scope) Grown() bool {
	return s != nil && (len(s.RolesAdded) > 0 || len(s.ActionsAdded) > 0 || s.Newly > 0)
}

// Privilege is a combination of facts of the paths that PrivilegeGap judges:
// those with the same facts are judged once.
type Privilege struct {
	Granted   []string // the path's actions, sorted
	Used      []string // the actions of evidence that names the path, in the window, sorted
	Justified []string // the granted actions that somebody has recorded a justification of, sorted
	Proven    bool     // there is evidence that names the path
	Opaque    bool     // some of it does not say which action
	Execution Coverage // over Settings.PrivilegeWindow
}

// Trait is what the severity on one path depends on besides the rule.
type Trait struct {
	Sensitivity authority.Sensitivity
	External    bool // the workload sends data outside or to a model
	Writes      bool // SensitiveDomain, PrivilegeGap: the path may change something. ScopeDrift: what was added may
	Newly       bool // ScopeDrift: the path's resource was not reached before
}

// Traits counts the codes of traits: they go from 0 up to, and without, Traits.
const Traits = 40

// Code numbers a trait; TraitOf turns it back.
func (t Trait) Code() int {
	code := int(t.Sensitivity)
	for i, yes := range []bool{t.External, t.Writes, t.Newly} {
		if yes {
			code += 5 << i
		}
	}
	return code
}

// TraitOf is the trait of a code.
func TraitOf(code int) Trait {
	flags := code / 5
	return Trait{
		Sensitivity: authority.Sensitivity(code % 5), //nolint:gosec // below 5
		External:    flags&1 != 0, Writes: flags&2 != 0, Newly: flags&4 != 0,
	}
}

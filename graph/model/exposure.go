package model

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Exposure is an exposure as the schema shows it.
type Exposure struct{ exposure.Exposure }

// IsNode marks a node.
func (*Exposure) IsNode() {}

// ID is the exposure's global id.
func (x *Exposure) ID() string { return ExposureID(x.OrganizationID, x.Key) }

// ExposureID is the global id of the exposure of a key.
func ExposureID(organization id.ID, key exposure.Key) string {
	return ID{Type: TypeExposure, Organization: organization, Parts: [2]id.ID{key.PathID, pair(int64(key.Type), int64(key.Ordinal))}}.String()
}

// ExposureKey is the exposure that an id names; ok is false for an id of
// something else.
func (i ID) ExposureKey() (key exposure.Key, ok bool) {
	kind, ordinal := unpair(i.Parts[1])
	if i.Type != TypeExposure || kind < 1 || kind > math.MaxInt16 || ordinal < 1 || ordinal > math.MaxInt32 {
		return exposure.Key{}, false
	}
	return exposure.Key{PathID: i.Parts[0], Type: rule.Type(kind), Ordinal: int(ordinal)}, true
}

// pair puts two numbers into one part of an id.
func pair(a, b int64) (part id.ID) {
	binary.BigEndian.PutUint64(part[:8], uint64(a)) //nolint:gosec // turned back by unpair
	binary.BigEndian.PutUint64(part[8:], uint64(b)) //nolint:gosec // turned back by unpair
	return part
}

func unpair(part id.ID) (a, b int64) {
	return int64(binary.BigEndian.Uint64(part[:8])), int64(binary.BigEndian.Uint64(part[8:])) //nolint:gosec // the caller bounds them
}

// Type is what the exposure is.
func (x *Exposure) Type() rule.Type { return x.Exposure.Type }

// Ordinal counts the intervals of the path and type.
func (x *Exposure) Ordinal() int { return x.Exposure.Ordinal }

// FindingType is the rule that opened it, which has the same number.
func (x *Exposure) FindingType() rule.Rule { return rule.Rule(x.Exposure.Type) }

// Factors are what the severity is made of.
func (x *Exposure) Factors() []rule.Factors { return split(x.Exposure.Factors) }

// split takes a set of factors apart.
func split(set rule.Factors) []rule.Factors {
	parts := []rule.Factors{}
	for set != 0 {
		lowest := set & -set
		parts = append(parts, lowest)
		set &^= lowest
	}
	return parts
}

// Status is the published status.
func (x *Exposure) Status() exposure.Status { return x.Exposure.Status() }

// EffectiveFromBasis is how the beginning is known.
func (x *Exposure) EffectiveFromBasis() rule.Basis { return x.EffectiveBasis }

// LineageEffectiveFrom is since when the lineage has been exposed.
func (x *Exposure) LineageEffectiveFrom() time.Time { return x.LineageFrom }

// DetectedAt is when it was opened.
func (x *Exposure) DetectedAt() time.Time { return x.FromAt }

// ResolvedAt is when it resolved.
func (x *Exposure) ResolvedAt() *time.Time { return x.ToAt }

// EvidenceDigest is the fingerprint of the evidence.
func (x *Exposure) EvidenceDigest() string { return x.Exposure.EvidenceDigest.String() }

// ExposureVersion is a state of an exposure and its interval.
type ExposureVersion struct {
	OrganizationID id.ID
	Of             exposure.Key
	DecidedSeq     *int64
	Version        int
	EffectiveFrom  time.Time
	EffectiveTo    *time.Time
	Severity       rule.Severity
	Factors        []rule.Factors
	Status         exposure.Status
	Disposition    exposure.Disposition
	Explanation    string
}

// NewExposureVersion shows a version.
func NewExposureVersion(organization id.ID, v *exposure.Version) *ExposureVersion {
	return &ExposureVersion{
		OrganizationID: organization, Of: v.Key, DecidedSeq: v.DecidedSeq,
		Version: v.Version, EffectiveFrom: v.FromAt, EffectiveTo: v.ToAt, Severity: v.Severity, Factors: split(v.Factors),
		Status: exposure.StatusOf(v.Disposition), Disposition: v.Disposition, Explanation: v.Explanation,
	}
}

// ExposureEvidence is what an exposure rests on.
type ExposureEvidence struct {
	OrganizationID     id.ID
	RoleIDs            []id.ID
	Completeness       []EvidenceCompleteness
	Owners             []OwnerEvidence
	Hosts              []string
	Assets             []string
	LastActiveAt       *time.Time
	FirstSeenAt        *time.Time
	BaselineAt         *time.Time
	RolesAdded         []string
	ActionsAdded       []string
	NewResources       *int
	Workloads          *int
	OwnerSets          *int
	UnboundPaths       *int
	UnresolvedBindings *int
	Actions            []string
	DataDomain         *string
	Sensitivity        authority.Sensitivity
}

// EvidenceCompleteness is how completely a kind of evidence is known.
type EvidenceCompleteness struct {
	Kind     record.EvidenceKind
	Coverage rule.Coverage
}

// coverageOf reads what rule.Coverage writes into evidence.
func coverageOf(text string) rule.Coverage {
	for _, c := range []rule.Coverage{rule.Complete, rule.Expired, rule.Incomplete} {
		if c.String() == text {
			return c
		}
	}
	return rule.NotCollected
}

// OwnerEvidence is an owner as the rule found it.
type OwnerEvidence struct {
	OrganizationID id.ID
	OwnerID        id.ID
	Name           string
	Type           record.OwnerType
	Active         bool
}

// NewExposureEvidence shows what an exposure stands on.
func NewExposureEvidence(organization id.ID, s *exposure.Standing) *ExposureEvidence {
	e := s.Evidence
	if e == nil {
		e = &rule.Evidence{}
	}
	shown := &ExposureEvidence{
		OrganizationID: organization, RoleIDs: s.RoleIDs, Completeness: []EvidenceCompleteness{}, Owners: []OwnerEvidence{},
		Hosts: list(e.Hosts), Assets: list(e.Assets), LastActiveAt: e.LastActiveAt, FirstSeenAt: e.FirstSeenAt, BaselineAt: e.BaselineAt,
		RolesAdded: list(e.RolesAdded), ActionsAdded: list(e.ActionsAdded), NewResources: line(e.Newly), Workloads: line(e.Workloads),
		OwnerSets: line(e.OwnerSets), UnboundPaths: line(e.Unbound), UnresolvedBindings: line(e.Unresolved),
		Actions: list(s.Actions), DataDomain: s.DataDomain, Sensitivity: s.Sensitivity,
	}
	for _, kind := range slices.Sorted(maps.Keys(e.Completeness)) {
		shown.Completeness = append(shown.Completeness, EvidenceCompleteness{Kind: record.EvidenceKind(kind), Coverage: coverageOf(e.Completeness[kind])})
	}
	for _, o := range e.Owners {
		shown.Owners = append(shown.Owners, OwnerEvidence{
			OrganizationID: organization, OwnerID: o.ID, Name: o.Name, Type: record.OwnerType(o.Type), Active: o.Status == string(record.Active),
		})
	}
	return shown
}

// list is a list that is never null.
func list[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// ExposureExplanation is how a verdict came about.
type ExposureExplanation struct {
	OrganizationID  id.ID
	Of              exposure.Key
	Rule            rule.Rule
	RuleVersion     *int
	SettingsVersion int
	Severity        rule.Severity
	Factors         []rule.Factors
	Text            string
	WindowAt        *time.Time
}

// NewExposureExplanation shows how the verdict behind an exposure came about.
func NewExposureExplanation(x *exposure.Exposure, s *exposure.Standing) *ExposureExplanation {
	shown := &ExposureExplanation{
		OrganizationID: x.OrganizationID, Of: x.Key,
		Rule: rule.Rule(x.Type), RuleVersion: s.RuleVersion, SettingsVersion: s.SettingVersion, Severity: x.Severity,
		Factors: split(x.Factors), Text: x.Explanation, WindowAt: s.WindowAt,
	}
	if s.Explanation != nil {
		shown.Text = *s.Explanation
	}
	return shown
}

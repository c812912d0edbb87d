package model

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Type is the type that a global id carries.
type Type string

// The types with global ids.
const (
	TypeOrganization  Type = "Organization"
	TypeAuthorityPath Type = "AuthorityPath"
	TypeLineage       Type = "Lineage"
	TypeExposure      Type = "Exposure"
	TypeRiskCluster   Type = "RiskCluster"
	TypeWorkload      Type = "Workload"
	TypeIdentity      Type = "Identity"
	TypeResource      Type = "Resource"
	TypeAccessRole    Type = "AccessRole"
	TypeOwner         Type = "Owner"
	TypeSource        Type = "Source"
	TypeSync          Type = "Sync"
	TypeAsset         Type = "Asset"

	TypeExposureChange Type = "ExposureChange"
	TypeAuditEntry     Type = audit.EntryType
)

// TypeBatch is of ids that only Organization.batch and undoBatch take.
const TypeBatch Type = "Batch"

// The types of ids that explanations give of records without a node: node
// answers null.
const (
	TypeTie           Type = "Tie"
	TypeEgress        Type = "Egress"
	TypeLink          Type = "Link"
	TypeExecution     Type = "Execution"
	TypeCoverage      Type = "Coverage"
	TypeBaseline      Type = "Baseline"
	TypeJustification Type = "Justification"
)

// ID is a global id, opened: a type, an organization and one or two parts.
type ID struct {
	Type         Type
	Organization id.ID
	Parts        [2]id.ID
}

// String closes the id.
func (i ID) String() string {
	parts := slices.DeleteFunc(slices.Clone(i.Parts[:]), func(part id.ID) bool { return part == id.Nil })
	return id.Global(string(i.Type), i.Organization, parts...)
}

// maxID bounds what is decoded: the longest type and three identifiers.
const maxID = 128

// ParseID opens a global id; ok is false for text that is none. An unreadable
// id is an id of nothing, not an error: both answer the same.
func ParseID(text string) (opened ID, ok bool) {
	if len(text) > maxID {
		return ID{}, false
	}
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ID{}, false
	}
	name, rest, found := strings.Cut(string(bytes), "\x00")
	if !found || len(rest) < 16 || len(rest) > 48 || len(rest)%16 != 0 {
		return ID{}, false
	}
	opened = ID{Type: Type(name), Organization: id.ID([]byte(rest[:16]))}
	for i := 1; i*16 < len(rest); i++ {
		opened.Parts[i-1] = id.ID([]byte(rest[i*16 : i*16+16]))
	}
	return opened, true
}

func globalID(t Type, organization, part id.ID) string {
	return ID{Type: t, Organization: organization, Parts: [2]id.ID{part}}.String()
}

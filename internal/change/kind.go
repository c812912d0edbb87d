package change

import "slices"

// Kind is what kind of change an event tells of. It is stored.
type Kind string

// The kinds that are published.
const (
	SyncApplied            Kind = "sync_applied"
	SyncLate               Kind = "sync_late"
	IdentityRotated        Kind = "identity_rotated"
	PathDiscovered         Kind = "authority_path_discovered"
	PathRemoved            Kind = "authority_path_removed"
	PathReappeared         Kind = "authority_path_reappeared"
	PathScopeChanged       Kind = "authority_path_scope_changed"
	PathSensitivityChanged Kind = "authority_path_sensitivity_changed"
	ExposureOpened         Kind = "exposure_opened"
	ExposureResolved       Kind = "exposure_resolved"
	DispositionChanged     Kind = "exposure_disposition_changed"
)

// Emitted are the kinds that are published, in the order in which they stand where
// one instant has several.
var Emitted = []Kind{
	SyncApplied, SyncLate, IdentityRotated, PathDiscovered, PathRemoved, PathReappeared, PathScopeChanged, PathSensitivityChanged,
	ExposureOpened, ExposureResolved, DispositionChanged,
}

// The kinds that are known and that nothing publishes yet.
const (
	AssetDiscovered            Kind = "asset_discovered"
	ServiceDiscovered          Kind = "service_discovered"
	URLDiscovered              Kind = "url_discovered"
	WebPathDiscovered          Kind = "path_discovered"
	CertificateDiscovered      Kind = "certificate_discovered"
	VulnerabilityDiscovered    Kind = "vulnerability_discovered"
	VulnerabilityStatusChanged Kind = "vulnerability_status_changed"
	FileCollected              Kind = "file_collected"
	PortOpened                 Kind = "port_opened"
	PortClosed                 Kind = "port_closed"
	TechnologyChanged          Kind = "technology_changed"
	AssetStale                 Kind = "asset_stale"
	AssetReappeared            Kind = "asset_reappeared"
)

// Reserved are those kinds: they wait for the things that they are about.
var Reserved = []Kind{
	AssetDiscovered, ServiceDiscovered, URLDiscovered, WebPathDiscovered, CertificateDiscovered, VulnerabilityDiscovered,
	VulnerabilityStatusChanged, FileCollected, PortOpened, PortClosed, TechnologyChanged, AssetStale, AssetReappeared,
}

// Known says whether there is such a kind.
func (k Kind) Known() bool { return slices.Contains(Emitted, k) || slices.Contains(Reserved, k) }

// EntityType is what kind of thing an event is about. It is stored.
type EntityType string

// The types of things.
const (
	OfSync          EntityType = "sync"
	OfWorkload      EntityType = "workload"
	OfAuthorityPath EntityType = "authority_path"
	OfExposure      EntityType = "exposure"
)

// EntityTypes are all types of things.
var EntityTypes = []EntityType{OfSync, OfWorkload, OfAuthorityPath, OfExposure}

// about is what the events of each kind are about.
var about = map[Kind]EntityType{
	SyncApplied: OfSync, SyncLate: OfSync, IdentityRotated: OfWorkload,
	PathDiscovered: OfAuthorityPath, PathRemoved: OfAuthorityPath, PathReappeared: OfAuthorityPath, PathScopeChanged: OfAuthorityPath, PathSensitivityChanged: OfAuthorityPath,
	ExposureOpened: OfExposure, ExposureResolved: OfExposure, DispositionChanged: OfExposure,
}

// EntityType is what events of the kind are about.
func (k Kind) EntityType() EntityType { return about[k] }

// stageOf is in which stage the events of a kind are found.
var stageOf = map[Kind]int16{
	SyncApplied: stageSync, SyncLate: stageSync, IdentityRotated: stageRotation, PathDiscovered: stageDiscovered,
	PathRemoved: stageChanged, PathReappeared: stageChanged, PathScopeChanged: stageChanged, PathSensitivityChanged: stageChanged,
	ExposureOpened: stageOpened, ExposureResolved: stageResolved, DispositionChanged: stageDisposed,
}

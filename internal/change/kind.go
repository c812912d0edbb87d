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
	AssetDiscovered        Kind = "asset_discovered"
	ServiceDiscovered      Kind = "service_discovered"
	URLDiscovered          Kind = "url_discovered"
	WebPathDiscovered      Kind = "path_discovered" // of an address on the web; PathDiscovered is of an authority path
	CertificateDiscovered  Kind = "certificate_discovered"
	FileCollected          Kind = "file_collected"
	PortOpened             Kind = "port_opened"
	PortClosed             Kind = "port_closed"
	TechnologyChanged      Kind = "technology_changed"
	AssetStale             Kind = "asset_stale"
	AssetReappeared        Kind = "asset_reappeared"
)

// Emitted are the kinds that are published, in the order in which they stand where
// one instant has several.
var Emitted = []Kind{
	SyncApplied, SyncLate, IdentityRotated, PathDiscovered, PathRemoved, PathReappeared, PathScopeChanged, PathSensitivityChanged,
	ExposureOpened, ExposureResolved, DispositionChanged,
	AssetDiscovered, ServiceDiscovered, URLDiscovered, WebPathDiscovered, CertificateDiscovered, FileCollected,
	PortOpened, PortClosed, TechnologyChanged, AssetStale, AssetReappeared,
}

// The kinds that are known and that nothing publishes yet.
const (
	VulnerabilityDiscovered    Kind = "vulnerability_discovered"
	VulnerabilityStatusChanged Kind = "vulnerability_status_changed"
)

// Reserved are those kinds: they wait for the things that they are about.
var Reserved = []Kind{VulnerabilityDiscovered, VulnerabilityStatusChanged}

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
	OfAsset         EntityType = "asset" // a domain, a host or a technology
	OfService       EntityType = "service"
	OfURL           EntityType = "url"
	OfURLPath       EntityType = "url_path"
	OfCertificate   EntityType = "certificate"
	OfFile          EntityType = "file"
)

// EntityTypes are all types of things.
var EntityTypes = []EntityType{
	OfSync, OfWorkload, OfAuthorityPath, OfExposure, OfAsset, OfService, OfURL, OfURLPath, OfCertificate, OfFile,
}

// IsAsset says whether what is of the type is an asset.
func (t EntityType) IsAsset() bool { return slices.Contains(assetTypes, t) }

var assetTypes = []EntityType{OfAsset, OfService, OfURL, OfURLPath, OfCertificate, OfFile}

// about is what the events of each kind are about.
var about = map[Kind][]EntityType{
	SyncApplied: {OfSync}, SyncLate: {OfSync}, IdentityRotated: {OfWorkload},
	PathDiscovered: {OfAuthorityPath}, PathRemoved: {OfAuthorityPath}, PathReappeared: {OfAuthorityPath},
	PathScopeChanged: {OfAuthorityPath}, PathSensitivityChanged: {OfAuthorityPath},
	ExposureOpened: {OfExposure}, ExposureResolved: {OfExposure}, DispositionChanged: {OfExposure},
	AssetDiscovered: {OfAsset}, ServiceDiscovered: {OfService}, URLDiscovered: {OfURL}, WebPathDiscovered: {OfURLPath},
	CertificateDiscovered: {OfCertificate}, FileCollected: {OfFile}, PortOpened: {OfService}, PortClosed: {OfService},
	TechnologyChanged: {OfService, OfURL},
	AssetStale:        {OfAsset, OfService, OfURL, OfURLPath, OfCertificate},
	AssetReappeared:   {OfAsset, OfService, OfURL, OfURLPath, OfCertificate},
}

// EntityTypes are what events of the kind are about: one type of thing, or any of
// several.
func (k Kind) EntityTypes() []EntityType { return about[k] }

package model

import (
	"context"
	"encoding/hex"
	"net/url"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Asset is an asset as the schema shows it.
type Asset struct{ asset.Asset }

// NewAsset shows an asset.
func NewAsset(a *asset.Asset) *Asset { return &Asset{*a} }

// IsNode marks a node.
func (*Asset) IsNode() {}

// ID is the asset's global id.
func (a *Asset) ID() string { return globalID(TypeAsset, a.OrganizationID, a.Asset.ID) }

// Type is what it is.
func (a *Asset) Type() record.AssetKind { return a.Kind }

// Technology is what runs there.
func (a *Asset) Technology() []asset.Technology { return products(a.Asset.Technology) }

// HostID is the host or domain that it is on; nil for these themselves.
func (a *Asset) HostID() *id.ID {
	if a.RootID == nil || *a.RootID == a.Asset.ID {
		return nil
	}
	return a.RootID
}

// products are the technologies without the name that a service goes by.
func products(all []asset.Technology) []asset.Technology {
	list := make([]asset.Technology, 0, len(all))
	for _, technology := range all {
		if !technology.Service {
			list = append(list, technology)
		}
	}
	return list
}

// AssetSighting is what one source saw of an asset.
type AssetSighting struct {
	OrganizationID id.ID
	asset.Sighting
}

// FirstSeenAt is when the interval began.
func (s *AssetSighting) FirstSeenAt() time.Time { return s.FromAt }

// Current says whether the interval goes on.
func (s *AssetSighting) Current() bool { return s.ToAt == nil }

// AssetVersion is what an asset was.
type AssetVersion struct{ asset.Version }

// From is when the interval began.
func (v *AssetVersion) From() time.Time { return v.FromAt }

// To is when it ended.
func (v *AssetVersion) To() *time.Time { return v.ToAt }

// Technology is what ran there.
func (v *AssetVersion) Technology() []asset.Technology { return products(v.Version.Technology) }

// CollectedFile is what is known of the content of a file.
type CollectedFile struct{ asset.Collected }

// Sha256 is the digest of the content.
func (f *CollectedFile) Sha256() string { return hex.EncodeToString(f.SHA256) }

// CollectedAt is when it came.
func (f *CollectedFile) CollectedAt() time.Time { return f.At }

// CollectedBy is who sent it.
func (f *CollectedFile) CollectedBy() string { return f.Actor }

// URL is where it can be downloaded.
func (f *CollectedFile) URL() string {
	return "/files/" + f.Sha256() + "?org=" + url.QueryEscape(f.Organization)
}

// AssetCounts is what a delivery did to the assets.
type AssetCounts struct{ Added, Changed, Gone int }

// Assets is what the delivery did to the assets.
func (s *Sync) Assets(ctx context.Context) (AssetCounts, error) {
	return counted(ctx, AssetCounts{Added: s.AssetsAdded, Changed: s.AssetsChanged, Gone: s.AssetsGone})
}

// WorkloadAssetConnection is a page of the assets of a workload.
type WorkloadAssetConnection struct {
	Edges    []WorkloadAssetEdge
	PageInfo PageInfo
	count    func(context.Context) (int, error)
}

// WorkloadAssetEdge is an asset of a workload.
type WorkloadAssetEdge struct {
	Cursor string
	Node   *Asset
	Links  []asset.Link
}

// NewWorkloadAssets shows a page of the assets of a workload.
func NewWorkloadAssets(found asset.LinkedPage, count func(context.Context) (int, error)) *WorkloadAssetConnection {
	plain := Connect(found.Slice, func(a *asset.LinkedAsset) *asset.LinkedAsset { return a }, found.Cursor, count)
	c := &WorkloadAssetConnection{Edges: make([]WorkloadAssetEdge, len(plain.Edges)), PageInfo: plain.PageInfo, count: count}
	for i, edge := range plain.Edges {
		c.Edges[i] = WorkloadAssetEdge{Cursor: edge.Cursor, Node: NewAsset(&edge.Node.Asset), Links: edge.Node.Links}
	}
	return c
}

// Nodes are the assets without their cursors.
func (c *WorkloadAssetConnection) Nodes() []*Asset {
	nodes := make([]*Asset, len(c.Edges))
	for i, edge := range c.Edges {
		nodes[i] = edge.Node
	}
	return nodes
}

// TotalCount counts the assets of all pages.
func (c *WorkloadAssetConnection) TotalCount(ctx context.Context) (int, error) { return c.count(ctx) }

// AssetWorkloadConnection is a page of the workloads behind an asset.
type AssetWorkloadConnection struct {
	OrganizationID id.ID
	Edges          []AssetWorkloadEdge
	PageInfo       PageInfo
	count          func(context.Context) (int, error)
}

// AssetWorkloadEdge is a workload behind an asset.
type AssetWorkloadEdge struct {
	OrganizationID id.ID
	WorkloadID     id.ID
	Cursor         string
	Links          []asset.Link
}

// NewAssetWorkloads shows a page of the workloads behind an asset.
func NewAssetWorkloads(organization id.ID, found asset.WorkloadPage, count func(context.Context) (int, error)) *AssetWorkloadConnection {
	plain := Connect(found.Slice, func(w *asset.LinkedWorkload) *asset.LinkedWorkload { return w }, found.Cursor, count)
	c := &AssetWorkloadConnection{OrganizationID: organization, Edges: make([]AssetWorkloadEdge, len(plain.Edges)), PageInfo: plain.PageInfo, count: count}
	for i, edge := range plain.Edges {
		c.Edges[i] = AssetWorkloadEdge{OrganizationID: organization, WorkloadID: edge.Node.WorkloadID, Cursor: edge.Cursor, Links: edge.Node.Links}
	}
	return c
}

// TotalCount counts the workloads of all pages.
func (c *AssetWorkloadConnection) TotalCount(ctx context.Context) (int, error) { return c.count(ctx) }

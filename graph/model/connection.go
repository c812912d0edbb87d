package model

import (
	"context"

	"github.com/exposuregraph/exposuregraph/internal/page"
)

// PageInfo says where a page stands in its list.
type PageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Edge is a row of a page.
type Edge[T any] struct {
	Cursor string
	Node   T
}

// Connection is a page of a list. TotalCount counts only when it is asked.
type Connection[T any] struct {
	Edges    []Edge[T]
	PageInfo PageInfo
	count    func(context.Context) (int, error)
}

// Nodes are the rows without their cursors.
func (c *Connection[T]) Nodes() []T {
	nodes := make([]T, len(c.Edges))
	for i, edge := range c.Edges {
		nodes[i] = edge.Node
	}
	return nodes
}

// TotalCount counts the rows of all pages.
func (c *Connection[T]) TotalCount(ctx context.Context) (int, error) { return c.count(ctx) }

// CountedAs says how many rows all pages have, where that is known without a
// count.
func (c *Connection[T]) CountedAs(n int) {
	c.count = func(context.Context) (int, error) { return n, nil }
}

// Truncated says whether the list was cut before it was counted: none is.
func (c *Connection[T]) Truncated() bool { return false }

// Connect makes a connection of a slice: show turns a row into a node, cursor
// into its cursor.
func Connect[R, T any](slice page.Slice[R], show func(R) T, cursor func(R) string, count func(context.Context) (int, error)) *Connection[T] {
	c := &Connection[T]{
		Edges:    make([]Edge[T], len(slice.Rows)),
		PageInfo: PageInfo{HasNextPage: slice.HasNext, HasPreviousPage: slice.HasPrevious},
		count:    count,
	}
	for i, row := range slice.Rows {
		c.Edges[i] = Edge[T]{Cursor: cursor(row), Node: show(row)}
	}
	if n := len(c.Edges); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c
}

// The connections and edges of the schema, each by the name it has there.
//
//revive:disable:exported
type (
	OrganizationConnection         = Connection[*Organization]
	OrganizationEdge               = Edge[*Organization]
	AuthorityPathConnection        = Connection[*AuthorityPath]
	AuthorityPathEdge              = Edge[*AuthorityPath]
	AuthorityPathVersionConnection = Connection[*AuthorityPathVersion]
	AuthorityPathVersionEdge       = Edge[*AuthorityPathVersion]
	PostureRowConnection           = Connection[*PostureRow]
	PostureRowEdge                 = Edge[*PostureRow]
	ExposureConnection             = Connection[*Exposure]
	ExposureEdge                   = Edge[*Exposure]
	ExposureVersionConnection      = Connection[*ExposureVersion]
	ExposureVersionEdge            = Edge[*ExposureVersion]
	LedgerEntryConnection          = Connection[*LedgerEntry]
	LedgerEntryEdge                = Edge[*LedgerEntry]
	AuditEntryConnection           = Connection[*AuditEntry]
	AuditEntryEdge                 = Edge[*AuditEntry]
	RiskClusterConnection          = Connection[*RiskCluster]
	RiskClusterEdge                = Edge[*RiskCluster]
	WorkloadExposureConnection     = Connection[*WorkloadExposure]
	WorkloadExposureEdge           = Edge[*WorkloadExposure]
	PostureSnapshotConnection      = Connection[*PostureSnapshot]
	PostureSnapshotEdge            = Edge[*PostureSnapshot]
	ExposureChangeConnection       = Connection[*ExposureChange]
	ExposureChangeEdge             = Edge[*ExposureChange]
	WorkloadConnection             = Connection[*Workload]
	WorkloadEdge                   = Edge[*Workload]
	IdentityConnection             = Connection[*Identity]
	IdentityEdge                   = Edge[*Identity]
	ResourceConnection             = Connection[*Resource]
	ResourceEdge                   = Edge[*Resource]
	OwnerConnection                = Connection[*Owner]
	OwnerEdge                      = Edge[*Owner]
	SyncConnection                 = Connection[*Sync]
	SyncEdge                       = Edge[*Sync]
	AssetConnection                = Connection[*Asset]
	AssetEdge                      = Edge[*Asset]
)

//revive:enable:exported

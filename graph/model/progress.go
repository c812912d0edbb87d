package model

import (
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/progress"
)

// SyncProgress is how far a delivery to an organization has come.
type SyncProgress struct {
	progress.Row

	OrganizationID id.ID
}

package asset

import (
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// ReadQueries are the statements that read.
var ReadQueries = readQueries

// Binding is what the cursors of a list by value are bound to.
func Binding(organization id.ID, filter Filter) page.Binding {
	return Order{Field: ByValue}.binding(nil, "assets", organization, filter).Short()
}

package book

// ReadQueries are all statements.
var ReadQueries = queries

// SetPageRows makes every boundary of a page be crossed by a few rows.
func SetPageRows(rows, bodies int) { pageRows, bodyRows = rows, bodies }

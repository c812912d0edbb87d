package audit

// Queries are all statements.
var Queries = queries

// SetPageRows makes every boundary of a page of an export be crossed by a few rows.
func SetPageRows(rows int) { pageRows = rows }

// Line is an entry as an export has it.
func (e *Entry) Line(slug string) string { return string(e.line(slug)) }

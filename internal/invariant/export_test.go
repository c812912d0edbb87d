package invariant

// SetPageRows makes the pages of the tests small.
func SetPageRows(rows int) { pageRows = rows }

package progress

// Queries are the statements, for the test that holds each to its predicates.
var Queries = queries

// Watched is how many rows are looked at.
func (b *Board) Watched() int { return len(b.keys()) }

package posture

import "github.com/exposuregraph/exposuregraph/db"

// ReadQueries are the statements that read.
var ReadQueries = readQueries

// DiffQueries are the statements that look an organization up at instants.
var DiffQueries = diffQueries

// CountedRowQueries are the statements that list what a posture counts.
func CountedRowQueries() (queries []db.Query) {
	for _, c := range Countings {
		query, _ := c.query("total", &Snapshot{})
		queries = append(queries, query)
	}
	return queries
}

package invariant

// SetPageRows makes the pages of the tests small.
func SetPageRows(rows int) { pageRows = rows }

// FeedQueries are the statements that hold the feed against history, for the test
// that holds each to its predicates.
var FeedQueries = feedQueries

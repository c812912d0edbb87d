package asset

// FileQueries are the statements that make a file an asset, for the test that holds
// each to its predicates.
var FileQueries = fileQueries

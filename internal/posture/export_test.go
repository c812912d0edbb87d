package posture

// CountQueries are the parsed statements, for the test that runs every one.
var CountQueries = countQueries

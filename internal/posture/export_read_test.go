package posture

// ReadQueries are the statements that read.
var ReadQueries = readQueries

// DiffQueries are the statements that look an organization up at instants.
var DiffQueries = diffQueries

package posture

// ReadQueries are the statements that read.
var ReadQueries = readQueries

package authority

// The parsed statements, for the tests that hold every one of them to the walls.
var (
	SyncQueries = syncQueries
	ReadQueries = readQueries
)

package change

// The statements, for the test that holds each to its predicates.
var (
	ExpandQueries   = expandQueries
	SequenceQueries = sequenceQueries
	RepairQueries   = repairQueries
	ReplayQueries   = replayQueries
	ReadQueries     = readQueries
)

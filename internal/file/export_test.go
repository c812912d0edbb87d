package file

// Queries are the statements, for the test that holds each to its predicates.
var Queries = queries

// CleanName and Classify are what names and types are made by.
var (
	CleanName = cleanName
	Classify  = classify
)

// What tests wait for.
const (
	PendingAge = pendingAge
	DraftAge   = draftAge
)

package posture

// CountedQueries are the statements that show what a posture counts.
var CountedQueries = countedQueries

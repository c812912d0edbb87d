package triage

// ReadQueries are the statements that read.
var ReadQueries = readQueries

// DecideQueries are the statements of a decision.
var DecideQueries = decideQueries

// SetMaxMatching lowers how many exposures a filter may match.
func (s *Service) SetMaxMatching(n int) { s.maxMatching = n }

package authority

// Enlarge has the service take more than so many rows for many.
func (s *Service) Enlarge(small int64) { s.small = small }

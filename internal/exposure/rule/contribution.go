package rule

import "math/bits"

// Contribution is one of the factors of a severity and the steps that it adds.
// Low is one step, Critical four.
type Contribution struct {
	Factor Factors
	Steps  int
}

// Contributions take a severity apart: their steps add up to it. The base is the
// first, and each modifier adds one.
func (f Factors) Contributions() []Contribution {
	parts := make([]Contribution, 0, 3)
	for _, factor := range factors {
		switch {
		case f&factor.bit == 0:
		case factor.bit&bases != 0:
			parts = append(parts, Contribution{factor.bit, bits.Len32(uint32(factor.bit))}) //nolint:gosec // bits, not a number
		default:
			parts = append(parts, Contribution{factor.bit, 1})
		}
	}
	return parts
}

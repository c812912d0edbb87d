// Package isolation holds that nobody is told of what is not theirs. It has tests
// alone: two servers are told the same story, one of them with everything that a caller
// may not see left out, and whatever that caller asks, both give the same answer.
package isolation

// Package posture says what to look at first: risk clusters, which are
// combinations of exposures, with counters that follow every change in the
// transaction that makes it. Reading them costs the same at any size.
package posture

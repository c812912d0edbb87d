// Package schedule does what happens by time alone: once a day it has every
// organization judged anew, because windows and thresholds end at an instant
// that no import moves. Every minute it has the ledgers signed that are due, and the
// gaps of the feeds filled; once a day each feed is held against its history. Every
// five minutes it ends the uploads of files that nobody ended.
//
// The jobs are river's, in the same database (docs/adr/0007-jobs.md). One job a
// day hands out one job for each organization; all of them are unique, so any
// number of replicas may run a [Schedule].
package schedule

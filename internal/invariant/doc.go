// Package invariant proves what is kept incrementally. It reads the rows of an
// organization in one snapshot, counts everything again in plain loops, and
// names each row that says otherwise.
//
// No code is shared with what counts (packages exposure and posture), so that a
// mistake there is not made here, too. What stands above something else is
// recounted from the ground and not from what stands between: counters from
// exposures and evidence, not from members. So a row that is wrong is found by
// the check of its own table, and by no other.
//
// The ledger is the exception: it says once more what people decided and what was
// put on record, and package book holds it against itself and against those tables,
// here as for `exposuregraph ledger verify`.
//
// The feed is held against the history as sets, in SQL: what the sequencer reads
// instant by instant is read all at once there.
//
// A million paths with two million exposures take about three quarters of a gigabyte.
package invariant

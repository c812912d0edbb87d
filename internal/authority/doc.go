// Package authority turns what sources say into authority paths, and answers
// what they are and were.
//
// A sync is the one way in. It stages the records of one source, merges them
// with what the source said before, works out which workloads, identities and
// resources that touches, derives their paths again and writes what differs:
// the current row of a path is its current version, the values it had before
// move to authority_path_version with the interval in which they held. One
// transaction does all of it, so a sync that dies leaves nothing behind, and
// the same sync twice writes nothing.
//
//	stage ─ COPY into temporary tables, bounded memory, outside the lock
//	check ─ repeated? late? unchanged? duplicates, dangling references
//	merge ─ assertions of this source: added, changed, gone
//	touch ─ what has to be derived again, and why
//	derive ─ entities, context, bindings, reach, paths
//	diff ─ versions, updates, removals, rotations
//
// The statements are in sync.sql in the order in which they run.
package authority

// Package benchmark measures the product against what its database could do.
//
// It makes a world of authority paths from a seed, delivers it as snapshots
// through the real importer into a PostgreSQL of its own with durable settings,
// and asks for it over HTTP through the whole server: tokens, guard, limits,
// loaders, row level security. Beside each figure stands a limit, measured in
// the same run on the same rows: the work that no implementation could leave
// out. The ratio of the two is what can be compared between machines; seconds
// cannot.
//
//	world ─ the records, from a seed and a number of paths
//	stand ─ PostgreSQL, the snapshots, the service
//	syncs ─ first, repeated, unchanged, one edge in a hundred changed; their limits
//	operations ─ lists and nested lists over HTTP; their limits
//	growth ─ what operations cost in a large organization and in a small one
//	decisions ─ people who judge exposures; a transaction of one row beside each
//	feed ─ what is published, seen and replayed; live ─ subscribers in a process of their own
//	past ─ questions as of an instant beside the same about now
//	report ─ the tables of docs/performance.md
//
// The statements of the limits are in limits.sql. The program is
// internal/benchmark/cmd/bench; docs/performance.md says how to read it.
package benchmark

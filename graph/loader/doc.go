// Package loader batches the reads of one response. A Scope is made when a
// response begins and closed when it is written: it holds the snapshot that
// everything is read from and one loader per kind of row. It never outlives its
// response, because a loader that does serves stale rows.
package loader

// Package loader batches the reads of one response. A Response is begun with it
// and closed when it is written: it holds the snapshot that everything is read from,
// and a Scope, with one loader per kind of row, for what is and for each instant
// that a field asks for. It never outlives its response, because a loader that does
// serves stale rows.
package loader

// Package snapshot reads and writes the product's own format: one JSON object
// per line, a header first, a trailer with counts last. docs/formats/snapshot.md
// describes it for those who write connectors.
//
// A snapshot stands between two failures. A line that is wrong is rejected and
// the rest goes on, because one bad row of an export must not hide the others.
// A file that is wrong (cut off, glued together, not the format) is a
// *problem.Error and nothing of it may be applied, because what is absent from
// a complete snapshot counts as gone. Parse streams, so it finds out about a
// file only at its end: whoever takes its records has to hold them in a
// transaction until it returns nil.
//
// Parse knows one line at a time. That a record occurs twice, or that an edge
// names an entity nobody asserts, is found by the sync.
//
// The lexer is our own. encoding/json takes the last of two equal keys, turns
// lone surrogates and broken UTF-8 into U+FFFD without a word, and builds maps;
// here all of these have to be noticed, at the pace of a million lines.
package snapshot

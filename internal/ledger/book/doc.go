// Package book keeps the ledger of each organization in the database, and reads
// it. What an entry is, and how one hash follows from another, is in package
// ledger, which knows no database.
//
// [Book.Append] writes entries within the transaction of what they say, so that
// both are there or neither is. The row of the head is held to the commit: the
// sequence of an organization has no gap, and its entries follow one another.
//
// A [Checkpointer] signs what the ledger is, now and then, and puts the
// signature where the database cannot reach it. [Book.Verify] holds the ledger
// against itself, against such checkpoints, and against the tables that follow
// from it; [Rebuild] says what these must be.
package book

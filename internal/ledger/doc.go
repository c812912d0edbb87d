// Package ledger is what people judged, written so that nobody can edit it
// unnoticed. It knows no database: internal/ledger/book keeps the entries.
//
// An Entry has one sequence of bytes, its Body. Link chains the bodies of an
// organization by their hashes. The hashes are the leaves of a Merkle tree
// (RFC 6962): a Checkpoint signs its root, Inclusion proves that an entry is
// below a root, Consistency that one root continues another.
//
// Exporter writes a ledger to a file, VerifyExport reads such a file entry by
// entry, and Check is what both it and a look at the stored ledger judge by.
//
// What a ledger proves ends with its last entry: that the newest entries are
// missing is seen only in a checkpoint that was kept elsewhere.
// docs/formats/ledger.md describes every byte.
package ledger

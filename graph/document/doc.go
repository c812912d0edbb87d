// Package document keeps parsed documents, so that one that is sent again is neither
// parsed nor validated again. What is kept is bounded in bytes: a bound on the number
// of documents bounds nothing where each may have 256 KiB.
package document

// Package triage is people judging exposures: they acknowledge them, mark them as
// false positives and resolve them by hand, one by one or many at once, and take
// that back. Every judgement is an entry of the ledger and says who, why and on
// which version; the disposition in the exposure's row follows from it.
//
// What may become of what is in moves.go, which knows no database.
package triage

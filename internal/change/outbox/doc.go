// Package outbox notes, in the transaction that changes something, that something
// has changed. What it was is read from the versions and intervals that the
// transaction leaves behind, by the package change, which numbers and publishes it.
//
// A note never fails the change: where the outbox does not take it, it goes to the
// gaps, and from there the repair brings it back.
package outbox

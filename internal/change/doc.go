// Package change gives an organization its feed: what changed, once, in an order
// that everybody sees alike, and without a gap in its numbers.
//
// An event is a function of history. Whoever changes something leaves versions and
// intervals behind, and a note in the outbox (package outbox) that something
// happened at an instant. The Sequencer takes the notes one after the other, reads
// what changed at that instant (expand.go, in stages), says it in words (render.go),
// numbers it, and deletes the note, all in one transaction that holds the head of
// the feed. So nothing is lost or published twice, whatever is killed; and a note
// that comes again, from the repair, gives the same events by the same ids, which
// are there already.
package change
